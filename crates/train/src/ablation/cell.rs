use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use ithn_data::Split;
use ithn_data::phantom::PhantomConfig;
use serde::{Deserialize, Serialize};

use super::arm::Arm;
use super::real::RealStudies;
use crate::dataset::frozen_features;
use crate::start::{pretrained, read_prompts};
use crate::{
    Dataset, EpochPlan, EpochRecord, MeanAlignment, Observer, Prediction, PreparedData,
    RankingConfig, RankingScores, RunFolder, RunImages, SplitScores, StepRecord, TrainError,
    Trainer, Writing, near_twins, rank_split, score_split, write_reports,
};
use ithn_checkpoint::config::{ExperimentConfig, GeneratorKind, GeneratorTask, Negatives};
use ithn_models::LibraryGenerator;

/// Raised whenever the same configuration would give another result.
const FORMAT: u32 = 1;

/// One training: all that its result depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Which generator.
    pub generator: GeneratorKind,
    /// How it is trained.
    pub arm: Arm,
    /// Seed of weights, dropout and order.
    pub seed: u64,
    /// The configuration that these make of the base.
    pub config: ExperimentConfig,
    /// The phantom studies, unless the studies are real.
    pub studies: PhantomConfig,
    /// Real studies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<RealStudies>,
    /// How test studies are ranked.
    pub ranking: RankingConfig,
}

/// Results of a cell: its last epoch's weights, evaluated on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// What was run.
    pub cell: Cell,
    /// Scores of the written reports.
    pub scores: SplitScores,
    /// Retrieval and near-twins.
    pub ranking: RankingScores,
    /// Hardness reached in every epoch; empty without negatives.
    pub hardness: Vec<HardnessRecord>,
    /// Time of the cell, in seconds.
    pub seconds: f64,
}

/// Hardness of an epoch, as asked for and as reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HardnessRecord {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// `1 − λ` at its last step.
    pub hardness: f64,
    /// Temperatures, and mean similarities of an image to its own report, to its first negative and
    /// to its hardened negative.
    #[serde(flatten)]
    pub alignment: MeanAlignment,
}

impl Cell {
    /// Name of its file: generator, arm and seed, and a hash of everything that its result depends
    /// on.
    pub fn file_name(&self) -> String {
        let identity = serde_json::json!([FORMAT, self]).to_string();
        format!(
            "{}-{}-{}-{:016x}.json",
            self.generator,
            self.arm,
            self.seed,
            fnv_1a(identity.as_bytes())
        )
    }

    /// The result in `folder`, if the cell has been run.
    ///
    /// # Errors
    ///
    /// If its file is there and cannot be read.
    pub(crate) fn kept(&self, folder: &Path) -> Result<Option<CellResult>, TrainError> {
        let path = folder.join(self.file_name());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TrainError::Output { path, source }),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| TrainError::Output {
                path,
                source: std::io::Error::other(format!("{error}; delete it to run the cell again")),
            })
    }

    /// Runs the cell on a dataset that is in memory; its working folder below `folder` is removed
    /// at the end.
    pub(crate) fn run(
        &self,
        dataset: &Dataset,
        folder: &Path,
        device: &Device,
    ) -> Result<CellResult, TrainError> {
        let began = Instant::now();
        let data = PreparedData::new(dataset, &self.config, None)?;
        let work = folder.join(format!("{}.running", self.file_name()));
        discard(&work)?;
        let training = device.clone().autodiff();
        training.seed(self.seed);
        let task = Training {
            cell: self,
            dataset,
            data: &data,
            work: &work,
            folder,
            device,
        };
        let vocabulary = data.tokenizer.vocabulary();
        let mut result = self.config.model.build(vocabulary, &training, task)??;
        result.seconds = began.elapsed().as_secs_f64();
        discard(&work)?;
        RunFolder::view(folder).write_json(&self.file_name(), &result)?;
        Ok(result)
    }
}

fn discard(folder: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(TrainError::Output {
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// The same on every machine and in every run.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

struct Training<'a> {
    cell: &'a Cell,
    dataset: &'a Dataset,
    data: &'a PreparedData,
    work: &'a PathBuf,
    /// Where features of a frozen backbone are kept for all cells.
    folder: &'a Path,
    device: &'a Device,
}

impl GeneratorTask for Training<'_> {
    type Output = Result<CellResult, TrainError>;

    fn run<G: LibraryGenerator>(self, mut generator: G) -> Self::Output {
        let config = &self.cell.config;
        let training = self.device.clone().autodiff();
        let mut loaders = RunImages::new(config, None);
        if let (Some(real), Some(backbone)) = (&self.cell.real, config.model.generator.backbone()) {
            let weights = real.backbone_weights.as_path();
            let own = generator.backbone_mut();
            *own = pretrained(own.clone(), backbone, weights, &training)?;
            read_prompts(&mut generator, config, Some(weights), &training)?;
            if loaders.training.is_deterministic() {
                let features = frozen_features(
                    self.data,
                    config,
                    &generator.valid().backbone().clone(),
                    &loaders.evaluation,
                    self.device,
                    self.folder,
                    &|_, _, _| {},
                )?;
                loaders = loaders.of_features(features);
            }
        }
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
        let mut recorder = Recorder::default();
        let model = trainer.train(&mut recorder)?.valid();

        let writing = Writing {
            search: &self.data.search,
            tokenizer: &self.data.tokenizer,
            images: Arc::clone(&images),
            batch_size: config.training.evaluation_batch_size,
            threads: config.training.loader_threads,
            device: self.device,
        };
        let test = &self.data.test;
        let reports = write_reports(&model.generator, test, &writing, |_| {})?;
        let ranked = rank_split(
            &model,
            test,
            &near_twins(self.dataset, Split::Test, self.data.tokenizer.cleaning())?,
            config.negatives != Negatives::Off,
            &images,
            self.device,
            &self.cell.ranking,
        )?;
        Ok(CellResult {
            cell: self.cell.clone(),
            scores: score_split(test, &reports, self.data.findings)?.0,
            ranking: RankingScores::of(&ranked)?,
            hardness: recorder.hardness,
            seconds: 0.0,
        })
    }
}

/// Keeps the hardness of every epoch and is silent.
#[derive(Default)]
struct Recorder {
    hardness: Vec<HardnessRecord>,
}

impl Observer for Recorder {
    fn epoch_ends(&mut self, record: &EpochRecord) {
        self.hardness
            .extend(record.alignment.map(|alignment| HardnessRecord {
                epoch: record.epoch,
                hardness: 1.0 - record.lambda,
                alignment,
            }));
    }

    fn epoch_begins(&mut self, _: &EpochPlan) {}
    fn step_ends(&mut self, _: &StepRecord) {}
    fn writing(&mut self, _: &str, _: usize, _: usize) {}
    fn note(&mut self, _: &str) {}
    fn results(&mut self, _: &[(&str, &SplitScores)]) {}
    fn examples(&mut self, _: &[Prediction]) {}
}
