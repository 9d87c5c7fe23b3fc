//! What a study carries beside its films: projections, the indication, the patient's previous study.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::row_indices;

/// Projection of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Projection {
    /// Posterior to anterior.
    PosteroAnterior,
    /// Anterior to posterior.
    AnteroPosterior,
    /// Frontal, PA or AP unknown.
    Frontal,
    /// From the side.
    Lateral,
}

impl Projection {
    /// Number of projections.
    pub const COUNT: usize = 4;

    /// Its place, below [`COUNT`](Self::COUNT).
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What the studies of a batch carry beside their films, study by study. What a study lacks is absent, not zero.
///
/// It is on the host, films aside, because control flow depends on it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ContextBatch {
    /// Projection of each view of each study, `None` where it is unknown or the view is missing; a study may have fewer
    /// entries than views.
    pub projections: Vec<Vec<Option<Projection>>>,
    /// Token ids of each study's indication, boundary tokens aside; empty where it is missing.
    pub indications: Vec<Vec<u32>>,
    /// Each study's previous study.
    pub priors: Vec<Option<PriorStudy>>,
    /// Films of all previous studies, one after the other; `None` if there is none.
    pub prior_films: Option<PriorFilms>,
}

/// A patient's previous study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriorStudy {
    /// Its films, as places in [`ContextBatch::prior_films`]; may be empty.
    pub films: Range<usize>,
    /// Projection of each film, as for [`ContextBatch::projections`].
    pub projections: Vec<Option<Projection>>,
    /// Token ids of its report, boundary tokens aside; empty where it is missing.
    pub report: Vec<u32>,
    /// Whole days from it to the study.
    pub interval_days: u32,
}

/// Films, or what the backbone has made of them before.
#[derive(Debug, Clone)]
pub enum PriorFilms {
    /// `[films, 3, height, width]`, normalised as [`StudyBatch::images`](crate::StudyBatch::images).
    Images(Tensor<4>),
    /// `[films, patches, channels]`.
    Features(Tensor<3>),
}

impl PriorFilms {
    /// Number of films.
    pub fn count(&self) -> usize {
        match self {
            PriorFilms::Images(images) => images.dims()[0],
            PriorFilms::Features(features) => features.dims()[0],
        }
    }

    fn select(&self, films: &[usize]) -> Self {
        match self {
            PriorFilms::Images(images) => {
                let films = row_indices(films, &images.device());
                PriorFilms::Images(images.clone().select(0, films))
            }
            PriorFilms::Features(features) => {
                let films = row_indices(films, &features.device());
                PriorFilms::Features(features.clone().select(0, films))
            }
        }
    }
}

impl ContextBatch {
    /// `studies` studies that carry nothing; its fields are then filled in.
    pub fn empty(studies: usize) -> Self {
        ContextBatch {
            projections: vec![Vec::new(); studies],
            indications: vec![Vec::new(); studies],
            priors: vec![None; studies],
            prior_films: None,
        }
    }

    /// Studies.
    pub fn len(&self) -> usize {
        self.priors.len()
    }

    /// Whether there is no study.
    pub fn is_empty(&self) -> bool {
        self.priors.is_empty()
    }

    /// Whether no study carries anything.
    pub fn carries_nothing(&self) -> bool {
        let unknown = |of: &Vec<Option<Projection>>| of.iter().all(Option::is_none);
        self.projections.iter().all(unknown)
            && self.indications.iter().all(Vec::is_empty)
            && self.priors.iter().all(Option::is_none)
    }

    /// The studies of the indices `rows`, in that order.
    ///
    /// # Panics
    ///
    /// If an index is out of range.
    pub fn select(&self, rows: &[usize]) -> Self {
        let mut films = Vec::new();
        let priors = rows
            .iter()
            .map(|&row| {
                self.priors[row].clone().map(|prior| {
                    let first = films.len();
                    films.extend(prior.films.clone());
                    PriorStudy {
                        films: first..films.len(),
                        ..prior
                    }
                })
            })
            .collect();
        let prior_films = self.prior_films.as_ref();
        ContextBatch {
            projections: rows
                .iter()
                .map(|&row| self.projections[row].clone())
                .collect(),
            indications: rows
                .iter()
                .map(|&row| self.indications[row].clone())
                .collect(),
            priors,
            prior_films: prior_films
                .filter(|_| !films.is_empty())
                .map(|all| all.select(&films)),
        }
    }

    /// Checks that the lists have one entry per study and the previous studies' films exist.
    pub(crate) fn check(&self, studies: usize) {
        let lengths = [
            self.projections.len(),
            self.indications.len(),
            self.priors.len(),
        ];
        assert_eq!(lengths, [studies; 3], "the context has one entry per study");
        let films = self.prior_films.as_ref().map_or(0, PriorFilms::count);
        for prior in self.priors.iter().flatten() {
            assert!(
                prior.films.end <= films,
                "a previous study has film {} of {films}",
                prior.films.end
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn selected_studies_keep_their_own_films() {
        let device = Device::default();
        let films = Tensor::<3>::from_data([[[1.0]], [[2.0]], [[3.0]]], &device);
        let prior = |films| {
            Some(PriorStudy {
                films,
                projections: Vec::new(),
                report: vec![4],
                interval_days: 1,
            })
        };
        let batch = ContextBatch {
            priors: vec![prior(0..2), None, prior(2..3)],
            prior_films: Some(PriorFilms::Features(films)),
            ..ContextBatch::empty(3)
        };
        batch.check(3);
        assert!(!batch.carries_nothing() && ContextBatch::empty(2).carries_nothing());
        let selected = batch.select(&[2, 1, 0]);
        let ranges: Vec<_> = selected
            .priors
            .iter()
            .map(|prior| prior.as_ref().map(|prior| prior.films.clone()))
            .collect();
        assert_eq!(ranges, [Some(0..1), None, Some(1..3)]);
        let Some(PriorFilms::Features(films)) = selected.prior_films else {
            panic!("they are features");
        };
        films
            .into_data()
            .assert_eq(&[[[3.0f32]], [[1.0]], [[2.0]]].into(), true);
        let none = batch.select(&[1]);
        assert!(none.prior_films.is_none() && none.carries_nothing());
    }

    #[test]
    #[should_panic(expected = "film 4 of 0")]
    fn a_film_that_is_not_there_is_refused() {
        let mut batch = ContextBatch::empty(1);
        batch.priors[0] = Some(PriorStudy {
            films: 3..4,
            projections: Vec::new(),
            report: Vec::new(),
            interval_days: 0,
        });
        batch.check(1);
    }
}
