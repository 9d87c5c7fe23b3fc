//! Products of strided matrices; the only unsafe code of this crate.
#![allow(unsafe_code)]

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

/// What becomes of the values that a product is written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Replace,
    Add,
}

/// Products smaller than this do not pay for waking another thread.
const SMALLEST_SHARED: usize = 96 * 96 * 96;

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
    let parallelism = if threads == Threads::All && m * n * k >= SMALLEST_SHARED {
        gemm::Parallelism::Rayon(0)
    } else {
        gemm::Parallelism::None
    };
    let keep = target == Target::Add;
    let ([a_row, a_column], [b_row, b_column]) = (a.strides, b.strides);
    // SAFETY: `Matrix` has checked that all entries it names lie in its slice; the caller answers
    // for `out`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            stride as isize,
            keep,
            a.values.as_ptr(),
            a_column as isize,
            a_row as isize,
            b.values.as_ptr(),
            b_column as isize,
            b_row as isize,
            f32::from(u8::from(keep)),
            1.0,
            false,
            false,
            false,
            parallelism,
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
    #[should_panic]
    fn rows_outside_the_slice_are_refused() {
        Matrix::strided(&[0.0; 11], [3, 4], 4);
    }
}
