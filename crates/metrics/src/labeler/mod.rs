//! `rules-14`: a rule-based labeler for the 14 CheXpert classes.
//!
//! Sentence by sentence: the lexicon finds what is named, the rules of assertion decide whether it is
//! asserted, denied or doubted, and the words around it give side, size and lobe. It is a labeler of our
//! own: its numbers are not those of CheXpert's or CheXbert's, and must not be called so.

mod assertion;
mod attributes;
mod class;
mod cues;
mod lexicon;
mod phrase;
mod rules;
mod spelling;
mod tokens;

use std::cmp::Reverse;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use attributes::{Attributes, Neighbours};
pub use attributes::{Lobe, Side, Size};
pub use class::{FindingClass, Status, Uncertain};
use cues::{VOID_FINDING, VOID_NORMAL};
use lexicon::{LEXICON, Meaning};
use spelling::corrected;
use tokens::{Token, sentences};

/// Name under which results of this labeler are reported.
pub const LABELER: &str = "rules-14";

/// One place where a report speaks of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// The class spoken of.
    pub class: FindingClass,
    /// What this place says about it.
    pub status: Status,
    /// Side of the patient, if said.
    pub side: Option<Side>,
    /// Extent or severity, if said.
    pub size: Option<Size>,
    /// Height in the lung, if said.
    pub lobe: Option<Lobe>,
    /// Bytes of the report that name the finding or call its place normal.
    pub span: Range<usize>,
}

/// What a report says about each of the 14 classes, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLabels {
    /// Status of each class in the order of [`FindingClass::all`]; `None` when not mentioned.
    ///
    /// A class mentioned several times is positive if any mention is, else uncertain if any is.
    pub statuses: [Option<Status>; FindingClass::COUNT],
    /// Every mention, in the order of the text.
    pub mentions: Vec<Mention>,
}

impl ReportLabels {
    /// Status of a class; `None` when the report does not mention it.
    pub fn status(&self, class: FindingClass) -> Option<Status> {
        self.statuses[class.index()]
    }

    /// Yes or no for each class, in the order of [`FindingClass::all`]; not mentioned is no.
    pub fn positives(&self, uncertain: Uncertain) -> [bool; FindingClass::COUNT] {
        positives(&self.statuses, uncertain)
    }
}

/// Yes or no for each of the 14 classes; not mentioned is no.
pub(crate) fn positives(
    statuses: &[Option<Status>; FindingClass::COUNT],
    uncertain: Uncertain,
) -> [bool; FindingClass::COUNT] {
    statuses.map(|status| match status {
        Some(Status::Positive) => true,
        Some(Status::Uncertain) => uncertain == Uncertain::AsPositive,
        Some(Status::Negative) | None => false,
    })
}

/// Labels a report, raw or cleaned (lower-cased, sentences joined by " . ").
///
/// [`FindingClass::NoFinding`] is positive when no class but support devices is positive or uncertain, else
/// negative; so an empty report has no finding.
///
/// # Example
/// ```
/// use ithn_metrics::{FindingClass, Side, Size, Status, label};
///
/// let report = "Moderate left pleural effusion. No pneumothorax, although edema cannot be excluded.";
/// let labels = label(report);
/// assert_eq!(labels.status(FindingClass::Pneumothorax), Some(Status::Negative));
/// assert_eq!(labels.status(FindingClass::Edema), Some(Status::Uncertain));
/// assert_eq!(labels.status(FindingClass::Fracture), None);
///
/// let effusion = &labels.mentions[0];
/// assert_eq!(&report[effusion.span.clone()], "pleural effusion");
/// assert_eq!((effusion.side, effusion.size), (Some(Side::Left), Some(Size::Moderate)));
/// ```
pub fn label(report: &str) -> ReportLabels {
    // ASCII lower case keeps every byte where it was, so spans point into the report itself.
    let text = report.to_ascii_lowercase();
    let mut sentences = sentences(&text);
    for token in sentences
        .iter_mut()
        .flatten()
        .filter(|token| token.is_word())
    {
        token.text = corrected(token.text);
    }
    let mentions: Vec<Mention> = sentences.iter().flat_map(|s| mentions(s)).collect();
    let mut statuses = [None; FindingClass::COUNT];
    for mention in &mentions {
        let status = &mut statuses[mention.class.index()];
        *status = Some(status.map_or(mention.status, |known| stronger(known, mention.status)));
    }
    statuses[FindingClass::NoFinding.index()] = Some(no_finding(&statuses));
    ReportLabels { statuses, mentions }
}

