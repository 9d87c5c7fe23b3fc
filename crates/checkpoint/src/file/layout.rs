use std::io::{self, Read, Write};

/// First bytes of every checkpoint.
pub(super) const MAGIC: &[u8; 8] = b"ITHNCKPT";

/// Version of the file layout that this library writes.
pub const FORMAT_VERSION: u32 = 2;

/// Bytes of a header beyond which the file is taken for damaged: a vocabulary of a million words
/// and ten thousand epochs take less.
const LARGEST_HEADER: u64 = 1 << 28;

/// A file cut into its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sections {
    pub(super) version: u32,
    pub(super) header: Vec<u8>,
    pub(super) model: Vec<u8>,
    pub(super) optimizer: Vec<u8>,
}

/// Why a file cannot be cut into sections.
#[derive(Debug)]
pub(super) enum LayoutError {
    Io(io::Error),
    NotACheckpoint,
    TooNew(u32),
    Damaged(String),
}

impl From<io::Error> for LayoutError {
    fn from(error: io::Error) -> Self {
        LayoutError::Io(error)
    }
}

/// Writes magic, version, and per section its length, its CRC-32 and its bytes.
pub(super) fn write(file: &mut dyn Write, sections: [&[u8]; 3]) -> io::Result<()> {
    file.write_all(MAGIC)?;
    file.write_all(&FORMAT_VERSION.to_le_bytes())?;
    for section in sections {
        file.write_all(&(section.len() as u64).to_le_bytes())?;
        file.write_all(&crc32fast::hash(section).to_le_bytes())?;
        file.write_all(section)?;
    }
    Ok(())
}

/// Reads a file of `length` bytes whole. Nothing larger than the file is ever allocated.
pub(super) fn read(file: &mut dyn Read, length: u64) -> Result<Sections, LayoutError> {
    let mut reader = SectionReader::start(file, length)?;
    if reader.version == 1 {
        return reader.version_1();
    }
    let sections = Sections {
        version: reader.version,
        header: reader.header()?,
        model: reader.section("model")?,
        optimizer: reader.section("optimiser")?,
    };
    match reader.left {
        0 => Ok(sections),
        extra => Err(LayoutError::Damaged(format!(
            "{extra} bytes follow its end"
        ))),
    }
}

/// Reads the version and the header alone; of version 1, whose checksum covers the whole file,
/// everything.
pub(super) fn read_header(file: &mut dyn Read, length: u64) -> Result<(u32, Vec<u8>), LayoutError> {
    let mut reader = SectionReader::start(file, length)?;
    if reader.version == 1 {
        return Ok((1, reader.version_1()?.header));
    }
    Ok((reader.version, reader.header()?))
}

/// Reads the version, the header and the model, and leaves the optimiser state unread; of version 1,
/// whose checksum covers the whole file, everything.
pub(super) fn read_model(
    file: &mut dyn Read,
    length: u64,
) -> Result<(u32, Vec<u8>, Vec<u8>), LayoutError> {
    let mut reader = SectionReader::start(file, length)?;
    if reader.version == 1 {
        let sections = reader.version_1()?;
        return Ok((1, sections.header, sections.model));
    }
    Ok((reader.version, reader.header()?, reader.section("model")?))
}

struct SectionReader<'a> {
    file: &'a mut dyn Read,
    version: u32,
    /// Bytes of the file that have not been read yet.
    left: u64,
}

impl<'a> SectionReader<'a> {
    fn start(file: &'a mut dyn Read, length: u64) -> Result<Self, LayoutError> {
        let mut reader = SectionReader {
            file,
            version: 0,
            left: length,
        };
        let magic = match reader.array::<8>("magic") {
            Err(LayoutError::Damaged(_)) => return Err(LayoutError::NotACheckpoint),
            other => other?,
        };
        if &magic != MAGIC {
            return Err(LayoutError::NotACheckpoint);
        }
        reader.version = u32::from_le_bytes(reader.array("version")?);
        match reader.version {
            0 => Err(LayoutError::Damaged("its version is 0".to_owned())),
            1..=FORMAT_VERSION => Ok(reader),
            newer => Err(LayoutError::TooNew(newer)),
        }
    }

    fn header(&mut self) -> Result<Vec<u8>, LayoutError> {
        self.section("header")
    }

    fn section(&mut self, name: &str) -> Result<Vec<u8>, LayoutError> {
        let length = u64::from_le_bytes(self.array(name)?);
        let checksum = u32::from_le_bytes(self.array(name)?);
        if name == "header" && length > LARGEST_HEADER {
            return Err(LayoutError::Damaged(format!(
                "its header claims {length} bytes"
            )));
        }
        let bytes = self.bytes(length, name)?;
        if crc32fast::hash(&bytes) != checksum {
            return Err(LayoutError::Damaged(format!(
                "the checksum of its {name} section does not match"
            )));
        }
        Ok(bytes)
    }

