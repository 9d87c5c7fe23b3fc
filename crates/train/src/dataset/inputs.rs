use ithn_checkpoint::config::ModelConfig;
use ithn_data::{Study, TokenizedContext, TokenizedPrior, Tokenizer};
use ithn_models::ContextConfig;

/// What a dataset is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StudyInputs {
    /// Images of a study.
    pub views: usize,
    /// Images of a patient's previous study, 0 for its report alone; `None` if previous studies are not read.
    pub prior_views: Option<usize>,
}

impl From<usize> for StudyInputs {
    /// So many images of a study, and nothing of previous studies.
    fn from(views: usize) -> Self {
        StudyInputs {
            views,
            prior_views: None,
        }
    }
}

impl From<&ModelConfig> for StudyInputs {
    /// What a model reads.
    fn from(model: &ModelConfig) -> Self {
        let context = model.generator.context();
        StudyInputs {
            views: model.views,
            prior_views: context
                .filter(ContextConfig::reads_prior)
                .map(|context| context.prior_views),
        }
    }
}

/// What a model that reads `reads` gets of a study beside its images.
pub(super) fn tokenized_context(
    study: &Study,
    tokenizer: &Tokenizer,
    reads: Option<ContextConfig>,
) -> TokenizedContext {
    let Some(reads) = reads else {
        return TokenizedContext::default();
    };
    let words = |text: Option<&str>, most: usize| match (text, most) {
        (None, _) | (_, 0) => Vec::new(),
        (Some(text), most) => tokenizer.encode_words(text, most),
    };
    let context = &study.context;
    let prior = context.prior.as_ref().map(|prior| {
        let films = prior.images.len().min(reads.prior_views);
        TokenizedPrior {
            images: prior.images[..films].to_vec(),
            projections: prior.projections.iter().take(films).copied().collect(),
            report: words(prior.report.as_deref(), reads.prior_report_words),
            interval_days: prior.interval_days,
        }
    });
    TokenizedContext {
        projections: context.projections.clone(),
        indication: words(context.indication.as_deref(), reads.indication_words),
        prior: prior.filter(|prior| !prior.images.is_empty() || !prior.report.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ithn_data::{Cleaning, PriorStudy, Projection, Split, StudyContext};

    use super::*;

    #[test]
    fn a_model_gets_what_it_reads_and_no_more() {
        let study = Study {
            id: "2".to_owned(),
            patient: "1".to_owned(),
            images: vec![PathBuf::from("b.png")],
            report: "Larger.".to_owned(),
            split: Split::Train,
            labels: None,
            negative: None,
            context: StudyContext {
                projections: vec![Projection::PosteroAnterior],
                indication: Some("Cough, fever.".to_owned()),
                comparison: None,
                prior: Some(Box::new(PriorStudy {
                    id: "1".to_owned(),
                    images: vec![PathBuf::from("a.png"), PathBuf::from("c.png")],
                    projections: vec![Projection::AnteroPosterior, Projection::Lateral],
                    report: Some("Small effusion.".to_owned()),
                    interval_days: 3,
                })),
            },
        };
        let texts = ["cough fever", "small effusion"];
        let tokenizer = Tokenizer::fit(texts, Cleaning::MimicCxr, 1).expect("words");
        let of = |reads| tokenized_context(&study, &tokenizer, reads);
        assert_eq!(of(None), TokenizedContext::default());
        let whole = of(Some(ContextConfig::new(1, 9, 9)));
        let words = |ids: &[u32]| tokenizer.decode(ids);
        assert_eq!(words(&whole.indication), "cough fever .");
        let prior = whole.prior.expect("it has one");
        assert_eq!(words(&prior.report), "small effusion .");
        assert_eq!(prior.images, [PathBuf::from("a.png")]);
        assert_eq!(prior.projections, [Projection::AnteroPosterior]);
        let cut = of(Some(ContextConfig::new(0, 1, 1)));
        assert_eq!(words(&cut.indication), "cough");
        assert_eq!(words(&cut.prior.expect("its report").report), "small");
        let alone = of(Some(ContextConfig::new(0, 0, 0)));
        assert_eq!(alone.projections, [Projection::PosteroAnterior]);
        assert!(alone.prior.is_none() && alone.indication.is_empty());
    }
}
