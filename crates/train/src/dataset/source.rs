use std::fmt;
use std::path::{Path, PathBuf};

use ithn_data::phantom::{
    PhantomConfig, PhantomHistoryConfig, write_phantom_dataset, write_phantom_histories,
};

use super::uids::UidParity;
use crate::error::TrainError;

/// Source of the studies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataSource {
    /// Phantom studies, written to this folder unless they are there already.
    Phantom(PathBuf),
    /// Phantom patients with histories, written to this folder unless they are there already.
    PhantomHistory(PathBuf),
    /// A MIMIC-CXR-JPG folder.
    Mimic {
        /// The folder, with tables and images.
        folder: PathBuf,
        /// MIMIC-CXR's reports, a folder or the zip archive, if they lie elsewhere.
        reports: Option<PathBuf>,
    },
    /// R2Gen's `annotation.json` and its images folder.
    Annotation {
        /// The annotation.
        file: PathBuf,
        /// Folder that its image paths start from.
        images: PathBuf,
    },
    /// Another source of Open-i studies (IU X-Ray), trained on half of them alone: all studies of the other half are the
    /// test split, to be scored against human tags that no training saw.
    HalfOfUids {
        /// The source.
        source: Box<DataSource>,
        /// The half that is trained on.
        train_on: UidParity,
    },
}

impl DataSource {
    /// A MIMIC-CXR-JPG folder that holds its reports too.
    pub fn mimic(folder: PathBuf) -> Self {
        DataSource::Mimic {
            folder,
            reports: None,
        }
    }

    /// The same source, trained on uids of one parity and tested on all studies of the other.
    pub fn trained_on(self, parity: UidParity) -> Self {
        DataSource::HalfOfUids {
            source: Box::new(self),
            train_on: parity,
        }
    }

    /// Writes phantom studies, unless they are there or the studies come from elsewhere.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub(crate) fn draw(&self) -> Result<(), TrainError> {
        match self {
            DataSource::Phantom(folder) => {
                write_phantom_dataset(folder, &PhantomConfig::default())?;
                Ok(())
            }
            DataSource::PhantomHistory(folder) => {
                write_phantom_histories(folder, &PhantomHistoryConfig::default())?;
                Ok(())
            }
            DataSource::HalfOfUids { source, .. } => source.draw(),
            DataSource::Mimic { .. } | DataSource::Annotation { .. } => Ok(()),
        }
    }

    /// The first of its files and folders that is not there. Phantom studies are drawn where they are missing.
    pub fn missing(&self) -> Option<&Path> {
        let mut needed = match self {
            DataSource::Phantom(_) | DataSource::PhantomHistory(_) => vec![],
            DataSource::Mimic { folder, reports } => {
                vec![Some(folder.as_path()), reports.as_deref()]
            }
            DataSource::Annotation { file, images } => {
                vec![Some(file.as_path()), Some(images.as_path())]
            }
            DataSource::HalfOfUids { source, .. } => return source.missing(),
        };
        needed.retain(|path| path.is_some_and(|path| !path.exists()));
        needed.into_iter().flatten().next()
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataSource::Phantom(folder)
            | DataSource::PhantomHistory(folder)
            | DataSource::Mimic {
                folder,
                reports: None,
            } => write!(formatter, "{}", folder.display()),
            DataSource::Mimic {
                folder,
                reports: Some(reports),
            } => write!(
                formatter,
                "{} with the reports of {}",
                folder.display(),
                reports.display()
            ),
            DataSource::Annotation { file, images } => write!(
                formatter,
                "{} with the images of {}",
                file.display(),
                images.display()
            ),
            DataSource::HalfOfUids { source, train_on } => {
                write!(formatter, "{source}, trained on {train_on} uids")
            }
        }
    }
}
