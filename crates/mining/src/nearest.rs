//! Exact nearest neighbours of sparse vectors.
//!
//! Terms that many texts have are common: their weights stand in short rows, one for each text, and rows are
//! multiplied in blocks, many numbers at once. Rare terms list the texts that have them. The sum of both is the
//! similarity, up to rounding of `f32`. Only where it reaches the floor of a ranking are two texts compared in `f64`,
//! in the order of their terms, so the result is that of comparing with every text.
//!
//! A row's length bounds its products (Cauchy–Schwarz): where rare terms add too little, products are skipped. Texts
//! lie in an order in which similar ones are near, and a search begins at its own place, so floors are high soon.

use std::ops::Range;

use rayon::prelude::*;

use super::blocks::{BLOCK, Blocks, Sought, length};
use super::embedding::SparseVector;
use super::postings::{Posting, Postings};
use super::ranking::Ranking;
use super::terms::Terms;
use super::texts::{AskedText, Texts};

/// Blocks whose sums of rare terms are kept at a time: those of all texts of a task fit a core's cache.
const BLOCKS_AT_A_TIME: usize = 64;

/// Values of a row that make up the key of the order of texts.
const KEY: usize = 8;

/// Training texts, sorted so that similar ones are near each other. Weights of common terms are kept in a row for each
/// text, those of rare terms in a list of texts for each term.
pub(super) struct SparseIndex<'a> {
    texts: &'a Texts<'a>,
    vectors: &'a [SparseVector],
    dimensions: usize,
    terms: Terms,
    /// Mean of the rows.
    mean: Vec<f32>,
    blocks: Blocks,
    postings: Postings,
    /// The texts in order, each with its key.
    order: Vec<(u64, u32)>,
}

impl<'a> SparseIndex<'a> {
    /// `vectors` are those of all texts, of length 1, with terms below `dimensions`.
    pub(super) fn new(
        texts: &'a Texts<'a>,
        vectors: &'a [SparseVector],
        dimensions: usize,
    ) -> Self {
        let training = &vectors[..texts.of_training()];
        let terms = Terms::divide(training, dimensions);
        let rows: Vec<Vec<f32>> = training.par_iter().map(|text| terms.row(text)).collect();
        let mut mean = vec![0.0; terms.common()];
        for row in &rows {
            for (mean, value) in mean.iter_mut().zip(row) {
                *mean += value / rows.len() as f32;
            }
        }
        let keys = rows.par_iter().zip(0..rows.len() as u32);
        let mut order: Vec<(u64, u32)> = keys.map(|(row, text)| (key(row, &mean), text)).collect();
        order.par_sort_unstable();
        let in_order = || order.iter().map(|(_, text)| *text as usize);
        SparseIndex {
            texts,
            vectors,
            dimensions,
            blocks: Blocks::new(terms.common(), in_order().map(|text| &rows[text])),
            postings: Postings::new(in_order().map(|text| &training[text]), &terms, dimensions),
            terms,
            mean,
            order,
        }
    }

    /// Texts in the order in which similar ones are near.
    pub(super) fn arrange(&self, asked: &[AskedText]) -> Vec<AskedText> {
        let mut by_key: Vec<(u64, AskedText)> = (asked.par_iter())
            .map(|asked| (self.key(asked.text), *asked))
            .collect();
        by_key.par_sort_unstable_by_key(|(key, asked)| (*key, asked.text));
        by_key.into_iter().map(|(_, asked)| asked).collect()
    }

    fn key(&self, text: u32) -> u64 {
        key(&self.terms.row(&self.vectors[text as usize]), &self.mean)
    }

    /// The ranking of each text.
    pub(super) fn rank(&self, asked: &[AskedText], k: usize) -> Vec<Ranking> {
        let mut search = Search::new(self, asked, k);
        let home = self.home(asked);
        let blocks = self.blocks.count();
        let first = home - home % BLOCKS_AT_A_TIME;
        let starts = (0..blocks).step_by(BLOCKS_AT_A_TIME);
        let (before, after): (Vec<usize>, Vec<usize>) = starts.partition(|start| *start < first);
        for start in after.into_iter().chain(before) {
            search.visit(start..(start + BLOCKS_AT_A_TIME).min(blocks), home);
        }
        search.rankings
    }

    /// The block in which the texts of a task would lie.
    fn home(&self, asked: &[AskedText]) -> usize {
        let own = asked.get(asked.len() / 2);
        let own = own.map_or((0, 0), |asked| (self.key(asked.text), asked.text));
        let place = self.order.partition_point(|other| *other < own) / BLOCK;
        place.min(self.blocks.count() - 1)
    }
}

