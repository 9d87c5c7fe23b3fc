use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ithn_data::{DataError, FileKind, OnBadStudy};

/// File extensions of films.
const FILM_ENDINGS: &[&str] = &["png", "jpg", "jpeg", "dcm", "dicom"];

/// Films in a folder inside a folder that are the views of one study: MIMIC-CXR has up to 11.
const MAX_VIEWS: usize = 16;

/// Folders inside one another that are searched.
const MAX_DEPTH: usize = 16;

/// Studies that [`find_studies`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct FoundStudies {
    /// The films of each study, in the order of their views.
    pub studies: Vec<Vec<PathBuf>>,
    /// Errors of broken studies, under [`OnBadStudy::Skip`]; each names its file.
    pub broken: Vec<DataError>,
    /// Files and folders that are no films and have no film's extension, and what they are.
    pub left_out: Vec<(PathBuf, String)>,
    /// Notes to the user on interpretations that might be unexpected.
    pub notes: Vec<String>,
}

/// Studies named on a command line: a file is a study of one view, files joined by commas are the
/// views of one study. A folder holds studies of one view each, in the order of their names; a folder
/// inside it (as R2Gen and MIMIC-CXR lay films out) holds the views of one study.
///
/// Films are recognised by their first bytes, not by their names. Other files are left out, with a
/// reason; those with a film's extension are broken studies.
///
/// # Errors
///
/// If a file or folder cannot be read, a file has a film's extension and is none, or a folder holds
/// no film; under [`OnBadStudy::Skip`] only if no study is left.
pub fn find_studies(names: &[String], on_bad_study: OnBadStudy) -> Result<FoundStudies, DataError> {
    let mut search = Search {
        on_bad_study,
        found: FoundStudies::default(),
    };
    for name in names {
        let path = Path::new(name);
        if path.is_dir() {
            search.folder(path)?;
        } else {
            let views = match path.is_file() {
                true => vec![path.to_owned()],
                false => name.split(',').map(PathBuf::from).collect(),
            };
            search.files(views)?;
        }
    }
    let mut found = search.found;
    match found.studies.is_empty() && !found.broken.is_empty() {
        true => Err(found.broken.swap_remove(0)),
        false => Ok(found),
    }
}

struct Search {
    on_bad_study: OnBadStudy,
    found: FoundStudies,
}

impl Search {
    /// The views of a study, each named.
    fn files(&mut self, views: Vec<PathBuf>) -> Result<(), DataError> {
        for view in &views {
            if let Err(source) = fs::metadata(view) {
                return self.broken(unreadable(view, source));
            }
        }
        self.found.studies.push(views);
        Ok(())
    }

    /// A folder that was named.
    fn folder(&mut self, folder: &Path) -> Result<(), DataError> {
        let before = self.found.studies.len();
        let entries = match entries(folder) {
            Ok(entries) => entries,
            Err(error) => return self.broken(error),
        };
        for entry in entries {
            match entry {
                Entry::Folder(path) => self.study(&path, 1)?,
                Entry::Link(path) => self.pass_over(path, "it is a link to a folder"),
                Entry::File(path) => {
                    if self.is_film(&path)? {
                        self.found.studies.push(vec![path]);
                    }
                }
            }
        }
        if self.found.studies.len() > before {
            return Ok(());
        }
        let films = match cfg!(feature = "dicom") {
            true => "PNG, JPEG or DICOM film (.png, .jpg, .dcm or any other name)",
            false => {
                "PNG or JPEG film (.png, .jpg or any other name; DICOM with the cargo feature `dicom`)"
            }
        };
        let error = DataError::Layout {
            path: folder.to_owned(),
            layout: "images",
            missing: films.to_owned(),
        };
        self.broken(error)
    }

