//! Image-to-report retrieval.
//!
//! Scores come from any model that compares an image with a report, higher being closer. Ties count at their expected
//! rank, so that a model that gives every report the same score is worth chance: recall@1 of 1/n, not 1.

use serde::{Deserialize, Serialize};

use crate::error::MetricsError;

/// One image: the score of its own report, and those of the other candidates.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Score of the true report.
    pub own: f64,
    /// Scores of the others.
    pub others: &'a [f64],
}

/// Recall and rank of true reports among candidates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Number of images.
    pub queries: usize,
    /// Share of images whose own report is the closest, in [0, 1].
    pub recall_at_1: f64,
    /// Among the 5 closest.
    pub recall_at_5: f64,
    /// Among the 10 closest.
    pub recall_at_10: f64,
    /// Median of the expected ranks, 1 being best.
    pub median_rank: f64,
    /// Recall@1 of random guessing: the mean of 1 / candidates.
    pub chance_at_1: f64,
}

/// Ranks every true report among its candidates.
///
/// Of t candidates tied with the true report and b better ones, recall@k counts min(max(k − b, 0), t + 1) / (t + 1), the
/// chance of being among the first k in random order; the expected rank is b + 1 + t / 2.
///
/// # Errors
/// [`MetricsError::Empty`] without queries, [`MetricsError::NotFinite`] with the position of the query.
///
/// # Example
/// ```
/// use ithn_metrics::{Query, retrieval};
///
/// let queries = [
///     Query { own: 0.9, others: &[0.1, 0.2] },
///     Query { own: 0.3, others: &[0.8, 0.1] },
/// ];
/// let found = retrieval(queries)?;
/// assert_eq!((found.recall_at_1, found.recall_at_5, found.median_rank), (0.5, 1.0, 1.5));
/// # Ok::<(), ithn_metrics::MetricsError>(())
/// ```
pub fn retrieval<'a>(
    queries: impl IntoIterator<Item = Query<'a>>,
) -> Result<Retrieval, MetricsError> {
    let mut ranks = Vec::new();
    let (mut at_1, mut at_5, mut at_10, mut chance) = (0.0, 0.0, 0.0, 0.0);
    for (index, query) in queries.into_iter().enumerate() {
        let place = place(&query, index)?;
        at_1 += place.recall(1);
        at_5 += place.recall(5);
        at_10 += place.recall(10);
        chance += 1.0 / (query.others.len() + 1) as f64;
        ranks.push(place.rank());
    }
    let count = check_some(ranks.len())?;
    ranks.sort_unstable_by(f64::total_cmp);
    let middle = ranks.len() / 2;
    let median_rank = if ranks.len() % 2 == 1 {
        ranks[middle]
    } else {
        (ranks[middle - 1] + ranks[middle]) / 2.0
    };
    Ok(Retrieval {
        queries: ranks.len(),
        recall_at_1: at_1 / count,
        recall_at_5: at_5 / count,
        recall_at_10: at_10 / count,
        median_rank,
        chance_at_1: chance / count,
    })
}

/// [`retrieval`] from a square matrix in row-major order: row i holds image i's scores of all reports, its own at i.
///
/// # Errors
/// [`MetricsError::LengthMismatch`] unless there are `studies`² scores; otherwise as [`retrieval`].
pub fn retrieval_from_matrix(scores: &[f64], studies: usize) -> Result<Retrieval, MetricsError> {
    crate::error::check_paired(
        ("scores", scores.len()),
        ("studies squared", studies * studies),
    )?;
    let mut others = Vec::with_capacity(scores.len());
    for (own, row) in scores.chunks(studies).enumerate() {
        others.extend_from_slice(&row[..own]);
        others.extend_from_slice(&row[own + 1..]);
    }
    retrieval((0..studies).map(|study| Query {
        own: scores[study * studies + study],
        others: &others[study * (studies - 1)..(study + 1) * (studies - 1)],
    }))
}

