use std::fmt;

use serde::Serialize;

use super::{Card, CardScore};
use crate::CheckpointHeader;
use crate::config::Preset;

/// All that a checkpoint says about itself, for people ([`lines`](Self::lines)) and programs (as JSON).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelCard {
    /// The generator's name.
    pub generator: String,
    /// The preset that the configuration was derived from.
    pub preset: Preset,
    /// Side of the input images, in pixels.
    pub image_size: usize,
    /// Films of a study that the model reads.
    pub views: usize,
    /// Words of the vocabulary.
    pub words: usize,
    /// Tokens of a report at most.
    pub max_tokens: usize,
    /// Epochs completed.
    pub epoch: usize,
    /// Optimiser steps taken.
    pub step: usize,
    /// Version of the library that wrote the file.
    pub library_version: String,
    /// What the file stores besides; none in files of earlier versions.
    pub card: Option<Card>,
}

impl ModelCard {
    /// The card of a checkpoint.
    pub fn of(header: &CheckpointHeader) -> Self {
        let config = &header.config;
        ModelCard {
            generator: config.model.generator.name().to_owned(),
            preset: config.preset,
            image_size: config.images.size,
            views: config.model.views,
            words: header.tokenizer.words().len(),
            max_tokens: config.text.max_tokens,
            epoch: header.progress.epoch,
            step: header.progress.step,
            library_version: header.library_version.clone(),
            card: header.card.clone(),
        }
    }

    /// What whoever reads the model's reports of real films must know: that it was not trained on real films.
    pub fn caution(&self) -> Option<&'static str> {
        let data = self.card.as_ref().map(|card| card.data);
        match data {
            Some(Some(data)) if !data.kind.has_real_films() => Some(
                "this checkpoint was trained on drawn films (phantoms): what it writes about a real film means \
                 nothing",
            ),
            None if self.preset == Preset::Phantom => Some(
                "this checkpoint has the preset of phantom studies and no card: if it was trained on phantoms, \
                 what it writes about a real film means nothing",
            ),
            _ => None,
        }
    }

    /// The card in lines of a name and a text, in the order to show them. Names may repeat.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let card = self.card.clone().unwrap_or_default();
        let not_known = || "not known".to_owned();
        let trained_on = card.data.map_or_else(not_known, |data| {
            format!(
                "{}: {} training, {} validation, {} test studies",
                data.kind.name(),
                data.training,
                data.validation,
                data.test
            )
        });
        let films = match self.views {
            1 => "1 film".to_owned(),
            views => format!("up to {views} films"),
        };
        let mut lines = vec![
            ("trained on", trained_on),
            ("first weights", card.origin.unwrap_or_else(not_known)),
            ("generator", self.generator.clone()),
            ("preset", preset_name(self.preset).to_owned()),
            (
                "input",
                format!("{films} of a study, {0} × {0} pixels", self.image_size),
            ),
            (
                "output",
                format!(
                    "reports of at most {} tokens in {} words",
                    self.max_tokens, self.words
                ),
            ),
            (
                "training",
                format!("{} epochs, {} steps", self.epoch, self.step),
            ),
        ];
        match card.scores.is_empty() {
            true => lines.push(("scores", not_known())),
            false => lines.extend(card.scores.iter().map(|score| ("scores", of_score(score)))),
        }
        let written = card.written.map_or_else(not_known, |date| date.to_string());
        lines.extend([
            ("written", written),
            ("by", format!("ithn {}", self.library_version)),
            (
                "data terms",
                card.data
                    .map_or_else(not_known, |data| data.kind.terms().to_owned()),
            ),
            ("use", "research; not for clinical use".to_owned()),
        ]);
        lines.extend(self.caution().map(|text| ("caution", text.to_owned())));
        lines
    }
}

impl fmt::Display for ModelCard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (name, text) in self.lines() {
            let shown = if name == before { "" } else { name };
            writeln!(formatter, "{shown:<14}{text}")?;
            before = name;
        }
        Ok(())
    }
}

