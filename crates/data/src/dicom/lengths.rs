use std::io::{self, Read, Seek, SeekFrom};

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_object::{StandardDataDictionary, Tag};

/// Sequences that a file may have, nested or not: a radiograph has some dozens.
const MAX_SEQUENCES: usize = 512;

/// Length of a value that ends with a delimiter.
const UNDEFINED: u32 = u32::MAX;

const TRANSFER_SYNTAX: (u16, u16) = (0x0002, 0x0010);
const PIXEL_DATA: (u16, u16) = (0x7FE0, 0x0010);
const ITEM: (u16, u16) = (0xFFFE, 0xE000);
const SEQUENCE_END: (u16, u16) = (0xFFFE, 0xE0DD);

/// Value representations whose length has 16 bits; any other, known or not, has 32 (PS3.5, 7.1.2).
const SHORT_KINDS: &[&[u8; 2]] = &[
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
    b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
];

/// An element without its value.
struct Header {
    tag: (u16, u16),
    kind: [u8; 2],
    length: u32,
}

/// Walks through a DICOM file and checks that every value it claims is there: a parser allocates a
/// value before it reads it, and recurses into sequences.
///
/// # Errors
///
/// What is wrong, in words; also for transfer syntaxes whose elements are not little-endian and plain
/// to see (big-endian, deflated).
pub(super) fn check_lengths(file: &mut (impl Read + Seek)) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    let end = file.seek(SeekFrom::End(0)).map_err(said)?;
    let mut at = file.seek(SeekFrom::Start(132)).map_err(said)?;
    let mut syntax: Option<Syntax> = None;
    let (mut sequences, mut in_pixels) = (0, false);
    while at < end {
        let mut tag = [0; 4];
        file.read_exact(&mut tag).map_err(|_| cut(at))?;
        let tag = (half(&tag[..2]), half(&tag[2..]));
        let is_meta = tag.0 == 0x0002;
        let implicit = match syntax {
            _ if is_meta => false,
            Some(syntax) => syntax == Syntax::Implicit,
            None => return Err("it does not say its transfer syntax".to_owned()),
        };
        let header = read_header(file, tag, implicit).map_err(|_| cut(at))?;
        let start = file.stream_position().map_err(said)?;
        let left = end - start;
        let enters = match header.tag {
            (0xFFFE, _) => !in_pixels || header.tag != ITEM,
            PIXEL_DATA => header.length == UNDEFINED,
            _ => header.kind == *b"SQ" || (implicit && header.length == UNDEFINED),
        };
        if header.tag.0 == 0xFFFE && header.tag != ITEM && header.length != 0 {
            return Err(format!("a delimiter at byte {at} has a length"));
        }
        if header.tag == SEQUENCE_END {
            in_pixels = false;
        }
        // A sequence or an item may leave its length open; one that states it must have it.
        let is_open = enters && header.length == UNDEFINED;
        if !is_open && u64::from(header.length) > left {
            return Err(format!(
                "element ({:04X},{:04X}) claims {} bytes where {left} are left",
                header.tag.0, header.tag.1, header.length
            ));
        }
        if enters {
            sequences += usize::from(header.tag.0 != 0xFFFE);
            in_pixels |= header.tag == PIXEL_DATA;
            if sequences > MAX_SEQUENCES {
                return Err(format!("it has more than {MAX_SEQUENCES} sequences"));
            }
            at = start;
            continue;
        }
        let unit = unit(&header.kind);
        if header.length % unit != 0 {
            return Err(format!(
                "element ({:04X},{:04X}) has {} bytes, not a multiple of {unit}",
                header.tag.0, header.tag.1, header.length
            ));
        }
        if header.tag == TRANSFER_SYNTAX {
            let mut uid = vec![0; header.length as usize];
            file.read_exact(&mut uid).map_err(said)?;
            syntax = Some(Syntax::of(&String::from_utf8_lossy(&uid))?);
        }
        at = file
            .seek(SeekFrom::Start(start + u64::from(header.length)))
            .map_err(said)?;
    }
    Ok(())
}

/// How elements are written behind the meta group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Implicit,
    Explicit,
}

impl Syntax {
    fn of(uid: &str) -> Result<Self, String> {
        match uid.trim_end_matches(['\0', ' ']) {
            "1.2.840.10008.1.2" => Ok(Syntax::Implicit),
            uid @ ("1.2.840.10008.1.2.2" | "1.2.840.10008.1.2.1.99") => {
                Err(format!("transfer syntax {uid} is not supported"))
            }
            _ => Ok(Syntax::Explicit),
        }
    }
}

fn read_header(file: &mut impl Read, tag: (u16, u16), implicit: bool) -> io::Result<Header> {
    let mut four = [0; 4];
    file.read_exact(&mut four)?;
    if implicit || tag.0 == 0xFFFE {
        return Ok(Header {
            tag,
            kind: known_kind(tag),
            length: u32::from_le_bytes(four),
        });
    }
    let kind = [four[0], four[1]];
    let length = if SHORT_KINDS.contains(&&kind) {
        u32::from(half(&four[2..]))
    } else {
        file.read_exact(&mut four)?;
        u32::from_le_bytes(four)
    };
    Ok(Header { tag, kind, length })
}

/// The value representation of an element that does not say it.
fn known_kind(tag: (u16, u16)) -> [u8; 2] {
    match StandardDataDictionary.by_tag(Tag(tag.0, tag.1)) {
        Some(entry) => entry.vr().relaxed().to_bytes(),
        None => *b"UN",
    }
}

/// Bytes of one number: a parser reads whole ones, and would take what is left for an element.
fn unit(kind: &[u8; 2]) -> u32 {
    match kind {
        b"US" | b"SS" | b"OW" => 2,
        b"AT" | b"UL" | b"SL" | b"FL" | b"OF" | b"OL" => 4,
        b"FD" | b"OD" | b"OV" | b"SV" | b"UV" => 8,
        _ => 1,
    }
}

fn half(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn cut(at: u64) -> String {
    format!("it is cut short in the element at byte {at}")
}
