//! What a run starts from beside its backbone's weights: an earlier run, and the classifier of its findings.

mod prompts;
mod transfer;

pub(crate) use prompts::read_prompts;
pub(crate) use transfer::EarlierWeights;
