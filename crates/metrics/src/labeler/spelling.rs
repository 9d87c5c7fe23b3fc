//! Misspelt names of findings.

/// Long words that findings depend on, and their nearest neighbours; shorter ones are too close to
/// other words.
const WORDS: [&str; 29] = [
    "atelectasis",
    "atelectases",
    "atelectatic",
    "cardiomegaly",
    "catheter",
    "catheters",
    "congestion",
    "consolidation",
    "consolidations",
    "effusion",
    "effusions",
    "enlarged",
    "enlargement",
    "fracture",
    "fractures",
    "infiltrate",
    "infiltrates",
    "interstitial",
    "opacification",
    "opacities",
    "opacity",
    "pacemaker",
    "pleura",
    "pleural",
    "pneumonia",
    "pneumonic",
    "pneumothoraces",
    "pneumothorax",
    "sternotomy",
];

/// Shortest word that is corrected.
const SHORTEST: usize = 6;

/// The word of [`WORDS`] that a lower-case word is one slip away from: a letter left out, added, changed, or two
/// swapped, but never the first one. A word that is no slip stays as it is.
pub(super) fn corrected(word: &str) -> &str {
    if word.len() < SHORTEST || !word.is_ascii() || WORDS.contains(&word) {
        return word;
    }
    let slip = |known: &&&str| one_slip(word.as_bytes(), known.as_bytes());
    WORDS.iter().find(slip).copied().unwrap_or(word)
}

fn one_slip(word: &[u8], known: &[u8]) -> bool {
    if word[0] != known[0] || word.len().abs_diff(known.len()) > 1 {
        return false;
    }
    let same = word.iter().zip(known).take_while(|(a, b)| a == b).count();
    let (word, known) = (&word[same..], &known[same..]);
    match (word, known) {
        ([a, b, word @ ..], [c, d, known @ ..]) if (a, b) == (d, c) && word == known => true,
        _ => {
            // After the slip, whichever is not shorter has one letter more to skip.
            let rest = |letters: &'_ [u8], skip: bool| -> Vec<u8> {
                letters.iter().copied().skip(usize::from(skip)).collect()
            };
            rest(word, word.len() >= known.len()) == rest(known, known.len() >= word.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_corrected() {
        for (slip, word) in [
            ("cardiomegally", "cardiomegaly"),
            ("pneumothroax", "pneumothorax"),
            ("pnuemothorax", "pneumothorax"),
            ("effussion", "effusion"),
            ("efusions", "effusions"),
            ("atelectesis", "atelectasis"),
            ("consolidaton", "consolidation"),
            ("plural", "pleural"),
            ("opacitie", "opacities"),
        ] {
            assert_eq!(corrected(slip), word);
        }
    }

    #[test]
    fn other_words_are_left_alone() {
        for word in [
            "infusion",
            "fusion",
            "pleura",
            "capacity",
            "pneumatic",
            "catheter",
            "edema",
            "xxxx",
            "effuse",
            "œdématous",
            "diffusion",
            "consolidative",
            "cardiomediastinal",
        ] {
            assert_eq!(corrected(word), word);
        }
    }
}
