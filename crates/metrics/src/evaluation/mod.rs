//! Evaluation of predictions from any model: files in, a table of named numbers out.

mod compare;
mod error;
mod floors;
pub mod formats;
mod intervals;
mod labels;
mod mesh;
mod output;
mod ranked;
mod records;
mod studies;
mod table;
mod tags;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use compare::{MetricComparison, Versus, align_studies, compare_evaluations};
pub use error::EvaluationError;
pub use floors::{EvaluationFloors, FloorReport, evaluate_floors};
pub use intervals::{MetricInterval, metric_intervals};
pub use labels::{LabelFile, Statuses};
pub use mesh::{ClassAgreement, TaggedReport, agreement, findings_of_tags, read_tagged_reports};
pub use output::write_study_scores;
pub use ranked::{
    NearTwins, RankedStudy, Ranking, RankingTask, equal_reports_as_hits, rank, ranked_table,
    read_ranked,
};
pub use studies::{
    ReportFiles, ScoredStudy, read_section_studies, read_studies, read_untouched_studies,
};
pub use tags::{
    ClassAgainstTags, ClassifiedStudy, ReportsAgainstTags, TagScores, open_i_uid, read_classified,
    score_classifier_by_tags, score_reports_by_tags,
};

use crate::{
    bleu::{BleuCounts, bleu_counts},
    corpus::{Corpus, Pair},
    diversity::{Diversity, diversity},
    error::MetricsError,
    findings::{F1Intervals, FindingCounts, Prf, Undefined},
    labeler::{FindingClass, LabelerVersion, Uncertain, positives},
    meteor::{Meteor, MeteorCounts},
    overlap::OverlapScores,
    significance::Interval,
};

/// How the references were prepared. Scores depend on it more than on the choice between most models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Protocol {
    /// Lower-cased, cleaned, truncated to the model's length, rare words replaced by `<unk>`, as in papers that
    /// follow R2Gen.
    #[default]
    R2gen,
    /// Untouched.
    Full,
    /// What ReXrank's script makes of two sections: [`formats::rexrank_reference`].
    Rexrank,
}

/// Options of [`evaluate`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct EvaluationOptions<'a> {
    /// What the references are.
    pub protocol: Protocol,
    /// What an uncertain finding counts as.
    pub uncertain: Uncertain,
    /// The METEOR to score with.
    pub meteor: &'a Meteor,
    /// Version of the labeler that reads the findings, unless `labels` are given.
    pub labeler: LabelerVersion,
    /// Labels of references and predictions by another labeler, used instead.
    pub labels: Option<ExternalLabels<'a>>,
    /// Bootstrap draws for the intervals of F1; 0 for none.
    pub draws: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
}

impl<'a> EvaluationOptions<'a> {
    /// R2Gen's protocol, uncertain findings as positive, the latest labeler, 1,000 bootstrap draws of
    /// seed 0.
    pub fn new(meteor: &'a Meteor) -> Self {
        EvaluationOptions {
            protocol: Protocol::R2gen,
            uncertain: Uncertain::AsPositive,
            meteor,
            labeler: LabelerVersion::LATEST,
            labels: None,
            draws: 1_000,
            seed: 0,
        }
    }
}

/// Labels by another labeler, one set per study.
#[derive(Debug, Clone, Copy)]
pub struct ExternalLabels<'a> {
    /// Who made them, such as `CheXbert`.
    pub labeler: &'a str,
    /// Of the references.
    pub references: &'a [Statuses],
    /// Of the predictions.
    pub predictions: &'a [Statuses],
}

/// Text overlap under one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// BLEU-1, in [0, 1].
    pub bleu_1: f64,
    /// BLEU-2.
    pub bleu_2: f64,
    /// BLEU-3.
    pub bleu_3: f64,
    /// BLEU-4.
    pub bleu_4: f64,
    /// ROUGE-L, in [0, 1].
    pub rouge_l: f64,
    /// CIDEr, in [0, 10].
    pub cider: f64,
    /// METEOR, in [0, 1], if its data files were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meteor: Option<f64>,
    /// METEOR-es, in [0, 1], otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meteor_es: Option<f64>,
}

