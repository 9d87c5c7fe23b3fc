//! Saves checkpoints and logs of a run, and decides when.

use std::time::Instant;

use ithn_generator::TrainableGenerator;

use super::Trainer;
use crate::dataset::PreparedData;
use crate::error::TrainError;
use crate::records::StepLog;
use ithn_checkpoint::{Checkpoint, CheckpointHeader};

impl<G: TrainableGenerator> Trainer<'_, G> {
    /// Saves after a step if the clock or an interrupt asks for it.
    pub(crate) fn save_if_due(
        &mut self,
        epoch: usize,
        log: &mut StepLog,
    ) -> Result<(), TrainError> {
        let every = self.config.training.records.save_every_minutes;
        let is_due =
            every.is_some_and(|minutes| self.saved.elapsed().as_secs_f64() >= minutes * 60.0);
        let interrupted = self.interrupt.is_raised();
        if is_due || interrupted {
            self.save(log)?;
        }
        if interrupted {
            return Err(self.interrupted(epoch));
        }
        Ok(())
    }

    pub(crate) fn interrupted(&self, epoch: usize) -> TrainError {
        TrainError::Interrupted {
            epoch,
            step: self.progress.step,
            folder: self.folder.root().to_owned(),
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        let mut header = CheckpointHeader::new(
            self.config.clone(),
            self.data.tokenizer.clone(),
            self.progress.clone(),
        );
        header.card = Some(self.card.clone().dated(self.clock));
        let path = self.folder.last_checkpoint();
        Ok(Checkpoint::collect(
            header,
            self.model(),
            &self.optimizer,
            &path,
        )?)
    }

    pub(crate) fn save(&mut self, log: &mut StepLog) -> Result<(), TrainError> {
        log.sync()?;
        self.checkpoint()?.save_as(&self.folder.last_checkpoint())?;
        self.saved = Instant::now();
        Ok(())
    }

    /// `last.ithn` is renamed last, so an interrupted save resumes from the previous checkpoint.
    pub(crate) fn save_epoch(
        &mut self,
        epoch: usize,
        is_best: bool,
        log: &mut StepLog,
    ) -> Result<(), TrainError> {
        log.sync()?;
        let folder = self.folder;
        let (of_epoch, best) = (folder.epoch_checkpoint(epoch), folder.best_checkpoint());
        let last = folder.last_checkpoint();
        let mut names = vec![of_epoch.as_path()];
        if is_best {
            names.push(&best);
        }
        names.push(&last);
        self.checkpoint()?.save_under(&names)?;
        self.saved = Instant::now();
        folder.write_epochs(&self.progress.history)?;
        folder.remove_old_epochs(epoch, self.config.training.records.keep_epochs)
    }
}

/// CRC-32 of the training studies and their negatives, in order.
pub(crate) fn fingerprint(data: &PreparedData) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let number = |value: usize, hasher: &mut crc32fast::Hasher| {
        hasher.update(&(value as u64).to_le_bytes());
    };
    for member in &data.members {
        let negative = member.negative.unwrap_or(member.study);
        for index in [member.study, negative] {
            let study = &data.training[index];
            number(study.id.len(), &mut hasher);
            hasher.update(study.id.as_bytes());
            number(study.tokens.len(), &mut hasher);
            for token in &study.tokens {
                hasher.update(&token.to_le_bytes());
            }
        }
    }
    hasher.finalize()
}
