//! Pretraining from end to end on drawn studies, and a training that takes its weights.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use ithn_backbone::ResNetConfig;
use ithn_checkpoint::config::{ConfigError, Preset};
use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_generator::config::Probability;
use ithn_metrics::FindingClass;
use ithn_search::SearchConfig;
use ithn_train::pretrain::{
    FindingsClassifier, LabelSource, PretrainConfig, PretrainConsole, PretrainEpoch,
    PretrainObserver, PretrainOptions, PretrainPreset, PretrainResults, pretrain, score_classifier,
};
use ithn_train::{
    Console, DataSource, ExperimentOptions, Interrupt, TrainError, Verbosity, run_experiment,
};

/// Random numbers of the CPU backend are one stream per process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config() -> PretrainConfig {
    let mut config = PretrainPreset::Phantom.config();
    config.backbone = ResNetConfig::narrow(4, vec![1, 1]).into();
    config.images.size = 32;
    config.epochs = 2;
    config.batch_size = 8;
    config.least_positives = 1;
    config.weight_averaging = Some(Probability::literal(0.5));
    config
}

fn options(folder: &Path, name: &str) -> PretrainOptions {
    let studies = folder.join("studies");
    let cohort = PhantomConfig::new(24, 12, 8)
        .with_image_size(32)
        .with_seed(5);
    write_phantom_dataset(&studies, &cohort).expect("drawn");
    PretrainOptions::new(
        DataSource::mimic(studies),
        folder.join(name),
        Device::default(),
    )
}

fn run(config: &PretrainConfig, options: &PretrainOptions) -> Result<PretrainResults, TrainError> {
    pretrain(config, options, &mut PretrainConsole::new(true))
}

#[test]
fn a_classifier_is_scored_saved_and_becomes_the_backbone_of_a_training() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (config, options) = (config(), options(folder.path(), "eyes"));
    let results = run(&config, &options).expect("it runs");
    let test = results.test.as_ref().expect("it is scored");
    assert_eq!((results.validation.studies, test.studies), (12, 8));
    assert_eq!(test.classes.len(), FindingClass::COUNT - 1);
    assert!(results.labels.starts_with("rules-14"), "{}", results.labels);
    for file in [
        "config.json",
        "epochs.jsonl",
        "metrics.json",
        "probabilities.csv",
    ] {
        assert!(options.out.join(file).is_file(), "{file}");
    }
    let table = std::fs::read_to_string(options.out.join("probabilities.csv")).expect("written");
    assert_eq!(table.lines().count(), 1 + 12 + 8);

    let weights = options.out.join("best.safetensors");
    let (_, header) = FindingsClassifier::load(&weights, &options.device).expect("readable");
    assert_eq!(
        (&header.config, header.epoch),
        (&config, results.best_epoch)
    );

    let mut scoring = options.clone();
    scoring.out = folder.path().join("scores");
    let again = score_classifier(&weights, &scoring, &mut PretrainConsole::new(true));
    let again = again.expect("a classifier");
    assert_eq!(
        (&again.validation, &again.test),
        (&results.validation, &results.test)
    );

    let mut training = Preset::Phantom.config();
    *training
        .model
        .generator
        .backbone_mut()
        .expect("the library's") = config.backbone.clone();
    training.training.epochs = 1;
    training.training.freeze_backbone = true;
    training.text.minimum_occurrences = 1;
    training.images.size = 32;
    training.decoding = SearchConfig::greedy(6);
    let out = folder.path().join("words");
    let mut of_training = ExperimentOptions::new(options.source.clone(), out, Device::default());
    of_training.backbone_weights = Some(weights);
    let mut console = Console::new(Verbosity::Quiet);
    run_experiment(&training, &of_training, &mut console).expect("it takes the weights");

    let other = ResNetConfig::narrow(6, vec![1, 1]).into();
    *training
        .model
        .generator
        .backbone_mut()
        .expect("the library's") = other;
    of_training.out = folder.path().join("other words");
    let error = run_experiment(&training, &of_training, &mut console).expect_err("other sizes");
    assert!(error.to_string().contains("conv1.weight"), "{error}");
}

#[test]
fn the_same_seed_gives_the_same_scores_and_another_run_is_not_overwritten() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (config, mut options) = (config(), options(folder.path(), "first"));
    options.score_test = false;
    let first = run(&config, &options).expect("it runs");
    assert_eq!(first.test, None);
    let error = run(&config, &options).expect_err("there is a run");
    assert!(matches!(error, TrainError::OutputInUse(_)), "{error}");
    options.out = folder.path().join("second");
    let second = run(&config, &options).expect("it runs");
    assert_eq!(
        (first.best_epoch, first.validation),
        (second.best_epoch, second.validation)
    );
}

/// One epoch, a stop, and the rest give the scores of a run that was never stopped.
#[test]
fn a_stopped_run_goes_on_as_if_it_had_not_been() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.epochs = 3;
    let mut options = options(folder.path(), "whole");
    let whole = run(&config, &options).expect("it runs");

    options.out = folder.path().join("stopped");
    let mut stopping = Stopping(Interrupt::default());
    options.interrupt = stopping.0.clone();
    let error = pretrain(&config, &options, &mut stopping).expect_err("stopped");
    assert!(
        matches!(error, TrainError::PretrainingStopped { epoch: 2, .. }),
        "{error}"
    );
    options.interrupt = Interrupt::default();
    options.resume = true;
    let mut other = config.clone();
    other.seed += 1;
    let error = run(&other, &options).expect_err("another configuration");
    assert!(error.to_string().contains("config.json"), "{error}");
    let resumed = run(&config, &options).expect("it goes on");
    assert_eq!(
        (whole.best_epoch, whole.validation, whole.test),
        (resumed.best_epoch, resumed.validation, resumed.test)
    );
}

/// Raises an interrupt at the end of the first epoch.
struct Stopping(Interrupt);

impl PretrainObserver for Stopping {
    fn note(&mut self, _: &str) {}

    fn epoch_ends(&mut self, _: &PretrainEpoch) {
        self.0.raise();
    }
}

#[test]
fn what_cannot_be_learnt_is_said() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = options(folder.path(), "failing");
    let mut rare = config();
    rare.least_positives = 100;
    let error = run(&rare, &options).expect_err("few positives");
    assert!(matches!(error, TrainError::NoPositives { .. }), "{error}");

    options.out = folder.path().join("table");
    let table = folder.path().join("labels.csv");
    std::fs::write(&table, "study_id,Edema\n1,1\n").expect("writable");
    options.labels = LabelSource::Table(table);
    let error = run(&config(), &options).expect_err("no such columns");
    assert!(!options.out.exists());
    assert!(error.to_string().contains("labels.csv"), "{error}");

    options.labels = LabelSource::Reports;
    let mut large = config();
    large.batch_size = 100;
    let error = run(&large, &options).expect_err("few studies");
    assert!(matches!(error, TrainError::BatchTooLarge { .. }), "{error}");
    let mut wrong = config();
    wrong.classes.clear();
    let error = run(&wrong, &options).expect_err("no class");
    let key = |error: &TrainError| match error {
        TrainError::Config(error) => ConfigError::key(error).to_owned(),
        _ => String::new(),
    };
    assert_eq!(key(&error), "classes");

    options.interrupt = Interrupt::default();
    options.interrupt.raise();
    let error = run(&config(), &options).expect_err("stopped");
    assert!(
        matches!(error, TrainError::PretrainingStopped { .. }),
        "{error}"
    );
}
