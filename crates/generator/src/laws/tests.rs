//! A generator that keeps the laws, and one fault for each of them.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::inputs::values;
use super::{Law, Laws, check};
use crate::{
    ContextBatch, EncodedStudies, ForcedReports, MemoryEvidence, PriorFilms, ReportEvidence,
    ReportGenerator, StepDecoder, StudyBatch, TokenBatch, row_indices, token_column,
};

const VOCABULARY: usize = 7;
const WIDTH: usize = 4;
const SIZE: usize = 4;

/// A recurrence over words with attention to one patch per view.
struct Toy {
    fault: Option<Law>,
    pixels: Tensor<2>,
    words: Tensor<2>,
    logits: Tensor<2>,
}

#[derive(Clone)]
struct Patches {
    /// `[rows, views, WIDTH]`.
    values: Tensor<3>,
    /// `[rows, views]`, true where a view is missing.
    mask: Option<Tensor<2, Bool>>,
}

#[derive(Clone)]
struct ToyState {
    patches: Patches,
    hidden: Tensor<2>,
}

impl Toy {
    fn new(fault: Option<Law>) -> Self {
        let device = Device::default();
        Toy {
            fault,
            pixels: values([3 * SIZE * SIZE, WIDTH], 11, &device) / (3 * SIZE * SIZE) as f64,
            words: values([VOCABULARY, WIDTH], 12, &device),
            logits: values([WIDTH, VOCABULARY], 13, &device),
        }
    }

    fn breaks(&self, law: Law) -> bool {
        self.fault == Some(law)
    }

    /// Sum over each study's prior films, `[studies, 1, WIDTH]`.
    fn prior_films(&self, context: &ContextBatch) -> Option<Tensor<3>> {
        let PriorFilms::Images(films) = context.prior_films.clone()? else {
            panic!("the laws give pixels");
        };
        let [count, ..] = films.dims();
        let mut weights = vec![0.0f32; context.len() * count];
        for (study, prior) in context.priors.iter().enumerate() {
            let films = prior.iter().flat_map(|prior| prior.films.clone());
            for (place, film) in films.enumerate() {
                weights[study * count + film] = match self.breaks(Law::OrderOfFilmsHasNoEffect) {
                    true => (place + 1) as f32,
                    false => 1.0,
                };
            }
        }
        let weights = TensorData::new(weights, [context.len(), count]);
        let weights = Tensor::<2>::from_data(weights, &films.device());
        let sums = weights.matmul(films.flatten::<2>(1, 3));
        Some(sums.matmul(self.pixels.clone()).unsqueeze_dim(1))
    }

    fn patches(&self, studies: StudyBatch) -> Patches {
        let device = studies.images.device();
        let context = studies.context.as_ref();
        let priors = context.and_then(|context| self.prior_films(context));
        let mask = studies.present.map(|mask| mask.missing_patches(1, &device));
        let mut images = studies.images.flatten::<3>(2, 4);
        if let (Some(mask), false) = (&mask, self.breaks(Law::MissingViewsHaveNoEffect)) {
            let mask = mask.clone().unsqueeze_dim::<3>(2).expand(images.dims());
            images = images.mask_fill(mask, 0.0);
        }
        let mut values = images.matmul(self.pixels.clone().unsqueeze());
        if let Some(priors) = priors {
            values = values + priors;
        }
        if self.breaks(Law::StudiesAreIndependent) {
            values = values.clone() - values.mean_dim(0);
        }
        Patches { values, mask }
    }

    fn start_from(&self, patches: &Patches) -> ToyState {
        let hidden = patches.values.clone().sum_dim(1).squeeze_dim(1);
        ToyState {
            patches: patches.clone(),
            hidden,
        }
    }

    /// Feeds words, `[rows, WIDTH]`; returns the attention, `[rows, views]`.
    fn advance(&self, words: Tensor<2>, state: &mut ToyState) -> Tensor<2> {
        let patches = &state.patches;
        let query = state.hidden.clone().unsqueeze_dim::<3>(1);
        let scores = query.matmul(patches.values.clone().swap_dims(1, 2));
        let mut scores = scores.squeeze_dim::<2>(1);
        if let Some(mask) = &patches.mask {
            scores = scores.mask_fill(mask.clone(), -1e9);
        }
        let weights = softmax(scores, 1);
        let context = weights.clone().unsqueeze_dim::<3>(1);
        let context = context.matmul(patches.values.clone()).squeeze_dim(1);
        state.hidden = (words + context + state.hidden.clone() * 0.5).tanh();
        weights
    }

    /// Hidden states, `[rows, length, WIDTH]`, and attention, `[rows, length, views]`.
    fn forced(&self, patches: &Patches, reports: &TokenBatch) -> (Tensor<3>, Tensor<3>) {
        let [batch, length] = reports.dims();
        let ids = reports.inputs().clone().reshape([batch * length]);
        let words = self.words.clone().select(0, ids);
        let words = words
            .reshape([batch, length, WIDTH])
            .split(1, 1)
            .into_iter();
        let mut state = self.start_from(patches);
        if self.breaks(Law::PaddingHasNoEffect) {
            state.hidden = state.hidden + length as f64 * 0.1;
        }
        let steps = words.map(|word| {
            let weights = self.advance(word.squeeze_dim(1), &mut state);
            (
                state.hidden.clone().unsqueeze_dim(1),
                weights.unsqueeze_dim(1),
            )
        });
        let (hidden, weights): (Vec<Tensor<3>>, Vec<Tensor<3>>) = steps.unzip();
        (Tensor::cat(hidden, 1), Tensor::cat(weights, 1))
    }
}

impl ReportGenerator for Toy {
    type Context = Patches;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<Patches> {
        let context = self.patches(studies);
        let pooled = context.values.clone().sum_dim(1).squeeze_dim(1);
        EncodedStudies { context, pooled }
    }

