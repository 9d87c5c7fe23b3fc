//! Batches that are contrasted with those of other ranks.

use std::ops::Range;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use ithn_data::{BatchMember, LoadedBatch};
use ithn_generator::TrainableGenerator;
use ithn_plugin::{Embeddings, Peers};

use super::Trainer;
use super::epoch::Micro;
use super::step::{batch_values, read_flat};
use crate::error::TrainError;

impl<G: TrainableGenerator> Trainer<'_, G> {
    /// Whether a batch is contrasted with the batches of other ranks.
    pub(super) fn contrasts_over_ranks(&self) -> bool {
        self.config.ithn.contrast_over_ranks && !self.ranks.is_alone() && self.uses_negatives()
    }

    /// Numbers and gradients of this rank's batch of a group, if it has one. Batch `i` of the group is that of rank
    /// `i`, and every rank calls this: embeddings of all are gathered between the forward pass and the loss.
    pub(super) fn learn_among(
        &self,
        batch: Option<LoadedBatch>,
        group: Range<usize>,
        step: Micro,
        members: &[Vec<BatchMember>],
    ) -> Result<Option<(Tensor<1>, GradientsParams)>, TrainError> {
        let device = self.device.clone().autodiff();
        let (model, rank) = (self.model(), self.ranks.rank());
        let pass = batch.map(|batch| {
            self.seed(group.start + rank, step);
            let batch = batch.padded_to_multiple(self.length_multiple());
            self.recorded(|| model.forward(self.data.training_batch(batch, &device)))
        });
        let (pass, chains) = pass.unzip();
        let own = pass.as_ref().and_then(|pass| pass.embeddings());
        let messages = self.ranks.gather(own.map_or(Ok(Vec::new()), message))?;
        let (Some(pass), Some(own), Some(chains)) = (&pass, own, chains) else {
            return Ok(None);
        };
        let members = &members[group];
        let [_, width] = own.images.dims();
        let with_negative_images = own.negative_images.is_some();
        let read = |ranks: Range<usize>| -> Result<Vec<Embeddings>, TrainError> {
            let of = |rank: usize| {
                let dims = [members[rank].len(), width];
                embeddings(&messages[rank], dims, with_negative_images, &device)
            };
            ranks.map(of).collect()
        };
        let reports = self.data.reports(&members.concat(), &device);
        let [reports, negatives] = reports.ok_or(TrainError::RanksParted)?;
        let peers = Peers {
            before: read(0..rank)?,
            after: read(rank + 1..members.len())?,
            reports,
            negatives,
        };
        let among = self.rounded(|| model.losses_among(pass, peers, step.lambda));
        let gradients = self.share_of_mean(among.objective, step, chains);
        Ok(Some((batch_values(&among.terms), gradients)))
    }
}

/// Embeddings as numbers, little-endian: images, reports, negatives' reports and, if they are there, negatives'
/// images.
fn message(embeddings: &Embeddings) -> Result<Vec<u8>, TrainError> {
    let [rows, width] = embeddings.images.dims();
    let parts = [
        &embeddings.images,
        &embeddings.reports,
        &embeddings.negative_reports,
    ];
    let parts = parts.into_iter().chain(&embeddings.negative_images);
    let flat = parts.map(|part| part.clone().inner().reshape([rows * width]));
    let values = read_flat(Tensor::cat(flat.collect(), 0))?;
    Ok(values.into_iter().flat_map(f32::to_le_bytes).collect())
}

/// The embeddings of a [`message`], as constants on `device`.
fn embeddings(
    message: &[u8],
    dims: [usize; 2],
    with_negative_images: bool,
    device: &Device,
) -> Result<Embeddings, TrainError> {
    let parts = 3 + usize::from(with_negative_images);
    let values = dims[0] * dims[1];
    if message.len() != parts * values * size_of::<f32>() {
        return Err(TrainError::message(
            "embeddings of another size than the batch has",
        ));
    }
    let (bytes, _) = message.as_chunks::<4>();
    let mut parts = bytes.chunks_exact(values).map(|part| {
        let values: Vec<f32> = part.iter().map(|it| f32::from_le_bytes(*it)).collect();
        Tensor::from_data(TensorData::new(values, dims), device)
    });
    let mut next = || parts.next().ok_or(TrainError::RanksParted);
    Ok(Embeddings {
        images: next()?,
        reports: next()?,
        negative_reports: next()?,
        more_negative_reports: Vec::new(),
        negative_images: match with_negative_images {
            true => Some(next()?),
            false => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_come_back_to_the_last_bit_and_others_are_refused() {
        let device = Device::default();
        let tensor = |first: f32| {
            Tensor::<2>::from_data([[first, -0.0], [1e-30, f32::MAX], [3.0, first]], &device)
        };
        for negative_images in [None, Some(tensor(4.0))] {
            let there = negative_images.is_some();
            let sent = Embeddings {
                images: tensor(1.0),
                // The layout in memory is not that of the values.
                reports: tensor(2.0).transpose().mul_scalar(1.0).transpose(),
                negative_images,
                negative_reports: tensor(3.0),
                more_negative_reports: Vec::new(),
            };
            let bytes = message(&sent).expect("a device that works");
            let read = embeddings(&bytes, [3, 2], there, &device).expect("as sent");
            let pairs = [
                (&sent.images, &read.images),
                (&sent.reports, &read.reports),
                (&sent.negative_reports, &read.negative_reports),
            ];
            let images = sent.negative_images.iter().zip(&read.negative_images);
            assert_eq!(images.clone().count(), usize::from(there));
            for (sent, read) in pairs.into_iter().chain(images) {
                read.to_data().assert_eq(&sent.to_data(), true);
            }
            for (dims, there) in [([2, 2], there), ([3, 2], !there)] {
                let error = embeddings(&bytes, dims, there, &device).expect_err("others");
                assert!(matches!(error, TrainError::Message(_)), "{error}");
            }
        }
    }
}
