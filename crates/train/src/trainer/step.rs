use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use burn::tensor::Tensor;

use crate::error::TrainError;
use ithn_plugin::LossTerms;

/// Numbers of one optimiser step, on the host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StepValues {
    /// Per batch: total, language, contrastive, separation, then the similarities of image to
    /// report, first and hardened negative. What is absent is 0.
    pub(crate) batches: Vec<[f32; 7]>,
    /// Norm of all gradients together, before clipping.
    pub(crate) gradient_norm: f32,
}

/// A NaN or infinite value, and its location.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NonFiniteValue {
    pub(crate) term: &'static str,
    pub(crate) value: f32,
    /// Batch of the step, none for its gradient.
    pub(crate) batch: Option<usize>,
}

/// The term that a batch does not share with others.
const LANGUAGE: &str = "language loss";

impl NonFiniteValue {
    /// Whether it is the language loss.
    pub(crate) fn is_of_language(&self) -> bool {
        self.term == LANGUAGE
    }
}

/// Losses and similarities of one batch, still on the device: `[2]` without negatives, otherwise
/// `[7]`.
pub(crate) fn batch_values(terms: &LossTerms) -> Tensor<1> {
    let mut parts: Vec<Tensor<1>> = vec![terms.total.clone(), terms.language.clone()];
    if let Some(alignment) = &terms.alignment {
        parts.extend([
            alignment.contrastive.clone(),
            alignment.separation.clone(),
            alignment.positive_similarity.clone(),
            alignment.negative_similarity.clone(),
            alignment.hardened_similarity.clone(),
        ]);
    }
    let parts = parts
        .into_iter()
        .map(|part| part.detach().inner())
        .collect();
    Tensor::cat(parts, 0)
}

impl StepValues {
    /// Copies the values of a step to the host in one transfer.
    pub(crate) fn read(
        batches: Vec<Tensor<1>>,
        gradient_norm: Tensor<1>,
    ) -> Result<Self, TrainError> {
        let mut parts = batches;
        parts.push(gradient_norm);
        let mut numbers = read_together(parts)?;
        let norm = numbers.pop().unwrap_or_default();
        Ok(StepValues {
            batches: numbers.iter().map(|values| padded(values)).collect(),
            gradient_norm: norm.first().copied().unwrap_or(0.0),
        })
    }

    /// The first loss that is not finite, single terms before their sum; otherwise the gradient if
    /// that is not finite.
    pub(crate) fn non_finite(&self) -> Option<NonFiniteValue> {
        let terms = [
            (1, LANGUAGE),
            (2, "contrastive loss"),
            (3, "separation loss"),
            (0, "total loss"),
        ];
        for (batch, values) in self.batches.iter().enumerate() {
            for (index, term) in terms {
                if !values[index].is_finite() {
                    return Some(NonFiniteValue {
                        term,
                        value: values[index],
                        batch: Some(batch),
                    });
                }
            }
        }
        (!self.gradient_norm.is_finite()).then_some(NonFiniteValue {
            term: "gradient norm",
            value: self.gradient_norm,
            batch: None,
        })
    }
}

/// A batch's values, with 0 for those that it lacks.
pub(crate) fn padded(values: &[f32]) -> [f32; 7] {
    let mut row = [0.0; 7];
    row[..values.len()].copy_from_slice(values);
    row
}

/// Copies tensors to the host in one transfer. Training waits for its device here only, so device
/// failures surface here.
pub(crate) fn read_together(parts: Vec<Tensor<1>>) -> Result<Vec<Vec<f32>>, TrainError> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let lengths: Vec<usize> = parts.iter().map(|values| values.dims()[0]).collect();
    let numbers = read_flat(Tensor::cat(parts, 0))?;
    let mut rest = numbers.as_slice();
    let split = lengths.into_iter().map(|length| {
        let (part, others) = rest.split_at(length);
        rest = others;
        part.to_vec()
    });
    Ok(split.collect())
}

/// Copies a tensor to the host.
pub(crate) fn read_flat(values: Tensor<1>) -> Result<Vec<f32>, TrainError> {
    let data = values
        .try_into_data()
        .map_err(|error| device_failure(&error.to_string()))?;
    data.try_into_vec()
        .map_err(|error| device_failure(&format!("{error:?}")))
}

/// Runs a step and turns an out-of-memory panic of the backend into an error. Other panics are bugs
/// and are resumed.
pub(crate) fn catch_out_of_memory<T>(
    step: impl FnOnce() -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    // The step's partial state is dropped: the error ends the run.
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result,
        Err(panic) => match panic_message(&*panic) {
            Some(message) if speaks_of_memory(message) => Err(device_failure(message)),
            _ => resume_unwind(panic),
        },
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> Option<&str> {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
}

fn device_failure(message: &str) -> TrainError {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if speaks_of_memory(&message) {
        TrainError::OutOfMemory(message)
    } else {
        TrainError::DeviceFailed(message)
    }
}

/// Backends have no error type for out-of-memory, so the message is searched.
fn speaks_of_memory(message: &str) -> bool {
    let message = message.to_lowercase();
    let signs = [
        "out of memory",
        "outofmemory",
        "out_of_memory",
        "buffertoobig",
        "buffer too big",
        "can't allocate",
        "cannot allocate",
        "failed to allocate",
        "memory allocation",
    ];
    signs.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn values(rows: &[&[f32]], norm: f32) -> StepValues {
        let device = Device::default();
        let tensor = |row: &&[f32]| Tensor::<1>::from_data(*row, &device);
        let rows = rows.iter().map(tensor).collect();
        StepValues::read(rows, Tensor::from_data([norm], &device)).expect("a device that works")
    }

    #[test]
    fn numbers_arrive_by_batch() {
        let read = values(&[&[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]], 10.0);
        assert_eq!(read.batches[0], [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(read.batches[1], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(read.gradient_norm, 10.0);
        assert_eq!(read.non_finite(), None);
    }

    #[test]
    fn what_is_no_number_is_named() {
        let broken = values(&[&[1.0, 2.0], &[f32::NAN, f32::INFINITY]], f32::NAN);
        let found = broken.non_finite().expect("two are broken");
        assert_eq!((found.term, found.batch), ("language loss", Some(1)));
        let found = values(&[&[1.0, 2.0]], f32::NAN).non_finite();
        let found = found.expect("the gradient is broken");
        assert_eq!((found.term, found.batch), ("gradient norm", None));
    }

    #[test]
    fn a_panic_about_memory_becomes_an_error_and_others_go_on() {
        let error = catch_out_of_memory::<()>(|| panic!("CUDA_ERROR_OUT_OF_MEMORY: 7 GiB"));
        let message = error.unwrap_err().to_string();
        assert!(message.contains("smaller batches"), "{message}");
        let other = catch_unwind(|| catch_out_of_memory::<()>(|| panic!("shapes differ")));
        assert!(other.is_err());
    }
}
