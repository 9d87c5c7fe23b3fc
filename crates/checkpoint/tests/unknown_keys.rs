//! Every object of a configuration refuses a key that it does not have.

use ithn_checkpoint::config::{ExperimentConfig, GeneratorKind, Preset};
use ithn_models::config::from_value;
use serde_json::{Value, json};

/// Every variant of every tagged enum of the configuration, at its place. What the presets use is
/// covered besides.
fn variants() -> Vec<(&'static str, Value)> {
    let beam = json!({ "method": "beam", "width": 2 });
    let with_penalty =
        |penalty: Value| json!({ "method": "beam", "width": 2, "length_penalty": penalty });
    let earlier_hardening = |max_step: Value| {
        json!({
            "projection": "per_sample", "gradient": "detached", "range": "line", "norm": "as_is",
            "max_step": max_step,
        })
    };
    let ball = json!({ "kind": "ball", "reach": 1.0 });
    vec![
        ("/ithn/temperatures/training", json!({ "mode": "learned" })),
        ("/ithn/temperatures/training", json!({ "mode": "fixed" })),
        (
            "/ithn/temperatures/training",
            json!({ "mode": "clamped", "lowest": 0.0, "highest": 1.0 }),
        ),
        ("/ithn/hardening", json!({ "kind": "ascent" })),
        (
            "/ithn/hardening",
            json!({ "kind": "ascent", "within": ball }),
        ),
        (
            "/ithn/hardening",
            json!({ "kind": "ascent", "within": { "kind": "line" } }),
        ),
        (
            "/ithn/hardening",
            earlier_hardening(json!({ "kind": "closed_form" })),
        ),
        (
            "/ithn/hardening",
            earlier_hardening(json!({ "kind": "ascent" })),
        ),
        ("/hardness", json!({ "kind": "per_epoch", "alpha": 0.01 })),
        (
            "/hardness",
            json!({ "kind": "fraction_of_training", "from": 0.1, "to": 0.5, "hardness": 0.5 }),
        ),
        ("/hardness", json!({ "kind": "constant", "hardness": 0.5 })),
        (
            "/training/optimizer/schedule",
            json!({ "kind": "constant" }),
        ),
        (
            "/training/optimizer/schedule",
            json!({ "kind": "step", "every_epochs": 1, "factor": 0.5 }),
        ),
        (
            "/training/optimizer/schedule",
            json!({ "kind": "cosine", "floor": 0.0 }),
        ),
        (
            "/training/optimizer/schedule",
            json!({ "kind": "one_cycle", "rise": 0.3, "start": 0.04, "end": 0.0 }),
        ),
        ("/training/guards/non_finite", json!({ "kind": "stop" })),
        (
            "/training/guards/non_finite",
            json!({ "kind": "skip", "at_most": 1 }),
        ),
        ("/images/augmentation", json!({ "kind": "none" })),
        (
            "/images/augmentation",
            json!({ "kind": "random_crop", "shorter_side": 64, "horizontal_flip": false }),
        ),
        (
            "/images/augmentation",
            json!({
                "kind": "jitter", "rotation": 10.0, "scale": 0.1, "shift": 0.1, "contrast": 0.1,
                "brightness": 0.1,
            }),
        ),
        (
            "/model/generator/backbone",
            json!({
                "kind": "densenet", "growth": 4, "depths": [1], "width": 8, "bottleneck": 4,
                "pixels": "radiograph",
            }),
        ),
        (
            "/model/generator",
            json!({ "kind": "custom", "name": "mine", "sizes": null }),
        ),
        ("/decoding/strategy", json!({ "method": "greedy" })),
        ("/decoding/strategy", beam),
        (
            "/decoding/strategy",
            json!({ "method": "sampling", "temperature": 1.0, "seed": 1 }),
        ),
        (
            "/decoding/strategy",
            json!({
                "method": "diverse_beam", "groups": 2, "width_per_group": 1, "diversity": 0.5,
                "temperature": { "value": 1.0 },
            }),
        ),
        (
            "/decoding/strategy",
            with_penalty(json!({ "kind": "none" })),
        ),
        (
            "/decoding/strategy",
            with_penalty(json!({ "kind": "average" })),
        ),
        (
            "/decoding/strategy",
            with_penalty(json!({ "kind": "wu", "exponent": 1.0 })),
        ),
        ("/decoding/repetition", json!({ "rule": "allow" })),
        (
            "/decoding/repetition",
            json!({ "rule": "block_ngrams", "n": 3 }),
        ),
        (
            "/decoding/repetition",
            json!({ "rule": "penalise_ngrams", "n": 3, "cost": 1.0 }),
        ),
    ]
}

/// JSON pointers of every object.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    if let Value::Object(fields) = value {
        found.push(at.to_owned());
        for (key, child) in fields {
            objects(child, &format!("{at}/{key}"), found);
        }
    }
}

/// Adds a key to each object of `config` in turn; each result must be refused by that key's name.
fn refuses_unknown_keys(config: &Value) {
    let read = from_value::<ExperimentConfig>(config.clone());
    read.unwrap_or_else(|error| panic!("{error} in {config}"));
    let mut places = Vec::new();
    objects(config, "", &mut places);
    assert!(places.len() > 10, "{places:?}");
    for place in places {
        let mut longer = config.clone();
        longer.pointer_mut(&place).expect("it is there")["unheard_of"] = json!(1);
        let error = from_value::<ExperimentConfig>(longer)
            .expect_err(&format!("{place} takes any key"))
            .to_string();
        assert!(error.contains("unheard_of"), "{place}: {error}");
    }
}

#[test]
fn every_preset_and_generator_refuses_unknown_keys() {
    for (_, preset) in Preset::NAMES {
        for kind in GeneratorKind::ALL {
            let config = preset.config().with_generator(kind);
            refuses_unknown_keys(&serde_json::to_value(config).expect("JSON"));
        }
    }
}

#[test]
fn every_variant_refuses_unknown_keys() {
    for (place, variant) in variants() {
        let mut config = serde_json::to_value(Preset::Phantom.config()).expect("JSON");
        let (parent, key) = place.rsplit_once('/').expect("a pointer has a slash");
        config.pointer_mut(parent).expect("it is there")[key] = variant;
        refuses_unknown_keys(&config);
    }
}
