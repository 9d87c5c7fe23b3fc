//! A classifier as one safetensors file under torchvision's names.

use std::collections::HashMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use ithn_checkpoint::config::ConfigError;
use ithn_checkpoint::import::{
    ImportError, NamedTensors, collect_backbone_state, load_backbone, safetensors_texts,
    write_safetensors,
};
use ithn_models::config::from_json;
use serde::{Deserialize, Serialize};

use super::classifier::FindingsClassifier;
use crate::error::TrainError;
use ithn_checkpoint::config::PretrainConfig;

/// Key of the file's text.
const KEY: &str = "ithn.pretrain";

/// What a classifier's file says beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassifierHeader {
    /// The configuration that it was trained with.
    pub config: PretrainConfig,
    /// Epoch of the weights, counted from 1.
    pub epoch: usize,
    /// Per class the probability from which it counts as present, chosen on the validation split.
    pub thresholds: Vec<f64>,
}

impl FindingsClassifier {
    /// Writes the weights, whole or not at all: the backbone's under torchvision's names, so that a
    /// run takes the file as backbone weights and PyTorch takes it with
    /// `load_state_dict(…, strict=False)`, the classification layer as `fc.weight`,
    /// `[classes, features]`, and `fc.bias`, and `header` as text.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] naming the file.
    pub fn save(&self, path: &Path, header: &ClassifierHeader) -> Result<(), TrainError> {
        let model = self.valid();
        let mut tensors = collect_backbone_state(&model.backbone);
        let weight = model.head.weight.val().swap_dims(0, 1).into_data();
        tensors.insert("fc.weight".to_owned(), weight);
        if let Some(bias) = &model.head.bias {
            tensors.insert("fc.bias".to_owned(), bias.val().into_data());
        }
        let text = serde_json::to_string(header).map_err(ConfigError::at(""))?;
        let texts = HashMap::from([(KEY.to_owned(), text)]);
        Ok(write_safetensors(path, &tensors, Some(texts))?)
    }

    /// Reads a file that [`save`](Self::save) has written.
    ///
    /// # Errors
    ///
    /// [`TrainError::Import`] if the file cannot be read or its weights do not fit its configuration,
    /// [`TrainError::Config`] if the configuration is wrong or missing.
    pub fn load(path: &Path, device: &Device) -> Result<(Self, ClassifierHeader), TrainError> {
        let texts = safetensors_texts(path)?;
        let text = texts.get(KEY).ok_or_else(|| {
            ConfigError::new("", "it holds no classifier's configuration: pretrain one")
                .in_file(path)
        })?;
        let header: ClassifierHeader = from_json(text).map_err(|error| error.in_file(path))?;
        let checked = header.config.validate();
        checked.map_err(|error| error.within("config").in_file(path))?;
        if header.thresholds.len() != header.config.classes.len() {
            return Err(
                ConfigError::new("thresholds", "must have one value per class")
                    .in_file(path)
                    .into(),
            );
        }
        let tensors = NamedTensors::read(path)?;
        let mut model = FindingsClassifier::init(&header.config, device);
        model.backbone = load_backbone(model.backbone, &tensors)?;
        let [features, classes] = model.head.weight.dims();
        let take = |name: &str, shape: &[usize]| -> Result<TensorData, TrainError> {
            let found = tensors.tensors.get(name);
            match found {
                Some(data) if data.shape().to_vec() == shape => Ok(data.clone()),
                other => Err(ImportError::Mismatch {
                    path: path.to_owned(),
                    missing: other
                        .is_none()
                        .then(|| name.to_owned())
                        .into_iter()
                        .collect(),
                    misshapen: other
                        .map(|data| {
                            let found = data.shape().to_vec();
                            format!("{name}: {found:?} in the file, {shape:?} in the model")
                        })
                        .into_iter()
                        .collect(),
                    unlisted: Vec::new(),
                }
                .into()),
            }
        };
        let weight = take("fc.weight", &[classes, features])?;
        let bias = take("fc.bias", &[classes])?;
        let head = &mut model.head;
        head.weight = head
            .weight
            .clone()
            .map(|_| Tensor::<2>::from_data(weight, device).swap_dims(0, 1));
        head.bias = head
            .bias
            .clone()
            .map(|param| param.map(|_| Tensor::from_data(bias, device)));
        Ok((model, header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;
    use ithn_backbone::ResNetConfig;
    use ithn_generator::StudyBatch;
    use ithn_generator::seeded::values;

    use ithn_checkpoint::config::PretrainPreset;

    fn saved(folder: &Path) -> (FindingsClassifier, ClassifierHeader) {
        let device = Device::default();
        let mut config = PretrainPreset::Small.config();
        config.backbone = ResNetConfig::narrow(4, vec![1, 1]).into();
        let model = FindingsClassifier::init(&config, &device);
        let header = ClassifierHeader {
            thresholds: vec![0.25; config.classes.len()],
            config,
            epoch: 3,
        };
        let path = folder.join("best.safetensors");
        model.save(&path, &header).expect("writable");
        (model, header)
    }

    #[test]
    fn a_saved_classifier_says_the_same() {
        let _turn = crate::take_turns();
        let folder = tempfile::tempdir().expect("a folder");
        let device = Device::default();
        let (model, header) = saved(folder.path());
        let path = folder.path().join("best.safetensors");
        let (loaded, found) = FindingsClassifier::load(&path, &device).expect("readable");
        assert_eq!(found, header);
        let studies = StudyBatch::new(values([2, 2, 3, 32, 32], 1, &device));
        let expected = model.forward(studies.clone()).into_data();
        loaded
            .forward(studies)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    #[test]
    fn a_file_without_configuration_is_refused() {
        let _turn = crate::take_turns();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plain.safetensors");
        write_safetensors(&path, &Default::default(), None).expect("writable");
        let error = FindingsClassifier::load(&path, &Device::default())
            .map(|_| ())
            .expect_err("no classifier")
            .to_string();
        assert!(error.contains("plain.safetensors"), "{error}");
    }
}
