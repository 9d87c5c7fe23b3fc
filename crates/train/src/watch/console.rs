use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::observer::{EpochPlan, Observer};
use super::pace::Pace;
use super::printing::print;
use crate::evaluation::{Prediction, SplitScores};
use crate::records::{EpochRecord, StepRecord};
use ithn_checkpoint::config::MonitoredMetric;

/// Time between two lines about the same epoch where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// How much a [`Console`] prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verbosity {
    /// Warnings and the final table.
    Quiet,
    /// A row per epoch, and how far the epoch is.
    #[default]
    Normal,
    /// A line per optimiser step as well.
    Verbose,
}

/// Prints what a run does: a progress bar on a terminal or a plain line now and then elsewhere, a
/// table row per epoch, a final table.
#[derive(Debug)]
pub struct Console {
    verbosity: Verbosity,
    progress: Progress,
    pace: Pace,
    header_printed: bool,
    /// The metric that picks the best epoch.
    monitor: Option<MonitoredMetric>,
}

/// How progress is shown.
#[derive(Debug)]
enum Progress {
    /// A bar on standard error, redrawn in place.
    Bar(ProgressBar),
    /// Lines on standard output, no more often than [`LINE_EVERY`].
    Lines {
        last: Instant,
    },
    Nothing,
}

const EPOCH_HEADER: &str = " epoch    loss      LM    L_cp    L_cs  1-λ    τ1    τ3   z·u  z·u⁻  \
                            z·ũ   val BLEU-4  ROUGE-L  CIDEr     F1  same  studies/s   time";

impl Default for Console {
    fn default() -> Self {
        Console::new(Verbosity::Normal)
    }
}

impl Console {
    /// A console with this verbosity.
    pub fn new(verbosity: Verbosity) -> Self {
        let progress = match verbosity {
            Verbosity::Quiet => Progress::Nothing,
            _ if std::io::stderr().is_terminal() => Progress::Bar(ProgressBar::hidden()),
            _ => Progress::Lines {
                last: Instant::now(),
            },
        };
        Console {
            verbosity,
            progress,
            pace: Pace::default(),
            header_printed: false,
            monitor: None,
        }
    }

    /// Prints a line, above the bar if there is one.
    fn line(&self, text: &str) {
        match &self.progress {
            Progress::Bar(bar) => bar.suspend(|| print(text)),
            Progress::Lines { .. } | Progress::Nothing => print(text),
        }
    }

    fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// Shows how far something is that has no epoch.
    fn show(&mut self, work: &str, done: usize, total: usize) {
        match &mut self.progress {
            Progress::Bar(bar) => {
                if bar.is_hidden() || bar.is_finished() {
                    let target = ProgressDrawTarget::stderr();
                    *bar = ProgressBar::with_draw_target(None, target);
                    bar.set_style(style());
                }
                bar.set_length(total as u64);
                bar.set_prefix(work.to_owned());
                bar.set_message("");
                bar.set_position(done as u64);
            }
            Progress::Lines { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                print(format_args!("{work}: {done}/{total}"));
            }
            Progress::Lines { .. } | Progress::Nothing => {}
        }
    }

