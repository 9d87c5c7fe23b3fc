//! The gradient of a step that several ranks take together.

use std::ops::Range;

use burn::module::Module;
use burn::optim::GradientsAccumulator;
use burn::tensor::{Tensor, TensorData};
use ithn_backbone::{RunningUpdate, record_running_updates};
use ithn_data::{BatchLoader, BatchMember};
use ithn_generator::TrainableGenerator;

use super::Trainer;
use super::epoch::{Learnt, Micro};
use super::layout::{Layout, checksum};
use super::part::{BatchPart, Part, StateUpdate};
use super::step::{StepValues, catch_out_of_memory, padded, read_flat, read_together};
use crate::error::TrainError;
use crate::optimizer::gradient_norm;
use crate::ranks::OrderedSum;

impl<G: TrainableGenerator> Trainer<'_, G> {
    /// Mean gradient of a step's batches, clipped, and their numbers, as one process computes them. Batch
    /// `i` of the step is learnt from by rank `i mod size`.
    ///
    /// Each rank adds up the gradients of its batches, and the sums of all ranks are added in their order.
    /// With one batch a rank these are the bits of one process; with several, they are if every batch's
    /// gradient travels by itself (`exact`).
    pub(super) fn learn_together(
        &self,
        loader: &mut BatchLoader,
        step: Micro,
        members: &[Vec<BatchMember>],
    ) -> Result<Learnt, TrainError> {
        let model = self.model();
        let layout = Layout::of(model);
        let size = self.ranks.size();
        let per_round = if self.exact { size } else { step.batches };
        let mut sum = OrderedSum::new(&self.ranks);
        let mut batches: Vec<BatchPart> = Vec::with_capacity(step.batches);
        let mut present = vec![false; layout.trained()];
        for first in (0..step.batches).step_by(per_round) {
            let round = first..(first + per_round).min(step.batches);
            let part = catch_out_of_memory(|| {
                self.contribute(loader, round.clone(), step, members, &layout)
            });
            let (message, gradient) = match part {
                Ok((part, gradient)) => (part.message(), gradient),
                Err(error) => (Err(error), Vec::new()),
            };
            let messages = self.ranks.gather(message)?;
            let parts: Result<Vec<_>, _> = messages.iter().map(|it| Part::read(it)).collect();
            let mut shares = Vec::with_capacity(size);
            for part in self.ranks.agree(parts)? {
                for (present, other) in present.iter_mut().zip(part.present) {
                    *present |= other;
                }
                shares.push(part.batches.into_iter());
            }
            batches.extend(round.filter_map(|batch| shares[batch % size].next()));
            sum.add(gradient);
        }
        let gradients = layout.gradients(model, &sum.finish(), &present, &self.device);
        // Rank 0's norm for all: processors of two kinds may round a sum differently.
        let norm = read_flat(gradient_norm(model, &gradients, &self.device));
        let norm = norm.map(|norm| norm.first().map_or(0, |norm| norm.to_bits()));
        let norm = f32::from_bits(self.ranks.of_first(norm)?);
        let gradients = self.clip(gradients, Tensor::from_data([norm], &self.device));
        Ok(Learnt {
            values: StepValues {
                batches: batches.iter().map(|batch| batch.values).collect(),
                gradient_norm: norm,
            },
            gradients,
            running: self.running_updates(&layout, batches),
        })
    }

    /// This rank's part of a round: numbers of its batches, and the sum of their gradients. Ranks without a batch
    /// in a group take part where the others contrast theirs.
    fn contribute(
        &self,
        loader: &mut BatchLoader,
        round: Range<usize>,
        step: Micro,
        members: &[Vec<BatchMember>],
        layout: &Layout,
    ) -> Result<(Part, Vec<f32>), TrainError> {
        let mut sum = GradientsAccumulator::new();
        let mut tensors = Vec::new();
        let mut recorded = Vec::new();
        let size = self.ranks.size();
        for first in round.clone().step_by(size) {
            let group = first..(first + size).min(round.end);
            let own = group.clone().nth(self.ranks.rank());
            let batch = match own {
                Some(_) => Some(loader.next().ok_or(TrainError::RanksParted)??),
                None => None,
            };
            let learn = || match (self.contrasts_over_ranks(), own, batch) {
                (true, _, batch) => self.learn_among(batch, group, step, members),
                (false, Some(index), Some(batch)) => Ok(Some(self.learn_batch(batch, index, step))),
                (false, ..) => Ok(None),
            };
            let (learnt, updates) = record_running_updates(learn);
            let Some((values, gradients)) = learnt? else {
                continue;
            };
            sum.accumulate(self.model(), gradients);
            tensors.push(values);
            tensors.extend(updates.iter().map(|update| update.newest.clone().inner()));
            recorded.push(updates);
        }
        let (gradient, present) = layout.flat(self.model(), sum.grads(), &self.device)?;
        let mut numbers = read_together(tensors)?.into_iter();
        let mut next = || numbers.next().unwrap_or_default();
        let batches = recorded
            .into_iter()
            .map(|updates| BatchPart {
                values: padded(&next()),
                updates: updates
                    .into_iter()
                    .map(|update| StateUpdate {
                        place: layout.place(update.state),
                        momentum: update.momentum,
                        newest: next(),
                    })
                    .collect(),
            })
            .collect();
        Ok((Part { batches, present }, gradient))
    }

    /// The updates of all batches, in their order, for this rank's model.
    fn running_updates(&self, layout: &Layout, batches: Vec<BatchPart>) -> Vec<RunningUpdate> {
        let device = self.device.clone().autodiff();
        let updates = batches.into_iter().flat_map(|batch| batch.updates);
        updates
            .filter_map(|update| {
                let length = update.newest.len();
                Some(RunningUpdate {
                    state: layout.id(update.place)?,
                    momentum: update.momentum,
                    newest: Tensor::from_data(TensorData::new(update.newest, [length]), &device),
                })
            })
            .collect()
    }

    /// Refuses to go on if a rank's weights or running statistics are not those of rank 0, which a layer
    /// with state of its own would do.
    pub(super) fn check_weights(&self) -> Result<(), TrainError> {
        if self.ranks.is_alone() {
            return Ok(());
        }
        let sum = checksum(&self.model().valid());
        let own = sum.map(|sum| vec![("weights or running statistics", sum)]);
        self.ranks.check_equal(own)
    }
}
