use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::attributes::{Lobe, Side, Size};
use super::findings::{FindingKind, PhantomFinding, PhantomFindings};
use super::grammar::write_report;
use crate::study::Split;

/// How many phantom studies, and of what kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PhantomConfig {
    /// Training studies.
    pub train: usize,
    /// Validation studies.
    pub validation: usize,
    /// Test studies.
    pub test: usize,
    /// Share of every split, 0..=1, whose studies have a near-twin in it: another patient's film
    /// and report that differ in one word, such as left for right.
    pub near_twin_share: f64,
    /// Width and height of a film in pixels, at least 16.
    pub image_size: u32,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for PhantomConfig {
    /// 3000, 120 and 240 studies of 224 × 224 pixels, a good third of them near-twins.
    fn default() -> Self {
        PhantomConfig::new(3000, 120, 240)
    }
}

impl PhantomConfig {
    /// So many training, validation and test studies of 224 × 224 pixels, a good third of them
    /// near-twins.
    pub const fn new(train: usize, validation: usize, test: usize) -> Self {
        PhantomConfig {
            train,
            validation,
            test,
            near_twin_share: 0.35,
            image_size: 224,
            seed: 1895,
        }
    }

    /// Sets [`near_twin_share`](Self::near_twin_share).
    #[must_use]
    pub const fn with_near_twin_share(mut self, near_twin_share: f64) -> Self {
        self.near_twin_share = near_twin_share;
        self
    }

    /// Sets [`image_size`](Self::image_size).
    #[must_use]
    pub const fn with_image_size(mut self, image_size: u32) -> Self {
        self.image_size = image_size;
        self
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// One study of a cohort, not yet drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhantomStudy {
    /// Part of the dataset.
    pub split: Split,
    /// What is there.
    pub findings: PhantomFindings,
    /// The findings section of its report, as one paragraph.
    pub report: String,
    /// Seed of its film, for [`draw_radiograph`](super::draw_radiograph).
    pub film_seed: u64,
    /// Position in the cohort of its near-twin, if it was made one.
    pub near_twin: Option<usize>,
}

/// Pairs of kinds that occur together in test studies only: training has no such combination.
pub const HELD_OUT_PAIRS: [(FindingKind, FindingKind); 3] = [
    (FindingKind::Cardiomegaly, FindingKind::Pneumothorax),
    (FindingKind::Effusion, FindingKind::RibFracture),
    (FindingKind::Pacemaker, FindingKind::Nodule),
];

/// One draw in this many for the test split is of a held-out pair.
const HELD_OUT_EVERY: usize = 7;

/// How many findings a study starts with, weighted: a quarter of all films are normal.
const COUNTS: [(usize, u32); 4] = [(0, 26), (1, 20), (2, 29), (3, 25)];

/// How often each kind occurs, weighted.
pub(super) const PREVALENCES: [(FindingKind, u32); 11] = [
    (FindingKind::EndotrachealTube, 8),
    (FindingKind::PiccLine, 10),
    (FindingKind::Pacemaker, 7),
    (FindingKind::Cardiomegaly, 17),
    (FindingKind::Effusion, 20),
    (FindingKind::Pneumothorax, 14),
    (FindingKind::Consolidation, 16),
    (FindingKind::Nodule, 14),
    (FindingKind::Atelectasis, 11),
    (FindingKind::Edema, 8),
    (FindingKind::RibFracture, 9),
];

/// Of effusions, one in this many is followed by one on the other side.
const BILATERAL_ONE_IN: u32 = 6;

/// Whether findings contain a pair that is reserved for test studies.
pub fn is_held_out(findings: &PhantomFindings) -> bool {
    HELD_OUT_PAIRS
        .iter()
        .any(|(one, other)| findings.has(*one) && findings.has(*other))
}

/// Samples a cohort: training, validation, then test studies. Same config, same cohort.
pub fn sample_cohort(config: &PhantomConfig) -> Vec<PhantomStudy> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(config.seed);
    let counts = [config.train, config.validation, config.test];
    let mut cohort = Vec::with_capacity(counts.iter().sum());
    for (split, count) in Split::ALL.into_iter().zip(counts) {
        for group in sample_groups(split, count, config.near_twin_share, &mut rng) {
            let first = cohort.len();
            let paired = group.len() == 2;
            cohort.extend(
                group
                    .into_iter()
                    .enumerate()
                    .map(|(place, study)| PhantomStudy {
                        near_twin: paired.then_some(first + 1 - place),
                        ..study
                    }),
            );
        }
    }
    cohort
}

