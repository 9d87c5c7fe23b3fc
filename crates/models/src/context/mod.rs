//! What a study carries beside its films, as one sequence that a decoder attends to: patches of its own films, patches of
//! the previous study's films, words of the previous report, words of the indication.
//!
//! ```text
//! own film        patch + projection
//! previous film   patch + projection + interval + part
//! previous report word               + interval + part
//! indication      word                          + part
//! ```
//!
//! What a study lacks is masked. An unknown projection adds nothing.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use ithn_backbone::{Backbone, ImageEncoder};
use ithn_decoder::PatchFeatures;
use ithn_generator::config::{ConfigError, check_count};
use ithn_generator::{ContextBatch, PriorFilms, PriorStudy, Projection, StudyBatch, row_indices};
use serde::{Deserialize, Serialize};

/// Most films of a previous study.
const MOST_FILMS: usize = 64;

/// Most words of a text.
const MOST_WORDS: usize = 4_096;

/// Last day of every interval but the longest.
const INTERVAL_ENDS: [u32; 7] = [0, 1, 3, 7, 30, 90, 365];

/// What a generator reads beside a study's films, and their projections; 0 leaves a part out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ContextConfig {
    /// Films of the patient's previous study, 0 to 64. They pass the backbone without gradients.
    pub prior_views: usize,
    /// Words of the previous study's report, 0 to 4,096; longer ones are cut.
    pub prior_report_words: usize,
    /// Words of the indication, 0 to 4,096; longer ones are cut.
    pub indication_words: usize,
}

impl ContextConfig {
    /// So many previous films, words of the previous report and words of the indication.
    pub const fn new(
        prior_views: usize,
        prior_report_words: usize,
        indication_words: usize,
    ) -> Self {
        ContextConfig {
            prior_views,
            prior_report_words,
            indication_words,
        }
    }

    /// Whether anything of the previous study is read.
    pub fn reads_prior(&self) -> bool {
        self.prior_views + self.prior_report_words > 0
    }

    /// Checks every number.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("prior_views", self.prior_views, MOST_FILMS),
            ("prior_report_words", self.prior_report_words, MOST_WORDS),
            ("indication_words", self.indication_words, MOST_WORDS),
        ] {
            if value > 0 {
                check_count(key, value, most)?;
            }
        }
        Ok(())
    }
}

/// Part of a context that is no film of the study itself.
#[derive(Debug, Clone, Copy)]
enum Part {
    PriorFilm,
    PriorReport,
    Indication,
}

/// Learned embeddings of projections, parts and intervals.
#[derive(Module, Debug)]
pub struct ContextEmbedding {
    /// Of each [`Projection`], `[4, width]`.
    pub projections: Param<Tensor<2>>,
    /// Of a previous film, a previous report and an indication, `[3, width]`.
    pub parts: Param<Tensor<2>>,
    /// Of the time since the previous study, `[8, width]`: the same day, up to 1, 3, 7, 30, 90 and 365 days, and longer.
    pub intervals: Param<Tensor<2>>,
}

/// How a generator embeds what a context is made of.
pub(crate) trait EmbedContext {
    /// Backbone features of films, `[films, patches, channels]`, as `[films, patches, width]`.
    fn embed_films(&self, features: Tensor<3>) -> Tensor<3>;

    /// Token ids `[batch, length]` as `[batch, length, width]`.
    fn embed_words(&self, tokens: Tensor<2, Int>) -> Tensor<3>;
}

/// A stretch of the sequence.
struct Stretch {
    /// `[batch, length, width]`.
    values: Tensor<3>,
    /// `batch · length` values, true where there is nothing.
    missing: Vec<bool>,
}

impl ContextEmbedding {
    /// Xavier-uniform embeddings of width `width`.
    pub fn init(width: usize, device: &Device) -> Self {
        let table = |rows: usize| {
            Initializer::XavierUniform { gain: 1.0 }.init_with(
                [rows, width],
                Some(width),
                Some(rows),
                device,
            )
        };
        ContextEmbedding {
            projections: table(Projection::COUNT),
            parts: table(3),
            intervals: table(INTERVAL_ENDS.len() + 1),
        }
    }

