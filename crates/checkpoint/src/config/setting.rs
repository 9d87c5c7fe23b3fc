use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ConfigError, ExperimentConfig};
use ithn_models::config::from_value;

/// One value of a configuration, by the name that it has in `config.json`:
/// `ithn.weights.contrastive=0.2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    key: String,
    value: Value,
}

impl FromStr for Setting {
    type Err = ConfigError;

    /// Parses `KEY=VALUE`. A value that is not valid JSON is taken as a string, so `report_alone`
    /// needs no quotes.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            ConfigError::new(
                text,
                "has no value: write KEY=VALUE, such as training.epochs=3",
            )
        })?;
        Ok(Setting {
            key: key.trim().to_owned(),
            value: serde_json::from_str(value)
                .unwrap_or_else(|_| Value::String(value.trim().to_owned())),
        })
    }
}

impl ExperimentConfig {
    /// The configuration with some of its values replaced, in order.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming a key that no configuration has, with those there are, or a value that
    /// the key cannot take.
    pub fn with_settings(&self, settings: &[Setting]) -> Result<Self, ConfigError> {
        settings
            .iter()
            .try_fold(self.clone(), |config, setting| setting.apply(&config))
    }
}

impl Setting {
    /// A configuration with the value of this key replaced.
    ///
    /// # Errors
    ///
    /// As [`ExperimentConfig::with_settings`].
    pub fn apply<T: Serialize + DeserializeOwned>(&self, config: &T) -> Result<T, ConfigError> {
        let Setting { key, value } = self;
        let failed = |reason: String| ConfigError::new(key, reason);
        let mut all = serde_json::to_value(config).map_err(|error| failed(error.to_string()))?;
        let names: Vec<&str> = key.split('.').collect();
        let mut place = &mut all;
        for (depth, name) in names.iter().enumerate() {
            let known: Vec<String> = place
                .as_object()
                .map(|fields| fields.keys().cloned().collect())
                .unwrap_or_default();
            let is_last = depth + 1 == names.len();
            let fields = place.as_object_mut();
            if let (true, Some(fields)) = (is_last, fields)
                && !fields.contains_key(*name)
            {
                // A section that is left out where it is absent, or no key at all.
                fields.insert((*name).to_owned(), value.clone());
                return from_value(all).map_err(|error| {
                    match error.reason().contains("unknown field") {
                        true => failed(unknown_name(name, &known)),
                        false => error,
                    }
                });
            }
            place = place
                .get_mut(*name)
                .ok_or_else(|| failed(unknown_name(name, &known)))?;
        }
        *place = value.clone();
        from_value(all)
    }
}

/// What is said of a name that is not among the `known` ones.
fn unknown_name(name: &str, known: &[String]) -> String {
    match known.is_empty() {
        true => format!("there is nothing below it to be called '{name}'"),
        false => format!("there is no '{name}': use one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;
    use ithn_generator::config::{NonNegative, Positive};
    use ithn_plugin::TextPath;

    fn set(settings: &[&str]) -> Result<ExperimentConfig, ConfigError> {
        let settings: Result<Vec<Setting>, _> = settings.iter().map(|text| text.parse()).collect();
        Preset::Phantom.config().with_settings(&settings?)
    }

    #[test]
    fn settings_reach_every_depth_and_nothing_else() {
        let mut expected = Preset::Phantom.config();
        expected.training.epochs = 3;
        expected.ithn.weights.contrastive = NonNegative::literal(0.25);
        expected.ithn.text_path = TextPath::WithImage;
        expected.training.guards.largest_gradient_norm = Some(Positive::literal(1.0));
        assert_eq!(
            set(&[
                "training.epochs=3",
                "ithn.weights.contrastive=0.25",
                "ithn.text_path=with_image",
                "training.guards.largest_gradient_norm=1.0",
            ]),
            Ok(expected)
        );
    }

    #[test]
    fn a_section_that_is_absent_can_be_set() {
        let context = "{\"prior_views\": 1, \"prior_report_words\": 9, \"indication_words\": 0}";
        let config = set(&[
            &format!("model.generator.context={context}"),
            "model.generator.context.indication_words=4",
        ]);
        let reads = config
            .expect("it has this section")
            .model
            .generator
            .context();
        let reads = reads.expect("it was set");
        assert_eq!((reads.prior_views, reads.indication_words), (1, 4));
        let error = set(&["model.generator.context={\"prior_views\": 1}"]);
        let error = error.expect_err("keys are missing").to_string();
        assert!(error.contains("prior_report_words"), "{error}");
    }

    #[test]
    fn what_cannot_be_set_is_named() {
        for (text, part) in [
            ("training.epochs", "KEY=VALUE"),
            ("training.epoch=3", "epochs"),
            ("training.epochs.last=3", "last"),
            ("training.epochs=many", "training.epochs"),
            ("ithn.text_path=nowhere", "with_image"),
        ] {
            let error = set(&[text]).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_key_of_a_wrong_value_is_named_at_every_depth() {
        for (text, key) in [
            ("training.epochs=many", "training.epochs"),
            (
                "training.optimizer.betas=[0.9,\"x\"]",
                "training.optimizer.betas[1]",
            ),
            ("training.optimizer={}", "training.optimizer"),
            ("text.cleaning=soap", "text.cleaning"),
            (
                "model.generator.transformer.heads=-1",
                "model.generator.transformer.heads",
            ),
            (
                "model.generator.backbone.depths=[1,null]",
                "model.generator.backbone.depths[1]",
            ),
            (
                "model.generator.memory={\"rose\":1}",
                "model.generator.memory",
            ),
            ("model.views=two", "model.views"),
        ] {
            let error = set(&[text]).expect_err(text);
            assert!(error.key().starts_with(key), "{text}: {error}");
            assert!(!error.reason().starts_with("in `"), "{text}: {error}");
        }
    }
}
