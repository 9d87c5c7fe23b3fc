use std::collections::BTreeSet;

use super::attributes::{Lobe, Side, Size};
use super::findings::{FindingKind, PhantomFinding, PhantomFindings};
use super::grammar::degree_word;

/// Content of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportReading {
    /// What it states.
    pub findings: PhantomFindings,
    /// What it negates and does not state elsewhere.
    pub denied: BTreeSet<FindingKind>,
}

/// The findings that a report states; the inverse of [`write_report`](super::write_report).
///
/// Reads sentence-cased and cleaned, lower-cased text alike. Of generated text it takes what is
/// well-formed: a sentence that names no finding, lacks an attribute (an effusion without a side)
/// or contradicts itself (left and right at once) states nothing. What has resolved or was removed is negated.
pub fn read_findings(report: &str) -> PhantomFindings {
    read_report(report).findings
}

/// What a report states and what it negates.
pub fn read_report(report: &str) -> ReportReading {
    let mut reading = ReportReading::default();
    for words in sentences(report) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words
            .iter()
            .any(|word| matches!(*word, "resolved" | "removed"))
        {
            reading.denied.extend(kinds_named(&words));
            continue;
        }
        let negation = words
            .iter()
            .position(|word| matches!(*word, "no" | "not" | "without"));
        let (stated, denied) = words.split_at(negation.unwrap_or(words.len()));
        for finding in read_statement(stated) {
            reading.findings.insert(finding);
        }
        reading.denied.extend(kinds_named(denied));
        reading.denied.extend(kinds_called_normal(stated));
    }
    let ReportReading { findings, denied } = &mut reading;
    denied.retain(|kind| !findings.has(*kind));
    reading
}

/// The findings of one affirmative clause.
fn read_statement(words: &[&str]) -> Vec<PhantomFinding> {
    let kinds = kinds_named(words);
    let [kind] = kinds.as_slice() else {
        return Vec::new();
    };
    let lobe = lobe_of(words).filter(|_| kind.has_lobe());
    let size = match kind {
        FindingKind::Cardiomegaly => only(words, Size::ALL, degree_word),
        _ => only(words, Size::ALL, Size::word).filter(|_| kind.has_size()),
    };
    sides_of(*kind, words)
        .into_iter()
        .filter_map(|side| PhantomFinding::new(*kind, side, lobe, size))
        .collect()
}

/// The sides that some words give a finding of a kind; empty if they give none although it has one, or contradict
/// themselves.
pub(super) fn sides_of(kind: FindingKind, words: &[&str]) -> Vec<Option<Side>> {
    let bilateral = words
        .iter()
        .any(|word| matches!(*word, "bilateral" | "both"));
    let named = only(words, Side::ALL, Side::word);
    match (kind.has_side(), bilateral, named) {
        (false, _, _) => vec![None],
        (true, true, None) => Side::ALL.map(Some).to_vec(),
        (true, false, Some(side)) => vec![Some(side)],
        _ => Vec::new(),
    }
}

/// The only lobe that some words name.
pub(super) fn lobe_of(words: &[&str]) -> Option<Lobe> {
    only(words, Lobe::ALL, Lobe::word)
}

/// The sentences of a report as lower-case words.
pub(super) fn sentences(report: &str) -> impl Iterator<Item = Vec<String>> + '_ {
    report.split('.').map(|sentence| {
        sentence
            .to_lowercase()
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    })
}

/// The kinds that some words name.
pub(super) fn kinds_named(words: &[&str]) -> Vec<FindingKind> {
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let named = |kind: &FindingKind| match kind {
        FindingKind::EndotrachealTube => has(&["endotracheal"]),
        FindingKind::PiccLine => has(&["picc"]),
        FindingKind::Pacemaker => has(&["pacemaker"]),
        FindingKind::Cardiomegaly => {
            has(&["cardiomegaly"]) || has(&["heart", "cardiac"]) && has(&["enlarged", "increased"])
        }
        FindingKind::Effusion => has(&["effusion", "effusions"]),
        FindingKind::Pneumothorax => has(&["pneumothorax"]),
        FindingKind::Consolidation => has(&["consolidation"]),
        FindingKind::Nodule => has(&["nodule"]),
        FindingKind::Atelectasis => has(&["atelectasis"]),
        FindingKind::Edema => has(&["edema"]),
        FindingKind::RibFracture => has(&["fracture"]),
    };
    FindingKind::ALL.into_iter().filter(named).collect()
}

/// The kinds that an affirmative clause rules out: a normal heart, clear lungs, intact bones.
fn kinds_called_normal(words: &[&str]) -> Vec<FindingKind> {
    let has = |word: &str| words.contains(&word);
    if has("normal") && (has("heart") || has("cardiac")) {
        vec![FindingKind::Cardiomegaly]
    } else if has("clear") && has("lungs") {
        vec![FindingKind::Consolidation]
    } else if has("clear") && has("pleural") {
        vec![FindingKind::Effusion, FindingKind::Pneumothorax]
    } else if has("intact") && has("osseous") {
        vec![FindingKind::RibFracture]
    } else {
        Vec::new()
    }
}

/// The only value whose word occurs; `None` if none or several do.
fn only<T: Copy>(
    words: &[&str],
    values: impl IntoIterator<Item = T>,
    word: impl Fn(T) -> &'static str,
) -> Option<T> {
    let mut found = values
        .into_iter()
        .filter(|value| words.contains(&word(*value)));
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::seq::IndexedRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::phantom::write_report;

    #[test]
    fn reading_inverts_writing() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let all = PhantomFinding::all();
        for _ in 0..5000 {
            let count = rng.random_range(0..7);
            let truth: PhantomFindings = all.sample(&mut rng, count).copied().collect();
            let report = write_report(&truth, &mut rng);
            let cleaned = report.to_lowercase().replace('.', " .");
            assert_eq!(read_findings(&report), truth, "{report}");
            assert_eq!(read_findings(&cleaned), truth, "{cleaned}");
            assert_eq!(read_findings(&report.replace(' ', "\n")), truth, "{report}");
        }
    }

    #[test]
    fn malformed_sentences_state_nothing() {
        for text in [
            "",
            ". . .",
            "there is a small pleural effusion .",
            "there is a small left right pleural effusion .",
            "there is a small large left pleural effusion .",
            "a nodule projects over the left middle lobe .",
            "there is no small left pleural effusion .",
            "the heart is enlarged .",
            "left left left",
        ] {
            assert!(read_findings(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_statement_outweighs_a_denial() {
        let reading = read_report("No pulmonary edema. There is pulmonary edema. No nodule.");
        assert!(reading.findings.has(FindingKind::Edema));
        assert_eq!(reading.denied, [FindingKind::Nodule].into());
    }
}
