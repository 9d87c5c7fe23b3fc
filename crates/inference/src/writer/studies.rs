use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use ithn_data::DataError;

/// Extensions of image files, as a folder is searched for them.
const EXTENSIONS: &[&str] = match cfg!(feature = "dicom") {
    true => &["png", "jpg", "jpeg", "dcm"],
    false => &["png", "jpg", "jpeg"],
};

/// Studies named on a command line: a file is a study of one view, files joined by commas are the
/// views of one study, and a folder holds studies of one view each, in the order of their names.
///
/// # Errors
///
/// If a file or folder is not there, or a folder holds no image.
pub fn find_studies(names: &[String]) -> Result<Vec<Vec<PathBuf>>, DataError> {
    let mut studies = Vec::new();
    for name in names {
        let path = Path::new(name);
        if path.is_dir() {
            studies.extend(images_of(path)?.into_iter().map(|image| vec![image]));
            continue;
        }
        let views: Vec<PathBuf> = match path.is_file() {
            true => vec![path.to_owned()],
            false => name.split(',').map(PathBuf::from).collect(),
        };
        for view in &views {
            fs::metadata(view).map_err(|source| unreadable(view, source))?;
        }
        studies.push(views);
    }
    Ok(studies)
}

fn images_of(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut images = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
        let path = entry.map_err(|source| unreadable(folder, source))?.path();
        let extension = path.extension().and_then(OsStr::to_str);
        let is_image = extension
            .is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()));
        if is_image && path.is_file() {
            images.push(path);
        }
    }
    if images.is_empty() {
        return Err(DataError::Layout {
            path: folder.to_owned(),
            layout: "images",
            missing: format!(".{} file", EXTENSIONS.join(", .")),
        });
    }
    images.sort();
    Ok(images)
}

fn unreadable(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io {
        action: "cannot read",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_views_become_studies() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.png", "a.JPG", "notes.txt"] {
            fs::write(folder.path().join(name), "").expect("writable");
        }
        let path = |name: &str| folder.path().join(name);
        let text = |path: PathBuf| path.display().to_string();
        let views = format!("{},{}", path("b.png").display(), path("a.JPG").display());
        let names = [text(folder.path().to_owned()), text(path("b.png")), views];
        let studies = find_studies(&names).expect("all are there");
        let [a, b] = [path("a.JPG"), path("b.png")];
        let expected = [
            vec![a.clone()],
            vec![b.clone()],
            vec![b.clone()],
            vec![b, a],
        ];
        assert_eq!(studies, expected);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let absent = folder.path().join("absent.png").display().to_string();
        let error = find_studies(std::slice::from_ref(&absent)).unwrap_err();
        assert!(error.to_string().contains("absent.png"), "{error}");
        let empty = folder.path().display().to_string();
        let error = find_studies(&[empty]).unwrap_err();
        assert!(error.to_string().contains(".png"), "{error}");
    }
}
