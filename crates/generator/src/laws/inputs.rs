use burn::tensor::{Device, Tensor, TensorData};

use super::Laws;
use crate::{
    BOUNDARY_TOKEN, ContextBatch, PriorFilms, PriorStudy, Projection, StudyBatch, TokenBatch,
    ViewMask, row_indices, seeded,
};

/// Studies of a batch.
pub(super) const STUDIES: usize = 3;

/// Words of each report; the longest is of none of the outer studies.
const LENGTHS: [usize; STUDIES] = [2, 4, 3];

impl Laws {
    /// A batch of studies with all their views; other pixels for another `seed`.
    pub(super) fn studies(&self, seed: u64) -> StudyBatch {
        let dims = [STUDIES, self.views, 3, self.image_size, self.image_size];
        StudyBatch::new(values(dims, seed, &self.device))
    }

    /// Which views [`incomplete`](Self::incomplete) studies have: all, then all but one, in turn.
    pub(super) fn view_mask(&self) -> ViewMask {
        let row = |study: usize| {
            let views = 0..self.views;
            let missing = (study > 0).then(|| (self.views - study % self.views) % self.views);
            views.map(|view| Some(view) != missing).collect()
        };
        let rows: Vec<Vec<bool>> = (0..STUDIES).map(row).collect();
        ViewMask::new(&rows)
    }

    /// Two batches in which some studies lack a view. The pixels of missing views are random values
    /// drawn from `seed` in the first batch and NaN in the second.
    pub(super) fn incomplete(&self, seed: u64) -> [StudyBatch; 2] {
        let mask = self.view_mask();
        let studies = self.studies(seed);
        let mut images = studies.images.clone();
        for study in 0..STUDIES {
            for view in (0..self.views).filter(|&view| !mask.has(study, view)) {
                let ranges = [study..study + 1, view..view + 1];
                images = images.slice_fill(ranges, f32::NAN);
            }
        }
        [studies, StudyBatch::new(images)].map(|batch| batch.with_views(mask.clone()))
    }

    /// Batches for which the laws must hold, each with a description: complete studies, and
    /// incomplete ones if there are several views.
    pub(super) fn batches(&self) -> Vec<(&'static str, StudyBatch)> {
        let mut batches = vec![("", self.studies(1))];
        if self.views > 1 {
            let [noise, _] = self.incomplete(2);
            batches.push((" with a missing view", noise));
        }
        if self.context {
            let complete = self.studies(4).with_context(self.study_context(5));
            batches.push((" with context", complete));
        }
        if self.context && self.views > 1 {
            let [noise, _] = self.incomplete(2);
            let incomplete = noise.with_context(self.study_context(6));
            batches.push((" with context and a missing view", incomplete));
        }
        batches
    }

    /// Context of which the first study has everything, the second an indication alone, and the third a previous study
    /// without a report; other pixels for another `seed`.
    pub(super) fn study_context(&self, seed: u64) -> ContextBatch {
        let films = [3, 3, self.image_size, self.image_size];
        let lateral = Some(Projection::Lateral);
        let frontal = Some(Projection::PosteroAnterior);
        let mut projections = vec![frontal, lateral, None];
        projections.truncate(self.views);
        let prior = |films, projections: &[Option<Projection>], report: &[u32], interval_days| {
            Some(PriorStudy {
                films,
                projections: projections.to_vec(),
                report: report.to_vec(),
                interval_days,
            })
        };
        ContextBatch {
            projections: vec![projections, Vec::new(), Vec::new()],
            indications: vec![
                vec![self.word(4), self.word(1)],
                vec![self.word(2)],
                Vec::new(),
            ],
            priors: vec![
                prior(
                    0..2,
                    &[frontal, lateral],
                    &[self.word(0), self.word(2), self.word(5)],
                    12,
                ),
                None,
                prior(2..3, &[], &[], 400),
            ],
            prior_films: Some(PriorFilms::Images(values(films, seed, &self.device))),
        }
    }

    /// Token id of the word number `index` of the vocabulary, never the boundary token 0; wraps around at the end.
    pub(super) fn word(&self, index: usize) -> u32 {
        (1 + index % (self.vocabulary - 1)) as u32
    }

    /// A report per study, of different lengths, as token ids with both boundary tokens.
    pub(super) fn report_ids(&self) -> Vec<Vec<u32>> {
        LENGTHS
            .iter()
            .enumerate()
            .map(|(study, &length)| {
                let words = (0..length).map(|position| self.word(3 * study + position));
                let mut report = vec![BOUNDARY_TOKEN];
                report.extend(words);
                report.push(BOUNDARY_TOKEN);
                report
            })
            .collect()
    }

    /// Reports padded to `length` tokens, the closing one included.
    pub(super) fn padded(&self, reports: &[Vec<u32>], length: usize) -> TokenBatch {
        let mut ids = Vec::with_capacity(reports.len() * length);
        let mut mask = Vec::with_capacity(reports.len() * length);
        for report in reports {
            for position in 0..length {
                let token = report.get(position).copied();
                ids.push(i64::from(token.unwrap_or(BOUNDARY_TOKEN)));
                mask.push(f32::from(token.is_some()));
            }
        }
        let dims = [reports.len(), length];
        TokenBatch::new(
            Tensor::from_data(TensorData::new(ids, dims), &self.device),
            Tensor::from_data(TensorData::new(mask, dims), &self.device),
        )
    }
}

/// The studies of the indices `rows`, in that order.
pub(super) fn select_studies(studies: &StudyBatch, rows: &[usize]) -> StudyBatch {
    let indices = row_indices(rows, &studies.images.device());
    let selected = StudyBatch::new(studies.images.clone().select(0, indices));
    let selected = match &studies.context {
        Some(context) => selected.with_context(context.select(rows)),
        None => selected,
    };
    let Some(mask) = &studies.present else {
        return selected;
    };
    let row = |&study: &usize| {
        (0..mask.views())
            .map(|view| mask.has(study, view))
            .collect()
    };
    let rows: Vec<Vec<bool>> = rows.iter().map(row).collect();
    selected.with_views(ViewMask::new(&rows))
}

/// Values of mean 0 and variance 1: uniform in ±√3.
pub(super) fn values<const D: usize>(dims: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    seeded::values(dims, seed, device) * 3.0_f32.sqrt()
}
