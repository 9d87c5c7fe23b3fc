use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use burn::tensor::activation::sigmoid;
use ithn_data::{BatchLoader, BatchMember, ImageLoader, TokenizedStudy, write_atomically};
use ithn_inference::study_batch;
use ithn_metrics::FindingClass;

use super::classifier::FindingsClassifier;
use super::labels::LabelledSplit;
use crate::error::TrainError;
use crate::records::output_error;

/// How studies are classified.
#[derive(Debug, Clone)]
pub struct Classifying<'a> {
    /// Loader of evaluation images.
    pub images: Arc<ImageLoader>,
    /// Studies per batch.
    pub batch_size: usize,
    /// Threads that decode images.
    pub threads: usize,
    /// Device of the classifier, without autodiff.
    pub device: &'a Device,
}

/// Probability of each class for each study, a row per study.
///
/// # Errors
///
/// [`TrainError::Data`] if an image cannot be read; it is named.
pub fn probabilities(
    classifier: &FindingsClassifier,
    studies: &Arc<Vec<TokenizedStudy>>,
    how: &Classifying<'_>,
) -> Result<Vec<Vec<f32>>, TrainError> {
    let members: Vec<BatchMember> = (0..studies.len())
        .map(|study| BatchMember {
            study,
            negative: None,
        })
        .collect();
    let batches = members.chunks(how.batch_size.max(1));
    let batches = batches.map(<[BatchMember]>::to_vec).collect();
    let loader = BatchLoader::start(
        Arc::clone(studies),
        Arc::clone(&how.images),
        batches,
        0,
        how.threads,
    );
    let mut rows = Vec::with_capacity(studies.len());
    for batch in loader {
        let logits = classifier.forward(study_batch(batch?.images, how.device));
        let [_, classes] = logits.dims();
        let values: Vec<f32> = sigmoid(logits).into_data().iter::<f32>().collect();
        rows.extend(values.chunks(classes).map(<[f32]>::to_vec));
    }
    Ok(rows)
}

/// Writes `probabilities.csv`: split, id and a column per class.
pub(super) fn write_probabilities(
    path: &Path,
    classes: &[FindingClass],
    splits: &[(&str, &LabelledSplit, &[Vec<f32>])],
) -> Result<(), TrainError> {
    let table = || -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let mut table = csv::Writer::from_writer(Vec::new());
        let names = classes.iter().map(|class| class.name());
        table.write_record(["split", "id"].into_iter().chain(names))?;
        for (name, split, rows) in splits {
            for (study, row) in split.studies.iter().zip(*rows) {
                let mut record = vec![(*name).to_owned(), study.id.clone()];
                record.extend(row.iter().map(|probability| format!("{probability:.6}")));
                table.write_record(&record)?;
            }
        }
        Ok(table.into_inner()?)
    };
    table()
        .map_err(std::io::Error::other)
        .and_then(|table| write_atomically(path, &table))
        .map_err(output_error(path))
}
