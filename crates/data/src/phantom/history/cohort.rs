use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::change::PhantomChanges;
use super::indication::indication;
use crate::context::Projection;
use crate::phantom::attributes::Size;
use crate::phantom::cohort::{
    PREVALENCES, all_visible, is_held_out, place, sample_findings, weighted,
};
use crate::phantom::findings::{FindingKind, PhantomFinding, PhantomFindings};
use crate::phantom::grammar::write_compared_report;
use crate::study::Split;

/// How many phantom patients, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PhantomHistoryConfig {
    /// Training patients, of one to four studies each.
    pub train: usize,
    /// Validation patients.
    pub validation: usize,
    /// Test patients.
    pub test: usize,
    /// Width and height of a film in pixels, at least 16.
    pub image_size: u32,
    /// Seed of all random draws.
    pub seed: u64,
    /// How often things happen.
    pub rates: HistoryRates,
}

/// How often things happen in a phantom's history, each in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HistoryRates {
    /// A finding that can go is gone in the next study. Pacemakers, nodules and fractures stay.
    pub resolve: f64,
    /// A finding with a size that stays and can grow has grown.
    pub grow: f64,
    /// A finding with a size that stays, has not grown and can shrink has shrunk.
    pub shrink: f64,
    /// A study has an indication.
    pub indication: f64,
    /// An indication hints at a finding of the study, if there is one; otherwise it is one of a few that fit anything.
    pub hint: f64,
    /// An indication hints at something that is not there.
    pub false_hint: f64,
    /// A study's frontal film is AP instead of PA.
    pub portable: f64,
    /// A study that is not portable has a lateral film.
    pub lateral: f64,
    /// A study that is not portable has an AP film beside the PA one.
    pub second_frontal: f64,
}

impl Default for HistoryRates {
    fn default() -> Self {
        HistoryRates {
            resolve: 0.3,
            grow: 0.45,
            shrink: 0.6,
            indication: 0.9,
            hint: 0.75,
            false_hint: 0.05,
            portable: 0.25,
            lateral: 0.6,
            second_frontal: 0.2,
        }
    }
}

impl HistoryRates {
    /// Every rate by its name.
    pub(super) fn named(&self) -> [(&'static str, f64); 9] {
        [
            ("resolve", self.resolve),
            ("grow", self.grow),
            ("shrink", self.shrink),
            ("indication", self.indication),
            ("hint", self.hint),
            ("false_hint", self.false_hint),
            ("portable", self.portable),
            ("lateral", self.lateral),
            ("second_frontal", self.second_frontal),
        ]
    }
}

impl Default for PhantomHistoryConfig {
    /// 1250, 50 and 120 patients, about 3000, 120 and 290 studies, of 128 × 128 pixels.
    fn default() -> Self {
        PhantomHistoryConfig::new(1250, 50, 120)
    }
}

impl PhantomHistoryConfig {
    /// So many training, validation and test patients, films of 128 × 128 pixels, the usual rates.
    pub fn new(train: usize, validation: usize, test: usize) -> Self {
        PhantomHistoryConfig {
            train,
            validation,
            test,
            image_size: 128,
            seed: 1895,
            rates: HistoryRates::default(),
        }
    }

    /// Sets [`image_size`](Self::image_size).
    #[must_use]
    pub fn with_image_size(mut self, image_size: u32) -> Self {
        self.image_size = image_size;
        self
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`rates`](Self::rates).
    #[must_use]
    pub fn with_rates(mut self, rates: HistoryRates) -> Self {
        self.rates = rates;
        self
    }
}

/// One study of a patient with a history, not yet drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryStudy {
    /// Part of the dataset.
    pub split: Split,
    /// The patient, counted over all splits from 0.
    pub patient: usize,
    /// Position in the cohort of the patient's previous study.
    pub prior: Option<usize>,
    /// Days from the patient's first study.
    pub day: u32,
    /// What is there.
    pub findings: PhantomFindings,
    /// What has changed since the previous study; empty without one.
    pub changes: PhantomChanges,
    /// The findings section of its report, as one paragraph.
    pub report: String,
    /// Why it was taken, if that is known: half a sentence.
    pub indication: Option<String>,
    /// Its films: projection and seed.
    pub films: Vec<(Projection, u64)>,
}

