//! Studies of a source, tokenised, with first negatives.

mod admissible;
mod balance;
mod batch;
mod drawn;
mod edited_negatives;
mod features;
mod first_negatives;
mod images;
mod inputs;
mod near_twins;
mod prepared;
mod screening;
mod source;
mod stated;
mod uids;

use std::path::{Path, PathBuf};

use ithn_checkpoint::card::DataKind;
use ithn_data::{
    Annotation, DataError, Exclusions, ImageCheck, LeftOutPriors, MimicOptions, OnBadStudy, Split,
    Study, read_mimic_first, read_mimic_watched, screen_first_images, screen_images,
};
use ithn_inference::FindingsReader;

pub(crate) use admissible::Admissible;
pub(crate) use balance::{distinct_batches, distinct_groups};
pub use batch::training_batch;
use drawn::DRAWN_MARK;
pub use drawn::{draw_annotation, stated_findings};
pub(crate) use features::frozen_features;
pub use images::RunImages;
pub use inputs::StudyInputs;
pub use near_twins::near_twins;
pub use prepared::{EvaluationSplit, PreparedData};
pub use source::DataSource;
pub use uids::UidParity;

use crate::error::TrainError;

/// Is told of long work: its name, how much of it is done, and of how much. Called on any thread.
pub type Watch<'a> = &'a (dyn Fn(&str, usize, usize) + Sync);

/// Studies of all splits, as read.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Path of the source, for messages.
    pub path: PathBuf,
    /// The studies.
    pub studies: Vec<Study>,
    /// How findings are extracted from reports of this dataset.
    pub findings: FindingsReader,
    /// Remarks, such as what a rule leaves out.
    pub notes: Vec<String>,
    /// Broken studies that were skipped.
    pub warnings: Vec<String>,
    /// Where the studies come from.
    pub kind: DataKind,
}

impl Dataset {
    /// Reads a dataset; `limit` keeps the first studies of every split and reads no others. `inputs` are the images of a
    /// study, or a model's configuration, which may also read previous studies.
    ///
    /// Images must exist. Where broken studies are skipped, their headers are checked as well;
    /// [`drop_undecodable`](Self::drop_undecodable) or a cache finds the rest.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or a split has no study; if a study is broken and not skipped.
    pub fn load(
        source: &DataSource,
        inputs: impl Into<StudyInputs>,
        limit: Option<usize>,
        on_bad_study: OnBadStudy,
    ) -> Result<Self, TrainError> {
        Dataset::load_watched(source, inputs, limit, on_bad_study, &|_, _, _| {})
    }

