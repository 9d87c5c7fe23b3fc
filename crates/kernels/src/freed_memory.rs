#![allow(unsafe_code)]

/// Makes the process keep memory that tensors gave back, for those of the next step, and returns
/// whether it does. To be called at the beginning of `main`, before much was allocated.
///
/// The allocator of Linux with glibc otherwise returns every large tensor to the system, whose pages
/// the next one gets back one by one, each of them cleared. Peak memory stays what it was, but is held
/// to the end. With other allocators and systems it does nothing.
///
/// ```standalone_crate
/// assert_eq!(ithn_kernels::keep_freed_memory(), cfg!(all(target_os = "linux", target_env = "gnu")));
/// ```
pub fn keep_freed_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` takes two numbers and returns 1 where it knows them.
        let set = |parameter, value| unsafe { libc::mallopt(parameter, value) == 1 };
        set(libc::M_MMAP_MAX, 0) && set(libc::M_TRIM_THRESHOLD, libc::c_int::MAX)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}
