use std::io;
use std::path::PathBuf;

/// Why weights, a vocabulary or a set of fixtures could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheXbertError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The weights are truncated or not a PyTorch checkpoint.
    #[error(
        "{path} is not a readable PyTorch checkpoint: {reason}. It has {bytes} bytes: if it was downloaded, compare \
         them with the size at its source and download it again if they differ"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// What is wrong.
        reason: String,
    },
    /// The sizes of a BERT cannot be inferred from the tensors.
    #[error("{path} does not hold CheXbert's weights: {reason}")]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// What is missing or contradictory.
        reason: String,
    },
    /// Tensors are missing, misshapen or unknown.
    #[error("{path} does not fit CheXbert:{}", Names(missing, misshapen, unknown))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Names that the model needs and the file lacks.
        missing: Vec<String>,
        /// Names whose shape or type differs, with both.
        misshapen: Vec<String>,
        /// Names in the file that CheXbert does not have.
        unknown: Vec<String>,
    },
    /// The number of attention heads leaves no trace in the weights, and is known for one width only.
    #[error(
        "{path} has a hidden size of {hidden}, for which the number of attention heads is not known (12 for 768): \
         state it, or give the model's config.json"
    )]
    UnknownHeads {
        /// The file of the weights.
        path: PathBuf,
        /// Width of the hidden states.
        hidden: usize,
    },
    /// The hidden size is no multiple of the number of attention heads.
    #[error("{heads} attention heads do not divide the hidden size {hidden} of {path}")]
    Heads {
        /// The file of the weights.
        path: PathBuf,
        /// Width of the hidden states.
        hidden: usize,
        /// Heads asked for.
        heads: usize,
    },
    /// A vocabulary is not one of BERT's.
    #[error("{path}: {reason}; expected BERT's vocab.txt, one token per line")]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The vocabulary is not the one that the weights were trained with.
    #[error(
        "{vocabulary} has {tokens} tokens, but {weights} has embeddings for {rows}: give the vocab.txt that the \
         model was trained with (bert-base-uncased for CheXbert, 30522 tokens)"
    )]
    OtherVocabulary {
        /// The file of the vocabulary.
        vocabulary: PathBuf,
        /// Number of tokens in the vocabulary.
        tokens: usize,
        /// The file of the weights.
        weights: PathBuf,
        /// Rows of its word embeddings.
        rows: usize,
    },
    /// A JSON or safetensors file that belongs to the weights has unexpected content.
    #[error("{path}: {reason}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl CheXbertError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn layout(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Layout {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Most names that a message lists of a kind.
const LISTED: usize = 20;

/// Lists of names, one per line.
struct Names<'a>(&'a [String], &'a [String], &'a [String]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, names) in [
            ("missing from the file", self.0),
            ("of another shape", self.1),
            ("in the file but not in CheXbert", self.2),
        ] {
            if names.is_empty() {
                continue;
            }
            write!(f, "\n  {} {what}:", names.len())?;
            for name in names.iter().take(LISTED) {
                write!(f, "\n    {name}")?;
            }
            if names.len() > LISTED {
                write!(f, "\n    and {} more", names.len() - LISTED)?;
            }
        }
        Ok(())
    }
}
