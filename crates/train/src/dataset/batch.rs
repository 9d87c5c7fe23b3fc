use burn::tensor::{Device, Tensor, TensorData};
use ithn_data::{BatchMember, LoadedBatch, TokenizedStudy, pad_tokens};
use ithn_generator::TokenBatch;
use ithn_inference::{study_batch, token_batch};
use ithn_plugin::{NegativeBatch, TrainingBatch};

use super::PreparedData;

/// Moves a batch to `device` and normalises it there.
pub fn training_batch(loaded: LoadedBatch, device: &Device) -> TrainingBatch {
    TrainingBatch {
        studies: study_batch(loaded.images, device),
        reports: token_batch(loaded.tokens, device),
        negatives: loaded.negatives.map(|(images, tokens)| NegativeBatch {
            studies: study_batch(images, device),
            reports: token_batch(tokens, device),
            more: Vec::new(),
        }),
    }
}

impl PreparedData {
    /// Like [`training_batch`], with the findings that the reports state, the sets of them and the patients, where
    /// training needs them.
    pub fn training_batch(&self, loaded: LoadedBatch, device: &Device) -> TrainingBatch {
        let members = loaded.members.clone();
        let mut batch = training_batch(loaded, device);
        if let Some(stated) = &self.stated {
            let of = |indices: Vec<usize>| -> Tensor<2> {
                let findings = stated.first().map_or(0, Vec::len);
                let dims = [indices.len(), findings];
                let rows = indices.into_iter().flat_map(|index| &stated[index]);
                let values: Vec<f32> = rows.copied().collect();
                Tensor::from_data(TensorData::new(values, dims), device)
            };
            let studies = members.iter().map(|member| member.study).collect();
            batch.studies = batch.studies.with_findings(of(studies));
            batch.negatives = batch.negatives.map(|negatives| {
                let indices = members.iter().filter_map(|member| member.negative);
                NegativeBatch {
                    studies: negatives.studies.with_findings(of(indices.collect())),
                    ..negatives
                }
            });
        }
        batch.reports = self.numbered(batch.reports, members.iter().map(|it| it.study));
        batch.negatives = batch.negatives.map(|negatives| NegativeBatch {
            reports: self.numbered(
                negatives.reports,
                members.iter().filter_map(|it| it.negative),
            ),
            more: self.more_negatives(&members, device),
            ..negatives
        });
        batch
    }

    /// Reports of the members' further negatives, a batch for the second of each, one for the third and so on.
    fn more_negatives(&self, members: &[BatchMember], device: &Device) -> Vec<TokenBatch> {
        let Some(all) = &self.more_negatives else {
            return Vec::new();
        };
        let count = all.first().map_or(0, Vec::len);
        (0..count)
            .map(|index| {
                let of = |member: &BatchMember| &self.training[all[member.study][index]];
                let studies: Vec<&TokenizedStudy> = members.iter().map(of).collect();
                token_batch(pad_tokens(&studies), device)
            })
            .collect()
    }

    /// Reports of some members and of their negatives, as those of a [`training_batch`](Self::training_batch), without
    /// films; none if a member lacks a negative.
    pub(crate) fn reports(
        &self,
        members: &[BatchMember],
        device: &Device,
    ) -> Option<[TokenBatch; 2]> {
        let studies = members.iter().map(|member| member.study).collect();
        let negatives: Vec<usize> = members
            .iter()
            .map(|member| member.negative)
            .collect::<Option<_>>()?;
        let batch = |indices: Vec<usize>| {
            let studies: Vec<&TokenizedStudy> =
                indices.iter().map(|&index| &self.training[index]).collect();
            let reports = token_batch(pad_tokens(&studies), device);
            self.numbered(reports, indices.into_iter())
        };
        Some([batch(studies), batch(negatives)])
    }

    /// Reports with the numbers that the contrast compares them by.
    fn numbered(
        &self,
        mut reports: TokenBatch,
        studies: impl Iterator<Item = usize>,
    ) -> TokenBatch {
        let studies: Vec<usize> = studies.collect();
        let of = |numbers: &Vec<i64>| -> Vec<i64> {
            studies.iter().map(|&study| numbers[study]).collect()
        };
        if let Some(sets) = &self.label_sets {
            reports = reports.with_label_sets(&of(sets));
        }
        if let Some(patients) = &self.patients {
            reports = reports.with_patients(&of(patients));
        }
        reports
    }
}

#[cfg(test)]
mod tests {
    use ithn_checkpoint::config::Preset;
    use ithn_data::OnBadStudy;
    use ithn_data::phantom::{PhantomConfig, read_findings, write_phantom_dataset};

    use crate::dataset::{DataSource, Dataset, PreparedData};

    #[test]
    fn reports_that_state_the_same_findings_have_one_number() {
        let folder = tempfile::tempdir().expect("a folder");
        write_phantom_dataset(
            folder.path(),
            &PhantomConfig::new(40, 2, 2).with_image_size(32),
        )
        .expect("drawn");
        let source = DataSource::mimic(folder.path().to_owned());
        let dataset = Dataset::load(&source, 1, None, OnBadStudy::Stop).expect("readable");
        let mut config = Preset::Phantom.config();
        config.text.minimum_occurrences = 1;
        let without = PreparedData::new(&dataset, &config, None).expect("prepared");
        assert_eq!(without.label_sets, None);
        config.ithn.mask_equal_labels = true;
        let data = PreparedData::new(&dataset, &config, None).expect("prepared");
        let sets = data.label_sets.as_ref().expect("asked for");
        assert_eq!(sets.len(), data.training.len());
        let stated = |study: usize| {
            let report = data.tokenizer.decode(&data.training[study].tokens[1..]);
            let found: std::collections::BTreeSet<_> = read_findings(&report)
                .iter()
                .map(|finding| (finding.kind(), finding.side()))
                .collect();
            found
        };
        let mut equal = 0;
        for first in 0..sets.len() {
            for second in 0..first {
                let same = stated(first) == stated(second);
                assert_eq!(sets[first] == sets[second], same);
                equal += usize::from(same);
            }
        }
        assert!(equal > 0, "some of 40 phantoms are alike");
    }
}
