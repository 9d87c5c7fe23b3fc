//! What a form says of a study beside its films, and whether the checkpoint reads it.

use axum::body::Bytes;
use ithn::data::Projection;
use ithn::inference::{FilmContext, PreparedFilm, PriorFilmStudy};
use ithn::models::ContextConfig;

use super::refusal::Refusal;

/// Most bytes of a text.
const MOST_TEXT: usize = 1 << 16;

/// A field of the form that is no film of the study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    PriorFilm,
    PriorReport,
    PriorDays,
    PriorProjections,
    Indication,
    Projections,
}

impl Field {
    const ALL: [Field; 6] = [
        Field::PriorFilm,
        Field::PriorReport,
        Field::PriorDays,
        Field::PriorProjections,
        Field::Indication,
        Field::Projections,
    ];

    /// Its name in the form.
    pub(super) fn name(self) -> &'static str {
        match self {
            Field::PriorFilm => "prior_film",
            Field::PriorReport => "prior_report",
            Field::PriorDays => "prior_days",
            Field::PriorProjections => "prior_projections",
            Field::Indication => "indication",
            Field::Projections => "projections",
        }
    }

    /// The field of this name; any other one is a film of the study.
    pub(super) fn of(name: Option<&str>) -> Option<Self> {
        Field::ALL
            .into_iter()
            .find(|field| Some(field.name()) == name)
    }
}

/// The texts of a form, as they are sent. An empty one is missing.
#[derive(Debug, Default)]
pub(super) struct Beside {
    texts: Vec<(Field, String)>,
}

impl Beside {
    /// Adds the text of a field.
    pub(super) fn add(&mut self, field: Field, bytes: &Bytes) -> Result<(), Refusal> {
        let name = field.name();
        if bytes.len() > MOST_TEXT {
            return Err(Refusal::too_large(format_args!(
                "the field {name} has more than {MOST_TEXT} bytes"
            )));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| {
            Refusal::bad_request(format_args!("the field {name} is no text in UTF-8"))
        })?;
        if self.text(field).is_some() {
            return Err(Refusal::bad_request(format_args!(
                "the field {name} comes twice"
            )));
        }
        if !text.trim().is_empty() {
            self.texts.push((field, text.trim().to_owned()));
        }
        Ok(())
    }

    fn text(&self, field: Field) -> Option<&str> {
        let mut texts = self.texts.iter();
        let found = texts.find(|(known, _)| *known == field);
        found.map(|(_, text)| text.as_str())
    }

    /// The context of a study of `films` films whose previous study has `priors` films; those are still to be added.
    ///
    /// # Errors
    ///
    /// A refusal that names the field: it makes no sense, or the checkpoint does not read it.
    pub(super) fn context(
        &self,
        films: usize,
        priors: usize,
        reads: Option<ContextConfig>,
    ) -> Result<FilmContext, Refusal> {
        self.check_reads(priors, reads)?;
        let report = self.text(Field::PriorReport).map(str::to_owned);
        let days = self.text(Field::PriorDays).map(|days| {
            days.parse::<u32>().map_err(|_| {
                Refusal::bad_request(format_args!(
                    "the field prior_days is '{days}', and must be a whole number of days, 0 or more"
                ))
            })
        });
        let prior_projections = self.projections(Field::PriorProjections, priors)?;
        let prior = match (days.transpose()?, priors > 0 || report.is_some()) {
            (None, false) => None,
            (Some(interval_days), true) => Some(PriorFilmStudy {
                films: Vec::new(),
                projections: prior_projections,
                report,
                interval_days,
            }),
            (None, true) => {
                return Err(Refusal::bad_request(
                    "a previous study needs the field prior_days: days from it to the study",
                ));
            }
            (Some(_), false) => {
                return Err(Refusal::bad_request(
                    "the field prior_days needs a previous study: prior_film or prior_report",
                ));
            }
        };
        Ok(FilmContext {
            projections: self.projections(Field::Projections, films)?,
            indication: self.text(Field::Indication).map(str::to_owned),
            prior,
        })
    }

    fn check_reads(&self, priors: usize, reads: Option<ContextConfig>) -> Result<(), Refusal> {
        let limits = reads.unwrap_or(ContextConfig::new(0, 0, 0));
        let has = |field| match field {
            Field::PriorFilm => priors > 0,
            other => self.text(other).is_some(),
        };
        let is_read = |field| match field {
            Field::PriorFilm | Field::PriorProjections => limits.prior_views > 0,
            Field::PriorReport => limits.prior_report_words > 0,
            Field::PriorDays => limits.reads_prior(),
            Field::Indication => limits.indication_words > 0,
            Field::Projections => reads.is_some(),
        };
        let mut fields = Field::ALL.into_iter();
        match fields.find(|&field| has(field) && !is_read(field)) {
            None => Ok(()),
            Some(field) => Err(Refusal::bad_request(format_args!(
                "this checkpoint does not read {}: leave the field out",
                field.name()
            ))),
        }
    }

