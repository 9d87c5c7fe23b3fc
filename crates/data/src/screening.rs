use std::collections::VecDeque;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::exclusion::{ExclusionReason, Exclusions, OnBadStudy};
use crate::image::{decode_image, inspect_image};
use crate::study::{Split, Study};

/// How images are checked before they are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageCheck {
    /// That the files exist.
    #[default]
    Present,
    /// Also that each header is valid and its size within bounds; reads a few kilobytes per file.
    Header,
    /// Also that each decodes; takes as long as loading one epoch.
    Decode,
}

/// Checks the images of all studies, those of first negatives and previous studies included, before
/// training starts; returns the studies whose images pass.
///
/// # Errors
///
/// [`DataError::MissingImages`] counts missing files and names the first; [`DataError::Image`] names a
/// file that does not decode. Under [`OnBadStudy::Skip`] such studies are added to `exclusions`
/// instead.
pub fn screen_images(
    studies: Vec<Study>,
    check: ImageCheck,
    exclusions: &mut Exclusions,
) -> Result<Vec<Study>, DataError> {
    let mut faults: Vec<Option<(ExclusionReason, DataError)>> = studies
        .par_iter()
        .map(|study| fault(study, check))
        .collect();
    if exclusions.policy() == OnBadStudy::Stop
        && let Some(error) = first_fault(&studies, &mut faults)
    {
        return Err(error);
    }
    let mut sound = Vec::with_capacity(studies.len());
    for (study, fault) in studies.into_iter().zip(faults) {
        match fault {
            None => sound.push(study),
            Some((reason, error)) => exclusions.broken(&study.id, reason, error)?,
        }
    }
    Ok(sound)
}

/// Like [`screen_images`] for the first `limit` studies of every split. Skipped studies are replaced by
/// the next ones; the rest is not checked. The result is ordered by split.
///
/// # Errors
///
/// As [`screen_images`].
pub fn screen_first_images(
    studies: Vec<Study>,
    check: ImageCheck,
    limit: usize,
    exclusions: &mut Exclusions,
) -> Result<Vec<Study>, DataError> {
    first_sound(
        studies,
        limit,
        |study| study.split,
        |some| screen_images(some, check, exclusions),
    )
}

/// The first `limit` valid studies of every split, in order. `sound` keeps the valid ones of a chunk; it
/// gets no more candidates than needed.
pub(crate) fn first_sound<T>(
    candidates: Vec<T>,
    limit: usize,
    split: impl Fn(&T) -> Split,
    mut sound: impl FnMut(Vec<T>) -> Result<Vec<Study>, DataError>,
) -> Result<Vec<Study>, DataError> {
    let mut waiting = Split::ALL.map(|_| VecDeque::new());
    for candidate in candidates {
        let own = split(&candidate);
        waiting[own as usize].push_back(candidate);
    }
    let mut kept = Vec::new();
    for mut queue in waiting {
        let end = kept.len().saturating_add(limit);
        while kept.len() < end && !queue.is_empty() {
            let some = queue.len().min(end - kept.len());
            kept.extend(sound(queue.drain(..some).collect())?);
        }
    }
    Ok(kept)
}

/// The fault of a study's first broken image.
fn fault(study: &Study, check: ImageCheck) -> Option<(ExclusionReason, DataError)> {
    for path in study.all_images() {
        if !path.is_file() {
            let error = DataError::MissingImages {
                missing: 1,
                total: study.images.len(),
                first: path.clone(),
            };
            return Some((ExclusionReason::MissingImage, error));
        }
        let looked_at = match check {
            ImageCheck::Present => Ok(()),
            ImageCheck::Header => inspect_image(path).map(|_| ()),
            ImageCheck::Decode => decode_image(path).map(|_| ()),
        };
        if let Err(error) = looked_at {
            return Some((ExclusionReason::BadImage, error));
        }
    }
    None
}

/// The error to report: all missing images in one, or the first unreadable one.
fn first_fault(
    studies: &[Study],
    faults: &mut [Option<(ExclusionReason, DataError)>],
) -> Option<DataError> {
    let (reason, error) = faults.iter_mut().find_map(Option::take)?;
    if reason == ExclusionReason::MissingImage {
        let images = || studies.iter().flat_map(Study::all_images);
        let missing: Vec<_> = images().filter(|path| !path.is_file()).collect();
        if let Some(first) = missing.first() {
            return Some(DataError::MissingImages {
                missing: missing.len(),
                total: images().count(),
                first: (*first).clone(),
            });
        }
    }
    Some(error)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn study(root: &Path, id: usize, split: Split) -> Study {
        Study {
            id: id.to_string(),
            patient: id.to_string(),
            images: vec![root.join(format!("{id}.png"))],
            report: "Clear.".to_owned(),
            split,
            labels: None,
            negative: None,
            context: Default::default(),
        }
    }

    #[test]
    fn studies_beyond_the_limit_are_not_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let splits = [
            Split::Train,
            Split::Test,
            Split::Train,
            Split::Train,
            Split::Train,
        ];
        let studies: Vec<Study> = splits
            .into_iter()
            .enumerate()
            .map(|(id, split)| study(root, id, split))
            .collect();
        // Study 0 is broken; study 4 is beyond the limit and broken, too.
        for id in 1..4 {
            std::fs::write(root.join(format!("{id}.png")), "").expect("written");
        }
        let screen = |policy| {
            let mut exclusions = Exclusions::new(policy);
            let kept =
                screen_first_images(studies.clone(), ImageCheck::Present, 2, &mut exclusions);
            kept.map(|kept| (kept, exclusions.list().len()))
        };
        let (kept, left_out) = screen(OnBadStudy::Skip).expect("skipped");
        let ids: Vec<&str> = kept.iter().map(|study| study.id.as_str()).collect();
        assert_eq!((ids, left_out), (vec!["2", "3", "1"], 1));
        let error = screen(OnBadStudy::Stop).unwrap_err().to_string();
        assert!(
            error.contains("1 of 2 images") && error.contains("skipped"),
            "{error}"
        );
    }
}
