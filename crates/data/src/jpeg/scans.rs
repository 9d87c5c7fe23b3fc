use std::io::BufRead;

/// Start of frame, of all processes; C4, C8 and CC are other markers.
const FRAMES: std::ops::RangeInclusive<u8> = 0xC0..=0xCF;
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const RESTART_INTERVAL: u8 = 0xDD;

/// Coefficients of a block.
const COEFFICIENTS: usize = 64;

/// Coded data of nothing but ones, a byte stuffed after each. No Huffman code consists of ones alone
/// (ITU-T T.81, C.2), so a decoder that needs more than the data it has stops here with an error, while
/// zeros or an end marker would be decoded as gray.
const ONES: [u8; 128] = {
    let mut bytes = [0; 128];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = 0xFF;
        at += 2;
    }
    bytes
};

/// A JPEG file up to the end of its last scan, with coded ones behind it.
pub(crate) struct ScanData {
    /// The headers and scans of the file, then [`ONES`].
    pub(crate) bytes: Vec<u8>,
    /// Length of the file's own bytes in `bytes`.
    pub(crate) end_of_scans: usize,
}

impl ScanData {
    /// Copies the file up to the end of its last scan. What follows, a second image included, is left out.
    ///
    /// # Errors
    ///
    /// If the file is cut short: a scan or the end-of-image marker is missing. Says which.
    pub(crate) fn of(file: &[u8]) -> Result<Self, &'static str> {
        let end_of_scans = find_end(file)?;
        let mut bytes = Vec::with_capacity(end_of_scans + ONES.len());
        bytes.extend_from_slice(&file[..end_of_scans]);
        bytes.extend_from_slice(&ONES);
        Ok(ScanData {
            bytes,
            end_of_scans,
        })
    }

    /// The same with an end-of-image marker behind the ones.
    #[cfg(feature = "dicom")]
    pub(crate) fn with_end_marker(mut self) -> Vec<u8> {
        self.bytes.extend([0xFF, END_OF_IMAGE]);
        self.bytes
    }
}