fn stronger(a: Status, b: Status) -> Status {
    match (a, b) {
        (Status::Positive, _) | (_, Status::Positive) => Status::Positive,
        (Status::Uncertain, _) | (_, Status::Uncertain) => Status::Uncertain,
        (Status::Negative, Status::Negative) => Status::Negative,
    }
}

fn no_finding(statuses: &[Option<Status>; FindingClass::COUNT]) -> Status {
    let found = FindingClass::all()
        .into_iter()
        .filter(|class| *class != FindingClass::SupportDevices)
        .any(|class| {
            matches!(
                statuses[class.index()],
                Some(Status::Positive | Status::Uncertain)
            )
        });
    if found {
        Status::Negative
    } else {
        Status::Positive
    }
}

/// A phrase of the lexicon found in a sentence.
struct Match {
    class: FindingClass,
    meaning: Meaning,
    place: Range<usize>,
}

fn mentions(tokens: &[Token]) -> Vec<Mention> {
    let matches = find(tokens);
    if matches.is_empty() {
        return Vec::new();
    }
    let denied = assertion::denied_before(tokens);
    let findings = matches
        .iter()
        .filter(|found| found.meaning != Meaning::Normal)
        .map(|found| &found.place);
    let neighbours = Neighbours::new(findings);
    matches
        .iter()
        .map(|found| mention(tokens, found, &denied, &neighbours))
        .collect()
}

fn mention(tokens: &[Token], found: &Match, denied: &[bool], neighbours: &Neighbours) -> Mention {
    let Range { start, end } = found.place;
    let status = match found.meaning {
        Meaning::Normal => Status::Negative,
        Meaning::Hint => match assertion::status(tokens, denied, start, end) {
            Status::Positive => Status::Uncertain,
            status => status,
        },
        Meaning::Finding | Meaning::Ignore => assertion::status(tokens, denied, start, end),
    };
    let Attributes { side, size, lobe } = attributes::attributes(tokens, &found.place, neighbours);
    let span = tokens[start].span.start..tokens[end - 1].span.end;
    Mention {
        class: found.class,
        status,
        side,
        size,
        lobe,
        span,
    }
}

/// The phrases that count, in the order of the text: for each class the longest of those that overlap.
fn find(tokens: &[Token]) -> Vec<Match> {
    let mut matches: Vec<Match> = Vec::new();
    // Up to where the phrases to ignore that have begun by each word hide what is inside them.
    let mut hidden_until = vec![0; tokens.len()];
    let mut hidden = 0;
    for start in 0..tokens.len() {
        for entry in LEXICON.starting_with(tokens[start].text) {
            let Some(end) = entry.phrase.match_at(tokens, start) else {
                continue;
            };
            let meaning = entry.rule.meaning;
            if meaning == Meaning::Ignore {
                hidden = hidden.max(end);
            } else if !is_void(meaning, &tokens[start..end]) {
                let found = |&class| Match {
                    class,
                    meaning,
                    place: start..end,
                };
                matches.extend(entry.rule.classes.iter().map(found));
            }
        }
        hidden_until[start] = hidden;
    }
    matches.retain(|found| found.place.end > hidden_until[found.place.start]);
    matches.sort_by_key(|found| (found.class, Reverse(found.place.len())));
    // The class that each word was last taken for. The longest come first, so one that overlaps another of its class
    // has its own first or last word in it.
    let mut taken = vec![None; tokens.len()];
    matches.retain(|found| {
        let Range { start, end } = found.place;
        let class = Some(found.class);
        let is_free = taken[start] != class && taken[end - 1] != class;
        if is_free {
            taken[start..end].fill(class);
        }
        is_free
    });
    matches.sort_by_key(|found| (found.place.start, found.class));
    matches
}

fn is_void(meaning: Meaning, inside: &[Token]) -> bool {
    let words = if meaning == Meaning::Normal {
        VOID_NORMAL
    } else {
        VOID_FINDING
    };
    // The words that the phrase itself asks for stand at its ends.
    let inner = inside.get(1..inside.len().saturating_sub(1)).unwrap_or(&[]);
    inner.iter().any(|token| words.has(token.text))
}

#[cfg(test)]
mod tests {
    use super::{FindingClass::*, *};

    fn positive(report: &str) -> Vec<FindingClass> {
        let flags = label(report).positives(Uncertain::AsNegative);
        FindingClass::all()
            .into_iter()
            .filter(|class| flags[class.index()])
            .collect()
    }

