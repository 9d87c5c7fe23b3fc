//! The training loop.

mod among;
mod epoch;
mod incident;
mod layout;
mod mining;
mod part;
mod saving;
mod step;
mod together;

use std::sync::Arc;
use std::time::Instant;

use burn::module::{Module, ParamGroup};
use burn::optim::ModuleOptimizer;
use burn::tensor::{DType, Device};
use ithn_data::ImageLoader;
use ithn_generator::TrainableGenerator;
use ithn_negatives::TrainingPoint;

use crate::dataset::PreparedData;
use crate::dataset::RunImages;
use crate::error::TrainError;
use crate::evaluation::{SplitScores, Writing, score_split, write_reports_while};
use crate::interrupt::Interrupt;
use crate::optimizer::init_optimizer;
use crate::ranks::Ranks;
use crate::records::RunFolder;
use crate::records::StepLog;
use crate::records::{EpochRecord, GradientNorms, MeanAlignment, MeanLosses, card_score};
use crate::watch::Observer;
pub(crate) use epoch::batch_seed;
use ithn_checkpoint::card::{Card, Clock};
use ithn_checkpoint::config::{ConfigError, ExperimentConfig, MonitoredMetric, Precision};
use ithn_checkpoint::{BestEpoch, Checkpoint, Exact, TrainingProgress};
use ithn_plugin::Ithn;
use saving::fingerprint;
pub(crate) use saving::fingerprint_of_all;
pub(crate) use step::catch_out_of_memory;

/// Invariant: `model` is `None` only while a step runs.
const BETWEEN_STEPS: &str = "a step puts the model back";

/// A training run and its state.
///
/// Its state between two steps is the model, the optimiser and [`TrainingProgress`]; there is no
/// other state. A run resumed from any checkpoint therefore takes the same steps as one that was
/// never interrupted, bit for bit on the CPU.
pub struct Trainer<'a, G> {
    config: &'a ExperimentConfig,
    data: &'a PreparedData,
    folder: &'a RunFolder,
    device: Device,
    /// There between steps; a step takes it out, so that its weights are changed in place.
    model: Option<Ithn<G>>,
    optimizer: ModuleOptimizer,
    progress: TrainingProgress,
    /// First negatives of the current epoch, if they are mined again.
    negatives: Option<mining::EpochNegatives>,
    training_images: Arc<ImageLoader>,
    evaluation_images: Arc<ImageLoader>,
    interrupt: Interrupt,
    card: Card,
    clock: Clock,
    saved: Instant,
    ranks: Ranks,
    exact: bool,
    /// Ranks of the run that is resumed.
    ranks_before: Option<usize>,
}

/// Whether a device computes in the configured numbers.
///
/// # Errors
///
/// [`ConfigError`] with the key `training.precision`.
pub(crate) fn check_precision(precision: Precision, device: &Device) -> Result<(), ConfigError> {
    match precision {
        Precision::Bfloat16 if !device.supports_dtype(DType::BF16) => Err(ConfigError::new(
            "training.precision",
            "the device does not compute in bfloat16: use single",
        )),
        Precision::Bfloat16 | Precision::Single => Ok(()),
    }
}

impl<'a, G: TrainableGenerator> Trainer<'a, G> {
    /// Prepares a run of `model` (on any device) on `device`, from its beginning. A backbone that the
    /// configuration freezes is everything below the generator's field `backbone`.
    pub fn new(
        config: &'a ExperimentConfig,
        data: &'a PreparedData,
        folder: &'a RunFolder,
        model: Ithn<G>,
        images: RunImages,
        device: Device,
    ) -> Self {
        Trainer {
            optimizer: init_optimizer(&config.training.optimizer),
            model: Some(frozen(model, config)),
            config,
            data,
            folder,
            device,
            progress: TrainingProgress {
                data: Some(fingerprint(data)),
                ..TrainingProgress::default()
            },
            negatives: None,
            training_images: images.training,
            evaluation_images: images.evaluation,
            interrupt: Interrupt::default(),
            card: Card::default(),
            clock: Clock::System,
            saved: Instant::now(),
            ranks: Ranks::default(),
            exact: false,
            ranks_before: None,
        }
    }

