//! `ithn generate --rexrank`: from the input of the leaderboard ReXrank to its submission.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use clap::Args;
use flate2::Crc;
use ithn::inference::{FilmStudy, InferenceError, ReportWriter};
use ithn::metrics::evaluation::formats::read_json;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::hub;
use crate::output::{OutputFile, Talk, cannot_write};

/// Key of the prediction in a submission.
const PREDICTION: &str = "model_prediction";

/// Options of a submission.
#[derive(Debug, Args)]
pub(super) struct Submission {
    /// ReXrank's input, a JSON object of studies: writes it with `model_prediction` in every study to --out
    #[arg(
        long,
        value_name = "INPUT.json",
        requires = "image_root",
        requires = "out",
        conflicts_with_all = ["images", "json", "explain", "n_best"]
    )]
    rexrank: Option<PathBuf>,

    /// Folder that its image paths start from, those that begin with / too
    #[arg(long, value_name = "DIR", requires = "rexrank")]
    image_root: Option<PathBuf>,

    /// The submission. What is written so far lies beside it in a file that ends in .progress, and is not
    /// written again after an interruption; - is standard output
    #[arg(long, value_name = "OUTPUT.json", requires = "rexrank")]
    out: Option<OutputFile>,
}

/// A submission to be written.
pub(super) struct Work<'a> {
    input: &'a Path,
    root: &'a Path,
    out: &'a OutputFile,
}

impl Submission {
    pub(super) fn out(&self) -> &Option<OutputFile> {
        &self.out
    }

    /// The submission, if one is asked for.
    pub(super) fn work(&self) -> Option<Work<'_>> {
        Some(Work {
            input: self.rexrank.as_deref()?,
            root: self.image_root.as_deref()?,
            out: self.out.as_ref()?,
        })
    }
}

/// How studies are worked through.
pub(super) struct Options<'a> {
    pub checkpoint: &'a Path,
    pub batch_size: usize,
    /// Whether the first study that cannot be read ends the work.
    pub stops: bool,
    /// Whether studies that cannot be read are no failure.
    pub tolerates: bool,
}

impl Work<'_> {
    pub(super) fn run(
        &self,
        writer: &ReportWriter,
        options: &Options<'_>,
        talk: Talk,
    ) -> Result<(), Failure> {
        let input: Map<String, Value> = read_json(self.input)?;
        let studies = input
            .iter()
            .map(|(id, study)| film_study(id, study, self.root))
            .collect::<Result<Vec<FilmStudy>, String>>()
            .map_err(|reason| Failure::Said(format!("{}: {reason}", self.input.display())))?;
        if studies.is_empty() {
            return Err(Failure::Said(format!(
                "{}: no studies",
                self.input.display()
            )));
        }
        let header = json!({
            "checkpoint": checksum(&hub::local_path(options.checkpoint)?)?,
            "search": serde_json::to_value(writer.search()).map_err(|error| Failure::Said(error.to_string()))?,
        });
        let mut progress = Progress::open(self.out, header)?;
        let known = progress.reports.len();
        if known > 0 {
            talk.note(format_args!(
                "{known} of {} studies were written before",
                studies.len()
            ));
        }
        let left: Vec<&FilmStudy> = studies
            .iter()
            .filter(|study| !progress.reports.contains_key(&study.id))
            .collect();
        let mut failed = Vec::new();
        for batch in left.chunks(options.batch_size) {
            for (study, written) in batch.iter().zip(write_batch(writer, batch)) {
                match written {
                    Ok(text) => progress.add(&study.id, text)?,
                    Err(error) if options.stops => return Err(error.into()),
                    Err(error) => failed.push(format!("study '{}': {error}", study.id)),
                }
            }
            talk.note(format_args!(
                "{} of {} studies",
                progress.reports.len() + failed.len(),
                studies.len()
            ));
        }
        let submission: Map<String, Value> = input
            .into_iter()
            .map(|(id, study)| {
                let text = progress.reports.get(&id).cloned();
                let submitted = with_prediction(study, text.unwrap_or_else(|| Value::from("")));
                (id, submitted)
            })
            .collect();
        self.out.write_json(&submission)?;
        for error in &failed {
            eprintln!("left empty: {error}");
        }
        if failed.is_empty() {
            return progress.remove();
        }
        match options.tolerates && failed.len() < studies.len() {
            true => Ok(()),
            false => Err(Failure::Said(format!(
                "{} of {} studies could not be read and have an empty prediction: see above; the same command tries them \
                 again",
                failed.len(),
                studies.len()
            ))),
        }
    }
}

