use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burn::tensor::{Device, Tensor};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use ithn_data::{FilmBlock, ImageBlock, Tokenizer};
use ithn_generator::{BOUNDARY_TOKEN, ReportEvidence, StepDecoder, TokenBatch};
use ithn_kernels::on_worker;
use ithn_search::{SearchConfig, search};
use serde::Serialize;

use super::marks::{MarkedReport, mark_report};
use crate::InferenceError;
use crate::findings::FindingsReader;
use crate::tensors::study_batch;

/// Memory rows shown per word.
const SHOWN_ROWS: usize = 6;

/// JPEG quality of embedded images, of 100.
const QUALITY: u8 = 85;

/// One study for inspection: the input images, the generated report and its cross-attention.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudySheet {
    /// Study.
    pub id: String,
    /// Views of the study, then films of the previous study, after the model's image transform, as `data:` URLs.
    pub images: Vec<String>,
    /// How many of the images, the last, are of the previous study.
    pub prior_images: usize,
    /// What the model read beside the films: a name and a text, its unknown words as it reads them.
    pub beside: Vec<(String, String)>,
    /// What the radiologist wrote, if known.
    pub reference: Option<String>,
    /// Words that the generator wrote.
    pub words: Vec<String>,
    /// Log-probability of each word, in nats.
    pub log_probs: Vec<f32>,
    /// The prediction against the reference.
    pub marks: Option<MarkedReport>,
    /// Cross-attention of each word, if the generator provides it.
    pub attention: Option<AttentionMaps>,
    /// Memory rows of each word, most attended first, with their share of all heads' attention.
    pub memory: Option<Vec<Vec<(usize, f32)>>>,
}

/// Cross-attention of every word, mean over heads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttentionMaps {
    /// Layers.
    pub layers: usize,
    /// Rows of patches in one view.
    pub rows: usize,
    /// Patches per row.
    pub columns: usize,
    /// Base64 of one byte per layer, word, [image](StudySheet::images) and patch, in that order; 255 is
    /// [`peak`](Self::peak).
    pub values: String,
    /// The largest attention of any word to any patch, in `[0, 1]`.
    pub peak: f32,
}

/// Inputs for generating a study's report together with its attention and memory rows.
#[derive(Debug)]
pub struct SheetMaker<'a, G> {
    /// The generator, on `device`.
    pub generator: &'a G,
    /// Tokenizer, for the words of token ids.
    pub tokenizer: &'a Tokenizer,
    /// Search options.
    pub search: &'a SearchConfig,
    /// The generator's device, without autodiff.
    pub device: &'a Device,
}

impl<G: StepDecoder> SheetMaker<'_, G> {
    /// Generates the report of a study with its attention and memory rows. Compares it with
    /// `reference` if given.
    ///
    /// # Errors
    ///
    /// If an image cannot be read or the generator returns values that are no log-probabilities.
    pub fn sheet(
        &self,
        id: &str,
        films: ImageBlock,
        reference: Option<(&str, FindingsReader)>,
    ) -> Result<StudySheet, InferenceError> {
        let mut images = encode_views(&films, id)?;
        let views = [films.dims[1], images.len()];
        let priors = match &films.context {
            Some(context) => encode_films(&context.films, id)?,
            None => Vec::new(),
        };
        let prior_images = priors.len();
        images.extend(priors);
        let beside = self.beside(&films);
        let batch = study_batch(films, self.device);
        let found = on_worker(|| {
            let state = self.generator.start(batch.clone());
            search(self.generator, state, &[id], self.search)
        })?;
        let best = found.into_iter().flatten().next();
        let (tokens, log_probs) =
            best.map_or_else(Default::default, |best| (best.tokens, best.log_probs));
        let prediction = self.tokenizer.decode(&tokens);
        let words: Vec<String> = prediction
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let evidence = (!tokens.is_empty())
            .then(|| {
                let report = [&[BOUNDARY_TOKEN], tokens.as_slice()].concat();
                let reports = TokenBatch::from_ids(&[report], self.device);
                self.generator.explain(batch, &reports)
            })
            .flatten();
        Ok(StudySheet {
            id: id.to_owned(),
            images,
            prior_images,
            beside,
            reference: reference.map(|(text, _)| text.to_owned()),
            log_probs: log_probs.into_iter().take(words.len()).collect(),
            marks: reference.map(|(text, reader)| mark_report(reader, &prediction, text)),
            attention: evidence
                .as_ref()
                .and_then(|evidence| attention_maps(evidence, views, prior_images)),
            memory: evidence.as_ref().and_then(memory_rows),
            words,
        })
    }
}

