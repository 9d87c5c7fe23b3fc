use burn::tensor::{Bool, Device, Int, Tensor, TensorData, assert_shape};

use crate::BOUNDARY_TOKEN;

/// Reports of a batch for teacher forcing: inputs, targets (the inputs shifted by one) and one mask for
/// attention, pooling, losses and penalties.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    inputs: Tensor<2, Int>,
    targets: Tensor<2, Int>,
    mask: Tensor<2>,
    /// Positions of the longest report.
    longest: usize,
    label_sets: Option<Tensor<1, Int>>,
    patients: Option<Tensor<1, Int>>,
}

impl TokenBatch {
    /// Splits whole reports into inputs and targets.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, length + 1]`, token ids: BOS, words, EOS, padding
    /// - mask: `[batch, length + 1]`, 1 up to and including EOS, then 0
    ///
    /// # Panics
    ///
    /// If the shapes differ or `length` is 0.
    pub fn new(tokens: Tensor<2, Int>, mask: Tensor<2>) -> Self {
        let [batch, length] = tokens.dims();
        assert!(length > 1, "a report has at least two tokens");
        assert_shape!(mask, [batch, length]);
        TokenBatch {
            inputs: tokens.clone().narrow(1, 0, length - 1),
            targets: tokens.narrow(1, 1, length - 1),
            mask: mask.narrow(1, 1, length - 1),
            longest: length - 1,
            label_sets: None,
            patients: None,
        }
    }

    /// Tells that the longest report has `positions` positions and what follows is padding, which rounds
    /// the length up.
    ///
    /// # Panics
    ///
    /// If there are fewer positions, or `positions` is 0.
    pub fn with_longest(mut self, positions: usize) -> Self {
        let [_, length] = self.dims();
        assert!(
            (1..=length).contains(&positions),
            "the longest report has 1 to {length} positions"
        );
        self.longest = positions;
        self
    }

    /// Positions up to the end of the longest report. What is not masked but averages over padding, as the official
    /// pooling does, stops there, so that it is the same however far the batch is padded.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Adds the set of findings that each report states, by number: equal numbers are equal sets.
    ///
    /// # Panics
    ///
    /// If there is not one for each report.
    pub fn with_label_sets(mut self, numbers: &[i64]) -> Self {
        self.label_sets = Some(self.numbers(numbers));
        self
    }

    /// Adds the patient whom each report is about, by number.
    ///
    /// # Panics
    ///
    /// If there is not one for each report.
    pub fn with_patients(mut self, numbers: &[i64]) -> Self {
        self.patients = Some(self.numbers(numbers));
        self
    }

    /// A number for each report, on the device of the tokens.
    fn numbers(&self, numbers: &[i64]) -> Tensor<1, Int> {
        let [batch, _] = self.dims();
        assert_eq!(numbers.len(), batch, "one number for each report");
        let data = TensorData::new(numbers.to_vec(), [batch]);
        Tensor::from_data(data, &self.inputs.device())
    }

    /// Reports as token ids, each with BOS and, unless it was truncated, EOS; shorter ones are padded.
    ///
    /// # Panics
    ///
    /// If there is no report, or one of fewer than two tokens.
    pub fn from_ids(reports: &[Vec<u32>], device: &Device) -> Self {
        let longest = reports.iter().map(Vec::len).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(reports.len() * longest);
        let mut mask = Vec::with_capacity(reports.len() * longest);
        for report in reports {
            assert!(report.len() > 1, "a report has at least two tokens");
            for position in 0..longest {
                let token = report.get(position).copied();
                ids.push(i64::from(token.unwrap_or(BOUNDARY_TOKEN)));
                mask.push(f32::from(token.is_some()));
            }
        }
        let dims = [reports.len(), longest];
        TokenBatch::new(
            Tensor::from_data(TensorData::new(ids, dims), device),
            Tensor::from_data(TensorData::new(mask, dims), device),
        )
    }

    /// Input tokens, `[batch, length]`: BOS, words, padding.
    pub fn inputs(&self) -> &Tensor<2, Int> {
        &self.inputs
    }

    /// Target tokens, `[batch, length]`: words, EOS, padding.
    pub fn targets(&self) -> &Tensor<2, Int> {
        &self.targets
    }

    /// `[batch, length]`: 1 where input and target belong to the report, 0 at padding.
    pub fn mask(&self) -> &Tensor<2> {
        &self.mask
    }

