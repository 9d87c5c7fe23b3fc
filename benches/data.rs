//! Throughput of everything without tensors, on synthetic data: `cargo bench -p ithn-benches --bench data`.

mod synthetic;

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use ithn_data::{Cleaning, ImageTransform, Tokenizer, decode_image, normalise};
use ithn_metrics::score_corpus;
use synthetic::reports::{MiningRun, numbers, reports};

/// A gray JPEG of smooth shading and noise.
fn write_jpeg(path: &Path, side: u32) {
    let shading = |x: u32, y: u32| (x + y) * 200 / (2 * side);
    let pixels: Vec<u8> = (0..side * side)
        .zip(numbers())
        .map(|(index, noise)| (shading(index % side, index / side) + (noise % 16) as u32) as u8)
        .collect();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95)
        .encode(&pixels, side, side, ExtendedColorType::L8)
        .expect("an image in memory");
    std::fs::write(path, bytes).expect("a temporary file");
}

/// Pixels of the file per second, from file to normalised square.
fn images(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("image pipeline");
    group.sample_size(10);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for side in [512, 1024, 3000] {
        let path = folder.path().join(format!("{side}.jpg"));
        write_jpeg(&path, side);
        group.throughput(Throughput::Elements(u64::from(side * side)));
        group.bench_function(format!("{side}×{side} JPEG"), |bench| {
            bench.iter(|| {
                let image = decode_image(&path).expect("just written");
                let square = ImageTransform::evaluation(224).apply(&image, 0);
                normalise(&square.expect("larger than the square"), 224 * 224)
            });
        });
    }
}

/// Reports per second.
fn tokenizer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tokenizer");
    let reports = reports(2000);
    let texts = || reports.iter().map(String::as_str);
    group.throughput(Throughput::Elements(2000));
    group.sample_size(20);
    group.bench_function("fit", |bench| {
        bench.iter(|| Tokenizer::fit(texts(), Cleaning::MimicCxr, 3).expect("words"));
    });
    let tokenizer = Tokenizer::fit(texts(), Cleaning::MimicCxr, 3).expect("words");
    group.bench_function("encode", |bench| {
        bench.iter(|| texts().for_each(|text| drop(black_box(tokenizer.encode(text)))));
    });
}

/// Pairs per second.
fn metrics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("metrics");
    let reports = reports(3858);
    let pairs = || {
        let references = reports.iter().cycle().skip(1);
        reports.iter().zip(references)
    };
    group.throughput(Throughput::Elements(3858));
    group.sample_size(10);
    group.bench_function("BLEU, ROUGE-L, CIDEr", |bench| {
        bench.iter(|| score_corpus(pairs().map(|(a, b)| (a.as_str(), b.as_str()))).expect("words"));
    });
}

/// Reports per second, each compared with all others.
fn miner(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("miner");
    group.sample_size(10);
    for count in [1000, 4000] {
        let run = MiningRun::new(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("TF-IDF of {count} reports"), |bench| {
            bench.iter(|| run.mine());
        });
    }
}

criterion_group!(benches, images, tokenizer, metrics, miner);
criterion_main!(benches);
