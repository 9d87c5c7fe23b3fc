use ithn_alignment::{TemperatureConfig, TemperatureTraining};
use ithn_negatives::{ClosedForm, HardeningRange};
use serde_json::{Value, json};

use crate::{IthnConfig, SamePatient};

/// The keys of files written before `hold_report_states` and `mask_equal_reports`.
fn earliest() -> Value {
    json!({
        "projection_width": 512,
        "text_path": "with_image",
        "pooling": "all_positions",
        "hardening": {
            "projection": "batch_mixed",
            "gradient": "through",
            "range": "line",
            "norm": "as_is"
        },
        "placement": "diagonal_penalty",
        "temperatures": {
            "pairs": TemperatureConfig::default().pairs,
            "hardened": TemperatureConfig::default().hardened,
            "training": { "mode": "learned" }
        },
        "weights": { "language": 0.7, "contrastive": 0.1, "separation": 0.2 }
    })
}

#[test]
fn options_absent_in_earlier_files_are_off() {
    let read: IthnConfig = serde_json::from_value(earliest()).expect("readable");
    assert_eq!(read, IthnConfig::official());
    assert!(!read.hold_report_states && !read.mask_equal_reports && !read.mask_equal_labels);
    assert_eq!(read.same_patient, SamePatient::Ordinary);
}

#[test]
fn configurations_round_trip_and_the_new_ones_mask_equal_reports() {
    assert!(IthnConfig::default().mask_equal_reports);
    assert_eq!(IthnConfig::default().same_patient, SamePatient::Masked);
    for config in [IthnConfig::default(), IthnConfig::official()] {
        config.validate().expect("valid");
        let json = serde_json::to_value(&config).expect("serialisable");
        let read: IthnConfig = serde_json::from_value(json).expect("readable");
        assert_eq!(read, config);
    }
}

#[test]
fn unknown_keys_and_impossible_numbers_are_refused_by_name() {
    for (pointer, value, part) in [
        ("/hold_reports", json!(true), "hold_reports"),
        ("/weights/languages", json!(1.0), "languages"),
        ("/weights/language", json!(-1.0), "-1"),
        ("/temperatures/pair", json!(1.0), "pair"),
        ("/hardening/max_steps", json!(3), "max_steps"),
        ("/hardening/kind", json!("ascent"), "'projection'"),
    ] {
        let mut json = earliest();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        json.pointer_mut(parent).expect("a key of the file")[key] = value;
        let error = serde_json::from_value::<IthnConfig>(json).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn what_cannot_work_is_refused_by_key() {
    let key = |change: &dyn Fn(&mut IthnConfig)| {
        let mut config = IthnConfig::default();
        change(&mut config);
        config.validate().unwrap_err().key().to_owned()
    };
    assert_eq!(
        key(&|config| config.projection_width = 0),
        "projection_width"
    );
    assert_eq!(
        key(&|config| {
            config.temperatures.training = TemperatureTraining::Clamped {
                lowest: 3.0,
                highest: 1.0,
            };
        }),
        "temperatures.training.highest"
    );
    assert_eq!(
        key(&|config| {
            config.hardening = ClosedForm::official()
                .with_range(HardeningRange::Segment)
                .into();
        }),
        "hardening.range"
    );
}
