use std::io;

use serde::{Deserialize, Serialize};

/// The 14 observations in CheXbert's order. Other tools order the same names differently: go by name.
pub const OBSERVATIONS: [&str; 14] = [
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
];

/// What a report says about an observation, in the order of CheXbert's classes.
///
/// CheXbert's CSV files count differently: there 0 is negative, here class 0 is blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Not mentioned.
    Blank,
    /// Present.
    Positive,
    /// Absent.
    Negative,
    /// Possibly present.
    Uncertain,
}

impl Label {
    /// All labels, in the order of their classes.
    pub const ALL: [Self; 4] = [Self::Blank, Self::Positive, Self::Negative, Self::Uncertain];

    /// CheXbert's class, from 0 to 3.
    pub const fn class(self) -> u8 {
        self as u8
    }

    /// The number in CheXbert's CSV files: 1, 0 or −1, and `None` for blank.
    pub const fn code(self) -> Option<i8> {
        match self {
            Self::Blank => None,
            Self::Positive => Some(1),
            Self::Negative => Some(0),
            Self::Uncertain => Some(-1),
        }
    }
}

/// Labels of a report, in the order of [`OBSERVATIONS`]. No Finding is blank or positive.
pub type Labels = [Label; OBSERVATIONS.len()];

/// Header of the column of reports in CheXbert's CSV files.
const REPORT: &str = "Report Impression";

/// Writes reports and labels as CheXbert's label script does: a column with a blank holds `1.0`, `0.0`,
/// `-1.0` and nothing, one without holds `1`, `0` and `-1`.
///
/// # Errors
///
/// If the writer fails.
///
/// # Panics
///
/// If there are not as many reports as labels.
pub fn write_labels<S: AsRef<str>>(
    writer: impl io::Write,
    reports: &[S],
    labels: &[Labels],
) -> io::Result<()> {
    assert_eq!(reports.len(), labels.len(), "labels for every report");
    let has_blank: [bool; OBSERVATIONS.len()] =
        std::array::from_fn(|at| labels.iter().any(|labels| labels[at] == Label::Blank));
    let mut table = csv::Writer::from_writer(writer);
    table.write_record([REPORT].iter().chain(&OBSERVATIONS))?;
    for (report, labels) in reports.iter().zip(labels) {
        table.write_field(report.as_ref())?;
        for (label, has_blank) in labels.iter().zip(has_blank) {
            table.write_field(cell(*label, has_blank))?;
        }
        table.write_record(None::<&[u8]>)?;
    }
    table.flush()
}

fn cell(label: Label, has_blank: bool) -> String {
    match label.code() {
        None => String::new(),
        Some(code) if has_blank => format!("{code}.0"),
        Some(code) => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_with_blanks_hold_decimals() {
        let mut first = [Label::Blank; 14];
        first[0] = Label::Uncertain;
        first[13] = Label::Positive;
        let mut second = first;
        second[1] = Label::Negative;
        let mut file = Vec::new();
        write_labels(&mut file, &["a, b", "\"c\"\n"], &[first, second]).unwrap();
        let lines = String::from_utf8(file).unwrap();
        assert!(lines.starts_with("Report Impression,Enlarged Cardiomediastinum,Cardiomegaly,"));
        assert!(lines.contains("\n\"a, b\",-1,,,,,,,,,,,,,1\n"));
        assert!(lines.ends_with("\n\"\"\"c\"\"\n\",-1,0.0,,,,,,,,,,,,1\n"));
    }
}
