//! Runs small inputs with known outcomes, one line each: films, reports, tables and checkpoints of the
//! kinds that break readers. Ends with exit code 1 if an outcome is wrong.
//!
//! ```text
//! cargo run --example cases --features dicom -- FOLDER
//! ```

mod outcome;
mod sections;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ithn::config::Preset;
use ithn::data::prepare::{
    IuXrayOptions, IuXraySource, PrepareSummary, prepare_iu_xray, prepare_mimic,
};
use ithn::data::{
    Annotation, CHEXPERT_LABELS, ExclusionReason, Label, MimicOptions, MimicStudies, OnBadStudy,
    ReportSection, Tokenizer, decode_image, decode_image_bytes, read_mimic,
};
use ithn::device::DeviceName;
use ithn::import::{NamedTensors, UntraceableSizes, checkpoint_of_official, infer_official};
use ithn::inference::{ReportWriter, find_studies};
use ithn::metrics::evaluation::{ReportFiles, read_studies, read_tagged_reports};
use ithn::metrics::{FindingClass, LabelerVersion};

use outcome::{Outcome, expect, padded_film, refused, same_picture};

/// Runs the inputs of a folder and compares their outcomes with the right ones.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Folder with dicom/, jpeg/, folder/, mimic-sections/, mimic-reports/, nan/, iu-split/, tables/,
    /// checkpoints/ and labeler/
    cases: PathBuf,
}

struct Cases {
    folder: PathBuf,
    scratch: tempfile::TempDir,
    run: usize,
    failed: usize,
}

fn main() -> ExitCode {
    ithn::device::prepare_process();
    let folder = Arguments::parse().cases;
    let scratch = match tempfile::tempdir() {
        Ok(scratch) if folder.is_dir() => scratch,
        Ok(_) => {
            eprintln!("error: {} is no folder", folder.display());
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("error: cannot make a temporary folder: {error}");
            return ExitCode::from(2);
        }
    };
    let mut cases = Cases {
        folder,
        scratch,
        run: 0,
        failed: 0,
    };
    cases.films();
    cases.sections();
    cases.mimic();
    cases.iu_xray();
    cases.texts();
    cases.checkpoints();
    println!("{} of {} cases pass", cases.run - cases.failed, cases.run);
    ExitCode::from(u8::from(cases.failed > 0))
}

impl Cases {
    /// Runs a case on the file or folder `name` and prints its line. `run` also gets an empty folder.
    fn check(&mut self, name: &str, run: impl FnOnce(&Path, &Path) -> Outcome) {
        self.run += 1;
        let scratch = self.scratch.path().join(self.run.to_string());
        let input = name.split(':').next().unwrap_or(name);
        let outcome = fs::create_dir(&scratch)
            .map_err(Box::from)
            .and_then(|()| run(&self.folder.join(input), &scratch));
        match outcome {
            Ok(outcome) => println!("pass  {name}: {outcome}"),
            Err(error) => {
                self.failed += 1;
                println!("FAIL  {name}: {error}");
            }
        }
    }

    fn films(&mut self) {
        for name in [
            "dirty-bits",
            "sign-in-bit-11",
            "bare-implicit",
            "empty-version",
            "says-explicit-is-implicit",
            "blank",
            "blank-pixel-representation",
        ] {
            self.check(&format!("dicom/{name}.dcm"), |film, _| {
                same_picture(film, &film.with_file_name("expected.png"), 0)
            });
        }
        self.check("dicom/tiny-first-fragment.dcm", |film, _| {
            same_picture(film, &film.with_file_name("expected-jpeg.png"), 12)
        });
        self.check("dicom/rle-runs-over.dcm", |film, _| {
            refused(decode_image(film), &["run lengths"])
        });
        self.check("dicom/padding-65535.dcm", padded_film);
        self.check("jpeg/cut-in-first-rows.jpg", |film, _| {
            refused(decode_image(film), &["cut short"])
        });
        self.check(
            "jpeg/cut-in-first-rows.jpg: with an end marker",
            |film, _| {
                let bytes = [fs::read(film)?, vec![0xFF, 0xD9]].concat();
                refused(decode_image_bytes(&bytes, film), &["cut short"])
            },
        );
        self.check("jpeg/zeros-5000.jpg", |film, _| {
            same_picture(film, &film.with_file_name("plain.jpg"), 0)
        });
        self.check("jpeg/whole.jpg", |film, _| {
            decode_image(film)?;
            Ok("read".to_owned())
        });
        self.check("folder: stop", |folder, _| {
            let found = find_studies(&[folder.display().to_string()], OnBadStudy::Stop);
            refused(found, &["._UPPER.png"])
        });
        self.check("folder: skip", |folder, _| {
            let found = find_studies(&[folder.display().to_string()], OnBadStudy::Skip)?;
            let films = found.studies.concat();
            for film in &films {
                decode_image(film)?;
            }
            expect("films", films.len(), 3)?;
            refused(
                found.broken.into_iter().next().map_or(Ok(()), Err),
                &["._UPPER.png"],
            )
        });
    }

