mod lengths;

use std::fs::File;
use std::io::{BufReader, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
use dicom_pixeldata::{DecodedPixelData, PhotometricInterpretation, PixelDecoder};

use self::lengths::check_lengths;
use crate::error::DataError;
use crate::image::{DecodedImage, check_dimensions, image_error};

const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// What a file says of its pixels before they are read.
struct PixelHeader {
    width: usize,
    height: usize,
    bits_allocated: u32,
    is_signed: bool,
}

/// Decodes a radiograph as MIMIC-CXR-JPG was made from MIMIC-CXR (Johnson et al., 2019): the least
/// value is subtracted, the greatest brought to 255, values truncated, MONOCHROME1 inverted, and the
/// histogram equalised as OpenCV does it.
///
/// Transfer syntaxes: little-endian uncompressed, RLE, JPEG baseline, extended and lossless. Window,
/// modality and overlay are not applied, as there.
pub(crate) fn decode_dicom(file: File, path: &Path) -> Result<DecodedImage, DataError> {
    let header = read_header(&file, path)?;
    // The parser and the decoders behind it are others' and assert some of what they are given.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let object = open(OpenFileOptions::new(), &file, path)?;
        check_codestream(&object, &header).map_err(|reason| image_error(path, reason))?;
        let pixels = object
            .decode_pixel_data_frame(0)
            .map_err(|error| image_error(path, with_causes(&error)))?;
        let is_inverted = match pixels.photometric_interpretation() {
            PhotometricInterpretation::Monochrome1 => true,
            PhotometricInterpretation::Monochrome2 => false,
            other => {
                return Err(image_error(
                    path,
                    format!("photometric interpretation {other} is no radiograph's"),
                ));
            }
        };
        Ok((raw_values(&pixels, &header, path)?, is_inverted))
    }));
    let (values, is_inverted) = decoded.unwrap_or_else(|_| {
        Err(image_error(
            path,
            "its pixel data makes the decoder give up".to_owned(),
        ))
    })?;
    let mut pixels = scale(&values);
    if is_inverted {
        pixels.iter_mut().for_each(|value| *value = 255 - *value);
    }
    equalise_histogram(&mut pixels);
    Ok(DecodedImage {
        width: header.width,
        height: header.height,
        channels: 1,
        pixels,
    })
}

/// Width and height, read without the pixels.
pub(crate) fn inspect_dicom(file: File, path: &Path) -> Result<(usize, usize), DataError> {
    read_header(&file, path).map(|header| (header.width, header.height))
}

/// Reads what stands before the pixels, and refuses what would not be borne or not understood.
fn read_header(file: &File, path: &Path) -> Result<PixelHeader, DataError> {
    check_lengths(&mut BufReader::new(file)).map_err(|reason| image_error(path, reason))?;
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        open(OpenFileOptions::new().read_until(PIXEL_DATA), file, path)
    }));
    let object = parsed.unwrap_or_else(|_| {
        Err(image_error(
            path,
            "its header makes the parser give up".to_owned(),
        ))
    })?;
    let failed = |reason: String| image_error(path, reason);
    let number = |tag: Tag, name: &str, default: Option<u32>| {
        let element = object.element_opt(tag).map_err(|e| failed(e.to_string()))?;
        match (element, default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(failed(format!("it has no {name}"))),
            (Some(element), _) => element
                .to_int::<u32>()
                .map_err(|_| failed(format!("its {name} is no number"))),
        }
    };
    let header = PixelHeader {
        width: number(COLUMNS, "Columns", None)? as usize,
        height: number(ROWS, "Rows", None)? as usize,
        bits_allocated: number(BITS_ALLOCATED, "BitsAllocated", None)?,
        is_signed: number(PIXEL_REPRESENTATION, "PixelRepresentation", Some(0))? == 1,
    };
    check_dimensions(path, header.width, header.height)?;
    for (value, allowed, name) in [
        (
            number(SAMPLES_PER_PIXEL, "SamplesPerPixel", Some(1))?,
            1,
            "samples per pixel",
        ),
        (
            number(NUMBER_OF_FRAMES, "NumberOfFrames", Some(1))?,
            1,
            "frames",
        ),
    ] {
        if value != allowed {
            return Err(failed(format!("it has {value} {name}, not {allowed}")));
        }
    }
    if !matches!(header.bits_allocated, 8 | 16) {
        return Err(failed(format!(
            "it has {} bits per value, neither 8 nor 16",
            header.bits_allocated
        )));
    }
    Ok(header)
}

fn open(
    options: OpenFileOptions,
    file: &File,
    path: &Path,
) -> Result<DefaultDicomObject, DataError> {
    let mut file = BufReader::new(file);
    file.rewind()
        .map_err(DataError::io("cannot read image", path))?;
    options
        .from_reader(file)
        .map_err(|error| image_error(path, with_causes(&error)))
}

