use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::error::DataError;
use crate::image_block::ImageBlock;
use crate::image_loader::ImageLoader;
use crate::study::TokenizedStudy;

/// Batches that a worker may prepare ahead.
const AHEAD: usize = 2;

/// A study of a batch, and its negative: indices into the list of encoded studies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMember {
    /// The study.
    pub study: usize,
    /// Its first negative.
    pub negative: Option<usize>,
}

/// Tokens of a batch, padded with 0 to its longest report or beyond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBlock {
    /// Batch and length.
    pub dims: [usize; 2],
    /// Token ids in that order.
    pub ids: Vec<i64>,
    /// Tokens of each report, padding aside.
    pub lengths: Vec<usize>,
}

/// A batch in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedBatch {
    /// Which studies.
    pub members: Vec<BatchMember>,
    /// Their images.
    pub images: ImageBlock,
    /// Their reports.
    pub tokens: TokenBlock,
    /// Images and reports of their negatives, if all of them have one.
    pub negatives: Option<(ImageBlock, TokenBlock)>,
}

impl TokenBlock {
    /// Tokens of the longest report.
    pub fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// The same reports with 0 appended up to `length` tokens each; unchanged if they are that long.
    fn padded_to(self, length: usize) -> Self {
        let [batch, present] = self.dims;
        if length <= present {
            return self;
        }
        let mut ids = Vec::with_capacity(batch * length);
        for row in self.ids.chunks_exact(present.max(1)) {
            ids.extend_from_slice(row);
            ids.resize(ids.len() + length - present, 0);
        }
        TokenBlock {
            dims: [batch, length],
            ids,
            lengths: self.lengths,
        }
    }

    /// The same reports, padded so that all tokens but the last, which no decoder reads, are a multiple of
    /// `multiple`; with 1 unchanged.
    pub fn padded_to_multiple(self, multiple: usize) -> Self {
        let [_, present] = self.dims;
        self.padded_to(rounded_up(present, multiple))
    }
}

/// The least length from `tokens` on of which all but one token are a multiple of `multiple`.
fn rounded_up(tokens: usize, multiple: usize) -> usize {
    match multiple {
        0 | 1 => tokens,
        _ => tokens.saturating_sub(1).next_multiple_of(multiple) + 1,
    }
}

impl LoadedBatch {
    /// The same batch, its reports and its negatives' padded to one length, of which all tokens but the last
    /// are a multiple of `multiple`; with 1 unchanged.
    pub fn padded_to_multiple(mut self, multiple: usize) -> Self {
        if multiple <= 1 {
            return self;
        }
        let negatives = self
            .negatives
            .as_ref()
            .map_or(0, |(_, block)| block.dims[1]);
        let length = rounded_up(self.tokens.dims[1].max(negatives), multiple);
        self.tokens = self.tokens.padded_to(length);
        let negatives = self.negatives.take();
        self.negatives = negatives.map(|(images, block)| (images, block.padded_to(length)));
        self
    }
}

/// Batches in order, prepared by worker threads ahead of their use.
///
/// What comes out does not depend on the number of threads.
#[derive(Debug)]
pub struct BatchLoader {
    queues: Vec<Receiver<Result<LoadedBatch, DataError>>>,
    workers: Vec<JoinHandle<()>>,
    /// The first study of every batch, to name one whose worker is lost.
    first_studies: Vec<String>,
    next: usize,
}

impl BatchLoader {
    /// Starts `threads` workers (at least one) on the given batches; `epoch` varies what is random.
    ///
    /// # Panics
    ///
    /// If a batch is empty or names a study that is not in `studies`.
    pub fn start(
        studies: Arc<Vec<TokenizedStudy>>,
        images: Arc<ImageLoader>,
        batches: Vec<Vec<BatchMember>>,
        epoch: usize,
        threads: usize,
    ) -> Self {
        let threads = threads.clamp(1, batches.len().max(1));
        let first_studies = batches
            .iter()
            .map(|batch| {
                for member in batch {
                    for index in [Some(member.study), member.negative].into_iter().flatten() {
                        assert!(
                            index < studies.len(),
                            "no study {index} in {}",
                            studies.len()
                        );
                    }
                }
                let first = batch.first().expect("a batch has a study");
                studies[first.study].id.clone()
            })
            .collect();
        let mut shares: Vec<Vec<Vec<BatchMember>>> = vec![Vec::new(); threads];
        for (index, batch) in batches.into_iter().enumerate() {
            shares[index % threads].push(batch);
        }
        let (queues, workers) = shares
            .into_iter()
            .map(|share| {
                let (sender, receiver) = sync_channel(AHEAD);
                let (studies, images) = (Arc::clone(&studies), Arc::clone(&images));
                let worker =
                    std::thread::spawn(move || work(&studies, &images, share, epoch, &sender));
                (receiver, worker)
            })
            .unzip();
        BatchLoader {
            queues,
            workers,
            first_studies,
            next: 0,
        }
    }
}

fn work(
    studies: &[TokenizedStudy],
    images: &ImageLoader,
    batches: Vec<Vec<BatchMember>>,
    epoch: usize,
    sender: &SyncSender<Result<LoadedBatch, DataError>>,
) {
    for batch in batches {
        let loaded = load_batch(studies, images, batch, epoch);
        let failed = loaded.is_err();
        // A closed queue means that the consumer has gone: nothing is left to do.
        if sender.send(loaded).is_err() || failed {
            return;
        }
    }
}

