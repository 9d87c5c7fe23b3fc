//! Films of one frame, made here.

use std::path::PathBuf;

use ithn_data::{DecodedImage, decode_image, inspect_image};

pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
pub const RLE: &str = "1.2.840.10008.1.2.5";
pub const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
pub const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

/// A secondary capture; what is `None` is left out.
#[derive(Clone)]
pub struct Film<'a> {
    pub syntax: &'a str,
    /// How the data set is written, whatever its transfer syntax says.
    pub encoding: Encoding,
    pub photometric: &'a str,
    pub columns: Option<u16>,
    pub rows: Option<u16>,
    pub bits: u16,
    pub stored: u16,
    pub high_bit: u16,
    /// Little-endian value of PixelRepresentation; may be blank.
    pub signed: &'a [u8],
    pub frames: &'a str,
    /// Further elements of group 0028 behind the others: number, kind, little-endian value.
    pub more: &'a [(u16, &'a [u8; 2], &'a [u8])],
    pub pixels: Pixels<'a>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Explicit,
    Implicit,
    BigEndian,
}

#[derive(Clone)]
pub enum Pixels<'a> {
    Native(&'a [u8]),
    /// A table of offsets, then these.
    Encapsulated(&'a [&'a [u8]]),
    Claimed(u32),
    Absent,
}

impl Film<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let meta = self.meta();
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        let length = (meta.len() as u32).to_le_bytes();
        bytes.extend(Encoding::Explicit.element((0x0002, 0x0000), b"UL", &length));
        bytes.extend(meta);
        bytes.extend(self.data_set());
        bytes
    }

    /// The meta group without its length.
    pub fn meta(&self) -> Vec<u8> {
        let element = |number, kind, value| Encoding::Explicit.element((2, number), kind, value);
        [
            element(0x0001, b"OB", &[0, 1]),
            element(0x0002, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0"),
            element(0x0003, b"UI", b"1.2.3.4\0"),
            element(0x0010, b"UI", &padded(self.syntax, 0)),
            element(0x0012, b"UI", b"1.2.3.5\0"),
        ]
        .concat()
    }

    pub fn data_set(&self) -> Vec<u8> {
        let element =
            |number, kind, value: &[u8]| self.encoding.element((0x0028, number), kind, value);
        let short = |number, value: u16| element(number, b"US", &value.to_le_bytes());
        let size = |number, value: Option<u16>| value.map(|it| short(number, it));
        let class = b"1.2.840.10008.5.1.4.1.1.7\0";
        let mut bytes = self.encoding.element((0x0008, 0x0016), b"UI", class);
        bytes.extend(short(0x0002, 1));
        bytes.extend(element(0x0004, b"CS", &padded(self.photometric, b' ')));
        bytes.extend(element(0x0008, b"IS", &padded(self.frames, b' ')));
        bytes.extend(size(0x0010, self.rows).unwrap_or_default());
        bytes.extend(size(0x0011, self.columns).unwrap_or_default());
        bytes.extend(short(0x0100, self.bits));
        bytes.extend(short(0x0101, self.stored));
        bytes.extend(short(0x0102, self.high_bit));
        bytes.extend(element(0x0103, b"US", self.signed));
        for (number, kind, value) in self.more {
            bytes.extend(element(*number, kind, value));
        }
        bytes.extend(self.pixel_data());
        bytes
    }

    fn pixel_data(&self) -> Vec<u8> {
        let tag = (0x7FE0, 0x0010);
        match self.pixels {
            Pixels::Absent => Vec::new(),
            Pixels::Native(pixels) => self.encoding.element(tag, b"OW", pixels),
            Pixels::Claimed(length) => {
                let mut bytes = self.encoding.header(tag, b"OW", length);
                bytes.extend(b"few");
                bytes
            }
            Pixels::Encapsulated(fragments) => {
                let mut bytes = self.encoding.header(tag, b"OB", u32::MAX);
                for fragment in std::iter::once(&&[][..]).chain(fragments) {
                    let length = fragment.len().next_multiple_of(2);
                    bytes.extend(b"\xFE\xFF\x00\xE0");
                    bytes.extend((length as u32).to_le_bytes());
                    bytes.extend(*fragment);
                    bytes.extend(vec![0; length - fragment.len()]);
                }
                bytes.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
                bytes
            }
        }
    }

    pub fn decoded(&self) -> DecodedImage {
        decoded(&self.bytes())
    }
}

