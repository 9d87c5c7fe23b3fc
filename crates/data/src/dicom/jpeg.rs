use super::PixelHeader;

/// What the frame header of JPEG or JPEG-LS data says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JpegFrame {
    /// Bits per value.
    pub(super) precision: u8,
    height: usize,
    width: usize,
    components: u8,
}

impl JpegFrame {
    /// Reads the frame header and refuses one that disagrees with the file's: data would be decoded to
    /// its own size before anyone noticed.
    pub(super) fn read(data: &[u8], header: &PixelHeader) -> Result<Self, String> {
        let Some(frame) = Self::find(data) else {
            return Err("its JPEG data has no frame header".to_owned());
        };
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

    fn find(data: &[u8]) -> Option<Self> {
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
                // Start of frame, of whatever process (F7 is JPEG-LS's); C4, C8 and CC are not.
                marker @ (0xC0..=0xCF | 0xF7) if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                    return Some(JpegFrame {
                        precision: *data.get(at + 4)?,
                        height: number(at + 5)?,
                        width: number(at + 7)?,
                        components: *data.get(at + 9)?,
                    });
                }
                // The scan begins before any frame.
                0xDA | 0xD9 => return None,
                _ => at += 2 + number(at + 2)?.max(2),
            }
        }
    }
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
        };
        assert_eq!(JpegFrame::find(&data), Some(frame));
        assert_eq!(JpegFrame::find(&data[..12]), None);
        assert_eq!(JpegFrame::find(&[0xFF, 0xD8, 0xFF, 0xDA]), None);
    }
}
