//! A whole run: data, weights, training, evaluation, tables and page.

mod card;
mod description;
mod floors;
mod page;
mod prepare;
mod resume;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use ithn_backbone::Backbone;
use ithn_data::{ImageLoader, OnBadStudy, Split};
use ithn_generator::TrainableGenerator;
use ithn_metrics::evaluation::RankedStudy;
use serde::{Deserialize, Serialize};

use crate::dataset::near_twins;
use crate::dataset::{DataSource, Dataset, EvaluationSplit, PreparedData};
use crate::dataset::{RunImages, frozen_features};
use crate::error::TrainError;
use crate::evaluation::{Prediction, SplitScores, Writing, score_split, write_reports};
use crate::evaluation::{RankingConfig, RankingScores, rank_split};
use crate::interrupt::Interrupt;
use crate::records::RunFolder;
use crate::start::EarlierWeights;
use crate::start::pretrained;
use crate::trainer::Trainer;
use crate::watch::Observer;
pub use description::RunDescription;
pub use floors::{ComposedFloor, Floors};
use ithn_checkpoint::Checkpoint;
use ithn_checkpoint::card::Clock;
use ithn_checkpoint::config::{ConfigError, ExperimentConfig, GeneratorTask, Negatives};
use ithn_models::LibraryGenerator;
use ithn_plugin::Ithn;
pub use page::{RunData, page_of_run, write_run_page};
use prepare::watch;

/// Predictions printed at the end.
const EXAMPLES: usize = 5;

/// Inputs of a run in addition to its configuration.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExperimentOptions {
    /// Source of the studies.
    pub source: DataSource,
    /// Folder of the run.
    pub out: PathBuf,
    /// Device, without autodiff.
    pub device: Device,
    /// First weights of the backbone: torchvision's file, or a checkpoint of this library.
    pub backbone_weights: Option<PathBuf>,
    /// Checkpoint of this library whose weights the run starts from, its words carried over by name.
    pub start_from: Option<PathBuf>,
    /// Keep only the first studies of every split.
    pub limit: Option<usize>,
    /// Continue the run in `out`.
    pub resume: bool,
    /// Stops the run after its current step when raised.
    pub interrupt: Interrupt,
    /// Folder of decoded images, completed if it lacks some and shared by runs.
    pub cache: Option<PathBuf>,
    /// What happens when a study's files are broken.
    pub on_bad_study: OnBadStudy,
    /// Where the dates on checkpoints come from.
    pub clock: Clock,
}

impl ExperimentOptions {
    /// A new run on all studies of `source`, left in `out`.
    pub fn new(source: DataSource, out: PathBuf, device: Device) -> Self {
        ExperimentOptions {
            source,
            out,
            device,
            backbone_weights: None,
            start_from: None,
            limit: None,
            resume: false,
            interrupt: Interrupt::default(),
            cache: None,
            on_bad_study: OnBadStudy::Stop,
            clock: Clock::System,
        }
    }
}

/// Results of a run; `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentResults {
    /// Epoch of the weights that were evaluated.
    pub best_epoch: usize,
    /// Scores on the validation split.
    pub validation: SplitScores,
    /// Scores on the test split.
    pub test: SplitScores,
    /// Ranking scores of the model on the test split; absent in earlier runs.
    #[serde(default)]
    pub ranking: Option<RankingScores>,
    /// Test scores without a generator.
    pub floors: Floors,
    /// Floors that the test scores do not beat, a sentence each; absent in earlier runs.
    #[serde(default)]
    pub unbeaten: Vec<String>,
    /// Time of the whole run, in seconds.
    pub seconds: f64,
}

/// Trains, evaluates and writes reports: everything from a data source to the final table, with the
/// generator that the configuration names.
///
/// # Errors
///
/// If data, configuration, weights or files are not in order; what was saved before stays.
pub fn run_experiment(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
    observer: &mut dyn Observer,
) -> Result<ExperimentResults, TrainError> {
    let run = Run::prepare(config, options, observer)?;
    let (vocabulary, device) = (run.data.tokenizer.vocabulary(), run.device());
    config.model.build(vocabulary, &device, run)?
}

/// The same with a generator from outside this library.
///
/// `build` is given the vocabulary (logits, token 0 included) and a device with autodiff, on which
/// the seed is set. The configuration is saved with the run, so that its model should be a
/// [`ModelConfig::custom`](ithn_checkpoint::config::ModelConfig::custom), by whose name messages call the
/// generator; [`ReportWriter::from_checkpoint_with`](ithn_inference::ReportWriter::from_checkpoint_with) reads the
/// checkpoints.
///
/// # Errors
///
/// As [`run_experiment`]; [`TrainError::Config`] if `options` has backbone weights, which `build`
/// would have to load.
pub fn run_experiment_with<G: TrainableGenerator>(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
    build: impl FnOnce(usize, &Device) -> G,
    observer: &mut dyn Observer,
) -> Result<ExperimentResults, TrainError> {
    if options.backbone_weights.is_some() {
        return Err(ConfigError::new(
            "model.generator.backbone",
            "backbone weights are for the generators of this library: load them where the \
             generator is built",
        )
        .into());
    }
    let run = Run::prepare(config, options, observer)?;
    let generator = build(run.data.tokenizer.vocabulary(), &run.device());
    run.train_and_evaluate(generator, None)
}