/// Agreement between the findings of predictions and those of references.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Who read the findings: the labeler with its version, such as `rules-14 v2`, or who made the labels given.
    pub labeler: String,
    /// What an uncertain finding counts as.
    pub uncertain: Uncertain,
    /// The value of 0/0 in averages.
    pub undefined: Undefined,
    /// The 13 abnormal classes ([`FindingClass::ABNORMAL`]), counts pooled: the headline, for "normal" scores 0.
    pub micro_13: Prf,
    /// 95 % bootstrap interval over studies of its F1, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_13_f1_interval: Option<Interval>,
    /// The 13 abnormal classes, mean over classes.
    pub macro_13: Prf,
    /// 95 % bootstrap interval over studies of its F1, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_13_f1_interval: Option<Interval>,
    /// All 14 classes, counts pooled. "Normal" for every study scores well.
    pub micro_14: Prf,
    /// All 14 classes, mean over classes.
    pub macro_14: Prf,
    /// All 14 classes, mean over studies.
    pub example_14: Prf,
    /// The five usual classes, counts pooled.
    pub micro_5: Prf,
    /// The five usual classes, mean over classes.
    pub macro_5: Prf,
    /// The five usual classes, mean over studies.
    pub example_5: Prf,
    /// Every class with its counts.
    pub per_class: Vec<ClassFindings>,
}

/// Counts and scores of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassFindings {
    /// CheXpert's name of it.
    pub class: String,
    /// Studies whose reference has the class.
    pub support: u64,
    /// Studies whose prediction has the class.
    pub predicted: u64,
    /// Precision, recall and F1; NaN (`null` in JSON) where undefined.
    #[serde(flatten)]
    pub scores: Prf,
    /// 95 % bootstrap interval of F1, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f1_interval: Option<Interval>,
}

/// All numbers of a set of predictions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Studies scored.
    pub studies: usize,
    /// What the references are.
    pub protocol: Protocol,
    /// Text overlap with them.
    #[serde(flatten)]
    pub overlap: Overlap,
    /// Text overlap with the untouched references, if given apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Overlap>,
    /// Findings; the truth comes from the untouched references if given.
    pub findings: Findings,
    /// Variety of the predictions.
    pub diversity: Diversity,
    /// Number of empty predictions.
    pub empty_predictions: usize,
    /// Every study, in the order given.
    #[serde(skip)]
    pub per_study: Vec<StudyScores>,
}

/// Scores of one study, and its counts, whose sums give the corpus scores.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyScores {
    /// Identifier.
    pub id: String,
    /// BLEU-1 to 4, ROUGE-L and CIDEr.
    pub overlap: OverlapScores,
    /// METEOR or METEOR-es.
    pub meteor: f64,
    pub(crate) bleu_counts: BleuCounts,
    pub(crate) meteor_counts: MeteorCounts,
    /// Findings of the reference, in the order of [`FindingClass::all`].
    pub true_findings: [bool; FindingClass::COUNT],
    /// Findings of the prediction.
    pub predicted_findings: [bool; FindingClass::COUNT],
}

/// Scores predictions with every metric.
///
/// # Errors
/// [`MetricsError::Empty`] without studies, [`MetricsError::NoReference`] for one without a reference,
/// [`MetricsError::LengthMismatch`] if labels given are not one per study.
pub fn evaluate(
    studies: &[ScoredStudy],
    options: &EvaluationOptions<'_>,
) -> Result<Evaluation, MetricsError> {
    let pairs: Vec<Pair> = studies
        .iter()
        .map(|study| {
            Pair::with_references(
                &study.prediction,
                study.references.iter().map(String::as_str),
            )
        })
        .collect();
    let corpus = Corpus::new(&pairs)?;
    let scores = corpus.scores();
    let bleu = bleu_counts(&corpus);
    let meteor = options.meteor.counts(&pairs)?;
    let (truth, predicted) = findings_of(studies, options)?;
    let per_study = (0..studies.len())
        .map(|at| StudyScores {
            id: studies[at].id.clone(),
            overlap: scores.per_study[at],
            meteor: meteor[at].score(),
            bleu_counts: bleu[at],
            meteor_counts: meteor[at],
            true_findings: truth[at],
            predicted_findings: predicted[at],
        })
        .collect();
    let predictions: Vec<&str> = studies
        .iter()
        .map(|study| study.prediction.as_str())
        .collect();
    Ok(Evaluation {
        studies: studies.len(),
        protocol: options.protocol,
        overlap: overlap(scores.corpus, &meteor, options.meteor),
        full: full_overlap(studies, options.meteor)?,
        findings: summarise(&truth, &predicted, options)?,
        diversity: diversity(&predictions)?,
        empty_predictions: predictions
            .iter()
            .filter(|text| text.trim().is_empty())
            .count(),
        per_study,
    })
}

fn overlap(scores: OverlapScores, counts: &[MeteorCounts], meteor: &Meteor) -> Overlap {
    let [bleu_1, bleu_2, bleu_3, bleu_4] = scores.bleu;
    let score = Some(counts.iter().sum::<MeteorCounts>().score());
    let (meteor, meteor_es) = if meteor.is_full() {
        (score, None)
    } else {
        (None, score)
    };
    Overlap {
        bleu_1,
        bleu_2,
        bleu_3,
        bleu_4,
        rouge_l: scores.rouge_l,
        cider: scores.cider,
        meteor,
        meteor_es,
    }
}