    fn encode_both(&self, [first, second]: [StudyBatch; 2]) -> [EncodedStudies<Patches>; 2] {
        let last = match self.breaks(Law::EncodeBothIsEncodeTwice) {
            true => first.clone(),
            false => second,
        };
        [self.encode(first), self.encode(last)]
    }

    fn pooled(&self, studies: StudyBatch) -> Tensor<2> {
        let pooled = self.encode(studies).pooled;
        match self.breaks(Law::PooledIsOfEncode) {
            true => pooled * 1.01,
            false => pooled,
        }
    }

    fn imageless_context(&self, batch: usize) -> Patches {
        let mut values = Tensor::zeros([batch, 1, WIDTH], &self.pixels.device());
        if self.breaks(Law::ImagelessRowsAreEqual) {
            values = values.slice_fill(1..2, 0.1);
        }
        Patches { values, mask: None }
    }

    fn hidden_states(&self, context: &Patches, reports: &TokenBatch) -> Tensor<3> {
        self.forced(context, reports).0
    }

    fn force(&self, context: &Patches, reports: &TokenBatch) -> ForcedReports {
        let hidden = self.hidden_states(context, reports);
        ForcedReports {
            hidden: match self.breaks(Law::ForceIsHiddenStates) {
                true => hidden + 0.01,
                false => hidden,
            },
            penalty: None,
        }
    }

    fn log_probs(&self, hidden: Tensor<3>) -> Tensor<3> {
        let log_probs = log_softmax(hidden.matmul(self.logits.clone().unsqueeze()), 2);
        match self.breaks(Law::ProbabilitiesSumToOne) {
            true => log_probs + 0.01,
            false => log_probs,
        }
    }

    fn pooled_width(&self) -> usize {
        WIDTH + usize::from(self.breaks(Law::Shapes))
    }

    fn hidden_width(&self) -> usize {
        WIDTH
    }
}

impl StepDecoder for Toy {
    type State = ToyState;

    fn start(&self, studies: StudyBatch) -> ToyState {
        self.start_from(&self.patches(studies))
    }

    fn step(&self, tokens: &[u32], state: &mut ToyState) -> Tensor<2> {
        let ids = token_column(tokens, &self.pixels.device()).squeeze_dim(1);
        let earlier = state.hidden.clone();
        self.advance(self.words.clone().select(0, ids), state);
        let hidden = state.hidden.clone().unsqueeze_dim(1);
        if self.breaks(Law::StepsEqualTeacherForcing) {
            state.hidden = earlier;
        }
        self.log_probs(hidden).squeeze_dim(1)
    }

    fn reorder(&self, state: ToyState, rows: &[usize]) -> ToyState {
        let indices = row_indices(rows, &self.pixels.device());
        // Patches that stay with their places rather than with their rows.
        let of_patches = match self.breaks(Law::ReorderMovesRows) {
            true => Tensor::<1, Int>::arange(0..rows.len() as i64, &self.pixels.device()) % 3,
            false => indices.clone(),
        };
        let mask = state.patches.mask;
        ToyState {
            patches: Patches {
                values: state.patches.values.select(0, of_patches),
                mask: mask.map(|mask| mask.select(0, indices.clone())),
            },
            hidden: state.hidden.select(0, indices),
        }
    }

    fn explain(&self, studies: StudyBatch, reports: &TokenBatch) -> Option<ReportEvidence> {
        let (_, mut weights) = self.forced(&self.patches(studies), reports);
        let [batch, length, views] = weights.dims();
        if self.breaks(Law::ExplainIsCausal) {
            weights = weights.narrow(1, length - 1, 1).repeat_dim(1, length);
        }
        if self.breaks(Law::ExplainedWeightsSumToOne) {
            weights = weights * 0.9;
        }
        let rows = Tensor::zeros([batch, 1, length, views], &self.pixels.device());
        Some(ReportEvidence {
            attention: vec![weights.clone().unsqueeze_dim(1)],
            prior: Vec::new(),
            memory: Some(MemoryEvidence {
                rows,
                weights: weights.unsqueeze_dim(1),
            }),
        })
    }
}

fn laws(views: usize) -> Laws {
    Laws::new(VOCABULARY, &Device::default())
        .with_image_size(SIZE)
        .with_views(views)
        .with_tolerance(1e-5)
        .with_context()
}

#[test]
fn a_sound_generator_passes() {
    for views in [1, 2, 3] {
        check(&Toy::new(None), &laws(views)).expect("it keeps the laws");
    }
}

#[test]
fn every_law_is_found_broken() {
    for law in [
        Law::Shapes,
        Law::ProbabilitiesSumToOne,
        Law::PooledIsOfEncode,
        Law::EncodeBothIsEncodeTwice,
        Law::ForceIsHiddenStates,
        Law::StudiesAreIndependent,
        Law::ImagelessRowsAreEqual,
        Law::PaddingHasNoEffect,
        Law::StepsEqualTeacherForcing,
        Law::ReorderMovesRows,
        Law::ExplainedWeightsSumToOne,
        Law::ExplainIsCausal,
        Law::MissingViewsHaveNoEffect,
        Law::OrderOfFilmsHasNoEffect,
    ] {
        let broken = check(&Toy::new(Some(law)), &laws(3)).expect_err("it breaks a law");
        assert_eq!(broken.law(), law, "{broken}");
        assert!(broken.to_string().contains(&law.to_string()), "{broken}");
    }
}

/// With one view there is none to leave out.
#[test]
fn a_generator_of_one_view_need_not_know_of_masks() {
    check(&Toy::new(Some(Law::MissingViewsHaveNoEffect)), &laws(1)).expect("one view is there");
}
