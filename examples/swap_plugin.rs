//! ITHN around a generator of your own: this one lives in this file and knows nothing of it.
//!
//! ```text
//! cargo run --example swap_plugin
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Tensor};
use ithn::config::{ModelConfig, Preset};
use ithn::generator::{
    EncodedStudies, ReportGenerator, StepDecoder, StudyBatch, TokenBatch, row_indices, token_column,
};
use ithn::search::SearchConfig;
use ithn::train::{Console, DataSource, ExperimentOptions, RunFolder, run_experiment_with};

const WIDTH: usize = 96;

/// One layer on the pixels of the first view, and a plain recurrence over words.
#[derive(Module, Debug)]
struct Sketch {
    pixels: Linear,
    embedding: Embedding,
    word: Linear,
    recurrence: Linear,
    logits: Linear,
}

/// Reports in the making: what each row saw and what it has said, `[rows, WIDTH]`.
#[derive(Clone)]
struct Written {
    image: Tensor<2>,
    memory: Tensor<2>,
}

impl Sketch {
    fn new(vocabulary: usize, image_size: usize, device: &Device) -> Self {
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Sketch {
            pixels: linear(3 * image_size * image_size, WIDTH),
            embedding: EmbeddingConfig::new(vocabulary, WIDTH).init(device),
            word: linear(WIDTH, WIDTH),
            recurrence: linear(WIDTH, WIDTH),
            logits: linear(WIDTH, vocabulary),
        }
    }

    fn begin(&self, image: Tensor<2>) -> Written {
        let memory = image.zeros_like();
        Written { image, memory }
    }

    /// Hears a word, `[rows, WIDTH]`, and says what it makes of it.
    fn hear(&self, word: Tensor<2>, state: &mut Written) -> Tensor<2> {
        let heard = self.word.forward(word) + self.recurrence.forward(state.memory.clone());
        state.memory = (heard + state.image.clone()).tanh();
        state.memory.clone()
    }
}

/// What ITHN needs: a teacher-forced pass in three parts.
impl ReportGenerator for Sketch {
    type Context = Tensor<2>;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<Tensor<2>> {
        let pixels = studies.images.narrow(1, 0, 1).flatten(1, 4);
        let pooled = relu(self.pixels.forward(pixels));
        let context = pooled.clone();
        EncodedStudies { context, pooled }
    }

    fn imageless_context(&self, batch: usize) -> Tensor<2> {
        Tensor::zeros([batch, WIDTH], &self.logits.weight.device())
    }

    fn hidden_states(&self, image: &Tensor<2>, reports: &TokenBatch) -> Tensor<3> {
        let words = self.embedding.forward(reports.inputs().clone()).split(1, 1);
        let mut state = self.begin(image.clone());
        let said = words
            .into_iter()
            .map(|word| self.hear(word.squeeze_dim(1), &mut state).unsqueeze_dim(1));
        Tensor::cat(said.collect(), 1)
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

/// What greedy, beam and sampling search need: start, step, reorder.
impl StepDecoder for Sketch {
    type State = Written;

    fn start(&self, studies: StudyBatch) -> Written {
        self.begin(self.encode(studies).context)
    }

    fn step(&self, tokens: &[u32], state: &mut Written) -> Tensor<2> {
        let tokens = token_column(tokens, &self.logits.weight.device());
        let said = self.hear(self.embedding.forward(tokens).squeeze_dim(1), state);
        self.log_probs(said.unsqueeze_dim(1)).squeeze_dim(1)
    }

    fn reorder(&self, state: Written, rows: &[usize]) -> Written {
        let rows = row_indices(rows, &self.logits.weight.device());
        Written {
            image: state.image.select(0, rows.clone()),
            memory: state.memory.select(0, rows),
        }
    }
}

/// Phantom studies, the plug-in, training, evaluation, checkpoints: all from the library.
fn main() -> ExitCode {
    ithn::device::prepare_process();
    let mut config = Preset::Phantom.config();
    config.model = ModelConfig::custom("sketch", 1);
    config.training.epochs = 5;
    config.decoding = SearchConfig::greedy(config.text.max_tokens);
    let out = RunFolder::first_free(Path::new("runs"), "swap-plugin");
    let studies = DataSource::Phantom(PathBuf::from("runs/phantom-studies"));
    let options = ExperimentOptions {
        limit: Some(1200),
        ..ExperimentOptions::new(studies, out, Device::default())
    };
    let size = config.images.size;
    let build = |vocabulary, device: &Device| Sketch::new(vocabulary, size, device);
    match run_experiment_with(&config, &options, build, &mut Console::default()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