    /// Adds the projections to the patches of the studies' own films, `[batch, views · patches, width]`.
    pub(crate) fn add_projections(
        &self,
        patches: Tensor<3>,
        projections: &[Vec<Option<Projection>>],
        views: usize,
    ) -> Tensor<3> {
        let [batch, length, width] = patches.dims();
        let view = |study: usize, view: usize| projections[study].get(view).copied().flatten();
        let known: Vec<Option<Projection>> = (0..batch * views)
            .map(|place| view(place / views, place % views))
            .collect();
        let Some(embedded) = self.projections_of(&known) else {
            return patches;
        };
        let dims = [batch * views, length / views, width];
        let embedded = embedded.unsqueeze_dim::<3>(1).expand(dims);
        patches + embedded.reshape([batch, length, width])
    }

    /// The patches of the studies' own films, `[batch, patches, width]`, followed by what they carry.
    pub(crate) fn extend(
        &self,
        own: PatchFeatures,
        context: ReadContext,
        embed: &impl EmbedContext,
    ) -> PatchFeatures {
        let ReadContext { context, features } = context;
        let reports = context
            .priors
            .iter()
            .map(|prior| prior.as_ref().map_or(&[][..], |prior| &prior.report))
            .collect();
        let indications = context.indications.iter().map(Vec::as_slice).collect();
        let mut priors = context.priors.iter().flatten();
        let has_films = priors.any(|prior| !prior.films.is_empty());
        let films = features.filter(|_| has_films);
        let films = films.map(|features| self.prior_films(features, &context.priors, embed));
        let stretches = [
            films,
            self.words(reports, Part::PriorReport, &context.priors, embed),
            self.words(indications, Part::Indication, &[], embed),
        ];
        join(own, stretches.into_iter().flatten().collect())
    }

    /// Patches of the previous studies' films, given their backbone features, `[films, patches, channels]`.
    fn prior_films(
        &self,
        features: Tensor<3>,
        priors: &[Option<PriorStudy>],
        embed: &impl EmbedContext,
    ) -> Stretch {
        let [films, patches, _] = features.dims();
        let device = features.device();
        let mut projections = vec![None; films];
        let mut intervals = vec![0; films];
        for prior in priors.iter().flatten() {
            for (place, film) in prior.films.clone().enumerate() {
                projections[film] = prior.projections.get(place).copied().flatten();
                intervals[film] = prior.interval_days;
            }
        }
        let mut labels = self.part(Part::PriorFilm) + self.intervals_of(&intervals);
        if let Some(embedded) = self.projections_of(&projections) {
            labels = labels + embedded;
        }
        let values = embed.embed_films(features) + labels.unsqueeze_dim(1);
        // One film of zeros follows the others; every missing place selects it.
        let [_, _, width] = values.dims();
        let zeros = Tensor::zeros([1, patches, width], &device);
        let values = Tensor::cat(vec![values, zeros], 0);
        let own = |prior: &Option<PriorStudy>| prior.as_ref().map_or(0..0, |it| it.films.clone());
        let places = priors.iter().map(|prior| own(prior).len()).max();
        let places = places.unwrap_or(0);
        let sources: Vec<usize> = priors
            .iter()
            .flat_map(|prior| {
                let range = own(prior);
                let missing = std::iter::repeat_n(films, places - range.len());
                range.chain(missing).collect::<Vec<_>>()
            })
            .collect();
        let missing = sources
            .iter()
            .flat_map(|&source| std::iter::repeat_n(source == films, patches))
            .collect();
        Stretch {
            values: values.select(0, row_indices(&sources, &device)).reshape([
                priors.len(),
                places * patches,
                width,
            ]),
            missing,
        }
    }

    /// Words of texts, one row per study; of `priors` the intervals are added. `None` if there is no text.
    fn words(
        &self,
        rows: Vec<&[u32]>,
        part: Part,
        priors: &[Option<PriorStudy>],
        embed: &impl EmbedContext,
    ) -> Option<Stretch> {
        let length = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        if length == 0 {
            return None;
        }
        let word = |row: &[u32], place: usize| row.get(place).copied();
        let places = || {
            let rows = rows.iter();
            rows.flat_map(|row| (0..length).map(|place| word(row, place)))
        };
        let ids: Vec<i64> = places().map(|word| word.unwrap_or(0).into()).collect();
        let ids = TensorData::new(ids, [rows.len(), length]);
        let mut labels = self.part(part);
        if !priors.is_empty() {
            let days = |prior: &Option<PriorStudy>| prior.as_ref().map_or(0, |it| it.interval_days);
            let days: Vec<u32> = priors.iter().map(days).collect();
            labels = labels + self.intervals_of(&days);
        }
        let tokens = Tensor::from_data(ids, &self.parts.device());
        Some(Stretch {
            values: embed.embed_words(tokens) + labels.unsqueeze_dim(1),
            missing: places().map(|word| word.is_none()).collect(),
        })
    }

