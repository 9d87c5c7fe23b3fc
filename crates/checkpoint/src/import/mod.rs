//! Weights from elsewhere: checkpoints of the official PyTorch code and torchvision's ResNets.
//!
//! [`NamedTensors`] reads files of `torch.save` (zip and legacy) and safetensors without ever
//! executing what a pickle asks for; [`released_name`] is the table of names; [`infer_released`] reads the
//! sizes of a model off its tensors; [`load_released`] and [`load_torchvision`] put the tensors
//! into modules and refuse files that do not fit; [`checkpoint_of_released`] and
//! [`export_released`] convert whole files, there and back.

mod apply;
mod convert;
mod infer;
mod kind;
mod names;
mod pytorch;
mod tensors;
mod wrappers;

pub use apply::{collect_released, load_released, load_torchvision};
pub use convert::{checkpoint_of_backbone, checkpoint_of_released, export_released};
pub use infer::{
    ReleasedSizes, UntraceableSizes, infer_released, infer_torchvision, is_torchvision,
};
pub use names::{SKIPPED_RELEASED, SKIPPED_TORCHVISION, released_name, torchvision_name};
pub use tensors::{ImportError, NamedTensors};
