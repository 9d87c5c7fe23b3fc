/// Groups of a film's first element.
const FIRST_GROUPS: [u16; 6] = [0x0002, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028];

/// Every value representation (PS3.5, table 6.2-1).
const KINDS: [&[u8; 2]; 34] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB",
    b"OD", b"OF", b"OL", b"OV", b"OW", b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"SV", b"TM",
    b"UC", b"UI", b"UL", b"UN", b"UR", b"US", b"UT", b"UV",
];

/// Offset of the first element of a DICOM file that starts with `start`; `None` if it is not DICOM.
///
/// Accepts files without preamble, `DICM` (PS3.10, 7.1) or both if their first two elements are
/// plausible.
pub(crate) fn elements_start(start: &[u8]) -> Option<usize> {
    const PREAMBLE: usize = 128;
    if start.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM") {
        return Some(PREAMBLE + 4);
    }
    if start.starts_with(b"DICM") {
        return Some(4);
    }
    if begins_a_film(start) {
        return Some(0);
    }
    let (preamble, rest) = start.split_at_checked(PREAMBLE)?;
    let is_blank = preamble.iter().all(|&byte| byte == 0);
    (is_blank && begins_a_film(rest)).then_some(PREAMBLE)
}

/// Whether `bytes` start with two plausible elements, in any encoding.
fn begins_a_film(bytes: &[u8]) -> bool {
    let half = |at: usize| Some([*bytes.get(at)?, *bytes.get(at + 1)?]);
    let word = |at: usize| Some([half(at)?, half(at + 2)?].concat());
    for big in [false, true] {
        let read_half = |at: usize| {
            half(at).map(|it| match big {
                true => u16::from_be_bytes(it),
                false => u16::from_le_bytes(it),
            })
        };
        let tag = |at: usize| read_half(at).zip(read_half(at + 2));
        let length = |at: usize| {
            let bytes: [u8; 4] = word(at)?.try_into().ok()?;
            usize::try_from(match big {
                true => u32::from_be_bytes(bytes),
                false => u32::from_le_bytes(bytes),
            })
            .ok()
        };
        let Some(first) = tag(0).filter(|tag| FIRST_GROUPS.contains(&tag.0)) else {
            continue;
        };
        let is_explicit = half(4).is_some_and(|kind| KINDS.contains(&&kind));
        let end = match half(4) {
            Some(kind) if is_explicit && kind[0] != b'O' && !is_long(&kind) => {
                read_half(6).map(|length| 8 + usize::from(length))
            }
            Some(_) if is_explicit => length(8).map(|length| length.saturating_add(12)),
            _ => length(4).map(|length| length.saturating_add(8)),
        };
        let follows = |second: (u16, u16)| {
            second > first
                && (second.0 == first.0 || second.0 <= 0x7FE0 && second.0.is_multiple_of(2))
        };
        match end.and_then(tag) {
            Some(second) if follows(second) => return true,
            // A long first value, or a big-endian data set after its little-endian meta group.
            _ if is_explicit && end.is_some() => return true,
            _ => {}
        }
    }
    false
}

fn is_long(kind: &[u8; 2]) -> bool {
    matches!(kind, b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: &[u8] = b"\x08\0\x16\0UI\x04\0abcd\x08\0\x18\0UI\x02\x001\0";
    const IMPLICIT: &[u8] = b"\x08\0\x16\0\x04\0\0\0abcd\x08\0\x18\0\x02\0\0\x001\0";

    #[test]
    fn a_film_without_its_preamble_is_known_by_its_elements() {
        for film in [EXPLICIT, IMPLICIT] {
            assert_eq!(elements_start(film), Some(0));
            assert_eq!(elements_start(&[b"DICM", film].concat()), Some(4));
            assert_eq!(elements_start(&[&[0; 128], film].concat()), Some(128));
            assert_eq!(
                elements_start(&[&[7; 128], &b"DICM"[..], film].concat()),
                Some(132)
            );
        }
        let big = b"\0\x08\0\x16UI\0\x04abcd\0\x08\0\x18UI\0\x021\0";
        assert_eq!(elements_start(big), Some(0));
    }

    #[test]
    fn what_merely_looks_like_a_tag_is_no_film() {
        for other in [
            &b"\x08\0\x16\0"[..],
            b"\x08\0\x16\0\xff\xff\xff\x7f and so on",
            b"\x08\0\x16\0\x04\0\0\0abcdefghijklmnop",
            b"\0\x05\x16\x07\0\x02\0\0Mac OS X        ",
            b"",
            &[0; 200],
        ] {
            assert_eq!(elements_start(other), None, "{other:?}");
        }
    }
}
