//! Steps whose loss or gradient is not finite.

use ithn_data::BatchMember;
use ithn_negatives::TrainingPoint;
use serde::Serialize;

use ithn_generator::TrainableGenerator;

use super::Trainer;
use crate::error::TrainError;
use crate::records::StepLog;
use crate::trainer::step::{NonFiniteValue, StepValues};
use crate::watch::Observer;
use ithn_checkpoint::config::NonFinite;

impl<G: TrainableGenerator> Trainer<'_, G> {
    /// Leaves a step out, or stops with its studies written down.
    pub(crate) fn leave_out(
        &mut self,
        found: NonFiniteValue,
        values: &StepValues,
        members: &[Vec<BatchMember>],
        point: TrainingPoint,
        log: &mut StepLog,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let blamed = match found.batch {
            // A contrast has the studies of a group; any of them can be the cause.
            Some(batch) if self.contrasts_over_ranks() && !found.is_of_language() => {
                let size = self.ranks.size();
                let first = batch - batch % size;
                &members[first..(first + size).min(members.len())]
            }
            Some(batch) => &members[batch..=batch],
            None => members,
        };
        let id = |index: usize| self.data.training[index].id.clone();
        let incident = NonFiniteIncident {
            epoch: point.epoch,
            step: self.progress.step + 1,
            batch: self.progress.batch + 1,
            term: found.term,
            value: found.value.to_string(),
            losses: values
                .batches
                .iter()
                .map(|values| values.map(|value| value.to_string()))
                .collect(),
            studies: blamed
                .iter()
                .flatten()
                .map(|member| id(member.study))
                .collect(),
            negatives: blamed
                .iter()
                .flatten()
                .filter_map(|member| member.negative.map(id))
                .collect(),
        };
        let written = match self.ranks.is_first() {
            true => self.folder.write_json("non-finite.json", &incident),
            false => Ok(()),
        };
        self.ranks.agree(written)?;
        let studies = incident.studies.join(", ");
        let allowed = match self.config.training.guards.non_finite {
            NonFinite::Stop => 0,
            NonFinite::Skip { at_most } => at_most,
        };
        if self.progress.skipped + members.len() > allowed {
            self.save(log)?;
            return Err(TrainError::NonFinite {
                term: found.term.to_owned(),
                value: found.value,
                step: incident.step,
                epoch: point.epoch,
                studies,
                checkpoint: self.folder.last_checkpoint(),
            });
        }
        self.progress.skipped += members.len();
        self.progress.partial.skipped += members.len();
        self.progress.batch += members.len();
        observer.warning(&format!(
            "left out the batch of {studies}: its {} became {} ({} of at most {allowed} left out)",
            found.term, found.value, self.progress.skipped
        ));
        Ok(())
    }
}

/// `non-finite.json`. Numbers are text: JSON has no infinity.
#[derive(Debug, Serialize)]
struct NonFiniteIncident {
    epoch: usize,
    step: usize,
    batch: usize,
    term: &'static str,
    value: String,
    losses: Vec<[String; 7]>,
    studies: Vec<String>,
    negatives: Vec<String>,
}
