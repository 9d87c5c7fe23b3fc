//! What the page of an evaluation shows.

use ithn::metrics::evaluation::ScoredStudy;
use ithn::page::{
    ClassBars, ClassScore, EvaluationPage, Number, NumberGroup, NumberRow, PageReport, PageStudy,
    PairTable, PairedNumber, mark_sentences,
};

use super::Scored;
use super::numbers::Line;
use super::pairs::Pair;
use super::tables::Table;

/// The page of systems and their table, with the worst `most` studies.
pub(super) fn page(systems: &[Scored], table: &Table, most: usize) -> EvaluationPage {
    let groups = table.groups().iter().map(|group| NumberGroup {
        title: group.title.clone(),
        rows: group
            .rows
            .iter()
            .map(|row| NumberRow {
                label: row.label.clone(),
                lower_is_better: row.lower_is_better,
                cells: row
                    .cells
                    .iter()
                    .map(|cell| cell.as_ref().map(number))
                    .collect(),
            })
            .collect(),
    });
    EvaluationPage {
        title: format!("Evaluation of {}", table.systems.join(", ")),
        notes: table.notes.clone(),
        systems: table.systems.clone(),
        groups: groups.collect(),
        pairs: table.pairs.iter().map(pair_table).collect(),
        classes: class_bars(systems),
        studies: worst(systems, most),
        scored: systems.first().map_or(0, |system| system.studies.len()),
    }
}

fn number(line: &Line) -> Number {
    Number {
        value: line.value,
        interval: line.interval.map(|interval| (interval.low, interval.high)),
    }
}

fn pair_table(pair: &Pair) -> PairTable {
    let metrics = pair.metrics.iter().map(|metric| PairedNumber {
        metric: metric.metric.clone(),
        other: metric.other,
        this: metric.this,
        difference: metric.difference,
        interval: (metric.interval.low, metric.interval.high),
        p_value: metric.p_value,
        holm_p_value: metric.holm_p_value,
    });
    PairTable {
        other: pair.other.clone(),
        this: pair.this.clone(),
        metrics: metrics.collect(),
    }
}

fn class_bars(systems: &[Scored]) -> ClassBars {
    let Some(first) = systems.first() else {
        return ClassBars::default();
    };
    let classes = first.evaluation.findings.per_class.iter().enumerate();
    let classes = classes.map(|(at, class)| {
        let of_systems = || {
            systems
                .iter()
                .map(move |system| &system.evaluation.findings.per_class[at])
        };
        ClassScore {
            name: class.class.clone(),
            support: class.support,
            f1: of_systems()
                .map(|class| Number {
                    value: class.scores.f1,
                    interval: class
                        .f1_interval
                        .map(|interval| (interval.low, interval.high)),
                })
                .collect(),
            predicted: of_systems().map(|class| class.predicted).collect(),
        }
    });
    ClassBars {
        title: format!("Findings by {}", first.evaluation.findings.labeler),
        classes: classes.collect(),
    }
}

/// Studies with the reports of all systems, those with most errors of any system first, then those of lowest ROUGE-L.
fn worst(systems: &[Scored], most: usize) -> Vec<PageStudy> {
    let Some(first) = systems.first() else {
        return Vec::new();
    };
    let rouge = |system: &Scored, at: usize| system.evaluation.per_study[at].overlap.rouge_l;
    let mut studies: Vec<(usize, f64, PageStudy)> = first
        .studies
        .iter()
        .enumerate()
        .map(|(at, study)| {
            let reference = reference(study);
            let reports: Vec<PageReport> = systems
                .iter()
                .map(|system| report(system, at, reference))
                .collect();
            let errors = reports.iter().map(PageReport::errors).max().unwrap_or(0);
            let lowest = systems.iter().map(|system| rouge(system, at));
            let study = PageStudy {
                id: study.id.clone(),
                reference: reference.to_owned(),
                reports,
            };
            (errors, lowest.fold(f64::INFINITY, f64::min), study)
        })
        .collect();
    studies.sort_by(|(errors, rouge, _), (other_errors, other_rouge, _)| {
        other_errors.cmp(errors).then(rouge.total_cmp(other_rouge))
    });
    studies.truncate(most);
    studies.into_iter().map(|(_, _, study)| study).collect()
}

/// The untouched reference where there is one, as findings are read from it.
fn reference(study: &ScoredStudy) -> &str {
    let first = study.references.first().map_or("", String::as_str);
    study.full_reference.as_deref().unwrap_or(first)
}

fn report(system: &Scored, at: usize, reference: &str) -> PageReport {
    let marked = mark_sentences(&system.studies[at].prediction, reference);
    let scores = &system.evaluation.per_study[at];
    let mut numbers = vec![
        ("bleu_4".to_owned(), Some(scores.overlap.bleu[3])),
        ("rouge_l".to_owned(), Some(scores.overlap.rouge_l)),
        ("cider".to_owned(), Some(scores.overlap.cider)),
    ];
    let columns = system.clinical.table.columns().iter();
    numbers.extend(columns.map(|column| (column.name.clone(), column.scores[at])));
    PageReport {
        sentences: marked.sentences,
        missed: marked.missed,
        scores: numbers,
    }
}
