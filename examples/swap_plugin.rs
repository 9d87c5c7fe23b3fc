//! ITHN around a generator of your own: laws, training, and reports from its checkpoint.
//!
//! ```text
//! cargo run --example swap_plugin
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Tensor};
use ithn::config::{ModelConfig, Preset};
use ithn::data::{OnBadStudy, Split};
use ithn::generator::laws::{Laws, check};
use ithn::generator::{
    EncodedStudies, ReportGenerator, StepDecoder, StudyBatch, TokenBatch, row_indices, token_column,
};
use ithn::inference::ReportWriter;
use ithn::search::SearchConfig;
use ithn::train::{
    Console, DataSource, Dataset, ExperimentOptions, RunFolder, run_experiment_with,
};

const WIDTH: usize = 96;

/// One layer on the pixels of the only view, and a plain recurrence over words.
#[derive(Module, Debug)]
struct Sketch {
    pixels: Linear,
    embedding: Embedding,
    word: Linear,
    recurrence: Linear,
    logits: Linear,
}

/// Image feature and hidden state of each partial report, `[rows, WIDTH]`.
#[derive(Clone)]
struct SketchState {
    image: Tensor<2>,
    hidden: Tensor<2>,
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

    /// Hidden state after an embedded word, both `[rows, WIDTH]`.
    fn forward(&self, word: Tensor<2>, state: &mut SketchState) -> Tensor<2> {
        let input = self.word.forward(word) + self.recurrence.forward(state.hidden.clone());
        state.hidden = (input + state.image.clone()).tanh();
        state.hidden.clone()
    }
}

/// What training needs: a teacher-forced pass in three parts.
impl ReportGenerator for Sketch {
    type Context = SketchState;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<SketchState> {
        let pooled = relu(self.pixels.forward(studies.images.flatten(1, 4)));
        let (image, hidden) = (pooled.clone(), pooled.zeros_like());
        let context = SketchState { image, hidden };
        EncodedStudies { context, pooled }
    }

    fn imageless_context(&self, batch: usize) -> SketchState {
        let image = Tensor::zeros([batch, WIDTH], &self.logits.weight.device());
        let hidden = image.clone();
        SketchState { image, hidden }
    }

    fn hidden_states(&self, context: &SketchState, reports: &TokenBatch) -> Tensor<3> {
        let words = self.embedding.forward(reports.inputs().clone()).iter_dim(1);
        let mut state = context.clone();
        let hidden = words.map(|word| self.forward(word.squeeze_dim(1), &mut state));
        Tensor::stack(hidden.collect(), 1)
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

/// What search needs: start, step, reorder.
impl StepDecoder for Sketch {
    type State = SketchState;

    fn start(&self, studies: StudyBatch) -> SketchState {
        self.encode(studies).context
    }

    fn step(&self, tokens: &[u32], state: &mut SketchState) -> Tensor<2> {
        let tokens = token_column(tokens, &self.logits.weight.device());
        let hidden = self.forward(self.embedding.forward(tokens).squeeze_dim(1), state);
        self.log_probs(hidden.unsqueeze_dim(1)).squeeze_dim(1)
    }

    fn reorder(&self, state: SketchState, rows: &[usize]) -> SketchState {
        let rows = row_indices(rows, &self.logits.weight.device());
        SketchState {
            image: state.image.select(0, rows.clone()),
            hidden: state.hidden.select(0, rows),
        }
    }
}

#[test]
fn sketch_keeps_the_laws() -> Result<(), Box<dyn Error>> {
    let device = Device::default();
    let laws = Laws::new(50, &device).with_image_size(16);
    Ok(check(&Sketch::new(50, 16, &device), &laws)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    ithn::device::prepare_process();
    let device = Device::default();
    let mut config = Preset::Phantom.config();
    config.model = ModelConfig::custom("sketch", 1);
    config.training.epochs = 5;
    config.decoding = SearchConfig::beam(config.text.max_tokens, 3);
    let size = config.images.size;
    let build = |vocabulary, device: &Device| Sketch::new(vocabulary, size, device);

    let laws = Laws::new(50, &device).with_image_size(size);
    check(&build(50, &device), &laws)?;

    let out = RunFolder::first_free(Path::new("runs"), "swap-plugin");
    let source = DataSource::Phantom(PathBuf::from("runs/phantom-studies"));
    let mut options = ExperimentOptions::new(source.clone(), out.clone(), device.clone());
    options.limit = Some(1200);
    run_experiment_with(&config, &options, build, &mut Console::default())?;

    // Beam search, as configured, with the best checkpoint.
    let checkpoint = RunFolder::view(&out).best_checkpoint();
    let writer = ReportWriter::from_checkpoint_with(&checkpoint, &device, build)?;
    let studies = Dataset::load(&source, 1, Some(1), OnBadStudy::Stop)?;
    for study in studies.split(Split::Test) {
        println!("{}\n  reference: {}", study.id, study.report);
        println!("  generated: {}", writer.report(&study.images)?.text);
    }
    Ok(())
}
