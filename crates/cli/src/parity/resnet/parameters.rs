//! The weights of a ResNet, listed by name, shape and number in the formula.

use burn::tensor::TensorData;
use ithn::import::torchvision_name;
use ithn_backbone::{BlockKind, ResNetConfig};
use serde::Deserialize;

use super::super::formula::filled;

#[derive(Deserialize)]
pub struct Parameter {
    pub k: u32,
    pub name: String,
    pub kind: String,
    pub shape: Vec<usize>,
}

impl Parameter {
    /// Its values by the formula.
    pub fn values(&self) -> Result<TensorData, String> {
        let Parameter {
            k,
            name,
            kind,
            shape,
        } = self;
        let count = shape.iter().product();
        let values = match kind.as_str() {
            "conv" => {
                let fan_in: usize = shape[1..].iter().product();
                let bound = (6.0 / fan_in as f64).sqrt();
                filled(*k, count, |s| s * bound)
            }
            "bn_weight" => filled(*k, count, |s| 1.0 + 0.1 * s),
            "bn3_weight" => filled(*k, count, |s| 0.3 + 0.1 * s),
            "bn_downsample_weight" => filled(*k, count, |s| 0.7 + 0.1 * s),
            "bn_bias" | "running_mean" => filled(*k, count, |s| 0.1 * s),
            "running_var" => filled(*k, count, |s| 1.0 + 0.25 * s),
            other => return Err(format!("'{name}' is of unknown kind '{other}'")),
        };
        Ok(TensorData::new(values, shape.clone()))
    }
}

/// Block, depths and width of a network from the names and shapes of its parameters.
pub fn config_of(parameters: &[Parameter]) -> ResNetConfig {
    let has = |name: String| parameters.iter().any(|parameter| parameter.name == name);
    let depths: Vec<usize> = (4..8)
        .map(|stage| {
            (0..)
                .take_while(|block| has(format!("{stage}.{block}.conv1.weight")))
                .count()
        })
        .take_while(|&depth| depth > 0)
        .collect();
    let block = if has("4.0.conv3.weight".to_owned()) {
        BlockKind::Bottleneck
    } else {
        BlockKind::Basic
    };
    let width = parameters.first().map_or(0, |first| first.shape[0]);
    ResNetConfig::new(block, depths).with_width(width)
}

/// `0.weight` → `conv1.weight`, `4.0.…` → `layer1.0.…`.
pub fn torchvision_names(sequential: &str) -> String {
    let (index, rest) = sequential.split_once('.').unwrap_or((sequential, ""));
    let part = match index.parse() {
        Ok(0) => "conv1".to_owned(),
        Ok(1) => "bn1".to_owned(),
        Ok(stage @ 4..) => format!("layer{}", stage - 3),
        _ => index.to_owned(),
    };
    format!("{part}.{rest}")
}

/// The fixtures' name of the weight at `path` inside a ResNet.
pub fn official_name(path: &str) -> Option<String> {
    let name = torchvision_name(path)?;
    let (part, rest) = name.split_once('.')?;
    let index = match part {
        "conv1" => 0,
        "bn1" => 1,
        stage => stage.strip_prefix("layer")?.parse::<usize>().ok()? + 3,
    };
    Some(format!("{index}.{rest}"))
}
