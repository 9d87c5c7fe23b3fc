//! First negatives that are a study's own report with the words of one finding changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ithn_inference::FindingsReader;

/// Reports with one finding changed, in the order of the reports; none where no edit of the report changes exactly one.
///
/// A report that states findings loses one of them: the sentence that states it gives way to the training sentence without a
/// finding whose words are most alike, or is left out. A report without findings gains one: a finding is drawn by how many
/// training sentences state it, and the pair of an own sentence and a training sentence of that finding that are most alike
/// is exchanged. Likeness is the share of common words (Jaccard). What a report states is read again after the edit.
///
/// `reports` are cleaned; `seeds` hold a number for each, from which its draws follow.
pub(super) fn edited_reports(
    reports: &[String],
    seeds: &[u64],
    findings: FindingsReader,
) -> Vec<Option<String>> {
    let pool = SentencePool::of(reports, findings);
    reports
        .iter()
        .zip(seeds)
        .map(|(report, &seed)| pool.edit(report, seed))
        .collect()
}

/// Sentences of the training reports that state no finding, or exactly one.
struct SentencePool {
    findings: FindingsReader,
    normal: Vec<Sentence>,
    /// By finding, with the number of training sentences that state it alone.
    stating: BTreeMap<String, (Vec<Sentence>, usize)>,
}

struct Sentence {
    text: String,
    words: HashSet<String>,
}

impl Sentence {
    fn new(text: &str) -> Self {
        Sentence {
            text: text.to_owned(),
            words: text.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// Common words over all words of both.
    fn likeness(&self, other: &Sentence) -> f64 {
        let common = self.words.intersection(&other.words).count();
        let all = self.words.len() + other.words.len() - common;
        common as f64 / all.max(1) as f64
    }
}

/// Times that a sentence without a finding must occur to replace another: rare ones are seldom general.
const FREQUENT: usize = 3;

impl SentencePool {
    fn of(reports: &[String], findings: FindingsReader) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for sentence in reports.iter().flat_map(|report| split(report)) {
            *counts.entry(sentence).or_default() += 1;
        }
        let mut pool = SentencePool {
            findings,
            normal: Vec::new(),
            stating: BTreeMap::new(),
        };
        for (text, count) in counts {
            let mut stated = findings.abnormal(text);
            match (stated.pop_first(), stated.is_empty()) {
                (None, _) if count >= FREQUENT => pool.normal.push(Sentence::new(text)),
                (Some(finding), true) => {
                    let (sentences, total) = pool.stating.entry(finding).or_default();
                    sentences.push(Sentence::new(text));
                    *total += count;
                }
                _ => {}
            }
        }
        pool
    }

    fn edit(&self, report: &str, seed: u64) -> Option<String> {
        let sentences: Vec<Sentence> = split(report).map(Sentence::new).collect();
        let stated = self.findings.abnormal(report);
        match stated.is_empty() {
            true => self.with_finding(&sentences, seed),
            false => self.without_finding(&sentences, &stated, seed),
        }
    }

    /// A finding that the report does not state, in place of its most similar sentence.
    fn with_finding(&self, sentences: &[Sentence], seed: u64) -> Option<String> {
        let total: usize = self.stating.values().map(|(_, count)| count).sum();
        let mut place = usize::try_from(seed % (total as u64).max(1)).ok()?;
        let (finding, (candidates, _)) = self.stating.iter().find(|(_, (_, count))| {
            let is_here = place < *count;
            place = place.saturating_sub(*count);
            is_here
        })?;
        let mut pairs: Vec<(f64, usize, usize)> = (0..sentences.len())
            .flat_map(|own| (0..candidates.len()).map(move |other| (own, other)))
            .map(|(own, other)| {
                let likeness = sentences[own].likeness(&candidates[other]);
                (likeness, own, other)
            })
            .collect();
        // Stable: equal pairs stay in the order of the report, then of the alphabet.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        pairs.into_iter().find_map(|(_, own, other)| {
            let edited = exchanged(sentences, own, Some(&candidates[other].text));
            let now = self.findings.abnormal(&edited);
            (now.len() == 1 && now.contains(finding)).then_some(edited)
        })
    }

    /// The report without one of the findings that it states.
    fn without_finding(
        &self,
        sentences: &[Sentence],
        stated: &BTreeSet<String>,
        seed: u64,
    ) -> Option<String> {
        let findings: Vec<&String> = stated.iter().collect();
        let first = usize::try_from(seed % findings.len() as u64).ok()?;
        let order = (0..findings.len()).map(|index| findings[(first + index) % findings.len()]);
        order.into_iter().find_map(|finding| {
            let mut expected = stated.clone();
            expected.remove(finding);
            let states = |sentence: &Sentence| {
                let found = self.findings.abnormal(&sentence.text);
                found.len() == 1 && found.contains(finding)
            };
            let own = sentences.iter().position(states)?;
            let likeness = |other: &Sentence| sentences[own].likeness(other);
            let nearest = self
                .normal
                .iter()
                .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let other = nearest.map(|sentence| sentence.text.as_str());
            let replacements = [other, None].into_iter();
            replacements
                .map(|other| exchanged(sentences, own, other))
                .find(|edited| !edited.is_empty() && self.findings.abnormal(edited) == expected)
        })
    }
}