/// Single studies and pairs of near-twins, `count` studies in all, shuffled.
fn sample_groups(
    split: Split,
    count: usize,
    twin_share: f64,
    rng: &mut impl Rng,
) -> Vec<Vec<PhantomStudy>> {
    let pairs = (count as f64 * twin_share.clamp(0.0, 1.0) / 2.0).ceil() as usize;
    let pairs = pairs.min(count / 2);
    let mut groups: Vec<Vec<PhantomStudy>> = Vec::with_capacity(count - pairs);
    for index in 0..count - pairs {
        let held_out = split == Split::Test && index % HELD_OUT_EVERY == 0;
        groups.push(if index < pairs {
            sample_twins(split, held_out, rng).into()
        } else {
            let findings = sample_findings(held_out, rng);
            vec![study(split, findings, rng.next_u64(), rng)]
        });
    }
    groups.shuffle(rng);
    groups
}

fn study(
    split: Split,
    findings: PhantomFindings,
    wording: u64,
    rng: &mut impl Rng,
) -> PhantomStudy {
    let report = write_report(&findings, &mut Xoshiro256PlusPlus::seed_from_u64(wording));
    PhantomStudy {
        split,
        findings,
        report,
        film_seed: rng.next_u64(),
        near_twin: None,
    }
}

/// Two studies whose findings differ in one attribute and whose reports differ in one word.
fn sample_twins(split: Split, held_out: bool, rng: &mut impl Rng) -> [PhantomStudy; 2] {
    loop {
        let findings = sample_findings(held_out, rng);
        let changes: Vec<PhantomFindings> = findings
            .iter()
            .flat_map(|from| from.near_twins().into_iter().map(move |to| (from, to)))
            .filter_map(|(from, to)| findings.replaced(from, to))
            .filter(all_visible)
            .collect();
        let Some(changed) = changes.choose(rng) else {
            continue;
        };
        let wording = rng.next_u64();
        let twins =
            [findings, changed.clone()].map(|findings| study(split, findings, wording, rng));
        if differ_in_one_word(&twins[0].report, &twins[1].report) {
            return twins;
        }
    }
}

fn differ_in_one_word(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|report| report.to_lowercase());
    let [one, other] = [&one, &other].map(|report| report.split(' ').collect::<Vec<_>>());
    one.len() == other.len() && one.iter().zip(&other).filter(|(a, b)| a != b).count() == 1
}

