use burn::tensor::Tensor;
use ithn_generator::TokenBatch;

/// Language loss `L_LM`: mean negative log-probability of the targets in nats, `[1]`; padding is
/// masked.
///
/// # Shapes
///
/// - log_probs: `[batch, length, vocabulary]`
///
/// # Panics
///
/// If `log_probs` has other dimensions than the reports.
pub fn language_loss(log_probs: Tensor<3>, reports: &TokenBatch) -> Tensor<1> {
    let mask = reports.mask().clone();
    -(target_log_probs(log_probs, reports) * mask.clone()).sum() / mask.sum()
}

/// [`language_loss`] with smoothed targets (Szegedy et al., 2016), `[1]`: a share `smoothing` of each target's probability
/// is spread evenly over the vocabulary. Equal to the plain loss at 0.
///
/// # Shapes
///
/// - log_probs: `[batch, length, vocabulary]`
///
/// # Panics
///
/// If `log_probs` has other dimensions than the reports.
pub fn smoothed_language_loss(
    log_probs: Tensor<3>,
    reports: &TokenBatch,
    smoothing: f64,
) -> Tensor<1> {
    if smoothing == 0.0 {
        return language_loss(log_probs, reports);
    }
    let mask = reports.mask().clone();
    let even = log_probs.clone().mean_dim(2).squeeze_dim::<2>(2);
    let even = -(even * mask.clone()).sum() / mask.sum();
    language_loss(log_probs, reports) * (1.0 - smoothing) + even * smoothing
}

/// Log-probability of each target, `[batch, length]`.
pub(crate) fn target_log_probs(log_probs: Tensor<3>, reports: &TokenBatch) -> Tensor<2> {
    let targets = reports.targets().clone();
    log_probs.gather(2, targets.unsqueeze_dim(2)).squeeze_dim(2)
}
