//! Multi-label agreement of predicted and true findings.

use serde::{Deserialize, Serialize};

mod seeds;

pub use seeds::{SeedComparison, compare_seeds};

use crate::{
    error::{MetricsError, check_paired},
    significance::{Interval, bootstrap_interval, bootstrap_intervals},
};

/// Most classes one table can hold: a study's findings are the bits of a `u64`.
pub const MAX_CLASSES: usize = 64;

/// True and false positives and negatives of one class, or of several pooled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Predicted and true.
    pub true_positives: u64,
    /// Predicted but not true.
    pub false_positives: u64,
    /// True but not predicted.
    pub false_negatives: u64,
    /// Neither predicted nor true.
    pub true_negatives: u64,
}

/// Precision, recall and their harmonic mean, in [0, 1]; NaN for 0/0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prf {
    /// Share of the predicted that is true.
    pub precision: f64,
    /// Share of the true that is predicted.
    pub recall: f64,
    /// 2·TP / (2·TP + FP + FN).
    pub f1: f64,
}

/// The value of an undefined ratio (0/0): no positives, or none predicted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undefined {
    /// 0, scikit-learn's default and so that of most papers.
    #[default]
    Zero,
    /// 1: predicting nothing where nothing is true is a perfect answer.
    One,
    /// Left out of the average, which is NaN if nothing is left.
    Skip,
}

/// True and predicted findings of a set of studies, and their scores.
///
/// # Example
/// ```
/// use ithn_metrics::{FindingCounts, Undefined};
///
/// let mut counts = FindingCounts::new(["edema", "effusion"])?;
/// counts.add(&[true, false], &[true, true])?; // truth, prediction
/// counts.add(&[false, true], &[false, true])?;
/// assert_eq!(counts.micro(&[0, 1])?.precision, 2.0 / 3.0);
/// assert_eq!(counts.macro_average(&[0, 1], Undefined::Zero)?.recall, 1.0);
/// # Ok::<(), ithn_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingCounts {
    classes: Vec<String>,
    /// Truth and prediction of each study, one bit per class.
    studies: Vec<(u64, u64)>,
}

/// 95 % bootstrap intervals of F1 scores over one set of draws: [`FindingCounts::f1_intervals`].
#[derive(Debug, Clone, PartialEq)]
pub struct F1Intervals {
    /// Of the micro F1 of the subset.
    pub micro: Interval,
    /// Of its macro F1.
    pub macro_average: Interval,
    /// Of every class.
    pub per_class: Vec<Interval>,
}

impl FindingCounts {
    /// An empty table over named classes.
    ///
    /// # Errors
    /// [`MetricsError::Empty`] without classes, [`MetricsError::TooManyClasses`] beyond [`MAX_CLASSES`].
    pub fn new<S: Into<String>>(
        classes: impl IntoIterator<Item = S>,
    ) -> Result<Self, MetricsError> {
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        match classes.len() {
            0 => Err(MetricsError::Empty {
                what: "the set of classes",
            }),
            1..=MAX_CLASSES => Ok(Self {
                classes,
                studies: Vec::new(),
            }),
            classes => Err(MetricsError::TooManyClasses {
                classes,
                max: MAX_CLASSES,
            }),
        }
    }

    /// Adds a study: for each class whether it is true, and whether it was predicted.
    ///
    /// # Errors
    /// [`MetricsError::LengthMismatch`] unless both have one entry per class.
    pub fn add(&mut self, truth: &[bool], predicted: &[bool]) -> Result<(), MetricsError> {
        let classes = ("classes", self.classes.len());
        check_paired(classes, ("truth", truth.len()))?;
        check_paired(classes, ("prediction", predicted.len()))?;
        self.studies.push((bits(truth), bits(predicted)));
        Ok(())
    }

    /// Names of the classes; a subset is given by positions in this list.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of studies added.
    pub fn studies(&self) -> usize {
        self.studies.len()
    }

    /// Counts of one class.
    ///
    /// # Errors
    /// [`MetricsError::UnknownClass`].
    pub fn class(&self, class: usize) -> Result<Confusion, MetricsError> {
        let mask = self.mask(&[class])?;
        Ok(pool(&self.studies, mask))
    }

    /// Counts of every class, in order.
    pub fn per_class(&self) -> Vec<Confusion> {
        (0..self.classes.len())
            .map(|class| pool(&self.studies, 1 << class))
            .collect()
    }

    /// Micro average: counts pooled over the classes.
    ///
    /// # Errors
    /// [`MetricsError::Empty`] for an empty subset, [`MetricsError::UnknownClass`].
    pub fn micro(&self, subset: &[usize]) -> Result<Prf, MetricsError> {
        Ok(pool(&self.studies, self.mask(subset)?).prf())
    }

