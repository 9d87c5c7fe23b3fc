//! Whatever stands in a file from outside, reading it gives a result or an error: no panic, and no
//! more memory than the file is worth. See `ithn_fuzzing` for what is tried.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ithn_chexbert::{CheXbert, Cleaning, Tokenizer};
use ithn_fuzzing::{CountedMemory, Target};

#[global_allocator]
static MEMORY: CountedMemory = CountedMemory;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn target<'a>(name: &'a str, file: &'a str, words: &'a [&'a str], memory: usize) -> Target<'a> {
    Target {
        name,
        file,
        seeds: Vec::new(),
        words,
        mend: None,
        corpus: Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus")),
        memory,
    }
}

#[test]
fn weights() {
    let words = [
        "module.",
        "model_state_dict",
        "bert.encoder.layer.",
        "linear_heads.",
        "OrderedDict",
        "_rebuild_tensor_v2",
        "PK\x01\x02",
    ];
    let folder = tempfile::tempdir().unwrap();
    let target = Target {
        seeds: ["chexbert.pth", "chexbert_legacy.pth"]
            .map(|name| fs::read(fixture(name)).unwrap())
            .to_vec(),
        ..target("weights", "chexbert.pth", &words, 64 << 20)
    };
    let vocabulary = fixture("vocab.txt");
    target.run(folder.path(), |path, _| {
        let device = Device::default();
        if let Ok(chexbert) = CheXbert::load_with_heads(path, &vocabulary, Some(4), &device) {
            chexbert.label(&["no effusion"]);
        }
    });
}

#[test]
fn vocabularies_and_reports() {
    let words = [
        "[SEP]", "##", "\n", "\u{3a3}", "e\u{301}", "\u{2028}", "[UNK]", "胸",
    ];
    let folder = tempfile::tempdir().unwrap();
    let target = Target {
        seeds: ["vocab.txt", "reports.json"]
            .map(|name| fs::read(fixture(name)).unwrap())
            .to_vec(),
        ..target("vocabulary", "vocab.txt", &words, 64 << 20)
    };
    let known = Tokenizer::read(&fixture("vocab.txt")).unwrap();
    target.run(folder.path(), |path, bytes| {
        let report = String::from_utf8_lossy(bytes);
        for cleaning in [
            Cleaning::LabelScript,
            Cleaning::ReportList,
            Cleaning::CxrMate2,
        ] {
            let ids = known.encode(&cleaning.apply(&report), 512);
            assert!(ids.len() <= 512 && ids.iter().all(|id| (*id as usize) < known.vocabulary()));
        }
        if let Ok(tokenizer) = Tokenizer::read(path) {
            tokenizer.encode("no pleural effusion", 512);
        }
    });
}
