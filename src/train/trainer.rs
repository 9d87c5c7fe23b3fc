use std::sync::Arc;
use std::time::Instant;

use burn::module::{Module, ModuleDisplay};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use ithn_data::{BatchLoader, BatchMember, DataError, ImageLoader, LoadedBatch, shuffled_order};
use ithn_generator::{ReportGenerator, StepDecoder};
use ithn_negatives::TrainingPoint;
use serde::Serialize;

use super::batch::training_batch;
use super::dataset::PreparedData;
use super::epoch_record::EpochRecord;
use super::error::TrainError;
use super::evaluation::{SplitScores, Writing, score_split, write_reports_while};
use super::guards::{NonFinite, clip_gradients, gradient_norm};
use super::images::RunImages;
use super::interrupt::Interrupt;
use super::observer::{EpochPlan, Observer, StepRecord};
use super::run_folder::RunFolder;
use super::step::{NonFiniteValue, StepValues, batch_values, catch_out_of_memory};
use super::step_log::StepLog;
use crate::checkpoint::{BestEpoch, Checkpoint, CheckpointHeader, Exact, TrainingProgress};
use crate::config::{ExperimentConfig, MonitoredMetric};
use crate::plugin::Ithn;

/// A generator in training: whatever implements the two traits.
pub trait TrainableGenerator: Module + ModuleDisplay + ReportGenerator + StepDecoder {}

impl<G: Module + ModuleDisplay + ReportGenerator + StepDecoder> TrainableGenerator for G {}

/// A run: everything that moves from epoch to epoch.
///
/// Its state between two steps is the model, the optimiser and [`TrainingProgress`]; nothing else
/// remembers anything, so a run resumed from any checkpoint takes the same steps as one that was
/// never interrupted, on the processor bit for bit.
pub struct Trainer<'a, G> {
    config: &'a ExperimentConfig,
    data: &'a PreparedData,
    folder: &'a RunFolder,
    device: Device,
    model: Ithn<G>,
    optimizer: ModuleOptimizer,
    progress: TrainingProgress,
    training_images: Arc<ImageLoader>,
    evaluation_images: Arc<ImageLoader>,
    interrupt: Interrupt,
    saved: Instant,
}

impl<'a, G: TrainableGenerator> Trainer<'a, G> {
    /// Prepares a run of `model` (on any device) on `device`, from its beginning.
    pub fn new(
        config: &'a ExperimentConfig,
        data: &'a PreparedData,
        folder: &'a RunFolder,
        model: Ithn<G>,
        images: RunImages,
        device: Device,
    ) -> Self {
        Trainer {
            optimizer: config.training.optimizer.init(),
            model,
            config,
            data,
            folder,
            device,
            progress: TrainingProgress {
                data: Some(fingerprint(data)),
                ..TrainingProgress::default()
            },
            training_images: images.training,
            evaluation_images: images.evaluation,
            interrupt: Interrupt::default(),
            saved: Instant::now(),
        }
    }

    /// Stops after the step in which `interrupt` is raised, with everything saved.
    pub fn with_interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Continues from a checkpoint of the same run.
    ///
    /// # Errors
    ///
    /// If its weights or its optimiser state do not fit, or it was trained on other data.
    pub fn resume(mut self, checkpoint: &Checkpoint) -> Result<Self, TrainError> {
        let progress = checkpoint.header.progress.clone();
        if progress
            .data
            .is_some_and(|data| Some(data) != self.progress.data)
        {
            return Err(TrainError::OtherData(self.folder.root().to_owned()));
        }
        self.model = checkpoint.restore_model(self.model)?;
        self.optimizer = checkpoint.restore_optimizer(self.optimizer)?;
        self.progress = TrainingProgress {
            data: self.progress.data,
            ..progress
        };
        // What the run is now, if options changed; and no epoch that will be run again.
        self.folder.write_json("config.json", self.config)?;
        self.folder.write_epochs(&self.progress.history)?;
        Ok(self)
    }

