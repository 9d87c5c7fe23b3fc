use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use ithn_data::Split;
use ithn_data::phantom::PhantomConfig;
use serde::{Deserialize, Serialize};

use super::arm::Arm;
use super::real::RealStudies;
use super::training::{Trained, Training, discard, fnv_1a, kept};
use crate::backbone_weights::pretrained;
use crate::dataset::frozen_features;
use crate::start::read_prompts;
use crate::{
    Dataset, EpochPlan, EpochRecord, MeanAlignment, Observer, Prediction, PreparedData,
    RankingConfig, RankingScores, RunFolder, RunImages, SplitScores, StepRecord, TrainError,
    near_twins, rank_split, score_split,
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
        kept(&folder.join(self.file_name()))
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
        let task = RunCell {
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

struct RunCell<'a> {
    cell: &'a Cell,
    dataset: &'a Dataset,
    data: &'a PreparedData,
    work: &'a PathBuf,
    /// Where features of a frozen backbone are kept for all cells.
    folder: &'a Path,
    device: &'a Device,
}

impl GeneratorTask for RunCell<'_> {
    type Output = Result<CellResult, TrainError>;

    fn run<G: LibraryGenerator>(self, mut generator: G) -> Self::Output {
        let config = &self.cell.config;
        let autodiff = self.device.clone().autodiff();
        let mut loaders = RunImages::new(config, None);
        if let (Some(real), Some(backbone)) = (&self.cell.real, config.model.generator.backbone()) {
            let weights = real.backbone_weights.as_path();
            let own = generator.backbone_mut();
            *own = pretrained(own.clone(), backbone, weights, &autodiff)?;
            read_prompts(&mut generator, config, Some(weights), &autodiff)?;
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
        let mut recorder = Recorder::default();
        let training = Training {
            config,
            data: self.data,
            work: self.work,
            device: self.device,
        };
        let Trained {
            model,
            images,
            reports,
        } = training.run(generator, loaders, &mut recorder)?;
        let test = &self.data.test;
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
