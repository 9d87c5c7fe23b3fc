//! Reads the studies of every system, and has their findings read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ithn::data::{Annotation, Cleaning, DataError, Tokenizer};
use ithn::metrics::evaluation::formats::{Format, ReadNotes};
use ithn::metrics::evaluation::{
    EvaluationError, LabelFile, Protocol, ReportFiles, ScoredStudy, Statuses, align_studies,
    read_section_studies, read_untouched_studies,
};
use ithn::metrics::{FindingClass, LabelerVersion};
use ithn_chexbert::{CheXbert, Reading, cosine};

use super::arguments::{Arguments, ProtocolArgument, SectionArgument, TextArgument};
use crate::chexbert::{self, Files, statuses_of};
use crate::failure::Failure;

/// The predictions of a system.
pub(super) struct Read {
    pub name: String,
    /// In the order of the first system's.
    pub studies: Vec<ScoredStudy>,
    pub notes: ReadNotes,
}

/// Reads all systems, that of `--versus` last; their studies are in one order.
pub(super) fn read_systems(arguments: &Arguments) -> Result<Vec<Read>, Failure> {
    let derive = match &arguments.r2gen_vocabulary {
        Some(path) => Some(r2gen_reference(path, arguments)?),
        None => None,
    };
    let paths: Vec<&Path> = arguments
        .predictions
        .iter()
        .chain(&arguments.versus)
        .map(PathBuf::as_path)
        .collect();
    let mut systems: Vec<Read> = Vec::new();
    for (path, name) in paths.iter().zip(names(&paths)) {
        let file = in_run(path, PREDICTIONS)?;
        let files = ReportFiles {
            predictions: &file,
            references: arguments.references.as_deref(),
            full_references: arguments.full_references.as_deref(),
        };
        let (studies, notes) = match &derive {
            Some(derive) => (read_untouched_studies(files, derive)?, ReadNotes::default()),
            None => read_section_studies(files, arguments.section.into())?,
        };
        let studies = match systems.first() {
            Some(first) => align_studies(&first.studies, studies, &file)?,
            None => studies,
        };
        systems.push(Read {
            name,
            studies,
            notes,
        });
    }
    Ok(systems)
}

/// Files of a run's folder.
const PREDICTIONS: &str = "predictions.csv";
const RETRIEVAL: &str = "retrieval.csv";

/// The file that a path means: of a folder, the file of the run in it.
fn in_run(path: &Path, name: &str) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = path.join(name);
    match file.is_file() {
        true => Ok(file),
        false => Err(Failure::Said(format!(
            "{} is a folder without {name}: name a file, or a run that has ended",
            path.display()
        ))),
    }
}

/// The retrieval scores that were asked for, or those of the only run.
pub(super) fn retrieval(arguments: &Arguments) -> Result<Option<PathBuf>, Failure> {
    if let Some(path) = &arguments.retrieval {
        return in_run(path, RETRIEVAL).map(Some);
    }
    let of_run = match arguments.predictions.as_slice() {
        [run] => run.join(RETRIEVAL),
        _ => return Ok(None),
    };
    Ok(of_run.is_file().then_some(of_run))
}

/// Short names of files: their stems, or the whole paths where those are not distinct.
fn names(paths: &[&Path]) -> Vec<String> {
    let stems: Vec<String> = paths
        .iter()
        .map(|path| {
            let stem = path.file_stem().unwrap_or(path.as_os_str());
            stem.to_string_lossy().into_owned()
        })
        .collect();
    if stems.iter().collect::<BTreeSet<_>>().len() == stems.len() {
        return stems;
    }
    let whole: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut used: Vec<String> = Vec::new();
    for path in whole {
        let times = used.iter().filter(|name| name.starts_with(&path)).count();
        used.push(match times {
            0 => path,
            times => format!("{path} ({})", times + 1),
        });
    }
    used
}

/// The protocol asked for, or that of the form of the references.
pub(super) fn protocol(arguments: &Arguments, notes: &ReadNotes) -> Result<Protocol, Failure> {
    let form = notes.references.unwrap_or(notes.predictions);
    let is_rexrank = form == Format::RexRank && arguments.r2gen_vocabulary.is_none();
    match arguments.protocol {
        Some(ProtocolArgument::R2gen) => Ok(Protocol::R2gen),
        Some(ProtocolArgument::Full) => Ok(Protocol::Full),
        Some(ProtocolArgument::Rexrank) if !is_rexrank => Err(Failure::Said(
            "--protocol rexrank needs references in ReXrank's form, with section_findings and section_impression"
                .to_owned(),
        )),
        Some(ProtocolArgument::Rexrank) => Ok(Protocol::Rexrank),
        None => Ok(match (is_rexrank, arguments.section) {
            (true, SectionArgument::Both) => Protocol::Rexrank,
            // A section is as it was written.
            (true, _) => Protocol::Full,
            (false, _) => Protocol::R2gen,
        }),
    }
}

