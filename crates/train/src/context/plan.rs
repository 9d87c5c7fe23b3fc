use std::fmt;
use std::path::Path;
use std::str::FromStr;

use burn::tensor::Device;
use ithn_checkpoint::config::{ConfigError, ExperimentConfig, GeneratorConfig, Preset};
use ithn_data::phantom::{PhantomHistoryConfig, write_phantom_histories};
use ithn_models::ContextConfig;
use ithn_search::SearchConfig;
use serde::{Deserialize, Serialize};

use super::cell::{BackboneStart, ContextCell, ContextResult};
use super::report::ContextReport;
use crate::{RunFolder, TrainError};

/// What a generator reads of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reads {
    /// One film.
    Film,
    /// As many films as the base configuration, with their projections.
    Views,
    /// One film and the indication.
    Indication,
    /// One film and those of the previous study.
    PriorFilms,
    /// One film and the previous report.
    PriorReport,
    /// One film, and films and report of the previous study.
    Prior,
    /// Everything: the base configuration.
    Everything,
}

impl Reads {
    /// All choices, the one that others are compared with first.
    pub const ALL: [Reads; 7] = [
        Reads::Film,
        Reads::Views,
        Reads::Indication,
        Reads::PriorFilms,
        Reads::PriorReport,
        Reads::Prior,
        Reads::Everything,
    ];

    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Reads::Film => "film",
            Reads::Views => "views",
            Reads::Indication => "indication",
            Reads::PriorFilms => "prior-films",
            Reads::PriorReport => "prior-report",
            Reads::Prior => "prior",
            Reads::Everything => "everything",
        }
    }

    /// The base configuration, reading this much of what it reads.
    pub fn apply(self, base: &ExperimentConfig) -> ExperimentConfig {
        let mut config = base.clone();
        let whole = base.model.generator.context();
        let whole = whole.unwrap_or(ContextConfig::new(0, 0, 0));
        let (films, report) = (whole.prior_views, whole.prior_report_words);
        let (views, context) = match self {
            Reads::Film => (1, None),
            Reads::Views => (base.model.views, Some(ContextConfig::new(0, 0, 0))),
            Reads::Indication => (1, Some(ContextConfig::new(0, 0, whole.indication_words))),
            Reads::PriorFilms => (1, Some(ContextConfig::new(films, 0, 0))),
            Reads::PriorReport => (1, Some(ContextConfig::new(0, report, 0))),
            Reads::Prior => (1, Some(ContextConfig::new(films, report, 0))),
            Reads::Everything => (base.model.views, Some(whole)),
        };
        config.model.views = views;
        match &mut config.model.generator {
            GeneratorConfig::R2GenCmn(sizes) => sizes.context = context,
            GeneratorConfig::CnnLstm(sizes) => sizes.context = context,
            _ => {}
        }
        config
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Reads {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Reads::ALL
            .into_iter()
            .find(|reads| reads.name() == name)
            .ok_or_else(|| {
                let names = Reads::ALL.map(Reads::name).join(", ");
                ConfigError::new("reads", format!("unknown '{name}': use one of {names}"))
            })
    }
}

/// Configuration of the experiment: what is read, seeds and patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ContextExperiment {
    /// What generators read; each is compared with [`Reads::Film`].
    pub reads: Vec<Reads>,
    /// Seeds; fewer than 6 cannot reach p < 0.05.
    pub seeds: Vec<u64>,
    /// The patients, the same for all cells.
    pub studies: PhantomHistoryConfig,
    /// Configuration of [`Reads::Everything`]: a generator of this library that reads context.
    pub base: ExperimentConfig,
    /// Weights that the backbone of every cell starts from; random ones of its seed if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<BackboneStart>,
}

impl ContextExperiment {
    /// All choices and 8 seeds on the patients of the preset `phantom-history`, greedy search.
    pub fn standard() -> Self {
        let mut base = Preset::PhantomHistory.config();
        base.decoding = SearchConfig::greedy(base.text.max_tokens);
        ContextExperiment {
            reads: Reads::ALL.to_vec(),
            seeds: (1..=8).collect(),
            studies: PhantomHistoryConfig::new(1250, 8, 240),
            base,
            backbone: None,
        }
    }

    /// A smoke run on so little that the numbers mean nothing.
    pub fn quick() -> Self {
        let mut config = ContextExperiment::standard();
        config.seeds.truncate(2);
        config.studies = PhantomHistoryConfig::new(14, 2, 5).with_image_size(64);
        config.base.training.epochs = 2;
        config.base.text.minimum_occurrences = 1;
        config.base.decoding = SearchConfig::greedy(40);
        config
    }

    /// Every cell, seed by seed.
    pub fn cells(&self) -> Vec<ContextCell> {
        let cell = |seed: u64, reads: Reads| {
            let mut config = reads.apply(&self.base);
            config.training.seed = seed;
            // Every cell trains to its end, so that none is lucky with its last epoch.
            config.training.patience = config.training.epochs;
            ContextCell {
                reads,
                seed,
                config,
                studies: self.studies.clone(),
                backbone: self.backbone.clone(),
            }
        };
        let seeds = self.seeds.iter();
        seeds
            .flat_map(|&seed| self.reads.iter().map(move |&reads| cell(seed, reads)))
            .collect()
    }

