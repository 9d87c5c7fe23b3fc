//! Command line of pretraining.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;
use ithn::config::Setting;
use ithn::data::OnBadStudy;
use ithn::device::DeviceName;
use ithn::models::config::from_json;
use ithn::train::pretrain::{
    ClassificationScores, LabelSource, PretrainConfig, PretrainConsole, PretrainOptions,
    PretrainPreset, PretrainResults, pretrain, score_classifier,
};
use ithn::train::{DataSource, Interrupt, RunFolder, TrainError};

/// Teaches a backbone to see: classification of the findings that reports state.
///
/// The weights, OUT/best.safetensors, go into a training by --backbone-weights. Without --data or
/// --annotation it draws phantom studies.
#[derive(Debug, Parser)]
#[command(version)]
pub struct PretrainArguments {
    /// MIMIC-CXR-JPG folder (split and metadata tables, files/p10/…)
    #[arg(long, value_name = "DIR", conflicts_with = "annotation")]
    data: Option<PathBuf>,

    /// MIMIC-CXR's reports, if they are not in --data: a folder, or mimic-cxr-reports.zip
    #[arg(long, value_name = "PATH", requires = "data")]
    reports: Option<PathBuf>,

    /// R2Gen's annotation.json
    #[arg(long, value_name = "FILE", requires = "images")]
    annotation: Option<PathBuf>,

    /// Folder that the annotation's image paths start from
    #[arg(long, value_name = "DIR", requires = "annotation")]
    images: Option<PathBuf>,

    /// Findings by study, such as mimic-cxr-2.0.0-chexpert.csv: columns study_id (or id) and names of
    /// classes, values 1, 0, -1 or blank [default: read from the reports]
    #[arg(long, value_name = "CSV")]
    labels: Option<PathBuf>,

    /// Findings of the test split, from elsewhere than those of training
    #[arg(long, value_name = "CSV")]
    test_labels: Option<PathBuf>,

    /// phantom, small or published [default: phantom without data, else small]
    #[arg(long)]
    preset: Option<PretrainPreset>,

    /// A configuration in place of a preset, such as the config.json of an earlier run
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    config: Option<PathBuf>,

    /// Score this classifier, an earlier run's best.safetensors, instead of training one
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["preset", "config", "set", "seed", "backbone_weights"]
    )]
    score: Option<PathBuf>,

    /// First weights of the backbone: torchvision's, or an earlier run's
    #[arg(long, value_name = "FILE")]
    backbone_weights: Option<PathBuf>,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// Seed of weights, dropout, order and augmentation [default: the preset's]
    #[arg(long)]
    seed: Option<u64>,

    /// Keep only the first N studies of every split
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Folder of decoded images, filled by the first run and used by all that follow
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// A study whose files are broken: stop, or skip it and say so
    #[arg(long, default_value = "stop")]
    on_bad_study: OnBadStudy,

    /// Leave the test split unread, while choosing options
    #[arg(long)]
    validation_only: bool,

    /// Any other value, by its name in config.json, such as dropout=0.2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,

    /// Continue the run in --out after its last whole epoch, with its own configuration
    #[arg(
        long,
        requires = "out",
        conflicts_with_all = ["preset", "config", "set", "seed", "backbone_weights", "score"]
    )]
    resume: bool,

    /// Folder of the run [default: the first free runs/pretrain-N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl PretrainArguments {
    /// Runs the job and prints its scores.
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        let config = self.config()?;
        let out = match &self.out {
            Some(out) => out.clone(),
            None => RunFolder::first_free(Path::new("runs"), "pretrain"),
        };
        let mut options = PretrainOptions::new(self.source(), out, self.device.open()?);
        let table = |path: &Option<PathBuf>| path.clone().map(LabelSource::Table);
        options.labels = table(&self.labels).unwrap_or_default();
        options.test_labels = table(&self.test_labels);
        options.backbone_weights = self.backbone_weights.clone();
        options.limit = self.limit;
        options.resume = self.resume;
        options.interrupt = Interrupt::on_signals().map_err(TrainError::Signals)?;
        options.cache = self.cache.clone();
        options.on_bad_study = self.on_bad_study;
        options.score_test = !self.validation_only;
        let mut console = PretrainConsole::new(self.quiet);
        let results = match &self.score {
            Some(weights) => score_classifier(weights, &options, &mut console)?,
            None => pretrain(&config, &options, &mut console)?,
        };
        if !self.quiet {
            print_results(&results);
            println!(
                "weights, configuration and scores are in {}",
                options.out.display()
            );
        }
        Ok(())
    }

    fn source(&self) -> DataSource {
        match (&self.data, &self.annotation, &self.images) {
            (Some(folder), _, _) => DataSource::Mimic {
                folder: folder.clone(),
                reports: self.reports.clone(),
            },
            (None, Some(file), Some(images)) => DataSource::Annotation {
                file: file.clone(),
                images: images.clone(),
            },
            _ => DataSource::Phantom(PathBuf::from("runs/phantom-studies")),
        }
    }

    fn config(&self) -> Result<PretrainConfig, Box<dyn Error>> {
        let has_data = self.data.is_some() || self.annotation.is_some();
        let of_run = self.out.as_ref().filter(|_| self.resume);
        let of_run = of_run.map(|out| RunFolder::view(out).config());
        let mut config = match (self.config.as_ref().or(of_run.as_ref()), self.preset) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                from_json(&text).map_err(|error| error.in_file(path))?
            }
            (None, Some(preset)) => preset.config(),
            (None, None) if has_data => PretrainPreset::Small.config(),
            (None, None) => PretrainPreset::Phantom.config(),
        };
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        for setting in &self.set {
            config = setting.apply(&config)?;
        }
        Ok(config)
    }
}

fn print_results(results: &PretrainResults) {
    print_scores("validation (thresholds chosen here)", &results.validation);
    if let Some(test) = &results.test {
        print_scores("test", test);
    }
    println!(
        "\nbest epoch {}, {:.0} s",
        results.best_epoch, results.seconds
    );
}

fn print_scores(split: &str, scores: &ClassificationScores) {
    println!("\n{split}: {} studies", scores.studies);
    println!(
        "{:<28}{:>5}  {:<20}{:<20}{:<20}F1 always",
        "class", "+", "AUROC", "AP", "F1"
    );
    for class in &scores.classes {
        let Some(of_class) = &class.scores else {
            continue;
        };
        println!(
            "{:<28}{:>5}  {:<20}{:<20}{:<20}{}",
            class.class.name(),
            of_class.positives,
            estimate(of_class.auroc.as_ref()),
            estimate(of_class.average_precision.as_ref()),
            estimate(of_class.f1.as_ref()),
            of_class
                .always_positive_f1
                .map_or("–".to_owned(), |f1| format!("{f1:.3}")),
        );
    }
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    println!(
        "mean AUROC {}, mean AP {}, F1 micro {}, macro {}",
        number(scores.macro_auroc),
        number(scores.macro_average_precision),
        estimate(scores.micro_f1.as_ref()),
        number(scores.macro_f1),
    );
}

/// A score and its interval.
fn estimate(estimate: Option<&ithn::metrics::classification::Estimate>) -> String {
    let Some(estimate) = estimate else {
        return "–".to_owned();
    };
    match estimate.interval {
        Some(interval) => {
            format!(
                "{:.3} [{:.2}, {:.2}]",
                estimate.value, interval.low, interval.high
            )
        }
        None => format!("{:.3}", estimate.value),
    }
}
