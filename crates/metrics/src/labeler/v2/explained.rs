//! Findings that the report explains away: "nodule, likely a granuloma", "apparent pneumothorax is a skin fold".

use super::super::{
    class::{FindingClass, Status},
    words::Words,
};
use super::cues::NOT;
use super::denial::links;
use super::text::Text;

/// Most words between a finding and the beginning of its explanation.
const REACH: usize = 14;
/// How many words between the verb and the explanation.
const GAP: usize = 5;

/// Hedges between a finding and its explanation.
const HEDGES: Words = Words::new(
    "likely probably probable possibly presumably perhaps may might could consistent compatible favor \
     favored favoring felt thought believed suggesting suggestive suggests suspected appears probability \
     presumed possible would most",
);

/// Words that state the explanation.
const STATEMENTS: Words = Words::new(
    "represents represent representing reflects reflecting reflect is are was were attributed attributable \
     due secondary caused related corresponds corresponding being",
);

/// After a finding, these negate the explanation or set it beside the finding.
const OPPOSITIONS: Words = Words::new("unlikely rather versus vs less without no or");

/// Words after a finding by which an explanation covers only a part of it, or only its apparent size, as in
/// "heart size accentuated by low lung volumes": the finding stays.
const CONTRIBUTIONS: Words =
    Words::new("accentuated exaggerated magnified partially partly part combination and with");

const SHADOWS: Words =
    Words::new("summation superimposition overlap pseudolesion pseudonodule external");

/// Before one of [`STRUCTURES`], these speak of shadows on top of each other.
const OVERLAPPING: Words =
    Words::new("overlapping superimposed overlying confluence confluent composite");

const STRUCTURES: Words = Words::new(
    "structures structure tissue tissues rib ribs vessel vessels bone bones shadow shadows breast breasts \
     density densities soft vascular bony osseous object objects markings clothing device material \
     artifact lead leads scapula skin vasculature",
);

const NO_LESIONS: Words = Words::new(
    "vessel vessels rib ribs bone callus skin mole wart scar scarring button electrode electrodes lead leads \
     clothing azygos hernia spur spurring cartilage exostosis enostosis vertebral breast jewelry snap",
);

const NO_OPACITIES: Words = Words::new("breast breasts skin scapula clothing hair jewelry button");

const NO_PNEUMOTHORACES: Words =
    Words::new("skin sheet blanket clothing hair tubing rib ribs bullous companion");

const TECHNIQUE: Words = Words::new(
    "technique technical projection projectional positioning positional rotation magnification portable ap \
     lordotic supine underpenetration underinflation",
);

/// What an explanation leaves of a finding: uncertain where it is hedged, negative where it is stated.
pub(super) fn explained(text: &Text, class: FindingClass, end: usize) -> Option<Status> {
    let mut link: Option<(usize, Status)> = None;
    for at in end..text.len().min(end + REACH) {
        let word = text.word(at);
        if text.breaks(at) && word != ":" || text.is_finding(at) {
            return None;
        }
        let contributes = CONTRIBUTIONS.has(word) && !links(text, at);
        if NOT.has(word) || OPPOSITIONS.has(word) || contributes {
            return None;
        }
        if let Some(status) = link_at(text, at, end) {
            let hedged = link.is_some_and(|(_, status)| status == Status::Uncertain);
            let status = if hedged { Status::Uncertain } else { status };
            link = Some((at, status));
        }
        if let Some((since, status)) = link
            && at - since <= GAP
        {
            match explanation(text, class, at) {
                Some(Explanation::Else) => return Some(status),
                Some(Explanation::Technique) => return Some(Status::Uncertain),
                None => {}
            }
        }
    }
    None
}

/// Whether a word links a finding to what explains it, and how firmly.
fn link_at(text: &Text, at: usize, end: usize) -> Option<Status> {
    let word = text.word(at);
    // "(nipple shadow)"
    let is_bracket = at == end && matches!(word, "(" | "[");
    if HEDGES.has(word) {
        Some(Status::Uncertain)
    } else if STATEMENTS.has(word) || is_bracket {
        Some(Status::Negative)
    } else {
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Explanation {
    /// Another thing altogether.
    Else,
    /// How the film was taken: the finding may still be there.
    Technique,
}

/// Whether the word at a position explains a finding of this class away.
fn explanation(text: &Text, class: FindingClass, at: usize) -> Option<Explanation> {
    if class == FindingClass::SupportDevices {
        None
    } else if is_shadow(text, at) || is_other_thing(text, class, at) {
        Some(Explanation::Else)
    } else {
        is_technique(text, class, at).then_some(Explanation::Technique)
    }
}

/// An artifact, or the shadows of several things on top of each other.
fn is_shadow(text: &Text, at: usize) -> bool {
    let (this, next) = (text.word(at), text.word(at + 1));
    let is_artifact = this.starts_with("artifact") || this.starts_with("artefact");
    let of_structures =
        || OVERLAPPING.has(this) && (at + 1..at + 4).any(|at| STRUCTURES.has(text.word(at)));
    let is_skin_fold = this == "skin" && matches!(next, "fold" | "folds");
    is_artifact || SHADOWS.has(this) || is_skin_fold || of_structures()
}

/// A thing of the body or the clothes that looks like a finding of the class.
fn is_other_thing(text: &Text, class: FindingClass, at: usize) -> bool {
    use FindingClass::*;
    let (this, next) = (text.word(at), text.word(at + 1));
    let starts = |stems: &[&str]| stems.iter().any(|stem| this.starts_with(stem));
    let is_soft_tissue = this == "soft" && matches!(next, "tissue" | "tissues");
    let is_fat_pad = this == "fat" && matches!(next, "pad" | "pads");
    match class {
        LungLesion => {
            let is_vascular = this == "vascular"
                && matches!(
                    next,
                    "structure" | "structures" | "shadow" | "shadows" | "confluence"
                );
            starts(&["granulom", "nipple", "osteophyt", "costochond"])
                || NO_LESIONS.has(this)
                || is_vascular
                || (this == "end" && next == "on")
        }
        LungOpacity => {
            starts(&["nipple"])
                || NO_OPACITIES.has(this)
                || is_soft_tissue
                || is_fat_pad
                || (this == "chest" && next == "wall")
        }
        Consolidation | Atelectasis | Pneumonia | Edema => starts(&["breast"]) || is_soft_tissue,
        Pneumothorax => starts(&["bulla", "bleb", "scapula"]) || NO_PNEUMOTHORACES.has(this),
        PleuralEffusion | PleuralOther => {
            matches!(this, "fat" | "extrapleural" | "muscle" | "companion")
        }
        Fracture => matches!(this, "nutrient" | "groove"),
        Cardiomegaly | EnlargedCardiomediastinum => is_fat_pad,
        SupportDevices | NoFinding => false,
    }
}

/// How the film was taken, where that can look like a finding of the class.
fn is_technique(text: &Text, class: FindingClass, at: usize) -> bool {
    use FindingClass::*;
    let (this, next) = (text.word(at), text.word(at + 1));
    let is_technique =
        TECHNIQUE.has(this) || (this == "patient" && matches!(next, "position" | "rotation"));
    let is_expiration = (this == "lung" && next == "volumes")
        || (matches!(this, "poor" | "shallow" | "low" | "suboptimal")
            && matches!(next, "inspiration" | "inspiratory" | "volumes"));
    match class {
        Cardiomegaly | EnlargedCardiomediastinum => is_technique || is_expiration,
        LungOpacity => is_technique || this == "crowding",
        Edema | Consolidation => is_technique,
        _ => false,
    }
}
