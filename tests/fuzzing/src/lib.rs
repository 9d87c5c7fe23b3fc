//! Fuzzes parsers with altered files: any input gives a result or an error, never a panic, and
//! never takes more memory than it is worth.
//!
//! A test names a [`Target`]: sound files, words of their format, and a bound on memory. The target
//! feeds a parser the sound files, every file in its corpus folder (what once was found), and
//! alterations that are the same everywhere:
//!
//! | variable | what it does |
//! |---|---|
//! | `ITHN_MUTATIONS=n` | alterations of each target (default: few, for the gate) |
//! | `ITHN_FUZZ_SECONDS=s` | as many as `s` seconds allow, progress printed on standard error |
//!
//! An input that fails is kept in a file that the message names; copied into the corpus folder, it is
//! tried for ever. Stable Rust, no coverage: cargo-fuzz needs nightly.
//!
//! The test binary counts its memory with
//!
//! ```
//! #[global_allocator]
//! static MEMORY: ithn_fuzzing::CountedMemory = ithn_fuzzing::CountedMemory;
//! ```

mod alter;
mod memory;
mod random;
mod target;

pub use alter::Alter;
pub use memory::CountedMemory;
pub use random::Random;
pub use target::Target;
