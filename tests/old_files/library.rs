//! Everything that these tests call in the library.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use ithn::alignment::TemperatureTraining;
use ithn::backbone::BackboneConfig;
use ithn::checkpoint::CheckpointHeader;
use ithn::config::{
    Augmentation, ExperimentConfig, GeneratorConfig, LearningRateSchedule, NonFinite, Precision,
};
use ithn::decoder::TransformerConfig;
use ithn::device::DeviceName;
use ithn::inference::{FilmStudy, ReportWriter, WrittenReport};
use ithn::models::{CnnLstmConfig, R2GenCmnConfig, R2GenConfig};
use ithn::negatives::{FeasibleSet, Hardening, HardnessSchedule, Projection};
use ithn::search::{BeamTemperature, LengthPenalty, Repetition, SearchConfig, Strategy};
use ithn::train::{Console, DataSource, ExperimentOptions, TrainError, Verbosity, run_experiment};

use serde_json::{Map, Value, json};

/// Loads and validates a `config.json`; returns its values.
pub fn config(path: &Path) -> Map<String, Value> {
    let config = ExperimentConfig::load(path).unwrap_or_else(|error| panic!("{error}"));
    config.validate().unwrap_or_else(|error| panic!("{error}"));
    meaning(&config)
}

/// Loads the header of a checkpoint; returns its configuration, vocabulary and progress.
pub fn header(path: &Path) -> Map<String, Value> {
    let header = CheckpointHeader::load(path).unwrap_or_else(|error| panic!("{error}"));
    let progress = &header.progress;
    let best = progress.best.map(|best| json!([best.score.0, best.epoch]));
    let mut values = meaning(&header.config);
    values.extend([
        (
            "tokenizer.cleaning".into(),
            word(&header.tokenizer.cleaning()),
        ),
        ("tokenizer.words".into(), json!(header.tokenizer.words())),
        ("progress.epoch".into(), json!(progress.epoch)),
        ("progress.step".into(), json!(progress.step)),
        ("progress.batch".into(), json!(progress.batch)),
        ("progress.skipped".into(), json!(progress.skipped)),
        ("progress.best".into(), json!(best)),
        ("progress.epochs".into(), json!(progress.history.len())),
        ("progress.data".into(), json!(progress.data)),
    ]);
    values
}

/// Writes reports for studies (each the files of its views) with `search`, or with the checkpoint's
/// own search: per study and report its text, score and whether it ended by itself.
pub fn write(
    checkpoint: &Path,
    search: Option<&Value>,
    studies: &[Vec<PathBuf>],
) -> Vec<Vec<(String, f64, bool)>> {
    let studies: Vec<FilmStudy> = studies.iter().map(FilmStudy::of_films).collect();
    let reports = writer(checkpoint, search)
        .reports(&studies)
        .expect("readable films");
    let parts = |study: Vec<WrittenReport>| {
        study
            .into_iter()
            .map(|it| (it.text, it.score, it.finished))
            .collect()
    };
    reports.into_iter().map(parts).collect()
}

/// Log-probabilities of the words of a study's best report, in nats.
pub fn log_probs(checkpoint: &Path, study: &[PathBuf]) -> Vec<f32> {
    let sheet = writer(checkpoint, None).explain(&FilmStudy::of_films(study));
    sheet.expect("readable films").log_probs
}

fn writer(checkpoint: &Path, search: Option<&Value>) -> ReportWriter {
    let device = DeviceName::Cpu.open().expect("a processor");
    let writer = ReportWriter::from_checkpoint(checkpoint, &device)
        .unwrap_or_else(|error| panic!("{error}"));
    match search {
        None => writer,
        Some(search) => {
            let search: SearchConfig =
                serde_json::from_value(search.clone()).expect("a search configuration");
            writer.with_search(search).expect("valid options")
        }
    }
}

