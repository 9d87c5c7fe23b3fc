use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::DataError;

/// Name of the archive in which PhysioNet ships MIMIC-CXR's reports.
const ARCHIVE: &str = "mimic-cxr-reports.zip";

/// Maximum report size in bytes; MIMIC-CXR's longest has under 10,000.
const MAX_REPORT_BYTES: u64 = 1 << 20;

/// Levels of folders that are searched for reports.
const MAX_DEPTH: usize = 3;

/// Report texts of MIMIC-CXR: a folder or a zip archive. Either may have been repacked with other folders
/// above `p10/`.
#[derive(Debug)]
pub(crate) enum ReportFiles {
    /// The folder that holds `p10/p10000032/s50414267.txt`.
    Folder(PathBuf),
    /// A zip archive.
    Archive {
        path: PathBuf,
        archive: Box<Mutex<Archive>>,
        /// Index and name of every text, by patient and study: `p10000032/s50414267.txt`.
        entries: HashMap<String, (usize, String)>,
    },
}

type Archive = ZipArchive<BufReader<File>>;

impl ReportFiles {
    /// Opens a folder or an archive; in a folder, `mimic-cxr-reports.zip` takes precedence.
    ///
    /// `wanted` are the reports that will be read, such as `files/p10/p10000032/s50414267.txt`.
    ///
    /// # Errors
    ///
    /// [`DataError::NoReports`] if none of them exists; also if `path` cannot be read or an archive has two
    /// texts of one study.
    pub(crate) fn open(
        path: &Path,
        wanted: impl ExactSizeIterator<Item = String> + Clone,
    ) -> Result<Self, DataError> {
        let metadata = fs::metadata(path).map_err(DataError::io("cannot read reports", path))?;
        let beside = path.join(ARCHIVE);
        if metadata.is_file() {
            ReportFiles::open_archive(path, wanted)
        } else if beside.is_file() {
            ReportFiles::open_archive(&beside, wanted)
        } else {
            ReportFiles::open_folder(path, wanted)
        }
    }

    /// Searches for the folder of the reports, level by level; it is usually `files`.
    fn open_folder(
        path: &Path,
        wanted: impl ExactSizeIterator<Item = String> + Clone,
    ) -> Result<Self, DataError> {
        let studies = wanted.len();
        if studies == 0 {
            return Ok(ReportFiles::Folder(path.join("files")));
        }
        let mut level = vec![path.to_owned()];
        for _ in 0..=MAX_DEPTH {
            let mut below = Vec::new();
            for folder in level {
                let folders = match folders_in(&folder) {
                    // A subfolder of somebody else's, such as `lost+found`.
                    Err(DataError::Io { source, .. })
                        if source.kind() == ErrorKind::PermissionDenied && folder != path =>
                    {
                        continue;
                    }
                    folders => folders?,
                };
                let (groups, others): (Vec<_>, Vec<_>) =
                    folders.into_iter().partition(|folder| is_group(folder));
                let is_there = |report: String| folder.join(in_group(&report)).exists();
                if !groups.is_empty() && wanted.clone().any(is_there) {
                    return Ok(ReportFiles::Folder(folder));
                }
                below.extend(others);
            }
            level = below;
        }
        Err(DataError::NoReports {
            path: path.to_owned(),
            studies,
        })
    }

    fn open_archive(
        path: &Path,
        mut wanted: impl ExactSizeIterator<Item = String>,
    ) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("cannot open", path))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(archive_error(path))?;
        let entries = texts_in(path, &archive)?;
        let studies = wanted.len();
        if studies > 0 && !wanted.any(|report| entries.contains_key(of_study(&report))) {
            return Err(DataError::NoReports {
                path: path.to_owned(),
                studies,
            });
        }
        Ok(ReportFiles::Archive {
            path: path.to_owned(),
            archive: Box::new(Mutex::new(archive)),
            entries,
        })
    }

    /// The text at `relative`, such as `files/p10/p10000032/s50414267.txt`; `None` if it does not exist.
    pub(crate) fn read(&self, relative: &str) -> Result<Option<String>, DataError> {
        let path = self.locate(relative);
        let bytes = match self {
            ReportFiles::Folder(_) => match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(DataError::io("cannot read report", &path)(error)),
                Ok(file) => read_bounded(file, &path)?,
            },
            ReportFiles::Archive {
                archive, entries, ..
            } => {
                let Some((index, _)) = entries.get(of_study(relative)) else {
                    return Ok(None);
                };
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                let entry = archive.by_index(*index).map_err(archive_error(&path))?;
                read_bounded(entry, &path)?
            }
        };
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|error| DataError::Report {
                path,
                reason: format!("it is not UTF-8 ({})", error.utf8_error()),
            })
    }

    /// Path of the report at `relative`.
    pub(crate) fn locate(&self, relative: &str) -> PathBuf {
        match self {
            ReportFiles::Folder(root) => root.join(in_group(relative)),
            ReportFiles::Archive { path, entries, .. } => {
                let entry = entries.get(of_study(relative));
                path.join(entry.map_or(relative, |(_, name)| name))
            }
        }
    }
}

