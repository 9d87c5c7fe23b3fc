use std::f32::consts::TAU;

use rand::{Rng, RngExt};

use super::attributes::{Side, Size};

/// Chest coordinates: x from the image's left (−1) to its right (+1), y from the neck (−1) to the
/// abdomen (+1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub x: f32,
    pub y: f32,
}

/// The side a point lies on: the patient's right is the image's left.
pub(super) fn side_of(x: f32) -> Side {
    if x < 0.0 { Side::Right } else { Side::Left }
}

/// −1 for the patient's right, +1 for the left.
pub(super) fn sign(side: Side) -> f32 {
    match side {
        Side::Right => -1.0,
        Side::Left => 1.0,
    }
}

/// 0 below `low`, 1 above `high`, smooth between.
pub(super) fn smooth_step(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Length of (dx, dy); `f32::hypot` guards against overflow that cannot happen here, slowly.
pub(super) fn length(dx: f32, dy: f32) -> f32 {
    (dx * dx + dy * dy).sqrt()
}

/// `from` at 0, `to` at 1.
pub(super) fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

/// 1 where `distance` ≤ 0, falling to 0 over `softness`.
pub(super) fn inside(distance: f32, softness: f32) -> f32 {
    1.0 - smooth_step(0.0, softness, distance)
}

/// One patient's chest: the proportions that vary between healthy people, and the heart's size.
#[derive(Debug, Clone)]
pub(super) struct Anatomy {
    heart_scale: f32,
    heart: Point,
    domes: [f32; 2],
    rib_phase: f32,
    rib_spacing: f32,
    rib_slope: f32,
    rib_strength: f32,
    vessel_strength: f32,
    vessel_phase: f32,
    spine_strength: f32,
    lung_density: f32,
    soft_tissue: f32,
    clavicle_tilt: f32,
}

/// Anatomy at a point, without findings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tissue {
    /// Attenuation, about 0 (air) to 1 (metal).
    pub density: f32,
    /// Share of lung, 0..=1, heart and diaphragm excluded.
    pub lung: f32,
    /// Share of the chest cavity, 0..=1: the lung field as if there were no diaphragm.
    pub cavity: f32,
    /// Distance to the chest wall along x; negative outside.
    pub wall: f32,
    /// What ribs and clavicles add.
    pub bone: f32,
}

impl Anatomy {
    pub fn sample(heart: Option<Size>, rng: &mut impl Rng) -> Self {
        let enlargement = match heart {
            None => 1.0,
            Some(Size::Small) => 1.28,
            Some(Size::Moderate) => 1.54,
            Some(Size::Large) => 1.82,
        };
        let right_dome = rng.random_range(0.46..0.54);
        Self {
            heart_scale: enlargement * rng.random_range(0.97..1.03),
            heart: Point {
                x: 0.15 + 0.03 * (enlargement - 1.0) + rng.random_range(-0.015..0.015),
                y: 0.29 + rng.random_range(-0.02..0.02),
            },
            domes: [right_dome + rng.random_range(0.03..0.07), right_dome],
            rib_phase: rng.random_range(0.0..1.0),
            rib_spacing: rng.random_range(0.18..0.21),
            rib_slope: rng.random_range(0.25..0.45),
            rib_strength: rng.random_range(0.05..0.09),
            vessel_strength: rng.random_range(0.10..0.15),
            vessel_phase: rng.random_range(0.0..TAU),
            spine_strength: rng.random_range(0.08..0.14),
            lung_density: rng.random_range(0.19..0.25),
            soft_tissue: rng.random_range(0.50..0.58),
            clavicle_tilt: rng.random_range(0.10..0.18),
        }
    }

    /// Half the width of the chest cavity at this height; 0 above the apex.
    pub fn half_width(&self, y: f32) -> f32 {
        let t = (y - 0.45) / 1.25;
        0.84 * (1.0 - t * t).max(0.0).sqrt()
    }

    /// Height of the diaphragm at x.
    pub fn diaphragm(&self, x: f32) -> f32 {
        let dome = match side_of(x) {
            Side::Left => self.domes[0],
            Side::Right => self.domes[1],
        };
        let off = x.abs() - 0.40;
        dome + 1.25 * off * off
    }

    pub fn at(&self, p: Point) -> Tissue {
        let ax = p.x.abs();
        let wall = self.half_width(p.y) - ax;
        let cavity = smooth_step(0.0, 0.035, wall) * smooth_step(0.0, 0.04, ax - 0.105);
        let air = smooth_step(0.0, 0.03, self.diaphragm(p.x) - p.y);
        let heart = self.heart_share(p);
        let lung = cavity * air * (1.0 - heart);
        let ribs = self.ribs(p, ax, wall) * mix(0.3, 1.0, lung);
        let bone = ribs + self.clavicles(p, ax);
        let vessels = if lung > 0.0 { self.vessels(p, ax) } else { 0.0 };
        let lung_density = self.lung_density + vessels;
        let density = mix(self.solid(p, ax, wall, air, heart), lung_density, lung) + bone;
        Tissue {
            density: density * self.body(p.y, ax),
            lung,
            cavity,
            wall,
            bone,
        }
    }