impl<G> SheetMaker<'_, G> {
    /// The texts that a study carries, as the model reads them.
    fn beside(&self, films: &ImageBlock) -> Vec<(String, String)> {
        let context = films.context.as_ref();
        let Some(study) = context.and_then(|context| context.studies.first()) else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        if !study.indication.is_empty() {
            let indication = self.tokenizer.decode(&study.indication);
            texts.push(("Indication".to_owned(), indication));
        }
        if let Some(prior) = &study.prior {
            let days = prior.interval_days;
            let name = format!(
                "Previous study, {days} day{} before",
                if days == 1 { "" } else { "s" }
            );
            let report = match prior.report.is_empty() {
                true => "no report".to_owned(),
                false => self.tokenizer.decode(&prior.report),
            };
            texts.push((name, report));
        }
        texts
    }
}

/// `data:` URLs of the views that the study has.
fn encode_views(block: &ImageBlock, id: &str) -> Result<Vec<String>, InferenceError> {
    let [_, views, channels, height, width] = block.dims;
    let size = channels * height * width;
    (0..views)
        .filter(|&view| block.present[view])
        .map(|view| encode(&block.pixels[view * size..][..size], [height, width], id))
        .collect()
}

/// `data:` URLs of the previous study's films.
fn encode_films(block: &FilmBlock, id: &str) -> Result<Vec<String>, InferenceError> {
    let [films, channels, height, width] = block.dims;
    let size = channels * height * width;
    // Films that come from a cache of features have no pixels.
    let films = if block.pixels.len() == films * size {
        films
    } else {
        0
    };
    (0..films)
        .map(|film| encode(&block.pixels[film * size..][..size], [height, width], id))
        .collect()
}

