//! Files from outside that were altered: an error, never a panic, and nothing larger than the file
//! is allocated. `ITHN_MUTATIONS` is how many alterations of each file are tried (200).

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use ithn::backbone::ResNetConfig;
use ithn::checkpoint::{Checkpoint, CheckpointHeader, TrainingProgress};
use ithn::config::{ExperimentConfig, GeneratorConfig, ModelConfig, Preset};
use ithn::data::Tokenizer;
use ithn::decoder::TransformerConfig;
use ithn::import::NamedTensors;
use ithn::memory::CrossModalMemoryConfig;

/// SplitMix64: the same alterations everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A few bytes changed, cut off, repeated or blown up, mostly near the beginning and the end,
    /// where formats keep their lengths.
    fn alter(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut altered = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let window = altered.len().min(4096);
            let at = match self.below(4) {
                0 => self.below(altered.len()),
                1 => altered.len() - 1 - self.below(window),
                _ => self.below(window),
            };
            match self.below(5) {
                0 => altered.truncate(at),
                1 => altered[at] ^= 1 << self.below(8),
                2 => altered[at] = [0, 0x7F, 0x80, 0xFF][self.below(4)],
                3 => {
                    let end = (at + 8).min(altered.len());
                    altered[at..end].fill(0xFF);
                }
                _ => {
                    let end = (at + self.below(64)).min(altered.len());
                    let copy = altered[at..end].to_vec();
                    altered.splice(at..at, copy);
                }
            }
            if altered.is_empty() {
                break;
            }
        }
        altered
    }
}

fn mutations() -> usize {
    std::env::var("ITHN_MUTATIONS").map_or(200, |count| count.parse().expect("a number"))
}

/// Feeds `read` alterations of `bytes`; tells which one panicked.
fn try_alterations(name: &str, bytes: &[u8], mut read: impl FnMut(&[u8])) {
    let mut random = Random(crc32fast::hash(name.as_bytes()).into());
    for number in 0..mutations() {
        let altered = random.alter(bytes);
        let survived = catch_unwind(AssertUnwindSafe(|| read(&altered)));
        assert!(survived.is_ok(), "{name}, alteration {number} panicked");
    }
}

fn small() -> ExperimentConfig {
    let mut config = Preset::Phantom.config();
    config.model = ModelConfig {
        views: 1,
        generator: GeneratorConfig::R2GenCmn {
            backbone: ResNetConfig::narrow(2, vec![1]),
            memory: CrossModalMemoryConfig::new(4, 4, 2, 2),
            transformer: TransformerConfig::new(4, 4, 2, 1),
            visual_dropout: 0.0,
        },
    };
    config.ithn.projection_width = 4;
    config
}

fn model(config: &ExperimentConfig, logits: usize) -> impl Module + use<> {
    let device = Device::default();
    let generator = config
        .model
        .r2gen_cmn(logits)
        .expect("an R2GenCMN")
        .init(&device);
    config.ithn.init(generator, &device)
}

fn checkpoint(path: &Path) -> Vec<u8> {
    let config = small();
    let tokenizer = Tokenizer::numbered(7, config.text.cleaning);
    let header = CheckpointHeader::new(config.clone(), tokenizer, TrainingProgress::default());
    let optimizer = config.training.optimizer.init();
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
    let path = folder.path().join("small.ithn");
    let whole = checkpoint(&path);
    assert_eq!(assemble(&sections(&whole)), whole);
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("writable");
        let loaded = Checkpoint::load(&path);
        assert_eq!(loaded.is_ok(), bytes == whole);
    };
    load(&whole);
    try_alterations("checkpoint", &whole, load);
}

/// Even where checksums are right: the file came from someone else.
#[test]
fn forged_headers_are_refused_or_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.ithn");
    let parts = sections(&checkpoint(&path));
    try_alterations("header", &parts[0], |header| {
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
    try_alterations("weights", &parts[1], |weights| {
        let mut forged = parts.clone();
        forged[1] = weights.to_vec();
        fs::write(&path, assemble(&forged)).expect("writable");
        let loaded = Checkpoint::load(&path).expect("the checksums are right");
        if let Err(error) = loaded.restore_model(model(&config, 7)) {
            assert!(error.to_string().contains("small.ithn"), "{error}");
        }
    });
}

#[test]
fn altered_weight_files_are_refused_or_read() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folder = tempfile::tempdir().expect("a folder");
    let files: [PathBuf; 2] = [
        fixtures.join("small_ckpt/ithn_small.pth"),
        fixtures.join("memory.safetensors"),
    ];
    for file in files {
        let bytes = fs::read(&file).expect("a fixture");
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let path = folder.path().join(&name);
        try_alterations(&name, &bytes, |altered| {
            fs::write(&path, altered).expect("writable");
            if let Err(error) = NamedTensors::read(&path) {
                assert!(error.to_string().contains(&name), "{error}");
            }
        });
    }
}
