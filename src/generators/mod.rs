//! Report generators that come with the library.

mod evidence;
mod r2gen_cmn;

pub use evidence::{ExplainReports, ReportEvidence};
pub use r2gen_cmn::{EncodedStudy, R2GenCmn, R2GenCmnConfig, WritingState};
