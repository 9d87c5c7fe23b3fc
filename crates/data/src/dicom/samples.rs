use dicom_object::DefaultDicomObject;
use dicom_pixeldata::{DecodedPixelData, PixelDecoder};

use super::jpeg::JpegFrame;
use super::{PIXEL_DATA, PixelHeader, jpeg_ls, jpeg2000, with_causes};

/// The transfer syntax of run lengths.
const RUN_LENGTHS: &str = "1.2.840.10008.1.2.5";

/// The raw values of a film, `height · width` of them, whatever they are wrapped in.
pub(super) fn read(object: &DefaultDicomObject, header: &PixelHeader) -> Result<Vec<i32>, String> {
    let syntax = object.meta().transfer_syntax.trim_end_matches(['\0', ' ']);
    let Some(element) = object.get(PIXEL_DATA) else {
        return Err("it has no PixelData".to_owned());
    };
    let fragments = element.value().fragments();
    match syntax {
        "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => {
            jpeg_ls::decode(&joined(fragments)?, header)
        }
        "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => {
            jpeg2000::decode(&joined(fragments)?, header)
        }
        _ => {
            let start = fragments.and_then(|all| all.first());
            match start {
                Some(start) if syntax == RUN_LENGTHS => check_segments(start, header)?,
                Some(start) if start.starts_with(&[0xFF, 0xD8]) => {
                    JpegFrame::read(start, header)?;
                }
                _ => {}
            }
            let pixels = object.decode_pixel_data_frame(0).map_err(|error| {
                format!(
                    "{} (transfer syntax {syntax}; `gdcmconv --raw` rewrites a film without compression)",
                    with_causes(&error)
                )
            })?;
            unpacked(&pixels, header)
        }
    }
}

/// Refuses run lengths (PS3.5, annex G) that are not one segment for every byte of a value: a decoder
/// makes room for as many segments as the header claims.
fn check_segments(data: &[u8], header: &PixelHeader) -> Result<(), String> {
    let word = |index: usize| {
        let bytes = data.get(4 * index..4 * index + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let segments = header.bits_allocated / 8;
    let begins =
        |index: usize| word(index).is_some_and(|at| (64..data.len()).contains(&(at as usize)));
    if word(0) == Some(segments) && (1..=segments as usize).all(begins) {
        Ok(())
    } else {
        Err(format!("its run lengths are not in {segments} segments"))
    }
}

/// The one frame, of however many fragments.
fn joined(fragments: Option<&[Vec<u8>]>) -> Result<Vec<u8>, String> {
    match fragments {
        Some(fragments) => Ok(fragments.concat()),
        None => Err("its pixels are not in fragments, as its transfer syntax wants".to_owned()),
    }
}

/// A value of `precision` bits, in two's complement if `is_signed`.
pub(super) fn with_sign(value: i32, precision: u8, is_signed: bool) -> i32 {
    let unused = 32 - u32::from(precision);
    if is_signed {
        (value << unused) >> unused
    } else {
        value
    }
}

fn unpacked(pixels: &DecodedPixelData<'_>, header: &PixelHeader) -> Result<Vec<i32>, String> {
    let mut values: Vec<i32> = match (header.bits_allocated, header.is_signed) {
        (8, false) => pixels.data().iter().copied().map(i32::from).collect(),
        (8, true) => pixels
            .data()
            .iter()
            .map(|&value| i32::from(value as i8))
            .collect(),
        (_, false) => pixels.data_ow().into_iter().map(i32::from).collect(),
        (_, true) => pixels
            .data_ow()
            .into_iter()
            .map(|value| i32::from(value as i16))
            .collect(),
    };
    let wanted = header.width * header.height;
    // A byte may follow, to make the length even.
    if values.len() < wanted || values.len() > wanted + 1 {
        return Err(format!(
            "it has {} values where {wanted} are needed",
            values.len()
        ));
    }
    values.truncate(wanted);
    Ok(values)
}

/// The film in `tests/fixtures/codestreams`, by the formula it was encoded from.
#[cfg(test)]
pub(super) mod film {
    use super::PixelHeader;

    const WIDTH: i32 = 56;
    const HEIGHT: i32 = 40;

    pub(in crate::dicom) fn header(is_signed: bool) -> PixelHeader {
        PixelHeader {
            width: WIDTH as usize,
            height: HEIGHT as usize,
            bits_allocated: 16,
            is_signed,
            is_inverted: false,
        }
    }

    pub(in crate::dicom) fn values() -> Vec<i32> {
        let lung = |x: i32, y: i32| 3 * x * x + (y - 20) * (y - 20) < 300;
        (0..HEIGHT)
            .flat_map(|y| (0..WIDTH).map(move |x| (x, y)))
            .map(|(x, y)| match y {
                0..6 => 4095,
                _ => {
                    let air = i32::from(lung(x - 18, y) || lung(x - 40, y));
                    3000 + 8 * x + 5 * y - 1800 * air + (7919 * x + 104_729 * y) % 37
                }
            })
            .collect()
    }
}
