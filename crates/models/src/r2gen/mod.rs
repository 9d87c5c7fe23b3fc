//! R2Gen: a Transformer whose decoder is steered by a relational memory.

mod conditional_norm;
mod decoder;
mod generator;
mod relational_memory;

pub use conditional_norm::ConditionalNorm;
pub use decoder::{MemoryDecoder, MemoryDecoderLayer};
pub use generator::{R2Gen, R2GenConfig, R2GenState};
pub use relational_memory::{RelationalMemory, RelationalMemoryConfig};
