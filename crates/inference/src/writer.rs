//! Writing reports with a trained checkpoint, and nothing else.

mod batch;
mod studies;

pub use batch::WrittenReport;
pub use studies::find_studies;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ithn_data::{ImageLoader, ImageTransform, TokenizedStudy, Tokenizer};
use ithn_decoder::search::{Hypothesis, SearchConfig, SearchError, search};

use crate::InferenceError;
use crate::sheet::{SheetMaker, StudySheet};
use crate::tensors::study_batch;
use ithn_checkpoint::Checkpoint;
use ithn_checkpoint::config::GeneratorTask;
use ithn_generator::{StudyBatch, TrainableGenerator};
use ithn_models::LibraryGenerator;

/// A trained generator of any kind with its vocabulary and search options.
#[derive(Debug)]
pub struct ReportWriter {
    generator: Box<dyn Writes>,
    tokenizer: Tokenizer,
    search: SearchConfig,
    images: ImageLoader,
    device: Device,
}

/// What a writer asks of a generator whose type is forgotten.
trait Writes: Debug {
    fn search(
        &self,
        studies: StudyBatch,
        config: &SearchConfig,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError>;

    /// The best report of a study and what stands behind it, with the rest of `writer`.
    fn sheet(
        &self,
        writer: &ReportWriter,
        study: &TokenizedStudy,
    ) -> Result<StudySheet, InferenceError>;
}

impl<G: TrainableGenerator> Writes for G {
    fn search(
        &self,
        studies: StudyBatch,
        config: &SearchConfig,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        search(self, studies, config)
    }

    fn sheet(
        &self,
        writer: &ReportWriter,
        study: &TokenizedStudy,
    ) -> Result<StudySheet, InferenceError> {
        let maker = SheetMaker {
            generator: self,
            tokenizer: &writer.tokenizer,
            search: &writer.search,
            images: &writer.images,
            device: &writer.device,
        };
        maker.sheet(study, None)
    }
}

/// A checkpoint whose generator is still to be built.
struct Loading<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
}

impl Loading<'_> {
    fn finish<G: TrainableGenerator + 'static>(
        self,
        generator: G,
    ) -> Result<ReportWriter, InferenceError> {
        let header = &self.checkpoint.header;
        let config = &header.config;
        let model = config.ithn.init(generator, self.device);
        let model = self.checkpoint.restore_model(model)?;
        let resize = ImageTransform::Resize {
            size: config.images.size,
        };
        Ok(ReportWriter {
            generator: Box::new(model.generator.valid()),
            tokenizer: header.tokenizer.clone(),
            search: config.decoding.clone(),
            images: ImageLoader::new(resize, config.model.views, 0, 0),
            device: self.device.clone(),
        })
    }
}

impl GeneratorTask for Loading<'_> {
    type Output = Result<ReportWriter, InferenceError>;

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        self.finish(generator)
    }
}

impl ReportWriter {
    /// Loads a checkpoint of any generator of this library onto `device`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no checkpoint, or holds a custom generator.
    pub fn load(checkpoint: &Path, device: &Device) -> Result<Self, InferenceError> {
        let checkpoint = &Checkpoint::load(checkpoint)?;
        let header = &checkpoint.header;
        let loading = Loading { checkpoint, device };
        let vocabulary = header.tokenizer.vocabulary();
        header.config.model.build(vocabulary, device, loading)?
    }

    /// Loads a checkpoint of a generator from outside this library: `build` creates it as it was
    /// created for training, for a vocabulary of that many logits.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no checkpoint, or does not fit what `build` creates.
    pub fn load_with<G: TrainableGenerator + 'static>(
        checkpoint: &Path,
        device: &Device,
        build: impl FnOnce(usize, &Device) -> G,
    ) -> Result<Self, InferenceError> {
        let checkpoint = &Checkpoint::load(checkpoint)?;
        let generator = build(checkpoint.header.tokenizer.vocabulary(), device);
        Loading { checkpoint, device }.finish(generator)
    }

    /// The report of one study, given the files of its views.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn write(&self, images: &[PathBuf]) -> Result<String, InferenceError> {
        let study = TokenizedStudy {
            id: "study".to_owned(),
            images: images.to_vec(),
            tokens: Vec::new(),
        };
        let block = self.images.load(&[&study], 0)?;
        let studies = study_batch(block, &self.device);
        let found = self.generator.search(studies, &self.search)?;
        let best = found
            .first()
            .and_then(|hypotheses| hypotheses.first())
            .map_or(&[][..], |best| &best.tokens);
        Ok(self.tokenizer.decode(best))
    }
}
