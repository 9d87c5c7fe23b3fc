//! Loads a backbone's initial weights.

use std::path::Path;

use burn::tensor::Device;
use ithn_backbone::{Backbone, BackboneConfig};

use crate::error::TrainError;
use ithn_checkpoint::config::{ConfigError, GeneratorTask};
use ithn_checkpoint::import::{NamedTensors, load_backbone};
use ithn_checkpoint::{Checkpoint, CheckpointError, CheckpointHeader};
use ithn_models::LibraryGenerator;

/// A backbone of this configuration with the weights of a file: torchvision's ResNet or DenseNet,
/// torchxrayvision's DenseNet (`.pt`, `.pth` or `.safetensors`), a pretrained classifier of this library, or
/// the backbone of any of its checkpoints.
///
/// # Errors
///
/// If the file cannot be read, or holds a backbone of other sizes.
pub(crate) fn pretrained(
    backbone: Backbone,
    config: &BackboneConfig,
    path: &Path,
    device: &Device,
) -> Result<Backbone, TrainError> {
    let checkpoint = match Checkpoint::load(path) {
        Err(CheckpointError::NotACheckpoint(_)) => {
            return Ok(load_backbone(backbone, &NamedTensors::read(path)?)?);
        }
        checkpoint => checkpoint?,
    };
    let header = &checkpoint.header;
    check_backbone(header, config, path)?;
    let taking = TakingBackbone {
        checkpoint: &checkpoint,
        device,
    };
    let vocabulary = header.tokenizer.vocabulary();
    header.config.model.build(vocabulary, device, taking)?
}

/// Checks that a file of backbone weights can be opened, and the header of a checkpoint; reads no weights.
///
/// # Errors
///
/// If it cannot be read, or is a checkpoint with a backbone of other sizes.
pub(crate) fn check_pretrained(config: &BackboneConfig, path: &Path) -> Result<(), TrainError> {
    match CheckpointHeader::load(path) {
        Err(CheckpointError::NotACheckpoint(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(header) => Ok(check_backbone(&header, config, path)?),
    }
}

fn check_backbone(
    header: &CheckpointHeader,
    config: &BackboneConfig,
    path: &Path,
) -> Result<(), ConfigError> {
    let found = header.config.model.generator.backbone();
    if found.is_none_or(|found| found == config) {
        return Ok(());
    }
    Err(ConfigError::new(
        "model.generator.backbone",
        format!(
            "{} holds another backbone ({found:?}) than the run's ({config:?}): choose the preset \
             that it was trained with",
            path.display()
        ),
    ))
}

/// A checkpoint whose generator is still to be built.
struct TakingBackbone<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
}

impl GeneratorTask for TakingBackbone<'_> {
    type Output = Result<Backbone, TrainError>;

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        let model = self
            .checkpoint
            .header
            .config
            .ithn
            .init(generator, self.device);
        let mut model = self.checkpoint.restore_model(model)?;
        Ok(model.generator.backbone_mut().clone())
    }
}
