//! Is system B better than system A? Paired tests over seeds and over studies.
//!
//! - Over seeds: [`sign_flip`], on one score per seed. Five seeds cannot go below p = 1/16.
//! - Over studies, for one pair of runs: [`approximate_randomization`] and [`bootstrap_interval`], on any
//!   per-study contribution to a statistic. Several runs of one study are not independent: average them
//!   (or pool their counts) per study first, so that the study stays the unit that is resampled.
//!
//! Everything is deterministic given its seed.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    error::{MetricsError, check_paired},
    rng::SplitMix64,
};

/// Default number of draws.
pub const DEFAULT_DRAWS: usize = 10_000;

/// Most pairs for which [`sign_flip`] visits every assignment of signs (2²⁰ of them).
pub const MAX_EXACT_PAIRS: usize = 20;

/// Sums that differ by less than this share of Σ|d| count as ties, because they differ by rounding only.
const TIE: f64 = 1e-12;

/// Outcome of a paired test of "A and B are exchangeable", two-sided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedTest {
    /// Statistic of B minus statistic of A: positive when B is higher.
    pub difference: f64,
    /// Probability of a difference at least this large in size if A and B were exchangeable, in (0, 1].
    pub p_value: f64,
    /// Assignments visited.
    pub draws: usize,
    /// Whether all assignments were visited rather than a random sample.
    pub exact: bool,
}

/// A range that covers the quantity with the stated confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// [`compare_studies`]: a test and an interval for the same difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Approximate randomisation.
    pub test: PairedTest,
    /// 95 % percentile bootstrap interval of B − A, studies resampled in pairs.
    pub interval: Interval,
}

/// Sign-flip permutation test on the mean of paired differences, meant for one score per seed.
///
/// Exact up to [`MAX_EXACT_PAIRS`] pairs, where `draws` and `seed` do not matter; beyond that
/// p = (1 + hits) / (1 + draws) over random signs.
///
/// # Errors
/// [`MetricsError::LengthMismatch`], [`MetricsError::Empty`] or [`MetricsError::NotFinite`].
///
/// # Example
/// ```
/// let baseline = [0.160, 0.158, 0.163, 0.161, 0.159];
/// let ours = [0.171, 0.169, 0.166, 0.170, 0.172];
/// let test = ithn_metrics::sign_flip(&baseline, &ours, 10_000, 0)?;
/// assert_eq!(test.p_value, 0.0625); // The least that five seeds can show.
/// # Ok::<(), ithn_metrics::MetricsError>(())
/// ```
pub fn sign_flip(
    a: &[f64],
    b: &[f64],
    draws: usize,
    seed: u64,
) -> Result<PairedTest, MetricsError> {
    check_paired(("A", a.len()), ("B", b.len()))?;
    check_finite("A", a)?;
    check_finite("B", b)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let observed: f64 = differences.iter().sum();
    let at_least = observed.abs()
        - TIE
            * differences
                .iter()
                .map(|difference| difference.abs())
                .sum::<f64>();
    let exact = differences.len() <= MAX_EXACT_PAIRS;
    let (p_value, draws) = if exact {
        exact_p_value(&differences, at_least)
    } else {
        (sampled_p_value(&differences, at_least, draws, seed), draws)
    };
    Ok(PairedTest {
        difference: observed / differences.len() as f64,
        p_value,
        draws,
        exact,
    })
}

/// Visits all signs. Flipping all of them gives the same size, so the last one stays positive.
fn exact_p_value(differences: &[f64], at_least: f64) -> (f64, usize) {
    let assignments = 1usize << (differences.len() - 1);
    let hits = (0..assignments)
        .filter(|signs| {
            let sum: f64 = differences
                .iter()
                .enumerate()
                .map(|(index, d)| if signs >> index & 1 == 1 { -d } else { *d })
                .sum();
            sum.abs() >= at_least
        })
        .count();
    (hits as f64 / assignments as f64, 2 * assignments)
}

fn sampled_p_value(differences: &[f64], at_least: f64, draws: usize, seed: u64) -> f64 {
    let mut rng = SplitMix64::new(seed);
    let mut coin = rng.coins();
    let hits = (0..draws)
        .filter(|_| {
            let sum: f64 = differences
                .iter()
                .map(|d| if coin() { -d } else { *d })
                .sum();
            sum.abs() >= at_least
        })
        .count();
    (hits + 1) as f64 / (draws + 1) as f64
}