fn of_score(score: &CardScore) -> String {
    let values: Vec<String> = score
        .values
        .iter()
        .map(|(name, value)| format!("{} {value:.4}", metric_name(name)))
        .collect();
    format!(
        "{}, {} {} studies: {} (findings by {})",
        score.name,
        score.studies,
        score.split,
        values.join(", "),
        score.findings_reader
    )
}

/// A metric's usual name; that of `metrics.json` if there is no other.
fn metric_name(name: &str) -> &str {
    match name {
        "bleu_1" => "BLEU-1",
        "bleu_2" => "BLEU-2",
        "bleu_3" => "BLEU-3",
        "bleu_4" => "BLEU-4",
        "rouge_l" => "ROUGE-L",
        "cider" => "CIDEr",
        "findings_f1_micro" => "findings F1",
        other => other,
    }
}

fn preset_name(preset: Preset) -> &'static str {
    Preset::NAMES
        .iter()
        .find(|(_, known)| *known == preset)
        .map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainingProgress;
    use crate::card::{CardData, Clock, DataKind};
    use ithn_data::Tokenizer;
    use std::time::UNIX_EPOCH;

    fn header(card: Option<Card>) -> CheckpointHeader {
        let config = Preset::Phantom.config();
        let tokenizer = Tokenizer::numbered(9, config.text.cleaning);
        let mut header = CheckpointHeader::new(config, tokenizer, TrainingProgress::default());
        header.card = card;
        header
    }

    fn phantom() -> Card {
        let data = CardData::new(DataKind::Phantom, [48, 8, 9]);
        let mut card = Card::new(Some(data))
            .with_origin("random weights")
            .dated(Clock::Fixed(UNIX_EPOCH));
        card.scores = vec![
            CardScore::new(
                "model",
                "test",
                9,
                "phantom",
                [("bleu_4", 0.25), ("cider", f64::NAN)],
            ),
            CardScore::new(
                "floor: nearest image",
                "test",
                9,
                "phantom",
                [("bleu_4", 0.5)],
            ),
        ];
        card
    }

    #[test]
    fn a_card_says_what_is_known_and_what_is_not() {
        let text = ModelCard::of(&header(Some(phantom()))).to_string();
        for part in [
            "trained on    phantom studies (films and reports drawn by ithn): 48 training, 8 validation, 9 test",
            "first weights random weights",
            "model, 9 test studies: BLEU-4 0.2500 (findings by phantom)",
            "              floor: nearest image, 9 test studies: BLEU-4 0.5000",
            "written       1970-01-01",
            "not for clinical use",
            "caution       this checkpoint was trained on drawn films",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let without = ModelCard::of(&header(None));
        assert!(without.to_string().contains("trained on    not known"));
        assert!(
            without
                .caution()
                .expect("a phantom preset")
                .contains("no card")
        );
        let mut real = header(Some(Card::new(Some(CardData::new(
            DataKind::Annotation,
            [3, 2, 1],
        )))));
        assert_eq!(ModelCard::of(&real).caution(), None);
        real.card = None;
        real.config = Preset::IuXray.config();
        assert_eq!(ModelCard::of(&real).caution(), None);
    }

    #[test]
    fn headers_of_earlier_and_later_versions_are_read() {
        let header = header(Some(phantom()));
        let mut json = serde_json::to_value(&header).expect("serialisable");
        let read: CheckpointHeader = serde_json::from_value(json.clone()).expect("read");
        assert_eq!(read.card, header.card);
        json["card"]["data"]["kind"] = "mars_rover".into();
        json["card"]["added_later"] = 1.into();
        let read: CheckpointHeader = serde_json::from_value(json.clone()).expect("read");
        let data = read.card.expect("a card").data.expect("data");
        assert_eq!(data.kind, DataKind::Unknown);
        json.as_object_mut().expect("an object").remove("card");
        let read: CheckpointHeader = serde_json::from_value(json).expect("read");
        assert_eq!(read.card, None);
    }
}
