use std::path::Path;
use std::time::Duration;

use burn::tensor::Device;
use ithn_data::phantom::PhantomConfig;
use ithn_search::SearchConfig;
use serde::{Deserialize, Serialize};

use super::arm::Arm;
use super::cell::{Cell, CellResult};
use super::numbers::CellNumbers;
use super::real::RealStudies;
use super::summary::AblationReport;
use crate::{DataSource, Dataset, RankingConfig, RunFolder, TrainError};
use ithn_checkpoint::config::{ConfigError, ExperimentConfig, GeneratorKind, Preset};

/// Time that a cell should not exceed on two CPU cores.
pub const CELL_LIMIT: Duration = Duration::from_secs(120);

/// Configuration of the ablation: generators, arms, seeds and studies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AblationConfig {
    /// Generators.
    pub generators: Vec<GeneratorKind>,
    /// Arms; the others are compared with [`Arm::None`].
    pub arms: Vec<Arm>,
    /// Seeds; fewer than 6 cannot reach p < 0.05.
    pub seeds: Vec<u64>,
    /// The phantom studies, the same for all cells, unless the studies are real.
    pub studies: PhantomConfig,
    /// Real studies, the same for all cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<RealStudies>,
    /// Configuration of [`Arm::Ours`]; `generators` replaces its generator.
    pub base: ExperimentConfig,
    /// How test studies are ranked.
    pub ranking: RankingConfig,
}

/// Progress of an ablation, reported after every cell.
#[derive(Debug, Clone, Copy)]
pub struct AblationProgress<'a> {
    /// Cells that are done, this one included.
    pub done: usize,
    /// All cells.
    pub total: usize,
    /// The cell that was done last.
    pub result: &'a CellResult,
    /// Whether it had been run before.
    pub kept: bool,
}

impl AblationConfig {
    /// All generators and main arms, 8 seeds, cells of a minute or two on two CPU cores.
    pub fn standard() -> Self {
        let mut base = Preset::Phantom.config();
        base.training.epochs = 4;
        base.decoding = SearchConfig::greedy(base.text.max_tokens);
        AblationConfig {
            generators: GeneratorKind::ALL.to_vec(),
            arms: Arm::MAIN.to_vec(),
            seeds: (1..=8).collect(),
            studies: PhantomConfig::new(900, 8, 480)
                .with_near_twin_share(0.6)
                .with_image_size(128),
            real: None,
            base,
            ranking: RankingConfig {
                studies: 64,
                ..RankingConfig::default()
            },
        }
    }

    /// The main arms on real studies, 8 seeds, R2GenCMN alone, with [`RealStudies::base`].
    pub fn on(real: RealStudies) -> Self {
        AblationConfig {
            generators: vec![GeneratorKind::R2GenCmn],
            base: RealStudies::base(),
            real: Some(real),
            ranking: RankingConfig::default(),
            ..AblationConfig::standard()
        }
    }

    /// A smoke run: everything once more than once, on so little that the numbers mean nothing.
    pub fn quick() -> Self {
        let mut config = AblationConfig::standard();
        config.seeds.truncate(2);
        let studies = &mut config.studies;
        (studies.train, studies.validation, studies.test) = (32, 2, 8);
        studies.image_size = 64;
        config.base.training.epochs = 2;
        config.base.text.minimum_occurrences = 1;
        config.base.decoding = SearchConfig::greedy(40);
        config.ranking.candidates = 5;
        config
    }

    /// Every cell, generator by generator, seed by seed, so that comparisons fill up evenly.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &generator in &self.generators {
            for &seed in &self.seeds {
                for &arm in &self.arms {
                    let base = self.base.clone().with_generator(generator);
                    let mut config = arm.apply(&base);
                    config.training.seed = seed;
                    // Every cell trains to its end, so that none is lucky with its last epoch.
                    config.training.patience = config.training.epochs;
                    cells.push(Cell {
                        generator,
                        arm,
                        seed,
                        config,
                        studies: self.studies.clone(),
                        real: self.real.clone(),
                        ranking: self.ranking,
                    });
                }
            }
        }
        cells
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let empty = |key: &str| Err(ConfigError::new(key, "the ablation needs at least one"));
        if self.generators.is_empty() {
            return empty("generators");
        }
        if self.arms.is_empty() {
            return empty("arms");
        }
        if self.seeds.is_empty() {
            return empty("seeds");
        }
        self.cells().iter().try_for_each(|cell| {
            if cell.real.is_some() {
                RealStudies::validate(&cell.config)?;
            }
            cell.config.validate()
        })
    }
}