    /// A folder inside one that was named: its films are the views of one study, and its folders are
    /// searched in the same way.
    fn study(&mut self, folder: &Path, depth: usize) -> Result<(), DataError> {
        let is_hidden = folder
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX");
        if is_hidden || depth > MAX_DEPTH {
            let reason = match is_hidden {
                true => "it is a hidden folder",
                false => "it lies too deep in other folders",
            };
            self.pass_over(folder.to_owned(), reason);
            return Ok(());
        }
        let entries = match entries(folder) {
            Ok(entries) => entries,
            Err(error) => return self.broken(error),
        };
        let mut views = Vec::new();
        for entry in entries {
            match entry {
                Entry::Folder(path) => self.study(&path, depth + 1)?,
                Entry::Link(path) => self.pass_over(path, "it is a link to a folder"),
                Entry::File(path) => {
                    if self.is_film(&path)? {
                        views.push(path);
                    }
                }
            }
        }
        if views.len() > MAX_VIEWS {
            self.found.notes.push(format!(
                "{} has {} films, more than a study's {MAX_VIEWS} views: each is a study",
                folder.display(),
                views.len()
            ));
            let each = views.into_iter().map(|view| vec![view]);
            self.found.studies.extend(each);
        } else if !views.is_empty() {
            self.found.studies.push(views);
        }
        Ok(())
    }

    /// Whether a file is a film; otherwise gives the reason.
    fn is_film(&mut self, path: &Path) -> Result<bool, DataError> {
        let reason = match FileKind::of(path) {
            Ok(FileKind::Dicom) if is_directory_of_films(path) => {
                "it is a DICOMDIR, which lists films and holds none".to_owned()
            }
            Ok(kind) => match kind.refusal() {
                None => return Ok(true),
                Some(reason) if kind != FileKind::Dicom && claims_to_be_a_film(path) => {
                    let error = DataError::Image {
                        path: path.to_owned(),
                        reason,
                    };
                    self.broken(error)?;
                    return Ok(false);
                }
                Some(reason) => reason,
            },
            Err(error) => {
                self.broken(error)?;
                return Ok(false);
            }
        };
        self.pass_over(path.to_owned(), &reason);
        Ok(false)
    }

    fn pass_over(&mut self, path: PathBuf, reason: &str) {
        self.found.left_out.push((path, reason.to_owned()));
    }

    fn broken(&mut self, error: DataError) -> Result<(), DataError> {
        match self.on_bad_study {
            OnBadStudy::Stop => Err(error),
            OnBadStudy::Skip => {
                self.found.broken.push(error);
                Ok(())
            }
        }
    }
}

enum Entry {
    File(PathBuf),
    Folder(PathBuf),
    /// A symbolic link to a folder, which could lead round in a circle.
    Link(PathBuf),
}

/// What a folder holds, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<Entry>, DataError> {
    let failed = |source| unreadable(folder, source);
    let mut paths = fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths
        .into_iter()
        .map(|path| match path.is_dir() {
            true if path.is_symlink() => Entry::Link(path),
            true => Entry::Folder(path),
            false => Entry::File(path),
        })
        .collect())
}

fn claims_to_be_a_film(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| FILM_ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

fn is_directory_of_films(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|name| name.eq_ignore_ascii_case("dicomdir"))
}

