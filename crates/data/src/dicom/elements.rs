use std::borrow::Cow;
use std::collections::BTreeMap;

use super::is_codestream;

/// Group and element number.
pub(super) type Tag = (u16, u16);

pub(super) const SYNTAX: Tag = (0x0002, 0x0010);
pub(super) const SOP_CLASS: Tag = (0x0008, 0x0016);
pub(super) const SAMPLES_PER_PIXEL: Tag = (0x0028, 0x0002);
pub(super) const PHOTOMETRIC: Tag = (0x0028, 0x0004);
pub(super) const FRAMES: Tag = (0x0028, 0x0008);
pub(super) const ROWS: Tag = (0x0028, 0x0010);
pub(super) const COLUMNS: Tag = (0x0028, 0x0011);
pub(super) const BITS_ALLOCATED: Tag = (0x0028, 0x0100);
pub(super) const BITS_STORED: Tag = (0x0028, 0x0101);
pub(super) const HIGH_BIT: Tag = (0x0028, 0x0102);
pub(super) const PIXEL_REPRESENTATION: Tag = (0x0028, 0x0103);
pub(super) const PADDING: Tag = (0x0028, 0x0120);
pub(super) const PADDING_LIMIT: Tag = (0x0028, 0x0121);
const PIXEL_DATA: Tag = (0x7FE0, 0x0010);

/// Elements whose values are kept; all others are skipped.
const KEPT: [Tag; 12] = [
    SOP_CLASS,
    SAMPLES_PER_PIXEL,
    PHOTOMETRIC,
    FRAMES,
    ROWS,
    COLUMNS,
    BITS_ALLOCATED,
    BITS_STORED,
    HIGH_BIT,
    PIXEL_REPRESENTATION,
    PADDING,
    PADDING_LIMIT,
];

const ITEM: Tag = (0xFFFE, 0xE000);
const ITEM_END: Tag = (0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = (0xFFFE, 0xE0DD);

/// Length of a value that a delimiter ends.
const UNDEFINED: u32 = u32::MAX;

/// Deepest nesting of sequences and items of undefined length; real files have a handful.
const MAX_DEPTH: usize = 64;

/// Value representations with a 16-bit length; all others, known or not, have 32 bits (PS3.5, 7.1.2).
const SHORT_KINDS: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
    b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
];

/// Encoding of a data set (PS3.5, annex A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Whether value representations are explicit.
    pub(super) is_explicit: bool,
    /// Whether numbers are big-endian.
    pub(super) is_big: bool,
}

impl Encoding {
    const META: Encoding = Encoding {
        is_explicit: true,
        is_big: false,
    };

    /// Detects the encoding of a data set from its first element, since some files declare another one.
    fn of(bytes: &[u8]) -> Self {
        let group = [0, 1].map(|at| bytes.get(at).copied().unwrap_or(0));
        Encoding {
            is_explicit: has_kind(bytes),
            is_big: u16::from_be_bytes(group) < u16::from_le_bytes(group),
        }
    }

    pub(super) fn half(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self.is_big {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        })
    }

    pub(super) fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self.is_big {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        })
    }
}

/// Whether the element at the start of `bytes` has an explicit value representation.
fn has_kind(bytes: &[u8]) -> bool {
    bytes
        .get(4..6)
        .is_some_and(|kind| kind.iter().all(u8::is_ascii_uppercase))
}

/// An element without its value.
struct Header {
    tag: Tag,
    /// Its value representation, if explicit.
    kind: Option<[u8; 2]>,
    length: u32,
    /// Offset of its value.
    start: usize,
}

impl Header {
    fn read(bytes: &[u8], at: usize, encoding: Encoding) -> Result<Self, String> {
        Self::find(bytes, at, encoding)
            .ok_or_else(|| format!("it is cut short in the element at byte {at} of its data set"))
    }

