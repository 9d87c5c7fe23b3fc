use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::exclusion::{ExclusionReason, Exclusions, OnBadStudy};
use crate::image::{decode_image, inspect_image};
use crate::study::Study;

/// How closely a dataset's images are looked at before they are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageCheck {
    /// Whether they are there.
    #[default]
    Present,
    /// Also whether each begins as an image of bearable size: a few kilobytes are read of each.
    Header,
    /// Also whether each can be decoded, which takes as long as an epoch's loading.
    Decode,
}

/// Looks at all images of all studies, first negatives included, so that a training does not find
/// out on its second day; returns the studies whose images are in order.
///
/// # Errors
///
/// [`DataError::MissingImages`] counts those that are not there and names the first;
/// [`DataError::Image`] names one that cannot be read. Under [`OnBadStudy::Skip`] there is no error,
/// and the studies concerned are added to `exclusions`.
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

/// What is wrong with the first broken image of a study.
fn fault(study: &Study, check: ImageCheck) -> Option<(ExclusionReason, DataError)> {
    let negatives = study.negative.iter().flat_map(|it| &it.images);
    for path in study.images.iter().chain(negatives) {
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
        let images = || {
            studies.iter().flat_map(|study| {
                let negatives = study.negative.iter().flat_map(|it| &it.images);
                study.images.iter().chain(negatives)
            })
        };
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
