use std::fs;
use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use ithn_data::{
    CacheRequest, ImageCache, ImageTransform, OnBadStudy, decode_image, inspect_image,
};
use ithn_fuzzing::Target;

use crate::sound::{film, write};
use crate::text_target;

/// Bytes that one image may take: 1 GiB decoded, and half of that besides.
const IMAGE: usize = 3 << 29;

fn image_target<'a>(
    name: &'a str,
    file: &'a str,
    seeds: Vec<Vec<u8>>,
    words: &'a [&'a str],
) -> Target<'a> {
    Target {
        memory: IMAGE,
        ..text_target(name, file, seeds, words)
    }
}

/// Decoding and inspecting agree on what an image is.
fn read(path: &std::path::Path) {
    let (decoded, inspected) = (decode_image(path), inspect_image(path));
    if let Ok(image) = decoded {
        assert_eq!(
            inspected.expect("as it can be decoded"),
            (image.width, image.height)
        );
        assert_eq!(
            image.pixels.len(),
            image.width * image.height * image.channels
        );
        assert!(matches!(image.channels, 1 | 3));
    }
}

/// Gives every chunk of a PNG the checksum it needs.
fn mend_png(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(end) = at
            .checked_add(8 + length)
            .filter(|end| end + 4 <= bytes.len())
        else {
            return;
        };
        let crc = crc32fast::hash(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
        at = end + 4;
    }
}

#[test]
fn png() {
    let ramp = image::RgbaImage::from_fn(12, 9, |x, y| {
        image::Rgba([x as u8 * 20, y as u8 * 20, 7, 200])
    });
    let ramp = DynamicImage::ImageRgba8(ramp);
    let kinds = [
        DynamicImage::ImageLuma8(ramp.to_luma8()),
        DynamicImage::ImageLuma16(ramp.to_luma16()),
        DynamicImage::ImageLumaA8(ramp.to_luma_alpha8()),
        DynamicImage::ImageRgb8(ramp.to_rgb8()),
        ramp,
    ];
    let encoded = |image: &DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        image
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("encodable");
        bytes.into_inner()
    };
    let mut seeds: Vec<Vec<u8>> = kinds.iter().map(encoded).collect();
    seeds.push(include_bytes!("../fixtures/transforms/palette_210x150.png").to_vec());
    let words = [
        "IHDR", "IDAT", "IEND", "PLTE", "tRNS", "acTL", "fdAT", "iCCP", "zTXt", "iTXt", "eXIf",
        "\x01", "\x03",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target {
        mend: Some(mend_png),
        ..image_target("png", "film.png", seeds, &words)
    };
    target.run(folder.path(), |path, _| read(path));
}

#[test]
fn jpeg() {
    let thumbnail = film(8, 8);
    let length = (thumbnail.len() as u16 + 2).to_be_bytes();
    let with_thumbnail = [
        &[0xff, 0xd8, 0xff, 0xe1][..],
        &length,
        &thumbnail,
        &film(24, 16)[2..],
    ];
    let seeds = vec![
        film(24, 16),
        film(1, 1),
        with_thumbnail.concat(),
        include_bytes!("../fixtures/transforms/gray8_180x200_upscaled.jpg").to_vec(),
        include_bytes!("../fixtures/jpeg/progressive.jpg").to_vec(),
        include_bytes!("../fixtures/jpeg/progressive_restarts.jpg").to_vec(),
        include_bytes!("../fixtures/jpeg/restarts.jpg").to_vec(),
        include_bytes!("../fixtures/jpeg/cmyk.jpg").to_vec(),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    image_target(
        "jpeg",
        "film.jpg",
        seeds,
        &["Exif\0\0", "JFIF\0", "ICC_PROFILE\0", "Adobe"],
    )
    .run(folder.path(), |path, _| read(path));
}

/// Right length and checksum of a shard's index, as far as it ends where its JSON does.
fn mend_shard(bytes: &mut [u8]) {
    let Some(end) = bytes
        .windows(3)
        .rposition(|it| it == b"}]}")
        .map(|at| at + 3)
    else {
        return;
    };
    if end >= 20 {
        let crc = crc32fast::hash(&bytes[20..end]);
        bytes[8..16].copy_from_slice(&(end as u64 - 20).to_le_bytes());
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn cache_shards() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, cache) = (folder.path().join("film.jpg"), folder.path().join("cache"));
    write(&source, film(24, 16));
    let transform = ImageTransform::Resize { size: 8 };
    let request = CacheRequest {
        path: source.clone(),
        transforms: vec![transform],
    };
    let mut made = ImageCache::open(&cache).expect("opened");
    made.complete(&[request], OnBadStudy::Stop, |_, _| {})
        .expect("decodable");
    let shard = fs::read_dir(&cache)
        .expect("readable")
        .next()
        .expect("a shard")
        .expect("readable")
        .path();
    let sound = fs::read(&shard).expect("readable");
    let name = shard
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let words = [
        "\"width\":",
        "\"height\":",
        "\"channels\":",
        "\"offset\":",
        "\"source\":",
        "\"crc\":",
        "},{",
        "}]}",
    ];
    let target = Target {
        mend: Some(mend_shard),
        memory: IMAGE,
        ..text_target("cache", name, vec![sound], &words)
    };
    target.run(&cache, |_, _| {
        if let Ok(cache) = ImageCache::open(&cache)
            && let Ok(Some(image)) = cache.get(&source, &transform)
        {
            assert_eq!(
                image.pixels.len(),
                image.width * image.height * image.channels
            );
        }
    });
}

#[cfg(feature = "dicom")]
#[test]
fn dicom() {
    let seeds = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dicom"))
        .expect("fixtures")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "dcm"));
    let mut seeds: Vec<_> = seeds.collect();
    seeds.sort();
    let mut seeds: Vec<Vec<u8>> = seeds
        .iter()
        .map(|path| fs::read(path).expect("readable"))
        .collect();
    // Without preamble, and without meta group.
    let explicit = seeds[0].clone();
    seeds.push(explicit[132..].to_vec());
    let class = b"\x08\0\x16\0UI";
    let data_set = explicit.windows(class.len()).position(|it| it == class);
    seeds.push(explicit[data_set.expect("it has one")..].to_vec());
    let words = [
        "MONOCHROME1",
        "MONOCHROME2",
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.4.70",
        "DICM",
        "(\0\x20\x01US\x02\0",
        "(\0\x01\x01US\x02\0",
        "UN",
        "US",
        "OW",
        "SQ",
        "(\0\x10\0US\x02\0",
        "(\0\x11\0US\x02\0",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    image_target("dicom", "film.dcm", seeds, &words).run(folder.path(), |path, _| read(path));
}