/// The report of every study, or why there is none.
fn write_batch(writer: &ReportWriter, batch: &[&FilmStudy]) -> Vec<Result<Value, InferenceError>> {
    let of = |studies: &[FilmStudy]| -> Result<Vec<Value>, InferenceError> {
        let reports = writer.reports(studies)?;
        reports
            .into_iter()
            .zip(studies)
            .map(|(reports, study)| match reports.into_iter().next() {
                Some(best) => Ok(Value::from(best.text)),
                None => Err(InferenceError::NoReport(study.id.clone())),
            })
            .collect()
    };
    let studies: Vec<FilmStudy> = batch.iter().map(|study| (*study).clone()).collect();
    match of(&studies) {
        Ok(texts) => texts.into_iter().map(Ok).collect(),
        // One of them cannot be read; the others can be alone.
        Err(_) => studies
            .iter()
            .map(|study| {
                let texts = of(std::slice::from_ref(study))?;
                let text = texts.into_iter().next();
                text.ok_or_else(|| InferenceError::NoReport(study.id.clone()))
            })
            .collect(),
    }
}

fn with_prediction(mut study: Value, text: Value) -> Value {
    if let Some(study) = study.as_object_mut() {
        study.insert(PREDICTION.to_owned(), text);
    }
    study
}

/// The films of a study, the key image first.
fn film_study(id: &str, study: &Value, root: &Path) -> Result<FilmStudy, String> {
    let failed = |reason: &str| format!("study '{id}': {reason}");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let paths = match study.get("image_path") {
        Some(Value::String(path)) => Some(vec![path.clone()]),
        Some(Value::Array(paths)) => paths.iter().map(text).collect(),
        _ => None,
    };
    let mut paths =
        paths.ok_or_else(|| failed("no 'image_path' with a path or a list of paths"))?;
    if let Some(key) = study.get("key_image_path").and_then(Value::as_str)
        && let Some(at) = paths.iter().position(|path| path == key)
    {
        paths[..=at].rotate_right(1);
    }
    let films = paths
        .iter()
        .map(|path| inside(root, path).map_err(|reason| failed(&reason)))
        .collect::<Result<Vec<PathBuf>, String>>()?;
    Ok(FilmStudy::new(id, films))
}

/// A path within the root, also if it begins with `/`.
fn inside(root: &Path, path: &str) -> Result<PathBuf, String> {
    let mut found = root.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => found.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(format!("the path '{path}' leads out of the image root"));
            }
        }
    }
    match found == root {
        true => Err(format!("the path '{path}' names no file")),
        false => Ok(found),
    }
}