    /// Macro average: mean over the classes of each one's precision, recall and F1.
    ///
    /// # Errors
    /// [`MetricsError::Empty`] for an empty subset, [`MetricsError::UnknownClass`].
    pub fn macro_average(
        &self,
        subset: &[usize],
        undefined: Undefined,
    ) -> Result<Prf, MetricsError> {
        let mask = self.mask(subset)?;
        let classes = (0..self.classes.len()).filter(|class| mask >> class & 1 == 1);
        Ok(average(
            classes.map(|class| pool(&self.studies, 1 << class).prf()),
            undefined,
        ))
    }

    /// Example-based average: mean over studies of precision, recall and F1 within the study.
    ///
    /// # Errors
    /// [`MetricsError::Empty`] for an empty subset or without studies, [`MetricsError::UnknownClass`].
    pub fn example_based(
        &self,
        subset: &[usize],
        undefined: Undefined,
    ) -> Result<Prf, MetricsError> {
        let mask = self.mask(subset)?;
        if self.studies.is_empty() {
            return Err(MetricsError::Empty {
                what: "the table of findings",
            });
        }
        let studies = self
            .studies
            .iter()
            .map(|study| pool(std::slice::from_ref(study), mask).prf());
        Ok(average(studies, undefined))
    }

    /// 95 % bootstrap interval of one class's F1 over studies; report it for rare classes.
    ///
    /// # Errors
    /// [`MetricsError::UnknownClass`], [`MetricsError::Empty`] without studies or draws.
    pub fn f1_interval(
        &self,
        class: usize,
        draws: usize,
        seed: u64,
    ) -> Result<Interval, MetricsError> {
        self.mask(&[class])?;
        // A study is a true or false positive or negative, so a draw needs only the four counts.
        let kind = |(truth, predicted): &(u64, u64)| {
            usize::from(truth >> class & 1 == 1) * 2 + usize::from(predicted >> class & 1 == 1)
        };
        let kinds: Vec<usize> = self.studies.iter().map(kind).collect();
        let f1 = |positions: &[usize]| {
            let mut counts = [0; 4];
            for &position in positions {
                counts[kinds[position]] += 1;
            }
            let [
                true_negatives,
                false_positives,
                false_negatives,
                true_positives,
            ] = counts;
            let counts = Confusion {
                true_positives,
                false_positives,
                false_negatives,
                true_negatives,
            };
            counts.prf().f1
        };
        bootstrap_interval(self.studies.len(), f1, draws, seed)
    }

    /// 95 % bootstrap interval of the micro F1 over studies.
    ///
    /// # Errors
    /// [`MetricsError::Empty`] for an empty subset, without studies or draws; [`MetricsError::UnknownClass`].
    pub fn micro_f1_interval(
        &self,
        subset: &[usize],
        draws: usize,
        seed: u64,
    ) -> Result<Interval, MetricsError> {
        let mask = self.mask(subset)?;
        let f1 = |positions: &[usize]| {
            let mut counts = Confusion::default();
            for &position in positions {
                counts.count(self.studies[position], mask);
            }
            counts.prf().f1
        };
        bootstrap_interval(self.studies.len(), f1, draws, seed)
    }

    /// 95 % bootstrap interval of the macro F1 over studies.
    ///
    /// # Errors
    /// [`MetricsError::Empty`] for an empty subset, without studies or draws; [`MetricsError::UnknownClass`].
    pub fn macro_f1_interval(
        &self,
        subset: &[usize],
        undefined: Undefined,
        draws: usize,
        seed: u64,
    ) -> Result<Interval, MetricsError> {
        let mask = self.mask(subset)?;
        let classes: Vec<usize> = (0..self.classes.len())
            .filter(|class| mask >> class & 1 == 1)
            .collect();
        let f1 = |positions: &[usize]| {
            let mut counts = vec![Confusion::default(); classes.len()];
            for &position in positions {
                let (truth, predicted) = self.studies[position];
                for (counts, class) in counts.iter_mut().zip(&classes) {
                    counts.add(truth >> class & 1 == 1, predicted >> class & 1 == 1);
                }
            }
            average(counts.iter().map(Confusion::prf), undefined).f1
        };
        bootstrap_interval(self.studies.len(), f1, draws, seed)
    }

