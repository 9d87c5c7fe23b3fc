//! A whole pretraining: data, labels, weights, epochs, scores.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use burn::tensor::Device;
use ithn_checkpoint::config::ConfigError;
use ithn_checkpoint::{BestEpoch, Exact};
use ithn_data::{OnBadStudy, Split};
use ithn_metrics::evaluation::TagScores;
use serde::{Deserialize, Serialize};

use super::classifier::FindingsClassifier;
use super::labels::{LabelSource, LabelledSplit, Labeller};
use super::observer::PretrainObserver;
use super::probabilities::{Classifying, probabilities, write_probabilities};
use super::resume::{LAST, Progress};
use super::scores::{ClassificationScores, best_thresholds, mean_auroc, score};
use super::tags::{check_tags, score_by_tags};
use super::trainer::PretrainTrainer;
use super::weights::ClassifierHeader;
use crate::backbone_weights::pretrained;
use crate::dataset::{DataSource, Dataset, RunImages};
use crate::error::TrainError;
use crate::interrupt::Interrupt;
use crate::ranks::Ranks;
use crate::records::RunFolder;
use ithn_checkpoint::config::{PretrainConfig, UncertainPolicy};

/// Inputs of pretraining in addition to its configuration.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PretrainOptions {
    /// Source of the studies.
    pub source: DataSource,
    /// Folder of the run.
    pub out: PathBuf,
    /// Device, without autodiff.
    pub device: Device,
    /// Where findings come from, for training and validation.
    pub labels: LabelSource,
    /// Where the findings of the test split come from, if from elsewhere: independent truth.
    pub test_labels: Option<LabelSource>,
    /// A table of Open-i's tags, such as `indiana_reports.csv`, which people gave: scores of the test split against them come
    /// beside the others.
    pub tags: Option<PathBuf>,
    /// First weights of the backbone, if it has learnt to see before.
    pub backbone_weights: Option<PathBuf>,
    /// Keep only the first studies of every split.
    pub limit: Option<usize>,
    /// Stops the run after its current step when raised; the state after the epoch before stays.
    pub interrupt: Interrupt,
    /// Continue the run in `out` after its last whole epoch.
    pub resume: bool,
    /// Folder of decoded images, completed if it lacks some and shared by runs.
    pub cache: Option<PathBuf>,
    /// What happens when a study's files are broken.
    pub on_bad_study: OnBadStudy,
    /// Whether the test split is scored. Leave it out while choosing options.
    pub score_test: bool,
}

impl PretrainOptions {
    /// Pretraining on all studies of `source` and the findings of their reports, left in `out`.
    pub fn new(source: DataSource, out: PathBuf, device: Device) -> Self {
        PretrainOptions {
            source,
            out,
            device,
            labels: LabelSource::default(),
            test_labels: None,
            tags: None,
            backbone_weights: None,
            limit: None,
            interrupt: Interrupt::default(),
            resume: false,
            cache: None,
            on_bad_study: OnBadStudy::Stop,
            score_test: true,
        }
    }
}

/// Results of pretraining; `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainResults {
    /// Epoch of the weights, counted from 1.
    pub best_epoch: usize,
    /// Where labels come from: the labeler's version, or a table.
    pub labels: String,
    /// Where the test labels come from.
    pub test_labels: String,
    /// What an uncertain finding counts as.
    pub uncertain: UncertainPolicy,
    /// Studies of each split without a row in the table of labels.
    pub left_out: [usize; 3],
    /// Scores on the validation split, at thresholds chosen there.
    pub validation: ClassificationScores,
    /// Scores on the test split, at the same thresholds; none if it is not scored.
    pub test: Option<ClassificationScores>,
    /// Scores of the tagged studies of the test split against human tags, at the same thresholds, if tags are given.
    #[serde(default)]
    pub tags: Option<TagScores>,
    /// Time of the whole run, in seconds.
    pub seconds: f64,
}

