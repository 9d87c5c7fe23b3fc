//! Exact nearest neighbours of sparse vectors, by an inverted index that is left early.
//!
//! A query's terms are visited from the cheapest for its share of the length: `q_t² / df_t`, high
//! first. Two bounds, both Cauchy–Schwarz over what has not been visited, spare most of the work.
//! With `r` the length of the query's terms still to come:
//!
//! - a text not met so far is no closer than `r`: once that is below the floor of the ranking, no
//!   further term is visited;
//! - a text met so far, with `a` the sum of products and `d` the sum of its own squares up to here,
//!   is no closer than `a + r √(1 − d)`: only texts whose bound reaches the floor are compared, and
//!   while they are many, further terms are visited for their sake.
//!
//! The bounds are rounded up by more than what `f32` sums can be off, and similarities are summed
//! in `f64` in the order of the terms: the result is that of comparing with every text.

use rayon::prelude::*;

use super::embedding::SparseVector;
use super::postings::{Postings, SHARD_TEXTS};
use super::ranking::Ranking;
use super::texts::{AskedText, Texts};

/// Candidates that each probe compares in addition to `k`, since some belong to the query's
/// patient.
const SPARE_PROBES: usize = 2;

/// Postings of a term that are visited in the time of one comparison of two vectors.
const POSTINGS_PER_COMPARISON: usize = 100;

/// Postings visited in the time of checking one survivor's bound, times two.
const POSTINGS_PER_LOOK: usize = 4;

/// Training texts by term, in shards that are searched one after another.
pub(super) struct SparseIndex<'a> {
    texts: &'a Texts<'a>,
    vectors: &'a [SparseVector],
    dimensions: usize,
    shards: Vec<Postings>,
}

impl<'a> SparseIndex<'a> {
    /// `vectors` are those of all texts, of length 1, with terms below `dimensions`.
    pub(super) fn new(
        texts: &'a Texts<'a>,
        vectors: &'a [SparseVector],
        dimensions: usize,
    ) -> Self {
        let shards = vectors[..texts.of_training()].par_chunks(SHARD_TEXTS);
        let shards = shards
            .map(|texts| Postings::new(texts, dimensions))
            .collect();
        SparseIndex {
            texts,
            vectors,
            dimensions,
            shards,
        }
    }

    /// The ranking of each text.
    pub(super) fn rank(&self, asked: &[AskedText], k: usize) -> Vec<Ranking> {
        let mut rankings = vec![Ranking::new(k); asked.len()];
        let mut scratch = Scratch::new(SHARD_TEXTS.min(self.texts.of_training()), self.dimensions);
        for (postings, first) in self.shards.iter().zip((0..).step_by(SHARD_TEXTS)) {
            for (asked, ranking) in asked.iter().zip(&mut rankings) {
                Search::new(self, postings, first, asked.text, &mut scratch, ranking).run();
            }
        }
        rankings
    }
}

/// Working memory of a thread, all zeros between searches.
struct Scratch {
    /// Of each text of the shard.
    partial: Vec<Partial>,
    /// Of each term: the query's weight.
    query: Vec<f32>,
    met: Vec<u32>,
    survivors: Vec<u32>,
}

/// Partial sums of a text's similarity.
#[derive(Debug, Clone, Copy, Default)]
struct Partial {
    /// Products with the query's visited terms; −∞ once the text has been compared.
    product: f32,
    /// Squares of the text's own weights on them; zero until the text is met.
    square: f32,
}

impl Partial {
    fn add(&mut self, query: f32, own: f32) {
        self.product += query * own;
        self.square += own * own;
    }
}

impl Scratch {
    fn new(texts: usize, terms: usize) -> Self {
        Scratch {
            partial: vec![Partial::default(); texts],
            query: vec![0.0; terms],
            met: Vec::new(),
            survivors: Vec::new(),
        }
    }

    fn spread(&mut self, query: &SparseVector) {
        for &(term, weight) in query.components() {
            self.query[term as usize] = weight;
        }
    }

    fn clear(&mut self, query: &SparseVector) {
        for text in self.met.drain(..) {
            self.partial[text as usize] = Partial::default();
        }
        for (term, _) in query.components() {
            self.query[*term as usize] = 0.0;
        }
    }
}

