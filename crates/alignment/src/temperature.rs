use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// How the log inverse temperatures move during training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum TemperatureTraining {
    /// Learned freely, as released: training may switch the hard-negative term off by lowering τ3.
    #[default]
    Learned,
    /// Held at their start.
    Fixed,
    /// Learned, but used no smaller than `lowest` and no larger than `highest`.
    Clamped {
        /// Smallest log inverse temperature.
        lowest: f64,
        /// Largest log inverse temperature.
        highest: f64,
    },
}

/// Start and training of the two log inverse temperatures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TemperatureConfig {
    /// Start of τ1, the scale `e^{τ1}` of ordinary pairs.
    pub pairs: f64,
    /// Start of τ3, the scale `e^{τ3}` of hardened negatives.
    pub hardened: f64,
    /// How they move.
    pub training: TemperatureTraining,
}

impl Default for TemperatureConfig {
    /// Both `ln(1/0.07)`, learned.
    fn default() -> Self {
        let start = (1.0f64 / 0.07).ln();
        TemperatureConfig {
            pairs: start,
            hardened: start,
            training: TemperatureTraining::Learned,
        }
    }
}

/// The two learned log inverse temperatures.
#[derive(Module, Debug)]
pub struct Temperatures {
    /// τ1, `[1]`.
    pub pairs: Param<Tensor<1>>,
    /// τ3, `[1]`.
    pub hardened: Param<Tensor<1>>,
    #[module(skip)]
    training: TemperatureTraining,
}

impl TemperatureConfig {
    /// Creates both temperatures at their start.
    pub fn init(&self, device: &Device) -> Temperatures {
        let param = |start: f64| Param::from_tensor(Tensor::from_data([start as f32], device));
        let (mut pairs, mut hardened) = (param(self.pairs), param(self.hardened));
        if self.training == TemperatureTraining::Fixed {
            pairs = pairs.set_require_grad(false);
            hardened = hardened.set_require_grad(false);
        }
        Temperatures {
            pairs,
            hardened,
            training: self.training,
        }
    }
}

impl Temperatures {
    /// `e^{τ1}`, `[1, 1]`.
    pub fn pair_scale(&self) -> Tensor<2> {
        self.scale(&self.pairs)
    }

    /// `e^{τ3}`, `[1, 1]`.
    pub fn hardened_scale(&self) -> Tensor<2> {
        self.scale(&self.hardened)
    }

    fn scale(&self, temperature: &Param<Tensor<1>>) -> Tensor<2> {
        let value = temperature.val();
        let value = match self.training {
            TemperatureTraining::Learned => value,
            TemperatureTraining::Fixed => value.detach(),
            TemperatureTraining::Clamped { lowest, highest } => value.clamp(lowest, highest),
        };
        value.exp().unsqueeze()
    }
}