/// Finds the end of the last scan by the markers alone.
fn find_end(file: &[u8]) -> Result<usize, &'static str> {
    const NO_SCAN: &str = "it ends before its scan begins";
    const NO_END: &str = "its scan has no end-of-image marker";
    const FEW_SCANS: &str = "scans of its image are missing";
    const FEW_INTERVALS: &str = "restart intervals of its scan are missing";
    let mut frame: Option<Frame> = None;
    let mut end_of_scans = None;
    let mut restart_interval = 0;
    let mut at = 0;
    loop {
        let missing = if end_of_scans.is_some() {
            NO_END
        } else {
            NO_SCAN
        };
        let (marker, behind) = next_marker(file, at).ok_or(missing)?;
        at = behind;
        match marker {
            START_OF_IMAGE | 0x01 | 0xD0..=0xD7 => continue,
            END_OF_IMAGE if end_of_scans.is_none() => return Err(NO_SCAN),
            END_OF_IMAGE => break,
            _ => {}
        }
        let segment = segment(file, at).ok_or(missing)?;
        at += segment.len();
        match marker {
            0xC4 | 0xC8 | 0xCC => {}
            marker if FRAMES.contains(&marker) && frame.is_none() => {
                frame = Frame::read(marker, segment);
            }
            RESTART_INTERVAL => restart_interval = number(segment, 2).unwrap_or(0),
            START_OF_SCAN => {
                let (end, restarts) = end_of_coded_data(file, at).ok_or(NO_END)?;
                at = end;
                end_of_scans = Some(at);
                if let Some(frame) = &mut frame {
                    if restarts < frame.restarts(segment, restart_interval) {
                        return Err(FEW_INTERVALS);
                    }
                    frame.add_scan(segment);
                    if frame.is_complete() {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    let end = end_of_scans.ok_or(NO_SCAN)?;
    // Later segments, such as comments, may come before it.
    let is_ended = || file[end..].windows(2).any(|it| it == [0xFF, END_OF_IMAGE]);
    match frame {
        Some(frame) if !frame.is_complete() => Err(FEW_SCANS),
        _ if !is_ended() => Err(NO_END),
        _ => Ok(end),
    }
}

/// The next marker at or behind `at`, and the offset behind it; skips other bytes.
fn next_marker(file: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at = behind_next_ff(file, at)?;
        match *file.get(at)? {
            // A stuffed byte, or a fill byte before a marker.
            0x00 | 0xFF => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

/// The offset of the marker that ends the coded data from `at` on, and the number of restart markers before
/// it.
fn end_of_coded_data(file: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut restarts = 0;
    loop {
        at = behind_next_ff(file, at)?;
        match *file.get(at)? {
            0x00 => {}
            0xD0..=0xD7 => restarts += 1,
            _ => return Some((at - 1, restarts)),
        }
    }
}

/// The offset behind the next byte `0xff`; `skip_until` searches many bytes at a time.
fn behind_next_ff(file: &[u8], at: usize) -> Option<usize> {
    let mut rest = file.get(at..)?;
    let skipped = rest.skip_until(0xFF).ok()?;
    let behind = at + skipped;
    (skipped > 0 && file[behind - 1] == 0xFF).then_some(behind)
}

/// A segment at `at`, its length included.
fn segment(file: &[u8], at: usize) -> Option<&[u8]> {
    let length = number(file, at)?;
    file.get(at..at + length.max(2))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([pair[0], pair[1]])))
}

/// A component of a frame and its sampling factors, 1 to 4.
struct Component {
    id: u8,
    horizontal: usize,
    vertical: usize,
}

/// What a frame consists of, and what of it has been seen in scans.
struct Frame {
    is_progressive: bool,
    width: usize,
    height: usize,
    /// Side of a block in pixels: 1 in the lossless processes.
    block: usize,
    components: Vec<Component>,
    /// Of each component, whether each coefficient was coded to its last bit. Other processes than the
    /// progressive one code all of them at once.
    coded: Vec<[bool; COEFFICIENTS]>,
}

impl Frame {
    /// `None` if the segment is too short; the decoder then names the fault.
    fn read(marker: u8, segment: &[u8]) -> Option<Self> {
        let count = usize::from(*segment.get(7)?);
        let components = segment.get(8..8 + 3 * count)?;
        let components = components.chunks_exact(3).map(|it| Component {
            id: it[0],
            // No factor is 0; the decoder refuses one.
            horizontal: usize::from(it[1] >> 4).max(1),
            vertical: usize::from(it[1] & 15).max(1),
        });
        let components: Vec<Component> = components.collect();
        let is_lossless = matches!(marker, 0xC3 | 0xC7 | 0xCB | 0xCF);
        Some(Frame {
            is_progressive: matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE),
            width: number(segment, 5)?,
            height: number(segment, 3)?,
            block: if is_lossless { 1 } else { 8 },
            coded: vec![[false; COEFFICIENTS]; count],
            components,
        })
    }

    /// Restart markers that the scan with this header needs (T.81, A.2 and E.1.4).
    fn restarts(&self, header: &[u8], interval: usize) -> usize {
        let sampling = |factor: fn(&Component) -> usize| {
            let greatest = self.components.iter().map(factor).max().unwrap_or(1);
            match *header {
                // One component alone is coded block by block.
                [_, _, 1, selector, ..] => {
                    let alone = self.components.iter().find(|it| it.id == selector);
                    (alone.map_or(1, factor), greatest)
                }
                _ => (1, greatest),
            }
        };
        let units = |side: usize, (factor, greatest): (usize, usize)| {
            (side * factor).div_ceil(greatest * self.block)
        };
        let across = units(self.width, sampling(|it| it.horizontal));
        let down = units(self.height, sampling(|it| it.vertical));
        match interval {
            0 => 0,
            interval => (across * down).saturating_sub(1) / interval,
        }
    }

    /// Notes what a scan with this header codes.
    fn add_scan(&mut self, segment: &[u8]) {
        let count = usize::from(segment.get(2).copied().unwrap_or(0));
        let behind = 3 + 2 * count;
        let (Some(selectors), Some(&[first, last, bits])) =
            (segment.get(3..behind), segment.get(behind..behind + 3))
        else {
            return;
        };
        let (first, last, low_bit) = match self.is_progressive {
            true => (usize::from(first), usize::from(last), bits & 15),
            false => (0, COEFFICIENTS - 1, 0),
        };
        for selector in selectors.chunks_exact(2) {
            let known = self.components.iter().position(|it| it.id == selector[0]);
            let coded = known.and_then(|at| self.coded[at].get_mut(first..=last));
            coded.unwrap_or_default().fill(low_bit == 0);
        }
    }

    fn is_complete(&self) -> bool {
        self.coded.iter().flatten().all(|coded| *coded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment with its marker and length.
    fn marked(marker: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xFF, marker], &length[..], content].concat()
    }

    /// Header of a frame of one component.
    fn frame(marker: u8) -> Vec<u8> {
        [
            vec![0xFF, START_OF_IMAGE],
            marked(marker, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        ]
        .concat()
    }

    /// A scan of coefficients `first` to `last`, down to bit `low`.
    fn scan(first: u8, last: u8, low: u8) -> Vec<u8> {
        let header = marked(START_OF_SCAN, &[1, 1, 0, first, last, low]);
        [&header[..], &[0x12, 0xFF, 0, 0xFF, 0xD3, 0x34]].concat()
    }

    const END: [u8; 2] = [0xFF, END_OF_IMAGE];

    #[test]
    fn the_end_of_a_scan_is_found_before_what_follows() {
        let scans = [frame(0xC0), scan(0, 63, 0)].concat();
        for behind in [
            END.to_vec(),
            [&[0xFF, 0xFF], &END[..]].concat(),
            [marked(0xFE, b"a comment"), END.to_vec()].concat(),
            [&END[..], &frame(0xC0), &scan(0, 63, 0), &END].concat(),
            [&END[..], &[0; 9000]].concat(),
        ] {
            let file = [&scans[..], &behind].concat();
            let data = ScanData::of(&file).expect("whole");
            assert_eq!(data.end_of_scans, scans.len());
            assert_eq!(data.bytes, [&scans[..], &ONES].concat());
            for kept in 0..scans.len() + 2 {
                assert!(ScanData::of(&file[..kept]).is_err(), "{kept}");
            }
        }
    }

    #[test]
    fn a_progressive_image_needs_every_coefficient_to_its_last_bit() {
        let scans = [
            scan(0, 0, 1),
            scan(1, 5, 2),
            scan(6, 63, 0),
            scan(1, 5, 0x21),
            scan(0, 0, 0x10),
            scan(1, 5, 0x10),
        ];
        for kept in 1..=scans.len() {
            let file = [frame(0xC2), scans[..kept].concat(), END.to_vec()].concat();
            let found = ScanData::of(&file).map(|data| data.end_of_scans);
            match kept == scans.len() {
                true => assert_eq!(found, Ok(file.len() - 2)),
                false => assert_eq!(found, Err("scans of its image are missing")),
            }
        }
    }

    #[test]
    fn an_end_marker_in_a_thumbnail_is_not_the_file_s() {
        let thumbnail = [frame(0xC0), scan(0, 63, 0), END.to_vec()].concat();
        let start = [&[0xFF, START_OF_IMAGE][..], &marked(0xE1, &thumbnail)].concat();
        assert_eq!(find_end(&start), Err("it ends before its scan begins"));
        let file = [&start[..], &frame(0xC0)[2..], &scan(0, 63, 0)].concat();
        assert_eq!(find_end(&file), Err("its scan has no end-of-image marker"));
        let whole = [&file[..], &END].concat();
        assert_eq!(find_end(&whole), Ok(file.len()));
    }

    #[test]
    fn restart_markers_are_counted_by_the_units_of_a_scan() {
        // 100 × 50 pixels, colour at half of the width and height.
        let frame = marked(
            0xC0,
            &[8, 0, 50, 0, 100, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1],
        );
        let frame = Frame::read(0xC0, &frame[2..]).expect("whole");
        let together = [0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0];
        assert_eq!(frame.restarts(&together, 1), 7 * 4 - 1);
        assert_eq!(frame.restarts(&together, 7), 3);
        assert_eq!(frame.restarts(&together, 0), 0);
        // 13 × 7 blocks, and 7 × 4.
        assert_eq!(frame.restarts(&[0, 8, 1, 1, 0, 0, 63, 0], 1), 90);
        assert_eq!(frame.restarts(&[0, 8, 1, 2, 0, 0, 63, 0], 1), 27);
        let samples = [0, 11, 12, 0, 3, 0, 5, 1, 1, 0x11, 0];
        let lossless = Frame::read(0xC3, &samples).expect("whole");
        assert_eq!(lossless.restarts(&[0, 8, 1, 1, 0, 0, 63, 0], 5), 2);
    }
}