/// Trains a classifier of findings and leaves its best weights in `best.safetensors` of the folder.
///
/// # Errors
///
/// If data, labels, configuration, weights or files are not in order; if the loss is not finite, or
/// the run is interrupted. What was saved before stays.
pub fn pretrain(
    config: &PretrainConfig,
    options: &PretrainOptions,
    observer: &mut dyn PretrainObserver,
) -> Result<PretrainResults, TrainError> {
    let began = Instant::now();
    config.validate()?;
    check_tags(config, options)?;
    let (splits, images) = read(config, options, observer)?;
    let [train, validation, _] = &splits;
    if config.batch_size > train.studies.len() {
        return Err(TrainError::BatchTooLarge {
            batch_size: config.batch_size,
            studies: train.studies.len(),
        });
    }
    let least = config.least_positives;
    let counts = |class: usize| validation.counts(class).iter().all(|&count| count >= least);
    if !(0..config.classes.len()).any(counts) {
        return Err(TrainError::NoPositives {
            split: "val",
            least,
        });
    }
    let device = options.device.clone().autodiff();
    device.seed(config.seed);
    let mut model = FindingsClassifier::init(config, &device);
    if let Some(path) = &options.backbone_weights {
        model.backbone = pretrained(model.backbone, &config.backbone, path, &device)?;
    }
    let (folder, mut progress) = match options.resume {
        true => {
            let folder = RunFolder::open_holding(&options.out, &["config.json", LAST])?;
            let progress = Progress::read(&folder, config, train)?;
            (folder, progress)
        }
        false => (
            RunFolder::create(&options.out, config)?,
            Progress::start(train),
        ),
    };
    let best_path = best_weights(&options.out);
    let how = Classifying {
        images: images.evaluation.clone(),
        batch_size: config.evaluation_batch_size,
        threads: config.loader_threads,
        device: &options.device,
    };

    let weights: Vec<f64> = (0..config.classes.len())
        .map(|class| {
            let [positives, negatives] = train.counts(class);
            config.class_weights.weight(positives, negatives)
        })
        .collect();
    let mut trainer = PretrainTrainer::new(config, options, train, &images, model);
    if progress.epoch > 0 {
        trainer = trainer.resume(&progress)?;
        observer.note(&format!("goes on after epoch {}", progress.epoch));
    }
    for epoch in progress.epoch + 1..=config.epochs {
        if progress
            .best
            .is_some_and(|best| epoch - 1 - best.epoch > config.patience)
        {
            observer.note(&format!(
                "stopped before epoch {epoch}: no better epoch for long"
            ));
            break;
        }
        let began = Instant::now();
        let mut record = trainer.train_epoch(epoch)?;
        let scored = trainer.scored();
        let rows = probabilities(&scored, &validation.studies, &how)?;
        let auroc = mean_auroc(validation, &rows, config.least_positives)?;
        let auroc = auroc.ok_or(TrainError::NoPositives {
            split: "val",
            least,
        })?;
        record.validation_auroc = auroc;
        record.is_best = progress.best.is_none_or(|best| best.gives_way_to(auroc));
        if record.is_best {
            progress.best = Some(BestEpoch {
                score: Exact(auroc),
                epoch,
            });
            let header = ClassifierHeader {
                config: config.clone(),
                epoch,
                thresholds: best_thresholds(validation, &rows, config.thresholds, &weights),
            };
            scored.save(&best_path, &header)?;
        }
        record.seconds = began.elapsed().as_secs_f64();
        let line = serde_json::to_string(&record).map_err(ConfigError::at("epochs"))?;
        progress.history.push(line);
        progress.epoch = epoch;
        progress.step = trainer.step();
        trainer.save(&folder, &progress)?;
        folder.write_epochs(&progress.history)?;
        observer.epoch_ends(&record);
    }
    evaluate(&best_path, options, &splits, &images, &folder, began)
}

/// Scores a classifier that [`pretrain`] has saved, with its own configuration and thresholds, on the
/// studies of `options`, and writes `metrics.json` and `probabilities.csv` to a new folder.
///
/// # Errors
///
/// As [`pretrain`]; [`TrainError::Import`] or [`TrainError::Config`] if `weights` are no classifier's.
pub fn score_classifier(
    weights: &Path,
    options: &PretrainOptions,
    observer: &mut dyn PretrainObserver,
) -> Result<PretrainResults, TrainError> {
    let began = Instant::now();
    let (_, header) = FindingsClassifier::load(weights, &options.device)?;
    check_tags(&header.config, options)?;
    let (splits, images) = read(&header.config, options, observer)?;
    let folder = RunFolder::create(&options.out, &header.config)?;
    evaluate(weights, options, &splits, &images, &folder, began)
}