fn load_batch(
    studies: &[TokenizedStudy],
    images: &ImageLoader,
    members: Vec<BatchMember>,
    epoch: usize,
) -> Result<LoadedBatch, DataError> {
    let positives: Vec<&TokenizedStudy> = members
        .iter()
        .map(|member| &studies[member.study])
        .collect();
    let negatives: Option<Vec<&TokenizedStudy>> = members
        .iter()
        .map(|member| member.negative.map(|negative| &studies[negative]))
        .collect();
    Ok(LoadedBatch {
        images: images.load(&positives, epoch)?,
        tokens: pad_tokens(&positives),
        negatives: match negatives {
            Some(negatives) => Some((images.load(&negatives, epoch)?, pad_tokens(&negatives))),
            None => None,
        },
        members,
    })
}

/// Pads the tokens of some studies with 0 to the longest.
pub fn pad_tokens(studies: &[&TokenizedStudy]) -> TokenBlock {
    let lengths: Vec<usize> = studies.iter().map(|study| study.tokens.len()).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let ids = studies
        .iter()
        .flat_map(|study| {
            let padding = longest - study.tokens.len();
            study
                .tokens
                .iter()
                .map(|token| i64::from(*token))
                .chain(std::iter::repeat_n(0, padding))
        })
        .collect();
    TokenBlock {
        dims: [studies.len(), longest],
        ids,
        lengths,
    }
}

impl Iterator for BatchLoader {
    type Item = Result<LoadedBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let study = self.first_studies.get(self.next)?;
        let loaded = self.queues[self.next % self.queues.len()]
            .recv()
            .unwrap_or_else(|_| {
                Err(DataError::Worker {
                    study: study.clone(),
                })
            });
        self.next = match loaded {
            Ok(_) => self.next + 1,
            // Nothing comes after an error.
            Err(_) => self.first_studies.len(),
        };
        Some(loaded)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.first_studies.len() - self.next;
        (left.min(1), Some(left))
    }
}

impl Drop for BatchLoader {
    fn drop(&mut self) {
        self.queues.clear();
        for worker in self.workers.drain(..) {
            // A worker that panicked has printed its message to standard error.
            drop(worker.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::ImageTransform;

    fn studies(folder: &std::path::Path, count: usize) -> Arc<Vec<TokenizedStudy>> {
        let studies = (0..count)
            .map(|index| {
                let path = folder.join(format!("{index}.png"));
                let level = (index * 10) as u8;
                image::GrayImage::from_pixel(20, 12, image::Luma([level]))
                    .save(&path)
                    .expect("written");
                TokenizedStudy {
                    id: index.to_string(),
                    images: vec![path],
                    tokens: (0..index as u32 + 2).collect(),
                    context: Default::default(),
                }
            })
            .collect();
        Arc::new(studies)
    }

    fn batches(threads: usize, studies: &Arc<Vec<TokenizedStudy>>) -> Vec<LoadedBatch> {
        let transform = ImageTransform::RandomCrop {
            shorter_side: 12,
            size: 8,
            horizontal_flip: true,
        };
        let members = |range: std::ops::Range<usize>| {
            range
                .map(|study| BatchMember {
                    study,
                    negative: Some((study + 1) % 7),
                })
                .collect::<Vec<_>>()
        };
        BatchLoader::start(
            Arc::clone(studies),
            Arc::new(ImageLoader::new(transform, 2, 5, 0)),
            vec![members(0..3), members(3..6), members(6..7)],
            1,
            threads,
        )
        .collect::<Result<_, _>>()
        .expect("all images exist")
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let studies = studies(folder.path(), 7);
        let one = batches(1, &studies);
        assert_eq!(one, batches(3, &studies));
        assert_eq!(one.len(), 3);
        assert_eq!(one[0].images.dims, [3, 2, 3, 8, 8]);
        assert_eq!(one[0].tokens.dims, [3, 4]);
        assert_eq!(one[0].tokens.lengths, [2, 3, 4]);
        assert_eq!(one[0].tokens.ids[..4], [0, 1, 0, 0]);
        assert_eq!(one[2].members.len(), 1);
    }

    #[test]
    fn a_missing_image_ends_the_epoch_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let studies = studies(folder.path(), 2);
        std::fs::remove_file(&studies[1].images[0]).expect("removed");
        let batch = |study| {
            vec![BatchMember {
                study,
                negative: None,
            }]
        };
        let loader = ImageLoader::new(ImageTransform::Resize { size: 8 }, 1, 0, 0);
        let results: Vec<_> = BatchLoader::start(
            Arc::clone(&studies),
            Arc::new(loader),
            vec![batch(0), batch(1)],
            1,
            2,
        )
        .collect();
        assert!(results[0].is_ok());
        let error = results[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("1.png"), "{error}");
    }

    #[test]
    fn a_loader_can_be_dropped_half_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let studies = studies(folder.path(), 4);
        let batches = (0..40)
            .map(|index| {
                vec![BatchMember {
                    study: index % 4,
                    negative: None,
                }]
            })
            .collect();
        let loader = ImageLoader::new(ImageTransform::Resize { size: 8 }, 1, 0, usize::MAX);
        let mut batches = BatchLoader::start(studies, Arc::new(loader), batches, 1, 2);
        assert!(batches.next().is_some());
    }
}
