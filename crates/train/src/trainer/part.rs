//! What a rank tells the others of its batches.

use ithn_checkpoint::Exact;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Numbers of a rank's batches, and which trained parameters got a gradient from them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) batches: Vec<BatchPart>,
    pub(super) present: Vec<bool>,
}

/// Numbers of one batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BatchPart {
    /// As in [`StepValues`](super::step::StepValues).
    pub(super) values: [f32; 7],
    /// Updates of running statistics, in order.
    pub(super) updates: Vec<StateUpdate>,
}

/// Statistics of a batch for a running state.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StateUpdate {
    /// Which state, in the order of a module's visits.
    pub(super) place: usize,
    pub(super) momentum: f64,
    pub(super) newest: Vec<f32>,
}

/// A part without its floats: JSON has no infinity. They come after it, in order.
#[derive(Serialize, Deserialize)]
struct Header {
    present: Vec<bool>,
    /// Of each batch, its updates: place, momentum, length.
    updates: Vec<Vec<(usize, Exact, usize)>>,
}

impl Part {
    /// Length of the header (u64), the header, then floats; little-endian.
    ///
    /// # Errors
    ///
    /// If the header has no JSON form.
    pub(super) fn message(&self) -> Result<Vec<u8>, TrainError> {
        let header = Header {
            present: self.present.clone(),
            updates: self.batches.iter().map(BatchPart::header).collect(),
        };
        let header = serde_json::to_vec(&header).map_err(TrainError::message)?;
        let mut message = (header.len() as u64).to_le_bytes().to_vec();
        message.extend(header);
        for batch in &self.batches {
            let newest = batch.updates.iter().flat_map(|update| &update.newest);
            for value in batch.values.iter().chain(newest) {
                message.extend(value.to_le_bytes());
            }
        }
        Ok(message)
    }

    /// # Errors
    ///
    /// [`TrainError::Message`] if it is cut or not one.
    pub(super) fn read(message: &[u8]) -> Result<Self, TrainError> {
        let cut = || TrainError::message("a message about a batch is cut");
        let (length, rest) = message.split_first_chunk::<8>().ok_or_else(cut)?;
        let length = u64::from_le_bytes(*length) as usize;
        let (header, floats) = rest.split_at_checked(length).ok_or_else(cut)?;
        let header: Header = serde_json::from_slice(header).map_err(TrainError::message)?;
        let (floats, _) = floats.as_chunks::<4>();
        let mut floats = floats.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let mut take = |count: usize| -> Result<Vec<f32>, TrainError> {
            let some: Vec<f32> = floats.by_ref().take(count).collect();
            (some.len() == count).then_some(some).ok_or_else(cut)
        };
        let mut batches = Vec::with_capacity(header.updates.len());
        for updates in header.updates {
            let values = take(7)?.try_into().map_err(|_| cut())?;
            let updates = updates.into_iter().map(|(place, momentum, length)| {
                Ok(StateUpdate {
                    place,
                    momentum: momentum.0,
                    newest: take(length)?,
                })
            });
            batches.push(BatchPart {
                values,
                updates: updates.collect::<Result<_, TrainError>>()?,
            });
        }
        Ok(Part {
            batches,
            present: header.present,
        })
    }
}

impl BatchPart {
    fn header(&self) -> Vec<(usize, Exact, usize)> {
        let of = |update: &StateUpdate| (update.place, Exact(update.momentum), update.newest.len());
        self.updates.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_comes_back_to_the_last_bit_and_a_cut_one_is_refused() {
        let update = |place, newest: &[f32]| StateUpdate {
            place,
            momentum: 0.1,
            newest: newest.to_vec(),
        };
        let batch = |values, updates| BatchPart { values, updates };
        let part = Part {
            batches: vec![
                batch([0.1, 2.0, -0.0, f32::INFINITY, 0.0, 0.0, 7.5], Vec::new()),
                batch([0.0; 7], vec![update(3, &[0.3, -1e-30]), update(9, &[])]),
            ],
            present: vec![true, false],
        };
        let message = part.message().expect("it has a form");
        assert_eq!(Part::read(&message).expect("whole"), part);
        for length in [0, 7, 20, message.len() - 1] {
            let error = Part::read(&message[..length]).expect_err("cut");
            assert!(matches!(error, TrainError::Message(_)), "{error}");
        }
    }
}
