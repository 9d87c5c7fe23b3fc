//! A generator from outside the library, in one file: laws, training, resuming, and reports from its
//! checkpoint. Its name is on no list; whoever loads its checkpoint builds it.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use ithn_checkpoint::config::{ExperimentConfig, GeneratorConfig, ModelConfig, Preset};
use ithn_checkpoint::{Checkpoint, CheckpointHeader};
use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_data::{OnBadStudy, Split};
use ithn_generator::laws::{Laws, check};
use ithn_generator::{
    EncodedStudies, ReportGenerator, StepDecoder, StudyBatch, TokenBatch, row_indices, token_column,
};
use ithn_inference::ReportWriter;
use ithn_search::SearchConfig;
use ithn_train::{
    Console, DataSource, Dataset, EpochPlan, EpochRecord, ExperimentOptions, Interrupt, Observer,
    Prediction, SplitScores, StepRecord, TrainError, Verbosity, run_experiment,
    run_experiment_with,
};
use serde_json::json;

const SIZE: usize = 16;

/// The next word depends on the last one and on the pixels of the only view.
#[derive(Module, Debug)]
struct Bigram {
    pixels: Linear,
    words: Embedding,
    logits: Linear,
}

impl Bigram {
    fn new(vocabulary: usize, width: usize, device: &Device) -> Self {
        Bigram {
            pixels: LinearConfig::new(3 * SIZE * SIZE, width).init(device),
            words: EmbeddingConfig::new(vocabulary, width).init(device),
            logits: LinearConfig::new(width, vocabulary).init(device),
        }
    }
}

impl ReportGenerator for Bigram {
    /// Image feature, `[batch, width]`.
    type Context = Tensor<2>;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<Tensor<2>> {
        let image = self.pixels.forward(studies.images.flatten(1, 4)).tanh();
        EncodedStudies {
            context: image.clone(),
            pooled: image,
        }
    }

    fn imageless_context(&self, batch: usize) -> Tensor<2> {
        Tensor::zeros([batch, self.hidden_width()], &self.logits.weight.device())
    }

    fn hidden_states(&self, image: &Tensor<2>, reports: &TokenBatch) -> Tensor<3> {
        let words = self.words.forward(reports.inputs().clone());
        (words + image.clone().unsqueeze_dim(1)).tanh()
    }

    fn log_probs(&self, hidden: Tensor<3>) -> Tensor<3> {
        log_softmax(self.logits.forward(hidden), 2)
    }

    fn pooled_width(&self) -> usize {
        self.hidden_width()
    }

    fn hidden_width(&self) -> usize {
        self.logits.weight.dims()[0]
    }
}

impl StepDecoder for Bigram {
    type State = Tensor<2>;

    fn start(&self, studies: StudyBatch) -> Tensor<2> {
        self.encode(studies).context
    }

    fn step(&self, tokens: &[u32], image: &mut Tensor<2>) -> Tensor<2> {
        let words = self.words.forward(token_column(tokens, &image.device()));
        let hidden = (words + image.clone().unsqueeze_dim(1)).tanh();
        self.log_probs(hidden).squeeze_dim(1)
    }

    fn reorder(&self, image: Tensor<2>, rows: &[usize]) -> Tensor<2> {
        let rows = row_indices(rows, &image.device());
        image.select(0, rows)
    }
}

/// Two epochs of eight studies; the generator's width is saved with the run.
fn config() -> ExperimentConfig {
    let mut config = Preset::Phantom.config();
    config.model = ModelConfig::custom("bigram", 1);
    config.model.generator = GeneratorConfig::Custom {
        name: "bigram".to_owned(),
        sizes: json!({ "width": 12 }),
    };
    config.ithn.projection_width = 6;
    config.training.epochs = 2;
    config.training.batch_size = 4;
    config.text.minimum_occurrences = 1;
    config.images.size = SIZE;
    config.decoding = SearchConfig::beam(8, 2);
    config
}

/// The generator of a configuration.
fn build(config: &ExperimentConfig) -> impl Fn(usize, &Device) -> Bigram + use<> {
    let GeneratorConfig::Custom { sizes, .. } = &config.model.generator else {
        panic!("the run's generator is from outside");
    };
    let width = sizes["width"].as_u64().expect("saved by the run") as usize;
    move |vocabulary, device| Bigram::new(vocabulary, width, device)
}

fn options(folder: &Path, name: &str) -> ExperimentOptions {
    let studies = folder.join("studies");
    let cohort = PhantomConfig::new(8, 2, 2).with_image_size(SIZE as u32);
    write_phantom_dataset(&studies, &cohort).expect("drawn");
    let source = DataSource::mimic(studies);
    ExperimentOptions::new(source, folder.join(name), Device::default())
}

fn train(config: &ExperimentConfig, options: &ExperimentOptions) -> Result<(), TrainError> {
    let mut console = Console::new(Verbosity::Quiet);
    run_experiment_with(config, options, build(config), &mut console).map(drop)
}