/// An error and what it came from, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Refuses JPEG data whose own header claims other dimensions than the file's: it would be decoded
/// to its own size before anyone noticed.
fn check_codestream(object: &DefaultDicomObject, header: &PixelHeader) -> Result<(), String> {
    let Some(element) = object.get(PIXEL_DATA) else {
        return Err("it has no PixelData".to_owned());
    };
    let Some(fragments) = element.value().fragments() else {
        return Ok(());
    };
    let Some(start) = fragments.first().filter(|it| it.starts_with(&[0xFF, 0xD8])) else {
        return Ok(());
    };
    let Some((width, height, components)) = jpeg_frame(start) else {
        return Err("its JPEG data has no frame header".to_owned());
    };
    if (width, height, components) == (header.width, header.height, 1) {
        Ok(())
    } else {
        Err(format!(
            "its JPEG data is {width}×{height} of {components} components where the file claims \
             {}×{} of 1",
            header.width, header.height
        ))
    }
}

/// Width, height and components that the frame header of JPEG data claims.
fn jpeg_frame(data: &[u8]) -> Option<(usize, usize, u8)> {
    let number = |at: usize| {
        Some(usize::from(u16::from_be_bytes([
            *data.get(at)?,
            *data.get(at + 1)?,
        ])))
    };
    let mut at = 2;
    loop {
        if *data.get(at)? != 0xFF {
            return None;
        }
        match *data.get(at + 1)? {
            // Padding before a marker.
            0xFF => at += 1,
            // Start of frame, of whatever process; C4, C8 and CC are something else.
            marker @ 0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                return Some((number(at + 7)?, number(at + 5)?, *data.get(at + 9)?));
            }
            // The scan begins before any frame.
            0xDA | 0xD9 => return None,
            _ => at += 2 + number(at + 2)?.max(2),
        }
    }
}

fn raw_values(
    pixels: &DecodedPixelData<'_>,
    header: &PixelHeader,
    path: &Path,
) -> Result<Vec<i32>, DataError> {
    let values: Vec<i32> = match (header.bits_allocated, header.is_signed) {
        (8, false) => pixels
            .data()
            .iter()
            .map(|&value| i32::from(value))
            .collect(),
        (8, true) => pixels
            .data()
            .iter()
            .map(|&value| i32::from(value as i8))
            .collect(),
        (_, is_signed) => pixels
            .data_ow()
            .into_iter()
            .map(|value| match is_signed {
                true => i32::from(value as i16),
                false => i32::from(value),
            })
            .collect(),
    };
    let wanted = header.width * header.height;
    // A byte may follow, to make the length even.
    if values.len() < wanted || values.len() > wanted + 1 {
        return Err(image_error(
            path,
            format!("it has {} values where {wanted} are needed", values.len()),
        ));
    }
    Ok(values[..wanted].to_vec())
}

/// The least value to 0, the greatest to 255, truncated; a uniform image is 0.
fn scale(values: &[i32]) -> Vec<u8> {
    let least = values.iter().min().copied().unwrap_or(0);
    let greatest = values.iter().max().copied().unwrap_or(0);
    let range = f64::from((greatest - least).max(1));
    values
        .iter()
        .map(|&value| (f64::from(value - least) / range * 255.0) as u8)
        .collect()
}

/// OpenCV's `equalizeHist`, rounding and single precision included.
fn equalise_histogram(pixels: &mut [u8]) {
    let mut histogram = [0usize; 256];
    for &value in pixels.iter() {
        histogram[usize::from(value)] += 1;
    }
    let Some(first) = histogram.iter().position(|&count| count > 0) else {
        return;
    };
    if histogram[first] == pixels.len() {
        return;
    }
    let scale = 255.0 / (pixels.len() - histogram[first]) as f32;
    let mut table = [0u8; 256];
    let mut below = 0usize;
    for value in first + 1..256 {
        below += histogram[value];
        table[value] = (below as f32 * scale).round_ties_even().clamp(0.0, 255.0) as u8;
    }
    pixels
        .iter_mut()
        .for_each(|value| *value = table[usize::from(*value)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_value_is_black_the_greatest_white_and_the_rest_truncated() {
        assert_eq!(scale(&[-100, 0, 100]), [0, 127, 255]);
        assert_eq!(scale(&[7, 7]), [0, 0]);
    }

    /// By hand: of 8 pixels 2 are darkest, so the scale is 255 / 6; 3 · 42.5 = 127.5 goes to 128,
    /// 5 · 42.5 = 212.5 to 212.
    #[test]
    fn histograms_are_equalised_as_opencv_rounds() {
        let mut pixels = [10, 10, 20, 20, 20, 30, 30, 40];
        equalise_histogram(&mut pixels);
        assert_eq!(pixels, [0, 0, 128, 128, 128, 212, 212, 255]);
        let mut uniform = [9, 9];
        equalise_histogram(&mut uniform);
        assert_eq!(uniform, [9, 9]);
    }

    #[test]
    fn frame_headers_are_found_behind_other_segments() {
        let data = [
            0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xFF, 0xC3, 0, 11, 8, 0, 3, 0, 5, 1, 1, 0x11,
        ];
        assert_eq!(jpeg_frame(&data), Some((5, 3, 1)));
        assert_eq!(jpeg_frame(&data[..12]), None);
        assert_eq!(jpeg_frame(&[0xFF, 0xD8, 0xFF, 0xDA]), None);
    }
}
