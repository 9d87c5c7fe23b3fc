//! RadCliQ (Yu et al., 2023) from its four columns, and the BLEU-2 among them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Columns of RadCliQ, in the order of CXR-Report-Metric.
pub const COLUMNS: [&str; 4] = ["radgraph_combined", "bertscore", "semb_score", "bleu_score"];

/// What RadCliQ is computed from, for one study or as means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RadCliQInputs {
    /// [`RadGraphCombined::combined`](super::radgraph::RadGraphCombined), of the original RadGraph.
    pub radgraph_combined: f64,
    /// F1 of BERTScore with distilroberta-base, rescaled with its baseline; may be negative.
    pub bertscore: f64,
    /// Cosine of CheXbert's embeddings.
    pub semb_score: f64,
    /// [`bleu_2`] of the pair.
    pub bleu_score: f64,
}

/// Which linear model.
///
/// **Lower is better**, unlike the four inputs: the value estimates the number of errors that a
/// radiologist finds (version 0), or that number standardised (version 1). It may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RadCliQ {
    /// Version 1: −1.4407 for four perfect scores, 2.4501 for four zeros. BLEU has no weight.
    #[default]
    V1,
    /// Version 0. BLEU raises it.
    V0,
    /// Version 1 with RadEval's constants, rounded to eight digits: up to 4e-8 from [`V1`](Self::V1).
    /// RadEval's aggregate, 1 / mean, turns the sign: there higher is better.
    RadEval,
}

/// Σ coefficient · (input − mean) / scale + intercept.
struct Model {
    mean: [f64; 4],
    scale: [f64; 4],
    coefficient: [f64; 4],
    intercept: f64,
}

const V1: Model = Model {
    mean: [
        0.5379231241355762,
        0.6175725628125001,
        0.7647942121140658,
        0.44738335396242174,
    ],
    scale: [
        0.3028258411486429,
        0.22430938459304575,
        0.2539439110169773,
        0.2989271671041838,
    ],
    coefficient: [
        -0.37708368261038905,
        -0.37030009974480316,
        -0.25261621789593225,
        4.315048405024756e-12,
    ],
    intercept: 2.466552561323256e-10,
};

const V0: Model = Model {
    mean: [
        0.5398376019082272,
        0.6312549595000001,
        0.7716797866672277,
        0.4607372064809605,
    ],
    scale: [
        0.3018344440559102,
        0.22466950746141123,
        0.24750333805236252,
        0.30336670936092264,
    ],
    coefficient: [
        -0.4796252644863446,
        -0.6762170542369337,
        -0.46366575161751994,
        0.2165861905287535,
    ],
    intercept: 1.641666666666666,
};

const RADEVAL: Model = Model {
    mean: [0.53792312, 0.61757256, 0.76479421, 0.44738335],
    scale: [0.30282584, 0.22430938, 0.25394391, 0.29892717],
    coefficient: [-0.377083683, -0.3703001, -0.252616218, 4.31504841e-12],
    intercept: 2.46655256e-10,
};

impl RadCliQ {
    /// The value for one study, lower being better. Its mean over studies is the value of the means.
    pub fn score(self, inputs: &RadCliQInputs) -> f64 {
        let Model {
            mean,
            scale,
            coefficient,
            intercept,
        } = match self {
            Self::V1 => V1,
            Self::V0 => V0,
            Self::RadEval => RADEVAL,
        };
        let inputs = [
            inputs.radgraph_combined,
            inputs.bertscore,
            inputs.semb_score,
            inputs.bleu_score,
        ];
        let terms = (0..4).map(|at| coefficient[at] * (inputs[at] - mean[at]) / scale[at]);
        terms.sum::<f64>() + intercept
    }
}

/// BLEU-2 of one pair as CXR-Report-Metric and ReXrank compute it, in [0, 1].
///
/// Lower case; a blank before every full stop; split at blanks alone, so that a line break stays
/// inside a word. Smoothed by method 1 of Chen and Cherry (2014) with 0.1: the right report of one
/// word gets 0.316. This is not the BLEU-2 of [`bleu`](crate::bleu()).
pub fn bleu_2(prediction: &str, reference: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let text = text.to_lowercase().replace('.', " .");
        let words = text.split(' ').filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let (prediction, reference) = (words(prediction), words(reference));
    let unigrams = clipped(&prediction, &reference, 1);
    if unigrams == 0 {
        return 0.0;
    }
    let bigrams = clipped(&prediction, &reference, 2);
    let numerator = if bigrams == 0 { 0.1 } else { bigrams as f64 };
    let (length, wanted) = (prediction.len() as f64, reference.len() as f64);
    let precisions = (unigrams as f64 / length) * (numerator / (length - 1.0).max(1.0));
    let brevity = if length > wanted {
        1.0
    } else {
        (1.0 - wanted / length).exp()
    };
    brevity * precisions.sqrt()
}

/// n-grams of the prediction that are in the reference, none more often than there.
fn clipped(prediction: &[String], reference: &[String], order: usize) -> usize {
    let mut left: HashMap<&[String], usize> = HashMap::new();
    for gram in reference.windows(order) {
        *left.entry(gram).or_default() += 1;
    }
    let found = prediction.windows(order).filter(|gram| {
        let left = left.get_mut(gram).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    });
    found.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: f64) -> RadCliQInputs {
        RadCliQInputs {
            radgraph_combined: value,
            bertscore: value,
            semb_score: value,
            bleu_score: value,
        }
    }

    #[test]
    fn lower_is_better() {
        assert!((RadCliQ::V1.score(&all(1.0)) + 1.4407).abs() < 1e-4);
        assert!((RadCliQ::V1.score(&all(0.0)) - 2.4501).abs() < 1e-4);
        assert!(RadCliQ::V0.score(&all(1.0)) < RadCliQ::V0.score(&all(0.0)));
    }

    #[test]
    fn bleu_by_hand() {
        assert_eq!(bleu_2("", "heart"), 0.0);
        assert_eq!(bleu_2("heart", "Heart"), 0.1f64.sqrt());
        // 3 of 4 words, 2 of 3 pairs, one word too few.
        let expected = (1.0f64 - 5.0 / 4.0).exp() * (0.75f64 * 2.0 / 3.0).sqrt();
        assert!((bleu_2("the heart is big", "the heart is not large") - expected).abs() < 1e-15);
    }
}
