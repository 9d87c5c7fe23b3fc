#[cfg(feature = "flex")]
use std::num::NonZero;

/// Makes the calling thread one of those that share the CPU's operations, and returns whether it
/// is. To be called once, at the beginning of `main`: threads that are at work already are not
/// joined, and a single one (one core, or `RAYON_NUM_THREADS=1`) is not replaced, since others
/// could then wait for a thread that waits for them.
///
/// Each of many small operations that are divided among threads then costs less: the thread that
/// asks for it does a part itself, where any other thread would sleep until all parts are done and
/// be woken. Without the feature `flex` it does nothing.
///
/// ```standalone_crate
/// let joined = ithn_kernels::join_workers();
/// // Once is enough.
/// assert_eq!(ithn_kernels::join_workers(), joined);
/// ```
pub fn join_workers() -> bool {
    #[cfg(feature = "flex")]
    return join_workers_of(thread_count());
    #[cfg(not(feature = "flex"))]
    false
}

/// The same for a process that is to use `threads` threads (at least one) whatever the machine has, such as one of
/// several that share it. It has no effect once the CPU's operations have threads: call it before
/// [`join_workers`] and the first tensor.
pub fn join_workers_of(threads: usize) -> bool {
    #[cfg(feature = "flex")]
    {
        if rayon::current_thread_index().is_some() {
            return true;
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
        if threads > 1 {
            pool.use_current_thread().build_global().is_ok()
        } else {
            // A single thread is not joined; an error means that there are threads already.
            drop(pool.build_global());
            false
        }
    }
    #[cfg(not(feature = "flex"))]
    {
        let _ = threads;
        false
    }
}

/// Rayon's default thread count: `RAYON_NUM_THREADS`, otherwise one per core.
#[cfg(feature = "flex")]
fn thread_count() -> usize {
    let asked = std::env::var("RAYON_NUM_THREADS").ok();
    asked
        .and_then(|number| number.parse().ok())
        .filter(|&number| number > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// Runs `work` on one of the threads that share the CPU's operations, and returns what it returns:
/// on the calling thread, if that is one of them, or without the feature `flex`.
///
/// Use it for short work with many small operations, such as generating a report, on any thread.
/// Work that allocates gigabytes should run on one [joined](join_workers) thread, because each
/// thread keeps the memory that it frees.
///
/// Panics of `work` propagate to the caller.
pub fn on_worker<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    return rayon::scope(|_| work());
    #[cfg(not(feature = "flex"))]
    work()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_where_operations_are() {
        assert!(rayon::current_thread_index().is_none());
        assert!(on_worker(|| rayon::current_thread_index().is_some()));
        let thread = || rayon::current_thread_index();
        assert!(on_worker(|| thread() == on_worker(thread)));
    }

    #[test]
    #[should_panic(expected = "at work")]
    fn a_panic_goes_on() {
        on_worker(|| panic!("at work"));
    }
}
