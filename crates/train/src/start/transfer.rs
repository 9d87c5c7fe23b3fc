//! Starting from an earlier run's weights, whatever its vocabulary was.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ithn_data::Tokenizer;

use crate::error::TrainError;
use ithn_checkpoint::config::{ConfigError, ExperimentConfig, GeneratorTask};
use ithn_checkpoint::{Checkpoint, CheckpointHeader};
use ithn_models::LibraryGenerator;

/// Weights of a checkpoint by their path in the model, and the words they were trained with.
#[derive(Debug)]
pub(crate) struct EarlierWeights {
    source: String,
    weights: BTreeMap<String, TensorData>,
    tokenizer: Tokenizer,
}

impl EarlierWeights {
    /// Reads the weights of a checkpoint for a run of `config`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read as a checkpoint, or its model or its projection width differs from that of `config`.
    pub(crate) fn read(
        path: &Path,
        config: &ExperimentConfig,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let checkpoint = Checkpoint::load(path)?;
        let header = &checkpoint.header;
        EarlierWeights::check_sizes(path, header, config)?;
        let model = &header.config.model;
        let vocabulary = header.tokenizer.vocabulary();
        let collecting = Collecting {
            checkpoint: &checkpoint,
            device,
        };
        Ok(EarlierWeights {
            source: path.display().to_string(),
            weights: model.build(vocabulary, device, collecting)??,
            tokenizer: header.tokenizer.clone(),
        })
    }

    /// Checks the header of a checkpoint, and reads no weights.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn check(path: &Path, config: &ExperimentConfig) -> Result<(), TrainError> {
        let header = CheckpointHeader::load(path)?;
        Ok(EarlierWeights::check_sizes(path, &header, config)?)
    }

    fn check_sizes(
        path: &Path,
        header: &CheckpointHeader,
        config: &ExperimentConfig,
    ) -> Result<(), ConfigError> {
        let (model, ithn) = (&header.config.model, &header.config.ithn);
        if *model == config.model && ithn.projection_width == config.ithn.projection_width {
            return Ok(());
        }
        Err(ConfigError::new(
            "model",
            format!(
                "{} was trained with another generator or other sizes than this run: choose \
                 its preset, {:?}, and its generator",
                path.display(),
                header.config.preset
            ),
        ))
    }

    /// Loads the weights into a model with the vocabulary of `tokenizer`. Rows and columns that
    /// belong to words are copied word by word; new words keep the weights of `model`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the weights that do not fit.
    pub(crate) fn carry_into<M: Module>(
        &self,
        model: M,
        tokenizer: &Tokenizer,
    ) -> Result<M, ConfigError> {
        let sizes = [self.tokenizer.vocabulary(), tokenizer.vocabulary()];
        if sizes[0] == sizes[1] && self.tokenizer.words() != tokenizer.words() {
            return Err(ConfigError::new(
                "text.minimum_occurrences",
                format!(
                    "{} has as many words as this run, but others, so that the sides of weights \
                     which belong to words cannot be told: change the least number of occurrences \
                     of a word",
                    self.source
                ),
            ));
        }
        let mut carrier = Carrier {
            path: Vec::new(),
            earlier: self,
            sizes,
            origins: origins(&self.tokenizer, tokenizer),
            misfits: Vec::new(),
        };
        let model = model.map(&mut carrier);
        if carrier.misfits.is_empty() {
            Ok(model)
        } else {
            Err(ConfigError::new(
                "model",
                format!(
                    "{} does not fit: {}",
                    self.source,
                    carrier.misfits.join(", ")
                ),
            ))
        }
    }
}

/// For each token of the new vocabulary its token in the old one; the boundary token is one in both.
fn origins(old: &Tokenizer, new: &Tokenizer) -> Vec<Option<usize>> {
    let known: HashMap<&str, usize> = (1..)
        .zip(old.words())
        .map(|(id, word)| (word.as_str(), id))
        .collect();
    let words = new
        .words()
        .iter()
        .map(|word| known.get(word.as_str()).copied());
    std::iter::once(Some(0)).chain(words).collect()
}

struct Collecting<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
}

impl GeneratorTask for Collecting<'_> {
    type Output = Result<BTreeMap<String, TensorData>, TrainError>;

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        let model = self
            .checkpoint
            .header
            .config
            .ithn
            .init(generator, self.device);
        let model = self.checkpoint.restore_model(model)?;
        let mut collector = Collector::default();
        model.visit(&mut collector);
        Ok(collector.weights)
    }
}

#[derive(Default)]
struct Collector {
    path: Vec<String>,
    weights: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weight = param.val().into_data();
        self.weights.insert(self.path.join("."), weight);
    }
}

struct Carrier<'a> {
    path: Vec<String>,
    earlier: &'a EarlierWeights,
    /// Tokens of the old and of the new vocabulary.
    sizes: [usize; 2],
    origins: Vec<Option<usize>>,
    misfits: Vec<String>,
}