/// Share of images whose own report beats all of its near-twins, in [0, 1]; a tie with t of them counts 1 / (t + 1).
///
/// Near-twins are reports that differ in one finding, as hard negatives do. Images without a near-twin are left out.
///
/// # Errors
/// [`MetricsError::Empty`] if no image has a near-twin, [`MetricsError::NotFinite`] with the position of the query.
pub fn near_twin_accuracy<'a>(
    queries: impl IntoIterator<Item = Query<'a>>,
) -> Result<f64, MetricsError> {
    let (mut right, mut count) = (0.0, 0);
    for (index, query) in queries.into_iter().enumerate() {
        if !query.others.is_empty() {
            right += place(&query, index)?.recall(1);
            count += 1;
        }
    }
    Ok(right / check_some(count)?)
}

fn check_some(queries: usize) -> Result<f64, MetricsError> {
    match queries {
        0 => Err(MetricsError::Empty {
            what: "the list of queries",
        }),
        queries => Ok(queries as f64),
    }
}

/// Rank of the true report among the candidates.
struct Place {
    better: usize,
    tied: usize,
}

fn place(query: &Query<'_>, index: usize) -> Result<Place, MetricsError> {
    if !query.own.is_finite() || query.others.iter().any(|score| !score.is_finite()) {
        return Err(MetricsError::NotFinite {
            what: "the list of queries",
            index,
        });
    }
    Ok(Place {
        better: query
            .others
            .iter()
            .filter(|&&score| score > query.own)
            .count(),
        tied: query
            .others
            .iter()
            .filter(|&&score| score == query.own)
            .count(),
    })
}

impl Place {
    fn recall(&self, within: usize) -> f64 {
        let places = within.saturating_sub(self.better).min(self.tied + 1);
        places as f64 / (self.tied + 1) as f64
    }

    fn rank(&self) -> f64 {
        (self.better + 1) as f64 + self.tied as f64 / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_scores_are_chance() {
        let found = retrieval_from_matrix(&[0.5; 400], 20).unwrap();
        assert!((found.recall_at_1 - 0.05).abs() < 1e-12);
        assert!((found.recall_at_10 - 0.5).abs() < 1e-12);
        assert!((found.recall_at_1 - found.chance_at_1).abs() < 1e-12);
        assert_eq!(found.median_rank, 10.5);
    }

    #[test]
    fn ranks_by_hand() {
        let matrix = [
            3.0, 1.0, 2.0, // rank 1
            9.0, 5.0, 7.0, // rank 3
            4.0, 0.0, 4.0, // tied for 1
        ];
        let found = retrieval_from_matrix(&matrix, 3).unwrap();
        assert_eq!((found.recall_at_1, found.median_rank), (0.5, 1.5));
        assert_eq!(found.recall_at_5, 1.0);
    }

    #[test]
    fn recall_never_falls_with_k_and_order_does_not_matter() {
        let others: Vec<f64> = (0..30).map(|at| f64::from(at * 7 % 13)).collect();
        let mut turned = others.clone();
        turned.reverse();
        for own in 0..14 {
            let of = |others: &[f64]| {
                retrieval([Query {
                    own: f64::from(own),
                    others,
                }])
                .unwrap()
            };
            let found = of(&others);
            assert!(
                found.recall_at_1 <= found.recall_at_5 && found.recall_at_5 <= found.recall_at_10
            );
            assert_eq!(found, of(&turned));
        }
    }

    #[test]
    fn near_twins_by_hand() {
        let queries = [
            Query {
                own: 1.0,
                others: &[0.5, 0.2],
            },
            Query {
                own: 1.0,
                others: &[1.0],
            },
            Query {
                own: 1.0,
                others: &[2.0],
            },
            Query {
                own: 1.0,
                others: &[],
            },
        ];
        assert_eq!(near_twin_accuracy(queries).unwrap(), 0.5);
        assert!(
            near_twin_accuracy([Query {
                own: 1.0,
                others: &[]
            }])
            .is_err()
        );
    }

    #[test]
    fn bad_scores_are_named() {
        let queries = [
            Query {
                own: 0.0,
                others: &[1.0],
            },
            Query {
                own: 0.0,
                others: &[f64::NAN],
            },
        ];
        assert!(matches!(
            retrieval(queries),
            Err(MetricsError::NotFinite { index: 1, .. })
        ));
        assert!(matches!(retrieval([]), Err(MetricsError::Empty { .. })));
        assert!(retrieval_from_matrix(&[1.0; 5], 2).is_err());
    }
}
