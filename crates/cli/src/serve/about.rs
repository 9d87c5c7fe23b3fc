//! What a checkpoint says of itself.

use std::fmt::{self, Display};
use std::path::Path;

use ithn::checkpoint::CheckpointHeader;
use ithn::checkpoint::card::ModelCard;
use ithn::search::{SearchConfig, Strategy};

/// Facts about a checkpoint that the page shows and that answers name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// File name, without its folders.
    pub checkpoint: String,
    /// What it was trained on, as sentences.
    pub trained_on: Vec<String>,
    /// Further facts: a name and a text.
    pub facts: Vec<(String, String)>,
}

impl About {
    /// Facts about the checkpoint at `path` with this header, whose reports `search` writes.
    pub fn of(path: &Path, header: &CheckpointHeader, search: &SearchConfig) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let config = &header.config;
        let card = ModelCard::of(header);
        let model = &config.model;
        let (views, side) = (model.views, config.images.size);
        let fact = |name: &str, text: String| (name.to_owned(), text);
        About {
            checkpoint: name.to_string_lossy().into_owned(),
            trained_on: trained_on(&card),
            facts: vec![
                fact(
                    "Generator",
                    format!(
                        "{}, {} of {side} × {side} pixels, {} words",
                        model.generator.name(),
                        count(views, "film"),
                        header.tokenizer.words().len()
                    ),
                ),
                fact("Training", training(header)),
                fact("Search", search_words(search)),
                fact("Written by", format!("ithn {}", header.library_version)),
            ]
            .into_iter()
            .chain(of_card(&card))
            .collect(),
        }
    }
}

impl Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checkpoint, self.trained_on.join(" "))
    }
}

/// Facts of the card that the others do not state.
fn of_card(card: &ModelCard) -> impl Iterator<Item = (String, String)> {
    let names = [
        ("first weights", "First weights"),
        ("scores", "Scores"),
        ("written", "Date"),
        ("data terms", "Terms of the data"),
    ];
    let lines = card.lines().into_iter();
    lines.filter_map(move |(name, text)| {
        let (_, shown) = names.iter().find(|(known, _)| *known == name)?;
        Some(((*shown).to_owned(), text))
    })
}

/// What is known of the data that a checkpoint was trained on, as sentences.
fn trained_on(card: &ModelCard) -> Vec<String> {
    let is_known = card.card.as_ref().is_some_and(|card| card.data.is_some());
    let lines = card.lines();
    let data = lines.iter().find(|(name, _)| *name == "trained on");
    let data = match (data, is_known) {
        (Some((_, text)), true) => format!("Trained on {text}."),
        _ => "What this checkpoint was trained on is not known.".to_owned(),
    };
    let caution = card.caution().map(|text| {
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        format!(
            "{}{}.",
            first.into_iter().collect::<String>(),
            letters.as_str()
        )
    });
    std::iter::once(data).chain(caution).collect()
}

fn training(header: &CheckpointHeader) -> String {
    let progress = &header.progress;
    if progress.step == 0 {
        return "no steps recorded, as after an import".to_owned();
    }
    let mut text = format!(
        "{}, {}, seed {}",
        count(progress.epoch, "epoch"),
        count(progress.step, "step"),
        header.config.training.seed
    );
    if let Some(best) = progress.best {
        text += &format!("; best epoch {}", best.epoch);
    }
    text
}

fn search_words(search: &SearchConfig) -> String {
    let most = count(search.max_tokens, "word");
    match &search.strategy {
        Strategy::Beam(beam) => format!("beam search, width {}, {most} at most", beam.width),
        other => format!("{}, {most} at most", other.method().replace('_', " ")),
    }
}

fn count(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
