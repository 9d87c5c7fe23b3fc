mod geometry;

use std::fmt;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::geometry::{centre, crop, mirrored, planes, resize, resize_shorter};
use crate::jitter::Jitter;
use crate::pixels::{DecodedImage, MAX_SIDE};

/// Mean of ImageNet's channels, for values in `[0, 1]`.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// Standard deviation of ImageNet's channels.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Turns a decoded image into the square input of a backbone.
///
/// ```
/// use ithn_data::{DecodedImage, ImageTransform};
///
/// let image = DecodedImage { width: 30, height: 20, channels: 1, pixels: vec![7; 600] };
/// let square = ImageTransform::evaluation(8).apply(&image, 0)?;
/// assert_eq!(square, vec![7; 3 * 8 * 8]);
/// # Ok::<(), ithn_data::TransformError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ImageTransform {
    /// Resizes to the square, ignoring the aspect ratio (evaluation).
    Resize {
        /// Side of the square, in pixels.
        size: usize,
    },
    /// Resizes the shorter side, then crops the centre.
    CenterCrop {
        /// Shorter side before the crop, in pixels.
        shorter_side: usize,
        /// Side of the square, in pixels.
        size: usize,
    },
    /// Resizes the shorter side, then crops at random (training).
    RandomCrop {
        /// Shorter side before the crop, in pixels.
        shorter_side: usize,
        /// Side of the square, in pixels.
        size: usize,
        /// Flips half of the images horizontally, which swaps left and right against the report.
        horizontal_flip: bool,
    },
    /// Resizes to the square, then changes geometry and brightness at random (training).
    Jitter {
        /// Side of the square, in pixels.
        size: usize,
        /// Limits of the change.
        limits: Jitter,
    },
}

/// The operation of [`ImageTransform::prepare`]; transforms with equal preparations share its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Preparation {
    /// Resizes to a square of `size` pixels.
    Square { size: usize },
    /// Resizes the shorter side to `side` pixels.
    ShorterSide { side: usize },
    /// Crops the centre of that.
    Centre { side: usize, size: usize },
}

impl fmt::Display for Preparation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Preparation::Square { size } => write!(formatter, "square-{size}"),
            Preparation::ShorterSide { side } => write!(formatter, "shorter-side-{side}"),
            Preparation::Centre { side, size } => write!(formatter, "centre-{size}-of-{side}"),
        }
    }
}

/// Why an image cannot be transformed.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TransformError {
    /// Sides, channels and the number of values disagree, or the image is empty.
    #[error("{width}×{height} pixels of {channels} channels cannot have {values} values")]
    Shape {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Channels, 1 or 3.
        channels: usize,
        /// Number of values.
        values: usize,
    },
    /// The crop is empty or larger than the image.
    #[error(
        "a square of {size} pixels cannot be cut from a shorter side of {shorter_side}; \
         choose 0 < size ≤ shorter side ≤ 16384"
    )]
    Crop {
        /// Side of the square.
        size: usize,
        /// Shorter side before the crop.
        shorter_side: usize,
    },
    /// An image so narrow that its resized longer side would be too long.
    #[error("resized to {width}×{height} pixels the image would be too long; is it a radiograph?")]
    TooLong {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// Limits of a random change that are out of range.
    #[error(
        "random changes must keep to 0 to 180 degrees of rotation, a scale in [0, 1), and shift, \
         contrast and brightness in [0, 1]; got {0:?}"
    )]
    Jitter(Jitter),
    /// The resizer failed.
    #[error("cannot resize: {0}")]
    Resize(String),
}

impl ImageTransform {
    /// For evaluation: the whole image in a square of `size` pixels (official: 224).
    pub fn evaluation(size: usize) -> Self {
        ImageTransform::Resize { size }
    }

    /// For training: a random crop of `size` pixels from a shorter side 8/7 as long (official: 224 of
    /// 256), not flipped.
    pub fn training(size: usize) -> Self {
        ImageTransform::RandomCrop {
            shorter_side: size.saturating_mul(8) / 7,
            size,
            horizontal_flip: false,
        }
    }

