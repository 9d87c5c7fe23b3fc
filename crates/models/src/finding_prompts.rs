use std::collections::HashSet;

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use ithn_decoder::PatchFeatures;
use ithn_generator::config::ConfigError;
use serde::{Deserialize, Serialize};

/// Findings that a decoder is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FindingPromptsConfig {
    /// Their names, in the order of the classifier's outputs.
    pub classes: Vec<String>,
}

impl Config for FindingPromptsConfig {}

impl FindingPromptsConfig {
    /// Prompts of these findings.
    pub fn new<N: Into<String>>(classes: impl IntoIterator<Item = N>) -> Self {
        FindingPromptsConfig {
            classes: classes.into_iter().map(Into::into).collect(),
        }
    }

    /// Checks the names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the key `classes`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let distinct: HashSet<&String> = self.classes.iter().collect();
        match distinct.len() == self.classes.len() && !self.classes.is_empty() {
            true => Ok(()),
            false => Err(ConfigError::new(
                "classes",
                "must name at least one finding, and each once",
            )),
        }
    }

    /// Prompts of width `d_model` that read findings from `features` pooled image features.
    pub(crate) fn init(&self, features: usize, d_model: usize, device: &Device) -> FindingPrompts {
        let classes = self.classes.len();
        let unit = Initializer::Normal {
            mean: 0.0,
            std: 1.0,
        };
        FindingPrompts {
            head: LinearConfig::new(features, classes).init(device),
            embedding: unit.init([2 * classes, d_model], device),
        }
    }
}

/// Tells a decoder which findings a study has: one token per finding, absent or present, beside the patches (the diagnostic
/// prompts of PromptMRG, Jin et al., AAAI 2024).
///
/// In training they are the findings that the report states; in use a classifier reads them from the images.
#[derive(Module, Debug)]
pub struct FindingPrompts {
    /// Pooled backbone features of all views, joined, to one logit per finding, which counts as present from 0 on. It is a
    /// pretrained classifier's, the threshold taken off its bias.
    head: Linear,
    /// `[2 · findings, d_model]`: rows of absence, then of presence.
    embedding: Param<Tensor<2>>,
}

impl FindingPrompts {
    /// Takes the classifier's layer over, with the probability from which each finding counts as present; above 1 is never.
    ///
    /// # Shapes
    ///
    /// - weight: `[features, findings]`
    /// - bias: `[findings]`
    ///
    /// # Panics
    ///
    /// If the shapes differ from those of the prompts, or there is another number of thresholds.
    pub fn read_by(&mut self, weight: Tensor<2>, bias: Tensor<1>, thresholds: &[f64]) {
        let [features, findings] = self.head.weight.dims();
        assert_eq!(weight.dims(), [features, findings], "features and findings");
        assert_eq!([bias.dims()[0], thresholds.len()], [findings; 2]);
        let logits: Vec<f32> = thresholds.iter().map(|&it| logit(it)).collect();
        let device = self.head.weight.device();
        let logits = Tensor::<1>::from_data(TensorData::new(logits, [findings]), &device);
        let (weight, bias) = (weight.to_device(&device), bias.to_device(&device) - logits);
        self.head.weight = self.head.weight.clone().map(|_| weight);
        self.head.bias = Some(match self.head.bias.take() {
            Some(param) => param.map(|_| bias),
            None => Param::from_tensor(bias),
        });
    }

    /// The findings that the classifier reads from pooled features, 0 or 1.
    ///
    /// # Shapes
    ///
    /// - pooled: `[batch, features]`
    /// - output: `[batch, findings]`
    pub fn read(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.head.forward(pooled).greater_equal_elem(0.0).float()
    }

    /// Findings in a prompt.
    pub fn len(&self) -> usize {
        self.embedding.dims()[0] / 2
    }

