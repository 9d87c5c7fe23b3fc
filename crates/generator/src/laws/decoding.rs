use burn::tensor::Tensor;

use super::Laws;
use super::broken::{Law, LawBroken, check_close, check_shape, check_sums};
use super::inputs::{STUDIES, select_studies};
use crate::{BOUNDARY_TOKEN, ReportGenerator, StepDecoder, StudyBatch, TokenBatch};

/// Tokens by which padding outgrows the longest report.
const PADDING: usize = 3;

impl Laws {
    /// Log-probabilities of teacher-forced reports.
    fn forced<G: ReportGenerator>(
        &self,
        generator: &G,
        studies: StudyBatch,
        reports: &TokenBatch,
    ) -> Tensor<3> {
        let encoded = generator.encode(studies);
        generator.log_probs(generator.hidden_states(&encoded.context, reports))
    }

    pub(super) fn check_probabilities<G: ReportGenerator>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        let forced = self.forced(generator, self.studies(1), &self.reports());
        let what = "sums of the probabilities of teacher forcing";
        check_sums(
            Law::ProbabilitiesSumToOne,
            what,
            forced.exp(),
            self.tolerance,
        )
    }

    pub(super) fn check_force<G: ReportGenerator>(&self, generator: &G) -> Result<(), LawBroken> {
        for (of, studies) in self.batches() {
            let context = generator.encode(studies).context;
            let reports = self.reports();
            let expected = generator.hidden_states(&context, &reports);
            let forced = generator.force(&context, &reports);
            let what = format!("hidden states{of}");
            check_close(
                Law::ForceIsHiddenStates,
                what,
                forced.hidden,
                expected,
                self.tolerance,
            )?;
            if let Some(penalty) = forced.penalty {
                check_shape(Law::Shapes, "the penalty", penalty.dims(), [1])?;
            }
        }
        Ok(())
    }

    pub(super) fn check_padding<G: ReportGenerator>(&self, generator: &G) -> Result<(), LawBroken> {
        let context = generator.encode(self.studies(1)).context;
        let reports = self.reports();
        let [_, length] = reports.dims();
        let longer = self.padded(&self.report_ids(), length + 1 + PADDING);
        let expected = generator.hidden_states(&context, &reports);
        let found = generator
            .hidden_states(&context, &longer)
            .narrow(1, 0, length);
        let inside = |hidden: Tensor<3>| hidden * reports.mask().clone().unsqueeze_dim(2);
        let what = format!("hidden states before {PADDING} more tokens of padding");
        let (found, expected) = (inside(found), inside(expected));
        check_close(
            Law::PaddingHasNoEffect,
            what,
            found,
            expected,
            self.tolerance,
        )
    }

    /// Steps through the reports, each as far as it goes.
    pub(super) fn check_steps<G: ReportGenerator + StepDecoder>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        let (ids, reports) = (self.report_ids(), self.reports());
        let [_, length] = reports.dims();
        for (of, studies) in self.batches() {
            let forced = self.forced(generator, studies.clone(), &reports);
            let mut state = generator.start(studies);
            for position in 0..length {
                let token = |report: &Vec<u32>| report.get(position).copied();
                let tokens: Vec<u32> = ids
                    .iter()
                    .map(|report| token(report).unwrap_or(BOUNDARY_TOKEN))
                    .collect();
                let step = generator.step(&tokens, &mut state);
                let mask = reports.mask().clone().narrow(1, position, 1);
                let expected = forced.clone().narrow(1, position, 1).squeeze_dim::<2>(1);
                let what = format!("log-probabilities of step {position}{of}");
                let (found, expected) = (step * mask.clone(), expected * mask);
                let law = Law::StepsEqualTeacherForcing;
                check_close(law, what, found, expected, self.tolerance)?;
            }
        }
        Ok(())
    }

    /// Rows go through two reorderings, each with a history of its own, and must give what teacher
    /// forcing of that history on that study gives.
    pub(super) fn check_reorder<G: ReportGenerator + StepDecoder>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        for (of, studies) in self.batches() {
            let mut state = generator.start(studies.clone());
            let mut rows: Vec<(usize, Vec<u32>)> =
                (0..STUDIES).map(|study| (study, vec![])).collect();
            let orders = [
                vec![0, 1, 2],
                vec![2, 0, 2, 1],
                vec![1, 3, 0],
                vec![0, 2, 1, 1],
            ];
            for (step, order) in orders.iter().enumerate() {
                if step > 0 {
                    state = generator.reorder(state, order);
                    rows = order.iter().map(|&row| rows[row].clone()).collect();
                }
                let tokens: Vec<u32> = (0..rows.len())
                    .map(|row| match step {
                        0 => BOUNDARY_TOKEN,
                        _ => self.word(4 * step + row),
                    })
                    .collect();
                for ((_, history), &token) in rows.iter_mut().zip(&tokens) {
                    history.push(token);
                }
                let found = generator.step(&tokens, &mut state);
                let expected = self.last_forced(generator, &studies, &rows);
                let what = format!("log-probabilities of step {step} after {order:?}{of}");
                check_close(Law::ReorderMovesRows, what, found, expected, self.tolerance)?;
            }
        }
        Ok(())
    }

    /// Log-probabilities of the next word of partial reports, `[rows, vocabulary]`, each given by its
    /// study and the tokens fed.
    fn last_forced<G: ReportGenerator>(
        &self,
        generator: &G,
        studies: &StudyBatch,
        rows: &[(usize, Vec<u32>)],
    ) -> Tensor<2> {
        let (studies_of_rows, reports): (Vec<usize>, Vec<Vec<u32>>) = rows
            .iter()
            .map(|(study, history)| (*study, [history.as_slice(), &[BOUNDARY_TOKEN]].concat()))
            .unzip();
        let reports = TokenBatch::from_ids(&reports, &self.device);
        let [_, length] = reports.dims();
        let studies = select_studies(studies, &studies_of_rows);
        let forced = self.forced(generator, studies, &reports);
        forced.narrow(1, length - 1, 1).squeeze_dim(1)
    }

    pub(super) fn check_explained_sums<G: StepDecoder>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        let (law, reports) = (Law::ExplainedWeightsSumToOne, self.reports());
        let [batch, length] = reports.dims();
        for (of, studies) in self.batches() {
            let has_context = studies.context.is_some();
            let Some(evidence) = generator.explain(studies, &reports) else {
                return Ok(());
            };
            for (layer, weights) in evidence.attention.into_iter().enumerate() {
                let [_, heads, _, patches] = weights.dims();
                let patches = patches.next_multiple_of(self.views);
                let expected = [batch, heads, length, patches];
                let what = format!("attention of layer {layer}{of}");
                check_shape(Law::Shapes, &what, weights.dims(), expected)?;
                // The rest is attention to the context.
                if has_context {
                    continue;
                }
                check_sums(law, format!("sums of the {what}"), weights, self.tolerance)?;
            }
            if let Some(memory) = evidence.memory {
                let what = format!("memory weights{of}");
                check_shape(
                    Law::Shapes,
                    &what,
                    memory.weights.dims(),
                    memory.rows.dims(),
                )?;
                check_sums(
                    law,
                    format!("sums of the {what}"),
                    memory.weights,
                    self.tolerance,
                )?;
            }
        }
        Ok(())
    }

    pub(super) fn check_explained_causality<G: StepDecoder>(
        &self,
        generator: &G,
    ) -> Result<(), LawBroken> {
        let report = |later: &[u32]| {
            let begun = [BOUNDARY_TOKEN, self.word(0), self.word(1)];
            let report = [&begun, later, &[BOUNDARY_TOKEN]].concat();
            TokenBatch::from_ids(&vec![report; STUDIES], &self.device)
        };
        let explain = |reports: TokenBatch| generator.explain(self.studies(1), &reports);
        let alone = explain(report(&[]));
        let continued = explain(report(&[self.word(2), self.word(4)]));
        let (Some(alone), Some(continued)) = (alone, continued) else {
            return Ok(());
        };
        let layers = continued.attention.into_iter().zip(alone.attention);
        for (layer, (found, expected)) in layers.enumerate() {
            let found = found.narrow(2, 0, expected.dims()[2]);
            let what = format!("attention of layer {layer} before two more words");
            check_close(Law::ExplainIsCausal, what, found, expected, self.tolerance)?;
        }
        Ok(())
    }
}
