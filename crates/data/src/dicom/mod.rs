mod codestream;
mod elements;
mod grayscale;
mod header;
mod jpeg;
mod jpeg2000;
mod jpeg_ls;
mod run_lengths;
mod samples;
mod syntax;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use self::elements::{DataSet, Meta, Pixels};
use self::grayscale::{equalise_histogram, scale};
use self::header::PixelHeader;
use self::samples::Samples;
use self::syntax::{Codec, codec, data_set};
use crate::dicom_start::elements_start;
use crate::error::DataError;
use crate::pixels::{DecodedImage, check_dimensions, image_error};

/// Signature of a JP2 file.
const JP2_SIGNATURE: &[u8] = b"\0\0\0\x0cjP  \r\n\x87\n";

/// Decodes a radiograph as MIMIC-CXR-JPG was made from MIMIC-CXR (Johnson et al., 2019): the least
/// value is subtracted, the greatest scaled to 255, values truncated, MONOCHROME1 inverted, and the
/// histogram equalised as OpenCV does it. Pixel padding is excluded from both and black.
///
/// Transfer syntaxes: uncompressed (also big-endian and deflated), RLE, JPEG (baseline, progressive and
/// lossless), JPEG-LS and JPEG 2000 (both lossless or not). Window, modality LUT and overlays are not
/// applied, as in MIMIC-CXR-JPG.
pub(crate) fn decode_dicom(bytes: &[u8], path: &Path) -> Result<DecodedImage, DataError> {
    let failed = |reason: String| image_error(path, reason);
    let meta = meta(bytes).map_err(failed)?;
    let syntax = meta.syntax.as_deref();
    let body = data_set(&bytes[meta.end..], syntax).map_err(failed)?;
    let set = DataSet::read(&body).map_err(failed)?;
    let header = PixelHeader::of(&set).map_err(failed)?;
    check_dimensions(path, header.width, header.height)?;
    let samples = decode_samples(&set, syntax, &header).map_err(failed)?;
    let mut pixels = scale(&samples, &header);
    equalise_histogram(&mut pixels);
    Ok(DecodedImage {
        width: header.width,
        height: header.height,
        channels: 1,
        pixels,
    })
}

/// Reads width and height of a film of `total` bytes that starts with `bytes`.
pub(crate) fn inspect_dicom(
    bytes: &[u8],
    total: u64,
    path: &Path,
) -> Result<(usize, usize), DataError> {
    let failed = |reason: String| image_error(path, reason);
    let meta = meta(bytes).map_err(failed)?;
    let syntax = meta.syntax.as_deref();
    let body = data_set(&bytes[meta.end..], syntax).map_err(failed)?;
    // The inflated length is unknown.
    let total = match body.len() == bytes.len() - meta.end {
        true => total as usize - meta.end,
        false => usize::MAX,
    };
    let set = DataSet::read_header(&body, total).map_err(failed)?;
    let header = PixelHeader::of(&set).map_err(failed)?;
    Ok((header.width, header.height))
}

fn meta(bytes: &[u8]) -> Result<Meta, String> {
    let start = elements_start(bytes).ok_or("it is no DICOM file")?;
    Meta::read(bytes, start)
}

fn decode_samples(
    set: &DataSet<'_>,
    syntax: Option<&str>,
    header: &PixelHeader,
) -> Result<Samples, String> {
    let pixels = set.pixels.as_ref().ok_or("it has no PixelData")?;
    let codec = codec(syntax, pixels, header)?;
    let data = match pixels {
        Pixels::Native(value) => return Samples::native(value, header, set.encoding),
        Pixels::Encapsulated(data) => data,
        Pixels::Unread => return Err("its pixels were not read".to_owned()),
    };
    // The decoders are dependencies whose assertions malformed data may fail.
    let decoded = catch_unwind(AssertUnwindSafe(|| match codec {
        Codec::Jpeg => jpeg::decode(data, header),
        Codec::JpegLs => jpeg_ls::decode(data, header),
        Codec::Jpeg2000 => jpeg2000::decode(data, header),
        Codec::RunLengths | Codec::Native => run_lengths::decode(data, header),
    }));
    decoded.unwrap_or_else(|_| Err("the decoder failed on its pixel data".to_owned()))
}

/// Whether data starts as JPEG, JPEG-LS or JPEG 2000.
fn is_codestream(data: &[u8]) -> bool {
    data.starts_with(&[0xFF, 0xD8]) || is_jpeg2000(data)
}

fn is_jpeg2000(data: &[u8]) -> bool {
    data.starts_with(&[0xFF, 0x4F, 0xFF, 0x51]) || data.starts_with(JP2_SIGNATURE)
}
