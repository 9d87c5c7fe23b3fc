//! Weights from elsewhere: checkpoints of the official PyTorch code, torchvision's ResNets and DenseNets,
//! torchxrayvision's DenseNets.
//!
//! [`NamedTensors`] reads files of `torch.save` (zip and legacy) and safetensors without ever
//! executing what a pickle asks for; [`official_name`] is the table of names; [`infer_official`] reads the
//! sizes of a model off its tensors; [`load_official_state`] and [`load_backbone`] put the tensors
//! into modules and refuse files that do not fit; [`checkpoint_of_official`] and
//! [`export_official`] convert whole files, there and back.

mod apply;
mod convert;
mod densenet;
mod export;
mod infer;
mod kind;
mod names;
mod pytorch;
mod tensors;
mod wrappers;

pub use apply::{
    collect_backbone_state, collect_official_state, load_backbone, load_official_state,
    load_torchvision,
};
pub use convert::{checkpoint_of_backbone, checkpoint_of_official, export_official};
pub use densenet::{SKIPPED_DENSENET, densenet_name};
pub use export::{safetensors_texts, write_safetensors};
pub use infer::{
    OfficialSizes, UntraceableSizes, infer_official, infer_torchvision, is_torchvision,
};
pub use names::{SKIPPED_OFFICIAL, SKIPPED_TORCHVISION, official_name, torchvision_name};
pub use tensors::{ImportError, NamedTensors};
