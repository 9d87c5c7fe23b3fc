//! The one file of this crate with `unsafe`: it forwards to the system's allocator and counts.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
#[derive(Debug, Clone, Copy)]
pub struct CountedMemory;

impl CountedMemory {
    /// Bytes allocated now; 0 if this is not the program's global allocator.
    pub fn taken() -> usize {
        TAKEN.load(Relaxed)
    }

    /// Peak of allocated bytes since [`forget_peak`](Self::forget_peak).
    pub fn peak() -> usize {
        PEAK.load(Relaxed)
    }

    /// Resets the peak to the bytes allocated now.
    pub fn forget_peak() {
        PEAK.store(TAKEN.load(Relaxed), Relaxed);
    }

    fn count(size: usize) {
        let taken = TAKEN.fetch_add(size, Relaxed) + size;
        PEAK.fetch_max(taken, Relaxed);
    }
}

// SAFETY: every call goes to `System` with the arguments unchanged, so its contract is kept; counting
// allocates nothing.
unsafe impl GlobalAlloc for CountedMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `memory` came from `System` with this layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size);
        TAKEN.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `memory` came from `System` with this layout; the caller keeps `realloc`'s contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}
