//! One training of a comparison, and the test reports of its last epoch.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use ithn_checkpoint::config::ExperimentConfig;
use ithn_data::ImageLoader;
use ithn_generator::TrainableGenerator;
use ithn_plugin::Ithn;
use serde::de::DeserializeOwned;

use crate::{
    Observer, PreparedData, RunFolder, RunImages, TrainError, Trainer, Writing, write_reports,
};

/// What a comparison trains.
pub(crate) struct Training<'a> {
    pub(crate) config: &'a ExperimentConfig,
    pub(crate) data: &'a PreparedData,
    /// Working folder of the training, new.
    pub(crate) work: &'a Path,
    /// Without autodiff.
    pub(crate) device: &'a Device,
}

/// A model after its last epoch, for evaluation, and its reports of the test split.
pub(crate) struct Trained<G> {
    pub(crate) model: Ithn<G>,
    pub(crate) images: Arc<ImageLoader>,
    pub(crate) reports: Vec<String>,
}

impl Training<'_> {
    pub(crate) fn run<G: TrainableGenerator>(
        &self,
        generator: G,
        loaders: RunImages,
        observer: &mut dyn Observer,
    ) -> Result<Trained<G>, TrainError> {
        let config = self.config;
        let training = self.device.clone().autodiff();
        let model = config.ithn.init(generator, &training).materialize();
        let folder = RunFolder::create(self.work, config)?;
        let images = Arc::clone(&loaders.evaluation);
        let trainer = Trainer::new(
            config,
            self.data,
            &folder,
            model,
            loaders,
            self.device.clone(),
        );
        let model = trainer.train(observer)?.valid();
        let writing = Writing {
            search: &self.data.search,
            tokenizer: &self.data.tokenizer,
            images: Arc::clone(&images),
            batch_size: config.training.evaluation_batch_size,
            threads: config.training.loader_threads,
            device: self.device,
        };
        let reports = write_reports(&model.generator, &self.data.test, &writing, |_| {})?;
        Ok(Trained {
            model,
            images,
            reports,
        })
    }
}

/// What an earlier run left in a file, if it is there.
///
/// # Errors
///
/// If the file is there and cannot be read.
pub(crate) fn kept<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TrainError> {
    let failed = |source| TrainError::Output {
        path: path.to_owned(),
        source,
    };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        failed(std::io::Error::other(format!(
            "{error}; delete it to run the cell again"
        )))
    })
}

/// Removes a folder, if it is there.
pub(crate) fn discard(folder: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(TrainError::Output {
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// FNV-1a: the same on every machine and in every run.
pub(crate) fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}