/// A query's term, and the length of the query from it on.
struct Visit {
    term: u32,
    weight: f32,
    rest: f32,
}

/// A search for one text in one shard.
struct Search<'a> {
    index: &'a SparseIndex<'a>,
    postings: &'a Postings,
    /// Number of the shard's first text among all texts; within the shard, numbers start at 0.
    first: u32,
    query: &'a SparseVector,
    own: u32,
    /// More than rounding can take off a bound.
    slack: f32,
    scratch: &'a mut Scratch,
    ranking: &'a mut Ranking,
}

impl<'a> Search<'a> {
    fn new(
        index: &'a SparseIndex<'a>,
        postings: &'a Postings,
        first: u32,
        own: u32,
        scratch: &'a mut Scratch,
        ranking: &'a mut Ranking,
    ) -> Self {
        let query = &index.vectors[own as usize];
        let slack = (query.components().len() + 16) as f32 * f32::EPSILON;
        Search {
            index,
            postings,
            first,
            query,
            own,
            slack,
            scratch,
            ranking,
        }
    }

    fn run(mut self) {
        self.scratch.spread(self.query);
        let visits = self.visits();
        let opening = self.open(&visits);
        let rest = self.narrow(&visits[opening..]);
        self.compare_survivors(rest);
        if self.ranking.floor() <= 0.0 {
            self.offer_unmet();
        }
        self.scratch.clear(self.query);
    }

    /// Visits terms until no text that was not met can enter the ranking. Returns how many it
    /// visited.
    fn open(&mut self, visits: &[Visit]) -> usize {
        let mut next_probe = 1;
        for (visited, visit) in visits.iter().enumerate() {
            if visit.rest + self.slack < self.ranking.floor() {
                return visited;
            }
            self.meet(visit);
            if self.scratch.met.len() >= next_probe {
                let met = std::mem::take(&mut self.scratch.met);
                self.probe(&met);
                next_probe = 2 * met.len();
                self.scratch.met = met;
            }
        }
        visits.len()
    }

    /// Visits further terms while that is cheaper than to compare all survivors among the texts
    /// met; the length of the terms that are left.
    fn narrow(&mut self, visits: &[Visit]) -> f32 {
        let mut survivors = std::mem::take(&mut self.scratch.survivors);
        survivors.clone_from(&self.scratch.met);
        let mut left = visits;
        let rest = loop {
            self.probe(&survivors);
            let rest = left.first().map_or(0.0, |visit| visit.rest);
            let floor = self.ranking.floor();
            survivors.retain(|text| self.bound(*text, rest) >= floor);
            let worth = self.worth_visiting(left, survivors.len());
            if worth == 0 {
                break rest;
            }
            left[..worth].iter().for_each(|visit| self.update(visit));
            left = &left[worth..];
        };
        self.scratch.survivors = survivors;
        rest
    }

    /// Number of terms to visit before the survivors' bounds are checked again. It is 0 if the next
    /// term's postings cost more than comparing the survivors; otherwise it is large enough that
    /// the check is a small part of the cost.
    fn worth_visiting(&self, visits: &[Visit], survivors: usize) -> usize {
        let mut postings = 0;
        let is_worth = |visit: &&Visit| {
            let of_term = self.postings.of(visit.term).len();
            let is_worth = of_term < survivors * POSTINGS_PER_COMPARISON
                && postings < survivors * POSTINGS_PER_LOOK;
            postings += of_term;
            is_worth
        };
        visits.iter().take_while(is_worth).count()
    }

    /// The query's terms that the shard has, in the order of visits.
    fn visits(&self) -> Vec<Visit> {
        let yield_of =
            |&(term, weight): &(u32, f32)| weight * weight / self.postings.of(term).len() as f32;
        let known = self
            .query
            .components()
            .iter()
            .filter(|pair| !self.postings.of(pair.0).is_empty());
        let mut terms: Vec<(u32, f32)> = known.copied().collect();
        terms.sort_by(|a, b| yield_of(b).total_cmp(&yield_of(a)));
        let mut square = 0.0;
        let from_last = terms.iter().rev().map(|&(term, weight)| {
            square += f64::from(weight) * f64::from(weight);
            Visit {
                term,
                weight,
                rest: square.sqrt() as f32,
            }
        });
        let mut visits: Vec<Visit> = from_last.collect();
        visits.reverse();
        visits
    }

