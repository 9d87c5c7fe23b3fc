//! The whole job, small, with generators of this library and from outside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ithn_backbone::ResNetConfig;
use ithn_data::OnBadStudy;
use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_metrics::evaluation::read_ranked;
use ithn_search::SearchConfig;

use super::*;
use crate::{DataSource, EpochPlan, EpochRecord, StepRecord};
use ithn_checkpoint::card::{CardData, Clock, DataKind};
use ithn_checkpoint::config::{GeneratorKind, ModelConfig, Preset};
use ithn_inference::ReportWriter;
use ithn_models::{AttentiveLstmConfig, CnnLstm, CnnLstmConfig};

struct Silent;

impl Observer for Silent {
    fn epoch_begins(&mut self, _: &EpochPlan) {}
    fn step_ends(&mut self, _: &StepRecord) {}
    fn writing(&mut self, _: &str, _: usize, _: usize) {}
    fn epoch_ends(&mut self, _: &EpochRecord) {}
    fn note(&mut self, _: &str) {}
    fn results(&mut self, _: &[(&str, &SplitScores)]) {}
    fn examples(&mut self, _: &[Prediction]) {}
}

fn config(kind: GeneratorKind) -> ExperimentConfig {
    let mut config = Preset::Phantom.config().with_generator(kind);
    if let Some(backbone) = config.model.generator.backbone_mut() {
        *backbone = ResNetConfig::narrow(4, vec![1, 1]).into();
    }
    config.training.epochs = 1;
    config.training.batch_size = 4;
    config.text.minimum_occurrences = 1;
    config.images.size = 32;
    config.decoding = SearchConfig::greedy(12);
    config
}

fn options(folder: &Path, name: &str) -> ExperimentOptions {
    let studies = folder.join("studies");
    let cohort = PhantomConfig::new(8, 2, 4)
        .with_near_twin_share(0.5)
        .with_image_size(32)
        .with_seed(5);
    write_phantom_dataset(&studies, &cohort).expect("drawn");
    ExperimentOptions::new(
        DataSource::mimic(studies),
        folder.join(name),
        Device::default(),
    )
}

/// Test image and what the run wrote of it.
fn first_prediction(options: &ExperimentOptions) -> (PathBuf, String) {
    let dataset = Dataset::load(&options.source, 1, None, OnBadStudy::Stop).expect("readable");
    let study = dataset.split(Split::Test).next().expect("there is one");
    let mut table = csv::Reader::from_path(options.out.join("predictions.csv")).expect("written");
    let row = table
        .records()
        .map(|row| row.expect("well formed"))
        .find(|row| row[0] == study.id)
        .expect("every study is there");
    (study.images[0].clone(), row[2].to_owned())
}

#[test]
fn every_generator_trains_ranks_and_writes_from_its_checkpoint() {
    let _turn = crate::take_turns();
    let folder = tempfile::tempdir().expect("a folder");
    for kind in GeneratorKind::ALL {
        let mut options = options(folder.path(), kind.name());
        options.clock = Clock::Fixed(UNIX_EPOCH);
        let mut config = config(kind);
        config.ithn.mask_equal_labels = kind == GeneratorKind::CnnLstm;
        let results = run_experiment(&config, &options, &mut Silent).expect("it runs");
        let ranking = results.ranking.expect("it ranks");
        assert_eq!(ranking.near_twins.expect("drawn as such").studies, 2);
        assert!(ranking.retrieval.expect("trained").median_rank >= 1.0);
        let ranked = read_ranked(&options.out.join("retrieval.csv")).expect("left behind");
        assert_eq!(RankingScores::of(&ranked).expect("finite"), ranking);

        assert_eq!(results.floors.composed.len(), 3);
        let expected = results.floors.unbeaten_by(&results.test);
        assert_eq!(results.unbeaten, expected);
        let page = std::fs::read_to_string(options.out.join("report.html")).expect("written");
        assert!(page.contains("floor: composed for BLEU-4"));
        for line in &results.unbeaten {
            assert!(page.contains(line.as_str()), "{line}");
        }
        let saved = std::fs::read(options.out.join("metrics.json")).expect("written");
        let saved: ExperimentResults = serde_json::from_slice(&saved).expect("readable");
        let reports = |floors: &Floors| -> Vec<String> {
            let composed = floors.composed.iter();
            composed.map(|floor| floor.report.clone()).collect()
        };
        assert_eq!(reports(&saved.floors), reports(&results.floors));

        let best = options.out.join("best.ithn");
        let writer = ReportWriter::from_checkpoint(&best, &options.device).expect("any generator");
        let card = writer.card().card.clone().expect("saved with it");
        let data = card.data.expect("known");
        assert_eq!(data, CardData::new(DataKind::Phantom, [8, 2, 4]));
        assert_eq!(card.written.expect("dated").to_string(), "1970-01-01");
        let score = &card.scores[1];
        assert_eq!(
            (score.name.as_str(), score.split.as_str()),
            ("model", "test")
        );
        // JSON keeps all but the last digit.
        assert!((score.values["bleu_4"] - results.test.bleu_4).abs() < 1e-12);
        assert!(writer.card().caution().is_some());
        let (image, expected) = first_prediction(&options);
        assert_eq!(writer.report([image]).expect("readable").text, expected);
    }
}

