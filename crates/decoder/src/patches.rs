use burn::tensor::{Bool, Tensor};

/// Patch features of a batch of studies, and the mask of missing views.
#[derive(Debug, Clone)]
pub struct PatchFeatures {
    /// `[batch, patches, width]`. Values at masked patches are finite and have no effect.
    pub values: Tensor<3>,
    /// `[batch, patches]`, true at patches of missing views; `None` if no view is missing. Every
    /// study has an unmasked patch.
    pub mask: Option<Tensor<2, Bool>>,
}

impl From<Tensor<3>> for PatchFeatures {
    /// Features without a mask.
    fn from(values: Tensor<3>) -> Self {
        PatchFeatures { values, mask: None }
    }
}

impl PatchFeatures {
    /// Applies `layer` to the features, patch by patch or with the mask, and keeps the mask.
    pub fn map(self, layer: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Self {
        PatchFeatures {
            values: layer(self.values),
            mask: self.mask,
        }
    }

    /// Attention mask, the same for every query: `[batch, 1, patches]`, true at patches of missing views.
    /// `None` if no view is missing.
    pub fn attention_mask(&self) -> Option<Tensor<3, Bool>> {
        self.mask.clone().map(|mask| mask.unsqueeze_dim(1))
    }

    /// Mean of the unmasked features, `[batch, width]`.
    pub fn mean(&self) -> Tensor<2> {
        let values = self.values.clone();
        let Some(mask) = self.mask.clone() else {
            return values.mean_dim(1).squeeze_dim(1);
        };
        let dims = values.dims();
        let count = mask.clone().bool_not().float().sum_dim(1);
        let masked = values.mask_fill(mask.unsqueeze_dim::<3>(2).expand(dims), 0.0);
        masked.sum_dim(1).squeeze_dim::<2>(1) / count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn masked_patches_do_not_enter_the_mean() {
        let device = Device::default();
        let values = Tensor::<3>::from_data(
            [
                [[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]],
                [[1.0, 2.0], [4.0, 8.0], [7.0, 5.0]],
            ],
            &device,
        );
        let mask =
            Tensor::<2, Bool>::from_data([[false, false, true], [false, false, false]], &device);
        let patches = PatchFeatures {
            values,
            mask: Some(mask),
        };
        patches
            .mean()
            .into_data()
            .assert_approx_eq::<f32>(&[[2.0, 4.0], [4.0, 5.0]].into(), Tolerance::absolute(1e-6));
    }
}
