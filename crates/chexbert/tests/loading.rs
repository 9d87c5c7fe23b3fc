//! What is not CheXbert's is refused by name, and what is gives the same numbers however it is batched.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ithn_chexbert::{CheXbert, CheXbertError, heads_of_config};

const HEADS: Option<usize> = Some(4);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn load(weights: &Path, vocabulary: &Path) -> Result<CheXbert, CheXbertError> {
    CheXbert::load_with_heads(weights, vocabulary, HEADS, &Device::default())
}

#[test]
fn the_number_of_heads_is_asked_for() {
    let (weights, vocabulary) = (fixture("chexbert.pth"), fixture("vocab.txt"));
    let device = Device::default();
    let error = CheXbert::load(&weights, &vocabulary, &device).unwrap_err();
    assert!(
        matches!(error, CheXbertError::UnknownHeads { hidden: 32, .. }),
        "{error}"
    );
    let error = CheXbert::load_with_heads(&weights, &vocabulary, Some(5), &device).unwrap_err();
    assert!(
        matches!(error, CheXbertError::Heads { heads: 5, .. }),
        "{error}"
    );
    assert_eq!(heads_of_config(&fixture("config.json")).unwrap(), 4);
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["chexbert.pth", "chexbert_legacy.pth"] {
        let whole = fs::read(fixture(name)).unwrap();
        let cut = folder.path().join(name);
        for kept in [0, 3, 100, whole.len() / 2, whole.len() - 1000] {
            fs::write(&cut, &whole[..kept]).unwrap();
            let error = load(&cut, &fixture("vocab.txt")).unwrap_err();
            assert!(
                matches!(&error, CheXbertError::Format { bytes, .. } if *bytes == kept as u64),
                "{kept} bytes: {error}"
            );
            assert!(error.to_string().contains("downloaded"), "{error}");
        }
    }
}

#[test]
fn another_vocabulary_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let vocabulary = folder.path().join("vocab.txt");
    let text = fs::read_to_string(fixture("vocab.txt")).unwrap();
    fs::write(&vocabulary, text.clone() + "another\n").unwrap();
    let error = load(&fixture("chexbert.pth"), &vocabulary).unwrap_err();
    assert!(
        matches!(
            error,
            CheXbertError::OtherVocabulary {
                tokens: 396,
                rows: 395,
                ..
            }
        ),
        "{error}"
    );
    fs::write(&vocabulary, text.replace("[SEP]", "[sep]")).unwrap();
    let error = load(&fixture("chexbert.pth"), &vocabulary).unwrap_err();
    assert!(error.to_string().contains("no token [SEP]"), "{error}");
    let error = load(&fixture("chexbert.pth"), &folder.path().join("absent.txt")).unwrap_err();
    assert!(matches!(error, CheXbertError::Io { .. }), "{error}");
}

/// Replaces bytes of the legacy file, whose pickle is not compressed, by as many others.
fn altered(folder: &Path, from: &[u8], to: &[u8]) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(fixture("chexbert_legacy.pth")).unwrap();
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("the bytes to replace");
    bytes[at..at + to.len()].copy_from_slice(to);
    let path = folder.join("altered.pth");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn missing_and_unknown_names_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let altered = altered(
        folder.path(),
        b"module.linear_heads.3.weight",
        b"module.linear_heads.3.wrongs",
    );
    let error = load(&altered, &fixture("vocab.txt")).unwrap_err();
    let CheXbertError::Mismatch {
        missing,
        misshapen,
        unknown,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(missing, &["linear_heads.3.weight"]);
    assert_eq!(unknown, &["linear_heads.3.wrongs"]);
    assert!(misshapen.is_empty());
    assert!(
        error.to_string().contains("missing from the file"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let altered = altered(
        folder.path(),
        b"module.bert.embeddings.word_embeddings.weight",
        b"module.gpt2.embeddings.word_embeddings.weight",
    );
    let error = load(&altered, &fixture("vocab.txt")).unwrap_err();
    assert!(
        matches!(&error, CheXbertError::Unrecognised { reason, .. } if reason.contains("word_embeddings")),
        "{error}"
    );
}

#[test]
fn batches_change_nothing_but_rounding() {
    let chexbert = load(&fixture("chexbert.pth"), &fixture("vocab.txt")).unwrap();
    let long = "no effusion . ".repeat(200);
    let reports = [
        "the lungs are clear .",
        "",
        &long,
        "heart",
        "no focal consolidation",
    ];
    let together = chexbert.read(&reports);
    for (report, together) in reports.iter().zip(&together) {
        let alone = &chexbert.read(&[report])[0];
        assert_eq!(alone.labels, together.labels);
        for (a, b) in alone.logits.iter().zip(&together.logits) {
            assert!((a - b).abs() < 2e-5, "{a} {b}");
        }
    }
    assert!(chexbert.read::<&str>(&[]).is_empty());
    assert_eq!(chexbert.embed(&["heart"])[0].len(), chexbert.sizes().hidden);
}

/// Threads of a search for negatives share one.
#[test]
fn one_model_serves_several_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let chexbert = load(&fixture("chexbert.pth"), &fixture("vocab.txt")).unwrap();
    shared(&chexbert);
    let alone = chexbert.embed(&["no effusion"]);
    let both = std::thread::scope(|scope| {
        let threads = [0, 1].map(|_| scope.spawn(|| chexbert.embed(&["no effusion"])));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(both, [alone.clone(), alone]);
}
