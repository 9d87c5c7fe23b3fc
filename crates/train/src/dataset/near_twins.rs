use std::collections::HashMap;

use ithn_data::phantom::read_phantom_records;
use ithn_data::{Cleaning, Split, Study};
use ithn_mining::{MiningStudy, TfIdfConfig, mine};

use crate::dataset::Dataset;
use crate::error::TrainError;
use ithn_inference::FindingsReader;

/// Index of each study's near-twin among those of a split.
///
/// For phantom studies it is the one that was drawn as such; for others the study of another patient
/// with the nearest different report (TF-IDF of reports cleaned by `cleaning`), as first negatives
/// are mined.
///
/// # Errors
///
/// If the phantom records cannot be read, or a report has no word to compare.
pub fn near_twins(
    dataset: &Dataset,
    split: Split,
    cleaning: Cleaning,
) -> Result<Vec<Option<usize>>, TrainError> {
    let studies: Vec<&Study> = dataset.split(split).collect();
    if dataset.findings != FindingsReader::Phantom {
        return nearest_reports(&studies, cleaning);
    }
    let places: HashMap<&str, usize> = studies
        .iter()
        .enumerate()
        .map(|(place, study)| (study.id.as_str(), place))
        .collect();
    let mut twins = vec![None; studies.len()];
    for record in read_phantom_records(&dataset.path)? {
        if let (Some(&place), Some(twin)) = (places.get(record.id.as_str()), &record.near_twin) {
            twins[place] = places.get(twin.as_str()).copied();
        }
    }
    Ok(twins)
}

fn nearest_reports(
    studies: &[&Study],
    cleaning: Cleaning,
) -> Result<Vec<Option<usize>>, TrainError> {
    let reports: Vec<String> = studies
        .iter()
        .map(|study| cleaning.clean(&study.report))
        .collect();
    let studies: Vec<MiningStudy> = studies
        .iter()
        .zip(&reports)
        .map(|(study, report)| MiningStudy {
            id: &study.id,
            patient: &study.patient,
            report,
        })
        .collect();
    let embedding = TfIdfConfig::default().fit(studies.iter().map(|study| study.report));
    let nearest = mine(&studies, &studies, 1, &embedding, |_| {})?;
    Ok(nearest
        .into_iter()
        .map(|found| found.first().map(|nearest| nearest.index))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};

    use crate::DataSource;

    fn dataset(folder: &std::path::Path) -> Dataset {
        let studies = folder.join("studies");
        let config = PhantomConfig::new(4, 2, 10)
            .with_near_twin_share(0.4)
            .with_image_size(16)
            .with_seed(2);
        write_phantom_dataset(&studies, &config).expect("drawn");
        Dataset::load(
            &DataSource::mimic(studies),
            1,
            None,
            ithn_data::OnBadStudy::Stop,
        )
        .expect("readable")
    }

    #[test]
    fn phantom_twins_are_mutual_and_of_the_split() {
        let folder = tempfile::tempdir().expect("a folder");
        let dataset = dataset(folder.path());
        let twins = near_twins(&dataset, Split::Test, Cleaning::MimicCxr).expect("recorded");
        assert_eq!(twins.len(), 10);
        assert_eq!(twins.iter().flatten().count(), 4);
        for (study, twin) in twins.iter().enumerate() {
            assert!(twin.is_none_or(|twin| twins[twin] == Some(study) && twin != study));
        }
    }

    #[test]
    fn other_studies_have_their_nearest_report_for_a_twin() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut dataset = dataset(folder.path());
        let recorded = near_twins(&dataset, Split::Test, Cleaning::MimicCxr).expect("recorded");
        dataset.findings = FindingsReader::Rules14;
        let mined = near_twins(&dataset, Split::Test, Cleaning::MimicCxr).expect("mined");
        let reports: Vec<&str> = dataset
            .split(Split::Test)
            .map(|study| study.report.as_str())
            .collect();
        for (study, twin) in mined.iter().enumerate() {
            assert!(twin.is_none_or(|twin| reports[twin] != reports[study]));
        }
        // Reports that differ in one word are each other's nearest.
        let agreeing = recorded
            .iter()
            .zip(&mined)
            .filter(|(a, b)| a.is_some() && a == b);
        assert!(agreeing.count() >= 3, "{recorded:?} {mined:?}");
    }
}
