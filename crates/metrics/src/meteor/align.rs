//! The alignment with the most matched words in the fewest chunks, by METEOR 1.5's beam search.
//!
//! The beam can miss the best alignment, so parity needs the original's order of candidates, its rounding and
//! its order of adding distances.

use super::matches::{Candidates, Match, Module};

/// Paths kept at each word of the reference.
const BEAM: usize = 40;

/// The matches chosen, in the order of the reference, and the number of chunks they form.
pub(super) struct Alignment {
    pub matches: Vec<Match>,
    pub chunks: u64,
}

/// Chooses matches so that no word is used twice.
pub(super) fn align(candidates: &Candidates) -> Alignment {
    let fixed = unrivalled(candidates);
    let mut start = Path::new(candidates);
    fixed.iter().flatten().for_each(|found| start.occupy(found));
    let mut search = Search {
        candidates,
        fixed: &fixed,
        chosen: Vec::new(),
    };
    let best = search.run(start);
    let mut matches = fixed.clone();
    let mut last = best.last_choice;
    while let Some(at) = last {
        let (found, previous) = search.chosen[at];
        matches[found.start] = Some(found);
        last = previous;
    }
    let matches: Vec<Match> = matches.into_iter().flatten().collect();
    let chunks = count_chunks(&matches);
    Alignment { matches, chunks }
}

/// Matches that compete with no other are chosen from the start.
fn unrivalled(candidates: &Candidates) -> Vec<Option<Match>> {
    let alone = |found: &Match| {
        let reference = &candidates.reference_cover[found.start..][..found.length];
        let hypothesis =
            &candidates.hypothesis_cover[found.hypothesis_start..][..found.hypothesis_length];
        reference.iter().chain(hypothesis).all(|&cover| cover == 1)
    };
    let only = |matches: &Vec<Match>| match matches.as_slice() {
        [found] if alone(found) => Some(*found),
        _ => None,
    };
    candidates.by_start.iter().map(only).collect()
}

/// Number of chunks: runs of matched words that are adjacent in both reports.
fn count_chunks(matches: &[Match]) -> u64 {
    let breaks = matches.windows(2).filter(|pair| {
        let [before, after] = pair else { return false };
        before.start + before.length != after.start
            || before.hypothesis_start + before.hypothesis_length != after.hypothesis_start
    });
    match matches {
        [] => 0,
        _ => 1 + breaks.count() as u64,
    }
}

/// An alignment of the reference's first words.
#[derive(Clone)]
struct Path {
    /// Weight of the matched words on both sides.
    weight: usize,
    chunks: usize,
    /// Sum of how far matches are moved.
    distance: usize,
    /// First word of the reference not decided on yet.
    next: usize,
    /// End in the hypothesis of the open chunk.
    open_end: Option<usize>,
    /// Position in [`Search::chosen`].
    last_choice: Option<usize>,
    used_reference: WordSet,
    used_hypothesis: WordSet,
}

impl Path {
    fn new(candidates: &Candidates) -> Self {
        Self {
            weight: 0,
            chunks: 0,
            distance: 0,
            next: 0,
            open_end: None,
            last_choice: None,
            used_reference: WordSet::new(candidates.reference_cover.len()),
            used_hypothesis: WordSet::new(candidates.hypothesis_cover.len()),
        }
    }

    fn occupy(&mut self, found: &Match) {
        self.used_reference.insert(found.start, found.length);
        self.used_hypothesis
            .insert(found.hypothesis_start, found.hypothesis_length);
    }

    fn blocks(&self, found: &Match) -> bool {
        self.used_reference.meets(found.start, found.length)
            || self
                .used_hypothesis
                .meets(found.hypothesis_start, found.hypothesis_length)
    }

    /// Appends a match, whose distance the caller counts.
    fn take(&mut self, found: &Match) {
        self.weight += weight(found.module, found.hypothesis_length);
        self.weight += weight(found.module, found.length);
        if self
            .open_end
            .is_some_and(|end| end != found.hypothesis_start)
        {
            self.chunks += 1;
        }
        self.next = found.start + found.length;
        self.open_end = Some(found.hypothesis_start + found.hypothesis_length);
    }

    fn skip(&mut self) {
        self.close();
        self.open_end = None;
        self.next += 1;
    }

    fn close(&mut self) {
        self.chunks += usize::from(self.open_end.is_some());
    }
}

/// Weight of matched words in the search: half for inexact ones, rounded down match by match.
fn weight(module: Module, words: usize) -> usize {
    match module {
        Module::Exact => words,
        Module::Stem | Module::Synonym | Module::Paraphrase => words / 2,
    }
}

struct Search<'a> {
    candidates: &'a Candidates,
    fixed: &'a [Option<Match>],
    /// Matches chosen on any path, each with the choice before it.
    chosen: Vec<(Match, Option<usize>)>,
}

impl Search<'_> {
    /// Searches the reference word by word and returns the best complete path.
    fn run(&mut self, start: Path) -> Path {
        let mut paths = vec![start];
        for word in 0..self.candidates.by_start.len() {
            rank(&mut paths);
            paths.truncate(BEAM);
            let mut following = Vec::with_capacity(4 * paths.len());
            let best = paths.first().cloned();
            for path in paths {
                self.advance(path, word, &mut following);
            }
            if following.is_empty() {
                following.extend(best);
            }
            paths = following;
        }
        rank(&mut paths);
        paths.truncate(BEAM);
        paths.iter_mut().for_each(Path::close);
        rank(&mut paths);
        paths.swap_remove(0)
    }

    /// Adds all continuations of a path at a word of the reference.
    fn advance(&mut self, mut path: Path, word: usize, following: &mut Vec<Path>) {
        if path.used_reference.meets(word, 1) {
            if word < path.next {
                following.push(path);
            } else if let Some(found) = &self.fixed[path.next] {
                path.take(found);
                path.distance += found.start.abs_diff(found.hypothesis_start);
                following.push(path);
            }
            return;
        }
        for found in &self.candidates.by_start[word] {
            if path.blocks(found) {
                continue;
            }
            let mut with = path.clone();
            with.occupy(found);
            with.take(found);
            with.last_choice = Some(self.chosen.len());
            self.chosen.push((*found, path.last_choice));
            // The original counts the distance for the alternatives tried after this one.
            path.distance += found.start.abs_diff(found.hypothesis_start);
            following.push(with);
        }
        path.skip();
        following.push(path);
    }
}

/// Most weight first, then fewest chunks, then the shortest distance; ties stay in order.
fn rank(paths: &mut [Path]) {
    paths.sort_by_key(|path| (std::cmp::Reverse(path.weight), path.chunks, path.distance));
}

/// A set of word positions, as bits.
#[derive(Clone)]
struct WordSet(Box<[u64]>);

impl WordSet {
    fn new(words: usize) -> Self {
        Self(vec![0; words.div_ceil(64)].into_boxed_slice())
    }

    fn insert(&mut self, start: usize, length: usize) {
        for word in start..start + length {
            self.0[word / 64] |= 1 << (word % 64);
        }
    }

    fn meets(&self, start: usize, length: usize) -> bool {
        (start..start + length).any(|word| self.0[word / 64] >> (word % 64) & 1 == 1)
    }
}
