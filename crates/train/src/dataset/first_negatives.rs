use std::collections::{BTreeMap, BTreeSet};

use ithn_checkpoint::config::{ExperimentConfig, FirstNegatives};
use ithn_data::{Study, TokenizedStudy, Tokenizer};
use ithn_inference::FindingsReader;
use ithn_mining::{MiningStudy, TfIdfConfig, mine};
use ithn_plugin::SamePatient;

use super::Watch;
use super::edited_negatives::edited_reports;
use crate::error::TrainError;
use crate::ranks::Ranks;

/// Negatives of a training study, as indices into the training studies.
pub(super) struct MemberNegatives {
    pub(super) first: usize,
    /// As many further ones as the configuration asks for.
    pub(super) more: Vec<usize>,
}

/// Neighbours that are looked at to find some that state other findings.
const NEAREST: usize = 256;

/// Every training study's negatives. A negative that the dataset contains is appended
/// to `training`; the others are mined among the training studies of other patients or, if they count as the hardest ones,
/// among the patient's own others first. A study without an admissible one (every other report a duplicate) is its own
/// negative, which has no effect.
///
/// Edited reports are appended as well, each with its study's own images.
pub(super) fn first_negatives(
    train: &[&Study],
    (tokenizer, findings): (&Tokenizer, FindingsReader),
    config: &ExperimentConfig,
    training: &mut Vec<TokenizedStudy>,
    watch: Watch<'_>,
    ranks: &Ranks,
) -> Result<Vec<MemberNegatives>, TrainError> {
    let cleaned: Vec<String> = train
        .iter()
        .map(|study| tokenizer.cleaning().clean(&study.report))
        .collect();
    if config.first_negatives == FirstNegatives::Edited {
        return edited(train, &cleaned, (tokenizer, findings), config, training);
    }
    let own_negatives = config.first_negatives == FirstNegatives::Mined
        && config.more_negatives == 0
        && train.iter().all(|study| study.negative.is_some());
    let mined: Vec<Vec<usize>> = if own_negatives {
        vec![Vec::new(); train.len()]
    } else {
        ranks.gather_shares(mine_closest(
            train, &cleaned, config, findings, watch, ranks,
        ))?
    };
    let of_patient = match config.ithn.same_patient {
        SamePatient::Hardest => mine_within_patients(train, &cleaned)?,
        _ => vec![None; train.len()],
    };
    let mut negatives = Vec::with_capacity(train.len());
    for (index, study) in train.iter().enumerate() {
        let given = study
            .negative
            .as_ref()
            .filter(|_| config.first_negatives == FirstNegatives::Mined);
        let first = match given {
            None => of_patient[index]
                .or(mined[index].first().copied())
                .unwrap_or(index),
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
        };
        // A study with fewer mined negatives has its first one again, which moves no hull.
        let more = mined[index]
            .iter()
            .copied()
            .skip(usize::from(given.is_none()));
        let more = more
            .chain(std::iter::repeat(first))
            .take(config.more_negatives);
        negatives.push(MemberNegatives {
            first,
            more: more.collect(),
        });
    }
    Ok(negatives)
}

/// Appends the edited reports, and returns their indices; a report without an edit is its own negative.
fn edited(
    train: &[&Study],
    cleaned: &[String],
    (tokenizer, findings): (&Tokenizer, FindingsReader),
    config: &ExperimentConfig,
    training: &mut Vec<TokenizedStudy>,
) -> Result<Vec<MemberNegatives>, TrainError> {
    let seeds: Vec<u64> = train
        .iter()
        .map(|study| crc32fast::hash(study.id.as_bytes()).into())
        .collect();
    let mut negatives = Vec::with_capacity(train.len());
    let edits = edited_reports(cleaned, &seeds, findings);
    for (index, (study, edit)) in train.iter().zip(edits).enumerate() {
        let first = match edit {
            None => index,
            Some(report) => {
                let id = format!("{} (edited)", study.id);
                training.push(TokenizedStudy {
                    tokens: tokenizer.encode_study(&id, &report, config.text.max_tokens)?,
                    images: study.images.clone(),
                    context: Default::default(),
                    id,
                });
                training.len() - 1
            }
        };
        negatives.push(MemberNegatives {
            first,
            more: Vec::new(),
        });
    }
    Ok(negatives)
}

