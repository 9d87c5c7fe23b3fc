use jpeg_decoder::{Decoder, Error, PixelFormat};

use super::header::PixelHeader;
use super::samples::Samples;
use crate::jpeg::ScanData;

/// The frame header of JPEG or JPEG-LS data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JpegFrame {
    /// Bits per value.
    pub(super) precision: u8,
    height: usize,
    width: usize,
    components: u8,
    /// Whether it is JPEG-LS (ITU-T T.87), not JPEG (T.81).
    pub(super) is_jpeg_ls: bool,
    /// Whether the process is JPEG lossless.
    is_lossless: bool,
}

/// Decodes JPEG data, baseline, progressive or lossless, to `height · width` words.
pub(super) fn decode(data: &[u8], header: &PixelHeader) -> Result<Samples, String> {
    let frame = JpegFrame::read(data, header)?;
    // The decoder would fill what a cut scan lacks with zeros.
    let whole = ScanData::of(data)
        .map_err(|missing| format!("its JPEG data is cut short: {missing}"))?
        .with_end_marker();
    let mut decoder = Decoder::new(&whole[..]);
    let bytes = decoder.decode().map_err(|error| match error {
        Error::Unsupported(feature) => format!(
            "its JPEG data has what is not read, {feature:?}; `gdcmconv --raw` rewrites a film \
             without compression"
        ),
        error => format!("its JPEG data is broken: {error}"),
    })?;
    let words: Vec<u16> = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::L16) => bytes
            .chunks_exact(2)
            .map(|pair| u16::from_ne_bytes([pair[0], pair[1]]))
            .collect(),
        _ => bytes.into_iter().map(u16::from).collect(),
    };
    if words.len() != header.width * header.height {
        return Err("its JPEG data decodes to another size than it claims".to_owned());
    }
    Ok(Samples {
        words,
        precision: u32::from(frame.precision),
        is_lossy: !frame.is_lossless,
    })
}

impl JpegFrame {
    /// Reads the frame header; rejects one that disagrees with the file's header before the decoder
    /// allocates its size.
    pub(super) fn read(data: &[u8], header: &PixelHeader) -> Result<Self, String> {
        let Some(frame) = Self::find(data) else {
            return Err("its JPEG data has no frame header".to_owned());
        };
        if !(2..=16).contains(&frame.precision) {
            return Err(format!(
                "its JPEG data has {} bits per value",
                frame.precision
            ));
        }
        let (width, height) = (frame.width, frame.height);
        if (width, height, frame.components) == (header.width, header.height, 1) {
            Ok(frame)
        } else {
            Err(format!(
                "its JPEG data is {width}×{height} of {} components where the file claims {}×{} of 1",
                frame.components, header.width, header.height
            ))
        }
    }

    /// Finds the frame header before the first scan.
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        // SOF markers of all processes (F7 is JPEG-LS); C4, C8 and CC are others.
        let is_frame =
            |marker| matches!(marker, 0xC0..=0xCF | 0xF7) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
        let (marker, at) = find_segment(data, is_frame)?;
        Some(JpegFrame {
            precision: *data.get(at + 2)?,
            height: number(data, at + 3)?,
            width: number(data, at + 5)?,
            components: *data.get(at + 7)?,
            is_jpeg_ls: marker == 0xF7,
            is_lossless: marker == 0xC3,
        })
    }
}

/// Greatest error of JPEG-LS data (NEAR, T.87 C.2.3); 0 if it is lossless.
pub(super) fn near_of(data: &[u8]) -> u8 {
    find_segment(data, |marker| marker == 0xDA)
        .and_then(|(_, at)| {
            let components = usize::from(*data.get(at + 2)?);
            data.get(at + 3 + 2 * components).copied()
        })
        .unwrap_or(0)
}

/// Finds the first wanted segment before scan data; returns its marker and the offset of its length.
fn find_segment(data: &[u8], is_wanted: impl Fn(u8) -> bool) -> Option<(u8, usize)> {
    let mut at = 2;
    loop {
        if *data.get(at)? != 0xFF {
            return None;
        }
        match *data.get(at + 1)? {
            // Padding before a marker.
            0xFF => at += 1,
            marker if is_wanted(marker) => return Some((marker, at + 2)),
            // Start of scan or end of image.
            0xDA | 0xD9 => return None,
            _ => at += 2 + number(data, at + 2)?.max(2),
        }
    }
}

