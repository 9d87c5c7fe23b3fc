use std::io;
use std::path::Path;

use ithn_data::write_atomically;
use ithn_inference::Mark;
use serde::Serialize;

const SCRIPT: &str = concat!(include_str!("elements.js"), include_str!("evaluation.js"));

/// Content of the page of an evaluation: numbers of one or several systems, and studies to browse.
/// Sections without data are left out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EvaluationPage {
    /// Heading.
    pub title: String,
    /// What holds for all numbers: protocol, draws, signs.
    pub notes: Vec<String>,
    /// Names of the systems.
    pub systems: Vec<String>,
    /// The table.
    pub groups: Vec<NumberGroup>,
    /// Tests of systems against one another.
    pub pairs: Vec<PairTable>,
    /// F1 class by class.
    pub classes: ClassBars,
    /// Studies, the worst first.
    pub studies: Vec<PageStudy>,
    /// Studies that were scored, shown or not.
    pub scored: usize,
}

/// Rows of the table under a title.
#[derive(Debug, Clone, Serialize)]
pub struct NumberGroup {
    /// What they are and how they were made.
    pub title: String,
    /// Its rows.
    pub rows: Vec<NumberRow>,
}

/// A number of every system.
#[derive(Debug, Clone, Serialize)]
pub struct NumberRow {
    /// Its name.
    pub label: String,
    /// Whether lower is better.
    pub lower_is_better: bool,
    /// One for each system, `None` where it has none.
    pub cells: Vec<Option<Number>>,
}

/// A number with its 95 % interval; what is not finite is drawn as a dash.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Number {
    /// The number.
    pub value: f64,
    /// Ends of its interval.
    pub interval: Option<(f64, f64)>,
}

/// Tests of a pair of systems.
#[derive(Debug, Clone, Serialize)]
pub struct PairTable {
    /// The system subtracted.
    pub other: String,
    /// The system it is subtracted from.
    pub this: String,
    /// Metric by metric.
    pub metrics: Vec<PairedNumber>,
}

/// A metric of a pair of systems.
#[derive(Debug, Clone, Serialize)]
pub struct PairedNumber {
    /// Its name.
    pub metric: String,
    /// Value of the other system.
    pub other: f64,
    /// Value of this system.
    pub this: f64,
    /// This minus other.
    pub difference: f64,
    /// 95 % interval of the difference.
    pub interval: (f64, f64),
    /// p-value.
    pub p_value: f64,
    /// p-value corrected by Holm's method.
    pub holm_p_value: f64,
}

/// Bars of F1, class by class.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ClassBars {
    /// Who read the findings, and how they count.
    pub title: String,
    /// Class by class.
    pub classes: Vec<ClassScore>,
}

/// A class of findings.
#[derive(Debug, Clone, Serialize)]
pub struct ClassScore {
    /// Its name.
    pub name: String,
    /// Number of references that have the class.
    pub support: u64,
    /// F1 of every system.
    pub f1: Vec<Number>,
    /// For every system, the number of its predictions that have the class.
    pub predicted: Vec<u64>,
}

/// A study with the reports of all systems.
#[derive(Debug, Clone, Serialize)]
pub struct PageStudy {
    /// Identifier.
    pub id: String,
    /// Reference.
    pub reference: String,
    /// One report for each system.
    pub reports: Vec<PageReport>,
}

/// A predicted report.
#[derive(Debug, Clone, Serialize)]
pub struct PageReport {
    /// Sentences of the report with their marks.
    pub sentences: Vec<(String, Mark)>,
    /// Findings of the reference that it does not have.
    pub missed: Vec<String>,
    /// Its scores by name; `None` where it has none.
    pub scores: Vec<(String, Option<f64>)>,
}

impl PageReport {
    /// Sentences that contradict the reference, and findings that are missed.
    pub fn errors(&self) -> usize {
        let sentences = self.sentences.iter();
        let wrong = sentences.filter(|(_, mark)| *mark == Mark::Contradicts);
        wrong.count() + self.missed.len()
    }
}

impl EvaluationPage {
    /// The page as HTML.
    ///
    /// # Errors
    ///
    /// If a number cannot be written as JSON.
    pub fn to_html(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Versioned<'a> {
            version: &'static str,
            #[serde(flatten)]
            page: &'a EvaluationPage,
        }
        let data = Versioned {
            version: env!("CARGO_PKG_VERSION"),
            page: self,
        };
        super::html(&self.title, SCRIPT, &data)
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    ///
    /// Any I/O error; `path` then is unchanged.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write_atomically(path, self.to_html()?.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_cannot_become_markup_and_nothing_is_fetched() {
        let report = PageReport {
            sentences: vec![("</script><b>".to_owned(), Mark::Contradicts)],
            missed: vec!["edema".to_owned()],
            scores: vec![("rouge_l".to_owned(), None)],
        };
        assert_eq!(report.errors(), 2);
        let page = EvaluationPage {
            title: "a < b".to_owned(),
            systems: vec!["/*DATA*/".to_owned()],
            studies: vec![PageStudy {
                id: "1".to_owned(),
                reference: "<!--TITLE-->".to_owned(),
                reports: vec![report],
            }],
            ..EvaluationPage::default()
        };
        let html = page.to_html().expect("writable");
        assert!(html.contains("<title>a &lt; b</title>"));
        assert!(!html.contains("</script><b>"));
        for outside in ["http://", "https://", "src=\"", "@import", "fetch("] {
            let found = html.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(outside), "{outside}");
        }
    }
}