/// The generator's weights in a checkpoint.
fn weights(checkpoint: &Path, config: &ExperimentConfig) -> [TensorData; 3] {
    let checkpoint = Checkpoint::load(checkpoint).expect("readable");
    let device = Device::default();
    let generator = build(config)(checkpoint.header.tokenizer.vocabulary(), &device);
    let model = config.ithn.init(generator, &device);
    let Bigram {
        pixels,
        words,
        logits,
    } = checkpoint
        .restore_model(model)
        .expect("the same sizes")
        .generator;
    [pixels.weight, words.weight, logits.weight].map(|weight| weight.val().into_data())
}

/// Lets one test run at a time: the CPU backend has one random generator for the process, and what another
/// test draws would change a run's dropout.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn it_keeps_the_laws() {
    let _alone = alone();
    let device = Device::default();
    let laws = Laws::new(9, &device).with_image_size(SIZE);
    check(&Bigram::new(9, 12, &device), &laws).unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn it_trains_saves_loads_and_resumes() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let config = config();
    let whole = options(folder.path(), "whole");
    train(&config, &whole).expect("it trains");

    // The checkpoint says how it was built, and gives the reports that the run wrote.
    let best = whole.out.join("best.ithn");
    let saved = CheckpointHeader::load(&best).expect("readable").config;
    assert_eq!(saved.model, config.model);
    let writer = ReportWriter::from_checkpoint_with(&best, &whole.device, build(&saved));
    let writer = writer.expect("what was built for training");
    let dataset = Dataset::load(&whole.source, 1, None, OnBadStudy::Stop).expect("readable");
    let predictions = std::fs::read_to_string(whole.out.join("predictions.csv")).expect("written");
    for study in dataset.split(Split::Test) {
        let text = writer.report(&study.images).expect("readable").text;
        let row = predictions.lines().find(|row| row.contains(&study.id));
        assert!(row.expect("every study").contains(&text), "{text}");
    }

    // Stopped after its first step and resumed, a run ends with the same weights.
    let mut stopped = options(folder.path(), "stopped");
    stopped.interrupt.raise();
    let error = train(&config, &stopped).expect_err("it stops");
    assert!(matches!(error, TrainError::Interrupted { .. }), "{error}");
    stopped.interrupt = Interrupt::default();
    stopped.resume = true;
    train(&config, &stopped).expect("it resumes");
    let last = |options: &ExperimentOptions| weights(&options.out.join("last.ithn"), &config);
    assert_eq!(last(&stopped), last(&whole));
}

/// Raises the interrupt at a step.
struct StopsAt(usize, Interrupt);

impl Observer for StopsAt {
    fn step_ends(&mut self, record: &StepRecord) {
        if record.step == self.0 {
            self.1.raise();
        }
    }

    fn epoch_begins(&mut self, _: &EpochPlan) {}
    fn writing(&mut self, _: &str, _: usize, _: usize) {}
    fn epoch_ends(&mut self, _: &EpochRecord) {}
    fn note(&mut self, _: &str) {}
    fn results(&mut self, _: &[(&str, &SplitScores)]) {}
    fn examples(&mut self, _: &[Prediction]) {}
}

#[test]
fn negatives_that_are_mined_again_survive_an_interruption_within_their_epoch() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.mine_again = true;
    let whole = options(folder.path(), "whole");
    train(&config, &whole).expect("it trains");
    let mined = |options: &ExperimentOptions| {
        std::fs::read_to_string(options.out.join("negatives.json")).expect("written")
    };
    assert!(mined(&whole).contains("\"epoch\": 2"), "{}", mined(&whole));

    // Two steps an epoch: the third is the first of the second epoch.
    let mut stopped = options(folder.path(), "stopped");
    let mut observer = StopsAt(3, stopped.interrupt.clone());
    let error = run_experiment_with(&config, &stopped, build(&config), &mut observer);
    let error = error.expect_err("it stops");
    assert!(matches!(error, TrainError::Interrupted { .. }), "{error}");
    stopped.interrupt = Interrupt::default();
    stopped.resume = true;
    // Negatives of another epoch are not taken for those of this one.
    let path = stopped.out.join("negatives.json");
    let own = mined(&stopped);
    std::fs::write(&path, own.replace("\"epoch\": 2", "\"epoch\": 1")).expect("writable");
    let error = train(&config, &stopped).expect_err("other negatives");
    assert!(error.to_string().contains("negatives.json"), "{error}");
    std::fs::write(&path, &own).expect("writable");
    train(&config, &stopped).expect("it resumes");
    assert_eq!(mined(&stopped), mined(&whole));
    let last = |options: &ExperimentOptions| weights(&options.out.join("last.ithn"), &config);
    assert_eq!(last(&stopped), last(&whole));
}

#[test]
fn what_only_its_author_can_do_is_refused_by_name() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let options = options(folder.path(), "run");
    let error = run_experiment(&config(), &options, &mut Console::new(Verbosity::Quiet));
    let TrainError::Config(error) = error.expect_err("the library cannot build it") else {
        panic!("a configuration error");
    };
    assert_eq!(error.key(), "model.generator.kind");
    assert!(
        error.reason().contains("'bigram'") && error.reason().contains("run_experiment_with"),
        "{error}"
    );
}
