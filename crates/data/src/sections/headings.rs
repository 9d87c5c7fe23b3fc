//! Which lines of a report open a section.

/// What a heading opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heading {
    Indication,
    Technique,
    Comparison,
    Findings,
    Impression,
    /// Findings and impression in one text.
    Both,
    /// A section that is none of the five; its text is not used.
    Other,
}

/// How surely a line is a heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// It always opens a section.
    Sure,
    /// It names a view or describes another heading: inside a text it may be a sub-heading.
    Title,
    /// It names a body part: inside findings it is a sub-heading.
    BodyPart,
}

/// A line that may open a section: `CHEST, TWO VIEWS: text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadingLine<'a> {
    pub heading: Heading,
    pub certainty: Certainty,
    /// What follows the colon.
    pub text: &'a str,
}

/// Headings by name. Source: `normalize_section_names` of MIT-LCP's `txt/section_parser.py`
/// (github.com/MIT-LCP/mimic-cxr), with plurals and further names; misspellings are left to
/// [`canonical`]. The documentation of the crate lists the differences.
const NAMES: [(Heading, &[&str]); 6] = [
    (
        Heading::Indication,
        &[
            "CLINICAL HISTORY",
            "CLINICAL INDICATION",
            "CLINICAL INFORMATION",
            "HISTORY",
            "HISTORY AND INDICATION",
            "INDICATION",
            "INDICATIONS",
            "PATIENT HISTORY",
            "UNDERLYING MEDICAL CONDITION",
        ],
    ),
    (Heading::Technique, &["PROCEDURE", "TECHNIQUE", "VIEWS"]),
    (
        Heading::Comparison,
        &[
            "COMPARISON",
            "COMPARISONS",
            "COMPARISON EXAM",
            "COMPARISON FILM",
            "COMPARISON FILMS",
            "COMPARISON STUDY",
            "PRIOR STUDIES",
            "PRIOR STUDY",
            "REFERENCE EXAM",
        ],
    ),
    (
        Heading::Findings,
        &[
            "CHEST FINDINGS",
            "FINDING",
            "FINDINGS",
            "RADIOGRAPHIC FINDINGS",
            "REFERENCE FINDINGS",
            "REPORT",
        ],
    ),
    (
        Heading::Impression,
        &[
            "CONCLUSION",
            "CONCLUSIONS",
            "IMP",
            "IMPRESSION",
            "IMPRESSIONS",
            "OPINION",
            "SUMMARY",
        ],
    ),
    (
        Heading::Other,
        &[
            "ADDENDUM",
            "ATTENDING",
            "ATTENDING RADIOLOGIST",
            "COMMENT",
            "COMMENTS",
            "COMMUNICATION",
            "DATE",
            "DATE OF EXAM",
            "DATE OF EXAMINATION",
            "DATE OF SERVICE",
            "DICTATED BY",
            "ELECTRONICALLY SIGNED BY",
            "EXAM",
            "EXAMINATION",
            "NOTIFICATION",
            "NOTIFICATIONS",
            "RADIOLOGIST",
            "RADIOLOGISTS",
            "RECOMMENDATION",
            "RECOMMENDATIONS",
            "RECOMMENDATION S",
            "SIGNED BY",
            "STUDY",
            "TYPE OF EXAM",
            "TYPE OF EXAMINATION",
        ],
    ),
];

/// Words that are recognised with one letter wrong, missing, doubled or swapped.
const MISSPELT: [&str; 16] = [
    "ADDENDUM",
    "COMPARISON",
    "COMPARISONS",
    "CONCLUSION",
    "EXAMINATION",
    "FINDING",
    "FINDINGS",
    "IMPRESSION",
    "IMPRESSIONS",
    "INDICATION",
    "INDICATIONS",
    "NOTIFICATION",
    "RECOMMENDATION",
    "RECOMMENDATIONS",
    "SUMMARY",
    "TECHNIQUE",
];

/// Any of these makes a name the title of a chest film.
const VIEW_WORDS: [&str; 15] = [
    "CHEST",
    "CXR",
    "FILM",
    "FILMS",
    "PORTABLE",
    "RADIOGRAPH",
    "RADIOGRAPHS",
    "RIBS",
    "VIEW",
    "VIEWS",
    "WINDOW",
    "WINDOWS",
    "X-RAY",
    "X-RAYS",
    "XRAY",
];

/// Two of these do, too.
const PROJECTIONS: [&str; 13] = [
    "AP",
    "DECUBITUS",
    "ERECT",
    "FRONTAL",
    "LAT",
    "LATERAL",
    "LORDOTIC",
    "OBLIQUE",
    "PA",
    "SEMI-ERECT",
    "SEMI-UPRIGHT",
    "SUPINE",
    "UPRIGHT",
];