/// The closest other studies of each in this rank's share, as many as the configuration needs.
fn mine_closest(
    train: &[&Study],
    cleaned: &[String],
    config: &ExperimentConfig,
    findings: FindingsReader,
    watch: Watch<'_>,
    ranks: &Ranks,
) -> Result<Vec<Vec<usize>>, TrainError> {
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
    let places: Vec<usize> = (0..studies.len()).collect();
    let own_places: Vec<usize> = ranks.share_of(&places).copied().collect();
    let own: Vec<MiningStudy> = ranks.share_of(&studies).copied().collect();
    let needed = 1 + config.more_negatives;
    let stated: Option<Vec<BTreeSet<String>>> =
        (config.first_negatives == FirstNegatives::OtherFindings).then(|| {
            let of = |report: &String| findings.abnormal(report);
            cleaned.iter().map(of).collect()
        });
    let searched = match stated {
        Some(_) => needed.max(NEAREST),
        None => needed,
    };
    let neighbours = mine(&studies, &own, searched, &embedding, |done| {
        watch("mining first negatives", done, own.len());
    })?;
    let admissible = |study: usize, other: usize| match &stated {
        Some(stated) => stated[study] != stated[other],
        None => true,
    };
    Ok(own_places
        .into_iter()
        .zip(neighbours)
        .map(|(study, neighbours)| {
            let indices = neighbours.iter().map(|closest| closest.index);
            let found = indices.filter(|&other| admissible(study, other));
            found.take(needed).collect()
        })
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
    use ithn_checkpoint::config::{ExperimentConfig, FirstNegatives, Preset};
    use ithn_data::phantom::{
        PhantomConfig, PhantomHistoryConfig, write_phantom_dataset, write_phantom_histories,
    };
    use ithn_data::{OnBadStudy, Split};
    use ithn_inference::FindingsReader;

    use super::*;
    use crate::dataset::{DataSource, Dataset, PreparedData};

    fn prepared(change: impl Fn(&mut ExperimentConfig)) -> PreparedData {
        let folder = tempfile::tempdir().expect("a folder");
        let studies = PhantomConfig::new(40, 2, 2).with_image_size(16);
        write_phantom_dataset(folder.path(), &studies).expect("drawn");
        let mut config = Preset::Phantom.config();
        config.text.minimum_occurrences = 1;
        change(&mut config);
        let source = DataSource::mimic(folder.path().to_owned());
        let dataset = Dataset::load(&source, 1, None, OnBadStudy::Stop).expect("readable");
        assert_eq!(dataset.split(Split::Train).count(), 40);
        PreparedData::new(&dataset, &config, None).expect("prepared")
    }

    fn stated(data: &PreparedData, study: usize) -> std::collections::BTreeSet<String> {
        let words = data.tokenizer.decode(&data.training[study].tokens[1..]);
        FindingsReader::Phantom.abnormal(&words)
    }

    #[test]
    fn edited_negatives_differ_in_one_finding_and_have_the_images_of_their_study() {
        let data = prepared(|config| config.first_negatives = FirstNegatives::Edited);
        let mut edited = 0;
        for member in &data.members {
            let negative = member.negative.expect("every study has one");
            if negative == member.study {
                continue;
            }
            edited += 1;
            let [own, other] = [member.study, negative].map(|study| stated(&data, study));
            assert_eq!(
                own.symmetric_difference(&other).count(),
                1,
                "{own:?} {other:?}"
            );
            let images = [member.study, negative].map(|study| &data.training[study].images);
            assert_eq!(images[0], images[1]);
        }
        assert!(edited > 20, "{edited} of 40");
    }

    #[test]
    fn several_negatives_state_other_findings_and_are_loaded_with_a_batch() {
        let data = prepared(|config| {
            config.first_negatives = FirstNegatives::OtherFindings;
            config.more_negatives = 3;
        });
        let more = data.more_negatives.as_ref().expect("asked for");
        for member in &data.members {
            let first = member.negative.expect("every study has one");
            assert_eq!(more[member.study].len(), 3);
            for &other in more[member.study].iter().chain([&first]) {
                assert_ne!(stated(&data, member.study), stated(&data, other));
            }
        }
        let plain = prepared(|_| {});
        assert!(plain.more_negatives.is_none());
    }

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