impl Encoding {
    fn element(self, tag: (u16, u16), kind: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let mut bytes = self.header(tag, kind, value.len() as u32);
        let is_word = matches!(kind, b"US" | b"SS" | b"OW");
        match self {
            Encoding::BigEndian if is_word => {
                value
                    .chunks(2)
                    .for_each(|pair| bytes.extend(pair.iter().rev()));
            }
            _ => bytes.extend(value),
        }
        bytes
    }

    fn header(self, tag: (u16, u16), kind: &[u8; 2], length: u32) -> Vec<u8> {
        let half = |value: u16| match self {
            Encoding::BigEndian => value.to_be_bytes(),
            _ => value.to_le_bytes(),
        };
        let word = match self {
            Encoding::BigEndian => length.to_be_bytes(),
            _ => length.to_le_bytes(),
        };
        let mut bytes = [half(tag.0), half(tag.1)].concat();
        match (self, kind) {
            (Encoding::Implicit, _) => bytes.extend(word),
            (_, b"OB" | b"OW" | b"SQ" | b"UN") => {
                bytes.extend(kind);
                bytes.extend([0, 0]);
                bytes.extend(word);
            }
            _ => {
                bytes.extend(kind);
                bytes.extend(half(length as u16));
            }
        }
        bytes
    }
}

pub fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("film.dcm");
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

/// What a sound file decodes to; its header says as much.
pub fn decoded(bytes: &[u8]) -> DecodedImage {
    let (_folder, path) = written(bytes);
    let image = decode_image(&path).unwrap_or_else(|error| panic!("{error}"));
    let inspected = inspect_image(&path).expect("as it can be decoded");
    assert_eq!(inspected, (image.width, image.height));
    image
}

pub fn padded(text: &str, with: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(2), with);
    bytes
}

/// Four by two pixels of 16 bits.
pub fn sixteen_bits<'a>(photometric: &'a str, signed: u16, pixels: &'a [u8]) -> Film<'a> {
    Film {
        syntax: EXPLICIT,
        encoding: Encoding::Explicit,
        photometric,
        columns: Some(4),
        rows: Some(2),
        bits: 16,
        stored: 16,
        high_bit: 15,
        signed: match signed {
            0 => &[0, 0],
            _ => &[1, 0],
        },
        frames: "1",
        more: &[],
        pixels: Pixels::Native(pixels),
    }
}

pub fn eight_bits(film: Film<'_>) -> Film<'_> {
    Film {
        bits: 8,
        stored: 8,
        high_bit: 7,
        ..film
    }
}

pub fn words(values: &[u16]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A ramp as JPEG.
pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let film = image::GrayImage::from_fn(width, height, |x, _| image::Luma([(x * 8) as u8]));
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95)
        .encode_image(&film)
        .expect("encodable");
    bytes.into_inner()
}

pub fn compressed<'a>(columns: u16, rows: u16, fragments: &'a [&'a [u8]]) -> Film<'a> {
    eight_bits(Film {
        syntax: JPEG_BASELINE,
        columns: Some(columns),
        rows: Some(rows),
        pixels: Pixels::Encapsulated(fragments),
        ..sixteen_bits("MONOCHROME2", 0, &[])
    })
}

/// The films of `fixtures/codestreams`.
pub fn twelve_bits<'a>(syntax: &'a str, fragments: &'a [&'a [u8]]) -> Film<'a> {
    Film {
        syntax,
        columns: Some(56),
        rows: Some(40),
        pixels: Pixels::Encapsulated(fragments),
        ..sixteen_bits("MONOCHROME1", 0, &[])
    }
}

pub const J2K: &[u8] = include_bytes!("../fixtures/codestreams/12_bits.j2k");
pub const JLS: &[u8] = include_bytes!("../fixtures/codestreams/12_bits.jls");
