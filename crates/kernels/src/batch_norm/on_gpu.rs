//! Batch normalisation on GPUs: the map is read twice on the way there and twice on the way back.
//!
//! Sums over positions are taken in shares: a cube of threads adds up some of the positions of a few
//! channels, and another kernel adds up the shares.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata, backend_extension, fusion::custom::TensorSpec};
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

mod kernels;

use super::{Activation, BatchNormTraining};
use crate::cube::{beside, elements, threads, vector_size};

/// Threads of a cube that adds up.
const THREADS: usize = 256;
/// Vectors that its rows of threads span, at most: what a memory transaction brings.
const ACROSS: usize = 32;
/// Cubes that a device should have to do.
const CUBES: usize = 1024;
/// Positions that are worth a row of threads of their own.
const POSITIONS: usize = 8;

/// Output, mean, variance and `1 / √(variance + ε)`; the last three are `[batches, channels]`.
pub(super) type Normed<B> = (
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
);

// An optional tensor cannot cross the dispatch, hence two operations each way.
#[backend_extension(Cube, Fusion)]
pub(super) trait NormKernels: Backend {
    #[fusion(meta = |input, _gamma, _beta, config| normed(input, config))]
    fn norm_on_gpu(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );

    #[fusion(meta = |input, _gamma, _beta, _shortcut, config| normed(input, config))]
    fn norm_and_join_on_gpu(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );

    /// Gradients of input, gamma and beta; the last two are `[batches, channels]`.
    #[fusion(meta = |input, _output, _gradient, mean, _inverse, _gamma, _config| {
        (input.clone(), mean.clone(), mean.clone())
    })]
    fn norm_gradient(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        inverse: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The same, and the gradient of the shortcut.
    #[fusion(meta = |input, _output, _gradient, mean, _inverse, _gamma, _config| {
        (input.clone(), mean.clone(), mean.clone(), input.clone())
    })]
    fn norm_gradient_with_shortcut(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        inverse: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );
}

fn normed(
    input: &TensorSpec,
    config: &BatchNormTraining,
) -> (TensorSpec, TensorSpec, TensorSpec, TensorSpec) {
    let [_, _, _, channels] = input.shape.dims();
    let shape = Shape::from([config.batches, channels]);
    let of_channels = TensorSpec::new(shape, input.dtype);
    (
        input.clone(),
        of_channels.clone(),
        of_channels.clone(),
        of_channels,
    )
}

impl NormKernels for CubeBackend {
    fn norm_on_gpu(
        input: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        config: BatchNormTraining,
    ) -> Normed<Self> {
        Layout::of(&input, config).forward(input, [gamma, beta], None)
    }

    fn norm_and_join_on_gpu(
        input: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        shortcut: CubeTensor,
        config: BatchNormTraining,
    ) -> Normed<Self> {
        Layout::of(&input, config).forward(input, [gamma, beta], Some(shortcut))
    }

    fn norm_gradient(
        input: CubeTensor,
        output: CubeTensor,
        gradient: CubeTensor,
        mean: CubeTensor,
        inverse: CubeTensor,
        gamma: CubeTensor,
        config: BatchNormTraining,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let maps = [input, output, gradient];
        let layout = Layout::of(&maps[0], config);
        let (input, gamma, beta, _) = layout.backward(maps, [mean, inverse, gamma], false);
        (input, gamma, beta)
    }

    fn norm_gradient_with_shortcut(
        input: CubeTensor,
        output: CubeTensor,
        gradient: CubeTensor,
        mean: CubeTensor,
        inverse: CubeTensor,
        gamma: CubeTensor,
        config: BatchNormTraining,
    ) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        let maps = [input, output, gradient];
        Layout::of(&maps[0], config).backward(maps, [mean, inverse, gamma], true)
    }
}

/// How a map is divided among threads.
struct Layout {
    config: BatchNormTraining,
    batches: usize,
    /// Positions of a batch.
    positions: usize,
    channels: usize,
    /// Channels that a thread reads at once.
    size: usize,
    /// Such vectors per position.
    columns: usize,
    /// Shares that the positions of a batch are divided into.
    shares: usize,
}

impl Layout {
    fn of(input: &CubeTensor, config: BatchNormTraining) -> Self {
        let [images, height, width, channels] = input.shape().dims();
        let size = vector_size(channels);
        let columns = channels / size;
        let positions = images / config.batches * height * width;
        let across = columns.div_ceil(ACROSS.min(columns.next_power_of_two()));
        let rows = positions.div_ceil(POSITIONS * Self::cube(columns).y as usize);
        Layout {
            config,
            batches: config.batches,
            positions,
            channels,
            size,
            columns,
            shares: (CUBES / (across * config.batches)).clamp(1, rows.max(1)),
        }
    }

    /// A cube that adds up: vectors across, positions down.
    fn cube(columns: usize) -> CubeDim {
        let across = ACROSS.min(columns.next_power_of_two());
        CubeDim::new_2d(across as u32, (THREADS / across) as u32)
    }

    fn cubes(&self) -> CubeCount {
        let across = self.columns.div_ceil(Self::cube(self.columns).x as usize);
        CubeCount::Static(across as u32, self.shares as u32, self.batches as u32)
    }

    /// Positions of a share, at most.
    fn share(&self) -> usize {
        self.positions.div_ceil(self.shares)
    }

