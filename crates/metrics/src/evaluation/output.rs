//! Evaluations as text, JSON and CSV.

use std::fmt;
use std::io;

use super::{
    ClassAgreement, ClassFindings, Evaluation, Overlap, Protocol, Ranking, ScoredStudy, Versus,
};
use crate::{
    clinical::scores::ScoreColumn,
    findings::Prf,
    labeler::{FindingClass, Uncertain},
    significance::Interval,
};

/// Writes one row per study: id, reference, prediction, its scores, the findings of both reports, who read them, and
/// further columns, in the order of the studies; a study without a score has an empty cell there.
///
/// # Errors
/// If the writer fails, or a column has not one score per study.
pub fn write_study_scores(
    table: impl io::Write,
    studies: &[ScoredStudy],
    evaluation: &Evaluation,
    columns: &[ScoreColumn],
) -> io::Result<()> {
    if let Some(column) = columns
        .iter()
        .find(|column| column.scores.len() != studies.len())
    {
        return Err(io::Error::other(format!(
            "column '{}' has {} scores for {} studies",
            column.name,
            column.scores.len(),
            studies.len()
        )));
    }
    let meteor = if evaluation.overlap.meteor.is_some() {
        "meteor"
    } else {
        "meteor_es"
    };
    let write = |table| -> Result<(), csv::Error> {
        let mut table = csv::Writer::from_writer(table);
        let own = [
            "id",
            "reference",
            "prediction",
            "bleu_1",
            "bleu_2",
            "bleu_3",
            "bleu_4",
            "rouge_l",
            "cider",
            meteor,
            "reference_findings",
            "predicted_findings",
            "labeler",
        ];
        let further = columns.iter().map(|column| column.name.as_str());
        table.write_record(own.into_iter().chain(further))?;
        for (at, (study, scores)) in studies.iter().zip(&evaluation.per_study).enumerate() {
            let reference = study.references.join(" ||| ");
            let mut row = vec![study.id.clone(), reference, study.prediction.clone()];
            let overlap = scores.overlap;
            let numbers =
                overlap
                    .bleu
                    .iter()
                    .chain([&overlap.rouge_l, &overlap.cider, &scores.meteor]);
            row.extend(numbers.map(|number| format!("{number:.6}")));
            row.extend(
                [scores.true_findings, scores.predicted_findings].map(|flags| names(&flags)),
            );
            row.push(evaluation.findings.labeler.clone());
            row.extend(columns.iter().map(|column| match column.scores[at] {
                Some(score) => format!("{score:.6}"),
                None => String::new(),
            }));
            table.write_record(&row)?;
        }
        table.flush()?;
        Ok(())
    };
    write(table).map_err(io::Error::other)
}

fn names(flags: &[bool; FindingClass::COUNT]) -> String {
    let named = FindingClass::all()
        .into_iter()
        .filter(|class| flags[class.index()]);
    named.map(FindingClass::name).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::R2gen => "r2gen",
            Protocol::Full => "full",
            Protocol::Rexrank => "rexrank",
        })
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} studies", self.studies)?;
        if self.empty_predictions > 0 {
            writeln!(f, "{} of the predictions are empty", self.empty_predictions)?;
        }
        let meteor = if self.overlap.meteor.is_some() {
            "METEOR"
        } else {
            "METEOR-es"
        };
        writeln!(
            f,
            "\nprotocol  BLEU-1  BLEU-2  BLEU-3  BLEU-4  ROUGE-L  CIDEr   {meteor}"
        )?;
        overlap_row(f, &self.protocol.to_string(), &self.overlap)?;
        if let Some(full) = &self.full {
            overlap_row(f, "full", full)?;
        }
        let findings = &self.findings;
        let uncertain = match findings.uncertain {
            Uncertain::AsPositive => "positive",
            Uncertain::AsNegative => "negative",
        };
        writeln!(
            f,
            "\nfindings by {}, uncertain as {uncertain}, 0/0 as 0",
            findings.labeler
        )?;
        writeln!(
            f,
            "{:28} {:>9} {:>9} {:>9}  95 % of F1",
            "", "precision", "recall", "F1"
        )?;
        let headline = (&findings.micro_13, findings.micro_13_f1_interval);
        prf_row(f, "13 abnormal classes, micro", headline.0, headline.1)?;
        let headline = (&findings.macro_13, findings.macro_13_f1_interval);
        prf_row(f, "13 abnormal classes, macro", headline.0, headline.1)?;
        prf_row(f, "14 classes, micro", &findings.micro_14, None)?;
        prf_row(f, "14 classes, macro", &findings.macro_14, None)?;
        prf_row(f, "14 classes, example-based", &findings.example_14, None)?;
        prf_row(f, "5 classes, micro", &findings.micro_5, None)?;
        prf_row(f, "5 classes, macro", &findings.macro_5, None)?;
        prf_row(f, "5 classes, example-based", &findings.example_5, None)?;
        writeln!(f)?;
        class_table(f, &findings.per_class)?;
        let diversity = &self.diversity;
        writeln!(
            f,
            "\n{} distinct predictions of {}, the most frequent one {:.1} % of them, {:.1} words on average",
            diversity.distinct,
            diversity.reports,
            100.0 * diversity.most_frequent_share,
            diversity.mean_words
        )
    }
}

