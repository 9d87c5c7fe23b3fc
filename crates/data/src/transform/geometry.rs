//! Resizing, cropping and mirroring of decoded images.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::TransformError;
use crate::pixels::{DecodedImage, MAX_SIDE};

/// Resizes with Pillow's antialiased bilinear filter, to within one level.
pub(super) fn resize(
    image: &DecodedImage,
    width: usize,
    height: usize,
) -> Result<DecodedImage, TransformError> {
    if (image.width, image.height) == (width, height) {
        return Ok(image.clone());
    }
    if width.max(height) > MAX_SIDE as usize {
        return Err(TransformError::TooLong { width, height });
    }
    let pixels = match image.channels {
        1 => resized::<U8>(image, width, height),
        _ => resized::<U8x3>(image, width, height),
    };
    Ok(DecodedImage {
        width,
        height,
        channels: image.channels,
        pixels: pixels.map_err(TransformError::Resize)?,
    })
}

/// [`resize`] for one kind of pixels: the resizer that finds out itself is compiled for every kind that there is.
fn resized<P: PixelTrait>(
    image: &DecodedImage,
    width: usize,
    height: usize,
) -> Result<Vec<u8>, String> {
    let (from, to) = (
        (image.width as u32, image.height as u32),
        (width as u32, height as u32),
    );
    let mut pixels = vec![0; width * height * image.channels];
    let source = TypedImageRef::<P>::from_buffer(from.0, from.1, &image.pixels)
        .map_err(|error| error.to_string())?;
    let mut target =
        TypedImage::<P>::from_buffer(to.0, to.1, &mut pixels).map_err(|error| error.to_string())?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .map_err(|error| error.to_string())?;
    Ok(pixels)
}

/// Resizes the shorter side to `side`, the longer in proportion, rounded down.
pub(super) fn resize_shorter(
    image: &DecodedImage,
    side: usize,
) -> Result<DecodedImage, TransformError> {
    if image.width <= image.height {
        resize(image, side, side * image.height / image.width)
    } else {
        resize(image, side * image.width / image.height, side)
    }
}

/// Crops the centre; an odd margin is rounded half to even, as in torchvision.
pub(super) fn centre(image: &DecodedImage, size: usize) -> DecodedImage {
    let offset = |side: usize| ((side - size) as f64 / 2.0).round_ties_even() as usize;
    crop(image, (offset(image.width), offset(image.height)), size)
}

pub(super) fn crop(image: &DecodedImage, (left, top): (usize, usize), size: usize) -> DecodedImage {
    let row = image.width * image.channels;
    let start = left * image.channels;
    let mut pixels = Vec::with_capacity(size * size * image.channels);
    for y in top..top + size {
        let from = y * row + start;
        pixels.extend_from_slice(&image.pixels[from..from + size * image.channels]);
    }
    DecodedImage {
        width: size,
        height: size,
        channels: image.channels,
        pixels,
    }
}

pub(super) fn mirrored(image: DecodedImage) -> DecodedImage {
    let pixels = image
        .pixels
        .chunks_exact(image.width * image.channels)
        .flat_map(|row| row.chunks_exact(image.channels).rev().flatten())
        .copied()
        .collect();
    DecodedImage { pixels, ..image }
}

/// Splits interleaved pixels into three planes; gray is repeated.
pub(super) fn planes(image: &DecodedImage) -> Vec<u8> {
    if image.channels == 1 {
        return image.pixels.repeat(3);
    }
    let mut planes = Vec::with_capacity(image.pixels.len());
    for channel in 0..3 {
        planes.extend(image.pixels.iter().skip(channel).step_by(3));
    }
    planes
}
