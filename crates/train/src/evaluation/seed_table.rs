//! Runs of several seeds against floors that no model is needed for, resampled over studies and seeds.

use std::fmt;
use std::path::{Path, PathBuf};

use ithn_data::Annotation;
use ithn_metrics::evaluation::{ReportFiles, read_studies};
use ithn_metrics::floors::label_floors;
use ithn_metrics::{
    DEFAULT_DRAWS, FindingClass, FindingCounts, MetricsError, SeedComparison, Uncertain, Undefined,
    compare_seeds, diversity, label,
};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Findings F1 of several runs of one configuration, against the best constant labels and against each class named for
/// every study. Findings are read by `rules-14`, in the untouched references; uncertain ones count as present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeedTable {
    /// Studies of the test split.
    pub studies: usize,
    /// By run: micro and macro F1 over the 13 abnormal classes (0/0 as 0), distinct reports, share of the most frequent one.
    pub runs: Vec<SeedRow>,
    /// The set of labels with the best micro F1 on validation.
    pub constant: Vec<String>,
    /// Mean micro F1 over runs, against that set for every study.
    pub micro: SeedComparison,
    /// Macro F1 of naming every class for every study, the best constant.
    pub constant_macro: f64,
    /// By abnormal class, those that no test study has left out.
    pub classes: Vec<SeedClass>,
}

/// Scores of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeedRow {
    /// Micro F1 over the 13 abnormal classes.
    pub micro: f64,
    /// Macro F1 over them, 0/0 as 0.
    pub macro_average: f64,
    /// Distinct reports.
    pub distinct: usize,
    /// Share of the most frequent report.
    pub most_frequent_share: f64,
}

/// A class over all runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedClass {
    /// Its name.
    pub name: String,
    /// Test studies that have it.
    pub positives: usize,
    /// Mean number of studies for which a run names it.
    pub predicted: f64,
    /// Mean number of those that have it.
    pub correct: f64,
    /// Mean F1 over runs, against naming it for every study.
    pub f1: SeedComparison,
}

/// Compares the test reports of runs with floors; `predictions` are their `predictions.csv`.
///
/// # Errors
///
/// If a file cannot be read, the runs have other studies than one another, or a split is empty.
pub fn seed_table(annotation: &Path, predictions: &[PathBuf]) -> Result<SeedTable, TrainError> {
    let validation: Vec<Vec<bool>> = Annotation::read(annotation)?
        .val
        .iter()
        .map(|entry| abnormal(&entry.report))
        .collect();
    let names = FindingClass::ABNORMAL.map(FindingClass::name);
    let every: Vec<usize> = (0..names.len()).collect();
    let mut tables = Vec::new();
    let mut runs = Vec::new();
    let mut truth: Vec<Vec<bool>> = Vec::new();
    let mut ids: Option<Vec<String>> = None;
    for path in predictions {
        let studies = read_studies(ReportFiles {
            predictions: path,
            references: None,
            full_references: Some(annotation),
        })?;
        let own: Vec<String> = studies.iter().map(|study| study.id.clone()).collect();
        if ids.get_or_insert_with(|| own.clone()) != &own {
            return Err(TrainError::message(format!(
                "{}: other studies, or in another order, than in {}",
                path.display(),
                predictions[0].display()
            )));
        }
        let mut counts = FindingCounts::new(names)?;
        truth.clear();
        for study in &studies {
            let full = study.full_reference.as_ref();
            let full = full.or(study.references.first()).map_or("", String::as_str);
            truth.push(abnormal(full));
            counts.add(&abnormal(full), &abnormal(&study.prediction))?;
        }
        let texts: Vec<&str> = studies.iter().map(|it| it.prediction.as_str()).collect();
        let variety = diversity(&texts)?;
        runs.push(SeedRow {
            micro: defined(counts.micro(&every)?.f1),
            macro_average: counts.macro_average(&every, Undefined::Zero)?.f1,
            distinct: variety.distinct,
            most_frequent_share: variety.most_frequent_share,
        });
        tables.push(counts);
    }
    let floors = label_floors(&names, &validation, &truth)?;
    let constant = |labels: &dyn Fn(usize) -> bool| -> Result<FindingCounts, MetricsError> {
        let mut counts = FindingCounts::new(names)?;
        let named: Vec<bool> = every.iter().map(|&class| labels(class)).collect();
        for study in &truth {
            counts.add(study, &named)?;
        }
        Ok(counts)
    };
    let best = &floors.best_set.labels;
    let best_set = constant(&|class| best.iter().any(|name| name == names[class]))?;
    let always = constant(&|_| true)?;
    let compare = |floor: &FindingCounts, subset: &[usize]| {
        compare_seeds(&tables, floor, subset, DEFAULT_DRAWS, 0)
    };
    let mean =
        |of: &dyn Fn(&FindingCounts) -> Result<u64, MetricsError>| -> Result<f64, MetricsError> {
            let values: Vec<u64> = tables.iter().map(of).collect::<Result<_, _>>()?;
            Ok(values.iter().sum::<u64>() as f64 / values.len() as f64)
        };
    let mut classes = Vec::new();
    for &class in &every {
        let positives = truth.iter().filter(|study| study[class]).count();
        if positives == 0 {
            continue;
        }
        classes.push(SeedClass {
            name: names[class].to_owned(),
            positives,
            predicted: mean(&|table| {
                let counts = table.class(class)?;
                Ok(counts.true_positives + counts.false_positives)
            })?,
            correct: mean(&|table| Ok(table.class(class)?.true_positives))?,
            f1: compare(&always, &[class])?,
        });
    }
    Ok(SeedTable {
        studies: truth.len(),
        runs,
        constant: best.clone(),
        micro: compare(&best_set, &every)?,
        constant_macro: floors.best_macro(),
        classes,
    })
}

