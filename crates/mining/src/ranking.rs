use std::cmp::Ordering;

use super::Neighbour;
use super::texts::Texts;

/// The closest training studies of a text, long enough to yield `k` for every patient.
///
/// Queries with the same text can belong to different patients, and each excludes its own patient's
/// studies. The ranking keeps the shortest prefix of the full order in which `k` studies remain
/// after excluding any one patient.
#[derive(Debug, Clone)]
pub(super) struct Ranking {
    k: usize,
    /// Closest first, ties by lowest index; at most `k` of one patient.
    kept: Vec<Ranked>,
    is_full: bool,
}

#[derive(Debug, Clone, Copy)]
struct Ranked {
    similarity: f32,
    study: u32,
    patient: u32,
}

impl Ranked {
    fn order(&self, other: &Ranked) -> Ordering {
        (other.similarity.total_cmp(&self.similarity)).then(self.study.cmp(&other.study))
    }
}

impl Ranking {
    pub(super) fn new(k: usize) -> Self {
        Ranking {
            k,
            kept: Vec::new(),
            is_full: false,
        }
    }

    /// Similarity under which a study is of no use; at it, a low index can be.
    pub(super) fn floor(&self) -> f32 {
        match self.kept.last() {
            Some(last) if self.is_full => last.similarity,
            _ => f32::NEG_INFINITY,
        }
    }

    /// True if a study this close is of no use, nor any farther or of a higher index.
    pub(super) fn is_beyond(&self, similarity: f32, study: u32) -> bool {
        let new = Ranked {
            similarity,
            study,
            patient: 0,
        };
        self.is_full
            && self
                .kept
                .last()
                .is_some_and(|last| last.order(&new).is_lt())
    }

    /// Offers the studies of a text, all of one similarity.
    pub(super) fn offer_text(&mut self, similarity: f32, text: u32, texts: &Texts<'_>) {
        // Adding zero turns the negative zero, which sorts lower, into the positive one.
        let similarity = similarity + 0.0;
        if similarity < self.floor() {
            return;
        }
        for &study in texts.studies(text) {
            if self.is_beyond(similarity, study) {
                return;
            }
            let patient = texts.training()[study as usize].patient;
            self.insert(Ranked {
                similarity,
                study,
                patient,
            });
        }
    }

    fn insert(&mut self, new: Ranked) {
        let place = self.kept.partition_point(|kept| kept.order(&new).is_lt());
        self.kept.insert(place, new);
        let mut of_patient = (0..self.kept.len()).filter(|&i| self.kept[i].patient == new.patient);
        if let Some(excess) = of_patient.nth(self.k) {
            self.kept.remove(excess);
        }
        self.trim();
    }

    /// Drops the entries after the shortest prefix that suffices for every patient.
    fn trim(&mut self) {
        while self.serves_all(self.kept.len().saturating_sub(1)) {
            self.kept.pop();
        }
        self.is_full = self.serves_all(self.kept.len());
    }

    fn serves_all(&self, length: usize) -> bool {
        let head = &self.kept[..length];
        let of = |patient| {
            head.iter()
                .filter(|ranked| ranked.patient == patient)
                .count()
        };
        length > self.k
            && head
                .iter()
                .all(|ranked| length - of(ranked.patient) >= self.k)
    }

    /// The `k` closest that are not of `patient`.
    pub(super) fn without(&self, patient: u32) -> Vec<Neighbour> {
        let others = self
            .kept
            .iter()
            .filter(|ranked| ranked.patient != patient)
            .take(self.k);
        others
            .map(|ranked| Neighbour {
                index: ranked.study as usize,
                similarity: ranked.similarity,
            })
            .collect()
    }
}