    fn mimic(&mut self) {
        self.check("mimic-reports: none in the folder", |folder, scratch| {
            let mut options = MimicOptions::default();
            options.on_bad_study = OnBadStudy::Skip;
            let prepared = prepare_mimic(&folder.join("mimic-jpg"), scratch, &options, |_, _| {});
            let outcome = refused(prepared, &["mimic-cxr-reports.zip", "download"])?;
            match scratch.join("annotation.json").exists() {
                true => Err("an annotation without a study was written".into()),
                false => Ok(outcome),
            }
        });
        for archive in ["mimic-cxr-reports.zip", "rezipped.zip"] {
            self.check(&format!("mimic-reports: {archive}"), |folder, _| {
                let reports = Some(folder.join(archive));
                let root = folder.join("mimic-jpg");
                let read = read_folder(&root, ReportSection::Findings, reports)?;
                expect("studies", read.studies.len(), 2)
            });
        }
        self.check("nan/mimic-nan", |folder, _| {
            let read = read_folder(folder, ReportSection::Findings, None)?;
            expect("studies", read.studies.len(), 3)?;
            let positive: Vec<(&str, Label)> = read
                .studies
                .iter()
                .filter_map(|study| study.labels)
                .flat_map(|labels| CHEXPERT_LABELS.into_iter().zip(labels.0))
                .filter_map(|(name, label)| Some((name, label?)))
                .collect();
            expect("labels", positive, vec![("Edema", Label::Positive)])
        });
    }

