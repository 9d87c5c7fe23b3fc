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
    /// Another source whose test split is left out: its validation studies stand in its place, so that options can be
    /// chosen by the final table while the test split stays unread.
    WithoutTest {
        /// The source.
        source: Box<DataSource>,
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

    /// The same source with the validation studies in the place of the test split.
    pub fn without_test(self) -> Self {
        DataSource::WithoutTest {
            source: Box::new(self),
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
            DataSource::HalfOfUids { source, .. } | DataSource::WithoutTest { source } => {
                source.draw()
            }
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
            DataSource::HalfOfUids { source, .. } | DataSource::WithoutTest { source } => {
                return source.missing();
            }
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
            DataSource::WithoutTest { source } => {
                write!(formatter, "{source}, without its test split")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use ithn_data::{OnBadStudy, Split};

    #[test]
    fn without_its_test_split_a_source_has_the_validation_split_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = PhantomConfig::new(4, 2, 3).with_image_size(16);
        write_phantom_dataset(folder.path(), &config).expect("drawn");
        let source = DataSource::mimic(folder.path().to_owned());
        let ids = |source: &DataSource, split: Split| -> Vec<String> {
            let dataset = Dataset::load(source, 1, None, OnBadStudy::Stop).expect("readable");
            dataset.split(split).map(|study| study.id.clone()).collect()
        };
        let held = source.clone().without_test();
        assert_eq!(ids(&source, Split::Test).len(), 3);
        assert_eq!(ids(&held, Split::Test), ids(&source, Split::Validation));
        for split in [Split::Train, Split::Validation] {
            assert_eq!(ids(&held, split), ids(&source, split));
        }
        assert!(held.to_string().contains("without its test split"));
    }
}
