//! The Indiana University chest X-ray collection, in the formats of Open-i and Kaggle.

mod tables;
mod xml;

use crate::context::Projection;
use crate::sections::ReportSections;

pub(crate) use tables::read_indiana_tables;
pub(crate) use xml::read_open_i_folder;

/// A study of the collection before its section and split are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndianaStudy {
    /// `CXR1` for the study with uid 1; a patient has one study.
    pub uid: String,
    /// Image files relative to the images folder; frontal views first where the projection is known.
    pub images: Vec<String>,
    /// Projection of each image, in the order of the images; empty if none is known.
    pub projections: Vec<Projection>,
    /// The report.
    pub sections: ReportSections,
}

impl IndianaStudy {
    /// R2Gen's id of the study, `CXR1_IM-0001`, from its first image; the uid if no name has a number.
    pub(crate) fn id(&self) -> String {
        let number = self.images.iter().find_map(|image| {
            let after = &image[image.find("IM-")? + 3..];
            let digits = after.chars().take_while(char::is_ascii_digit).count();
            (digits > 0).then(|| &after[..digits])
        });
        match number {
            Some(number) => format!("{}_IM-{number}", self.uid),
            None => self.uid.clone(),
        }
    }
}

/// Joins lines by one blank. Keeps double blanks within a line, as R2Gen's annotation does.
fn on_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_blanks_kept() {
        assert_eq!(
            on_one_line("  Clear.  Calm\r\n   and dry.\n"),
            "Clear.  Calm and dry."
        );
    }

    #[test]
    fn studies_are_called_as_r2gen_calls_them() {
        let study = |images: &[&str]| IndianaStudy {
            uid: "CXR7".to_owned(),
            images: images.iter().map(|&image| image.to_owned()).collect(),
            projections: Vec::new(),
            sections: ReportSections::default(),
        };
        assert_eq!(study(&["CXR7_1_IM-0001-3001.png"]).id(), "CXR7_IM-0001");
        assert_eq!(study(&["7_IM-2263-1001.dcm.png"]).id(), "CXR7_IM-2263");
        assert_eq!(study(&[]).id(), "CXR7");
    }
}
