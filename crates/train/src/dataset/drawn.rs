//! Drawn images for real reports: what a report states, as a phantom radiograph.
//!
//! IU X-Ray's reports can be available where its images are not. This module draws the findings
//! that the labeler `rules-14` extracts from each report. The images then match their reports, so
//! the whole pipeline runs on real text. The scores of such a model have no meaning for
//! radiographs.

use std::fs;
use std::path::Path;

use ithn_data::phantom::{
    FindingKind, Lobe, PhantomFinding, PhantomFindings, Side, Size, draw_radiograph,
};
use ithn_data::{Annotation, DataError, Study};
use ithn_metrics::{FindingClass, Mention, Status, label};
use rayon::prelude::*;

use crate::error::TrainError;

/// A file beside drawn films that says what they are, so that nobody takes a model of them for one of radiographs.
pub(super) const DRAWN_MARK: &str = "drawn-by-ithn.txt";

const DRAWN_TEXT: &str =
    "These films were drawn by ithn from what reports state. They are no radiographs.\n";

/// Draws every image that an annotation names, below `images`, `size` pixels a side; returns how
/// many. Images that exist are left alone, so an interrupted run continues.
///
/// # Errors
///
/// If the annotation cannot be read or an image cannot be written.
pub fn draw_annotation(annotation: &Path, images: &Path, size: u32) -> Result<usize, TrainError> {
    let studies = Annotation::read(annotation)?.studies(annotation, images)?;
    let drawn: Vec<usize> = studies
        .par_iter()
        .map(|study| draw_study(study, size))
        .collect::<Result<_, _>>()?;
    let drawn = drawn.iter().sum();
    if drawn == 0 {
        return Ok(drawn);
    }
    let mark = images.join(DRAWN_MARK);
    ithn_data::write_atomically(&mark, DRAWN_TEXT.as_bytes()).map_err(|source| DataError::Io {
        action: "cannot write",
        path: mark,
        source,
    })?;
    Ok(drawn)
}

