//! Weights from the Hugging Face Hub, named `hf:OWNER/NAME/FILE` where a file is asked for (feature `hub`).

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file of the hub could not be had.
#[derive(Debug, Error)]
pub(crate) enum HubError {
    /// The name is not one of the hub.
    #[error(
        "{0} names no file of the hub: write hf:OWNER/NAME/FILE, or hf:OWNER/NAME@REVISION/FILE, in letters, digits \
         and . _ -"
    )]
    Name(String),
    /// The program lacks the client.
    #[cfg(not(feature = "hub"))]
    #[error("{0}: this program was built without the hub: install it with --features hub")]
    Absent(String),
    /// The hub did not give it.
    #[cfg(feature = "hub")]
    #[error("{name} cannot be fetched: {reason}")]
    Fetch { name: String, reason: String },
    /// The file in the cache is not the one that the hub announced.
    #[cfg(feature = "hub")]
    #[error("{name}: {} has another checksum than the hub states: delete it and fetch again", path.display())]
    Checksum { name: String, path: PathBuf },
}

/// A file of the hub.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "hub"), allow(dead_code))]
struct HubFile {
    repository: String,
    revision: Option<String>,
    file: String,
}

impl HubFile {
    /// `None` if the path does not begin with `hf:`.
    fn parse(path: &Path) -> Option<Result<Self, HubError>> {
        let text = path.to_str()?;
        let name = text.strip_prefix("hf:")?;
        Some(Self::of_name(name).ok_or_else(|| HubError::Name(text.to_owned())))
    }

    fn of_name(name: &str) -> Option<Self> {
        let plain = |part: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !part.is_empty() && part != "." && part != ".." && part.chars().all(known)
        };
        let (owner, rest) = name.split_once('/')?;
        let (repository, file) = rest.split_once('/')?;
        let (repository, revision) = match repository.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (repository, None),
        };
        let mut parts = file.split('/').chain([owner, repository]).chain(revision);
        parts.all(plain).then(|| HubFile {
            repository: format!("{owner}/{repository}"),
            revision: revision.map(str::to_owned),
            file: file.to_owned(),
        })
    }
}

/// The path itself, or for a file of the hub the path of its copy here. Copies are kept where the Hub's own Python
/// client keeps them (`HF_HOME`), and used without asking again while they are there; `HF_ENDPOINT` and the login's
/// token are respected.
pub(crate) fn local_path(path: &Path) -> Result<PathBuf, HubError> {
    match HubFile::parse(path) {
        None => Ok(path.to_owned()),
        Some(file) => fetch(&file?, &path.to_string_lossy()),
    }
}

#[cfg(not(feature = "hub"))]
fn fetch(_: &HubFile, name: &str) -> Result<PathBuf, HubError> {
    Err(HubError::Absent(name.to_owned()))
}

#[cfg(feature = "hub")]
fn fetch(file: &HubFile, name: &str) -> Result<PathBuf, HubError> {
    use hf_hub::api::sync::ApiBuilder;
    use hf_hub::{Repo, RepoType};

    let failed = |reason: String| HubError::Fetch {
        name: name.to_owned(),
        reason,
    };
    let repository = match &file.revision {
        Some(revision) => {
            Repo::with_revision(file.repository.clone(), RepoType::Model, revision.clone())
        }
        None => Repo::model(file.repository.clone()),
    };
    let api = ApiBuilder::from_env().with_progress(false).build();
    let api = api.map_err(|error| failed(error.to_string()))?;
    let path = api.repo(repository).get(&file.file);
    let path = path.map_err(|error| failed(error.to_string()))?;
    if !has_stated_checksum(&path).map_err(|error| failed(error.to_string()))? {
        return Err(HubError::Checksum {
            name: name.to_owned(),
            path,
        });
    }
    Ok(path)
}

/// Whether a cached file has the checksum that the hub stated. The cache links a name to the content's entity tag,
/// which for large files is their SHA-256; the tag of a small file is Git's hash of the object, SHA-1, and is
/// not checked.
#[cfg(feature = "hub")]
fn has_stated_checksum(path: &Path) -> std::io::Result<bool> {
    use sha2::{Digest, Sha256};

    let blob = path.canonicalize()?;
    let Some(stated) = blob.file_name().and_then(|name| name.to_str()) else {
        return Ok(true);
    };
    if stated.len() != 64 || !stated.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(true);
    }
    let mut hash = Sha256::new();
    std::io::copy(&mut std::fs::File::open(&blob)?, &mut hash)?;
    let found: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(found.eq_ignore_ascii_case(stated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Option<Result<HubFile, HubError>> {
        HubFile::parse(Path::new(name))
    }

    #[test]
    fn names_of_the_hub_are_told_from_paths() {
        assert!(parsed("resnet101.pth").is_none());
        assert!(parsed("folder/hf:x").is_none());
        let file = parsed("hf:owner/name@main/sub/best.ithn")
            .expect("a name")
            .expect("sound");
        assert_eq!(file.repository, "owner/name");
        assert_eq!(file.revision.as_deref(), Some("main"));
        assert_eq!(file.file, "sub/best.ithn");
        for wrong in [
            "hf:",
            "hf:x",
            "hf:o/n",
            "hf:o/n/",
            "hf:o/n/../x",
            "hf:o/n/a b",
            "hf:o//f",
            "hf:o/n@/f",
        ] {
            let error = parsed(wrong).expect("the hub's").expect_err(wrong);
            assert!(error.to_string().contains("hf:OWNER/NAME/FILE"), "{error}");
        }
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn without_the_client_the_way_out_is_said() {
        let error = local_path(Path::new("hf:o/n/f")).expect_err("no client");
        assert!(error.to_string().contains("--features hub"), "{error}");
    }
}