#[test]
fn a_generator_from_outside_is_trained_and_loaded_by_whoever_builds_it() {
    let _turn = crate::take_turns();
    let folder = tempfile::tempdir().expect("a folder");
    let build = |vocabulary: usize, device: &Device| -> CnnLstm {
        let backbone = ResNetConfig::narrow(2, vec![1]);
        CnnLstmConfig::new(backbone, AttentiveLstmConfig::new(6, 6, 6)).init(vocabulary, 1, device)
    };
    let mut config = config(GeneratorKind::R2GenCmn);
    config.model = ModelConfig::custom("mine", 1);
    let mut options = options(folder.path(), "mine");
    run_experiment_with(&config, &options, build, &mut Silent).expect("it runs");

    let best = options.out.join("best.ithn");
    let error = ReportWriter::from_checkpoint(&best, &options.device).unwrap_err();
    assert!(
        error.to_string().contains("from_checkpoint_with"),
        "{error}"
    );
    let writer =
        ReportWriter::from_checkpoint_with(&best, &options.device, build).expect("its builder");
    let (image, expected) = first_prediction(&options);
    assert_eq!(writer.report([image]).expect("readable").text, expected);

    options.out = folder.path().join("another");
    let error = run_experiment(&config, &options, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("'mine'"), "{error}");
}

/// Remembers the epochs it hears of.
#[derive(Default)]
struct Epochs {
    before: Vec<EpochRecord>,
    heard: Vec<EpochRecord>,
    /// Last call for each kind of work.
    worked: BTreeMap<String, (usize, usize)>,
}

impl Observer for Epochs {
    fn resumes(&mut self, history: &[EpochRecord]) {
        self.before = history.to_vec();
    }
    fn epoch_begins(&mut self, _: &EpochPlan) {}
    fn step_ends(&mut self, _: &StepRecord) {}
    fn writing(&mut self, _: &str, _: usize, _: usize) {}
    fn working(&mut self, work: &str, done: usize, total: usize) {
        self.worked.insert(work.to_owned(), (done, total));
    }
    fn epoch_ends(&mut self, record: &EpochRecord) {
        self.heard.push(record.clone());
    }
    fn note(&mut self, _: &str) {}
    fn results(&mut self, _: &[(&str, &SplitScores)]) {}
    fn examples(&mut self, _: &[Prediction]) {}
}

#[test]
fn whoever_watches_a_resumed_run_learns_what_was_before() {
    let _turn = crate::take_turns();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(GeneratorKind::R2GenCmn);
    let mut options = options(folder.path(), "watched");
    let mut first = Epochs::default();
    run_experiment(&config, &options, &mut first).expect("it runs");
    assert_eq!((first.before.len(), first.heard.len()), (0, 1));
    for work in [
        "reading reports",
        "mining first negatives",
        "comparing images for the floor",
    ] {
        let (done, total) = first.worked[work];
        assert!(done == total && total > 0, "{work}: {done} of {total}");
    }

    config.training.epochs = 2;
    options.resume = true;
    let mut second = Epochs::default();
    run_experiment(&config, &options, &mut second).expect("it goes on");
    let place = |epochs: &[EpochRecord]| -> Vec<_> {
        let losses = epochs.iter().map(|record| record.losses.total);
        epochs
            .iter()
            .map(|record| record.step)
            .zip(losses)
            .collect()
    };
    assert_eq!(place(&second.before), place(&first.heard));
    assert_eq!(second.heard.len(), 1);
}

