use std::fmt;

use serde_json::Value;

use super::{ExperimentConfig, LearningRateSchedule, Negatives};
use ithn_negatives::HardnessSchedule;

/// A value that another configuration has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name in `config.json`, such as `training.optimizer.learning_rate`.
    pub key: String,
    /// The value before, as JSON.
    pub before: String,
    /// The value now, as JSON.
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} → {}", self.key, self.before, self.now)
    }
}

impl ExperimentConfig {
    /// Every value that `now` has otherwise than this configuration, in the order of the keys.
    pub fn changes_to(&self, now: &Self) -> Vec<Change> {
        let json = |config: &Self| serde_json::to_value(config).unwrap_or_default();
        let mut changes = Vec::new();
        compare("", &json(self), &json(now), &mut changes);
        changes
    }

    /// What is a function of [`epochs`](super::TrainingConfig::epochs), so that a training which is given
    /// another number of them on its way differs from one that had it from the beginning.
    pub fn depends_on_epochs(&self) -> Vec<&'static str> {
        let is_cosine = matches!(
            self.training.optimizer.schedule,
            LearningRateSchedule::Cosine { .. }
        );
        let is_ramp = self.negatives == Negatives::Ithn
            && matches!(self.hardness, HardnessSchedule::FractionOfTraining { .. });
        [
            (is_cosine, "the learning rates (cosine)"),
            (is_ramp, "the hardness of negatives"),
        ]
        .into_iter()
        .filter_map(|(applies, name)| applies.then_some(name))
        .collect()
    }
}

/// Compares objects of the same fields field by field, all else as a whole.
fn compare(key: &str, before: &Value, now: &Value, changes: &mut Vec<Change>) {
    match (before, now) {
        _ if before == now => {}
        (Value::Object(old), Value::Object(new)) if old.keys().eq(new.keys()) => {
            for ((name, old), new) in old.iter().zip(new.values()) {
                let key = match key {
                    "" => name.clone(),
                    parent => format!("{parent}.{name}"),
                };
                compare(&key, old, new, changes);
            }
        }
        _ => changes.push(Change {
            key: key.to_owned(),
            before: before.to_string(),
            now: now.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Preset, Setting};

    #[test]
    fn every_changed_value_is_named_once() {
        let before = Preset::Phantom.config();
        assert!(before.changes_to(&before).is_empty());
        let settings = [
            "training.optimizer.learning_rate=0.00005",
            "training.optimizer.schedule={\"kind\":\"constant\"}",
            "training.guards.largest_gradient_norm=1.5",
            "training.epochs=9",
        ];
        let settings: Vec<Setting> = settings
            .iter()
            .map(|text| text.parse().expect("a setting"))
            .collect();
        let now = before.with_settings(&settings).expect("valid");
        let mut lines: Vec<String> = before
            .changes_to(&now)
            .iter()
            .map(ToString::to_string)
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "training.epochs 5 → 9",
                "training.guards.largest_gradient_norm null → 1.5",
                "training.optimizer.learning_rate 0.001 → 0.00005",
                "training.optimizer.schedule {\"floor\":0.02,\"kind\":\"cosine\"} → {\"kind\":\"constant\"}",
            ]
        );
    }

    #[test]
    fn what_depends_on_the_number_of_epochs_is_named() {
        let mut config = Preset::Phantom.config();
        assert_eq!(config.depends_on_epochs().len(), 2);
        config.negatives = Negatives::Off;
        assert_eq!(config.depends_on_epochs(), ["the learning rates (cosine)"]);
        assert!(Preset::IuXray.config().depends_on_epochs().is_empty());
    }
}
