//! Any of the networks, as one module and one configuration.

use std::fmt;

use burn::config::Config;
use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{Device, Tensor};
use ithn_generator::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::block::BlockKind;
use crate::densenet::{DenseNet, DenseNetConfig};
use crate::features::{ImageEncoder, ImageFeatures};
use crate::pixels::PixelScale;
use crate::resnet::{ResNet, ResNetConfig};

/// Configuration of a [`Backbone`].
///
/// In JSON an object of the network's keys and `kind`, `resnet` or `densenet`; without `kind` it is a
/// ResNet, as in files older than the choice. Keys that a DenseNet leaves out are those of torchxrayvision's
/// DenseNet-121, so `{"kind": "densenet"}` is that network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", try_from = "BackboneFile")]
pub enum BackboneConfig {
    /// A residual network.
    #[serde(rename = "resnet")]
    ResNet(ResNetConfig),
    /// A densely connected network.
    #[serde(rename = "densenet")]
    DenseNet(DenseNetConfig),
}

impl Config for BackboneConfig {}

/// An image backbone. Its parameter paths are those of the network itself.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a model has one backbone")]
pub enum Backbone {
    /// A residual network.
    ResNet(ResNet),
    /// A densely connected network.
    DenseNet(DenseNet),
}

/// The keys of every kind: read as one object, so that errors keep the path of a wrong key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackboneFile {
    #[serde(default)]
    kind: Kind,
    block: Option<BlockKind>,
    depths: Option<Vec<usize>>,
    width: Option<usize>,
    growth: Option<usize>,
    bottleneck: Option<usize>,
    pixels: Option<PixelScale>,
}

#[derive(Default, Deserialize)]
enum Kind {
    #[default]
    #[serde(rename = "resnet")]
    ResNet,
    #[serde(rename = "densenet")]
    DenseNet,
}

impl TryFrom<BackboneFile> for BackboneConfig {
    type Error = String;

    fn try_from(file: BackboneFile) -> Result<Self, String> {
        let BackboneFile {
            kind,
            block,
            depths,
            width,
            growth,
            bottleneck,
            pixels,
        } = file;
        match kind {
            Kind::ResNet => match (block, depths, width, growth, bottleneck, pixels) {
                (Some(block), Some(depths), Some(width), None, None, None) => {
                    Ok(ResNetConfig::new(block, depths).with_width(width).into())
                }
                _ => Err("a resnet has the keys block, depths and width, and no others".to_owned()),
            },
            Kind::DenseNet if block.is_some() => Err(
                "a densenet has no block: replace the whole backbone, such as by {\"kind\": \
                 \"densenet\"}, torchxrayvision's DenseNet-121"
                    .to_owned(),
            ),
            Kind::DenseNet => {
                let usual = DenseNetConfig::torchxrayvision121();
                Ok(BackboneConfig::DenseNet(DenseNetConfig {
                    growth: growth.unwrap_or(usual.growth),
                    depths: depths.unwrap_or(usual.depths),
                    width: width.unwrap_or(usual.width),
                    bottleneck: bottleneck.unwrap_or(usual.bottleneck),
                    pixels: pixels.unwrap_or(usual.pixels),
                }))
            }
        }
    }
}

impl From<ResNetConfig> for BackboneConfig {
    fn from(config: ResNetConfig) -> Self {
        BackboneConfig::ResNet(config)
    }
}

impl From<DenseNetConfig> for BackboneConfig {
    fn from(config: DenseNetConfig) -> Self {
        BackboneConfig::DenseNet(config)
    }
}

impl BackboneConfig {
    /// Checks every number.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            BackboneConfig::ResNet(config) => config.validate(),
            BackboneConfig::DenseNet(config) => config.validate(),
        }
    }

    /// Channels of the patch features.
    pub fn channels(&self) -> usize {
        match self {
            BackboneConfig::ResNet(config) => config.channels(),
            BackboneConfig::DenseNet(config) => config.channels(),
        }
    }

    /// Creates the network with random weights.
    ///
    /// # Panics
    ///
    /// If the configuration is not [valid](Self::validate).
    pub fn init(&self, device: &Device) -> Backbone {
        match self {
            BackboneConfig::ResNet(config) => Backbone::ResNet(config.init(device)),
            BackboneConfig::DenseNet(config) => Backbone::DenseNet(config.init(device)),
        }
    }
}