    /// Reports and positions, `[batch, length]`.
    pub fn dims(&self) -> [usize; 2] {
        self.inputs.dims()
    }

    /// Which reports of the batch are equal word for word, `[batch, batch]`, symmetric and true on the
    /// diagonal. Computed on the device of the tokens.
    pub fn same_report(&self) -> Tensor<2, Bool> {
        let rows: Tensor<3, Int> = self.targets.clone().unsqueeze_dim(1);
        let columns: Tensor<3, Int> = self.targets.clone().unsqueeze_dim(0);
        rows.not_equal(columns).any_dim(2).squeeze_dim(2).bool_not()
    }

    /// Which rows hold the same report as `other` word for word, `[batch, 1]`.
    ///
    /// # Panics
    ///
    /// If the batches differ in size.
    pub fn same_report_as(&self, other: &TokenBatch) -> Tensor<2, Bool> {
        let [[batch, first], [others, second]] = [self.dims(), other.dims()];
        assert_eq!(batch, others, "reports are compared row by row");
        let length = first.max(second);
        let [own, other] = [self, other].map(|batch| pad_ids(&batch.targets, length));
        own.not_equal(other).any_dim(1).bool_not()
    }

    /// Which reports of the batch state the same findings, `[batch, batch]`, if their sets of labels
    /// [were added](Self::with_label_sets).
    pub fn same_labels(&self) -> Option<Tensor<2, Bool>> {
        self.label_sets.as_ref().map(equal_pairs)
    }

    /// Which rows state the same findings as those of `other`, `[batch, 1]`, if both batches have sets of labels.
    ///
    /// # Panics
    ///
    /// If the batches differ in size.
    pub fn same_labels_as(&self, other: &TokenBatch) -> Option<Tensor<2, Bool>> {
        let (own, other) = (self.label_sets.as_ref()?, other.label_sets.as_ref()?);
        Some(equal_rows(own, other))
    }

    /// Which reports of the batch are about one patient, `[batch, batch]`, if the patients
    /// [were added](Self::with_patients).
    pub fn same_patient(&self) -> Option<Tensor<2, Bool>> {
        self.patients.as_ref().map(equal_pairs)
    }

    /// Which rows are about the same patient as those of `other`, `[batch, 1]`, if both batches have patients.
    ///
    /// # Panics
    ///
    /// If the batches differ in size.
    pub fn same_patient_as(&self, other: &TokenBatch) -> Option<Tensor<2, Bool>> {
        let (own, other) = (self.patients.as_ref()?, other.patients.as_ref()?);
        Some(equal_rows(own, other))
    }

    /// The reports of both batches, those of `other` last, padded to the longer of the two.
    pub fn concat(&self, other: &TokenBatch) -> TokenBatch {
        let [[_, first], [_, second]] = [self.dims(), other.dims()];
        let length = first.max(second);
        let ids = |get: fn(&TokenBatch) -> &Tensor<2, Int>| {
            let rows = [self, other].map(|batch| pad_ids(get(batch), length));
            Tensor::cat(rows.into(), 0)
        };
        let masks = [self, other].map(|batch| pad_mask(&batch.mask, length));
        TokenBatch {
            inputs: ids(TokenBatch::inputs),
            targets: ids(TokenBatch::targets),
            mask: Tensor::cat(masks.into(), 0),
            longest: self.longest.max(other.longest),
            label_sets: both(&self.label_sets, &other.label_sets),
            patients: both(&self.patients, &other.patients),
        }
    }
}

/// Which numbers are equal, `[batch, batch]`.
fn equal_pairs(numbers: &Tensor<1, Int>) -> Tensor<2, Bool> {
    let [batch] = numbers.dims();
    let rows: Tensor<2, Int> = numbers.clone().unsqueeze_dim(1);
    let columns: Tensor<2, Int> = numbers.clone().unsqueeze_dim(0);
    let dims = [batch, batch];
    rows.expand(dims).equal(columns.expand(dims))
}

/// Which numbers are equal row by row, `[batch, 1]`.
fn equal_rows(own: &Tensor<1, Int>, other: &Tensor<1, Int>) -> Tensor<2, Bool> {
    assert_eq!(own.dims(), other.dims(), "reports are compared row by row");
    own.clone().equal(other.clone()).unsqueeze_dim(1)
}

