//! A run that pretrains its own backbone: the stage comes first, its classifier tells the decoder findings, and a stopped
//! run goes on in either stage.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use ithn_backbone::ResNetConfig;
use ithn_checkpoint::config::{
    ConfigError, ExperimentConfig, GeneratorConfig, Preset, PretrainConfig, PretrainPreset,
};
use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_data::{OnBadStudy, Split};
use ithn_generator::config::Positive;
use ithn_inference::ReportWriter;
use ithn_models::FindingPromptsConfig;
use ithn_plugin::Classification;
use ithn_search::SearchConfig;
use ithn_train::pretrain::FindingsClassifier;
use ithn_train::{
    Console, DataSource, Dataset, EpochPlan, EpochRecord, ExperimentOptions, ExperimentResults,
    Interrupt, Observer, Prediction, Ranks, RunDescription, SplitScores, StepRecord, TrainError,
    Verbosity, config_to_resume, run_experiment,
};

/// Random numbers of the CPU backend are one stream per process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pretraining() -> PretrainConfig {
    let mut config = PretrainPreset::Phantom.config();
    config.backbone = ResNetConfig::narrow(4, vec![1, 1]).into();
    config.images.size = 32;
    config.epochs = 2;
    config.batch_size = 8;
    config.least_positives = 1;
    config
}

/// A small run with the stage, whose decoder is told findings and which classifies them, too.
fn config() -> ExperimentConfig {
    let pretraining = pretraining();
    let names: Vec<&str> = pretraining
        .classes
        .iter()
        .map(|class| class.name())
        .collect();
    let mut config = Preset::Phantom.config();
    let GeneratorConfig::R2GenCmn(sizes) = &mut config.model.generator else {
        panic!("the preset is an R2GenCMN");
    };
    sizes.backbone = pretraining.backbone.clone();
    sizes.finding_prompts = Some(FindingPromptsConfig::new(names));
    config.ithn.classification = Some(Classification::new(Positive::literal(0.3), 13));
    config.training.epochs = 2;
    config.training.batch_size = 8;
    config.training.freeze_backbone = true;
    config.text.minimum_occurrences = 1;
    config.images.size = 32;
    config.decoding = SearchConfig::greedy(8);
    config.pretraining = Some(pretraining);
    config
}

fn options(folder: &Path, name: &str) -> ExperimentOptions {
    let studies = folder.join("studies");
    let cohort = PhantomConfig::new(24, 12, 8)
        .with_image_size(32)
        .with_seed(5);
    write_phantom_dataset(&studies, &cohort).expect("drawn");
    ExperimentOptions::new(
        DataSource::mimic(studies),
        folder.join(name),
        Device::default(),
    )
}

fn run(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
) -> Result<ExperimentResults, TrainError> {
    run_experiment(config, options, &mut Console::new(Verbosity::Quiet))
}

/// Raises an interrupt at the end of an epoch of the stage, or of the training.
struct Stopping {
    interrupt: Interrupt,
    in_stage: bool,
}

impl Observer for Stopping {
    fn epoch_begins(&mut self, _: &EpochPlan) {}
    fn step_ends(&mut self, _: &StepRecord) {}
    fn writing(&mut self, _: &str, _: usize, _: usize) {}
    fn results(&mut self, _: &[(&str, &SplitScores)]) {}
    fn examples(&mut self, _: &[Prediction]) {}

    fn note(&mut self, text: &str) {
        if self.in_stage && text.starts_with("pretraining: epoch   1") {
            self.interrupt.raise();
        }
    }

    fn epoch_ends(&mut self, _: &EpochRecord) {
        self.interrupt.raise();
    }
}

