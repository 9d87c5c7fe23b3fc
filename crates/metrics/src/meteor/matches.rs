//! Candidate matches between words and phrases of two reports.

use std::collections::HashMap;

use super::{Modules, counts::MODULES};

/// The ways in which words can match, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Module {
    Exact = 0,
    Stem = 1,
    Synonym = 2,
    Paraphrase = 3,
}

const _: () = assert!(Module::Paraphrase as usize + 1 == MODULES);

/// A phrase of the reference that matches a phrase of the hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub module: Module,
    /// First word and number of words in the reference.
    pub start: usize,
    pub length: usize,
    /// The same in the hypothesis.
    pub hypothesis_start: usize,
    pub hypothesis_length: usize,
}

/// All possible matches of a hypothesis with a reference.
pub(super) struct Candidates {
    /// By first word of the reference, in the order in which the modules found them.
    pub by_start: Vec<Vec<Match>>,
    /// How many matches cover each word of the reference.
    pub reference_cover: Vec<u32>,
    /// How many matches cover each word of the hypothesis.
    pub hypothesis_cover: Vec<u32>,
}

impl Candidates {
    /// Collects the matches of every module; equal reports are matched exactly only.
    pub fn find(hypothesis: &[String], reference: &[String], modules: &Modules) -> Self {
        let mut found = Self {
            by_start: vec![Vec::new(); reference.len()],
            reference_cover: vec![0; reference.len()],
            hypothesis_cover: vec![0; hypothesis.len()],
        };
        found.add_words(Module::Exact, hypothesis, reference, |h, r| {
            hypothesis[h] == reference[r]
        });
        if hypothesis == reference {
            return found;
        }
        let differ = |h: usize, r: usize| hypothesis[h] != reference[r];

        let stems = |words: &[String]| -> Vec<String> {
            words.iter().map(|word| modules.stem(word)).collect()
        };
        let (left, right) = (stems(hypothesis), stems(reference));
        found.add_words(Module::Stem, hypothesis, reference, |h, r| {
            left[h] == right[r] && differ(h, r)
        });
        if let Some(tables) = &modules.tables {
            let sets = |words: &[String]| -> Vec<Vec<u32>> {
                words
                    .iter()
                    .map(|word| tables.synonyms.sets(word))
                    .collect()
            };
            let (left, right) = (sets(hypothesis), sets(reference));
            found.add_words(Module::Synonym, hypothesis, reference, |h, r| {
                left[h].iter().any(|set| right[r].contains(set)) && differ(h, r)
            });
            let ids = |words: &[String]| tables.paraphrases.ids(words);
            let (left, right) = (ids(hypothesis), ids(reference));
            found.add_phrases(&left, &right, |words, at, each| {
                tables.paraphrases.of(words, at, each);
            });
        }
        found
    }

    fn add_words(
        &mut self,
        module: Module,
        hypothesis: &[String],
        reference: &[String],
        matches: impl Fn(usize, usize) -> bool,
    ) {
        for start in 0..reference.len() {
            for hypothesis_start in 0..hypothesis.len() {
                if matches(hypothesis_start, start) {
                    self.add(Match {
                        module,
                        start,
                        length: 1,
                        hypothesis_start,
                        hypothesis_length: 1,
                    });
                }
            }
        }
    }

    /// Finds paraphrases of the reference in the hypothesis, then the other way round.
    fn add_phrases(
        &mut self,
        hypothesis: &[u32],
        reference: &[u32],
        paraphrases: impl Fn(&[u32], usize, &mut dyn FnMut(usize, &[u32])),
    ) {
        let places = Places::of(hypothesis);
        for start in 0..reference.len() {
            paraphrases(reference, start, &mut |length, phrase| {
                for hypothesis_start in places.of_phrase(phrase) {
                    self.add(Match {
                        module: Module::Paraphrase,
                        start,
                        length,
                        hypothesis_start,
                        hypothesis_length: phrase.len(),
                    });
                }
            });
        }
        let places = Places::of(reference);
        for hypothesis_start in 0..hypothesis.len() {
            paraphrases(hypothesis, hypothesis_start, &mut |length, phrase| {
                for start in places.of_phrase(phrase) {
                    self.add(Match {
                        module: Module::Paraphrase,
                        start,
                        length: phrase.len(),
                        hypothesis_start,
                        hypothesis_length: length,
                    });
                }
            });
        }
    }

    fn add(&mut self, found: Match) {
        self.by_start[found.start].push(found);
        for covered in &mut self.reference_cover[found.start..][..found.length] {
            *covered += 1;
        }
        for covered in
            &mut self.hypothesis_cover[found.hypothesis_start..][..found.hypothesis_length]
        {
            *covered += 1;
        }
    }
}

/// Positions of each word in a report.
struct Places<'a> {
    words: &'a [u32],
    of_word: HashMap<u32, Vec<usize>>,
}

impl<'a> Places<'a> {
    fn of(words: &'a [u32]) -> Self {
        let mut of_word: HashMap<u32, Vec<usize>> = HashMap::new();
        for (place, &word) in words.iter().enumerate() {
            of_word.entry(word).or_default().push(place);
        }
        Self { words, of_word }
    }

    /// Positions at which a phrase begins, from left to right.
    fn of_phrase<'p>(&'p self, phrase: &'p [u32]) -> impl Iterator<Item = usize> + 'p {
        let places = phrase.first().and_then(|word| self.of_word.get(word));
        places
            .into_iter()
            .flatten()
            .copied()
            .filter(|&place| self.words[place..].starts_with(phrase))
    }
}
