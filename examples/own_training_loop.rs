//! ITHN in a training loop of your own, around a generator of your own, on reports in this file.
//!
//! ```text
//! cargo run --example own_training_loop
//! ```
//!
//! Cargo.toml:
//!
//! ```toml
//! burn = { version = "~0.22.1", default-features = false, features = ["std", "autodiff", "flex"] }
//! ithn-alignment = "0.1"
//! ithn-generator = "0.1"
//! ithn-mining = "0.1"
//! ithn-negatives = "0.1"
//! ithn-plugin = "0.1"
//! ```

use std::collections::BTreeSet;
use std::error::Error;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Tensor, TensorData};
use ithn_alignment::HardNegativePlacement;
use ithn_generator::config::Fraction;
use ithn_generator::{EncodedStudies, ReportGenerator, StudyBatch, TokenBatch};
use ithn_mining::{MiningStudy, TfIdfConfig, mine};
use ithn_negatives::{ClosedForm, HardnessSchedule, TrainingPoint};
use ithn_plugin::{IthnConfig, NegativeBatch, TrainingBatch};

const SIDE: usize = 8;
const WIDTH: usize = 32;
const STEPS: usize = 60;

/// One layer on pixels, and a plain recurrence over words.
#[derive(Module, Debug)]
struct Generator {
    pixels: Linear,
    embedding: Embedding,
    recurrence: Linear,
    logits: Linear,
}

impl Generator {
    fn new(vocabulary: usize, device: &Device) -> Self {
        Generator {
            pixels: LinearConfig::new(3 * SIDE * SIDE, WIDTH).init(device),
            embedding: EmbeddingConfig::new(vocabulary, WIDTH).init(device),
            recurrence: LinearConfig::new(WIDTH, WIDTH).init(device),
            logits: LinearConfig::new(WIDTH, vocabulary).init(device),
        }
    }
}

/// What the plug-in needs: a teacher-forced pass in three parts.
impl ReportGenerator for Generator {
    type Context = Tensor<2>;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<Tensor<2>> {
        let pooled = relu(self.pixels.forward(studies.images.flatten(1, 4)));
        let context = pooled.clone();
        EncodedStudies { context, pooled }
    }

    fn imageless_context(&self, batch: usize) -> Tensor<2> {
        Tensor::zeros([batch, WIDTH], &self.logits.weight.device())
    }

