//! Removes from a report's file what is no part of the report: banners, rules and preliminary
//! reads.

use super::headings::{Certainty, HeadingLine};

/// Lines that only announce what follows.
const BANNERS: [&str; 2] = ["FINAL REPORT", "FINAL ADDENDUM"];

/// Beginnings of a resident's read, which the final report replaces.
const PRELIMINARY: [&str; 10] = [
    "WET READ",
    "WETREAD",
    "WET-READ",
    "PRELIMINARY FINDINGS",
    "PRELIMINARY IMPRESSION",
    "PRELIMINARY INTERPRETATION",
    "PRELIMINARY READ",
    "PRELIMINARY REPORT",
    "PROVISIONAL FINDINGS",
    "PFI",
];

/// Characters that rules are made of, and how many make one: `___` is a name taken out.
const RULE_CHARACTERS: [char; 4] = ['_', '-', '=', '*'];
const RULE_LENGTH: usize = 4;

/// The lines of the final report. A preliminary read ends at the next banner; if there is none, at a
/// rule or at the next heading.
pub(super) fn final_lines(report: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    // The number of remaining banners decides whether a preliminary read ends at one.
    let mut banners = report.lines().filter_map(behind_banner).count();
    let mut preliminary = false;
    for line in report.lines() {
        if let Some(rest) = behind_banner(line) {
            banners -= 1;
            preliminary = false;
            lines.push(rest);
        } else if is_preliminary(line) {
            preliminary = true;
        } else if preliminary {
            let heading =
                || HeadingLine::of(line).is_some_and(|it| it.certainty == Certainty::Sure);
            if banners == 0 && (is_rule(line.trim()) || heading()) {
                preliminary = false;
                lines.push(line);
            }
        } else {
            lines.push(line);
        }
    }
    lines
}

/// Words of some lines, rules left out, with one blank between them.
pub(super) fn joined<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = lines
        .into_iter()
        .flat_map(str::split_whitespace)
        .filter(|word| !is_rule(word))
        .collect();
    words.join(" ")
}

/// Whether a text has content: `___` or a full stop alone is none.
pub(super) fn says_something(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// Text after a banner on its line, mostly empty; `None` for any other line.
fn behind_banner(line: &str) -> Option<&str> {
    let around = |it: char| it.is_whitespace() || it == ':' || is_rule_character(it);
    let words = line.trim_matches(around);
    BANNERS.iter().find_map(|banner| {
        if words.eq_ignore_ascii_case(banner) {
            return Some("");
        }
        let rest = words.strip_prefix(banner)?;
        rest.starts_with(around)
            .then(|| rest.trim_start_matches(around))
    })
}

/// In capitals, or in any case with a colon: a sentence may begin with "Wet read".
fn is_preliminary(line: &str) -> bool {
    let has_colon = line.contains(':');
    let words: Vec<&str> = line.split_whitespace().take(3).collect();
    let start = words.join(" ");
    PRELIMINARY.iter().any(|beginning| {
        start.get(..beginning.len()).is_some_and(|found| {
            let in_capitals = found == *beginning;
            let titled = has_colon && found.eq_ignore_ascii_case(beginning);
            let ends = !start[beginning.len()..].starts_with(char::is_alphanumeric);
            (in_capitals || titled) && ends
        })
    })
}

fn is_rule(word: &str) -> bool {
    let mut characters = word.chars();
    let first = characters.next().filter(|it| is_rule_character(*it));
    first.is_some_and(|first| word.len() >= RULE_LENGTH && characters.all(|it| it == first))
}

fn is_rule_character(character: char) -> bool {
    RULE_CHARACTERS.contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(report: &str) -> String {
        joined(final_lines(report))
    }

    #[test]
    fn a_wet_read_goes_up_to_the_final_report() {
        let report = " WET READ: ___ ___ 8:51 AM\n  No acute process.\n FINDINGS: wet.\n ______\n\
            \x20               FINAL REPORT\n Lungs are clear.\n";
        assert_eq!(text(report), "Lungs are clear.");
        assert_eq!(text("WET READ: one.\nFINAL REPORT: Two."), "Two.");
        assert_eq!(
            text("WET  READ: one.\nPRELIMINARY REPORT\nTwo.\nFINAL REPORT\nThree."),
            "Three."
        );
        let versions =
            "WET READ VERSION #1 ___\n One.\nWET READ VERSION #2 ___\n Two.\nFINAL REPORT\n x";
        assert_eq!(text(versions), "x");
    }

    #[test]
    fn without_a_final_report_it_goes_up_to_a_rule_or_a_heading() {
        assert_eq!(text("Wet read: one.\n two\n_________\nThree."), "Three.");
        let report = "HISTORY: Cough.\nWETREAD: none\n more\nFINDINGS: Clear.\nPFI: x";
        assert_eq!(text(report), "HISTORY: Cough. FINDINGS: Clear.");
    }

    #[test]
    fn sentences_about_a_wet_read_are_kept() {
        let report = "Wet read was discussed with Dr. ___.\nWETTING is normal.";
        assert_eq!(text(report), report.replace('\n', " "));
    }

    #[test]
    fn rules_and_banners_are_no_words() {
        let report = "  *** FINAL REPORT ***\n Seen by ___.\n________\n Clear. _____ -----\n FINAL ADDENDUM:";
        assert_eq!(text(report), "Seen by ___. Clear.");
        assert!(!says_something(" ___ ."));
    }
}
