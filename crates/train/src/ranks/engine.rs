//! The engine on MPI.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mpi::Threading;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::{Universe, initialize_with_threading, processor_name};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives};

use super::communicator::{Communicator, slice_of};
use crate::error::RanksError;

/// Bytes of all messages that are gathered at a time: MPI counts in 31 bits.
const AT_A_TIME: usize = 1 << 30;

/// A process that MPI has started. MPI ends with it; if it is dropped by a panic, the whole job ends.
#[derive(Debug)]
pub(super) struct MpiProcess {
    rank: usize,
    size: usize,
    local_rank: usize,
    threads: usize,
    host: String,
    /// Held during every call: MPI is told that calls are made one at a time.
    calls: Mutex<Held>,
}

/// What keeps MPI running.
struct Held(#[expect(dead_code, reason = "dropping it ends MPI")] Universe);

impl std::fmt::Debug for Held {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MPI")
    }
}

impl MpiProcess {
    pub(super) fn start() -> Result<Self, RanksError> {
        let (universe, threading) =
            initialize_with_threading(Threading::Serialized).ok_or(RanksError::NotStarted)?;
        if threading < Threading::Serialized {
            return Err(RanksError::NotStarted);
        }
        let world = SimpleCommunicator::world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        let machine = world.split_shared(world.rank());
        let cores = cores_allowed();
        let of_machine = gather(&machine, cores.as_bytes());
        let sharing = of_machine
            .iter()
            .filter(|other| **other == cores.as_bytes());
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(MpiProcess {
            rank,
            size,
            local_rank: machine.rank() as usize,
            threads: (available / sharing.count().max(1)).max(1),
            host: processor_name().unwrap_or_else(|_| "an unnamed machine".to_owned()),
            calls: Mutex::new(Held(universe)),
        })
    }

    /// This rank's part of the cores that it may run on: all of them if the launcher bound it to its
    /// own, otherwise an equal part.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    fn call(&self) -> (SimpleCommunicator, MutexGuard<'_, Held>) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        (SimpleCommunicator::world(), calls)
    }

    /// Lengths and offsets of all ranks' slices of `length` values.
    fn slices(&self, length: usize) -> (Vec<i32>, Vec<i32>) {
        (0..self.size)
            .map(|rank| slice_of(length, rank, self.size))
            .map(|slice| (slice.len() as i32, slice.start as i32))
            .unzip()
    }
}

/// The cores that the system lets this process run on, as a text; empty where it does not tell.
fn cores_allowed() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status
        .lines()
        .find(|line| line.starts_with("Cpus_allowed:"));
    allowed.unwrap_or_default().to_owned()
}

/// The messages of all ranks of a communicator.
fn gather(ranks: &SimpleCommunicator, message: &[u8]) -> Vec<Vec<u8>> {
    let size = ranks.size() as usize;
    let mut lengths = vec![0_u64; size];
    ranks.all_gather_into(&(message.len() as u64), &mut lengths[..]);
    let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
    let piece = (AT_A_TIME / size).max(1);
    let mut messages: Vec<Vec<u8>> = vec![Vec::new(); size];
    for start in (0..longest).step_by(piece) {
        let part = |length: usize| length.saturating_sub(start).min(piece);
        let counts: Vec<i32> = lengths
            .iter()
            .map(|&length| part(length as usize) as i32)
            .collect();
        let offsets: Vec<i32> = counts
            .iter()
            .scan(0, |next, count| {
                *next += count;
                Some(*next - count)
            })
            .collect();
        let mut all = vec![0_u8; counts.iter().sum::<i32>() as usize];
        let own = &message[start.min(message.len())..][..part(message.len())];
        let mut parts = PartitionMut::new(&mut all[..], counts.clone(), offsets);
        ranks.all_gather_varcount_into(own, &mut parts);
        let mut rest = all.as_slice();
        for (message, count) in messages.iter_mut().zip(counts) {
            let (part, others) = rest.split_at(count as usize);
            message.extend_from_slice(part);
            rest = others;
        }
    }
    messages
}

impl Communicator for MpiProcess {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn local_rank(&self) -> usize {
        self.local_rank
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn gather(&self, message: &[u8]) -> Vec<Vec<u8>> {
        let (world, _calls) = self.call();
        gather(&world, message)
    }

    fn exchange(&self, values: &[f32], received: &mut Vec<f32>) {
        let (world, _calls) = self.call();
        let (counts, offsets) = self.slices(values.len());
        let own = counts[self.rank];
        received.resize(self.size * own as usize, 0.0);
        let own_offsets: Vec<i32> = (0..self.size as i32).map(|rank| rank * own).collect();
        let sent = Partition::new(values, counts, offsets);
        let own_counts = vec![own; self.size];
        let mut parts = PartitionMut::new(&mut received[..], own_counts, own_offsets);
        world.all_to_all_varcount_into(&sent, &mut parts);
    }

    fn join(&self, slice: &[f32], joined: &mut [f32]) {
        let (world, _calls) = self.call();
        let (counts, offsets) = self.slices(joined.len());
        let mut parts = PartitionMut::new(joined, counts, offsets);
        world.all_gather_varcount_into(slice, &mut parts);
    }

    fn abort(&self, status: i32) -> ! {
        SimpleCommunicator::world().abort(status)
    }
}

impl Drop for MpiProcess {
    /// After a panic the others would wait for this rank for ever.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("rank {} on {} panicked: the run ends", self.rank, self.host);
            self.abort(101);
        }
    }
}