    fn find(bytes: &[u8], at: usize, encoding: Encoding) -> Option<Self> {
        let tag = (encoding.half(bytes, at)?, encoding.half(bytes, at + 2)?);
        let is_explicit = encoding.is_explicit && tag.0 != ITEM.0 && has_kind(&bytes[at..]);
        if !is_explicit {
            return Some(Header {
                tag,
                kind: None,
                length: encoding.word(bytes, at + 4)?,
                start: at + 8,
            });
        }
        let kind = [bytes[at + 4], bytes[at + 5]];
        let (length, start) = match SHORT_KINDS.contains(&&kind) {
            true => (u32::from(encoding.half(bytes, at + 6)?), at + 8),
            false => (encoding.word(bytes, at + 8)?, at + 12),
        };
        Some(Header {
            tag,
            kind: Some(kind),
            length,
            start,
        })
    }

    /// End of the value; an error if it is beyond `total` bytes.
    fn end(&self, total: usize) -> Result<usize, String> {
        let left = total.saturating_sub(self.start);
        let length = self.length as usize;
        if length > left {
            return Err(format!(
                "element ({:04X},{:04X}) claims {length} bytes where {left} are left: \
                 the file is cut short or damaged",
                self.tag.0, self.tag.1
            ));
        }
        Ok(self.start + length)
    }
}

/// The value of an element that is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    /// Its value representation, if explicit.
    pub(super) kind: Option<[u8; 2]>,
    pub(super) bytes: &'a [u8],
}

/// The value of `PixelData`.
#[derive(Debug)]
pub(super) enum Pixels<'a> {
    /// Not compressed.
    Native(Value<'a>),
    /// All fragments joined.
    Encapsulated(Cow<'a, [u8]>),
    /// Skipped by [`DataSet::read_header`].
    Unread,
}

/// The file meta group (PS3.10, 7.1).
#[derive(Debug, Default)]
pub(super) struct Meta {
    /// The transfer syntax UID, if any.
    pub(super) syntax: Option<String>,
    /// Offset of the data set.
    pub(super) end: usize,
}

impl Meta {
    /// Reads all elements of group 2 from `at` on, if any, and ignores the declared group length.
    pub(super) fn read(bytes: &[u8], at: usize) -> Result<Self, String> {
        let mut meta = Meta {
            syntax: None,
            end: at,
        };
        while Encoding::META.half(bytes, meta.end) == Some(SYNTAX.0) {
            let header = Header::read(bytes, meta.end, Encoding::META)?;
            let end = header.end(bytes.len())?;
            if header.tag == SYNTAX {
                let text = String::from_utf8_lossy(&bytes[header.start..end]);
                let text = text.trim_matches(['\0', ' ']);
                meta.syntax = (!text.is_empty()).then(|| text.to_owned());
            }
            meta.end = end;
        }
        Ok(meta)
    }
}

/// The image attributes and pixels of a data set.
#[derive(Debug)]
pub(super) struct DataSet<'a> {
    pub(super) encoding: Encoding,
    values: BTreeMap<Tag, Value<'a>>,
    pub(super) pixels: Option<Pixels<'a>>,
}

impl<'a> DataSet<'a> {
    /// Reads a data set up to the film's pixels; copies nothing but fragments.
    ///
    /// # Errors
    ///
    /// If an element before the pixels is truncated.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut set = Self::new(bytes);
        let mut at = 0;
        while at < bytes.len() {
            // An icon's pixels may precede the film's attributes; nothing of the film follows its own.
            let is_last = set.values.contains_key(&ROWS)
                && Header::read(bytes, at, set.encoding).is_ok_and(|it| it.tag == PIXEL_DATA);
            match set.read_element(bytes, at) {
                Ok(_) if is_last => break,
                Ok(end) => at = end,
                // Padding and signatures after the pixels may be malformed.
                Err(_) if set.pixels.is_some() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(set)
    }

    /// Reads the elements before the pixels of a data set of `total` bytes that starts with `bytes`.
    ///
    /// # Errors
    ///
    /// As [`DataSet::read`]; also if the pixels are longer than the data set.
    pub(super) fn read_header(bytes: &'a [u8], total: usize) -> Result<Self, String> {
        let mut set = Self::new(bytes);
        let mut at = 0;
        while at < bytes.len() {
            let header = Header::read(bytes, at, set.encoding)?;
            if header.tag == PIXEL_DATA && set.values.contains_key(&ROWS) {
                if header.length != UNDEFINED {
                    header.end(total)?;
                }
                set.pixels = Some(Pixels::Unread);
                return Ok(set);
            }
            at = set.read_element(bytes, at)?;
        }
        Ok(set)
    }

    fn new(bytes: &[u8]) -> Self {
        DataSet {
            encoding: Encoding::of(bytes),
            values: BTreeMap::new(),
            pixels: None,
        }
    }

    /// The value of an element; `None` if it is absent or blank.
    pub(super) fn value(&self, tag: Tag) -> Option<Value<'a>> {
        self.values
            .get(&tag)
            .copied()
            .filter(|value| !value.bytes.is_empty())
    }

