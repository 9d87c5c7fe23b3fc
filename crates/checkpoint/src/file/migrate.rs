use serde_json::{Map, Value, json};

/// Converts the header of an older format to the current one.
///
/// Version 1 kept the learning rate's drops flat in the optimiser's configuration and the best score
/// as a decimal, and was written at the end of epochs only.
pub(super) fn to_present(mut header: Value, version: u32) -> Value {
    if version == 1 {
        if let Some(optimizer) = header.pointer_mut("/config/training/optimizer") {
            name_schedule(optimizer);
        }
        if let Some(progress) = header.get_mut("progress").and_then(Value::as_object_mut) {
            extend_progress(progress);
        }
    }
    header
}

/// `step_every` and `step_factor` become a step schedule.
fn name_schedule(optimizer: &mut Value) {
    let Some(fields) = optimizer.as_object_mut() else {
        return;
    };
    if let (Some(every_epochs), Some(factor)) =
        (fields.remove("step_every"), fields.remove("step_factor"))
    {
        fields.insert(
            "schedule".to_owned(),
            json!({ "kind": "step", "every_epochs": every_epochs, "factor": factor }),
        );
    }
}

fn extend_progress(progress: &mut Map<String, Value>) {
    let best = progress.get("best").and_then(|best| {
        let score = best.get(0)?.as_f64()?;
        Some(json!({ "score": score.to_bits(), "epoch": best.get(1)? }))
    });
    let zero = 0_f64.to_bits();
    let values = vec![zero; 7];
    let added = json!({
        "batch": 0,
        "partial": {
            "values": values, "batches": 0, "studies": 0, "gradient_norms": zero,
            "largest_gradient_norm": zero, "steps": 0, "skipped": 0, "lambda": zero,
            "seconds": zero,
        },
        "best": best,
        "skipped": 0,
        "history": [],
        "data": null,
    });
    if let Value::Object(added) = added {
        progress.extend(added);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LearningRateSchedule;
    use crate::config::Preset;
    use crate::file::CheckpointHeader;
    use ithn_data::Tokenizer;
    use ithn_generator::config::Positive;

    #[test]
    fn a_header_of_version_1_is_understood() {
        let config = Preset::IuXray.config();
        let tokenizer = Tokenizer::numbered(5, config.text.cleaning);
        let mut header = json!({
            "library_version": "0.1.0",
            "config": config,
            "tokenizer": tokenizer,
            "progress": { "epoch": 7, "step": 90, "best": [0.125, 6] },
        });
        let optimizer = header
            .pointer_mut("/config/training/optimizer")
            .and_then(Value::as_object_mut)
            .expect("an object");
        optimizer.remove("schedule");
        optimizer.remove("warmup_steps");
        optimizer.insert("step_every".to_owned(), json!(3));
        optimizer.insert("step_factor".to_owned(), json!(0.5));
        let training = header
            .pointer_mut("/config/training")
            .and_then(Value::as_object_mut)
            .expect("an object");
        for added in ["accumulate", "guards", "records"] {
            training.remove(added);
        }

        let read: CheckpointHeader =
            serde_json::from_value(to_present(header, 1)).expect("a header of today");
        let best = read.progress.best.expect("a best epoch");
        assert_eq!((best.score.0, best.epoch), (0.125, 6));
        assert_eq!((read.progress.epoch, read.progress.step), (7, 90));
        assert_eq!(
            read.config.training.optimizer.schedule,
            LearningRateSchedule::Step {
                every_epochs: 3,
                factor: Positive::literal(0.5)
            }
        );
    }
}
