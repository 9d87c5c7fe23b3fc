/// Makes the calling thread one of those that share the CPU's operations, and returns whether it
/// is. To be called once, at the beginning of `main`: threads that are at work already are not
/// joined.
///
/// Each of many small operations that are divided among threads then costs less: the thread that
/// asks for it does a part itself, where any other thread would sleep until all parts are done and
/// be woken. Without the feature `flex` it does nothing.
///
/// ```standalone_crate
/// assert!(ithn_kernels::join_workers());
/// // Once is enough.
/// assert!(ithn_kernels::join_workers());
/// ```
pub fn join_workers() -> bool {
    #[cfg(feature = "flex")]
    {
        let joined = rayon::ThreadPoolBuilder::new().use_current_thread();
        joined.build_global().is_ok() || rayon::current_thread_index().is_some()
    }
    #[cfg(not(feature = "flex"))]
    false
}

/// Runs `work` on one of the threads that share the CPU's operations, and returns what it returns:
/// on the calling thread, if that is one of them, or without the feature `flex`.
///
/// For what is short and has many small operations, such as writing a report, and may be asked for by
/// any thread. What takes memory by the gigabyte is better done on one thread that has
/// [joined](join_workers): each thread keeps what it frees for itself.
///
/// Panics of `work` go on to the caller.
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
