//! What a study to be reported carries beside its films.

use ithn_data::{
    ContextBlock, FilmBlock, Projection, StudyContext, TokenizedContext, TokenizedPrior, Tokenizer,
};
use ithn_models::ContextConfig;

use crate::InferenceError;
use crate::film::{Film, FilmReader};

/// What is known of a study beside its films. Everything may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilmContext {
    /// Projection of each film, in the order of the films; empty if none is known.
    pub projections: Vec<Projection>,
    /// Why the films were taken.
    pub indication: Option<String>,
    /// The patient's previous study.
    pub prior: Option<PriorFilmStudy>,
}

/// A patient's previous study.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriorFilmStudy {
    /// Its films; those beyond what the model reads are not used.
    pub films: Vec<Film>,
    /// Projection of each film, in the order of the films; empty if none is known.
    pub projections: Vec<Projection>,
    /// Its report.
    pub report: Option<String>,
    /// Whole days from it to the study.
    pub interval_days: u32,
}

impl From<&StudyContext> for FilmContext {
    /// What a data set's study carries, the comparison aside.
    fn from(context: &StudyContext) -> Self {
        FilmContext {
            projections: context.projections.clone(),
            indication: context.indication.clone(),
            prior: context.prior.as_ref().map(|prior| PriorFilmStudy {
                films: prior.images.iter().map(Into::into).collect(),
                projections: prior.projections.clone(),
                report: prior.report.clone(),
                interval_days: prior.interval_days,
            }),
        }
    }
}

impl FilmContext {
    /// What a model that reads `reads` can be given of it; a model refuses the rest.
    #[must_use]
    pub fn readable_by(mut self, reads: Option<ContextConfig>) -> Self {
        let Some(reads) = reads else {
            return FilmContext::default();
        };
        if reads.indication_words == 0 {
            self.indication = None;
        }
        if let Some(prior) = &mut self.prior {
            if reads.prior_views == 0 {
                prior.films.clear();
                prior.projections.clear();
            }
            if reads.prior_report_words == 0 {
                prior.report = None;
            }
        }
        self.prior = (self.prior).filter(|prior| !prior.films.is_empty() || prior.report.is_some());
        self
    }
}

/// Reads the context of studies for a model.
pub(crate) struct ContextReader<'a> {
    /// What the model reads, if anything.
    pub reads: Option<ContextConfig>,
    pub tokenizer: &'a Tokenizer,
    pub films: FilmReader,
}