/// Findings that can all be seen together; with `held_out` among them a held-out pair, otherwise
/// none.
pub(super) fn sample_findings(held_out: bool, rng: &mut impl Rng) -> PhantomFindings {
    loop {
        let mut kinds: Vec<FindingKind> = Vec::new();
        if held_out {
            let (one, other) = HELD_OUT_PAIRS[rng.random_range(0..HELD_OUT_PAIRS.len())];
            kinds.extend([one, other]);
        }
        let count = weighted(&COUNTS, rng);
        while kinds.len() < count {
            let kind = weighted(&PREVALENCES, rng);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let findings = place(&kinds, rng);
        if all_visible(&findings) && is_held_out(&findings) == held_out {
            return findings;
        }
    }
}

pub(super) fn place(kinds: &[FindingKind], rng: &mut impl Rng) -> PhantomFindings {
    let all = PhantomFinding::all();
    let mut findings = PhantomFindings::normal();
    for kind in kinds {
        let options: Vec<_> = all
            .iter()
            .filter(|finding| finding.kind() == *kind)
            .collect();
        findings.extend(options.choose(rng).map(|finding| **finding));
        if *kind == FindingKind::Effusion && rng.random_ratio(1, BILATERAL_ONE_IN) {
            // At the place already taken nothing is added.
            findings.extend(options.choose(rng).map(|finding| **finding));
        }
    }
    findings
}

pub(super) fn weighted<T: Copy>(choices: &[(T, u32)], rng: &mut impl Rng) -> T {
    let total: u32 = choices.iter().map(|(_, weight)| weight).sum();
    let mut draw = rng.random_range(0..total);
    for (choice, weight) in choices {
        if draw < *weight {
            return *choice;
        }
        draw -= weight;
    }
    unreachable!("a draw below the total falls on a choice")
}

pub(super) fn all_visible(findings: &PhantomFindings) -> bool {
    findings
        .iter()
        .all(|hidden| findings.iter().all(|front| !hides(front, hidden)))
}

/// Whether `front` would occlude or resemble `behind` on a film.
fn hides(front: PhantomFinding, behind: PhantomFinding) -> bool {
    use FindingKind::*;
    let same_side = front.side().is_some() && front.side() == behind.side();
    let [upper, lower] = [Lobe::Upper, Lobe::Lower].map(|lobe| behind.lobe() == Some(lobe));
    let sizable = front.size() >= Some(Size::Moderate);
    let large = front.size() == Some(Size::Large);
    match (front.kind(), behind.kind()) {
        (Effusion, Consolidation | Nodule) => same_side && (lower || large && !upper),
        (Effusion, Atelectasis) => same_side && sizable,
        (Effusion, RibFracture | Pneumothorax) => same_side && large,
        (Pneumothorax, Consolidation | Nodule | Atelectasis) => same_side && sizable,
        (Cardiomegaly, Nodule) => sizable && behind.side() == Some(Side::Left) && lower,
        (Cardiomegaly, Atelectasis) => sizable && behind.side() == Some(Side::Left),
        (Consolidation, Nodule | Atelectasis) => same_side,
        (Consolidation, RibFracture) => same_side && front.lobe() != Some(Lobe::Lower),
        (Edema, Consolidation) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::read_findings;

    fn cohort() -> Vec<PhantomStudy> {
        sample_cohort(&PhantomConfig {
            train: 900,
            ..PhantomConfig::default()
        })
    }

    #[test]
    fn counts_and_truth_are_as_configured() {
        let cohort = cohort();
        for (split, count) in Split::ALL.into_iter().zip([900, 120, 240]) {
            assert_eq!(
                cohort.iter().filter(|study| study.split == split).count(),
                count
            );
        }
        assert!(
            cohort
                .iter()
                .all(|study| read_findings(&study.report) == study.findings)
        );
        let normal = cohort
            .iter()
            .filter(|study| study.findings.is_empty())
            .count();
        assert!(
            (0.15..0.30).contains(&(normal as f64 / cohort.len() as f64)),
            "{normal}"
        );
        for finding in PhantomFinding::all() {
            let shown = cohort
                .iter()
                .filter(|study| study.findings.contains(finding))
                .count();
            assert!(shown >= 8, "{finding:?}: {shown}");
        }
    }

    #[test]
    fn a_third_of_every_split_are_near_twins() {
        let cohort = cohort();
        for split in Split::ALL {
            let studies = cohort.iter().filter(|study| study.split == split);
            let twins = studies
                .clone()
                .filter(|study| study.near_twin.is_some())
                .count();
            assert!(3 * twins >= studies.count());
        }
        for (index, study) in cohort.iter().enumerate() {
            let Some(twin) = study.near_twin.map(|twin| &cohort[twin]) else {
                continue;
            };
            assert_eq!(twin.near_twin, Some(index));
            assert_eq!(twin.split, study.split);
            assert_ne!(twin.film_seed, study.film_seed);
            assert!(differ_in_one_word(&study.report, &twin.report));
            let changed = study
                .findings
                .iter()
                .filter(|finding| !twin.findings.contains(*finding));
            assert_eq!(changed.count(), 1);
        }
    }

    #[test]
    fn test_studies_hold_combinations_never_trained_on() {
        let cohort = cohort();
        let (test, seen): (Vec<_>, Vec<_>) =
            cohort.iter().partition(|study| study.split == Split::Test);
        assert!(seen.iter().all(|study| !is_held_out(&study.findings)));
        let new = test
            .iter()
            .filter(|study| is_held_out(&study.findings))
            .count();
        assert!(new * 10 >= test.len(), "{new}");
    }

    #[test]
    fn a_seed_is_a_cohort() {
        let config = PhantomConfig {
            train: 50,
            ..PhantomConfig::default()
        };
        assert_eq!(sample_cohort(&config), sample_cohort(&config));
        assert_ne!(
            sample_cohort(&config),
            sample_cohort(&PhantomConfig { seed: 2, ..config })
        );
    }
}
