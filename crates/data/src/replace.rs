use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

use crate::error::DataError;

/// Writes a file atomically: to a temporary file that is synced and renamed.
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
        // Report the first error, not one of the cleanup.
        let _ = fs::remove_file(&partial);
        DataError::io("cannot write", path)(source)
    })
}

/// Size and modification time of a file, to detect that it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FileStamp {
    /// Size in bytes.
    pub bytes: u64,
    /// Modification time in nanoseconds since 1970; 0 if unknown.
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
