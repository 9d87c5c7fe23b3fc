//! Studies of a source, tokenised, with first negatives.

mod balance;
mod batch;
mod drawn;
mod features;
mod first_negatives;
mod images;
mod near_twins;
mod screening;
mod source;
mod stated;
mod uids;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ithn_checkpoint::card::DataKind;
use ithn_checkpoint::config::{ExperimentConfig, Negatives};
use ithn_data::{
    Annotation, BatchMember, DataError, Exclusions, ImageCheck, MimicOptions, OnBadStudy, Split,
    Study, TokenizedStudy, Tokenizer, read_mimic_first, read_mimic_watched, screen_first_images,
    screen_images,
};
use ithn_inference::FindingsReader;
use ithn_search::SearchConfig;

pub(crate) use balance::{distinct_batches, distinct_groups};
pub use batch::training_batch;
use drawn::DRAWN_MARK;
pub use drawn::{draw_annotation, stated_findings};
pub(crate) use features::frozen_features;
pub use images::RunImages;
pub use near_twins::near_twins;
pub use source::DataSource;
pub use uids::UidParity;

use crate::error::TrainError;
use crate::ranks::Ranks;
use balance::repeats;
use first_negatives::first_negatives;
use stated::{stated, stated_classes};

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
    /// Reads a dataset; `limit` keeps the first studies of every split and reads no others, `views`
    /// images a study.
    ///
    /// Images must exist. Where broken studies are skipped, their headers are checked as well;
    /// [`drop_undecodable`](Self::drop_undecodable) or a cache finds the rest.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or a split has no study; if a study is broken and not skipped.
    pub fn load(
        source: &DataSource,
        views: usize,
        limit: Option<usize>,
        on_bad_study: OnBadStudy,
    ) -> Result<Self, TrainError> {
        Dataset::load_watched(source, views, limit, on_bad_study, &|_, _, _| {})
    }

    /// Like [`load`](Self::load), for somebody who waits.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_watched(
        source: &DataSource,
        views: usize,
        limit: Option<usize>,
        on_bad_study: OnBadStudy,
        watch: Watch<'_>,
    ) -> Result<Self, TrainError> {
        let check = match on_bad_study {
            OnBadStudy::Stop => ImageCheck::Present,
            OnBadStudy::Skip => ImageCheck::Header,
        };
        let options = |reports: Option<PathBuf>| {
            let mut options = MimicOptions::default();
            options.views = views;
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
            DataSource::Mimic { folder, reports } => {
                Dataset::mimic(folder, &options(reports.clone()), limit, watch)?
            }
            DataSource::Annotation { file, images } => {
                Dataset::annotation(file, images, check, limit, on_bad_study)?
            }
            DataSource::HalfOfUids { source, train_on } => {
                let mut dataset = Dataset::load_watched(source, views, limit, on_bad_study, watch)?;
                dataset.restrict_training(*train_on)?;
                dataset
            }
        };
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
            notes: read.exclusions.notes_by_rule(),
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
        check: ImageCheck,
        limit: Option<usize>,
        on_bad_study: OnBadStudy,
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
        let studies = Annotation::read(file)?.studies_or(file, images, &mut exclusions)?;
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

/// A dataset tokenised, with first negatives: what training and evaluation iterate over.
#[derive(Debug, Clone)]
pub struct PreparedData {
    /// Cleaning rules and vocabulary.
    pub tokenizer: Tokenizer,
    /// Training studies, then the negatives that the dataset contains.
    pub training: Arc<Vec<TokenizedStudy>>,
    /// Training studies and their first negatives, as indices into [`training`](Self::training).
    pub members: Vec<BatchMember>,
    /// The batch members of an epoch before shuffling: indices into [`members`](Self::members).
    pub turns: Vec<usize>,
    /// Validation studies.
    pub validation: EvaluationSplit,
    /// Test studies.
    pub test: EvaluationSplit,
    /// How findings are extracted from reports.
    pub findings: FindingsReader,
    /// How reports are searched in this vocabulary.
    pub search: SearchConfig,
    /// The set of findings that each report of [`training`](Self::training) states, by number, if equal ones are masked
    /// in the contrast.
    pub label_sets: Option<Vec<i64>>,
    /// The findings that each report of [`training`](Self::training) states, 1 or 0, if the decoder is told findings or they
    /// are classified.
    pub stated: Option<Vec<Vec<f32>>>,
}

/// Studies to generate reports for, and their reference reports.
#[derive(Debug, Clone)]
pub struct EvaluationSplit {
    /// `val` or `test`.
    pub name: &'static str,
    /// Studies.
    pub studies: Arc<Vec<TokenizedStudy>>,
    /// Their reports as R2Gen compares them: cleaned, cut to the model's length, rare words `<unk>`.
    pub references: Vec<String>,
    /// Their raw reports, on one line.
    pub full_references: Vec<String>,
}

impl PreparedData {
    /// Tokenises a dataset with the vocabulary of its training reports (or a given tokenizer) and
    /// finds first negatives if the configuration uses them.
    ///
    /// # Errors
    ///
    /// If a report is empty after cleaning, the batch is larger than the training split, or mining
    /// fails.
    pub fn new(
        dataset: &Dataset,
        config: &ExperimentConfig,
        tokenizer: Option<Tokenizer>,
    ) -> Result<Self, TrainError> {
        PreparedData::watched(dataset, config, tokenizer, &|_, _, _| {})
    }

    /// Like [`new`](Self::new), for somebody who waits.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn watched(
        dataset: &Dataset,
        config: &ExperimentConfig,
        tokenizer: Option<Tokenizer>,
        watch: Watch<'_>,
    ) -> Result<Self, TrainError> {
        PreparedData::of_ranks(dataset, config, tokenizer, watch, &Ranks::default())
    }

    /// Like [`watched`](Self::watched), with the mining divided among ranks; every rank gets all of it.
    pub(crate) fn of_ranks(
        dataset: &Dataset,
        config: &ExperimentConfig,
        tokenizer: Option<Tokenizer>,
        watch: Watch<'_>,
        ranks: &Ranks,
    ) -> Result<Self, TrainError> {
        let train: Vec<&Study> = dataset.split(Split::Train).collect();
        if config.training.batch_size > train.len() {
            return Err(TrainError::BatchTooLarge {
                batch_size: config.training.batch_size,
                studies: train.len(),
            });
        }
        let tokenizer = match tokenizer {
            Some(tokenizer) => tokenizer,
            None => Tokenizer::fit(
                train.iter().map(|study| study.report.as_str()),
                config.text.cleaning,
                config.text.minimum_occurrences,
            )?,
        };
        let encode = |study: &Study| encode_study(study, &tokenizer, config.text.max_tokens);
        let mut training: Vec<TokenizedStudy> = train
            .iter()
            .map(|study| encode(study))
            .collect::<Result<_, _>>()?;
        let members = match config.negatives {
            Negatives::Off => (0..train.len())
                .map(|study| BatchMember {
                    study,
                    negative: None,
                })
                .collect(),
            Negatives::Ithn | Negatives::Fixed => {
                let negatives =
                    first_negatives(&train, &tokenizer, config, &mut training, watch, ranks)?;
                negatives
                    .into_iter()
                    .enumerate()
                    .map(|(study, negative)| BatchMember {
                        study,
                        negative: Some(negative),
                    })
                    .collect()
            }
        };
        let reports = train.iter().map(|study| study.report.as_str());
        let turns = repeats(reports, config.training.repeats_at_most)
            .into_iter()
            .enumerate()
            .flat_map(|(member, times)| std::iter::repeat_n(member, times))
            .collect();
        let evaluation = |split: Split| -> Result<EvaluationSplit, TrainError> {
            let studies: Vec<TokenizedStudy> =
                dataset.split(split).map(encode).collect::<Result<_, _>>()?;
            Ok(EvaluationSplit {
                name: split.name(),
                references: studies
                    .iter()
                    .map(|study| tokenizer.decode(&study.tokens[1..]))
                    .collect(),
                full_references: dataset
                    .split(split)
                    .map(|study| {
                        let words: Vec<&str> = study.report.split_whitespace().collect();
                        words.join(" ")
                    })
                    .collect(),
                studies: Arc::new(studies),
            })
        };
        let (validation, test) = (evaluation(Split::Validation)?, evaluation(Split::Test)?);
        let label_sets = config
            .ithn
            .mask_equal_labels
            .then(|| label_sets(&training, &tokenizer, dataset.findings));
        let classes = stated_classes(config)?;
        Ok(PreparedData {
            label_sets,
            stated: classes.map(|classes| stated(&training, &tokenizer, &classes)),
            validation,
            test,
            findings: dataset.findings,
            search: config.search(&tokenizer),
            training: Arc::new(training),
            members,
            turns,
            tokenizer,
        })
    }
}

/// Numbers the sets of findings that reports state, as the model reads the reports.
fn label_sets(
    studies: &[TokenizedStudy],
    tokenizer: &Tokenizer,
    findings: FindingsReader,
) -> Vec<i64> {
    let mut numbers = HashMap::new();
    studies
        .iter()
        .map(|study| {
            let next = numbers.len() as i64;
            let stated = findings.abnormal(&tokenizer.decode(&study.tokens[1..]));
            *numbers.entry(stated).or_insert(next)
        })
        .collect()
}

fn encode_study(
    study: &Study,
    tokenizer: &Tokenizer,
    max_tokens: usize,
) -> Result<TokenizedStudy, DataError> {
    Ok(TokenizedStudy {
        id: study.id.clone(),
        images: study.images.clone(),
        tokens: tokenizer.encode_study(&study.id, &study.report, max_tokens)?,
    })
}
