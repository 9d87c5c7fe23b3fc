//! Decoding, resizing and normalising against Pillow 13 and torchvision 0.29.

use std::path::PathBuf;

use ithn_data::{DecodedImage, ImageTransform, decode_image, normalise};
use safetensors::SafeTensors;

const EVALUATION: ImageTransform = ImageTransform::Resize { size: 224 };
const CENTRE: ImageTransform = ImageTransform::CenterCrop {
    shorter_side: 256,
    size: 224,
};

/// The fixtures keep every 149th normalised value and every 97th decoded one.
const SAMPLE_STRIDE: usize = 149;
const DECODED_STRIDE: usize = 97;

/// Names of the images, and how far a level of their squares may be off: JPEG decoders differ.
const IMAGES: [(&str, u8); 7] = [
    ("gray8_180x200_upscaled.jpg", 2),
    ("gray8_260x300.png", 1),
    ("la_150x150.png", 1),
    ("palette_210x150.png", 1),
    ("rgb_311x257.png", 1),
    ("rgb_311x257_q90.jpg", 2),
    ("rgba_230x200.png", 1),
];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/transforms")
        .join(name)
}

fn decoded(name: &str) -> DecodedImage {
    decode_image(&fixture(name)).expect("a readable image")
}

struct Expected(Vec<u8>);

impl Expected {
    fn read() -> Self {
        Expected(std::fs::read(fixture("expected.safetensors")).expect("committed"))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let tensors = SafeTensors::deserialize(&self.0).expect("well formed");
        tensors.tensor(name).expect("it is there").data().to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.bytes(name)
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
            .collect()
    }
}

fn worst_level(ours: impl Iterator<Item = u8>, theirs: &[u8]) -> u8 {
    let ours: Vec<u8> = ours.collect();
    assert_eq!(ours.len(), theirs.len());
    let worst = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max();
    worst.unwrap_or(0)
}

fn worst_value(square: &[u8], theirs: &[f32]) -> f32 {
    let ours: Vec<f32> = normalise(square, 224 * 224)
        .into_iter()
        .step_by(SAMPLE_STRIDE)
        .collect();
    assert_eq!(ours.len(), theirs.len());
    ours.iter()
        .zip(theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn pixels_are_decoded_as_pillow_does() {
    let expected = Expected::read();
    for (name, _) in IMAGES {
        let image = decoded(name);
        let rgb = image
            .pixels
            .chunks_exact(image.channels)
            .flat_map(|pixel| (0..3).map(move |channel| pixel[channel % pixel.len()]));
        let theirs = expected.bytes(&format!("{name}.decoded_rgb_sample"));
        let worst = worst_level(rgb.step_by(DECODED_STRIDE), &theirs);
        println!("{name}: decoded within {worst}");
        // PNG is exact; the JPEG decoders' inverse transforms differ by up to two levels.
        let tolerance = if name.ends_with(".jpg") { 2 } else { 0 };
        assert!(worst <= tolerance, "{name}: {worst}");
    }
}

#[test]
fn squares_are_within_a_level_of_pillow() {
    let expected = Expected::read();
    for (name, transform, key, tolerance) in [
        ("gray8_260x300.png", EVALUATION, "eval_u8", 1),
        ("gray8_260x300.png", CENTRE, "crop_u8", 1),
        ("gray8_180x200_upscaled.jpg", EVALUATION, "eval_u8", 2),
        ("rgb_311x257.png", EVALUATION, "eval_u8", 1),
    ] {
        let square = transform.apply(&decoded(name), 0).expect("it has pixels");
        let theirs = expected.bytes(&format!("{name}.{key}"));
        let worst = worst_level(square[..theirs.len()].iter().copied(), &theirs);
        println!("{name}: {key} within {worst}");
        assert!(worst <= tolerance, "{name}: {worst}");
    }
}

#[test]
fn normalised_values_are_those_of_torchvision() {
    let expected = Expected::read();
    for (name, tolerance) in IMAGES {
        for (transform, key) in [(EVALUATION, "eval_sample"), (CENTRE, "crop_sample")] {
            let square = transform.apply(&decoded(name), 0).expect("it has pixels");
            let worst = worst_value(&square, &expected.floats(&format!("{name}.{key}")));
            println!("{name}: {key} within {worst}");
            // One level is 1 / (255 · 0.224) = 0.0175.
            assert!(worst <= 0.018 * f32::from(tolerance), "{name}: {worst}");
        }
    }
}

#[test]
fn sixteen_bits_are_scaled_and_not_clipped() {
    let square = EVALUATION
        .apply(&decoded("gray16_320x240.png"), 0)
        .expect("it has pixels");
    let expected = Expected::read();
    let worst = worst_value(
        &square,
        &expected.floats("gray16_320x240.png.eval_sample_if_shift8"),
    );
    println!("16 bits within {worst}");
    assert!(worst <= 0.018, "{worst}");
}
