//! Which findings each study has, and for which studies that is known.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ithn_data::{Label, LabelTable, Split, Study, TokenizedStudy, read_label_table};
use ithn_metrics::{FindingClass, LABELER, Status, label};

use crate::dataset::Dataset;
use crate::error::TrainError;
use ithn_checkpoint::config::UncertainPolicy;

/// Where the findings of a study come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelSource {
    /// Its report, by the latest version of the rule-based labeler `rules-14`.
    #[default]
    Reports,
    /// A CSV table, as [`read_label_table`] takes it.
    Table(PathBuf),
}

impl LabelSource {
    /// Its name, for results: the labeler, or the table.
    pub fn name(&self) -> String {
        match self {
            LabelSource::Reports => LABELER.to_owned(),
            LabelSource::Table(path) => path.display().to_string(),
        }
    }
}

/// Studies of a split whose findings are known.
#[derive(Debug, Clone)]
pub struct LabelledSplit {
    /// The studies; their reports are not needed and left out.
    pub studies: Arc<Vec<TokenizedStudy>>,
    /// Per study, for each class: whether it is present; `None` where that is left open.
    pub truth: Vec<Vec<Option<bool>>>,
    /// Studies of the split that have no row in the table.
    pub left_out: usize,
}

impl LabelledSplit {
    /// Present and absent studies of a class.
    pub fn counts(&self, class: usize) -> [usize; 2] {
        let count = |value| {
            let of_class = self.truth.iter().filter(|row| row[class] == Some(value));
            of_class.count()
        };
        [count(true), count(false)]
    }
}

/// Labels studies from one source.
pub(super) struct Labeller<'a> {
    table: Option<(&'a Path, LabelTable)>,
    classes: &'a [FindingClass],
    uncertain: UncertainPolicy,
}

impl<'a> Labeller<'a> {
    /// Reads the table, if the source is one.
    ///
    /// # Errors
    ///
    /// If it cannot be read or lacks a class.
    pub(super) fn new(
        source: &'a LabelSource,
        classes: &'a [FindingClass],
        uncertain: UncertainPolicy,
    ) -> Result<Self, TrainError> {
        let table = match source {
            LabelSource::Reports => None,
            LabelSource::Table(path) => {
                let table = read_label_table(path)?;
                let has = |class: &FindingClass| table.columns().contains(&class.name());
                if let Some(class) = classes.iter().find(|class| !has(class)) {
                    return Err(TrainError::NoLabels {
                        path: path.clone(),
                        reason: format!("it has no column '{}'", class.name()),
                    });
                }
                Some((path.as_path(), table))
            }
        };
        Ok(Labeller {
            table,
            classes,
            uncertain,
        })
    }

    /// The studies of a split whose findings are known.
    ///
    /// # Errors
    ///
    /// If the table knows none of them.
    pub(super) fn split(
        &self,
        dataset: &Dataset,
        split: Split,
    ) -> Result<LabelledSplit, TrainError> {
        let (mut studies, mut truth, mut left_out) = (Vec::new(), Vec::new(), 0);
        for study in dataset.split(split) {
            let row = match &self.table {
                None => Some(of_report(&study.report, self.classes, self.uncertain)),
                Some((_, table)) => of_table(table, study, self.classes, self.uncertain),
            };
            let Some(row) = row else {
                left_out += 1;
                continue;
            };
            truth.push(row);
            studies.push(TokenizedStudy {
                id: study.id.clone(),
                images: study.images.clone(),
                tokens: Vec::new(),
                context: Default::default(),
            });
        }
        match &self.table {
            Some((path, _)) if studies.is_empty() => Err(TrainError::NoLabels {
                path: path.to_path_buf(),
                reason: format!("it has no row for any study of the {} split", split.name()),
            }),
            _ => Ok(LabelledSplit {
                studies: Arc::new(studies),
                truth,
                left_out,
            }),
        }
    }
}

fn of_report(
    report: &str,
    classes: &[FindingClass],
    uncertain: UncertainPolicy,
) -> Vec<Option<bool>> {
    let labels = label(report);
    let truth = |class: &FindingClass| match labels.status(*class) {
        Some(Status::Positive) => Some(true),
        Some(Status::Uncertain) => of_uncertain(uncertain),
        Some(Status::Negative) | None => Some(false),
    };
    classes.iter().map(truth).collect()
}