    /// Side of the output square in pixels.
    pub fn size(&self) -> usize {
        match *self {
            ImageTransform::Resize { size }
            | ImageTransform::CenterCrop { size, .. }
            | ImageTransform::RandomCrop { size, .. }
            | ImageTransform::Jitter { size, .. } => size,
        }
    }

    /// The deterministic part, the same in every epoch.
    pub(crate) fn preparation(&self) -> Preparation {
        match *self {
            ImageTransform::Resize { size } | ImageTransform::Jitter { size, .. } => {
                Preparation::Square { size }
            }
            ImageTransform::CenterCrop { shorter_side, size } => Preparation::Centre {
                side: shorter_side,
                size,
            },
            ImageTransform::RandomCrop { shorter_side, .. } => {
                Preparation::ShorterSide { side: shorter_side }
            }
        }
    }

    /// Whether the same image always gives the same square.
    pub fn is_deterministic(&self) -> bool {
        matches!(
            self,
            ImageTransform::Resize { .. } | ImageTransform::CenterCrop { .. }
        )
    }

    /// Returns the square as three planes, `[3, size, size]`, values 0 to 255; `seed` seeds the crop
    /// and flip.
    ///
    /// # Errors
    ///
    /// If the image is empty or too narrow, or the crop is larger than the image.
    pub fn apply(&self, image: &DecodedImage, seed: u64) -> Result<Vec<u8>, TransformError> {
        self.finish(&self.prepare(image)?, seed)
    }

    /// The costly, deterministic part of [`apply`](Self::apply): resizes the image from which
    /// [`finish`](Self::finish) crops the square. Worth caching.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn prepare(&self, image: &DecodedImage) -> Result<DecodedImage, TransformError> {
        check_shape(image)?;
        match *self {
            ImageTransform::Resize { size } | ImageTransform::Jitter { size, .. } => {
                check_crop(size, size)?;
                resize(image, size, size)
            }
            ImageTransform::CenterCrop { shorter_side, size } => {
                check_crop(size, shorter_side)?;
                Ok(centre(&resize_shorter(image, shorter_side)?, size))
            }
            ImageTransform::RandomCrop {
                shorter_side, size, ..
            } => {
                check_crop(size, shorter_side)?;
                resize_shorter(image, shorter_side)
            }
        }
    }

    /// The cheap part of [`apply`](Self::apply): crops and flips, or jitters, a
    /// [`prepare`](Self::prepare)d image and splits it into planes.
    ///
    /// # Errors
    ///
    /// If the image was prepared by another transform and is smaller than the square, or a limit is
    /// out of range.
    pub fn finish(&self, prepared: &DecodedImage, seed: u64) -> Result<Vec<u8>, TransformError> {
        check_shape(prepared)?;
        let size = self.size();
        check_crop(size, prepared.width.min(prepared.height))?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let horizontal_flip = match *self {
            ImageTransform::RandomCrop {
                horizontal_flip, ..
            } => horizontal_flip,
            ImageTransform::Jitter { limits, .. } => {
                if !limits.is_valid() {
                    return Err(TransformError::Jitter(limits));
                }
                let square = crop(prepared, (0, 0), size);
                return Ok(planes(&limits.apply(&square, &mut rng)));
            }
            ImageTransform::Resize { .. } | ImageTransform::CenterCrop { .. } => {
                return Ok(planes(&crop(prepared, (0, 0), size)));
            }
        };
        let corner = (
            rng.random_range(0..=prepared.width - size),
            rng.random_range(0..=prepared.height - size),
        );
        let square = crop(prepared, corner, size);
        if horizontal_flip && rng.random_bool(0.5) {
            Ok(planes(&mirrored(square)))
        } else {
            Ok(planes(&square))
        }
    }
}

/// Normalises planes `[3, height, width]` of values 0 to 255 (one image or several in a row) by
/// ImageNet's mean and standard deviation; batches are normalised on the device.
pub fn normalise(planes: &[u8], plane_len: usize) -> Vec<f32> {
    let mut normalised = Vec::with_capacity(planes.len());
    for (plane, values) in planes.chunks(plane_len.max(1)).enumerate() {
        let (mean, deviation) = (IMAGENET_MEAN[plane % 3], IMAGENET_STD[plane % 3]);
        normalised.extend(
            values
                .iter()
                .map(|&value| (f32::from(value) / 255.0 - mean) / deviation),
        );
    }
    normalised
}

