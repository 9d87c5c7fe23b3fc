use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ithn_backbone::ResNetConfig;
use ithn_decoder::TransformerConfig;
use ithn_generator::{StudyBatch, TokenBatch};
use ithn_memory::CrossModalMemoryConfig;
use ithn_models::{R2GenCmn, R2GenCmnConfig};

use crate::{Ithn, IthnConfig, NegativeBatch, TrainingBatch};

pub const REPORTS: [[u32; 4]; 3] = [[0, 1, 2, 0], [0, 3, 4, 0], [0, 5, 5, 0]];
pub const NEGATIVES: [[u32; 4]; 3] = [[0, 1, 3, 0], [0, 3, 2, 0], [0, 6, 6, 0]];

/// The plug-in around a generator without dropout, all matrices seeded.
pub fn model(config: &IthnConfig, device: &Device) -> Ithn<R2GenCmn> {
    let config = IthnConfig {
        projection_width: 4,
        ..config.clone()
    };
    let transformer = TransformerConfig::new(8, 8, 2, 1)
        .with_dropout(0.0)
        .with_attention_dropout(0.0);
    let generator = R2GenCmnConfig::new(
        ResNetConfig::narrow(4, vec![1]),
        CrossModalMemoryConfig::new(6, 8, 2, 3).with_dropout(0.0),
        transformer,
    )
    .with_visual_dropout(0.0)
    .init(9, 1, device);
    let model = config.init(generator, device).materialize();
    model.map(&mut Seeded::default())
}

/// Replaces matrices, kernels and biases by the same numbers in every process. Norms and temperatures
/// start at constants and stay.
#[derive(Default)]
struct Seeded {
    count: usize,
    name: String,
}

impl ModuleMapper for Seeded {
    fn enter_module(&mut self, name: &str, _container: &str) {
        name.clone_into(&mut self.name);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D == 1 && self.name != "bias" {
            return param;
        }
        self.count += 1;
        let seed = self.count;
        param.map(|old| {
            let new = waves(seed, old.dims(), &old.device()) * 0.5;
            new.set_require_grad(old.is_require_grad())
        })
    }
}

/// Numbers in `[-1, 1]` without a pattern that a network could see.
fn waves<const D: usize>(seed: usize, dims: [usize; D], device: &Device) -> Tensor<D> {
    let elements: usize = dims.iter().product();
    let wave = |index: usize| ((index * index + 7 * index) as f32 * 0.37 + seed as f32).sin();
    let data: Vec<f32> = (0..elements).map(wave).collect();
    Tensor::from_data(TensorData::new(data, dims), device)
}

/// Studies with seeded films, their reports and their negatives'.
pub fn batch(reports: &[[u32; 4]], negatives: &[[u32; 4]], device: &Device) -> TrainingBatch {
    let studies = |seed, rows| StudyBatch::new(waves(seed, [rows, 1, 3, 16, 16], device));
    TrainingBatch {
        studies: studies(1000, reports.len()),
        reports: tokens(reports, device),
        negatives: Some(NegativeBatch::new(
            studies(2000, negatives.len()),
            tokens(negatives, device),
        )),
    }
}

/// Reports whose zeros after the closing one are padding.
fn tokens(reports: &[[u32; 4]], device: &Device) -> TokenBatch {
    let rows = reports.iter().flat_map(|report| {
        let words = report.iter().rposition(|&token| token != 0).unwrap_or(0);
        (0..4).map(move |position| f32::from(position <= words + 1))
    });
    let mask: Vec<f32> = rows.collect();
    let ids: Vec<i64> = reports.concat().into_iter().map(i64::from).collect();
    let dims = [reports.len(), 4];
    TokenBatch::new(
        Tensor::from_data(TensorData::new(ids, dims), device),
        Tensor::from_data(TensorData::new(mask, dims), device),
    )
}

/// The only element of a tensor.
pub fn number(tensor: &Tensor<1>) -> f32 {
    tensor.clone().into_scalar()
}
