use std::borrow::Cow;
use std::collections::HashMap;

use super::MiningStudy;

/// The distinct texts of a mining run, and which studies have them.
///
/// Verbatim duplicates share a text, so that each is embedded and searched for once, and none is a
/// negative of another. Texts of the training set come first.
pub(super) struct Texts<'a> {
    /// Distinct texts, each with the first study that has it.
    texts: Vec<MiningStudy<'a>>,
    training: Vec<Member>,
    queries: Vec<Member>,
    asked: Vec<AskedText>,
    /// `members[starts[t]..starts[t + 1]]`: the training studies with text `t`, by index.
    starts: Vec<u32>,
    members: Vec<u32>,
}

/// Text and patient of a study, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) text: u32,
    pub(super) patient: u32,
}

/// A distinct text of the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AskedText {
    pub(super) text: u32,
    /// Number of queries with this text.
    pub(super) queries: usize,
}

impl<'a> Texts<'a> {
    pub(super) fn collect(training: &[MiningStudy<'a>], queries: &[MiningStudy<'a>]) -> Self {
        let mut numbers = Numbers::default();
        let training: Vec<_> = training.iter().map(|study| numbers.member(study)).collect();
        let of_training = numbers.texts.len();
        let queries: Vec<_> = queries.iter().map(|study| numbers.member(study)).collect();
        let (starts, members) = members_by_text(&training, of_training);
        let asked = asked_texts(&queries);
        Texts {
            texts: numbers.texts,
            training,
            queries,
            asked,
            starts,
            members,
        }
    }

    /// Every distinct text, as the report of the first study that has it.
    pub(super) fn all(&self) -> &[MiningStudy<'a>] {
        &self.texts
    }

    /// Number of distinct texts in the training set; they precede all others.
    pub(super) fn of_training(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn training(&self) -> &[Member] {
        &self.training
    }

    pub(super) fn queries(&self) -> &[Member] {
        &self.queries
    }

    /// Distinct texts of the queries, by growing number.
    pub(super) fn asked(&self) -> &[AskedText] {
        &self.asked
    }

    /// Indices of the training studies with a text, growing.
    pub(super) fn studies(&self, text: u32) -> &[u32] {
        let text = text as usize;
        &self.members[self.starts[text] as usize..self.starts[text + 1] as usize]
    }
}

/// Numbers given to texts and patients by first appearance.
#[derive(Default)]
struct Numbers<'a> {
    texts: Vec<MiningStudy<'a>>,
    by_text: HashMap<Cow<'a, str>, u32>,
    by_patient: HashMap<&'a str, u32>,
}

impl<'a> Numbers<'a> {
    fn member(&mut self, study: &MiningStudy<'a>) -> Member {
        let patients = self.by_patient.len() as u32;
        let patient = *self.by_patient.entry(study.patient).or_insert(patients);
        let text = *self
            .by_text
            .entry(single_spaced(study.report))
            .or_insert_with(|| {
                self.texts.push(*study);
                self.texts.len() as u32 - 1
            });
        Member { text, patient }
    }
}

/// The text with single blanks between its tokens and none around them.
fn single_spaced(text: &str) -> Cow<'_, str> {
    let tokens = text.split_whitespace();
    let mut lengths = tokens.clone().map(|token| token.len() + 1);
    let is_single_spaced = lengths.by_ref().sum::<usize>() == text.len() + 1
        && text
            .split(' ')
            .all(|token| !token.is_empty() && !token.contains(char::is_whitespace));
    if is_single_spaced {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(tokens.collect::<Vec<_>>().join(" "))
    }
}

fn members_by_text(training: &[Member], texts: usize) -> (Vec<u32>, Vec<u32>) {
    let mut members: Vec<u32> = (0..training.len() as u32).collect();
    members.sort_by_key(|&study| training[study as usize].text);
    let before = |text: u32| members.partition_point(|&m| training[m as usize].text < text) as u32;
    let starts = (0..=texts as u32).map(before).collect();
    (starts, members)
}

fn asked_texts(queries: &[Member]) -> Vec<AskedText> {
    let mut texts: Vec<u32> = queries.iter().map(|query| query.text).collect();
    texts.sort_unstable();
    let same = texts.chunk_by(|a, b| a == b);
    same.map(|same| AskedText {
        text: same[0],
        queries: same.len(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study<'a>(patient: &'a str, report: &'a str) -> MiningStudy<'a> {
        MiningStudy {
            id: patient,
            patient,
            report,
        }
    }

    #[test]
    fn texts_are_equal_up_to_white_space() {
        for text in ["a b", " a b", "a  b", "a\tb", "a b\n", "a\u{a0}b"] {
            assert_eq!(single_spaced(text), "a b");
        }
        assert!(matches!(single_spaced("a b"), Cow::Borrowed(_)));
        assert_eq!(single_spaced("  "), "");
    }

    #[test]
    fn studies_are_listed_by_text() {
        let training = [study("p", "a b"), study("q", "c"), study("q", "a  b")];
        let texts = Texts::collect(
            &training,
            &[study("r", "d"), study("p", "c"), study("q", "d")],
        );
        assert_eq!((texts.all().len(), texts.of_training()), (3, 2));
        assert_eq!(texts.studies(0), [0, 2]);
        assert_eq!(texts.studies(1), [1]);
        let (c, d) = (
            AskedText {
                text: 1,
                queries: 1,
            },
            AskedText {
                text: 2,
                queries: 2,
            },
        );
        assert_eq!(texts.asked(), [c, d]);
        assert_eq!(texts.queries()[1].patient, texts.training()[0].patient);
    }
}