    /// `[1, width]`.
    fn part(&self, part: Part) -> Tensor<2> {
        self.parts.val().narrow(0, part as usize, 1)
    }

    /// `[rows, width]`.
    fn intervals_of(&self, days: &[u32]) -> Tensor<2> {
        let place = |days: &u32| INTERVAL_ENDS.iter().filter(|end| days > *end).count();
        let places: Vec<usize> = days.iter().map(place).collect();
        let table = self.intervals.val();
        let places = row_indices(&places, &table.device());
        table.select(0, places)
    }

    /// `[rows, width]`, zeros for unknown ones; `None` if all are.
    fn projections_of(&self, projections: &[Option<Projection>]) -> Option<Tensor<2>> {
        if projections.iter().all(Option::is_none) {
            return None;
        }
        let table = self.projections.val();
        let [_, width] = table.dims();
        let table = Tensor::cat(vec![Tensor::zeros([1, width], &table.device()), table], 0);
        let place = |it: &Option<Projection>| it.map_or(0, |projection| 1 + projection.index());
        let places: Vec<usize> = projections.iter().map(place).collect();
        let places = row_indices(&places, &table.device());
        Some(table.select(0, places))
    }
}

/// Joins stretches to the patches, and the masks.
fn join(own: PatchFeatures, stretches: Vec<Stretch>) -> PatchFeatures {
    let device = own.values.device();
    let [batch, patches, _] = own.values.dims();
    let mut missing = vec![match own.mask {
        Some(mask) => mask,
        None => Tensor::<2, Bool>::from_data(
            TensorData::new(vec![false; batch * patches], [batch, patches]),
            &device,
        ),
    }];
    let mut values = vec![own.values];
    for stretch in stretches {
        let [batch, length, _] = stretch.values.dims();
        let mask = TensorData::new(stretch.missing, [batch, length]);
        missing.push(Tensor::from_data(mask, &device));
        values.push(stretch.values);
    }
    PatchFeatures {
        values: Tensor::cat(values, 1),
        mask: Some(Tensor::cat(missing, 1)),
    }
}

/// The first `length` patches and their mask.
pub(crate) fn first_patches(patches: &PatchFeatures, length: usize) -> PatchFeatures {
    PatchFeatures {
        values: patches.values.clone().narrow(1, 0, length),
        mask: patches.mask.clone().map(|mask| mask.narrow(1, 0, length)),
    }
}

/// The context of a batch, with the backbone features of its previous films.
pub(crate) struct ReadContext {
    pub(crate) context: ContextBatch,
    /// `[films, patches, channels]`; none without films.
    features: Option<Tensor<3>>,
}

impl ReadContext {
    /// Places of the previous films' patches, which follow those of the studies' own films: 0 if there is no such film.
    pub(crate) fn prior_patches(&self) -> usize {
        let patches = self.features.as_ref().map_or(0, |films| films.dims()[1]);
        let priors = self.context.priors.iter().flatten();
        patches * priors.map(|prior| prior.films.len()).max().unwrap_or(0)
    }

    /// The context of `studies`, if there is any. Previous films pass the backbone without gradients, and by the running
    /// statistics, as in evaluation: call it before the studies' own films change them.
    pub(crate) fn of(backbone: &Backbone, studies: &StudyBatch) -> Option<Self> {
        let context = studies.context.clone()?;
        let features = context.prior_films.clone().map(|films| match films {
            PriorFilms::Features(features) => features,
            PriorFilms::Images(images) if images.device().is_autodiff() => {
                let features = backbone.valid().forward(images.inner()).patches;
                Tensor::from_inner(features)
            }
            PriorFilms::Images(images) => backbone.forward(images).patches,
        });
        Some(ReadContext { context, features })
    }
}

#[cfg(test)]
mod tests;
