use jpeg_decoder::{Decoder, Error, PixelFormat};

use super::header::PixelHeader;
use super::samples::Samples;

/// What the frame header of JPEG or JPEG-LS data says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JpegFrame {
    /// Bits per value.
    pub(super) precision: u8,
    height: usize,
    width: usize,
    components: u8,
    /// Whether it is JPEG-LS (ITU-T T.87) and not JPEG (T.81).
    pub(super) is_jpeg_ls: bool,
    /// Whether it is JPEG's lossless process.
    is_lossless: bool,
}

/// Decodes JPEG data, baseline, progressive or lossless, to `height · width` words.
pub(super) fn decode(data: &[u8], header: &PixelHeader) -> Result<Samples, String> {
    let frame = JpegFrame::read(data, header)?;
    let mut decoder = Decoder::new(data);
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
    /// Reads the frame header and refuses one that disagrees with the file's: data would be decoded to
    /// its own size before anyone noticed.
    pub(super) fn read(data: &[u8], header: &PixelHeader) -> Result<Self, String> {
        let Some(frame) = Self::find(data) else {
            return Err("its JPEG data has no frame header".to_owned());
        };
        if !(2..=16).contains(&frame.precision) {
            return Err(format!("its JPEG data has {} bits per value", frame.precision));
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

    /// The first frame header, if it stands before a scan.
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        // Start of frame, of whatever process (F7 is JPEG-LS's); C4, C8 and CC are not.
        let is_frame = |marker| {
            matches!(marker, 0xC0..=0xCF | 0xF7) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
        };
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

/// By how much values of JPEG-LS data may be off (NEAR, T.87 C.2.3); 0 if it is lossless.
pub(super) fn near_of(data: &[u8]) -> u8 {
    find_segment(data, |marker| marker == 0xDA)
        .and_then(|(_, at)| {
            let components = usize::from(*data.get(at + 2)?);
            data.get(at + 3 + 2 * components).copied()
        })
        .unwrap_or(0)
}

/// The first segment of a kind that stands before the data of a scan: its marker and where its length is.
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
            // The scan begins, or all ends.
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
}