fn check_shape(image: &DecodedImage) -> Result<(), TransformError> {
    let values = [image.width, image.height, image.channels]
        .into_iter()
        .try_fold(1, usize::checked_mul);
    let fits = matches!(image.channels, 1 | 3) && values == Some(image.pixels.len());
    if fits && !image.pixels.is_empty() {
        return Ok(());
    }
    Err(TransformError::Shape {
        width: image.width,
        height: image.height,
        channels: image.channels,
        values: image.pixels.len(),
    })
}

fn check_crop(size: usize, shorter_side: usize) -> Result<(), TransformError> {
    if 0 < size && size <= shorter_side && shorter_side <= MAX_SIDE as usize {
        Ok(())
    } else {
        Err(TransformError::Crop { size, shorter_side })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: usize, height: usize) -> DecodedImage {
        DecodedImage {
            width,
            height,
            channels: 1,
            pixels: (0..width * height)
                .map(|index| (index % width) as u8)
                .collect(),
        }
    }

    #[test]
    fn a_mirrored_image_is_its_own_inverse() {
        let image = gradient(5, 3);
        let twice = mirrored(mirrored(image.clone()));
        assert_eq!(twice, image);
        assert_ne!(mirrored(image.clone()), image);
    }

    #[test]
    fn a_random_crop_depends_on_its_seed_alone() {
        let image = gradient(40, 30);
        let transform = ImageTransform::RandomCrop {
            shorter_side: 30,
            size: 16,
            horizontal_flip: true,
        };
        let square = |seed| transform.apply(&image, seed).expect("it has pixels");
        assert_eq!(square(3), square(3));
        assert!((0..20).any(|seed| square(seed) != square(3)));
        assert_eq!(square(0).len(), 3 * 16 * 16);
    }

    #[test]
    fn an_image_of_the_right_size_is_left_alone() {
        let image = gradient(8, 8);
        let square = ImageTransform::evaluation(8)
            .apply(&image, 0)
            .expect("it has pixels");
        assert_eq!(square, image.pixels.repeat(3));
    }

    #[test]
    fn what_cannot_be_cut_is_an_error_and_no_panic() {
        let crop = |shorter_side, size| ImageTransform::CenterCrop { shorter_side, size };
        let image = gradient(8, 8);
        for transform in [crop(4, 8), crop(4, 0), ImageTransform::evaluation(0)] {
            let error = transform.apply(&image, 0).unwrap_err();
            assert!(matches!(error, TransformError::Crop { .. }), "{error}");
        }
        let sliver = gradient(1, 9000);
        let error = crop(8, 8).apply(&sliver, 0).unwrap_err();
        assert!(matches!(error, TransformError::TooLong { .. }), "{error}");
        let broken = DecodedImage {
            channels: 2,
            ..image
        };
        let error = crop(8, 8).apply(&broken, 0).unwrap_err();
        assert!(matches!(error, TransformError::Shape { .. }), "{error}");
    }

    #[test]
    fn normalised_planes_have_their_own_mean_and_deviation() {
        let values = normalise(&[0, 255, 128], 1);
        for (plane, value) in [0.0, 1.0, 128.0 / 255.0].into_iter().enumerate() {
            let expected = (value - IMAGENET_MEAN[plane]) / IMAGENET_STD[plane];
            assert!((values[plane] - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_transform_survives_json() {
        let transform = ImageTransform::training(224);
        assert_eq!(
            transform
                .prepare(&gradient(300, 400))
                .map(|image| image.width),
            Ok(256)
        );
        let json = serde_json::to_string(&transform).expect("serialisable");
        assert!(json.contains("\"kind\":\"random_crop\""), "{json}");
        let read: ImageTransform = serde_json::from_str(&json).expect("readable");
        assert_eq!(read, transform);
    }
}
