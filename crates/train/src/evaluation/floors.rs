//! Baselines: reports chosen without a generator.

use std::collections::{BTreeSet, HashMap};

use ithn_data::{ImageLoader, TokenizedStudy};
use ithn_inference::FindingsReader;
use ithn_metrics::FindingClass;
use ithn_metrics::floors::{
    ComposedReport, LabelFloors, OverlapMetric, compose_constant, label_floors,
};
use rayon::prelude::*;

use crate::dataset::{EvaluationSplit, PreparedData, Watch};
use crate::error::TrainError;
use crate::ranks::Ranks;

/// Side to which images are averaged down before they are compared, in cells.
const GRID: usize = 32;

/// Training images that are compared at a time.
const AT_A_TIME: usize = 1024;

/// The most frequent training report, for every study of a split; the earliest of equals.
pub fn most_frequent_report(data: &PreparedData, split: &EvaluationSplit) -> Vec<String> {
    let mut counts: HashMap<&[u32], (usize, usize)> = HashMap::new();
    for (index, member) in data.members.iter().enumerate() {
        let tokens = data.training[member.study].tokens.as_slice();
        counts.entry(tokens).or_insert((0, index)).0 += 1;
    }
    let best = counts
        .into_iter()
        .max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first)))
        .map(|(tokens, _)| data.tokenizer.decode(&tokens[1..]))
        .unwrap_or_default();
    vec![best; split.studies.len()]
}

/// One report for each overlap metric, composed of sentences of training reports and chosen on the validation split; none
/// if no training report has a whole sentence.
///
/// # Errors
///
/// If the validation split is empty.
pub fn composed_reports(data: &PreparedData) -> Result<Vec<ComposedReport>, TrainError> {
    let training: Vec<String> = data
        .members
        .iter()
        .map(|member| {
            data.tokenizer
                .decode(&data.training[member.study].tokens[1..])
        })
        .collect();
    if !training.iter().any(|report| report.contains('.')) {
        return Ok(Vec::new());
    }
    OverlapMetric::ALL
        .into_iter()
        .map(|metric| {
            let references = &data.validation.references;
            Ok(compose_constant(&training, references, metric)?)
        })
        .collect()
}

/// Scores of the same labels for every study of the test split: the 13 abnormal classes, or every finding with its side
/// that phantom studies have; none if they have none.
///
/// # Errors
///
/// If a split is empty.
pub fn constant_labels(data: &PreparedData) -> Result<Option<LabelFloors>, TrainError> {
    let read = |split: &EvaluationSplit| -> Vec<BTreeSet<String>> {
        split
            .full_references
            .par_iter()
            .map(|report| data.findings.abnormal(report))
            .collect()
    };
    let (validation, test) = (read(&data.validation), read(&data.test));
    let names: Vec<String> = match data.findings {
        FindingsReader::Rules14 => FindingClass::ABNORMAL
            .map(|class| class.name().to_owned())
            .to_vec(),
        _ => {
            let found: BTreeSet<&String> = validation.iter().chain(&test).flatten().collect();
            found.into_iter().cloned().collect()
        }
    };
    if names.is_empty() {
        return Ok(None);
    }
    let flags = |studies: &[BTreeSet<String>]| -> Vec<Vec<bool>> {
        let row =
            |found: &BTreeSet<String>| names.iter().map(|name| found.contains(name)).collect();
        studies.iter().map(row).collect()
    };
    Ok(Some(label_floors(
        &names,
        &flags(&validation),
        &flags(&test),
    )?))
}

/// The report of the training study whose image is nearest, by squared difference of brightness on
/// a 32 × 32 grid, exposure and contrast taken out; the first of equals.
///
/// Every training image is read once, on all cores; memory does not grow with their number.
///
/// # Errors
///
/// If an image cannot be read.
pub fn nearest_image_report(
    data: &PreparedData,
    split: &EvaluationSplit,
    images: &ImageLoader,
    watch: Watch<'_>,
) -> Result<Vec<String>, TrainError> {
    nearest_image_report_of(data, split, images, watch, &Ranks::default())
}