/// How many studies a patient has, weighted.
const STUDIES: [(usize, u32); 4] = [(1, 25), (2, 30), (3, 25), (4, 20)];

/// How many findings come to a patient between two studies, weighted.
const NEW_FINDINGS: [(usize, u32); 3] = [(0, 45), (1, 40), (2, 15)];

/// Most findings of a study.
const MOST_FINDINGS: usize = 4;

/// Attempts at a later study whose findings can all be seen; rates may allow of none, and then nothing changes.
const TRIES: usize = 1000;

/// Days between two studies, weighted ranges.
const INTERVALS: [((u32, u32), u32); 4] =
    [((1, 3), 40), ((4, 14), 25), ((15, 60), 20), ((61, 400), 15)];

/// Samples patients with their histories: training, validation, then test; a patient's studies follow one another in
/// time. Same config, same cohort. No study has a [held-out pair](crate::phantom::HELD_OUT_PAIRS) of findings.
pub fn sample_histories(config: &PhantomHistoryConfig) -> Vec<HistoryStudy> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(config.seed);
    let counts = [config.train, config.validation, config.test];
    let mut cohort = Vec::new();
    let mut patient = 0;
    for (split, count) in Split::ALL.into_iter().zip(counts) {
        for _ in 0..count {
            sample_patient((split, patient), &config.rates, &mut rng, &mut cohort);
            patient += 1;
        }
    }
    cohort
}

fn sample_patient(
    (split, patient): (Split, usize),
    rates: &HistoryRates,
    rng: &mut impl Rng,
    cohort: &mut Vec<HistoryStudy>,
) {
    let mut prior: Option<usize> = None;
    for _ in 0..weighted(&STUDIES, rng) {
        let (findings, day) = match prior {
            None => (sample_findings(false, rng), 0),
            Some(prior) => {
                let (least, most) = weighted(&INTERVALS, rng);
                let interval = rng.random_range(least..=most);
                let later = progress(&cohort[prior].findings, rates, rng);
                (later, cohort[prior].day + interval)
            }
        };
        let changes =
            prior.map(|prior| PhantomChanges::between(&cohort[prior].findings, &findings));
        let study = HistoryStudy {
            split,
            patient,
            prior,
            day,
            report: write_compared_report(&findings, changes.as_ref(), rng),
            changes: changes.unwrap_or_default(),
            indication: rng
                .random_bool(rates.indication)
                .then(|| indication(&findings, rates, rng)),
            findings,
            films: sample_films(rates, rng),
        };
        prior = Some(cohort.len());
        cohort.push(study);
    }
}

/// The findings of a later study: some are gone, some have grown or shrunk, some have come.
fn progress(
    findings: &PhantomFindings,
    rates: &HistoryRates,
    rng: &mut impl Rng,
) -> PhantomFindings {
    for _ in 0..TRIES {
        let mut later: PhantomFindings = findings
            .iter()
            .filter_map(|finding| {
                let gone = can_resolve(finding.kind()) && rng.random_bool(rates.resolve);
                (!gone).then(|| resized(finding, rates, rng))
            })
            .collect();
        for _ in 0..weighted(&NEW_FINDINGS, rng) {
            if later.len() < MOST_FINDINGS {
                later.extend(place(&[weighted(&PREVALENCES, rng)], rng).iter());
            }
        }
        if all_visible(&later) && !is_held_out(&later) {
            return later;
        }
    }
    findings.clone()
}

fn can_resolve(kind: FindingKind) -> bool {
    use FindingKind::{Nodule, Pacemaker, RibFracture};
    !matches!(kind, Pacemaker | Nodule | RibFracture)
}

