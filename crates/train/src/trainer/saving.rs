//! Saves checkpoints and logs of a run, and decides when.

use std::time::Instant;

use ithn_data::{TokenizedContext, TokenizedStudy};
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
        let (is_due, interrupted) = self.agree_on(is_due, interrupted)?;
        if is_due || interrupted {
            self.save(log)?;
        }
        if interrupted {
            return Err(self.interrupted(epoch));
        }
        Ok(())
    }

    /// Whether rank 0's clock asks for a checkpoint, and whether any rank is to stop.
    fn agree_on(&self, is_due: bool, interrupted: bool) -> Result<(bool, bool), TrainError> {
        if self.ranks.is_alone() {
            return Ok((is_due, interrupted));
        }
        let all = self
            .ranks
            .gather(Ok(vec![is_due.into(), interrupted.into()]))?;
        let is_set = |flags: &Vec<u8>, flag: usize| flags.get(flag) == Some(&1);
        let is_due = all.first().is_some_and(|first| is_set(first, 0));
        Ok((is_due, all.iter().any(|flags| is_set(flags, 1))))
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

    /// Saves, at rank 0; all ranks call it.
    pub(crate) fn save(&mut self, log: &mut StepLog) -> Result<(), TrainError> {
        let saved = match self.ranks.is_first() {
            true => self.write_last(log),
            false => Ok(()),
        };
        self.saved = Instant::now();
        self.ranks.agree(saved)
    }

    fn write_last(&self, log: &mut StepLog) -> Result<(), TrainError> {
        log.sync()?;
        Ok(self.checkpoint()?.save_as(&self.folder.last_checkpoint())?)
    }

    /// Saves after an epoch, at rank 0; all ranks call it.
    pub(crate) fn save_epoch(
        &mut self,
        epoch: usize,
        is_best: bool,
        log: &mut StepLog,
    ) -> Result<(), TrainError> {
        let saved = match self.ranks.is_first() {
            true => self.write_epoch(epoch, is_best, log),
            false => Ok(()),
        };
        self.saved = Instant::now();
        self.ranks.agree(saved)
    }

    /// `last.ithn` is renamed last, so an interrupted save resumes from the previous checkpoint.
    fn write_epoch(
        &self,
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
        folder.write_epochs(&self.progress.history)?;
        folder.remove_old_epochs(epoch, self.config.training.records.keep_epochs)
    }
}

/// CRC-32 of the training studies and their negatives, in order.
pub(crate) fn fingerprint(data: &PreparedData) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for member in &data.members {
        let negative = member.negative.unwrap_or(member.study);
        for index in [member.study, negative] {
            hash_study(&data.training[index], &mut hasher);
        }
    }
    hasher.finalize()
}

/// CRC-32 of the studies of all splits, the order of training and the vocabulary.
pub(crate) fn fingerprint_of_all(data: &PreparedData) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&fingerprint(data).to_le_bytes());
    for turn in &data.turns {
        hasher.update(&(*turn as u64).to_le_bytes());
    }
    for split in [&data.validation, &data.test] {
        for study in split.studies.iter() {
            hash_study(study, &mut hasher);
        }
        for reference in &split.full_references {
            hasher.update(reference.as_bytes());
        }
    }
    for word in data.tokenizer.words() {
        hasher.update(word.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize()
}

fn hash_study(study: &TokenizedStudy, hasher: &mut crc32fast::Hasher) {
    let number = |value: usize, hasher: &mut crc32fast::Hasher| {
        hasher.update(&(value as u64).to_le_bytes());
    };
    number(study.id.len(), hasher);
    hasher.update(study.id.as_bytes());
    number(study.tokens.len(), hasher);
    for token in &study.tokens {
        hasher.update(&token.to_le_bytes());
    }
    hash_context(&study.context, hasher);
}

/// Adds a study's context to the hash. A study without context adds nothing, so that its hash is that of earlier versions.
fn hash_context(context: &TokenizedContext, hasher: &mut crc32fast::Hasher) {
    if *context == TokenizedContext::default() {
        return;
    }
    let mut words = |words: &[u32]| {
        hasher.update(&(words.len() as u64).to_le_bytes());
        for word in words {
            hasher.update(&word.to_le_bytes());
        }
    };
    words(&context.indication);
    if let Some(prior) = &context.prior {
        words(&prior.report);
        words(&[prior.interval_days]);
    }
    let prior = context.prior.as_ref();
    let films = prior.map_or(&[][..], |prior| &prior.projections);
    for projection in context.projections.iter().chain(films) {
        hasher.update(projection.name().as_bytes());
        hasher.update(&[0]);
    }
}
