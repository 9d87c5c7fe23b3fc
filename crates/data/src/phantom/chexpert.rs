use std::collections::BTreeSet;

use super::findings::{FindingKind, PhantomFindings};

/// The 14 CheXpert classes, in the alphabetical order of `mimic-cxr-2.0.0-chexpert.csv`.
pub const CHEXPERT_CLASSES: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
];

/// A study's row of the label table, in the order of [`CHEXPERT_CLASSES`]: 1.0 positive, 0.0 negated
/// by the report, `None` (a blank cell) not mentioned.
///
/// `denied` are the kinds that the report negates, of [`read_report`](super::read_report). As in
/// CheXpert, `No Finding` is 1.0 or blank, and support devices do not count against it.
pub fn chexpert_labels(
    findings: &PhantomFindings,
    denied: &BTreeSet<FindingKind>,
) -> [Option<f32>; 14] {
    CHEXPERT_CLASSES.map(|class| {
        let in_class = |kind: &FindingKind| kind.chexpert_class() == class;
        if class == "No Finding" {
            let ill = findings
                .iter()
                .any(|f| f.kind().chexpert_class() != "Support Devices");
            (!ill).then_some(1.0)
        } else if findings.iter().any(|finding| in_class(&finding.kind())) {
            Some(1.0)
        } else {
            denied.iter().any(in_class).then_some(0.0)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::read_report;

    #[test]
    fn positive_denied_and_blank() {
        let reading = read_report(
            "there is a small left pleural effusion . no pneumothorax is seen . heart size is normal .",
        );
        let labels = chexpert_labels(&reading.findings, &reading.denied);
        let label = |class: &str| {
            labels[CHEXPERT_CLASSES
                .iter()
                .position(|name| *name == class)
                .unwrap()]
        };
        assert_eq!(label("Pleural Effusion"), Some(1.0));
        assert_eq!(label("Pneumothorax"), Some(0.0));
        assert_eq!(label("Cardiomegaly"), Some(0.0));
        assert_eq!(label("Edema"), None);
        assert_eq!(label("No Finding"), None);
    }
}
