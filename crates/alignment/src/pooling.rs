use burn::tensor::{Tensor, assert_shape};
use serde::{Deserialize, Serialize};

/// Which hidden states are averaged into a report's embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pooling {
    /// Positions whose input is BOS or a word: an embedding depends on its own report only.
    #[default]
    ReportTokens,
    /// Every position, padding included, as in the official code: an embedding also depends on the
    /// longest report of its batch.
    AllPositions,
}

impl Pooling {
    /// Averages hidden states into one vector per report.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, length, width]`
    /// - mask: `[batch, length]`, 1 where the input belongs to the report, 0 at padding
    /// - output: `[batch, width]`
    pub fn pool(self, hidden: Tensor<3>, mask: &Tensor<2>) -> Tensor<2> {
        let [batch, length, _] = hidden.dims();
        assert_shape!(mask, [batch, length]);
        match self {
            Pooling::AllPositions => hidden.mean_dim(1).squeeze_dim(1),
            Pooling::ReportTokens => {
                let total = mask.clone().sum_dim(1);
                let summed: Tensor<2> = (hidden * mask.clone().unsqueeze_dim(2))
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
        let mask = Tensor::<2>::from_data([[1.0, 1.0, 0.0]], &device);
        let pooled =
            |pooling: Pooling| -> f32 { pooling.pool(hidden.clone(), &mask).into_scalar() };
        assert_eq!(pooled(Pooling::ReportTokens), 2.0);
        assert_eq!(pooled(Pooling::AllPositions), 4.0);
    }

    #[test]
    fn a_longer_neighbour_changes_nothing() {
        let device = Device::default();
        let hidden = Tensor::<3>::from_data([[[1.0], [3.0], [8.0]]], &device);
        let mask = Tensor::<2>::from_data([[1.0, 1.0, 0.0]], &device);
        let short = Pooling::ReportTokens.pool(
            hidden.clone().narrow(1, 0, 2),
            &mask.clone().narrow(1, 0, 2),
        );
        Pooling::ReportTokens
            .pool(hidden, &mask)
            .into_data()
            .assert_approx_eq::<f32>(&short.into_data(), Tolerance::absolute(1e-6));
    }
}
