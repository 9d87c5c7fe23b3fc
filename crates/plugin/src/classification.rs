use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

/// Binary cross-entropy of findings, `[1]`, mean over studies and findings: `−(y log σ(x) + (1 − y) log σ(−x))` for the
/// logits `x` that `head` gives pooled features.
///
/// # Shapes
///
/// - pooled: `[batch, features]`
/// - findings: `[batch, findings]`, from 0 to 1
///
/// # Panics
///
/// If there is another number of findings than outputs of `head`.
pub(crate) fn classification_loss(
    head: &Linear,
    pooled: Tensor<2>,
    findings: Tensor<2>,
) -> Tensor<1> {
    let logits = head.forward(pooled);
    assert_eq!(
        logits.dims(),
        findings.dims(),
        "the classification loss is configured for another number of findings"
    );
    let absent = (-findings.clone() + 1.0) * log_sigmoid(-logits.clone());
    -(findings * log_sigmoid(logits) + absent).mean()
}