fn draw_study(study: &Study, size: u32) -> Result<usize, DataError> {
    let findings = stated_findings(&study.report);
    let mut drawn = 0;
    for (view, path) in study.images.iter().enumerate() {
        if path.is_file() {
            continue;
        }
        let failed = |source| DataError::Io {
            action: "cannot write image",
            path: path.clone(),
            source,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let image = draw_radiograph(&findings, size, seed(&study.id, view));
        let format = image::ImageFormat::from_path(path).unwrap_or(image::ImageFormat::Png);
        let mut bytes = std::io::Cursor::new(Vec::new());
        image
            .write_to(&mut bytes, format)
            .map_err(|error| failed(std::io::Error::other(error)))?;
        ithn_data::write_atomically(path, bytes.get_ref()).map_err(failed)?;
        drawn += 1;
    }
    Ok(drawn)
}

/// Positive and uncertain findings of a report that a phantom can show. Uncertain findings count as
/// present, as in [`FindingsReader::Rules14`](ithn_inference::FindingsReader::Rules14). A missing
/// side is drawn on the right, a missing size moderate, a missing lobe lower.
pub fn stated_findings(report: &str) -> PhantomFindings {
    let labels = label(report);
    let mut findings = PhantomFindings::normal();
    for mention in &labels.mentions {
        if mention.status != Status::Negative {
            for side in sides(mention) {
                if let Some(finding) = drawable(mention, side, &report[mention.span.clone()]) {
                    findings.insert(finding);
                }
            }
        }
    }
    findings
}

fn sides(mention: &Mention) -> Vec<Side> {
    match mention.side {
        Some(ithn_metrics::Side::Left) => vec![Side::Left],
        Some(ithn_metrics::Side::Bilateral) => vec![Side::Left, Side::Right],
        Some(ithn_metrics::Side::Right) | None => vec![Side::Right],
    }
}

fn drawable(mention: &Mention, side: Side, words: &str) -> Option<PhantomFinding> {
    let kind = kind(mention.class, words)?;
    let size = match mention.size {
        Some(ithn_metrics::Size::Small) => Size::Small,
        Some(ithn_metrics::Size::Large) => Size::Large,
        Some(ithn_metrics::Size::Moderate) | None => Size::Moderate,
    };
    let lobe = match (mention.lobe, side) {
        (Some(ithn_metrics::Lobe::Upper), _) => Lobe::Upper,
        (Some(ithn_metrics::Lobe::Middle), Side::Right) => Lobe::Middle,
        _ => Lobe::Lower,
    };
    PhantomFinding::new(
        kind,
        kind.has_side().then_some(side),
        kind.has_lobe().then_some(lobe),
        kind.has_size().then_some(size),
    )
}

fn kind(class: FindingClass, words: &str) -> Option<FindingKind> {
    match class {
        FindingClass::Cardiomegaly | FindingClass::EnlargedCardiomediastinum => {
            Some(FindingKind::Cardiomegaly)
        }
        FindingClass::LungOpacity | FindingClass::Consolidation | FindingClass::Pneumonia => {
            Some(FindingKind::Consolidation)
        }
        FindingClass::LungLesion => Some(FindingKind::Nodule),
        FindingClass::Edema => Some(FindingKind::Edema),
        FindingClass::Atelectasis => Some(FindingKind::Atelectasis),
        FindingClass::Pneumothorax => Some(FindingKind::Pneumothorax),
        FindingClass::PleuralEffusion => Some(FindingKind::Effusion),
        FindingClass::Fracture => Some(FindingKind::RibFracture),
        FindingClass::SupportDevices => Some(device(words)),
        FindingClass::NoFinding | FindingClass::PleuralOther => None,
    }
}

fn device(words: &str) -> FindingKind {
    let words = words.to_ascii_lowercase();
    let any = |names: &[&str]| names.iter().any(|name| words.contains(name));
    if any(&["pace", "icd", "defib", "generator", "lead"]) {
        FindingKind::Pacemaker
    } else if any(&["endotracheal", "ett", "tracheostomy"]) {
        FindingKind::EndotrachealTube
    } else {
        FindingKind::PiccLine
    }
}

/// A seed of its own for every view of every study (FNV-1a).
fn seed(study: &str, view: usize) -> u64 {
    study
        .bytes()
        .chain([view as u8])
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_and_suspected_findings_are_drawn_and_denied_ones_are_not() {
        let findings = stated_findings(
            "Moderate left pleural effusion. No pneumothorax. The heart is mildly enlarged. \
             Possible pulmonary edema.",
        );
        let expected = [
            PhantomFinding::new(
                FindingKind::Effusion,
                Some(Side::Left),
                None,
                Some(Size::Moderate),
            ),
            PhantomFinding::new(FindingKind::Cardiomegaly, None, None, Some(Size::Small)),
            PhantomFinding::new(FindingKind::Edema, None, None, None),
        ];
        assert_eq!(findings.len(), expected.len());
        for finding in expected {
            assert!(findings.contains(finding.expect("complete")));
        }
    }

    #[test]
    fn a_drawn_annotation_is_not_drawn_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let annotation = folder.path().join("annotation.json");
        fs::write(
            &annotation,
            r#"{"train":[{"id":"CXR1_IM-1","report":"Large right pneumothorax.",
            "image_path":["CXR1_IM-1/0.png","CXR1_IM-1/1.png"],"split":"train"}],
            "val":[],"test":[]}"#,
        )
        .expect("written");
        let images = folder.path().join("images");
        assert_eq!(draw_annotation(&annotation, &images, 64).expect("drawn"), 2);
        assert_eq!(draw_annotation(&annotation, &images, 64).expect("kept"), 0);
        assert!(images.join("CXR1_IM-1/1.png").is_file());
    }
}
