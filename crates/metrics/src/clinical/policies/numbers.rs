//! The numbers that papers quote of a policy, with intervals and tests.

use serde::Serialize;

use super::{Policy, check, mean, share};
use crate::error::MetricsError;
use crate::evaluation::Statuses;
use crate::labeler::{FindingClass, Status};
use crate::significance::{Comparison, Interval, bootstrap_interval, compare_studies};

/// A number of a policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyNumber {
    /// Its name, such as `micro_14.f1`.
    pub name: &'static str,
    /// Its value; NaN (`null` in JSON) where undefined.
    pub value: f64,
    /// 95 % bootstrap interval over studies, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// A number of a policy for two systems.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyComparison {
    /// Its name, such as `micro_14.f1`.
    pub name: &'static str,
    /// Value of the other system.
    pub other: f64,
    /// Value of this system.
    pub this: f64,
    /// This minus other, p-value of paired randomisation and 95 % bootstrap interval.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// The F1 numbers of a policy that papers quote; `draws` of 0 give no intervals.
///
/// They equal those of [`f1chexbert`](super::f1chexbert()), [`cxrmate2`](super::cxrmate2),
/// [`cxrmate1`](super::cxrmate1) and [`chexbert`](super::chexbert()), which report more of them.
///
/// # Errors
///
/// [`MetricsError::LengthMismatch`] or [`MetricsError::Empty`].
pub fn policy_numbers(
    policy: Policy,
    references: &[Statuses],
    predictions: &[Statuses],
    draws: usize,
    seed: u64,
) -> Result<Vec<PolicyNumber>, MetricsError> {
    check(references, predictions)?;
    let studies = joint(references, predictions);
    in_threads(policy, |formula| {
        let interval = match draws {
            0 => None,
            draws => {
                let drawn = |positions: &[usize]| {
                    formula.value(positions.iter().map(|&position| &studies[position]))
                };
                Some(bootstrap_interval(studies.len(), drawn, draws, seed)?)
            }
        };
        Ok(PolicyNumber {
            name: formula.name,
            value: formula.value(&studies),
            interval,
        })
    })
}

/// Tests the numbers of [`policy_numbers`] for two systems' labels of the same studies.
///
/// # Errors
///
/// [`MetricsError::LengthMismatch`] or [`MetricsError::Empty`].
pub fn compare_policy(
    policy: Policy,
    references: &[Statuses],
    other: &[Statuses],
    this: &[Statuses],
    draws: usize,
    seed: u64,
) -> Result<Vec<PolicyComparison>, MetricsError> {
    check(references, other)?;
    check(references, this)?;
    let [other, this] = [other, this].map(|predictions| joint(references, predictions));
    in_threads(policy, |formula| {
        let statistic = |studies: &[&Joint]| formula.value(studies.iter().copied());
        Ok(PolicyComparison {
            name: formula.name,
            other: formula.value(&other),
            this: formula.value(&this),
            comparison: compare_studies(&other, &this, statistic, draws, seed)?,
        })
    })
}

/// Calls `work` for every number of a policy, each in a thread of its own.
fn in_threads<T: Send>(
    policy: Policy,
    work: impl Fn(&Formula) -> Result<T, MetricsError> + Sync,
) -> Result<Vec<T>, MetricsError> {
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = formulas(policy)
            .iter()
            .map(|formula| scope.spawn(move || work(formula)))
            .collect();
        let joined = running.into_iter().map(|thread| {
            let outcome = thread.join();
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.collect()
    })
}

/// Both labels of every class of a study: four times the reference's [`code`] plus the prediction's.
type Joint = [u8; FindingClass::COUNT];

fn joint(references: &[Statuses], predictions: &[Statuses]) -> Vec<Joint> {
    let pairs = references.iter().zip(predictions);
    pairs
        .map(|(reference, prediction)| {
            std::array::from_fn(|class| 4 * code(reference[class]) + code(prediction[class]))
        })
        .collect()
}

/// Place of a label in the sets of labels below, below 4.
const fn code(status: Option<Status>) -> u8 {
    match status {
        None => 0,
        Some(Status::Positive) => 1,
        Some(Status::Negative) => 2,
        Some(Status::Uncertain) => 3,
    }
}

/// Sets of labels, a bit for each [`code`].
const BLANK: u8 = 1;
const POSITIVE: u8 = 2;
const NEGATIVE: u8 = 4;
const UNCERTAIN: u8 = 8;