/// Resumes the run of `last.ithn` in the folder `run` for one step, and returns its number.
pub fn resume_for_a_step(run: &Path, annotation: &Path, films: &Path) -> usize {
    let header = CheckpointHeader::load(&run.join("last.ithn")).expect("a checkpoint");
    let config = serde_json::to_vec(&header.config).expect("serialisable");
    std::fs::write(run.join("config.json"), config).expect("writable");
    let source = DataSource::Annotation {
        file: annotation.to_owned(),
        images: films.to_owned(),
    };
    let device = DeviceName::Cpu.open().expect("a processor");
    let mut options = ExperimentOptions::new(source, run.to_owned(), device);
    options.resume = true;
    options.interrupt.raise();
    let mut console = Console::new(Verbosity::Quiet);
    match run_experiment(&header.config, &options, &mut console) {
        Err(TrainError::Interrupted { step, .. }) => step,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the run went on to its end"),
    }
}

/// Every value of a configuration that has an effect, by a fixed name.
///
/// Left out: projection and gradient flow with ascent, the range with a ball or the mixed projection.
pub fn meaning(config: &ExperimentConfig) -> Map<String, Value> {
    let mut values = Map::new();
    let mut set = |name: &str, value: Value| {
        values.insert(name.to_owned(), value);
    };
    set("preset", word(&config.preset));
    set("model.views", json!(config.model.views));
    generator(&config.model.generator, &mut set);

    let ithn = &config.ithn;
    set("ithn.projection_width", json!(ithn.projection_width));
    set("ithn.text_path", word(&ithn.text_path));
    set("ithn.pooling", word(&ithn.pooling));
    set("ithn.hold_report_states", json!(ithn.hold_report_states));
    set("ithn.placement", word(&ithn.placement));
    set("ithn.temperatures.pairs", json!(ithn.temperatures.pairs));
    set(
        "ithn.temperatures.hardened",
        json!(ithn.temperatures.hardened),
    );
    set(
        "ithn.temperatures.training",
        word(&ithn.temperatures.training),
    );
    if let TemperatureTraining::Clamped { lowest, highest } = ithn.temperatures.training {
        set(
            "ithn.temperatures.training.bounds",
            json!([lowest, highest]),
        );
    }
    set("ithn.weights.language", json!(ithn.weights.language));
    set("ithn.weights.contrastive", json!(ithn.weights.contrastive));
    set("ithn.weights.separation", json!(ithn.weights.separation));
    set("ithn.hardening", word(&ithn.hardening));
    let (norm, range) = match ithn.hardening {
        Hardening::ClosedForm(form) => {
            set("ithn.hardening.projection", word(&form.projection));
            set("ithn.hardening.gradient", word(&form.gradient));
            let has_range = form.projection == Projection::PerSample;
            (form.norm, has_range.then_some(form.range))
        }
        Hardening::Ascent(ascent) => {
            set("ithn.hardening.steps", json!(ascent.steps));
            set("ithn.hardening.step_size", json!(ascent.step_size));
            set("ithn.hardening.within", word(&ascent.within));
            let range = match ascent.within {
                FeasibleSet::Ball { reach } => {
                    set("ithn.hardening.reach", json!(reach));
                    None
                }
                FeasibleSet::Line { range } => Some(range),
                other => panic!("no expectation for {other:?}"),
            };
            (ascent.norm, range)
        }
        other => panic!("no earlier file has {other:?}"),
    };
    set("ithn.hardening.norm", word(&norm));
    if let Some(range) = range {
        set("ithn.hardening.range", word(&range));
    }

    set("negatives", word(&config.negatives));
    set("hardness", word(&config.hardness));
    let numbers = match config.hardness {
        HardnessSchedule::PerEpoch { alpha } => json!({ "alpha": alpha }),
        HardnessSchedule::Constant { hardness } => json!({ "hardness": hardness }),
        HardnessSchedule::FractionOfTraining { from, to, hardness } => {
            json!({ "from": from, "to": to, "hardness": hardness })
        }
        other => panic!("no expectation for {other:?}"),
    };
    set("hardness.numbers", numbers);
    training(config, &mut set);
    search(&config.decoding, &mut set);
    values
}