/// Paired approximate randomisation (Noreen, 1989): swaps A and B study by study, at random.
///
/// `statistic` turns what the studies contribute into the number compared: a mean of scores, a sum of
/// [`BleuCounts`](crate::BleuCounts) turned into corpus BLEU, an F1 from counts.
/// p = (1 + hits) / (1 + draws).
///
/// # Errors
/// [`MetricsError::LengthMismatch`] or [`MetricsError::Empty`].
pub fn approximate_randomization<T>(
    a: &[T],
    b: &[T],
    statistic: impl Fn(&[&T]) -> f64,
    draws: usize,
    seed: u64,
) -> Result<PairedTest, MetricsError> {
    check_paired(("A", a.len()), ("B", b.len()))?;
    let mut left: Vec<&T> = a.iter().collect();
    let mut right: Vec<&T> = b.iter().collect();
    let (score_a, score_b) = (statistic(&left), statistic(&right));
    let difference = score_b - score_a;
    let at_least = difference.abs() - TIE * score_a.abs().max(score_b.abs());
    let mut rng = SplitMix64::new(seed);
    let mut coin = rng.coins();
    let mut hits = 0;
    for _ in 0..draws {
        for (left, right) in left.iter_mut().zip(&mut right) {
            if coin() {
                std::mem::swap(left, right);
            }
        }
        hits += usize::from((statistic(&right) - statistic(&left)).abs() >= at_least);
    }
    let p_value = (hits + 1) as f64 / (draws + 1) as f64;
    Ok(PairedTest {
        difference,
        p_value,
        draws,
        exact: false,
    })
}

/// 95 % percentile bootstrap interval of a statistic over `studies` studies.
///
/// `statistic` receives the positions drawn with replacement, as many as there are studies: a comparison reads
/// both systems at the same positions and so stays paired. Draws where the statistic is NaN (an F1 without any
/// case of its class) are left out; the ends are NaN if none is left.
///
/// # Errors
/// [`MetricsError::Empty`] without studies or draws.
pub fn bootstrap_interval(
    studies: usize,
    statistic: impl Fn(&[usize]) -> f64,
    draws: usize,
    seed: u64,
) -> Result<Interval, MetricsError> {
    check_drawn(studies, draws)?;
    let mut rng = SplitMix64::new(seed);
    let mut positions = vec![0; studies];
    let mut values = Vec::with_capacity(draws);
    for _ in 0..draws {
        positions
            .iter_mut()
            .for_each(|position| *position = rng.index(studies));
        values.push(statistic(&positions));
    }
    Ok(interval_of(values))
}

/// The intervals of [`bootstrap_interval`] of several statistics, all of them taken from every draw, which costs little
/// more than one of them. `statistics` gives them in a fixed number and order.
///
/// # Errors
/// As there.
pub(crate) fn bootstrap_intervals(
    studies: usize,
    statistics: impl Fn(&[usize]) -> Vec<f64> + Sync,
    draws: usize,
    seed: u64,
) -> Result<Vec<Interval>, MetricsError> {
    check_drawn(studies, draws)?;
    let drawn: Vec<Vec<f64>> = (0..draws)
        .into_par_iter()
        .map_init(
            || vec![0; studies],
            |positions, draw| {
                let mut rng = SplitMix64::new(seed);
                rng.skip(draw as u64 * studies as u64);
                positions
                    .iter_mut()
                    .for_each(|position| *position = rng.index(studies));
                statistics(positions)
            },
        )
        .collect();
    let count = drawn.first().map_or(0, Vec::len);
    let values = |at: usize| drawn.iter().map(|values| values[at]).collect();
    Ok((0..count).map(|at| interval_of(values(at))).collect())
}

fn check_drawn(studies: usize, draws: usize) -> Result<(), MetricsError> {
    let what = match (studies, draws) {
        (0, _) => "the corpus",
        (_, 0) => "the number of draws",
        _ => return Ok(()),
    };
    Err(MetricsError::Empty { what })
}

/// The middle 95 % of drawn values.
fn interval_of(mut values: Vec<f64>) -> Interval {
    values.retain(|value| !value.is_nan());
    values.sort_unstable_by(f64::total_cmp);
    Interval {
        low: quantile(&values, 0.025),
        high: quantile(&values, 0.975),
    }
}

/// Compares two systems on the same studies: p-value and 95 % interval of B − A.
///
/// # Errors
/// [`MetricsError::LengthMismatch`] or [`MetricsError::Empty`].
///
/// # Example
/// ```
/// let a = [0.1, 0.4, 0.3, 0.2];
/// let b = [0.2, 0.5, 0.3, 0.4];
/// let mean = |scores: &[&f64]| scores.iter().copied().sum::<f64>() / scores.len() as f64;
/// let comparison = ithn_metrics::compare_studies(&a, &b, mean, 10_000, 0)?;
/// assert!((comparison.test.difference - 0.1).abs() < 1e-12);
/// # Ok::<(), ithn_metrics::MetricsError>(())
/// ```
pub fn compare_studies<T>(
    a: &[T],
    b: &[T],
    statistic: impl Fn(&[&T]) -> f64,
    draws: usize,
    seed: u64,
) -> Result<Comparison, MetricsError> {
    let test = approximate_randomization(a, b, &statistic, draws, seed)?;
    let pick = |from: &[T], positions: &[usize]| {
        statistic(
            &positions
                .iter()
                .map(|&position| &from[position])
                .collect::<Vec<&T>>(),
        )
    };
    let difference = |positions: &[usize]| pick(b, positions) - pick(a, positions);
    let interval = bootstrap_interval(a.len(), difference, draws, seed)?;
    Ok(Comparison { test, interval })
}

