//! METEOR 1.5 (Denkowski and Lavie, 2014) for English, as pycocoevalcap 1.2 runs it, without Java.
//!
//! Words are matched exactly, by stem, by synonym and by paraphrase; a beam search picks the matches with the most
//! words in the fewest chunks; precision, recall and the number of chunks make the score. Synonyms and paraphrases
//! need METEOR's data files. Without them the score is another metric, [`Meteor::name`] `METEOR-es`.

mod align;
mod counts;
mod data;
mod matches;
mod normalize;
mod paraphrases;
mod synonyms;
mod words;

use std::path::Path;

use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};

use crate::{corpus::Pair, error::MetricsError};

pub use counts::MeteorCounts;
use counts::SideCounts;
use data::DataFolder;
pub use data::MeteorDataError;
use matches::Candidates;
use paraphrases::Paraphrases;
use synonyms::Synonyms;

/// A METEOR scorer: with all four modules, or with exact and stem matches only.
#[derive(Debug)]
pub struct Meteor {
    modules: Modules,
}

/// METEOR of a corpus and of each of its studies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeteorScores {
    /// Score of the summed counts, in [0, 1]; not the mean over studies.
    pub corpus: f64,
    /// Each study, in the order given.
    pub per_study: Vec<f64>,
}

/// The sources of matches.
struct Modules {
    stemmer: Stemmer,
    tables: Option<Tables>,
}

/// Synonyms and paraphrases from METEOR's data files.
#[derive(Debug)]
struct Tables {
    synonyms: Synonyms,
    paraphrases: Paraphrases,
}

impl Meteor {
    /// `METEOR-es`: exact and stem matches, which need no data files.
    ///
    /// # Example
    /// ```
    /// use ithn_metrics::{Meteor, Pair};
    ///
    /// let meteor = Meteor::exact_and_stem();
    /// let pairs = [Pair::new("small effusions .", "there is a small effusion .")];
    /// let scores = meteor.score(pairs)?;
    /// assert_eq!(meteor.name(), "METEOR-es");
    /// assert!(scores.corpus > 0.2 && scores.corpus < 0.5);
    /// # Ok::<(), ithn_metrics::MetricsError>(())
    /// ```
    pub fn exact_and_stem() -> Self {
        Self::with_tables(None)
    }

    /// METEOR itself, with the synonyms and paraphrases of METEOR 1.5's data files.
    ///
    /// The folder is METEOR 1.5's or pycocoevalcap's `meteor`, which hold `meteor-1.5.jar` (the synonyms are inside)
    /// and `data/paraphrase-en.gz`; or one with `english.synsets`, `english.exceptions` and `paraphrase-en.gz`. Takes some
    /// seconds and 250 MB.
    ///
    /// # Errors
    /// [`MeteorDataError`], which names the file and line.
    pub fn with_data(folder: &Path) -> Result<Self, MeteorDataError> {
        let folder = DataFolder(folder);
        let synonyms = Synonyms::read(
            folder.synonym_file("english.synsets")?,
            folder.synonym_file("english.exceptions")?,
        )?;
        let paraphrases = Paraphrases::read(folder.paraphrase_table()?)?;
        Ok(Self::with_tables(Some(Tables {
            synonyms,
            paraphrases,
        })))
    }

    fn with_tables(tables: Option<Tables>) -> Self {
        Self {
            modules: Modules {
                stemmer: Stemmer::create(Algorithm::English),
                tables,
            },
        }
    }

    /// Whether all four modules are available, which METEOR needs.
    pub fn is_full(&self) -> bool {
        self.modules.tables.is_some()
    }

    /// Name to report the score under: `METEOR`, or `METEOR-es` without data files.
    pub fn name(&self) -> &'static str {
        if self.is_full() {
            "METEOR"
        } else {
            "METEOR-es"
        }
    }

    /// Scores generated reports against their references.
    ///
    /// # Errors
    /// [`MetricsError::Empty`] without studies, [`MetricsError::NoReference`] for a study without a reference.
    pub fn score<'a, P: Into<Pair<'a>>>(
        &self,
        pairs: impl IntoIterator<Item = P>,
    ) -> Result<MeteorScores, MetricsError> {
        let counts = self.counts(pairs)?;
        Ok(MeteorScores {
            corpus: counts.iter().sum::<MeteorCounts>().score(),
            per_study: counts.iter().map(MeteorCounts::score).collect(),
        })
    }

    /// What each study contributes to the corpus score, against the reference that gives it the best score.
    ///
    /// # Errors
    /// As for [`score`](Self::score).
    pub fn counts<'a, P: Into<Pair<'a>>>(
        &self,
        pairs: impl IntoIterator<Item = P>,
    ) -> Result<Vec<MeteorCounts>, MetricsError> {
        let pairs: Vec<Pair<'a>> = pairs.into_iter().map(Into::into).collect();
        if pairs.is_empty() {
            return Err(MetricsError::Empty { what: "the corpus" });
        }
        if let Some(index) = pairs.iter().position(|pair| pair.references.is_empty()) {
            return Err(MetricsError::NoReference { index });
        }
        // Studies are independent.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shares = pairs.chunks(pairs.len().div_ceil(threads));
        let count = |share: &[Pair<'a>]| -> Vec<MeteorCounts> {
            share.iter().filter_map(|pair| self.study(pair)).collect()
        };
        Ok(std::thread::scope(|scope| {
            let running: Vec<_> = shares
                .map(|share| scope.spawn(move || count(share)))
                .collect();
            running
                .into_iter()
                .flat_map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        }))
    }

    /// Counts of a study against its best reference; the first of equally good ones.
    fn study(&self, pair: &Pair<'_>) -> Option<MeteorCounts> {
        let hypothesis = normalize::words(pair.hypothesis);
        let compared = pair
            .references
            .iter()
            .map(|reference| self.compare(&hypothesis, &normalize::words(reference)));
        compared.reduce(|best, other| {
            if other.score() > best.score() {
                other
            } else {
                best
            }
        })
    }

    fn compare(&self, hypothesis: &[String], reference: &[String]) -> MeteorCounts {
        let candidates = Candidates::find(hypothesis, reference, &self.modules);
        let alignment = align::align(&candidates);
        let mut counts = MeteorCounts {
            hypothesis: SideCounts::of(hypothesis),
            reference: SideCounts::of(reference),
            chunks: alignment.chunks,
        };
        for found in alignment.matches {
            let module = found.module as usize;
            let words = &hypothesis[found.hypothesis_start..][..found.hypothesis_length];
            counts.hypothesis.add_matched(words, module);
            counts
                .reference
                .add_matched(&reference[found.start..][..found.length], module);
        }
        counts
    }
}

impl Modules {
    fn stem(&self, word: &str) -> String {
        self.stemmer.stem(word).into_owned()
    }
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tables = self.tables.is_some();
        f.debug_struct("Modules")
            .field("tables", &tables)
            .finish_non_exhaustive()
    }
}
