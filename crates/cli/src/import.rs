//! `ithn import`: converts weights of the official PyTorch code, or torchvision's ResNets, into a checkpoint.

use std::path::{Path, PathBuf};

use clap::Args;
use ithn::backbone::BackboneConfig;
use ithn::checkpoint::card::{CardData, Clock, DataKind};
use ithn::config::{ExperimentConfig, Preset};
use ithn::import::{
    NamedTensors, UntraceableSizes, checkpoint_of_backbone, checkpoint_of_official, infer_official,
    is_torchvision,
};
use ithn::train::TrainError;
use ithn_data::{Annotation, Tokenizer};

use crate::failure::Failure;
use crate::output::{Talk, check_file};

/// Converts PyTorch weights into a checkpoint: R2GenCMN's, ITHN's, or torchvision's ResNets.
///
/// Sizes are read off the tensors.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn import model_best.pth --annotation annotation.json --out model.ithn
  ithn import resnet101.pth --out resnet101.ithn")]
pub(crate) struct Arguments {
    /// model_best.pth or current_checkpoint.pth of the official trainer, a ResNet of torchvision,
    /// or either as safetensors; prefixes of DataParallel, torch.compile and Lightning are stripped
    weights: PathBuf,

    /// The checkpoint to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// annotation.json that the vocabulary was counted on; the file has no words
    #[arg(long, value_name = "FILE")]
    annotation: Option<PathBuf>,

    /// Instead of the annotation: reports will read `#17 #4 …`
    #[arg(long, conflicts_with = "annotation")]
    numbered_words: bool,

    /// What tensors cannot tell: cleaning and threshold of the vocabulary, decoding, schedule
    #[arg(long, default_value = "official-mimic-cxr")]
    preset: Preset,

    /// Attention heads of the Transformer and the memory
    #[arg(long, default_value_t = UntraceableSizes::default().heads)]
    heads: usize,

    /// Memory rows that each head keeps
    #[arg(long, default_value_t = UntraceableSizes::default().top_k)]
    top_k: usize,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        check_file(&self.out)?;
        talk.result(import(self)?)
    }
}

fn import(arguments: &Arguments) -> Result<String, Failure> {
    let tensors = NamedTensors::read(&arguments.weights)?;
    let base = arguments.preset.config();
    let untraceable = UntraceableSizes::new(arguments.heads, arguments.top_k);
    let is_backbone = is_torchvision(&tensors);
    let tokenizer = match &arguments.annotation {
        Some(file) => vocabulary(file, &base)?,
        None if is_backbone => Tokenizer::numbered(2, base.text.cleaning),
        None if !arguments.numbered_words => {
            return Err(Failure::Said(
                "a checkpoint has no words: give the annotation.json it was trained on \
                 (--annotation FILE), or take numbers for words (--numbered-words)"
                    .to_owned(),
            ));
        }
        None => {
            let sizes = infer_official(&tensors, untraceable)?;
            Tokenizer::numbered(sizes.vocabulary, base.text.cleaning)
        }
    };
    let mut checkpoint = if is_backbone {
        checkpoint_of_backbone(&tensors, base, tokenizer)?
    } else {
        checkpoint_of_official(&tensors, untraceable, base, tokenizer)?
    };
    if let (Some(card), Some(file), false) = (
        &mut checkpoint.header.card,
        &arguments.annotation,
        is_backbone,
    ) {
        card.data = Some(data_of(&Annotation::read(file)?));
    }
    let card = checkpoint.header.card.take().unwrap_or_default();
    checkpoint.header.card = Some(card.dated(Clock::System));
    checkpoint.save_as(&arguments.out)?;
    let words = checkpoint.header.tokenizer.words().len();
    let views = checkpoint.header.config.model.views;
    let model = checkpoint.header.config.model.r2gen_cmn()?;
    let backbone = match &model.backbone {
        BackboneConfig::ResNet(config) => {
            format!("blocks {:?} of width {}", config.depths, config.width)
        }
        BackboneConfig::DenseNet(config) => {
            format!(
                "dense blocks {:?} of growth {}",
                config.depths, config.growth
            )
        }
    };
    Ok(format!(
        "{}: {} {backbone}, memory {} × {}, {} layers, {words} words, {} view(s)",
        arguments.out.display(),
        if is_backbone {
            "untrained but for its backbone,"
        } else {
            "ResNet"
        },
        model.memory.rows,
        model.memory.d_model,
        model.transformer.layers,
        views,
    ))
}

/// The studies of an annotation, on which the weights were trained as far as whoever names it knows.
fn data_of(annotation: &Annotation) -> CardData {
    let counts = [&annotation.train, &annotation.val, &annotation.test].map(Vec::len);
    CardData::new(DataKind::Annotation, counts)
}

/// The vocabulary of the training reports, as the official tokenizer counts it.
fn vocabulary(file: &Path, config: &ExperimentConfig) -> Result<Tokenizer, TrainError> {
    let annotation = Annotation::read(file)?;
    let reports = annotation.train.iter().map(|entry| entry.report.as_str());
    let text = &config.text;
    Ok(Tokenizer::fit(
        reports,
        text.cleaning,
        text.minimum_occurrences,
    )?)
}
