//! Contrast over ranks, beside one process with batches as large as those of all ranks.
//!
//! The generator has no batch norm and no dropout, and the contrast is the whole loss, so nothing else depends on
//! which studies share a batch.

use std::fs;
use std::path::{Path, PathBuf};

use ithn::burn::module::Module;
use ithn::burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use ithn::burn::tensor::activation::log_softmax;
use ithn::burn::tensor::{Device, Tensor};
use ithn::checkpoint::Checkpoint;
use ithn::config::{ExperimentConfig, GeneratorConfig, ModelConfig};
use ithn::generator::config::{NonNegative, Positive};
use ithn::generator::{
    EncodedStudies, ReportGenerator, StepDecoder, StudyBatch, TokenBatch, row_indices, token_column,
};
use ithn::plugin::LossWeights;
use ithn::train::{Console, EpochRecord, Ranks, StepRecord, Verbosity, run_experiment_with};

use super::job::*;
use super::tiny::{options, tiny};

const BATCH: &str = "ITHN_RANKS_BATCH";
const OVER_RANKS: &str = "ITHN_RANKS_CONTRAST";
const LIMIT: &str = "ITHN_RANKS_LIMIT";

const SIZE: usize = 16;
const WIDTH: usize = 12;

/// The next word depends on the last one and on the pixels of the only view.
#[derive(Module, Debug)]
struct Bigram {
    pixels: Linear,
    words: Embedding,
    logits: Linear,
}

