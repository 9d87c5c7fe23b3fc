//! Findings of other organs: "thyroid nodule", "edema of the chest wall", "contrast in the bowel".

use super::super::{class::FindingClass, tokens::Kind, words::Words};
use super::anatomy::{Place, is_margin, place};
use super::text::Text;

/// How many words may stand between an organ and the finding that it describes.
const MODIFIER_REACH: usize = 4;
/// Most words between a finding and the organ named after it.
const PLACE_REACH: usize = 9;

/// Between an organ and a finding, these say that the organ does not describe it.
const NO_MODIFIER: Words = Words::new(
    "in of with without is are was were the a an over overlying at no not but from has have on by \
     behind near adjacent for to possible likely new shows show contains as which that and or",
);

/// Prepositions that place a finding in an organ.
const PLACING: Words = Words::new("in of within involving inside throughout at to");

/// Between a finding and its place.
const BEFORE_PLACE: Words = Words::new(
    "is are was were seen noted present identified visible again material medium projecting located \
     disease also",
);

/// After a finding, these end the search for its place.
const NO_PLACE: Words = Words::new(
    "and or with without has have from due over overlying near behind adjacent above below level for \
     versus vs consistent likely representing represents represent may might could reflects suggests \
     suggesting secondary related compatible that which appears combination",
);

/// Verbs between an organ and what is in it.
const CONTAINING: Words = Words::new(
    "contains contain containing shows show demonstrates demonstrate harbors with reveals : has have",
);

const CONTRAST: Words = Words::new("contrast barium gastrografin radiocontrast contrasted");

const WIRES: Words = Words::new(
    "wire wires lead leads catheter catheters screw screws rod rods hardware stent tubing line suture \
     sutures plate clip filter",
);

const BONES: Words = Words::new(
    "rib ribs clavicle clavicular vertebral spine humerus sternum bone healing fixation",
);

/// Whether a finding belongs to an organ outside lungs, heart and pleura.
pub(super) fn is_of_other_organ(
    text: &Text,
    class: FindingClass,
    start: usize,
    end: usize,
) -> bool {
    use FindingClass::*;
    match class {
        LungLesion | LungOpacity | Edema | Consolidation | Pneumonia | Atelectasis
        | PleuralEffusion => match place_after(text, end) {
            Some(Place::Elsewhere) => true,
            Some(Place::Chest) => false,
            None => {
                is_modified(text, start)
                    || is_contained(text, start)
                    || (class == LungOpacity && is_contrast(text, start, end))
            }
        },
        // Any bone counts, a broken wire does not.
        Fracture => is_of_wire(text, start, end),
        _ => false,
    }
}

/// "thyroid nodule", "left breast soft tissue mass".
fn is_modified(text: &Text, start: usize) -> bool {
    for at in (start.saturating_sub(MODIFIER_REACH)..start).rev() {
        let ends = NO_MODIFIER.has(text.word(at)) || text.is_finding(at);
        if !text.is_word(at) || text.breaks(at) || ends {
            return false;
        }
        match place(text, at) {
            Some(Place::Elsewhere) => return !is_paired(text, at) && !is_margin(text, at),
            Some(Place::Chest) => return false,
            None => {}
        }
    }
    false
}

/// "lung and liver nodules": some of them are in the lung.
fn is_paired(text: &Text, at: usize) -> bool {
    at >= 2
        && matches!(text.word(at - 1), "and" | "or")
        && place(text, at - 2) == Some(Place::Chest)
}

/// The place named after a finding: "nodule in the left breast", "opacity is seen within the stomach".
fn place_after(text: &Text, end: usize) -> Option<Place> {
    // Some phrases end with the preposition, as in "density in".
    let mut is_placed = PLACING.has(text.before(end, 1));
    for at in end..text.len().min(end + PLACE_REACH) {
        let word = text.word(at);
        let ends = NO_PLACE.has(word) || text.is_finding(at);
        if !text.is_word(at) || text.breaks(at) || ends {
            return None;
        }
        if PLACING.has(word) {
            is_placed = true;
        } else if is_placed && let Some(place) = place(text, at) {
            return Some(place);
        } else if !is_placed && at > end + 2 && !BEFORE_PLACE.has(word) {
            return None;
        }
    }
    None
}

/// "the thyroid contains a nodule", "breast: mass".
fn is_contained(text: &Text, start: usize) -> bool {
    for at in (start.saturating_sub(7)..start).rev() {
        let word = text.word(at);
        let joins = text.is(at, Kind::Comma) || matches!(word, "and" | "but");
        if joins || place(text, at) == Some(Place::Chest) {
            return false;
        }
        if CONTAINING.has(word) {
            let gland = matches!(
                text.before(at, 1),
                "gland" | "glands" | "tissue" | "tissues" | "region" | "shadow"
            );
            let organ = at.checked_sub(1 + usize::from(gland));
            return organ.is_some_and(|organ| place(text, organ) == Some(Place::Elsewhere));
        }
    }
    false
}

/// "opaque contrast medium", "contrast opacifies the bowel", "barium opacity".
fn is_contrast(text: &Text, start: usize, end: usize) -> bool {
    let names = |words: &[&str]| (start..end).any(|at| words.contains(&text.word(at)));
    let is_opaque = names(&["opaque"]);
    let is_verb = names(&["opacifies", "opacified", "opacify", "opacifying"]);
    let reach = if is_opaque { 6 } else { 4 };
    let ends = |at: &usize| {
        let word = text.word(*at);
        text.breaks(*at)
            || matches!(word, "and" | "or")
            || (word == "with" && !is_verb)
            || (!is_opaque && !text.is_word(*at))
    };
    let behind = (start.saturating_sub(reach)..start).rev();
    let ahead = end..text.len().min(end + reach);
    let mut near = behind
        .take_while(|at| !ends(at))
        .chain(start..end)
        .chain(ahead.take_while(|at| !ends(at)));
    near.any(|at| {
        let is_organ = || place(text, at) == Some(Place::Elsewhere);
        CONTRAST.has(text.word(at)) || (is_verb && is_organ())
    })
}

/// "fractured sternal wire", "fracture of the pacemaker lead".
fn is_of_wire(text: &Text, start: usize, end: usize) -> bool {
    let is_wire = |at: &usize| WIRES.has(text.word(*at));
    let is_bone = |at: &usize| BONES.has(text.word(*at));
    let ends = |at: usize| {
        !text.is_word(at)
            || matches!(
                text.word(at),
                "with" | "and" | "or" | "status" | "is" | "are"
            )
    };
    let after: Vec<usize> = (end..text.len().min(end + 6))
        .take_while(|&at| !ends(at))
        .collect();
    if after.iter().any(is_bone) {
        return false;
    }
    let is_placed = matches!(text.word(end), "of" | "in" | "within");
    let of_wire = is_placed && after.iter().any(is_wire);
    let before = text.before(start, 1);
    let wire_fracture = WIRES.has(before) && !matches!(before, "line" | "plate");
    let fractured_wire = text.word(end) != "line" && after.iter().take(2).any(is_wire);
    of_wire || wire_fracture || fractured_wire
}
