//! A run of seconds: few, small phantom studies and a network to match, with dropout, crops, hard
//! negatives, warm-up, clipping and accumulation all at work.

use std::path::Path;

use ithn::backbone::ResNetConfig;
use ithn::config::Records;
use ithn::config::{Augmentation, ExperimentConfig, ImageConfig, ModelConfig, Preset};
use ithn::data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn::decoder::TransformerConfig;
use ithn::device::DeviceName;
use ithn::generator::config::Positive;
use ithn::memory::CrossModalMemoryConfig;
use ithn::models::{ImageFeature, R2GenCmnConfig};
use ithn::search::SearchConfig;
use ithn::train::{DataSource, ExperimentOptions};

/// Its configuration.
pub fn tiny() -> ExperimentConfig {
    let mut config = Preset::Phantom.config();
    config.model = ModelConfig {
        views: 1,
        generator: R2GenCmnConfig::new(
            ResNetConfig::narrow(4, vec![1, 1]),
            CrossModalMemoryConfig::new(16, 8, 2, 4),
            TransformerConfig::new(8, 16, 2, 1),
        )
        .with_visual_dropout(0.3)
        .with_image_feature(ImageFeature::Encoder)
        .into(),
    };
    config.ithn.projection_width = 8;
    config.images = ImageConfig {
        size: 16,
        augmentation: Augmentation::RandomCrop {
            shorter_side: 20,
            horizontal_flip: false,
        },
    };
    config.decoding = SearchConfig::beam(12, 2);
    config.text.max_tokens = 12;
    let training = &mut config.training;
    training.epochs = 3;
    training.batch_size = 4;
    training.accumulate = 2;
    training.guards.largest_gradient_norm = Some(Positive::literal(1.0));
    training.optimizer.warmup_steps = 4;
    training.records = Records {
        save_every_minutes: Some(0.0),
        log_every_steps: 1,
        ..Records::default()
    };
    config
}

/// Its studies, written into `folder`.
pub fn studies(folder: &Path) {
    let cohort = PhantomConfig {
        train: 60,
        validation: 4,
        test: 4,
        near_twin_share: 0.5,
        image_size: 24,
        ..PhantomConfig::default()
    };
    write_phantom_dataset(&folder.join("studies"), &cohort).expect("writable");
}

/// A fresh run in `out` on the studies of `folder`.
pub fn options(folder: &Path, out: &Path) -> ExperimentOptions {
    ExperimentOptions::new(
        DataSource::mimic(folder.join("studies")),
        out.to_owned(),
        DeviceName::Cpu.open().expect("a processor"),
    )
}
