use super::change::{Change, FindingPlace, PhantomChanges};
use crate::phantom::read::{kinds_named, lobe_of, sentences, sides_of};

/// The changes that a report states; the inverse of what [`write_compared_report`](crate::phantom::write_compared_report)
/// writes of them.
///
/// Reads sentence-cased and cleaned, lower-cased text alike. A sentence that names no finding or several, lacks an
/// attribute, or states several changes, states none. Of contradicting sentences the last counts.
pub fn read_changes(report: &str) -> PhantomChanges {
    sentences(report)
        .flat_map(|words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            read_sentence(&words)
        })
        .collect()
}

fn read_sentence(words: &[&str]) -> Vec<(FindingPlace, Change)> {
    let negation = words
        .iter()
        .position(|word| matches!(*word, "no" | "not" | "without"));
    let words = &words[..negation.unwrap_or(words.len())];
    let kinds = kinds_named(words);
    let (Some(change), &[kind]) = (change_of(words), kinds.as_slice()) else {
        return Vec::new();
    };
    let lobe = lobe_of(words).filter(|_| kind.has_lobe());
    if lobe.is_some() != kind.has_lobe() {
        return Vec::new();
    }
    sides_of(kind, words)
        .into_iter()
        .map(|side| (FindingPlace { kind, side, lobe }, change))
        .collect()
}

/// The only change whose word occurs.
fn change_of(words: &[&str]) -> Option<Change> {
    let mut found = Change::ALL.into_iter().filter(|change| {
        words.iter().any(|word| match change {
            Change::New => *word == "new",
            Change::Larger => matches!(*word, "larger" | "grown"),
            Change::Smaller => matches!(*word, "smaller" | "shrunk"),
            Change::Unchanged => matches!(*word, "unchanged" | "stable"),
            Change::Resolved => matches!(*word, "resolved" | "removed"),
        })
    });
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::seq::IndexedRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::phantom::{
        PhantomFinding, PhantomFindings, read_findings, write_compared_report, write_report,
    };

    #[test]
    fn reading_inverts_writing() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
        let all = PhantomFinding::all();
        for _ in 0..5000 {
            let mut draw = || -> PhantomFindings {
                let count = rng.random_range(0..6);
                all.sample(&mut rng, count).copied().collect()
            };
            let (before, now) = (draw(), draw());
            let changes = PhantomChanges::between(&before, &now);
            let report = write_compared_report(&now, Some(&changes), &mut rng);
            let cleaned = report.to_lowercase().replace(',', "").replace('.', " .");
            for text in [&report, &cleaned] {
                assert_eq!(read_changes(text), changes, "{text}");
                assert_eq!(read_findings(text), now, "{text}");
            }
        }
    }

    #[test]
    fn a_report_of_one_study_compares_nothing() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let all = PhantomFinding::all();
        for _ in 0..500 {
            let findings: PhantomFindings = all.sample(&mut rng, 3).copied().collect();
            let report = write_report(&findings, &mut rng);
            assert!(read_changes(&report).is_empty(), "{report}");
        }
    }

    #[test]
    fn malformed_sentences_state_no_change() {
        for text in [
            "no new left pleural effusion .",
            "there is a new pleural effusion .",
            "there is a new unchanged left pleural effusion .",
            "left pleural effusion and edema are new .",
            "the left lobe consolidation has resolved .",
            "unchanged from the prior study .",
        ] {
            assert!(read_changes(text).is_empty(), "{text}");
        }
    }
}