    /// Trains together with other processes, each of which calls the same methods with the same configuration,
    /// data and weights. `exact`: with several batches accumulated, every batch's gradient travels by
    /// itself, so that a step has the bits of one process; otherwise a rank adds up its own first, which
    /// takes less time and agrees to rounding.
    pub fn with_ranks(mut self, ranks: Ranks, exact: bool) -> Self {
        self.ranks = ranks;
        self.exact = exact;
        self
    }

    /// Stops after the step in which `interrupt` is raised, with everything saved.
    pub fn with_interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Saves `card` with every checkpoint, with the validation scores of the last epoch and the date of `clock`.
    pub fn with_card(mut self, card: Card, clock: Clock) -> Self {
        self.card = card;
        self.clock = clock;
        self
    }

    /// Continues from a checkpoint of the same run; after [`with_ranks`](Self::with_ranks), if it is called.
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
        let model = self.model.take().expect(BETWEEN_STEPS);
        self.model = Some(frozen(checkpoint.restore_model(model)?, self.config));
        self.optimizer = checkpoint.restore_optimizer(self.optimizer)?;
        self.progress = TrainingProgress {
            data: self.progress.data,
            ..progress
        };
        let accumulate = checkpoint.header.config.training.accumulate;
        let batches = self.progress.batches_per_step;
        self.ranks_before = batches.and_then(|batches| batches.checked_div(accumulate));
        if let Some(earlier) = &checkpoint.header.card {
            self.card.origin.clone_from(&earlier.origin);
            self.card.scores.clone_from(&earlier.scores);
        }
        // Write the current configuration, since options may have changed, and drop the epochs that
        // will be repeated.
        if self.ranks.is_first() {
            self.folder.write_json("config.json", self.config)?;
            self.folder.write_epochs(&self.progress.history)?;
        }
        Ok(self)
    }

    /// Trains to the last epoch or until patience runs out, and returns the model as it then is.
    /// The best weights lie in the run's folder.
    ///
    /// # Errors
    ///
    /// If the device does not compute in the configured precision, an image cannot be read, a loss is
    /// not finite, the device fails, a file cannot be written, or the run is interrupted; what was
    /// saved before stays.
    pub fn train(mut self, observer: &mut dyn Observer) -> Result<Ithn<G>, TrainError> {
        check_precision(self.config.training.precision, &self.device)?;
        let training = &self.config.training;
        let log_every = training.records.log_every_steps;
        let log = match self.ranks.is_first() {
            true => StepLog::open(self.folder, log_every, self.progress.step),
            false => StepLog::open(self.folder, 0, 0),
        };
        let mut log = self.ranks.agree(log)?;
        self.keep_batches_per_step(observer);
        self.check_contrast(observer);
        let is_new = !self.folder.last_checkpoint().exists();
        if self.ranks.of_first(Ok(is_new))? {
            self.save(&mut log)?;
        }
        observer.monitors(training.monitor);
        self.check_weights()?;
        if self.progress.step > 0 {
            observer.resumes(&self.history()?);
        }
        for epoch in self.progress.epoch + 1..=training.epochs {
            if self.out_of_patience() {
                observer.note(&format!(
                    "stopped before epoch {epoch}: validation scores below the best in {} epochs",
                    training.patience + 1
                ));
                break;
            }
            self.train_epoch(epoch, &mut log, observer)?;
            self.check_weights()?;
            let record = self.end_epoch(epoch, &mut log, observer)?;
            observer.epoch_ends(&record);
        }
        Ok(self.model.expect(BETWEEN_STEPS))
    }

    /// Loader of evaluation images, shared with the evaluation after training.
    pub fn evaluation_images(&self) -> Arc<ImageLoader> {
        Arc::clone(&self.evaluation_images)
    }

    fn model(&self) -> &Ithn<G> {
        self.model.as_ref().expect(BETWEEN_STEPS)
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
        self.card.scores = vec![card_score("model", "validation", &validation)];
        let best = self.progress.best;
        let is_best = best.is_none_or(|best| best.gives_way_to(score));
        let sums = std::mem::take(&mut self.progress.partial);
        let record = EpochRecord {
            epoch,
            step: self.progress.step,
            lambda: sums.lambda.0,
            learning_rates: training.optimizer.learning_rates(self.last_point(epoch)),
            losses: MeanLosses::of(&sums),
            alignment: self.uses_negatives().then(|| {
                let temperatures = &self.model().alignment.temperatures;
                let tau_1 = temperatures.pairs.val().into_scalar();
                MeanAlignment::of(&sums, tau_1, temperatures.hardened.val().into_scalar())
            }),
            gradient_norm: GradientNorms::of(&sums),
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
        let line = serde_json::to_string(&record).map_err(|error| self.in_epochs(error))?;
        self.progress.history.push(line);
        self.save_epoch(epoch, is_best, log)?;
        Ok(record)
    }

    /// The epochs that are over.
    fn history(&self) -> Result<Vec<EpochRecord>, TrainError> {
        let lines = self.progress.history.iter();
        lines
            .map(|line| serde_json::from_str(line).map_err(|error| self.in_epochs(error)))
            .collect()
    }

    fn in_epochs(&self, error: serde_json::Error) -> TrainError {
        TrainError::Output {
            path: self.folder.root().join("epochs.jsonl"),
            source: error.into(),
        }
    }

    /// Where the last step of an epoch stood.
    fn last_point(&self, epoch: usize) -> TrainingPoint {
        let training = &self.config.training;
        let batches = self.data.turns.len().div_ceil(training.batch_size);
        TrainingPoint {
            epoch,
            step: self.progress.step.saturating_sub(1),
            total_steps: training.epochs * batches.div_ceil(self.batches_per_step()),
        }
    }

    /// Notes how many batches a step averages, and warns if a resumed run averages another number from now on.
    fn keep_batches_per_step(&mut self, observer: &mut dyn Observer) {
        let now = self.batches_per_step();
        if let Some(before) = self.progress.batches_per_step.replace(now)
            && before != now
        {
            observer.warning(&format!(
                "a step averages {now} batches from now on, {before} before: the run will not be the same as one \
                 that was never interrupted"
            ));
        }
    }

    /// Warns if a resumed run contrasts the batches of another number of ranks from now on.
    fn check_contrast(&self, observer: &mut dyn Observer) {
        let over_ranks = self.config.ithn.contrast_over_ranks && self.uses_negatives();
        let now = self.ranks.size();
        if let Some(before) = self.ranks_before
            && over_ranks
            && before != now
        {
            observer.warning(&format!(
                "{now} processes contrast their studies with one another from now on, {before} before: the run will \
                 not be the same as one that was never interrupted"
            ));
        }
    }

    /// Batches whose gradients a step averages, at all ranks.
    fn batches_per_step(&self) -> usize {
        self.config.training.accumulate * self.ranks.size()
    }

    /// Scores on the validation split; none if interrupted.
    fn validate(&self, observer: &mut dyn Observer) -> Result<Option<SplitScores>, TrainError> {
        let split = &self.data.validation;
        let generator = self.model().generator.valid();
        let writing = self.writing(&self.device);
        let total = split.studies.len();
        let reports = write_reports_while(&generator, split, &writing, &self.ranks, |done| {
            observer.writing(split.name, done, total);
            !self.interrupt.is_raised()
        })?;
        reports
            .map(|reports| Ok(score_split(split, &reports, self.data.findings)?.0))
            .transpose()
    }

    fn writing<'b>(&'b self, device: &'b Device) -> Writing<'b> {
        Writing {
            search: &self.data.search,
            tokenizer: &self.data.tokenizer,
            images: Arc::clone(&self.evaluation_images),
            batch_size: self.config.training.evaluation_batch_size,
            threads: self.config.training.loader_threads,
            device,
        }
    }
}

/// The model, its backbone frozen if the configuration says so.
fn frozen<G: TrainableGenerator>(model: Ithn<G>, config: &ExperimentConfig) -> Ithn<G> {
    match config.training.freeze_backbone {
        true => model.freeze_group(ParamGroup::from_predicate("generator.backbone.")),
        false => model,
    }
}

fn monitored(scores: &SplitScores, metric: MonitoredMetric) -> f64 {
    match metric {
        MonitoredMetric::Bleu4 => scores.bleu_4,
        MonitoredMetric::RougeL => scores.rouge_l,
        MonitoredMetric::Cider => scores.cider,
        MonitoredMetric::FindingsF1 => scores.findings.findings_f1_micro,
        // Scores that were just computed have it.
        MonitoredMetric::AbnormalF1 => scores.findings.headline().unwrap_or(f64::NAN),
    }
}
