//! Deterministic data for tests: the same numbers on every machine, whatever else a process draws.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};

/// Values in [−1, 1) of shape `dims`, drawn on the host as a function of `seed`.
pub fn values<const D: usize>(dims: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let count = dims.iter().product::<usize>() as u64;
    let unit = |index| (split_mix(split_mix(seed) ^ index) >> 40) as f32 / (1 << 23) as f32 - 1.0;
    let values: Vec<f32> = (0..count).map(unit).collect();
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// The module with every float parameter replaced by [`values`]. A parameter that is not trained stays
/// so.
pub fn seeded<M: Module>(module: M, seed: u64) -> M {
    module.map(&mut Seeded(seed))
}

struct Seeded(u64);

impl ModuleMapper for Seeded {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1000;
        param.map(|tensor| {
            let tracked = tensor.is_require_grad();
            values(tensor.dims(), self.0, &tensor.device()).set_require_grad(tracked)
        })
    }
}

/// SplitMix64.
fn split_mix(key: u64) -> u64 {
    let key = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let key = (key ^ (key >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    key ^ (key >> 31)
}
