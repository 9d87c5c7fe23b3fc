//! Reports of a split and their scores, baselines without a generator, retrieval.

mod annotation_floors;
mod comparisons;
mod floors;
mod indications;
mod ranking;
mod seed_table;
mod similarity;

use std::sync::Arc;

use burn::tensor::Device;
use ithn_data::{BatchLoader, BatchMember, ImageLoader, Tokenizer};
use ithn_generator::StepDecoder;
use ithn_inference::{FindingsReader, FindingsScores, study_batch};
use ithn_kernels::on_worker;
use ithn_metrics::{Diversity, OverlapScores, score_corpus};
use ithn_search::{Hypothesis, SearchConfig, search};
use serde::{Deserialize, Serialize};

pub use annotation_floors::{annotation_floors, nearest_film_floor};
pub(crate) use comparisons::change_floor;
pub use comparisons::{ChangeFloor, ComparisonScores};
pub(crate) use floors::nearest_image_report_of;
pub use floors::{composed_reports, constant_labels, most_frequent_report, nearest_image_report};
pub(crate) use indications::indication_reports;
pub(crate) use ranking::Ranker;
pub use ranking::{NearTwinScores, RankingConfig, RankingScores, RetrievalScores, rank_split};
pub use seed_table::{SeedClass, SeedRow, SeedTable, seed_table};
pub use similarity::{SimilaritySample, sample_similarities};

use crate::dataset::EvaluationSplit;
use crate::error::TrainError;
use crate::ranks::{Ranks, in_turn};

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
    /// Comparisons with previous studies; absent where no study is known to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparisons: Option<ComparisonScores>,
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
        comparisons: comparisons::comparison_scores(split, predictions, findings),
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
    progress: impl FnMut(usize),
) -> Result<Vec<String>, TrainError> {
    write_reports_of(generator, split, writing, &Ranks::default(), progress)
}

/// Like [`write_reports`], with the batches divided among ranks; every rank gets all reports.
pub(crate) fn write_reports_of<D: StepDecoder>(
    generator: &D,
    split: &EvaluationSplit,
    writing: &Writing<'_>,
    ranks: &Ranks,
    mut progress: impl FnMut(usize),
) -> Result<Vec<String>, TrainError> {
    let reports = write_reports_while(generator, split, writing, ranks, |done| {
        progress(done);
        true
    })?;
    Ok(reports.unwrap_or_default())
}

/// Like [`write_reports_of`], but `progress` can stop it by returning false, at any rank; the result then is
/// `None` at all.
pub(crate) fn write_reports_while<D: StepDecoder>(
    generator: &D,
    split: &EvaluationSplit,
    writing: &Writing<'_>,
    ranks: &Ranks,
    progress: impl FnMut(usize) -> bool,
) -> Result<Option<Vec<String>>, TrainError> {
    let own = write_share(generator, split, writing, ranks, progress);
    let shares: Option<Vec<_>> = ranks.gather_values(own)?.into_iter().collect();
    Ok(shares.map(|shares| in_turn(shares).flatten().collect()))
}

/// The reports of this rank's batches, batch by batch; none if `progress` stopped it.
fn write_share<D: StepDecoder>(
    generator: &D,
    split: &EvaluationSplit,
    writing: &Writing<'_>,
    ranks: &Ranks,
    mut progress: impl FnMut(usize) -> bool,
) -> Result<Option<Vec<Vec<String>>>, TrainError> {
    let total = split.studies.len();
    let members: Vec<BatchMember> = (0..total)
        .map(|study| BatchMember {
            study,
            negative: None,
        })
        .collect();
    let batches: Vec<Vec<BatchMember>> = ranks
        .share_of(members.chunks(writing.batch_size))
        .map(<[BatchMember]>::to_vec)
        .collect();
    let loader = BatchLoader::start(
        Arc::clone(&split.studies),
        Arc::clone(&writing.images),
        batches,
        0,
        writing.threads,
    );
    let mut written = Vec::new();
    let mut done = 0;
    for batch in loader {
        let batch = batch?;
        let studies = batch
            .members
            .iter()
            .map(|member| &split.studies[member.study]);
        let ids: Vec<&str> = studies.map(|study| study.id.as_str()).collect();
        let images = study_batch(batch.images, writing.device);
        let found = on_worker(|| {
            let state = generator.start(images);
            search(generator, state, &ids, writing.search)
        })?;
        let best = |hypotheses: Vec<Hypothesis>| {
            let best = hypotheses.first().map_or(&[][..], |best| &best.tokens);
            writing.tokenizer.decode(best)
        };
        written.push(found.into_iter().map(best).collect());
        // The others are about as far.
        done += ids.len() * ranks.size();
        if !progress(done.min(total)) {
            return Ok(None);
        }
    }
    Ok(Some(written))
}
