use std::collections::BTreeMap;

use ithn_checkpoint::config::ExperimentConfig;
use ithn_data::{Study, TokenizedStudy, Tokenizer};
use ithn_mining::{MiningStudy, TfIdfConfig, mine};
use ithn_plugin::SamePatient;

use super::Watch;
use crate::error::TrainError;
use crate::ranks::Ranks;

/// Index of every training study's first negative. A negative that the dataset contains is appended
/// to `training`; the others are mined among the training studies of other patients or, if they count as the hardest ones,
/// among the patient's own others first. A study without an admissible one (every other report a duplicate) is its own
/// negative, which has no effect.
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
    let of_patient = match config.ithn.same_patient {
        SamePatient::Hardest => mine_within_patients(train, &cleaned)?,
        _ => vec![None; train.len()],
    };
    let mut negatives = Vec::with_capacity(train.len());
    for (index, study) in train.iter().enumerate() {
        negatives.push(match &study.negative {
            None => of_patient[index].or(mined[index]).unwrap_or(index),
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

/// The patient's other study with the most similar report, of each study that has one with another report.
fn mine_within_patients(
    train: &[&Study],
    cleaned: &[String],
) -> Result<Vec<Option<usize>>, TrainError> {
    let mut patients: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, study) in train.iter().enumerate() {
        patients.entry(&study.patient).or_default().push(index);
    }
    let embedding = TfIdfConfig::default().fit(cleaned.iter().map(String::as_str));
    let mut closest = vec![None; train.len()];
    for studies in patients.values().filter(|studies| studies.len() > 1) {
        let of_patient: Vec<MiningStudy> = studies
            .iter()
            .map(|&index| MiningStudy {
                id: &train[index].id,
                // Each its own patient, so that none is left out as another study of the same one.
                patient: &train[index].id,
                report: &cleaned[index],
            })
            .collect();
        let neighbours = mine(&of_patient, &of_patient, 1, &embedding, |_| {})?;
        for (&index, neighbours) in studies.iter().zip(&neighbours) {
            closest[index] = neighbours.first().map(|it| studies[it.index]);
        }
    }
    Ok(closest)
}

#[cfg(test)]
mod tests {
    use ithn_checkpoint::config::Preset;
    use ithn_data::phantom::{PhantomHistoryConfig, write_phantom_histories};
    use ithn_data::{OnBadStudy, Split};

    use super::*;
    use crate::dataset::{DataSource, Dataset, PreparedData};

    #[test]
    fn a_patients_other_studies_are_never_negatives_or_the_hardest_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("histories");
        let histories = PhantomHistoryConfig::new(30, 1, 1).with_image_size(16);
        write_phantom_histories(&root, &histories).expect("drawn");
        let mut config = Preset::PhantomHistory.config();
        config.text.minimum_occurrences = 1;
        let source = DataSource::mimic(root);
        let dataset =
            Dataset::load(&source, &config.model, None, OnBadStudy::Stop).expect("readable");
        let studies: Vec<&Study> = dataset.split(Split::Train).collect();
        let prepare = |same_patient| {
            config.ithn.same_patient = same_patient;
            PreparedData::new(&dataset, &config, None).expect("prepared")
        };
        let [masked, hardest] = [SamePatient::Masked, SamePatient::Hardest].map(prepare);
        let numbers = masked.patients.expect("they are masked");
        assert!(hardest.patients.is_none());
        let mut own = 0;
        for (member, harder) in masked.members.iter().zip(&hardest.members) {
            let study = studies[member.study];
            let negatives = [member, harder].map(|it| it.negative.expect("it has one"));
            let is_own = negatives.map(|it| studies[it].patient == study.patient);
            let others = studies
                .iter()
                .filter(|other| other.patient == study.patient && other.report != study.report);
            let has_others = others.count() > 0;
            assert!(!is_own[0], "{}", study.id);
            assert_eq!(is_own[1], has_others, "{}", study.id);
            let mask = numbers[member.study] == numbers[negatives[1]];
            assert_eq!(mask, has_others);
            own += usize::from(has_others);
            // A negative comes with its own context.
            let negative = &hardest.training[negatives[1]];
            let prior = studies[negatives[1]].context.prior.as_ref();
            assert_eq!(negative.context.prior.is_some(), prior.is_some());
        }
        assert!(0 < own && own < studies.len());
    }
}
