//! `transforms/`: decoding, resizing and normalising as Pillow and torchvision do.
//!
//! 16-bit images are scaled to 8 bits on purpose, where Pillow clips them; they are compared with
//! the golden values of scaling.

use std::collections::BTreeMap;
use std::path::Path;

use ithn_data::{
    DecodedImage, IMAGENET_MEAN, IMAGENET_STD, ImageTransform, decode_image, normalise,
};
use serde::Deserialize;

use super::check::{Check, Tolerance};
use super::fixture::{Fixture, FixtureError, read_json};

const FAMILY: &str = "transforms";

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let folder = dir.join("transforms");
    let golden = Golden {
        fixture: Fixture::read(&folder, "expected.safetensors")?,
        json: read_json(&folder, "expected.json")?,
    };
    let mut checks = vec![golden.json.config.normalisation()];
    for (name, image) in &golden.json.images {
        let path = folder.join(&image.file);
        let decoded = decode_image(&path).map_err(|error| golden.complain(&error))?;
        checks.extend(golden.check(name, image, &decoded)?);
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct Json {
    stride: usize,
    decoded_stride: usize,
    images: BTreeMap<String, Image>,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Config {
    /// Mean and deviation of the channels are this library's.
    fn normalisation(&self) -> Check {
        let ours: Vec<f64> = IMAGENET_MEAN
            .into_iter()
            .chain(IMAGENET_STD)
            .map(f64::from)
            .collect();
        let golden = [self.mean.as_slice(), &self.std].concat();
        // Ours are single precision.
        let tolerance = Tolerance::Absolute(1e-7);
        Check::numbers(
            FAMILY,
            "normalisation: mean, std",
            &ours,
            &golden,
            tolerance,
        )
    }
}

#[derive(Deserialize)]
struct Image {
    file: String,
    mode: String,
    size: [usize; 2],
    resize256: [usize; 2],
    has_u8: bool,
    eval_mean: f64,
    eval_std: f64,
    crop_mean: f64,
    crop_std: f64,
}

/// How far decoded levels, levels of squares and normalised values may be off.
struct Tolerances {
    levels: Tolerance,
    values: Tolerance,
}

impl Image {
    fn tolerances(&self) -> Tolerances {
        let jpeg = [".jpg", ".jpeg"].iter().any(|end| self.file.ends_with(end));
        // JPEG decoders round by themselves, and upsample chroma by filters of their own.
        let (levels, values) = match (jpeg, self.mode.as_str()) {
            (false, _) => (1.0, 0.02),
            (true, "L") => (2.0, 0.05),
            (true, _) => (6.0, 0.12),
        };
        let within = |absolute| Tolerance::Both {
            absolute,
            relative: 2e-2,
        };
        Tolerances {
            levels: within(levels),
            values: within(values),
        }
    }

    fn is_deep(&self) -> bool {
        self.mode.starts_with("I;16")
    }
}

struct Golden {
    fixture: Fixture,
    json: Json,
}

impl Golden {
    fn complain(&self, error: &dyn std::error::Error) -> FixtureError {
        self.fixture.layout(error.to_string())
    }

    /// Side of the squares, from those that are stored whole.
    fn size(&self) -> Result<usize, FixtureError> {
        let whole = self.fixture.names().find(|name| name.ends_with("_u8"));
        let name = whole.ok_or_else(|| self.fixture.layout("no square is stored whole".into()))?;
        let [_, size, _] = self.fixture.dims(name)?;
        Ok(size)
    }

    fn check(
        &self,
        name: &str,
        image: &Image,
        decoded: &DecodedImage,
    ) -> Result<Vec<Check>, FixtureError> {
        let size = self.size()?;
        let [width, height] = image.resize256;
        let shorter_side = width.min(height);
        let training = ImageTransform::RandomCrop {
            shorter_side,
            size,
            horizontal_flip: false,
        };
        let resized = training
            .prepare(decoded)
            .map_err(|error| self.complain(&error))?;
        let sizes = [decoded.width, decoded.height, resized.width, resized.height];
        let golden = [image.size, image.resize256].concat();
        let mut checks = vec![Check::equal(
            FAMILY,
            format!("{name}: size, resize256"),
            &sizes,
            &golden,
        )];
        if !image.is_deep() {
            checks.push(self.decoded(name, image, decoded)?);
        }
        let centre = ImageTransform::CenterCrop { shorter_side, size };
        let evaluation = ImageTransform::evaluation(size);
        for (kind, transform, statistics) in [
            ("eval", evaluation, [image.eval_mean, image.eval_std]),
            ("crop", centre, [image.crop_mean, image.crop_std]),
        ] {
            let square = transform
                .apply(decoded, 0)
                .map_err(|error| self.complain(&error))?;
            checks.extend(self.square(name, kind, image, &square, statistics)?);
        }
        Ok(checks)
    }

    /// Every n-th level of the image as RGB.
    fn decoded(
        &self,
        name: &str,
        image: &Image,
        decoded: &DecodedImage,
    ) -> Result<Check, FixtureError> {
        let rgb = decoded
            .pixels
            .chunks_exact(decoded.channels)
            .flat_map(|pixel| (0..3).map(move |channel| pixel[channel % pixel.len()]));
        let sampled: Vec<f64> = rgb
            .step_by(self.json.decoded_stride)
            .map(f64::from)
            .collect();
        let name = format!("{name}.decoded_rgb_sample");
        let golden = self.fixture.values(&name)?;
        let tolerance = image.tolerances().levels;
        Ok(Check::numbers(FAMILY, name, &sampled, &golden, tolerance))
    }

    /// A square: its levels where they are stored, a sample of its normalised values, and their
    /// mean and deviation.
    fn square(
        &self,
        name: &str,
        kind: &str,
        image: &Image,
        square: &[u8],
        statistics: [f64; 2],
    ) -> Result<Vec<Check>, FixtureError> {
        let tolerances = image.tolerances();
        let plane = square.len() / 3;
        let normalised: Vec<f64> = normalise(square, plane)
            .into_iter()
            .map(f64::from)
            .collect();
        let sampled: Vec<f64> = normalised
            .iter()
            .copied()
            .step_by(self.json.stride)
            .collect();
        let mut checks = Vec::new();
        let mut compare = |name: String, actual: &[f64], tolerance| {
            let golden = self.fixture.values(&name)?;
            checks.push(Check::numbers(FAMILY, name, actual, &golden, tolerance));
            Ok::<_, FixtureError>(())
        };
        if image.is_deep() {
            // What scaling would give is recorded of one square only.
            let name = format!("{name}.{kind}_sample_if_shift8");
            if self.fixture.data(&name).is_ok() {
                compare(name, &sampled, tolerances.values)?;
            }
            return Ok(checks);
        }
        compare(format!("{name}.{kind}_sample"), &sampled, tolerances.values)?;
        if image.has_u8 {
            let name = format!("{name}.{kind}_u8");
            // A gray image is stored as the first of its three equal planes.
            let golden = self.fixture.data(&name)?.shape().num_elements();
            let stored = golden.min(square.len());
            let levels: Vec<f64> = square[..stored].iter().copied().map(f64::from).collect();
            compare(name, &levels, tolerances.levels)?;
        }
        let actual = mean_and_deviation(&normalised);
        checks.push(Check::numbers(
            FAMILY,
            format!("{name}: {kind}_mean, {kind}_std"),
            &actual,
            &statistics,
            tolerances.values,
        ));
        Ok(checks)
    }
}

fn mean_and_deviation(values: &[f64]) -> [f64; 2] {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (count - 1.0);
    [mean, variance.sqrt()]
}
