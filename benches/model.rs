//! Throughput of everything with tensors, at the published size: `cargo bench -p ithn-benches --bench model`.

mod synthetic;

use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group};
use ithn_alignment::{AlignmentConfig, Embeddings, HardNegativePlacement};
use ithn_generator::{StepDecoder, StudyBatch};
use ithn_negatives::Hardening;
use synthetic::{BackboneRun, GenerationRun, MemoryRun, TrainingRun, published_generator};

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    group
}

/// Images per second.
fn backbone(criterion: &mut Criterion) {
    let mut group = group(criterion, "backbone");
    let run = BackboneRun::published(2, 224, &Device::default());
    group.throughput(Throughput::Elements(2));
    group.bench_function("forward", |bench| bench.iter(|| run.forward()));
    group.bench_function("forward and backward", |bench| {
        bench.iter(|| run.forward_backward());
    });
}

/// Forward and backward pass of the memory, in positions per second.
fn memory(criterion: &mut Criterion) {
    let mut group = group(criterion, "memory");
    for length in [60, 98] {
        let run = MemoryRun::published(16, length, &Device::default());
        group.throughput(Throughput::Elements(16 * length as u64));
        group.bench_function(
            format!("forward and backward, {length} positions"),
            |bench| {
                bench.iter(|| run.forward_backward());
            },
        );
    }
}

/// Tokens per second of a step of six rows, 30 tokens into the report.
fn decoder_step(criterion: &mut Criterion) {
    let mut group = group(criterion, "decoder");
    let device = Device::default();
    let generator = published_generator(&device);
    let images = Tensor::random([6, 1, 3, 224, 224], Distribution::Default, &device);
    let mut state = generator.start(StudyBatch::new(images));
    for _ in 0..30 {
        generator.step(&[5; 6], &mut state);
    }
    group.throughput(Throughput::Elements(6));
    group.bench_function("step of 6 rows", |bench| {
        bench.iter_batched_ref(
            || state.clone(),
            |state| generator.step(&[5; 6], state).into_data(),
            criterion::BatchSize::SmallInput,
        );
    });
}

/// Tokens per second, from image to words.
fn generation(criterion: &mut Criterion) {
    let mut group = group(criterion, "generation");
    let run = GenerationRun::published(2, 224, &Device::default());
    group.throughput(Throughput::Elements(2 * 60));
    for (name, width) in [("greedy", 1), ("beam 3", 3)] {
        group.bench_function(name, |bench| bench.iter(|| run.write(width, 60)));
    }
}

/// Studies per second; each brings its negative.
fn training(criterion: &mut Criterion) {
    let mut group = group(criterion, "training");
    let mut run = TrainingRun::published(2, 60, 224, &Device::default());
    group.throughput(Throughput::Elements(2));
    group.bench_function("step", |bench| bench.iter(|| run.step()));
}

/// Studies per second of hardening, contrastive loss and their gradients.
fn alignment(criterion: &mut Criterion) {
    let mut group = group(criterion, "alignment");
    let device = Device::default().autodiff();
    let batch = 16;
    let [images, reports, negative_images, negative_reports] = std::array::from_fn(|_| {
        Tensor::<2>::random([batch, 512], Distribution::Normal(0.0, 0.04), &device).require_grad()
    });
    let embeddings = Embeddings {
        images,
        reports,
        negative_images: Some(negative_images),
        negative_reports,
        more_negative_reports: Vec::new(),
    };
    let config = AlignmentConfig {
        hardening: Hardening::official(),
        placement: HardNegativePlacement::DiagonalPenalty,
        ..AlignmentConfig::default()
    };
    let alignment = config.init(1, 1, &device);
    group.throughput(Throughput::Elements(batch as u64));
    group.bench_function("harden and contrast", |bench| {
        bench.iter(|| {
            let hardened = alignment.harden(&embeddings, None, 0.5);
            alignment.contrast(&embeddings, &hardened, None).backward()
        });
    });
}

criterion_group!(
    benches,
    backbone,
    memory,
    decoder_step,
    generation,
    training,
    alignment
);
/// As `criterion_main!` writes it, on a main thread that works like those of the examples.
fn main() {
    ithn::device::prepare_process();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