    /// Trains to the last epoch or until patience runs out, and returns the model as it then is.
    /// The best weights lie in the run's folder.
    ///
    /// # Errors
    ///
    /// If an image cannot be read, a loss is no number, the device fails, a file cannot be written,
    /// or the run is interrupted; what was saved before stays.
    pub fn train(mut self, observer: &mut dyn Observer) -> Result<Ithn<G>, TrainError> {
        let training = &self.config.training;
        let log_every = training.records.log_every_steps;
        let mut log = StepLog::open(self.folder, log_every, self.progress.step)?;
        if !self.folder.last_checkpoint().exists() {
            self.save(&mut log)?;
        }
        for epoch in self.progress.epoch + 1..=training.epochs {
            if self.out_of_patience() {
                observer.note(&format!(
                    "stopped before epoch {epoch}: no better validation score in {} epochs",
                    training.patience + 1
                ));
                break;
            }
            self.train_epoch(epoch, &mut log, observer)?;
            let record = self.end_epoch(epoch, &mut log, observer)?;
            observer.epoch_ends(&record);
        }
        Ok(self.model)
    }

    /// Loader of evaluation images, shared with whoever evaluates after training.
    pub fn evaluation_images(&self) -> Arc<ImageLoader> {
        Arc::clone(&self.evaluation_images)
    }

    fn uses_negatives(&self) -> bool {
        self.data
            .members
            .iter()
            .all(|member| member.negative.is_some())
    }

    fn out_of_patience(&self) -> bool {
        self.progress
            .best
            .is_some_and(|best| self.progress.epoch - best.epoch > self.config.training.patience)
    }

    /// Learns from the batches of an epoch that are still to come.
    fn train_epoch(
        &mut self,
        epoch: usize,
        log: &mut StepLog,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let training = &self.config.training;
        let batches = self.batches(epoch);
        let total = batches.len();
        let done = self.progress.batch.min(total);
        observer.epoch_begins(&EpochPlan {
            epoch,
            epochs: training.epochs,
            batches: total,
            done,
            batch_size: training.batch_size,
        });
        let mut loader = BatchLoader::start(
            Arc::clone(&self.data.training),
            Arc::clone(&self.training_images),
            batches[done..].to_vec(),
            epoch,
            training.loader_threads,
        );
        while self.progress.batch < total {
            let began = Instant::now();
            let size = training.accumulate.min(total - self.progress.batch);
            let point = TrainingPoint {
                epoch,
                step: self.progress.step,
                total_steps: training.epochs * total.div_ceil(training.accumulate),
            };
            let group: Vec<LoadedBatch> = loader
                .by_ref()
                .take(size)
                .collect::<Result<_, DataError>>()?;
            self.take_step(group, point, log, observer)?;
            let partial = &mut self.progress.partial;
            partial.seconds = Exact(partial.seconds.0 + began.elapsed().as_secs_f64());
            self.save_if_due(epoch, log)?;
        }
        Ok(())
    }

    /// The batches of an epoch, in its order.
    fn batches(&self, epoch: usize) -> Vec<Vec<BatchMember>> {
        let training = &self.config.training;
        shuffled_order(self.data.members.len(), training.seed, epoch)
            .chunks(training.batch_size)
            .map(|batch| {
                batch
                    .iter()
                    .map(|&index| self.data.members[index])
                    .collect()
            })
            .collect()
    }

