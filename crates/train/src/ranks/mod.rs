//! Processes that train together, one per device, on one machine or several.
//!
//! N ranks with k accumulated batches take the steps of one process with N · k: the batches of a step are
//! handed out in turn, each with its own seed, and gradients, losses and running statistics are put together in the
//! order of batches. [`Communicator`] is all that an engine has to offer; the feature `mpi` has one.

mod communicator;
#[cfg(feature = "mpi")]
mod engine;
mod launcher;
mod sum;
#[cfg(test)]
pub(crate) mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use communicator::{Communicator, OneProcess, slice_of};
pub(crate) use sum::{NOTHING, OrderedSum};

use crate::error::{RanksError, TrainError};

/// First byte of a message from a rank without an error.
const SOUND: u8 = 0;

/// The processes of a run, as seen by one of them. Clones are the same process.
///
/// An error of one rank is an error of all: where a rank can fail, all call [`agree`](Self::agree).
#[derive(Debug, Clone)]
pub struct Ranks {
    communicator: Arc<dyn Communicator>,
    /// Whether the ranks have agreed on an error, after which they part.
    failed: Arc<AtomicBool>,
    /// Nanoseconds spent with other ranks, waiting for them included.
    spent: Arc<AtomicU64>,
}

impl Default for Ranks {
    /// One process.
    fn default() -> Self {
        Ranks::new(Arc::new(OneProcess))
    }
}

impl Ranks {
    /// The ranks of an engine.
    pub fn new(communicator: Arc<dyn Communicator>) -> Self {
        Ranks {
            communicator,
            failed: Arc::default(),
            spent: Arc::default(),
        }
    }

    /// The ranks that `mpirun` or `srun` started, or one process. Call it at the beginning of `main`,
    /// before the CPU's operations have threads: it divides a machine's cores among its ranks.
    ///
    /// # Errors
    ///
    /// If the process is one of several and the program has no engine (feature `mpi`), or another one
    /// than its launcher speaks to.
    pub fn start() -> Result<Self, RanksError> {
        launcher::start()
    }

    /// This process, `0..size`.
    pub fn rank(&self) -> usize {
        self.communicator.rank()
    }

    /// Processes of the run.
    pub fn size(&self) -> usize {
        self.communicator.size()
    }

    /// This process among those of its machine, from 0.
    pub fn local_rank(&self) -> usize {
        self.communicator.local_rank()
    }

    /// The name of this machine.
    pub fn host(&self) -> &str {
        self.communicator.host()
    }

    /// Whether this is rank 0, which prints and writes the files of the run.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether this is the only process.
    pub fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// Ends all processes at once, for an error that the others do not know of.
    pub fn abort(&self, status: i32) -> ! {
        self.communicator.abort(status)
    }

