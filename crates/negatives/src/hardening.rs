use std::num::NonZeroUsize;

use burn::tensor::Tensor;
use ithn_generator::config::{ConfigError, Positive, no_options};
use serde::{Deserialize, Serialize};

use crate::ascent::{Ascent, FeasibleSet};
use crate::bounds::{HardeningRange, NegativeNorm};
use crate::closed_form::{ClosedForm, GradientFlow, Projection};
use crate::hull::Hull;

/// How a first negative becomes a hard one.
///
/// In JSON, `kind` is `closed_form`, `ascent` or `hull`, next to the fields of that variant. The earlier
/// form, without `kind` and with `max_step`, is read too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "Form")]
pub enum Hardening {
    /// The point of the line through negative and report that lies nearest the image.
    ClosedForm(ClosedForm),
    /// Projected gradient ascent on the alignment loss.
    Ascent(Ascent),
    /// The point of the convex hull of several first negatives that lies nearest the image.
    Hull(Hull),
}

impl Default for Hardening {
    /// The closed form as published.
    fn default() -> Self {
        Hardening::ClosedForm(ClosedForm::default())
    }
}

impl From<ClosedForm> for Hardening {
    fn from(form: ClosedForm) -> Self {
        Hardening::ClosedForm(form)
    }
}

impl From<Ascent> for Hardening {
    fn from(ascent: Ascent) -> Self {
        Hardening::Ascent(ascent)
    }
}

impl From<Hull> for Hardening {
    fn from(hull: Hull) -> Self {
        Hardening::Hull(hull)
    }
}

impl Hardening {
    /// What the official code computes: mixed projection, gradients through it, no bounds.
    pub fn official() -> Self {
        Hardening::ClosedForm(ClosedForm::official())
    }

    /// Checks the combination of options.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Hardening::ClosedForm(form) => form.validate(),
            Hardening::Ascent(_) | Hardening::Hull(_) => Ok(()),
        }
    }
}

/// `ũ = λ u⁻ + (1 − λ) p`, with `p` the hardest report on the line through `u⁻` and `u`: the point
/// nearest the image.
///
/// [`Hardening::Ascent`] maximises `−‖z − ũ‖²` here; [`Ascent::harden`] maximises any loss. [`Hardening::Hull`] keeps the
/// negatives here, since there is one of each; [`Hull::harden`] takes several.
///
/// # Shapes
///
/// - images, reports, negatives: `[batch, width]`, unit embeddings `z`, `u`, `u⁻`
/// - lambda: in `[0, 1]`; 1 keeps the negatives
/// - output: `[batch, width]`
///
/// # Panics
///
/// If `lambda` lies outside `[0, 1]`.
pub fn harden(
    images: Tensor<2>,
    reports: Tensor<2>,
    negatives: Tensor<2>,
    lambda: f64,
    hardening: &Hardening,
) -> Tensor<2> {
    match hardening {
        Hardening::ClosedForm(form) => form.harden(images, reports, negatives, lambda),
        Hardening::Ascent(ascent) => {
            let images = images.inner();
            let nearness = |hardened: Tensor<2>| -(images.clone() - hardened).square().sum();
            ascent.harden(reports, negatives, lambda, nearness)
        }
        Hardening::Hull(hull) => hull.harden(images, &[negatives], lambda),
    }
}

/// [`Hardening`] in JSON: the present form with `kind`, or the earlier one with `max_step`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kind: Option<Kind>,
    max_step: Option<MaxStep>,
    projection: Option<Projection>,
    gradient: Option<GradientFlow>,
    range: Option<HardeningRange>,
    norm: Option<NegativeNorm>,
    steps: Option<NonZeroUsize>,
    step_size: Option<Positive>,
    within: Option<FeasibleSet>,
    sweeps: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ClosedForm,
    Ascent,
    Hull,
}

/// The earlier form's choice between closed form and ascent.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum MaxStep {
    #[serde(deserialize_with = "no_options")]
    ClosedForm,
    Ascent {
        steps: Option<NonZeroUsize>,
        step_size: Option<Positive>,
        within: Option<FeasibleSet>,
    },
}

