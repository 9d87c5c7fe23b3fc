use rand::Rng;

use super::change::Change;
use crate::phantom::findings::FindingKind;
use crate::phantom::grammar::{Phrases, choose};

/// A statement with what has changed, if something is known of it.
pub(in crate::phantom) fn compared(
    statement: String,
    change: Option<Change>,
    rng: &mut impl Rng,
) -> String {
    let phrases: Phrases = match change {
        None | Some(Change::Resolved) => return statement,
        Some(Change::New) => &[(90, "new since the prior study"), (10, "which is new")],
        Some(Change::Larger) => &[
            (90, "larger than on the prior study"),
            (10, "which has grown"),
        ],
        Some(Change::Smaller) => &[
            (90, "smaller than on the prior study"),
            (10, "which has shrunk"),
        ],
        Some(Change::Unchanged) => &[
            (90, "unchanged from the prior study"),
            (10, "stable since the prior study"),
        ],
    };
    format!("{statement}, {}", choose(phrases, rng))
}

/// Wording of a finding that is no longer there.
pub(in crate::phantom) fn gone_phrase(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::EndotrachealTube => "the endotracheal tube has been removed",
        FindingKind::PiccLine => "the {side} picc line has been removed",
        FindingKind::Pacemaker => "the pacemaker has been removed",
        FindingKind::Cardiomegaly => "the cardiomegaly has resolved",
        FindingKind::Effusion => "the {side} pleural effusion has resolved",
        FindingKind::Pneumothorax => "the {side} pneumothorax has resolved",
        FindingKind::Consolidation => "the {side} {lobe} lobe consolidation has resolved",
        FindingKind::Nodule => "the {side} {lobe} lobe nodule has resolved",
        FindingKind::Atelectasis => "the {side} basilar atelectasis has resolved",
        FindingKind::Edema => "the pulmonary edema has resolved",
        FindingKind::RibFracture => "the {side} rib fracture has resolved",
    }
}
