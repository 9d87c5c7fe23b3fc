//! Ranks a study's own report against other reports, and against its near-twin.
//!
//! The score of a report `r` for an image `i` is `s(i, r) = z_i · u(i, r)`: every candidate is
//! decoded with cross-attention to image `i`, so the image of a candidate's own study cannot reveal
//! the true report. A model whose text path is [`ReportAlone`](TextPath::ReportAlone) has `u(r)`
//! instead. Near-twins are also ranked by the generator's likelihood, which needs no plug-in.

use burn::tensor::{Device, Tensor};
use ithn_data::{ImageLoader, TokenizedStudy, pad_tokens, shuffled_order};
use ithn_generator::{EncodedStudies, ReportGenerator, TokenBatch};
use ithn_metrics::evaluation::{RankedStudy, Ranking, RankingTask, rank};
use serde::{Deserialize, Serialize};

use crate::dataset::EvaluationSplit;
use crate::error::TrainError;
use crate::ranks::Ranks;
use ithn_inference::{study_batch, token_batch};
use ithn_kernels::length_multiple;
use ithn_plugin::{Ithn, TextPath};

/// How a split is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RankingConfig {
    /// Random candidates in addition to the true report; fewer if the split has fewer.
    pub candidates: usize,
    /// Studies at most that are ranked among candidates, the first of the split: each costs a
    /// decoding pass per candidate. Near-twins cost two, and are compared in all studies.
    pub studies: usize,
    /// Studies per batch.
    pub batch_size: usize,
    /// Seed of the candidates.
    pub seed: u64,
}

impl Default for RankingConfig {
    /// 1 true and 99 random reports for the first 256 studies.
    fn default() -> Self {
        RankingConfig {
            candidates: 99,
            studies: 256,
            batch_size: 64,
            seed: 0,
        }
    }
}

/// Ranking scores of a split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RankingScores {
    /// The true report among random ones, by alignment; absent if the projections were not trained
    /// or the split has one report.
    pub retrieval: Option<RetrievalScores>,
    /// The true report against its near-twin; absent if no study has one.
    pub near_twins: Option<NearTwinScores>,
}

/// The true report among random candidates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RetrievalScores {
    /// Studies ranked.
    pub studies: usize,
    /// Candidates in addition to the true report.
    pub candidates: usize,
    /// Share of studies whose true report ranks first, in `[0, 1]`; ties count at their expected
    /// value.
    pub recall_at_1: f64,
    /// Share of studies whose true report is among the first 5.
    pub recall_at_5: f64,
    /// Share of studies whose true report is among the first 10.
    pub recall_at_10: f64,
    /// Median rank of the true report, 1 the best; of equal scores the mean.
    pub median_rank: f64,
}

/// The true report against the report most like it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NearTwinScores {
    /// Studies with a near-twin.
    pub studies: usize,
    /// Share whose own report scores higher by alignment, equal scores half; absent if the
    /// projections were not trained.
    pub alignment: Option<f64>,
    /// Share whose own report has the higher mean log-probability per token, equal ones half.
    pub likelihood: f64,
}

/// Scores every image's own report and others; [`RankingScores::of`] summarises the result.
///
/// `model` is in inference mode (`valid`); `twins` is the result of
/// [`near_twins`](crate::near_twins). `trained` states whether the projection heads were trained;
/// without training, ranking by alignment is meaningless.
///
/// # Errors
///
/// If an image cannot be read.
pub fn rank_split<G: ReportGenerator>(
    model: &Ithn<G>,
    split: &EvaluationSplit,
    twins: &[Option<usize>],
    trained: bool,
    images: &ImageLoader,
    device: &Device,
    config: &RankingConfig,
) -> Result<Vec<RankedStudy>, TrainError> {
    let ranker = Ranker {
        model,
        studies: &split.studies,
        images,
        device,
        batch_size: config.batch_size.max(1),
        ranks: &Ranks::default(),
    };
    ranker.rank(twins, trained, config)
}