    /// Adds a term's product to the partial similarity of every text that contains the term.
    fn meet(&mut self, visit: &Visit) {
        let Scratch { partial, met, .. } = &mut *self.scratch;
        for posting in self.postings.of(visit.term) {
            let partial = &mut partial[posting.text as usize];
            if partial.square == 0.0 {
                met.push(posting.text);
            }
            partial.add(visit.weight, posting.weight);
        }
    }

    /// Like `meet`, for the texts met before only.
    fn update(&mut self, visit: &Visit) {
        for posting in self.postings.of(visit.term) {
            let partial = &mut self.scratch.partial[posting.text as usize];
            if partial.square != 0.0 {
                partial.add(visit.weight, posting.weight);
            }
        }
    }

    /// Upper bound of a text's similarity, given the norm `rest` of the terms not yet visited.
    fn bound(&self, text: u32, rest: f32) -> f32 {
        let Partial { product, square } = self.scratch.partial[text as usize];
        let own_rest = ((1.0 - square).max(0.0) + self.slack).sqrt();
        product + rest * own_rest + self.slack
    }

    /// Compares the most promising of some texts, to raise the floor.
    fn probe(&mut self, texts: &[u32]) {
        let count = self.ranking.k() + SPARE_PROBES;
        let mut best: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
        let mut least = f32::NEG_INFINITY;
        for &text in texts {
            let product = self.scratch.partial[text as usize].product;
            if product > least {
                best.insert(
                    best.partition_point(|other| other.0 >= product),
                    (product, text),
                );
                best.truncate(count);
                if best.len() == count {
                    least = best[count - 1].0;
                }
            }
        }
        for (_, text) in best {
            self.compare(text);
        }
    }

    /// Compares the survivors, high bounds first, until the rest cannot reach the ranking.
    fn compare_survivors(&mut self, rest: f32) {
        let survivors = self.scratch.survivors.iter();
        let mut by_bound: Vec<_> = survivors
            .map(|&text| (self.bound(text, rest), text))
            .collect();
        by_bound.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (bound, text) in by_bound {
            if bound < self.ranking.floor() {
                break;
            }
            self.compare(text);
        }
    }

    /// Offers a text with its true similarity, unless that was done.
    fn compare(&mut self, text: u32) {
        let product = &mut self.scratch.partial[text as usize].product;
        if *product == f32::NEG_INFINITY {
            return;
        }
        *product = f32::NEG_INFINITY;
        let vector = &self.index.vectors[(self.first + text) as usize];
        let similarity = similarity(&self.scratch.query, vector);
        self.offer(text, similarity);
    }

    /// Offers texts that share no term with the query, until the ranking needs no more. They all
    /// tie, and texts are numbered in the order of their first studies.
    fn offer_unmet(&mut self) {
        let texts = self.index.texts;
        let end = texts.of_training() - self.first as usize;
        for text in 0..end.min(SHARD_TEXTS) as u32 {
            if self
                .ranking
                .is_beyond(0.0, texts.studies(self.first + text)[0])
            {
                break;
            }
            if self.scratch.partial[text as usize].square == 0.0 {
                self.offer(text, 0.0);
            }
        }
    }

    /// Offers a text, unless it is the query's own.
    fn offer(&mut self, text: u32, similarity: f32) {
        let text = self.first + text;
        if text != self.own {
            self.ranking.offer_text(similarity, text, self.index.texts);
        }
    }
}

/// Cosine of two vectors of length 1, one spread over all terms.
pub(super) fn similarity(query: &[f32], vector: &SparseVector) -> f32 {
    let products = vector
        .components()
        .iter()
        .map(|&(term, weight)| f64::from(query[term as usize]) * f64::from(weight));
    (products.sum::<f64>() as f32).clamp(-1.0, 1.0)
}
