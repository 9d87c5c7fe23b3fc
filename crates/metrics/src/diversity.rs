//! Diversity of generated reports: a model that writes one report for every study still gets a good BLEU.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{corpus::words, error::MetricsError};

/// Diversity of a set of reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// Number of reports.
    pub reports: usize,
    /// Number of distinct reports, ignoring whitespace but not case.
    pub distinct: usize,
    /// Share of the most frequent report, in (0, 1].
    pub most_frequent_share: f64,
    /// Mean length in words between whitespace; a separated " . " counts as a word.
    pub mean_words: f64,
}

/// Measures the diversity of reports.
///
/// # Errors
/// [`MetricsError::Empty`] without reports.
pub fn diversity<S: AsRef<str>>(reports: &[S]) -> Result<Diversity, MetricsError> {
    if reports.is_empty() {
        return Err(MetricsError::Empty {
            what: "the list of reports",
        });
    }
    let mut frequencies: HashMap<Vec<&str>, usize> = HashMap::new();
    let mut total_words = 0;
    for report in reports {
        let words: Vec<&str> = words(report.as_ref()).collect();
        total_words += words.len();
        *frequencies.entry(words).or_insert(0) += 1;
    }
    let most_frequent = frequencies.values().max().copied().unwrap_or(0);
    Ok(Diversity {
        reports: reports.len(),
        distinct: frequencies.len(),
        most_frequent_share: most_frequent as f64 / reports.len() as f64,
        mean_words: total_words as f64 / reports.len() as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        let measured = diversity(&["a b", "a  b ", "a", "c d e"]).unwrap();
        assert_eq!(measured.distinct, 3);
        assert_eq!(measured.most_frequent_share, 0.5);
        assert_eq!(measured.mean_words, 2.0);
        assert!(diversity::<&str>(&[]).is_err());
    }
}
