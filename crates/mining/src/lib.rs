//! First negatives: for each study, the closest other reports of the training set.
//!
//! The negative of a study is never the study itself, never another study of the same patient and
//! never a verbatim duplicate of its report (equal up to white space). Closeness is the cosine of
//! two report embeddings: [`TfIdf`] by default, which needs no weights, or any
//! [`ReportEmbedding`]. The search is exact and its result does not depend on the number of
//! threads: neighbours are ordered by similarity, then by index.
//!
//! ```
//! use ithn_mining::{MiningError, MiningStudy, TfIdfConfig, mine};
//!
//! let reports = ["the heart is normal .", "the heart is large .", "no effusion ."];
//! let patients = ["a", "b", "c"];
//! let studies: Vec<_> = (reports.iter().zip(patients))
//!     .map(|(report, patient)| MiningStudy { id: patient, patient, report })
//!     .collect();
//!
//! let embedding = TfIdfConfig::default().fit(reports);
//! let negatives = mine(&studies, &studies, 1, &embedding, |_done| {})?;
//! assert_eq!(negatives[0][0].index, 1);
//! # Ok::<(), MiningError>(())
//! ```

mod annotation;
mod blocks;
mod dense;
mod embedding;
mod error;
mod nearest;
mod postings;
mod ranking;
mod terms;
#[cfg(test)]
mod tests;
mod texts;
mod tfidf;
mod vectors;

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

pub use annotation::{
    AnnotationMiningError, AnnotationReports, MinedAnnotation, MiningOptions, NegativeImages,
    mine_annotation, mine_annotation_by,
};
pub use embedding::{Embedding, ReportEmbedding, SparseVector};
pub use error::MiningError;
pub use tfidf::{TermFrequency, TfIdf, TfIdfConfig};

use ranking::Ranking;
use texts::Texts;
use vectors::Vectors;

/// Texts that one task ranks: enough that a pass over the training texts serves many of them, few enough that every
/// thread gets tasks.
const TEXTS_PER_TASK: usize = 64;

/// The fields of a study that mining uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiningStudy<'a> {
    /// Identifier, for error messages.
    pub id: &'a str,
    /// Patient: no study of the same one becomes a negative.
    pub patient: &'a str,
    /// Report, cleaned as for training.
    pub report: &'a str,
}

/// A mined negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Index of the study in the training set that was searched.
    pub index: usize,
    /// Cosine similarity to the query's report, in `[-1, 1]`.
    pub similarity: f32,
}

/// The `k` closest admissible training studies of every query, closest first, ties by lowest index.
///
/// `queries` are the training studies themselves or studies from outside, such as those of a
/// validation set. A query with fewer than `k` admissible studies gets what there is, down to an
/// empty list. `progress` gets the number of finished queries, in increasing order, on any thread.
///
/// # Errors
///
/// If the training set is empty, or if the embedding finds nothing in a report, gives numbers that
/// are not finite, or gives vectors of several kinds or lengths.
pub fn mine(
    training: &[MiningStudy<'_>],
    queries: &[MiningStudy<'_>],
    k: usize,
    embedding: &(impl ReportEmbedding + ?Sized),
    progress: impl Fn(usize) + Sync,
) -> Result<Vec<Vec<Neighbour>>, MiningError> {
    if training.is_empty() {
        return Err(MiningError::EmptyTrainingSet);
    }
    let texts = Texts::collect(training, queries);
    let vectors = Vectors::embed(&texts, embedding)?;
    if k == 0 {
        return Ok(vec![Vec::new(); queries.len()]);
    }
    let rankings = rank(&texts, &vectors, k, &progress);
    let answers = texts.queries().par_iter().map(|query| {
        let ranking = &rankings[texts
            .asked()
            .partition_point(|asked| asked.text < query.text)];
        ranking.without(query.patient)
    });
    Ok(answers.collect())
}

/// Ranks the neighbours of every distinct query text, in the order of [`Texts::asked`].
fn rank(
    texts: &Texts<'_>,
    vectors: &Vectors,
    k: usize,
    progress: &(impl Fn(usize) + Sync),
) -> Vec<Ranking> {
    let index = vectors.index(texts);
    let asked = index.arrange(texts.asked());
    let done = Mutex::new(0);
    let tasks = asked.par_chunks(TEXTS_PER_TASK).map(|asked| {
        let rankings = index.rank(asked, k);
        let queries: usize = asked.iter().map(|text| text.queries).sum();
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += queries;
        progress(*done);
        rankings
    });
    let rankings: Vec<Ranking> = tasks.flatten_iter().collect();
    let numbers = asked.iter().map(|asked| asked.text);
    let mut by_text: Vec<(u32, Ranking)> = numbers.zip(rankings).collect();
    by_text.par_sort_unstable_by_key(|(text, _)| *text);
    by_text.into_iter().map(|(_, ranking)| ranking).collect()
}

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
