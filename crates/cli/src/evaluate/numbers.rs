//! All corpus numbers of a system in one list, for tables and pages.

use ithn::metrics::clinical::policies::Policy;
use ithn::metrics::evaluation::{MetricInterval, Overlap};
use ithn::metrics::{Interval, Uncertain};

use super::Scored;

/// Numbers that belong together.
pub(super) struct Group {
    /// What they are and how they were made.
    pub title: String,
    pub lines: Vec<Line>,
}

/// A number.
pub(super) struct Line {
    /// Its name in JSON.
    pub key: String,
    /// Its name in tables.
    pub label: String,
    pub value: f64,
    /// 95 % bootstrap interval.
    pub interval: Option<Interval>,
    pub lower_is_better: bool,
}

/// What a policy does, in a few words.
fn rules(policy: Policy) -> &'static str {
    match policy {
        Policy::F1CheXbert => "uncertain is positive, 0/0 is 0",
        Policy::CxrMate => "only positive counts, undefined classes left out of macro",
        Policy::CxrMate1 => "only positive counts, 0/0 is 0",
        Policy::CheXbert => "every label apart, 0/0 is 0",
        _ => "see the documentation",
    }
}

/// Every number of a system, in the order of tables.
pub(super) fn groups(scored: &Scored) -> Vec<Group> {
    let intervals = scored.intervals.as_deref().unwrap_or_default();
    let mut groups = vec![Group {
        title: format!("Text overlap, protocol {}", scored.evaluation.protocol),
        lines: overlap(&scored.evaluation.overlap, "", intervals),
    }];
    if let Some(full) = &scored.evaluation.full {
        groups.push(Group {
            title: "Text overlap, protocol full".to_owned(),
            lines: overlap(full, "full.", &[]),
        });
    }
    groups.push(findings(scored, intervals));
    groups.extend(clinical(scored));
    groups
}

/// Those of the numbers that [`Evaluation`](ithn::metrics::evaluation::Evaluation) does not have.
pub(super) fn clinical(scored: &Scored) -> Vec<Group> {
    let policies = scored.clinical.policies.iter().map(|report| Group {
        title: format!(
            "F1 by policy {} ({}), labels by {}",
            report.policy,
            rules(report.policy),
            report.labeler
        ),
        lines: report
            .numbers
            .iter()
            .map(|number| Line {
                key: format!("{}.{}", report.policy, number.name),
                label: number.name.replace('_', " ").replace(".f1", ""),
                value: number.value,
                interval: number.interval,
                lower_is_better: false,
            })
            .collect(),
    });
    let mut groups: Vec<Group> = policies.collect();
    let lower = &scored.clinical.lower_is_better;
    let mut scores: Vec<Line> = Vec::new();
    for summary in &scored.clinical.scores {
        let lower_is_better = lower.contains(&summary.score.as_str());
        let mut label = summary.score.clone();
        if lower_is_better {
            label += " (lower is better)";
        }
        if summary.missing > 0 {
            label += &format!(" ({} studies)", summary.studies);
        }
        scores.push(Line {
            key: summary.score.clone(),
            label,
            value: summary.mean,
            interval: Some(summary.interval),
            lower_is_better,
        });
    }
    let casing = scored
        .clinical
        .radgraph
        .as_ref()
        .map(|graphs| graphs.casing);
    let title = match casing {
        None => "Means over studies".to_owned(),
        Some(ithn::metrics::clinical::radgraph::Casing::Published) => {
            "Means over studies; RadGraph with the published package's case".to_owned()
        }
        Some(ithn::metrics::clinical::radgraph::Casing::Lower) => {
            "Means over studies; RadGraph lower-cased".to_owned()
        }
    };
    groups.push(Group {
        title,
        lines: scores,
    });
    groups
}

fn overlap(scores: &Overlap, prefix: &str, intervals: &[MetricInterval]) -> Vec<Line> {
    let numbers = [
        ("bleu_1", "BLEU-1", Some(scores.bleu_1)),
        ("bleu_2", "BLEU-2", Some(scores.bleu_2)),
        ("bleu_3", "BLEU-3", Some(scores.bleu_3)),
        ("bleu_4", "BLEU-4", Some(scores.bleu_4)),
        ("rouge_l", "ROUGE-L", Some(scores.rouge_l)),
        ("cider", "CIDEr", Some(scores.cider)),
        ("meteor", "METEOR", scores.meteor),
        ("meteor_es", "METEOR-es", scores.meteor_es),
    ];
    let lines = numbers.into_iter().filter_map(|(key, label, value)| {
        Some(Line {
            key: format!("{prefix}{key}"),
            label: label.to_owned(),
            value: value?,
            interval: interval_of(key, intervals),
            lower_is_better: false,
        })
    });
    lines.collect()
}

fn findings(scored: &Scored, intervals: &[MetricInterval]) -> Group {
    let findings = &scored.evaluation.findings;
    let uncertain = match findings.uncertain {
        Uncertain::AsPositive => "positive",
        Uncertain::AsNegative => "negative",
    };
    let of = |key: &str| interval_of(&format!("findings.{key}.f1"), intervals);
    let lines = [
        (
            "micro_13",
            "micro F1, 13 abnormal classes",
            findings.micro_13,
            findings.micro_13_f1_interval,
        ),
        (
            "macro_13",
            "macro F1, 13 abnormal classes",
            findings.macro_13,
            findings.macro_13_f1_interval,
        ),
        (
            "micro_14",
            "micro F1, 14 classes",
            findings.micro_14,
            of("micro_14"),
        ),
        (
            "macro_14",
            "macro F1, 14 classes",
            findings.macro_14,
            of("macro_14"),
        ),
        (
            "example_14",
            "example-based F1, 14 classes",
            findings.example_14,
            None,
        ),
        (
            "micro_5",
            "micro F1, 5 classes",
            findings.micro_5,
            of("micro_5"),
        ),
        (
            "macro_5",
            "macro F1, 5 classes",
            findings.macro_5,
            of("macro_5"),
        ),
        (
            "example_5",
            "example-based F1, 5 classes",
            findings.example_5,
            None,
        ),
    ];
    let lines = lines
        .into_iter()
        .map(|(key, label, scores, interval)| Line {
            key: format!("findings.{key}.f1"),
            label: label.to_owned(),
            value: scores.f1,
            interval,
            lower_is_better: false,
        });
    Group {
        title: format!(
            "Findings by {}, uncertain as {uncertain}, 0/0 as 0",
            findings.labeler
        ),
        lines: lines.collect(),
    }
}

fn interval_of(key: &str, intervals: &[MetricInterval]) -> Option<Interval> {
    let mut found = intervals.iter().filter(|interval| interval.metric == key);
    found.next().map(|interval| interval.interval)
}
