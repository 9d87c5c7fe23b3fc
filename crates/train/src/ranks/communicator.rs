use std::fmt::Debug;
use std::ops::Range;

/// What an engine of several processes does for training. Every rank calls each of the collective
/// methods ([`gather`](Self::gather), [`exchange`](Self::exchange), [`join`](Self::join)) as often as every
/// other and in the same order.
pub trait Communicator: Debug + Send + Sync {
    /// This process, `0..size`. Rank 0 prints and writes files.
    fn rank(&self) -> usize;

    /// Processes, at least 1.
    fn size(&self) -> usize;

    /// This process among those of its machine, from 0: the index of its GPU.
    fn local_rank(&self) -> usize;

    /// The name of this machine.
    fn host(&self) -> &str;

    /// The messages of all ranks, in their order, at every rank.
    fn gather(&self, message: &[u8]) -> Vec<Vec<u8>>;

    /// Replaces `received` by this rank's [slice](slice_of) of the `values` of every rank, one after the other in the
    /// order of ranks: `size · slice` numbers. At most 2²⁹ values, as many at every rank.
    fn exchange(&self, values: &[f32], received: &mut Vec<f32>);

    /// Joins the [slices](slice_of) of all ranks in `joined`, whose length is the sum of theirs, at every rank.
    fn join(&self, slice: &[f32], joined: &mut [f32]);

    /// Ends all processes at once.
    fn abort(&self, status: i32) -> !;
}

/// The part of `length` values that a rank adds up.
pub fn slice_of(length: usize, rank: usize, size: usize) -> Range<usize> {
    length * rank / size..length * (rank + 1) / size
}

/// A single process: every method returns what it is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneProcess;

impl Communicator for OneProcess {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn local_rank(&self) -> usize {
        0
    }

    fn host(&self) -> &str {
        "this machine"
    }

    fn gather(&self, message: &[u8]) -> Vec<Vec<u8>> {
        vec![message.to_vec()]
    }

    fn exchange(&self, values: &[f32], received: &mut Vec<f32>) {
        received.clear();
        received.extend_from_slice(values);
    }

    fn join(&self, slice: &[f32], joined: &mut [f32]) {
        joined.copy_from_slice(slice);
    }

    fn abort(&self, status: i32) -> ! {
        std::process::exit(status)
    }
}