    /// One optimiser step, from the mean gradient of some batches.
    fn take_step(
        &mut self,
        group: Vec<LoadedBatch>,
        point: TrainingPoint,
        log: &mut StepLog,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let members: Vec<Vec<BatchMember>> =
            group.iter().map(|batch| batch.members.clone()).collect();
        // Running statistics move in the forward pass: this is the model to go back to.
        let before = self.model.valid();
        let lambda = self.config.lambda(point);
        let learnt = catch_out_of_memory(|| self.learn(group, point.epoch, lambda))?;
        if let Some(found) = learnt.values.non_finite() {
            self.model = before.train();
            return self.leave_out(found, &learnt.values, &members, point, log, observer);
        }

        let optimizer = &self.config.training.optimizer;
        self.model = self.optimizer.step(
            optimizer.policy(point),
            self.model.clone(),
            learnt.gradients,
        );
        self.progress.step += 1;
        let partial = &mut self.progress.partial;
        for (values, members) in learnt.values.batches.iter().zip(&members) {
            partial.add_batch(values, members.len());
        }
        partial.add_step(learnt.values.gradient_norm, lambda);
        let record = StepRecord {
            epoch: point.epoch,
            step: self.progress.step,
            batches: members.len(),
            lambda,
            learning_rates: optimizer.learning_rates(point),
            gradient_norm: learnt.values.gradient_norm,
            ..StepRecord::mean_of(&learnt.values.batches)
        };
        self.progress.batch += members.len();
        log.record(&record)?;
        observer.step_ends(&record);
        Ok(())
    }

    /// Mean gradient of some batches, clipped, and their numbers.
    fn learn(
        &self,
        group: Vec<LoadedBatch>,
        epoch: usize,
        lambda: f64,
    ) -> Result<Learnt, TrainError> {
        let device = self.device.clone().autodiff();
        let count = group.len();
        let mut values = Vec::with_capacity(count);
        let mut sum = GradientsAccumulator::new();
        for (index, batch) in group.into_iter().enumerate() {
            // The dropout of a batch depends on seed, epoch and batch alone.
            let seed = self.config.training.seed;
            self.device
                .seed(batch_seed(seed, epoch, self.progress.batch + index));
            let terms = self.model.losses(training_batch(batch, &device), lambda);
            values.push(batch_values(&terms));
            let share = match count {
                1 => terms.total,
                _ => terms.total.div_scalar(count as f64),
            };
            let gradients = GradientsParams::from_grads(share.backward(), &self.model);
            sum.accumulate(&self.model, gradients);
        }
        let gradients = sum.grads();
        let norm: Tensor<1> = gradient_norm(&self.model, &gradients, &self.device);
        let gradients = match self.config.training.guards.largest_gradient_norm {
            Some(largest) => clip_gradients(&self.model, gradients, norm.clone(), largest),
            None => gradients,
        };
        Ok(Learnt {
            values: StepValues::read(values, norm)?,
            gradients,
        })
    }