    /// Version 1 had no checksum per section but one of the whole file, magic included.
    fn version_1(&mut self) -> Result<Sections, LayoutError> {
        let mut rest = self.bytes(self.left, "body")?;
        let checksum = rest
            .split_off(rest.len().saturating_sub(4))
            .try_into()
            .map(u32::from_le_bytes)
            .map_err(|_| LayoutError::Damaged("it is too short".to_owned()))?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(MAGIC);
        hasher.update(&1_u32.to_le_bytes());
        hasher.update(&rest);
        if hasher.finalize() != checksum {
            return Err(LayoutError::Damaged(
                "its checksum does not match".to_owned(),
            ));
        }
        let mut body = rest.as_slice();
        let mut inner = SectionReader {
            left: body.len() as u64,
            file: &mut body,
            version: 1,
        };
        let mut section = |name: &str| {
            let length = u64::from_le_bytes(inner.array(name)?);
            inner.bytes(length, name)
        };
        Ok(Sections {
            version: 1,
            header: section("header")?,
            model: section("model")?,
            optimizer: section("optimiser")?,
        })
    }

    fn array<const N: usize>(&mut self, name: &str) -> Result<[u8; N], LayoutError> {
        let mut bytes = [0; N];
        self.take(N as u64, name)?;
        self.fill(&mut bytes, name)?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: u64, name: &str) -> Result<Vec<u8>, LayoutError> {
        self.take(length, name)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| cut_short(name))?];
        self.fill(&mut bytes, name)?;
        Ok(bytes)
    }

    fn take(&mut self, length: u64, name: &str) -> Result<(), LayoutError> {
        self.left = self
            .left
            .checked_sub(length)
            .ok_or_else(|| cut_short(name))?;
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8], name: &str) -> Result<(), LayoutError> {
        match self.file.read_exact(bytes) {
            // The file shrank while it was read.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(cut_short(name)),
            other => Ok(other?),
        }
    }
}

fn cut_short(name: &str) -> LayoutError {
    LayoutError::Damaged(format!("its {name} is cut short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, [b"{}", b"weights", b"moments"]).expect("memory is writable");
        bytes
    }

    fn version_1() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        for section in [&b"{}"[..], b"weights", b"moments"] {
            bytes.extend_from_slice(&(section.len() as u64).to_le_bytes());
            bytes.extend_from_slice(section);
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn read_bytes(bytes: &[u8]) -> Result<Sections, LayoutError> {
        read(&mut &bytes[..], bytes.len() as u64)
    }

    #[test]
    fn both_versions_come_back() {
        for (bytes, version) in [(file(), 2), (version_1(), 1)] {
            let sections = read_bytes(&bytes).expect("whole");
            assert_eq!(sections.version, version);
            assert_eq!(sections.header, b"{}");
            assert_eq!(sections.model, b"weights");
            assert_eq!(sections.optimizer, b"moments");
            let header = read_header(&mut &bytes[..], bytes.len() as u64).expect("whole");
            assert_eq!(header, (version, b"{}".to_vec()));
            let model = read_model(&mut &bytes[..], bytes.len() as u64).expect("whole");
            assert_eq!(model, (version, b"{}".to_vec(), b"weights".to_vec()));
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        for bytes in [file(), version_1()] {
            for length in 0..bytes.len() {
                assert!(read_bytes(&bytes[..length]).is_err(), "cut to {length}");
            }
            for position in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[position / 8] ^= 1 << (position % 8);
                assert!(read_bytes(&flipped).is_err(), "bit {position}");
            }
            let longer = [&bytes[..], b"x"].concat();
            assert!(read_bytes(&longer).is_err());
        }
    }

    #[test]
    fn the_model_is_read_without_the_optimizer_state() {
        let mut bytes = file();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(read_bytes(&bytes).is_err());
        assert!(read_model(&mut &bytes[..], bytes.len() as u64).is_ok());
    }

    #[test]
    fn a_length_beyond_the_file_is_refused_before_it_is_allocated() {
        let mut bytes = file();
        bytes[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(read_bytes(&bytes), Err(LayoutError::Damaged(_))));
    }

    #[test]
    fn a_later_version_and_another_file_are_told_apart() {
        let mut bytes = file();
        bytes[8] = 9;
        assert!(matches!(read_bytes(&bytes), Err(LayoutError::TooNew(9))));
        assert!(matches!(
            read_bytes(b"PK\x03\x04"),
            Err(LayoutError::NotACheckpoint)
        ));
    }
}
