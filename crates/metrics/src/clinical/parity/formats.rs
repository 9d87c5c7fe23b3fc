use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Check, Golden, Largest};
use crate::evaluation::formats::{ReadNotes, Section, read_label_lines};
use crate::evaluation::{EvaluationError, ReportFiles, ScoredStudy, read_section_studies};

pub(super) fn run(folder: &Path) -> Result<Vec<Check>, EvaluationError> {
    let manifest = Golden::read(folder, "manifest.json")?;
    let count = manifest.list("/files")?.len();
    let mut checks = Vec::new();
    for at in 0..count {
        let example = Example {
            folder,
            manifest: &manifest,
            at,
        };
        checks.push(example.check()?);
    }
    Ok(checks)
}

/// An entry of the manifest.
struct Example<'a> {
    folder: &'a Path,
    manifest: &'a Golden,
    at: usize,
}

impl Example<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        let pointer = format!("/files/{}/{key}", self.at);
        self.manifest.value.pointer(&pointer)
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        let name = self.value(&format!("files/{key}"))?.as_str()?;
        Some(self.folder.join(name))
    }

    fn check(&self) -> Result<Check, EvaluationError> {
        let format = self.manifest.text(&format!("/files/{}/format", self.at))?;
        let predictions = self.file("pred").or_else(|| self.file("both"));
        let predictions = predictions.ok_or_else(|| {
            let reason = format!("/files/{}: neither 'pred' nor 'both'", self.at);
            self.manifest.layout(reason)
        })?;
        let references = self.file("ref");
        let name = predictions
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let mut check = Largest::new(format!("formats: {format}, {name}"));
        let read = |references: Option<&PathBuf>, section| {
            let files = ReportFiles {
                predictions: &predictions,
                references: references.map(PathBuf::as_path),
                full_references: None,
            };
            read_section_studies(files, section)
        };
        let has_sections = self.value("pairs/0/hyp").is_some_and(Value::is_object);
        if has_sections {
            for (section, key) in [
                (Section::Findings, "findings"),
                (Section::Impression, "impression"),
            ] {
                let (studies, _) = read(references.as_ref(), section)?;
                self.compare(&mut check, &studies, |pair, side| pair.get(side)?.get(key))?;
            }
        } else {
            let (studies, notes) = read(references.as_ref(), Section::Both)?;
            self.compare(&mut check, &studies, |pair, side| pair.get(side))?;
            self.compare_left_out(&mut check, notes);
        }
        if let Some(input) = self.file("input_without_predictions") {
            // The same references from the file without predictions, and section by section.
            let (studies, _) = read(Some(&input), Section::Both)?;
            self.compare(&mut check, &studies, |pair, side| pair.get(side))?;
            for (section, key) in [
                (Section::Findings, "findings"),
                (Section::Impression, "impression"),
            ] {
                let (studies, _) = read(None, section)?;
                let of = |pair: &'_ Value, side: &str| match side {
                    "ref" => pair.get(key).cloned(),
                    side => pair.get(side).cloned(),
                };
                self.compare_owned(&mut check, &studies, of)?;
            }
        }
        if let Some(labels) = self.file("ref_labels") {
            let expected = self.value("ref_labels").cloned().unwrap_or_default();
            let found = read_label_lines(&labels)?;
            let found: Vec<Vec<u8>> = found
                .into_iter()
                .map(|study| study.into_iter().map(u8::from).collect())
                .collect();
            check.equal(expected, serde_json::json!(found));
        }
        Ok(check.within(0.0))
    }

    fn compare_left_out(&self, check: &mut Largest, notes: ReadNotes) {
        let left_out = |key: &str| {
            let list = self
                .value(&format!("dropped/{key}"))
                .and_then(Value::as_array);
            list.map_or(0, Vec::len)
        };
        check.equal(left_out("pred_only"), notes.predictions_left_out);
        check.equal(left_out("ref_only"), notes.references_left_out);
    }

    fn compare(
        &self,
        check: &mut Largest,
        studies: &[ScoredStudy],
        of: impl for<'v> Fn(&'v Value, &str) -> Option<&'v Value>,
    ) -> Result<(), EvaluationError> {
        self.compare_owned(check, studies, |pair, side| of(pair, side).cloned())
    }

    /// Compares texts, by id where the pairs have ids of their own, else by place; pairs whose
    /// reference is missing must not be there.
    fn compare_owned(
        &self,
        check: &mut Largest,
        studies: &[ScoredStudy],
        of: impl Fn(&Value, &str) -> Option<Value>,
    ) -> Result<(), EvaluationError> {
        let pairs = self.manifest.list(&format!("/files/{}/pairs", self.at))?;
        let by_id: BTreeMap<&str, &ScoredStudy> = studies
            .iter()
            .map(|study| (study.id.as_str(), study))
            .collect();
        let mut expected = 0;
        for (at, pair) in pairs.iter().enumerate() {
            let text = |side: &str| of(pair, side).and_then(|text| Some(text.as_str()?.to_owned()));
            let Some(reference) = text("ref") else {
                continue;
            };
            expected += 1;
            let id = match pair.get("id") {
                Some(Value::String(id)) => id.clone(),
                other => other.map(Value::to_string).unwrap_or_default(),
            };
            let study = by_id.get(id.as_str()).copied();
            // Files without ids number their rows from 1, the manifest its pairs from 0.
            let by_row = studies
                .get(at)
                .filter(|study| study.id == (at + 1).to_string());
            let study = by_row.or(study);
            let found = study.map(|study| (study.prediction.clone(), study.references.clone()));
            let hypothesis = text("hyp").unwrap_or_default();
            check.equal(Some((hypothesis, vec![reference])), found);
        }
        check.equal(expected, studies.len());
        Ok(())
    }
}
