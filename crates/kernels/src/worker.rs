/// Runs `work` on one of the threads that share the CPU's operations, and returns what it returns.
///
/// Each of many small operations that are divided among threads then costs less: the thread that
/// asks for it does a part itself, where any other thread would sleep until all parts are done and
/// be woken. Worth it around a training step or the writing of a report. Without the feature `flex`,
/// and on such a thread already, it calls `work` and nothing else.
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
