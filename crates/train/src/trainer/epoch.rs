//! The steps of an epoch.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use ithn_backbone::{RecordedChains, RunningUpdate, apply_running_updates, record_chains};
use ithn_data::{BatchLoader, BatchMember, DataError, LoadedBatch, shuffled_order};
use ithn_negatives::TrainingPoint;

use ithn_generator::TrainableGenerator;

use super::{BETWEEN_STEPS, Trainer};
use crate::dataset::{distinct_batches, distinct_groups};
use crate::error::TrainError;
use crate::optimizer::{clip_gradients, gradient_norm, learning_rate_policy};
use crate::records::{StepLog, StepRecord};
use crate::trainer::step::{StepValues, batch_values, catch_out_of_memory};
use crate::watch::{EpochPlan, Observer};
use ithn_checkpoint::Exact;
use ithn_checkpoint::config::{Activations, Precision};
use ithn_kernels::{in_bfloat16, length_multiple};

impl<G: TrainableGenerator> Trainer<'_, G> {
    /// Learns from the batches of an epoch that are still to come.
    pub(crate) fn train_epoch(
        &mut self,
        epoch: usize,
        log: &mut StepLog,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        self.mine_again(epoch)?;
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
        let own = self.ranks.share_of(&batches[done..]).cloned().collect();
        let mut loader = BatchLoader::start(
            Arc::clone(&self.data.training),
            Arc::clone(&self.training_images),
            own,
            epoch,
            training.loader_threads,
        );
        let (epoch_began, spent) = (Instant::now(), self.ranks.time_spent());
        while self.progress.batch < total {
            let began = Instant::now();
            let size = self.batches_per_step().min(total - self.progress.batch);
            let point = TrainingPoint {
                epoch,
                step: self.progress.step,
                total_steps: training.epochs * total.div_ceil(self.batches_per_step()),
            };
            let group = &batches[self.progress.batch..][..size];
            self.take_step(&mut loader, group, point, log, observer)?;
            let partial = &mut self.progress.partial;
            partial.seconds = Exact(partial.seconds.0 + began.elapsed().as_secs_f64());
            self.save_if_due(epoch, log)?;
        }
        if !self.ranks.is_alone() {
            observer.note(&format!(
                "{} ranks: rank 0 spent {:.1} s of {:.1} s exchanging gradients and waiting for others",
                self.ranks.size(),
                (self.ranks.time_spent() - spent).as_secs_f64(),
                epoch_began.elapsed().as_secs_f64(),
            ));
        }
        Ok(())
    }

    /// The batches of an epoch, in its order.
    fn batches(&self, epoch: usize) -> Vec<Vec<BatchMember>> {
        let training = &self.config.training;
        let order = shuffled_order(self.data.turns.len(), training.seed, epoch)
            .into_iter()
            .map(|turn| self.data.turns[turn])
            .collect();
        let batches = match self.contrasts_over_ranks() {
            true => distinct_groups(order, training.batch_size, self.ranks.size()),
            false => distinct_batches(order, training.batch_size),
        };
        batches
            .into_iter()
            .map(|batch| {
                batch
                    .into_iter()
                    .map(|member| self.member(member))
                    .collect()
            })
            .collect()
    }

    /// One optimiser step, from the mean gradient of the batches of `members`, which come from the loaders
    /// of all ranks.
    fn take_step(
        &mut self,
        loader: &mut BatchLoader,
        members: &[Vec<BatchMember>],
        point: TrainingPoint,
        log: &mut StepLog,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        // Running statistics move in the forward pass: this is the model to go back to.
        let before = self.model().valid();
        let lambda = self.config.lambda(point);
        let step = Micro {
            batches: members.len(),
            epoch: point.epoch,
            lambda,
        };
        let learnt = if self.ranks.is_alone() {
            self.learn(loader, step)?
        } else {
            self.learn_together(loader, step, members)?
        };
        if let Some(found) = learnt.values.non_finite() {
            self.model = Some(before.train());
            return self.leave_out(found, &learnt.values, members, point, log, observer);
        }

        // A second owner of the weights would force the step to copy them instead of updating in
        // place.
        drop(before);
        let model = self.model.take().expect(BETWEEN_STEPS);
        let model = match learnt.running.is_empty() {
            true => model,
            false => apply_running_updates(model, &learnt.running),
        };
        let optimizer = &self.config.training.optimizer;
        let policy = learning_rate_policy(optimizer, point);
        self.model = Some(self.optimizer.step(policy, model, learnt.gradients));
        self.progress.step += 1;
        let partial = &mut self.progress.partial;
        for (values, members) in learnt.values.batches.iter().zip(members) {
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
        self.ranks.agree(log.record(&record))?;
        observer.step_ends(&record);
        Ok(())
    }

    /// Mean gradient of the next batches, clipped, and their numbers.
    fn learn(&self, loader: &mut BatchLoader, step: Micro) -> Result<Learnt, TrainError> {
        let group: Vec<LoadedBatch> = loader
            .take(step.batches)
            .collect::<Result<_, DataError>>()?;
        catch_out_of_memory(|| {
            let model = self.model();
            let mut values = Vec::with_capacity(step.batches);
            let mut sum = GradientsAccumulator::new();
            for (index, batch) in group.into_iter().enumerate() {
                let (numbers, gradients) = self.learn_batch(batch, index, step);
                values.push(numbers);
                sum.accumulate(model, gradients);
            }
            let gradients = sum.grads();
            let norm: Tensor<1> = gradient_norm(model, &gradients, &self.device);
            let gradients = self.clip(gradients, norm.clone());
            Ok(Learnt {
                values: StepValues::read(values, norm)?,
                gradients,
                running: Vec::new(),
            })
        })
    }

    /// Gradients and numbers of batch `index` of a step, as a share of the step's mean.
    pub(super) fn learn_batch(
        &self,
        batch: LoadedBatch,
        index: usize,
        step: Micro,
    ) -> (Tensor<1>, GradientsParams) {
        let device = self.device.clone().autodiff();
        let model = self.model();
        self.seed(index, step);
        let batch = batch.padded_to_multiple(self.length_multiple());
        let (terms, chains) =
            self.recorded(|| model.losses(self.data.training_batch(batch, &device), step.lambda));
        let gradients = self.share_of_mean(terms.total.clone(), step, chains);
        (batch_values(&terms), gradients)
    }

    /// Sets the seed of batch `index` of a step: its dropout depends on seed, epoch and batch alone.
    pub(super) fn seed(&self, index: usize, step: Micro) {
        let seed = self.config.training.seed;
        self.device
            .seed(batch_seed(seed, step.epoch, self.progress.batch + index));
    }

    /// What the length of a batch's reports is rounded up to a multiple of.
    pub(super) fn length_multiple(&self) -> usize {
        let configured = self.config.training.length_multiple;
        configured.unwrap_or_else(|| length_multiple(&self.device))
    }

    /// Runs `work` in the configured precision.
    pub(super) fn rounded<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.config.training.precision {
            Precision::Bfloat16 => in_bfloat16(work),
            Precision::Single => work(),
        }
    }

    /// Runs a forward pass in the configured precision, and keeps of its activations what is configured.
    pub(super) fn recorded<T>(&self, forward: impl FnOnce() -> T) -> (T, RecordedChains) {
        let training = &self.config.training;
        match training.activations {
            // A frozen backbone has no backward pass.
            Activations::Recompute if !training.freeze_backbone => {
                record_chains(|| self.rounded(forward))
            }
            _ => (self.rounded(forward), RecordedChains::default()),
        }
    }

    /// Gradients of a batch's loss, as a share of the mean over the step's batches; `chains` are those of its
    /// forward pass.
    pub(super) fn share_of_mean(
        &self,
        loss: Tensor<1>,
        step: Micro,
        chains: RecordedChains,
    ) -> GradientsParams {
        let share = match step.batches {
            1 => loss,
            batches => loss.div_scalar(batches as f64),
        };
        let (model, gradients) = (self.model(), share.backward());
        if chains.is_empty() {
            return GradientsParams::from_grads(gradients, model);
        }
        let mut sum = GradientsAccumulator::new();
        let mut add =
            |gradients| sum.accumulate(model, GradientsParams::from_grads(gradients, model));
        self.rounded(|| chains.backward(&gradients, &mut add));
        add(gradients);
        sum.grads()
    }

    /// Clips gradients as configured; `norm` is theirs, `[1]`.
    pub(super) fn clip(&self, gradients: GradientsParams, norm: Tensor<1>) -> GradientsParams {
        match self.config.training.guards.largest_gradient_norm {
            Some(largest) => clip_gradients(self.model(), gradients, norm, largest.get()),
            None => gradients,
        }
    }
}

/// A step whose batches are being learnt from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Micro {
    /// Batches of the step, at all ranks.
    pub(super) batches: usize,
    pub(super) epoch: usize,
    pub(super) lambda: f64,
}

/// Loss values and the mean gradient of a group of batches.
pub(super) struct Learnt {
    pub(super) values: StepValues,
    pub(super) gradients: GradientsParams,
    /// Updates of running statistics that are still to be applied.
    pub(super) running: Vec<RunningUpdate>,
}

/// Seed of all random numbers of a batch's training step (SplitMix64 of seed, epoch and batch).
pub(crate) fn batch_seed(seed: u64, epoch: usize, batch: usize) -> u64 {
    let mix = |value: u64| {
        let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    };
    mix(mix(mix(seed) ^ epoch as u64) ^ batch as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_batch_of_every_epoch_draws_its_own() {
        let seeds: HashSet<u64> = [7, 8]
            .into_iter()
            .flat_map(|seed| (1..50).map(move |epoch| (seed, epoch)))
            .flat_map(|(seed, epoch)| (0..100).map(move |batch| batch_seed(seed, epoch, batch)))
            .collect();
        assert_eq!(seeds.len(), 2 * 49 * 100);
    }
}