/// Overlap with the untouched references, if every study has one.
fn full_overlap<'a>(
    studies: &'a [ScoredStudy],
    meteor: &Meteor,
) -> Result<Option<Overlap>, MetricsError> {
    let pair = |study: &'a ScoredStudy| {
        let full = study.full_reference.as_deref()?;
        Some(Pair::new(&study.prediction, full))
    };
    let Some(pairs) = studies.iter().map(pair).collect::<Option<Vec<Pair>>>() else {
        return Ok(None);
    };
    let scores = Corpus::new(&pairs)?.scores().corpus;
    Ok(Some(overlap(scores, &meteor.counts(&pairs)?, meteor)))
}

type Flags = [bool; FindingClass::COUNT];

/// Findings of references and of predictions.
fn findings_of(
    studies: &[ScoredStudy],
    options: &EvaluationOptions<'_>,
) -> Result<(Vec<Flags>, Vec<Flags>), MetricsError> {
    let flags = |statuses: &[Statuses]| -> Vec<Flags> {
        statuses
            .iter()
            .map(|statuses| positives(statuses, options.uncertain))
            .collect()
    };
    if let Some(labels) = options.labels {
        for (name, labels) in [
            ("labels of references", labels.references),
            ("labels of predictions", labels.predictions),
        ] {
            crate::error::check_paired(("studies", studies.len()), (name, labels.len()))?;
        }
        return Ok((flags(labels.references), flags(labels.predictions)));
    }
    let of = |report: &str| options.labeler.label(report).positives(options.uncertain);
    let reference = |study: &ScoredStudy| of(study.truth());
    Ok((
        studies.par_iter().map(reference).collect(),
        studies
            .par_iter()
            .map(|study| of(&study.prediction))
            .collect(),
    ))
}

fn summarise(
    truth: &[Flags],
    predicted: &[Flags],
    options: &EvaluationOptions<'_>,
) -> Result<Findings, MetricsError> {
    let mut counts = FindingCounts::new(FindingClass::all().map(FindingClass::name))?;
    for (truth, predicted) in truth.iter().zip(predicted) {
        counts.add(truth, predicted)?;
    }
    let every: Vec<usize> = (0..FindingClass::COUNT).collect();
    let abnormal = FindingClass::ABNORMAL.map(FindingClass::index);
    let five = FindingClass::FIVE.map(FindingClass::index);
    let undefined = Undefined::Zero;
    let (draws, seed) = (options.draws, options.seed);
    let intervals = match draws {
        0 => None,
        draws => Some(counts.f1_intervals(&abnormal, undefined, draws, seed)?),
    };
    Ok(Findings {
        labeler: options
            .labels
            .map_or(options.labeler.name(), |labels| labels.labeler)
            .to_owned(),
        uncertain: options.uncertain,
        undefined,
        micro_13: counts.micro(&abnormal)?,
        micro_13_f1_interval: intervals.as_ref().map(|intervals| intervals.micro),
        macro_13: counts.macro_average(&abnormal, undefined)?,
        macro_13_f1_interval: intervals.as_ref().map(|intervals| intervals.macro_average),
        micro_14: counts.micro(&every)?,
        macro_14: counts.macro_average(&every, undefined)?,
        example_14: counts.example_based(&every, undefined)?,
        micro_5: counts.micro(&five)?,
        macro_5: counts.macro_average(&five, undefined)?,
        example_5: counts.example_based(&five, undefined)?,
        per_class: class_findings(&counts, intervals.as_ref())?,
    })
}

/// Intervals of a table's classes, if there are draws.
fn intervals_of(
    counts: &FindingCounts,
    draws: usize,
    seed: u64,
) -> Result<Option<F1Intervals>, MetricsError> {
    if draws == 0 {
        return Ok(None);
    }
    let every: Vec<usize> = (0..counts.classes().len()).collect();
    counts
        .f1_intervals(&every, Undefined::Zero, draws, seed)
        .map(Some)
}

/// Every class of a table, with its interval if there are any.
fn class_findings(
    counts: &FindingCounts,
    intervals: Option<&F1Intervals>,
) -> Result<Vec<ClassFindings>, MetricsError> {
    let names = counts.classes().iter().enumerate();
    names
        .map(|(at, class)| {
            let confusion = counts.class(at)?;
            Ok(ClassFindings {
                class: class.clone(),
                support: confusion.support(),
                predicted: confusion.true_positives + confusion.false_positives,
                scores: confusion.prf(),
                f1_interval: intervals.map(|intervals| intervals.per_class[at]),
            })
        })
        .collect()
}