/// Like [`nearest_image_report`], with the training images divided among ranks.
pub(crate) fn nearest_image_report_of(
    data: &PreparedData,
    split: &EvaluationSplit,
    images: &ImageLoader,
    watch: Watch<'_>,
    ranks: &Ranks,
) -> Result<Vec<String>, TrainError> {
    let own = nearest_of_share(data, split, images, watch, ranks);
    let mut nearest = vec![(f32::INFINITY, 0); split.studies.len()];
    for of_rank in ranks.gather_values(own)? {
        for (nearest, (distance, index)) in nearest.iter_mut().zip(of_rank) {
            let other = (f32::from_bits(distance), index);
            if other.0 < nearest.0 || (other.0 == nearest.0 && other.1 < nearest.1) {
                *nearest = other;
            }
        }
    }
    Ok(nearest
        .into_iter()
        .map(|(_, index)| {
            let study = &data.training[data.members[index].study];
            data.tokenizer.decode(&study.tokens[1..])
        })
        .collect())
}

/// Of each study of a split the nearest training image among this rank's: the bits of its distance, and
/// its place.
fn nearest_of_share(
    data: &PreparedData,
    split: &EvaluationSplit,
    images: &ImageLoader,
    watch: Watch<'_>,
    ranks: &Ranks,
) -> Result<Vec<(u32, usize)>, TrainError> {
    let wanted = grids(&split.studies.iter().collect::<Vec<_>>(), images)?;
    let mut nearest = vec![(f32::INFINITY, 0); wanted.len()];
    let own: Vec<usize> = ranks.share_of(0..data.members.len()).collect();
    let mut done = 0;
    for places in own.chunks(AT_A_TIME) {
        let studies: Vec<&TokenizedStudy> = places
            .iter()
            .map(|&place| &data.training[data.members[place].study])
            .collect();
        let training = grids(&studies, images)?;
        wanted
            .par_iter()
            .zip(&mut nearest)
            .for_each(|(image, nearest)| {
                for (other, &place) in training.iter().zip(places) {
                    let distance = squared_distance(image, other);
                    if distance < nearest.0 {
                        *nearest = (distance, place);
                    }
                }
            });
        done += places.len();
        watch("comparing images for the floor", done, own.len());
    }
    let bits = nearest.into_iter();
    Ok(bits
        .map(|(distance, place)| (distance.to_bits(), place))
        .collect())
}

/// Squared Euclidean distance, summed in sixteen parts, which become vectors.
fn squared_distance(one: &[f32], other: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    for (one, other) in one.chunks_exact(LANES).zip(other.chunks_exact(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(one).zip(other) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum()
}

/// Grids of some studies, read on all cores.
fn grids(studies: &[&TokenizedStudy], images: &ImageLoader) -> Result<Vec<Vec<f32>>, TrainError> {
    studies
        .par_iter()
        .map(|study| grid(study, images))
        .collect()
}

/// Mean brightness of the first view's cells, standardised. Every study has its first view: missing
/// ones come last.
fn grid(study: &TokenizedStudy, images: &ImageLoader) -> Result<Vec<f32>, TrainError> {
    let block = images.load_images(&[study], 0)?;
    let [_, _, _, height, width] = block.dims;
    let plane = &block.pixels[..height * width];
    let mut sums = vec![0f32; GRID * GRID];
    let mut counts = vec![0f32; GRID * GRID];
    for (index, &value) in plane.iter().enumerate() {
        let cell = (index / width * GRID / height) * GRID + index % width * GRID / width;
        sums[cell] += f32::from(value);
        counts[cell] += 1.0;
    }
    let cells: Vec<f32> = sums
        .iter()
        .zip(&counts)
        .map(|(sum, count)| sum / count.max(1.0))
        .collect();
    let mean = cells.iter().sum::<f32>() / cells.len() as f32;
    let variance = cells.iter().map(|cell| (cell - mean).powi(2)).sum::<f32>() / cells.len() as f32;
    let deviation = variance.sqrt().max(1e-6);
    Ok(cells.iter().map(|cell| (cell - mean) / deviation).collect())
}