/// What tells one checkpoint from another.
fn checksum(path: &Path) -> Result<Value, Failure> {
    let failed = |error: io::Error| Failure::Said(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let mut crc = Crc::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0u64;
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => {
                crc.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
    Ok(json!({ "bytes": bytes, "crc32": crc.sum() }))
}

/// What has been written so far: a line of JSON that says by what, and one for each study.
struct Progress {
    /// Reports by study.
    reports: Map<String, Value>,
    /// The file, unless the submission goes to standard output.
    file: Option<(File, PathBuf)>,
}

impl Progress {
    /// Reads what an earlier run left, and goes on from there.
    fn open(out: &OutputFile, header: Value) -> Result<Self, Failure> {
        if out.is_standard_output() {
            return Ok(Progress {
                reports: Map::new(),
                file: None,
            });
        }
        let path = PathBuf::from(format!("{out}.progress"));
        let header_line = header.to_string();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::Said(format!("{}: {error}", path.display()))),
        };
        // An interruption may have cut the last line.
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let mut lines = lines.map(str::trim_end);
        let mut reports = Map::new();
        if let Some(first) = lines.next() {
            let foreign = |what: &str| {
                Failure::Said(format!(
                    "{} {what}: delete it to write all reports again",
                    path.display()
                ))
            };
            if first != header_line {
                return Err(foreign(
                    "was written by another checkpoint or other options",
                ));
            }
            for line in lines {
                match serde_json::from_str::<(String, String)>(line) {
                    Ok((id, text)) => {
                        reports.insert(id, text.into());
                    }
                    Err(_) => return Err(foreign("holds something else than reports")),
                }
            }
        }
        let failed = |error: io::Error| cannot_write(&path, &error);
        let mut whole = vec![header];
        whole.extend(reports.iter().map(|(id, text)| json!([id, text])));
        let whole: String = whole.iter().map(|line| format!("{line}\n")).collect();
        ithn::data::write_atomically(&path, whole.as_bytes()).map_err(failed)?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(failed)?;
        Ok(Progress {
            reports,
            file: Some((file, path)),
        })
    }

    fn add(&mut self, id: &str, text: Value) -> Result<(), Failure> {
        if let Some((file, path)) = &mut self.file {
            let line = format!("{}\n", json!([id, &text]));
            let written = file.write_all(line.as_bytes());
            written.map_err(|error| cannot_write(path, &error))?;
        }
        self.reports.insert(id.to_owned(), text);
        Ok(())
    }

    fn remove(self) -> Result<(), Failure> {
        match self.file {
            Some((file, path)) => {
                drop(file);
                fs::remove_file(&path).map_err(|error| cannot_write(&path, &error))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_root() {
        let root = Path::new("/films");
        let found = |path| inside(root, path);
        assert_eq!(found("a/0.png"), Ok(PathBuf::from("/films/a/0.png")));
        assert_eq!(found("/a/./0.png"), Ok(PathBuf::from("/films/a/0.png")));
        for path in ["../0.png", "/a/../../0.png", "..", "/", ""] {
            assert!(found(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_key_image_comes_first() {
        let study = json!({"image_path": ["0.png", "1.png", "2.png"], "key_image_path": "2.png"});
        let study = film_study("a", &study, Path::new("r")).unwrap();
        let films = ["r/2.png", "r/0.png", "r/1.png"].map(PathBuf::from);
        assert_eq!(study, FilmStudy::new("a", films));
        let none = film_study("a", &json!({"image_path": 3}), Path::new("r"));
        assert!(none.unwrap_err().contains("study 'a'"));
    }

    #[test]
    fn a_cut_line_is_written_again_and_another_checkpoint_refused() {
        let folder = tempfile::tempdir().unwrap();
        let out: OutputFile = folder
            .path()
            .join("out.json")
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let header = json!({"checkpoint": 1});
        let mut progress = Progress::open(&out, header.clone()).unwrap();
        progress.add("a", Value::from("clear\n")).unwrap();
        drop(progress);
        let path = folder.path().join("out.json.progress");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"[\"b\",\"cu").unwrap();
        let again = Progress::open(&out, header).unwrap();
        assert_eq!(
            Value::Object(again.reports.clone()),
            json!({"a": "clear\n"})
        );
        let Err(error) = Progress::open(&out, json!({"checkpoint": 2})) else {
            panic!("another checkpoint");
        };
        assert!(error.to_string().contains("another checkpoint"));
        again.remove().unwrap();
        assert!(!path.exists());
    }
}
