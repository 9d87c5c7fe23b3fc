use std::path::PathBuf;

use ithn_data::EncodedStudy;
use ithn_search::{Hypothesis, SearchConfig};
use serde::Serialize;

use super::ReportWriter;
use crate::report::StudySheet;
use crate::train::{TrainError, image_tensor};

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
    pub fn with_search(mut self, search: SearchConfig) -> Result<Self, TrainError> {
        search.validate()?;
        self.search = search;
        Ok(self)
    }

    /// Searches with beam width `width` (as evaluated if `None`) and returns `reports` per study.
    /// Beams narrower than `reports` are widened to it.
    ///
    /// # Errors
    ///
    /// A number that is 0, or a width for diverse beams or sampling, which have none: see
    /// [`SearchConfig::with_beam_width`] and [`SearchConfig::with_reports`].
    pub fn with_beams(self, width: Option<usize>, reports: usize) -> Result<Self, TrainError> {
        // The strategy as evaluated may return more reports than `width` beams keep.
        let mut search = self.search.clone().with_reports(1)?;
        if let Some(width) = width {
            search = search.with_beam_width(width)?;
        }
        self.with_search(search.with_reports(reports)?)
    }

    /// Reports of several studies, each given by the files of its views, in one batch; per study
    /// its hypotheses, best first.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn write_batch(
        &self,
        studies: &[Vec<PathBuf>],
    ) -> Result<Vec<Vec<WrittenReport>>, TrainError> {
        if studies.is_empty() {
            return Ok(Vec::new());
        }
        let studies: Vec<EncodedStudy> = studies.iter().map(|images| unread(images)).collect();
        let studies: Vec<&EncodedStudy> = studies.iter().collect();
        let ids: Vec<&str> = studies.iter().map(|study| study.id.as_str()).collect();
        let images = image_tensor(self.images.load(&studies, 0)?, &self.device);
        let found = self.generator.search(images, &ids, &self.search)?;
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
    pub fn explain(&self, images: &[PathBuf]) -> Result<StudySheet, TrainError> {
        self.generator.sheet(self, &unread(images))
    }
}

/// A study of which only the images are known. Its id is the path of the first image: sampling
/// draws by it, and errors name it.
pub(super) fn unread(images: &[PathBuf]) -> EncodedStudy {
    let id = images
        .first()
        .map_or_else(|| "study".to_owned(), |path| path.display().to_string());
    EncodedStudy {
        id,
        images: images.to_vec(),
        tokens: Vec::new(),
    }
}
