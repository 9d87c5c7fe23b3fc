//! The findings that reports state, for decoders that are told them and for their classification.

use ithn_checkpoint::config::{ConfigError, ExperimentConfig};
use ithn_data::{TokenizedStudy, Tokenizer};
use ithn_metrics::{FindingClass, Uncertain, label};

/// The findings that training needs labels of, if any: those that the decoder is told, or else the 13 abnormal classes.
pub(super) fn stated_classes(
    config: &ExperimentConfig,
) -> Result<Option<Vec<FindingClass>>, ConfigError> {
    let prompts = config.model.generator.finding_prompts();
    let classes: Vec<FindingClass> = match (prompts, &config.ithn.classification) {
        (None, None) => return Ok(None),
        (None, Some(_)) => FindingClass::ABNORMAL.to_vec(),
        (Some(prompts), _) => {
            let find = |name: &String| {
                let class = FindingClass::all()
                    .into_iter()
                    .find(|class| class.name() == name);
                let unknown = || {
                    let names = FindingClass::all().map(FindingClass::name).join(", ");
                    let reason = format!("'{name}' is unknown: use some of {names}");
                    ConfigError::new("model.generator.finding_prompts.classes", reason)
                };
                class.ok_or_else(unknown)
            };
            prompts.classes.iter().map(find).collect::<Result<_, _>>()?
        }
    };
    match config.ithn.classification {
        Some(classification) if classification.findings != classes.len() => Err(ConfigError::new(
            "ithn.classification.findings",
            format!(
                "must be {}, the findings that are labelled, got {}",
                classes.len(),
                classification.findings
            ),
        )),
        _ => Ok(Some(classes)),
    }
}

/// The findings that reports state, as the model reads the reports; uncertain ones count as stated.
pub(super) fn stated(
    studies: &[TokenizedStudy],
    tokenizer: &Tokenizer,
    classes: &[FindingClass],
) -> Vec<Vec<f32>> {
    studies
        .iter()
        .map(|study| {
            let report = tokenizer.decode(&study.tokens[1..]);
            let found = label(&report).positives(Uncertain::AsPositive);
            classes
                .iter()
                .map(|class| f32::from(found[class.index()]))
                .collect()
        })
        .collect()
}
