//! The phrases that version 2 adds to those of version 1.

use super::super::{
    class::FindingClass::*,
    lexicon::{Meaning, Rule},
};

/// Among phrases that overlap, the longest counts for each class.
pub(in crate::labeler) const RULES: &[Rule] = &[
    Rule {
        classes: &[Cardiomegaly],
        meaning: Meaning::Normal,
        phrases: &["heart|cardiac ~ normalized|normalised"],
    },
    Rule {
        classes: &[LungOpacity, Consolidation, Atelectasis, Edema],
        meaning: Meaning::Normal,
        phrases: &["lungs|lung ~ cleared"],
    },
    Rule {
        classes: &[],
        meaning: Meaning::Ignore,
        phrases: &[
            "shoulder|hip|ankle|wrist|suprapatellar|glenohumeral|subdural|ear effusion*",
            "pericardial|joint fluid",
            "subcutaneous|subglottic|laryngeal|pharyngeal|cerebral|peripheral|pedal|facial|periorbital edema|oedema",
            "chest|body|bowel|abdominal wall edema|oedema|mass|masses|nodule|nodules",
            "bone|muscle|fat mass",
            "tumor marker|markers|board",
            "opaque contrast|foreign|marker|markers|pill|material",
            "radio opaque",
            "fallopian|test tube*",
            "x ray tube",
            "nipple marker*",
            "nodular|coarse liver|contour",
        ],
    },
];
