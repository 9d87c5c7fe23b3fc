//! Names of DenseNets in files of torchvision and torchxrayvision.

use super::names::norm_weight;
use super::tensors::NamedTensors;

/// Names of DenseNets that are left out on purpose: the classification head (of PyTorch's, and of a
/// pretrained classifier of this library), the count of batches, and torchxrayvision's thresholds.
pub const SKIPPED_DENSENET: [&str; 4] =
    ["classifier.", "fc.", ".num_batches_tracked", "op_threshs"];

/// torchvision's and torchxrayvision's name of the weight at `path` inside a [`DenseNet`](ithn_backbone::DenseNet).
///
/// | here | there |
/// |---|---|
/// | `stem`, `stem_norm` | `features.conv0`, `features.norm0` |
/// | `blocks.B.L.first.{norm, conv}` | `features.denseblock{B + 1}.denselayer{L + 1}.{norm1, conv1}` |
/// | `blocks.B.L.second.{norm, conv}` | `….{norm2, conv2}` |
/// | `transitions.B.{norm, conv}` | `features.transition{B + 1}.{norm, conv}` |
/// | `norm` | `features.norm5` |
///
/// `None` for a path that a DenseNet does not have.
pub fn densenet_name(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let next = |index: &str| index.parse::<usize>().ok()?.checked_add(1);
    let name = match parts.as_slice() {
        ["stem", weight] => format!("conv0.{weight}"),
        ["stem_norm", weight] => format!("norm0.{}", norm_weight(weight)),
        ["norm", weight] => format!("norm5.{}", norm_weight(weight)),
        [
            "blocks",
            block,
            layer,
            place,
            part @ ("norm" | "conv"),
            weight,
        ] => {
            let number = match *place {
                "first" => 1,
                "second" => 2,
                _ => return None,
            };
            let (block, layer, weight) = (next(block)?, next(layer)?, norm_weight(weight));
            format!("denseblock{block}.denselayer{layer}.{part}{number}.{weight}")
        }
        ["transitions", block, part @ ("norm" | "conv"), weight] => {
            format!("transition{}.{part}.{}", next(block)?, norm_weight(weight))
        }
        _ => return None,
    };
    Some(format!("features.{name}"))
}

/// Whether DenseNets have a weight of this name. Their head is left out: any network may have a
/// `classifier`.
pub(super) fn is_densenet_weight(name: &str) -> bool {
    let parts: Vec<&str> = name.splitn(4, '.').collect();
    match parts.as_slice() {
        ["features", "conv0" | "norm0" | "norm5", _] => true,
        ["features", part, _, _] => ["denseblock", "transition"].iter().any(|prefix| {
            let number = part.strip_prefix(prefix);
            number.is_some_and(|number| number.parse::<usize>().is_ok())
        }),
        _ => false,
    }
}

/// The tensors under today's names: torchvision's older files call `norm1` `norm.1`, and so on.
pub(super) fn densenet_tensors(tensors: &NamedTensors) -> NamedTensors {
    let renamed = |name: &String| {
        let Some((layer, rest)) = name.split_once(".denselayer") else {
            return name.clone();
        };
        let rest = ["norm", "conv"].iter().fold(rest.to_owned(), |rest, part| {
            ["1", "2"].iter().fold(rest, |rest, number| {
                rest.replace(&format!(".{part}.{number}."), &format!(".{part}{number}."))
            })
        });
        format!("{layer}.denselayer{rest}")
    };
    let named = tensors.tensors.iter();
    NamedTensors {
        path: tensors.path.clone(),
        tensors: named
            .map(|(name, data)| (renamed(name), data.clone()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use std::path::PathBuf;

    #[test]
    fn the_table_names_every_kind_of_weight() {
        for (path, name) in [
            ("stem.weight", "features.conv0.weight"),
            ("stem_norm.running_var", "features.norm0.running_var"),
            ("norm.beta", "features.norm5.bias"),
            (
                "blocks.2.11.second.norm.gamma",
                "features.denseblock3.denselayer12.norm2.weight",
            ),
            (
                "transitions.0.conv.weight",
                "features.transition1.conv.weight",
            ),
        ] {
            assert_eq!(densenet_name(path).as_deref(), Some(name));
            assert!(is_densenet_weight(name), "{name}");
        }
        assert_eq!(densenet_name("stages.0.0.conv"), None);
        for other in [
            "features.0.weight",
            "classifier.weight",
            "layer1.0.conv1.weight",
        ] {
            assert!(!is_densenet_weight(other), "{other}");
        }
    }

    #[test]
    fn older_names_become_todays() {
        let weight = TensorData::new(vec![0.0f32], [1]);
        let tensors = NamedTensors {
            path: PathBuf::new(),
            tensors: [
                "features.denseblock1.denselayer2.norm.1.weight",
                "features.denseblock1.denselayer2.conv.2.weight",
                "features.transition1.norm.weight",
            ]
            .map(|name| (name.to_owned(), weight.clone()))
            .into(),
        };
        let renamed: Vec<String> = densenet_tensors(&tensors).tensors.into_keys().collect();
        assert_eq!(
            renamed,
            [
                "features.denseblock1.denselayer2.conv2.weight",
                "features.denseblock1.denselayer2.norm1.weight",
                "features.transition1.norm.weight",
            ]
        );
    }
}