    /// The items of `all` that this rank takes: every `size`-th, from its own number on.
    pub fn share_of<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.rank()).step_by(self.size())
    }

    /// The time spent with other ranks so far, waiting for them included.
    pub fn time_spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// The sum of the values of all ranks, as many at each, added in the order of ranks. Every rank calls it.
    pub fn sum(&self, values: Vec<f32>) -> Vec<f32> {
        let mut sum = OrderedSum::new(self);
        sum.add(values);
        sum.finish()
    }

    /// Calls the engine, and counts the time.
    pub(crate) fn together<T>(&self, call: impl FnOnce(&dyn Communicator) -> T) -> T {
        let began = Instant::now();
        let result = call(&*self.communicator);
        let nanoseconds = began.elapsed().as_nanos() as u64;
        self.spent.fetch_add(nanoseconds, Ordering::Relaxed);
        result
    }

    /// Tells all ranks how this one fared; every rank calls it at the same place.
    ///
    /// # Errors
    ///
    /// This rank's error if it has one and no lower rank has, otherwise
    /// [`TrainError::OtherRank`] of the lowest that has.
    pub fn agree<T>(&self, own: Result<T, TrainError>) -> Result<T, TrainError> {
        if self.is_alone() || self.failed.load(Ordering::Relaxed) {
            return own;
        }
        match own {
            Ok(value) => self.gather(Ok(Vec::new())).map(|_| value),
            Err(error) => Err(self
                .gather(Err(error))
                .err()
                .unwrap_or(TrainError::RanksParted)),
        }
    }

    /// The messages of all ranks in their order, at every rank, or the error of one.
    ///
    /// # Errors
    ///
    /// As [`agree`](Self::agree).
    pub fn gather(&self, own: Result<Vec<u8>, TrainError>) -> Result<Vec<Vec<u8>>, TrainError> {
        if self.is_alone() {
            return own.map(|message| vec![message]);
        }
        if self.failed.load(Ordering::Relaxed) {
            return Err(own.err().unwrap_or(TrainError::RanksParted));
        }
        let (message, mut own) = match own {
            Ok(message) => ([&[SOUND], message.as_slice()].concat(), None),
            Err(error) => (Failure::of(&error, self.host()).message(), Some(error)),
        };
        let mut messages = self.together(|ranks| ranks.gather(&message));
        for (rank, message) in messages.iter_mut().enumerate() {
            if message.first() == Some(&SOUND) {
                message.remove(0);
                continue;
            }
            self.failed.store(true, Ordering::Relaxed);
            let own = own.take().filter(|_| rank == self.rank());
            return Err(own.unwrap_or_else(|| Failure::read(message).of_rank(rank)));
        }
        Ok(messages)
    }

    /// The values of all ranks, in their order, at every rank.
    ///
    /// # Errors
    ///
    /// As [`agree`](Self::agree).
    pub fn gather_values<T: Serialize + DeserializeOwned>(
        &self,
        own: Result<T, TrainError>,
    ) -> Result<Vec<T>, TrainError> {
        if self.is_alone() {
            return own.map(|value| vec![value]);
        }
        let message = own.and_then(|value| serde_json::to_vec(&value).map_err(TrainError::message));
        let read = |message: &Vec<u8>| serde_json::from_slice(message);
        let values: Result<_, _> = self.gather(message)?.iter().map(read).collect();
        values.map_err(TrainError::message)
    }

    /// Puts together what every rank made of its [share](Self::share_of) of some items, in the order of items.
    ///
    /// # Errors
    ///
    /// As [`agree`](Self::agree).
    pub fn gather_shares<T: Serialize + DeserializeOwned>(
        &self,
        own: Result<Vec<T>, TrainError>,
    ) -> Result<Vec<T>, TrainError> {
        Ok(in_turn(self.gather_values(own)?).collect())
    }

    /// Rank 0's value, at every rank.
    ///
    /// # Errors
    ///
    /// As [`agree`](Self::agree).
    pub fn of_first<T: Serialize + DeserializeOwned>(
        &self,
        own: Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        let values = self.gather_values(own)?;
        values.into_iter().next().ok_or(TrainError::RanksParted)
    }

    /// Refuses ranks that differ from rank 0 in one of some checksums, each with the name of what it is of.
    ///
    /// # Errors
    ///
    /// [`TrainError::RanksDiffer`], or as [`agree`](Self::agree).
    pub(crate) fn check_equal(
        &self,
        own: Result<Vec<(&'static str, u32)>, TrainError>,
    ) -> Result<(), TrainError> {
        if self.is_alone() {
            return own.map(drop);
        }
        let names: Vec<&'static str> = own.iter().flatten().map(|(name, _)| *name).collect();
        let own = own.map(|parts| {
            let sums: Vec<u32> = parts.into_iter().map(|(_, sum)| sum).collect();
            (self.host().to_owned(), sums)
        });
        let all = self.gather_values(own)?;
        for (rank, (host, sums)) in all.iter().enumerate() {
            let mut pairs = names.iter().zip(&all[0].1).zip(sums);
            if let Some(((what, _), _)) = pairs.find(|((_, first), own)| first != own) {
                self.failed.store(true, Ordering::Relaxed);
                return Err(TrainError::RanksDiffer {
                    rank,
                    host: host.clone(),
                    what,
                });
            }
        }
        Ok(())
    }
}