    /// The intervals of [`micro_f1_interval`](Self::micro_f1_interval) and
    /// [`macro_f1_interval`](Self::macro_f1_interval) of a subset and of [`f1_interval`](Self::f1_interval) of every
    /// class, from one pass over the draws.
    ///
    /// # Errors
    /// As theirs.
    pub fn f1_intervals(
        &self,
        subset: &[usize],
        undefined: Undefined,
        draws: usize,
        seed: u64,
    ) -> Result<F1Intervals, MetricsError> {
        let mask = self.mask(subset)?;
        let classes = self.classes.len();
        // Per study and class, all that an F1 counts: whether it is a true positive, and how often it is true or named.
        let mut rows: Vec<u16> = Vec::with_capacity(2 * classes * self.studies.len());
        for &(truth, predicted) in &self.studies {
            let bit = |bits: u64, class: usize| (bits >> class & 1) as u16;
            rows.extend((0..classes).map(|class| bit(truth & predicted, class)));
            rows.extend((0..classes).map(|class| bit(truth, class) + bit(predicted, class)));
        }
        // A sum of so many rows of at most 2 fits 16 bits.
        const ROWS: usize = u16::MAX as usize / 2;
        let statistics = |positions: &[usize]| {
            let mut totals = vec![0u64; 2 * classes];
            for positions in positions.chunks(ROWS) {
                let mut sums = vec![0u16; 2 * classes];
                for &position in positions {
                    let row = &rows[position * 2 * classes..][..2 * classes];
                    sums.iter_mut()
                        .zip(row)
                        .for_each(|(sum, value)| *sum += value);
                }
                totals
                    .iter_mut()
                    .zip(sums)
                    .for_each(|(total, sum)| *total += u64::from(sum));
            }
            let (hits, either) = totals.split_at(classes);
            let confusion = |class: usize| Confusion {
                true_positives: hits[class],
                false_positives: either[class] - 2 * hits[class],
                ..Confusion::default()
            };
            let chosen = || (0..classes).filter(|class| mask >> class & 1 == 1);
            let pooled: Confusion = chosen().map(confusion).sum();
            let averaged = average(chosen().map(|class| confusion(class).prf()), undefined);
            let every = (0..classes).map(|class| confusion(class).prf().f1);
            [pooled.prf().f1, averaged.f1]
                .into_iter()
                .chain(every)
                .collect()
        };
        let found = bootstrap_intervals(self.studies.len(), statistics, draws, seed)?;
        match found.as_slice() {
            [micro, macro_average, per_class @ ..] => Ok(F1Intervals {
                micro: *micro,
                macro_average: *macro_average,
                per_class: per_class.to_vec(),
            }),
            _ => Err(MetricsError::Empty {
                what: "the number of draws",
            }),
        }
    }

    fn mask(&self, subset: &[usize]) -> Result<u64, MetricsError> {
        if subset.is_empty() {
            return Err(MetricsError::Empty {
                what: "the subset of classes",
            });
        }
        subset
            .iter()
            .try_fold(0, |mask, &index| match self.classes.get(index) {
                Some(_) => Ok(mask | 1 << index),
                None => Err(MetricsError::UnknownClass {
                    index,
                    classes: self.classes.len(),
                }),
            })
    }
}

impl std::iter::Sum for Confusion {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |total, counts| Self {
            true_positives: total.true_positives + counts.true_positives,
            false_positives: total.false_positives + counts.false_positives,
            false_negatives: total.false_negatives + counts.false_negatives,
            true_negatives: total.true_negatives + counts.true_negatives,
        })
    }
}

impl Confusion {
    /// Number of studies in which the class is true.
    pub fn support(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Precision, recall and F1; NaN where the denominator is 0.
    pub fn prf(&self) -> Prf {
        let ratio = |part: u64, whole: u64| part as f64 / whole as f64;
        let named = self.true_positives + self.false_positives;
        let hits = self.true_positives;
        Prf {
            precision: ratio(hits, named),
            recall: ratio(hits, self.support()),
            f1: ratio(2 * hits, named + self.support()),
        }
    }

    /// Adds a case.
    pub(crate) fn add(&mut self, truth: bool, predicted: bool) {
        *match (truth, predicted) {
            (true, true) => &mut self.true_positives,
            (false, true) => &mut self.false_positives,
            (true, false) => &mut self.false_negatives,
            (false, false) => &mut self.true_negatives,
        } += 1;
    }

    fn count(&mut self, (truth, predicted): (u64, u64), mask: u64) {
        let ones = |bits: u64| u64::from((bits & mask).count_ones());
        self.true_positives += ones(truth & predicted);
        self.false_positives += ones(!truth & predicted);
        self.false_negatives += ones(truth & !predicted);
        self.true_negatives += ones(!truth & !predicted);
    }
}

fn pool(studies: &[(u64, u64)], mask: u64) -> Confusion {
    let mut counts = Confusion::default();
    studies.iter().for_each(|&study| counts.count(study, mask));
    counts
}

fn average(scores: impl Iterator<Item = Prf> + Clone, undefined: Undefined) -> Prf {
    let mean = |value: fn(&Prf) -> f64| {
        let (sum, count) = scores
            .clone()
            .filter_map(|score| match (value(&score), undefined) {
                (value, _) if !value.is_nan() => Some(value),
                (_, Undefined::Zero) => Some(0.0),
                (_, Undefined::One) => Some(1.0),
                (_, Undefined::Skip) => None,
            })
            .fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
        sum / count as f64
    };
    Prf {
        precision: mean(|score| score.precision),
        recall: mean(|score| score.recall),
        f1: mean(|score| score.f1),
    }
}

fn bits(flags: &[bool]) -> u64 {
    flags
        .iter()
        .rev()
        .fold(0, |bits, &flag| bits << 1 | u64::from(flag))
}

#[cfg(test)]
mod tests;
