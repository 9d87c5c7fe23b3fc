//! Whatever stands in a file from outside, reading and scoring it gives a result or an error: no
//! panic, and no more memory than the file is worth. See `ithn_fuzzing` for what is tried.

mod formats;
mod labels;
mod meteor;
mod studies;

use std::path::Path;

use ithn_fuzzing::{CountedMemory, Target};

#[global_allocator]
static MEMORY: CountedMemory = CountedMemory;

/// Bytes that reading a table or a text may take.
const LITTLE: usize = 16 << 20;

/// A target of this crate, checksums left as they are.
fn target<'a>(name: &'a str, file: &'a str, seeds: &[&str], words: &'a [&'a str]) -> Target<'a> {
    Target {
        name,
        file,
        seeds: seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(),
        words,
        mend: None,
        corpus: Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus")),
        memory: LITTLE,
    }
}
