//! The content decides what a file is, whatever its ending; other files are named for what they are.

use ithn::import::{ImportError, NamedTensors};

use crate::torch_file::{Entry, legacy_file, write, zip_file};

fn safetensors() -> Vec<u8> {
    // The header's length is 128, which is also how a pickle begins.
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let header = format!("{header:128}");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(1.0f32.to_le_bytes());
    bytes
}

#[test]
fn every_format_is_read_under_any_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    let entries = [Entry::float("a", "0", &[1], &[1.0])];
    for bytes in [zip_file(&entries), legacy_file(&entries), safetensors()] {
        for name in [
            "MODEL.PTH",
            "model.pth.tar",
            "last.ckpt",
            "model.pt",
            "pytorch_model.bin",
            "model.safetensors",
            "model",
        ] {
            let tensors = NamedTensors::read(&write(folder.path(), name, &bytes)).expect(name);
            assert_eq!(tensors.tensors.keys().collect::<Vec<_>>(), ["a"], "{name}");
        }
    }
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    for (bytes, found) in [
        (&b""[..], "is empty"),
        (b"\n<!DOCTYPE html>", "is an HTML or XML page"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
        (b"{\"a\": 1}", "is JSON text"),
        (b"conv1 of the network", "is text"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"ITHNCKPT\x02\0\0\0", "checkpoint of this library"),
        (b"\xff\xd8\xff\xe0", "its first bytes are ff d8 ff e0"),
    ] {
        for name in ["a.pth", "a.safetensors", "a"] {
            let error = NamedTensors::read(&write(folder.path(), name, bytes)).unwrap_err();
            assert!(matches!(error, ImportError::UnknownKind { .. }), "{error}");
            let message = error.to_string();
            let about = format!("{name} is not a readable PyTorch or safetensors file: it ");
            assert!(message.contains(&about), "{message}");
            assert!(message.contains(found), "{message}");
        }
    }
}

#[test]
fn a_missing_file_a_folder_and_a_foreign_archive_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().join("none.pth"), folder.path().to_owned()] {
        let error = NamedTensors::read(&path).unwrap_err();
        assert!(matches!(error, ImportError::Read { .. }), "{error}");
    }
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("arr_0.npy", options).expect("an entry");
    let bytes = zip.finish().expect("an archive").into_inner();
    let error = NamedTensors::read(&write(folder.path(), "a.pth", &bytes)).unwrap_err();
    assert!(error.to_string().contains("data.pkl"), "{error}");
}