    fn of_channels(&self, like: &CubeTensor) -> CubeTensor {
        beside(like, [self.batches, self.channels])
    }

    fn of_shares(&self, like: &CubeTensor) -> CubeTensor {
        beside(like, [self.batches, self.shares, self.channels])
    }

    fn activates(&self) -> bool {
        match self.config.activation {
            Activation::Identity => false,
            Activation::Relu => true,
        }
    }

    fn forward(
        &self,
        input: CubeTensor,
        parameters: [CubeTensor; 2],
        shortcut: Option<CubeTensor>,
    ) -> Normed<CubeBackend> {
        let input = into_contiguous(input);
        let [gamma, beta] = parameters.map(into_contiguous);
        let shortcut = shortcut.map(into_contiguous);
        let kind = elements(&input);
        let client = &input.client;
        let [sums, squares] = [0, 1].map(|_| self.of_shares(&input));
        let [mean, variance, inverse] = [0, 1, 2].map(|_| self.of_channels(&input));
        let output = beside(&input, input.shape());
        let per_channel = self.batches * self.columns;

        kernels::moment_shares::launch(
            client,
            self.cubes(),
            Self::cube(self.columns),
            self.size,
            input.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            squares.clone().into_buffer_arg(),
            self.columns,
            self.positions,
            self.share(),
            kind,
        );
        let (count, cube) = threads(&input, per_channel);
        kernels::moments::launch(
            client,
            count,
            cube,
            self.size,
            input.clone().into_buffer_arg(),
            sums.into_buffer_arg(),
            squares.into_buffer_arg(),
            mean.clone().into_buffer_arg(),
            variance.clone().into_buffer_arg(),
            inverse.clone().into_buffer_arg(),
            self.columns,
            self.positions,
            self.shares,
            InputScalar::new(self.config.epsilon, kind),
            InputScalar::new(1.0 / self.positions as f64, kind),
            kind,
        );
        let (count, cube) = threads(&input, input.meta.num_elements() / self.size);
        let joins = shortcut.is_some();
        let shortcut = shortcut.unwrap_or_else(|| input.clone());
        kernels::normalise::launch(
            client,
            count,
            cube,
            self.size,
            input.clone().into_buffer_arg(),
            mean.clone().into_buffer_arg(),
            inverse.clone().into_buffer_arg(),
            gamma.into_buffer_arg(),
            beta.into_buffer_arg(),
            shortcut.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            self.columns,
            self.positions,
            joins,
            self.activates(),
            kind,
        );
        (output, mean, variance, inverse)
    }

    /// With `x̂ = (x − mean) / √(variance + ε)` and `g` what the activation lets through: `∂β = Σ g`,
    /// `∂γ = Σ g x̂` and `∂x = γ (g − (∂β + x̂ ∂γ) / n) / √(variance + ε)`; `g` is the shortcut's.
    fn backward(
        &self,
        maps: [CubeTensor; 3],
        of_channels: [CubeTensor; 3],
        joins: bool,
    ) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        let [input, output, gradient] = maps.map(into_contiguous);
        let [mean, inverse, gamma] = of_channels.map(into_contiguous);
        let kind = elements(&input);
        let client = &input.client;
        let [gamma_shares, beta_shares] = [0, 1].map(|_| self.of_shares(&input));
        let [of_gamma, of_beta] = [0, 1].map(|_| self.of_channels(&input));
        let of_input = beside(&input, input.shape());
        // Not written unless there is a shortcut.
        let of_shortcut = match joins {
            true => beside(&input, input.shape()),
            false => of_input.clone(),
        };

        kernels::gradient_shares::launch(
            client,
            self.cubes(),
            Self::cube(self.columns),
            self.size,
            input.clone().into_buffer_arg(),
            output.clone().into_buffer_arg(),
            gradient.clone().into_buffer_arg(),
            mean.clone().into_buffer_arg(),
            inverse.clone().into_buffer_arg(),
            gamma_shares.clone().into_buffer_arg(),
            beta_shares.clone().into_buffer_arg(),
            self.columns,
            self.positions,
            self.share(),
            self.activates(),
            kind,
        );
        let (count, cube) = threads(&input, self.batches * self.columns);
        kernels::totals::launch(
            client,
            count,
            cube,
            self.size,
            gamma_shares.into_buffer_arg(),
            beta_shares.into_buffer_arg(),
            of_gamma.clone().into_buffer_arg(),
            of_beta.clone().into_buffer_arg(),
            self.columns,
            self.shares,
            kind,
        );
        let (count, cube) = threads(&input, input.meta.num_elements() / self.size);
        kernels::input_gradient::launch(
            client,
            count,
            cube,
            self.size,
            input.clone().into_buffer_arg(),
            output.into_buffer_arg(),
            gradient.into_buffer_arg(),
            mean.into_buffer_arg(),
            inverse.into_buffer_arg(),
            gamma.into_buffer_arg(),
            of_gamma.clone().into_buffer_arg(),
            of_beta.clone().into_buffer_arg(),
            of_input.clone().into_buffer_arg(),
            of_shortcut.clone().into_buffer_arg(),
            self.columns,
            self.positions,
            InputScalar::new(1.0 / self.positions as f64, kind),
            joins,
            self.activates(),
            kind,
        );
        (of_input, of_gamma, of_beta, of_shortcut)
    }
}
