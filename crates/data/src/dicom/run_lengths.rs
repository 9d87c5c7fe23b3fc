use super::header::PixelHeader;
use super::samples::Samples;

/// Length of the frame header, which counts the segments and gives their offsets.
const HEADER: usize = 64;

/// Decodes RLE data (PS3.5, annex G) to `height · width` words from one segment per byte of a word, the
/// most significant first.
pub(super) fn decode(data: &[u8], header: &PixelHeader) -> Result<Samples, String> {
    let count = (header.bits_allocated / 8) as usize;
    let word = |index: usize| {
        let bytes = data.get(4 * index..4 * index + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let starts: Option<Vec<usize>> = (1..=count).map(word).collect();
    let starts = match (word(0), starts) {
        (Some(claimed), Some(starts)) if claimed == count => starts,
        _ => return Err(format!("its run lengths are not in {count} segments")),
    };
    let pixels = header.width * header.height;
    let mut segments = Vec::with_capacity(count);
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(data.len());
        let segment = data.get(start..end).filter(|_| start >= HEADER);
        let segment = segment.ok_or_else(|| {
            format!("its run lengths are not in {count} segments that follow each other")
        })?;
        // Two bytes encode at most 128, so short segments are rejected before allocation.
        if segment.len().saturating_mul(64) < pixels {
            return Err(short(index));
        }
        segments.push(segment);
    }
    let mut words = vec![0_u16; pixels];
    for (index, segment) in segments.into_iter().enumerate() {
        unpack(segment, &mut words, 8 * (count - 1 - index)).map_err(|fault| match fault {
            Fault::Short => short(index),
            Fault::Long => format!(
                "its run lengths go past the frame in segment {}: the file is damaged",
                index + 1
            ),
        })?;
    }
    Ok(Samples {
        words,
        precision: header.bits_allocated,
        is_lossy: false,
    })
}

fn short(index: usize) -> String {
    format!(
        "its run lengths end before the frame does in segment {}: the file is cut short or damaged",
        index + 1
    )
}

enum Fault {
    Short,
    Long,
}

/// Unpacks a segment into one byte of every word.
fn unpack(segment: &[u8], words: &mut [u16], shift: usize) -> Result<(), Fault> {
    let pixels = words.len();
    // Some encoders pad planes of odd length before packing.
    let limit = pixels.next_multiple_of(2);
    let (mut rest, mut filled) = (segment, 0);
    while let &[head, ref tail @ ..] = rest {
        // Padding to an even length.
        if filled >= pixels && rest.iter().all(|&byte| byte == 0) {
            break;
        }
        rest = tail;
        let count = match head {
            0..=127 => usize::from(head) + 1,
            128 => continue,
            129..=255 => 257 - usize::from(head),
        };
        if filled + count > limit {
            return Err(Fault::Long);
        }
        let run = &mut words[filled.min(pixels)..(filled + count).min(pixels)];
        if head < 128 {
            let (literal, after) = rest.split_at_checked(count).ok_or(Fault::Short)?;
            for (word, &byte) in run.iter_mut().zip(literal) {
                *word |= u16::from(byte) << shift;
            }
            rest = after;
        } else {
            let (&byte, after) = rest.split_first().ok_or(Fault::Short)?;
            for word in run {
                *word |= u16::from(byte) << shift;
            }
            rest = after;
        }
        filled += count;
    }
    match filled >= pixels {
        true => Ok(()),
        false => Err(Fault::Short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::samples::film;

    fn header(width: usize, bits_allocated: u32) -> PixelHeader {
        PixelHeader {
            width,
            height: 1,
            bits_allocated,
            ..film::header(false)
        }
    }

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![segments.len() as u8, 0, 0, 0];
        let mut start = HEADER;
        for segment in segments {
            bytes.extend((start as u32).to_le_bytes());
            start += segment.len();
        }
        bytes.resize(HEADER, 0);
        segments.iter().for_each(|segment| bytes.extend(*segment));
        bytes
    }

    #[test]
    fn literals_repeats_and_padding_are_unpacked() {
        // Three literals, nothing, four times 9, then the byte that makes the length even.
        let segment = [2, 1, 2, 3, 128, 253, 9, 0];
        let words = |frame: Vec<u8>, header| decode(&frame, &header).expect("sound").words;
        assert_eq!(
            words(frame(&[&segment]), header(7, 8)),
            [1, 2, 3, 9, 9, 9, 9]
        );
        let two = frame(&[&[255, 1], &[1, 7, 8]]);
        assert_eq!(words(two, header(2, 16)), [0x107, 0x108]);
        // A plane of three bytes that was made four.
        assert_eq!(words(frame(&[&[253, 5]]), header(3, 8)), [5; 3]);
    }

    #[test]
    fn runs_past_the_frame_and_short_ones_are_refused() {
        for (segment, says) in [
            (&[253, 9][..], "past the frame"),
            (&[255, 9, 255, 9][..], "past the frame"),
            (&[1, 2][..], "end before"),
            (&[255][..], "end before"),
            (&[0, 1, 128, 128][..], "end before"),
        ] {
            let error = decode(&frame(&[segment]), &header(2, 8)).expect_err("broken");
            assert!(error.contains(says), "{segment:?}: {error}");
        }
        for data in [
            &[0xFF; 80][..],
            &frame(&[&[255, 1]])[..40],
            &[],
            &frame(&[&[0], &[0]]),
        ] {
            assert!(decode(data, &header(2, 8)).is_err());
        }
        let far = frame(&[&[255, 1]]);
        assert!(decode(&far, &header(1 << 20, 8)).is_err());
    }
}
