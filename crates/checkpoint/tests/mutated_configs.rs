//! Configurations with wrong values: each is refused by key, or its model can be built and run.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::tensor::{Device, Tensor};
use ithn_backbone::ResNetConfig;
use ithn_checkpoint::config::{
    Augmentation, ConfigError, ExperimentConfig, GeneratorKind, GeneratorTask, ImageConfig, Preset,
};
use ithn_decoder::TransformerConfig;
use ithn_generator::{StudyBatch, TokenBatch};
use ithn_memory::CrossModalMemoryConfig;
use ithn_models::LibraryGenerator;
use serde_json::{Value, json};

/// Mutated configurations of every preset and generator, of both sizes.
const CASES: usize = 120;

/// Models built and run at most.
const BUILDS: usize = 150;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) % bound as u64) as usize
    }

    fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

fn replacements() -> Vec<Value> {
    vec![
        json!(0),
        json!(1),
        json!(-1),
        json!(2),
        json!(3),
        json!(6),
        json!(0.0),
        json!(0.5),
        json!(1.0),
        json!(1.5),
        json!(-0.5),
        json!(1e308),
        json!(-1e308),
        json!(1e-300),
        json!(65_536),
        json!(1_000_001),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("none"),
        json!("r2gen"),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!([1.5, 2]),
        json!([1, 0]),
        json!({ "kind": "constant" }),
        json!({ "mode": "clamped", "lowest": 3, "highest": 1 }),
    ]
}

/// JSON pointers of every value but the root.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let pointer = format!("{at}/{key}");
        found.push(pointer.clone());
        pointers(child, &pointer, found);
    }
}

/// Replaces, removes or adds a value; says what it did.
fn mutate(config: &mut Value, random: &mut Random) -> String {
    let mut places = Vec::new();
    pointers(config, "", &mut places);
    let place = random.pick(&places).clone();
    let (parent, key) = place.rsplit_once('/').expect("a pointer has a slash");
    match random.below(12) {
        0 => {
            if let Some(Value::Object(fields)) = config.pointer_mut(parent) {
                fields.remove(key);
            }
            format!("without {place}")
        }
        1 => {
            if let Some(Value::Object(fields)) = config.pointer_mut(parent) {
                fields.insert("unheard_of".to_owned(), json!(1));
            }
            format!("{parent}/unheard_of")
        }
        _ => {
            let value = random.pick(&replacements()).clone();
            let what = format!("{place} = {value}");
            if let Some(present) = config.pointer_mut(&place) {
                *present = value;
            }
            what
        }
    }
}

/// The preset with a generator of a few hundred weights, on images of 8 × 8 pixels.
fn tiny(preset: Preset, kind: GeneratorKind) -> ExperimentConfig {
    let mut json = serde_json::to_value(preset.config()).expect("serialisable");
    json["model"]["generator"] = json!({
        "kind": "r2gen_cmn",
        "backbone": ResNetConfig::narrow(2, vec![1, 1]),
        "memory": CrossModalMemoryConfig::new(4, 4, 2, 2),
        "transformer": TransformerConfig::new(4, 4, 2, 1),
        "visual_dropout": 0.1,
    });
    let mut config: ExperimentConfig = serde_json::from_value(json).expect("a configuration");
    config.model.generator = kind.sized_like(config.model.generator);
    config.ithn.projection_width = 4;
    config.images = ImageConfig::new(
        8,
        Augmentation::RandomCrop {
            shorter_side: 10,
            horizontal_flip: false,
        },
    );
    config
}

/// Whether a model is quick to build: no size in it exceeds 64.
fn is_small(config: &ExperimentConfig) -> bool {
    fn all_small(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.as_u64().is_none_or(|size| size <= 64),
            Value::Array(values) => values.len() <= 4 && values.iter().all(all_small),
            Value::Object(fields) => fields.values().all(all_small),
            _ => true,
        }
    }
    let model = serde_json::to_value(&config.model).expect("serialisable");
    all_small(&model) && config.ithn.projection_width <= 64 && config.images.size <= 32
}

/// Encodes two studies and reads two reports.
struct OnePass<'a>(&'a ExperimentConfig);

impl GeneratorTask for OnePass<'_> {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let OnePass(config) = self;
        let device = Device::default();
        let model = config.ithn.init(generator, &device);
        let (views, size) = (config.model.views, config.images.size);
        let images = Tensor::ones([2, views, 3, size, size], &device);
        let mut report = vec![0, 1, 2, 0];
        report.truncate(config.text.max_tokens);
        let reports = TokenBatch::from_ids(&[report.clone(), report.clone()], &device);
        let encoded = model.generator.encode(StudyBatch::new(images));
        let hidden = model.generator.hidden_states(&encoded.context, &reports);
        let log_probs = model.generator.log_probs(hidden);
        assert_eq!(log_probs.dims(), [2, report.len() - 1, 3]);
    }
}

