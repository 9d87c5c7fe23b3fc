//! Side, size and lobe of a finding, from the words around it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::tokens::{Kind, Token};

/// Side of the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Left.
    Left,
    /// Right.
    Right,
    /// Both.
    Bilateral,
}

/// Extent or severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// Small, mild, minimal, trace.
    Small,
    /// Moderate.
    Moderate,
    /// Large, severe, extensive.
    Large,
}

/// Height in the lung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lobe {
    /// Upper lobe, apex.
    Upper,
    /// Middle lobe, lingula, mid lung.
    Middle,
    /// Lower lobe, base.
    Lower,
}

/// Location and size of a finding, from the words around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub side: Option<Side>,
    pub size: Option<Size>,
    pub lobe: Option<Lobe>,
}

/// Starts and ends of the findings of a sentence, each sorted, so that neighbours are found in logarithmic time.
pub(super) struct Neighbours {
    starts: Vec<usize>,
    ends: Vec<usize>,
}

impl Neighbours {
    /// Of the places of all findings of a sentence.
    pub fn new<'a>(places: impl Iterator<Item = &'a Range<usize>>) -> Self {
        let (mut starts, mut ends): (Vec<usize>, Vec<usize>) =
            places.map(|place| (place.start, place.end)).unzip();
        starts.sort_unstable();
        ends.sort_unstable();
        Self { starts, ends }
    }

    /// The last end of a finding that is not after this word.
    fn end_before(&self, at: usize) -> Option<usize> {
        let count = self.ends.partition_point(|&end| end <= at);
        self.ends[..count].last().copied()
    }

    /// The first start of a finding that is not before this word.
    fn start_after(&self, at: usize) -> Option<usize> {
        let count = self.starts.partition_point(|&start| start < at);
        self.starts.get(count).copied()
    }
}

/// How many words before and after a finding can describe it.
const REACH: usize = 8;

/// Reads the attributes of the finding at `place`; `neighbours` are all findings of the sentence.
pub(super) fn attributes(
    tokens: &[Token],
    place: &Range<usize>,
    neighbours: &Neighbours,
) -> Attributes {
    let window = before(tokens, place, neighbours)..after(tokens, place, neighbours);
    let sides = window.clone().filter_map(|at| side(tokens, at));
    // The nearest word wins, those before the finding first: "mild to moderate effusion" is moderate.
    let distance = |at: &usize| {
        if *at < place.end {
            place.end - at
        } else {
            REACH + at - place.end
        }
    };
    let mut nearest: Vec<usize> = window.clone().collect();
    nearest.sort_by_key(distance);
    Attributes {
        side: sides.reduce(|a, b| if a == b { a } else { Side::Bilateral }),
        size: nearest.iter().find_map(|&at| size(tokens[at].text)),
        lobe: nearest.iter().find_map(|&at| lobe(tokens, at)),
    }
}

/// First word that can describe the finding: after the previous finding and its "and".
fn before(tokens: &[Token], place: &Range<usize>, neighbours: &Neighbours) -> usize {
    let previous = neighbours.end_before(place.start);
    let mut first = place.start.saturating_sub(REACH).max(previous.unwrap_or(0));
    for at in (first..place.start).rev() {
        let joins = previous == Some(first) && matches!(tokens[at].text, "and" | "or" | "with");
        if !tokens[at].is_word() || tokens[at].breaks() || joins {
            first = at + 1;
            break;
        }
    }
    first
}

/// End of the words that can describe the finding: before the next finding and its own description.
fn after(tokens: &[Token], place: &Range<usize>, neighbours: &Neighbours) -> usize {
    let next = neighbours.start_after(place.end);
    let reach = tokens.len().min(place.end + REACH);
    let stop = (place.end..reach)
        // "effusions, right greater than left" continues after its comma.
        .find(|&at| match tokens[at].kind {
            Kind::Comma => side(tokens, at + 1).is_none(),
            Kind::Word | Kind::Break | Kind::Query => tokens[at].breaks(),
        })
        .unwrap_or(reach);
    match next {
        Some(next) if next <= stop => (place.end..next)
            .find(|&at| !tokens[at].is_word() || matches!(tokens[at].text, "and" | "or" | "with"))
            .unwrap_or(next),
        _ => stop,
    }
}