fn number(data: &[u8], at: usize) -> Option<usize> {
    let bytes = data.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::samples::film;

    #[test]
    fn frame_headers_are_found_behind_other_segments() {
        let data = [
            0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xFF, 0xC3, 0, 11, 12, 0, 3, 0, 5, 1, 1, 0x11,
        ];
        let frame = JpegFrame {
            precision: 12,
            height: 3,
            width: 5,
            components: 1,
            is_jpeg_ls: false,
            is_lossless: true,
        };
        assert_eq!(JpegFrame::find(&data), Some(frame));
        assert_eq!(JpegFrame::find(&data[..12]), None);
        assert_eq!(JpegFrame::find(&[0xFF, 0xD8, 0xFF, 0xDA]), None);
    }

    /// Encodes one gray component by the lossless process (T.81, annex H): differences from the left
    /// neighbour, in categories of which each has a code of five bits.
    fn lossless(words: &[u16], width: usize, precision: u8) -> Vec<u8> {
        let height = words.len() / width;
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xC3, 0, 11, precision];
        bytes.extend((height as u16).to_be_bytes());
        bytes.extend((width as u16).to_be_bytes());
        bytes.extend([1, 1, 0x11, 0]);
        bytes.extend([0xFF, 0xC4, 0, 36, 0, 0, 0, 0, 0, 17]);
        bytes.extend([0; 11]);
        bytes.extend(0..17);
        bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0]);
        let mut bits = String::new();
        for (at, &word) in words.iter().enumerate() {
            let predicted = match (at % width, at / width) {
                (0, 0) => 1 << (precision - 1),
                (0, _) => words[at - width],
                _ => words[at - 1],
            };
            let difference = i32::from(word.wrapping_sub(predicted) as i16);
            let category = 32 - difference.unsigned_abs().leading_zeros() as usize;
            bits += &format!("{category:05b}");
            let value = match difference < 0 {
                true => difference + (1 << category) - 1,
                false => difference,
            };
            if (1..16).contains(&category) {
                bits += &format!("{value:0category$b}");
            }
        }
        bits += &"1".repeat(bits.len().next_multiple_of(8) - bits.len());
        for at in (0..bits.len()).step_by(8) {
            let byte = u8::from_str_radix(&bits[at..at + 8], 2).expect("eight bits");
            bytes.push(byte);
            bytes.extend((byte == 0xFF).then_some(0));
        }
        bytes.extend([0xFF, 0xD9]);
        bytes
    }

    #[test]
    fn lossless_data_are_read_exactly_in_every_precision() {
        for precision in [8, 12, 16] {
            let greatest = (1_u32 << precision) - 1;
            let words: Vec<u16> = (0..40 * 56)
                .map(|at| (at * 7919 % (greatest + 1)) as u16)
                .chain([0, greatest as u16])
                .collect();
            let header = PixelHeader {
                width: words.len() / 2,
                height: 2,
                ..film::header(false)
            };
            let data = lossless(&words, header.width, precision);
            let samples = decode(&data, &header).expect("decodable");
            assert!(samples.words == words, "{precision}");
            assert_eq!(samples.precision, u32::from(precision));
            assert!(!samples.is_lossy);
        }
    }

    #[test]
    fn data_cut_before_an_end_marker_are_refused() {
        let words: Vec<u16> = (0..40 * 56_u32).map(|at| (at * 37 % 4096) as u16).collect();
        let header = PixelHeader {
            width: 40,
            height: 56,
            ..film::header(false)
        };
        let data = lossless(&words, header.width, 12);
        assert!(decode(&data, &header).is_ok());
        for kept in (80..data.len() - 4).step_by(7) {
            let cut = [&data[..kept], &[0xFF, 0xD9]].concat();
            assert!(decode(&cut, &header).is_err(), "{kept} of {}", data.len());
        }
        let error = decode(&data[..data.len() - 2], &header).expect_err("no end marker");
        assert!(error.contains("cut short"), "{error}");
    }

    #[test]
    fn what_the_decoder_lacks_is_said_with_a_way_out() {
        let mut lossy = lossless(&[0; 4], 2, 12);
        lossy[3] = 0xC1;
        let header = PixelHeader {
            width: 2,
            height: 2,
            ..film::header(false)
        };
        let error = decode(&lossy, &header).expect_err("12 bits are lossless only");
        assert!(error.contains("gdcmconv --raw"), "{error}");
    }
}