/// Runs every cell that `out` does not hold yet, and reports on all.
///
/// `out` holds the studies in `studies-…` and one file per cell in `cells`; `numbers`, if given, the same as lines. A cell
/// that either has is not run again. `progress` is called after every cell.
///
/// # Errors
///
/// If a configuration is invalid, a file cannot be used or a training run fails; finished cells
/// stay.
pub fn run_ablation(
    config: &AblationConfig,
    out: &Path,
    mut numbers: Option<&mut CellNumbers>,
    device: &Device,
    mut progress: impl FnMut(AblationProgress<'_>),
) -> Result<AblationReport, TrainError> {
    config.validate()?;
    let cells = config.cells();
    let folder = out.join("cells");
    RunFolder::view(&folder).make()?;
    let mut dataset = None;
    let mut results: Vec<CellResult> = Vec::with_capacity(cells.len());
    for cell in &cells {
        let line = numbers.as_ref().and_then(|numbers| numbers.kept(cell));
        let earlier = line.map_or_else(|| cell.kept(&folder), |line| Ok(Some(line)))?;
        let kept = earlier.is_some();
        let result = match earlier {
            Some(result) => result,
            None => {
                let dataset = match &mut dataset {
                    Some(dataset) => dataset,
                    None => dataset.insert(studies(config, out)?),
                };
                cell.run(dataset, &folder, device)?
            }
        };
        if let Some(numbers) = &mut numbers {
            numbers.append(&result)?;
        }
        progress(AblationProgress {
            done: results.len() + 1,
            total: cells.len(),
            result: &result,
            kept,
        });
        results.push(result);
    }
    Ok(AblationReport::new(config.clone(), results)?)
}

/// Reads the real studies, or generates the phantom studies unless they are in `out`.
fn studies(config: &AblationConfig, out: &Path) -> Result<Dataset, TrainError> {
    if let Some(real) = &config.real {
        return real.dataset(config.base.model.views);
    }
    let studies = &config.studies;
    let name = format!(
        "studies-{}-{}-{}-twins{}-{}px-seed{}",
        studies.train,
        studies.validation,
        studies.test,
        (studies.near_twin_share * 100.0).round(),
        studies.image_size,
        studies.seed
    );
    let folder = out.join(name);
    ithn_data::phantom::write_phantom_dataset(&folder, studies)?;
    Dataset::load(
        &DataSource::mimic(folder),
        config.base.model.views,
        None,
        ithn_data::OnBadStudy::Stop,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_a_file_of_its_own_that_its_config_names() {
        let config = AblationConfig::standard();
        let names = |config: &AblationConfig| -> Vec<String> {
            config.cells().iter().map(Cell::file_name).collect()
        };
        let mut sorted = names(&config);
        assert_eq!(sorted, names(&config));
        assert_eq!(sorted.len(), 3 * 6 * 8);
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 3 * 6 * 8);
        let mut longer = config.clone();
        longer.base.training.epochs += 1;
        assert!(names(&longer).iter().all(|name| !sorted.contains(name)));
    }

    #[test]
    fn a_wider_run_keeps_the_cells_of_a_narrower() {
        let wide = AblationConfig::standard();
        let narrow = AblationConfig {
            seeds: vec![3],
            arms: vec![Arm::Ours],
            ..wide.clone()
        };
        let all: Vec<String> = wide.cells().iter().map(Cell::file_name).collect();
        assert!(
            narrow
                .cells()
                .iter()
                .all(|cell| all.contains(&cell.file_name()))
        );
    }

    #[test]
    fn an_interrupted_ablation_goes_on_where_it_stopped() {
        let _turn = crate::take_turns();
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = AblationConfig::quick();
        config.generators = vec![GeneratorKind::CnnLstm];
        config.arms = vec![Arm::None, Arm::Ours];
        config.seeds = vec![1];
        config.studies.train = 8;
        config.base.training.epochs = 1;
        config.base.decoding = SearchConfig::greedy(8);
        let device = Device::default();
        let path = folder.path().join("numbers/cells.jsonl");
        let numbers = |path: &Path| CellNumbers::open(path.to_owned()).expect("readable");
        let run = |config: &AblationConfig| {
            let mut kept = Vec::new();
            let report = run_ablation(
                config,
                folder.path(),
                Some(&mut numbers(&path)),
                &device,
                |progress| {
                    kept.push(progress.kept);
                },
            );
            (report.expect("it runs"), kept)
        };
        let (first, kept) = run(&config);
        assert_eq!(kept, [false, false]);
        let (second, kept) = run(&config);
        assert_eq!(kept, [true, true]);
        assert_eq!(first.to_string(), second.to_string());
        // The lines alone are enough, and say the same.
        std::fs::remove_dir_all(folder.path().join("cells")).expect("removable");
        let (third, kept) = run(&config);
        assert_eq!(kept, [true, true]);
        assert_eq!(first.to_string(), third.to_string());
        let text = std::fs::read_to_string(&path).expect("written");
        assert_eq!(text.lines().count(), 2);
        std::fs::write(&path, "{}\n").expect("writable");
        let error = CellNumbers::open(path.clone()).expect_err("no cell");
        assert!(error.to_string().contains("line 1"), "{error}");
        std::fs::write(&path, text).expect("writable");
        config.seeds.push(2);
        let (wider, kept) = run(&config);
        assert_eq!(kept, [true, true, false, false]);

        let ours = &wider.summaries[1];
        let twins = |summary: &crate::ablation::ArmSummary, metric: crate::ablation::Metric| {
            summary
                .metrics
                .iter()
                .find(|it| it.metric == metric)
                .copied()
        };
        let likelihood = twins(ours, crate::ablation::Metric::NearTwinLikelihood).expect("known");
        assert_eq!(
            (likelihood.seeds, likelihood.against_none.is_some()),
            (2, true)
        );
        // Ranking with untrained projection heads is meaningless.
        let none = &wider.summaries[0];
        assert!(twins(none, crate::ablation::Metric::NearTwinAlignment).is_none());
        assert_eq!(wider.cells[1].hardness.len(), 1);
        let dots = wider.to_svg().matches("<circle").count();
        // Two arms and seeds of F1 and likelihood; alignment of the trained arm alone.
        assert_eq!(dots, 4 + 4 + 2);
        let table = wider.to_string();
        assert!(
            table.contains("cnn_lstm") && table.contains("findings F1"),
            "{table}"
        );
    }

    #[test]
    fn an_empty_plan_says_what_it_lacks() {
        let config = AblationConfig {
            seeds: Vec::new(),
            ..AblationConfig::quick()
        };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("seed"), "{error}");
    }
}