impl ContextReader<'_> {
    /// The context of some studies, each with its identifier; none if no study has any.
    ///
    /// # Errors
    ///
    /// [`InferenceError::Unread`] if a study has something that the model does not read; if a film cannot be read.
    pub(crate) fn read<'s>(
        &self,
        studies: impl Iterator<Item = (&'s str, &'s FilmContext)>,
    ) -> Result<Option<ContextBlock>, InferenceError> {
        let size = self.films.transform.size();
        let mut films = FilmBlock::default();
        let mut contexts = Vec::new();
        for (id, context) in studies {
            self.check(id, context)?;
            let reads = self.reads.unwrap_or(ContextConfig::new(0, 0, 0));
            let words = |text: &Option<String>, most| match text {
                Some(text) => self.tokenizer.encode_words(text, most),
                None => Vec::new(),
            };
            let prior = match &context.prior {
                None => None,
                Some(prior) => {
                    let taken = &prior.films[..prior.films.len().min(reads.prior_views)];
                    for film in taken {
                        let prepared = self.films.prepare(film)?;
                        films.pixels.extend_from_slice(prepared.pixels());
                    }
                    films.dims[0] += taken.len();
                    let projections = prior.projections.iter().take(taken.len());
                    Some(TokenizedPrior {
                        images: taken.iter().map(|film| film.name().to_owned()).collect(),
                        projections: projections.copied().collect(),
                        report: words(&prior.report, reads.prior_report_words),
                        interval_days: prior.interval_days,
                    })
                }
            };
            contexts.push(TokenizedContext {
                projections: context.projections.clone(),
                indication: words(&context.indication, reads.indication_words),
                prior,
            });
        }
        films.dims = [films.dims[0], 3, size, size];
        let nothing = TokenizedContext::default();
        Ok(contexts
            .iter()
            .any(|context| *context != nothing)
            .then_some(ContextBlock {
                studies: contexts,
                films,
            }))
    }

    fn check(&self, id: &str, context: &FilmContext) -> Result<(), InferenceError> {
        let prior = context.prior.as_ref();
        let films = prior.is_some_and(|prior| !prior.films.is_empty());
        let report = prior.is_some_and(|prior| prior.report.is_some());
        let reads = |of: fn(&ContextConfig) -> usize| self.reads.as_ref().map_or(0, of) > 0;
        let unread = [
            (
                "projections",
                !context.projections.is_empty() && self.reads.is_none(),
            ),
            (
                "indication",
                context.indication.is_some() && !reads(|it| it.indication_words),
            ),
            ("previous films", films && !reads(|it| it.prior_views)),
            (
                "previous report",
                report && !reads(|it| it.prior_report_words),
            ),
        ];
        match unread.into_iter().find(|(_, unread)| *unread) {
            None => Ok(()),
            Some((part, _)) => Err(InferenceError::Unread {
                study: id.to_owned(),
                part,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use ithn_data::{Cleaning, DecodedImage, ImageTransform};

    use super::*;

    fn reader(tokenizer: &Tokenizer, reads: Option<ContextConfig>) -> ContextReader<'_> {
        ContextReader {
            reads,
            tokenizer,
            films: FilmReader {
                transform: ImageTransform::evaluation(8),
            },
        }
    }

    fn film() -> Film {
        Film::from(DecodedImage {
            width: 9,
            height: 7,
            channels: 1,
            pixels: vec![3; 9 * 7],
        })
    }

    #[test]
    fn a_model_gets_what_it_reads_and_refuses_the_rest() {
        let texts = ["cough", "small effusion"];
        let tokenizer = Tokenizer::fit(texts, Cleaning::MimicCxr, 1).expect("words");
        let context = FilmContext {
            projections: vec![Projection::PosteroAnterior],
            indication: Some("Cough.".to_owned()),
            prior: Some(PriorFilmStudy {
                films: vec![film(), film()],
                projections: vec![Projection::Lateral, Projection::Frontal],
                report: Some("Small effusion.".to_owned()),
                interval_days: 4,
            }),
        };
        let nothing = FilmContext::default();
        let studies = || [("a", &nothing), ("b", &context)].into_iter();
        let whole = reader(&tokenizer, Some(ContextConfig::new(1, 9, 9)));
        let block = whole
            .read(studies())
            .expect("readable")
            .expect("b has some");
        assert_eq!(block.studies[0], TokenizedContext::default());
        assert_eq!(block.films.dims, [1, 3, 8, 8]);
        assert_eq!(block.films.pixels.len(), 3 * 8 * 8);
        let prior = block.studies[1].prior.as_ref().expect("b has one");
        assert_eq!(prior.projections, [Projection::Lateral]);
        assert_eq!(tokenizer.decode(&prior.report), "small effusion .");
        assert_eq!(tokenizer.decode(&block.studies[1].indication), "cough .");
        let none = whole.read([("a", &nothing)].into_iter()).expect("readable");
        assert!(none.is_none());
        for (reads, part) in [
            (None, "projections"),
            (Some(ContextConfig::new(1, 9, 0)), "indication"),
            (Some(ContextConfig::new(0, 9, 9)), "previous films"),
            (Some(ContextConfig::new(1, 0, 9)), "previous report"),
        ] {
            let reader = reader(&tokenizer, reads);
            let error = reader.read(studies()).expect_err(part).to_string();
            assert!(error.contains(part) && error.contains("study b"), "{error}");
            let readable = context.clone().readable_by(reads);
            reader.read([("b", &readable)].into_iter()).expect(part);
        }
    }
}