impl fmt::Display for ClassAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            labeler,
            reports,
            untagged,
            empty,
            classes,
        } = self;
        writeln!(
            f,
            "{labeler}, {reports} tagged reports; left out: {untagged} untagged, {empty} without text"
        )?;
        class_table(f, classes)
    }
}

impl fmt::Display for Versus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:22} {:>8} {:>8} {:>10} {:>8}  95 % interval ({} draws)",
            "versus", "other", "this", "difference", "p", self.draws
        )?;
        for metric in &self.metrics {
            writeln!(
                f,
                "{:22} {:>8.4} {:>8.4} {:>+10.4} {:>8.4}  {:+.4} to {:+.4}",
                metric.metric,
                metric.other,
                metric.this,
                metric.difference,
                metric.p_value,
                metric.interval.low,
                metric.interval.high
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(found) = &self.retrieval {
            writeln!(
                f,
                "own report among others: recall@1 {:.3} (guessing {:.3}), @5 {:.3}, @10 {:.3}, median rank {:.1} ({} studies)",
                found.recall_at_1,
                found.chance_at_1,
                found.recall_at_5,
                found.recall_at_10,
                found.median_rank,
                found.queries
            )?;
        }
        for (by, twins) in [
            ("alignment", &self.near_twin),
            ("likelihood", &self.near_twin_likelihood),
        ] {
            if let Some(twins) = twins {
                writeln!(
                    f,
                    "own report against its near-twin, by {by}: accuracy {:.3} ({} studies)",
                    twins.accuracy, twins.studies
                )?;
            }
        }
        Ok(())
    }
}

fn overlap_row(f: &mut fmt::Formatter<'_>, name: &str, scores: &Overlap) -> fmt::Result {
    let meteor = scores.meteor.or(scores.meteor_es).unwrap_or(f64::NAN);
    let Overlap {
        bleu_1,
        bleu_2,
        bleu_3,
        bleu_4,
        rouge_l,
        cider,
        ..
    } = scores;
    writeln!(
        f,
        "{name:8}  {bleu_1:.4}  {bleu_2:.4}  {bleu_3:.4}  {bleu_4:.4}  {rouge_l:.4}   {cider:.4}  {meteor:.4}"
    )
}

fn class_table(f: &mut fmt::Formatter<'_>, classes: &[ClassFindings]) -> fmt::Result {
    writeln!(
        f,
        "{:28} {:>9} {:>9} {:>9} {:>6} {:>6}  95 % of F1",
        "class", "precision", "recall", "F1", "true", "named"
    )?;
    for class in classes {
        let Prf {
            precision,
            recall,
            f1,
        } = class.scores;
        write!(
            f,
            "{:28} {:>9} {:>9} {:>9} {:>6} {:>6}",
            class.class,
            Share(precision),
            Share(recall),
            Share(f1),
            class.support,
            class.predicted
        )?;
        interval_end(f, class.f1_interval)?;
    }
    Ok(())
}

/// The end of a row.
pub(super) fn interval_end(f: &mut fmt::Formatter<'_>, interval: Option<Interval>) -> fmt::Result {
    match interval {
        Some(interval) => writeln!(f, "  {} to {}", Share(interval.low), Share(interval.high)),
        None => writeln!(f),
    }
}

fn prf_row(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    scores: &Prf,
    interval: Option<Interval>,
) -> fmt::Result {
    let Prf {
        precision,
        recall,
        f1,
    } = scores;
    write!(
        f,
        "{name:28} {:>9} {:>9} {:>9}",
        Share(*precision),
        Share(*recall),
        Share(*f1)
    )?;
    interval_end(f, interval)
}

/// A share with three digits; a dash if undefined.
pub(super) struct Share(pub(super) f64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_nan() {
            f.pad("-")
        } else {
            f.pad(&format!("{:.3}", self.0))
        }
    }
}
