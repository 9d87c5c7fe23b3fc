//! Measures how much an image cache speeds up loading an epoch, and how fast `prepare_mimic` runs
//! on phantom studies in MIMIC-CXR-JPG's layout.
//!
//! ```text
//! cargo run --release -p ithn-data --example measure_loading -- cache 200
//! cargo run --release -p ithn-data --example measure_loading -- prepare 20000
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ithn_data::phantom::{PhantomConfig, PhantomFindings, draw_radiograph, write_phantom_dataset};
use ithn_data::prepare::prepare_mimic;
use ithn_data::{
    CacheRequest, ImageCache, ImageCheck, ImageLoader, ImageTransform, MimicOptions, OnBadStudy,
    TokenizedStudy,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = std::env::temp_dir().join("ithn-measure-loading");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cache", count] => measure_cache(&folder.join("films"), count.parse()?),
        ["prepare", count] => measure_preparation(&folder, count.parse()?),
        _ => Err("say `cache IMAGES` or `prepare STUDIES`".into()),
    }
}

/// Times epochs of training images on one thread, with and without a cache. The images are resized to a shorter side of
/// 256 pixels and cropped to 224 × 224.
fn measure_cache(folder: &Path, count: usize) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let transform = ImageTransform::training(224);
    for side in [512, 1024, 2000] {
        let studies = draw(folder, count, side)?;
        let studies: Vec<&TokenizedStudy> = studies.iter().collect();
        let mut cache = ImageCache::open(&folder.join("cache"))?;
        let requests: Vec<CacheRequest> = studies
            .iter()
            .map(|study| CacheRequest {
                path: study.images[0].clone(),
                transforms: vec![transform],
            })
            .collect();
        cache.complete(&requests, OnBadStudy::Stop, |_, _| {})?;
        let cache = Some(Arc::new(cache));
        let decoding = epoch(&ImageLoader::new(transform, 1, 7, 0), &studies)?;
        let reading = epoch(
            &ImageLoader::new(transform, 1, 7, 0).with_cache(cache),
            &studies,
        )?;
        println!(
            "{side} px: {:.3} ms an image decoded, {:.3} ms cached: {:.1} times cheaper",
            decoding * 1e3,
            reading * 1e3,
            decoding / reading
        );
    }
    Ok(())
}

/// Seconds an image, the best of three epochs: what other work on the machine adds is no part of it.
fn epoch(loader: &ImageLoader, studies: &[&TokenizedStudy]) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for epoch in 0..3 {
        let began = Instant::now();
        for batch in studies.chunks(16) {
            loader.load(batch, epoch)?;
        }
        best = best.min(began.elapsed().as_secs_f64() / studies.len() as f64);
    }
    Ok(best)
}

fn draw(folder: &Path, count: usize, side: u32) -> Result<Vec<TokenizedStudy>, Box<dyn Error>> {
    (0..count)
        .map(|number| {
            let path: PathBuf = folder.join(format!("{side}-{number}.jpg"));
            if !path.is_file() {
                let film = draw_radiograph(&PhantomFindings::normal(), side, number as u64);
                let mut file = std::fs::File::create(&path)?;
                image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 95)
                    .encode_image(&film)?;
            }
            Ok(TokenizedStudy {
                id: number.to_string(),
                images: vec![path],
                tokens: Vec::new(),
                context: Default::default(),
            })
        })
        .collect()
}

fn measure_preparation(folder: &Path, count: usize) -> Result<(), Box<dyn Error>> {
    let tree = folder.join(format!("tree-{count}"));
    let (validation, test) = (count / 20, count / 10 - count / 20);
    let config = PhantomConfig::new(count - count / 10, validation, test).with_image_size(32);
    write_phantom_dataset(&tree, &config)?;
    let out = folder.join(format!("prepared-{}", std::process::id()));
    let mut options = MimicOptions::default();
    options.image_check = ImageCheck::Header;
    let began = Instant::now();
    let summary = prepare_mimic(&tree, &out, &options, |_, _| {})?;
    println!("{summary}");
    println!("{:.1} s", began.elapsed().as_secs_f64());
    std::fs::remove_dir_all(out)?;
    Ok(())
}
