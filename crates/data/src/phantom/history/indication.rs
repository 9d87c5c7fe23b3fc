use rand::{Rng, RngExt};

use super::cohort::{HistoryRates, any};
use crate::phantom::attributes::Side;
use crate::phantom::findings::{FindingKind, PhantomFinding, PhantomFindings};

/// Indications that fit anything.
const NEUTRAL: [&str; 4] = [
    "follow-up",
    "preoperative evaluation",
    "chest pain",
    "shortness of breath",
];

/// Why a study with these findings was taken: half a sentence.
pub(super) fn indication(
    findings: &PhantomFindings,
    rates: &HistoryRates,
    rng: &mut impl Rng,
) -> String {
    let present: Vec<PhantomFinding> = findings.iter().collect();
    let anything = PhantomFinding::all();
    let hinted = if rng.random_bool(rates.false_hint) {
        any(&anything, rng)
    } else if rng.random_bool(rates.hint) {
        any(&present, rng)
    } else {
        None
    };
    match hinted {
        Some(finding) => hint(finding),
        None => any(&NEUTRAL, rng).unwrap_or_default().to_owned(),
    }
}

/// A reason that makes one think of a finding.
fn hint(finding: PhantomFinding) -> String {
    let side = finding.side().map_or("", Side::word);
    match finding.kind() {
        FindingKind::EndotrachealTube => "respiratory failure, intubated".to_owned(),
        FindingKind::PiccLine => format!("{side} arm line placement"),
        FindingKind::Pacemaker => "heart block after device implantation".to_owned(),
        FindingKind::Cardiomegaly => "leg swelling and hypertension".to_owned(),
        FindingKind::Effusion => format!("dullness at the {side} base"),
        FindingKind::Pneumothorax => format!("sudden {side} chest pain after a procedure"),
        FindingKind::Consolidation => "fever and productive cough".to_owned(),
        FindingKind::Nodule => "weight loss, smoker".to_owned(),
        FindingKind::Atelectasis => "shallow breathing after surgery".to_owned(),
        FindingKind::Edema => "orthopnea".to_owned(),
        FindingKind::RibFracture => format!("fall on the {side} side"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::phantom::read_findings;

    #[test]
    fn every_kind_has_a_hint_of_its_own_that_states_no_finding() {
        let hints: Vec<(FindingKind, String)> = PhantomFinding::all()
            .into_iter()
            .map(|finding| (finding.kind(), hint(finding)))
            .collect();
        for (_, hint) in &hints {
            assert!(read_findings(hint).is_empty(), "{hint}");
        }
        let distinct: BTreeSet<&String> = hints.iter().map(|(_, hint)| hint).collect();
        let kinds: BTreeSet<(FindingKind, &String)> =
            hints.iter().map(|(kind, hint)| (*kind, hint)).collect();
        assert_eq!(distinct.len(), kinds.len());
    }
}
