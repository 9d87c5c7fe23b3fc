//! Weights that a run starts from: a pretrained backbone, or an earlier run.

mod pretrained;
mod prompts;
mod transfer;

pub(crate) use pretrained::{check_pretrained, pretrained};
pub(crate) use prompts::read_prompts;
pub(crate) use transfer::EarlierWeights;
