//! What a run does when its numbers break, when it is stopped, and what it leaves to look at.

use std::fs;
use std::path::{Path, PathBuf};

use ithn::checkpoint::{Checkpoint, CheckpointHeader};
use ithn::config::NonFinite;
use ithn::config::{ExperimentConfig, Negatives};
use ithn::data::OnBadStudy;
use ithn::device::DeviceName;
use ithn::generator::config::NonNegative;
use ithn::inference::{FilmStudy, ReportWriter, find_studies};
use ithn::search::{Sampling, SearchConfig};
use ithn::train::{Console, ExperimentOptions, TrainError, Verbosity, run_experiment};

mod tiny;

use tiny::{options, studies, tiny};

fn run(config: &ExperimentConfig, options: &ExperimentOptions) -> Result<(), TrainError> {
    run_experiment(config, options, &mut Console::new(Verbosity::Quiet)).map(drop)
}

/// Learning rates at which weights overflow after a step or two.
fn exploding() -> ExperimentConfig {
    let mut config = tiny();
    config.training.optimizer.learning_rate = NonNegative::literal(1e38);
    config.training.optimizer.backbone_learning_rate = NonNegative::literal(1e38);
    config.training.optimizer.warmup_steps = 0;
    config
}

fn folder_with_studies() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    studies(folder.path());
    folder
}

fn header(out: &Path) -> CheckpointHeader {
    CheckpointHeader::load(&out.join("last.ithn")).expect("a checkpoint")
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_with_its_studies_named() {
    let folder = folder_with_studies();
    let out = folder.path().join("run");
    let error = run(&exploding(), &options(folder.path(), &out)).unwrap_err();
    let TrainError::NonFinite { studies, step, .. } = &error else {
        panic!("{error}");
    };
    let text = fs::read_to_string(out.join("non-finite.json")).expect("written");
    let incident: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let named: Vec<&str> = studies.split(", ").collect();
    assert!(!named.is_empty());
    assert_eq!(incident["studies"], serde_json::json!(named));
    assert!(error.to_string().contains("skip such batches"), "{error}");
    // The weights before it: the step was not taken.
    Checkpoint::load(&out.join("last.ithn")).expect("whole");
    assert_eq!(header(&out).progress.step + 1, *step);
}

#[test]
fn left_out_batches_are_counted_and_not_endless() {
    let folder = folder_with_studies();
    let out = folder.path().join("run");
    let mut config = exploding();
    config.training.guards.non_finite = NonFinite::Skip { at_most: 5 };
    let error = run(&config, &options(folder.path(), &out)).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { .. }), "{error}");
    // Two batches to a step: four are left out, six would be too many.
    assert_eq!(header(&out).progress.skipped, 4);
}

#[test]
fn an_unreadable_image_leaves_no_run_behind() {
    let folder = folder_with_studies();
    let out = folder.path().join("run");
    let options = options(folder.path(), &out);
    for image in images_below(folder.path()) {
        fs::write(image, "no image").expect("writable");
    }
    let error = run(&tiny(), &options).unwrap_err();
    assert!(matches!(error, TrainError::Data(_)), "{error}");
    assert!(!out.exists());
}

#[test]
fn a_stopped_run_goes_on_and_other_data_is_refused() {
    let folder = folder_with_studies();
    let out = folder.path().join("run");
    let mut config = tiny();
    config.training.epochs = 1;
    let mut options = options(folder.path(), &out);
    options.interrupt.raise();
    let error = run(&config, &options).unwrap_err();
    assert!(
        matches!(error, TrainError::Interrupted { step: 1, .. }),
        "{error}"
    );
    assert_eq!(header(&out).progress.step, 1);

    // Not overwritten by a fresh run, nor continued on other data.
    options.interrupt = ithn::train::Interrupt::default();
    let error = run(&config, &options).unwrap_err();
    assert!(matches!(error, TrainError::OutputInUse(_)), "{error}");
    options.resume = true;
    options.limit = Some(40);
    let error = run(&config, &options).unwrap_err();
    assert!(matches!(error, TrainError::OtherData(_)), "{error}");
    let mut without = config.clone();
    without.negatives = Negatives::Off;
    options.limit = None;
    let error = run(&without, &options).unwrap_err();
    assert!(matches!(error, TrainError::OtherData(_)), "{error}");

    run(&config, &options).expect("it goes on");
    let page = fs::read_to_string(out.join("report.html")).expect("a page");
    assert!(page.len() < 10_000_000);
    for shown in [
        "\"epochs\":[{",
        "\"similarities\":{",
        "floor: nearest image",
        "data:image/jpeg;base64,",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    several_reports_of_several_studies(&folder.path().join("studies"), &out.join("best.ithn"));
}

fn several_reports_of_several_studies(dataset: &Path, checkpoint: &Path) {
    let device = DeviceName::Cpu.open().expect("a processor");
    let writer = ReportWriter::from_checkpoint(checkpoint, &device).expect("a checkpoint");
    let images = images_below(dataset);
    let names: Vec<String> = images[..3]
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let studies = find_studies(&names, OnBadStudy::Stop)
        .expect("they are there")
        .studies;
    let studies: Vec<FilmStudy> = studies.iter().map(FilmStudy::of_films).collect();
    let alone: Vec<String> = studies
        .iter()
        .map(|study| writer.report(study.films.clone()).expect("readable").text)
        .collect();
    let together = writer.reports(&studies).expect("readable");
    for (alone, reports) in alone.iter().zip(&together) {
        assert_eq!(reports.len(), 1);
        assert_eq!(alone, &reports[0].text);
    }
    // Two beams are widened to the three reports.
    let ranked = writer.with_beams(Some(2), 3).expect("valid");
    for reports in ranked.reports(&studies).expect("readable") {
        assert_eq!(reports.len(), 3);
        assert!(reports.is_sorted_by(|a, b| a.score >= b.score));
        assert!(reports[0].text != reports[1].text || reports[0].finished != reports[1].finished);
    }
    let sampling = SearchConfig::new(12, Sampling::new(1.0, 7));
    let sampled = ranked.with_search(sampling).expect("valid");
    let together = sampled.reports(&studies).expect("readable");
    for (study, together) in studies.iter().zip(&together) {
        let alone = sampled.report(study.films.clone()).expect("readable");
        assert_eq!(alone.text, together[0].text);
    }
    let error = sampled
        .with_beams(Some(3), 1)
        .expect_err("sampling has no beams");
    assert!(error.to_string().contains("sampling"), "{error}");
}

fn images_below(folder: &Path) -> Vec<PathBuf> {
    let mut images = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("png" | "jpg") => images.push(path),
                _ => {}
            }
        }
    }
    images.sort();
    images
}
