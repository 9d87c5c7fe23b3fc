//! Epochs of pretraining.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use ithn_data::{BatchLoader, BatchMember, LoadedBatch, shuffled_order};
use ithn_inference::study_batch;
use ithn_negatives::TrainingPoint;

use super::averaging::WeightAverage;
use super::classifier::{FindingsClassifier, Targets, classification_loss};
use super::labels::LabelledSplit;
use super::observer::PretrainEpoch;
use super::resume::{Progress, load_module, load_optimizer, save_state};
use super::run::PretrainOptions;
use crate::dataset::RunImages;
use crate::error::TrainError;
use crate::optimizer::{clip_gradients, gradient_norm, init_optimizer, two_rates};
use crate::records::RunFolder;
use crate::trainer::{batch_seed, catch_out_of_memory};
use ithn_checkpoint::config::PretrainConfig;

/// Invariant: `model` is `None` only while a step runs.
const BETWEEN_STEPS: &str = "a step puts the model back";

/// A classifier in training.
pub(super) struct PretrainTrainer<'a> {
    config: &'a PretrainConfig,
    options: &'a PretrainOptions,
    split: &'a LabelledSplit,
    images: &'a RunImages,
    model: Option<FindingsClassifier>,
    average: Option<WeightAverage<FindingsClassifier>>,
    optimizer: ModuleOptimizer,
    /// Weights of positives by class, `[classes]`.
    weights: Tensor<1>,
    step: usize,
}

impl<'a> PretrainTrainer<'a> {
    pub(super) fn new(
        config: &'a PretrainConfig,
        options: &'a PretrainOptions,
        split: &'a LabelledSplit,
        images: &'a RunImages,
        model: FindingsClassifier,
    ) -> Self {
        let weights: Vec<f32> = (0..config.classes.len())
            .map(|class| {
                let [positives, negatives] = split.counts(class);
                config.class_weights.weight(positives, negatives) as f32
            })
            .collect();
        let device = options.device.clone().autodiff();
        PretrainTrainer {
            average: config
                .weight_averaging
                .map(|decay| WeightAverage::of(&model, decay.get())),
            optimizer: init_optimizer(&config.optimizer),
            weights: Tensor::from_floats(weights.as_slice(), &device),
            model: Some(model),
            config,
            options,
            split,
            images,
            step: 0,
        }
    }

    /// Goes on from the state after an epoch.
    ///
    /// # Errors
    ///
    /// If a file of it cannot be read or does not fit.
    pub(super) fn resume(mut self, progress: &Progress) -> Result<Self, TrainError> {
        let (folder, epoch) = (&self.options.out, progress.epoch);
        let model = self.model.take().expect(BETWEEN_STEPS);
        let model = load_module(folder, epoch, "model", model)?;
        if let Some(decay) = self.config.weight_averaging {
            let average = load_module(folder, epoch, "average", model.valid())?;
            let average = WeightAverage::resumed(average, progress.step, decay.get());
            self.average = Some(average);
        }
        self.model = Some(model);
        self.optimizer = load_optimizer(folder, epoch, self.optimizer)?;
        self.step = progress.step;
        Ok(self)
    }

    /// Saves the state after an epoch.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub(super) fn save(&self, folder: &RunFolder, progress: &Progress) -> Result<(), TrainError> {
        let model = self.model.as_ref().expect(BETWEEN_STEPS);
        let average = self.average.as_ref().map(WeightAverage::model);
        save_state(folder, progress, model, average.as_ref(), &self.optimizer)
    }

    /// Optimiser steps taken.
    pub(super) fn step(&self) -> usize {
        self.step
    }

    /// The weights to be scored, without autodiff.
    pub(super) fn scored(&self) -> FindingsClassifier {
        match &self.average {
            Some(average) => average.model(),
            None => self.model.as_ref().expect(BETWEEN_STEPS).valid(),
        }
    }

    /// Learns from every study once. The record is that of the epoch without its validation.
    pub(super) fn train_epoch(&mut self, epoch: usize) -> Result<PretrainEpoch, TrainError> {
        let began = Instant::now();
        let config = self.config;
        let order = shuffled_order(self.split.studies.len(), config.seed, epoch);
        let batches: Vec<Vec<BatchMember>> = order
            .chunks(config.batch_size)
            .map(|batch| {
                let member = |&study| BatchMember {
                    study,
                    negative: None,
                };
                batch.iter().map(member).collect()
            })
            .collect();
        let count = batches.len();
        let loader = BatchLoader::start(
            Arc::clone(&self.split.studies),
            Arc::clone(&self.images.training),
            batches,
            epoch,
            config.loader_threads,
        );
        let mut losses = 0.0;
        let mut learning_rate = 0.0;
        for (index, batch) in loader.enumerate() {
            let point = TrainingPoint {
                epoch,
                step: self.step,
                total_steps: config.epochs * count,
            };
            let batch = batch?;
            losses += f64::from(catch_out_of_memory(|| self.take_step(batch, index, point))?);
            learning_rate = config.optimizer.learning_rates(point)[1];
            self.step += 1;
            if self.options.interrupt.is_raised() {
                return Err(TrainError::PretrainingStopped {
                    epoch,
                    folder: self.options.out.clone(),
                });
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        Ok(PretrainEpoch {
            epoch,
            training_loss: losses / count.max(1) as f64,
            validation_auroc: 0.0,
            learning_rate,
            is_best: false,
            studies_per_second: order.len() as f64 / seconds.max(1e-9),
            seconds,
        })
    }

    /// One optimiser step; returns the loss before it.
    fn take_step(
        &mut self,
        batch: LoadedBatch,
        index: usize,
        point: TrainingPoint,
    ) -> Result<f32, TrainError> {
        let config = self.config;
        let inner: &Device = &self.options.device;
        let device = inner.clone().autodiff();
        // The dropout of a batch depends on seed, epoch and batch alone.
        inner.seed(batch_seed(config.seed, point.epoch, index));
        let model = self.model.take().expect(BETWEEN_STEPS);
        let rows: Vec<&[Option<bool>]> = batch
            .members
            .iter()
            .map(|member| self.split.truth[member.study].as_slice())
            .collect();
        let targets = Targets::of(&rows, &device);
        let logits = model.forward(study_batch(batch.images, &device));
        let smoothing = config.label_smoothing.get();
        let loss = classification_loss(logits, &targets, &self.weights, smoothing);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let gradients = match config.largest_gradient_norm {
            Some(largest) => {
                let norm = gradient_norm(&model, &gradients, inner);
                clip_gradients(&model, gradients, norm, largest.get())
            }
            None => gradients,
        };
        let loss: f32 = loss.detach().inner().into_scalar();
        if !loss.is_finite() {
            return Err(TrainError::Diverged {
                value: loss,
                epoch: point.epoch,
                folder: self.options.out.clone(),
            });
        }
        let policy = two_rates(&config.optimizer, point, "backbone.");
        let model = self.optimizer.step(policy, model, gradients);
        self.average = self.average.take().map(|average| average.update(&model));
        self.model = Some(model);
        Ok(loss)
    }
}
