#![allow(unsafe_code)]

/// Makes the process keep the memory of freed tensors for the next step. Returns whether that is
/// supported. Call it at the beginning of `main`, before large allocations.
///
/// Otherwise glibc's allocator returns every large freed tensor to the system, and the next tensor
/// faults its pages in one by one, each cleared. Peak memory does not change, but is held until the
/// process ends. It does nothing with other allocators and systems.
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
