use std::collections::VecDeque;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// A running average of weights and running statistics (Polyak & Juditsky, 1992; with the decay of
/// Mean Teacher): after step `n`, counted from 0, `ā ← d ā + (1 − d) a` with
/// `d = min(decay, (1 + n) / (10 + n))`.
#[derive(Debug)]
pub(super) struct WeightAverage<M> {
    decay: f64,
    steps: usize,
    average: M,
}

impl<M: Module> WeightAverage<M> {
    /// Begins at the weights of `model`.
    pub(super) fn of(model: &M, decay: f64) -> Self {
        WeightAverage {
            decay,
            steps: 0,
            average: model.valid(),
        }
    }

    /// An average of so many steps.
    pub(super) fn resumed(average: M, steps: usize, decay: f64) -> Self {
        WeightAverage {
            decay,
            steps,
            average,
        }
    }

    /// Takes in the weights after a step.
    pub(super) fn update(self, model: &M) -> Self {
        let steps = self.steps as f64;
        let mut weights = Weights::default();
        model.valid().visit(&mut weights);
        let mut averaging = Averaging {
            weights: weights.0,
            decay: self.decay.min((1.0 + steps) / (10.0 + steps)),
        };
        WeightAverage {
            steps: self.steps + 1,
            average: self.average.map(&mut averaging),
            ..self
        }
    }

    /// The average, without autodiff.
    pub(super) fn model(&self) -> M {
        self.average.valid()
    }
}

#[derive(Default)]
struct Weights(VecDeque<Tensor<1>>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push_back(param.val().flatten(0, D - 1));
    }
}

struct Averaging {
    weights: VecDeque<Tensor<1>>,
    decay: f64,
}

impl ModuleMapper for Averaging {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let newest = self.weights.pop_front();
        let newest = newest.expect("a module is visited and mapped in one order");
        param.map(|average| {
            let dims = average.dims();
            average * self.decay + newest.reshape(dims) * (1.0 - self.decay)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    #[test]
    fn the_average_follows_its_equation_and_leaves_the_model_alone() {
        let _turn = crate::take_turns();
        let device = Device::default().autodiff();
        let with = |value: f32| -> Linear {
            let mut layer = LinearConfig::new(1, 1).with_bias(false).init(&device);
            layer.weight = layer.weight.map(|weight| weight.zeros_like() + value);
            layer
        };
        let value = |layer: &Linear| layer.weight.val().into_scalar::<f32>();
        let average = WeightAverage::of(&with(1.0), 0.5);
        let average = average.update(&with(2.0));
        // d = min(0.5, 1/10).
        assert!((value(&average.model()) - 1.9).abs() < 1e-6);
        let model = with(3.0);
        let average = (0..20).fold(average, |average, _| average.update(&model));
        assert!((value(&average.model()) - 3.0).abs() < 1e-3);
        assert_eq!(value(&model), 3.0);
    }
}
