use std::num::NonZeroUsize;

use ithn_generator::config::Positive;

use crate::{
    Ascent, ClosedForm, FeasibleSet, GradientFlow, Hardening, HardeningRange, NegativeNorm,
    Projection,
};

fn read(json: &str) -> Result<Hardening, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn the_earlier_form_means_what_it_meant() {
    let common = r#""gradient":"through","norm":"unit""#;
    let closed = |projection, range| {
        Ok(Hardening::ClosedForm(ClosedForm {
            projection,
            gradient: GradientFlow::Through,
            range,
            norm: NegativeNorm::Unit,
        }))
    };
    let segment = HardeningRange::Segment;
    for max_step in ["", r#""max_step":{"kind":"closed_form"},"#] {
        let json = |projection: &str| {
            format!(r#"{{{max_step}"projection":"{projection}","range":"segment",{common}}}"#)
        };
        assert_eq!(
            read(&json("per_sample")),
            closed(Projection::PerSample, segment)
        );
        // The mixed projection ignored the range.
        let line = HardeningRange::Line;
        assert_eq!(
            read(&json("batch_mixed")),
            closed(Projection::BatchMixed, line)
        );
    }

    let ascent = |max_step: &str| {
        read(&format!(
            r#"{{"max_step":{max_step},"projection":"batch_mixed","range":"segment",{common}}}"#
        ))
    };
    let expected = Ascent {
        norm: NegativeNorm::Unit,
        ..Ascent::default()
    };
    assert_eq!(
        ascent(r#"{"kind":"ascent"}"#),
        Ok(Hardening::Ascent(expected))
    );
    assert_eq!(
        ascent(r#"{"kind":"ascent","steps":2,"step_size":0.25,"within":{"kind":"line"}}"#),
        Ok(Hardening::Ascent(Ascent {
            steps: NonZeroUsize::new(2).expect("not 0"),
            step_size: Positive::literal(0.25),
            within: FeasibleSet::Line { range: segment },
            ..expected
        }))
    );
    assert_eq!(
        ascent(r#"{"kind":"ascent","within":{"kind":"ball","reach":0.5}}"#),
        Ok(Hardening::Ascent(Ascent {
            within: FeasibleSet::Ball {
                reach: Positive::literal(0.5)
            },
            ..expected
        }))
    );
}

#[test]
fn the_present_form_round_trips() {
    for hardening in [
        Hardening::default(),
        Hardening::official(),
        Hardening::Ascent(Ascent::default()),
        Hardening::Ascent(Ascent {
            within: FeasibleSet::Line {
                range: HardeningRange::Segment,
            },
            ..Ascent::default()
        }),
    ] {
        hardening.validate().expect("valid");
        let json = serde_json::to_string(&hardening).expect("serialisable");
        assert!(json.contains(r#""kind":"#), "{json}");
        assert_eq!(read(&json), Ok(hardening));
    }
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let closed = r#""projection":"per_sample","gradient":"detached","range":"line","norm":"as_is""#;
    for (json, part) in [
        (
            format!(r#"{{"kind":"closed_form",{closed},"steps":3}}"#),
            "'steps'",
        ),
        (format!(r#"{{"kind":"ascent",{closed}}}"#), "'projection'"),
        (r#"{"kind":"ascent","steps":0}"#.to_owned(), "nonzero"),
        (r#"{"kind":"ascent","step_size":-1.0}"#.to_owned(), "-1"),
        (
            r#"{"kind":"ascent","within":{"kind":"ball","reach":0.0}}"#.to_owned(),
            "(0, ∞)",
        ),
        (r#"{"kind":"ascent","step":3}"#.to_owned(), "step"),
        (
            r#"{"kind":"ascent","within":{"kind":"line","reach":1}}"#.to_owned(),
            "reach",
        ),
        (r#"{"projection":"per_sample"}"#.to_owned(), "'gradient'"),
        (
            format!(r#"{{"kind":"closed_form","max_step":{{"kind":"closed_form"}},{closed}}}"#),
            "max_step",
        ),
    ] {
        let error = read(&json).unwrap_err();
        assert!(error.contains(part), "{json}: {error}");
    }
    let segment = ClosedForm {
        range: HardeningRange::Segment,
        ..ClosedForm::official()
    };
    assert_eq!(segment.validate().unwrap_err().key(), "range");
}
