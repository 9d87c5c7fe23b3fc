use burn::tensor::{Int, Tensor, TensorData};

/// Selects `rows` of `earlier` and appends a row of `later` to each along the third dimension. A
/// key or value cache needs this when beams are reordered and extended by a token.
///
/// On the CPU, one copy instead of two.
///
/// # Shapes
///
/// - earlier: `[batch, heads, length, d_head]`
/// - rows: `new_batch` indices below `batch`
/// - later: `[new_batch, heads, length', d_head]`
/// - output: `[new_batch, heads, length + length', d_head]`
///
/// # Panics
///
/// If the shapes do not fit, or there is no such row.
pub fn select_append(earlier: Tensor<4>, rows: &[usize], later: Tensor<4>) -> Tensor<4> {
    let ([batch, heads, _, width], [new, later_heads, _, later_width]) =
        (earlier.dims(), later.dims());
    assert_eq!(
        [heads, width],
        [later_heads, later_width],
        "heads and width"
    );
    assert_eq!(rows.len(), new, "a row before each later one");
    assert!(
        rows.iter().all(|&row| row < batch),
        "a row that is not there"
    );
    #[cfg(feature = "flex")]
    if crate::cpu::is_ours(&earlier)
        && crate::cpu::is_ours(&later)
        && !earlier.is_autodiff()
        && !later.is_autodiff()
    {
        return fused::select_append(earlier, rows, later);
    }
    composed(earlier, rows, later)
}

/// The operation composed of Burn's public operations.
fn composed(earlier: Tensor<4>, rows: &[usize], later: Tensor<4>) -> Tensor<4> {
    let [batch, ..] = earlier.dims();
    if rows.iter().copied().eq(0..batch) {
        return Tensor::cat(vec![earlier, later], 2);
    }
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let data = TensorData::new(indices, [rows.len()]);
    let indices = Tensor::<1, Int>::from_data(data, &earlier.device());
    Tensor::cat(vec![earlier.select(0, indices), later], 2)
}

#[cfg(feature = "flex")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, Dispatch, Flex, backend_extension};

    use super::Tensor;
    use crate::cpu::{Contiguous, dims, tensor};

    #[backend_extension(Flex)]
    trait SelectAppendOps: Backend {
        fn select_append(
            earlier: FloatTensor<Self>,
            later: FloatTensor<Self>,
            rows: Vec<usize>,
        ) -> FloatTensor<Self>;
    }

    pub(super) fn select_append(earlier: Tensor<4>, rows: &[usize], later: Tensor<4>) -> Tensor<4> {
        Tensor::from_dispatch(<Dispatch as SelectAppendOps>::select_append(
            earlier.into_dispatch(),
            later.into_dispatch(),
            rows.to_vec(),
        ))
    }

    impl SelectAppendOps for Flex {
        fn select_append(earlier: FlexTensor, later: FlexTensor, rows: Vec<usize>) -> FlexTensor {
            let [_, heads, length, width] = dims(&earlier);
            let [batch, _, added, _] = dims(&later);
            let (earlier, later) = (Contiguous::new(earlier), Contiguous::new(later));
            let run = |row: usize, length: usize| row * length * width..(row + 1) * length * width;
            let total = length + added;
            let mut output = Vec::with_capacity(batch * heads * total * width);
            for (new, row) in rows.into_iter().enumerate() {
                for head in 0..heads {
                    let old = run(row * heads + head, length);
                    output.extend_from_slice(&earlier.values()[old]);
                    let newest = run(new * heads + head, added);
                    output.extend_from_slice(&later.values()[newest]);
                }
            }
            tensor(output, [batch, heads, total, width])
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::normal;
    use burn::tensor::Device;

    #[test]
    fn rows_move_and_grow_as_by_public_operations() {
        let device = Device::default();
        for (length, added, rows) in [(3, 1, vec![2, 0, 0, 1]), (1, 2, vec![1])] {
            let earlier = normal([3, 2, length, 5], 1, &device);
            let later = normal([rows.len(), 2, added, 5], 2, &device);
            let expected = composed(earlier.clone(), &rows, later.clone()).into_data();
            let found = select_append(earlier, &rows, later).into_data();
            found.assert_eq(&expected, true);
        }
    }

    #[test]
    #[should_panic(expected = "a row that is not there")]
    fn rows_must_exist() {
        let device = Device::default();
        let earlier = Tensor::<4>::zeros([2, 1, 1, 1], &device);
        select_append(earlier, &[2], Tensor::zeros([1, 1, 1, 1], &device));
    }
}
