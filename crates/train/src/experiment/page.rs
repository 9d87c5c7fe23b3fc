use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use ithn_data::{ImageLoader, ImageTransform, OnBadStudy};
use serde::de::DeserializeOwned;
use serde_json::Value;

use ithn_inference::{FindingsReader, SheetMaker, StudySheet};

use super::{ExperimentResults, RunDescription};
use crate::dataset::{Dataset, EvaluationSplit, PreparedData};
use crate::error::TrainError;
use crate::evaluation::{SimilaritySample, sample_similarities};
use crate::page::ReportPage;
use crate::records::{EpochRecord, RunFolder, output_error};
use ithn_checkpoint::Checkpoint;
use ithn_checkpoint::config::{ExperimentConfig, GeneratorTask, Negatives};
use ithn_generator::TrainableGenerator;
use ithn_models::LibraryGenerator;
use ithn_plugin::Ithn;

/// Studies on the page.
const STUDIES: usize = 24;

/// Bytes of studies after which no more are added, so that the page stays below 10 MB.
const STUDY_BYTES: usize = 8_000_000;

/// Inputs of a run page.
#[derive(Debug)]
pub struct RunData<'a, G> {
    /// The best model, on `device`.
    pub model: &'a Ithn<G>,
    /// The run's configuration.
    pub config: &'a ExperimentConfig,
    /// The run's data.
    pub data: &'a PreparedData,
    /// Loader of evaluation images.
    pub images: &'a ImageLoader,
    /// Where the generator lives, without autodiff.
    pub device: &'a Device,
    /// Epoch of its weights.
    pub best_epoch: usize,
    /// Final scores, if training is over; without them studies come from the validation split, so
    /// that nobody tunes on test studies.
    pub results: Option<&'a ExperimentResults>,
}

/// Writes `report.html` into a run's folder.
///
/// # Errors
///
/// If an image cannot be read, `epochs.jsonl` is not what the run wrote, or the page cannot be
/// written.
pub fn write_run_page<G: TrainableGenerator>(
    folder: &RunFolder,
    run: &RunData<'_, G>,
) -> Result<PathBuf, TrainError> {
    let split = match run.results {
        Some(_) => &run.data.test,
        None => &run.data.validation,
    };
    let name = folder
        .root()
        .file_name()
        .unwrap_or(folder.root().as_os_str());
    let generator = run.config.model.generator.name();
    let title = format!("Run {}: {generator}", name.to_string_lossy());
    let path = folder.root().join("report.html");
    let failed = output_error(&path);
    let epochs = read_epochs(folder)?;
    let similarities = similarities(folder, run, &epochs)?;
    let studies = studies(run, split)?;
    let page = || -> io::Result<()> {
        let page = ReportPage {
            config: Some(serde_json::to_value(run.config)?),
            epochs: epochs
                .iter()
                .map(serde_json::to_value)
                .collect::<Result<_, _>>()?,
            similarities: similarities.map(serde_json::to_value).transpose()?,
            table: run.results.map(table).transpose()?.unwrap_or_default(),
            label_floors: run
                .results
                .map_or_else(Vec::new, |results| results.floors.label_lines()),
            warnings: run
                .results
                .map_or_else(Vec::new, |results| results.unbeaten.clone()),
            best_epoch: Some(run.best_epoch),
            ..ReportPage::of_studies(&title, studies)
        };
        page.write(&path)
    };
    page().map_err(failed)?;
    Ok(path)
}

/// Writes `report.html` of a run on demand, finished or still training, from its best checkpoint and
/// the data it was trained on ([`RunDescription::read`]).
///
/// # Errors
///
/// If checkpoint, data or files are not in order.
pub fn page_of_run(
    root: &Path,
    data: &RunDescription,
    device: &Device,
) -> Result<PathBuf, TrainError> {
    let folder = RunFolder::view(root);
    let checkpoint = Checkpoint::load(&folder.best_checkpoint())?;
    let header = &checkpoint.header;
    let config = &header.config;
    // The page needs no negatives.
    let mut config_without_negatives = config.clone();
    config_without_negatives.negatives = Negatives::Off;
    if let Some(gone) = data.source.missing() {
        return Err(TrainError::DataGone {
            run: root.to_owned(),
            data: gone.to_owned(),
        });
    }
    let mut dataset = Dataset::load(&data.source, &config.model, data.limit, data.on_bad_study)?;
    if data.on_bad_study == OnBadStudy::Skip {
        dataset.drop_undecodable(&|_, _, _| {})?;
    }
    let tokenizer = Some(header.tokenizer.clone());
    let data = PreparedData::new(&dataset, &config_without_negatives, tokenizer)?;
    let task = PageOfRun {
        folder: &folder,
        checkpoint: &checkpoint,
        data: &data,
        device,
    };
    config
        .model
        .build(header.tokenizer.vocabulary(), device, task)?
}

