use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

/// Euclidean norm of all gradients of a module together, `[1]`; 0 without any.
pub fn gradient_norm<M: Module>(
    module: &M,
    gradients: &GradientsParams,
    device: &Device,
) -> Tensor<1> {
    let mut squares = Squares {
        gradients,
        sums: Vec::new(),
    };
    module.visit(&mut squares);
    if squares.sums.is_empty() {
        return Tensor::zeros([1], device);
    }
    Tensor::cat(squares.sums, 0).sum().sqrt()
}

/// Scales all gradients of a module by one factor so that their norm is at most `largest`.
///
/// `norm` is what [`gradient_norm`] gave, `[1]`: it stays on its device, so nothing waits for it.
pub fn clip_gradients<M: Module>(
    module: &M,
    gradients: GradientsParams,
    norm: Tensor<1>,
    largest: f64,
) -> GradientsParams {
    let scale = (norm + 1e-6).recip().mul_scalar(largest).clamp_max(1.0);
    scale_gradients(module, gradients, scale)
}

fn scale_gradients<M: Module>(
    module: &M,
    gradients: GradientsParams,
    scale: Tensor<1>,
) -> GradientsParams {
    let mut scaling = Scaling {
        gradients,
        scaled: GradientsParams::new(),
        scale,
    };
    module.visit(&mut scaling);
    scaling.scaled
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            // A device may add in the order of memory: the norm must not depend on a gradient's layout,
            // which a gradient that came from other processes does not keep.
            let values = gradient.shape().num_elements();
            self.sums.push(gradient.reshape([values]).square().sum());
        }
    }
}

struct Scaling {
    gradients: GradientsParams,
    scaled: GradientsParams,
    scale: Tensor<1>,
}

impl ModuleVisitor for Scaling {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let scale = self.scale.clone().reshape([1; D]);
            self.scaled.register(param.id, gradient * scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Tolerance;

    /// A linear layer `[2] → [1]` and gradients 3 and 4 of its weights.
    fn three_and_four(device: &Device) -> (Linear, GradientsParams) {
        let layer = LinearConfig::new(2, 1).with_bias(false).init(device);
        let x = Tensor::<2>::from_data([[3.0, 4.0]], device);
        let loss = layer.forward(x).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &layer);
        (layer, gradients)
    }

    fn weights(layer: &Linear, gradients: &GradientsParams) -> Tensor<2> {
        gradients
            .get::<2>(layer.weight.id)
            .expect("the layer has a gradient")
    }

    #[test]
    fn the_norm_is_euclidean_over_everything() {
        let _turn = crate::take_turns();
        let device = Device::default();
        let (layer, gradients) = three_and_four(&device.clone().autodiff());
        let norm: f32 = gradient_norm(&layer, &gradients, &device).into_scalar();
        assert_eq!(norm, 5.0);
        let none = GradientsParams::new();
        let norm: f32 = gradient_norm(&layer, &none, &device).into_scalar();
        assert_eq!(norm, 0.0);
    }

    #[test]
    fn clipping_keeps_directions_and_small_gradients() {
        let _turn = crate::take_turns();
        let device = Device::default();
        for (largest, expected) in [(1.0, [0.6, 0.8]), (10.0, [3.0, 4.0])] {
            let (layer, gradients) = three_and_four(&device.clone().autodiff());
            let norm = gradient_norm(&layer, &gradients, &device);
            let clipped = clip_gradients(&layer, gradients, norm, largest);
            weights(&layer, &clipped)
                .reshape([2])
                .into_data()
                .assert_approx_eq::<f32>(&expected.into(), Tolerance::absolute(1e-5));
        }
    }
}
