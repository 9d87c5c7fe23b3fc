use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use burn::module::{Module, ModuleDisplay};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use ithn_data::{BatchLoader, BatchMember, ImageLoader, shuffled_order};
use ithn_generator::{ReportGenerator, StepDecoder};
use ithn_negatives::TrainingPoint;
use serde::{Deserialize, Serialize};

use super::batch::training_batch;
use super::dataset::PreparedData;
use super::error::TrainError;
use super::evaluation::{SplitScores, Writing, score_split, write_reports};
use super::images::RunImages;
use super::observer::{Observer, StepLosses};
use super::run_folder::RunFolder;
use crate::checkpoint::{Checkpoint, CheckpointHeader, TrainingProgress};
use crate::config::{ExperimentConfig, MonitoredMetric};
use crate::plugin::{Ithn, LossTerms};

/// A generator in training: whatever implements the two traits.
pub trait TrainableGenerator: Module + ModuleDisplay + ReportGenerator + StepDecoder {}

impl<G: Module + ModuleDisplay + ReportGenerator + StepDecoder> TrainableGenerator for G {}

/// What an epoch came to; a line of `epochs.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Optimiser steps so far.
    pub step: usize,
    /// λ at the last step; `1 − λ` is the hardness.
    pub lambda: f64,
    /// Learning rates of the backbone and of the rest.
    pub learning_rates: [f64; 2],
    /// Mean losses.
    pub losses: MeanLosses,
    /// Temperatures and mean similarities, if negatives are used.
    pub alignment: Option<MeanAlignment>,
    /// Scores on the validation split.
    pub validation: SplitScores,
    /// Whether it is the best epoch so far.
    pub is_best: bool,
    /// Training speed, in studies per second.
    pub studies_per_second: f64,
    /// Time of the epoch, validation included, in seconds.
    pub seconds: f64,
}

/// Losses, mean over an epoch's batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanLosses {
    /// The weighted sum.
    pub total: f32,
    /// Language loss.
    pub language: f32,
    /// Contrastive loss.
    pub contrastive: f32,
    /// Image separation loss.
    pub separation: f32,
}

/// Hardness actually reached: temperatures after, similarities averaged over, an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanAlignment {
    /// τ1, log inverse temperature of pairs.
    pub tau_1: f32,
    /// τ3, log inverse temperature of hardened negatives.
    pub tau_3: f32,
    /// Image with its own report.
    pub positive_similarity: f32,
    /// Image with its first negative.
    pub negative_similarity: f32,
    /// Image with its hardened negative.
    pub hardened_similarity: f32,
}

/// Sums over an epoch's batches: losses and similarities, in the order of [`step_values`].
#[derive(Default)]
struct EpochSums {
    values: [f64; 7],
    batches: usize,
    studies: usize,
    lambda: f64,
}

