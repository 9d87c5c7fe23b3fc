//! Cross-modal memory (R2GenCMN, ACL-IJCNLP 2021): image patches and report words look up the same
//! learned matrix, each head attending to only the best few of its rows.
//!
//! Keys and values depend on the matrix alone. [`CrossModalMemory::key_values`] projects them once per forward
//! pass in training and once per generation in inference. All samples, positions and decoding steps share them.
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! use ithn_memory::CrossModalMemoryConfig;
//!
//! let device = Device::default();
//! let memory = CrossModalMemoryConfig::new(64, 32, 4, 8).init(&device);
//! let patches = Tensor::<3>::random([2, 9, 32], Distribution::Default, &device);
//! let key_values = memory.key_values();
//! let enriched = patches.clone() + memory.respond(patches, &key_values);
//! assert_eq!(enriched.dims(), [2, 9, 32]);
//! ```
//!
//! The features `flex` (default, the CPU), `cuda`, `wgpu` and `ndarray` choose Burn's backends; without any, tensor
//! operations panic.

mod memory;

pub use memory::{CrossModalMemory, CrossModalMemoryConfig, MemoryKeyValues, MemoryLookup};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
