//! What a finished run writes and tells.

use std::path::{Path, PathBuf};

use ithn_generator::TrainableGenerator;
use ithn_metrics::evaluation::RankedStudy;

use super::{ExperimentResults, RunData, write_run_page};
use crate::error::TrainError;
use crate::evaluation::Prediction;
use crate::records::RunFolder;
use crate::watch::Observer;

/// Predictions printed at the end.
const EXAMPLES: usize = 5;

/// Writes tables and page; the page's path.
pub(super) fn write_results<G: TrainableGenerator>(
    folder: &RunFolder,
    run: &RunData<'_, G>,
    results: &ExperimentResults,
    predictions: &[Prediction],
    ranked: &[RankedStudy],
) -> Result<PathBuf, TrainError> {
    folder.write_predictions("predictions.csv", predictions)?;
    if !ranked.is_empty() {
        folder.write_retrieval(ranked)?;
    }
    folder.write_json("metrics.json", results)?;
    write_run_page(folder, run)
}

/// Tells an observer of the results.
pub(super) fn report(
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
    for (name, scores) in rows {
        if let Some(comparisons) = &scores.comparisons {
            observer.note(&format!("{name}: {comparisons}"));
        }
    }
    if let Some(floor) = &results.floors.change {
        observer.note(&format!(
            "floor: \"{}\" of every finding that is compared: change accuracy {:.3}",
            floor.change, floor.accuracy
        ));
    }
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