/// Scores saved weights, which are read again, and leaves the scores in `folder`.
fn evaluate(
    weights: &Path,
    options: &PretrainOptions,
    splits: &[LabelledSplit; 3],
    images: &RunImages,
    folder: &RunFolder,
    began: Instant,
) -> Result<PretrainResults, TrainError> {
    let [_, validation, test] = splits;
    let (classifier, header) = FindingsClassifier::load(weights, &options.device)?;
    let config = &header.config;
    let how = Classifying {
        images: images.evaluation.clone(),
        batch_size: config.evaluation_batch_size,
        threads: config.loader_threads,
        device: &options.device,
    };
    let rows = probabilities(&classifier, &validation.studies, &how)?;
    let test_rows = match options.score_test {
        true => Some(probabilities(&classifier, &test.studies, &how)?),
        false => None,
    };
    let mut written = vec![("val", validation, rows.as_slice())];
    written.extend(test_rows.as_deref().map(|rows| ("test", test, rows)));
    let path = options.out.join("probabilities.csv");
    write_probabilities(&path, &config.classes, &written)?;
    let scores = |split: &LabelledSplit, rows: &[Vec<f32>]| {
        score(split, rows, &config.classes, &header.thresholds)
    };
    let tags = match (&options.tags, &test_rows) {
        (Some(path), Some(rows)) => Some(score_by_tags(path, test, rows, &header)?),
        _ => None,
    };
    let results = PretrainResults {
        best_epoch: header.epoch,
        labels: options.labels.name(),
        test_labels: options
            .test_labels
            .as_ref()
            .unwrap_or(&options.labels)
            .name(),
        uncertain: config.uncertain,
        left_out: splits.each_ref().map(|split| split.left_out),
        validation: scores(validation, &rows)?,
        test: test_rows.map(|rows| scores(test, &rows)).transpose()?,
        tags,
        seconds: began.elapsed().as_secs_f64(),
    };
    folder.write_json("metrics.json", &results)?;
    Ok(results)
}

/// The best weights in the folder of a run.
pub(super) fn best_weights(folder: &Path) -> PathBuf {
    folder.join("best.safetensors")
}

/// Labelled studies of every split, and loaders of their images.
fn read(
    config: &PretrainConfig,
    options: &PretrainOptions,
    observer: &mut dyn PretrainObserver,
) -> Result<([LabelledSplit; 3], RunImages), TrainError> {
    let watched = Mutex::new(&mut *observer);
    let watch = |work: &str, done: usize, total: usize| {
        let mut observer = watched.lock().unwrap_or_else(|it| it.into_inner());
        observer.working(work, done, total);
    };
    let on_bad = options.on_bad_study;
    let mut dataset =
        Dataset::load_watched(&options.source, config.views, options.limit, on_bad, &watch)?;
    let cache = match &options.cache {
        Some(folder) => {
            let progress = |done, total| watch("decoding images", done, total);
            let images = (&config.images, config.views);
            let alone = Ranks::default();
            Some(dataset.cache_images_of(folder, images, on_bad, &alone, progress)?)
        }
        None if on_bad == OnBadStudy::Skip => {
            dataset.drop_undecodable(&watch)?;
            None
        }
        None => None,
    };
    for note in &dataset.notes {
        observer.note(note);
    }
    let labels = |source| Labeller::new(source, &config.classes, config.uncertain);
    let labeller = labels(&options.labels)?;
    let train = labeller.split(&dataset, Split::Train)?;
    let validation = labeller.split(&dataset, Split::Validation)?;
    let test = match &options.test_labels {
        Some(source) => labels(source)?.split(&dataset, Split::Test)?,
        None => labeller.split(&dataset, Split::Test)?,
    };
    observer.note(&format!(
        "{}: {} training, {} validation, {} test studies; labels by {}",
        dataset.path.display(),
        train.studies.len(),
        validation.studies.len(),
        test.studies.len(),
        options.labels.name(),
    ));
    let images = RunImages::of(&config.images, config.views, config.seed, cache);
    Ok(([train, validation, test], images))
}