/// A page whose generator is still to be built.
struct PageOfRun<'a> {
    folder: &'a RunFolder,
    checkpoint: &'a Checkpoint,
    data: &'a PreparedData,
    device: &'a Device,
}

impl GeneratorTask for PageOfRun<'_> {
    type Output = Result<PathBuf, TrainError>;

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        let header = &self.checkpoint.header;
        let config = &header.config;
        let model = config.ithn.init(generator, self.device);
        let model = self.checkpoint.restore_model(model)?;
        let resize = ImageTransform::Resize {
            size: config.images.size,
        };
        let results: Option<ExperimentResults> = read_json(self.folder, "metrics.json")?;
        let run = RunData {
            model: &model.valid(),
            config,
            data: self.data,
            images: &ImageLoader::new(resize, config.model.views, 0, 0),
            device: self.device,
            best_epoch: header.progress.epoch,
            results: results.as_ref(),
        };
        write_run_page(self.folder, &run)
    }
}

/// Similarities under the best weights. They are computed and saved to `similarities.json` if the
/// data has negatives; otherwise they are read from that file.
fn similarities<G: TrainableGenerator>(
    folder: &RunFolder,
    run: &RunData<'_, G>,
    epochs: &[EpochRecord],
) -> Result<Option<SimilaritySample>, TrainError> {
    let Some(best) = epochs.iter().find(|record| record.epoch == run.best_epoch) else {
        return Ok(None);
    };
    let computed = sample_similarities(run.model, run.data, run.images, run.device, best.lambda)?;
    match computed {
        Some(sample) => {
            folder.write_json("similarities.json", &sample)?;
            Ok(Some(sample))
        }
        None => read_json(folder, "similarities.json"),
    }
}

/// A file of the run; none if it is not there yet.
fn read_json<T: DeserializeOwned>(folder: &RunFolder, name: &str) -> Result<Option<T>, TrainError> {
    let path = folder.root().join(name);
    let failed = |source: io::Error| TrainError::Output {
        path: path.clone(),
        source,
    };
    match fs::read(&path) {
        Ok(text) => Ok(Some(
            serde_json::from_slice(&text).map_err(|error| failed(error.into()))?,
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Studies spread evenly over the split.
fn studies<G: TrainableGenerator>(
    run: &RunData<'_, G>,
    split: &EvaluationSplit,
) -> Result<Vec<StudySheet>, TrainError> {
    let maker = SheetMaker {
        generator: &run.model.generator,
        tokenizer: &run.data.tokenizer,
        search: &run.data.search,
        device: run.device,
    };
    let reader: FindingsReader = run.data.findings;
    let total = split.studies.len();
    let count = total.min(STUDIES);
    let mut sheets = Vec::with_capacity(count);
    let mut bytes = 0;
    for index in (0..count).map(|place| place * total / count) {
        let reference = (split.references[index].as_str(), reader);
        let study = &split.studies[index];
        let films = run.images.load(&[study], 0)?;
        let sheet = maker.sheet(&study.id, films, Some(reference))?;
        let images: usize = sheet.images.iter().map(String::len).sum();
        bytes += images + sheet.attention.as_ref().map_or(0, |maps| maps.values.len());
        if bytes > STUDY_BYTES {
            break;
        }
        sheets.push(sheet);
    }
    Ok(sheets)
}

fn table(results: &ExperimentResults) -> serde_json::Result<Vec<(String, Value)>> {
    let own = [("validation", &results.validation), ("test", &results.test)];
    own.into_iter()
        .map(|(name, scores)| (name.to_owned(), scores))
        .chain(results.floors.rows())
        .map(|(name, scores)| Ok((name, serde_json::to_value(scores)?)))
        .collect()
}

fn read_epochs(folder: &RunFolder) -> Result<Vec<EpochRecord>, TrainError> {
    let path = folder.root().join("epochs.jsonl");
    let failed = |source: io::Error| TrainError::Output {
        path: path.clone(),
        source,
    };
    if !path.exists() {
        return Ok(Vec::new());
    }
    fs::read_to_string(&path)
        .map_err(failed)?
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| failed(error.into())))
        .collect()
}
