//! Reports in code: what `ithn generate` does, for one study.
//!
//! ```text
//! cargo run --example train_mimic
//! cargo run --example generate -- runs/phantom-1/best.ithn runs/phantom-studies/files/…/….jpg
//! ```

use std::env;
use std::error::Error;
use std::path::PathBuf;

use ithn::device::DeviceName;
use ithn::inference::{FilmStudy, ReportWriter};
use ithn::metrics::LabelerVersion;

fn main() -> Result<(), Box<dyn Error>> {
    ithn::device::prepare_process();
    let mut paths = env::args_os().skip(1).map(PathBuf::from);
    let (Some(checkpoint), films) = (paths.next(), paths.collect::<Vec<_>>()) else {
        return Err("usage: generate CHECKPOINT FILM...".into());
    };
    if films.is_empty() {
        return Err("name the films of a study".into());
    }
    // Three beams, and the three reports they end in.
    let writer = ReportWriter::from_checkpoint(checkpoint, &DeviceName::Cpu.open()?)?
        .with_beams(Some(3), 3)?;
    let study = FilmStudy::of_films(&films);
    for report in &writer.reports(std::slice::from_ref(&study))?[0] {
        println!("{:.3}  {}", report.score, report.text);
    }
    let best = writer.reports(&[study])?.remove(0).remove(0);
    let labels = LabelerVersion::LATEST.label(&best.text);
    for mention in labels.mentions {
        let words = &best.text[mention.span];
        println!("{words}: {}, {:?}", mention.class.name(), mention.status);
    }
    Ok(())
}