/// One expression for whichever network it is.
macro_rules! with_network {
    ($backbone:expr, $network:ident => $result:expr) => {
        match $backbone {
            Backbone::ResNet($network) => $result,
            Backbone::DenseNet($network) => $result,
        }
    };
}

/// Evaluates an expression of the network's own type, as `with_network!` does, and wraps the result in the same variant
/// of [`Backbone`].
macro_rules! map_network {
    ($backbone:expr, $network:ident => $result:expr) => {
        match $backbone {
            Backbone::ResNet($network) => Backbone::ResNet($result),
            Backbone::DenseNet($network) => Backbone::DenseNet($result),
        }
    };
}

impl ImageEncoder for Backbone {
    fn forward_each(&self, batches: Vec<Tensor<4>>) -> Vec<ImageFeatures> {
        with_network!(self, network => network.forward_each(batches))
    }
}

impl Module for Backbone {
    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        with_network!(self, network => network.visit(visitor));
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        map_network!(self, network => network.map(mapper))
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        with_network!(self, network => network.collect_devices(devices))
    }

    fn to_device(self, device: &Device) -> Self {
        map_network!(self, network => network.to_device(device))
    }

    fn fork(self, device: &Device) -> Self {
        map_network!(self, network => network.fork(device))
    }

    fn valid(&self) -> Self {
        map_network!(self, network => network.valid())
    }

    fn train(self) -> Self {
        map_network!(self, network => network.train())
    }

    fn materialize(self) -> Self {
        map_network!(self, network => network.materialize())
    }
}

impl fmt::Display for Backbone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.format(Default::default()))
    }
}

impl ModuleDisplayDefault for Backbone {
    fn content(&self, content: Content) -> Option<Content> {
        with_network!(self, network => network.content(content))
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl ModuleDisplay for Backbone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_its_kind_and_its_own_keys_and_older_files_are_resnets() {
        for (config, kind) in [
            (ResNetConfig::narrow(4, vec![1, 2]).into(), "resnet"),
            (DenseNetConfig::torchxrayvision121().into(), "densenet"),
        ] {
            let config: BackboneConfig = config;
            let json = serde_json::to_value(&config).expect("serialisable");
            assert_eq!(json["kind"], kind);
            let read: BackboneConfig = serde_json::from_value(json).expect("readable");
            assert_eq!(read, config);
        }
        let older = r#"{"block":"basic","depths":[1],"width":8}"#;
        let read: BackboneConfig = serde_json::from_str(older).expect("readable");
        assert_eq!(read, ResNetConfig::narrow(8, vec![1]).into());
        let read: BackboneConfig =
            serde_json::from_str(r#"{"kind":"densenet"}"#).expect("readable");
        assert_eq!(read, DenseNetConfig::torchxrayvision121().into());
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        for json in [
            r#"{"kind":"densenet","block":"basic","depths":[1],"width":8}"#,
            r#"{"block":"basic","depths":[1],"width":8,"growth":4}"#,
            r#"{"block":"basic","depths":[1],"width":8,"heads":4}"#,
            r#"{"kind":"vit","depths":[1],"width":8}"#,
            r#"{"block":"basic","depths":[1]}"#,
        ] {
            assert!(
                serde_json::from_str::<BackboneConfig>(json).is_err(),
                "{json}"
            );
        }
    }

    #[derive(Default)]
    struct Paths(Vec<String>, Vec<String>);

    impl ModuleVisitor for Paths {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }

        fn visit_float<const D: usize>(&mut self, _: &burn::module::Param<Tensor<D>>) {
            self.1.push(self.0.join("."));
        }
    }

    #[test]
    fn parameter_paths_are_those_of_the_network() {
        let device = Device::default();
        let config = ResNetConfig::narrow(4, vec![1]);
        let (mut own, mut shared) = (Paths::default(), Paths::default());
        config.init(&device).visit(&mut own);
        BackboneConfig::from(config)
            .init(&device)
            .visit(&mut shared);
        assert_eq!(own.1, shared.1);
        assert!(
            own.1.contains(&"stem.conv.weight".to_owned()),
            "{:?}",
            own.1
        );
    }
}