/// Loads and validates the JSON as a run would.
fn load(json: &Value, file: &Path) -> Result<ExperimentConfig, ConfigError> {
    std::fs::write(file, json.to_string()).expect("writable");
    let config = ExperimentConfig::load(file)?;
    config.validate()?;
    Ok(config)
}

#[test]
fn wrong_values_are_refused_by_key_or_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    let mut random = Random(20_261_127);
    let (mut refused, mut built) = (0, HashSet::new());
    for (_, preset) in Preset::NAMES {
        for kind in GeneratorKind::ALL {
            let bases = [preset.config().with_generator(kind), tiny(preset, kind)];
            for (base, case) in bases.iter().flat_map(|it| (0..CASES).map(move |n| (it, n))) {
                let mut json = serde_json::to_value(base).expect("serialisable");
                let changes: Vec<String> = (0..=case % 3)
                    .map(|_| mutate(&mut json, &mut random))
                    .collect();
                let what = format!("{preset:?}, {kind}: {}", changes.join(", "));
                let loaded = catch_unwind(AssertUnwindSafe(|| load(&json, &file)));
                match loaded.unwrap_or_else(|_| panic!("panic on loading {what}")) {
                    Err(error) => {
                        assert!(!error.reason().is_empty(), "{what}: {error}");
                        refused += 1;
                    }
                    Ok(config) if is_small(&config) && built.len() < BUILDS => {
                        let model = json!([config.model, config.ithn, config.images.size]);
                        if built.insert(model.to_string()) {
                            let pass =
                                || config.model.build(3, &Device::default(), OnePass(&config));
                            let ran = catch_unwind(AssertUnwindSafe(pass));
                            let ran = ran.unwrap_or_else(|_| panic!("panic on building {what}"));
                            assert!(ran.is_ok() || config.model.generator.backbone().is_none());
                        }
                    }
                    Ok(_) => {}
                }
            }
        }
    }
    assert!(refused > 1_000, "only {refused} were refused");
    assert!(built.len() > 20, "only {} were built", built.len());
}

#[test]
fn nonsense_is_refused_by_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    for (pointer, value, key) in [
        ("/text/max_tokens", json!(2), "text.max_tokens"),
        (
            "/model/generator/visual_dropout",
            json!(1.0),
            "model.generator.visual_dropout",
        ),
        (
            "/model/generator/memory/dropout",
            json!(1.0),
            "model.generator.memory.dropout",
        ),
        (
            "/model/generator/transformer/layers",
            json!(0),
            "model.generator.transformer.layers",
        ),
        (
            "/model/generator/transformer/attention_dropout",
            json!(-0.1),
            "model.generator.transformer.attention_dropout",
        ),
        (
            "/model/generator/backbone/width",
            json!(1_u64 << 40),
            "model.generator.backbone.width",
        ),
        ("/model/views", json!(65), "model.views"),
        (
            "/training/optimizer/betas",
            json!([1.5, 2]),
            "training.optimizer.betas[0]",
        ),
        (
            "/training/optimizer/epsilon",
            json!(0),
            "training.optimizer.epsilon",
        ),
        (
            "/training/records/save_every_minutes",
            json!(1e300),
            "training.records.save_every_minutes",
        ),
        ("/ithn/projection_width", json!(0), "ithn.projection_width"),
        (
            "/ithn/temperatures/training",
            json!({ "mode": "clamped", "lowest": 3, "highest": 1 }),
            "ithn.temperatures.training.highest",
        ),
        ("/images/size", json!(0), "images.size"),
        (
            "/decoding/strategy/width",
            json!(0),
            "decoding.strategy.width",
        ),
    ] {
        let mut json = serde_json::to_value(Preset::IuXray.config()).expect("serialisable");
        *json.pointer_mut(pointer).expect("there") = value;
        let error = load(&json, &file).expect_err(key);
        assert_eq!(error.key(), key, "{error}");
    }
}

#[test]
fn a_wrong_file_names_itself_and_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    let mut json = serde_json::to_value(Preset::IuXray.config()).expect("serialisable");
    json["model"]["generator"]["transformer"]["heads"] = json!("eight");
    let error = load(&json, &file).expect_err("a word for a number");
    assert_eq!(error.key(), "model.generator.transformer.heads");
    assert_eq!(error.file(), Some(file.as_path()));
    assert!(error.reason().contains("eight"), "{error}");
    let error = ExperimentConfig::load(&folder.path().join("none.json")).expect_err("no file");
    assert!(error.to_string().contains("none.json"), "{error}");
}