impl TryFrom<Form> for Hardening {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        match form.kind {
            None => form.earlier(),
            Some(kind) if form.max_step.is_some() => Err(format!(
                "'max_step' is the earlier form of '{}': write 'kind' alone",
                kind.name()
            )),
            Some(Kind::ClosedForm) => form.closed_form(),
            Some(Kind::Ascent) => form.ascent(),
            Some(Kind::Hull) => form.hull(),
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::ClosedForm => "closed_form",
            Kind::Ascent => "ascent",
            Kind::Hull => "hull",
        }
    }
}

impl Form {
    fn closed_form(self) -> Result<Hardening, String> {
        absent("closed_form", "steps", self.steps.is_some())?;
        absent("closed_form", "step_size", self.step_size.is_some())?;
        absent("closed_form", "within", self.within.is_some())?;
        absent("closed_form", "sweeps", self.sweeps.is_some())?;
        Ok(Hardening::ClosedForm(ClosedForm {
            projection: required("projection", self.projection)?,
            gradient: required("gradient", self.gradient)?,
            range: required("range", self.range)?,
            norm: required("norm", self.norm)?,
        }))
    }

    fn ascent(self) -> Result<Hardening, String> {
        absent("ascent", "projection", self.projection.is_some())?;
        absent("ascent", "gradient", self.gradient.is_some())?;
        absent("ascent", "range", self.range.is_some())?;
        absent("ascent", "sweeps", self.sweeps.is_some())?;
        let default = Ascent::default();
        Ok(Hardening::Ascent(Ascent {
            steps: self.steps.unwrap_or(default.steps),
            step_size: self.step_size.unwrap_or(default.step_size),
            within: self.within.unwrap_or(default.within),
            norm: self.norm.unwrap_or(default.norm),
        }))
    }

    fn hull(self) -> Result<Hardening, String> {
        absent("hull", "projection", self.projection.is_some())?;
        absent("hull", "gradient", self.gradient.is_some())?;
        absent("hull", "range", self.range.is_some())?;
        absent("hull", "steps", self.steps.is_some())?;
        absent("hull", "step_size", self.step_size.is_some())?;
        absent("hull", "within", self.within.is_some())?;
        let default = Hull::default();
        Ok(Hardening::Hull(Hull {
            sweeps: self.sweeps.unwrap_or(default.sweeps),
            norm: self.norm.unwrap_or(default.norm),
        }))
    }

    /// The earlier form: all of `projection`, `gradient`, `range` and `norm`, and an optional
    /// `max_step`. Options that had no effect together are dropped.
    fn earlier(self) -> Result<Hardening, String> {
        absent("the earlier form", "steps", self.steps.is_some())?;
        absent("the earlier form", "step_size", self.step_size.is_some())?;
        absent("the earlier form", "within", self.within.is_some())?;
        absent("the earlier form", "sweeps", self.sweeps.is_some())?;
        let projection = required("projection", self.projection)?;
        let gradient = required("gradient", self.gradient)?;
        let range = required("range", self.range)?;
        let norm = required("norm", self.norm)?;
        let Some(MaxStep::Ascent {
            steps,
            step_size,
            within,
        }) = self.max_step
        else {
            let range = match projection {
                Projection::PerSample => range,
                Projection::BatchMixed => HardeningRange::Line,
            };
            return Ok(Hardening::ClosedForm(ClosedForm {
                projection,
                gradient,
                range,
                norm,
            }));
        };
        let default = Ascent::default();
        Ok(Hardening::Ascent(Ascent {
            steps: steps.unwrap_or(default.steps),
            step_size: step_size.unwrap_or(default.step_size),
            within: match within.unwrap_or(default.within) {
                FeasibleSet::Line { .. } => FeasibleSet::Line { range },
                ball => ball,
            },
            norm,
        }))
    }
}

fn absent(kind: &str, field: &str, present: bool) -> Result<(), String> {
    if present {
        return Err(format!("{kind} has no field '{field}': remove it"));
    }
    Ok(())
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("missing field '{field}'"))
}