fn generator(config: &GeneratorConfig, set: &mut impl FnMut(&str, Value)) {
    set("generator", json!(config.name()));
    match config {
        GeneratorConfig::R2GenCmn(sizes) => {
            let R2GenCmnConfig {
                backbone,
                memory,
                transformer,
                visual_dropout,
                image_feature,
                ..
            } = sizes;
            network(backbone, set);
            set("generator.memory.rows", json!(memory.rows));
            set("generator.memory.d_model", json!(memory.d_model));
            set("generator.memory.heads", json!(memory.heads));
            set("generator.memory.top_k", json!(memory.top_k));
            set("generator.memory.dropout", json!(memory.dropout));
            transformer_sizes(transformer, set);
            set("generator.visual_dropout", json!(visual_dropout));
            set("generator.image_feature", word(image_feature));
        }
        GeneratorConfig::R2Gen(sizes) => {
            let R2GenConfig {
                backbone,
                memory,
                transformer,
                visual_dropout,
                ..
            } = sizes;
            network(backbone, set);
            set("generator.memory.d_model", json!(memory.d_model));
            set("generator.memory.heads", json!(memory.heads));
            set("generator.memory.slots", json!(memory.slots));
            set("generator.memory.dropout", json!(memory.dropout));
            transformer_sizes(transformer, set);
            set("generator.visual_dropout", json!(visual_dropout));
        }
        GeneratorConfig::CnnLstm(CnnLstmConfig { backbone, lstm, .. }) => {
            network(backbone, set);
            set(
                "generator.lstm.embedding_width",
                json!(lstm.embedding_width),
            );
            set("generator.lstm.hidden_width", json!(lstm.hidden_width));
            set(
                "generator.lstm.attention_width",
                json!(lstm.attention_width),
            );
            set("generator.lstm.gated", json!(lstm.gated));
            set(
                "generator.lstm.doubly_stochastic",
                json!(lstm.doubly_stochastic),
            );
            set("generator.lstm.dropout", json!(lstm.dropout));
        }
        GeneratorConfig::Custom { sizes, .. } => set("generator.sizes", sizes.clone()),
        other => panic!("no expectation for {other:?}"),
    }
}

fn network(config: &BackboneConfig, set: &mut impl FnMut(&str, Value)) {
    let BackboneConfig::ResNet(config) = config else {
        panic!("older files have a resnet, not {config:?}");
    };
    set("generator.backbone.block", word(&config.block));
    set("generator.backbone.depths", json!(config.depths));
    set("generator.backbone.width", json!(config.width));
}

fn transformer_sizes(config: &TransformerConfig, set: &mut impl FnMut(&str, Value)) {
    set("generator.transformer.d_model", json!(config.d_model));
    set("generator.transformer.d_ff", json!(config.d_ff));
    set("generator.transformer.heads", json!(config.heads));
    set("generator.transformer.layers", json!(config.layers));
    set("generator.transformer.dropout", json!(config.dropout));
    set(
        "generator.transformer.attention_dropout",
        json!(config.attention_dropout),
    );
}

