//! Reports of a split and their scores, baselines without a generator, retrieval.

mod annotation_floors;
mod floors;
mod ranking;
mod similarity;

use std::sync::Arc;

use burn::tensor::Device;
use ithn_data::{BatchLoader, BatchMember, ImageLoader, Tokenizer};
use ithn_generator::StepDecoder;
use ithn_inference::{FindingsReader, FindingsScores, study_batch};
use ithn_kernels::on_worker;
use ithn_metrics::{Diversity, OverlapScores, score_corpus};
use ithn_search::{SearchConfig, search};
use serde::{Deserialize, Serialize};

pub use annotation_floors::{annotation_floors, nearest_film_floor};
pub use floors::{composed_reports, constant_labels, most_frequent_report, nearest_image_report};
pub use ranking::{NearTwinScores, RankingConfig, RankingScores, RetrievalScores, rank_split};
pub use similarity::{SimilaritySample, sample_similarities};

use crate::dataset::EvaluationSplit;
use crate::error::TrainError;

/// A generated report with its reference and its own scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Study.
    pub id: String,
    /// What the radiologist wrote, as R2Gen compares it.
    pub reference: String,
    /// What the generator wrote.
    pub prediction: String,
    /// Scores of this study.
    pub scores: OverlapScores,
}

/// Scores of a split; text is compared under R2Gen's protocol unless a field name states another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitScores {
    /// Studies.
    pub studies: usize,
    /// BLEU-1, in `[0, 1]`.
    pub bleu_1: f64,
    /// BLEU-2.
    pub bleu_2: f64,
    /// BLEU-3.
    pub bleu_3: f64,
    /// BLEU-4.
    pub bleu_4: f64,
    /// ROUGE-L, in `[0, 1]`.
    pub rouge_l: f64,
    /// CIDEr, in `[0, 10]`.
    pub cider: f64,
    /// BLEU-4 against the untouched reference (protocol `full`).
    pub bleu_4_full: f64,
    /// Findings extracted from the reports.
    #[serde(flatten)]
    pub findings: FindingsScores,
    /// Variety of the predictions.
    pub diversity: Diversity,
}

/// Scores predictions against the references of a split.
///
/// # Errors
///
/// If there are as many predictions as references only in part, or none.
pub fn score_split(
    split: &EvaluationSplit,
    predictions: &[String],
    findings: FindingsReader,
) -> Result<(SplitScores, Vec<Prediction>), TrainError> {
    let pairs = |references: &[String]| -> Result<_, TrainError> {
        let pairs = ithn_metrics::Pair::zip(predictions, references)?;
        Ok(score_corpus(pairs)?)
    };
    let scores = pairs(&split.references)?;
    let full = pairs(&split.full_references)?;
    let OverlapScores {
        bleu,
        rouge_l,
        cider,
    } = scores.corpus;
    let summary = SplitScores {
        studies: predictions.len(),
        bleu_1: bleu[0],
        bleu_2: bleu[1],
        bleu_3: bleu[2],
        bleu_4: bleu[3],
        rouge_l,
        cider,
        bleu_4_full: full.corpus.bleu[3],
        findings: findings.compare(&split.full_references, predictions)?,
        diversity: ithn_metrics::diversity(predictions)?,
    };
    let rows = split
        .studies
        .iter()
        .zip(&split.references)
        .zip(predictions)
        .zip(scores.per_study)
        .map(|(((study, reference), prediction), scores)| Prediction {
            id: study.id.clone(),
            reference: reference.clone(),
            prediction: prediction.clone(),
            scores,
        })
        .collect();
    Ok((summary, rows))
}

/// How reports are written for a split.
#[derive(Debug, Clone)]
pub struct Writing<'a> {
    /// Search options.
    pub search: &'a SearchConfig,
    /// Tokenizer, for the words of token ids.
    pub tokenizer: &'a Tokenizer,
    /// Loader of the images.
    pub images: Arc<ImageLoader>,
    /// Studies per batch.
    pub batch_size: usize,
    /// Threads that decode images.
    pub threads: usize,
    /// The generator's device.
    pub device: &'a Device,
}

/// Generates the best report of every study of a split, in order. `progress` gets the number of
/// finished studies.
///
/// # Errors
///
/// If an image cannot be read or the generator returns values that are no log-probabilities.
pub fn write_reports<D: StepDecoder>(
    generator: &D,
    split: &EvaluationSplit,
    writing: &Writing<'_>,
    mut progress: impl FnMut(usize),
) -> Result<Vec<String>, TrainError> {
    let reports = write_reports_while(generator, split, writing, |done| {
        progress(done);
        true
    })?;
    Ok(reports.unwrap_or_default())
}

/// Like [`write_reports`], but `progress` can stop it by returning false; the result then is
/// `None`.
pub(crate) fn write_reports_while<D: StepDecoder>(
    generator: &D,
    split: &EvaluationSplit,
    writing: &Writing<'_>,
    mut progress: impl FnMut(usize) -> bool,
) -> Result<Option<Vec<String>>, TrainError> {
    let members: Vec<BatchMember> = (0..split.studies.len())
        .map(|study| BatchMember {
            study,
            negative: None,
        })
        .collect();
    let batches = members
        .chunks(writing.batch_size)
        .map(<[BatchMember]>::to_vec)
        .collect();
    let loader = BatchLoader::start(
        Arc::clone(&split.studies),
        Arc::clone(&writing.images),
        batches,
        0,
        writing.threads,
    );
    let mut reports = Vec::with_capacity(split.studies.len());
    for batch in loader {
        let batch = study_batch(batch?.images, writing.device);
        let studies = &split.studies[reports.len()..][..batch.len()];
        let ids: Vec<&str> = studies.iter().map(|study| study.id.as_str()).collect();
        let found = on_worker(|| {
            let state = generator.start(batch);
            search(generator, state, &ids, writing.search)
        })?;
        for hypotheses in found {
            let best = hypotheses.first().map_or(&[][..], |best| &best.tokens);
            reports.push(writing.tokenizer.decode(best));
        }
        if !progress(reports.len()) {
            return Ok(None);
        }
    }
    Ok(Some(reports))
}