impl Carrier<'_> {
    /// The side of a weight that belongs to words, if one does.
    fn word_side(&self, old: &[usize], new: &[usize]) -> Option<usize> {
        let differing: Vec<usize> = (0..old.len())
            .filter(|&side| old[side] != new[side])
            .collect();
        match differing.as_slice() {
            [side] if [old[*side], new[*side]] == self.sizes => Some(*side),
            _ => None,
        }
    }

    /// Values of the new weight: old ones for known words, otherwise those of the model.
    fn carried(&self, old: &TensorData, present: &TensorData, side: usize) -> TensorData {
        let (from, mut to): (Vec<f32>, Vec<f32>) =
            (old.iter::<f32>().collect(), present.iter::<f32>().collect());
        let shape = present.shape().to_vec();
        let inner: usize = shape[side + 1..].iter().product();
        let outer: usize = shape[..side].iter().product();
        for block in 0..outer {
            for (word, origin) in self.origins.iter().enumerate() {
                let Some(origin) = origin else { continue };
                let source = (block * self.sizes[0] + origin) * inner;
                let target = (block * self.sizes[1] + word) * inner;
                to[target..target + inner].copy_from_slice(&from[source..source + inner]);
            }
        }
        TensorData::new(to, shape)
    }
}

impl ModuleMapper for Carrier<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let Some(old) = self.earlier.weights.get(&path) else {
            self.misfits.push(format!("no {path}"));
            return param;
        };
        let (present, device) = (param.val().into_data(), param.lazy_device());
        let (before, now) = (old.shape().to_vec(), present.shape().to_vec());
        let data = if before == now {
            old.clone()
        } else if let (true, Some(side)) =
            (before.len() == now.len(), self.word_side(&before, &now))
        {
            self.carried(old, &present, side)
        } else {
            self.misfits
                .push(format!("{path} ({before:?} for {now:?})"));
            return param;
        };
        let id = param.id;
        param.transform_for_load(Tensor::from_data(data, &device), id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_data::Cleaning;

    #[derive(Module, Debug)]
    struct Words {
        embedding: Param<Tensor<2>>,
        logits: Param<Tensor<2>>,
        norm: Param<Tensor<1>>,
    }

    /// Embedding rows and logit columns that hold `first` plus their token.
    fn model(tokens: usize, first: f32, device: &Device) -> Words {
        let rows: Vec<f32> = (0..tokens)
            .flat_map(|token| [first + token as f32; 2])
            .collect();
        let rows = Tensor::<1>::from_floats(rows.as_slice(), device).reshape([tokens, 2]);
        Words {
            embedding: Param::from_tensor(rows.clone()),
            logits: Param::from_tensor(rows.transpose()),
            norm: Param::from_tensor(Tensor::from_floats([first], device)),
        }
    }

    fn fitted(report: &str) -> Tokenizer {
        Tokenizer::fit([report], Cleaning::MimicCxr, 1).expect("words")
    }

    fn earlier(tokenizer: Tokenizer, device: &Device) -> EarlierWeights {
        let mut collector = Collector::default();
        model(tokenizer.vocabulary(), 0.0, device).visit(&mut collector);
        EarlierWeights {
            source: "best.ithn".to_owned(),
            weights: collector.weights,
            tokenizer,
        }
    }

    #[test]
    fn known_words_move_to_their_new_places_and_new_ones_stay() {
        let _turn = crate::take_turns();
        let device = Device::default();
        let (old, new) = (
            fitted("clear lungs"),
            fitted("clear heart lungs mediastinum"),
        );
        let carried = earlier(old.clone(), &device)
            .carry_into(model(new.vocabulary(), 100.0, &device), &new)
            .expect("it fits");
        let place = |tokenizer: &Tokenizer, word: &str| {
            tokenizer
                .words()
                .iter()
                .position(|known| known == word)
                .map(|at| at as f32 + 1.0)
        };
        let mut expected = vec![0.0];
        for (at, word) in new.words().iter().enumerate() {
            expected.push(place(&old, word).unwrap_or(101.0 + at as f32));
        }
        let rows: Vec<f32> = carried
            .embedding
            .val()
            .into_data()
            .iter::<f32>()
            .step_by(2)
            .collect();
        assert_eq!(rows, expected);
        let columns: Vec<f32> = carried.logits.val().into_data().iter::<f32>().collect();
        assert_eq!(columns, [expected.clone(), expected].concat());
        assert_eq!(carried.norm.val().into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn other_words_of_the_same_number_are_refused() {
        let _turn = crate::take_turns();
        let device = Device::default();
        let new = fitted("clear heart");
        let model = model(new.vocabulary(), 100.0, &device);
        let error = earlier(fitted("clear lungs"), &device)
            .carry_into(model, &new)
            .unwrap_err();
        assert!(error.to_string().contains("best.ithn"), "{error}");
    }
}
