//! Golden gradients against computed ones.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

use super::check::{Check, Tolerance};
use super::fixture::{Fixture, FixtureError};

/// Whether a gradient is zero but for rounding: softmax does not feel a shift of all its scores, so
/// key biases have no effect.
pub fn is_zero_gradient(name: &str) -> bool {
    name.ends_with("linears.1.bias")
}

/// What golden gradients are compared to, and by how much they may differ.
pub struct GradientChecks<'a> {
    /// Fixture family.
    pub family: &'static str,
    /// Golden gradients: `<prefix><name>`.
    pub fixture: &'a Fixture,
    /// Beginning of the golden gradients' names.
    pub prefix: &'a str,
    /// Of gradients in general.
    pub tolerance: Tolerance,
    /// Of gradients that are zero but for rounding, largest absolute value.
    pub zero_tolerance: f64,
}

impl GradientChecks<'_> {
    /// Two lines: the gradients, and those that are zero but for rounding.
    ///
    /// Every golden gradient must have its counterpart, and every counterpart its golden one.
    pub fn run(&self, actual: &BTreeMap<String, TensorData>) -> Result<Vec<Check>, FixtureError> {
        let mut ordinary = Vec::new();
        let mut zero = Vec::new();
        for full in self.fixture.names() {
            let Some(name) = full.strip_prefix(self.prefix) else {
                continue;
            };
            let golden = self.fixture.data(full)?;
            let Some(actual) = actual.get(name) else {
                ordinary.push(missing(self.family, name, "was not computed"));
                continue;
            };
            if is_zero_gradient(name) {
                let tolerance = Tolerance::Absolute(self.zero_tolerance);
                zero.push(Check::data(self.family, full, actual, golden, tolerance));
            } else {
                ordinary.push(Check::data(
                    self.family,
                    full,
                    actual,
                    golden,
                    self.tolerance,
                ));
            }
        }
        for name in actual.keys() {
            if self
                .fixture
                .data(&format!("{}{name}", self.prefix))
                .is_err()
            {
                ordinary.push(missing(self.family, name, "has no golden value"));
            }
        }
        let what = format!("{}*", self.prefix);
        let mut checks = Check::summary(self.family, &what, ordinary);
        if !zero.is_empty() {
            let what = format!("{}*.linears.1.bias, zero but for rounding", self.prefix);
            checks.extend(Check::summary(self.family, &what, zero));
        }
        Ok(checks)
    }
}

fn missing(family: &'static str, name: &str, what: &str) -> Check {
    Check::equal(family, format!("gradient of {name} {what}"), &[()], &[])
}
