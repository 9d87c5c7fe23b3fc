use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::DataError;

/// Name of the archive in which PhysioNet ships MIMIC-CXR's reports.
const ARCHIVE: &str = "mimic-cxr-reports.zip";

/// Bytes that a report may have; the longest of MIMIC-CXR has under 10,000.
const MAX_REPORT_BYTES: u64 = 1 << 20;

/// Report texts of MIMIC-CXR: a folder, or the archive as it is shipped.
#[derive(Debug)]
pub(crate) enum ReportFiles {
    /// A folder with `files/p10/…`.
    Folder(PathBuf),
    /// A zip archive with the same paths inside.
    Archive {
        path: PathBuf,
        archive: Box<Mutex<ZipArchive<BufReader<File>>>>,
    },
}

impl ReportFiles {
    /// Opens `path`, a folder or an archive; of a folder that holds `mimic-cxr-reports.zip`, that.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        if path.is_file() {
            return ReportFiles::open_archive(path);
        }
        let beside = path.join(ARCHIVE);
        if beside.is_file() {
            return ReportFiles::open_archive(&beside);
        }
        if path.is_dir() {
            return Ok(ReportFiles::Folder(path.to_owned()));
        }
        Err(DataError::Layout {
            path: path.to_owned(),
            layout: "MIMIC-CXR report",
            missing: "such file or folder".to_owned(),
        })
    }

    fn open_archive(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("cannot open", path))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(archive_error(path))?;
        Ok(ReportFiles::Archive {
            path: path.to_owned(),
            archive: Box::new(Mutex::new(archive)),
        })
    }

    /// The text at `relative`, such as `files/p10/p10000032/s50414267.txt`; `None` if it is not
    /// there.
    pub(crate) fn read(&self, relative: &str) -> Result<Option<String>, DataError> {
        let (path, bytes) = match self {
            ReportFiles::Folder(root) => {
                let path = root.join(relative);
                match File::open(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(DataError::io("cannot read report", &path)(error)),
                    Ok(file) => {
                        let bytes = read_bounded(file, &path)?;
                        (path, bytes)
                    }
                }
            }
            ReportFiles::Archive { path, archive } => {
                let inside = path.join(relative);
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                match archive.by_name(relative) {
                    Err(ZipError::FileNotFound) => return Ok(None),
                    Err(error) => return Err(archive_error(&inside)(error)),
                    Ok(entry) => {
                        let bytes = read_bounded(entry, &inside)?;
                        (inside, bytes)
                    }
                }
            }
        };
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|error| DataError::Report {
                path,
                reason: format!("it is not UTF-8 ({})", error.utf8_error()),
            })
    }

    /// Where `relative` is looked for, for messages.
    pub(crate) fn locate(&self, relative: &str) -> PathBuf {
        match self {
            ReportFiles::Folder(root) => root.join(relative),
            ReportFiles::Archive { path, .. } => path.join(relative),
        }
    }
}

/// Everything, whatever length the file or the archive claims; the bound is on what is read.
fn read_bounded(source: impl Read, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    source
        .take(MAX_REPORT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| DataError::Report {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    if bytes.len() as u64 > MAX_REPORT_BYTES {
        return Err(DataError::Report {
            path: path.to_owned(),
            reason: format!("it has more than {MAX_REPORT_BYTES} bytes"),
        });
    }
    Ok(bytes)
}

fn archive_error(path: &Path) -> impl FnOnce(ZipError) -> DataError {
    let path = path.to_owned();
    move |error| DataError::Archive {
        path,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn a_folder_and_an_archive_read_alike() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = "files/p10/p10000001/s5.txt";
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("created");
        std::fs::write(&path, "FINDINGS: clear.").expect("written");
        let zipped = folder.path().join("reports.zip");
        let mut writer = zip::ZipWriter::new(File::create(&zipped).expect("created"));
        writer
            .start_file(name, SimpleFileOptions::default())
            .expect("started");
        writer.write_all(b"FINDINGS: clear.").expect("written");
        writer.finish().expect("finished");
        for source in [folder.path(), zipped.as_path()] {
            let reports = ReportFiles::open(source).expect("readable");
            let text = reports.read(name).expect("readable");
            assert_eq!(text.as_deref(), Some("FINDINGS: clear."));
            assert_eq!(reports.read("files/none.txt").expect("no error"), None);
        }
    }

    #[test]
    fn a_report_beyond_all_bounds_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let zipped = folder.path().join("reports.zip");
        let mut writer = zip::ZipWriter::new(File::create(&zipped).expect("created"));
        writer
            .start_file("bomb.txt", SimpleFileOptions::default())
            .expect("started");
        writer.write_all(&vec![b'a'; 3 << 20]).expect("written");
        writer.finish().expect("finished");
        let reports = ReportFiles::open(&zipped).expect("readable");
        let error = reports.read("bomb.txt").unwrap_err().to_string();
        assert!(error.contains("reports.zip/bomb.txt"), "{error}");
        assert!(error.contains("more than"), "{error}");
    }
}
