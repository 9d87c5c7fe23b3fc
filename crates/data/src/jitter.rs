use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::pixels::DecodedImage;

/// Limits of a random change of geometry and brightness. Nothing is mirrored, so that left and right
/// stay what the report says.
///
/// A pixel `p` of the result, relative to the centre, shows the source at `R(−θ)(p − t) / s`, between
/// pixels by bilinear interpolation, outside the image black. Its value `v` becomes
/// `c·(v − m) + m + b`, `m` the mean of the result, cut to 0 to 255. `θ`, `s`, `t` (for each axis), `c`
/// and `b` are uniform within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Largest rotation `|θ|`, in degrees, in `[0, 180]`.
    pub rotation: f64,
    /// Largest `|s − 1|`, in `[0, 1)`.
    pub scale: f64,
    /// Largest shift `|t|` along each axis, as a share of the side, in `[0, 1]`.
    pub shift: f64,
    /// Largest `|c − 1|`, in `[0, 1]`.
    pub contrast: f64,
    /// Largest `|b|`, as a share of 255, in `[0, 1]`.
    pub brightness: f64,
}

impl Jitter {
    /// Whether every limit is in its range.
    pub fn is_valid(&self) -> bool {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        (0.0..=180.0).contains(&self.rotation)
            && (0.0..1.0).contains(&self.scale)
            && [self.shift, self.contrast, self.brightness]
                .into_iter()
                .all(share)
    }

    /// A random change of an image. The limits must be [valid](Self::is_valid).
    pub(crate) fn apply(&self, image: &DecodedImage, rng: &mut Xoshiro256PlusPlus) -> DecodedImage {
        let mut within = |limit: f64| match limit {
            0.0 => 0.0,
            limit => rng.random_range(-limit..=limit),
        };
        let angle = within(self.rotation).to_radians();
        let scale = 1.0 + within(self.scale);
        let shift = [image.width, image.height].map(|side| within(self.shift) * side as f64);
        let (contrast, brightness) = (1.0 + within(self.contrast), within(self.brightness) * 255.0);
        let moved = warped(image, angle, scale, shift);
        let count = moved.len().max(1) as f64;
        let mean = moved.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        let (factor, offset) = (
            contrast as f32,
            (mean - contrast * mean + brightness) as f32,
        );
        let toned = moved
            .iter()
            .map(|value| (value * factor + offset).round().clamp(0.0, 255.0) as u8);
        DecodedImage {
            pixels: toned.collect(),
            ..*image
        }
    }
}

