use crate::feature_cache::FeatureBlock;
use crate::study::TokenizedContext;

/// Images of a batch as three planes each, values 0 to 255, or what a network has made of them; and what the studies
/// carry beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBlock {
    /// Batch, views, channels, height, width.
    pub dims: [usize; 5],
    /// Values in that order; 0 where a view is missing. None if there are features.
    pub pixels: Vec<u8>,
    /// Patch features that stand for the pixels.
    pub features: Option<FeatureBlock>,
    /// Whether each study has each view, `[batch, views]` in that order. Every study has the first.
    pub present: Vec<bool>,
    /// What the studies carry beside their images; none if no study carries anything.
    pub context: Option<ContextBlock>,
}

/// What the studies of a batch carry beside their images, study by study.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextBlock {
    /// Each study's own: projections, indication, and the previous study, whose images are
    /// [`films`](Self::films), one after the other.
    pub studies: Vec<TokenizedContext>,
    /// Images of all previous studies: their number and their pixels, values 0 to 255, or features.
    pub films: FilmBlock,
}

/// Films as three planes each, values 0 to 255, or what a network has made of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilmBlock {
    /// Films, channels, height, width.
    pub dims: [usize; 4],
    /// Values in that order. None if there are features.
    pub pixels: Vec<u8>,
    /// Patch features that stand for the pixels.
    pub features: Option<FeatureBlock>,
}
