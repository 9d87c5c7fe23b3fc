use std::borrow::Cow;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::elements::Pixels;
use super::header::PixelHeader;
use super::jpeg::JpegFrame;
use super::{is_codestream, is_jpeg2000};

/// Most bytes of an inflated data set, as many as of a file.
const MAX_INFLATED: u64 = 1 << 28;

/// Compression of the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Native,
    RunLengths,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

/// The data set of a file, inflated if its transfer syntax is deflated.
///
/// # Errors
///
/// If it is damaged or inflates to more than 256 MiB.
pub(super) fn data_set<'a>(bytes: &'a [u8], syntax: Option<&str>) -> Result<Cow<'a, [u8]>, String> {
    if syntax != Some("1.2.840.10008.1.2.1.99") {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut inflated = Vec::new();
    DeflateDecoder::new(bytes)
        .take(MAX_INFLATED + 1)
        .read_to_end(&mut inflated)
        .map_err(|error| format!("its deflated data set is cut short or damaged: {error}"))?;
    if inflated.len() as u64 > MAX_INFLATED {
        return Err(format!(
            "its deflated data set inflates to more than {} MiB",
            MAX_INFLATED >> 20
        ));
    }
    Ok(Cow::Owned(inflated))
}

/// The codec of a transfer syntax.
fn declared(syntax: &str) -> Option<Codec> {
    let jpeg = syntax
        .strip_prefix("1.2.840.10008.1.2.4.")
        .and_then(|number| number.parse::<u16>().ok());
    match (syntax, jpeg) {
        (
            "1.2.840.10008.1.2"
            | "1.2.840.10008.1.2.1"
            | "1.2.840.10008.1.2.2"
            | "1.2.840.10008.1.2.1.99",
            _,
        ) => Some(Codec::Native),
        ("1.2.840.10008.1.2.5", _) => Some(Codec::RunLengths),
        (_, Some(50..=70)) => Some(Codec::Jpeg),
        (_, Some(80 | 81)) => Some(Codec::JpegLs),
        (_, Some(90 | 91)) => Some(Codec::Jpeg2000),
        _ => None,
    }
}

/// Detects the codec of the pixels by their content, even where another codec or none is declared.
pub(super) fn codec(
    syntax: Option<&str>,
    pixels: &Pixels<'_>,
    header: &PixelHeader,
) -> Result<Codec, String> {
    let named = syntax.unwrap_or("none");
    let declared = match syntax.map(declared) {
        Some(None) => {
            return Err(format!(
                "transfer syntax {named} is not read; `gdcmconv --raw` rewrites a film without \
                 compression"
            ));
        }
        Some(codec) => codec,
        None => None,
    };
    let data = match pixels {
        Pixels::Native(value) => {
            let is_native = matches!(declared, None | Some(Codec::Native))
                // Decompressed by a program that kept the old transfer syntax.
                || value.bytes.len() == header.native_length().next_multiple_of(2);
            return match is_native && !is_codestream(value.bytes) {
                true => Ok(Codec::Native),
                false => Err(format!(
                    "its pixels are not in fragments, as its transfer syntax {named} wants; \
                     `gdcmconv --raw` may rewrite it"
                )),
            };
        }
        Pixels::Encapsulated(data) => data,
        Pixels::Unread => return Err("its pixels were not read".to_owned()),
    };
    match declared {
        _ if is_jpeg2000(data) => Ok(Codec::Jpeg2000),
        _ if is_codestream(data) => Ok(match JpegFrame::find(data) {
            Some(frame) if frame.is_jpeg_ls => Codec::JpegLs,
            _ => Codec::Jpeg,
        }),
        None | Some(Codec::RunLengths) => Ok(Codec::RunLengths),
        Some(Codec::Native) => Err(format!(
            "its pixels are in fragments, which transfer syntax {named} does not have"
        )),
        Some(Codec::Jpeg | Codec::JpegLs) => Err(format!(
            "its pixels are not JPEG data, as its transfer syntax {named} wants"
        )),
        Some(Codec::Jpeg2000) => Err(format!(
            "its pixels are no JPEG 2000 codestream, as its transfer syntax {named} wants"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn deflated_data_sets_unfold_within_a_bound() {
        const DEFLATED: Option<&str> = Some("1.2.840.10008.1.2.1.99");
        let packed = deflated(b"elements");
        assert_eq!(*data_set(&packed, DEFLATED).expect("sound"), *b"elements");
        assert_eq!(*data_set(&packed, None).expect("as it is"), *packed);
        let error = data_set(&packed[..4], DEFLATED).expect_err("cut");
        assert!(error.contains("cut short"), "{error}");
        let bomb = deflated(&vec![0; MAX_INFLATED as usize + 1]);
        let error = data_set(&bomb, DEFLATED).expect_err("too much");
        assert!(error.contains("256 MiB"), "{error}");
    }
}