/// The image rotated by `angle`, scaled and shifted; interleaved values 0 to 255.
fn warped(image: &DecodedImage, angle: f64, scale: f64, shift: [f64; 2]) -> Vec<f32> {
    let (width, height, channels) = (image.width, image.height, image.channels);
    let centre = [width, height].map(|side| (side as f64 - 1.0) / 2.0);
    let (sin, cos) = angle.sin_cos();
    let (sin, cos) = ((sin / scale) as f32, (cos / scale) as f32);
    let [left, top] = [0, 1].map(|axis| (centre[axis] + shift[axis]) as f32);
    let [middle_x, middle_y] = centre.map(|middle| middle as f32);
    let value = |x: i32, y: i32, channel: usize| -> f32 {
        let inside = (0..width as i32).contains(&x) && (0..height as i32).contains(&y);
        if !inside {
            return 0.0;
        }
        f32::from(image.pixels[(y as usize * width + x as usize) * channels + channel])
    };
    let mut moved = Vec::with_capacity(image.pixels.len());
    for y in 0..height {
        let dy = y as f32 - top;
        for x in 0..width {
            let dx = x as f32 - left;
            let from_x = cos * dx + sin * dy + middle_x;
            let from_y = cos * dy - sin * dx + middle_y;
            let (whole_x, whole_y) = (from_x.floor(), from_y.floor());
            let (share_x, share_y) = (from_x - whole_x, from_y - whole_y);
            let (near_x, near_y) = (whole_x as i32, whole_y as i32);
            for channel in 0..channels {
                let row = |y: i32| {
                    value(near_x, y, channel) * (1.0 - share_x)
                        + value(near_x.saturating_add(1), y, channel) * share_x
                };
                moved.push(row(near_y) * (1.0 - share_y) + row(near_y.saturating_add(1)) * share_y);
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const STILL: Jitter = Jitter {
        rotation: 0.0,
        scale: 0.0,
        shift: 0.0,
        contrast: 0.0,
        brightness: 0.0,
    };

    /// A bright square in the upper left of 9 × 9 dark pixels.
    fn corner() -> DecodedImage {
        let bright = |at: usize| at % 9 < 3 && at / 9 < 3;
        DecodedImage {
            width: 9,
            height: 9,
            channels: 1,
            pixels: (0..81)
                .map(|at| if bright(at) { 200 } else { 40 })
                .collect(),
        }
    }

    fn rng(seed: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(seed)
    }

    #[test]
    fn limits_of_zero_change_nothing() {
        assert_eq!(STILL.apply(&corner(), &mut rng(1)), corner());
    }

    #[test]
    fn a_quarter_turn_moves_the_corner_clockwise_and_a_shift_moves_it_along() {
        let image = corner();
        let turned = warped(&image, std::f64::consts::FRAC_PI_2, 1.0, [0.0; 2]);
        assert!((turned[8] - 200.0).abs() < 0.1 && (turned[0] - 40.0).abs() < 0.1);
        let shifted = warped(&image, 0.0, 1.0, [3.0, 0.0]);
        assert_eq!((shifted[0], shifted[3], shifted[8]), (0.0, 200.0, 40.0));
        let enlarged = warped(&image, 0.0, 2.0, [0.0; 2]);
        assert_eq!(enlarged[0], 200.0);
        assert_eq!(warped(&image, 0.0, 0.5, [0.0; 2])[0], 0.0);
    }

    /// Left stays left: the bright corner of moderately changed images never crosses the middle.
    #[test]
    fn moderate_changes_keep_sides_and_depend_on_the_seed_alone() {
        let jitter = Jitter {
            rotation: 15.0,
            scale: 0.1,
            shift: 0.05,
            contrast: 0.2,
            brightness: 0.1,
        };
        assert!(jitter.is_valid());
        let image = corner();
        let sum = |pixels: &[u8], right: bool| -> u32 {
            let side = |at: usize| if right { at % 9 > 5 } else { at % 9 < 3 };
            let of_side = pixels.iter().enumerate().filter(|(at, _)| side(*at));
            of_side.map(|(_, &value)| u32::from(value)).sum()
        };
        for seed in 0..50 {
            let changed = jitter.apply(&image, &mut rng(seed));
            assert_eq!(changed, jitter.apply(&image, &mut rng(seed)));
            assert!(
                sum(&changed.pixels, false) > sum(&changed.pixels, true),
                "{seed}"
            );
        }
        assert_ne!(
            jitter.apply(&image, &mut rng(1)),
            jitter.apply(&image, &mut rng(2))
        );
    }

    #[test]
    fn contrast_keeps_the_mean_and_limits_out_of_range_are_found() {
        let jitter = Jitter {
            contrast: 0.3,
            ..STILL
        };
        let mean = |image: &DecodedImage| {
            image
                .pixels
                .iter()
                .map(|&value| f64::from(value))
                .sum::<f64>()
                / 81.0
        };
        let changed = jitter.apply(&corner(), &mut rng(4));
        assert_ne!(changed, corner());
        assert!((mean(&changed) - mean(&corner())).abs() < 1.0);
        for wrong in [
            Jitter {
                rotation: 181.0,
                ..STILL
            },
            Jitter {
                scale: 1.0,
                ..STILL
            },
            Jitter {
                shift: f64::NAN,
                ..STILL
            },
        ] {
            assert!(!wrong.is_valid());
        }
    }
}
