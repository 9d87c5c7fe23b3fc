use ithn_backbone::{BlockKind, ResNetConfig};
use ithn_decoder::TransformerConfig;
use ithn_memory::CrossModalMemoryConfig;

use super::tensors::{ImportError, NamedTensors};
use ithn_models::{ImageFeature, R2GenCmnConfig};

/// Where the official state keeps the backbone.
const BACKBONE: &str = "visual_extractor.model";

/// Where the official state keeps everything between patches and words.
const GENERATOR: &str = "encoder_decoder";

/// The first convolution of torchvision's ResNet.
const TORCHVISION_STEM: &str = "conv1.weight";

/// Stages of a ResNet: entries 4 to 7 of the official `Sequential`.
const STAGES: usize = 4;

/// Sizes that cannot be inferred from the shapes of the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UntraceableSizes {
    /// Attention heads of the Transformer and of the memory.
    pub heads: usize,
    /// Memory rows that each head keeps.
    pub top_k: usize,
}

impl Default for UntraceableSizes {
    /// 8 heads, 32 rows: as published.
    fn default() -> Self {
        UntraceableSizes {
            heads: 8,
            top_k: 32,
        }
    }
}

impl UntraceableSizes {
    /// So many heads, each of which keeps `top_k` memory rows.
    pub const fn new(heads: usize, top_k: usize) -> Self {
        UntraceableSizes { heads, top_k }
    }
}

/// The sizes of an official checkpoint.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OfficialSizes {
    /// The generator's configuration, with the published dropouts.
    pub generator: R2GenCmnConfig,
    /// Number of logits: one per word, and one for token 0.
    pub vocabulary: usize,
    /// Images per study.
    pub views: usize,
    /// Width of the shared space of images and reports.
    pub projection_width: usize,
}

/// Infers the sizes of an official checkpoint from the names and shapes of its tensors: block,
/// depths and width of the ResNet, `d_model`, `d_ff`, layers, memory rows, vocabulary, views,
/// projection.
///
/// # Errors
///
/// [`ImportError::Unrecognised`] if a tensor that decides a size is missing or has another rank, or
/// the sizes contradict each other.
pub fn infer_official(
    tensors: &NamedTensors,
    untraceable: UntraceableSizes,
) -> Result<OfficialSizes, ImportError> {
    let shapes = Shapes(tensors);
    let backbone = shapes.backbone(&format!("{BACKBONE}.0.weight"), |stage, block, number| {
        format!("{BACKBONE}.{}.{block}.conv{number}.weight", stage + 4)
    })?;
    let [d_model, channels] = shapes.matrix(&format!("{GENERATOR}.att_embed.0.weight"))?;
    let [rows, _] = shapes.matrix(&format!("{GENERATOR}.memory_matrix"))?;
    let [vocabulary, _] = shapes.matrix(&format!("{GENERATOR}.logit.weight"))?;
    let [d_ff, _] = shapes.matrix(&format!(
        "{GENERATOR}.model.encoder.layers.0.feed_forward.w_1.weight"
    ))?;
    let [projection_width, pooled] = shapes.matrix("img_projection.linear1.weight")?;
    let layers = shapes
        .count(|layer| format!("{GENERATOR}.model.encoder.layers.{layer}.feed_forward.w_1.weight"));

    let UntraceableSizes { heads, top_k } = untraceable;
    shapes.require(
        d_model > 0 && d_model.is_multiple_of(2),
        format!("a model width of {d_model}, which is odd or zero"),
    )?;
    shapes.require(
        heads > 0 && d_model.is_multiple_of(heads),
        format!("{heads} heads do not divide the model width {d_model}"),
    )?;
    shapes.require(
        (1..=rows).contains(&top_k),
        format!("{top_k} kept rows, of {rows} in the memory"),
    )?;
    shapes.require(
        channels > 0 && pooled >= channels && pooled.is_multiple_of(channels),
        format!(
            "{pooled} pooled features, which is no multiple of the {channels} backbone channels"
        ),
    )?;
    Ok(OfficialSizes {
        generator: R2GenCmnConfig::new(
            backbone,
            CrossModalMemoryConfig::new(rows, d_model, heads, top_k),
            TransformerConfig::new(d_model, d_ff, heads, layers),
        )
        .with_image_feature(ImageFeature::Backbone),
        vocabulary,
        views: pooled / channels,
        projection_width,
    })
}

/// Whether the tensors are those of torchvision's ResNet rather than of an official checkpoint.
pub fn is_torchvision(tensors: &NamedTensors) -> bool {
    tensors.tensors.contains_key(TORCHVISION_STEM)
}

/// Reads block, depths and width of torchvision's ResNet off its tensors.
///
/// # Errors
///
/// [`ImportError::Unrecognised`] if the stem or the first stage is missing.
pub fn infer_torchvision(tensors: &NamedTensors) -> Result<ResNetConfig, ImportError> {
    Shapes(tensors).backbone(TORCHVISION_STEM, |stage, block, number| {
        format!("layer{}.{block}.conv{number}.weight", stage + 1)
    })
}

/// Shapes by name.
struct Shapes<'a>(&'a NamedTensors);

