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

/// Log-probability of each target, `[batch, length]`.
pub(crate) fn target_log_probs(log_probs: Tensor<3>, reports: &TokenBatch) -> Tensor<2> {
    let targets = reports.targets().clone();
    log_probs.gather(2, targets.unsqueeze_dim(2)).squeeze_dim(2)
}
