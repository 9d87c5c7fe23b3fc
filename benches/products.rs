//! Which of CubeCL's matrix products is fastest for the shapes of a training step, on a GPU.
//!
//!     products cuda|wgpu [REPEATS]
//!
//! Prints a line for each product and kernel: `{"rows", "inner", "columns", "kernel", "first_ms", "ms", "tflops"}`. If the
//! kernel does not support the device or the shape, the line has the reason, `"refused"`, instead of the last three.

use std::time::Instant;

use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Distribution, FloatDType, Shape, Slice};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::multi_level::Strategy;
use cubek::matmul::multi_level::components::tile::TileMatmulKind::{self, Cmma, Mma};
use cubek::matmul::multi_level::routines::batch::{
    double_buffering::DoubleBufferingArgs, ordered_double_buffering::OrderedSelectionArgs,
    simple::SimpleArgs,
};
use cubek::matmul::routine::BlueprintStrategy::Inferred;
use cubek::std::InputBinding;

/// Rows, inner and columns of products in ResNet-101 with 32 films of 224 × 224, and of the decoder.
const SHAPES: [[usize; 3]; 6] = [
    [6272, 2304, 256],
    [6272, 256, 1024],
    [100_352, 64, 256],
    [100_352, 576, 64],
    [25_088, 512, 128],
    [1920, 512, 2048],
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let device = match arguments.next().as_deref() {
        #[cfg(any(feature = "cuda", feature = "cuda-nvrtc-untuned"))]
        Some("cuda") => CubeDevice::Cuda(Default::default()),
        #[cfg(any(feature = "wgpu", feature = "wgpu-untuned"))]
        Some("wgpu") => CubeDevice::Wgpu(Default::default()),
        Some(other) => panic!("no device '{other}' in this build"),
        None => panic!("name a device: cuda or wgpu"),
    };
    let repeats: usize = arguments
        .next()
        .map_or(20, |text| text.parse().expect("a number"));
    for [rows, inner, columns] in SHAPES {
        let random = |shape: [usize; 2]| {
            let values = Distribution::Uniform(-1.0, 1.0);
            CubeBackend::float_random(Shape::from(shape), values, &device, FloatDType::F32)
        };
        let (left, right) = (random([rows, inner]), random([inner, columns]));
        for (name, strategy) in strategies() {
            let said = match time(&strategy, &left, &right, repeats) {
                Ok([first, ms]) => {
                    let tflops = 2e-9 * (rows * inner * columns) as f64 / ms;
                    format!("\"first_ms\": {first:.0}, \"ms\": {ms:.4}, \"tflops\": {tflops:.1}")
                }
                Err(reason) => format!(
                    "\"refused\": {:?}",
                    reason.chars().take(160).collect::<String>()
                ),
            };
            println!(
                "{{\"rows\": {rows}, \"inner\": {inner}, \"columns\": {columns}, \"kernel\": \"{name}\", {said}}}"
            );
        }
    }
}

fn simple(multi_rows: bool, tile_matmul: TileMatmulKind) -> SimpleArgs {
    SimpleArgs {
        multi_rows,
        tile_matmul,
    }
}

fn double(specialized: bool, tile_matmul: TileMatmulKind) -> DoubleBufferingArgs {
    DoubleBufferingArgs {
        specialized,
        tile_matmul,
    }
}

fn ordered(rows: u32, tile_matmul: TileMatmulKind) -> OrderedSelectionArgs {
    OrderedSelectionArgs {
        partition_k: Some(2),
        row_count: Some(rows),
        rows_per_plane: Some(2),
        tile_matmul,
    }
}

fn strategies() -> Vec<(&'static str, Strategy)> {
    vec![
        (
            "simple cmma",
            Strategy::SimpleCyclicCmma(Inferred(simple(false, Cmma))),
        ),
        (
            "simple cmma rows",
            Strategy::SimpleCyclicCmma(Inferred(simple(true, Cmma))),
        ),
        (
            "simple mma",
            Strategy::SimpleCyclicMma(Inferred(simple(false, Mma))),
        ),
        (
            "simple mma rows",
            Strategy::SimpleCyclicMma(Inferred(simple(true, Mma))),
        ),
        (
            "double cmma",
            Strategy::DoubleCyclicCmma(Inferred(double(false, Cmma))),
        ),
        (
            "double mma",
            Strategy::DoubleCyclicMma(Inferred(double(false, Mma))),
        ),
        (
            "ordered cmma 8",
            Strategy::OrderedDoubleCmma(Inferred(ordered(8, Cmma))),
        ),
        (
            "ordered mma 8",
            Strategy::OrderedDoubleMma(Inferred(ordered(8, Mma))),
        ),
        (
            "tma cmma rows",
            Strategy::SimpleTmaCmma(Inferred(simple(true, Cmma))),
        ),
        (
            "tma mma rows",
            Strategy::SimpleTmaMma(Inferred(simple(true, Mma))),
        ),
        (
            "specialized tma cmma",
            Strategy::SpecializedTmaCmma(Inferred(().into())),
        ),
        (
            "specialized tma mma",
            Strategy::SpecializedTmaMma(Inferred(().into())),
        ),
    ]
}

/// Milliseconds of the first run, and of the others on average.
fn time(
    strategy: &Strategy,
    left: &CubeTensor,
    right: &CubeTensor,
    repeats: usize,
) -> Result<[f64; 2], String> {
    let shape = Shape::from([left.meta.shape()[0], right.meta.shape()[1]]);
    let output = CubeBackend::float_zeros(shape, &left.device, FloatDType::F32);
    let kind = dtype_to_storage_type(DType::F32);
    let mut run = || {
        let mut types = MatmulElems::from_globals(&MatmulGlobalElems {
            lhs: kind,
            rhs: kind,
            out: kind,
        });
        cubek::matmul::launch::launch_ref(
            &strategy.clone().into(),
            &left.client,
            InputBinding::new(left.clone().binding(), kind),
            InputBinding::new(right.clone().binding(), kind),
            output.clone().binding(),
            &mut types,
        )
        .map_err(|error| format!("{error:?}"))
    };
    let wait = || {
        let value = CubeBackend::float_slice(output.clone(), &[Slice::new(0, Some(1), 1)]);
        burn_cubecl::ops::into_data_sync(value);
    };
    let began = Instant::now();
    run()?;
    wait();
    let first = 1e3 * began.elapsed().as_secs_f64();
    let began = Instant::now();
    for _ in 0..repeats {
        run()?;
    }
    wait();
    Ok([first, 1e3 * began.elapsed().as_secs_f64() / repeats as f64])
}