/// The files of features in a folder.
fn feature_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "bin"))
        .collect()
}

/// Backbone weights and running statistics of a checkpoint.
fn backbone_state(config: &ExperimentConfig, checkpoint: &Path) -> BTreeMap<String, Vec<f32>> {
    struct State<'a>(&'a Checkpoint);
    impl GeneratorTask for State<'_> {
        type Output = BTreeMap<String, Vec<f32>>;

        fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
            let device = Device::default();
            let model = self.0.header.config.ithn.init(generator, &device);
            let model = self.0.restore_model(model).expect("it fits");
            ithn_checkpoint::import::collect_backbone_state(model.generator.backbone())
                .into_iter()
                .map(|(name, data)| (name, data.iter::<f32>().collect()))
                .collect()
        }
    }
    let checkpoint = Checkpoint::load(checkpoint).expect("readable");
    let vocabulary = checkpoint.header.tokenizer.vocabulary();
    let task = State(&checkpoint);
    config
        .model
        .build(vocabulary, &Device::default(), task)
        .expect("a generator of this library")
}

/// Features that are kept give the losses of features that are computed each time; jitter within limits
/// of 0 changes no pixel, but keeps features from being kept.
#[test]
fn a_frozen_backbone_stays_and_kept_features_give_the_same_losses_and_reports() {
    let _turn = crate::take_turns();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(GeneratorKind::R2GenCmn);
    config.training.freeze_backbone = true;
    config.training.epochs = 2;
    let kept = options(folder.path(), "kept");
    let mut of_kept = Epochs::default();
    run_experiment(&config, &kept, &mut of_kept).expect("it runs");
    assert_eq!(feature_files(&kept.out).len(), 1);
    let (done, total) = of_kept.worked["computing features of the frozen backbone"];
    assert!(done == total && total == 14, "{done} of {total}");

    let nothing = serde_json::json!({
        "kind": "jitter", "rotation": 0.0, "scale": 0.0, "shift": 0.0, "contrast": 0.0,
        "brightness": 0.0,
    });
    let mut each_time = config.clone();
    each_time.images.augmentation = serde_json::from_value(nothing).expect("readable");
    let computed = options(folder.path(), "computed");
    let mut of_computed = Epochs::default();
    run_experiment(&each_time, &computed, &mut of_computed).expect("it runs");
    assert!(feature_files(&computed.out).is_empty());
    for (kept, computed) in of_kept.heard.iter().zip(&of_computed.heard) {
        let difference = (kept.losses.total - computed.losses.total).abs();
        assert!(difference < 1e-4, "{kept:?} {computed:?}");
    }
    assert_eq!(first_prediction(&kept), first_prediction(&computed));

    let state = |epoch: usize| {
        let name = format!("epoch-{epoch:05}.ithn");
        backbone_state(&config, &kept.out.join(name))
    };
    assert_eq!(state(1), state(2));
}

#[test]
fn a_resumed_run_finds_its_features_again() {
    let _turn = crate::take_turns();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(GeneratorKind::CnnLstm);
    config.training.freeze_backbone = true;
    let mut options = options(folder.path(), "frozen");
    options.cache = Some(folder.path().join("cache"));
    run_experiment(&config, &options, &mut Silent).expect("it runs");
    let files = feature_files(&folder.path().join("cache"));
    let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|it| it.modified()).ok();
    let before: Vec<_> = files.iter().map(changed).collect();
    assert_eq!(before.len(), 1);
    config.training.epochs = 2;
    options.resume = true;
    let mut resumed = Epochs::default();
    run_experiment(&config, &options, &mut resumed).expect("it goes on");
    assert_eq!(files.iter().map(changed).collect::<Vec<_>>(), before);
    assert!(
        !resumed
            .worked
            .contains_key("computing features of the frozen backbone")
    );
}