fn of_table(
    table: &LabelTable,
    study: &Study,
    classes: &[FindingClass],
    uncertain: UncertainPolicy,
) -> Option<Vec<Option<bool>>> {
    let labels = table.get(&study.id)?;
    let truth = |class: &FindingClass| match labels.get(class.name()) {
        Some(Label::Positive) => Some(true),
        Some(Label::Uncertain) => of_uncertain(uncertain),
        Some(Label::Negative) | None => Some(false),
    };
    Some(classes.iter().map(truth).collect())
}

fn of_uncertain(policy: UncertainPolicy) -> Option<bool> {
    match policy {
        UncertainPolicy::Positive => Some(true),
        UncertainPolicy::Negative => Some(false),
        UncertainPolicy::Ignored => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_inference::FindingsReader;

    fn dataset() -> Dataset {
        let study = |id: &str, split, report: &str| Study {
            id: id.to_owned(),
            patient: id.to_owned(),
            images: vec![PathBuf::from("film.png")],
            report: report.to_owned(),
            split,
            labels: None,
            negative: None,
            context: Default::default(),
        };
        Dataset {
            path: PathBuf::new(),
            studies: vec![
                study("1", Split::Train, "Left pleural effusion. Possible edema."),
                study("2", Split::Train, "The lungs are clear."),
                study("3", Split::Validation, "No edema."),
                study("4", Split::Test, "Edema."),
            ],
            findings: FindingsReader::Rules14,
            notes: Vec::new(),
            warnings: Vec::new(),
            kind: ithn_checkpoint::card::DataKind::Annotation,
        }
    }

    fn labelled(
        source: &LabelSource,
        policy: UncertainPolicy,
    ) -> Result<[LabelledSplit; 3], TrainError> {
        let labeller = Labeller::new(source, &CLASSES, policy)?;
        let split = |split| labeller.split(&dataset(), split);
        let [train, validation, test] = Split::ALL;
        Ok([split(train)?, split(validation)?, split(test)?])
    }

    const CLASSES: [FindingClass; 2] = [FindingClass::Edema, FindingClass::PleuralEffusion];

    #[test]
    fn uncertain_findings_follow_the_policy() {
        for (policy, edema) in [
            (UncertainPolicy::Positive, Some(true)),
            (UncertainPolicy::Negative, Some(false)),
            (UncertainPolicy::Ignored, None),
        ] {
            let [train, validation, test] =
                labelled(&LabelSource::Reports, policy).expect("reports");
            assert_eq!(train.truth[0], [edema, Some(true)]);
            assert_eq!(train.truth[1], [Some(false); 2]);
            assert_eq!(train.counts(1), [1, 1]);
            assert_eq!(validation.truth, [vec![Some(false); 2]]);
            assert_eq!(test.truth[0][0], Some(true));
        }
    }

    #[test]
    fn a_table_labels_the_studies_that_it_knows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("labels.csv");
        let labelled_by = |text: &str| {
            std::fs::write(&path, text).expect("written");
            let source = LabelSource::Table(path.clone());
            labelled(&source, UncertainPolicy::Ignored)
        };
        let [train, validation, _] =
            labelled_by("study_id,Edema,Pleural Effusion\n1,-1.0,0.0\n3,1.0,\n4,,\n")
                .expect("a table");
        assert_eq!((train.studies.len(), train.left_out), (1, 1));
        assert_eq!(train.truth, [vec![None, Some(false)]]);
        assert_eq!(validation.truth, [vec![Some(true), Some(false)]]);
        for (text, part) in [
            ("study_id,Edema\n1,1\n", "no column 'Pleural Effusion'"),
            ("study_id,Edema,Pleural Effusion\n1,1,0\n", "the val split"),
        ] {
            let error = labelled_by(text).expect_err(part).to_string();
            assert!(
                error.contains(part) && error.contains("labels.csv"),
                "{error}"
            );
        }
    }
}
