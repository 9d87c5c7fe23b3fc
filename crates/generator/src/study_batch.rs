use burn::tensor::Tensor;

use crate::{ContextBatch, ViewMask};

/// Inputs of a batch of studies.
///
/// Later versions add inputs as further fields; generators that ignore them still compile.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StudyBatch {
    /// `[batch, views, 3, height, width]`, less ImageNet's mean, over its standard deviation; a backbone
    /// that was trained on other pixels converts them. Pixels of a missing view are arbitrary,
    /// possibly NaN.
    pub images: Tensor<5>,
    /// Mask of the views that are there; `None` if all are.
    pub present: Option<ViewMask>,
    /// Features that the backbone has made of the images before, `[batch, views, patches, channels]`;
    /// they stand for the images, which then hold no pixels. Values of a missing view are zero.
    pub features: Option<Tensor<4>>,
    /// Findings that the studies are known to have, `[batch, findings]`, from 0 (absent) to 1 (present), for a generator that
    /// tells its decoder findings; they stand for those that it reads from the images.
    pub findings: Option<Tensor<2>>,
    /// What the studies carry beside their films; `None` if nothing.
    pub context: Option<ContextBatch>,
}

impl StudyBatch {
    /// Studies with all their views: `images` is `[batch, views, 3, height, width]`.
    pub fn new(images: Tensor<5>) -> Self {
        StudyBatch {
            images,
            present: None,
            features: None,
            findings: None,
            context: None,
        }
    }

    /// Studies with all their views, given as features of their images, `[batch, views, patches, channels]`.
    pub fn of_features(features: Tensor<4>) -> Self {
        let [batch, views, ..] = features.dims();
        StudyBatch {
            images: Tensor::zeros([batch, views, 3, 1, 1], &features.device()),
            present: None,
            features: Some(features),
            findings: None,
            context: None,
        }
    }

    /// Adds findings, `[batch, findings]`.
    ///
    /// # Panics
    ///
    /// If there is not one row for each study.
    pub fn with_findings(mut self, findings: Tensor<2>) -> Self {
        assert_eq!(
            findings.dims()[0],
            self.len(),
            "a row of findings for each study"
        );
        self.findings = Some(findings);
        self
    }

    /// Views per study, missing ones included.
    pub fn views(&self) -> usize {
        self.images.dims()[1]
    }

    /// Adds a mask of views. A mask without a missing view is dropped.
    ///
    /// # Panics
    ///
    /// If the mask has another batch or another number of views than the images.
    pub fn with_views(mut self, present: ViewMask) -> Self {
        let [batch, views, ..] = self.images.dims();
        assert_eq!(
            [present.batch(), present.views()],
            [batch, views],
            "the mask of views must have the images' batch and views"
        );
        self.present = present.is_incomplete().then_some(present);
        self
    }

    /// Adds what the studies carry beside their films. A context that carries nothing is dropped.
    ///
    /// # Panics
    ///
    /// If it has another number of studies, or a previous study's film is not there.
    pub fn with_context(mut self, context: ContextBatch) -> Self {
        context.check(self.len());
        self.context = (!context.carries_nothing()).then_some(context);
        self
    }

    /// Studies in the batch.
    pub fn len(&self) -> usize {
        self.images.dims()[0]
    }

    /// Whether the batch has no study.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_mask_without_a_missing_view_is_none() {
        let device = Device::default();
        let images = Tensor::zeros([2, 2, 3, 4, 4], &device);
        let whole = ViewMask::new(&[vec![true, true], vec![true, true]]);
        assert!(
            StudyBatch::new(images.clone())
                .with_views(whole)
                .present
                .is_none()
        );
        let part = ViewMask::new(&[vec![true, false], vec![true, true]]);
        assert_eq!(part.rows_with(1), [1]);
        let mask = part.missing_patches(2, &device).into_data();
        mask.assert_eq(&[[false, false, true, true], [false; 4]].into(), false);
        assert!(StudyBatch::new(images).with_views(part).present.is_some());
    }
}
