use std::path::PathBuf;

use ithn_data::TokenizedStudy;
use ithn_decoder::search::{Hypothesis, SearchConfig, Strategy};
use serde::Serialize;

use super::ReportWriter;
use crate::InferenceError;
use crate::sheet::StudySheet;
use crate::tensors::study_batch;

/// One of a study's reports, best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WrittenReport {
    /// Its words.
    pub text: String,
    /// What search ranks by: the sum of log-probabilities in nats, after penalties.
    pub score: f64,
    /// Whether it ended by itself; otherwise it was cut at the greatest length.
    pub finished: bool,
}

impl ReportWriter {
    /// How it searches: as in the run's evaluation unless changed.
    pub fn search(&self) -> &SearchConfig {
        &self.search
    }

    /// Searches otherwise.
    ///
    /// # Errors
    ///
    /// The first option that is out of its range.
    pub fn with_search(mut self, search: SearchConfig) -> Result<Self, InferenceError> {
        search.validate()?;
        self.search = search;
        Ok(self)
    }

    /// Searches with `width` beams (as evaluated if none) and returns `reports` per study, for which
    /// the beams are widened if need be.
    ///
    /// # Errors
    ///
    /// If a number is 0.
    pub fn with_beams(self, width: Option<usize>, reports: usize) -> Result<Self, InferenceError> {
        let present = match self.search.strategy {
            Strategy::Beam { width, .. } => width,
            _ => 1,
        };
        let mut search = self.search.clone();
        if width.is_some() || reports > 1 {
            let width = width.unwrap_or(present.max(reports));
            match &mut search.strategy {
                Strategy::Beam { width: beams, .. } => *beams = width,
                other => *other = SearchConfig::beam(search.max_tokens, width).strategy,
            }
        }
        search.returned = reports;
        self.with_search(search)
    }

    /// Reports of several studies, each given by the files of its views, in one batch; per study
    /// [`SearchConfig::returned`] reports, best first.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn write_batch(
        &self,
        studies: &[Vec<PathBuf>],
    ) -> Result<Vec<Vec<WrittenReport>>, InferenceError> {
        if studies.is_empty() {
            return Ok(Vec::new());
        }
        let studies: Vec<TokenizedStudy> = studies.iter().map(|images| unread(images)).collect();
        let studies: Vec<&TokenizedStudy> = studies.iter().collect();
        let studies = study_batch(self.images.load(&studies, 0)?, &self.device);
        let found = self.generator.search(studies, &self.search)?;
        let written = |hypotheses: Vec<Hypothesis>| {
            hypotheses
                .into_iter()
                .map(|hypothesis| WrittenReport {
                    text: self.tokenizer.decode(&hypothesis.tokens),
                    score: hypothesis.score,
                    finished: hypothesis.finished,
                })
                .collect()
        };
        Ok(found.into_iter().map(written).collect())
    }

    /// Writes the best report of a study and looks behind it: where each word looked.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn explain(&self, images: &[PathBuf]) -> Result<StudySheet, InferenceError> {
        self.generator.sheet(self, &unread(images))
    }
}

/// A study of which nothing is known but its images.
fn unread(images: &[PathBuf]) -> TokenizedStudy {
    let id = images
        .first()
        .map_or_else(|| "study".to_owned(), |path| path.display().to_string());
    TokenizedStudy {
        id,
        images: images.to_vec(),
        tokens: Vec::new(),
    }
}
