use ithn_alignment::EqualReports;
use ithn_generator::{StudyBatch, TokenBatch};

/// A batch of studies to learn from.
#[derive(Debug, Clone)]
pub struct TrainingBatch {
    /// Films.
    pub studies: StudyBatch,
    /// Their reports, row by row.
    pub reports: TokenBatch,
    /// The first negative of each study (its negative before hardening), row by row, if training uses negatives.
    pub negatives: Option<NegativeBatch>,
}

/// The first negatives of a batch, row by row.
#[derive(Debug, Clone)]
pub struct NegativeBatch {
    /// Films of the negatives.
    pub studies: StudyBatch,
    /// Reports of the negatives.
    pub reports: TokenBatch,
    /// Reports of further mined negatives of each study, row by row, each batch one more of every study; mostly empty. Their
    /// images are not read, so they need [`TextPath::ReportAlone`](crate::TextPath::ReportAlone).
    pub more: Vec<TokenBatch>,
}

impl NegativeBatch {
    /// One negative for each study, and no further ones.
    pub fn new(studies: StudyBatch, reports: TokenBatch) -> Self {
        NegativeBatch {
            studies,
            reports,
            more: Vec::new(),
        }
    }
}

/// Compares all reports of a batch and of its negatives, word for word.
pub(crate) fn equal_reports(reports: &TokenBatch, negatives: &TokenBatch) -> EqualReports {
    EqualReports {
        studies: reports.same_report(),
        negatives: negatives.same_report(),
        own_negative: reports.same_report_as(negatives),
    }
}

/// Compares them by the findings that they state.
///
/// # Panics
///
/// If a batch has no sets of labels.
pub(crate) fn equal_labels(reports: &TokenBatch, negatives: &TokenBatch) -> EqualReports {
    const MISSING: &str =
        "masking equal labels needs TokenBatch::with_label_sets on reports and negatives";
    EqualReports {
        studies: reports.same_labels().expect(MISSING),
        negatives: negatives.same_labels().expect(MISSING),
        own_negative: reports.same_labels_as(negatives).expect(MISSING),
    }
}

/// Compares them by the patients whom they are about; `None` if a batch does not state them.
pub(crate) fn equal_patients(reports: &TokenBatch, negatives: &TokenBatch) -> Option<EqualReports> {
    Some(EqualReports {
        studies: reports.same_patient()?,
        negatives: negatives.same_patient()?,
        own_negative: reports.same_patient_as(negatives)?,
    })
}

/// Equal by either.
pub(crate) fn equal_by_either(one: EqualReports, other: EqualReports) -> EqualReports {
    EqualReports {
        studies: one.studies.bool_or(other.studies),
        negatives: one.negatives.bool_or(other.negatives),
        own_negative: one.own_negative.bool_or(other.own_negative),
    }
}