/// What [`rank_split`] ranks with.
pub(crate) struct Ranker<'a, G> {
    pub(crate) model: &'a Ithn<G>,
    pub(crate) studies: &'a [TokenizedStudy],
    pub(crate) images: &'a ImageLoader,
    pub(crate) device: &'a Device,
    /// Studies per batch, at least 1.
    pub(crate) batch_size: usize,
    /// Who share the batches out; every rank gets all scores.
    pub(crate) ranks: &'a Ranks,
}

impl<G: ReportGenerator> Ranker<'_, G> {
    /// As [`rank_split`].
    pub(crate) fn rank(
        &self,
        twins: &[Option<usize>],
        trained: bool,
        config: &RankingConfig,
    ) -> Result<Vec<RankedStudy>, TrainError> {
        let ranked: Vec<usize> = (0..self.studies.len().min(config.studies)).collect();
        let paired: Vec<[usize; 2]> = twins
            .iter()
            .enumerate()
            .filter_map(|(study, twin)| Some([study, (*twin)?]))
            .collect();
        let mut scored = if trained {
            self.retrieve(&ranked, config)?
        } else {
            Vec::new()
        };
        scored.extend(self.compare(&paired, trained)?);
        Ok(scored)
    }

    /// Scores of all batches, column by column, each batch by one rank.
    fn share_out<T: Copy>(
        &self,
        batches: &[T],
        score: impl Fn(T) -> Result<Vec<Vec<f32>>, TrainError>,
    ) -> Result<Vec<Vec<Vec<f32>>>, TrainError> {
        let own: Result<Vec<_>, _> = self.ranks.share_of(batches).map(|it| score(*it)).collect();
        if self.ranks.is_alone() {
            return own;
        }
        // As bits, which JSON keeps.
        let bits = own.map(|batches| each_score(batches, f32::to_bits));
        Ok(each_score(self.ranks.gather_shares(bits)?, f32::from_bits))
    }

    /// Every ranked study among its candidates, by alignment.
    fn retrieve(
        &self,
        ranked: &[usize],
        config: &RankingConfig,
    ) -> Result<Vec<RankedStudy>, TrainError> {
        let drawn: Vec<Vec<usize>> = ranked
            .iter()
            .map(|&study| draw_candidates(self.studies, study, config))
            .collect();
        let candidates = drawn.iter().map(Vec::len).min().unwrap_or(0);
        if candidates == 0 {
            return Ok(Vec::new());
        }
        let alone = match self.model.text_path() {
            TextPath::ReportAlone => Some(self.embed_reports_alone()),
            TextPath::WithImage | TextPath::SameImage => None,
        };
        let batches: Vec<_> = ranked
            .chunks(self.batch_size)
            .zip(drawn.chunks(self.batch_size))
            .collect();
        // Column 0 holds the true reports, the others one candidate of every study.
        let columns = |(studies, drawn): (&[usize], &[Vec<usize>])| -> Vec<Vec<usize>> {
            let candidates =
                (0..candidates).map(|place| drawn.iter().map(|drawn| drawn[place]).collect());
            [studies.to_vec()].into_iter().chain(candidates).collect()
        };
        let scores = self.share_out(&batches, |batch| {
            let encoded = self.encode(batch.0)?;
            let columns = columns(batch);
            Ok(match &alone {
                Some(reports) => self.scores_alone(&encoded, reports, &columns),
                None => columns
                    .iter()
                    .map(|column| self.alignment(&encoded, column))
                    .collect(),
            })
        })?;
        let scored = batches.into_iter().zip(&scores);
        let scored = scored.flat_map(|(batch, scores)| {
            self.scored(RankingTask::Retrieval, &columns(batch), scores)
        });
        Ok(scored.collect())
    }

    /// Every study that has a near-twin against it, by likelihood and, if `trained`, by alignment.
    fn compare(&self, pairs: &[[usize; 2]], trained: bool) -> Result<Vec<RankedStudy>, TrainError> {
        let batches: Vec<&[[usize; 2]]> = pairs.chunks(self.batch_size).collect();
        let columns = |pairs: &[[usize; 2]]| -> [Vec<usize>; 2] {
            [0, 1].map(|side| pairs.iter().map(|pair| pair[side]).collect())
        };
        let scores = self.share_out(&batches, |pairs| {
            let columns = columns(pairs);
            let encoded = self.encode(&columns[0])?;
            let likelihoods = columns.iter().map(|it| self.likelihood(&encoded, it));
            Ok(if trained {
                let alignments = columns.iter().map(|it| self.alignment(&encoded, it));
                alignments.chain(likelihoods).collect()
            } else {
                likelihoods.collect()
            })
        })?;
        let mut scored = Vec::new();
        for (pairs, mut scores) in batches.into_iter().zip(scores) {
            let columns = columns(pairs);
            let likelihoods = scores.split_off(scores.len() - 2);
            if trained {
                scored.extend(self.scored(RankingTask::NearTwin, &columns, &scores));
            }
            scored.extend(self.scored(RankingTask::NearTwinLikelihood, &columns, &likelihoods));
        }
        Ok(scored)
    }

    /// Rows of studies from columns of candidates, the first of which holds the true reports.
    fn scored(
        &self,
        task: RankingTask,
        columns: &[Vec<usize>],
        scores: &[Vec<f32>],
    ) -> Vec<RankedStudy> {
        let id = |study: usize| self.studies[study].id.clone();
        let others = |row: usize| {
            let others = columns.iter().zip(scores).skip(1);
            others.map(move |(column, scores)| (column[row], f64::from(scores[row])))
        };
        columns[0]
            .iter()
            .enumerate()
            .map(|(row, &study)| RankedStudy {
                id: id(study),
                task,
                own: f64::from(scores[0][row]),
                others: others(row).map(|(at, score)| (id(at), score)).collect(),
            })
            .collect()
    }

    fn reports(&self, studies: &[usize]) -> Vec<&TokenizedStudy> {
        studies.iter().map(|&study| &self.studies[study]).collect()
    }

    fn tokens(&self, studies: &[usize]) -> TokenBatch {
        let block = pad_tokens(&self.reports(studies));
        let multiple = length_multiple(self.device);
        token_batch(block.padded_to_multiple(multiple), self.device)
    }

    fn encode(&self, studies: &[usize]) -> Result<EncodedStudies<G::Context>, TrainError> {
        let block = self.images.load(&self.reports(studies), 0)?;
        Ok(self.model.generator.encode(study_batch(block, self.device)))
    }

    fn alignment(&self, encoded: &EncodedStudies<G::Context>, reports: &[usize]) -> Vec<f32> {
        numbers(self.model.alignment_scores(encoded, &self.tokens(reports)))
    }

    fn likelihood(&self, encoded: &EncodedStudies<G::Context>, reports: &[usize]) -> Vec<f32> {
        numbers(self.model.log_likelihoods(encoded, &self.tokens(reports)))
    }

    /// `u(r)` of every report, `[studies, projection_width]`.
    fn embed_reports_alone(&self) -> Tensor<2> {
        let all: Vec<usize> = (0..self.studies.len()).collect();
        let embedded = all
            .chunks(self.batch_size)
            .map(|studies| self.model.embed_reports_alone(&self.tokens(studies)))
            .collect();
        Tensor::cat(embedded, 0)
    }

    /// The same as [`alignment`](Self::alignment) of every column, from reports embedded once.
    fn scores_alone(
        &self,
        encoded: &EncodedStudies<G::Context>,
        reports: &Tensor<2>,
        columns: &[Vec<usize>],
    ) -> Vec<Vec<f32>> {
        let images = self.model.alignment.embed_images(encoded.pooled.clone());
        let all = numbers::<2>(images.matmul(reports.clone().transpose()));
        columns
            .iter()
            .map(|column| {
                column
                    .iter()
                    .enumerate()
                    .map(|(row, &report)| all[row * self.studies.len() + report])
                    .collect()
            })
            .collect()
    }
}

