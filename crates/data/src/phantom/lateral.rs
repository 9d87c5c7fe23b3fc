use image::GrayImage;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::anatomy::{Anatomy, Point, Tissue, inside, length, mix, smooth_step};
use super::attributes::{Lobe, Size};
use super::draw::{Exposure, Pose, expose};
use super::findings::{FindingKind, PhantomFinding, PhantomFindings};
use super::lesions::Lesion;

/// Draws a lateral chest film of `size_px` × `size_px` pixels that shows `findings` as far as a lateral film can: not
/// on which side they are. The patient looks to the image's left.
///
/// `seed` decides everything that does not matter. Same arguments, same pixels.
///
/// # Panics
/// If `size_px` is zero.
pub fn draw_lateral_radiograph(findings: &PhantomFindings, size_px: u32, seed: u64) -> GrayImage {
    assert!(size_px > 0, "a radiograph has at least one pixel");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let anatomy = Anatomy::sample(None, &mut rng);
    let pose = Pose::sample(&mut rng);
    let exposure = Exposure::sample(&mut rng);
    let thorax = Thorax::sample(findings, &mut rng);
    let mut grain = Xoshiro256PlusPlus::seed_from_u64(rng.random());
    let mut lesions = Vec::new();
    for finding in findings.iter() {
        lesions.extend(shape(finding, &mut rng));
    }
    expose(size_px, &pose, &exposure, &mut grain, |p| {
        let tissue = thorax.at(p);
        let air = thorax.free_air(p, tissue.density, &tissue);
        let whole = lesions.iter().fold(air, |density, lesion| {
            lesion.apply(p, density, &tissue, &anatomy)
        });
        thorax.fluid(p, whole, &tissue)
    })
}

/// A chest from the side: x from front (−1) to back (+1), y from the neck (−1) to the abdomen (+1).
struct Thorax {
    heart_radius: f32,
    dome: f32,
    soft_tissue: f32,
    lung_density: f32,
    vertebrae: f32,
    /// Height of the fluid's surface at the back, if there is any.
    fluid: Option<f32>,
    /// Depth of free air behind the sternum.
    air: f32,
}

impl Thorax {
    fn sample(findings: &PhantomFindings, rng: &mut impl RngExt) -> Self {
        let largest = |kind| findings.of(kind).filter_map(PhantomFinding::size).max();
        let enlargement = match largest(FindingKind::Cardiomegaly) {
            None => 1.0,
            Some(Size::Small) => 1.22,
            Some(Size::Moderate) => 1.42,
            Some(Size::Large) => 1.64,
        };
        let level = largest(FindingKind::Effusion).map(|size| match size {
            Size::Small => 0.30,
            Size::Moderate => 0.06,
            Size::Large => -0.24,
        });
        let air = match largest(FindingKind::Pneumothorax) {
            None => 0.0,
            Some(Size::Small) => 0.10,
            Some(Size::Moderate) => 0.19,
            Some(Size::Large) => 0.30,
        };
        // Drawn whether there is fluid or not, so that a finding changes nothing else.
        let jitter: f32 = rng.random_range(-0.03..0.03);
        Thorax {
            heart_radius: 0.25 * enlargement * rng.random_range(0.97..1.03),
            dome: rng.random_range(0.44..0.52),
            soft_tissue: rng.random_range(0.50..0.58),
            lung_density: rng.random_range(0.19..0.25),
            vertebrae: rng.random_range(0.0..1.0),
            fluid: level.map(|level| level + jitter),
            air: air * rng.random_range(0.92..1.08),
        }
    }

    fn at(&self, p: Point) -> Tissue {
        let body = inside(length(p.x / 0.92, p.y / 1.6) - 0.88, 0.06);
        let wall = 0.66 - length((p.x - 0.02) / 0.95, (p.y + 0.08) / 1.28);
        let cavity = smooth_step(0.0, 0.05, wall);
        let dome = self.dome + 0.22 * (p.x - 0.1) * (p.x + 0.3).max(0.0);
        let above = 1.0 - smooth_step(dome - 0.02, dome + 0.02, p.y);
        let from_heart = length((p.x + 0.20) / 1.05, p.y - 0.24) - self.heart_radius;
        let heart = inside(from_heart, 0.04);
        let lung = cavity * above * (1.0 - heart);
        let wave = (((p.y * 5.5 + self.vertebrae).fract() + 1.0).fract() - 0.5).abs();
        let spine = inside((p.x - 0.56).abs() - 0.10, 0.03) * (0.10 + 0.16 * (0.5 - wave));
        let density = mix(0.02, mix(self.soft_tissue, self.lung_density, lung), body);
        Tissue {
            density: density + spine * body,
            lung,
            cavity,
            wall,
            bone: spine,
        }
    }

