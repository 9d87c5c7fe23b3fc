use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use ithn_checkpoint::config::{ExperimentConfig, GeneratorTask};
use ithn_data::phantom::PhantomHistoryConfig;
use ithn_models::LibraryGenerator;
use serde::{Deserialize, Serialize};

use super::plan::Reads;
use crate::ablation::{Training, discard, fnv_1a, kept};
use crate::backbone_weights::pretrained;
use crate::dataset::frozen_features;
use crate::evaluation::{change_floor, indication_reports};
use crate::records::output_error;
use crate::{
    ChangeFloor, Dataset, EpochPlan, EpochRecord, Observer, Prediction, PreparedData, RunFolder,
    RunImages, SplitScores, StepRecord, TrainError, score_split,
};

/// Raised whenever the same configuration would give another result.
const FORMAT: u32 = 1;

/// One training: all that its result depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContextCell {
    /// What the generator reads.
    pub reads: Reads,
    /// Seed of weights, dropout and order.
    pub seed: u64,
    /// The configuration that these make of the base.
    pub config: ExperimentConfig,
    /// The patients.
    pub studies: PhantomHistoryConfig,
    /// Weights that the backbone starts from; random ones if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<BackboneStart>,
}

/// A file of backbone weights. A result depends on its content alone, so its path is no part of the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BackboneStart {
    /// A checkpoint of this library, a pretrained classifier, or another file that a run can start from.
    #[serde(skip)]
    pub path: PathBuf,
    /// CRC-32 of the file.
    pub checksum: u32,
}

impl BackboneStart {
    /// Reads the file's checksum.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file if it cannot be read.
    pub fn read(path: PathBuf) -> Result<Self, TrainError> {
        let bytes = fs::read(&path).map_err(output_error(&path))?;
        Ok(BackboneStart {
            checksum: crc32fast::hash(&bytes),
            path,
        })
    }
}

/// Results of a cell: its last epoch's weights, evaluated on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContextResult {
    /// What was run.
    pub cell: ContextCell,
    /// Scores of the written reports.
    pub scores: SplitScores,
    /// The most frequent change of training, on the test split.
    pub change_floor: Option<ChangeFloor>,
    /// Reports from the indication alone, if it is read.
    pub indication_floor: Option<SplitScores>,
    /// Time of the cell, in seconds.
    pub seconds: f64,
}

impl ContextCell {
    /// Name of its file: what is read, the seed, and a hash of everything that its result depends on.
    pub fn file_name(&self) -> String {
        let identity = serde_json::json!([FORMAT, self]).to_string();
        let hash = fnv_1a(identity.as_bytes());
        format!("{}-{}-{hash:016x}.json", self.reads, self.seed)
    }

    /// The result in `folder`, if the cell has been run.
    pub(super) fn kept(&self, folder: &Path) -> Result<Option<ContextResult>, TrainError> {
        kept(&folder.join(self.file_name()))
    }

    /// Runs the cell on the patients in `patients`; its working folder below `folder` is removed at the end.
    pub(super) fn run(
        &self,
        patients: &Path,
        folder: &Path,
        device: &Device,
    ) -> Result<ContextResult, TrainError> {
        let began = Instant::now();
        let dataset = Dataset::of_drawn(patients, &self.config.model)?;
        let data = PreparedData::new(&dataset, &self.config, None)?;
        let work = folder.join(format!("{}.running", self.file_name()));
        discard(&work)?;
        let autodiff = device.clone().autodiff();
        autodiff.seed(self.seed);
        let task = RunCell {
            cell: self,
            folder,
            training: Training {
                config: &self.config,
                data: &data,
                work: &work,
                device,
            },
        };
        let vocabulary = data.tokenizer.vocabulary();
        let mut result = self.config.model.build(vocabulary, &autodiff, task)??;
        result.seconds = began.elapsed().as_secs_f64();
        discard(&work)?;
        RunFolder::view(folder).write_json(&self.file_name(), &result)?;
        Ok(result)
    }
}

struct RunCell<'a> {
    cell: &'a ContextCell,
    /// Where features of a frozen backbone are kept for all cells.
    folder: &'a Path,
    training: Training<'a>,
}

impl GeneratorTask for RunCell<'_> {
    type Output = Result<ContextResult, TrainError>;

    fn run<G: LibraryGenerator>(self, mut generator: G) -> Self::Output {
        let Training {
            config,
            data,
            device,
            ..
        } = self.training;
        let mut loaders = RunImages::new(config, None);
        if let (Some(start), Some(backbone)) =
            (&self.cell.backbone, config.model.generator.backbone())
        {
            let own = generator.backbone_mut();
            let autodiff = device.clone().autodiff();
            *own = pretrained(own.clone(), backbone, &start.path, &autodiff)?;
            if config.training.freeze_backbone && loaders.training.is_deterministic() {
                let features = frozen_features(
                    data,
                    config,
                    &generator.valid().backbone().clone(),
                    &loaders.evaluation,
                    device,
                    self.folder,
                    &|_, _, _| {},
                )?;
                loaders = loaders.of_features(features);
            }
        }
        let trained = self.training.run(generator, loaders, &mut Silent)?;
        let reports = trained.reports;
        let scored = |reports: &[String]| -> Result<SplitScores, TrainError> {
            Ok(score_split(&data.test, reports, data.findings)?.0)
        };
        Ok(ContextResult {
            cell: self.cell.clone(),
            scores: scored(&reports)?,
            change_floor: change_floor(data),
            indication_floor: indication_reports(data, &data.test)
                .map(|reports| scored(&reports))
                .transpose()?,
            seconds: 0.0,
        })
    }
}

struct Silent;

impl Observer for Silent {
    fn epoch_begins(&mut self, _: &EpochPlan) {}
    fn step_ends(&mut self, _: &StepRecord) {}
    fn writing(&mut self, _: &str, _: usize, _: usize) {}
    fn epoch_ends(&mut self, _: &EpochRecord) {}
    fn note(&mut self, _: &str) {}
    fn results(&mut self, _: &[(&str, &SplitScores)]) {}
    fn examples(&mut self, _: &[Prediction]) {}
}
