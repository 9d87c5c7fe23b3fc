use std::collections::BTreeSet;

use ithn_data::phantom::{FindingKind, PhantomFinding, ReportReading, read_report};
use ithn_metrics::{FindingClass, Mention, Status, label};
use serde::Serialize;

use crate::findings::{FindingsReader, kind_words};

/// Agreement of a statement of a prediction with the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The statement mentions no finding.
    Silent,
    /// The reference agrees.
    Agrees,
    /// The reference has the finding, but with another side, size or place.
    Partly,
    /// The reference states otherwise, or does not have the finding.
    Contradicts,
}

/// A prediction compared with its reference, sentence by sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MarkedReport {
    /// Words of every sentence, its full stop included, and its mark.
    pub sentences: Vec<(usize, Mark)>,
    /// Findings of the reference that the prediction does not have.
    pub missed: Vec<String>,
}

/// Compares a prediction with its reference. Both are cleaned text with single spaces between
/// words.
///
/// A sentence takes the worst mark of its statements. Phantom reports are read exactly, real ones by
/// the rule-based labeler, uncertain findings counting as present: a mark is as good as its reader.
pub fn mark_report(reader: FindingsReader, prediction: &str, reference: &str) -> MarkedReport {
    let judge: Box<dyn Fn(&str) -> Mark> = match reader {
        FindingsReader::Phantom => {
            let truth = read_report(reference);
            Box::new(move |sentence| judge_phantom(sentence, &truth))
        }
        FindingsReader::Rules14 => {
            let truth = label(reference).mentions;
            Box::new(move |sentence| judge_by_rules(sentence, &truth))
        }
    };
    let words: Vec<&str> = prediction
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect();
    let sentences = words
        .split_inclusive(|word| *word == ".")
        .map(|sentence| (sentence.len(), judge(&sentence.join(" "))))
        .collect();
    let stated = |report: &str| -> BTreeSet<String> {
        match reader {
            FindingsReader::Phantom => read_report(report).findings.iter().map(name).collect(),
            FindingsReader::Rules14 => label(report)
                .mentions
                .iter()
                .filter(|mention| is_present(mention.status))
                .map(|mention| spaced(mention.class.name()))
                .collect(),
        }
    };
    let missed = stated(reference)
        .difference(&stated(prediction))
        .cloned()
        .collect();
    MarkedReport { sentences, missed }
}

fn judge_phantom(sentence: &str, truth: &ReportReading) -> Mark {
    let said = read_report(sentence);
    let stated = said.findings.iter().map(|finding| {
        let same_place = |other: PhantomFinding| other.side() == finding.side();
        if truth.findings.contains(finding) {
            Mark::Agrees
        } else if truth.findings.of(finding.kind()).any(same_place) {
            Mark::Partly
        } else {
            Mark::Contradicts
        }
    });
    let denied = said.denied.iter().map(|kind: &FindingKind| {
        if truth.findings.has(*kind) {
            Mark::Contradicts
        } else {
            Mark::Agrees
        }
    });
    stated.chain(denied).max().unwrap_or(Mark::Silent)
}

fn judge_by_rules(sentence: &str, truth: &[Mention]) -> Mark {
    let present = |class: FindingClass| {
        truth
            .iter()
            .filter(move |mention| mention.class == class && is_present(mention.status))
    };
    let judge = |said: &Mention| {
        let found = present(said.class).next().is_some();
        match (is_present(said.status), found) {
            (true, false) | (false, true) => Mark::Contradicts,
            (false, false) => Mark::Agrees,
            (true, true) => {
                let fits = |other: &Mention| other.side.is_none() || other.side == said.side;
                if said.side.is_none() || present(said.class).any(fits) {
                    Mark::Agrees
                } else {
                    Mark::Partly
                }
            }
        }
    };
    label(sentence)
        .mentions
        .iter()
        .map(judge)
        .max()
        .unwrap_or(Mark::Silent)
}

fn is_present(status: Status) -> bool {
    matches!(status, Status::Positive | Status::Uncertain)
}

/// A phantom finding in words, such as `small left pleural effusion`.
fn name(finding: PhantomFinding) -> String {
    let kind = kind_words(finding.kind());
    let attributes = [
        finding.size().map(|size| size.word()),
        finding.side().map(|side| side.word()),
        finding.lobe().map(|lobe| lobe.word()),
    ];
    attributes
        .into_iter()
        .flatten()
        .chain([kind.as_str()])
        .collect::<Vec<_>>()
        .join(" ")
}

fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "there is a small left pleural effusion . no pneumothorax .";

    fn marks(reader: FindingsReader, prediction: &str) -> Vec<Mark> {
        let marked = mark_report(reader, prediction, REFERENCE);
        let words: usize = marked.sentences.iter().map(|(words, _)| words).sum();
        assert_eq!(words, prediction.split(' ').count());
        marked.sentences.into_iter().map(|(_, mark)| mark).collect()
    }

    #[test]
    fn a_report_agrees_with_itself() {
        for reader in [FindingsReader::Phantom, FindingsReader::Rules14] {
            assert_eq!(marks(reader, REFERENCE), [Mark::Agrees, Mark::Agrees]);
            assert!(mark_report(reader, REFERENCE, REFERENCE).missed.is_empty());
        }
    }

    #[test]
    fn wrong_findings_contradict_and_wrong_attributes_agree_in_part() {
        let phantom = |text: &str| marks(FindingsReader::Phantom, text)[0];
        assert_eq!(
            phantom("there is a large left pleural effusion ."),
            Mark::Partly
        );
        assert_eq!(
            phantom("there is a small right pleural effusion ."),
            Mark::Contradicts
        );
        assert_eq!(phantom("no pleural effusion ."), Mark::Contradicts);
        let rules = |text: &str| marks(FindingsReader::Rules14, text)[0];
        assert_eq!(rules("there is a right pleural effusion ."), Mark::Partly);
        assert_eq!(rules("no pleural effusion ."), Mark::Contradicts);
        assert_eq!(rules("there is a pneumothorax ."), Mark::Contradicts);
    }

    #[test]
    fn what_is_left_out_is_listed() {
        let silent = "the patient is rotated .";
        let marked = mark_report(FindingsReader::Phantom, silent, REFERENCE);
        assert_eq!(marked.missed.len(), 1);
        assert!(marked.missed[0].contains("left"), "{:?}", marked.missed);
        assert_eq!(marked.sentences, [(5, Mark::Silent)]);
    }
}
