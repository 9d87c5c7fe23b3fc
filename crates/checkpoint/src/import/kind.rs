//! What a file of weights is, by its first bytes: its ending tells nothing reliable.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes that decide: up to the magic of a tar archive, the last one.
const OPENING: u64 = 262;

/// Longest header that the safetensors format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// Where a tar archive has its magic.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// First bytes of a pickle: the protocol from 2 on, otherwise the opcode of a container.
const PICKLE: [u8; 4] = *b"\x80(}]";

/// The number that begins a legacy file, as protocols 0 and 1 write it.
const LEGACY_MAGIC: &[u8] = b"L119547037146038801333356";

/// Other files that are taken for weights, by how they begin.
const OTHERS: [(&[u8], &str); 11] = [
    (
        b"version https://git-lfs",
        "is a Git LFS pointer: get the file itself with `git lfs pull`",
    ),
    (
        b"<",
        "is an HTML or XML page: the download gave a page instead of the file",
    ),
    (b"{", "is JSON text"),
    (b"\x1f\x8b", "is compressed with gzip: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it first"),
    (b"Rar!", "is a RAR archive: unpack it first"),
    (
        b"\x89HDF",
        "is an HDF5 file (Keras): save the PyTorch weights",
    ),
    (b"GGUF", "is a GGUF file: save the PyTorch weights"),
    (b"\x93NUMPY", "is a NumPy array: save the PyTorch weights"),
    (b"\x08", "looks like ONNX: save the PyTorch weights"),
    (b"ITHNCKPT", "is a checkpoint of this library already"),
];

/// A format that weights are read from, or what the file is otherwise.
pub(super) enum FileKind {
    /// A zip or tar archive or a pickle.
    PyTorch,
    Safetensors,
    /// Continues "the file …".
    Other(String),
}

/// Reads the kind off the beginning of a file.
pub(super) fn kind_of(path: &Path) -> std::io::Result<FileKind> {
    let mut opening = Vec::new();
    File::open(path)?.take(OPENING).read_to_end(&mut opening)?;
    Ok(kind_of_bytes(&opening))
}

fn kind_of_bytes(opening: &[u8]) -> FileKind {
    // Before pickles: the length of a safetensors header may begin as they do.
    if is_safetensors(opening) {
        return FileKind::Safetensors;
    }
    let is_archive = opening.starts_with(b"PK\x03\x04")
        || opening.starts_with(b"PK\x05\x06")
        || opening.get(TAR_MAGIC) == Some(b"ustar");
    let is_pickle = opening.first().is_some_and(|first| PICKLE.contains(first));
    if is_archive || is_pickle || opening.starts_with(LEGACY_MAGIC) {
        return FileKind::PyTorch;
    }
    FileKind::Other(description(opening))
}

/// A length of eight bytes and the brace of the header.
fn is_safetensors(opening: &[u8]) -> bool {
    let length = opening.first_chunk::<8>().copied().map(u64::from_le_bytes);
    length.is_some_and(|length| length <= LONGEST_HEADER) && opening.get(8) == Some(&b'{')
}

fn description(opening: &[u8]) -> String {
    if opening.is_empty() {
        return "is empty".to_owned();
    }
    let text = opening.trim_ascii_start();
    let other = OTHERS
        .iter()
        .find(|(magic, _)| opening.starts_with(magic) || text.starts_with(magic));
    if let Some((_, description)) = other {
        return (*description).to_owned();
    }
    if opening
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
    {
        return "is text".to_owned();
    }
    let bytes: Vec<String> = opening
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "is of no known format (its first bytes are {})",
        bytes.join(" ")
    )
}
