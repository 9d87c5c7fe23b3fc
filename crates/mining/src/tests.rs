//! The laws of mining: it agrees with comparing everything, in any pool of threads.

use std::collections::HashSet;
use std::sync::Mutex;

use rayon::ThreadPoolBuilder;

use super::embedding::{Embedding, ReportEmbedding, SparseVector};
use super::texts::Texts;
use super::vectors::Vectors;
use super::{MiningError, MiningStudy, Neighbour, TfIdfConfig, dense, mine};

/// Numbers that look random (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        let step = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = step.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Patients and reports of few words, so that duplicates and ties abound.
fn corpus(random: &mut Random, studies: usize, words: usize) -> Vec<(String, String)> {
    let study = |_| {
        let patient = format!("p{}", random.below(studies.div_ceil(2)));
        let count = 1 + random.below(6);
        // Squared, so that low words are common and high ones rare.
        let mut word = || format!("w{}", random.below(words) * random.below(words) / words);
        let report: Vec<String> = (0..count).map(|_| word()).collect();
        (patient, report.join([" ", "  ", " . "][random.below(3)]))
    };
    (0..studies).map(study).collect()
}

fn studies(corpus: &[(String, String)]) -> Vec<MiningStudy<'_>> {
    let studies = corpus.iter();
    studies
        .map(|(patient, report)| MiningStudy {
            id: patient,
            patient,
            report,
        })
        .collect()
}

