//! Writes `.pth` files as `torch.save` does, and as it never would.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A tensor as a pickle describes it; its bytes need not keep what the numbers promise.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    /// `Float`, `Half`, `BFloat16`, `Double`, `Long`.
    pub storage: &'static str,
    /// Key of its storage; tensors with the same key share it.
    pub key: &'static str,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
    /// Elements that the storage is said to have.
    pub elements: u64,
    pub bytes: Vec<u8>,
}

impl Entry {
    /// Single-precision values in rows.
    pub fn float(name: &str, key: &'static str, shape: &[u64], values: &[f32]) -> Self {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Entry::of(name, "Float", key, shape, values.len(), bytes)
    }

    pub fn of(
        name: &str,
        storage: &'static str,
        key: &'static str,
        shape: &[u64],
        elements: usize,
        bytes: Vec<u8>,
    ) -> Self {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        Entry {
            name: name.to_owned(),
            storage,
            key,
            shape: shape.to_vec(),
            strides,
            elements: elements as u64,
            bytes,
        }
    }
}

/// A pickle of protocol 2, opcode by opcode.
#[derive(Default)]
pub struct Pickle(Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Pickle(vec![0x80, 2])
    }

    pub fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.op(b"X").op(&length).op(text.as_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    /// A `LONG1`, which holds any size.
    pub fn int(self, value: u64) -> Self {
        let bytes = value.to_le_bytes();
        self.op(&[0x8a, 9]).op(&bytes).op(&[0])
    }

    fn ints(self, values: &[u64]) -> Self {
        values
            .iter()
            .fold(self.op(b"("), |pickle, &value| pickle.int(value))
            .op(b"t")
    }

    fn tensor(self, entry: &Entry, legacy: bool) -> Self {
        let storage = format!("{}Storage", entry.storage);
        let id = self
            .global("torch._utils", "_rebuild_tensor_v2")
            .op(b"((")
            .text("storage")
            .global("torch", &storage)
            .text(entry.key)
            .text("cpu")
            .int(entry.elements);
        // Only the legacy format ends the identifier with a view.
        let id = if legacy { id.op(b"N") } else { id };
        id.op(b"tQ")
            .int(0)
            .ints(&entry.shape)
            .ints(&entry.strides)
            .op(&[0x89])
            .global("collections", "OrderedDict")
            .op(b")RtR")
    }

    /// Dictionaries in one another under the keys `path`, the tensors in the innermost and those of
    /// `beside` in the outermost.
    fn state(path: &[&str], entries: &[Entry], beside: &[Entry], legacy: bool) -> Self {
        let add = |pickle: Pickle, entries: &[Entry]| {
            entries.iter().fold(pickle, |pickle, entry| {
                pickle.text(&entry.name).tensor(entry, legacy)
            })
        };
        let opened = path
            .iter()
            .fold(add(Pickle::new().op(b"}("), beside), |pickle, key| {
                pickle.text("epoch").int(60).text(key).op(b"}(")
            });
        path.iter()
            .fold(add(opened, entries), |pickle, _| {
                let score = 0.25f64.to_be_bytes();
                pickle.op(b"u").text("monitor_best").op(b"G").op(&score)
            })
            .op(b"u.")
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// An archive with this pickle and these storages.
pub fn archive(pickle: &[u8], storages: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let mut add = |name: String, bytes: &[u8]| {
        zip.start_file(name, options).expect("an entry");
        zip.write_all(bytes).expect("written");
    };
    add("archive/data.pkl".to_owned(), pickle);
    add("archive/version".to_owned(), b"3\n");
    for (key, bytes) in storages {
        add(format!("archive/data/{key}"), bytes);
    }
    zip.finish().expect("an archive").into_inner()
}

/// What `torch.save` writes since 1.6.
pub fn zip_file(entries: &[Entry]) -> Vec<u8> {
    zip_file_under(&["state_dict"], entries, &[])
}

/// The same with the state under other keys, or none, and more tensors at the root.
pub fn zip_file_under(path: &[&str], entries: &[Entry], beside: &[Entry]) -> Vec<u8> {
    let pickle = Pickle::state(path, entries, beside, false).bytes();
    let all = [entries, beside].concat();
    archive(&pickle, &storages(&all), CompressionMethod::Stored)
}

/// What it wrote before, and writes with `_use_new_zipfile_serialization=False`.
pub fn legacy_file(entries: &[Entry]) -> Vec<u8> {
    let magic = 0x1950_a86a_20f9_469c_fc6c_u128.to_le_bytes();
    let mut file = Pickle::new()
        .op(&[0x8a, 10])
        .op(&magic[..10])
        .op(b".")
        .bytes();
    file.extend(Pickle::new().op(b"M\xe9\x03.").bytes());
    let system = Pickle::new().op(b"}(").text("little_endian").op(&[0x88]);
    file.extend(system.op(b"u.").bytes());
    file.extend(Pickle::state(&["state_dict"], entries, &[], true).bytes());
    let storages = storages(entries);
    let keys = storages
        .iter()
        .fold(Pickle::new().op(b"]("), |pickle, (key, _)| pickle.text(key));
    file.extend(keys.op(b"e.").bytes());
    for (key, bytes) in storages {
        let elements = entries
            .iter()
            .find(|entry| entry.key == key)
            .map_or(0, |entry| entry.elements);
        file.extend(elements.to_le_bytes());
        file.extend(bytes);
    }
    file
}

/// Each storage once.
fn storages(entries: &[Entry]) -> Vec<(&str, &[u8])> {
    let mut storages: Vec<(&str, &[u8])> = Vec::new();
    for entry in entries {
        if !storages.iter().any(|(key, _)| *key == entry.key) {
            storages.push((entry.key, &entry.bytes));
        }
    }
    storages
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    // Some file systems sync a file that is written over, and tests write thousands.
    if path.exists() {
        std::fs::remove_file(&path).expect("removed");
    }
    std::fs::write(&path, bytes).expect("written");
    path
}
