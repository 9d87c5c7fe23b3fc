//! Products of strided matrices.
#![allow(unsafe_code)]

use rayon::prelude::*;

/// A matrix in a slice: entry `(i, j)` lies at `i · strides[0] + j · strides[1]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    dims: [usize; 2],
    strides: [usize; 2],
}

/// Whether a product may use all threads; inside a parallel loop it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    One,
    All,
}

/// Whether a product replaces the output's values or is added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Replace,
    Add,
}

/// Smallest product for which another thread pays off.
const SMALLEST_SHARED: usize = 128 * 128 * 128;

/// Rows and columns that a thread's share is a multiple of: those of the register tile, or of a cache
/// line.
const WHOLE_ROWS: usize = 6;
const WHOLE_COLUMNS: usize = 64;

impl<'a> Matrix<'a> {
    /// `dims[0]` contiguous rows of `dims[1]` values.
    pub(crate) fn rows(values: &'a [f32], dims: [usize; 2]) -> Self {
        Self::strided(values, dims, dims[1])
    }

    /// Rows of `dims[1]` contiguous values, `stride` apart.
    ///
    /// # Panics
    ///
    /// If the last row ends outside `values`.
    pub(crate) fn strided(values: &'a [f32], dims: [usize; 2], stride: usize) -> Self {
        assert!(dims[0] == 0 || (dims[0] - 1) * stride + dims[1] <= values.len());
        Matrix {
            values,
            dims,
            strides: [stride, 1],
        }
    }

    #[inline(always)]
    pub(crate) fn dims(&self) -> [usize; 2] {
        self.dims
    }

    /// A row of a matrix that is not transposed.
    ///
    /// # Panics
    ///
    /// If it ends outside the values.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        debug_assert_eq!(self.strides[1], 1);
        &self.values[row * self.strides[0]..][..self.dims[1]]
    }

    pub(crate) fn transposed(self) -> Self {
        let ([rows, columns], [row, column]) = (self.dims, self.strides);
        Matrix {
            dims: [columns, rows],
            strides: [column, row],
            ..self
        }
    }
}

/// `a · b` as contiguous rows.
pub(crate) fn product(a: Matrix, b: Matrix, threads: Threads) -> Vec<f32> {
    let length = a.dims[0] * b.dims[1];
    if a.dims[1] == 0 {
        return vec![0.0; length];
    }
    let mut out = Vec::with_capacity(length);
    // SAFETY: the capacity is that of the product, every entry of which is written.
    unsafe {
        multiply_raw(a, b, out.as_mut_ptr(), b.dims[1], Target::Replace, threads);
        out.set_len(length);
    }
    out
}

/// Writes or adds `a · b` to rows of `out` that are `stride` apart.
///
/// # Panics
///
/// If rows overlap or the last one ends outside `out`.
pub(crate) fn multiply(
    a: Matrix,
    b: Matrix,
    out: &mut [f32],
    stride: usize,
    target: Target,
    threads: Threads,
) {
    let [rows, columns] = [a.dims[0], b.dims[1]];
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= stride && (rows - 1) * stride + columns <= out.len());
    // SAFETY: every entry of the product lies inside `out` and in a place of its own.
    unsafe { multiply_raw(a, b, out.as_mut_ptr(), stride, target, threads) }
}

/// The part of a product that one thread writes: first row and column, rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    first: [usize; 2],
    dims: [usize; 2],
}

/// How threads divide a product of `dims`.
///
/// Every share packs one of the matrices anew, so rows are divided only where they are many: there
/// packing the other matrix costs little compared with multiplying by it.
fn shares(dims: [usize; 2], threads: usize) -> Vec<Share> {
    let [rows, columns] = dims;
    let (axis, whole) = if rows > 2 * columns {
        (0, WHOLE_ROWS)
    } else {
        (1, WHOLE_COLUMNS)
    };
    let length = dims[axis].div_ceil(threads).next_multiple_of(whole);
    let share = |start: usize| {
        let mut share = Share {
            first: [0, 0],
            dims,
        };
        share.first[axis] = start;
        share.dims[axis] = length.min(dims[axis] - start);
        share
    };
    (0..dims[axis]).step_by(length).map(share).collect()
}

/// Where a product is written: rows `stride` apart.
#[derive(Clone, Copy)]
struct Destination {
    start: *mut f32,
    stride: usize,
}

// SAFETY: threads write to disjoint shares of it.
unsafe impl Send for Destination {}
unsafe impl Sync for Destination {}

