//! Converts weights of the official PyTorch code, or torchvision's ResNets, into a checkpoint.
//!
//! ```text
//! cargo run --release --example import_official -- model_best.pth --annotation annotation.json --out ithn.ckpt
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ithn::backbone::BackboneConfig;
use ithn::config::{ExperimentConfig, Preset};
use ithn::import::{
    NamedTensors, UntraceableSizes, checkpoint_of_backbone, checkpoint_of_official, infer_official,
    is_torchvision,
};
use ithn::train::TrainError;
use ithn_data::{Annotation, Tokenizer};

/// Converts an official checkpoint (PyTorch or safetensors, whatever its ending) or torchvision's
/// ResNet weights into a checkpoint of this library. Sizes are read off the tensors.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
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

fn main() -> ExitCode {
    match import(&Arguments::parse()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn import(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let tensors = NamedTensors::read(&arguments.weights)?;
    let base = arguments.preset.config();
    let untraceable = UntraceableSizes::new(arguments.heads, arguments.top_k);
    let is_backbone = is_torchvision(&tensors);
    let tokenizer = match &arguments.annotation {
        Some(file) => vocabulary(file, &base)?,
        None if is_backbone => Tokenizer::numbered(2, base.text.cleaning),
        None if !arguments.numbered_words => {
            return Err(
                "a checkpoint has no words: give the annotation.json it was trained on \
                 (--annotation FILE), or take numbers for words (--numbered-words)"
                    .into(),
            );
        }
        None => {
            let sizes = infer_official(&tensors, untraceable)?;
            Tokenizer::numbered(sizes.vocabulary, base.text.cleaning)
        }
    };
    let checkpoint = if is_backbone {
        checkpoint_of_backbone(&tensors, base, tokenizer)?
    } else {
        checkpoint_of_official(&tensors, untraceable, base, tokenizer)?
    };
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
