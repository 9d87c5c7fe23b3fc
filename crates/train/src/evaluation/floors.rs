//! Baselines: reports chosen without a generator.

use std::collections::HashMap;

use ithn_data::{ImageLoader, TokenizedStudy};

use crate::dataset::{EvaluationSplit, PreparedData};
use crate::error::TrainError;

/// Side to which images are averaged down before they are compared, in cells.
const GRID: usize = 32;

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

/// The report of the training study whose image is nearest, by squared difference of brightness on
/// a 32 × 32 grid, exposure and contrast taken out.
///
/// # Errors
///
/// If an image cannot be read.
pub fn nearest_image_report(
    data: &PreparedData,
    split: &EvaluationSplit,
    images: &ImageLoader,
) -> Result<Vec<String>, TrainError> {
    let grids = |studies: &mut dyn Iterator<Item = &TokenizedStudy>| {
        studies
            .map(|study| grid(study, images))
            .collect::<Result<Vec<_>, _>>()
    };
    let training = grids(
        &mut data
            .members
            .iter()
            .map(|member| &data.training[member.study]),
    )?;
    let wanted = grids(&mut split.studies.iter())?;
    Ok(wanted
        .iter()
        .map(|image| {
            let distance = |other: &[f32]| -> f32 {
                image
                    .iter()
                    .zip(other)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum()
            };
            let nearest = training
                .iter()
                .map(|other| distance(other))
                .enumerate()
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .map_or(0, |(index, _)| index);
            let study = &data.training[data.members[nearest].study];
            data.tokenizer.decode(&study.tokens[1..])
        })
        .collect())
}

/// Mean brightness of the first view's cells, standardised. Every study has its first view: missing
/// ones come last.
fn grid(study: &TokenizedStudy, images: &ImageLoader) -> Result<Vec<f32>, TrainError> {
    let block = images.load(&[study], 0)?;
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