impl Shapes<'_> {
    fn get(&self, name: &str) -> Option<Vec<usize>> {
        let data = self.0.tensors.get(name)?;
        Some(data.shape().to_vec())
    }

    fn has(&self, name: &str) -> bool {
        self.0.tensors.contains_key(name)
    }

    fn of_rank<const D: usize>(&self, name: &str) -> Result<[usize; D], ImportError> {
        let shape = self
            .get(name)
            .ok_or_else(|| self.unrecognised(format!("it has no '{name}'")))?;
        // A dimension that no value backs could be of any size.
        self.require(
            !shape.contains(&0),
            format!("'{name}' has shape {shape:?}, which holds nothing"),
        )?;
        <[usize; D]>::try_from(shape.as_slice())
            .map_err(|_| self.unrecognised(format!("'{name}' has shape {shape:?}, not rank {D}")))
    }

    fn matrix(&self, name: &str) -> Result<[usize; 2], ImportError> {
        self.of_rank(name)
    }

    /// How many of `name(0)`, `name(1)`, … exist in a row.
    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|&index| self.has(&name(index))).count()
    }

    /// A ResNet, given the name of its stem and of a block's convolution by stage, block, number.
    fn backbone(
        &self,
        stem: &str,
        convolution: impl Fn(usize, usize, usize) -> String,
    ) -> Result<ResNetConfig, ImportError> {
        let [width, _, _, _] = self.of_rank(stem)?;
        let depths: Vec<usize> = (0..STAGES)
            .map(|stage| self.count(|block| convolution(stage, block, 1)))
            .take_while(|&depth| depth > 0)
            .collect();
        self.require(
            width > 0 && !depths.is_empty(),
            format!("a backbone of {width} channels and depths {depths:?}"),
        )?;
        let block = if self.has(&convolution(0, 0, 3)) {
            BlockKind::Bottleneck
        } else {
            BlockKind::Basic
        };
        Ok(ResNetConfig::new(block, depths).with_width(width))
    }

    fn require(&self, holds: bool, otherwise: String) -> Result<(), ImportError> {
        if holds {
            Ok(())
        } else {
            Err(self.unrecognised(otherwise))
        }
    }

    fn unrecognised(&self, reason: String) -> ImportError {
        ImportError::Unrecognised {
            path: self.0.path.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::collect_official_state;
    use burn::tensor::{Device, TensorData};
    use ithn_plugin::IthnConfig;
    use std::path::PathBuf;

    fn official(generator: &R2GenCmnConfig) -> NamedTensors {
        let device = Device::default();
        let ithn = IthnConfig::official().with_projection_width(6);
        NamedTensors {
            path: PathBuf::from("model.pth"),
            tensors: collect_official_state(&ithn.init(generator.init(7, 2, &device), &device)),
        }
    }

    fn config() -> R2GenCmnConfig {
        R2GenCmnConfig::new(
            ResNetConfig::new(BlockKind::Bottleneck, vec![1, 2]).with_width(4),
            CrossModalMemoryConfig::new(12, 8, 2, 3),
            TransformerConfig::new(8, 10, 2, 2),
        )
        .with_image_feature(ImageFeature::Backbone)
    }

    #[test]
    fn sizes_come_back_from_the_tensors() {
        let sizes = UntraceableSizes { heads: 2, top_k: 3 };
        let inferred = infer_official(&official(&config()), sizes).expect("a whole state");
        assert_eq!(inferred.generator, config());
        assert_eq!((inferred.vocabulary, inferred.views), (7, 2));
        assert_eq!(inferred.projection_width, 6);
    }

    #[test]
    fn torchvisions_networks_are_told_apart() {
        for (config, convolutions) in [
            (ResNetConfig::resnet18(), 2),
            (ResNetConfig::resnet34(), 2),
            (ResNetConfig::resnet50(), 3),
            (ResNetConfig::resnet101(), 3),
            (ResNetConfig::resnet152(), 3),
        ] {
            let weight =
                |shape: [usize; 4]| TensorData::new(vec![0.0f32; shape.iter().product()], shape);
            let mut tensors = NamedTensors {
                path: PathBuf::from("resnet.pth"),
                tensors: [(TORCHVISION_STEM.to_owned(), weight([64, 3, 7, 7]))].into(),
            };
            for (stage, &depth) in config.depths.iter().enumerate() {
                for block in 0..depth {
                    for number in 1..=convolutions {
                        let name = format!("layer{}.{block}.conv{number}.weight", stage + 1);
                        tensors.tensors.insert(name, weight([1, 1, 1, 1]));
                    }
                }
            }
            assert!(is_torchvision(&tensors));
            assert_eq!(infer_torchvision(&tensors).expect("a network"), config);
        }
    }

    #[test]
    fn a_missing_tensor_and_impossible_heads_are_named() {
        let mut tensors = official(&config());
        let error = infer_official(&tensors, UntraceableSizes { heads: 3, top_k: 3 }).unwrap_err();
        assert!(error.to_string().contains("3 heads do not divide"));
        tensors.tensors.remove("encoder_decoder.logit.weight");
        let error = infer_official(&tensors, UntraceableSizes { heads: 2, top_k: 3 }).unwrap_err();
        assert!(error.to_string().contains("encoder_decoder.logit.weight"));
    }
}
