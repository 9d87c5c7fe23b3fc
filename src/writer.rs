//! Writing reports with a trained checkpoint, and nothing else.

mod batch;
mod studies;

pub use batch::WrittenReport;
pub use studies::find_studies;

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use ithn_data::{EncodedStudy, ImageLoader, ImageTransform, Tokenizer};
use ithn_decoder::search::{SearchConfig, search};

use crate::checkpoint::Checkpoint;
use crate::generators::R2GenCmn;
use crate::train::{TrainError, image_tensor};

/// A trained generator with its vocabulary and search options.
#[derive(Debug)]
pub struct ReportWriter {
    generator: R2GenCmn,
    tokenizer: Tokenizer,
    search: SearchConfig,
    images: ImageLoader,
    device: Device,
}

impl ReportWriter {
    /// Loads a checkpoint onto `device`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is no checkpoint.
    pub fn load(checkpoint: &Path, device: &Device) -> Result<Self, TrainError> {
        let checkpoint = Checkpoint::load(checkpoint)?;
        let header = &checkpoint.header;
        let config = &header.config;
        let generator = config
            .model
            .generator(header.tokenizer.vocabulary())
            .init(device);
        let model = checkpoint.restore_model(config.ithn.init(generator, device))?;
        Ok(ReportWriter {
            generator: model.generator.valid(),
            tokenizer: header.tokenizer.clone(),
            search: config.decoding.clone(),
            images: ImageLoader::new(
                ImageTransform::Resize {
                    size: config.images.size,
                },
                config.model.views,
                0,
                0,
            ),
            device: device.clone(),
        })
    }

    /// The report of one study, given the files of its views.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn write(&self, images: &[PathBuf]) -> Result<String, TrainError> {
        let study = EncodedStudy {
            id: "study".to_owned(),
            images: images.to_vec(),
            tokens: Vec::new(),
        };
        let block = self.images.load(&[&study], 0)?;
        let found = search(
            &self.generator,
            image_tensor(block, &self.device),
            &self.search,
        )?;
        let best = found
            .first()
            .and_then(|hypotheses| hypotheses.first())
            .map_or(&[][..], |best| &best.tokens);
        Ok(self.tokenizer.decode(best))
    }
}