    fn clear_bar(&self) {
        if let Progress::Bar(bar) = &self.progress {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Observer for Console {
    fn epoch_begins(&mut self, plan: &EpochPlan) {
        self.pace.epoch_begins(plan);
        if let Progress::Bar(bar) = &mut self.progress {
            *bar = ProgressBar::with_draw_target(
                Some(plan.batches as u64),
                ProgressDrawTarget::stderr(),
            );
            bar.set_style(style());
            bar.set_prefix(format!("epoch {}/{}", plan.epoch, plan.epochs));
            bar.set_position(plan.done as u64);
        }
    }

    fn step_ends(&mut self, step: &StepRecord) {
        self.pace.step_ends(step);
        let done = self.pace.batches_done();
        let plan = *self.pace.plan();
        let message = format!(
            "loss {:.3} (LM {:.3}, L_cp {:.3}, L_cs {:.3}), |g| {:.2}, {:.0} studies/s, {} left",
            step.total,
            step.language,
            step.contrastive,
            step.separation,
            step.gradient_norm,
            self.pace.studies_per_second(),
            HumanDuration(self.pace.time_left().unwrap_or_default()),
        );
        let line = format!(
            "epoch {}/{}, batch {done}/{}, step {}: {message}",
            step.epoch, plan.epochs, plan.batches, step.step
        );
        if self.verbosity == Verbosity::Verbose {
            self.line(&line);
        }
        match &mut self.progress {
            Progress::Bar(bar) => {
                bar.set_position(done as u64);
                bar.set_message(message);
            }
            Progress::Lines { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                if self.verbosity == Verbosity::Normal {
                    print(&line);
                }
            }
            Progress::Lines { .. } | Progress::Nothing => {}
        }
    }

    fn writing(&mut self, split: &str, done: usize, total: usize) {
        self.show(&format!("writing {split} reports"), done, total);
    }

    fn working(&mut self, work: &str, done: usize, total: usize) {
        self.show(work, done, total);
        if done == total {
            self.clear_bar();
        }
    }

    fn epoch_ends(&mut self, record: &EpochRecord) {
        self.clear_bar();
        self.pace.epoch_ends();
        if self.is_quiet() {
            return;
        }
        if !self.header_printed {
            self.line(&epoch_legend(self.monitor));
            self.line(EPOCH_HEADER);
            self.header_printed = true;
        }
        self.line(&epoch_row(record));
    }

    fn monitors(&mut self, metric: MonitoredMetric) {
        self.monitor = Some(metric);
    }

    fn note(&mut self, text: &str) {
        if !self.is_quiet() {
            self.line(text);
        }
    }

    fn warning(&mut self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    fn results(&mut self, rows: &[(&str, &SplitScores)]) {
        self.clear_bar();
        // `F1-13` leaves No Finding out; phantom studies have an exact F1 instead.
        let findings = rows
            .first()
            .map_or("F1", |row| row.1.findings.headline_name());
        print(format_args!(
            "\n{:<28} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7} {findings:>7} {:>7} {:>7} {:>11} {:>9} {:>6} {:>9}",
            "protocol r2gen",
            "BLEU-1",
            "BLEU-2",
            "BLEU-3",
            "BLEU-4",
            "ROUGE-L",
            "CIDEr",
            "macro",
            "F1-14",
            "side errors",
            "distinct",
            "same",
            "B4 full"
        ));
        for (name, scores) in rows {
            print(result_row(name, scores));
        }
        if !self.is_quiet() {
            print(result_legend(rows));
        }
    }

    fn examples(&mut self, predictions: &[Prediction]) {
        if self.is_quiet() {
            return;
        }
        for prediction in predictions {
            print(format_args!(
                "\n{} (BLEU-4 {:.2})\n  reference   {}\n  prediction  {}",
                prediction.id,
                prediction.scores.bleu[3],
                prediction.reference,
                prediction.prediction
            ));
        }
    }
}

/// What the columns of the epochs' table are.
fn epoch_legend(monitor: Option<MonitoredMetric>) -> String {
    let best = match monitor {
        Some(metric) => format!("*: best {} of the validation split so far", metric.name()),
        None => "*: best epoch so far".to_owned(),
    };
    format!(
        "LM: language loss; L_cp, L_cs: contrastive and separation loss; 1-λ: hardness of negatives, from 0 (as they \
         are) to 1;\nτ1, τ3: log inverse temperature of pairs and of hardened negatives; z·u, z·u⁻, z·ũ: cosine of an \
         image with its report,\nits first negative and the hardened one; F1: findings, micro; {best}"
    )
}

/// What the columns of the final table are, as far as their names do not say it.
fn result_legend(rows: &[(&str, &SplitScores)]) -> String {
    let reader = rows
        .first()
        .map_or("", |(_, scores)| scores.findings.findings_reader.as_str());
    format!(
        "F1: findings read by {reader}, micro; side errors: findings on the wrong side; distinct: different reports; \
         B4 full: BLEU-4 against untouched references"
    )
}

fn epoch_row(record: &EpochRecord) -> String {
    let losses = &record.losses;
    let validation = &record.validation;
    let alignment = record.alignment.as_ref();
    let number = |value: Option<f32>| {
        value.map_or_else(|| "    -".to_owned(), |value| format!("{value:5.2}"))
    };
    format!(
        "{:>5}{} {:7.3} {:7.3} {:7.3} {:7.3} {:4.2} {} {} {} {} {} {:12.4} {:8.4} {:6.3} {} {:5.0}% \
         {:9.1} {:5.0}s",
        record.epoch,
        if record.is_best { "*" } else { " " },
        losses.total,
        losses.language,
        losses.contrastive,
        losses.separation,
        1.0 - record.lambda,
        number(alignment.map(|terms| terms.tau_1)),
        number(alignment.map(|terms| terms.tau_3)),
        number(alignment.map(|terms| terms.positive_similarity)),
        number(alignment.map(|terms| terms.negative_similarity)),
        number(alignment.map(|terms| terms.hardened_similarity)),
        validation.bleu_4,
        validation.rouge_l,
        validation.cider,
        share(validation.findings.headline(), 6, 3),
        100.0 * validation.diversity.most_frequent_share,
        record.studies_per_second,
        record.seconds,
    )
}

/// A number, or a dash.
fn share(value: Option<f64>, width: usize, digits: usize) -> String {
    value.map_or_else(
        || format!("{:>width$}", "-"),
        |value| format!("{value:width$.digits$}"),
    )
}

fn result_row(name: &str, scores: &SplitScores) -> String {
    let findings = &scores.findings;
    let classes = findings.findings_by_class.as_ref();
    let side_errors = findings
        .laterality_errors
        .map_or_else(|| "-".to_owned(), |errors| errors.to_string());
    format!(
        "{name:<28} {:7.4} {:7.4} {:7.4} {:7.4} {:8.4} {:7.4} {} {} {} {side_errors:>11} {:>9} {:4.0} % {:9.4}",
        scores.bleu_1,
        scores.bleu_2,
        scores.bleu_3,
        scores.bleu_4,
        scores.rouge_l,
        scores.cider,
        share(findings.headline(), 7, 4),
        share(classes.map(|it| it.f1_13_macro), 7, 4),
        share(classes.map(|_| findings.findings_f1_micro), 7, 4),
        scores.diversity.distinct,
        100.0 * scores.diversity.most_frequent_share,
        scores.bleu_4_full,
    )
}
