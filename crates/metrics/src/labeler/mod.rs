//! `rules-14`: a rule-based labeler for the 14 CheXpert classes.
//!
//! Sentence by sentence, a lexicon finds what is named, rules decide whether it is positive,
//! negated or uncertain, and the words around it give side, size and lobe. Its scores are neither
//! CheXpert's nor CheXbert's and must not be called so. The rules have versions, because scores of
//! two versions cannot be compared.

mod attributes;
mod class;
mod lexicon;
mod matches;
mod phrase;
mod spelling;
mod tokens;
mod v1;
mod v2;
mod version;
mod words;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use attributes::{Attributes, Neighbours};
pub use attributes::{Lobe, Side, Size};
pub use class::{FindingClass, Status, Uncertain};
use lexicon::Meaning;
use matches::Match;
use spelling::corrected;
use tokens::{QuestionMarks, Sentence, Token, sentences};
pub use version::{LABELER, LabelerVersion, UnknownLabelerVersion};

/// A place where a report mentions a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// Class of the finding.
    pub class: FindingClass,
    /// Status that this place gives it.
    pub status: Status,
    /// Side of the patient, if stated.
    pub side: Option<Side>,
    /// Extent or severity, if stated.
    pub size: Option<Size>,
    /// Height in the lung, if stated.
    pub lobe: Option<Lobe>,
    /// Bytes of the report that name the finding, or call normal what would show it.
    pub span: Range<usize>,
}

/// Status of each of the 14 classes in a report, with the places that mention them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLabels {
    /// Status of each class in the order of [`FindingClass::all`]; `None` when not mentioned.
    ///
    /// A class mentioned several times is positive if any mention is, else uncertain if any is. A question takes the
    /// status of its answer if a later sentence answers it (from version 2 on).
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

/// Labels a report by the latest version: [`LabelerVersion::label`] of [`LabelerVersion::LATEST`].
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
    LabelerVersion::LATEST.label(report)
}

impl LabelerVersion {
    /// Labels a report, raw or cleaned (lower-cased, sentences joined by " . ").
    ///
    /// [`FindingClass::NoFinding`] is positive when no class but support devices is positive or uncertain, else
    /// negative; so an empty report has no finding.
    pub fn label(self, report: &str) -> ReportLabels {
        // ASCII lower case keeps every byte where it was, so spans point into the report itself.
        let text = report.to_ascii_lowercase();
        let marks = match self {
            LabelerVersion::V1 => QuestionMarks::Stop,
            LabelerVersion::V2 => QuestionMarks::Doubt,
        };
        let mut sentences = sentences(&text, marks);
        let tokens = sentences.iter_mut().flat_map(|s| &mut s.tokens);
        for token in tokens.filter(|token| token.is_word()) {
            token.text = corrected(token.text);
        }
        let mentions = match self {
            LabelerVersion::V1 => mentions_v1(&sentences),
            LabelerVersion::V2 => mentions_v2(&sentences),
        };
        let mut statuses = [None; FindingClass::COUNT];
        for mention in &mentions {
            let status = &mut statuses[mention.class.index()];
            *status = Some(status.map_or(mention.status, |known| stronger(known, mention.status)));
        }
        statuses[FindingClass::NoFinding.index()] = Some(no_finding(&statuses));
        ReportLabels { statuses, mentions }
    }
}

fn mentions_v1(sentences: &[Sentence]) -> Vec<Mention> {
    let of_sentence = |sentence: &Sentence| mentions(&sentence.tokens, v1::read(&sentence.tokens));
    sentences.iter().flat_map(of_sentence).collect()
}

/// As version 1, but a question takes the status of the answer that a later sentence gives it.
fn mentions_v2(sentences: &[Sentence]) -> Vec<Mention> {
    let mut all: Vec<Mention> = Vec::new();
    // Positions in `all` of the questions of each class that nothing has answered.
    let mut open: [Vec<usize>; FindingClass::COUNT] = Default::default();
    // Positions in `all` of what the sentence before asks.
    let mut just_asked: Vec<usize> = Vec::new();
    for sentence in sentences {
        let readings = v2::read(sentence);
        if readings.is_empty()
            && let Some(answer) = v2::answer(sentence)
        {
            for &at in &just_asked {
                all[at].status = answer;
                open[all[at].class.index()].clear();
            }
        }
        let first = all.len();
        let mut answers: [Option<Status>; FindingClass::COUNT] = Default::default();
        just_asked.clear();
        for (at, reading) in readings.iter().enumerate() {
            let class = reading.found.class.index();
            if reading.is_question {
                just_asked.push(first + at);
            } else {
                let known = answers[class].unwrap_or(reading.status);
                answers[class] = Some(stronger(known, reading.status));
            }
        }
        for (questions, answer) in open.iter_mut().zip(answers) {
            if let Some(answer) = answer {
                questions.drain(..).for_each(|at| all[at].status = answer);
            }
        }
        let found = readings
            .into_iter()
            .map(|reading| (reading.found, reading.status));
        all.extend(mentions(&sentence.tokens, found.collect()));
        for &at in &just_asked {
            open[all[at].class.index()].push(at);
        }
    }
    all
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

/// Adds side, size and lobe to the findings of a sentence.
fn mentions(tokens: &[Token], found: Vec<(Match, Status)>) -> Vec<Mention> {
    let findings = found
        .iter()
        .filter(|(found, _)| found.meaning != Meaning::Normal)
        .map(|(found, _)| &found.place);
    let neighbours = Neighbours::new(findings);
    let mention = |(found, status): &(Match, Status)| {
        let Range { start, end } = found.place;
        let Attributes { side, size, lobe } =
            attributes::attributes(tokens, &found.place, &neighbours);
        Mention {
            class: found.class,
            status: *status,
            side,
            size,
            lobe,
            span: tokens[start].span.start..tokens[end - 1].span.end,
        }
    };
    found.iter().map(mention).collect()
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