fn unreadable(path: &Path, source: io::Error) -> DataError {
    DataError::Io {
        action: "cannot read",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0 and so on";

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("created");
            fs::write(path, bytes).expect("writable");
        }
        folder
    }

    fn found(folder: &Path, on_bad_study: OnBadStudy) -> Result<FoundStudies, DataError> {
        find_studies(&[folder.display().to_string()], on_bad_study)
    }

    /// Paths below the folder, in place of whole ones.
    fn names(folder: &Path, found: &FoundStudies) -> (Vec<Vec<String>>, Vec<String>) {
        let name = |path: &PathBuf| {
            let below = path.strip_prefix(folder).expect("inside");
            below.display().to_string()
        };
        let studies = found.studies.iter();
        let studies = studies.map(|views| views.iter().map(name).collect());
        let left_out = found.left_out.iter().map(|(path, _)| name(path));
        (studies.collect(), left_out.collect())
    }

    #[test]
    fn files_folders_and_views_become_studies() {
        let folder = folder(&[("b.png", PNG), ("a.JPG", JPEG), ("notes.txt", b"to do")]);
        let path = |name: &str| folder.path().join(name);
        let text = |path: PathBuf| path.display().to_string();
        let views = format!("{},{}", path("b.png").display(), path("a.JPG").display());
        let names = [text(folder.path().to_owned()), text(path("b.png")), views];
        let found = find_studies(&names, OnBadStudy::Stop).expect("all are there");
        let [a, b] = [path("a.JPG"), path("b.png")];
        let expected = [
            vec![a.clone()],
            vec![b.clone()],
            vec![b.clone()],
            vec![b, a],
        ];
        assert_eq!(found.studies, expected);
        assert_eq!(found.left_out[0].0, path("notes.txt"));
        assert!(found.left_out[0].1.contains("a text"));
    }

    #[test]
    fn films_are_known_by_their_content() {
        let dicom = [&[0; 128], &b"DICM"[..]].concat();
        let folder = folder(&[
            ("IM000001", &dicom),
            ("UPPER.JPEG", JPEG),
            ("film", PNG),
            ("film.dicom", &dicom),
            ("old.webp", b"RIFF\x10\0\0\0WEBPVP8 "),
            ("DICOMDIR", &dicom),
        ]);
        let found = found(folder.path(), OnBadStudy::Stop).expect("sound");
        let (studies, left_out) = names(folder.path(), &found);
        let reason = |name: &str| {
            let mut all = found.left_out.iter();
            &all.find(|(path, _)| path.ends_with(name)).expect(name).1
        };
        if cfg!(feature = "dicom") {
            assert_eq!(
                studies.concat(),
                ["IM000001", "UPPER.JPEG", "film", "film.dicom"]
            );
            assert_eq!(left_out, ["DICOMDIR", "old.webp"]);
        } else {
            assert_eq!(studies.concat(), ["UPPER.JPEG", "film"]);
            assert_eq!(left_out, ["DICOMDIR", "IM000001", "film.dicom", "old.webp"]);
            assert!(reason("film.dicom").contains("cargo feature `dicom`"));
        }
        assert!(reason("old.webp").contains("WebP"));
        assert!(reason("DICOMDIR").contains("DICOMDIR"));
    }

    #[test]
    fn what_only_claims_to_be_a_film_stops_or_is_skipped() {
        let folder = folder(&[("._a.png", b"\0\x05\x16\x07\0\x02"), ("a.png", PNG)]);
        let error = found(folder.path(), OnBadStudy::Stop).expect_err("no film");
        let error = error.to_string();
        assert!(
            error.contains("._a.png") && error.contains("macOS"),
            "{error}"
        );
        let found = found(folder.path(), OnBadStudy::Skip).expect("one is left");
        let (studies, left_out) = names(folder.path(), &found);
        assert_eq!(studies.concat(), ["a.png"]);
        assert!(left_out.is_empty());
        assert!(found.broken[0].to_string().contains("._a.png"));
    }

    #[test]
    fn folders_inside_are_studies_of_their_views() {
        let folder = folder(&[
            ("CXR1/1.png", PNG),
            ("CXR1/0.png", PNG),
            ("p10/p1/s5/b.jpg", JPEG),
            ("p10/p1/s4/a.jpg", JPEG),
            ("p10/p1/s4.txt", b"FINDINGS"),
            ("z.png", PNG),
            ("__MACOSX/z.png", PNG),
        ]);
        let found = found(folder.path(), OnBadStudy::Stop).expect("sound");
        let (studies, left_out) = names(folder.path(), &found);
        let expected: [&[&str]; 4] = [
            &["CXR1/0.png", "CXR1/1.png"],
            &["p10/p1/s4/a.jpg"],
            &["p10/p1/s5/b.jpg"],
            &["z.png"],
        ];
        assert_eq!(studies, expected);
        assert_eq!(left_out, ["__MACOSX", "p10/p1/s4.txt"]);
    }

    #[test]
    fn a_folder_of_many_films_is_no_study() {
        let names: Vec<String> = (0..17).map(|it| format!("test/{it:02}.png")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), PNG)).collect();
        let folder = folder(&files);
        let found = found(folder.path(), OnBadStudy::Stop).expect("sound");
        assert_eq!(found.studies.len(), 17);
        assert!(found.notes[0].contains("17 films"), "{:?}", found.notes);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = folder(&[("notes.txt", b"to do")]);
        let absent = folder.path().join("absent.png").display().to_string();
        for policy in [OnBadStudy::Stop, OnBadStudy::Skip] {
            let error = find_studies(std::slice::from_ref(&absent), policy).unwrap_err();
            assert!(error.to_string().contains("absent.png"), "{error}");
            let error = found(folder.path(), policy).unwrap_err();
            assert!(error.to_string().contains(".png"), "{error}");
        }
    }
}