    /// Everything that is not lung: chest wall, mediastinum, heart, abdomen, spine, trachea.
    fn solid(&self, p: Point, ax: f32, wall: f32, air: f32, heart: f32) -> f32 {
        let abdomen = (1.0 - air) * smooth_step(-0.02, 0.05, wall);
        let middle = inside(ax - 0.10, 0.06);
        let knob = inside(length(p.x - 0.13, p.y + 0.27) - 0.07, 0.04);
        let mass = abdomen.max(heart).max(middle).max(knob);
        let spine = match inside(ax - 0.045, 0.05) {
            share if share > 0.0 => {
                share * self.spine_strength * (0.75 + 0.25 * (p.y * 44.0).sin())
            }
            _ => 0.0,
        };
        let trachea = 0.17 * inside(ax - 0.02, 0.035) * inside(p.y + 0.42, 0.20);
        mix(self.soft_tissue, 0.70, mass) + spine - trachea
    }

    /// Left ventricle pointing down and left, right atrium beside the spine, great vessels above.
    fn heart_share(&self, p: Point) -> f32 {
        let (dx, dy) = (p.x - self.heart.x, p.y - self.heart.y);
        if dx.abs() > 0.75 || dy.abs() > 0.70 {
            return 0.0;
        }
        let tall = mix(1.0, self.heart_scale, 0.45);
        let (along, across) = (0.85 * dx + 0.53 * dy, 0.85 * dy - 0.53 * dx);
        let ventricle = length(along / (0.34 * self.heart_scale), across / (0.235 * tall));
        let atrium = length(
            (dx + 0.15 * self.heart_scale) / (0.16 * self.heart_scale),
            (dy + 0.01) / (0.20 * tall),
        );
        let vessels = (p.x - 0.02).abs() - 0.11 - 0.10 * smooth_step(-0.35, 0.2, p.y);
        let above = vessels.max(p.y - self.heart.y).max(-0.35 - p.y);
        let outside = ((ventricle.min(atrium) - 1.0) * 0.25).min(above);
        inside(outside, 0.05)
    }

    /// Two families of stripes: posterior ribs falling outwards, fainter anterior ones rising.
    fn ribs(&self, p: Point, ax: f32, wall: f32) -> f32 {
        if wall < -0.03 || ax < 0.06 || p.y > 0.85 {
            return 0.0;
        }
        let posterior = p.y - self.rib_slope * ax * ax + 0.10 * ax;
        let anterior = p.y + 0.55 * self.rib_slope * ax - 0.9 * ax * ax + 0.05;
        let stripe = |height: f32, half: f32| {
            let turns = height / self.rib_spacing + self.rib_phase;
            let cycle = turns - turns.floor() - 0.5;
            inside((cycle.abs() - half) * self.rib_spacing, 0.025)
        };
        let fade = smooth_step(0.06, 0.14, ax) * smooth_step(-0.03, 0.0, wall);
        let front = 0.55 * smooth_step(0.35, 0.50, ax);
        self.rib_strength * fade * (stripe(posterior, 0.17) + front * stripe(anterior, 0.16))
    }

    fn clavicles(&self, p: Point, ax: f32) -> f32 {
        if !(-0.9..-0.5).contains(&p.y) {
            return 0.0;
        }
        let height = -0.60 - self.clavicle_tilt * ax + 0.05 * (ax * 7.0).sin();
        let extent = smooth_step(0.06, 0.10, ax) * inside(ax - 0.78, 0.06);
        0.13 * extent * inside((p.y - height).abs() - 0.022, 0.022)
    }

    /// Vessels fan out from each hilum and thin towards the wall.
    fn vessels(&self, p: Point, ax: f32) -> f32 {
        let (dx, dy) = (ax - 0.14, p.y + 0.02);
        let distance = length(dx, dy);
        let angle = dy.atan2(dx + 0.05);
        let branches = (angle * 9.0 + self.vessel_phase + 2.5 * (distance * 7.0).sin()).sin();
        let hilum = (-distance * distance * 30.0).exp();
        let reach = (-distance * 3.2).exp();
        self.vessel_strength * (0.9 * hilum + reach * (0.35 + 0.65 * branches.max(0.0)))
    }

    /// Neck, shoulders and trunk against the air around them.
    fn body(&self, y: f32, ax: f32) -> f32 {
        let half = mix(0.24, 1.02, smooth_step(-1.02, -0.62, y));
        0.06 + 0.94 * inside(ax - half, 0.05)
    }
}