/// From an untouched report to R2Gen's.
fn r2gen_reference(
    annotation: &Path,
    arguments: &Arguments,
) -> Result<impl Fn(&str) -> String + use<>, DataError> {
    let (cleaning, occurrences, tokens) = match arguments.r2gen_text {
        TextArgument::IuXray => (Cleaning::IuXray, 3, 60),
        TextArgument::MimicCxr => (Cleaning::MimicCxr, 10, 100),
    };
    let occurrences = arguments.r2gen_occurrences.unwrap_or(occurrences);
    let tokens = arguments.r2gen_tokens.unwrap_or(tokens);
    let training = Annotation::read(annotation)?.train;
    let reports = training.iter().map(|entry| entry.report.as_str());
    let tokenizer = Tokenizer::fit(reports, cleaning, occurrences)?;
    Ok(move |report: &str| tokenizer.reference(report, tokens))
}

/// Who reads the findings.
pub(super) enum Labeler<'a> {
    Rules(LabelerVersion),
    /// Labels of references and predictions, by somebody.
    Given {
        name: &'a str,
        references: Vec<Statuses>,
        predictions: Vec<Statuses>,
    },
    CheXbert {
        model: Box<CheXbert>,
        references: Vec<Reading>,
    },
}

/// Labels of a system.
pub(super) struct Labels {
    pub references: Vec<Statuses>,
    pub predictions: Vec<Statuses>,
    /// Cosine of CheXbert's embeddings of prediction and reference, study by study.
    pub semb_score: Option<Vec<f64>>,
}

/// The text that a study's truth is read from: untouched, if there is one.
fn truth(study: &ScoredStudy) -> &str {
    let first = study.references.first().map_or("", String::as_str);
    study.full_reference.as_deref().unwrap_or(first)
}

impl<'a> Labeler<'a> {
    /// Loads what reads the findings; references are read once for all systems.
    pub(super) fn open(arguments: &'a Arguments, studies: &[ScoredStudy]) -> Result<Self, Failure> {
        if let (Some(weights), Some(vocabulary)) = (&arguments.chexbert, &arguments.vocabulary) {
            let files = Files {
                weights,
                vocabulary,
                config: arguments.chexbert_config.as_deref(),
            };
            let model = files.load(arguments.device, "--chexbert-config")?;
            let truths: Vec<&str> = studies.iter().map(truth).collect();
            let references = model.read(&truths);
            return Ok(Labeler::CheXbert {
                model: Box::new(model),
                references,
            });
        }
        match (&arguments.reference_labels, &arguments.prediction_labels) {
            (Some(references), Some(predictions)) => Ok(Labeler::Given {
                name: &arguments.labeler,
                references: labels_of(references, studies)?,
                predictions: labels_of(predictions, studies)?,
            }),
            _ => Ok(Labeler::Rules(arguments.labeler_version)),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Labeler::Rules(version) => version.name(),
            Labeler::Given { name, .. } => name,
            Labeler::CheXbert { .. } => chexbert::NAME,
        }
    }

    /// Reads the predictions of a system.
    pub(super) fn labels(&self, studies: &[ScoredStudy]) -> Labels {
        match self {
            Labeler::Rules(version) => {
                let of = |report: &str| {
                    let labels = version.label(report);
                    FindingClass::all().map(|class| labels.status(class))
                };
                Labels {
                    references: studies.iter().map(|study| of(truth(study))).collect(),
                    predictions: studies.iter().map(|study| of(&study.prediction)).collect(),
                    semb_score: None,
                }
            }
            Labeler::Given {
                references,
                predictions,
                ..
            } => Labels {
                references: references.clone(),
                predictions: predictions.clone(),
                semb_score: None,
            },
            Labeler::CheXbert { model, references } => {
                let texts: Vec<&str> = studies
                    .iter()
                    .map(|study| study.prediction.as_str())
                    .collect();
                let predictions = model.read(&texts);
                let pairs = references.iter().zip(&predictions);
                let cosines = pairs.map(|(reference, prediction)| {
                    cosine(&reference.embedding, &prediction.embedding)
                });
                let statuses = |readings: &[Reading]| {
                    readings
                        .iter()
                        .map(|reading| statuses_of(&reading.labels))
                        .collect()
                };
                Labels {
                    semb_score: Some(cosines.collect()),
                    references: statuses(references),
                    predictions: statuses(&predictions),
                }
            }
        }
    }
}

fn labels_of(path: &Path, studies: &[ScoredStudy]) -> Result<Vec<Statuses>, EvaluationError> {
    LabelFile::read(path)?.of(path, studies.iter().map(|study| study.id.as_str()))
}