/// Names with one of these do not concern a chest film but a device, a symptom, another examination
/// or another region.
const NOT_A_FILM: [&str; 24] = [
    "ABDOMEN",
    "CT",
    "CTA",
    "DISCOMFORT",
    "DRAIN",
    "DRAINS",
    "FOOT",
    "HAND",
    "HIP",
    "KNEE",
    "MR",
    "MRI",
    "OSSEOUS",
    "PAIN",
    "PELVIS",
    "PRESSURE",
    "SHOULDER",
    "SPINE",
    "TIGHTNESS",
    "TRAUMA",
    "TUBE",
    "TUBES",
    "ULTRASOUND",
    "WALL",
];

/// Words that a name may have which is not in [`NAMES`]; a longer one is a sentence in capitals.
const MAX_WORDS: usize = 12;

impl<'a> HeadingLine<'a> {
    /// Reads a line as a heading: a name in capitals, a colon, and perhaps text. `None` for anything
    /// else, an unknown name included.
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let colon = heading_colon(line)?;
        let (name, text) = (line[..colon].trim(), &line[colon + 1..]);
        let is_capital =
            |character: char| !character.is_alphabetic() || character.is_ascii_uppercase();
        if !name.chars().all(is_capital) || ends_a_sentence(name) {
            return None;
        }
        let words: Vec<&str> = name
            .split(|character: char| !(character.is_alphanumeric() || "-_'".contains(character)))
            .filter(|word| !word.is_empty())
            .map(canonical)
            .collect();
        let (heading, certainty) = classify(&words)?;
        Some(HeadingLine {
            heading,
            certainty,
            text,
        })
    }
}

/// The first colon that is not part of a time such as 10:15.
fn heading_colon(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    line.match_indices(':')
        .map(|(at, _)| at)
        .find(|&at| !(at > 0 && is_digit(at - 1) && is_digit(at + 1)))
}

/// Whether a full stop follows a word, as in `NO EFFUSION. CHEST`; `A.M.` does not count.
fn ends_a_sentence(name: &str) -> bool {
    let letters = |word: &str| word.chars().filter(|it| it.is_alphabetic()).count();
    name.split_whitespace()
        .any(|word| word.ends_with('.') && letters(word) > 2)
}

/// What a name opens; `None` for one that is not known.
fn classify(words: &[&str]) -> Option<(Heading, Certainty)> {
    let name = words.join(" ");
    let exact = NAMES
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()));
    if let Some((heading, _)) = exact {
        return Some((*heading, Certainty::Sure));
    }
    if words.is_empty() || words.len() > MAX_WORDS {
        return None;
    }
    let has = |names: &[&str]| words.iter().any(|word| names.contains(word));
    let impression = has(&["IMPRESSION", "IMPRESSIONS"]);
    let findings = has(&["FINDING", "FINDINGS"]);
    if impression {
        let heading = if findings {
            Heading::Both
        } else {
            Heading::Impression
        };
        return Some((heading, Certainty::Sure));
    }
    let others: [(Heading, Certainty, &[&str]); 5] = [
        (
            Heading::Findings,
            Certainty::Title,
            &["FINDING", "FINDINGS"],
        ),
        (
            Heading::Indication,
            Certainty::Title,
            &["HISTORY", "INDICATION", "INDICATIONS"],
        ),
        (
            Heading::Comparison,
            Certainty::Title,
            &["COMPARISON", "COMPARISONS"],
        ),
        (Heading::Technique, Certainty::Title, &["TECHNIQUE"]),
        (
            Heading::Other,
            Certainty::Sure,
            &[
                "ADDENDUM",
                "NOTIFICATION",
                "RECOMMENDATION",
                "RECOMMENDATIONS",
            ],
        ),
    ];
    if let Some((heading, certainty, _)) = others.iter().find(|(_, _, names)| has(names)) {
        return Some((*heading, *certainty));
    }
    match words {
        ["REASON", "FOR", ..] => Some((Heading::Indication, Certainty::Sure)),
        ["EXAM" | "EXAMINATION" | "STUDY", ..] | ["TYPE", "OF", ..] => {
            Some((Heading::Other, Certainty::Title))
        }
        ["PRIOR" | "PREVIOUS" | "REFERENCE" | "OLD", ..] if names_a_film(words) => {
            Some((Heading::Comparison, Certainty::Title))
        }
        ["CHEST" | "RIBS"] => Some((Heading::Findings, Certainty::BodyPart)),
        _ => names_a_film(words).then_some((Heading::Findings, Certainty::Title)),
    }
}

fn names_a_film(words: &[&str]) -> bool {
    let count = |names: &[&str]| words.iter().filter(|word| names.contains(word)).count();
    count(&NOT_A_FILM) == 0 && (count(&VIEW_WORDS) > 0 || count(&PROJECTIONS) > 1)
}