/// A search for some texts.
struct Search<'a> {
    index: &'a SparseIndex<'a>,
    asked: &'a [AskedText],
    rankings: Vec<Ranking>,
    sought: Vec<Sought>,
    /// Of each text, more than rounding can take off a sum.
    slack: Vec<f32>,
    /// Of each text, weights of its rare terms, and their lists from block `next` on.
    rare: Vec<Vec<(f32, &'a [Posting])>>,
    next: usize,
    /// Of each text, sums of rare terms for the texts of the blocks at hand.
    sums: Vec<[f32; BLOCK]>,
    query: Vec<f32>,
    reached: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(index: &'a SparseIndex<'a>, asked: &'a [AskedText], k: usize) -> Self {
        let vectors = || asked.iter().map(|it| &index.vectors[it.text as usize]);
        let sought = |vector| {
            let row = index.terms.row(vector);
            Sought {
                length: length(&row),
                row,
                floor: f32::NEG_INFINITY,
                sums: [0.0; BLOCK],
            }
        };
        let additions = |vector: &SparseVector| index.terms.common() + vector.components().len();
        Search {
            index,
            asked,
            rankings: vec![Ranking::new(k); asked.len()],
            sought: vectors().map(sought).collect(),
            slack: vectors()
                .map(|vector| (additions(vector) + 16) as f32 * f32::EPSILON)
                .collect(),
            rare: vec![Vec::new(); asked.len()],
            next: usize::MAX,
            sums: vec![[0.0; BLOCK]; asked.len() * BLOCKS_AT_A_TIME],
            query: vec![0.0; index.dimensions],
            reached: Vec::new(),
        }
    }

    /// Visits successive blocks, `home` first if it is one of them.
    fn visit(&mut self, blocks: Range<usize>, home: usize) {
        self.add_rare(&blocks);
        let index = self.index;
        let mut reached = std::mem::take(&mut self.reached);
        let (before, after) = match blocks.contains(&home) {
            true => (blocks.start..home, home..blocks.end),
            false => (blocks.end..blocks.end, blocks.clone()),
        };
        for block in after.chain(before.rev()) {
            let place = block - blocks.start;
            let sums = &self.sums;
            let rest = |number: usize| &sums[number * BLOCKS_AT_A_TIME + place];
            (index.blocks).add(block, &mut self.sought, rest, &mut reached);
            for &number in &reached {
                self.compare(block, number);
            }
        }
        self.reached = reached;
    }

    /// For every text that is asked about, computes the sum of products of rare terms with each text of consecutive blocks.
    fn add_rare(&mut self, blocks: &Range<usize>) {
        if blocks.start != self.next {
            self.begin_lists((blocks.start * BLOCK) as u32);
        }
        self.next = blocks.end;
        let (first, end) = ((blocks.start * BLOCK) as u32, (blocks.end * BLOCK) as u32);
        let sums = self.sums.chunks_mut(BLOCKS_AT_A_TIME);
        for (lists, sums) in self.rare.iter_mut().zip(sums) {
            let sums = sums.as_flattened_mut();
            sums.fill(0.0);
            for (weight, list) in lists {
                let mut rest = *list;
                while let Some((posting, others)) = rest.split_first()
                    && posting.place < end
                {
                    sums[(posting.place - first) as usize] += *weight * posting.weight;
                    rest = others;
                }
                *list = rest;
            }
        }
    }

    /// For every text that is asked about, cuts the lists of its rare terms to the entries from place `first` on.
    fn begin_lists(&mut self, first: u32) {
        let index = self.index;
        for (asked, lists) in self.asked.iter().zip(&mut self.rare) {
            let rare = index.terms.rare(&index.vectors[asked.text as usize]);
            lists.clear();
            lists.extend(rare.map(|(term, weight)| {
                let list = index.postings.of(term);
                let before = list.partition_point(|posting| posting.place < first);
                (weight, &list[before..])
            }));
        }
    }

    /// Computes the similarity of the asked text `number` to those texts of a block whose approximate sums reach its floor.
    /// The highest sums come first, since every comparison can raise the floor.
    fn compare(&mut self, block: usize, number: usize) {
        let index = self.index;
        let (sought, ranking) = (&mut self.sought[number], &mut self.rankings[number]);
        let own = self.asked[number].text;
        let others = &index.order[block * BLOCK..];
        let mut reaching: Vec<(f32, u32)> = (sought.sums.iter().zip(others))
            .filter(|(sum, (_, text))| **sum >= sought.floor && *text != own)
            .map(|(sum, (_, text))| (*sum, *text))
            .collect();
        reaching.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let vector = &index.vectors[own as usize];
        for &(term, weight) in vector.components() {
            self.query[term as usize] = weight;
        }
        for (sum, text) in reaching {
            if sum < sought.floor {
                break;
            }
            let similarity = similarity(&self.query, &index.vectors[text as usize]);
            ranking.offer_text(similarity, text, index.texts);
            sought.floor = ranking.floor() - self.slack[number];
        }
        for &(term, _) in vector.components() {
            self.query[term as usize] = 0.0;
        }
    }
}

/// The places where a row exceeds the mean by most, the first in the highest bits.
fn key(row: &[f32], mean: &[f32]) -> u64 {
    let mut places: Vec<(f32, u8)> = (row.iter().zip(mean).zip(0..))
        .map(|((value, mean), place)| (value - mean, place))
        .collect();
    places.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    (0..KEY).fold(0, |key, index| {
        let place = places.get(index).map_or(0, |(_, place)| *place);
        key << 8 | u64::from(place)
    })
}

/// Cosine of two vectors of length 1, one spread over all terms.
fn similarity(query: &[f32], vector: &SparseVector) -> f32 {
    let products = vector
        .components()
        .iter()
        .map(|&(term, weight)| f64::from(query[term as usize]) * f64::from(weight));
    (products.sum::<f64>() as f32).clamp(-1.0, 1.0)
}
