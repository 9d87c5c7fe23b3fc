use ithn_checkpoint::config::ExperimentConfig;
use ithn_data::{Study, TokenizedStudy, Tokenizer};
use ithn_mining::{MiningStudy, TfIdfConfig, mine};

use super::Watch;
use crate::error::TrainError;
use crate::ranks::Ranks;

/// Index of every training study's first negative. A negative that the dataset contains is appended
/// to `training`; the others are mined among the training studies. A study without an admissible
/// one (every other report a duplicate) is its own negative, which has no effect.
pub(super) fn first_negatives(
    train: &[&Study],
    tokenizer: &Tokenizer,
    config: &ExperimentConfig,
    training: &mut Vec<TokenizedStudy>,
    watch: Watch<'_>,
    ranks: &Ranks,
) -> Result<Vec<usize>, TrainError> {
    let cleaned: Vec<String> = train
        .iter()
        .map(|study| tokenizer.cleaning().clean(&study.report))
        .collect();
    let mined = if train.iter().all(|study| study.negative.is_some()) {
        vec![None; train.len()]
    } else {
        ranks.gather_shares(mine_closest(train, &cleaned, watch, ranks))?
    };
    let mut negatives = Vec::with_capacity(train.len());
    for (index, study) in train.iter().enumerate() {
        negatives.push(match &study.negative {
            None => mined[index].unwrap_or(index),
            Some(negative) => {
                let id = format!("{} (negative)", study.id);
                training.push(TokenizedStudy {
                    tokens: tokenizer.encode_study(
                        &id,
                        &negative.report,
                        config.text.max_tokens,
                    )?,
                    images: negative.images.clone(),
                    context: Default::default(),
                    id,
                });
                training.len() - 1
            }
        });
    }
    Ok(negatives)
}

/// The closest other study of each in this rank's share.
fn mine_closest(
    train: &[&Study],
    cleaned: &[String],
    watch: Watch<'_>,
    ranks: &Ranks,
) -> Result<Vec<Option<usize>>, TrainError> {
    let studies: Vec<MiningStudy> = train
        .iter()
        .zip(cleaned)
        .map(|(study, report)| MiningStudy {
            id: &study.id,
            patient: &study.patient,
            report,
        })
        .collect();
    let embedding = TfIdfConfig::default().fit(cleaned.iter().map(String::as_str));
    let own: Vec<MiningStudy> = ranks.share_of(&studies).copied().collect();
    let neighbours = mine(&studies, &own, 1, &embedding, |done| {
        watch("mining first negatives", done, own.len());
    })?;
    Ok(neighbours
        .into_iter()
        .map(|neighbours| neighbours.first().map(|closest| closest.index))
        .collect())
}