    fn hidden_states(&self, image: &Tensor<2>, reports: &TokenBatch) -> Tensor<3> {
        let words = self.embedding.forward(reports.inputs().clone()).split(1, 1);
        let mut state = image.clone();
        let mut states = Vec::new();
        for word in words {
            state = (word.squeeze_dim(1) + self.recurrence.forward(state) + image.clone()).tanh();
            states.push(state.clone().unsqueeze_dim(1));
        }
        Tensor::cat(states, 1)
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

/// Every combination of three findings, as a sentence each.
fn reports() -> Vec<String> {
    let choose = |study: usize, bit: usize, words: [&'static str; 2]| words[(study >> bit) & 1];
    (0..8)
        .map(|study| {
            let heart = choose(study, 0, ["normal", "enlarged"]);
            let lungs = choose(study, 1, ["clear", "hazy"]);
            let effusion = choose(study, 2, ["no", "small"]);
            format!("the heart is {heart} . the lungs are {lungs} . {effusion} pleural effusion .")
        })
        .collect()
}

/// Films whose brightness in three bands of rows shows the findings, `[batch, 1, 3, SIDE, SIDE]`.
fn films(studies: &[usize], device: &Device) -> StudyBatch {
    let pixel = |study: usize, index: usize| {
        let band = (index / SIDE % SIDE) * 3 / SIDE;
        ((study >> band) & 1) as f32
    };
    let pixels: Vec<f32> = (studies.iter())
        .flat_map(|&study| (0..3 * SIDE * SIDE).map(move |index| pixel(study, index)))
        .collect();
    let dims = [studies.len(), 1, 3, SIDE, SIDE];
    StudyBatch::new(Tensor::from_data(TensorData::new(pixels, dims), device))
}

/// Token ids of every report: 0 begins and ends it, words are numbered from 1. Then their count.
fn token_ids(reports: &[String]) -> (Vec<Vec<u32>>, usize) {
    let words: BTreeSet<&str> = reports
        .iter()
        .flat_map(|report| report.split(' '))
        .collect();
    let words: Vec<&str> = words.into_iter().collect();
    let id = |word: &str| {
        words
            .iter()
            .position(|known| *known == word)
            .map_or(0, |id| id as u32 + 1)
    };
    let ids = reports.iter().map(|report| {
        let words = report.split(' ').map(id);
        [0].into_iter().chain(words).chain([0]).collect()
    });
    (ids.collect(), words.len() + 1)
}

/// The closest other report of every study.
fn first_negatives(reports: &[String]) -> Result<Vec<usize>, Box<dyn Error>> {
    let patients: Vec<String> = (0..reports.len()).map(|study| study.to_string()).collect();
    let studies: Vec<MiningStudy> = (reports.iter().zip(&patients))
        .map(|(report, patient)| MiningStudy {
            id: patient,
            patient,
            report,
        })
        .collect();
    let embedding = TfIdfConfig::default().fit(reports.iter().map(String::as_str));
    let mined = mine(&studies, &studies, 1, &embedding, |_done| {})?;
    let first = mined
        .iter()
        .map(|found| found.first().map(|negative| negative.index));
    first
        .collect::<Option<_>>()
        .ok_or_else(|| "a study has no negative".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::default().autodiff();
    device.seed(7);
    let reports = reports();
    let (ids, vocabulary) = token_ids(&reports);
    let negatives = first_negatives(&reports)?;
    let batch_of = |studies: &[usize]| {
        let tokens: Vec<Vec<u32>> = studies.iter().map(|&study| ids[study].clone()).collect();
        (
            films(studies, &device),
            TokenBatch::from_ids(&tokens, &device),
        )
    };

    let config = IthnConfig::default()
        .with_projection_width(16)
        .with_hardening(ClosedForm::default())
        .with_placement(HardNegativePlacement::Candidate);
    config.validate()?;
    let hardness = HardnessSchedule::FractionOfTraining {
        from: Fraction::new(0.2)?,
        to: Fraction::new(0.8)?,
        hardness: Fraction::new(0.8)?,
    };
    let mut model = config.init(Generator::new(vocabulary, &device), &device);
    let mut optimizer: ModuleOptimizer = AdamConfig::new().init();

    println!("step  hardness  language  contrastive   z·u    z·ũ");
    for step in 0..STEPS {
        let lambda = hardness.lambda(TrainingPoint {
            epoch: 1 + step / 2,
            step,
            total_steps: STEPS,
        });
        let chosen: Vec<usize> = (0..4).map(|row| (4 * step + row) % reports.len()).collect();
        let closest: Vec<usize> = chosen.iter().map(|&study| negatives[study]).collect();
        let (studies, own) = batch_of(&chosen);
        let (negative_studies, negative_reports) = batch_of(&closest);
        let terms = model.losses(
            TrainingBatch {
                studies,
                reports: own,
                negatives: Some(NegativeBatch::new(negative_studies, negative_reports)),
            },
            lambda,
        );
        if step % 5 == 0 || step + 1 == STEPS {
            let number = |tensor: &Tensor<1>| tensor.clone().into_scalar::<f32>();
            let alignment = terms.alignment.as_ref().ok_or("the batch has negatives")?;
            println!(
                "{step:4}  {:8.2}  {:8.3}  {:11.3}  {:5.2}  {:5.2}",
                1.0 - lambda,
                number(&terms.language),
                number(&alignment.contrastive),
                number(&alignment.positive_similarity),
                number(&alignment.hardened_similarity),
            );
        }
        let gradients = GradientsParams::from_grads(terms.total.backward(), &model);
        model = optimizer.step(1e-2, model, gradients);
    }
    Ok(())
}
