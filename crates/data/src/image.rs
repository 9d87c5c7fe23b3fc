use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use image::{DynamicImage, ImageReader, Limits};

use crate::error::DataError;
use crate::jpeg::{decode_jpeg, is_jpeg};

/// Longest side that is decoded, in pixels: twice that of the largest detectors.
pub(crate) const MAX_SIDE: u32 = 16_384;

/// Bytes that decoding one image may take.
const MAX_BYTES: u64 = 1 << 30;

/// Bytes that an image file may have: all of it is read before it is decoded.
const MAX_FILE_BYTES: u64 = 1 << 28;

/// First bytes that are read to learn an image's dimensions: first few, then many.
const SHORT_HEADER: u64 = 1 << 14;
const LONG_HEADER: u64 = 1 << 21;

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

/// Decodes a PNG, JPEG or (with the feature `dicom`) DICOM file.
///
/// 16-bit values are scaled to 8 bits (their high byte; Pillow would clip them at 255),
/// transparency is dropped, palettes are resolved. A gray image stays gray. The orientation that a
/// camera may have noted is not applied, as in Pillow. DICOM is converted as MIMIC-CXR-JPG was made:
/// least value to 0 and greatest to 255, MONOCHROME1 inverted, histogram equalised. It may be compressed as
/// RLE, JPEG, JPEG-LS or JPEG 2000; films in other transfer syntaxes (big-endian, deflated, HTJ2K, JPEG XL)
/// are errors, and `gdcmconv --raw` rewrites them.
///
/// # Errors
///
/// If the file cannot be opened, is empty, cut short or not a readable image, has more than 256 MiB, or would
/// take more than 16,384 pixels a side or 1 GiB; size is checked before anything is allocated.
pub fn decode_image(path: &Path) -> Result<DecodedImage, DataError> {
    let mut file = open_bounded(path)?;
    if is_dicom(&mut file, path)? {
        return decode_dicom(file.into_inner(), path);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(DataError::io("cannot read image", path))?;
    decode_image_bytes(&bytes, path)
}

/// Decodes the content of such a file; `path` is what messages call it.
///
/// # Errors
///
/// As [`decode_image`].
pub fn decode_image_bytes(bytes: &[u8], path: &Path) -> Result<DecodedImage, DataError> {
    if is_jpeg(bytes) {
        return decode_jpeg(bytes, path);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(DataError::io("cannot read image", path))?;
    reader.limits(limits());
    let decoded = reader
        .decode()
        .map_err(|error| image_error(path, error.to_string()))?;
    Ok(to_eight_bits(decoded))
}

/// Width and height of an image in pixels, by its first bytes alone: whether it is there, is an
/// image and of bearable size, though not whether all of it can be decoded.
///
/// # Errors
///
/// As [`decode_image`].
pub fn inspect_image(path: &Path) -> Result<(usize, usize), DataError> {
    let mut file = open_bounded(path)?;
    if is_dicom(&mut file, path)? {
        return inspect_dicom(file.into_inner(), path);
    }
    let dimensions = match header_dimensions(&mut file, path, SHORT_HEADER)? {
        Ok(dimensions) => Ok(dimensions),
        // A thumbnail or a colour profile may stand before the dimensions.
        Err(_) => header_dimensions(&mut file, path, LONG_HEADER)?,
    };
    let (width, height) = dimensions.map_err(|reason| image_error(path, reason))?;
    check_dimensions(path, width as usize, height as usize)?;
    Ok((width as usize, height as usize))
}

/// Dimensions that the first `bytes` of the file tell, or why they do not.
fn header_dimensions(
    file: &mut BufReader<File>,
    path: &Path,
    bytes: u64,
) -> Result<Result<(u32, u32), String>, DataError> {
    let io_error = || DataError::io("cannot read image", path);
    let mut start = Vec::new();
    file.rewind().map_err(io_error())?;
    file.take(bytes)
        .read_to_end(&mut start)
        .map_err(io_error())?;
    let reader = ImageReader::new(Cursor::new(start))
        .with_guessed_format()
        .map_err(io_error())?;
    Ok(reader.into_dimensions().map_err(|error| error.to_string()))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

/// Refuses what [`limits`] would refuse.
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

/// Opens a file that has some bytes and not too many.
fn open_bounded(path: &Path) -> Result<BufReader<File>, DataError> {
    let file = File::open(path).map_err(DataError::io("cannot open image", path))?;
    let metadata = file
        .metadata()
        .map_err(DataError::io("cannot read image", path))?;
    let reason = match metadata.len() {
        _ if metadata.is_dir() => "it is a folder".to_owned(),
        0 => "the file is empty".to_owned(),
        bytes if bytes > MAX_FILE_BYTES => {
            format!("the file has {bytes} bytes, more than the {MAX_FILE_BYTES} that are read")
        }
        _ => return Ok(BufReader::new(file)),
    };
    Err(image_error(path, reason))
}

/// Whether the file has DICOM's magic code, behind the 128 bytes before it; reads from the start
/// again afterwards.
fn is_dicom(file: &mut BufReader<File>, path: &Path) -> Result<bool, DataError> {
    let io_error = || DataError::io("cannot read image", path);
    let mut start = Vec::new();
    file.take(132).read_to_end(&mut start).map_err(io_error())?;
    file.rewind().map_err(io_error())?;
    Ok(start.len() == 132 && start.ends_with(b"DICM"))
}

#[cfg(feature = "dicom")]
use crate::dicom::{decode_dicom, inspect_dicom};

#[cfg(not(feature = "dicom"))]
fn decode_dicom(_: File, path: &Path) -> Result<DecodedImage, DataError> {
    Err(image_error(
        path,
        "it is DICOM, which needs the cargo feature `dicom`".to_owned(),
    ))
}

#[cfg(not(feature = "dicom"))]
fn inspect_dicom(file: File, path: &Path) -> Result<(usize, usize), DataError> {
    decode_dicom(file, path).map(|image| (image.width, image.height))
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
    fn a_jpeg_cut_short_is_refused_and_padding_is_not() {
        let (_folder, path) = written("whole.jpg", b"");
        image::GrayImage::from_fn(64, 64, |x, y| image::Luma([(x * 31 + y * 17) as u8]))
            .save(&path)
            .expect("written");
        let whole = std::fs::read(&path).expect("readable");
        std::fs::write(&path, [&whole[..], &[0; 100]].concat()).expect("written");
        assert!(decode_image(&path).is_ok());
        for kept in [whole.len() / 2, whole.len() - 2] {
            std::fs::write(&path, &whole[..kept]).expect("written");
            let error = decode_image(&path).unwrap_err().to_string();
            assert!(error.contains("cut short"), "{error}");
        }
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