    /// Whether there is no finding, which a valid configuration excludes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encoded patches followed by a token for each finding.
    ///
    /// # Shapes
    ///
    /// - patches: `[batch, patches, d_model]`
    /// - findings: `[batch, findings]`, 0 to 1
    /// - output: `[batch, patches + findings, d_model]`
    ///
    /// # Panics
    ///
    /// If there is another number of findings.
    pub(crate) fn append(&self, patches: PatchFeatures, findings: Tensor<2>) -> PatchFeatures {
        let [batch, count] = findings.dims();
        assert_eq!(
            count,
            self.len(),
            "one value for each finding of the prompt"
        );
        let rows = self.embedding.val();
        let absent = rows.clone().narrow(0, 0, count);
        let change = rows.narrow(0, count, count) - absent.clone();
        let tokens = findings.unsqueeze_dim::<3>(2) * change.unsqueeze_dim::<3>(0)
            + absent.unsqueeze_dim::<3>(0);
        let mask = patches.mask.map(|mask| {
            let told = Tensor::<2>::zeros([batch, count], &mask.device()).bool();
            Tensor::cat(vec![mask, told], 1)
        });
        PatchFeatures {
            values: Tensor::cat(vec![patches.values, tokens], 1),
            mask,
        }
    }

    /// Cross-attention weights of the patches alone, which sum to 1 again.
    ///
    /// # Shapes
    ///
    /// - weights: `[batch, heads, length, patches + findings]`
    /// - output: `[batch, heads, length, patches]`
    pub(crate) fn without(&self, weights: Tensor<4>) -> Tensor<4> {
        let [.., all] = weights.dims();
        let patches = weights.narrow(3, 0, all - self.len());
        let sum = patches.clone().sum_dim(3).clamp_min(f32::MIN_POSITIVE);
        patches / sum
    }
}

/// Largest logit of a threshold: beyond any that a classifier gives.
const BEYOND: f64 = 1e4;

fn logit(threshold: f64) -> f32 {
    let logit = (threshold / (1.0 - threshold)).ln();
    match threshold < 1.0 {
        true => logit.clamp(-BEYOND, BEYOND) as f32,
        false => BEYOND as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;
    use ithn_generator::seeded::values;

    fn prompts(device: &Device) -> FindingPrompts {
        FindingPromptsConfig::new(["Edema", "Pneumonia"]).init(3, 4, device)
    }

    #[test]
    fn a_finding_is_present_from_its_threshold_on() {
        let device = Device::default();
        let mut prompts = prompts(&device);
        let weight = Tensor::from_data([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], &device);
        let bias = Tensor::from_data([0.5, 0.0], &device);
        // Probabilities of 0.6 and more: logits from 0.405 on, less the bias.
        prompts.read_by(weight, bias, &[0.6, 1.5]);
        let pooled = Tensor::from_data([[-0.09, 50.0, 0.0], [-0.1, -50.0, 0.0]], &device);
        let read = prompts.read(pooled).into_data();
        read.assert_eq(&[[1.0, 0.0], [0.0, 0.0]].into(), false);
    }

    #[test]
    fn tokens_follow_the_patches_and_are_never_masked() {
        let device = Device::default();
        let prompts = prompts(&device);
        let mask = Tensor::<2>::from_data([[0.0, 1.0], [0.0, 0.0]], &device).bool();
        let patches = PatchFeatures {
            values: values([2, 2, 4], 1, &device),
            mask: Some(mask),
        };
        let findings = Tensor::from_data([[1.0, 0.0], [0.0, 1.0]], &device);
        let told = prompts.append(patches.clone(), findings);
        assert_eq!(told.values.dims(), [2, 4, 4]);
        let kept = told.values.clone().narrow(1, 0, 2).into_data();
        kept.assert_eq(&patches.values.into_data(), false);
        let rows = prompts.embedding.val();
        for (study, row, token) in [(0, 2, 0), (0, 1, 1), (1, 0, 0), (1, 3, 1)] {
            let found = told
                .values
                .clone()
                .slice([study..study + 1, 2 + token..3 + token]);
            let expected = rows.clone().narrow(0, row, 1).into_data();
            let found = found.reshape([1, 4]).into_data();
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
        }
        let mask = told.mask.expect("a view is missing").into_data();
        mask.assert_eq(
            &[[false, true, false, false], [false, false, false, false]].into(),
            false,
        );
    }

    #[test]
    fn attention_to_patches_sums_to_one_without_the_tokens() {
        let device = Device::default();
        let weights = Tensor::from_data([[[[0.1, 0.3, 0.5, 0.1]]]], &device);
        let found = prompts(&device).without(weights).into_data();
        found.assert_approx_eq::<f32>(&[[[[0.25, 0.75]]]].into(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn names_must_be_there_and_distinct() {
        for classes in [vec![], vec!["Edema", "Edema"]] {
            let error = FindingPromptsConfig::new(classes).validate();
            assert_eq!(error.expect_err("refused").key(), "classes");
        }
    }
}
