use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ithn_checkpoint::Checkpoint;
use ithn_checkpoint::config::ExperimentConfig;
use ithn_data::OnBadStudy;

use super::resume::{check_cache, check_new, go_on};
use super::{ExperimentOptions, Run, RunDescription};
use crate::dataset::{Dataset, PreparedData, RunImages};
use crate::error::TrainError;
use crate::records::RunFolder;
use crate::trainer::check_precision;
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

impl<'a> Run<'a> {
    /// Reads everything but weights, and sets the device's seed.
    pub(super) fn prepare(
        config: &'a ExperimentConfig,
        options: &'a ExperimentOptions,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let began = Instant::now();
        config.validate()?;
        check_precision(config.training.precision, &options.device)?;
        check_cache(options)?;
        let description = RunDescription::of(options)?;
        description.to_json(&options.out)?;
        let checkpoint = if options.resume {
            let folder = RunFolder::open(&options.out)?;
            let checkpoint = Checkpoint::load(&folder.last_checkpoint())?;
            let configs = [&checkpoint.header.config, config];
            go_on(configs, options, &description, observer)?;
            Some(checkpoint)
        } else {
            check_new(config, options)?;
            None
        };
        let watched = Mutex::new(&mut *observer);
        let watch = watch(&watched);
        let mut dataset = Dataset::load_watched(
            &options.source,
            config.model.views,
            options.limit,
            options.on_bad_study,
            &watch,
        )?;
        let read = began.elapsed();
        let cache = match &options.cache {
            Some(folder) => Some(dataset.cache_images(
                folder,
                config,
                options.on_bad_study,
                |done, total| watch("filling the image cache", done, total),
            )?),
            None => None,
        };
        if cache.is_none() && options.on_bad_study == OnBadStudy::Skip {
            dataset.drop_undecodable(&watch)?;
        }
        let cached = began.elapsed();
        let tokenizer = checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.header.tokenizer.clone());
        let data = PreparedData::watched(&dataset, config, tokenizer, &watch)?;
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