fn resized(finding: PhantomFinding, rates: &HistoryRates, rng: &mut impl Rng) -> PhantomFinding {
    let [grows, shrinks] = [rates.grow, rates.shrink].map(|rate| rng.random_bool(rate));
    let size = finding.size().map(|size| match (size, grows, shrinks) {
        (Size::Small, true, _) => Size::Moderate,
        (Size::Moderate, true, _) => Size::Large,
        (Size::Moderate, false, true) => Size::Small,
        (Size::Large, false, true) => Size::Moderate,
        (same, _, _) => same,
    });
    PhantomFinding::new(finding.kind(), finding.side(), finding.lobe(), size).unwrap_or(finding)
}

fn sample_films(rates: &HistoryRates, rng: &mut impl Rng) -> Vec<(Projection, u64)> {
    let mut projections = Vec::with_capacity(3);
    if rng.random_bool(rates.portable) {
        projections.push(Projection::AnteroPosterior);
    } else {
        projections.push(Projection::PosteroAnterior);
        if rng.random_bool(rates.second_frontal) {
            projections.push(Projection::AnteroPosterior);
        }
        if rng.random_bool(rates.lateral) {
            projections.push(Projection::Lateral);
        }
    }
    let films = projections.into_iter();
    films
        .map(|projection| (projection, rng.next_u64()))
        .collect()
}

/// One of several, at random.
pub(super) fn any<T: Copy>(of: &[T], rng: &mut impl Rng) -> Option<T> {
    of.choose(rng).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::phantom::{Change, read_changes, read_findings};

    fn cohort() -> Vec<HistoryStudy> {
        sample_histories(&PhantomHistoryConfig::new(300, 20, 40))
    }

    #[test]
    fn reports_state_the_truth_and_its_changes() {
        for study in cohort() {
            assert_eq!(read_findings(&study.report), study.findings);
            assert_eq!(read_changes(&study.report), study.changes);
            assert!(study.prior.is_some() || study.changes.is_empty());
        }
    }

    #[test]
    fn a_patients_studies_follow_in_time_within_a_split() {
        let cohort = cohort();
        let mut numbers = BTreeMap::new();
        for (index, study) in cohort.iter().enumerate() {
            *numbers.entry(study.patient).or_insert(0) += 1;
            let Some(prior) = study.prior else {
                continue;
            };
            assert_eq!(prior + 1, index);
            let prior = &cohort[prior];
            assert_eq!((prior.patient, prior.split), (study.patient, study.split));
            assert!(prior.day < study.day);
        }
        assert_eq!(numbers.len(), 360);
        let counts: BTreeSet<usize> = numbers.into_values().collect();
        assert_eq!(counts, [1, 2, 3, 4].into());
    }

    #[test]
    fn no_change_and_no_number_of_views_is_rare() {
        let cohort = cohort();
        let mut changes = BTreeMap::new();
        let mut views = BTreeMap::new();
        for study in &cohort {
            *views.entry(study.films.len()).or_insert(0usize) += 1;
            for (_, change) in study.changes.iter() {
                *changes.entry(change).or_insert(0usize) += 1;
            }
        }
        let total: usize = changes.values().sum();
        for change in Change::ALL {
            let share = changes[&change] as f64 / total as f64;
            assert!((0.03..0.55).contains(&share), "{change}: {share}");
        }
        for count in 1..=3 {
            assert!(views[&count] * 20 > cohort.len(), "{views:?}");
        }
    }

    #[test]
    fn rates_that_leave_no_later_study_change_nothing() {
        let rates = HistoryRates {
            resolve: 0.0,
            grow: 1.0,
            ..HistoryRates::default()
        };
        let cohort = sample_histories(&PhantomHistoryConfig::new(60, 1, 1).with_rates(rates));
        assert!(cohort.iter().all(|study| all_visible(&study.findings)));
    }

    #[test]
    fn a_seed_is_a_cohort() {
        let config = PhantomHistoryConfig::new(5, 1, 1);
        assert_eq!(sample_histories(&config), sample_histories(&config));
        assert_ne!(
            sample_histories(&config),
            sample_histories(&config.clone().with_seed(1))
        );
    }
}
