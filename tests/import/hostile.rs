//! Files that are damaged, lie about their lengths or would run a program are errors, and take no
//! more memory than a few times their size.

use std::path::Path;

use ithn::import::{ImportError, NamedTensors, UntraceableSizes, infer_official};
use zip::CompressionMethod;

use crate::torch_file::{Entry, Pickle, archive, legacy_file, write, zip_file};

fn read(folder: &Path, bytes: &[u8]) -> Result<NamedTensors, ImportError> {
    NamedTensors::read(&write(folder, "model.pth", bytes))
}

fn entries() -> [Entry; 2] {
    [
        Entry::float("a", "0", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        Entry::float("b", "1", &[3], &[5.0, 6.0, 7.0]),
    ]
}

#[test]
fn a_pickle_that_calls_a_program_runs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let marker = folder.path().join("ran");
    let command = format!("touch {}", marker.display());
    for (module, function) in [("os", "system"), ("posix", "system"), ("builtins", "exec")] {
        let call = |pickle: Pickle| {
            pickle
                .global(module, function)
                .op(b"(")
                .text(&command)
                .op(b"tR")
        };
        let root = call(Pickle::new()).op(b".").bytes();
        let inside = call(
            Pickle::new()
                .op(b"}(")
                .text("state_dict")
                .op(b"}(")
                .text("w"),
        )
        .op(b"uu.")
        .bytes();
        for pickle in [root, inside] {
            let zipped = archive(&pickle, &[], CompressionMethod::Stored);
            for bytes in [pickle, zipped] {
                // A call that is no tensor is left out; what matters is that nobody makes it.
                if let Ok(tensors) = read(folder.path(), &bytes) {
                    assert!(tensors.tensors.is_empty());
                }
                assert!(!marker.exists(), "{module}.{function} was called");
            }
        }
    }
}

#[test]
fn a_file_cut_short_anywhere_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    for whole in [zip_file(&entries()), legacy_file(&entries())] {
        assert!(read(folder.path(), &whole).is_ok());
        for length in 0..whole.len() {
            let error = read(folder.path(), &whole[..length]);
            assert!(error.is_err(), "{length} of {} bytes", whole.len());
        }
    }
}

#[test]
fn a_flipped_byte_never_panics() {
    let folder = tempfile::tempdir().expect("a folder");
    for whole in [zip_file(&entries()), legacy_file(&entries())] {
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 0x5a;
            drop(read(folder.path(), &bytes));
        }
    }
}

#[test]
fn tensors_larger_than_their_storage_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let four = [1.0, 2.0, 3.0, 4.0];
    let lies = [
        // More elements than the storage declares, than it has, than there is memory.
        Entry {
            shape: vec![3, 2],
            ..Entry::float("a", "0", &[2, 2], &four)
        },
        Entry {
            elements: 1 << 40,
            shape: vec![1 << 40],
            strides: vec![1],
            ..Entry::float("a", "0", &[4], &four)
        },
        Entry {
            elements: u64::MAX >> 2,
            ..Entry::float("a", "0", &[4], &four)
        },
        Entry {
            strides: vec![u64::MAX >> 2, 1],
            ..Entry::float("a", "0", &[2, 2], &four)
        },
    ];
    for (index, lie) in lies.iter().enumerate() {
        let legacy = read(folder.path(), &legacy_file(std::slice::from_ref(lie)));
        assert!(legacy.is_err(), "legacy, lie {index}");
        // An archive knows the length of its storages; there the declared count does not matter.
        if lie.shape != [4] {
            let zip = read(folder.path(), &zip_file(std::slice::from_ref(lie)));
            assert!(zip.is_err(), "archive, lie {index}");
        }
    }
}

#[test]
fn one_number_does_not_expand_to_gigabytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let expanded = Entry {
        shape: vec![1 << 10, 1 << 20],
        strides: vec![0, 0],
        ..Entry::float("a", "0", &[1], &[1.0])
    };
    let many: Vec<Entry> = ["a", "b", "c"]
        .map(|name| Entry {
            name: name.to_owned(),
            shape: vec![1 << 18],
            strides: vec![0],
            ..expanded.clone()
        })
        .to_vec();
    for entries in [vec![expanded], many] {
        for bytes in [zip_file(&entries), legacy_file(&entries)] {
            let error = read(folder.path(), &bytes).unwrap_err().to_string();
            assert!(error.contains("no plain checkpoint"), "{error}");
        }
    }
}

#[test]
fn archives_that_unpack_to_far_more_are_refused_unread() {
    let folder = tempfile::tempdir().expect("a folder");
    let nothing = vec![b'N'; 16 << 20];
    let bomb = archive(&nothing, &[], CompressionMethod::Deflated);
    assert!(bomb.len() < 1 << 17);
    let error = read(folder.path(), &bomb).unwrap_err().to_string();
    assert!(error.contains("no plain checkpoint"), "{error}");

    let long = archive(&nothing, &[], CompressionMethod::Stored);
    let error = read(folder.path(), &long).unwrap_err().to_string();
    assert!(error.contains("its pickle takes"), "{error}");

    let zeros = vec![0; 16 << 20];
    let pickle = Pickle::new().op(b"}.").bytes();
    let bomb = archive(&pickle, &[("0", &zeros)], CompressionMethod::Deflated);
    let error = read(folder.path(), &bomb).unwrap_err().to_string();
    assert!(error.contains("no plain checkpoint"), "{error}");
}

#[test]
fn sizes_that_nothing_backs_take_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let huge = 1 << 40;
    let empty = |name, shape: &[u64]| Entry::float(name, "0", shape, &[]);
    let entries = [
        Entry::float(
            "visual_extractor.model.0.weight",
            "1",
            &[1, 1, 1, 1],
            &[0.0],
        ),
        Entry::float("visual_extractor.model.4.0.conv1.weight", "1", &[1], &[0.0]),
        empty("encoder_decoder.att_embed.0.weight", &[huge, 0]),
        empty("encoder_decoder.memory_matrix", &[huge, 0]),
        empty("encoder_decoder.logit.weight", &[huge, 0]),
        empty(
            "encoder_decoder.model.encoder.layers.0.feed_forward.w_1.weight",
            &[huge, 0],
        ),
        empty("img_projection.linear1.weight", &[huge, 0]),
    ];
    let tensors = read(folder.path(), &zip_file(&entries)).expect("readable");
    let error = infer_official(&tensors, UntraceableSizes::default()).unwrap_err();
    assert!(matches!(error, ImportError::Unrecognised { .. }), "{error}");
}