/// A run whose data is in memory and whose generator is still to come.
struct Run<'a> {
    began: Instant,
    config: &'a ExperimentConfig,
    options: &'a ExperimentOptions,
    observer: &'a mut dyn Observer,
    checkpoint: Option<Checkpoint>,
    description: RunDescription,
    dataset: Dataset,
    data: PreparedData,
    images: RunImages,
}

/// A generator's backbone, which computes its features alone if it is frozen.
type BackboneOf<G> = fn(&G) -> &Backbone;

impl Run<'_> {
    /// The device to train on.
    fn device(&self) -> Device {
        self.options.device.clone().autodiff()
    }

    fn train_and_evaluate<G: TrainableGenerator>(
        mut self,
        generator: G,
        backbone: Option<BackboneOf<G>>,
    ) -> Result<ExperimentResults, TrainError> {
        let (config, options) = (self.config, self.options);
        let mut model = config.ithn.init(generator, &self.device()).materialize();
        if let Some(path) = &options.start_from {
            let earlier = EarlierWeights::read(path, config, &options.device)?;
            model = earlier.carry_into(model, &self.data.tokenizer)?;
        }
        let folder = if options.resume {
            RunFolder::open(&options.out)?
        } else {
            let folder = RunFolder::create(&options.out, config)?;
            self.description.write(folder.root())?;
            folder
        };
        self.describe(model.num_params());

        let films = Arc::clone(&self.images.evaluation);
        if let Some(backbone) = backbone {
            self.precompute(&model, backbone)?;
        }
        let images = Arc::clone(&self.images.evaluation);
        let trainer = Trainer::new(
            config,
            &self.data,
            &folder,
            model,
            self.images.clone(),
            options.device.clone(),
        )
        .with_interrupt(options.interrupt.clone())
        .with_card(self.card(), options.clock);
        let trainer = match &self.checkpoint {
            Some(checkpoint) => {
                let trainer = trainer.resume(checkpoint)?;
                self.description.write(folder.root())?;
                trainer
            }
            None => trainer,
        };
        let model = match trainer.train(self.observer) {
            Err(error @ TrainError::Data(_)) => {
                folder.discard_untrained()?;
                return Err(error);
            }
            trained => trained?,
        };
        let best = Checkpoint::load(&folder.best_checkpoint())?;
        let model = best.restore_model(model.valid())?;

        let Evaluated {
            results,
            predictions,
            ranked,
        } = self.evaluate(&model, [&images, &films], best.header.progress.epoch)?;
        folder.write_predictions("predictions.csv", &predictions)?;
        if !ranked.is_empty() {
            folder.write_retrieval(&ranked)?;
        }
        folder.write_json("metrics.json", &results)?;
        self.save_scores(best, &results, &folder)?;
        let page = write_run_page(
            &folder,
            &RunData {
                model: &model,
                config,
                data: &self.data,
                images: &films,
                device: &options.device,
                best_epoch: results.best_epoch,
                results: Some(&results),
            },
        )?;
        report(&results, &predictions, &folder, &page, self.observer);
        Ok(results)
    }

    fn describe(&mut self, weights: usize) {
        for warning in &self.dataset.warnings {
            self.observer.warning(warning);
        }
        for note in &self.dataset.notes {
            self.observer.note(note);
        }
        self.observer.note(&format!(
            "{}: {} training, {} validation, {} test studies; {} words; {} of {:.2} M weights",
            self.dataset.path.display(),
            self.data.members.len(),
            self.data.validation.studies.len(),
            self.data.test.studies.len(),
            self.data.tokenizer.words().len(),
            self.config.model.generator.name(),
            weights as f64 / 1e6,
        ));
        let options = self.options;
        let starts_from_scratch =
            options.backbone_weights.is_none() && options.start_from.is_none() && !options.resume;
        if starts_from_scratch && self.config.training.freeze_backbone {
            self.observer.warning(
                "the backbone is frozen at random weights: give the run backbone weights, such as a \
                 pretrained classifier's",
            );
        }
        let is_custom = self.config.model.generator.backbone().is_none();
        if starts_from_scratch && !is_custom && self.config.preset.wants_pretrained_backbone() {
            self.observer.warning(
                "the backbone starts from random weights; the published results start from \
                 ImageNet's: give the run torchvision's file as backbone weights",
            );
        }
    }

    /// Replaces images by their features if the backbone is frozen and every image always looks the
    /// same.
    fn precompute<G: TrainableGenerator>(
        &mut self,
        model: &Ithn<G>,
        backbone: BackboneOf<G>,
    ) -> Result<(), TrainError> {
        let (config, options) = (self.config, self.options);
        if !config.training.freeze_backbone || !self.images.training.is_deterministic() {
            return Ok(());
        }
        let model = match &self.checkpoint {
            Some(checkpoint) => checkpoint.restore_model(model.valid())?,
            None => model.valid(),
        };
        let folder = options.cache.as_ref().unwrap_or(&options.out);
        let observer = Mutex::new(&mut *self.observer);
        let features = frozen_features(
            &self.data,
            config,
            backbone(&model.generator),
            &self.images.evaluation,
            &options.device,
            folder,
            &watch(&observer),
        )?;
        self.images = self.images.of_features(features);
        Ok(())
    }

    /// Scores a trained model, given loaders of what it takes and of the films themselves.
    fn evaluate<G: TrainableGenerator>(
        &mut self,
        model: &Ithn<G>,
        [images, films]: [&Arc<ImageLoader>; 2],
        best_epoch: usize,
    ) -> Result<Evaluated, TrainError> {
        let (config, data, device) = (self.config, &self.data, &self.options.device);
        let writing = Writing {
            search: &data.search,
            tokenizer: &data.tokenizer,
            images: Arc::clone(images),
            batch_size: config.training.evaluation_batch_size,
            threads: config.training.loader_threads,
            device,
        };
        let observer = &mut *self.observer;
        let mut write_and_score = |split: &EvaluationSplit| {
            let total = split.studies.len();
            let reports = write_reports(&model.generator, split, &writing, |done| {
                observer.writing(split.name, done, total);
            })?;
            score_split(split, &reports, data.findings)
        };
        let (validation, _) = write_and_score(&data.validation)?;
        let (test, predictions) = write_and_score(&data.test)?;

        let ranked = rank_split(
            model,
            &data.test,
            &near_twins(&self.dataset, Split::Test, data.tokenizer.cleaning())?,
            config.negatives != Negatives::Off,
            images,
            device,
            &RankingConfig {
                batch_size: config.training.evaluation_batch_size,
                ..RankingConfig::default()
            },
        )?;
        let observer = Mutex::new(&mut *self.observer);
        let floors = Floors::of(data, films, &watch(&observer))?;
        let results = ExperimentResults {
            best_epoch,
            validation,
            unbeaten: floors.unbeaten_by(&test),
            test,
            ranking: Some(RankingScores::of(&ranked)?),
            floors,
            seconds: self.began.elapsed().as_secs_f64(),
        };
        Ok(Evaluated {
            results,
            predictions,
            ranked,
        })
    }
}

