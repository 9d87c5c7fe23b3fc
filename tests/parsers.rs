//! Weights and checkpoints from outside that were altered: an error, never a panic, and no more memory
//! than they are worth. See `ithn_fuzzing` for what is tried and for how long.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use ithn::backbone::ResNetConfig;
use ithn::checkpoint::{Checkpoint, CheckpointHeader, TrainingProgress};
use ithn::config::{ExperimentConfig, ModelConfig, Preset};
use ithn::data::Tokenizer;
use ithn::decoder::TransformerConfig;
use ithn::import::NamedTensors;
use ithn::memory::CrossModalMemoryConfig;
use ithn::models::{ImageFeature, R2GenCmnConfig};
use ithn_fuzzing::{CountedMemory, Target};

#[global_allocator]
static MEMORY: CountedMemory = CountedMemory;

/// Bytes that reading one of these small files may take: a model as small as they are.
const LITTLE: usize = 64 << 20;

fn target<'a>(name: &'a str, file: &'a str, seed: Vec<u8>, words: &'a [&'a str]) -> Target<'a> {
    Target {
        name,
        file,
        seeds: vec![seed],
        words,
        mend: None,
        corpus: Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus")),
        memory: LITTLE,
    }
}

/// Words of headers and of safetensors.
const WORDS: &[&str] = &[
    "\"shape\":",
    "\"dtype\":",
    "\"F32\"",
    "\"BF16\"",
    "\"data_offsets\":",
    "\"__metadata__\"",
    "\"version\":",
    "\"epoch\":",
    "\"words\":",
    "[0,4]",
    "[1,1,1,1,1,1,1,1,1]",
    "null",
    "[]",
    "{}",
];

fn small() -> ExperimentConfig {
    let mut config = Preset::Phantom.config();
    let generator = R2GenCmnConfig::new(
        ResNetConfig::narrow(2, vec![1]),
        CrossModalMemoryConfig::new(4, 4, 2, 2),
        TransformerConfig::new(4, 4, 2, 1),
    )
    .with_visual_dropout(0.0)
    .with_image_feature(ImageFeature::Backbone);
    config.model = ModelConfig::new(generator, 1);
    config.ithn.projection_width = 4;
    config
}

fn model(config: &ExperimentConfig, logits: usize) -> impl Module + use<> {
    let device = Device::default();
    let generator = config.model.r2gen_cmn().expect("an R2GenCMN");
    let generator = generator.init(logits, config.model.views, &device);
    config.ithn.init(generator, &device)
}

fn checkpoint(path: &Path) -> Vec<u8> {
    let config = small();
    let tokenizer = Tokenizer::numbered(7, config.text.cleaning);
    let header = CheckpointHeader::new(config.clone(), tokenizer, TrainingProgress::default());
    let optimizer = ithn::train::init_optimizer(&config.training.optimizer);
    Checkpoint::collect(header, &model(&config, 7), &optimizer, path)
        .and_then(|checkpoint| checkpoint.save_as(path))
        .expect("writable");
    fs::read(path).expect("written")
}

/// The sections of a checkpoint, without lengths and checksums.
fn sections(bytes: &[u8]) -> [Vec<u8>; 3] {
    let mut rest = &bytes[12..];
    [(); 3].map(|()| {
        let length = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes")) as usize;
        let section = rest[12..12 + length].to_vec();
        rest = &rest[12 + length..];
        section
    })
}

/// A checkpoint of these sections, checksums right.
fn assemble(sections: &[Vec<u8>; 3]) -> Vec<u8> {
    let mut bytes = b"ITHNCKPT".to_vec();
    bytes.extend_from_slice(&2_u32.to_le_bytes());
    for section in sections {
        bytes.extend_from_slice(&(section.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(section).to_le_bytes());
        bytes.extend_from_slice(section);
    }
    bytes
}

#[test]
fn altered_checkpoints_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = checkpoint(&folder.path().join("small.ithn"));
    assert_eq!(assemble(&sections(&whole)), whole);
    target("checkpoint", "altered.ithn", whole.clone(), &["ITHNCKPT"]).run(
        folder.path(),
        |path, bytes| {
            assert_eq!(Checkpoint::load(path).is_ok(), bytes == whole);
        },
    );
}

/// Even where checksums are right: the file came from someone else.
#[test]
fn forged_headers_are_refused_or_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.ithn");
    let parts = sections(&checkpoint(&path));
    target("header", "header.json", parts[0].clone(), WORDS).run(folder.path(), |_, header| {
        let mut forged = parts.clone();
        forged[0] = header.to_vec();
        fs::write(&path, assemble(&forged)).expect("writable");
        let (whole, alone) = (Checkpoint::load(&path), CheckpointHeader::load(&path));
        assert_eq!(whole.is_ok(), alone.is_ok());
    });
}

#[test]
fn forged_weights_are_refused_or_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.ithn");
    let parts = sections(&checkpoint(&path));
    let config = small();
    target("weights", "weights.safetensors", parts[1].clone(), WORDS).run(
        folder.path(),
        |_, weights| {
            let mut forged = parts.clone();
            forged[1] = weights.to_vec();
            fs::write(&path, assemble(&forged)).expect("writable");
            let loaded = Checkpoint::load(&path).expect("the checksums are right");
            if let Err(error) = loaded.restore_model(model(&config, 7)) {
                assert!(error.to_string().contains("small.ithn"), "{error}");
            }
        },
    );
}

#[test]
fn altered_weight_files_are_refused_or_read() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folder = tempfile::tempdir().expect("a folder");
    let pickle = [
        "q\x00",
        "X\x05\0\0\0",
        "ctorch\n",
        "FloatStorage\n",
        "}q",
        "(",
        "tR",
        "u.",
        "PK\x01\x02",
        "PK\x05\x06",
    ];
    for (file, words) in [
        ("small_ckpt/ithn_small.pth", pickle.as_slice()),
        ("memory.safetensors", WORDS),
    ] {
        let bytes = fs::read(fixtures.join(file)).expect("a fixture");
        let name = file.rsplit('/').next().expect("a name");
        let target = Target {
            memory: LITTLE + 8 * bytes.len(),
            ..target(name, name, bytes, words)
        };
        target.run(folder.path(), |path, _| {
            if let Err(error) = NamedTensors::read(path) {
                assert!(error.to_string().contains(name), "{error}");
            }
        });
    }
}
