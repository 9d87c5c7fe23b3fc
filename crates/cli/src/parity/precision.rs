//! Single precision as in use, double to tell rounding from error, or products of bfloat16.
//!
//! One activation near zero, or two memory rows that score nearly alike, may fall to either side by
//! rounding alone; what follows then differs by far more than rounding. In double precision such
//! accidents are a billion times rarer, and an implementation that is right agrees again.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor};
use ithn::kernels::in_bfloat16;

use super::check::{Check, Outcome};
use super::fixture::FixtureError;

/// Largest relative error of numbers that an accident of rounding causes; beyond it is a defect.
pub const ACCIDENT: f64 = 0.1;
/// What an accident does to a search: everything after another word is another report.
pub const ANOTHER_WORD: f64 = f64::INFINITY;

/// In which numbers a family is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    Single,
    Double,
    /// Single, the factors of products rounded to bfloat16 in training steps.
    Mixed,
}

impl Precision {
    /// Whether the device that the checks run on computes in these numbers. Many GPUs have no doubles,
    /// and some drivers say that they have and give NaN.
    pub fn is_available(self) -> bool {
        let device = Device::default();
        match self {
            Precision::Single => true,
            Precision::Mixed => device.supports_dtype(DType::BF16),
            Precision::Double if !device.supports_dtype(DType::F64) => false,
            Precision::Double => {
                let two = Tensor::<1>::from_data([2.0], (&device, DType::F64));
                let exponential: f64 = two.exp().into_scalar();
                (exponential - 2f64.exp()).abs() < 1e-12
            }
        }
    }

    /// A module of these numbers.
    pub fn module<M: Module>(self, module: M) -> M {
        match self {
            Precision::Single | Precision::Mixed => module,
            Precision::Double => module.map(&mut ToDouble),
        }
    }

    /// A tensor of these numbers.
    pub fn tensor<const D: usize>(self, tensor: Tensor<D>) -> Tensor<D> {
        match self {
            Precision::Single | Precision::Mixed => tensor,
            Precision::Double => tensor.cast(FloatDType::F64),
        }
    }

    /// Runs the forward pass of a training step.
    pub fn forward<T>(self, pass: impl FnOnce() -> T) -> T {
        match self {
            Precision::Mixed => in_bfloat16(pass),
            Precision::Single | Precision::Double => pass(),
        }
    }
}

/// The lines in single precision; if some fail by no more than `accident`, a relative error, and the
/// device has doubles, the lines in double precision instead, which say so.
pub fn settled(
    accident: f64,
    run: impl Fn(Precision) -> Result<Vec<Check>, FixtureError>,
) -> Result<Vec<Check>, FixtureError> {
    let single = run(Precision::Single)?;
    let failed = || single.iter().filter(|check| check.outcome == Outcome::Fail);
    let accidents = failed().all(|check| check.relative <= accident);
    if failed().count() == 0 || !accidents || !Precision::Double.is_available() {
        return Ok(single);
    }
    let mut double = run(Precision::Double)?;
    for check in &mut double {
        check.quantity.push_str(", double precision");
    }
    Ok(double)
}

struct ToDouble;

impl ModuleMapper for ToDouble {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let trained = tensor.is_require_grad();
        let device = tensor.device();
        let data = tensor.into_data().convert::<f64>();
        let tensor = Tensor::from_data(data, (&device, DType::F64));
        Param::from_mapped_value(id, tensor.set_require_grad(trained), mapper)
    }
}
