//! All gradients of a module as one vector.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use super::step::read_flat;
use crate::error::TrainError;
use crate::ranks::NOTHING;

/// The parameters of a module in the order of visits, which is the same at every rank; their identifiers are
/// not.
#[derive(Debug)]
pub(super) struct Layout {
    /// Of all, states included.
    ids: Vec<ParamId>,
    /// Of those that are trained, with their number of values.
    trained: Vec<(ParamId, usize)>,
}

impl Layout {
    pub(super) fn of<M: Module>(module: &M) -> Self {
        struct Walk(Layout);
        impl ModuleVisitor for Walk {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.ids.push(param.id);
                let value = param.val();
                if value.is_require_grad() {
                    self.0
                        .trained
                        .push((param.id, value.shape().num_elements()));
                }
            }
        }
        let mut walk = Walk(Layout {
            ids: Vec::new(),
            trained: Vec::new(),
        });
        module.visit(&mut walk);
        walk.0
    }

    /// How many parameters are trained.
    pub(super) fn trained(&self) -> usize {
        self.trained.len()
    }

    /// The place of a parameter or state; behind the last if the module lacks it.
    pub(super) fn place(&self, id: ParamId) -> usize {
        let place = self.ids.iter().position(|own| *own == id);
        place.unwrap_or(self.ids.len())
    }

    /// The parameter or state at a place.
    pub(super) fn id(&self, place: usize) -> Option<ParamId> {
        self.ids.get(place).copied()
    }

    /// Gradients one after the other, and which of the trained parameters have one. What is
    /// absent adds nothing.
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub(super) fn flat<M: Module>(
        &self,
        module: &M,
        gradients: GradientsParams,
        device: &Device,
    ) -> Result<(Vec<f32>, Vec<bool>), TrainError> {
        let mut walk = Flatten {
            layout: self,
            gradients,
            parts: Vec::with_capacity(self.trained.len()),
            present: Vec::with_capacity(self.trained.len()),
            device,
        };
        module.visit(&mut walk);
        let Flatten { parts, present, .. } = walk;
        match parts.is_empty() {
            true => Ok((Vec::new(), present)),
            false => Ok((read_flat(Tensor::cat(parts, 0))?, present)),
        }
    }

    /// Gradients of the parameters that have one, from their values one after the other.
    pub(super) fn gradients<M: Module>(
        &self,
        module: &M,
        flat: &[f32],
        present: &[bool],
        device: &Device,
    ) -> GradientsParams {
        let mut walk = Unflatten {
            layout: self,
            rest: flat,
            present,
            gradients: GradientsParams::new(),
            device,
        };
        module.visit(&mut walk);
        walk.gradients
    }
}

struct Flatten<'a> {
    layout: &'a Layout,
    gradients: GradientsParams,
    parts: Vec<Tensor<1>>,
    present: Vec<bool>,
    device: &'a Device,
}

impl ModuleVisitor for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(&(id, length)) = self.layout.trained.get(self.parts.len()) else {
            return;
        };
        if id != param.id {
            return;
        }
        let gradient = self.gradients.remove::<D>(id);
        self.present.push(gradient.is_some());
        self.parts.push(match gradient {
            Some(gradient) => gradient.reshape([length]),
            None => Tensor::full([length], NOTHING, self.device),
        });
    }
}

struct Unflatten<'a> {
    layout: &'a Layout,
    rest: &'a [f32],
    present: &'a [bool],
    gradients: GradientsParams,
    device: &'a Device,
}

impl ModuleVisitor for Unflatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let place = self.layout.trained.len() - self.present.len();
        let (Some(&(id, length)), Some((&present, others))) =
            (self.layout.trained.get(place), self.present.split_first())
        else {
            return;
        };
        if id != param.id {
            return;
        }
        let (values, rest) = self.rest.split_at(length);
        (self.rest, self.present) = (rest, others);
        if present {
            let data = TensorData::new(values.to_vec(), param.shape());
            let gradient = Tensor::<D>::from_data(data, self.device);
            self.gradients.register(id, gradient);
        }
    }
}

/// CRC-32 of all parameters and states of a module, in the order of visits.
///
/// # Errors
///
/// If the device fails.
pub(super) fn checksum<M: Module>(module: &M) -> Result<u32, TrainError> {
    struct Walk {
        hasher: crc32fast::Hasher,
        failed: Option<TrainError>,
    }
    impl ModuleVisitor for Walk {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            let length = value.shape().num_elements();
            match read_flat(value.reshape([length])) {
                Ok(values) => values
                    .iter()
                    .for_each(|value| self.hasher.update(&value.to_le_bytes())),
                Err(error) => self.failed = Some(error),
            }
        }
    }
    let mut walk = Walk {
        hasher: crc32fast::Hasher::new(),
        failed: None,
    };
    module.visit(&mut walk);
    match walk.failed {
        Some(error) => Err(error),
        None => Ok(walk.hasher.finalize()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};

    #[test]
    fn gradients_come_back_and_absent_ones_stay_absent() {
        let _turn = crate::take_turns();
        let device = Device::default();
        let layer: Linear = LinearConfig::new(2, 3).init(&device.clone().autodiff());
        let layout = Layout::of(&layer);
        assert_eq!(layout.trained(), 2);
        let weight = Tensor::<2>::from_data([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let mut gradients = GradientsParams::new();
        // The layout in memory of a transposed tensor is not that of its values.
        gradients.register(
            layer.weight.id,
            weight.clone().transpose().mul_scalar(1.0).transpose(),
        );
        let (flat, present) = layout
            .flat(&layer, gradients, &device)
            .expect("a device that works");
        assert_eq!(present, [true, false]);
        assert_eq!(flat[..6], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(
            flat[6..]
                .iter()
                .all(|value| value.to_bits() == NOTHING.to_bits())
        );

        let back = layout.gradients(&layer, &flat, &present, &device);
        assert_eq!(back.len(), 1);
        let back = back.get::<2>(layer.weight.id).expect("it had one");
        back.into_data().assert_eq(&weight.into_data(), true);
    }

    #[test]
    fn a_changed_weight_has_another_checksum() {
        let _turn = crate::take_turns();
        let device = Device::default();
        let layer: Linear = LinearConfig::new(2, 3).init(&device);
        let one = checksum(&layer).expect("a device that works");
        assert_eq!(checksum(&layer.clone()).expect("a device that works"), one);
        let mut other = layer;
        other.weight = other.weight.map(|weight| weight + 1.0);
        assert_ne!(checksum(&other).expect("a device that works"), one);
    }
}