/// How the F1 of classes become one number.
#[derive(Clone, Copy)]
enum Average {
    /// Counts pooled; NaN of nothing if so asked, else 0.
    Micro { undefined_is_nan: bool },
    /// Mean over classes, 0/0 as 0.
    Macro,
    /// Mean over classes whose F1 is defined.
    MacroOfDefined,
    /// Mean over classes weighted by positive references, 0 if there are none.
    Weighted,
    /// Mean over classes of the F1 of negation, doubt and presence, weighted by their shares in the
    /// references of the class.
    CheXbert,
}

/// A number: F1 of the labels of a set, over some classes, averaged.
struct Formula {
    name: &'static str,
    classes: &'static [FindingClass],
    /// Labels that count.
    counts: u8,
    average: Average,
}

const ALL: &[FindingClass] = &FindingClass::all();
const FIVE: &[FindingClass] = &FindingClass::FIVE;
/// Classes that CheXbert may negate: all but No Finding.
const NEGATED: &[FindingClass] = ALL.split_at(1).1;
/// Classes that CheXbert may doubt: all but No Finding and, the last one, Support Devices.
const DOUBTED: &[FindingClass] = NEGATED.split_at(FindingClass::COUNT - 2).0;

const fn formula(
    name: &'static str,
    classes: &'static [FindingClass],
    counts: u8,
    average: Average,
) -> Formula {
    Formula {
        name,
        classes,
        counts,
        average,
    }
}

const EITHER: u8 = POSITIVE | UNCERTAIN;
const ZERO: Average = Average::Micro {
    undefined_is_nan: false,
};
const UNDEFINED: Average = Average::Micro {
    undefined_is_nan: true,
};

const F1CHEXBERT: &[Formula] = &[
    formula("micro_14.f1", ALL, EITHER, ZERO),
    formula("macro_14.f1", ALL, EITHER, Average::Macro),
    formula("weighted_14.f1", ALL, EITHER, Average::Weighted),
    formula("micro_5.f1", FIVE, EITHER, ZERO),
    formula("macro_5.f1", FIVE, EITHER, Average::Macro),
    formula("weighted_5.f1", FIVE, EITHER, Average::Weighted),
];

const CXRMATE: &[Formula] = &[
    formula("micro_14.f1", ALL, POSITIVE, UNDEFINED),
    formula("macro_14.f1", ALL, POSITIVE, Average::MacroOfDefined),
];

const CXRMATE1: &[Formula] = &[
    formula("micro_14.f1", ALL, POSITIVE, UNDEFINED),
    formula("macro_14.f1", ALL, POSITIVE, Average::Macro),
];

const CHEXBERT: &[Formula] = &[
    formula("positive.f1", ALL, POSITIVE, Average::Macro),
    formula("negation.f1", NEGATED, NEGATIVE, Average::Macro),
    formula("uncertain.f1", DOUBTED, UNCERTAIN, Average::Macro),
    formula(
        "mention.f1",
        ALL,
        POSITIVE | NEGATIVE | UNCERTAIN,
        Average::Macro,
    ),
    formula("blank.f1", ALL, BLANK, Average::Macro),
    formula("weighted.f1", ALL, 0, Average::CheXbert),
];

const fn formulas(policy: Policy) -> &'static [Formula] {
    match policy {
        Policy::F1CheXbert => F1CHEXBERT,
        Policy::CxrMate => CXRMATE,
        Policy::CxrMate1 => CXRMATE1,
        Policy::CheXbert => CHEXBERT,
    }
}

impl Formula {
    fn value<'a>(&self, studies: impl IntoIterator<Item = &'a Joint>) -> f64 {
        let mut histogram = [[0u32; 16]; FindingClass::COUNT];
        for study in studies {
            for class in self.classes {
                let class = class.index();
                histogram[class][usize::from(study[class])] += 1;
            }
        }
        let of_class = |class: &FindingClass| &histogram[class.index()];
        let counts = || {
            let classes = self.classes.iter().map(of_class);
            classes.map(|cells| Counts::of(cells, self.counts))
        };
        match self.average {
            Average::Micro { undefined_is_nan } => {
                let pooled = counts().fold(Counts::default(), Counts::plus);
                match undefined_is_nan {
                    true => pooled.both as f64 * 2.0 / pooled.either as f64,
                    false => pooled.f1(),
                }
            }
            Average::Macro => mean(counts().map(|counts| counts.f1())),
            Average::MacroOfDefined => {
                let defined = counts().filter(|counts| counts.either > 0);
                mean(defined.map(|counts| counts.f1()))
            }
            Average::Weighted => {
                let support: u64 = counts().map(|counts| counts.support).sum();
                let sum: f64 = counts()
                    .map(|counts| counts.support as f64 * counts.f1())
                    .sum();
                match support {
                    0 => 0.0,
                    support => sum / support as f64,
                }
            }
            Average::CheXbert => mean(self.classes.iter().map(|class| {
                let parts = [NEGATIVE, UNCERTAIN, POSITIVE]
                    .map(|counts| Counts::of(of_class(class), counts));
                let mentioned = parts.iter().map(|part| part.support).sum();
                let weighted = parts.iter().enumerate().map(|(at, part)| {
                    // No Finding is neither negated nor doubted.
                    let is_zero = *class == FindingClass::NoFinding && at < 2;
                    let f1 = if is_zero { 0.0 } else { part.f1() };
                    share(part.support, mentioned) * f1
                });
                weighted.sum::<f64>()
            })),
        }
    }
}

