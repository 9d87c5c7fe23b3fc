//! Both formats of `.pth`, every type of number, names that share a storage.

use burn::tensor::DType;
use ithn::import::NamedTensors;

use crate::torch_file::{Entry, legacy_file, write, zip_file};

fn values(tensors: &NamedTensors, name: &str) -> Vec<f32> {
    tensors.tensors[name].iter::<f32>().collect()
}

fn entries() -> Vec<Entry> {
    let bytes = |values: &[u16]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let doubles = [0.1f64, -3.5]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    vec![
        Entry::float("matrix", "0", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        Entry::float("twin", "0", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        Entry {
            strides: vec![1, 3],
            ..Entry::float("transposed", "0", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        },
        Entry::float("scalar", "1", &[], &[2.5]),
        Entry::of("half", "Half", "2", &[2], 2, bytes(&[0x3c00, 0xc100])),
        Entry::of("brain", "BFloat16", "3", &[2], 2, bytes(&[0x3f80, 0xc020])),
        Entry::of("double", "Double", "4", &[2], 2, doubles),
        Entry::of("count", "Long", "5", &[], 1, 48i64.to_le_bytes().to_vec()),
    ]
}

#[test]
fn both_formats_hold_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [
        ("zip.pth", zip_file(&entries())),
        ("legacy.pth", legacy_file(&entries())),
    ] {
        let tensors = NamedTensors::read(&write(folder.path(), name, &bytes)).expect(name);
        assert_eq!(tensors.tensors.len(), 8, "{name}");
        assert_eq!(values(&tensors, "matrix"), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(tensors.tensors["twin"].shape().to_vec(), [3, 2]);
        assert_eq!(
            values(&tensors, "transposed"),
            [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
        );
        assert!(tensors.tensors["scalar"].shape().to_vec().is_empty());
        assert_eq!(values(&tensors, "scalar"), [2.5]);
        assert_eq!(values(&tensors, "half"), [1.0, -2.5]);
        assert_eq!(values(&tensors, "brain"), [1.0, -2.5]);
        assert_eq!(values(&tensors, "double"), [0.1, -3.5]);
        for name in ["scalar", "half", "brain", "double"] {
            assert_eq!(tensors.tensors[name].dtype(), DType::F32, "{name}");
        }
        assert_eq!(tensors.tensors["count"].dtype(), DType::I64);
    }
}
