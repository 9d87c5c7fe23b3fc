//! Prefixes and entries that trainers and PyTorch's wrappers put around a model's names.

use ithn::import::NamedTensors;

use crate::torch_file::{Entry, write, zip_file, zip_file_under};

const OFFICIAL: [&str; 4] = [
    "encoder_decoder.model.encoder.layers.0.feed_forward.w_1.weight",
    "img_projection.linear1.weight",
    "temp_1",
    "visual_extractor.model.0.weight",
];

const TORCHVISION: [&str; 5] = [
    "bn1.running_mean",
    "conv1.weight",
    "fc.weight",
    "layer1.0.conv1.weight",
    "layer4.2.downsample.0.weight",
];

fn entries<S: AsRef<str>>(names: &[S]) -> Vec<Entry> {
    names
        .iter()
        .map(|name| Entry::float(name.as_ref(), "0", &[1], &[1.0]))
        .collect()
}

fn prefixed(prefix: &str, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{prefix}{name}")).collect()
}

/// The names, in order, that a file of these bytes is read under.
fn names(bytes: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let tensors = NamedTensors::read(&write(folder.path(), "model.pth", bytes));
    tensors.expect("readable").tensors.into_keys().collect()
}

#[test]
fn every_wrapper_and_combination_is_stripped() {
    for prefix in [
        "",
        "module.",
        "_orig_mod.",
        "model.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model._orig_mod.",
        "model.module.",
        "_orig_mod.model.",
        "model._orig_mod.module.",
        "module.model._orig_mod.",
        "model.model.",
    ] {
        for bare in [&OFFICIAL[..], &TORCHVISION[..]] {
            let wrapped = entries(&prefixed(prefix, bare));
            assert_eq!(names(&zip_file(&wrapped)), bare, "{prefix}");
            let at_root = zip_file_under(&[], &wrapped, &[]);
            assert_eq!(names(&at_root), bare, "{prefix} at the root");
        }
    }
}

#[test]
fn safetensors_are_stripped_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let header = r#"{"model._orig_mod.temp_1":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(2.5f32.to_le_bytes());
    let path = write(folder.path(), "model.safetensors", &bytes);
    let tensors = NamedTensors::read(&path).expect("readable").tensors;
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["temp_1"]);
    assert_eq!(tensors["temp_1"].iter::<f32>().collect::<Vec<_>>(), [2.5]);
}

#[test]
fn the_model_is_found_in_nested_entries_and_the_rest_left_out() {
    let optimizer = entries(&["exp_avg"]);
    for path in [
        &["state_dict"][..],
        &["model_state_dict"],
        &["model"],
        &["model", "state_dict"],
        &["state_dict", "model"],
        &["model_state_dict", "model"],
        &["state_dict", "state_dict"],
    ] {
        for prefix in ["", "module.", "model._orig_mod."] {
            let state = entries(&prefixed(prefix, &OFFICIAL));
            let found = names(&zip_file_under(path, &state, &optimizer));
            assert_eq!(found, OFFICIAL, "{path:?} {prefix}");
        }
    }
    // Under `model` also names that no importer knows.
    let found = names(&zip_file_under(
        &["model"],
        &entries(&["a", "b"]),
        &optimizer,
    ));
    assert_eq!(found, ["a", "b"]);
}

#[test]
fn names_of_an_unknown_model_lose_only_what_wrappers_write() {
    for (found, expected) in [
        (["module.a", "module.b"], ["a", "b"]),
        (["_orig_mod.module.a", "_orig_mod.module.b"], ["a", "b"]),
        (["module.a", "module.module.b"], ["a", "module.b"]),
        (["b", "module.a"], ["b", "module.a"]),
        (["_orig_mod.a", "module.b"], ["_orig_mod.a", "module.b"]),
        (["model.a", "model.b"], ["model.a", "model.b"]),
        (["module.model.a", "module.model.b"], ["model.a", "model.b"]),
    ] {
        assert_eq!(names(&zip_file(&entries(&found))), expected);
    }
}

#[test]
fn parameters_named_model_are_not_mangled() {
    // An attribute `model` of a known part, of an unknown network, and beside known names.
    for kept in [
        &["model.0.weight", "model.4.0.conv1.weight"][..],
        &[
            "model.conv1.weight",
            "model.conv2.weight",
            "model.fc1.weight",
        ],
        &["model.temp_1", "visual_extractor.model.0.weight"],
        &[
            "conv1.weight",
            "layer1.0.conv1.weight",
            "model.conv1.weight",
        ],
    ] {
        assert_eq!(names(&zip_file(&entries(kept))), kept);
        assert_eq!(names(&zip_file_under(&[], &entries(kept), &[])), kept);
    }
}

#[test]
fn names_outside_the_wrapper_stay_and_hide_nothing() {
    let with_loss = ["criterion.weight", "model.temp_1", "model.temp_3"];
    let found = names(&zip_file(&entries(&with_loss)));
    assert_eq!(found, ["criterion.weight", "temp_1", "temp_3"]);

    // Two wrappers with a model each: neither is the one.
    let two = ["model.temp_1", "module.temp_1"];
    assert_eq!(names(&zip_file(&entries(&two))), two);

    // Stripping would put one tensor over another.
    let same = ["a", "model.a", "model.temp_1", "model.temp_3"];
    assert_eq!(names(&zip_file(&entries(&same))), same);
}