fn spaced(report: &str) -> String {
    report.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cosine of two texts, as the miner rounds it.
fn cosine(vectors: &Vectors, a: usize, b: usize) -> f32 {
    match vectors {
        Vectors::Dense { vectors, .. } => dense::dot(&vectors[a], &vectors[b]).clamp(-1.0, 1.0),
        Vectors::Sparse { vectors, .. } => {
            let other = vectors[b].components();
            let weight = |term| {
                other
                    .iter()
                    .find(|pair| pair.0 == term)
                    .map_or(0.0, |pair| pair.1)
            };
            let products = vectors[a].components().iter();
            let sum: f64 = products
                .map(|pair| f64::from(pair.1) * f64::from(weight(pair.0)))
                .sum();
            (sum as f32).clamp(-1.0, 1.0) + 0.0
        }
    }
}

/// Compares every query with every training study.
fn brute_force(
    training: &[MiningStudy<'_>],
    queries: &[MiningStudy<'_>],
    k: usize,
    embedding: &dyn ReportEmbedding,
) -> Vec<Vec<Neighbour>> {
    let texts = Texts::collect(training, queries);
    let vectors = Vectors::embed(&texts, embedding).unwrap();
    let closest = |(query, own): (&MiningStudy<'_>, usize)| {
        let admissible = training.iter().enumerate().filter(|(_, study)| {
            study.patient != query.patient && spaced(study.report) != spaced(query.report)
        });
        let mut all: Vec<Neighbour> = admissible
            .map(|(index, _)| {
                let text = texts.training()[index].text as usize;
                Neighbour {
                    index,
                    similarity: cosine(&vectors, own, text),
                }
            })
            .collect();
        // Stable: ties stay in the order of indices.
        all.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        all.truncate(k);
        all
    };
    let own = texts.queries().iter().map(|query| query.text as usize);
    queries.iter().zip(own).map(closest).collect()
}

/// A dense vector of letter counts, some negative.
fn letters(report: &str) -> Embedding {
    let mut counts = vec![0.0; 37];
    for byte in report.bytes() {
        counts[usize::from(byte) * 7 % 37] += if byte % 3 == 0 { -1.5 } else { 1.0 };
    }
    Embedding::Dense(counts)
}

/// Letter counts again, as a sparse vector with far-apart dimensions.
fn sparse_letters(report: &str) -> Embedding {
    let Embedding::Dense(counts) = letters(report) else {
        unreachable!()
    };
    let components = (0..).map(|i: u32| i * 99_999_989).zip(counts);
    Embedding::Sparse(SparseVector::new(components.collect()))
}

#[test]
fn agrees_with_comparing_everything() {
    let mut random = Random(1);
    for (size, words) in [(2, 2), (9, 3), (40, 5), (150, 12), (400, 60), (400, 2000)] {
        for k in [1, 3, 10] {
            let (inside, outside) = (
                corpus(&mut random, size, words),
                corpus(&mut random, 20, words + 5),
            );
            let (training, outside) = (studies(&inside), studies(&outside));
            let tf_idf = TfIdfConfig::default().fit(training.iter().map(|study| study.report));
            let embeddings: [&dyn ReportEmbedding; 3] = [&tf_idf, &letters, &sparse_letters];
            for embedding in embeddings {
                for queries in [&training, &outside] {
                    let mined = mine(&training, queries, k, embedding, |_| {}).unwrap();
                    let expected = brute_force(&training, queries, k, embedding);
                    assert_eq!(mined, expected, "{size} studies, {words} words, k = {k}");
                }
            }
        }
    }
}

/// Counts of words at one of 300 places each, some negative: more common terms than a row holds.
fn signed_words(report: &str) -> Embedding {
    let components = report.split_whitespace().map(|word| {
        let hash = word.bytes().fold(7_u32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        (hash % 300, if hash % 3 == 0 { -1.0 } else { 1.0 })
    });
    Embedding::Sparse(SparseVector::new(components.chain([(300, 0.5)]).collect()))
}

/// Reports of many words out of few, so that most words are common.
fn long_reports(random: &mut Random, studies: usize) -> Vec<(String, String)> {
    let study = |index| {
        let words: Vec<String> = (0..40).map(|_| format!("w{}", random.below(120))).collect();
        (format!("p{}", index / 2), words.join(" "))
    };
    (0..studies).map(study).collect()
}

#[test]
fn agrees_with_comparing_everything_over_many_blocks() {
    let mut random = Random(4);
    for inside in [
        corpus(&mut random, 6000, 4000),
        long_reports(&mut random, 2500),
    ] {
        let training = studies(&inside);
        let distinct: HashSet<String> = inside.iter().map(|(_, report)| spaced(report)).collect();
        assert!(distinct.len() > 2100, "{}", distinct.len());
        let outside = corpus(&mut random, 20, 4100);
        let ends = [&training[..25], &training[training.len() - 25..]].concat();
        let tf_idf = TfIdfConfig::default().fit(training.iter().map(|study| study.report));
        let embeddings: [&dyn ReportEmbedding; 2] = [&tf_idf, &signed_words];
        for embedding in embeddings {
            for queries in [&ends, &studies(&outside)] {
                let mined = mine(&training, queries, 3, embedding, |_| {}).unwrap();
                assert_eq!(mined, brute_force(&training, queries, 3, embedding));
            }
        }
    }
}

#[test]
fn the_closest_of_many_ties_have_the_lowest_indices() {
    // The same words in other orders are other texts, all as close.
    let words = ["a", "b", "c", "d", "e", "f", "g"];
    let report = |number: usize| {
        let mut rest = words.to_vec();
        let mut number = number;
        let mut order = Vec::new();
        while !rest.is_empty() {
            order.push(rest.remove(number % rest.len()));
            number /= rest.len() + 1;
        }
        order.join(" ")
    };
    let pairs: Vec<(String, String)> = (0..5040)
        .map(|number| (format!("p{number}"), report(number)))
        .collect();
    let training = studies(&pairs);
    let queries = [&training[..2], &training[5000..5002]].concat();
    let tf_idf = TfIdfConfig::default().fit(training.iter().map(|study| study.report));
    let mined = mine(&training, &queries, 4, &tf_idf, |_| {}).unwrap();
    let indices: Vec<Vec<usize>> = (mined.iter())
        .map(|found| found.iter().map(|neighbour| neighbour.index).collect())
        .collect();
    assert_eq!(
        indices,
        [[1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2, 3]]
    );
}

#[test]
fn does_not_depend_on_threads() {
    let corpus = corpus(&mut Random(2), 700, 30);
    let training = studies(&corpus);
    let tf_idf = TfIdfConfig::default().fit(training.iter().map(|study| study.report));
    let with = |threads| {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| mine(&training, &training, 4, &tf_idf, |_| {}).unwrap())
    };
    let alone = with(1);
    assert_eq!(alone, with(2));
    assert_eq!(alone, with(7));
}

#[test]
fn progress_grows_to_the_number_of_queries() {
    let corpus = corpus(&mut Random(3), 500, 30);
    let training = studies(&corpus);
    let tf_idf = TfIdfConfig::default().fit(training.iter().map(|study| study.report));
    let seen = Mutex::new(Vec::new());
    mine(&training, &training, 1, &tf_idf, |done| {
        seen.lock().unwrap().push(done)
    })
    .unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted());
    assert_eq!(seen.last(), Some(&500));
}

fn mine_words(pairs: &[(&str, &str)], k: usize) -> Result<Vec<Vec<Neighbour>>, MiningError> {
    let study = |&(patient, report)| MiningStudy {
        id: patient,
        patient,
        report,
    };
    let training: Vec<MiningStudy<'_>> = pairs.iter().map(study).collect();
    let tf_idf = TfIdfConfig::default().fit(pairs.iter().map(|pair| pair.1));
    mine(&training, &training, k, &tf_idf, |_| {})
}

#[test]
fn nothing_admissible_gives_empty_lists() {
    let empty = |pairs: &[_]| mine_words(pairs, 2).unwrap().iter().all(Vec::is_empty);
    assert!(empty(&[("p", "a b")]));
    assert!(empty(&[("p", "a b"), ("q", "a  b"), ("r", " a b")]));
    assert!(empty(&[("p", "a b"), ("p", "a c"), ("p", "d")]));
}

#[test]
fn a_report_with_the_same_words_in_another_order_is_no_duplicate() {
    let mined = mine_words(&[("p", "a b"), ("q", "c"), ("r", "b a")], 1).unwrap();
    assert_eq!(
        mined[0],
        [Neighbour {
            index: 2,
            similarity: mined[0][0].similarity
        }]
    );
    assert!(mined[0][0].similarity > 0.999_999);
}

#[test]
fn reports_without_a_shared_word_are_negatives_of_last_resort() {
    let mined = mine_words(&[("p", "a"), ("p", "b"), ("q", "c"), ("r", "d")], 5).unwrap();
    let far = |indices: &[usize]| -> Vec<Neighbour> {
        indices
            .iter()
            .map(|&index| Neighbour {
                index,
                similarity: 0.0,
            })
            .collect()
    };
    assert_eq!(
        mined,
        [far(&[2, 3]), far(&[2, 3]), far(&[0, 1, 3]), far(&[0, 1, 2])]
    );
}

#[test]
fn errors_name_the_study() {
    let error = |pairs: &[_]| mine_words(pairs, 1).unwrap_err();
    assert_eq!(error(&[]), MiningError::EmptyTrainingSet);
    let empty = error(&[("p", "a"), ("q", " . ")]);
    assert_eq!(empty, MiningError::EmptyReport { id: "q".to_owned() });

    let pair = ["a", "bb"].map(|report| MiningStudy {
        id: report,
        patient: report,
        report,
    });
    let with = |embed: fn(&str) -> Embedding| mine(&pair, &pair, 1, &embed, |_| {}).unwrap_err();
    let infinite = with(|_| Embedding::Dense(vec![f32::INFINITY]));
    assert_eq!(infinite, MiningError::NotFinite { id: "a".to_owned() });
    let ragged = with(|report| Embedding::Dense(vec![1.0; report.len()]));
    assert!(
        ragged.to_string().contains("'bb' is dense of length 2"),
        "{ragged}"
    );
}
