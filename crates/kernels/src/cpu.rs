use burn::backend::flex::FlexTensor;
use burn::backend::{DispatchTensorKind, TensorMetadata};
use burn::tensor::{DType, Tensor, TensorData};

/// Whether a tensor lies where the kernels of this crate can work on it: on Burn's CPU backend
/// `flex`, in single precision.
pub(crate) fn is_ours<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && on_flex(&tensor.clone().into_dispatch().kind)
}

fn on_flex(kind: &DispatchTensorKind) -> bool {
    match kind {
        DispatchTensorKind::Flex(_) => true,
        DispatchTensorKind::Autodiff(inner) => on_flex(inner),
        #[allow(unreachable_patterns)] // when no other backend is built in
        _ => false,
    }
}

/// A tensor whose values lie in one run.
pub(crate) struct Contiguous(FlexTensor);

impl Contiguous {
    pub(crate) fn new(tensor: FlexTensor) -> Self {
        Contiguous(tensor.to_contiguous())
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.0
            .as_slice()
            .expect("a contiguous tensor of single precision")
    }
}

/// Sizes of a tensor that is known to have `D` dimensions.
pub(crate) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims()
}

pub(crate) fn tensor<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, dims))
}

/// A loop that is compiled once per vector width.
///
/// `run` and all that it calls must be `#[inline(always)]`: whatever is not inlined is compiled
/// for the narrowest vectors. That is why this is a trait and [`vectorised`] takes no closure: a
/// closure is inlined only if the compiler finds it small.
pub(crate) trait Kernel {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs a kernel compiled for the widest vectors that the processor has.
pub(crate) fn vectorised<K: Kernel>(kernel: K) -> K::Output {
    struct Call<K>(K);

    impl<K: Kernel> pulp::NullaryFnOnce for Call<K> {
        type Output = K::Output;

        #[inline(always)]
        fn call(self) -> K::Output {
            self.0.run()
        }
    }

    pulp::Arch::new().dispatch(Call(kernel))
}

/// Makes the tensor contiguous and writable: in place if it has no other owner.
pub(crate) fn owned(tensor: FlexTensor) -> FlexTensor {
    let contiguous = tensor.to_contiguous();
    // Its handle would make the writer copy.
    drop(tensor);
    contiguous
}
