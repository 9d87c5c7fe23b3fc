use super::ranking::Ranking;
use super::texts::{AskedText, Texts};

/// Independent partial sums of a dot product, so that the compiler vectorises it.
const LANES: usize = 16;

/// Bytes of a tile of training rows. All texts of a task are compared with one tile before the
/// next, so a tile fits a part of a core's cache.
const TILE_BYTES: usize = 256 * 1024;

/// Exact nearest neighbours by comparing with every training text, in tiles.
pub(super) struct DenseIndex<'a> {
    texts: &'a Texts<'a>,
    vectors: &'a [Vec<f32>],
    rows_per_tile: usize,
}

impl<'a> DenseIndex<'a> {
    /// `vectors` are those of all texts, of `dimensions` components and length 1.
    pub(super) fn new(texts: &'a Texts<'a>, vectors: &'a [Vec<f32>], dimensions: usize) -> Self {
        let row_bytes = dimensions * size_of::<f32>();
        DenseIndex {
            texts,
            vectors,
            rows_per_tile: (TILE_BYTES / row_bytes.max(1)).max(1),
        }
    }

    /// Ranks the neighbours of each text.
    pub(super) fn rank(&self, asked: &[AskedText], k: usize) -> Vec<Ranking> {
        let mut rankings = vec![Ranking::new(k); asked.len()];
        let rows = &self.vectors[..self.texts.of_training()];
        for (tile, first) in rows
            .chunks(self.rows_per_tile)
            .zip((0..).step_by(self.rows_per_tile))
        {
            for (asked, ranking) in asked.iter().zip(&mut rankings) {
                self.visit(tile, first, asked.text, ranking);
            }
        }
        rankings
    }

    /// Offers the texts from `first` on, whose rows are `tile`, to the ranking of `own`.
    fn visit(&self, tile: &[Vec<f32>], first: u32, own: u32, ranking: &mut Ranking) {
        let query = &self.vectors[own as usize];
        let mut floor = ranking.floor();
        for (row, text) in tile.iter().zip(first..) {
            let similarity = dot(query, row).clamp(-1.0, 1.0);
            if similarity >= floor && text != own {
                ranking.offer_text(similarity, text, self.texts);
                floor = ranking.floor();
            }
        }
    }
}

/// Dot product in a fixed order of additions.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