fn training(config: &ExperimentConfig, set: &mut impl FnMut(&str, Value)) {
    let training = &config.training;
    set("training.epochs", json!(training.epochs));
    set("training.batch_size", json!(training.batch_size));
    set(
        "training.evaluation_batch_size",
        json!(training.evaluation_batch_size),
    );
    set("training.seed", json!(training.seed));
    set("training.monitor", word(&training.monitor));
    set("training.patience", json!(training.patience));
    set("training.loader_threads", json!(training.loader_threads));
    set("training.accumulate", json!(training.accumulate));
    assert_eq!(training.precision, Precision::Single);
    set("training.repeats_at_most", json!(training.repeats_at_most));
    let guards = training.guards;
    set(
        "training.largest_gradient_norm",
        json!(guards.largest_gradient_norm),
    );
    set("training.non_finite", word(&guards.non_finite));
    if let NonFinite::Skip { at_most } = guards.non_finite {
        set("training.non_finite.at_most", json!(at_most));
    }
    let records = training.records;
    set(
        "training.save_every_minutes",
        json!(records.save_every_minutes),
    );
    set("training.keep_epochs", json!(records.keep_epochs));
    set("training.log_every_steps", json!(records.log_every_steps));
    let optimizer = &training.optimizer;
    set(
        "optimizer.backbone_learning_rate",
        json!(optimizer.backbone_learning_rate),
    );
    set("optimizer.learning_rate", json!(optimizer.learning_rate));
    set("optimizer.weight_decay", json!(optimizer.weight_decay));
    set("optimizer.betas", json!(optimizer.betas));
    set("optimizer.epsilon", json!(optimizer.epsilon));
    set("optimizer.amsgrad", json!(optimizer.amsgrad));
    set("optimizer.warmup_steps", json!(optimizer.warmup_steps));
    set("optimizer.schedule", word(&optimizer.schedule));
    match optimizer.schedule {
        LearningRateSchedule::Constant => {}
        LearningRateSchedule::Step {
            every_epochs,
            factor,
        } => {
            set("optimizer.schedule.numbers", json!([every_epochs, factor]));
        }
        LearningRateSchedule::Cosine { floor } => {
            set("optimizer.schedule.numbers", json!([floor]));
        }
        other => panic!("no expectation for {other:?}"),
    }
    set("text.cleaning", word(&config.text.cleaning));
    set(
        "text.minimum_occurrences",
        json!(config.text.minimum_occurrences),
    );
    set("text.max_tokens", json!(config.text.max_tokens));
    set("images.size", json!(config.images.size));
    set("images.augmentation", word(&config.images.augmentation));
    if let Augmentation::RandomCrop {
        shorter_side,
        horizontal_flip,
    } = config.images.augmentation
    {
        set("images.augmentation.shorter_side", json!(shorter_side));
        set(
            "images.augmentation.horizontal_flip",
            json!(horizontal_flip),
        );
    }
}

fn search(config: &SearchConfig, set: &mut impl FnMut(&str, Value)) {
    set("decoding.max_tokens", json!(config.max_tokens));
    set("decoding.immediate_repeat", word(&config.immediate_repeat));
    set("decoding.repetition", word(&config.repetition));
    match config.repetition {
        Repetition::Allow => {}
        Repetition::BlockNgrams { n } => set("decoding.repetition.numbers", json!([n])),
        Repetition::PenaliseNgrams { n, cost } => {
            set("decoding.repetition.numbers", json!([n, cost]));
        }
        other => panic!("a rule without a list of values: {other:?}"),
    }
    set("decoding", word(&config.strategy));
    let returned = match &config.strategy {
        Strategy::Greedy => 1,
        Strategy::Beam(beam) => {
            set("decoding.width", json!(beam.width));
            beams(&beam.length_penalty, &beam.temperature, set);
            beam.returned
        }
        Strategy::DiverseBeam(diverse) => {
            set("decoding.groups", json!(diverse.groups));
            set("decoding.width_per_group", json!(diverse.width_per_group));
            set("decoding.diversity", json!(diverse.diversity));
            set("decoding.ended_groups", word(&diverse.ended_groups));
            beams(&diverse.length_penalty, &diverse.temperature, set);
            diverse.returned
        }
        Strategy::Sampling(sampling) => {
            set("decoding.temperature", json!(sampling.temperature));
            set("decoding.top_k", json!(sampling.top_k));
            set("decoding.top_p", json!(sampling.top_p));
            set("decoding.seed", json!(sampling.seed));
            sampling.returned
        }
        other => panic!("a strategy without a list of values: {other:?}"),
    };
    set("decoding.returned", json!(returned));
}

fn beams(
    penalty: &LengthPenalty,
    temperature: &BeamTemperature,
    set: &mut impl FnMut(&str, Value),
) {
    set("decoding.length_penalty", word(penalty));
    if let LengthPenalty::Wu { exponent } = penalty {
        set("decoding.length_penalty.exponent", json!(exponent));
    }
    set("decoding.temperature", json!(temperature.value));
    set("decoding.temperature.scope", word(&temperature.scope));
}

/// The variant's name.
fn word(variant: &impl Debug) -> Value {
    let text = format!("{variant:?}");
    let end = text.find(|letter: char| !letter.is_alphanumeric());
    json!(text[..end.unwrap_or(text.len())])
}
