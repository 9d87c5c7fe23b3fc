//! Options of a training step that change what it costs and not what it learns.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use ithn_backbone::ResNetConfig;
use ithn_checkpoint::config::{Activations, ExperimentConfig, GeneratorConfig, Preset};
use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_search::SearchConfig;
use ithn_train::{
    DataSource, EpochPlan, EpochRecord, ExperimentOptions, Observer, Prediction, SplitScores,
    StepRecord, run_experiment,
};

/// Random numbers of the CPU backend are one stream per process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config() -> ExperimentConfig {
    let mut config = Preset::Phantom.config();
    let GeneratorConfig::R2GenCmn(sizes) = &mut config.model.generator else {
        panic!("the preset is an R2GenCMN");
    };
    sizes.backbone = ResNetConfig::narrow(4, vec![1, 1]).into();
    config.training.epochs = 2;
    config.training.batch_size = 4;
    config.training.accumulate = 2;
    config.text.minimum_occurrences = 1;
    config.images.size = 32;
    config.decoding = SearchConfig::greedy(6);
    config
}

/// Keeps what every step reports.
#[derive(Default)]
struct Steps(Vec<StepRecord>);

impl Observer for Steps {
    fn epoch_begins(&mut self, _: &EpochPlan) {}
    fn writing(&mut self, _: &str, _: usize, _: usize) {}
    fn results(&mut self, _: &[(&str, &SplitScores)]) {}
    fn examples(&mut self, _: &[Prediction]) {}
    fn note(&mut self, _: &str) {}
    fn epoch_ends(&mut self, _: &EpochRecord) {}

    fn step_ends(&mut self, record: &StepRecord) {
        self.0.push(*record);
    }
}

/// The steps of a run, the mean of two batches each.
fn steps(folder: &Path, name: &str, config: &ExperimentConfig) -> Vec<StepRecord> {
    let studies = folder.join("studies");
    let cohort = PhantomConfig::new(24, 12, 8)
        .with_image_size(32)
        .with_seed(5);
    write_phantom_dataset(&studies, &cohort).expect("drawn");
    let options = ExperimentOptions::new(
        DataSource::mimic(studies),
        folder.join(name),
        Device::default(),
    );
    let mut steps = Steps::default();
    run_experiment(config, &options, &mut steps).expect("it runs");
    assert_eq!(steps.0.len(), 6);
    steps.0
}

#[test]
fn recomputed_activations_take_the_same_steps_to_the_bit() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let kept = steps(folder.path(), "kept", &config());
    let mut config = config();
    config.training.activations = Activations::Recompute;
    assert_eq!(steps(folder.path(), "again", &config), kept);
}

#[test]
fn longer_padding_takes_the_same_steps_but_for_rounding() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let shortest = steps(folder.path(), "shortest", &config());
    let mut config = config();
    config.training.length_multiple = Some(1);
    assert_eq!(steps(folder.path(), "one", &config), shortest);
    config.training.length_multiple = Some(16);
    let padded = steps(folder.path(), "padded", &config);
    // Adam's first steps divide gradients by themselves, so that rounding grows.
    for (padded, expected) in padded.iter().zip(&shortest).take(1) {
        for (found, expected) in [
            (padded.total, expected.total),
            (padded.language, expected.language),
            (padded.contrastive, expected.contrastive),
            (padded.gradient_norm, expected.gradient_norm),
        ] {
            let error = (found - expected).abs() / expected.abs();
            assert!(error < 1e-4, "{found} for {expected}");
        }
    }
}