/// The `data:` URL of a film's three planes, a grey one as one channel.
fn encode(planes: &[u8], [height, width]: [usize; 2], id: &str) -> Result<String, InferenceError> {
    let plane = height * width;
    let (pixels, color) = if planes.chunks(plane).all(|other| other == &planes[..plane]) {
        (planes[..plane].to_vec(), ExtendedColorType::L8)
    } else {
        let pixels = (0..plane).flat_map(|at| (0..3).map(move |c| planes[c * plane + at]));
        (pixels.collect(), ExtendedColorType::Rgb8)
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(&pixels, width as u32, height as u32, color)
        .map_err(|error| ithn_data::DataError::Image {
            path: format!("a film of study {id}").into(),
            reason: error.to_string(),
        })?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

/// Maps of one report over the first `present` of `views` views and `priors` previous films, unless the patches of a view
/// make no square grid. Missing views come last.
fn attention_maps(
    evidence: &ReportEvidence,
    [views, present]: [usize; 2],
    priors: usize,
) -> Option<AttentionMaps> {
    let patches = evidence.attention.first()?.dims()[3];
    let side = (patches / views).isqrt();
    let size = side * side;
    let before = evidence.prior.first().map_or(0, |layer| layer.dims()[3]);
    if size * views != patches || size * priors != before {
        return None;
    }
    let mut weights: Vec<f32> = Vec::new();
    for (layer, attention) in evidence.attention.iter().enumerate() {
        let mut parts = vec![attention.clone().narrow(3, 0, size * present)];
        parts.extend(evidence.prior.get(layer).cloned());
        let mean = Tensor::cat(parts, 3).mean_dim(1);
        weights.extend(mean.into_data().iter::<f32>());
    }
    let peak = weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let bytes: Vec<u8> = weights
        .iter()
        .map(|weight| (weight / peak * 255.0).round() as u8)
        .collect();
    Some(AttentionMaps {
        layers: evidence.attention.len(),
        rows: side,
        columns: side,
        values: STANDARD.encode(bytes),
        peak,
    })
}

fn memory_rows(evidence: &ReportEvidence) -> Option<Vec<Vec<(usize, f32)>>> {
    let lookup = evidence.memory.as_ref()?;
    let [_, heads, length, kept] = lookup.rows.dims();
    let rows: Vec<i64> = lookup.rows.to_data().iter::<i64>().collect();
    let weights: Vec<f32> = lookup.weights.to_data().iter::<f32>().collect();
    let of_word = |word: usize| {
        let mut shares = std::collections::BTreeMap::new();
        for head in 0..heads {
            let start = (head * length + word) * kept;
            for index in start..start + kept {
                *shares.entry(rows[index] as usize).or_insert(0.0) += weights[index] / heads as f32;
            }
        }
        let mut shares: Vec<(usize, f32)> = shares.into_iter().collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares.truncate(SHOWN_ROWS);
        shares
    };
    Some((0..length).map(of_word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_backbone::ResNetConfig;
    use ithn_data::Cleaning;
    use ithn_decoder::TransformerConfig;
    use ithn_memory::CrossModalMemoryConfig;
    use ithn_models::{R2GenCmn, R2GenCmnConfig};

    fn generator(views: usize, device: &Device) -> R2GenCmn {
        R2GenCmnConfig::new(
            ResNetConfig::narrow(4, vec![1, 1]),
            CrossModalMemoryConfig::new(12, 8, 2, 3),
            TransformerConfig::new(8, 12, 2, 2),
        )
        .init(7, views, device)
    }

    /// One study of at most two films, gray ramps, for a model of `views` views.
    fn films(views: usize) -> ImageBlock {
        let pixel = |place: usize| (place % 32) as u8 * 7 + (place / (3 * 32 * 32)) as u8;
        ImageBlock {
            dims: [1, views, 3, 32, 32],
            pixels: (0..views * 3 * 32 * 32).map(pixel).collect(),
            features: None,
            present: (0..views).map(|view| view < 2).collect(),
            context: None,
        }
    }

    /// One view, two, and three of which the study lacks the last; greedy and beams.
    #[test]
    fn every_word_has_its_map_and_its_memory() {
        let device = Device::default();
        let tokenizer = Tokenizer::numbered(7, Cleaning::IuXray);
        let searches = [
            (1, SearchConfig::greedy(6)),
            (2, SearchConfig::beam(6, 3)),
            (3, SearchConfig::beam(6, 2)),
        ];
        let mut looked_at = 0;
        // Random weights may write nothing; a dozen of them do not all.
        for (views, search) in searches.iter().cycle().take(12).cloned() {
            let generator = generator(views, &device);
            let maker = SheetMaker {
                generator: &generator,
                tokenizer: &tokenizer,
                search: &search,
                device: &device,
            };
            let sheet = maker.sheet("s1", films(views), None).expect("it writes");
            let shown = views.min(2);
            assert_eq!(sheet.images.len(), shown);
            if sheet.words.is_empty() {
                assert_eq!((sheet.attention, sheet.memory), (None, None));
                continue;
            }
            looked_at += 1;
            let maps = sheet.attention.expect("it has cross-attention");
            assert_eq!((maps.layers, maps.rows, maps.columns), (2, 4, 4));
            let values = STANDARD.decode(&maps.values).expect("base64");
            assert_eq!(values.len(), 2 * sheet.words.len() * shown * 16);
            assert_eq!(values.iter().max(), Some(&255));
            let memory = sheet.memory.expect("it has a memory");
            assert_eq!(memory.len(), sheet.words.len());
            for rows in &memory {
                assert!(rows.iter().all(|(row, _)| *row < 12));
                let share: f32 = rows.iter().map(|(_, share)| share).sum();
                assert!((share - 1.0).abs() < 1e-4, "{share}");
            }
        }
        assert!(looked_at > 0);
    }
}
