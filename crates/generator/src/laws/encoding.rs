use burn::tensor::Tensor;

use super::Laws;
use super::broken::{Law, LawBroken, check_close, check_shape};
use super::inputs::{STUDIES, select_studies};
use crate::{PriorFilms, ReportGenerator, StepDecoder, StudyBatch, TokenBatch, row_indices};

impl Laws {
    /// The reports of the laws, padded to the longest.
    pub(super) fn reports(&self) -> TokenBatch {
        TokenBatch::from_ids(&self.report_ids(), &self.device)
    }

    /// Pooled features and hidden states of the laws' reports.
    fn encoded<G: ReportGenerator>(
        &self,
        generator: &G,
        studies: StudyBatch,
    ) -> (Tensor<2>, Tensor<3>) {
        let encoded = generator.encode(studies);
        let hidden = generator.hidden_states(&encoded.context, &self.reports());
        (encoded.pooled, hidden)
    }

    pub(super) fn check_shapes<G: ReportGenerator + StepDecoder>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        let law = Law::Shapes;
        let [batch, length] = self.reports().dims();
        let (pooled_width, hidden_width) = (generator.pooled_width(), generator.hidden_width());
        for (of, studies) in self.batches() {
            let (pooled, hidden) = self.encoded(generator, studies.clone());
            let expected = [batch, pooled_width];
            check_shape(law, format!("pooled features{of}"), pooled.dims(), expected)?;
            let expected = [batch, length, hidden_width];
            check_shape(law, format!("hidden states{of}"), hidden.dims(), expected)?;
            let log_probs = generator.log_probs(hidden);
            let expected = [batch, length, self.vocabulary];
            check_shape(
                law,
                format!("log-probabilities{of}"),
                log_probs.dims(),
                expected,
            )?;
            let mut state = generator.start(studies);
            let step = generator.step(&[0; STUDIES], &mut state);
            let expected = [batch, self.vocabulary];
            check_shape(law, format!("a step{of}"), step.dims(), expected)?;
        }
        Ok(())
    }

    pub(super) fn check_pooled<G: ReportGenerator>(&self, generator: &G) -> Result<(), LawBroken> {
        for (of, studies) in self.batches() {
            let expected = generator.encode(studies.clone()).pooled;
            let what = format!("pooled features{of}");
            let found = generator.pooled(studies);
            check_close(Law::PooledIsOfEncode, what, found, expected, self.tolerance)?;
        }
        Ok(())
    }

    pub(super) fn check_encode_both<G: ReportGenerator>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        let law = Law::EncodeBothIsEncodeTwice;
        let other = self.studies(3);
        for (of, studies) in self.batches() {
            let batches = [studies, other.clone()];
            let both = generator.encode_both(batches.clone());
            for ((encoded, studies), which) in
                both.into_iter().zip(batches).zip(["first", "second"])
            {
                let (pooled, hidden) = self.encoded(generator, studies);
                let what = format!("pooled features of the {which} batch{of}");
                check_close(law, what, encoded.pooled, pooled, self.tolerance)?;
                let found = generator.hidden_states(&encoded.context, &self.reports());
                let what = format!("hidden states in the {which} batch{of}");
                check_close(law, what, found, hidden, self.tolerance)?;
            }
        }
        Ok(())
    }

    pub(super) fn check_imageless_rows<G: ReportGenerator>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        let law = Law::ImagelessRowsAreEqual;
        let report = vec![0, self.word(0), self.word(1), 0];
        let reports = TokenBatch::from_ids(&vec![report; STUDIES], &self.device);
        let hidden = generator.hidden_states(&generator.imageless_context(STUDIES), &reports);
        let first = hidden.clone().narrow(0, 0, 1);
        let expected = first.repeat_dim(0, STUDIES);
        let what = "hidden states of equal reports";
        check_close(law, what, hidden, expected, self.tolerance)
    }

    /// Checks that a study's encoding does not depend on its batch: encodes each study alone, and
    /// all in another order.
    pub(super) fn check_independence<G: ReportGenerator>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        let law = Law::StudiesAreIndependent;
        let ids = self.report_ids();
        let [_, length] = self.reports().dims();
        for (of, studies) in self.batches() {
            let (pooled, hidden) = self.encoded(generator, studies.clone());
            for rows in [vec![0], vec![1], vec![2], vec![2, 0, 1]] {
                let reports: Vec<Vec<u32>> = rows.iter().map(|&row| ids[row].clone()).collect();
                let reports = self.padded(&reports, length + 1);
                let selected = generator.encode(select_studies(&studies, &rows));
                let indices = row_indices(&rows, &self.device);
                let what = format!("pooled features of studies {rows:?} alone{of}");
                let expected = pooled.clone().select(0, indices.clone());
                check_close(law, what, selected.pooled, expected, self.tolerance)?;
                let found = generator.hidden_states(&selected.context, &reports);
                let what = format!("hidden states of studies {rows:?} alone{of}");
                let expected = hidden.clone().select(0, indices);
                check_close(law, what, found, expected, self.tolerance)?;
            }
        }
        Ok(())
    }

    /// The films of a previous study in another order, with their projections.
    pub(super) fn check_order_of_films<G: ReportGenerator>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        if !self.context {
            return Ok(());
        }
        let law = Law::OrderOfFilmsHasNoEffect;
        let context = self.study_context(7);
        let mut turned = context.clone();
        if let (Some(PriorFilms::Images(films)), Some(Some(prior))) =
            (&mut turned.prior_films, turned.priors.first_mut())
        {
            let order = row_indices(&[1, 0, 2], &self.device);
            *films = films.clone().select(0, order);
            prior.projections.reverse();
        }
        let studies = self.studies(4);
        let (pooled, hidden) = self.encoded(generator, studies.clone().with_context(context));
        let found = self.encoded(generator, studies.with_context(turned));
        let what = "pooled features after a change of the order of prior films";
        check_close(law, what, found.0, pooled, self.tolerance)?;
        let what = "hidden states after a change of the order of prior films";
        check_close(law, what, found.1, hidden, self.tolerance)
    }

    /// Pixels that are not numbers in the place of a missing view.
    pub(super) fn check_missing_views<G: ReportGenerator + StepDecoder>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        if self.views == 1 {
            return Ok(());
        }
        let law = Law::MissingViewsHaveNoEffect;
        let [noise, not_a_number] = self.incomplete(2);
        let (pooled, hidden) = self.encoded(generator, noise);
        let encoded = self.encoded(generator, not_a_number.clone());
        let what = "pooled features after a change of a missing view";
        check_close(law, what, encoded.0, pooled, self.tolerance)?;
        let what = "hidden states after a change of a missing view";
        check_close(law, what, encoded.1, hidden, self.tolerance)?;
        let Some(evidence) = generator.explain(not_a_number, &self.reports()) else {
            return Ok(());
        };
        for (layer, weights) in evidence.attention.into_iter().enumerate() {
            let [_, heads, length, patches] = weights.dims();
            let mask = self
                .view_mask()
                .missing_patches(patches / self.views, &self.device);
            let mask = mask.unsqueeze_dims::<4>(&[1, 2]);
            let mask = mask.expand([STUDIES, heads, length, patches]);
            let present = weights.clone().mask_fill(mask, 0.0);
            let what = format!("attention of layer {layer} to a missing view");
            check_close(law, what, weights, present, self.tolerance)?;
        }
        Ok(())
    }
}