    #[test]
    fn a_report_with_findings() {
        let report = "Heart is mildly enlarged. Small right pleural effusion with bibasilar \
                      atelectasis. No pneumothorax. Left chest tube in place.";
        assert_eq!(
            positive(report),
            [Cardiomegaly, Atelectasis, PleuralEffusion, SupportDevices]
        );
        let labels = label(report);
        assert_eq!(labels.status(Pneumothorax), Some(Status::Negative));
        assert_eq!(labels.status(NoFinding), Some(Status::Negative));
        assert_eq!(labels.status(Fracture), None);
    }

    #[test]
    fn a_cleaned_report_reads_like_the_raw_one() {
        let raw = "Stable cardiomegaly. No focal consolidation, effusion, or pneumothorax. \
                   Possible edema.";
        let cleaned = "stable cardiomegaly . no focal consolidation effusion or pneumothorax . \
                       possible edema .";
        assert_eq!(label(raw).statuses, label(cleaned).statuses);
    }

    #[test]
    fn normal_statements_deny() {
        let labels =
            label("The heart, mediastinum and hila are normal. Lungs are clear. XXXX intact.");
        for class in [
            Cardiomegaly,
            EnlargedCardiomediastinum,
            Consolidation,
            LungOpacity,
            Edema,
        ] {
            assert_eq!(
                labels.status(class),
                Some(Status::Negative),
                "{}",
                class.name()
            );
        }
        assert_eq!(labels.status(NoFinding), Some(Status::Positive));
        assert_eq!(
            label("The heart is not normal in size.").status(Cardiomegaly),
            None
        );
        assert_eq!(
            label("Heart at upper limits of normal.").status(Cardiomegaly),
            Some(Status::Negative)
        );
        assert_eq!(
            label("Borderline heart size.").status(Cardiomegaly),
            Some(Status::Uncertain)
        );
    }

    #[test]
    fn a_positive_mention_outweighs_the_others() {
        let labels = label("Lungs are clear. There may be atelectasis. Left base atelectasis.");
        assert_eq!(labels.status(Atelectasis), Some(Status::Positive));
        assert_eq!(labels.status(Consolidation), Some(Status::Negative));
    }

    #[test]
    fn support_devices_are_no_finding() {
        assert_eq!(
            positive("Right PICC line. Lungs are clear."),
            [NoFinding, SupportDevices]
        );
        assert_eq!(positive(""), [NoFinding]);
        let labels = label("Possible nodule.");
        assert_eq!(labels.status(NoFinding), Some(Status::Negative));
        assert!(labels.positives(Uncertain::AsPositive)[LungLesion.index()]);
    }

    #[test]
    fn lookalikes_are_ignored() {
        assert_eq!(
            positive("Small pericardial effusion. Soft tissue density."),
            [NoFinding]
        );
        assert_eq!(positive("Air-space opacity."), [LungOpacity]);
    }

    #[test]
    fn every_part_of_a_long_sentence_reads_alike() {
        let part = "xxxx effusion in the left base, pericardial effusion, or severe edema, ";
        let report = format!("No xxxx, {}", part.repeat(300));
        let mentions = label(&report).mentions;
        assert_eq!(mentions.len(), 2 * 300);
        for (at, mention) in mentions.iter().enumerate() {
            let (class, side, size) = match at % 2 {
                0 => (PleuralEffusion, Some(Side::Left), None),
                _ => (Edema, None, Some(Size::Large)),
            };
            let said = (mention.class, mention.status, mention.side, mention.size);
            assert_eq!(said, (class, Status::Negative, side, size), "{at}");
        }
    }

    #[test]
    fn one_wrong_letter_does_not_hide_a_finding() {
        let report = "Mild cardiomegally. No plural effussion.";
        let labels = label(report);
        assert_eq!(labels.status(Cardiomegaly), Some(Status::Positive));
        assert_eq!(labels.status(PleuralEffusion), Some(Status::Negative));
        assert_eq!(&report[labels.mentions[0].span.clone()], "cardiomegally");
    }

    #[test]
    fn spans_point_at_the_words() {
        let report = "NO EFFUSION. Cardiac silhouette is enlarged.";
        let spans: Vec<&str> = label(report)
            .mentions
            .into_iter()
            .map(|mention| &report[mention.span])
            .collect();
        assert_eq!(spans, ["EFFUSION", "Cardiac silhouette is enlarged"]);
    }

    #[test]
    fn labels_survive_json() {
        let labels = label("Large left effusion, possible right lower lobe pneumonia.");
        let json = serde_json::to_string(&labels).unwrap();
        assert_eq!(serde_json::from_str::<ReportLabels>(&json).unwrap(), labels);
        assert!(json.contains("\"pleural_effusion\""));
    }
}
