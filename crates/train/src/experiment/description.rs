use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ithn_data::OnBadStudy;
use ithn_inference::device::{DeviceError, DeviceName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ExperimentOptions;
use crate::dataset::{DataSource, UidParity};
use crate::error::TrainError;
use crate::records::output_error;
use ithn_data::write_atomically;

/// The file's name.
const NAME: &str = "run.json";

/// Version of the file's form: the second names the device.
const FORMAT: u32 = 2;

/// Where a run's studies come from, how they are read and where the run computes: `run.json`, from which a run can
/// go on without being told again. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunDescription {
    /// Source of the studies.
    pub source: DataSource,
    /// Only the first studies of every split, if any limit.
    pub limit: Option<usize>,
    /// What happens when a study's files are broken.
    pub on_bad_study: OnBadStudy,
    /// Folder of decoded images, if any.
    pub cache: Option<PathBuf>,
    /// The device by name, where it has one.
    pub device: Option<DeviceName>,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    source: StoredSource,
    limit: Option<usize>,
    on_bad_study: OnBadStudy,
    cache: Option<PathBuf>,
    #[serde(default)]
    device: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum StoredSource {
    Phantom {
        folder: PathBuf,
    },
    PhantomHistory {
        folder: PathBuf,
    },
    Mimic {
        folder: PathBuf,
        reports: Option<PathBuf>,
    },
    Annotation {
        file: PathBuf,
        images: PathBuf,
    },
    HalfOfUids {
        source: Box<StoredSource>,
        train_on: UidParity,
    },
    WithoutTest {
        source: Box<StoredSource>,
    },
}

impl From<StoredSource> for DataSource {
    fn from(stored: StoredSource) -> Self {
        match stored {
            StoredSource::Phantom { folder } => DataSource::Phantom(folder),
            StoredSource::PhantomHistory { folder } => DataSource::PhantomHistory(folder),
            StoredSource::Mimic { folder, reports } => DataSource::Mimic { folder, reports },
            StoredSource::Annotation { file, images } => DataSource::Annotation { file, images },
            StoredSource::HalfOfUids { source, train_on } => {
                DataSource::from(*source).trained_on(train_on)
            }
            StoredSource::WithoutTest { source } => DataSource::from(*source).without_test(),
        }
    }
}

impl From<DataSource> for StoredSource {
    fn from(source: DataSource) -> Self {
        match source {
            DataSource::Phantom(folder) => StoredSource::Phantom { folder },
            DataSource::PhantomHistory(folder) => StoredSource::PhantomHistory { folder },
            DataSource::Mimic { folder, reports } => StoredSource::Mimic { folder, reports },
            DataSource::Annotation { file, images } => StoredSource::Annotation { file, images },
            DataSource::HalfOfUids { source, train_on } => StoredSource::HalfOfUids {
                source: Box::new(StoredSource::from(*source)),
                train_on,
            },
            DataSource::WithoutTest { source } => StoredSource::WithoutTest {
                source: Box::new(StoredSource::from(*source)),
            },
        }
    }
}

/// The source with absolute paths.
fn absolute_source(source: &DataSource) -> Result<DataSource, TrainError> {
    Ok(match source {
        DataSource::Phantom(folder) => DataSource::Phantom(absolute(folder)?),
        DataSource::PhantomHistory(folder) => DataSource::PhantomHistory(absolute(folder)?),
        DataSource::Mimic { folder, reports } => DataSource::Mimic {
            folder: absolute(folder)?,
            reports: reports.as_deref().map(absolute).transpose()?,
        },
        DataSource::Annotation { file, images } => DataSource::Annotation {
            file: absolute(file)?,
            images: absolute(images)?,
        },
        DataSource::HalfOfUids { source, train_on } => {
            absolute_source(source)?.trained_on(*train_on)
        }
        DataSource::WithoutTest { source } => absolute_source(source)?.without_test(),
    })
}

fn absolute(path: &Path) -> Result<PathBuf, TrainError> {
    std::path::absolute(path).map_err(output_error(path))
}

impl RunDescription {
    /// That of a run with these options.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] if a path is empty, or the current folder is gone.
    pub fn of(options: &ExperimentOptions) -> Result<Self, TrainError> {
        Ok(RunDescription {
            source: absolute_source(&options.source)?,
            limit: options.limit,
            on_bad_study: options.on_bad_study,
            cache: options.cache.as_deref().map(absolute).transpose()?,
            device: options.device_name,
        })
    }

    /// All studies of `source`, none of which may be broken.
    pub fn of_source(source: DataSource) -> Self {
        RunDescription {
            source,
            limit: None,
            on_bad_study: OnBadStudy::Stop,
            cache: None,
            device: None,
        }
    }

    /// Reads `run.json` of a run's folder; none if it has none, as runs of earlier versions.
    ///
    /// # Errors
    ///
    /// [`TrainError::Description`] if the file cannot be read, is not what a run wrote, or was written by a
    /// later version.
    pub fn read(root: &Path) -> Result<Option<Self>, TrainError> {
        let path = root.join(NAME);
        let failed = |reason: String| TrainError::Description {
            path: path.clone(),
            reason,
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let value: Value = serde_json::from_slice(&text).map_err(|error| match error.is_eof() {
            true => failed(format!("{error}: the file may be cut short")),
            false => failed(error.to_string()),
        })?;
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format > u64::from(FORMAT) => {
                return Err(failed(format!(
                    "its format is {format}, this library reads up to {FORMAT}: update ithn"
                )));
            }
            _ => {}
        }
        let stored: Stored =
            serde_json::from_value(value).map_err(|error| failed(error.to_string()))?;
        let device = stored.device.map(|name| name.parse()).transpose();
        Ok(Some(RunDescription {
            device: device.map_err(|error: DeviceError| failed(error.to_string()))?,
            source: stored.source.into(),
            limit: stored.limit,
            on_bad_study: stored.on_bad_study,
            cache: stored.cache,
        }))
    }

    /// The content of `run.json`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Description`] if a path is not Unicode, which JSON cannot hold.
    pub(crate) fn to_json(&self, root: &Path) -> Result<Vec<u8>, TrainError> {
        let stored = Stored {
            format: FORMAT,
            source: self.source.clone().into(),
            limit: self.limit,
            on_bad_study: self.on_bad_study,
            cache: self.cache.clone(),
            device: self.device.map(|name| name.to_string()),
        };
        let mut text =
            serde_json::to_vec_pretty(&stored).map_err(|error| TrainError::Description {
                path: root.join(NAME),
                reason: format!("cannot be written: {error}: give the data a path in Unicode"),
            })?;
        text.push(b'\n');
        Ok(text)
    }

    /// Writes `run.json` into a run's folder, whole or not at all.
    ///
    /// # Errors
    ///
    /// As [`TrainError::Output`] names it, or if a path is not Unicode.
    pub(crate) fn write(&self, root: &Path) -> Result<(), TrainError> {
        let path = root.join(NAME);
        write_atomically(&path, &self.to_json(root)?).map_err(output_error(&path))
    }

    /// What a run that goes on with `now` does otherwise, a line for each.
    pub(crate) fn changes_to(&self, now: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut compare = |name: &str, before: String, now: String| {
            if before != now {
                lines.push(format!("{name} {before} → {now}"));
            }
        };
        compare("data", self.source.to_string(), now.source.to_string());
        let policy = |policy: OnBadStudy| match policy {
            OnBadStudy::Stop => "stop".to_owned(),
            OnBadStudy::Skip => "skip".to_owned(),
        };
        compare(
            "broken studies",
            policy(self.on_bad_study),
            policy(now.on_bad_study),
        );
        let cache = |path: &Option<PathBuf>| match path {
            Some(path) => path.display().to_string(),
            None => "none".to_owned(),
        };
        compare("cache", cache(&self.cache), cache(&now.cache));
        if let (Some(before), Some(now)) = (self.device, now.device) {
            compare("device", before.to_string(), now.to_string());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn options() -> ExperimentOptions {
        let source = DataSource::Annotation {
            file: "data/annotation.json".into(),
            images: "data/images".into(),
        };
        let mut options = ExperimentOptions::new(source, "run".into(), Device::default());
        options.limit = Some(3);
        options.on_bad_study = OnBadStudy::Skip;
        options.device_name = Some(DeviceName::Cuda(1));
        options
    }

    #[test]
    fn a_description_comes_back_with_absolute_paths() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(RunDescription::read(folder.path()).expect("none"), None);
        let mut options = options();
        for source in [
            options.source.clone(),
            DataSource::Phantom("studies".into()),
            DataSource::PhantomHistory("histories".into()),
            DataSource::mimic("mimic".into()).trained_on(UidParity::Even),
            DataSource::mimic("mimic".into()),
        ] {
            options.source = source;
            let description = RunDescription::of(&options).expect("paths");
            description.write(folder.path()).expect("writable");
            let read = RunDescription::read(folder.path()).expect("readable");
            assert_eq!(read, Some(description));
        }
        let DataSource::Mimic { folder, .. } = RunDescription::of(&options).expect("paths").source
        else {
            panic!("the last source");
        };
        assert!(folder.is_absolute());
    }

    #[test]
    fn a_file_that_no_run_wrote_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let description = RunDescription::of(&options()).expect("paths");
        let text = description.to_json(folder.path()).expect("JSON");
        let text = String::from_utf8(text).expect("Unicode");
        for (altered, part) in [
            (
                text.replace("\"format\": 2", "\"format\": 3"),
                "update ithn",
            ),
            (text.replace("cuda:1", "tpu"), "unknown device 'tpu'"),
            (text.replace("\"limit\"", "\"limits\""), "limits"),
            (text.replace("annotation\"", "mars\""), "mars"),
            (text[..text.len() / 2].to_owned(), "cut short"),
        ] {
            fs::write(folder.path().join(NAME), altered).expect("writable");
            let error = RunDescription::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(NAME) && error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_of_the_first_format_names_no_device() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = r#"{"format": 1, "source": {"kind": "phantom", "folder": "/studies"}, "limit": null,
            "on_bad_study": "stop", "cache": null}"#;
        fs::write(folder.path().join(NAME), text).expect("writable");
        let read = RunDescription::read(folder.path()).expect("readable");
        let phantoms = DataSource::Phantom("/studies".into());
        assert_eq!(read, Some(RunDescription::of_source(phantoms)));
    }

    #[test]
    fn what_changed_is_said_line_by_line() {
        let before = RunDescription::of(&options()).expect("paths");
        let mut now = before.clone();
        assert!(before.changes_to(&now).is_empty());
        now.source = DataSource::mimic("/data/mimic".into());
        now.on_bad_study = OnBadStudy::Stop;
        now.cache = Some("/cache".into());
        now.device = Some(DeviceName::Cpu);
        let lines = before.changes_to(&now);
        assert_eq!(lines.len(), 4);
        assert!(lines[0].ends_with("→ /data/mimic"), "{}", lines[0]);
        assert_eq!(
            lines[1..],
            [
                "broken studies skip → stop",
                "cache none → /cache",
                "device cuda:1 → cpu"
            ]
        );
    }
}
