//! Weights that a run starts from: a pretrained backbone, or an earlier run.

mod pretrained;
mod transfer;

pub(crate) use pretrained::{check_pretrained, pretrained};
pub(crate) use transfer::EarlierWeights;
