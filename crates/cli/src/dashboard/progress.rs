use std::collections::VecDeque;

use ithn::train::{EpochPlan, EpochRecord, Pace, StepRecord};

use super::series::Series;

/// Most messages kept for display.
const MESSAGES: usize = 200;

/// State of a run that the screen shows.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) title: String,
    pub(crate) pace: Pace,
    pub(crate) activity: Activity,
    pub(crate) last_step: Option<StepRecord>,
    pub(crate) curves: Curves,
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) messages: VecDeque<Message>,
    /// Whether the run was asked to stop.
    pub(crate) is_stopping: bool,
}

/// What the run is doing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Activity {
    #[default]
    Preparing,
    Training,
    Working {
        work: String,
        done: usize,
        total: usize,
    },
    Writing {
        split: String,
        done: usize,
        total: usize,
    },
}

/// Curves that get a point from every step.
#[derive(Debug, Default)]
pub(crate) struct Curves {
    pub(crate) language: Series,
    pub(crate) contrastive: Series,
    pub(crate) separation: Series,
    pub(crate) positive: Series,
    pub(crate) negative: Series,
    pub(crate) hardened: Series,
    pub(crate) hardness: Series,
}

/// A message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) text: String,
    pub(crate) is_warning: bool,
}

impl Progress {
    pub(crate) fn new(title: &str) -> Self {
        Progress {
            title: title.to_owned(),
            ..Progress::default()
        }
    }

    pub(crate) fn epoch_begins(&mut self, plan: &EpochPlan) {
        self.pace.epoch_begins(plan);
        self.activity = Activity::Training;
    }

    pub(crate) fn step_ends(&mut self, step: &StepRecord) {
        self.pace.step_ends(step);
        self.activity = Activity::Training;
        let at = step.step as f64;
        let curves = &mut self.curves;
        curves.language.push(at, step.language.into());
        if uses_negatives(step) {
            curves.contrastive.push(at, step.contrastive.into());
            curves.separation.push(at, step.separation.into());
            curves.positive.push(at, step.positive_similarity.into());
            curves.negative.push(at, step.negative_similarity.into());
            curves.hardened.push(at, step.hardened_similarity.into());
            curves.hardness.push(at, 1.0 - step.lambda);
        }
        self.last_step = Some(*step);
    }

    pub(crate) fn epoch_ends(&mut self, record: &EpochRecord) {
        self.pace.epoch_ends();
        self.epochs.push(record.clone());
    }

    pub(crate) fn say(&mut self, text: &str, is_warning: bool) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if self.messages.len() == MESSAGES {
                self.messages.pop_front();
            }
            self.messages.push_back(Message {
                text: line.to_owned(),
                is_warning,
            });
        }
    }
}

/// Whether the run uses negatives: without them, similarities and contrastive loss are exactly 0.
pub(crate) fn uses_negatives(step: &StepRecord) -> bool {
    step.positive_similarity != 0.0 || step.contrastive != 0.0
}
