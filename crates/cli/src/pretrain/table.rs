use ithn::metrics::classification::Estimate;
use ithn::train::pretrain::{ClassificationScores, PretrainResults};

/// Scores of both splits, and what the run took.
pub(super) fn results(results: &PretrainResults) -> String {
    let mut text = split("validation (thresholds chosen here)", &results.validation);
    if let Some(test) = &results.test {
        text += &split(&format!("test, labels by {}", results.test_labels), test);
    }
    if let Some(tags) = &results.tags {
        text += &format!("\ntest, against human tags: {tags}");
    }
    text + &format!(
        "\nbest epoch {}, {:.0} s",
        results.best_epoch, results.seconds
    )
}

fn split(name: &str, scores: &ClassificationScores) -> String {
    let mut text = format!("\n{name}: {} studies\n", scores.studies);
    text += &format!(
        "{:<28}{:>5}  {:<20}{:<20}{:<20}F1 always\n",
        "class", "+", "AUROC", "AP", "F1"
    );
    for class in &scores.classes {
        let Some(of_class) = &class.scores else {
            continue;
        };
        text += &format!(
            "{:<28}{:>5}  {:<20}{:<20}{:<20}{}\n",
            class.class.name(),
            of_class.positives,
            estimate(of_class.auroc.as_ref()),
            estimate(of_class.average_precision.as_ref()),
            estimate(of_class.f1.as_ref()),
            of_class
                .always_positive_f1
                .map_or("–".to_owned(), |f1| format!("{f1:.3}")),
        );
    }
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    text + &format!(
        "mean AUROC {}, mean AP {}, F1 micro {}, macro {}\n",
        number(scores.macro_auroc),
        number(scores.macro_average_precision),
        estimate(scores.micro_f1.as_ref()),
        number(scores.macro_f1),
    )
}

/// A score and its interval.
fn estimate(estimate: Option<&Estimate>) -> String {
    let Some(estimate) = estimate else {
        return "–".to_owned();
    };
    match estimate.interval {
        Some(interval) => {
            format!(
                "{:.3} [{:.2}, {:.2}]",
                estimate.value, interval.low, interval.high
            )
        }
        None => format!("{:.3}", estimate.value),
    }
}