/// The numbers of both batches, if both have them.
fn both(own: &Option<Tensor<1, Int>>, other: &Option<Tensor<1, Int>>) -> Option<Tensor<1, Int>> {
    let (own, other) = (own.clone()?, other.clone()?);
    Some(Tensor::cat(vec![own, other], 0))
}

fn pad_ids(tokens: &Tensor<2, Int>, length: usize) -> Tensor<2, Int> {
    let [batch, present] = tokens.dims();
    if present == length {
        return tokens.clone();
    }
    let padding = Tensor::full(
        [batch, length - present],
        i64::from(BOUNDARY_TOKEN),
        &tokens.device(),
    );
    Tensor::cat(vec![tokens.clone(), padding], 1)
}

fn pad_mask(mask: &Tensor<2>, length: usize) -> Tensor<2> {
    let [batch, present] = mask.dims();
    if present == length {
        return mask.clone();
    }
    let padding = Tensor::zeros([batch, length - present], &mask.device());
    Tensor::cat(vec![mask.clone(), padding], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_report_and_a_whole_one_share_one_mask_with_the_targets() {
        let device = Device::default();
        let batch = TokenBatch::from_ids(&[vec![0, 5, 6, 0], vec![0, 7, 8]], &device);
        let expect = |actual: &Tensor<2, Int>, expected: [[i64; 3]; 2]| {
            actual.to_data().assert_eq(&expected.into(), false);
        };
        expect(batch.inputs(), [[0, 5, 6], [0, 7, 8]]);
        expect(batch.targets(), [[5, 6, 0], [7, 8, 0]]);
        batch
            .mask()
            .to_data()
            .assert_eq(&[[1.0f32, 1.0, 1.0], [1.0, 1.0, 0.0]].into(), true);
    }

    #[test]
    fn concatenation_pads_the_shorter_batch() {
        let device = Device::default();
        let short = TokenBatch::from_ids(&[vec![0, 5, 0]], &device);
        let long = TokenBatch::from_ids(&[vec![0, 1, 2, 3, 0]], &device);
        let both = short.concat(&long);
        assert_eq!(both.dims(), [2, 4]);
        both.inputs()
            .to_data()
            .assert_eq(&[[0i64, 5, 0, 0], [0, 1, 2, 3]].into(), false);
        both.mask().to_data().assert_eq(
            &[[1.0f32, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]].into(),
            true,
        );
    }

    #[test]
    fn equal_reports_are_found_whatever_their_padding() {
        let device = Device::default();
        let batch = TokenBatch::from_ids(
            &[
                vec![0, 5, 0],
                vec![0, 5, 6, 0],
                vec![0, 5, 0],
                vec![0, 6, 5, 0],
            ],
            &device,
        );
        batch.same_report().into_data().assert_eq(
            &[
                [true, false, true, false],
                [false, true, false, false],
                [true, false, true, false],
                [false, false, false, true],
            ]
            .into(),
            false,
        );
        let other = TokenBatch::from_ids(
            &[
                vec![0, 5, 0],
                vec![0, 5, 0],
                vec![0, 6, 0],
                vec![0, 6, 5, 0, 0, 0],
            ],
            &device,
        );
        for same in [batch.same_report_as(&other), other.same_report_as(&batch)] {
            same.into_data()
                .assert_eq(&[[true], [false], [false], [true]].into(), false);
        }
    }

    #[test]
    fn equal_sets_of_labels_are_found_if_they_were_added() {
        let device = Device::default();
        let reports = [vec![0, 5, 0], vec![0, 6, 0], vec![0, 7, 0]];
        let plain = TokenBatch::from_ids(&reports, &device);
        assert!(plain.same_labels().is_none());
        let batch = plain.clone().with_label_sets(&[3, 0, 3]);
        assert!(batch.same_labels_as(&plain).is_none());
        let expected = [
            [true, false, true],
            [false, true, false],
            [true, false, true],
        ];
        let found = batch.same_labels().expect("added").into_data();
        found.assert_eq(&expected.into(), false);
        let other = plain.clone().with_label_sets(&[3, 1, 2]);
        let found = batch.same_labels_as(&other).expect("added").into_data();
        found.assert_eq(&[[true], [false], [false]].into(), false);
        assert_eq!(
            batch.concat(&other).same_labels().expect("both").dims(),
            [6, 6]
        );
        assert!(batch.concat(&plain).same_labels().is_none());
    }
}
