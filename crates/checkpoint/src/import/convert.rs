use std::path::Path;

use burn::module::Module;
use burn::optim::AdamConfig;
use burn::tensor::Device;
use ithn_backbone::BackboneConfig;
use ithn_data::{Tokenizer, write_atomically};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::apply::{collect_official_state, load_backbone, load_official_state};
use super::infer::{UntraceableSizes, infer_official, infer_torchvision};
use super::tensors::{ImportError, NamedTensors};
use crate::card::Card;
use crate::config::{ConfigError, ExperimentConfig, ModelConfig};
use crate::file::{Checkpoint, CheckpointError, CheckpointHeader, TrainingProgress};
use ithn_models::R2GenCmn;
use ithn_plugin::Ithn;

/// Turns an official state into a checkpoint of this library.
///
/// `base` gives what the tensors do not determine (text, decoding, schedule). The model's sizes are
/// inferred from the tensors. The optimiser starts without state.
///
/// # Errors
///
/// [`ImportError`] if the tensors are not an official state or do not fit it, or the tokenizer has
/// another number of words than the logits.
pub fn checkpoint_of_official(
    tensors: &NamedTensors,
    untraceable: UntraceableSizes,
    base: ExperimentConfig,
    tokenizer: Tokenizer,
) -> Result<Checkpoint, ImportError> {
    let sizes = infer_official(tensors, untraceable)?;
    let logits = sizes.vocabulary;
    if tokenizer.vocabulary() != logits {
        return Err(ImportError::Vocabulary {
            path: tensors.path.clone(),
            logits,
            words: tokenizer.words().len(),
        });
    }
    let mut config = base;
    config.model = ModelConfig::new(sizes.generator, sizes.views);
    config.ithn.projection_width = sizes.projection_width;
    let model = load_official_state(untrained(&config, logits)?, tensors)?;
    let origin = format!(
        "imported from {}, of the official code",
        file_name(&tensors.path)
    );
    collect(config, tokenizer, &model, tensors, origin)
}

/// Makes a checkpoint of an untrained model of `base` whose backbone is torchvision's pretrained
/// ResNet. The block, depths and width are inferred from the tensors.
///
/// # Errors
///
/// [`ImportError`] if the tensors are not a ResNet's or do not fit it, or `base` is not of an
/// R2GenCMN.
pub fn checkpoint_of_backbone(
    tensors: &NamedTensors,
    base: ExperimentConfig,
    tokenizer: Tokenizer,
) -> Result<Checkpoint, ImportError> {
    let mut config = base;
    let sizes = infer_torchvision(tensors)?;
    if let Some(backbone) = config.model.generator.backbone_mut() {
        *backbone = sizes.into();
    }
    let mut model = untrained(&config, tokenizer.vocabulary())?;
    model.generator.backbone = load_backbone(model.generator.backbone, tensors)?;
    let origin = format!(
        "random weights but for the backbone of {}",
        file_name(&tensors.path)
    );
    collect(config, tokenizer, &model, tensors, origin)
}

/// A file's name without its folder, which nobody else needs to know.
fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
}

/// The processor: a build for GPUs may run where there is none.
fn host() -> Device {
    #[cfg(feature = "flex")]
    return Device::flex();
    #[cfg(not(feature = "flex"))]
    Device::default()
}

fn untrained(config: &ExperimentConfig, logits: usize) -> Result<Ithn<R2GenCmn>, ConfigError> {
    config.validate_sizes()?;
    let device = host();
    let model = &config.model;
    let generator = model.r2gen_cmn()?.init(logits, model.views, &device);
    Ok(config.ithn.init(generator, &device))
}

fn collect(
    config: ExperimentConfig,
    tokenizer: Tokenizer,
    model: &Ithn<R2GenCmn>,
    tensors: &NamedTensors,
    origin: String,
) -> Result<Checkpoint, ImportError> {
    // No step was taken, so there is no state, whichever the optimiser.
    let optimizer = AdamConfig::new().init();
    let mut header = CheckpointHeader::new(config, tokenizer, TrainingProgress::default());
    header.card = Some(Card::default().with_origin(origin));
    Ok(Checkpoint::collect(
        header,
        model,
        &optimizer,
        &tensors.path,
    )?)
}

/// Writes the weights of a checkpoint as safetensors under the official names, as
/// [`NamedTensors::read`] and PyTorch's `load_state_dict(…, strict=False)` take them: what
/// [`SKIPPED_OFFICIAL`](super::SKIPPED_OFFICIAL) lists is left out.
///
/// # Errors
///
/// [`ImportError`] if the checkpoint is not of an R2GenCMN, its weights do not fit its
/// configuration, or the file cannot be written.
pub fn export_official(checkpoint: &Checkpoint, path: &Path) -> Result<usize, ImportError> {
    let header = &checkpoint.header;
    if let Some(BackboneConfig::DenseNet(_)) = header.config.model.generator.backbone() {
        return Err(ConfigError::new(
            "model.generator.backbone.kind",
            "is densenet, but the official model has a resnet",
        )
        .into());
    }
    let model = untrained(&header.config, header.tokenizer.vocabulary())?;
    let tensors = collect_official_state(&checkpoint.restore_model(model)?.valid());
    let io_error = |source| CheckpointError::Io {
        path: path.to_owned(),
        source,
    };
    let views = tensors
        .iter()
        .map(|(name, data)| {
            // The official temperatures have no dimension.
            let shape = match name.as_str() {
                "temp_1" | "temp_3" => Vec::new(),
                _ => data.shape().to_vec(),
            };
            Ok((name, TensorView::new(Dtype::F32, shape, data.as_bytes())?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .and_then(|views| safetensors::serialize(views, None));
    let bytes = views.map_err(|error| io_error(std::io::Error::other(error)))?;
    write_atomically(path, &bytes).map_err(io_error)?;
    Ok(tensors.len())
}