    fn projections(&self, field: Field, films: usize) -> Result<Vec<Projection>, Refusal> {
        let Some(text) = self.text(field) else {
            return Ok(Vec::new());
        };
        let name = field.name();
        let projections = text.split(',').map(|projection| {
            match (projection.trim(), Projection::parse(projection)) {
                ("?", _) => Ok(Projection::Unknown),
                (other, Projection::Unknown) => Err(Refusal::bad_request(format_args!(
                    "the field {name} has '{other}': use PA, AP, FRONTAL, LATERAL or ?"
                ))),
                (_, known) => Ok(known),
            }
        });
        let projections: Vec<Projection> = projections.collect::<Result<_, _>>()?;
        match projections.len() == films {
            true => Ok(projections),
            false => Err(Refusal::bad_request(format_args!(
                "the field {name} names {} projections of {films} films: name one for each, separated by commas",
                projections.len()
            ))),
        }
    }
}

/// Adds the films of the previous study to a context that has one.
pub(super) fn with_prior_films(mut context: FilmContext, films: Vec<PreparedFilm>) -> FilmContext {
    if let Some(prior) = &mut context.prior {
        prior.films = films.into_iter().map(Into::into).collect();
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Option<ContextConfig> = Some(ContextConfig::new(1, 9, 9));

    fn form(fields: &[(Field, &str)]) -> Beside {
        let mut beside = Beside::default();
        for (field, text) in fields {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            beside.add(*field, &bytes).expect("a short text");
        }
        beside
    }

    #[test]
    fn a_form_is_a_context_and_blank_fields_are_missing() {
        let beside = form(&[
            (Field::Indication, " cough "),
            (Field::PriorReport, "Clear."),
            (Field::PriorDays, "12"),
            (Field::Projections, "PA, lateral"),
            (Field::PriorProjections, " "),
        ]);
        let context = beside.context(2, 1, ALL).expect("sound");
        assert_eq!(context.indication.as_deref(), Some("cough"));
        assert_eq!(
            context.projections,
            [Projection::PosteroAnterior, Projection::Lateral]
        );
        let prior = context.prior.expect("it has one");
        assert_eq!(
            (prior.interval_days, prior.report.as_deref()),
            (12, Some("Clear."))
        );
        assert!(prior.projections.is_empty());
        let nothing = form(&[]).context(1, 0, None).expect("nothing to read");
        assert_eq!(nothing, FilmContext::default());
    }

    #[test]
    fn what_makes_no_sense_or_is_not_read_is_named() {
        let films = Some(ContextConfig::new(1, 0, 0));
        for (fields, priors, reads, part) in [
            (&[(Field::PriorReport, "Clear.")][..], 0, ALL, "prior_days"),
            (&[(Field::PriorDays, "3")], 0, ALL, "prior_film"),
            (&[(Field::PriorDays, "-3")], 1, ALL, "'-3'"),
            (&[(Field::Projections, "PA,PA")], 0, ALL, "projections"),
            (&[(Field::Projections, "sideways")], 0, ALL, "'sideways'"),
            (&[(Field::Indication, "cough")], 0, None, "indication"),
            (&[(Field::Indication, "cough")], 0, films, "indication"),
            (&[(Field::PriorReport, "Clear.")], 0, films, "prior_report"),
            (&[(Field::PriorDays, "1")], 1, None, "prior_film"),
            (&[(Field::Projections, "PA")], 0, None, "projections"),
        ] {
            let refusal = form(fields).context(1, priors, reads).expect_err(part);
            let text = format!("{refusal:?}");
            assert!(text.contains(part) && text.contains("400"), "{text}");
        }
        let mut beside = form(&[(Field::Indication, "cough")]);
        let text = |text: &'static [u8]| Bytes::from_static(text);
        assert!(beside.add(Field::Indication, &text(b"fever")).is_err());
        assert!(beside.add(Field::PriorDays, &text(&[0xff])).is_err());
        let long = Bytes::from(vec![b'a'; MOST_TEXT + 1]);
        assert!(beside.add(Field::PriorReport, &long).is_err());
    }
}
