//! A run of seconds: few, small phantom studies and a network to match, with dropout, crops, hard
//! negatives, warm-up, clipping and accumulation all at work.

use std::path::Path;

use ithn::backbone::ResNetConfig;
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
    let generator = R2GenCmnConfig::new(
        ResNetConfig::narrow(4, vec![1, 1]),
        CrossModalMemoryConfig::new(16, 8, 2, 4),
        TransformerConfig::new(8, 16, 2, 1),
    )
    .with_visual_dropout(0.3)
    .with_image_feature(ImageFeature::Encoder);
    config.model = ModelConfig::new(generator, 1);
    config.ithn.projection_width = 8;
    config.images = ImageConfig::new(
        16,
        Augmentation::RandomCrop {
            shorter_side: 20,
            horizontal_flip: false,
        },
    );
    config.decoding = SearchConfig::beam(12, 2);
    config.text.max_tokens = 12;
    let training = &mut config.training;
    training.epochs = 3;
    training.batch_size = 4;
    training.accumulate = 2;
    training.guards.largest_gradient_norm = Some(Positive::literal(1.0));
    training.optimizer.warmup_steps = 4;
    training.records.save_every_minutes = Some(0.0);
    training.records.log_every_steps = 1;
    config
}

/// Its studies, written into `folder`.
pub fn studies(folder: &Path) {
    let cohort = PhantomConfig::new(60, 4, 4)
        .with_near_twin_share(0.5)
        .with_image_size(24);
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
