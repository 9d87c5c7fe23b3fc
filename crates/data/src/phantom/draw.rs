use image::GrayImage;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use super::anatomy::{Anatomy, Point};
use super::findings::{FindingKind, PhantomFindings};
use super::lesions::{Lesion, lesions_of};

/// Draws a frontal chest film of `size_px` × `size_px` pixels that shows exactly `findings`.
///
/// As on any film, the patient's right is on the image's left. `seed` decides everything that does
/// not matter: build, position, exposure, noise, and where in its lobe a nodule lies. Same
/// arguments, same pixels.
///
/// # Panics
/// If `size_px` is zero.
pub fn draw_radiograph(findings: &PhantomFindings, size_px: u32, seed: u64) -> GrayImage {
    assert!(size_px > 0, "a radiograph has at least one pixel");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let heart = findings
        .of(FindingKind::Cardiomegaly)
        .find_map(|finding| finding.size());
    let anatomy = Anatomy::sample(heart, &mut rng);
    let pose = Pose::sample(&mut rng);
    let exposure = Exposure::sample(&mut rng);
    let mut grain = Xoshiro256PlusPlus::seed_from_u64(rng.next_u64());
    let lesions = lesions_of(findings, &mut rng);

    expose(size_px, &pose, &exposure, &mut grain, |p| {
        density(p, &anatomy, &lesions)
    })
}

/// A film of the densities at the points of a chest.
pub(super) fn expose(
    size_px: u32,
    pose: &Pose,
    exposure: &Exposure,
    grain: &mut impl Rng,
    density: impl Fn(Point) -> f32,
) -> GrayImage {
    let step = 2.0 / size_px as f32;
    let mut film = GrayImage::new(size_px, size_px);
    for (column, row, pixel) in film.enumerate_pixels_mut() {
        let at = |index: u32| (index as f32 + 0.5) * step - 1.0;
        let p = pose.to_chest(at(column), at(row));
        pixel.0 = [exposure.develop(density(p), grain)];
    }
    film
}

fn density(p: Point, anatomy: &Anatomy, lesions: &[Lesion]) -> f32 {
    let tissue = anatomy.at(p);
    lesions.iter().fold(tissue.density, |density, lesion| {
        lesion.apply(p, density, &tissue, anatomy)
    })
}

/// How the patient stands before the film: an affine map from image to chest coordinates.
pub(super) struct Pose {
    xx: f32,
    xy: f32,
    yx: f32,
    yy: f32,
    shift: Point,
}

impl Pose {
    pub(super) fn sample(rng: &mut impl Rng) -> Self {
        let angle: f32 = rng.random_range(-0.07..0.07);
        let zoom: f32 = rng.random_range(0.94..1.08);
        let build: f32 = rng.random_range(0.95..1.05);
        let (sin, cos) = angle.sin_cos();
        Self {
            xx: zoom * build * cos,
            xy: -zoom * build * sin,
            yx: zoom * sin,
            yy: zoom * cos,
            shift: Point {
                x: rng.random_range(-0.07..0.07),
                y: rng.random_range(-0.07..0.07),
            },
        }
    }

    fn to_chest(&self, x: f32, y: f32) -> Point {
        Point {
            x: self.xx * x + self.xy * y + self.shift.x,
            y: self.yx * x + self.yy * y + self.shift.y,
        }
    }
}

/// From attenuation to gray.
pub(super) struct Exposure {
    gain: f32,
    offset: f32,
    curve: f32,
    noise: f32,
}

impl Exposure {
    pub(super) fn sample(rng: &mut impl Rng) -> Self {
        Self {
            gain: rng.random_range(0.88..1.04),
            offset: rng.random_range(-0.02..0.06),
            curve: rng.random_range(-0.15..0.15),
            noise: rng.random_range(0.01..0.025),
        }
    }

    fn develop(&self, density: f32, rng: &mut impl Rng) -> u8 {
        let density = density.clamp(0.0, 1.05);
        let curved = density + self.curve * density * (1.0 - density);
        let bits = rng.next_u32();
        let grain = ((bits & 0xffff) + (bits >> 16)) as f32 / 65_535.0 - 1.0;
        let value = self.gain * curved + self.offset + 2.4 * self.noise * grain;
        (value * 255.0).clamp(0.0, 255.0) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{PhantomFinding, Side};

    const PX: u32 = 64;

    fn difference(one: &GrayImage, other: &GrayImage, columns: std::ops::Range<u32>) -> f32 {
        let mut sum = 0.0;
        for row in 0..PX {
            for column in columns.clone() {
                let [a, b] = [one, other].map(|film| f32::from(film.get_pixel(column, row).0[0]));
                sum += (a - b).abs();
            }
        }
        sum / (PX * PX) as f32
    }

    #[test]
    fn every_finding_shows_and_on_its_own_half() {
        let normal = draw_radiograph(&PhantomFindings::normal(), PX, 5);
        for finding in PhantomFinding::all() {
            let film = draw_radiograph(&[finding].into_iter().collect(), PX, 5);
            let right = difference(&film, &normal, 0..PX / 2);
            let left = difference(&film, &normal, PX / 2..PX);
            assert!(
                left + right > 0.3,
                "{finding:?} hardly shows: {left} {right}"
            );
            let seen = if left > right {
                Side::Left
            } else {
                Side::Right
            };
            if let Some(side) = finding.side() {
                assert_eq!(seen, side, "{finding:?}: {left} {right}");
            }
        }
    }

    #[test]
    fn a_seed_is_a_film() {
        let normal = PhantomFindings::normal();
        assert_eq!(
            draw_radiograph(&normal, PX, 1),
            draw_radiograph(&normal, PX, 1)
        );
        assert_ne!(
            draw_radiograph(&normal, PX, 1),
            draw_radiograph(&normal, PX, 2)
        );
    }
}
