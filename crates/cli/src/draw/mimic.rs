//! `ithn draw mimic`: invented studies of any number in MIMIC-CXR-JPG's layout, to see what a data set of its size
//! costs before there is one.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use image::codecs::jpeg::JpegEncoder;
use ithn::data::phantom::{
    CHEXPERT_CLASSES, PhantomConfig, PhantomStudy, chexpert_labels, draw_radiograph, read_report,
    sample_cohort,
};

use crate::failure::Failure;
use crate::output::Talk;

/// Draws a few films and writes them as the films of many studies, by hard links, with reports and tables of
/// the real sizes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn draw mimic --studies 2000 --out invented
  ithn draw mimic --studies 270000 --films 200 --out invented")]
pub(crate) struct Arguments {
    /// Studies; MIMIC-CXR has 227,835. A third has one film, two thirds have two
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    studies: u32,

    /// Folder to write to; must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Different films
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    films: u16,

    /// Width and height of a film in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=4096))]
    image_size: u32,

    /// Words that do not belong to the grammar of the reports, rare ones and common ones
    #[arg(long, value_name = "N", default_value_t = 8000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    words: u32,

    /// Seed of everything
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        talk.result(write(self, talk)?)
    }
}

/// A study with its place in the layout.
struct Filed<'a> {
    study: &'a PhantomStudy,
    patient: u32,
    number: u32,
    films: Vec<String>,
}

impl<'a> Filed<'a> {
    /// Seven studies belong to two patients, as in MIMIC-CXR.
    fn new(index: usize, study: &'a PhantomStudy) -> Self {
        let films = (0..1 + usize::from(!index.is_multiple_of(3))).map(|view| {
            let parts = [1, 2, 3, 4, 5].map(|part| {
                let seed = study.film_seed ^ (view as u64) << 32 ^ part << 40 ^ index as u64;
                format!("{:08x}", mix(seed) >> 32)
            });
            parts.join("-")
        });
        Filed {
            study,
            patient: 10_000_000 + (index as u32 * 2 / 7) * 31,
            number: 50_000_000 + index as u32 * 9,
            films: films.collect(),
        }
    }

    fn folder(&self, root: &Path) -> PathBuf {
        let patient = self.patient;
        let group = root.join(format!("files/p{}", patient / 1_000_000));
        group.join(format!("p{patient}/s{}", self.number))
    }
}