fn side(tokens: &[Token], at: usize) -> Option<Side> {
    let next = tokens.get(at + 1).map_or("", |token| token.text);
    let heart = ["ventric", "atri", "heart"]
        .iter()
        .any(|part| next.starts_with(part));
    match tokens.get(at)?.text {
        "left" if !heart => Some(Side::Left),
        "right" if !heart => Some(Side::Right),
        "lul" | "lll" | "lingula" | "lingular" => Some(Side::Left),
        "rul" | "rml" | "rll" => Some(Side::Right),
        "both" | "biapical" | "bibasilar" | "bibasal" => Some(Side::Bilateral),
        word if word.starts_with("bilateral") => Some(Side::Bilateral),
        _ => None,
    }
}

fn size(word: &str) -> Option<Size> {
    match word {
        "small" | "mild" | "mildly" | "minimal" | "minimally" | "tiny" | "trace" | "slight"
        | "slightly" | "subtle" | "faint" => Some(Size::Small),
        "moderate" | "moderately" | "medium" => Some(Size::Moderate),
        "large" | "severe" | "severely" | "massive" | "marked" | "markedly" | "extensive"
        | "significant" | "significantly" => Some(Size::Large),
        _ => None,
    }
}

fn lobe(tokens: &[Token], at: usize) -> Option<Lobe> {
    let next = tokens.get(at + 1).map_or("", |token| token.text);
    let of_lung = matches!(
        next,
        "lobe" | "lobes" | "lung" | "lungs" | "zone" | "zones" | "and"
    );
    match tokens[at].text {
        "apex" | "apical" | "apices" | "biapical" | "rul" | "lul" => Some(Lobe::Upper),
        "lingula" | "lingular" | "rml" | "midlung" => Some(Lobe::Middle),
        "base" | "bases" | "basilar" | "basal" | "bibasilar" | "bibasal" | "rll" | "lll" => {
            Some(Lobe::Lower)
        }
        "upper" if of_lung => Some(Lobe::Upper),
        "middle" | "mid" if of_lung => Some(Lobe::Middle),
        "lower" if of_lung => Some(Lobe::Lower),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tokens::{QuestionMarks, sentences},
        *,
    };

    /// Attributes of each "X" (in lower case) of a sentence.
    fn of_x(sentence: &str) -> Vec<Attributes> {
        let text = sentence.to_ascii_lowercase();
        let tokens = &sentences(&text, QuestionMarks::Stop)[0].tokens;
        let is_x = |at: &usize| tokens[*at].text == "x";
        let places: Vec<Range<usize>> = (0..tokens.len())
            .filter(is_x)
            .map(|at| at..at + 1)
            .collect();
        let neighbours = Neighbours::new(places.iter());
        places
            .iter()
            .map(|place| attributes(tokens, place, &neighbours))
            .collect()
    }

    fn one(sentence: &str) -> (Option<Side>, Option<Size>, Option<Lobe>) {
        let Attributes { side, size, lobe } = of_x(sentence)[0];
        (side, size, lobe)
    }

    #[test]
    fn words_before_and_after() {
        assert_eq!(
            one("small left X"),
            (Some(Side::Left), Some(Size::Small), None)
        );
        assert_eq!(
            one("X in the right upper lobe"),
            (Some(Side::Right), None, Some(Lobe::Upper))
        );
        assert_eq!(
            one("X, right greater than left"),
            (Some(Side::Bilateral), None, None)
        );
        assert_eq!(
            one("bibasilar X"),
            (Some(Side::Bilateral), None, Some(Lobe::Lower))
        );
        assert_eq!(
            one("mild to moderate X"),
            (None, Some(Size::Moderate), None)
        );
        assert_eq!(one("RML X"), (Some(Side::Right), None, Some(Lobe::Middle)));
    }

    #[test]
    fn neighbours_keep_their_own() {
        let [first, second] = of_x("Large right X and small left X")[..] else {
            panic!("two")
        };
        assert_eq!(
            (first.side, first.size),
            (Some(Side::Right), Some(Size::Large))
        );
        assert_eq!(
            (second.side, second.size),
            (Some(Side::Left), Some(Size::Small))
        );
        let [first, second] = of_x("X in the left base and X")[..] else {
            panic!("two")
        };
        assert_eq!(
            (first.side, first.lobe),
            (Some(Side::Left), Some(Lobe::Lower))
        );
        assert_eq!(second, Attributes::default());
    }

    #[test]
    fn other_statements_and_chambers_do_not_count() {
        assert_eq!(one("No X but small left Y"), (None, None, None));
        assert_eq!(
            one("heart enlarged, mild X"),
            (None, Some(Size::Small), None)
        );
        assert_eq!(one("X of the left ventricle"), (None, None, None));
        assert_eq!(one("X at the upper limits"), (None, None, None));
    }
}
