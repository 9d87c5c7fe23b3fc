use rayon::prelude::*;

use super::dense::DenseIndex;
use super::embedding::{Embedding, ReportEmbedding, SparseVector};
use super::error::MiningError;
use super::nearest::SparseIndex;
use super::ranking::Ranking;
use super::texts::{AskedText, Texts};

/// Components smaller than this, in a vector of length 1, are dropped: their squares would vanish.
const SMALLEST: f32 = 1e-15;

/// The vectors of all texts, of length 1.
pub(super) enum Vectors {
    Sparse {
        /// Dimensions renumbered from 0 to `dimensions - 1`, in their order.
        vectors: Vec<SparseVector>,
        dimensions: usize,
    },
    Dense {
        vectors: Vec<Vec<f32>>,
        dimensions: usize,
    },
}

/// Search index of the training texts.
pub(super) enum Index<'a> {
    Sparse(SparseIndex<'a>),
    Dense(DenseIndex<'a>),
}

impl Vectors {
    pub(super) fn embed(
        texts: &Texts<'_>,
        embedding: &(impl ReportEmbedding + ?Sized),
    ) -> Result<Self, MiningError> {
        let embed = |study: &super::MiningStudy<'_>| unit(embedding.embed(study.report));
        let units: Vec<_> = texts.all().par_iter().map(embed).collect();
        let mut embeddings = Vec::with_capacity(units.len());
        for (unit, study) in units.into_iter().zip(texts.all()) {
            let id = || study.id.to_owned();
            let embedding = match unit {
                Unit::Of(embedding) => embedding,
                Unit::Zero => return Err(MiningError::EmptyReport { id: id() }),
                Unit::NotFinite => return Err(MiningError::NotFinite { id: id() }),
            };
            let (found, expected) = (
                kind(&embedding),
                kind(embeddings.first().unwrap_or(&embedding)),
            );
            if found != expected {
                return Err(MiningError::Incomparable {
                    id: id(),
                    found,
                    expected,
                });
            }
            embeddings.push(embedding);
        }
        Ok(Self::of(embeddings))
    }

    /// From embeddings of one kind.
    fn of(embeddings: Vec<Embedding>) -> Self {
        let (mut sparse, mut dense) = (Vec::new(), Vec::new());
        for embedding in embeddings {
            match embedding {
                Embedding::Sparse(vector) => sparse.push(vector),
                Embedding::Dense(vector) => dense.push(vector),
            }
        }
        match dense.first() {
            Some(first) => Vectors::Dense {
                dimensions: first.len(),
                vectors: dense,
            },
            None => {
                let dimensions = renumber(&mut sparse);
                Vectors::Sparse {
                    vectors: sparse,
                    dimensions,
                }
            }
        }
    }

    pub(super) fn index<'a>(&'a self, texts: &'a Texts<'a>) -> Index<'a> {
        match self {
            Vectors::Sparse {
                vectors,
                dimensions,
            } => Index::Sparse(SparseIndex::new(texts, vectors, *dimensions)),
            Vectors::Dense {
                vectors,
                dimensions,
            } => Index::Dense(DenseIndex::new(texts, vectors, *dimensions)),
        }
    }
}

impl Index<'_> {
    /// Texts in the order in which they are best ranked.
    pub(super) fn arrange(&self, asked: &[AskedText]) -> Vec<AskedText> {
        match self {
            Index::Sparse(index) => index.arrange(asked),
            Index::Dense(_) => asked.to_vec(),
        }
    }

    /// The ranking of each text.
    pub(super) fn rank(&self, asked: &[AskedText], k: usize) -> Vec<Ranking> {
        match self {
            Index::Sparse(index) => index.rank(asked, k),
            Index::Dense(index) => index.rank(asked, k),
        }
    }
}

fn kind(embedding: &Embedding) -> String {
    match embedding {
        Embedding::Sparse(_) => "sparse".to_owned(),
        Embedding::Dense(vector) => format!("dense of length {}", vector.len()),
    }
}

enum Unit {
    Of(Embedding),
    Zero,
    NotFinite,
}

/// Scaled to length 1.
fn unit(mut embedding: Embedding) -> Unit {
    let mut values: Vec<&mut f32> = match &mut embedding {
        Embedding::Sparse(vector) => vector
            .components_mut()
            .iter_mut()
            .map(|component| &mut component.1)
            .collect(),
        Embedding::Dense(vector) => vector.iter_mut().collect(),
    };
    let length = values
        .iter()
        .map(|value| f64::from(**value).powi(2))
        .sum::<f64>()
        .sqrt();
    if !length.is_finite() {
        return Unit::NotFinite;
    }
    if length == 0.0 {
        return Unit::Zero;
    }
    for value in &mut values {
        **value = (f64::from(**value) / length) as f32;
    }
    if let Embedding::Sparse(vector) = &mut embedding {
        vector
            .components_mut()
            .retain(|component| component.1.abs() >= SMALLEST);
    }
    Unit::Of(embedding)
}

/// Renumbers the dimensions in use from 0, in order, and returns their number.
fn renumber(vectors: &mut [SparseVector]) -> usize {
    let mut used: Vec<u32> = Vec::new();
    for vectors in vectors.chunks(4096) {
        let dimensions = vectors
            .iter()
            .flat_map(SparseVector::components)
            .map(|pair| pair.0);
        used.extend(dimensions);
        used.sort_unstable();
        used.dedup();
    }
    let number = |dimension: u32| used.partition_point(|&other| other < dimension) as u32;
    vectors.par_iter_mut().for_each(|vector| {
        for component in vector.components_mut() {
            component.0 = number(component.0);
        }
    });
    used.len()
}
