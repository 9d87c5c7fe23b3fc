use std::sync::Mutex;

use burn::tensor::{Device, Tensor, TensorData};
use ithn_generator::{StepDecoder, StudyBatch};

use crate::{Hypothesis, SearchConfig, SearchError, search};

/// A generator whose log-probabilities are a hash of its seed, the study and all tokens fed so
/// far.
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) vocabulary: usize,
    /// Added to the logit of the boundary token, so that reports end earlier.
    pub(crate) ending: f32,
    /// Study and step (from 0) that get NaN.
    pub(crate) broken: Option<(usize, usize)>,
    /// Rows of every step since the last call of [`steps`](Self::steps).
    steps: Mutex<Vec<usize>>,
}

/// A row: the study and all tokens fed.
pub(crate) type Row = (usize, Vec<u32>);

impl Script {
    pub(crate) fn new(seed: u64, vocabulary: usize) -> Self {
        Script {
            seed,
            vocabulary,
            ending: 0.0,
            broken: None,
            steps: Mutex::new(Vec::new()),
        }
    }

    /// Rows of every step since the last call.
    pub(crate) fn steps(&self) -> Vec<usize> {
        std::mem::take(&mut self.steps.lock().expect("no step panics"))
    }

    /// The state of `studies`, nothing generated yet.
    pub(crate) fn state(studies: &[usize]) -> Vec<Row> {
        studies.iter().map(|&study| (study, Vec::new())).collect()
    }

    /// Searches reports of `studies`, whose ids are `study-0`, `study-1`, ….
    pub(crate) fn search(
        &self,
        studies: &[usize],
        config: &SearchConfig,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        let ids: Vec<String> = studies
            .iter()
            .map(|study| format!("study-{study}"))
            .collect();
        search(self, Script::state(studies), &ids, config)
    }

    /// Like [`search`](Self::search) for the first studies and a valid configuration.
    pub(crate) fn reports(&self, studies: usize, config: &SearchConfig) -> Vec<Vec<Hypothesis>> {
        let studies: Vec<usize> = (0..studies).collect();
        self.search(&studies, config).expect("a valid search")
    }

    /// Log-probabilities of the token after `fed`.
    pub(crate) fn log_probs(&self, study: usize, fed: &[u32]) -> Vec<f32> {
        if self.broken == Some((study, fed.len() - 1)) {
            return vec![f32::NAN; self.vocabulary];
        }
        let mut key = scramble(self.seed ^ scramble(study as u64));
        for &token in fed {
            key = scramble(key ^ u64::from(token));
        }
        let unit = |word| (scramble(key ^ (1 << 40) ^ word as u64) >> 40) as f32 / (1 << 24) as f32;
        let mut logits: Vec<f32> = (0..self.vocabulary).map(|word| 4.0 * unit(word)).collect();
        logits[0] += self.ending;
        let log_total = logits.iter().map(|logit| logit.exp()).sum::<f32>().ln();
        logits.iter().map(|logit| logit - log_total).collect()
    }
}

impl StepDecoder for Script {
    type State = Vec<Row>;

    fn start(&self, studies: StudyBatch) -> Vec<Row> {
        Script::state(&(0..studies.len()).collect::<Vec<_>>())
    }

    fn step(&self, tokens: &[u32], state: &mut Vec<Row>) -> Tensor<2> {
        assert_eq!(tokens.len(), state.len());
        self.steps
            .lock()
            .expect("no step panics")
            .push(tokens.len());
        let mut values = Vec::new();
        for ((study, fed), &token) in state.iter_mut().zip(tokens) {
            fed.push(token);
            values.extend(self.log_probs(*study, fed));
        }
        let data = TensorData::new(values, [tokens.len(), self.vocabulary]);
        Tensor::from_data(data, &Device::default())
    }

    fn reorder(&self, state: Vec<Row>, rows: &[usize]) -> Vec<Row> {
        rows.iter().map(|&row| state[row].clone()).collect()
    }
}

/// SplitMix64.
fn scramble(key: u64) -> u64 {
    let key = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let key = (key ^ (key >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    key ^ (key >> 31)
}
