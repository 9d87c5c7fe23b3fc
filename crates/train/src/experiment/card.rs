//! What a run says of its checkpoints.

use ithn_checkpoint::Checkpoint;
use ithn_checkpoint::card::{Card, CardData};

use super::{ExperimentResults, Run};
use crate::error::TrainError;
use crate::records::{RunFolder, card_score};

impl Run<'_> {
    /// The card of the run's checkpoints, before there are scores.
    pub(super) fn card(&self) -> Card {
        let counts = [
            self.data.members.len(),
            self.data.validation.studies.len(),
            self.data.test.studies.len(),
        ];
        let card = Card::new(Some(CardData::new(self.dataset.kind, counts)));
        let options = self.options;
        let name = |path: &std::path::Path| {
            let name = path.file_name().unwrap_or(path.as_os_str());
            name.to_string_lossy().into_owned()
        };
        match (&options.start_from, &options.backbone_weights) {
            _ if options.resume => card,
            (Some(path), _) => card.with_origin(format!("the weights of {}", name(path))),
            (None, Some(path)) => card.with_origin(format!(
                "random weights but for the backbone of {}",
                name(path)
            )),
            (None, None) => card.with_origin("random weights"),
        }
    }

    /// Writes `best.ithn` again with the final scores on its card. An interruption leaves one or the other, whole.
    pub(super) fn save_scores(
        &self,
        mut best: Checkpoint,
        results: &ExperimentResults,
        folder: &RunFolder,
    ) -> Result<(), TrainError> {
        let mut card = best.header.card.take().unwrap_or_default();
        card.scores = vec![
            card_score("model", "validation", &results.validation),
            card_score("model", "test", &results.test),
        ];
        let floors = results.floors.rows();
        let floors = floors.iter();
        let scored = floors.map(|(name, scores)| card_score(name, "test", scores));
        card.scores.extend(scored);
        // A checkpoint of an earlier version that is the best of a resumed run has no card.
        card.data = card.data.or(self.card().data);
        best.header.card = Some(card.dated(self.options.clock));
        Ok(best.save_as(&folder.best_checkpoint())?)
    }
}
