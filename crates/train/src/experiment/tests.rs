//! The whole job, small, with generators of this library and from outside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use ithn_backbone::ResNetConfig;
use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_metrics::evaluation::read_ranked;
use ithn_search::SearchConfig;

use super::*;
use crate::{EpochPlan, EpochRecord, StepRecord};
use ithn_checkpoint::card::{CardData, DataKind};
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
        *backbone = ResNetConfig::narrow(4, vec![1, 1]);
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
    let folder = tempfile::tempdir().expect("a folder");
    for kind in GeneratorKind::ALL {
        let mut options = options(folder.path(), kind.name());
        options.clock = Clock::Fixed(UNIX_EPOCH);
        let results = run_experiment(&config(kind), &options, &mut Silent).expect("it runs");
        let ranking = results.ranking.expect("it ranks");
        assert_eq!(ranking.near_twins.expect("drawn as such").studies, 2);
        assert!(ranking.retrieval.expect("trained").median_rank >= 1.0);
        let ranked = read_ranked(&options.out.join("retrieval.csv")).expect("left behind");
        assert_eq!(RankingScores::of(&ranked).expect("finite"), ranking);

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
