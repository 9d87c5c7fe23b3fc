use burn::tensor::Device;
use ithn_data::{BatchMember, ImageLoader, LoadedBatch, TokenizedStudy, pad_tokens};
use ithn_generator::ReportGenerator;
use serde::{Deserialize, Serialize};

use crate::dataset::PreparedData;
use crate::error::TrainError;
use ithn_plugin::Ithn;

/// Training studies that are compared with their negatives.
const STUDIES: usize = 200;

/// Similarities of images to reports, study by study; an epoch record has their means only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimilaritySample {
    /// λ at which negatives were hardened.
    pub lambda: f64,
    /// `z·u`: image and its own report.
    pub positive: Vec<f32>,
    /// `z·u⁻`: image and its first negative.
    pub negative: Vec<f32>,
    /// `z·ũ`: image and its hardened negative.
    pub hardened: Vec<f32>,
}

/// Similarities of training studies spread evenly over the split, without dropout; none if training
/// uses no negatives. Each study is its own batch, so the official projection cannot mix samples.
///
/// # Errors
///
/// If an image cannot be read.
pub fn sample_similarities<G: ReportGenerator>(
    model: &Ithn<G>,
    data: &PreparedData,
    images: &ImageLoader,
    device: &Device,
    lambda: f64,
) -> Result<Option<SimilaritySample>, TrainError> {
    let total = data.members.len();
    let count = total.min(STUDIES);
    let mut sample = SimilaritySample {
        lambda,
        positive: Vec::with_capacity(count),
        negative: Vec::with_capacity(count),
        hardened: Vec::with_capacity(count),
    };
    for place in 0..count {
        let member = data.members[place * total / count];
        let Some(batch) = batch_of_one(member, data, images)? else {
            return Ok(None);
        };
        let Some(terms) = model
            .losses(data.training_batch(batch, device), lambda)
            .alignment
        else {
            return Ok(None);
        };
        sample
            .positive
            .push(terms.positive_similarity.into_scalar());
        sample
            .negative
            .push(terms.negative_similarity.into_scalar());
        sample
            .hardened
            .push(terms.hardened_similarity.into_scalar());
    }
    Ok(Some(sample))
}

fn batch_of_one(
    member: BatchMember,
    data: &PreparedData,
    images: &ImageLoader,
) -> Result<Option<LoadedBatch>, TrainError> {
    let Some(negative) = member.negative else {
        return Ok(None);
    };
    let load = |study: &TokenizedStudy| -> Result<_, TrainError> {
        Ok((images.load(&[study], 0)?, pad_tokens(&[study])))
    };
    let (image, tokens) = load(&data.training[member.study])?;
    Ok(Some(LoadedBatch {
        members: vec![member],
        images: image,
        tokens,
        negatives: Some(load(&data.training[negative])?),
    }))
}
