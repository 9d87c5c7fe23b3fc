//! A whole run: data, weights, training, evaluation, tables and page.

mod card;
mod description;
mod floors;
mod options;
mod page;
mod prepare;
mod pretraining;
mod resume;
mod written;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use ithn_backbone::Backbone;
use ithn_data::{ImageLoader, Split};
use ithn_generator::TrainableGenerator;
use ithn_metrics::evaluation::RankedStudy;
use serde::{Deserialize, Serialize};

use crate::backbone_weights::pretrained;
use crate::dataset::near_twins;
use crate::dataset::{Dataset, EvaluationSplit, PreparedData};
use crate::dataset::{RunImages, frozen_features};
use crate::error::TrainError;
use crate::evaluation::{Prediction, SplitScores, Writing, score_split, write_reports_of};
use crate::evaluation::{Ranker, RankingConfig, RankingScores};
use crate::records::RunFolder;
use crate::start::{EarlierWeights, read_prompts};
use crate::trainer::Trainer;
use crate::watch::{Observer, Silent};
pub use description::RunDescription;
pub use floors::{ComposedFloor, Floors};
use ithn_checkpoint::Checkpoint;
use ithn_checkpoint::config::{ConfigError, ExperimentConfig, GeneratorTask, Negatives};
use ithn_models::LibraryGenerator;
use ithn_plugin::Ithn;
pub use options::ExperimentOptions;
pub use page::{RunData, page_of_run, write_run_page};
use prepare::watch;
use pretraining::after_pretraining;
pub use resume::config_to_resume;
use written::{report, write_results};

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
/// generator that the configuration names. Under several ranks every rank calls it; all get the results, and an
/// error of one is returned by all.
///
/// # Errors
///
/// If data, configuration, weights or files are not in order; what was saved before stays.
pub fn run_experiment(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
    observer: &mut dyn Observer,
) -> Result<ExperimentResults, TrainError> {
    let options = &options.agreed()?;
    let mut silent = Silent;
    let observer = if options.ranks.is_first() {
        observer
    } else {
        &mut silent
    };
    let options = &after_pretraining(config, options.clone(), observer)?;
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
/// would have to load, or `config` has pretraining.
pub fn run_experiment_with<G: TrainableGenerator>(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
    build: impl FnOnce(usize, &Device) -> G,
    observer: &mut dyn Observer,
) -> Result<ExperimentResults, TrainError> {
    if options.backbone_weights.is_some() || config.pretraining.is_some() {
        return Err(ConfigError::new(
            "model.generator.backbone",
            "backbone weights are for the generators of this library: load them where the \
             generator is built",
        )
        .into());
    }
    let options = &options.agreed()?;
    let mut silent = Silent;
    let observer = if options.ranks.is_first() {
        observer
    } else {
        &mut silent
    };
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
        let ranks = &options.ranks;
        let model = config.ithn.init(generator, &self.device()).materialize();
        let model = ranks.agree(self.carry_weights(model))?;
        let folder = ranks.agree(self.folder())?;
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
        .with_card(self.card(), options.clock)
        .with_ranks(ranks.clone(), options.exact);
        let trainer = ranks.agree(match &self.checkpoint {
            Some(checkpoint) => trainer.resume(checkpoint),
            None => Ok(trainer),
        })?;
        if self.checkpoint.is_some() {
            ranks.agree(self.describe_run(&folder))?;
        }
        let model = match trainer.train(self.observer) {
            Err(error) if error.is_of_data() => {
                if ranks.is_first() {
                    folder.discard_untrained()?;
                }
                return Err(error);
            }
            trained => trained?,
        };
        let (model, best) = ranks.agree(best_model(&folder, &model.valid()))?;

        let Evaluated {
            results,
            predictions,
            ranked,
        } = self.evaluate(&model, [&images, &films], best.header.progress.epoch)?;
        let run = RunData {
            model: &model,
            config,
            data: &self.data,
            images: &films,
            device: &options.device,
            best_epoch: results.best_epoch,
            results: Some(&results),
        };
        let written = match ranks.is_first() {
            true => self
                .save_scores(best, &results, &folder)
                .and_then(|()| write_results(&folder, &run, &results, &predictions, &ranked))
                .map(Some),
            false => Ok(None),
        };
        if let Some(page) = ranks.agree(written)? {
            report(&results, &predictions, &folder, &page, self.observer);
        }
        Ok(results)
    }

    /// The model with the weights of an earlier run, if it starts from them.
    fn carry_weights<G: TrainableGenerator>(&self, model: Ithn<G>) -> Result<Ithn<G>, TrainError> {
        match &self.options.start_from {
            None => Ok(model),
            Some(path) => {
                let earlier = EarlierWeights::read(path, self.config, &self.options.device)?;
                Ok(earlier.carry_into(model, &self.data.tokenizer)?)
            }
        }
    }

    /// The run's folder, which belongs to rank 0.
    fn folder(&self) -> Result<RunFolder, TrainError> {
        let options = self.options;
        match (options.ranks.is_first(), options.resume) {
            (false, _) => Ok(RunFolder::view(&options.out)),
            (true, true) => RunFolder::open(&options.out),
            (true, false) if options.is_pretrained => {
                let folder = RunFolder::open_holding(&options.out, &["config.json"])?;
                folder.write_json("config.json", self.config)?;
                self.description.write(folder.root())?;
                Ok(folder)
            }
            (true, false) => {
                let folder = RunFolder::create(&options.out, self.config)?;
                self.description.write(folder.root())?;
                Ok(folder)
            }
        }
    }

    /// Describes the run anew in its folder.
    fn describe_run(&self, folder: &RunFolder) -> Result<(), TrainError> {
        match self.options.ranks.is_first() {
            true => self.description.write(folder.root()),
            false => Ok(()),
        }
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
        let watch = watch(&observer);
        let compute = || {
            frozen_features(
                &self.data,
                config,
                backbone(&model.generator),
                &self.images.evaluation,
                &options.device,
                folder,
                &watch,
            )
        };
        // Rank 0 writes the file, the others find it.
        let ranks = &options.ranks;
        let features = ranks.agree(ranks.is_first().then(&compute).transpose())?;
        let features = ranks.agree(features.map_or_else(&compute, Ok))?;
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
        let ranks = &self.options.ranks;
        let observer = &mut *self.observer;
        let mut write_and_score = |split: &EvaluationSplit| {
            let total = split.studies.len();
            let reports = write_reports_of(&model.generator, split, &writing, ranks, |done| {
                observer.writing(split.name, done, total);
            })?;
            ranks.agree(score_split(split, &reports, data.findings))
        };
        let (validation, _) = write_and_score(&data.validation)?;
        let (test, predictions) = write_and_score(&data.test)?;

        let twins = near_twins(&self.dataset, Split::Test, data.tokenizer.cleaning());
        let ranker = Ranker {
            model,
            studies: &data.test.studies,
            images,
            device,
            batch_size: config.training.evaluation_batch_size,
            ranks,
        };
        let is_trained = config.negatives != Negatives::Off;
        let ranked = ranker.rank(&ranks.agree(twins)?, is_trained, &RankingConfig::default())?;
        let observer = Mutex::new(&mut *self.observer);
        let floors = ranks.agree(Floors::of(data, films, &watch(&observer), ranks))?;
        let results = ExperimentResults {
            best_epoch,
            validation,
            unbeaten: floors.unbeaten_by(&test),
            test,
            ranking: Some(ranks.agree(RankingScores::of(&ranked))?),
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
            let loaded = pretrained(backbone.clone(), config, path, &self.device());
            *backbone = self.options.ranks.agree(loaded)?;
        }
        if self.checkpoint.is_none() && self.options.start_from.is_none() {
            let weights = self.options.backbone_weights.as_deref();
            let read = read_prompts(&mut generator, self.config, weights, &self.device());
            self.options.ranks.agree(read)?;
        }
        self.train_and_evaluate(generator, Some(G::backbone))
    }
}

/// The model of the best epoch, and its checkpoint.
fn best_model<G: TrainableGenerator>(
    folder: &RunFolder,
    like: &Ithn<G>,
) -> Result<(Ithn<G>, Checkpoint), TrainError> {
    let best = Checkpoint::load(&folder.best_checkpoint())?;
    Ok((best.restore_model(like.clone())?, best))
}

#[cfg(test)]
mod tests;
