use serde::Serialize;

use super::{check, confusion, mean, share};
use crate::error::MetricsError;
use crate::evaluation::Statuses;
use crate::labeler::{FindingClass, Status};

/// Agreement on one class, by label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CheXbertAgreement {
    /// F1 of being mentioned at all.
    pub mention: f64,
    /// F1 of not being mentioned.
    pub blank: f64,
    /// F1 of negation; 0 for No Finding.
    pub negation: f64,
    /// F1 of uncertainty; 0 for No Finding.
    pub uncertain: f64,
    /// F1 of presence.
    pub positive: f64,
    /// The F1 of negation, uncertainty and presence, weighted by their shares in the references.
    pub weighted: f64,
    /// Those shares, in that order; all 0 if the references never mention the class.
    pub weights: [f64; 3],
    /// Cohen's κ over the four labels; NaN if both sides hold one label only, the same.
    pub kappa: f64,
}

/// [`chexbert`]: CheXbert's own evaluation of labels against labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheXbertScores {
    /// Every class, in the order of [`FindingClass::all`].
    pub per_class: Vec<CheXbertAgreement>,
    /// Mean over 14 classes.
    pub mention: f64,
    /// Mean over 14 classes.
    pub blank: f64,
    /// Mean over 13 classes, without No Finding.
    pub negation: f64,
    /// Mean over 12 classes, without Support Devices and No Finding.
    pub uncertain: f64,
    /// Mean over 14 classes.
    pub positive: f64,
    /// Mean over 14 classes.
    pub weighted: f64,
    /// Mean over 14 classes; NaN if it is undefined for one.
    pub kappa: f64,
}

/// Agreement as CheXbert's authors measure it (Smit et al., 2020); 0/0 is 0.
///
/// # Errors
///
/// [`MetricsError::LengthMismatch`] or [`MetricsError::Empty`].
pub fn chexbert(
    references: &[Statuses],
    predictions: &[Statuses],
) -> Result<CheXbertScores, MetricsError> {
    check(references, predictions)?;
    let per_class: Vec<CheXbertAgreement> = FindingClass::all()
        .into_iter()
        .map(|class| agreement(references, predictions, class))
        .collect();
    let over = |left_out: &[FindingClass], of: fn(&CheXbertAgreement) -> f64| {
        let classes = FindingClass::all().into_iter();
        let kept = classes.filter(|class| !left_out.contains(class));
        mean(kept.map(|class| of(&per_class[class.index()])))
    };
    let no_finding = FindingClass::NoFinding;
    let devices = FindingClass::SupportDevices;
    Ok(CheXbertScores {
        mention: over(&[], |class| class.mention),
        blank: over(&[], |class| class.blank),
        negation: over(&[no_finding], |class| class.negation),
        uncertain: over(&[no_finding, devices], |class| class.uncertain),
        positive: over(&[], |class| class.positive),
        weighted: over(&[], |class| class.weighted),
        kappa: over(&[], |class| class.kappa),
        per_class,
    })
}

fn agreement(
    references: &[Statuses],
    predictions: &[Statuses],
    class: FindingClass,
) -> CheXbertAgreement {
    let f1 = |counts: fn(Option<Status>) -> bool| {
        let counts = confusion(references, predictions, class, counts);
        let named = counts.true_positives + counts.false_positives;
        share(2 * counts.true_positives, named + counts.support())
    };
    let unless_no_finding = |f1: f64| {
        if class == FindingClass::NoFinding {
            0.0
        } else {
            f1
        }
    };
    let negation = unless_no_finding(f1(|status| status == Some(Status::Negative)));
    let uncertain = unless_no_finding(f1(|status| status == Some(Status::Uncertain)));
    let positive = f1(|status| status == Some(Status::Positive));
    let weights = shares(references, class);
    CheXbertAgreement {
        mention: f1(|status| status.is_some()),
        blank: f1(|status| status.is_none()),
        negation,
        uncertain,
        positive,
        weighted: weights[0] * negation + weights[1] * uncertain + weights[2] * positive,
        weights,
        kappa: kappa(references, predictions, class),
    }
}

/// Shares of negation, uncertainty and presence among the references that mention the class.
fn shares(references: &[Statuses], class: FindingClass) -> [f64; 3] {
    let count = |status: Status| {
        let at = class.index();
        let with = references
            .iter()
            .filter(|labels| labels[at] == Some(status));
        with.count() as u64
    };
    let counts = [Status::Negative, Status::Uncertain, Status::Positive].map(count);
    counts.map(|part| share(part, counts.iter().sum()))
}

/// Cohen's κ = (p_o − p_e) / (1 − p_e) over blank, positive, negative and uncertain.
fn kappa(references: &[Statuses], predictions: &[Statuses], class: FindingClass) -> f64 {
    const LABELS: [Option<Status>; 4] = [
        None,
        Some(Status::Positive),
        Some(Status::Negative),
        Some(Status::Uncertain),
    ];
    let at = class.index();
    let studies = references.len() as f64;
    let pairs = references.iter().zip(predictions);
    let agreeing = pairs.filter(|(reference, prediction)| reference[at] == prediction[at]);
    let observed = agreeing.count() as f64 / studies;
    let count =
        |side: &[Statuses], label| side.iter().filter(|labels| labels[at] == label).count() as f64;
    let by_chance: f64 = LABELS
        .iter()
        .map(|label| count(references, *label) * count(predictions, *label))
        .sum::<f64>()
        / (studies * studies);
    (observed - by_chance) / (1.0 - by_chance)
}