    /// Like [`load`](Self::load), for somebody who waits.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_watched(
        source: &DataSource,
        inputs: impl Into<StudyInputs>,
        limit: Option<usize>,
        on_bad_study: OnBadStudy,
        watch: Watch<'_>,
    ) -> Result<Self, TrainError> {
        let inputs = inputs.into();
        let check = match on_bad_study {
            OnBadStudy::Stop => ImageCheck::Present,
            OnBadStudy::Skip => ImageCheck::Header,
        };
        let options = |reports: Option<PathBuf>| {
            let mut options = MimicOptions::default();
            options.views = inputs.views;
            options.prior_views = inputs.prior_views;
            options.reports = reports;
            options.on_bad_study = on_bad_study;
            options.image_check = check;
            options
        };
        let dataset = match source {
            DataSource::Phantom(folder) => {
                source.draw()?;
                Dataset::mimic(folder, &options(None), limit, watch)?
            }
            DataSource::PhantomHistory(folder) => {
                source.draw()?;
                let mut options = options(None);
                // Which studies have a previous one is known to the scores of every model.
                options.prior_views = options.prior_views.or(Some(0));
                Dataset::mimic(folder, &options, limit, watch)?
            }
            DataSource::Mimic { folder, reports } => {
                Dataset::mimic(folder, &options(reports.clone()), limit, watch)?
            }
            DataSource::Annotation { file, images } => {
                let policy = (check, on_bad_study);
                Dataset::annotation(file, images, inputs, policy, limit)?
            }
            DataSource::HalfOfUids { source, train_on } => {
                let mut dataset =
                    Dataset::load_watched(source, inputs, limit, on_bad_study, watch)?;
                dataset.restrict_training(*train_on)?;
                dataset
            }
            DataSource::WithoutTest { source } => {
                let mut dataset =
                    Dataset::load_watched(source, inputs, limit, on_bad_study, watch)?;
                dataset.leave_test_out();
                dataset
            }
        };
        dataset.check_splits()?;
        Ok(dataset)
    }

    /// Phantom patients that were written to a folder before, whatever their configuration.
    pub(crate) fn of_drawn(
        folder: &Path,
        inputs: impl Into<StudyInputs>,
    ) -> Result<Self, TrainError> {
        let inputs = inputs.into();
        let mut options = MimicOptions::default();
        options.views = inputs.views;
        options.prior_views = inputs.prior_views.or(Some(0));
        let dataset = Dataset::mimic(folder, &options, None, &|_, _, _| {})?;
        dataset.check_splits()?;
        Ok(dataset)
    }

    fn mimic(
        folder: &Path,
        options: &MimicOptions,
        limit: Option<usize>,
        watch: Watch<'_>,
    ) -> Result<Self, TrainError> {
        let read = match limit {
            Some(limit) => read_mimic_first(folder, options, limit)?,
            None => read_mimic_watched(folder, options, |done, total| {
                watch("reading reports", done, total);
            })?,
        };
        let findings = FindingsReader::for_folder(folder);
        Ok(Dataset {
            path: folder.to_owned(),
            studies: read.studies,
            findings,
            notes: {
                let mut notes = read.exclusions.notes_by_rule();
                notes.extend(left_out_priors(&read.left_out_priors));
                notes
            },
            warnings: read.exclusions.notes_of_broken(),
            kind: match findings {
                FindingsReader::Phantom => DataKind::Phantom,
                _ => DataKind::Mimic,
            },
        })
    }

    fn annotation(
        file: &Path,
        images: &Path,
        inputs: StudyInputs,
        (check, on_bad_study): (ImageCheck, OnBadStudy),
        limit: Option<usize>,
    ) -> Result<Self, TrainError> {
        if !images.is_dir() {
            return Err(DataError::Layout {
                path: images.to_owned(),
                layout: "images",
                missing: "such folder".to_owned(),
            }
            .into());
        }
        let mut exclusions = Exclusions::new(on_bad_study);
        let mut studies = Annotation::read(file)?.studies_or(file, images, &mut exclusions)?;
        // Films that are not read need not be there.
        for prior in studies
            .iter_mut()
            .filter_map(|it| it.context.prior.as_mut())
        {
            prior.images.truncate(inputs.prior_views.unwrap_or(0));
            prior.projections.truncate(prior.images.len());
        }
        let studies = match limit {
            Some(limit) => screen_first_images(studies, check, limit, &mut exclusions)?,
            None => screen_images(studies, check, &mut exclusions)?,
        };
        Ok(Dataset {
            path: file.to_owned(),
            studies,
            findings: FindingsReader::Rules14,
            notes: exclusions.notes_by_rule(),
            warnings: exclusions.notes_of_broken(),
            kind: match images.join(DRAWN_MARK).is_file() {
                true => DataKind::DrawnFilms,
                false => DataKind::Annotation,
            },
        })
    }

    /// Puts the validation studies in the place of the test split.
    fn leave_test_out(&mut self) {
        self.studies.retain(|study| study.split != Split::Test);
        let validation: Vec<Study> = self.split(Split::Validation).cloned().collect();
        self.studies.extend(validation.into_iter().map(|mut study| {
            study.split = Split::Test;
            study
        }));
        self.notes.push(
            "the test split is left unread: every score called test is of the validation split"
                .to_owned(),
        );
    }

    pub(crate) fn check_splits(&self) -> Result<(), TrainError> {
        for split in Split::ALL {
            if self.split(split).next().is_none() {
                return Err(DataError::EmptySplit {
                    split: split.name(),
                    path: self.path.clone(),
                }
                .into());
            }
        }
        Ok(())
    }

    /// Studies of one split.
    pub fn split(&self, split: Split) -> impl Iterator<Item = &Study> {
        self.studies
            .iter()
            .filter(move |study| study.split == split)
    }
}

/// A remark on studies that have no previous study although their patient has others.
fn left_out_priors(left_out: &LeftOutPriors) -> Option<String> {
    (!left_out.is_empty()).then(|| {
        format!(
            "without a previous study: {} studies have no date, the previous one of {} is in another split",
            left_out.without_date, left_out.other_split
        )
    })
}
