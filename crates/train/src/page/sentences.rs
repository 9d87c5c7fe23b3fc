use ithn_inference::{FindingsReader, Mark, mark_report};

/// A report as it was written, sentence by sentence, with its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedSentences {
    /// Sentences, the white space after each included, and their marks.
    pub sentences: Vec<(String, Mark)>,
    /// Findings of the reference that the report does not have.
    pub missed: Vec<String>,
}

/// Compares a report with its reference by the rule-based labeler, as [`mark_report`] does. The report may be any text:
/// capitals, line breaks and full stops that touch their words are kept.
pub fn mark_sentences(prediction: &str, reference: &str) -> MarkedSentences {
    let sentences = split(prediction);
    // The marker splits at full stops: inner ones are removed, so that it sees one sentence with one stop at its end.
    let normal = |sentence: &&str| {
        let words = sentence
            .split_whitespace()
            .map(|word| word.trim_end_matches('.'));
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        [words.as_slice(), &["."]].concat().join(" ")
    };
    let text: Vec<String> = sentences.iter().map(normal).collect();
    let marked = mark_report(FindingsReader::Rules14, &text.join(" "), reference);
    let marks = marked.sentences.iter().map(|(_, mark)| *mark);
    MarkedSentences {
        sentences: sentences
            .into_iter()
            .map(str::to_owned)
            .zip(marks)
            .collect(),
        missed: marked.missed,
    }
}

/// Sentences with the white space that follows them: they end with a full stop, exclamation or question mark before
/// white space, or at a blank line. Joined they are the text.
fn split(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut begin = 0;
    let mut has_ended = false;
    let mut breaks = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            has_ended |= last.is_some_and(|last| ".!?".contains(last));
            breaks += usize::from(c == '\n');
            has_ended |= breaks > 1;
        } else {
            if has_ended && !text[begin..at].trim().is_empty() {
                sentences.push(&text[begin..at]);
                begin = at;
            }
            has_ended = false;
            breaks = 0;
        }
        last = Some(c);
    }
    if !text[begin..].trim().is_empty() {
        sentences.push(&text[begin..]);
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_join_to_the_text() {
        let text = "The heart is large. No effusion of 2.5 cm.\n\nFINDINGS\n\nClear lungs ! ok";
        let sentences = split(text);
        assert_eq!(sentences.concat(), text);
        assert_eq!(sentences.len(), 5, "{sentences:?}");
        assert!(split(" \n ").is_empty());
    }

    #[test]
    fn text_as_written_is_marked() {
        let reference = "Heart size is normal. Small left pleural effusion.";
        let marked = mark_sentences("Heart is ENLARGED. There is a\nleft effusion.", reference);
        let marks: Vec<Mark> = marked.sentences.iter().map(|(_, mark)| *mark).collect();
        assert_eq!(marks, [Mark::Contradicts, Mark::Agrees]);
        assert!(marked.missed.is_empty(), "{:?}", marked.missed);
        let nothing = mark_sentences("", reference);
        assert!(nothing.sentences.is_empty());
        assert_eq!(nothing.missed.len(), 1);
    }
}
