//! Reports of drawn words, the same in every run.

use ithn_mining::{MiningStudy, TfIdfConfig, mine};

/// Numbers that look random (an LCG's high bits).
pub fn numbers() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1u64), |state| {
        let next = state.wrapping_mul(6_364_136_223_846_793_005);
        Some(next.wrapping_add(1_442_695_040_888_963_407))
    })
    .map(|state| state >> 33)
}

/// Reports of 40 words, of which few are frequent and most are rare.
pub fn reports(count: usize) -> Vec<String> {
    let mut numbers = numbers();
    let mut word = || {
        let next = numbers.next().unwrap_or_default();
        format!("w{}", 2000 / (1 + next % 2000))
    };
    (0..count)
        .map(|_| (0..40).map(|_| word()).collect::<Vec<_>>().join(" ") + " .")
        .collect()
}

/// Mining of one negative per study by TF-IDF, every study of another patient.
pub struct MiningRun {
    reports: Vec<String>,
    ids: Vec<String>,
}

impl MiningRun {
    /// A run over this number of studies.
    pub fn new(studies: usize) -> Self {
        MiningRun {
            reports: reports(studies),
            ids: (0..studies).map(|index| index.to_string()).collect(),
        }
    }

    /// Fits the embedding and compares all with all.
    pub fn mine(&self) {
        let studies: Vec<MiningStudy> = self
            .ids
            .iter()
            .zip(&self.reports)
            .map(|(id, report)| MiningStudy {
                id,
                patient: id,
                report,
            })
            .collect();
        let embedding = TfIdfConfig::default().fit(self.reports.iter().map(String::as_str));
        let mined = mine(&studies, &studies, 1, &embedding, |_| {});
        std::hint::black_box(mined.expect("reports with words"));
    }
}
