use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{DynamicImage, ImageReader, Limits};

use crate::error::DataError;

/// Longest side that is decoded, in pixels: twice that of the largest detectors.
pub(crate) const MAX_SIDE: u32 = 16_384;

/// Bytes that decoding one image may take.
const MAX_BYTES: u64 = 1 << 30;

/// Bytes that an image file may have: the JPEG decoder reads all of it before it looks at it.
const MAX_FILE_BYTES: u64 = 1 << 28;

/// A decoded 8-bit image: one channel (gray) or three (RGB), interleaved, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedImage {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
    /// `height · width · channels` values.
    pub pixels: Vec<u8>,
}

/// Decodes a PNG or JPEG file.
///
/// 16-bit values are scaled to 8 bits (their high byte; Pillow would clip them at 255),
/// transparency is dropped, palettes are resolved. A gray image stays gray. The orientation that a
/// camera may have noted is not applied, as in Pillow.
///
/// # Errors
///
/// If the file cannot be opened, is not a readable image, has more than 256 MiB, or would take more
/// than 16,384 pixels a side or 1 GiB; size is checked before anything is allocated.
pub fn decode_image(path: &Path) -> Result<DecodedImage, DataError> {
    let failed = |reason: String| DataError::Image {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(DataError::io("cannot open image", path))?;
    let bytes = file
        .metadata()
        .map_err(DataError::io("cannot read image", path))?
        .len();
    if bytes > MAX_FILE_BYTES {
        return Err(failed(format!(
            "the file has {bytes} bytes, more than the {MAX_FILE_BYTES} that are read"
        )));
    }
    let mut reader = ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(DataError::io("cannot read image", path))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let decoded = reader.decode().map_err(|error| failed(error.to_string()))?;
    Ok(to_eight_bits(decoded))
}

fn to_eight_bits(decoded: DynamicImage) -> DecodedImage {
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let high_byte = |value: &u16| (value >> 8) as u8;
    let (channels, pixels) = match decoded {
        DynamicImage::ImageLuma8(image) => (1, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => (1, every_first(image.as_raw(), 2)),
        DynamicImage::ImageLuma16(image) => (1, image.as_raw().iter().map(high_byte).collect()),
        DynamicImage::ImageLumaA16(image) => {
            (1, image.as_raw().iter().step_by(2).map(high_byte).collect())
        }
        DynamicImage::ImageRgb8(image) => (3, image.into_raw()),
        DynamicImage::ImageRgba8(image) => (3, without_alpha(image.as_raw())),
        DynamicImage::ImageRgb16(image) => (3, image.as_raw().iter().map(high_byte).collect()),
        DynamicImage::ImageRgba16(image) => {
            let bytes: Vec<u8> = image.as_raw().iter().map(high_byte).collect();
            (3, without_alpha(&bytes))
        }
        other => (3, other.into_rgb8().into_raw()),
    };
    DecodedImage {
        width,
        height,
        channels,
        pixels,
    }
}

fn every_first(values: &[u8], stride: usize) -> Vec<u8> {
    values.iter().step_by(stride).copied().collect()
}

fn without_alpha(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        (folder, path)
    }

    /// A PNG that claims to be `width` × `height` gray pixels and holds none.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut chunk = b"IHDR".to_vec();
        chunk.extend(width.to_be_bytes());
        chunk.extend(height.to_be_bytes());
        chunk.extend([8, 0, 0, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&chunk);
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
        bytes.extend(chunk);
        bytes.extend(crc.sum().to_be_bytes());
        bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
        bytes
    }

    #[test]
    fn a_corrupt_file_is_named() {
        let (_folder, path) = written("broken.png", b"\x89PNG\r\n\x1a\nnothing");
        let error = decode_image(&path).unwrap_err().to_string();
        assert!(error.contains("broken.png"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_image_is_named() {
        let (_folder, path) = written("text.jpg", b"<html>not found</html>");
        let error = decode_image(&path).unwrap_err().to_string();
        assert!(error.contains("text.jpg"), "{error}");
    }

    #[test]
    fn an_image_that_claims_too_many_pixels_is_refused_unread() {
        let (_folder, path) = written("bomb.png", &png_header(4_000_000, 4_000_000));
        let error = decode_image(&path).unwrap_err().to_string();
        assert!(
            error.contains("bomb.png") && error.to_lowercase().contains("limit"),
            "{error}"
        );
    }

    #[test]
    fn sixteen_bits_are_scaled_and_alpha_dropped() {
        let gray = image::ImageBuffer::from_pixel(1, 1, image::Luma([0xAB_CDu16]));
        assert_eq!(
            to_eight_bits(DynamicImage::ImageLuma16(gray)).pixels,
            [0xAB]
        );
        let rgba = image::ImageBuffer::from_pixel(1, 1, image::Rgba([1u8, 2, 3, 0]));
        assert_eq!(
            to_eight_bits(DynamicImage::ImageRgba8(rgba)).pixels,
            [1, 2, 3]
        );
    }
}