/// Results of evaluation.
struct Evaluated {
    results: ExperimentResults,
    /// On the test split.
    predictions: Vec<Prediction>,
    /// How the test images score reports.
    ranked: Vec<RankedStudy>,
}

impl GeneratorTask for Run<'_> {
    type Output = Result<ExperimentResults, TrainError>;

    /// Gives the backbone its pretrained weights, if there are any, before training.
    fn run<G: LibraryGenerator>(self, mut generator: G) -> Self::Output {
        let config = self.config.model.generator.backbone();
        if let (Some(path), Some(config)) = (&self.options.backbone_weights, config) {
            let backbone = generator.backbone_mut();
            *backbone = pretrained(backbone.clone(), config, path, &self.device())?;
        }
        self.train_and_evaluate(generator, Some(G::backbone))
    }
}

fn report(
    results: &ExperimentResults,
    predictions: &[Prediction],
    folder: &RunFolder,
    page: &Path,
    observer: &mut dyn Observer,
) {
    let floors = results.floors.rows();
    let rows = [("validation", &results.validation), ("test", &results.test)];
    let floor_rows = floors.iter().map(|(name, scores)| (name.as_str(), *scores));
    observer.results(&rows.into_iter().chain(floor_rows).collect::<Vec<_>>());
    for line in results.floors.label_lines() {
        observer.note(&line);
    }
    for unbeaten in &results.unbeaten {
        observer.warning(unbeaten);
    }
    if let Some(ranking) = &results.ranking {
        observer.note(&format!("\n{ranking}"));
    }
    observer.examples(&predictions[..EXAMPLES.min(predictions.len())]);
    observer.note(&format!(
        "\nbest epoch {}; config, checkpoints, metrics and predictions are in {}; open {} to look at \
         the run",
        results.best_epoch,
        folder.root().display(),
        page.display(),
    ));
}

#[cfg(test)]
mod tests;
