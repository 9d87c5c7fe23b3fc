//! Findings of several seeds against a floor, resampled over studies and seeds.

use serde::{Deserialize, Serialize};

use super::{Confusion, FindingCounts};
use crate::{
    error::{MetricsError, check_paired},
    rng::SplitMix64,
    significance::{Interval, quantile},
};

/// [`compare_seeds`]: mean F1 over seeds, and how sure it is to differ from a floor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeedComparison {
    /// Mean micro F1 over seeds.
    pub mean: f64,
    /// 95 % percentile interval of the mean.
    pub interval: Interval,
    /// Micro F1 of the floor on the same studies.
    pub floor: f64,
    /// Mean minus floor.
    pub difference: f64,
    /// 95 % percentile interval of the difference.
    pub difference_interval: Interval,
    /// Two-sided bootstrap p-value of no difference: twice the smaller share of draws on one side of 0.
    pub p_value: f64,
}

/// Compares the micro F1 of several seeds with that of a floor on the same studies.
///
/// Every draw takes studies with replacement, the same for all seeds and the floor, and seeds with replacement: studies
/// are hard or easy for all seeds alike, so pooling them as if independent would make intervals too narrow.
/// p = 2 · (1 + min(draws with a difference ≤ 0, draws with one ≥ 0)) / (1 + draws), at most 1. An F1 of 0/0 counts as 0.
///
/// # Errors
/// [`MetricsError::Empty`] without seeds, studies, draws or classes; [`MetricsError::LengthMismatch`] unless all tables have
/// as many studies; [`MetricsError::UnknownClass`].
pub fn compare_seeds(
    seeds: &[FindingCounts],
    floor: &FindingCounts,
    subset: &[usize],
    draws: usize,
    seed: u64,
) -> Result<SeedComparison, MetricsError> {
    let empty = |what| MetricsError::Empty { what };
    if seeds.is_empty() {
        return Err(empty("the list of seeds"));
    }
    if draws == 0 {
        return Err(empty("the number of draws"));
    }
    let mask = floor.mask(subset)?;
    for table in seeds {
        table.mask(subset)?;
        check_paired(
            ("the floor's studies", floor.studies()),
            ("a seed's studies", table.studies()),
        )?;
    }
    let f1 = |table: &FindingCounts, positions: &[usize]| {
        let mut counts = Confusion::default();
        for &position in positions {
            counts.count(table.studies[position], mask);
        }
        let f1 = counts.prf().f1;
        if f1.is_nan() { 0.0 } else { f1 }
    };
    let every: Vec<usize> = (0..floor.studies()).collect();
    let mean_of = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let values: Vec<f64> = seeds.iter().map(|table| f1(table, &every)).collect();
    let (mean, floor_f1) = (mean_of(&values), f1(floor, &every));
    let mut rng = SplitMix64::new(seed);
    let (mut means, mut differences) = (Vec::with_capacity(draws), Vec::with_capacity(draws));
    for _ in 0..draws {
        let positions: Vec<usize> = every.iter().map(|_| rng.index(every.len())).collect();
        let drawn: Vec<f64> = (seeds.iter())
            .map(|_| f1(&seeds[rng.index(seeds.len())], &positions))
            .collect();
        let drawn = mean_of(&drawn);
        means.push(drawn);
        differences.push(drawn - f1(floor, &positions));
    }
    let below = differences.iter().filter(|&&it| it <= 0.0).count();
    let above = differences.iter().filter(|&&it| it >= 0.0).count();
    let p_value = 2.0 * (1 + below.min(above)) as f64 / (1 + draws) as f64;
    let interval = |values: &mut Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        Interval {
            low: quantile(values, 0.025),
            high: quantile(values, 0.975),
        }
    };
    Ok(SeedComparison {
        mean,
        interval: interval(&mut means),
        floor: floor_f1,
        difference: mean - floor_f1,
        difference_interval: interval(&mut differences),
        p_value: p_value.min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(predict: impl Fn(usize) -> bool) -> FindingCounts {
        let mut counts = FindingCounts::new(["a"]).expect("one");
        for study in 0..80 {
            let truth = study % 4 == 0;
            counts.add(&[truth], &[predict(study)]).expect("one");
        }
        counts
    }

    #[test]
    fn seeds_that_see_beat_a_constant_and_constants_do_not() {
        let always = table(|_| true);
        let seeing: Vec<FindingCounts> = (0..5)
            .map(|seed| {
                table(move |study| study % 4 == 0 && study % (7 + seed) != 0 || study % 11 == 3)
            })
            .collect();
        let found = compare_seeds(&seeing, &always, &[0], 2_000, 1).expect("given");
        assert_eq!(found.floor, 0.4);
        assert!((found.difference - (found.mean - found.floor)).abs() < 1e-12);
        assert!(found.interval.low < found.mean && found.mean < found.interval.high);
        assert!(
            found.difference_interval.low > 0.0 && found.p_value < 0.01,
            "{found:?}"
        );
        assert_eq!(
            found,
            compare_seeds(&seeing, &always, &[0], 2_000, 1).expect("given")
        );
        let same = compare_seeds(&[always.clone(), always.clone()], &always, &[0], 200, 1);
        let same = same.expect("given");
        assert_eq!((same.difference, same.p_value), (0.0, 1.0));
    }

    #[test]
    fn seeds_add_their_own_spread() {
        let floor = table(|_| true);
        let good = table(|study| study % 4 == 0);
        let bad = table(|study| study % 4 == 1);
        let of =
            |seeds: &[FindingCounts]| compare_seeds(seeds, &floor, &[0], 2_000, 1).expect("given");
        let width = |it: SeedComparison| it.interval.high - it.interval.low;
        assert_eq!(width(of(&[good.clone(), good.clone()])), 0.0);
        assert!(width(of(&[good, bad])) > 0.9);
    }

    #[test]
    fn bad_input_is_named() {
        let floor = table(|_| true);
        let mut shorter = FindingCounts::new(["a"]).expect("one");
        shorter.add(&[true], &[true]).expect("one");
        assert!(compare_seeds(&[], &floor, &[0], 10, 0).is_err());
        assert!(compare_seeds(&[shorter], &floor, &[0], 10, 0).is_err());
        assert!(compare_seeds(std::slice::from_ref(&floor), &floor, &[1], 10, 0).is_err());
        assert!(compare_seeds(std::slice::from_ref(&floor), &floor, &[0], 0, 0).is_err());
    }
}