/// # Safety
///
/// `out` must be valid for writes of `a.dims[0]` rows of `b.dims[1]` values, `stride` apart, and for
/// reads if `target` is [`Target::Add`].
unsafe fn multiply_raw(
    a: Matrix,
    b: Matrix,
    out: *mut f32,
    stride: usize,
    target: Target,
    threads: Threads,
) {
    let ([m, k], [k_b, n]) = (a.dims, b.dims);
    assert_eq!(k, k_b, "inner sizes of a product differ");
    let out = Destination { start: out, stride };
    let whole = Share {
        first: [0, 0],
        dims: [m, n],
    };
    if threads == Threads::One || m * n * k < SMALLEST_SHARED {
        // SAFETY: passed on from the caller.
        return unsafe { multiply_share(a, b, out, whole, target) };
    }
    let shares = shares([m, n], rayon::current_num_threads());
    shares
        .into_par_iter()
        // SAFETY: shares do not overlap, and lie within the output that the caller guarantees.
        .for_each(|share| unsafe { multiply_share(a, b, out, share, target) });
}

/// # Safety
///
/// As for [`multiply_raw`], for the part of the product that is `share`.
unsafe fn multiply_share(a: Matrix, b: Matrix, out: Destination, share: Share, target: Target) {
    let ([row, column], [m, n]) = (share.first, share.dims);
    let k = a.dims[1];
    assert!(row + m <= a.dims[0] && column + n <= b.dims[1]);
    let keep = target == Target::Add;
    let ([a_row, a_column], [b_row, b_column]) = (a.strides, b.strides);
    // SAFETY: `Matrix` has checked that all entries it names lie in its slice, and the share lies in
    // both matrices; the caller answers for `out`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.start.add(row * out.stride + column),
            1,
            out.stride as isize,
            keep,
            a.values.as_ptr().add(row * a_row),
            a_column as isize,
            a_row as isize,
            b.values.as_ptr().add(column * b_column),
            b_column as isize,
            b_row as isize,
            f32::from(u8::from(keep)),
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(a: Matrix, b: Matrix) -> Vec<f32> {
        let at = |x: &Matrix, i, j| x.values[i * x.strides[0] + j * x.strides[1]];
        let entry = |i, j| (0..a.dims[1]).map(|k| at(&a, i, k) * at(&b, k, j)).sum();
        (0..a.dims[0])
            .flat_map(|i| (0..b.dims[1]).map(move |j| entry(i, j)))
            .collect()
    }

    #[test]
    fn strides_and_transposes_are_followed() {
        let values: Vec<f32> = (0..60).map(|value| (value % 7) as f32 - 3.0).collect();
        let a = Matrix::strided(&values, [3, 4], 6);
        let b = Matrix::strided(&values[5..], [5, 4], 9).transposed();
        assert_eq!(product(a, b, Threads::All), naive(a, b));

        let mut out = vec![1.0; 3 * 8];
        multiply(a, b, &mut out, 8, Target::Add, Threads::One);
        for (row, expected) in out.chunks(8).zip(naive(a, b).chunks(5)) {
            for (value, expected) in row.iter().zip(expected) {
                assert_eq!(*value, expected + 1.0);
            }
            assert_eq!(row[5..], [1.0; 3]);
        }
    }

    #[test]
    fn shares_cover_a_product_once() {
        for (dims, threads) in [([400, 64], 2), ([98, 512], 2), ([98, 130], 3), ([7, 1], 16)] {
            let mut times = vec![0; dims[0] * dims[1]];
            for Share { first, dims: part } in shares(dims, threads) {
                for row in first[0]..first[0] + part[0] {
                    for column in first[1]..first[1] + part[1] {
                        times[row * dims[1] + column] += 1;
                    }
                }
            }
            assert!(times.iter().all(|&times| times == 1), "{dims:?}");
            assert!(shares(dims, threads).len() <= threads);
        }
    }

    #[test]
    fn threads_make_the_same_product() {
        let values: Vec<f32> = (0..300 * 160)
            .map(|value| (value % 11) as f32 - 5.0)
            .collect();
        for dims in [[300, 100], [100, 300]] {
            let a = Matrix::rows(&values[..dims[0] * 160], [dims[0], 160]);
            let b = Matrix::rows(&values[..dims[1] * 160], [dims[1], 160]).transposed();
            // Sums of whole numbers, so exact in any order.
            assert_eq!(product(a, b, Threads::All), product(a, b, Threads::One));
        }
    }

    #[test]
    #[should_panic]
    fn rows_outside_the_slice_are_refused() {
        Matrix::strided(&[0.0; 11], [3, 4], 4);
    }
}
