use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ithn_generator::config::{ConfigError, no_options};
use serde::{Deserialize, Serialize};

/// Largest magnitude of a log inverse temperature: `e^τ` stays finite in single precision.
const LARGEST: f64 = 80.0;

/// How the log inverse temperatures change during training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TemperatureTraining {
    /// Learned without bounds, as in the official code: training can switch the hard-negative term
    /// off by lowering τ3.
    #[default]
    #[serde(deserialize_with = "no_options")]
    Learned,
    /// Constant.
    #[serde(deserialize_with = "no_options")]
    Fixed,
    /// Learned, and clamped to `[lowest, highest]` where the loss uses them.
    Clamped {
        /// Smallest log inverse temperature.
        lowest: f64,
        /// Largest log inverse temperature, at least `lowest`.
        highest: f64,
    },
}

/// Initial values and training of the two log inverse temperatures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TemperatureConfig {
    /// Initial τ1; `e^{τ1}` scales the scores of ordinary pairs.
    pub pairs: f64,
    /// Initial τ3; `e^{τ3}` scales the scores of hard negatives.
    pub hardened: f64,
    /// How they change.
    pub training: TemperatureTraining,
}

impl Default for TemperatureConfig {
    /// Both `ln(1/0.07)`, learned.
    fn default() -> Self {
        let start = (1.0f64 / 0.07).ln();
        TemperatureConfig::new(start, start)
    }
}

/// The two log inverse temperatures.
#[derive(Module, Debug)]
pub struct Temperatures {
    /// τ1, the log inverse temperature of ordinary pairs, `[1]`.
    pub pairs: Param<Tensor<1>>,
    /// τ3, the log inverse temperature of hard negatives, `[1]`.
    pub hardened: Param<Tensor<1>>,
    #[module(skip)]
    training: TemperatureTraining,
}

impl TemperatureConfig {
    /// Learned temperatures with these initial values of τ1 and τ3.
    pub fn new(pairs: f64, hardened: f64) -> Self {
        TemperatureConfig {
            pairs,
            hardened,
            training: TemperatureTraining::Learned,
        }
    }

    /// Checks that all numbers lie in `[-80, 80]` and that the clamp is not empty.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let within = |key: &str, value: f64| {
            if value.abs() <= LARGEST {
                return Ok(());
            }
            Err(ConfigError::new(
                key,
                format!("must lie in [-{LARGEST}, {LARGEST}], got {value}"),
            ))
        };
        within("pairs", self.pairs)?;
        within("hardened", self.hardened)?;
        if let TemperatureTraining::Clamped { lowest, highest } = self.training {
            within("training.lowest", lowest)?;
            within("training.highest", highest)?;
            if lowest > highest {
                return Err(ConfigError::new(
                    "training.highest",
                    format!("must be at least lowest ({lowest}), got {highest}"),
                ));
            }
        }
        Ok(())
    }

    /// Creates both temperatures at their initial values.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: f64, training: TemperatureTraining) -> TemperatureConfig {
        TemperatureConfig {
            pairs,
            training,
            ..TemperatureConfig::default()
        }
    }

    #[test]
    fn a_clamp_bounds_the_scale_and_not_the_parameter() {
        let clamp = TemperatureTraining::Clamped {
            lowest: -0.5,
            highest: 1.0,
        };
        for (start, used) in [(-2.0, -0.5), (0.25, 0.25), (7.0, 1.0)] {
            let temperatures = config(start, clamp).init(&Device::default());
            let scale: f32 = temperatures.pair_scale().into_scalar();
            assert!((scale - f32::exp(used)).abs() < 1e-6);
            assert_eq!(temperatures.pairs.val().into_scalar::<f32>(), start as f32);
        }
    }

    #[test]
    fn fixed_temperatures_have_no_gradient() {
        let device = Device::default().autodiff();
        let temperatures = config(0.5, TemperatureTraining::Fixed).init(&device);
        let tracked = Tensor::<1>::ones([1], &device).require_grad();
        let loss = temperatures.pair_scale().sum() * tracked;
        let gradients = loss.backward();
        assert!(temperatures.pairs.val().grad(&gradients).is_none());
    }

    #[test]
    fn an_empty_clamp_and_a_scale_that_overflows_are_refused_by_key() {
        let clamp = |lowest, highest| TemperatureTraining::Clamped { lowest, highest };
        let key = |config: TemperatureConfig| config.validate().unwrap_err().key().to_owned();
        assert_eq!(key(config(1.0, clamp(3.0, 1.0))), "training.highest");
        assert_eq!(key(config(1.0, clamp(f64::NAN, 1.0))), "training.lowest");
        assert_eq!(key(config(200.0, clamp(0.0, 1.0))), "pairs");
        config(1.0, clamp(1.0, 1.0)).validate().expect("one value");
        TemperatureConfig::default().validate().expect("valid");
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let clamped = r#""mode":"clamped","lowest":0.0,"highest":1.0"#;
        for json in [
            format!(r#"{{"pairs":1.0,"hardened":1.0,"extra":1.0,"training":{{{clamped}}}}}"#),
            format!(r#"{{"pairs":1.0,"hardened":1.0,"training":{{{clamped},"extra":1.0}}}}"#),
        ] {
            let error = serde_json::from_str::<TemperatureConfig>(&json).unwrap_err();
            assert!(error.to_string().contains("extra"), "{error}");
        }
    }
}