fn each_score<A: Copy, B>(batches: Vec<Vec<Vec<A>>>, with: fn(A) -> B) -> Vec<Vec<Vec<B>>> {
    let column = |column: Vec<A>| column.into_iter().map(with).collect();
    let batch = |columns: Vec<Vec<A>>| columns.into_iter().map(column).collect();
    batches.into_iter().map(batch).collect()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Other studies of the split with another report, at random and without repetition.
fn draw_candidates(studies: &[TokenizedStudy], own: usize, config: &RankingConfig) -> Vec<usize> {
    shuffled_order(studies.len(), config.seed, own)
        .into_iter()
        .filter(|&other| studies[other].tokens != studies[own].tokens)
        .take(config.candidates)
        .collect()
}

impl RankingScores {
    /// Summarises the scores of studies.
    ///
    /// # Errors
    ///
    /// [`TrainError::Metrics`] for a score that is not finite.
    pub fn of(studies: &[RankedStudy]) -> Result<Self, TrainError> {
        if studies.is_empty() {
            return Ok(RankingScores::default());
        }
        let Ranking {
            retrieval,
            near_twin,
            near_twin_likelihood,
        } = rank(studies)?;
        let candidates = studies
            .iter()
            .find(|study| study.task == RankingTask::Retrieval)
            .map_or(0, |study| study.others.len());
        Ok(RankingScores {
            retrieval: retrieval.map(|found| RetrievalScores {
                studies: found.queries,
                candidates,
                recall_at_1: found.recall_at_1,
                recall_at_5: found.recall_at_5,
                recall_at_10: found.recall_at_10,
                median_rank: found.median_rank,
            }),
            near_twins: near_twin_likelihood.map(|twins| NearTwinScores {
                studies: twins.studies,
                alignment: near_twin.map(|twins| twins.accuracy),
                likelihood: twins.accuracy,
            }),
        })
    }
}

impl std::fmt::Display for RankingScores {
    /// One line for a terminal.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if let Some(retrieval) = &self.retrieval {
            parts.push(format!(
                "own report among {} others: recall@1/5/10 {:.3}/{:.3}/{:.3}, median rank {:.1} \
                 ({} studies)",
                retrieval.candidates,
                retrieval.recall_at_1,
                retrieval.recall_at_5,
                retrieval.recall_at_10,
                retrieval.median_rank,
                retrieval.studies,
            ));
        }
        if let Some(twins) = &self.near_twins {
            let alignment = twins.alignment.map_or_else(String::new, |accuracy| {
                format!("{accuracy:.3} by alignment, ")
            });
            parts.push(format!(
                "own report against its near-twin: {alignment}{:.3} by likelihood ({} studies)",
                twins.likelihood, twins.studies
            ));
        }
        formatter.write_str(&parts.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(tokens: &[u32]) -> TokenizedStudy {
        TokenizedStudy {
            id: String::new(),
            images: Vec::new(),
            tokens: tokens.to_vec(),
            context: Default::default(),
        }
    }

    #[test]
    fn candidates_never_have_the_same_report_and_a_seed_is_a_draw() {
        let studies: Vec<TokenizedStudy> =
            [1, 2, 1, 3, 1, 4].map(|word| study(&[0, word, 0])).into();
        let config = RankingConfig {
            candidates: 2,
            ..RankingConfig::default()
        };
        for own in 0..studies.len() {
            let drawn = draw_candidates(&studies, own, &config);
            assert_eq!(drawn.len(), 2);
            assert!(
                drawn
                    .iter()
                    .all(|&other| studies[other].tokens != studies[own].tokens)
            );
            assert_eq!(drawn, draw_candidates(&studies, own, &config));
        }
        let few = RankingConfig::default();
        assert_eq!(draw_candidates(&studies, 0, &few).len(), 3);
    }
}