/// SplitMix64.
fn mix(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn write(arguments: &Arguments, talk: Talk) -> Result<String, Box<dyn Error>> {
    let out = &arguments.out;
    if out.exists() {
        return Err(format!("{} exists: give another folder (--out)", out.display()).into());
    }
    let studies = arguments.studies as usize;
    // The shares of MIMIC-CXR in R2Gen's annotation.
    let (validation, test) = (studies * 8 / 1000 + 1, studies * 14 / 1000 + 1);
    let mut config = PhantomConfig::default();
    config.train = studies - validation - test;
    config.validation = validation;
    config.test = test;
    config.seed = arguments.seed;
    let cohort = sample_cohort(&config);
    let filed: Vec<Filed> = cohort
        .iter()
        .enumerate()
        .map(|(index, study)| Filed::new(index, study))
        .collect();
    fs::create_dir_all(out).map_err(|error| named(out, error))?;
    let films = draw_films(arguments, &cohort)?;
    for (index, study) in filed.iter().enumerate() {
        write_study(study, out, &films[index % films.len()], arguments.words)?;
        if (index + 1) % 10_000 == 0 {
            talk.note(format_args!("{} of {studies} studies", index + 1));
        }
    }
    write_tables(out, &filed, arguments.image_size)?;
    let files: usize = filed.iter().map(|study| study.films.len()).sum();
    Ok(format!(
        "{}: {studies} studies, {files} films",
        out.display()
    ))
}

fn named(path: &Path, error: io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// Draws the films that are different; the studies' films are links to them.
fn draw_films(
    arguments: &Arguments,
    cohort: &[PhantomStudy],
) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let folder = arguments.out.join("films");
    fs::create_dir(&folder).map_err(|error| named(&folder, error))?;
    let drawn = cohort.iter().take(usize::from(arguments.films));
    drawn
        .enumerate()
        .map(|(index, study)| {
            let path = folder.join(format!("{index}.jpg"));
            let film = draw_radiograph(&study.findings, arguments.image_size, study.film_seed);
            let file = File::create(&path).map_err(|error| named(&path, error))?;
            JpegEncoder::new_with_quality(BufWriter::new(file), 95).encode_image(&film)?;
            Ok(path)
        })
        .collect()
}

fn write_study(study: &Filed, out: &Path, film: &Path, words: u32) -> Result<(), String> {
    let folder = study.folder(out);
    fs::create_dir_all(&folder).map_err(|error| named(&folder, error))?;
    for name in &study.films {
        let path = folder.join(format!("{name}.jpg"));
        // A file system may have no links, or no more for this file.
        fs::hard_link(film, &path)
            .or_else(|_| fs::copy(film, &path).map(|_| ()))
            .map_err(|error| named(&path, error))?;
    }
    let report = folder.with_extension("txt");
    fs::write(&report, text(study, words)).map_err(|error| named(&report, error))
}

/// A report of the usual sections. A sentence of words that the grammar lacks makes most reports different
/// and the vocabulary as large as a real one's.
fn text(study: &Filed, words: u32) -> String {
    let findings = &study.study.report;
    let impression = findings.split_inclusive('.').next().unwrap_or(findings);
    let mut state = mix(u64::from(study.number));
    let mut others = String::new();
    for _ in 0..state % 13 {
        state = mix(state);
        let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64;
        others += " ";
        others += &word((uniform.powi(3) * f64::from(words)) as u32);
    }
    format!(
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n INDICATION:  ___ year \
         old with{others}.\n\n TECHNIQUE:  Chest PA and lateral.\n\n COMPARISON:  None.\n\n FINDINGS:\n\n {findings} \
         Compared with{others} nothing is new.\n\n IMPRESSION:\n\n {impression}\n"
    )
}

/// The invented word of a number.
fn word(mut number: u32) -> String {
    const SYLLABLES: [&str; 20] = [
        "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su",
        "ta", "ve", "wi", "xo", "zu",
    ];
    let mut word = String::from("or");
    loop {
        word += SYLLABLES[(number % 20) as usize];
        number /= 20;
        if number == 0 {
            return word;
        }
    }
}

fn write_tables(out: &Path, filed: &[Filed], size: u32) -> Result<(), String> {
    let films = || {
        filed
            .iter()
            .flat_map(|it| it.films.iter().map(move |film| (it, film)))
    };
    let split = films().map(|(it, film)| {
        let split = it.study.split;
        format!("{film},{},{},{}", it.number, it.patient, split.mimic_name())
    });
    write_table(out, "split", "dicom_id,study_id,subject_id,split", split)?;
    let metadata = films().map(|(it, film)| {
        let view = if it.films[0] == *film { "PA" } else { "LATERAL" };
        format!(
            "{film},{},{},CHEST (PA AND LAT),{view},{size},{size},21800101,120000.0,CHEST (PA AND LAT),\
             postero-anterior,Erect",
            it.patient, it.number
        )
    });
    let columns = "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,\
                   StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,\
                   PatientOrientationCodeSequence_CodeMeaning";
    write_table(out, "metadata", columns, metadata)?;
    let labels = filed.iter().map(|it| {
        let denied = read_report(&it.study.report).denied;
        let labels = chexpert_labels(&it.study.findings, &denied);
        let cells = labels.map(|label| label.map_or(String::new(), |it| format!("{it:.1}")));
        format!("{},{},{}", it.patient, it.number, cells.join(","))
    });
    let columns = format!("subject_id,study_id,{}", CHEXPERT_CLASSES.join(","));
    write_table(out, "chexpert", &columns, labels)
}

fn write_table(
    out: &Path,
    name: &str,
    columns: &str,
    rows: impl Iterator<Item = String>,
) -> Result<(), String> {
    let path = out.join(format!("mimic-cxr-2.0.0-{name}.csv.gz"));
    let write = || -> io::Result<()> {
        let mut table = GzEncoder::new(File::create(&path)?, Compression::default());
        writeln!(table, "{columns}")?;
        for row in rows {
            writeln!(table, "{row}")?;
        }
        table.finish()?.sync_all()
    };
    write().map_err(|error| named(&path, error))
}
