use rayon::prelude::*;

use super::CHANNELS;
use crate::buffers::Scratch;

/// Places of a transformed tile.
pub(super) const PLACES: usize = 16;

/// [`PLACES`] matrices of one size.
///
/// Places lie apart, though a tile is transformed to all of them at once: rows of one place then
/// follow each other, where a matrix product that strode over the others would always hit the same
/// lines of its cache. The gap between them keeps the 16 values of a tile from doing so.
#[derive(Debug)]
pub(super) struct Places {
    values: Scratch,
    /// Values of one place.
    length: usize,
}

impl Places {
    /// Values between one place and the next.
    const GAP: usize = CHANNELS;

    /// Places of any content.
    pub(super) fn take(length: usize) -> Self {
        Places {
            values: Scratch::take(PLACES * (length + Self::GAP)),
            length,
        }
    }

    #[inline(always)]
    pub(super) fn of(&self, place: usize) -> &[f32] {
        &self.values[place * (self.length + Self::GAP)..][..self.length]
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Every place with its number, for threads to write.
    pub(super) fn each_mut(&mut self) -> impl IndexedParallelIterator<Item = (usize, &mut [f32])> {
        let length = self.length;
        let places = self.values.par_chunks_exact_mut(length + Self::GAP);
        places.map(move |place| &mut place[..length]).enumerate()
    }

    /// Parts of every place that threads write apart from one another: part `i` has the `i`-th
    /// `length` values of all places.
    pub(super) fn parts_mut(&mut self, length: usize) -> Vec<Vec<&mut [f32]>> {
        let mut parts: Vec<Vec<&mut [f32]>> = (0..self.length.div_ceil(length))
            .map(|_| Vec::with_capacity(PLACES))
            .collect();
        for place in self.values.chunks_exact_mut(self.length + Self::GAP) {
            let place = &mut place[..self.length];
            for (part, values) in parts.iter_mut().zip(place.chunks_mut(length)) {
                part.push(values);
            }
        }
        parts
    }
}
