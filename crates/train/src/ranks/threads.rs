//! Ranks that are threads of one process, for tests.

use std::sync::{Arc, Barrier, Mutex};

use super::communicator::{Communicator, slice_of};

#[derive(Debug)]
struct Shared {
    barrier: Barrier,
    bytes: Mutex<Vec<Vec<u8>>>,
    floats: Mutex<Vec<Vec<f32>>>,
}

#[derive(Debug)]
pub(crate) struct TestRanks {
    rank: usize,
    size: usize,
    shared: Arc<Shared>,
}

impl TestRanks {
    /// Runs `work` on every rank; the results, in the order of ranks.
    pub(crate) fn run<T: Send + 'static>(
        size: usize,
        work: impl Fn(TestRanks) -> T + Send + Sync + Clone + 'static,
    ) -> Vec<T> {
        let shared = Arc::new(Shared {
            barrier: Barrier::new(size),
            bytes: Mutex::new(vec![Vec::new(); size]),
            floats: Mutex::new(vec![Vec::new(); size]),
        });
        let threads: Vec<_> = (0..size)
            .map(|rank| {
                let (shared, work) = (Arc::clone(&shared), work.clone());
                std::thread::spawn(move || work(TestRanks { rank, size, shared }))
            })
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|result| result.expect("a rank ends")).collect()
    }

    fn all<T: Clone>(&self, own: T, of: &Mutex<Vec<T>>) -> Vec<T> {
        of.lock().expect("no rank panics")[self.rank] = own;
        self.shared.barrier.wait();
        let all = of.lock().expect("no rank panics").clone();
        self.shared.barrier.wait();
        all
    }
}

impl Communicator for TestRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn local_rank(&self) -> usize {
        self.rank
    }

    fn host(&self) -> &str {
        "here"
    }

    fn gather(&self, message: &[u8]) -> Vec<Vec<u8>> {
        self.all(message.to_vec(), &self.shared.bytes)
    }

    fn exchange(&self, values: &[f32], received: &mut Vec<f32>) {
        let own = slice_of(values.len(), self.rank, self.size);
        let all = self.all(values.to_vec(), &self.shared.floats);
        received.clear();
        received.extend(all.iter().flat_map(|values| &values[own.clone()]));
    }

    fn join(&self, slice: &[f32], joined: &mut [f32]) {
        joined.copy_from_slice(&self.all(slice.to_vec(), &self.shared.floats).concat());
    }

    fn abort(&self, status: i32) -> ! {
        panic!("aborted with {status}")
    }
}