    /// Fluid gathers at the back.
    fn fluid(&self, p: Point, density: f32, tissue: &Tissue) -> f32 {
        let Some(level) = self.fluid else {
            return density;
        };
        let surface = level + 0.5 * (0.55 - p.x).max(0.0);
        let share = tissue.cavity * smooth_step(-0.03, 0.03, p.y - surface);
        mix(density, 0.68 + 0.5 * tissue.bone, share)
    }

    /// Free air gathers in front.
    fn free_air(&self, p: Point, density: f32, tissue: &Tissue) -> f32 {
        let outside = self.air - tissue.wall;
        if self.air == 0.0 || p.x > 0.1 {
            return density;
        }
        mix(
            density,
            0.05,
            tissue.lung * smooth_step(-0.01, 0.01, outside),
        )
    }
}

/// The shape of a finding that is no part of the [`Thorax`].
fn shape(finding: PhantomFinding, rng: &mut impl RngExt) -> Option<Lesion> {
    let mut near = |x: f32, y: f32, spread: f32| Point {
        x: x + rng.random_range(-spread..spread),
        y: y + rng.random_range(-spread..spread),
    };
    let centre = |near: &mut dyn FnMut(f32, f32, f32) -> Point, spread| match finding.lobe() {
        Some(Lobe::Upper) | None => near(0.02, -0.42, spread),
        Some(Lobe::Middle) => near(-0.36, -0.10, spread),
        Some(Lobe::Lower) => near(0.34, 0.22, spread),
    };
    Some(match finding.kind() {
        FindingKind::Cardiomegaly | FindingKind::Effusion | FindingKind::Pneumothorax => {
            return None;
        }
        FindingKind::Consolidation => Lesion::Cloud {
            centre: centre(&mut near, 0.03),
            width: 0.19,
            height: 0.18,
            strength: 0.5,
            grain: 0.35,
        },
        FindingKind::Nodule => Lesion::Disc {
            centre: centre(&mut near, 0.05),
            radius: 0.09,
        },
        FindingKind::Atelectasis => Lesion::Plate {
            from: near(0.05, 0.33, 0.03),
            to: near(0.44, 0.35, 0.03),
            half: 0.038,
            strength: 0.42,
        },
        FindingKind::Edema => Lesion::Cloud {
            centre: near(0.05, -0.06, 0.02),
            width: 0.34,
            height: 0.38,
            strength: 0.35,
            grain: 0.6,
        },
        FindingKind::RibFracture => Lesion::Break {
            centre: near(0.30, -0.08, 0.05),
            tilt: 0.3,
        },
        FindingKind::PiccLine => Lesion::Wire {
            path: vec![
                near(-0.20, -0.75, 0.02),
                near(-0.02, -0.40, 0.02),
                near(0.0, -0.10, 0.03),
            ],
            half: 0.022,
            strength: 0.42,
        },
        FindingKind::EndotrachealTube => Lesion::Wire {
            path: vec![
                near(0.10, -1.1, 0.01),
                near(0.12, -0.7, 0.01),
                near(0.14, -0.37, 0.03),
            ],
            half: 0.026,
            strength: 0.46,
        },
        FindingKind::Pacemaker => Lesion::Metal {
            centre: near(-0.60, -0.46, 0.03),
            half_width: 0.06,
            half_height: 0.11,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(one: &GrayImage, other: &GrayImage) -> f32 {
        let pixels = one.pixels().zip(other.pixels());
        let sum: f32 = pixels
            .map(|(a, b)| (f32::from(a.0[0]) - f32::from(b.0[0])).abs())
            .sum();
        sum / one.len() as f32
    }

    /// Findings draw their places after everything else, so one film differs from the normal one by its finding alone.
    #[test]
    fn every_finding_shows() {
        let normal = draw_lateral_radiograph(&PhantomFindings::normal(), 64, 5);
        assert_eq!(
            normal,
            draw_lateral_radiograph(&PhantomFindings::normal(), 64, 5)
        );
        for finding in PhantomFinding::all() {
            let film = draw_lateral_radiograph(&[finding].into_iter().collect(), 64, 5);
            let shown = difference(&film, &normal);
            assert!(shown > 0.3, "{finding:?} hardly shows: {shown}");
        }
    }

    #[test]
    fn a_lateral_film_is_no_frontal_one() {
        let normal = PhantomFindings::normal();
        let lateral = draw_lateral_radiograph(&normal, 64, 5);
        let frontal = crate::phantom::draw_radiograph(&normal, 64, 5);
        assert!(difference(&lateral, &frontal) > 10.0);
    }
}