/// Items that were [shared](Ranks::share_of) out, in their order.
pub(crate) fn in_turn<T>(shares: Vec<Vec<T>>) -> impl Iterator<Item = T> {
    let mut shares: Vec<_> = shares.into_iter().map(Vec::into_iter).collect();
    let turns = (0..shares.len()).cycle();
    turns.map_while(move |turn| shares[turn].next())
}

/// An error on its way to other ranks.
#[derive(Debug, Serialize, serde::Deserialize)]
struct Failure {
    host: String,
    message: String,
    of_data: bool,
}

impl Failure {
    fn of(error: &TrainError, host: &str) -> Self {
        Failure {
            host: host.to_owned(),
            message: error.to_string(),
            of_data: error.is_of_data(),
        }
    }

    fn message(&self) -> Vec<u8> {
        // Strings and a flag always have a JSON form, which begins with a brace and not with `SOUND`.
        serde_json::to_vec(self).unwrap_or_else(|_| b"{}".to_vec())
    }

    fn read(message: &[u8]) -> Self {
        serde_json::from_slice(message).unwrap_or_else(|error| Failure {
            host: "an unknown machine".to_owned(),
            message: format!("a message that cannot be read: {error}"),
            of_data: false,
        })
    }

    fn of_rank(self, rank: usize) -> TrainError {
        TrainError::OtherRank {
            rank,
            host: self.host,
            message: self.message,
            of_data: self.of_data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::threads::TestRanks;
    use super::*;

    fn ranks<T: Send + 'static>(
        size: usize,
        work: impl Fn(Ranks) -> T + Send + Sync + Clone + 'static,
    ) -> Vec<T> {
        TestRanks::run(size, move |communicator| {
            work(Ranks::new(Arc::new(communicator)))
        })
    }

    #[test]
    fn shares_come_back_in_order() {
        for (size, items) in [(1, 4), (2, 5), (3, 7), (4, 2), (3, 0)] {
            let all = ranks(size, move |ranks| {
                let own: Vec<String> = ranks
                    .share_of(0..items)
                    .map(|item| item.to_string())
                    .collect();
                ranks.gather_shares(Ok(own)).expect("all are sound")
            });
            let expected: Vec<String> = (0..items).map(|item| item.to_string()).collect();
            assert!(all.iter().all(|all| *all == expected), "{all:?}");
        }
    }

    #[test]
    fn an_error_of_one_rank_is_one_of_all_and_is_told_once() {
        let said = ranks(3, |ranks| {
            let own = match ranks.rank() {
                1 => Err(TrainError::OutOfMemory("7 GiB".to_owned())),
                _ => Ok(ranks.rank()),
            };
            let first = ranks.agree(own).expect_err("rank 1 failed");
            // They have parted: nobody waits for anybody.
            assert!(ranks.gather(Ok(Vec::new())).is_err());
            first.to_string()
        });
        assert!(
            said[0].starts_with("rank 1 on here: the device ran out of memory"),
            "{}",
            said[0]
        );
        assert_eq!(said[0], said[2]);
        assert!(
            said[1].starts_with("the device ran out of memory"),
            "{}",
            said[1]
        );
    }

    #[test]
    fn a_rank_with_other_data_is_named() {
        let said = ranks(3, |ranks| {
            let data = if ranks.rank() == 2 { 8 } else { 7 };
            let sums = vec![("program", 1), ("studies", data)];
            let error = ranks.check_equal(Ok(sums)).expect_err("rank 2 differs");
            error.to_string()
        });
        assert!(said.iter().all(|other| *other == said[0]));
        assert!(
            said[0].contains("rank 2 on here") && said[0].contains("studies"),
            "{}",
            said[0]
        );
    }

    #[test]
    fn one_process_asks_nobody() {
        let ranks = Ranks::default();
        assert_eq!(ranks.agree(Ok(3)).expect("sound"), 3);
        assert_eq!(ranks.of_first(Ok(4)).expect("sound"), 4);
        assert!(ranks.check_equal(Ok(vec![("program", 1)])).is_ok());
        assert!(ranks.agree::<()>(Err(TrainError::RanksParted)).is_err());
    }
}