    fn iu_xray(&mut self) {
        for projections in [
            "indiana_projections.csv",
            "projections_extra.csv",
            "projections_na.csv",
        ] {
            self.check(&format!("nan/kaggle: {projections}"), |folder, scratch| {
                let source = IuXraySource::Tables {
                    reports: folder.join("indiana_reports.csv"),
                    projections: folder.join(projections),
                };
                let (_, annotation) = prepared_iu(&source, &folder.join("png"), scratch, None)?;
                // uid 2 has no findings, and those of uid 10 are `nan`.
                let lists = [annotation.train, annotation.val, annotation.test].concat();
                let mut ids: Vec<&str> = lists.iter().map(|entry| entry.id.as_str()).collect();
                ids.sort_unstable();
                expect(
                    "studies",
                    ids,
                    vec!["CXR1_IM-0001", "CXR3_IM-1384", "CXR4_IM-2050"],
                )
            });
        }
        self.check("iu-split", |folder, scratch| {
            let source = IuXraySource::Xml(folder.join("xml"));
            let split = Some(folder.join("annotation.json"));
            let (summary, annotation) = prepared_iu(&source, &folder.join("png"), scratch, split)?;
            let ids = [annotation.train, annotation.val, annotation.test]
                .map(|list| list.into_iter().map(|entry| entry.id).collect::<Vec<_>>());
            let expected = [vec!["CXR11_IM-0011"], vec![], vec!["CXR12_IM-0012-1001"]];
            expect(
                "ids",
                &ids[..],
                &expected.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>())[..],
            )?;
            let listed = fs::read_to_string(scratch.join("exclusions.csv"))?;
            let absent = summary.excluded.get(&ExclusionReason::NotInData).copied();
            match listed.contains("CXR99_IM-0099,not_in_data") {
                true => expect("studies that the data lacks", absent, Some(1)),
                false => Err("CXR99_IM-0099 is not listed".into()),
            }
        });
    }

    fn texts(&mut self) {
        for name in ["semicolons.csv", "tabs.tsv"] {
            self.check(&format!("tables/{name}"), |table, _| {
                let studies = read_studies(ReportFiles {
                    predictions: table,
                    references: None,
                    full_references: None,
                })?;
                let predictions: Vec<_> = studies.iter().map(|it| it.prediction.as_str()).collect();
                let expected = vec!["lungs are clear .", "patchy opacity in the left base ."];
                expect("predictions", predictions, expected)
            });
        }
        self.check("labeler", labels);
    }

    fn checkpoints(&mut self) {
        for name in ["compiled.pth", "MODEL.PTH"] {
            self.check(&format!("checkpoints/{name}"), |weights, scratch| {
                let tensors = NamedTensors::read(weights)?;
                let config = Preset::OfficialMimicCxr.config();
                let sizes = infer_official(&tensors, UntraceableSizes::default())?;
                let words = Tokenizer::numbered(sizes.vocabulary, config.text.cleaning);
                let checkpoint =
                    checkpoint_of_official(&tensors, UntraceableSizes::default(), config, words)?;
                let path = scratch.join("imported.ithn");
                checkpoint.save_as(&path)?;
                let writer = ReportWriter::from_checkpoint(&path, &DeviceName::Cpu.open()?)?;
                let cases = weights.ancestors().nth(2).unwrap_or(weights);
                let report = writer.report([cases.join("dicom/expected.png")])?;
                if cfg!(feature = "dicom") {
                    let of_dicom = writer.report([cases.join("dicom/dirty-bits.dcm")])?;
                    expect("report of the same film as DICOM", &of_dicom, &report)?;
                }
                Ok(format!(
                    "imported; writes {} words, score {:.3}",
                    report.text.split_whitespace().count(),
                    report.score
                ))
            });
        }
    }
}

fn read_folder(
    root: &Path,
    section: ReportSection,
    reports: Option<PathBuf>,
) -> Result<MimicStudies, Box<dyn Error>> {
    let mut options = MimicOptions::default();
    options.section = section;
    options.reports = reports;
    Ok(read_mimic(root, &options)?)
}

fn prepared_iu(
    source: &IuXraySource,
    images: &Path,
    out: &Path,
    split_from: Option<PathBuf>,
) -> Result<(PrepareSummary, Annotation), Box<dyn Error>> {
    let mut options = IuXrayOptions::default();
    options.split_from = split_from;
    options.on_bad_study = OnBadStudy::Skip;
    let summary = prepare_iu_xray(source, images, out, &options)?;
    Ok((summary, Annotation::read(&out.join("annotation.json"))?))
}

/// Compares the statuses of reports.csv with those that expected.csv allows.
fn labels(folder: &Path, _: &Path) -> Outcome {
    let reports = read_tagged_reports(&folder.join("reports.csv"))?;
    let expected = fs::read_to_string(folder.join("expected.csv"))?;
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in expected.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let &[id, class, allowed] = &cells[..] else {
            return Err(format!("expected.csv: '{row}' has not three columns").into());
        };
        let report = reports.iter().find(|report| report.id == id);
        let report = report.ok_or_else(|| format!("reports.csv has no {id}"))?;
        let class = FindingClass::all()
            .into_iter()
            .find(|it| it.name() == class);
        let class = class.ok_or_else(|| format!("expected.csv: no class in '{row}'"))?;
        let status = match LabelerVersion::LATEST.label(&report.report).status(class) {
            Some(status) => format!("{status:?}").to_lowercase(),
            None => "none".to_owned(),
        };
        compared += 1;
        if !allowed.split('|').any(|it| it == status) {
            wrong.push(format!("{id} {}: {status}, not {allowed}", class.name()));
        }
    }
    match wrong.is_empty() {
        true => Ok(format!("{compared} statuses right")),
        false => Err(format!("{} of {compared} wrong: {}", wrong.len(), wrong.join("; ")).into()),
    }
}
