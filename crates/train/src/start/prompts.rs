use std::path::Path;

use burn::tensor::{Device, Tensor};
use ithn_checkpoint::config::{ConfigError, ExperimentConfig};
use ithn_models::LibraryGenerator;

use crate::error::TrainError;
use crate::pretrain::FindingsClassifier;

/// Gives a generator whose decoder is told findings the classifier that reads them, from the file that its backbone came
/// from; leaves another generator as it is.
///
/// # Errors
///
/// [`TrainError::Config`] if there is no file, or the classifier tells other findings; as [`FindingsClassifier::load`].
pub(crate) fn read_prompts<G: LibraryGenerator>(
    generator: &mut G,
    config: &ExperimentConfig,
    weights: Option<&Path>,
    device: &Device,
) -> Result<(), TrainError> {
    const KEY: &str = "model.generator.finding_prompts";
    let expected = config.model.generator.finding_prompts();
    let (Some(prompts), Some(expected)) = (generator.finding_prompts_mut(), expected) else {
        return Ok(());
    };
    let path = weights.ok_or_else(|| {
        ConfigError::new(
            KEY,
            "findings are read by a pretrained classifier: give the run its weights as backbone weights, or configure \
             pretraining",
        )
    })?;
    let (classifier, header) = FindingsClassifier::load(path, device)?;
    let names: Vec<&str> = header
        .config
        .classes
        .iter()
        .map(|class| class.name())
        .collect();
    if !names.iter().eq(&expected.classes) || header.config.views != config.model.views {
        let problem = format!(
            "{} tells {} views' {}, the run is to tell {} views' {}",
            path.display(),
            header.config.views,
            names.join(", "),
            config.model.views,
            expected.classes.join(", ")
        );
        return Err(ConfigError::new(KEY, problem).into());
    }
    let weight = classifier.head.weight.val();
    let bias = match &classifier.head.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([names.len()], device),
    };
    prompts.read_by(weight, bias, &header.thresholds);
    Ok(())
}
