//! Report generators that come with the library.

mod r2gen_cmn;

pub use r2gen_cmn::{EncodedStudy, R2GenCmn, R2GenCmnConfig, WritingState};