    /// Leaves a step out, or stops with its studies written down.
    fn leave_out(
        &mut self,
        found: NonFiniteValue,
        values: &StepValues,
        members: &[Vec<BatchMember>],
        point: TrainingPoint,
        log: &mut StepLog,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let blamed = match found.batch {
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
        self.folder.write_json("non-finite.json", &incident)?;
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

    /// Saves after a step if the clock or an interrupt asks for it.
    fn save_if_due(&mut self, epoch: usize, log: &mut StepLog) -> Result<(), TrainError> {
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

    fn interrupted(&self, epoch: usize) -> TrainError {
        TrainError::Interrupted {
            epoch,
            step: self.progress.step,
            folder: self.folder.root().to_owned(),
        }
    }

    /// Validates, keeps the books and saves.
    fn end_epoch(
        &mut self,
        epoch: usize,
        log: &mut StepLog,
        observer: &mut dyn Observer,
    ) -> Result<EpochRecord, TrainError> {
        let training = &self.config.training;
        let began = Instant::now();
        let Some(validation) = self.validate(observer)? else {
            self.save(log)?;
            return Err(self.interrupted(epoch));
        };
        let score = monitored(&validation, training.monitor);
        let is_best = self.progress.best.is_none_or(|best| score > best.score.0);
        let sums = std::mem::take(&mut self.progress.partial);
        let record = EpochRecord {
            epoch,
            step: self.progress.step,
            lambda: sums.lambda.0,
            learning_rates: training.optimizer.learning_rates(self.last_point(epoch)),
            losses: sums.losses(),
            alignment: self.uses_negatives().then(|| {
                let temperatures = &self.model.temperatures;
                let tau_1 = temperatures.pairs.val().into_scalar();
                sums.alignment(tau_1, temperatures.hardened.val().into_scalar())
            }),
            gradient_norm: sums.gradient_norm(),
            skipped: sums.skipped,
            validation,
            is_best,
            studies_per_second: sums.studies_per_second(),
            seconds: sums.seconds.0 + began.elapsed().as_secs_f64(),
        };
        self.progress.epoch = epoch;
        self.progress.batch = 0;
        if is_best {
            self.progress.best = Some(BestEpoch {
                score: Exact(score),
                epoch,
            });
        }
        let line = serde_json::to_string(&record).map_err(|error| TrainError::Output {
            path: self.folder.root().join("epochs.jsonl"),
            source: error.into(),
        })?;
        self.progress.history.push(line);
        self.save_epoch(epoch, is_best, log)?;
        Ok(record)
    }

    /// Where the last step of an epoch stood.
    fn last_point(&self, epoch: usize) -> TrainingPoint {
        let training = &self.config.training;
        let batches = self.data.members.len().div_ceil(training.batch_size);
        TrainingPoint {
            epoch,
            step: self.progress.step.saturating_sub(1),
            total_steps: training.epochs * batches.div_ceil(training.accumulate),
        }
    }

    /// Scores on the validation split; none if interrupted.
    fn validate(&self, observer: &mut dyn Observer) -> Result<Option<SplitScores>, TrainError> {
        let split = &self.data.validation;
        let generator = self.model.generator.valid();
        let writing = self.writing(&self.device);
        let total = split.studies.len();
        let reports = write_reports_while(&generator, split, &writing, |done| {
            observer.writing(split.name, done, total);
            !self.interrupt.is_raised()
        })?;
        reports
            .map(|reports| Ok(score_split(split, &reports, self.data.findings)?.0))
            .transpose()
    }

    fn writing<'b>(&'b self, device: &'b Device) -> Writing<'b> {
        Writing {
            search: &self.config.decoding,
            tokenizer: &self.data.tokenizer,
            images: Arc::clone(&self.evaluation_images),
            batch_size: self.config.training.evaluation_batch_size,
            threads: self.config.training.loader_threads,
            device,
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        let header = CheckpointHeader::new(
            self.config.clone(),
            self.data.tokenizer.clone(),
            self.progress.clone(),
        );
        let path = self.folder.last_checkpoint();
        Ok(Checkpoint::collect(
            header,
            &self.model,
            &self.optimizer,
            &path,
        )?)
    }

    fn save(&mut self, log: &mut StepLog) -> Result<(), TrainError> {
        log.sync()?;
        self.checkpoint()?.save_as(&self.folder.last_checkpoint())?;
        self.saved = Instant::now();
        Ok(())
    }

    /// The last name comes last: a run interrupted between two names resumes before them and repeats
    /// both.
    fn save_epoch(
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

/// What a group of batches taught.
struct Learnt {
    values: StepValues,
    gradients: GradientsParams,
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

/// Seed of all that is drawn while a batch is learnt from (SplitMix64 of seed, epoch and batch).
fn batch_seed(seed: u64, epoch: usize, batch: usize) -> u64 {
    let mix = |value: u64| {
        let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    };
    mix(mix(mix(seed) ^ epoch as u64) ^ batch as u64)
}

/// CRC-32 of the training studies and their negatives, in order.
fn fingerprint(data: &PreparedData) -> u32 {
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

fn monitored(scores: &SplitScores, metric: MonitoredMetric) -> f64 {
    match metric {
        MonitoredMetric::Bleu4 => scores.bleu_4,
        MonitoredMetric::RougeL => scores.rouge_l,
        MonitoredMetric::Cider => scores.cider,
        MonitoredMetric::FindingsF1 => scores.findings.findings_f1_micro,
    }
}
