use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

use crate::error::DataError;

/// Writes a file beside its place and moves it there once all of it is on disk, so that nobody ever
/// sees half of one.
pub(crate) fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), DataError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.partial-{}", std::process::id()));
    let written = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(&partial)?);
        write(&mut file)?;
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        fs::rename(&partial, path)
    };
    written().map_err(|source| {
        // The first error is the one to report.
        let _ = fs::remove_file(&partial);
        DataError::io("cannot write", path)(source)
    })
}

/// A file's size and time of change: what tells that it is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FileStamp {
    /// Size in bytes.
    pub bytes: u64,
    /// Nanoseconds from 1970 to its last change; 0 where the system does not tell.
    pub changed: u64,
}

impl FileStamp {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let since = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(FileStamp {
            bytes: metadata.len(),
            changed: since.map_or(0, |since| since.as_nanos() as u64),
        })
    }
}
