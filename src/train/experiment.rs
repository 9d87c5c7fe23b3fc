use std::path::PathBuf;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::dataset::{DataSource, Dataset, PreparedData};
use super::error::TrainError;
use super::evaluation::{SplitScores, Writing, score_split, write_reports};
use super::floors::{most_frequent_report, nearest_image_report};
use super::interrupt::Interrupt;
use super::observer::Observer;
use super::run_folder::RunFolder;
use super::trainer::Trainer;
use crate::checkpoint::Checkpoint;
use crate::config::ExperimentConfig;
use crate::generators::R2GenCmn;
use crate::import::{NamedTensors, load_torchvision};
use crate::plugin::Ithn;
use crate::report::{RunData, write_run_report};

/// Predictions printed at the end.
const EXAMPLES: usize = 5;

/// What a run needs beside its configuration.
#[derive(Debug, Clone)]
pub struct ExperimentOptions {
    /// Where studies come from.
    pub source: DataSource,
    /// Folder of the run.
    pub out: PathBuf,
    /// Device, without autodiff.
    pub device: Device,
    /// torchvision weights for the backbone.
    pub backbone_weights: Option<PathBuf>,
    /// Keep only the first studies of every split.
    pub limit: Option<usize>,
    /// Continue the run in `out`.
    pub resume: bool,
    /// What stops the run after its present step.
    pub interrupt: Interrupt,
}

/// What a run comes to; `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentResults {
    /// Epoch of the weights that were evaluated.
    pub best_epoch: usize,
    /// Scores on the validation split.
    pub validation: SplitScores,
    /// Scores on the test split.
    pub test: SplitScores,
    /// Test scores without a generator.
    pub floors: Floors,
    /// Time of the whole run, in seconds.
    pub seconds: f64,
}

/// Test scores of reports chosen without a generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Floors {
    /// Always the most frequent training report.
    pub most_frequent: SplitScores,
    /// The report of the training study with the nearest image.
    pub nearest_image: SplitScores,
}

/// Trains, evaluates and writes reports: everything from a data source to the final table.
///
/// # Errors
///
/// If data, configuration, weights or files are not in order; what was saved before stays.
pub fn run_experiment(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
    observer: &mut dyn Observer,
) -> Result<ExperimentResults, TrainError> {
    let began = Instant::now();
    config.validate()?;
    let checkpoint = options
        .resume
        .then(|| {
            let folder = RunFolder::open(&options.out)?;
            Ok::<_, TrainError>(Checkpoint::load(&folder.last_checkpoint())?)
        })
        .transpose()?;
    let dataset = Dataset::load(&options.source, config.model.views, options.limit)?;
    let tokenizer = checkpoint
        .as_ref()
        .map(|checkpoint| checkpoint.header.tokenizer.clone());
    let data = PreparedData::new(&dataset, config, tokenizer)?;
    let model = init_model(config, options, &data)?;
    let folder = if options.resume {
        RunFolder::open(&options.out)?
    } else {
        RunFolder::create(&options.out, config)?
    };
    describe(&dataset, &data, &model, config, options, observer);

    let trainer = Trainer::new(config, &data, &folder, model, options.device.clone())
        .with_interrupt(options.interrupt.clone());
    let trainer = match &checkpoint {
        Some(checkpoint) => trainer.resume(checkpoint)?,
        None => trainer,
    };
    let images = trainer.evaluation_images();
    let model = trainer.train(observer)?;

    let best = Checkpoint::load(&folder.best_checkpoint())?;
    let model = best.restore_model(model.valid())?;
    let writing = Writing {
        search: &config.decoding,
        tokenizer: &data.tokenizer,
        images,
        batch_size: config.training.evaluation_batch_size,
        threads: config.training.loader_threads,
        device: &options.device,
    };
    let mut evaluate = |split: &super::dataset::EvaluationSplit| {
        let total = split.studies.len();
        let reports = write_reports(&model.generator, split, &writing, |done| {
            observer.writing(split.name, done, total);
        })?;
        score_split(split, &reports, data.findings)
    };
    let (validation, _) = evaluate(&data.validation)?;
    let (test, predictions) = evaluate(&data.test)?;
    folder.write_predictions("predictions.csv", &predictions)?;
    let score_floor = |reports: &[String]| score_split(&data.test, reports, data.findings);
    let floors = Floors {
        most_frequent: score_floor(&most_frequent_report(&data, &data.test))?.0,
        nearest_image: score_floor(&nearest_image_report(&data, &data.test, &writing.images)?)?.0,
    };
    let results = ExperimentResults {
        best_epoch: best.header.progress.epoch,
        validation,
        test,
        floors,
        seconds: began.elapsed().as_secs_f64(),
    };
    folder.write_json("metrics.json", &results)?;
    observer.results(&[
        ("validation", &results.validation),
        ("test", &results.test),
        ("floor: most frequent report", &results.floors.most_frequent),
        ("floor: nearest image", &results.floors.nearest_image),
    ]);
    observer.examples(&predictions[..EXAMPLES.min(predictions.len())]);
    let page = write_run_report(
        &folder,
        &RunData {
            model: &model,
            config,
            data: &data,
            images: &writing.images,
            device: &options.device,
            best_epoch: results.best_epoch,
            results: Some(&results),
        },
    )?;
    observer.note(&format!(
        "\nbest epoch {}; config, checkpoints, metrics and predictions are in {}; open {} to look at \
         the run",
        results.best_epoch,
        folder.root().display(),
        page.display(),
    ));
    Ok(results)
}

/// The generator with the plug-in around it, its backbone pretrained if weights are given.
fn init_model(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
    data: &PreparedData,
) -> Result<Ithn<R2GenCmn>, TrainError> {
    let device = options.device.clone().autodiff();
    device.seed(config.training.seed);
    let mut generator = config
        .model
        .generator(data.tokenizer.vocabulary())
        .init(&device);
    if let Some(path) = &options.backbone_weights {
        generator.backbone = load_torchvision(generator.backbone, &NamedTensors::read(path)?)?;
    }
    Ok(config.ithn.init(generator, &device).materialize())
}

fn describe(
    dataset: &Dataset,
    data: &PreparedData,
    model: &Ithn<R2GenCmn>,
    config: &ExperimentConfig,
    options: &ExperimentOptions,
    observer: &mut dyn Observer,
) {
    for note in &dataset.notes {
        observer.note(note);
    }
    observer.note(&format!(
        "{}: {} training, {} validation, {} test studies; {} words; {:.2} M weights",
        dataset.path.display(),
        data.members.len(),
        data.validation.studies.len(),
        data.test.studies.len(),
        data.tokenizer.words().len(),
        model.num_params() as f64 / 1e6,
    ));
    let starts_from_scratch = options.backbone_weights.is_none() && !options.resume;
    if starts_from_scratch && config.preset.wants_pretrained_backbone() {
        observer.warning(
            "the backbone starts from random weights; the published results start from \
             ImageNet's: give torchvision's file with --backbone-weights",
        );
    }
}
