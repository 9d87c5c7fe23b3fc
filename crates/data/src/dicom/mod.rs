mod codestream;
mod grayscale;
mod jpeg;
mod jpeg2000;
mod jpeg_ls;
mod lengths;
mod samples;

use std::fs::File;
use std::io::{BufReader, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};

use self::grayscale::{equalise_histogram, scale};
use self::lengths::check_lengths;
use crate::error::DataError;
use crate::image::{DecodedImage, check_dimensions, image_error};

const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);
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
    /// MONOCHROME1: the least value is white.
    is_inverted: bool,
}

/// Decodes a radiograph as MIMIC-CXR-JPG was made from MIMIC-CXR (Johnson et al., 2019): the least
/// value is subtracted, the greatest brought to 255, values truncated, MONOCHROME1 inverted, and the
/// histogram equalised as OpenCV does it.
///
/// Transfer syntaxes: little-endian uncompressed, RLE, JPEG (baseline, extended and lossless), JPEG-LS
/// and JPEG 2000 (both lossless or not). Window, modality and overlay are not applied, as there.
pub(crate) fn decode_dicom(file: File, path: &Path) -> Result<DecodedImage, DataError> {
    let header = read_header(&file, path)?;
    // The parser and the decoders behind it are others' and assert some of what they are given.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let object = open(OpenFileOptions::new(), &file, path)?;
        samples::read(&object, &header).map_err(|reason| image_error(path, reason))
    }));
    let values = decoded.unwrap_or_else(|_| {
        Err(image_error(
            path,
            "its pixel data makes the decoder give up".to_owned(),
        ))
    })?;
    let mut pixels = scale(&values);
    if header.is_inverted {
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
    let photometric = object
        .element(PHOTOMETRIC_INTERPRETATION)
        .map_err(|error| failed(with_causes(&error)))?
        .to_str()
        .map_err(|error| failed(with_causes(&error)))?
        .trim_end_matches(['\0', ' '])
        .to_owned();
    let is_inverted = match photometric.as_str() {
        "MONOCHROME1" => true,
        "MONOCHROME2" => false,
        other => {
            return Err(failed(format!(
                "photometric interpretation {other} is no radiograph's"
            )));
        }
    };
    let header = PixelHeader {
        width: number(COLUMNS, "Columns", None)? as usize,
        height: number(ROWS, "Rows", None)? as usize,
        bits_allocated: number(BITS_ALLOCATED, "BitsAllocated", None)?,
        is_signed: number(PIXEL_REPRESENTATION, "PixelRepresentation", Some(0))? == 1,
        is_inverted,
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
