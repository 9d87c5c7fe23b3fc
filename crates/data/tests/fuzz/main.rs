//! Whatever stands in a file from outside, reading it gives a result or an error: no panic, and no
//! more memory than the file is worth. See `ithn_fuzzing` for what is tried and for how long.

mod derived;
mod images;
mod indiana;
mod mimic;
#[path = "../sound/mod.rs"]
mod sound;
mod text;

use std::path::Path;

use ithn_fuzzing::{CountedMemory, Target};

#[global_allocator]
static MEMORY: CountedMemory = CountedMemory;

/// Bytes that reading a table or a text may take.
const LITTLE: usize = 16 << 20;

/// A target whose file is a text.
fn text_target<'a>(
    name: &'a str,
    file: &'a str,
    seeds: Vec<Vec<u8>>,
    words: &'a [&'a str],
) -> Target<'a> {
    Target {
        name,
        file,
        seeds,
        words,
        mend: None,
        corpus: Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus")),
        memory: LITTLE,
    }
}