/// Quantile of sorted values, interpolated between neighbours (numpy's default).
pub(crate) fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = probability * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

fn check_finite(what: &'static str, values: &[f64]) -> Result<(), MetricsError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(MetricsError::NotFinite { what, index }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[&f64]) -> f64 {
        values.iter().copied().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn few_seeds_by_hand() {
        // Of the 8 signed sums of 1, 2, 3 only ±6 are as large as 6: p = 2/8.
        let test = sign_flip(&[0.0; 3], &[1.0, 2.0, 3.0], 0, 0).unwrap();
        assert_eq!((test.p_value, test.difference, test.draws), (0.25, 2.0, 8));
        // -1+2+3 = 4 is reached or passed by ±4 and ±6.
        assert_eq!(
            sign_flip(&[0.0; 3], &[-1.0, 2.0, 3.0], 0, 0)
                .unwrap()
                .p_value,
            0.5
        );
        assert_eq!(sign_flip(&[0.5; 8], &[0.5; 8], 0, 0).unwrap().p_value, 1.0);
    }

    #[test]
    fn eight_better_seeds_give_two_in_256() {
        let better: Vec<f64> = (0..8).map(|seed| 0.1 + 0.01 * f64::from(seed)).collect();
        let test = sign_flip(&[0.0; 8], &better, 0, 0).unwrap();
        assert_eq!(test.p_value, 2.0 / 256.0);
        assert!(test.exact);
    }

    #[test]
    fn swapping_the_systems_turns_the_sign_only() {
        let (a, b) = ([0.1, 0.5, 0.3, 0.7], [0.2, 0.4, 0.6, 0.9]);
        let (one, other) = (
            sign_flip(&a, &b, 0, 0).unwrap(),
            sign_flip(&b, &a, 0, 0).unwrap(),
        );
        assert_eq!(one.p_value, other.p_value);
        assert_eq!(one.difference, -other.difference);
    }

    #[test]
    fn sampling_approaches_the_exact_value() {
        let b: Vec<f64> = (0..12).map(|i| (f64::from(i) * 1.7).sin() + 0.4).collect();
        let a = vec![0.0; b.len()];
        let exact = sign_flip(&a, &b, 0, 0).unwrap().p_value;
        let sampled = approximate_randomization(&a, &b, mean, 20_000, 3)
            .unwrap()
            .p_value;
        assert!((exact - sampled).abs() < 0.015, "{exact} {sampled}");
    }

    #[test]
    fn many_pairs_are_sampled_reproducibly() {
        let a = vec![0.0; 40];
        let b: Vec<f64> = (0..40).map(|i| f64::from(i % 3) - 0.9).collect();
        let test = sign_flip(&a, &b, 2_000, 7).unwrap();
        assert!(!test.exact);
        assert_eq!(test, sign_flip(&a, &b, 2_000, 7).unwrap());
    }

    #[test]
    fn interval_of_a_constant_is_a_point_and_of_a_mean_has_its_width() {
        let comparison = compare_studies(&[1.0; 9], &[3.0; 9], mean, 500, 0).unwrap();
        assert_eq!(
            comparison.interval,
            Interval {
                low: 2.0,
                high: 2.0
            }
        );
        // Mean of 400 fair coins: 0.5 ± 1.96 · 0.5 / 20.
        let coin = |i: usize| (i % 2) as f64;
        let share = |at: &[usize]| at.iter().map(|&i| coin(i)).sum::<f64>() / at.len() as f64;
        let interval = bootstrap_interval(400, share, 5_000, 1).unwrap();
        assert!((interval.low - 0.451).abs() < 0.006, "{interval:?}");
        assert!((interval.high - 0.549).abs() < 0.006, "{interval:?}");
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(
            sign_flip(&[1.0], &[], 1, 0),
            Err(MetricsError::LengthMismatch {
                left_len: 1,
                right_len: 0,
                ..
            })
        ));
        assert_eq!(
            sign_flip(&[1.0, f64::NAN], &[0.0, 0.0], 1, 0),
            Err(MetricsError::NotFinite {
                what: "A",
                index: 1
            })
        );
        assert!(bootstrap_interval(0, |_| 0.0, 10, 0).is_err());
    }
}
