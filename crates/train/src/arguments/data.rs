//! The options that name the data of a run.

use std::path::{Path, PathBuf};

use clap::Args;
use ithn_checkpoint::config::Preset;

use crate::{DataSource, RunDescription, TrainError, UidParity};

/// Where phantom studies are drawn.
const PHANTOMS: &str = "runs/phantom-studies";

/// Where phantom patients with histories are drawn.
const HISTORIES: &str = "runs/phantom-histories";

/// The data of a run. Flatten them into a parser of your own.
#[derive(Debug, Clone, Default, Args)]
pub struct DataArguments {
    /// MIMIC-CXR-JPG folder (split and metadata tables, files/p10/…)
    #[arg(long, value_name = "DIR", conflicts_with = "annotation")]
    data: Option<PathBuf>,

    /// MIMIC-CXR's reports, if they are not in --data: a folder, or mimic-cxr-reports.zip
    #[arg(long, value_name = "PATH", requires = "data")]
    reports: Option<PathBuf>,

    /// R2Gen's annotation.json
    #[arg(long, value_name = "FILE", requires = "images")]
    annotation: Option<PathBuf>,

    /// Folder that the annotation's image paths start from
    #[arg(long, value_name = "DIR", requires = "annotation")]
    images: Option<PathBuf>,

    /// Train on IU X-Ray's studies of even (or odd) uids alone; all of the others are the test split, to be scored against
    /// tags that people gave
    #[arg(long, value_name = "even|odd", requires = "annotation")]
    train_on: Option<UidParity>,
}

impl DataArguments {
    /// The data that is named; none if none is.
    pub fn named(&self) -> Option<DataSource> {
        let source = self.whole()?;
        Some(match self.train_on {
            Some(parity) => source.trained_on(parity),
            None => source,
        })
    }

    /// Whether an annotation is named.
    pub(super) fn is_annotation(&self) -> bool {
        self.data.is_none() && self.annotation.is_some()
    }

    fn whole(&self) -> Option<DataSource> {
        match (&self.data, &self.annotation, &self.images) {
            (Some(folder), _, _) => Some(DataSource::Mimic {
                folder: folder.clone(),
                reports: self.reports.clone(),
            }),
            (None, Some(file), Some(images)) => Some(DataSource::Annotation {
                file: file.clone(),
                images: images.clone(),
            }),
            _ => None,
        }
    }

    /// The data that is named, or else phantom studies.
    pub fn source(&self) -> DataSource {
        self.named()
            .unwrap_or_else(|| DataSource::Phantom(PathBuf::from(PHANTOMS)))
    }

    /// The data that is named, or else the phantom studies of a preset.
    pub fn source_for(&self, preset: Preset) -> DataSource {
        self.named().unwrap_or_else(|| match preset {
            Preset::PhantomHistory => DataSource::PhantomHistory(PathBuf::from(HISTORIES)),
            _ => self.source(),
        })
    }

    /// How the run in a folder reads its data: as it says itself, but from the data that is named, if any is.
    ///
    /// # Errors
    ///
    /// [`TrainError::UnknownData`] if neither the run nor the options say where the data is,
    /// [`TrainError::Description`] if the run's `run.json` cannot be read.
    pub fn of_run(&self, run: &Path) -> Result<RunDescription, TrainError> {
        match (RunDescription::read(run)?, self.named()) {
            (Some(mut described), Some(source)) => {
                described.source = source;
                Ok(described)
            }
            (Some(described), None) => Ok(described),
            (None, Some(source)) => Ok(RunDescription::of_source(source)),
            (None, None) => Err(TrainError::UnknownData(run.to_owned())),
        }
    }
}
