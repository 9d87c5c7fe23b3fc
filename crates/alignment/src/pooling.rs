use burn::tensor::{Int, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

/// Which hidden states are averaged into a report's embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Positions whose input is the beginning or a word: an embedding depends on its own report
    /// alone.
    #[default]
    ReportTokens,
    /// Every position, padding included, as released: an embedding also depends on the longest
    /// report of its batch.
    AllPositions,
}

impl Pooling {
    /// # Shapes
    ///
    /// - hidden: `[batch, length, width]`
    /// - tokens: `[batch, length]`, the inputs that gave these hidden states; token 0 at position 0
    ///   begins the report, later zeros are padding
    /// - output: `[batch, width]`
    pub fn pool(self, hidden: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length, _] = hidden.dims();
        assert_shape!(tokens, [batch, length]);
        match self {
            Pooling::AllPositions => hidden.mean_dim(1).squeeze_dim(1),
            Pooling::ReportTokens => {
                let words = tokens.narrow(1, 1, length - 1).not_equal_elem(0).float();
                let first = Tensor::ones([batch, 1], &hidden.device());
                let counted: Tensor<2> = Tensor::cat(vec![first, words], 1);
                let total = counted.clone().sum_dim(1);
                let summed: Tensor<2> = (hidden * counted.unsqueeze_dim(2))
                    .sum_dim(1)
                    .squeeze_dim(1);
                summed / total
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn padding_counts_only_when_asked() {
        let device = Device::default();
        let hidden = Tensor::<3>::from_data([[[1.0], [3.0], [8.0]]], &device);
        let tokens = Tensor::<2, Int>::from_data([[0, 7, 0]], &device);
        let pooled = |pooling: Pooling| -> f32 {
            pooling.pool(hidden.clone(), tokens.clone()).into_scalar()
        };
        assert_eq!(pooled(Pooling::ReportTokens), 2.0);
        assert_eq!(pooled(Pooling::AllPositions), 4.0);
    }

    #[test]
    fn a_longer_neighbour_changes_nothing() {
        let device = Device::default();
        let hidden = Tensor::<3>::from_data([[[1.0], [3.0], [8.0]]], &device);
        let tokens = Tensor::<2, Int>::from_data([[0, 7, 0]], &device);
        let short = Pooling::ReportTokens.pool(
            hidden.clone().narrow(1, 0, 2),
            tokens.clone().narrow(1, 0, 2),
        );
        Pooling::ReportTokens
            .pool(hidden, tokens)
            .into_data()
            .assert_approx_eq::<f32>(&short.into_data(), Tolerance::absolute(1e-6));
    }
}
