//! The official checkpoint of the fixtures, into a checkpoint of this library and back.

use std::path::PathBuf;

use burn::tensor::TensorData;
use ithn::checkpoint::Checkpoint;
use ithn::config::Preset;
use ithn::import::{
    ImportError, NamedTensors, UntraceableSizes, checkpoint_of_official, export_official,
};
use ithn_data::Tokenizer;

const SIZES: UntraceableSizes = UntraceableSizes::new(4, 6);

fn source() -> NamedTensors {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/small_ckpt/ithn_small.pth");
    NamedTensors::read(&file).expect("an official checkpoint")
}

fn import(tensors: &NamedTensors) -> Result<Checkpoint, ImportError> {
    let base = Preset::OfficialMimicCxr.config();
    let tokenizer = Tokenizer::numbered(24, base.text.cleaning);
    checkpoint_of_official(tensors, SIZES, base, tokenizer)
}

fn is_repeated_or_recomputed(name: &str) -> bool {
    name.ends_with(".pe")
        || name.ends_with(".num_batches_tracked")
        || name.starts_with("encoder_decoder.model.cmn.")
}

#[test]
fn there_and_back_no_bit_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = source();
    let checkpoint = folder.path().join("small.ithn");
    import(&source)
        .expect("importable")
        .save_as(&checkpoint)
        .expect("saved");

    let exported = folder.path().join("small.safetensors");
    let read = Checkpoint::load(&checkpoint).expect("readable");
    export_official(&read, &exported).expect("exported");
    let back = NamedTensors::read(&exported).expect("readable").tensors;

    let kept: Vec<&String> = source
        .tensors
        .keys()
        .filter(|name| !is_repeated_or_recomputed(name))
        .collect();
    assert_eq!(back.keys().collect::<Vec<_>>(), kept);
    assert!(kept.iter().any(|name| name.ends_with(".running_var")));
    for name in kept {
        let (there, here) = (&source.tensors[name], &back[name]);
        assert_eq!(there.shape(), here.shape(), "{name}");
        assert_eq!(there.as_bytes(), here.as_bytes(), "{name}");
    }
    // What was exported is an official state itself.
    assert!(import(&NamedTensors::read(&exported).expect("readable")).is_ok());
}

#[test]
fn a_state_that_does_not_fit_lists_every_name() {
    let mut tensors = source();
    let logit = "encoder_decoder.logit.bias";
    let norm = "visual_extractor.model.1.bias";
    tensors.tensors.remove(logit);
    let data = TensorData::new(vec![0.0f32; 3], [3]);
    tensors.tensors.insert(norm.to_owned(), data.clone());
    tensors
        .tensors
        .insert("encoder_decoder.extra".to_owned(), data);
    let Err(error) = import(&tensors) else {
        panic!("it does not fit")
    };
    let ImportError::Mismatch {
        missing,
        misshapen,
        unlisted,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(missing, &[logit]);
    assert_eq!(misshapen.len(), 1);
    assert_eq!(unlisted, &["encoder_decoder.extra"]);
    let message = error.to_string();
    for part in [logit, norm, "[3] in the file, [8] in the model", "extra"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn whole_numbers_are_no_weights() {
    let mut tensors = source();
    let name = "encoder_decoder.logit.bias";
    let data = TensorData::new(vec![1i64; 24], [24]);
    tensors.tensors.insert(name.to_owned(), data);
    let message = import(&tensors).unwrap_err().to_string();
    assert!(message.contains("[24] integers in the file"), "{message}");
}

#[test]
fn the_two_names_of_the_memory_must_agree() {
    let mut tensors = source();
    let name = "encoder_decoder.model.cmn.linears.0.bias";
    let other = TensorData::new(vec![0.5f32; 32], [32]);
    let former = tensors.tensors.insert(name.to_owned(), other);
    assert!(former.is_some());
    let error = import(&tensors).unwrap_err();
    assert!(
        matches!(&error, ImportError::TornTwin { second, .. } if second == name),
        "{error}"
    );
}

#[test]
fn a_vocabulary_of_another_size_is_refused() {
    let base = Preset::OfficialMimicCxr.config();
    let tokenizer = Tokenizer::numbered(25, base.text.cleaning);
    let error = checkpoint_of_official(&source(), SIZES, base, tokenizer).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("24 logits, but the vocabulary has 24 words"),
        "{message}"
    );
}
