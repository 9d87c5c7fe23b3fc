//! First negatives that the model mines itself, again in every epoch.

use std::fs;
use std::io;

use burn::module::Module;
use burn::tensor::Tensor;
use ithn_data::{BatchMember, TokenizedStudy, pad_tokens};
use ithn_generator::{ReportGenerator, TrainableGenerator};
use ithn_inference::{study_batch, token_batch};
use ithn_plugin::Ithn;
use serde::{Deserialize, Serialize};

use super::Trainer;
use crate::dataset::Admissible;
use crate::error::TrainError;
use crate::records::output_error;

/// File of the run's folder that holds the negatives of the epoch that is trained.
const FILE: &str = "negatives.json";

/// First negatives of an epoch, as indices into the training studies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EpochNegatives {
    epoch: usize,
    first: Vec<usize>,
}

impl<G: TrainableGenerator> Trainer<'_, G> {
    /// Mines the negatives of an epoch with the weights that it begins with, or reads those of an epoch that goes on: the
    /// weights that mined them are gone by then. The first epoch keeps the negatives of the data.
    pub(super) fn mine_again(&mut self, epoch: usize) -> Result<(), TrainError> {
        let Some(admissible) = &self.data.admissible else {
            return Ok(());
        };
        if epoch == 1 {
            return Ok(());
        }
        let path = self.folder.root().join(FILE);
        let negatives = match self.progress.batch {
            0 => {
                let first = self.nearest_to_images(admissible)?;
                let negatives = EpochNegatives { epoch, first };
                let written = match self.ranks.is_first() {
                    true => self.folder.write_json(FILE, &negatives),
                    false => Ok(()),
                };
                self.ranks.agree(written)?;
                negatives
            }
            _ => self.ranks.agree(fs::read_to_string(&path).and_then(|text| {
                let negatives: EpochNegatives = serde_json::from_str(&text)?;
                let fits = negatives.epoch == epoch
                    && negatives.first.len() == self.data.members.len()
                    && (negatives.first.iter()).all(|&it| it < self.data.training.len());
                match fits {
                    true => Ok(negatives),
                    false => Err(io::Error::other(format!(
                        "holds no negatives of epoch {epoch}: resume from the end of an epoch"
                    ))),
                }
            }).map_err(output_error(&path)))?,
        };
        self.negatives = Some(negatives);
        Ok(())
    }

    /// A member of a batch, with the negative that it has in this epoch.
    pub(super) fn member(&self, member: usize) -> BatchMember {
        let of_data = self.data.members[member];
        match &self.negatives {
            Some(negatives) => BatchMember {
                negative: Some(negatives.first[member]),
                ..of_data
            },
            None => of_data,
        }
    }

    /// For each training study the admissible report whose embedding is nearest its image, of equals the first; the study
    /// itself, which has no effect, if there is none.
    fn nearest_to_images(&self, admissible: &Admissible) -> Result<Vec<usize>, TrainError> {
        let model = self.model().valid();
        let count = self.data.members.len();
        let studies = &self.data.training[..count];
        let size = self.config.training.evaluation_batch_size;
        let reports = studies.chunks(size).map(|studies| {
            let studies: Vec<&TokenizedStudy> = studies.iter().collect();
            model.embed_reports_alone(&token_batch(pad_tokens(&studies), &self.device))
        });
        let reports = Tensor::cat(reports.collect(), 0).transpose();
        let mut nearest = Vec::with_capacity(count);
        for chunk in studies.chunks(size) {
            let scores = self
                .image_embeddings(&model, chunk)?
                .matmul(reports.clone());
            let scores: Vec<f32> = scores.into_data().iter::<f32>().collect();
            for scores in scores.chunks(count) {
                let study = nearest.len();
                let others = (0..count).filter(|&other| admissible.allows(studies, study, other));
                let best = others.fold(None, |best: Option<usize>, other| match best {
                    Some(best) if scores[best] >= scores[other] => Some(best),
                    _ => Some(other),
                });
                nearest.push(best.unwrap_or(study));
            }
        }
        Ok(nearest)
    }

    fn image_embeddings<M: ReportGenerator>(
        &self,
        model: &Ithn<M>,
        studies: &[TokenizedStudy],
    ) -> Result<Tensor<2>, TrainError> {
        let studies: Vec<&TokenizedStudy> = studies.iter().collect();
        let block = self.evaluation_images.load(&studies, 0)?;
        let pooled = model.generator.pooled(study_batch(block, &self.device));
        Ok(model.alignment.embed_images(pooled))
    }
}
