use serde::Serialize;

use super::{escape, fill};

const TEMPLATE: &str = include_str!("served.html");

/// What a checkpoint reads beside a study's films.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ServedContext {
    /// Films of the previous study; 0 if none is read.
    pub prior_films: usize,
    /// Whether the previous report is read.
    pub prior_report: bool,
    /// Whether the indication is read.
    pub indication: bool,
}

/// The page of a server that writes reports: films go in, and the viewer of the run page shows each
/// report, its findings and the attention of its words.
///
/// It loads [`STYLE`](Self::STYLE) as `page.css` and [`SCRIPT`](Self::SCRIPT) as `page.js` from beside
/// itself and sends films to `v1/report?explain=true`, so that a content security policy of `'self'`
/// with images from `data:` suffices.
#[derive(Debug, Clone, Serialize)]
pub struct ServedPage {
    /// Heading.
    pub title: String,
    /// What every reader must know first.
    pub notice: String,
    /// What the checkpoint was trained on, as sentences.
    pub trained_on: Vec<String>,
    /// Further facts about the checkpoint: a name and a text.
    pub facts: Vec<(String, String)>,
    /// Films per study that the checkpoint reads.
    pub views: usize,
    /// What it reads beside them; `None` if nothing.
    pub reads: Option<ServedContext>,
    /// Kinds of files that are read, in words.
    pub kinds: String,
    /// The same as the `accept` of a file input.
    pub accepts: String,
    /// Most bytes of a study's films.
    pub most_bytes: usize,
    /// Most pixels of a film, in millions.
    pub most_megapixels: usize,
}

impl ServedPage {
    /// The page's style sheet.
    pub const STYLE: &'static str = concat!(include_str!("page.css"), include_str!("served.css"));

    /// The page's script.
    pub const SCRIPT: &'static str = concat!(
        include_str!("elements.js"),
        include_str!("viewer.js"),
        include_str!("served.js")
    );

    /// The page as HTML.
    ///
    /// # Errors
    ///
    /// If a value cannot be written as JSON.
    pub fn to_html(&self) -> serde_json::Result<String> {
        // Within a script element only `<` can end or open anything.
        let data = serde_json::to_string(self)?.replace('<', "\\u003c");
        let title = escape(&self.title);
        Ok(fill(
            TEMPLATE,
            &[("<!--TITLE-->", &title), ("/*DATA*/", &data)],
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_nothing_outside_and_text_cannot_become_markup() {
        let page = ServedPage {
            title: "a < b".to_owned(),
            notice: "</script><b>".to_owned(),
            trained_on: Vec::new(),
            facts: Vec::new(),
            views: 2,
            reads: None,
            kinds: "PNG".to_owned(),
            accepts: ".png".to_owned(),
            most_bytes: 1,
            most_megapixels: 1,
        };
        let html = page.to_html().expect("writable");
        assert!(html.contains("<title>a &lt; b</title>"));
        assert!(!html.contains("</script><b>"));
        for text in [html.as_str(), ServedPage::STYLE, ServedPage::SCRIPT] {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for outside in ["http://", "https://", "@import"] {
                assert!(!text.contains(outside), "{outside}");
            }
        }
    }

    /// One viewer: the run page's script has the same text.
    #[test]
    fn the_viewer_is_shared() {
        let viewer = include_str!("viewer.js");
        let run = super::super::ReportPage::of_studies("", Vec::new());
        assert!(run.to_html().expect("writable").contains(viewer));
        assert!(ServedPage::SCRIPT.contains(viewer));
    }
}