    fn validate(&self) -> Result<(), ConfigError> {
        for (key, is_empty) in [
            ("reads", self.reads.is_empty()),
            ("seeds", self.seeds.is_empty()),
        ] {
            if is_empty {
                return Err(ConfigError::new(key, "the experiment needs at least one"));
            }
        }
        if self.base.model.generator.context().is_none() {
            return Err(ConfigError::new(
                "base.model.generator.context",
                "the experiment needs a generator that reads context: r2gen_cmn or cnn_lstm with this section",
            ));
        }
        if self.base.training.freeze_backbone && self.backbone.is_none() {
            return Err(ConfigError::new(
                "base.training.freeze_backbone",
                "the backbone would stay at random weights: give the experiment backbone weights",
            ));
        }
        self.cells()
            .iter()
            .try_for_each(|cell| cell.config.validate())
    }
}

/// Runs every cell that `out` does not hold yet, and reports on all.
///
/// `out` holds the patients in `patients-…` and one file per cell in `cells`; `progress` gets the number of finished cells,
/// their total, the last result, and whether it had been run before.
///
/// # Errors
///
/// If a configuration is invalid, a file cannot be used or a training fails; finished cells stay.
pub fn run_context_experiment(
    config: &ContextExperiment,
    out: &Path,
    device: &Device,
    mut progress: impl FnMut(usize, usize, &ContextResult, bool),
) -> Result<ContextReport, TrainError> {
    config.validate()?;
    let cells = config.cells();
    let folder = out.join("cells");
    RunFolder::view(&folder).make()?;
    let patients = out.join(patients_name(&config.studies)?);
    let mut results: Vec<ContextResult> = Vec::with_capacity(cells.len());
    for cell in &cells {
        let earlier = cell.kept(&folder)?;
        let kept = earlier.is_some();
        let result = match earlier {
            Some(result) => result,
            None => {
                write_phantom_histories(&patients, &config.studies)?;
                cell.run(&patients, &folder, device)?
            }
        };
        progress(results.len() + 1, cells.len(), &result, kept);
        results.push(result);
    }
    Ok(ContextReport::new(config.clone(), results)?)
}

/// Folder of the patients, one for each configuration.
fn patients_name(studies: &PhantomHistoryConfig) -> Result<String, TrainError> {
    let identity = serde_json::to_vec(studies).map_err(TrainError::message)?;
    Ok(format!(
        "patients-{}-{}-{}-{}px-{:08x}",
        studies.train,
        studies.validation,
        studies.test,
        studies.image_size,
        crc32fast::hash(&identity)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ContextMetric;

    #[test]
    fn choices_differ_and_everything_is_the_base() {
        let base = Preset::PhantomHistory.config();
        let configs = Reads::ALL.map(|reads| reads.apply(&base));
        for (index, config) in configs.iter().enumerate() {
            config.validate().expect("valid");
            assert!(!configs[..index].contains(config), "{}", Reads::ALL[index]);
        }
        assert_eq!(Reads::Everything.apply(&base), base);
        for reads in Reads::ALL {
            assert_eq!(reads.name().parse(), Ok(reads));
        }
    }

    #[test]
    fn an_interrupted_experiment_goes_on_where_it_stopped() {
        let _turn = crate::take_turns();
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = ContextExperiment::quick();
        config.reads = vec![Reads::Film, Reads::Everything];
        config.seeds = vec![1];
        config.studies = PhantomHistoryConfig::new(12, 1, 3).with_image_size(32);
        config.base.training.epochs = 1;
        config.base.images.size = 32;
        config.base.decoding = SearchConfig::greedy(8);
        let run = |config: &ContextExperiment| {
            let mut kept = Vec::new();
            let device = Device::default();
            let report = run_context_experiment(config, folder.path(), &device, |_, _, _, it| {
                kept.push(it);
            });
            (report.expect("it runs"), kept)
        };
        let (first, kept) = run(&config);
        assert_eq!(kept, [false, false]);
        let (second, kept) = run(&config);
        assert_eq!(kept, [true, true]);
        // What is written and read again may differ in a number's last digit.
        let written = serde_json::to_string(&first.cells).expect("numbers");
        let read: Vec<ContextResult> = serde_json::from_str(&written).expect("as written");
        assert_eq!(read, second.cells);
        let names: Vec<ContextMetric> = first.summaries[1]
            .metrics
            .iter()
            .map(|it| it.metric)
            .collect();
        assert_eq!(names, ContextMetric::ALL);
        assert!(first.summaries[1].metrics[0].against_film.is_some());
        let table = first.to_string();
        for part in [
            "everything",
            "change accuracy",
            "most frequent change",
            "indication alone",
        ] {
            assert!(table.contains(part), "{table}");
        }
    }

    #[test]
    fn an_experiment_that_cannot_run_says_why() {
        let config = ContextExperiment {
            seeds: Vec::new(),
            ..ContextExperiment::quick()
        };
        assert_eq!(config.validate().expect_err("no seed").key(), "seeds");
        let config = ContextExperiment {
            base: Preset::Phantom.config(),
            ..ContextExperiment::quick()
        };
        let error = config.validate().expect_err("it reads nothing");
        assert_eq!(error.key(), "base.model.generator.context");
        let mut config = ContextExperiment::quick();
        config.base.training.freeze_backbone = true;
        let error = config.validate().expect_err("random weights would stay");
        assert_eq!(error.key(), "base.training.freeze_backbone");
        let error = BackboneStart::read("no/such/file".into()).expect_err("there is none");
        assert!(error.to_string().contains("no/such/file"), "{error}");
    }

    #[test]
    fn cells_depend_on_the_content_of_backbone_weights_not_on_their_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("written");
            let mut config = ContextExperiment::quick();
            config.backbone = Some(BackboneStart::read(path).expect("it is there"));
            config.cells()[0].file_name()
        };
        let first = file("a", b"weights");
        assert_eq!(file("b", b"weights"), first);
        assert_ne!(file("c", b"others"), first);
        assert_ne!(ContextExperiment::quick().cells()[0].file_name(), first);
    }
}
