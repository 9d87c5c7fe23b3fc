use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::evaluation::{Prediction, SplitScores};
use super::trainer::EpochRecord;

/// Hears what a run is doing.
pub trait Observer {
    /// An epoch begins with `steps` steps of `batch_size` studies.
    fn epoch_begins(&mut self, epoch: usize, epochs: usize, steps: usize, batch_size: usize);
    /// A step is done; losses are those of its batch.
    fn step_ends(&mut self, losses: &StepLosses);
    /// Reports of a split are being written: `done` of `total`.
    fn writing(&mut self, split: &str, done: usize, total: usize);
    /// An epoch is over.
    fn epoch_ends(&mut self, record: &EpochRecord);
    /// Something worth a line.
    fn note(&mut self, text: &str);
    /// Training is over: named rows of the final table.
    fn results(&mut self, rows: &[(&str, &SplitScores)]);
    /// Some predictions to look at.
    fn examples(&mut self, predictions: &[Prediction]);
}

/// Loss terms of one batch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepLosses {
    /// The weighted sum.
    pub total: f32,
    /// Language loss.
    pub language: f32,
    /// Contrastive loss, if negatives are used.
    pub contrastive: f32,
    /// Image separation loss, if negatives are used.
    pub separation: f32,
}

/// Prints to a terminal: a progress bar, a table row per epoch, a final table.
///
/// Where standard error is no terminal the bar stays away and the rows remain.
#[derive(Debug)]
pub struct Console {
    bar: ProgressBar,
    began: Instant,
    batch_size: usize,
    header_printed: bool,
}

impl Default for Console {
    fn default() -> Self {
        Console {
            bar: ProgressBar::hidden(),
            began: Instant::now(),
            batch_size: 1,
            header_printed: false,
        }
    }
}

const EPOCH_HEADER: &str = " epoch    loss      LM    L_cp    L_cs  1-λ    τ1    τ3   z·u  z·u⁻  \
                            z·ũ   val BLEU-4  ROUGE-L  CIDEr     F1  studies/s   time";

impl Console {
    fn style(template: &str) -> ProgressStyle {
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
    }
}

impl Observer for Console {
    fn epoch_begins(&mut self, epoch: usize, epochs: usize, steps: usize, batch_size: usize) {
        self.batch_size = batch_size;
        self.began = Instant::now();
        self.bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
        self.bar.set_style(Console::style(
            "{prefix} [{bar:24}] {pos}/{len} {msg} {elapsed} elapsed, {eta} left",
        ));
        self.bar.set_prefix(format!("epoch {epoch}/{epochs}"));
    }

    fn step_ends(&mut self, losses: &StepLosses) {
        self.bar.inc(1);
        let studies = self.bar.position() as f64 * self.batch_size as f64;
        let rate = studies / self.began.elapsed().as_secs_f64().max(1e-9);
        self.bar.set_message(format!(
            "loss {:.3} (LM {:.3}, L_cp {:.3}, L_cs {:.3}), {rate:.0} studies/s,",
            losses.total, losses.language, losses.contrastive, losses.separation
        ));
    }

    fn writing(&mut self, split: &str, done: usize, total: usize) {
        if done <= 1 || self.bar.length() != Some(total as u64) {
            self.bar.set_length(total as u64);
            self.bar.set_prefix(format!("writing {split} reports"));
            self.bar.set_message("");
        }
        self.bar.set_position(done as u64);
    }

    fn epoch_ends(&mut self, record: &EpochRecord) {
        self.bar.finish_and_clear();
        if !self.header_printed {
            println!("{EPOCH_HEADER}");
            self.header_printed = true;
        }
        let losses = &record.losses;
        let validation = &record.validation;
        let number = |value: Option<f32>| {
            value.map_or_else(|| "    -".to_owned(), |value| format!("{value:5.2}"))
        };
        let alignment = record.alignment.as_ref();
        println!(
            "{:>5}{} {:7.3} {:7.3} {:7.3} {:7.3} {:4.2} {} {} {} {} {} {:12.4} {:8.4} {:6.3} {:6.3} {:10.1} {:5.0}s",
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
            validation.findings.findings_f1_micro,
            record.studies_per_second,
            record.seconds,
        );
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    fn results(&mut self, rows: &[(&str, &SplitScores)]) {
        self.bar.finish_and_clear();
        println!(
            "\n{:<28} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7} {:>7} {:>11} {:>9} {:>9}",
            "protocol r2gen",
            "BLEU-1",
            "BLEU-2",
            "BLEU-3",
            "BLEU-4",
            "ROUGE-L",
            "CIDEr",
            "F1",
            "side errors",
            "distinct",
            "B4 full"
        );
        for (name, scores) in rows {
            let side_errors = scores
                .findings
                .laterality_errors
                .map_or_else(|| "-".to_owned(), |errors| errors.to_string());
            println!(
                "{name:<28} {:7.4} {:7.4} {:7.4} {:7.4} {:8.4} {:7.4} {:7.4} {side_errors:>11} {:>9} {:9.4}",
                scores.bleu_1,
                scores.bleu_2,
                scores.bleu_3,
                scores.bleu_4,
                scores.rouge_l,
                scores.cider,
                scores.findings.findings_f1_micro,
                scores.diversity.distinct,
                scores.bleu_4_full,
            );
        }
    }

    fn examples(&mut self, predictions: &[Prediction]) {
        for prediction in predictions {
            println!(
                "\n{} (BLEU-4 {:.2})\n  reference   {}\n  prediction  {}",
                prediction.id,
                prediction.scores.bleu[3],
                prediction.reference,
                prediction.prediction
            );
        }
    }
}
