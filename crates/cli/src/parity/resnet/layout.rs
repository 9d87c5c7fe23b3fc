//! What `resnet101.json` holds.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::model::{BackboneOptions, NormOptions};
use super::parameters::Parameter;

#[derive(Deserialize)]
pub struct Json {
    pub resnet101: FullSize,
    pub first_values: BTreeMap<u32, Vec<f64>>,
    pub small_params: Vec<Parameter>,
    pub small_eval: SmallRun,
    pub small_train: SmallRun,
    pub config: Config,
}

#[derive(Deserialize)]
pub struct FullSize {
    pub patch: Statistics,
    pub avg: Statistics,
    pub inter: BTreeMap<String, Statistics>,
    pub params: Vec<Parameter>,
}

/// What the file says about a whole map.
#[derive(Deserialize)]
pub struct Statistics {
    pub mean: f64,
    pub std: f64,
    pub min: f64,
    pub max: f64,
    pub l2: f64,
    pub sample_stride: Option<usize>,
}

#[derive(Deserialize)]
pub struct SmallRun {
    pub loss: f64,
    pub grad_l2: BTreeMap<String, f64>,
    pub grad_absmax: BTreeMap<String, f64>,
    #[serde(default)]
    pub running_buffers_l2_after: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
pub struct Config {
    pub image224: ImageOptions,
    pub patch_sample_stride: usize,
    pub avg_pool_kernel: usize,
    pub small: SmallOptions,
    #[serde(flatten)]
    pub norm: NormOptions,
}

#[derive(Deserialize)]
pub struct ImageOptions {
    pub shape: [usize; 4],
    pub k: u32,
    pub sample_stride: usize,
}

#[derive(Deserialize)]
pub struct SmallOptions {
    #[serde(flatten)]
    pub backbone: BackboneOptions,
    pub input: [usize; 4],
    pub avg_pool_kernel: usize,
    pub image_k: u32,
    #[serde(rename = "R_k")]
    pub r_k: u32,
    pub conv3_grad_sample_stride: usize,
}