impl Bigram {
    fn new(vocabulary: usize, device: &Device) -> Self {
        Bigram {
            pixels: LinearConfig::new(3 * SIZE * SIZE, WIDTH).init(device),
            words: EmbeddingConfig::new(vocabulary, WIDTH).init(device),
            logits: LinearConfig::new(WIDTH, vocabulary).init(device),
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
        Tensor::zeros([batch, WIDTH], &self.logits.weight.device())
    }

    fn hidden_states(&self, image: &Tensor<2>, reports: &TokenBatch) -> Tensor<3> {
        let words = self.words.forward(reports.inputs().clone());
        (words + image.clone().unsqueeze_dim(1)).tanh()
    }

    fn log_probs(&self, hidden: Tensor<3>) -> Tensor<3> {
        log_softmax(self.logits.forward(hidden), 2)
    }

    fn pooled_width(&self) -> usize {
        WIDTH
    }

    fn hidden_width(&self) -> usize {
        WIDTH
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

fn config() -> ExperimentConfig {
    let mut config = tiny();
    config.model = ModelConfig::custom("bigram", 1);
    config.model.generator = GeneratorConfig::Custom {
        name: "bigram".to_owned(),
        sizes: serde_json::Value::Null,
    };
    config.images.size = SIZE;
    config.ithn.hold_report_states = false;
    config.ithn.weights = LossWeights::literal(0.0, 1.0, 0.3);
    config.ithn.contrast_over_ranks = asked::<usize>(OVER_RANKS).is_some();
    let training = &mut config.training;
    training.epochs = 2;
    training.batch_size = asked(BATCH).expect("it is told");
    training.accumulate = asked(ACCUMULATE).expect("it is told");
    training.guards.largest_gradient_norm = None;
    // Steps in proportion to gradients: rounding stays small where they are.
    training.optimizer.epsilon = Positive::literal(1.0);
    training.optimizer.learning_rate = NonNegative::literal(0.3);
    training.optimizer.backbone_learning_rate = NonNegative::literal(0.3);
    training.optimizer.warmup_steps = 0;
    config
}

/// The child: trains at one rank.
#[test]
fn child() {
    let Some(out) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let ranks = Ranks::start().expect("the launcher is known");
    let mut options = options(out.parent().expect("the run has a parent"), &out);
    options.limit = asked(LIMIT);
    options.exact = asked::<usize>(EXACT).is_some();
    options.ranks = ranks.clone();
    let mut console = Console::new(Verbosity::Quiet);
    if let Err(error) = run_experiment_with(&config(), &options, Bigram::new, &mut console) {
        if ranks.is_first() {
            eprintln!("error: {error}");
        }
        drop((options, ranks));
        std::process::exit(2);
    }
}

fn job(out: &Path, ranks: usize, batch: usize, accumulate: usize, limit: usize) -> Job<'_> {
    Job::new(out, ranks, accumulate)
        .of_child("contrast::child")
        .with(BATCH, batch)
        .with(LIMIT, limit)
}

fn step_records(out: &Path) -> Vec<StepRecord> {
    let text = fs::read_to_string(out.join("steps.jsonl")).expect("written");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect()
}

/// Everything of a run that the contrast moves.
fn numbers(out: &Path) -> Vec<(String, f32)> {
    let mut numbers = Vec::new();
    for record in step_records(out) {
        let values = [
            ("gradient norm", record.gradient_norm),
            ("total", record.total),
            ("contrastive", record.contrastive),
            ("separation", record.separation),
            ("z·u", record.positive_similarity),
            ("z·u⁻", record.negative_similarity),
            ("z·ũ", record.hardened_similarity),
        ];
        let named = |(name, value)| (format!("{name} of step {}", record.step), value);
        numbers.extend(values.map(named));
    }
    let epochs = fs::read_to_string(out.join("epochs.jsonl")).expect("written");
    for line in epochs.lines() {
        let record: EpochRecord = serde_json::from_str(line).expect("a record");
        let alignment = record.alignment.expect("negatives");
        numbers.push((format!("τ1 of {}", record.epoch), alignment.tau_1));
        numbers.push((format!("τ3 of {}", record.epoch), alignment.tau_3));
    }
    let checkpoint = Checkpoint::load(&out.join("last.ithn")).expect("whole");
    let device = Device::default();
    let generator = Bigram::new(checkpoint.header.tokenizer.vocabulary(), &device);
    let model = checkpoint.header.config.ithn.init(generator, &device);
    let model = checkpoint.restore_model(model).expect("the same sizes");
    let Bigram { pixels, words, .. } = model.generator;
    let heads = model.alignment.heads;
    let weights = [
        pixels.weight,
        words.weight,
        heads.image.weight,
        heads.report.weight,
    ];
    for (place, weight) in weights.into_iter().enumerate() {
        let values = weight.val().into_data();
        let named = |value| (format!("weight {place}"), value);
        numbers.extend(values.iter::<f32>().map(named));
    }
    numbers
}

fn assert_close(expected: &Path, actual: &Path) {
    let (expected, other) = (numbers(expected), numbers(actual));
    assert_eq!(expected.len(), other.len(), "{}", actual.display());
    for ((name, expected), (_, other)) in expected.iter().zip(&other) {
        assert!(
            (expected - other).abs() <= 1e-3 * expected.abs().max(0.1),
            "{name} of {}: {expected}, {other}",
            actual.display()
        );
    }
}

/// The law, on the studies of a folder.
pub fn is_that_of_one_larger_batch(folder: &Path) {
    let out = |name: &str| folder.join(name);

    // Two ranks, of which the second has nothing in the last step of an epoch.
    let [one, two] = [out("one-8"), out("two-4")];
    job(&one, 1, 8, 1, 49).with(OVER_RANKS, 1).complete();
    job(&two, 2, 4, 1, 49).with(OVER_RANKS, 1).complete();
    assert_eq!(steps(&one), 14);
    assert_close(&one, &two);
    // Without the option the same ranks train something else.
    let apart = out("apart");
    job(&apart, 2, 4, 1, 49).complete();
    let contrastive = |out: &Path| step_records(out)[0].contrastive;
    assert!((contrastive(&one) - contrastive(&apart)).abs() > 0.1);

    // One process alone is as without the option.
    let plain = out("plain");
    job(&plain, 1, 8, 1, 49).complete();
    assert_eq!(
        fs::read(plain.join("steps.jsonl")).ok(),
        fs::read(one.join("steps.jsonl")).ok()
    );

    // Three ranks, whose batches differ in size in the last step.
    let [one, three] = [out("one-12"), out("three-4")];
    job(&one, 1, 12, 1, 53).complete();
    job(&three, 3, 4, 1, 53).with(OVER_RANKS, 1).complete();
    assert_close(&one, &three);

    // Two batches a rank and step: those of one index are contrasted.
    let [one, two, exact] = [out("one-8-2"), out("two-4-2"), out("two-4-2-exact")];
    job(&one, 1, 8, 2, 53).complete();
    job(&two, 2, 4, 2, 53).with(OVER_RANKS, 1).complete();
    assert_close(&one, &two);
    let job = job(&exact, 2, 4, 2, 53).with(OVER_RANKS, 1);
    job.with(EXACT, 1).complete();
    assert_close(&one, &exact);
}
