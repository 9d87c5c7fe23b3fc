//! Finds METEOR's data files and reads them record by record.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use zip::{ZipArchive, result::ZipError};

/// Largest size of a file in the jar, in bytes: thirty times METEOR's own.
const MAX_UNPACKED: u64 = 1 << 28;

/// Longest line, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// METEOR's data files could not be found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeteorDataError {
    /// A file is missing from the folder.
    #[error(
        "{folder}: no {file} in it: give the folder that holds meteor-1.5.jar and data/paraphrase-en.gz (pycocoevalcap's `meteor` folder does)"
    )]
    Missing {
        /// The folder searched.
        folder: PathBuf,
        /// The missing file.
        file: &'static str,
    },
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file, or the archive and the file in it.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The jar is not a readable archive.
    #[error("{path}: not a readable jar: {reason}")]
    Archive {
        /// The jar.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A line is not in the format of METEOR's files.
    #[error("{path}, line {line}: {reason}")]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A data file opened for reading.
pub(super) struct DataFile {
    path: PathBuf,
    reader: Box<dyn BufRead>,
}

/// METEOR's data folder: as distributed (a jar beside `data/`), or with the jar's files unpacked.
pub(super) struct DataFolder<'a>(pub &'a Path);

impl DataFolder<'_> {
    /// Opens `english.synsets` or the like, unpacked or in the jar.
    pub fn synonym_file(&self, name: &'static str) -> Result<DataFile, MeteorDataError> {
        let in_jar = format!("synonym/{name}");
        for place in [in_jar.as_str(), name] {
            let path = self.0.join(place);
            if path.is_file() {
                return DataFile::open(path);
            }
        }
        match self.jar()? {
            Some(jar) => DataFile::open_in_jar(jar, &in_jar),
            None => Err(self.missing(name)),
        }
    }

    /// Opens the paraphrase table, compressed or not.
    pub fn paraphrase_table(&self) -> Result<DataFile, MeteorDataError> {
        let places = [
            "data/paraphrase-en.gz",
            "paraphrase-en.gz",
            "data/paraphrase-en",
            "paraphrase-en",
        ];
        match places
            .iter()
            .map(|place| self.0.join(place))
            .find(|path| path.is_file())
        {
            Some(path) => DataFile::open(path),
            None => Err(self.missing("data/paraphrase-en.gz")),
        }
    }

    fn missing(&self, file: &'static str) -> MeteorDataError {
        MeteorDataError::Missing {
            folder: self.0.to_owned(),
            file,
        }
    }

    /// The first `meteor-*.jar` by name.
    fn jar(&self) -> Result<Option<PathBuf>, MeteorDataError> {
        let failed = |source| MeteorDataError::Io {
            path: self.0.to_owned(),
            source,
        };
        let mut jars = Vec::new();
        for entry in std::fs::read_dir(self.0).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            if name.is_some_and(|name| name.starts_with("meteor-") && name.ends_with(".jar")) {
                jars.push(path);
            }
        }
        Ok(jars.into_iter().min())
    }
}

impl DataFile {
    /// Opens a file; what begins like gzip is decompressed.
    pub fn open(path: PathBuf) -> Result<Self, MeteorDataError> {
        let open = || -> io::Result<Box<dyn BufRead>> {
            let mut file = BufReader::with_capacity(1 << 16, File::open(&path)?);
            if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
                Ok(Box::new(BufReader::with_capacity(
                    1 << 16,
                    MultiGzDecoder::new(file),
                )))
            } else {
                Ok(Box::new(file))
            }
        };
        match open() {
            Ok(reader) => Ok(Self { path, reader }),
            Err(source) => Err(MeteorDataError::Io { path, source }),
        }
    }

    fn open_in_jar(jar: PathBuf, name: &str) -> Result<Self, MeteorDataError> {
        let path = jar.join(name);
        let read = || -> Result<Vec<u8>, ZipError> {
            let mut archive = ZipArchive::new(File::open(&jar)?)?;
            let mut bytes = Vec::new();
            let file = archive.by_name(name)?;
            file.take(MAX_UNPACKED + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) if bytes.len() as u64 > MAX_UNPACKED => Err(MeteorDataError::Archive {
                path,
                reason: format!("it unpacks to more than {MAX_UNPACKED} bytes"),
            }),
            Ok(bytes) => Ok(Self {
                path,
                reader: Box::new(io::Cursor::new(bytes)),
            }),
            Err(ZipError::Io(source)) => Err(MeteorDataError::Io { path, source }),
            Err(error) => Err(MeteorDataError::Archive {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Reads the file `N` lines at a time.
    pub fn each_record<const N: usize>(
        mut self,
        mut each: impl FnMut([&str; N]) -> Result<(), String>,
    ) -> Result<(), MeteorDataError> {
        let mut lines: [String; N] = std::array::from_fn(|_| String::new());
        let mut read = 0;
        loop {
            for (at, line) in lines.iter_mut().enumerate() {
                line.clear();
                let mut reader = self.reader.by_ref().take(MAX_LINE + 1);
                let bytes = match reader.read_line(line) {
                    Ok(bytes) if bytes as u64 > MAX_LINE => {
                        let reason = format!("a line of more than {MAX_LINE} bytes");
                        return Err(self.record(read + 1, reason));
                    }
                    Ok(bytes) => bytes,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        return Err(self.record(read + 1, error.to_string()));
                    }
                    Err(source) => {
                        return Err(MeteorDataError::Io {
                            path: self.path,
                            source,
                        });
                    }
                };
                match (bytes, at) {
                    (0, 0) => return Ok(()),
                    (0, _) => {
                        return Err(self.record(
                            read,
                            format!("the file ends here, within a group of {N} lines"),
                        ));
                    }
                    _ => read += 1,
                }
            }
            let record = std::array::from_fn(|at| lines[at].trim_end_matches(['\n', '\r']));
            each(record).map_err(|reason| self.record(read, reason))?;
        }
    }

    fn record(&self, line: usize, reason: String) -> MeteorDataError {
        MeteorDataError::Record {
            path: self.path.clone(),
            line,
            reason,
        }
    }
}