/// A run: everything that moves from epoch to epoch.
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
            progress: TrainingProgress::default(),
            training_images: images.training,
            evaluation_images: images.evaluation,
        }
    }

    /// Continues from a checkpoint of the same run.
    ///
    /// # Errors
    ///
    /// If its weights or its optimiser state do not fit.
    pub fn resume(mut self, checkpoint: &Checkpoint) -> Result<Self, TrainError> {
        self.model = checkpoint.restore_model(self.model)?;
        self.optimizer = checkpoint.restore_optimizer(self.optimizer)?;
        self.progress = checkpoint.header.progress.clone();
        Ok(self)
    }

    /// Trains to the last epoch or until patience runs out, and returns the model as it then is.
    /// The best weights lie in the run's folder.
    ///
    /// # Errors
    ///
    /// If an image cannot be read, a loss is no number, or a file cannot be written.
    pub fn train(mut self, observer: &mut dyn Observer) -> Result<Ithn<G>, TrainError> {
        let training = &self.config.training;
        for epoch in self.progress.epoch + 1..=training.epochs {
            if self.out_of_patience() {
                observer.note(&format!(
                    "stopped before epoch {epoch}: no better validation score in {} epochs",
                    training.patience + 1
                ));
                break;
            }
            let began = Instant::now();
            let sums = self.train_epoch(epoch, observer)?;
            let trained = began.elapsed().as_secs_f64();
            let validation = self.validate(observer)?;

            let score = monitored(&validation, training.monitor);
            let is_best = self.progress.best.is_none_or(|(best, _)| score > best);
            self.progress.epoch = epoch;
            if is_best {
                self.progress.best = Some((score, epoch));
            }
            let record = EpochRecord {
                epoch,
                step: self.progress.step,
                lambda: sums.lambda,
                learning_rates: training.optimizer.learning_rates(epoch),
                losses: sums.losses(),
                alignment: self.uses_negatives().then(|| self.alignment(&sums)),
                validation,
                is_best,
                studies_per_second: sums.studies as f64 / trained,
                seconds: began.elapsed().as_secs_f64(),
            };
            self.folder.append_epoch(epoch, &record)?;
            self.save(is_best)?;
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
            .is_some_and(|(_, best)| self.progress.epoch - best > self.config.training.patience)
    }

    fn train_epoch(
        &mut self,
        epoch: usize,
        observer: &mut dyn Observer,
    ) -> Result<EpochSums, TrainError> {
        let training = &self.config.training;
        let order = shuffled_order(self.data.members.len(), training.seed, epoch);
        let batches: Vec<Vec<BatchMember>> = order
            .chunks(training.batch_size)
            .map(|batch| {
                batch
                    .iter()
                    .map(|&index| self.data.members[index])
                    .collect()
            })
            .collect();
        let steps = batches.len();
        // Dropout of an epoch depends on seed and epoch alone, so a resumed run draws the same.
        self.device.seed(training.seed.wrapping_add(epoch as u64));
        observer.epoch_begins(epoch, training.epochs, steps, training.batch_size);
        let loader = BatchLoader::start(
            Arc::clone(&self.data.training),
            Arc::clone(&self.training_images),
            batches,
            epoch,
            training.loader_threads,
        );
        let policy = training.optimizer.policy(epoch);
        let train_device = self.device.clone().autodiff();
        let mut sums = EpochSums::default();
        for batch in loader {
            let batch = batch?;
            let members = batch.members.clone();
            let point = TrainingPoint {
                epoch,
                step: self.progress.step,
                total_steps: training.epochs * steps,
            };
            sums.lambda = self.config.lambda(point);
            let terms = self
                .model
                .losses(training_batch(batch, &train_device), sums.lambda);
            let values = step_values(&terms);
            self.check_finite(&values, epoch, &members)?;
            let gradients = GradientsParams::from_grads(terms.total.backward(), &self.model);
            self.model = self
                .optimizer
                .step(policy.clone(), self.model.clone(), gradients);
            self.progress.step += 1;
            sums.add(&values, members.len());
            observer.step_ends(&StepLosses {
                total: values[0],
                language: values[1],
                contrastive: values[2],
                separation: values[3],
            });
        }
        Ok(sums)
    }

    fn check_finite(
        &self,
        values: &[f32; 7],
        epoch: usize,
        members: &[BatchMember],
    ) -> Result<(), TrainError> {
        let terms = ["language", "contrastive", "separation", "total"];
        let ordered = [values[1], values[2], values[3], values[0]];
        let Some(broken) = ordered.iter().position(|value| !value.is_finite()) else {
            return Ok(());
        };
        let mut studies = String::new();
        for (index, member) in members.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(studies, "{comma}{}", self.data.training[member.study].id);
        }
        let last = self.folder.last_checkpoint();
        Err(TrainError::NonFiniteLoss {
            term: terms[broken],
            value: ordered[broken],
            step: self.progress.step + 1,
            epoch,
            studies,
            checkpoint: if last.is_file() {
                last.display().to_string()
            } else {
                "no checkpoint yet".to_owned()
            },
        })
    }

    fn validate(&self, observer: &mut dyn Observer) -> Result<SplitScores, TrainError> {
        let split = &self.data.validation;
        let generator = self.model.generator.valid();
        let writing = self.writing(&self.device);
        let total = split.studies.len();
        let reports = write_reports(&generator, split, &writing, |done| {
            observer.writing(split.name, done, total);
        })?;
        Ok(score_split(split, &reports, self.data.findings)?.0)
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

    fn alignment(&self, sums: &EpochSums) -> MeanAlignment {
        let means = sums.means();
        MeanAlignment {
            tau_1: self.model.temperatures.pairs.val().into_scalar(),
            tau_3: self.model.temperatures.hardened.val().into_scalar(),
            positive_similarity: means[4],
            negative_similarity: means[5],
            hardened_similarity: means[6],
        }
    }

    fn save(&self, is_best: bool) -> Result<(), TrainError> {
        let header = CheckpointHeader {
            library_version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config.clone(),
            tokenizer: self.data.tokenizer.clone(),
            progress: self.progress.clone(),
        };
        let last = self.folder.last_checkpoint();
        let checkpoint = Checkpoint::collect(header, &self.model, &self.optimizer, &last)?;
        // The best first: a run interrupted between the two resumes before it and repeats it.
        if is_best {
            checkpoint.save_as(&self.folder.best_checkpoint())?;
        }
        checkpoint.save_as(&last)?;
        Ok(())
    }
}

impl EpochSums {
    fn add(&mut self, values: &[f32; 7], studies: usize) {
        for (sum, value) in self.values.iter_mut().zip(values) {
            *sum += f64::from(*value);
        }
        self.batches += 1;
        self.studies += studies;
    }

    fn means(&self) -> [f32; 7] {
        self.values
            .map(|sum| (sum / self.batches.max(1) as f64) as f32)
    }

    fn losses(&self) -> MeanLosses {
        let [total, language, contrastive, separation, ..] = self.means();
        MeanLosses {
            total,
            language,
            contrastive,
            separation,
        }
    }
}

/// Total, language, contrastive, separation, then the three similarities: one transfer from the
/// device. What is absent is 0.
fn step_values(terms: &LossTerms) -> [f32; 7] {
    let mut parts: Vec<Tensor<1>> = vec![terms.total.clone(), terms.language.clone()];
    if let Some(alignment) = &terms.alignment {
        parts.extend([
            alignment.contrastive.clone(),
            alignment.separation.clone(),
            alignment.positive_similarity.clone(),
            alignment.negative_similarity.clone(),
            alignment.hardened_similarity.clone(),
        ]);
    }
    let parts = parts.into_iter().map(Tensor::detach).collect();
    let mut values = [0.0; 7];
    let data = Tensor::cat(parts, 0).into_data();
    for (value, part) in values.iter_mut().zip(data.iter::<f32>()) {
        *value = part;
    }
    values
}

fn monitored(scores: &SplitScores, metric: MonitoredMetric) -> f64 {
    match metric {
        MonitoredMetric::Bleu4 => scores.bleu_4,
        MonitoredMetric::RougeL => scores.rouge_l,
        MonitoredMetric::Cider => scores.cider,
        MonitoredMetric::FindingsF1 => scores.findings.findings_f1_micro,
    }
}
