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

/// The elements whose values are kept; the rest is passed over.
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

/// Length of a value that ends with a delimiter.
const UNDEFINED: u32 = u32::MAX;

/// Sequences and items of undefined length within one another; real ones have a handful.
const MAX_DEPTH: usize = 64;

/// Value representations whose length has 16 bits; any other, known or not, has 32 (PS3.5, 7.1.2).
const SHORT_KINDS: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
    b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
];

/// How elements are written (PS3.5, annex A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Whether elements name their value representation.
    pub(super) is_explicit: bool,
    /// Whether numbers are big-endian.
    pub(super) is_big: bool,
}

impl Encoding {
    const META: Encoding = Encoding {
        is_explicit: true,
        is_big: false,
    };

    /// The encoding of the data set that begins with `bytes`, as its first element shows it: what a file
    /// declares is now and then not what its writer did.
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

/// Whether the element that begins with `bytes` names its value representation.
fn has_kind(bytes: &[u8]) -> bool {
    bytes
        .get(4..6)
        .is_some_and(|kind| kind.iter().all(u8::is_ascii_uppercase))
}

/// An element without its value.
struct Header {
    tag: Tag,
    /// Its value representation, if it names one.
    kind: Option<[u8; 2]>,
    length: u32,
    /// Where its value begins.
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

    /// Where the value ends, if that is within `total` bytes.
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
    /// Its value representation, if it names one.
    pub(super) kind: Option<[u8; 2]>,
    pub(super) bytes: &'a [u8],
}

/// The value of `PixelData`.
#[derive(Debug)]
pub(super) enum Pixels<'a> {
    /// One value.
    Native(Value<'a>),
    /// What all fragments hold, one behind the other.
    Encapsulated(Cow<'a, [u8]>),
    /// Not read, since only what stands before it was asked for.
    Unread,
}

/// The meta group (PS3.10, 7.1), of which nothing is needed but the transfer syntax.
#[derive(Debug, Default)]
pub(super) struct Meta {
    /// The transfer syntax, if it is told.
    pub(super) syntax: Option<String>,
    /// Where the data set begins.
    pub(super) end: usize,
}

impl Meta {
    /// Reads the elements of group 2 from `at` on, be there some or none, whatever length they claim.
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

/// What a data set says of its pixels, and they themselves.
#[derive(Debug)]
pub(super) struct DataSet<'a> {
    pub(super) encoding: Encoding,
    values: BTreeMap<Tag, Value<'a>>,
    pub(super) pixels: Option<Pixels<'a>>,
}

impl<'a> DataSet<'a> {
    /// Reads a data set; nothing is copied but fragments.
    ///
    /// # Errors
    ///
    /// If an element claims more bytes than there are, unless the pixels stand before it.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut set = Self::new(bytes);
        let mut at = 0;
        while at < bytes.len() {
            match set.read_element(bytes, at) {
                Ok(end) => at = end,
                // Behind the pixels writers leave padding and signatures, which no picture needs.
                Err(_) if set.pixels.is_some() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(set)
    }

    /// Reads what stands before the pixels of a data set that has `total` bytes, of which `bytes` are
    /// the first.
    ///
    /// # Errors
    ///
    /// As [`DataSet::read`]; also if the pixels do not begin in `bytes`.
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

    /// Reads the element at `at`; gives where the next one begins.
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

/// The fragments that begin at `at` (PS3.5, A.4), and where they end. All of them make up the one frame.
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
                // Some writers leave the table of offsets out.
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

/// A sequence or item whose end is still to come.
struct Level {
    encoding: Encoding,
    is_item: bool,
}

/// Passes over a value of undefined length; gives where it ends. Without recursion, whose depth the file
/// would decide.
fn skip_sequence(bytes: &[u8], header: &Header, encoding: Encoding) -> Result<usize, String> {
    let inner = |header: &Header, encoding: Encoding| Level {
        // Of unknown representation and length is what an implicit data set held (PS3.5, 6.2.2).
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