/// Sentences of a cleaned report.
fn split(report: &str) -> impl Iterator<Item = &str> {
    report
        .split(" .")
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
}

/// The report with a sentence replaced or left out.
fn exchanged(sentences: &[Sentence], place: usize, other: Option<&str>) -> String {
    let texts = sentences.iter().enumerate().filter_map(|(index, own)| {
        if index == place {
            other
        } else {
            Some(own.text.as_str())
        }
    });
    let edited: Vec<String> = texts.map(|text| format!("{text} .")).collect();
    edited.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(reports: &[&str], seeds: &[u64]) -> Vec<Option<String>> {
        let reports: Vec<String> = reports.iter().map(|&text| text.to_owned()).collect();
        edited_reports(&reports, seeds, FindingsReader::Rules14)
    }

    const CLEAR: &str = "the lungs are clear . the heart is normal in size .";

    #[test]
    fn a_finding_gives_way_to_the_most_similar_normal_sentence() {
        let enlarged = "the lungs are clear . the heart is enlarged in size .";
        let found = edits(&[CLEAR, CLEAR, CLEAR, enlarged], &[0; 4]);
        assert_eq!(found[3].as_deref(), Some(CLEAR));
        // The only finding of the pool comes in place of the sentence about the same organ.
        assert_eq!(found[0].as_deref(), Some(enlarged));
    }

    #[test]
    fn one_of_several_findings_goes_by_the_seed() {
        let both =
            "the heart is enlarged in size . there is a left pleural effusion . no pneumothorax .";
        let reader = FindingsReader::Rules14;
        let stated = reader.abnormal(both);
        assert_eq!(stated.len(), 2);
        let kept = [0, 1].map(|seed| {
            let found = edits(&[CLEAR, CLEAR, CLEAR, both], &[0, 0, 0, seed]);
            reader.abnormal(found[3].as_ref().expect("an edit"))
        });
        assert_eq!([kept[0].len(), kept[1].len()], [1, 1]);
        assert_ne!(kept[0], kept[1]);
    }

    #[test]
    fn findings_are_drawn_by_their_sentences() {
        let enlarged = "the heart is enlarged in size .";
        let effusion = "there is a left pleural effusion .";
        let reports = [CLEAR, enlarged, effusion, effusion];
        let reader = FindingsReader::Rules14;
        let drawn: Vec<BTreeSet<String>> = (0..3)
            .map(|seed| {
                let found = edits(&reports, &[seed, 0, 0, 0]);
                reader.abnormal(found[0].as_ref().expect("an edit"))
            })
            .collect();
        let of = |text: &str| {
            let stated = reader.abnormal(text);
            drawn.iter().filter(|it| **it == stated).count()
        };
        assert_eq!((of(enlarged), of(effusion)), (1, 2));
    }

    #[test]
    fn a_report_that_cannot_be_edited_has_none() {
        // No sentence states a finding, so that none can be added.
        assert_eq!(edits(&[CLEAR], &[0]), [None]);
        // Both findings stand in one sentence.
        let joint = "there is a left pleural effusion and a pneumothorax .";
        assert_eq!(edits(&[joint], &[0]), [None]);
    }
}
