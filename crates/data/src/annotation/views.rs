use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::context::Projection;
use crate::study::Study;

/// Which of a study's images are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Views {
    /// All images.
    #[default]
    All,
    /// The first image.
    First,
    /// The image at this index, counted from 0; a study with fewer images keeps its last image.
    One(usize),
}

impl Views {
    /// Drops the images of a study, of its negative and of its previous study, that are not wanted.
    pub fn select(self, study: &mut Study) {
        let place = match self {
            Views::All => return,
            Views::First => 0,
            Views::One(place) => place,
        };
        let context = &mut study.context;
        keep_one(&mut study.images, &mut context.projections, place);
        if let Some(negative) = &mut study.negative {
            keep_one(&mut negative.images, &mut Vec::new(), place);
        }
        if let Some(prior) = &mut context.prior {
            keep_one(&mut prior.images, &mut prior.projections, place);
        }
    }
}

/// Keeps the image at `place`, or the last one, and its projection.
fn keep_one(images: &mut Vec<PathBuf>, projections: &mut Vec<Projection>, place: usize) {
    let kept = place.min(images.len().saturating_sub(1));
    let image = std::mem::take(images).into_iter().nth(kept);
    images.extend(image);
    let projection = std::mem::take(projections).into_iter().nth(kept);
    projections.extend(projection);
}
