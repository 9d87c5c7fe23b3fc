//! The command line of `ithn evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ithn::device::DeviceName;
use ithn::metrics::LabelerVersion;
use ithn::metrics::clinical::policies::Policy;
use ithn::metrics::clinical::radgraph::Casing;
use ithn::metrics::evaluation::formats::{Export, Section};

use crate::failure::Failure;
use crate::output::OutputFile;

/// Scores predictions against references: text overlap, findings, clinical metrics, variety, retrieval, significance.
///
/// Several files of predictions are compared with one another, pair by pair.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn evaluate runs/phantom-1
  ithn evaluate runs/phantom-1/predictions.csv --retrieval runs/phantom-1/retrieval.csv
  ithn evaluate res.csv --references gts.csv --full-references annotation.json --versus other/res.csv
  ithn evaluate predictions.json --full-references annotation.json --r2gen-vocabulary annotation.json
  ithn evaluate predictions.csv --chexbert chexbert.pth --vocabulary vocab.txt --policy f1chexbert
  ithn evaluate a.csv b.csv c.csv --references gts.csv --page page.html --latex table.tex
  ithn evaluate predictions.json --scores green.csv --versus-scores other/green.csv --radgraph pred.json ref.json")]
pub(crate) struct Arguments {
    /// Predictions of one or more systems (CSV, JSON, JSON lines or a report per line), with their references unless
    /// --references is given; or runs' folders, whose predictions.csv and retrieval.csv are taken
    #[arg(required = true, value_name = "PREDICTIONS|RUN")]
    pub predictions: Vec<PathBuf>,
    /// References, matched by id or else by row
    #[arg(long, value_name = "FILE")]
    pub references: Option<PathBuf>,
    /// Untouched references for the protocol `full`; R2Gen's annotation.json will do
    #[arg(long, value_name = "FILE")]
    pub full_references: Option<PathBuf>,
    /// Part of the reports that is compared, of files that hold parts
    #[arg(long, default_value = "both")]
    pub section: SectionArgument,
    /// What the references are: cleaned and cut as R2Gen does, untouched, or what ReXrank's script makes of two
    /// sections [default: rexrank for ReXrank's files, full for one section of them, else r2gen]
    #[arg(long)]
    pub protocol: Option<ProtocolArgument>,
    /// Derives the references of the protocol `r2gen` from untouched ones: cleaned, cut, and words that
    /// are rare in this annotation's training split replaced by `<unk>`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["protocol", "section"])]
    pub r2gen_vocabulary: Option<PathBuf>,
    /// Whose cleaning and defaults that follows: 3 occurrences and 60 tokens, or 10 and 100
    #[arg(long, default_value = "iu-xray", requires = "r2gen_vocabulary")]
    pub r2gen_text: TextArgument,
    /// Occurrences below which a word is rare
    #[arg(long, value_name = "N", requires = "r2gen_vocabulary")]
    pub r2gen_occurrences: Option<usize>,
    /// Tokens kept of a reference, the beginning included
    #[arg(long, value_name = "N", requires = "r2gen_vocabulary")]
    pub r2gen_tokens: Option<usize>,
    /// METEOR 1.5's data (the folder with meteor-1.5.jar and data/); without it METEOR-es is computed
    #[arg(long, value_name = "DIR")]
    pub meteor_data: Option<PathBuf>,
    /// What an uncertain finding counts as
    #[arg(long, default_value = "positive")]
    pub uncertain: UncertainArgument,
    /// Version of the labeler rules-14 that reads the findings: 1 or 2
    #[arg(
        long,
        value_name = "VERSION",
        default_value = LabelerVersion::LATEST.number(),
        conflicts_with_all = ["prediction_labels", "chexbert"]
    )]
    pub labeler_version: LabelerVersion,
    /// Labels of the predictions made elsewhere (CheXbert's or CheXpert's CSV)
    #[arg(
        long,
        value_name = "FILE",
        requires = "reference_labels",
        conflicts_with = "versus"
    )]
    pub prediction_labels: Option<PathBuf>,
    /// Labels of the references made elsewhere
    #[arg(long, value_name = "FILE", requires = "prediction_labels")]
    pub reference_labels: Option<PathBuf>,
    /// Who made those labels
    #[arg(long, value_name = "NAME", default_value = "labels given")]
    pub labeler: String,
    /// CheXbert's weights (chexbert.pth): it reads the findings instead of rules-14, and its embeddings give SembScore
    #[arg(
        long,
        value_name = "FILE",
        requires = "vocabulary",
        conflicts_with = "prediction_labels"
    )]
    pub chexbert: Option<PathBuf>,
    /// CheXbert's vocabulary, the vocab.txt of bert-base-uncased
    #[arg(long, value_name = "FILE", requires = "chexbert")]
    pub vocabulary: Option<PathBuf>,
    /// config.json of a model of another size than BERT-base
    #[arg(long, value_name = "FILE", requires = "chexbert")]
    pub chexbert_config: Option<PathBuf>,
    /// Where CheXbert runs: cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    pub device: DeviceName,
    /// Whose arithmetic turns labels into F1: f1chexbert, cxrmate, cxrmate1 or chexbert; may be repeated
    /// [default: f1chexbert with --chexbert, else none beside the usual ones]
    #[arg(long, value_name = "NAME")]
    pub policy: Vec<Policy>,
    /// Scores of studies made elsewhere, a CSV file with a column of ids and columns of numbers; may be repeated. Of
    /// several systems one file each, in their order
    #[arg(long, value_name = "FILE.csv")]
    pub scores: Vec<PathBuf>,
    /// Such scores of another system for the same studies: is this one better? May be repeated
    #[arg(long, value_name = "FILE.csv", requires = "scores")]
    pub versus_scores: Vec<PathBuf>,
    /// RadGraph's JSON of the predictions and of the references: F1 of entities and relations
    #[arg(long, num_args = 2, value_names = ["PREDICTIONS", "REFERENCES"])]
    pub radgraph: Vec<PathBuf>,
    /// Whose lower-casing of RadGraph's words: the published package's and RadEval's, or the repository's since
    #[arg(long, default_value = "published", requires = "radgraph")]
    pub radgraph_case: CasingArgument,
    /// Predictions of another system, or its run, for the same studies: is this one better?
    #[arg(long, value_name = "FILE|RUN")]
    pub versus: Option<PathBuf>,
    /// Scores of own and other reports for each image, such as a run's retrieval.csv [default: that of RUN]
    #[arg(long, value_name = "FILE")]
    pub retrieval: Option<PathBuf>,
    /// Random draws of tests and intervals
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub draws: u32,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Writes all numbers here; - is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<OutputFile>,
    /// Writes the scores of every study here; - is standard output
    #[arg(long, value_name = "FILE")]
    pub csv: Option<OutputFile>,
    /// Writes a page to look at here: numbers with intervals, bars, studies with the worst first; - is standard output
    #[arg(long, value_name = "FILE.html")]
    pub page: Option<OutputFile>,
    /// Studies on the page, the worst of all
    #[arg(long, value_name = "N", default_value_t = 500, requires = "page")]
    pub page_studies: usize,
    /// Writes the table as LaTeX here (booktabs); - is standard output
    #[arg(long, value_name = "FILE.tex")]
    pub latex: Option<OutputFile>,
    /// Writes the table as Markdown here; - is standard output
    #[arg(long, value_name = "FILE.md")]
    pub markdown: Option<OutputFile>,
    /// Writes the studies as another tool reads them: rexrank, cxr-report-metric or radeval; may be repeated
    #[arg(long, value_name = "TOOL", requires = "export_to")]
    pub export: Vec<Export>,
    /// Folder of those files, made if it is not there
    #[arg(long, value_name = "DIR", requires = "export")]
    pub export_to: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolArgument {
    R2gen,
    Full,
    Rexrank,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TextArgument {
    IuXray,
    MimicCxr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum UncertainArgument {
    Positive,
    Negative,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SectionArgument {
    Findings,
    Impression,
    Both,
}

impl From<SectionArgument> for Section {
    fn from(section: SectionArgument) -> Self {
        match section {
            SectionArgument::Findings => Section::Findings,
            SectionArgument::Impression => Section::Impression,
            SectionArgument::Both => Section::Both,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CasingArgument {
    Published,
    Lower,
}

impl From<CasingArgument> for Casing {
    fn from(casing: CasingArgument) -> Self {
        match casing {
            CasingArgument::Published => Casing::Published,
            CasingArgument::Lower => Casing::Lower,
        }
    }
}

impl Arguments {
    /// Every file that is written.
    pub(super) fn outputs(&self) -> [&Option<OutputFile>; 5] {
        [
            &self.json,
            &self.csv,
            &self.page,
            &self.latex,
            &self.markdown,
        ]
    }

    /// What the options do not say one by one.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let refused = |reason: String| Err(Failure::Said(reason));
        let to_standard_output = self.outputs().into_iter().flatten();
        if to_standard_output
            .filter(|file| file.is_standard_output())
            .count()
            > 1
        {
            return refused("only one file can be standard output".to_owned());
        }
        if self.protocol == Some(ProtocolArgument::Rexrank) && self.section != SectionArgument::Both
        {
            return refused(
                "--protocol rexrank compares both sections: leave out --section".to_owned(),
            );
        }
        let systems = self.predictions.len();
        if systems == 1 {
            return Ok(());
        }
        let of_one = [
            ("--versus", self.versus.is_some()),
            ("--versus-scores", !self.versus_scores.is_empty()),
            ("--retrieval", self.retrieval.is_some()),
            ("--prediction-labels", self.prediction_labels.is_some()),
            ("--radgraph", !self.radgraph.is_empty()),
            ("--csv", self.csv.is_some()),
            ("--export", !self.export.is_empty()),
        ];
        if let Some((option, _)) = of_one.iter().find(|(_, is_given)| *is_given) {
            return refused(format!(
                "{option} is for one system, but {systems} files of predictions are given"
            ));
        }
        match self.scores.len() {
            0 => Ok(()),
            files if files == systems => Ok(()),
            files => refused(format!(
                "{files} files of --scores for {systems} systems: give one for each, in their order"
            )),
        }
    }
}
