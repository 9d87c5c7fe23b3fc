//! CheXbert as subcommands use it: its files, its labels beside those of `ithn::metrics`.

use std::path::Path;

use ithn::device::DeviceName;
use ithn::metrics::evaluation::Statuses;
use ithn::metrics::{FindingClass, Status};
use ithn_chexbert::{CheXbert, CheXbertError, Label, Labels, OBSERVATIONS, heads_of_config};

use crate::failure::Failure;
use crate::hub;

/// Who made labels, in tables and files.
pub(crate) const NAME: &str = "CheXbert";

/// What CheXbert is read from.
pub(crate) struct Files<'a> {
    pub weights: &'a Path,
    pub vocabulary: &'a Path,
    /// `config.json` of a model that has not BERT-base's size.
    pub config: Option<&'a Path>,
}

impl Files<'_> {
    /// Reads the model. `config_option` is the option that names the configuration.
    pub(crate) fn load(
        &self,
        device: DeviceName,
        config_option: &str,
    ) -> Result<CheXbert, Failure> {
        ithn::device::prepare_process();
        let device = device.open()?;
        let heads = self.config.map(heads_of_config).transpose();
        let weights = hub::local_path(self.weights)?;
        let vocabulary = hub::local_path(self.vocabulary)?;
        heads
            .and_then(|heads| CheXbert::load_with_heads(&weights, &vocabulary, heads, &device))
            .map_err(|error| failure(&error, config_option))
    }
}

/// The error in one line.
fn failure(error: &CheXbertError, config_option: &str) -> Failure {
    let text = error.to_string();
    let line = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match error {
        CheXbertError::UnknownHeads { .. } => {
            Failure::with_options(line, &format!(" ({config_option})"))
        }
        _ => Failure::Said(line),
    }
}

/// CheXbert's labels in the order of [`FindingClass::all`].
pub(crate) fn statuses_of(labels: &Labels) -> Statuses {
    let status = |label: Label| match label {
        Label::Blank => None,
        Label::Positive => Some(Status::Positive),
        Label::Negative => Some(Status::Negative),
        Label::Uncertain => Some(Status::Uncertain),
    };
    FindingClass::all().map(|class| {
        let at = OBSERVATIONS.iter().position(|name| *name == class.name());
        at.and_then(|at| status(labels[at]))
    })
}

/// Labels in CheXbert's order.
pub(crate) fn labels_of(statuses: &Statuses) -> Labels {
    OBSERVATIONS.map(|name| {
        let mut classes = FindingClass::all().into_iter();
        let class = classes.find(|class| class.name() == name);
        match class.and_then(|class| statuses[class.index()]) {
            None => Label::Blank,
            Some(Status::Positive) => Label::Positive,
            Some(Status::Negative) => Label::Negative,
            Some(Status::Uncertain) => Label::Uncertain,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_matched_by_name() {
        for (at, name) in OBSERVATIONS.iter().enumerate() {
            let mut labels = [Label::Blank; OBSERVATIONS.len()];
            labels[at] = Label::Uncertain;
            let statuses = statuses_of(&labels);
            let found = FindingClass::all()
                .into_iter()
                .find(|class| class.name() == *name);
            let class = found.expect("a class of this name");
            assert_eq!(statuses[class.index()], Some(Status::Uncertain));
            assert_eq!(statuses.iter().flatten().count(), 1);
            assert_eq!(labels_of(&statuses), labels);
        }
    }
}