/// `p10/p10000032/s50414267.txt` of `files/p10/p10000032/s50414267.txt`.
fn in_group(relative: &str) -> &str {
    relative.strip_prefix("files/").unwrap_or(relative)
}

/// `p10000032/s50414267.txt` of `files/p10/p10000032/s50414267.txt`.
fn of_study(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/').map(|(at, _)| at);
    slashes.nth(1).map_or(path, |at| &path[at + 1..])
}

/// Subfolders, sorted.
fn folders_in(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = DataError::io("cannot read folder", folder);
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
        folders.sort();
        Ok(folders)
    };
    read().map_err(failed)
}

/// Whether a folder has the name of a patient group, such as `p10`.
fn is_group(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix('p'));
    number.is_some_and(|it| (1..=2).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit()))
}

/// Index and name of every text of an archive, by patient and study.
fn texts_in(path: &Path, archive: &Archive) -> Result<HashMap<String, (usize, String)>, DataError> {
    let mut entries: HashMap<String, (usize, String)> = HashMap::with_capacity(archive.len());
    for (index, name) in archive.file_names().enumerate() {
        // A name that does not decode cannot be a report's.
        let Ok(name) = name else { continue };
        if !name.ends_with(".txt") {
            continue;
        }
        // Some Windows programs write backslashes.
        let unified = name.replace('\\', "/");
        let entry = (index, name.into_owned());
        if let Some((_, earlier)) = entries.insert(of_study(&unified).to_owned(), entry) {
            return Err(DataError::Archive {
                path: path.to_owned(),
                reason: format!("it has two texts of one study: {earlier} and {unified}"),
            });
        }
    }
    Ok(entries)
}

/// Reads to the end. The limit applies to the bytes read, not to the declared size.
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

    const NAME: &str = "files/p10/p10000001/s5.txt";

    fn open(path: &Path) -> Result<ReportFiles, DataError> {
        ReportFiles::open(path, [NAME.to_owned()].into_iter())
    }

    fn zip(path: &Path, entries: &[(&str, &[u8])]) {
        let mut writer = zip::ZipWriter::new(File::create(path).expect("created"));
        for (name, bytes) in entries {
            let options = SimpleFileOptions::default();
            writer.start_file(*name, options).expect("started");
            writer.write_all(bytes).expect("written");
        }
        writer.finish().expect("finished");
    }

    #[test]
    fn folders_above_the_reports_do_not_matter() {
        let prefixes = [
            "files/",
            "",
            "mimic-cxr-reports/files/",
            "mimic-cxr-reports/mimic-cxr-reports/files/",
            "mimic-cxr-reports/",
        ];
        for prefix in prefixes {
            let folder = tempfile::tempdir().expect("a folder");
            let name = format!("{prefix}p10/p10000001/s5.txt");
            let path = folder.path().join("plain").join(&name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("created");
            fs::write(&path, "FINDINGS: clear.").expect("written");
            // A folder of images has the same layout.
            fs::create_dir_all(folder.path().join("plain/a/p10/p10000001")).expect("created");
            let zipped = folder.path().join("reports.zip");
            let hidden = format!("__MACOSX/{prefix}p10/p10000001/._s5.txt");
            zip(&zipped, &[(&hidden, b"x"), (&name, b"FINDINGS: clear.")]);
            let windows = folder.path().join("windows.zip");
            zip(&windows, &[(&name.replace('/', "\\"), b"FINDINGS: clear.")]);
            for source in [folder.path().join("plain"), zipped, windows] {
                let reports = open(&source).unwrap_or_else(|error| panic!("{prefix}: {error}"));
                let text = reports.read(NAME).expect("readable");
                assert_eq!(text.as_deref(), Some("FINDINGS: clear."), "{prefix}");
                let other = reports.read("files/p10/p10000001/s6.txt");
                assert_eq!(other.expect("no error"), None);
            }
        }
    }

    #[test]
    fn without_any_report_the_download_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let zipped = folder.path().join("other.zip");
        zip(&zipped, &[("files/p11/p11000001/s5.txt", b"x")]);
        for source in [folder.path(), &zipped] {
            let error = open(source).unwrap_err().to_string();
            for words in [
                &*source.to_string_lossy(),
                "mimic-cxr-reports.zip",
                "MIMIC-CXR",
            ] {
                assert!(error.contains(words), "{words} in {error}");
            }
        }
        let error = open(&folder.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }

    #[test]
    fn two_texts_of_one_study_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let zipped = folder.path().join("reports.zip");
        let copy = format!("copy/{NAME}");
        zip(&zipped, &[(NAME, b"one"), (&copy, b"another")]);
        let error = open(&zipped).unwrap_err().to_string();
        assert!(
            error.contains(&copy) && error.contains("two texts"),
            "{error}"
        );
    }

    #[test]
    fn a_report_beyond_all_bounds_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let zipped = folder.path().join("reports.zip");
        zip(&zipped, &[(NAME, &vec![b'a'; 3 << 20])]);
        let reports = open(&zipped).expect("readable");
        let error = reports.read(NAME).unwrap_err().to_string();
        assert!(error.contains(&format!("reports.zip/{NAME}")), "{error}");
        assert!(error.contains("more than"), "{error}");
    }
}