/// The abnormal classes that a report states.
fn abnormal(report: &str) -> Vec<bool> {
    let found = label(report).positives(Uncertain::AsPositive);
    let flags = FindingClass::ABNORMAL.map(|class| found[class.index()]);
    flags.to_vec()
}

/// 0 for 0/0.
fn defined(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

impl fmt::Display for SeedTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (runs, count) = (&self.runs, self.runs.len() as f64);
        writeln!(
            out,
            "{count} run(s), {} studies; F1 over the 13 abnormal classes, 95 % intervals and p by bootstrap over studies \
             and runs",
            self.studies
        )?;
        writeln!(out, "run   micro  macro  distinct  most frequent report")?;
        for (index, run) in runs.iter().enumerate() {
            let SeedRow {
                micro,
                macro_average,
                distinct,
                most_frequent_share,
            } = run;
            writeln!(
                out,
                "{:<5} {micro:.3}  {macro_average:.3}  {distinct:>8}  {:>19.0}%",
                index + 1,
                100.0 * most_frequent_share
            )?;
        }
        let mean = |of: fn(&SeedRow) -> f64| runs.iter().map(of).sum::<f64>() / count;
        writeln!(
            out,
            "mean  {:.3}  {:.3}  {:>8.0}  {:>19.0}%",
            mean(|run| run.micro),
            mean(|run| run.macro_average),
            mean(|run| run.distinct as f64),
            100.0 * mean(|run| run.most_frequent_share)
        )?;
        writeln!(
            out,
            "micro against '{}' for every study: {}",
            self.constant.join(", "),
            compared(&self.micro)
        )?;
        writeln!(
            out,
            "macro of every class for every study: {:.3}",
            self.constant_macro
        )?;
        writeln!(
            out,
            "class against naming it for every study; positives, named, right"
        )?;
        for class in &self.classes {
            writeln!(
                out,
                "  {:<27} {:>4} {:>6.1} {:>6.1}  {}",
                class.name,
                class.positives,
                class.predicted,
                class.correct,
                compared(&class.f1)
            )?;
        }
        Ok(())
    }
}

fn compared(found: &SeedComparison) -> String {
    let SeedComparison {
        mean,
        interval,
        floor,
        p_value,
        ..
    } = found;
    format!(
        "{mean:.3} [{:.3}, {:.3}], floor {floor:.3}, p {p_value:.4}",
        interval.low, interval.high
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const EFFUSION: &str = "there is a left pleural effusion .";
    const CLEAR: &str = "the lungs are clear .";

    fn written(folder: &Path, name: &str, reports: &[&str]) -> PathBuf {
        let rows = reports.iter().enumerate();
        let rows: String = rows
            .map(|(index, text)| format!("t{index},{CLEAR},{text}\n"))
            .collect();
        let path = folder.join(name);
        fs::write(&path, format!("id,reference,prediction\n{rows}")).expect("writable");
        path
    }

    #[test]
    fn counts_and_floors_by_hand() {
        let folder = tempfile::tempdir().expect("a folder");
        let entry = |id: String, report: &str, split: &str| serde_json::json!({"id": id, "report": report, "image_path": ["a.png"], "split": split});
        let truth = [EFFUSION, EFFUSION, CLEAR, CLEAR];
        let test = truth.iter().enumerate();
        let test: Vec<_> = test
            .map(|(index, report)| entry(format!("t{index}"), report, "test"))
            .collect();
        let annotation = folder.path().join("annotation.json");
        let content = serde_json::json!({
            "train": [entry("a".into(), CLEAR, "train")],
            "val": [entry("b".into(), EFFUSION, "val"), entry("c".into(), CLEAR, "val")],
            "test": test,
        });
        fs::write(&annotation, content.to_string()).expect("writable");
        let runs = [
            written(folder.path(), "1.csv", &truth),
            written(folder.path(), "2.csv", &[EFFUSION, CLEAR, EFFUSION, CLEAR]),
        ];
        let table = seed_table(&annotation, &runs).expect("readable");
        assert_eq!(table.studies, 4);
        let micros: Vec<f64> = table.runs.iter().map(|run| run.micro).collect();
        assert_eq!(micros, [1.0, 0.5]);
        assert_eq!(table.runs[0].macro_average, 1.0 / 13.0);
        assert_eq!(
            (table.runs[1].distinct, table.runs[1].most_frequent_share),
            (2, 0.5)
        );
        assert_eq!(table.constant, ["Pleural Effusion"]);
        assert_eq!(table.micro.mean, 0.75);
        // 2p / (1 + p) with p = ½.
        assert!((table.micro.floor - 2.0 / 3.0).abs() < 1e-12);
        let [effusion] = &table.classes[..] else {
            panic!("one class: {:?}", table.classes);
        };
        assert_eq!(
            (effusion.positives, effusion.predicted, effusion.correct),
            (2, 2.0, 1.5)
        );
        assert!((table.constant_macro - 2.0 / 3.0 / 13.0).abs() < 1e-12);
        let text = table.to_string();
        assert!(text.contains("Pleural Effusion"), "{text}");
        let other = written(folder.path(), "3.csv", &[CLEAR]);
        let error = seed_table(&annotation, &[runs[0].clone(), other]).expect_err("others");
        assert!(
            error.to_string().contains("3.csv: other studies"),
            "{error}"
        );
    }
}
