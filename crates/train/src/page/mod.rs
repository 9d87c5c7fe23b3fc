//! Pages to look at: self-contained HTML files that need no network.
//!
//! [`EvaluationPage`] shows the numbers of an evaluation and its studies. [`ReportPage`] is the run page and
//! holds what that page shows; a [`StudySheet`] is one of its studies: image, reference,
//! prediction with agreeing and contradicting statements marked, and the cross-attention and memory
//! rows of every word. [`ServedPage`] is the page of a server that writes reports, with the same
//! viewer of studies. Scripts and styles are written by hand, in the files beside this one.
//!
//! ```
//! use ithn_train::page::ReportPage;
//!
//! let page = ReportPage::of_studies("no studies yet", Vec::new());
//! assert!(page.to_html().expect("numbers are JSON").contains("<title>no studies yet</title>"));
//! ```

mod evaluation;
mod sentences;
mod served;

use std::io;
use std::path::Path;

use ithn_data::write_atomically;
use ithn_inference::StudySheet;
use serde::Serialize;
use serde_json::Value;

pub use evaluation::{
    ClassBars, ClassScore, EvaluationPage, Number, NumberGroup, NumberRow, PageReport, PageStudy,
    PairTable, PairedNumber,
};
pub use sentences::{MarkedSentences, mark_sentences};
pub use served::{ServedContext, ServedPage};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(
    include_str!("elements.js"),
    include_str!("viewer.js"),
    include_str!("page.js")
);

/// Content of a run page. Sections without data are left out.
#[derive(Debug, Clone, Serialize)]
pub struct ReportPage {
    /// Heading.
    pub title: String,
    /// Version of the library.
    pub version: &'static str,
    /// The run's configuration, `config.json`.
    pub config: Option<Value>,
    /// The run's epochs, lines of `epochs.jsonl`.
    pub epochs: Vec<Value>,
    /// Rows of the final table, baselines included: a name, and scores as in `metrics.json`.
    pub table: Vec<(String, Value)>,
    /// Lines on constant labels, below the table.
    pub label_floors: Vec<String>,
    /// Floors that the run does not beat.
    pub warnings: Vec<String>,
    /// Epoch whose weights produced the table and the studies.
    pub best_epoch: Option<usize>,
    /// Similarities of training studies under those weights, `similarities.json`.
    pub similarities: Option<Value>,
    /// Studies shown on the page.
    pub studies: Vec<StudySheet>,
}

impl ReportPage {
    /// A page that shows studies only.
    pub fn of_studies(title: &str, studies: Vec<StudySheet>) -> Self {
        ReportPage {
            title: title.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            config: None,
            epochs: Vec::new(),
            table: Vec::new(),
            label_floors: Vec::new(),
            warnings: Vec::new(),
            best_epoch: None,
            similarities: None,
            studies,
        }
    }

    /// The page as HTML.
    ///
    /// # Errors
    ///
    /// If a number cannot be written as JSON.
    pub fn to_html(&self) -> serde_json::Result<String> {
        html(&self.title, SCRIPT, self)
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

/// A page by its script and the data that the script draws.
fn html(title: &str, script: &str, data: &impl Serialize) -> serde_json::Result<String> {
    // Within a script element only `<` can end or open anything.
    let data = serde_json::to_string(data)?.replace('<', "\\u003c");
    let title = escape(title);
    let parts = [
        ("/*STYLE*/", STYLE),
        ("/*SCRIPT*/", script),
        ("<!--TITLE-->", title.as_str()),
        ("/*DATA*/", data.as_str()),
    ];
    Ok(fill(TEMPLATE, &parts))
}

/// A template with texts in place of its markers. What is filled in is not searched for markers.
fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let length = parts.iter().map(|(_, text)| text.len()).sum::<usize>();
    let mut html = String::with_capacity(template.len() + length);
    let mut rest = template;
    while let Some((at, marker, text)) = parts
        .iter()
        .filter_map(|(marker, text)| rest.find(marker).map(|at| (at, *marker, *text)))
        .min_by_key(|(at, ..)| *at)
    {
        html.push_str(&rest[..at]);
        html.push_str(text);
        rest = &rest[at + marker.len()..];
    }
    html.push_str(rest);
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_one_file_and_text_cannot_become_markup() {
        let sheet = StudySheet {
            id: "</script><b>".to_owned(),
            images: Vec::new(),
            prior_images: 0,
            beside: Vec::new(),
            reference: Some("/*SCRIPT*/ <!--TITLE-->".to_owned()),
            words: Vec::new(),
            log_probs: Vec::new(),
            marks: None,
            attention: None,
            memory: None,
        };
        let page = ReportPage::of_studies("a < b", vec![sheet]);
        let html = page.to_html().expect("writable");
        assert!(html.contains("<title>a &lt; b</title>"));
        assert!(!html.contains("</script><b>"));
        assert_eq!(html.matches("/*SCRIPT*/").count(), 1);
        for outside in ["http://", "https://", "src=\"", "@import", "fetch("] {
            let found = html.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(outside), "{outside}");
        }
    }
}
