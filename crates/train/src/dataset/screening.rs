use ithn_data::{Exclusion, Exclusions, ImageCheck, OnBadStudy, Study, screen_images};

use super::{Dataset, Watch};
use crate::error::TrainError;
use crate::ranks::Ranks;

/// Studies whose images are decoded between two calls of a [`Watch`].
const AT_A_TIME: usize = 1024;

impl Dataset {
    /// Decodes every image once and leaves out the studies of those that cannot be: for runs that
    /// skip broken studies and keep no cache.
    ///
    /// # Errors
    ///
    /// If a split has no study left.
    pub fn drop_undecodable(&mut self, watch: Watch<'_>) -> Result<(), TrainError> {
        self.drop_undecodable_of(watch, &Ranks::default())
    }

    /// [`drop_undecodable`](Self::drop_undecodable), divided among ranks: each decodes the images of its share of
    /// the studies, and all leave out the same.
    pub(crate) fn drop_undecodable_of(
        &mut self,
        watch: Watch<'_>,
        ranks: &Ranks,
    ) -> Result<(), TrainError> {
        let own: Vec<Study> = ranks.share_of(&self.studies).cloned().collect();
        let mut verdicts = ranks.gather_shares(screen(own, watch))?.into_iter();
        let mut exclusions = Exclusions::new(OnBadStudy::Skip);
        self.studies.retain(|_| match verdicts.next().flatten() {
            None => true,
            Some(exclusion) => {
                exclusions.push(exclusion);
                false
            }
        });
        self.warnings.extend(exclusions.notes_of_broken());
        ranks.agree(self.check_splits())
    }
}

/// Why each study is left out, if it is.
fn screen(studies: Vec<Study>, watch: Watch<'_>) -> Result<Vec<Option<Exclusion>>, TrainError> {
    let mut verdicts = Vec::with_capacity(studies.len());
    for some in studies.chunks(AT_A_TIME) {
        let mut exclusions = Exclusions::new(OnBadStudy::Skip);
        screen_images(some.to_vec(), ImageCheck::Decode, &mut exclusions)?;
        // They are in the order of studies.
        let mut excluded = exclusions.list().iter().cloned().peekable();
        verdicts.extend(
            some.iter()
                .map(|study| excluded.next_if(|it| it.study == study.id)),
        );
        watch("decoding images", verdicts.len(), studies.len());
    }
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use ithn_checkpoint::card::DataKind;
    use ithn_data::Split;
    use ithn_inference::FindingsReader;

    use super::*;
    use crate::ranks::threads::TestRanks;

    /// Nine studies, of which the second, the fifth and the sixth have a broken film.
    fn dataset(folder: &Path) -> Dataset {
        let study = |index: usize| {
            let path = folder.join(format!("{index}.png"));
            match index {
                1 | 4 | 5 => std::fs::write(&path, "no image").expect("written"),
                _ => image::GrayImage::new(20, 20).save(&path).expect("written"),
            }
            Study {
                id: format!("s{index}"),
                patient: format!("p{index}"),
                images: vec![path],
                report: "Clear.".to_owned(),
                split: [Split::Train, Split::Validation, Split::Test][index % 3],
                labels: None,
                negative: None,
                context: Default::default(),
            }
        };
        Dataset {
            path: PathBuf::new(),
            studies: (0..9).map(study).collect(),
            findings: FindingsReader::Rules14,
            notes: Vec::new(),
            warnings: Vec::new(),
            kind: DataKind::Annotation,
        }
    }

    #[test]
    fn ranks_leave_out_what_one_process_does_and_decode_their_share() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = dataset(folder.path());
        let mut alone = whole.clone();
        alone
            .drop_undecodable(&|_, _, _| {})
            .expect("some are sound");
        assert_eq!(alone.studies.len(), 6);
        assert!(
            alone.warnings.join(" ").contains("3, the first s1"),
            "{:?}",
            alone.warnings
        );
        for size in [2, 4, 12] {
            let whole = whole.clone();
            let decoded = TestRanks::run(size, move |communicator| {
                let ranks = Ranks::new(Arc::new(communicator));
                let (mut dataset, decoded) = (whole.clone(), std::sync::Mutex::new(0));
                let watch = |_: &str, done, total| {
                    assert_eq!(done, total);
                    *decoded.lock().expect("no rank panics") = total;
                };
                dataset
                    .drop_undecodable_of(&watch, &ranks)
                    .expect("some are sound");
                let decoded = *decoded.lock().expect("no rank panics");
                (dataset.studies, dataset.warnings, decoded)
            });
            let total: usize = decoded.iter().map(|(.., decoded)| decoded).sum();
            assert_eq!(total, 9);
            for (studies, warnings, decoded) in decoded {
                let ids = |studies: &[Study]| -> Vec<String> {
                    studies.iter().map(|study| study.id.clone()).collect()
                };
                assert_eq!(ids(&studies), ids(&alone.studies));
                assert_eq!(warnings, alone.warnings);
                assert!(decoded <= 9_usize.div_ceil(size));
            }
        }
    }
}