/// Cases of a class.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// True and named.
    both: u64,
    /// True.
    support: u64,
    /// True and named cases together.
    either: u64,
}

impl Counts {
    fn of(cells: &[u32; 16], labels: u8) -> Self {
        let mut counts = Self::default();
        for (at, &studies) in cells.iter().enumerate() {
            let is_in = |code: usize| u64::from(labels >> code & 1);
            let (truth, named) = (is_in(at / 4), is_in(at % 4));
            let studies = u64::from(studies);
            counts.both += truth * named * studies;
            counts.support += truth * studies;
            counts.either += (truth + named) * studies;
        }
        counts
    }

    fn plus(self, other: Self) -> Self {
        Self {
            both: self.both + other.both,
            support: self.support + other.support,
            either: self.either + other.either,
        }
    }

    fn f1(self) -> f64 {
        share(2 * self.both, self.either)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{chexbert, cxrmate1, cxrmate2, f1chexbert};
    use super::*;

    /// Labels of `studies` studies; every class has every label, No Finding two of them.
    fn labels(studies: usize, seed: usize) -> Vec<Statuses> {
        let of =
            |study: usize, class: usize| match (study * 7 + class * 5 + seed * study * class) % 9 {
                0..=3 => None,
                4 | 5 => Some(Status::Positive),
                _ if class == 0 => None,
                6 | 7 => Some(Status::Negative),
                _ => Some(Status::Uncertain),
            };
        (0..studies)
            .map(|study| std::array::from_fn(|class| of(study, class)))
            .collect()
    }

    fn equal(policy: Policy, expected: &[(&str, f64)]) {
        let (references, predictions) = (labels(61, 3), labels(61, 4));
        let found = policy_numbers(policy, &references, &predictions, 50, 1).unwrap();
        for (name, expected) in expected {
            let number = found.iter().find(|number| number.name == *name).unwrap();
            assert!(
                (number.value - expected).abs() < 1e-12,
                "{policy} {name}: {} {expected}",
                number.value
            );
            let interval = number.interval.unwrap();
            assert!(interval.low <= number.value && number.value <= interval.high);
        }
        assert_eq!(found.len(), expected.len());
    }

    #[test]
    fn numbers_equal_those_of_the_policies() {
        let (references, predictions) = (labels(61, 3), labels(61, 4));
        let f1 = f1chexbert(&references, &predictions).unwrap();
        equal(
            Policy::F1CheXbert,
            &[
                ("micro_14.f1", f1.all.micro.f1),
                ("macro_14.f1", f1.all.macro_average.f1),
                ("weighted_14.f1", f1.all.weighted.f1),
                ("micro_5.f1", f1.five.micro.f1),
                ("macro_5.f1", f1.five.macro_average.f1),
                ("weighted_5.f1", f1.five.weighted.f1),
            ],
        );
        let second = cxrmate2(&references, &predictions).unwrap();
        equal(
            Policy::CxrMate,
            &[
                ("micro_14.f1", second.micro.f1),
                ("macro_14.f1", second.macro_average.f1),
            ],
        );
        let first = cxrmate1(&references, &predictions).unwrap();
        equal(
            Policy::CxrMate1,
            &[
                ("micro_14.f1", first.micro.f1),
                ("macro_14.f1", first.macro_average.f1),
            ],
        );
        let own = chexbert(&references, &predictions).unwrap();
        equal(
            Policy::CheXbert,
            &[
                ("positive.f1", own.positive),
                ("negation.f1", own.negation),
                ("uncertain.f1", own.uncertain),
                ("mention.f1", own.mention),
                ("blank.f1", own.blank),
                ("weighted.f1", own.weighted),
            ],
        );
    }

    #[test]
    fn equal_systems_do_not_differ() {
        let (references, predictions) = (labels(30, 3), labels(30, 4));
        let compared = compare_policy(
            Policy::F1CheXbert,
            &references,
            &predictions,
            &predictions,
            99,
            1,
        );
        for number in compared.unwrap() {
            assert_eq!(number.comparison.test.p_value, 1.0, "{}", number.name);
            assert_eq!(number.other, number.this);
        }
    }
}
