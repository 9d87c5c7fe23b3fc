//! Laws of search, stated on a small scripted generator; then agreement with the official beam
//! search, written out literally.

mod forbidden;
mod laws;
mod official;
mod repeats;
mod script;
mod studies;

use crate::{BeamSearch, DiverseBeamSearch, LengthPenalty, Sampling, Strategy};

/// One of each strategy.
fn every_strategy() -> [Strategy; 4] {
    [
        Strategy::Greedy,
        BeamSearch::new(3)
            .with_length_penalty(LengthPenalty::Average)
            .into(),
        DiverseBeamSearch::new(2, 2, 0.5).into(),
        Sampling::new(1.0, 1).with_top_p(0.95).into(),
    ]
}
