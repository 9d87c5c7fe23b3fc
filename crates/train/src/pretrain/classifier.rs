use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use ithn_backbone::{Backbone, BackboneConfig, ImageEncoder};
use ithn_generator::{StudyBatch, row_indices};

use ithn_checkpoint::config::PretrainConfig;

/// A backbone and a linear layer that tells findings from the pooled features of all views.
#[derive(Module, Debug)]
pub struct FindingsClassifier {
    /// Images to patch features.
    pub backbone: Backbone,
    dropout: Dropout,
    /// Pooled features of all views, joined, to one logit per class.
    pub head: Linear,
    views: usize,
}

/// Targets of a batch, `[batch, classes]` each.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    /// 1 for present, 0 for absent or open.
    present: Tensor<2>,
    /// 1 where the label is known.
    known: Tensor<2>,
}

impl FindingsClassifier {
    /// A classifier with random weights.
    pub fn init(config: &PretrainConfig, device: &Device) -> Self {
        let (views, classes) = (config.views, config.classes.len());
        FindingsClassifier::of(
            &config.backbone,
            views,
            classes,
            config.dropout.get(),
            device,
        )
    }

    fn of(
        backbone: &BackboneConfig,
        views: usize,
        classes: usize,
        dropout: f64,
        device: &Device,
    ) -> Self {
        FindingsClassifier {
            backbone: backbone.init(device),
            dropout: DropoutConfig::new(dropout).init(),
            head: LinearConfig::new(views * backbone.channels(), classes).init(device),
            views,
        }
    }

    /// Logits of the classes, `[batch, classes]`.
    ///
    /// All views of the batch are normalised together in training. A missing view's features are
    /// zero, so the linear layer leaves it out.
    ///
    /// # Panics
    ///
    /// If the studies have another number of views than the classifier.
    pub fn forward(&self, studies: StudyBatch) -> Tensor<2> {
        let [batch, views, channels, height, width] = studies.images.dims();
        assert_eq!(
            views, self.views,
            "the classifier takes {} views",
            self.views
        );
        let device = studies.images.device();
        let images = studies
            .images
            .reshape([batch * views, channels, height, width]);
        let pooled = match &studies.present {
            None => self.backbone.forward(images).pooled,
            Some(mask) => {
                let is_there = |place: &usize| mask.has(place / views, place % views);
                let there: Vec<usize> = (0..batch * views).filter(is_there).collect();
                let rows = row_indices(&there, &device);
                let pooled = self.backbone.forward(images.select(0, rows)).pooled;
                spread(pooled, &there, batch * views)
            }
        };
        let [_, width] = pooled.dims();
        let joined = pooled.reshape([batch, views * width]);
        self.head.forward(self.dropout.forward(joined))
    }
}

/// Rows at the ascending places `there` of `total`, zeros elsewhere.
fn spread(rows: Tensor<2>, there: &[usize], total: usize) -> Tensor<2> {
    let [count, width] = rows.dims();
    let device = rows.device();
    // One row of zeros follows the present ones; every missing place selects it.
    let sources: Vec<usize> = (0..total)
        .map(|place| there.binary_search(&place).unwrap_or(count))
        .collect();
    let zeros = Tensor::zeros([1, width], &device);
    Tensor::cat(vec![rows, zeros], 0).select(0, row_indices(&sources, &device))
}

impl Targets {
    /// Rows of labels as tensors.
    pub(super) fn of(rows: &[&[Option<bool>]], device: &Device) -> Self {
        let dims = [rows.len(), rows.first().map_or(0, |row| row.len())];
        let tensor = |number: fn(Option<bool>) -> f32| {
            let values: Vec<f32> = rows
                .iter()
                .flat_map(|row| row.iter().map(|label| number(*label)))
                .collect();
            Tensor::from_data(TensorData::new(values, dims), device)
        };
        Targets {
            present: tensor(|label| f32::from(label == Some(true))),
            known: tensor(|label| f32::from(label.is_some())),
        }
    }
}

/// Binary cross-entropy, `[1]`: `−Σ k (w y log σ(x) + (1 − y) log σ(−x)) / Σ k`, over studies and
/// classes, with `y` smoothed by `smoothing` towards 1/2, `w` the weight of the class's positives,
/// `[classes]`, and `k` 1 for known labels.
pub(super) fn classification_loss(
    logits: Tensor<2>,
    targets: &Targets,
    weights: &Tensor<1>,
    smoothing: f64,
) -> Tensor<1> {
    let present = targets.present.clone() * (1.0 - smoothing) + smoothing / 2.0;
    let weighted = present.clone() * weights.clone().unsqueeze();
    let losses =
        weighted * log_sigmoid(logits.clone()) + (present.neg() + 1.0) * log_sigmoid(logits.neg());
    let known = targets.known.clone();
    let count = known.clone().sum().clamp_min(1.0);
    (losses * known).sum().neg() / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;
    use ithn_generator::ViewMask;
    use ithn_generator::seeded::values;

    #[test]
    fn the_loss_is_the_weighted_cross_entropy_of_known_labels() {
        let device = Device::default();
        let logits = Tensor::from_data([[0.5, -1.0], [2.0, 0.25]], &device);
        let rows: [&[Option<bool>]; 2] = [&[Some(true), Some(false)], &[None, Some(true)]];
        let weights = Tensor::from_data([3.0, 2.0], &device);
        let targets = Targets::of(&rows, &device);
        let log_sigmoid = |x: f64| -(1.0 + (-x).exp()).ln();
        for smoothing in [0.0, 0.1] {
            let (high, low) = (1.0 - smoothing / 2.0, smoothing / 2.0);
            let term =
                |x: f64, y: f64, w: f64| w * y * log_sigmoid(x) + (1.0 - y) * log_sigmoid(-x);
            let expected =
                -(term(0.5, high, 3.0) + term(-1.0, low, 2.0) + term(0.25, high, 2.0)) / 3.0;
            let loss: f32 =
                classification_loss(logits.clone(), &targets, &weights, smoothing).into_scalar();
            assert!(
                (f64::from(loss) - expected).abs() < 1e-5,
                "{loss} {expected}"
            );
        }
    }

    #[test]
    fn large_logits_give_finite_losses() {
        let device = Device::default();
        let logits = Tensor::from_data([[200.0, -200.0]], &device);
        let rows: [&[Option<bool>]; 1] = [&[Some(false), Some(true)]];
        let weights = Tensor::ones([2], &device);
        let targets = Targets::of(&rows, &device);
        let loss: f32 = classification_loss(logits, &targets, &weights, 0.0).into_scalar();
        assert!((loss - 200.0).abs() < 1e-3, "{loss}");
    }

    #[test]
    fn a_missing_view_counts_for_nothing() {
        let _turn = crate::take_turns();
        let device = Device::default();
        let backbone = ithn_backbone::ResNetConfig::narrow(4, vec![1, 1]).into();
        let classifier = FindingsClassifier::of(&backbone, 2, 3, 0.5, &device);
        let images = values([2, 2, 3, 32, 32], 5, &device);
        let mask = || ViewMask::new(&[vec![true, false], vec![true, true]]);
        let seen = StudyBatch::new(images.clone()).with_views(mask());
        let logits = classifier.forward(seen);
        let other = images.slice_assign([0..1, 1..2], values([1, 1, 3, 32, 32], 9, &device));
        let unseen = classifier.forward(StudyBatch::new(other).with_views(mask()));
        logits
            .clone()
            .into_data()
            .assert_approx_eq::<f32>(&unseen.into_data(), Tolerance::absolute(1e-5));
        assert_eq!(logits.dims(), [2, 3]);
    }
}
