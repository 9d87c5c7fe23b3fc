//! Memory for results and intermediates, and hints about it. Clearing it on one thread before many
//! write it would cost as much as some of the loops that do.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use rayon::prelude::*;

/// `length` values made in chunks on all threads; `f` is given the number of its chunk and the chunk,
/// all 0, which at that moment lies in the cache of the thread that writes it.
pub(crate) fn made_in_chunks(
    length: usize,
    chunk: usize,
    f: impl Fn(usize, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    append_in_chunks(&mut values, length, chunk, f);
    values
}

/// Appends what [`made_in_chunks`] would make.
pub(crate) fn append_in_chunks(
    values: &mut Vec<f32>,
    length: usize,
    chunk: usize,
    f: impl Fn(usize, &mut [f32]) + Sync + Send,
) {
    values.reserve_exact(length);
    let places: &mut [MaybeUninit<f32>] = &mut values.spare_capacity_mut()[..length];
    let chunks = places.par_chunks_mut(chunk).enumerate();
    chunks.for_each(|(index, places)| {
        places.fill(MaybeUninit::new(0.0));
        // SAFETY: all of it was written by the line before.
        f(index, unsafe { places.assume_init_mut() });
    });
    // SAFETY: the first `length` places after the present values were written: chunks cover them.
    unsafe { values.set_len(values.len() + length) };
}

/// Asks for the cache line of a value, if there is such a value.
#[inline(always)]
pub(crate) fn prefetch(values: &[f32], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint about an address that may be read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, index);
}

/// Values that a thread keeps for its next intermediates, at most.
const KEPT: usize = 1 << 24;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// An intermediate of any content, which goes back to its thread's stock when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// As long as it ever was, so that nothing is cleared when it is used again.
    values: Vec<f32>,
    length: usize,
}

impl Scratch {
    /// `length` values, whatever was left in them.
    pub(crate) fn take(length: usize) -> Self {
        let fitting = FREE.with_borrow_mut(|free| {
            let smallest = (0..free.len())
                .filter(|&index| free[index].len() >= length)
                .min_by_key(|&index| free[index].len());
            smallest.map(|index| free.swap_remove(index))
        });
        Scratch {
            values: fitting.unwrap_or_else(|| vec![0.0; length]),
            length,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if values.len() > KEPT {
            return;
        }
        // A thread that ends has no stock any more.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            free.push(values);
            let size = |free: &[Vec<f32>]| free.iter().map(Vec::len).sum::<usize>();
            while size(&free) > KEPT {
                free.remove(0);
            }
        });
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.length]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_numbered_and_begin_as_zeros() {
        let values = made_in_chunks(7, 3, |index, chunk| {
            assert!(chunk.iter().all(|value| *value == 0.0));
            chunk[0] = index as f32 + 1.0;
        });
        assert_eq!(values, [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0]);
        assert!(made_in_chunks(0, 3, |_, _| unreachable!()).is_empty());

        let mut values = values;
        append_in_chunks(&mut values, 2, 1, |index, chunk| chunk[0] = index as f32);
        assert_eq!(values[6..], [3.0, 0.0, 1.0]);
    }

    /// On a thread whose stock is empty.
    fn on_new_thread(test: fn()) {
        std::thread::spawn(test).join().expect("a test that holds");
    }

    #[test]
    fn a_scratch_is_used_again() {
        on_new_thread(|| {
            let mut first = Scratch::take(100);
            first[99] = 5.0;
            let place = first.as_ptr();
            drop(first);
            let second = Scratch::take(60);
            assert_eq!((second.as_ptr(), second.len()), (place, 60));
            // It is as long as it was, and nothing was cleared.
            drop(second);
            assert_eq!(Scratch::take(100)[99], 5.0);
            // What does not fit is made anew.
            assert_eq!(Scratch::take(200).len(), 200);
        });
    }

    #[test]
    fn a_thread_keeps_no_more_than_its_stock() {
        on_new_thread(|| {
            let kept = || FREE.with_borrow(|free| free.iter().map(Vec::len).sum::<usize>());
            drop(Scratch::take(KEPT + 1));
            assert_eq!(kept(), 0);
            let both = [Scratch::take(KEPT / 2 + 1), Scratch::take(KEPT / 2 + 1)];
            drop(both);
            assert_eq!(kept(), KEPT / 2 + 1);
        });
    }
}
