use serde::{Deserialize, Serialize};

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
    /// Drops the images of a study, and of its negative, that are not wanted.
    pub fn select(self, study: &mut Study) {
        let place = match self {
            Views::All => return,
            Views::First => 0,
            Views::One(place) => place,
        };
        let negative = study.negative.as_mut().map(|negative| &mut negative.images);
        for images in std::iter::once(&mut study.images).chain(negative) {
            let kept = place.min(images.len().saturating_sub(1));
            let image = std::mem::take(images).into_iter().nth(kept);
            images.extend(image);
        }
    }
}