/// The word of [`MISSPELT`] that differs from `word` by one letter; otherwise `word` itself.
fn canonical(word: &str) -> &str {
    if MISSPELT.contains(&word) {
        return word;
    }
    MISSPELT
        .iter()
        .copied()
        .find(|known| one_letter_apart(word.as_bytes(), known.as_bytes()))
        .unwrap_or(word)
}

/// Whether one insertion, deletion, substitution or swap of neighbours turns `a` into `b`.
fn one_letter_apart(a: &[u8], b: &[u8]) -> bool {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    match (a, b) {
        ([_, rest @ ..], _) if rest == b => true,
        (_, [_, rest @ ..]) if rest == a => true,
        ([_, rest_a @ ..], [_, rest_b @ ..]) if rest_a == rest_b => true,
        ([a0, a1, rest_a @ ..], [b0, b1, rest_b @ ..]) => a0 == b1 && a1 == b0 && rest_a == rest_b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(line: &str) -> Option<(Heading, Certainty)> {
        HeadingLine::of(line).map(|line| (line.heading, line.certainty))
    }

    #[test]
    fn titles_of_chest_films_open_findings() {
        for line in [
            "CHEST, TWO VIEWS: x",
            " PORTABLE AP CHEST RADIOGRAPH:",
            "PA AND LATERAL VIEWS OF THE CHEST:",
            "CHEST, 2 VIEWS: x",
            "CHEST (PA & LAT): x",
            "AP CHEST, 5:30 A.M.: x",
            "SINGLE FRONTAL VIEW OF THE CHEST, ___: x",
            "FRONTAL AND LATERAL CHEST X-RAY:",
            "UPRIGHT PORTABLE VIEW: x",
            "CHEST RADIOGRAPH #2: x",
            "AP SEMI-UPRIGHT: x",
            "BONE WINDOWS: x",
        ] {
            let expected = Some((Heading::Findings, Certainty::Title));
            assert_eq!(heading(line), expected, "{line}");
        }
        let expected = Some((Heading::Findings, Certainty::BodyPart));
        assert_eq!(heading("CHEST: x"), expected);
    }

    #[test]
    fn what_is_no_section_is_no_heading() {
        for line in [
            "LUNGS: x",
            "HEART AND MEDIASTINUM: x",
            "LINES AND TUBES: x",
            "CT: x",
            "CT CHEST: x",
            "CHEST TUBE: x",
            "CHEST WALL: x",
            "CHEST PAIN: x",
            "NO EFFUSION. CHEST FILM: x",
            "Chest: x",
            "CHEST, TWO VIEWS",
            "AT 10:15",
            ": x",
            "UNCHANGED SINCE THE CHEST FILM THAT WAS TAKEN LATE LAST NIGHT AT THE BEDSIDE: x",
        ] {
            assert_eq!(heading(line), None, "{line}");
        }
    }

    #[test]
    fn one_wrong_letter_does_not_matter() {
        for (line, expected) in [
            ("FINDNGS: x", Heading::Findings),
            ("FINIDNGS: x", Heading::Findings),
            ("FINDINGSS: x", Heading::Findings),
            ("MPRESSION: x", Heading::Impression),
            ("IMPRESSOIN: x", Heading::Impression),
            ("IMOORESSION: x", Heading::Other),
            ("COMPARISIONS: x", Heading::Comparison),
            ("TECHINQUE: x", Heading::Technique),
            ("NDICATION: x", Heading::Indication),
            ("FINDINGS AND IMPRESSON: x", Heading::Both),
        ] {
            match expected {
                Heading::Other => assert_eq!(heading(line), None, "two letters: {line}"),
                _ => assert_eq!(heading(line), Some((expected, Certainty::Sure)), "{line}"),
            }
        }
    }

    #[test]
    fn names_with_more_words_follow_the_main_word() {
        for (line, expected) in [
            ("IMPRESSION(S): x", Heading::Impression),
            ("IMPRESSION AND RECOMMENDATION(S): x", Heading::Impression),
            ("FINDINGS/IMPRESSION: x", Heading::Both),
            ("FINDINGS & IMPRESSION: x", Heading::Both),
            ("OTHER FINDINGS: x", Heading::Findings),
            ("REASON FOR CHEST RADIOGRAPH: x", Heading::Indication),
            ("COMPARISON CHEST RADIOGRAPH: x", Heading::Comparison),
            ("PRIOR CHEST FILM: x", Heading::Comparison),
            ("CHEST RADIOGRAPH TECHNIQUE: x", Heading::Technique),
            ("EXAMINATION CHEST, TWO VIEWS: x", Heading::Other),
            ("RECOMMENDATION(S): x", Heading::Other),
            ("ADDENDUM BEGINS: x", Heading::Other),
        ] {
            assert_eq!(heading(line).map(|it| it.0), Some(expected), "{line}");
        }
    }
}
