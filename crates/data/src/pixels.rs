//! Decoded pixels, the limits on their number, and the error of an image.

use std::path::Path;

use crate::error::DataError;

/// Longest side that is decoded in pixels, twice that of the largest detectors.
pub(crate) const MAX_SIDE: u32 = 16_384;

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

/// Rejects empty images and sides beyond [`MAX_SIDE`].
pub(crate) fn check_dimensions(path: &Path, width: usize, height: usize) -> Result<(), DataError> {
    let side = MAX_SIDE as usize;
    if width == 0 || height == 0 || width > side || height > side {
        return Err(image_error(
            path,
            format!("{width}×{height} pixels are outside the limits of 1 to {side} a side"),
        ));
    }
    Ok(())
}

pub(crate) fn image_error(path: &Path, reason: String) -> DataError {
    DataError::Image {
        path: path.to_owned(),
        reason,
    }
}
