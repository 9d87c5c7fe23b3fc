//! Tests of systems against one another, pair by pair.

use ithn::metrics::clinical::policies::{Policy, compare_policy};
use ithn::metrics::clinical::scores::{ScoreComparison, ScoreTable, compare_scores, holm};
use ithn::metrics::evaluation::{EvaluationError, compare_evaluations};
use ithn::metrics::{Interval, MetricsError};
use serde::Serialize;

use super::Scored;

/// Two systems, metric by metric.
#[derive(Serialize)]
pub(super) struct Pair {
    /// The system subtracted.
    pub other: String,
    /// The system it is subtracted from.
    pub this: String,
    pub metrics: Vec<Tested>,
}

/// A metric of two systems.
#[derive(Serialize)]
pub(super) struct Tested {
    pub metric: String,
    /// Studies for which both have it.
    pub studies: usize,
    pub other: f64,
    pub this: f64,
    /// This minus other.
    pub difference: f64,
    /// Two-sided, by paired approximate randomisation.
    pub p_value: f64,
    /// The same after Holm's correction over the pairs of systems on this metric.
    pub holm_p_value: f64,
    /// 95 % bootstrap interval of the difference.
    pub interval: Interval,
}

impl From<ScoreComparison> for Tested {
    fn from(compared: ScoreComparison) -> Self {
        Tested {
            metric: compared.score,
            studies: compared.studies,
            other: compared.other_mean,
            this: compared.this_mean,
            difference: compared.comparison.test.difference,
            p_value: compared.comparison.test.p_value,
            holm_p_value: compared.holm_p_value,
            interval: compared.comparison.interval,
        }
    }
}

/// Tests every pair of systems on every metric that all have.
pub(super) fn pairs(
    systems: &[Scored],
    policies: &[Policy],
    draws: usize,
    seed: u64,
) -> Result<Vec<Pair>, EvaluationError> {
    let mut pairs = Vec::new();
    for (at, other) in systems.iter().enumerate() {
        for this in &systems[at + 1..] {
            let mut metrics = of_evaluations(other, this, draws, seed)?;
            metrics.extend(of_policies(other, this, policies, draws, seed)?);
            pairs.push(Pair {
                other: other.name.clone(),
                this: this.name.clone(),
                metrics,
            });
        }
    }
    correct(&mut pairs);
    let tables: Vec<(&str, &ScoreTable)> = systems
        .iter()
        .map(|system| (system.name.as_str(), &system.clinical.table))
        .collect();
    for compared in compare_scores(&tables, draws, seed)? {
        let of_them = |pair: &&mut Pair| pair.other == compared.other && pair.this == compared.this;
        if let Some(pair) = pairs.iter_mut().find(of_them) {
            pair.metrics.push(compared.into());
        }
    }
    Ok(pairs)
}

fn of_evaluations(
    other: &Scored,
    this: &Scored,
    draws: usize,
    seed: u64,
) -> Result<Vec<Tested>, MetricsError> {
    let versus = compare_evaluations(&this.evaluation, &other.evaluation, draws, seed)?;
    let tested = versus.metrics.into_iter().map(|compared| Tested {
        metric: compared.metric,
        studies: this.evaluation.studies,
        other: compared.other,
        this: compared.this,
        difference: compared.difference,
        p_value: compared.p_value,
        holm_p_value: compared.p_value,
        interval: compared.interval,
    });
    Ok(tested.collect())
}

pub(super) fn of_policies(
    other: &Scored,
    this: &Scored,
    policies: &[Policy],
    draws: usize,
    seed: u64,
) -> Result<Vec<Tested>, MetricsError> {
    let (Some(others), Some(these)) = (&other.labels, &this.labels) else {
        return Ok(Vec::new());
    };
    let mut tested = Vec::new();
    for &policy in policies {
        let numbers = compare_policy(
            policy,
            &these.references,
            &others.predictions,
            &these.predictions,
            draws,
            seed,
        )?;
        tested.extend(numbers.into_iter().map(|number| Tested {
            metric: format!("{policy}.{}", number.name),
            studies: this.evaluation.studies,
            other: number.other,
            this: number.this,
            difference: number.comparison.test.difference,
            p_value: number.comparison.test.p_value,
            holm_p_value: number.comparison.test.p_value,
            interval: number.comparison.interval,
        }));
    }
    Ok(tested)
}

/// Holm's correction of each metric over the pairs, which hold the same metrics in the same order.
fn correct(pairs: &mut [Pair]) {
    let metrics = pairs.first().map_or(0, |pair| pair.metrics.len());
    for metric in 0..metrics {
        let raw: Vec<f64> = pairs
            .iter()
            .map(|pair| pair.metrics[metric].p_value)
            .collect();
        for (pair, corrected) in pairs.iter_mut().zip(holm(&raw)) {
            pair.metrics[metric].holm_p_value = corrected;
        }
    }
}
