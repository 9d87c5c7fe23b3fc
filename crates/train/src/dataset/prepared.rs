use std::collections::HashMap;
use std::sync::Arc;

use ithn_checkpoint::config::{ExperimentConfig, FirstNegatives, Negatives};
use ithn_data::{BatchMember, DataError, Split, Study, TokenizedStudy, Tokenizer};
use ithn_inference::FindingsReader;
use ithn_models::ContextConfig;
use ithn_plugin::SamePatient;
use ithn_search::SearchConfig;

use super::balance::repeats;
use super::first_negatives::first_negatives;
use super::inputs::tokenized_context;
use super::stated::{stated, stated_classes};
use super::{Admissible, Dataset, Watch};
use crate::error::TrainError;
use crate::ranks::Ranks;

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
    /// Further mined negatives of each training study, as indices into [`training`](Self::training), the same number of every
    /// study; if there are any.
    pub more_negatives: Option<Vec<Vec<usize>>>,
    /// Which training studies can be negatives of one another, if the model mines them again.
    pub(crate) admissible: Option<Admissible>,
    /// The set of findings that each report of [`training`](Self::training) states, by number, if equal ones are masked
    /// in the contrast.
    pub label_sets: Option<Vec<i64>>,
    /// The patient of each study of [`training`](Self::training), by number, if a patient's studies are masked in the
    /// contrast. A negative that the dataset states itself has an unknown patient: a number of its own.
    pub patients: Option<Vec<i64>>,
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
    /// Whether each study has a previous one; `None` if no study of the dataset is known to have one.
    pub priors: Option<Vec<bool>>,
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
        let reads = config.model.generator.context();
        let tokenizer = match tokenizer {
            Some(tokenizer) => tokenizer,
            None => Tokenizer::fit(
                vocabulary_texts(&train, reads),
                config.text.cleaning,
                config.text.minimum_occurrences,
            )?,
        };
        let encode = |study: &Study| -> Result<TokenizedStudy, DataError> {
            Ok(TokenizedStudy {
                id: study.id.clone(),
                images: study.images.clone(),
                tokens: tokenizer.encode_study(&study.id, &study.report, config.text.max_tokens)?,
                context: tokenized_context(study, &tokenizer, reads),
            })
        };
        let has_prior = |study: &Study| study.context.prior.is_some();
        let knows_priors = dataset.studies.iter().any(has_prior);
        let mut training: Vec<TokenizedStudy> = train
            .iter()
            .map(|study| encode(study))
            .collect::<Result<_, _>>()?;
        let mut more_negatives = None;
        let members = match config.negatives {
            Negatives::Off => (0..train.len())
                .map(|study| BatchMember {
                    study,
                    negative: None,
                })
                .collect(),
            Negatives::Ithn | Negatives::Fixed => {
                let reading = (&tokenizer, dataset.findings);
                let negatives =
                    first_negatives(&train, reading, config, &mut training, watch, ranks)?;
                let members = negatives
                    .iter()
                    .enumerate()
                    .map(|(study, negatives)| BatchMember {
                        study,
                        negative: Some(negatives.first),
                    })
                    .collect();
                let more = || negatives.into_iter().map(|it| it.more).collect();
                more_negatives = (config.more_negatives > 0).then(more);
                members
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
                priors: knows_priors.then(|| dataset.split(split).map(has_prior).collect()),
                studies: Arc::new(studies),
            })
        };
        let (validation, test) = (evaluation(Split::Validation)?, evaluation(Split::Test)?);
        let label_sets = config
            .ithn
            .mask_equal_labels
            .then(|| label_sets_of(&training, &tokenizer, dataset.findings));
        let patients = (config.ithn.same_patient == SamePatient::Masked)
            .then(|| patient_numbers(&train, training.len()));
        let classes = stated_classes(config)?;
        let admissible = config.mine_again.then(|| Admissible {
            patients: patient_numbers(&train, train.len()),
            stated: (config.first_negatives == FirstNegatives::OtherFindings)
                .then(|| label_sets_of(&training, &tokenizer, dataset.findings)),
        });
        Ok(PreparedData {
            admissible,
            label_sets,
            more_negatives,
            patients,
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
fn label_sets_of(
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

/// Numbers the patients of the training studies, and then each of the negatives after them up to `count`.
fn patient_numbers(train: &[&Study], count: usize) -> Vec<i64> {
    let mut numbers = HashMap::new();
    let mut all: Vec<i64> = train
        .iter()
        .map(|study| {
            let next = numbers.len() as i64;
            *numbers.entry(study.patient.as_str()).or_insert(next)
        })
        .collect();
    let first = numbers.len() as i64;
    all.extend((first..).take(count - train.len()));
    all
}

/// Texts whose words are the vocabulary: training reports, and indications if they are read.
fn vocabulary_texts<'a>(
    train: &'a [&Study],
    reads: Option<ContextConfig>,
) -> impl Iterator<Item = &'a str> {
    let reads_indications = reads.is_some_and(|reads| reads.indication_words > 0);
    let indications = train.iter().filter_map(move |study| {
        study
            .context
            .indication
            .as_deref()
            .filter(|_| reads_indications)
    });
    let reports = train.iter().map(|study| study.report.as_str());
    reports.chain(indications)
}
