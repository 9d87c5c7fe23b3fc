mod kind;

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

pub use self::kind::FileKind;
use crate::error::DataError;
use crate::jpeg::decode_jpeg;
pub use crate::pixels::DecodedImage;
use crate::pixels::{MAX_SIDE, check_dimensions, image_error};

/// Most bytes that decoding one image may take.
const MAX_BYTES: u64 = 1 << 30;

/// Most bytes of an image file, which is read whole before it is decoded.
const MAX_FILE_BYTES: u64 = 1 << 28;

/// Bytes read to find an image's dimensions: first few, then many, then all.
const HEADERS: [u64; 3] = [1 << 14, 1 << 21, MAX_FILE_BYTES];

/// Decodes a PNG, JPEG or (with the feature `dicom`) DICOM file, recognised by content, not by name.
///
/// 16-bit values are scaled to 8 bits (their high byte; Pillow would clip them at 255),
/// transparency is dropped, palettes are resolved. A gray image stays gray. EXIF orientation is not
/// applied, as in Pillow.
///
/// DICOM is converted as MIMIC-CXR-JPG was made: least value to 0 and greatest to 255, MONOCHROME1
/// inverted, histogram equalised. Values honour `BitsStored`, `HighBit` and `PixelRepresentation`;
/// pixel padding is excluded from scaling and black. As pydicom does, this reads data sets with or without
/// preamble and meta group, in either byte order, deflated, and in an encoding other than the declared
/// one. Pixels may be compressed as RLE, JPEG, JPEG-LS or JPEG 2000. Other transfer syntaxes (HTJ2K,
/// JPEG XL) and 12-bit lossy JPEG are errors; `gdcmconv --raw` converts them.
///
/// # Errors
///
/// If the file cannot be opened, is empty or truncated, has another format (which is named), is larger
/// than 256 MiB, or exceeds 16,384 pixels a side or 1 GiB decoded. Sizes are checked before allocation.
pub fn decode_image(path: &Path) -> Result<DecodedImage, DataError> {
    let (file, length) = open_bounded(path)?;
    decode_image_bytes(&read_start(file, path, length)?, path)
}

/// Decodes the content of such a file; `path` is what messages call it.
///
/// # Errors
///
/// As [`decode_image`].
pub fn decode_image_bytes(bytes: &[u8], path: &Path) -> Result<DecodedImage, DataError> {
    match kind_of(bytes, path)? {
        FileKind::Jpeg => decode_jpeg(bytes, path),
        FileKind::Png => decode_png(bytes, path),
        _ => decode_dicom(bytes, path),
    }
}

/// Reads width and height in pixels from the first bytes of an image. Checks that the file exists, is an
/// image and is within the size limits, not that all of it can be decoded.
///
/// # Errors
///
/// As [`decode_image`].
pub fn inspect_image(path: &Path) -> Result<(usize, usize), DataError> {
    let mut failure = None;
    for bytes in HEADERS {
        let (file, length) = open_bounded(path)?;
        let start = read_start(file, path, bytes.min(length))?;
        let dimensions = match kind_of(&start, path)? {
            FileKind::Dicom => inspect_dicom(&start, length, path),
            _ => header_dimensions(&start, path),
        };
        match dimensions {
            Ok((width, height)) => {
                check_dimensions(path, width, height)?;
                return Ok((width, height));
            }
            // A thumbnail or colour profile may precede the dimensions.
            Err(error) if bytes < length => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| image_error(path, "it has no dimensions".to_owned())))
}

/// The same of the whole content of an image; `path` is what messages call it.
///
/// # Errors
///
/// As [`decode_image`].
pub fn inspect_image_bytes(bytes: &[u8], path: &Path) -> Result<(usize, usize), DataError> {
    let (width, height) = match kind_of(bytes, path)? {
        FileKind::Dicom => inspect_dicom(bytes, bytes.len() as u64, path)?,
        _ => header_dimensions(bytes, path)?,
    };
    check_dimensions(path, width, height)?;
    Ok((width, height))
}

/// The kind of the file that starts with `bytes`; an error if it is not supported.
fn kind_of(bytes: &[u8], path: &Path) -> Result<FileKind, DataError> {
    let kind = FileKind::of_bytes(bytes);
    match kind.refusal() {
        None => Ok(kind),
        Some(reason) => Err(image_error(path, reason)),
    }
}

fn header_dimensions(start: &[u8], path: &Path) -> Result<(usize, usize), DataError> {
    let reader = ImageReader::new(Cursor::new(start))
        .with_guessed_format()
        .map_err(DataError::io("cannot read image", path))?;
    let (width, height) = reader
        .into_dimensions()
        .map_err(|error| image_error(path, error.to_string()))?;
    Ok((width as usize, height as usize))
}

fn decode_png(bytes: &[u8], path: &Path) -> Result<DecodedImage, DataError> {
    let broken = |error: image::ImageError| image_error(path, error.to_string());
    let (width, height) = header_dimensions(bytes, path)?;
    check_dimensions(path, width, height)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    reader.limits(limits());
    let decoder = reader.into_decoder().map_err(broken)?;
    let taken = decoder.total_bytes();
    if taken > MAX_BYTES {
        let (taken, most) = (taken >> 20, MAX_BYTES >> 20);
        let reason = format!(
            "{width}×{height} pixels of this kind take {taken} MiB, above the limit of {most} MiB"
        );
        return Err(image_error(path, reason));
    }
    Ok(to_eight_bits(
        DynamicImage::from_decoder(decoder).map_err(broken)?,
    ))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

/// Opens a file and returns it with its length; rejects empty and oversized files.
fn open_bounded(path: &Path) -> Result<(File, u64), DataError> {
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
        bytes => return Ok((file, bytes)),
    };
    Err(image_error(path, reason))
}

/// Reads the first `length` bytes of a file.
fn read_start(file: File, path: &Path, length: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length)
        .read_to_end(&mut bytes)
        .map_err(DataError::io("cannot read image", path))?;
    Ok(bytes)
}

#[cfg(feature = "dicom")]
use crate::dicom::{decode_dicom, inspect_dicom};

/// Unreachable: without the feature, [`kind_of`] rejects DICOM.
#[cfg(not(feature = "dicom"))]
fn decode_dicom(_: &[u8], path: &Path) -> Result<DecodedImage, DataError> {
    let reason = FileKind::Dicom.refusal().unwrap_or_default();
    Err(image_error(path, reason))
}

#[cfg(not(feature = "dicom"))]
fn inspect_dicom(bytes: &[u8], _: u64, path: &Path) -> Result<(usize, usize), DataError> {
    decode_dicom(bytes, path).map(|image| (image.width, image.height))
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
        let bytes = std::fs::read(&path).expect("readable");
        let errors = [
            decode_image(&path).map(|_| ()),
            inspect_image_bytes(&bytes, &path).map(|_| ()),
        ];
        for error in errors {
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("bomb.png") && error.to_lowercase().contains("limit"),
                "{error}"
            );
        }
    }

    #[test]
    fn dimensions_are_read_from_a_file_and_from_bytes() {
        let (_folder, path) = written("film.png", b"");
        for name in ["film.png", "film.jpg"] {
            let path = path.with_file_name(name);
            image::GrayImage::new(37, 21).save(&path).expect("written");
            let bytes = std::fs::read(&path).expect("readable");
            assert_eq!(inspect_image(&path).expect("readable"), (37, 21));
            let inspected = inspect_image_bytes(&bytes, &path).expect("readable");
            assert_eq!(inspected, (37, 21));
        }
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