    /// Reads the element at `at`; returns the offset of the next one.
    fn read_element(&mut self, bytes: &'a [u8], at: usize) -> Result<usize, String> {
        let header = Header::read(bytes, at, self.encoding)?;
        if header.tag == PIXEL_DATA && header.length == UNDEFINED {
            let (fragments, end) = join_fragments(bytes, header.start, self.encoding)?;
            self.pixels = Some(Pixels::Encapsulated(fragments));
            return Ok(end);
        }
        if header.length == UNDEFINED {
            return skip_sequence(bytes, &header, self.encoding);
        }
        let end = header.end(bytes.len())?;
        let value = Value {
            kind: header.kind,
            bytes: &bytes[header.start..end],
        };
        if header.tag == PIXEL_DATA {
            self.pixels = Some(Pixels::Native(value));
        } else if KEPT.contains(&header.tag) {
            self.values.insert(header.tag, value);
        }
        Ok(end)
    }
}

/// Joins the fragments at `at` (PS3.5, A.4), which make up one frame; returns them and their end.
fn join_fragments(
    bytes: &[u8],
    mut at: usize,
    encoding: Encoding,
) -> Result<(Cow<'_, [u8]>, usize), String> {
    let mut joined: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut is_offset_table = true;
    while at < bytes.len() {
        let header = Header::read(bytes, at, encoding)?;
        match header.tag {
            ITEM if header.length != UNDEFINED => {
                at = header.end(bytes.len())?;
                let fragment = &bytes[header.start..at];
                // Some writers omit the offset table.
                if !is_offset_table || is_codestream(fragment) {
                    match joined.is_empty() {
                        true => joined = Cow::Borrowed(fragment),
                        false => joined.to_mut().extend_from_slice(fragment),
                    }
                }
                is_offset_table = false;
            }
            SEQUENCE_END => return Ok((joined, header.start)),
            (group, number) => {
                return Err(format!(
                    "its pixel data has element ({group:04X},{number:04X}) among its fragments"
                ));
            }
        }
    }
    Ok((joined, at))
}

/// An open sequence or item.
struct Level {
    encoding: Encoding,
    is_item: bool,
}

/// Skips a value of undefined length; returns its end. Iterative, since the file decides the depth.
fn skip_sequence(bytes: &[u8], header: &Header, encoding: Encoding) -> Result<usize, String> {
    let inner = |header: &Header, encoding: Encoding| Level {
        // UN of undefined length is encoded as implicit (PS3.5, 6.2.2).
        encoding: Encoding {
            is_explicit: encoding.is_explicit && header.kind != Some(*b"UN"),
            ..encoding
        },
        is_item: false,
    };
    let mut at = header.start;
    let mut levels = vec![inner(header, encoding)];
    while let Some(level) = levels.last() {
        let encoding = level.encoding;
        let header = Header::read(bytes, at, encoding)?;
        at = header.start;
        match header.tag {
            ITEM_END if level.is_item => {
                levels.pop();
            }
            ITEM_END => {}
            SEQUENCE_END => {
                let is_unclosed = level.is_item;
                levels.pop();
                if is_unclosed {
                    levels.pop();
                }
            }
            ITEM if header.length == UNDEFINED => levels.push(Level {
                encoding: Encoding {
                    is_explicit: has_kind(&bytes[at..]),
                    ..encoding
                },
                is_item: true,
            }),
            _ if header.length == UNDEFINED => levels.push(inner(&header, encoding)),
            _ => at = header.end(bytes.len())?,
        }
        if levels.len() > MAX_DEPTH {
            return Err(format!(
                "its sequences lie more than {MAX_DEPTH} deep in one another"
            ));
        }
    }
    Ok(at)
}