#[test]
fn the_stage_leaves_its_classifier_which_tells_the_decoder_findings() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (config, options) = (config(), options(folder.path(), "run"));
    run(&config, &options).expect("it runs");
    for file in [
        "best.safetensors",
        "metrics.json",
        "probabilities.csv",
        "epochs.jsonl",
    ] {
        assert!(
            options.out.join("pretraining").join(file).is_file(),
            "{file}"
        );
    }
    let saved = ExperimentConfig::load(&options.out.join("config.json")).expect("readable");
    assert_eq!(saved, config);

    // The checkpoint alone writes the reports of the run.
    let best = options.out.join("best.ithn");
    let writer = ReportWriter::from_checkpoint(&best, &options.device).expect("readable");
    let dataset = Dataset::load(&options.source, 1, None, OnBadStudy::Stop).expect("readable");
    let predictions =
        std::fs::read_to_string(options.out.join("predictions.csv")).expect("written");
    for study in dataset.split(Split::Test) {
        let text = writer.report(&study.images).expect("readable").text;
        let row = predictions.lines().find(|row| row.contains(&study.id));
        assert!(row.expect("every study").contains(&text), "{text}");
    }

    // A later run takes the weights instead of pretraining again; they must tell what its decoder is told.
    let weights = options.out.join("pretraining/best.safetensors");
    FindingsClassifier::load(&weights, &options.device).expect("a classifier");
    let mut later = options.clone();
    later.out = folder.path().join("later");
    later.backbone_weights = Some(weights);
    run(&config, &later).expect("it takes the weights");
    assert!(!later.out.join("pretraining").exists());
    let mut other = config.clone();
    other.pretraining = None;
    other.ithn.classification = None;
    let GeneratorConfig::R2GenCmn(sizes) = &mut other.model.generator else {
        panic!("the preset is an R2GenCMN");
    };
    sizes.finding_prompts = Some(FindingPromptsConfig::new(["Edema"]));
    later.out = folder.path().join("other");
    let error = run(&other, &later).expect_err("other findings");
    assert!(error.to_string().contains("finding_prompts"), "{error}");
    later.backbone_weights = None;
    let error = run(&other, &later).expect_err("nothing reads findings");
    assert!(
        error.to_string().contains("pretrained classifier"),
        "{error}"
    );
}

#[test]
fn a_run_that_stopped_in_either_stage_ends_as_if_it_had_not() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let config = config();
    let whole = options(folder.path(), "whole");
    let expected = run(&config, &whole).expect("it runs");

    for in_stage in [true, false] {
        let mut stopped = options(folder.path(), if in_stage { "stage" } else { "training" });
        let mut stopping = Stopping {
            interrupt: stopped.interrupt.clone(),
            in_stage,
        };
        let error = run_experiment(&config, &stopped, &mut stopping).expect_err("it stops");
        match &error {
            TrainError::PretrainingStopped { folder, .. } if in_stage => {
                assert_eq!(folder, &stopped.out);
            }
            TrainError::Interrupted { .. } if !in_stage => {}
            other => panic!("{other}"),
        }
        let again = run(&config, &stopped).expect_err("there is a run");
        assert!(matches!(again, TrainError::OutputInUse(_)), "{again}");

        let saved = config_to_resume(&stopped.out, &Ranks::default(), None).expect("saved");
        assert_eq!(saved, config);
        let described = RunDescription::read(&stopped.out)
            .expect("readable")
            .expect("there");
        stopped = ExperimentOptions::going_on(described, stopped.out, Device::default());
        let resumed = run(&saved, &stopped).expect("it goes on");
        assert_eq!(
            (resumed.best_epoch, &resumed.validation, &resumed.test),
            (expected.best_epoch, &expected.validation, &expected.test)
        );
    }
}

#[test]
fn a_stage_for_another_model_is_refused_by_key() {
    let key = |change: fn(&mut ExperimentConfig)| {
        let mut config = config();
        change(&mut config);
        config
            .validate()
            .map_err(|error: ConfigError| error.key().to_owned())
    };
    assert_eq!(key(|_| {}), Ok(()));
    fn stage(config: &mut ExperimentConfig) -> &mut PretrainConfig {
        config.pretraining.as_mut().expect("there is a stage")
    }
    type Change = fn(&mut ExperimentConfig);
    let wrong: [(Change, &str); 6] = [
        (|config| stage(config).views = 2, "pretraining.views"),
        (
            |config| stage(config).images.size = 64,
            "pretraining.images.size",
        ),
        (
            |config| stage(config).backbone = ResNetConfig::narrow(6, vec![1, 1]).into(),
            "pretraining.backbone",
        ),
        (
            |config| _ = stage(config).classes.pop(),
            "pretraining.classes",
        ),
        (|config| stage(config).epochs = 0, "pretraining.epochs"),
        (
            |config| config.training.freeze_backbone = false,
            "training.freeze_backbone",
        ),
    ];
    for (change, expected) in wrong {
        assert_eq!(key(change), Err(expected.to_owned()));
    }
}
