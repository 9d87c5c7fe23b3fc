use std::ops::{Add, Mul, Sub};

/// Values side by side that go through the same arithmetic; a vector or two when compiled within
/// [`vectorised`](crate::cpu::vectorised).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lanes([f32; Lanes::COUNT]);

impl Lanes {
    pub(crate) const COUNT: usize = 16;

    pub(crate) const ZERO: Lanes = Lanes([0.0; Lanes::COUNT]);

    /// # Panics
    ///
    /// If fewer than [`Self::COUNT`] values follow `start`.
    #[inline(always)]
    pub(crate) fn load(values: &[f32], start: usize) -> Self {
        let mut lanes = [0.0; Self::COUNT];
        lanes.copy_from_slice(&values[start..start + Self::COUNT]);
        Lanes(lanes)
    }

    #[inline(always)]
    pub(crate) fn store(self, values: &mut [f32], start: usize) {
        values[start..start + Self::COUNT].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        let mut lanes = self.0;
        for (lane, other) in lanes.iter_mut().zip(other.0) {
            *lane = operation(*lane, other);
        }
        Lanes(lanes)
    }
}

impl Lanes {
    /// `self · factor + other`, rounded once.
    #[inline(always)]
    pub(crate) fn mul_add(self, factor: f32, other: Self) -> Self {
        self.zip(other, |value, other| value.mul_add(factor, other))
    }
}

impl Add for Lanes {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl Sub for Lanes {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl Mul<f32> for Lanes {
    type Output = Self;

    #[inline(always)]
    fn mul(self, factor: f32) -> Self {
        self.zip(self, |a, _| a * factor)
    }
}
