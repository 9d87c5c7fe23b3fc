use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ithn_checkpoint::Checkpoint;
use ithn_checkpoint::config::ExperimentConfig;
use ithn_data::OnBadStudy;

use super::resume::{check_cache, check_new, go_on};
use super::{ExperimentOptions, Run, RunDescription};
use crate::dataset::{Dataset, PreparedData, RunImages};
use crate::error::TrainError;
use crate::records::{RunFolder, output_error};
use crate::trainer::{check_precision, fingerprint_of_all};
use crate::watch::Observer;

/// Tells an observer of long work, from any thread.
pub(super) fn watch<'a, 'b, 'c>(
    observer: &'a Mutex<&'b mut (dyn Observer + 'c)>,
) -> impl Fn(&str, usize, usize) + Sync + use<'a, 'b, 'c> {
    |work, done, total| {
        let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
        observer.working(work, done, total);
    }
}

/// The checkpoint that a run is resumed from.
fn earlier(options: &ExperimentOptions) -> Result<Checkpoint, TrainError> {
    let folder = match options.ranks.is_first() {
        true => RunFolder::open(&options.out)?,
        false => RunFolder::view(&options.out),
    };
    Ok(Checkpoint::load(&folder.last_checkpoint())?)
}

/// What the run's folder will say of its data, which JSON must be able to hold.
fn described(options: &ExperimentOptions) -> Result<RunDescription, TrainError> {
    let description = RunDescription::of(options)?;
    description.to_json(&options.out)?;
    Ok(description)
}

/// Checksums of what all ranks must have in common before they read anything.
fn identity(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
) -> Result<Vec<(&'static str, u32)>, TrainError> {
    if options.ranks.is_alone() {
        return Ok(Vec::new());
    }
    let path = std::env::current_exe().map_err(output_error(Path::new("the running program")))?;
    let program = fs::read(&path).map_err(output_error(&path))?;
    let config = serde_json::to_vec(config).map_err(TrainError::message)?;
    let choices = format!(
        "{:?} {:?} {} {} {} {} {}",
        options.limit,
        options.on_bad_study,
        options.resume,
        options.exact,
        options.cache.is_some(),
        options.backbone_weights.is_some(),
        options.start_from.is_some(),
    );
    Ok(vec![
        ("program", crc32fast::hash(&program)),
        ("configuration", crc32fast::hash(&config)),
        ("options", crc32fast::hash(choices.as_bytes())),
    ])
}

impl<'a> Run<'a> {
    /// Reads everything but weights, and sets the device's seed.
    pub(super) fn prepare(
        config: &'a ExperimentConfig,
        options: &'a ExperimentOptions,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let began = Instant::now();
        let ranks = &options.ranks;
        ranks.agree(config.validate().map_err(TrainError::from))?;
        ranks.check_equal(identity(config, options))?;
        let precision = check_precision(config.training.precision, &options.device);
        ranks.agree(precision.map_err(TrainError::from))?;
        ranks.agree(check_cache(options))?;
        let description = ranks.agree(described(options))?;
        let checkpoint = options.resume.then(|| earlier(options)).transpose();
        let checkpoint = ranks.agree(checkpoint)?;
        ranks.agree(match &checkpoint {
            Some(checkpoint) => {
                let configs = [&checkpoint.header.config, config];
                go_on(configs, options, &description, observer)
            }
            None if ranks.is_first() => check_new(config, options),
            None => Ok(()),
        })?;
        let watched = Mutex::new(&mut *observer);
        let watch = watch(&watched);
        // Only one process may draw phantom studies; the others find them.
        let drawn = match ranks.is_first() {
            true => options.source.draw(),
            false => Ok(()),
        };
        ranks.agree(drawn)?;
        let dataset = Dataset::load_watched(
            &options.source,
            &config.model,
            options.limit,
            options.on_bad_study,
            &watch,
        );
        let mut dataset = ranks.agree(dataset)?;
        let read = began.elapsed();
        let cache = match &options.cache {
            Some(folder) => Some(dataset.cache_images_of(
                folder,
                (&config.images, config.model.views),
                options.on_bad_study,
                ranks,
                |done, total| watch("filling the image cache", done, total),
            )?),
            None => None,
        };
        if cache.is_none() && options.on_bad_study == OnBadStudy::Skip {
            dataset.drop_undecodable_of(&watch, ranks)?;
        }
        let cached = began.elapsed();
        let tokenizer = checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.header.tokenizer.clone());
        let data = PreparedData::of_ranks(&dataset, config, tokenizer, &watch, ranks);
        let data = ranks.agree(data)?;
        ranks.check_equal(Ok(vec![("studies", fingerprint_of_all(&data))]))?;
        drop(watch);
        dataset.notes.push(format!(
            "ready after {:.1} s: {:.1} s to read studies, {:.1} s to decode or check images, {:.1} s for words \
             and first negatives",
            began.elapsed().as_secs_f64(),
            read.as_secs_f64(),
            (cached - read).as_secs_f64(),
            (began.elapsed() - cached).as_secs_f64(),
        ));
        let run = Run {
            began,
            config,
            options,
            observer,
            checkpoint,
            description,
            dataset,
            data,
            images: RunImages::new(config, cache),
        };
        run.device().seed(config.training.seed);
        Ok(run)
    }
}
