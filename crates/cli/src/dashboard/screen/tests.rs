use ithn::train::{EpochPlan, EpochRecord, StepRecord};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

fn record(epoch: usize, is_best: bool) -> EpochRecord {
    let text = format!(
        r#"{{"epoch": {epoch}, "step": 10, "lambda": 0.75, "learning_rates": [1e-4, 5e-4],
        "losses": {{"total": 2.5, "language": 2.25, "contrastive": 1.5, "separation": 0.5}}, "alignment": null,
        "validation": {{"studies": 4, "bleu_1": 0.4, "bleu_2": 0.3, "bleu_3": 0.2, "bleu_4": 0.125,
            "rouge_l": 0.375, "cider": 0.625, "bleu_4_full": 0.1, "findings_reader": "phantom",
            "findings_f1_micro": 0.875, "laterality_errors": 0, "size_errors": 0,
            "diversity": {{"reports": 4, "distinct": 2, "most_frequent_share": 0.5, "mean_words": 9.0}}}},
        "is_best": {is_best}, "studies_per_second": 4.0, "seconds": 75.0}}"#
    );
    serde_json::from_str(&text).expect("as in epochs.jsonl")
}

fn step(number: usize, positive_similarity: f32) -> StepRecord {
    StepRecord {
        epoch: 1,
        step: number,
        batches: 1,
        lambda: 0.75,
        language: 3.0 - 0.1 * number as f32,
        contrastive: if positive_similarity == 0.0 { 0.0 } else { 1.5 },
        positive_similarity,
        ..StepRecord::default()
    }
}

/// Three steps of an epoch, with or without negatives.
fn progress(positive_similarity: f32) -> Progress {
    let mut progress = Progress::new("phantoms");
    progress.epoch_begins(&EpochPlan {
        epoch: 1,
        epochs: 2,
        batches: 6,
        done: 0,
        batch_size: 4,
    });
    for number in 1..=3 {
        progress.step_ends(&step(number, positive_similarity));
    }
    progress
}

fn rows(progress: &Progress, first: usize, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("in memory");
    terminal
        .draw(|frame| draw(frame, progress, first))
        .expect("in memory");
    let buffer = terminal.backend().buffer().clone();
    let cells: Vec<_> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    cells
        .chunks(width.into())
        .map(|row| row.concat().trim_end().to_owned())
        .collect()
}

#[test]
fn a_wide_screen_shows_all_of_a_run() {
    let mut progress = progress(0.5);
    progress.epoch_ends(&record(1, true));
    progress.say("120 studies\n\nsecond line", false);
    progress.say("warning: random weights", true);
    let screen = rows(&progress, 0, 140, 40).join("\n");
    for part in [
        "phantoms",
        "epoch 1/2, batch 3/6",
        "step 3",
        "LM 2.700 L_cp 1.500",
        "losses",
        "similarities and hardness",
        "z·u 0.500",
        "1-λ 0.250",
        "validation",
        "F1 0.875",
        "1*",
        "0.1250",
        "1:15",
        "120 studies",
        "second line",
        "warning: random weights",
        "q or Ctrl-C",
    ] {
        assert!(screen.contains(part), "{part} is not on\n{screen}");
    }
}

#[test]
fn what_does_not_fit_beside_the_others_comes_with_a_key() {
    let progress = progress(0.5);
    let titles = |first| {
        let screen = rows(&progress, first, 80, 24).join("\n");
        ["losses", "similarities", "validation"].map(|title| screen.contains(title))
    };
    assert_eq!(titles(0), [true, true, false]);
    assert_eq!(titles(1), [false, true, true]);
    assert_eq!(titles(2), [true, false, true]);
}

#[test]
fn a_run_without_negatives_shows_none_of_their_losses() {
    let screen = rows(&progress(0.0), 0, 140, 40).join("\n");
    assert!(screen.contains("LM 2.700"), "{screen}");
    assert!(
        !screen.contains("L_cp 0") && !screen.contains("z·u"),
        "{screen}"
    );
    assert!(screen.contains("nothing yet"), "{screen}");
}

#[test]
fn stopping_and_writing_are_told() {
    let mut progress = progress(0.5);
    progress.is_stopping = true;
    progress.activity = Activity::Writing {
        split: "validation".to_owned(),
        done: 3,
        total: 9,
    };
    let screen = rows(&progress, 0, 100, 30).join("\n");
    assert!(
        screen.contains("writing validation reports: 3/9"),
        "{screen}"
    );
    assert!(screen.contains("stopping after this step"), "{screen}");
}

#[test]
fn any_size_of_screen_is_drawn() {
    let mut progress = progress(0.5);
    for epoch in 1..9 {
        progress.epoch_ends(&record(epoch, false));
    }
    for (width, height) in [(1, 1), (7, 3), (39, 12), (41, 200), (300, 9)] {
        assert_eq!(rows(&progress, 2, width, height).len(), usize::from(height));
    }
}

#[test]
fn long_times_are_told_in_days() {
    let clocks = [59, 61, 3_600, 200_000].map(|seconds| clock(Duration::from_secs(seconds)));
    assert_eq!(clocks, ["0:59", "1:01", "1:00:00", "2 days 7 h"]);
}
