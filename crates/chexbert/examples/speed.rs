//! Times BERT-base with random weights on reports of random words, for comparison with PyTorch.
//!
//! ```sh
//! cargo run --release -p ithn-chexbert --example speed -- [REPORTS [WORDS [FOLDER]]]
//! ```
//!
//! Writes `chexbert.pth` and `vocab.txt` to FOLDER (a temporary one by default) unless they are there,
//! loads them, and prints seconds and peak memory of the process. The files suit Python as well: the
//! weights are a plain zip checkpoint.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use ithn_chexbert::CheXbert;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Sizes of BERT-base.
const VOCABULARY: usize = 30_522;
const HIDDEN: usize = 768;
const INTERMEDIATE: usize = 3072;
const LAYERS: usize = 12;
const POSITIONS: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    ithn_kernels::keep_freed_memory();
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| match arguments.next() {
        Some(text) => text.parse(),
        None => Ok(default),
    };
    let (reports, words) = (number(1000)?, number(60)?);
    let folder = match arguments.next() {
        Some(folder) => PathBuf::from(folder),
        None => std::env::temp_dir().join("ithn-chexbert-speed"),
    };
    std::fs::create_dir_all(&folder)?;
    let (weights, vocabulary) = (folder.join("chexbert.pth"), folder.join("vocab.txt"));
    if !weights.exists() {
        write_vocabulary(&vocabulary)?;
        write_weights(&weights)?;
    }
    let mut random = Random(7);
    let texts: Vec<String> = (0..reports)
        .map(|_| {
            let words: Vec<String> = (0..words)
                .map(|_| format!("word{}", random.next() % 20_000))
                .collect();
            words.join(" ")
        })
        .collect();

    let begun = Instant::now();
    let chexbert = CheXbert::load(&weights, &vocabulary, &Device::default())?;
    println!("load {:.2} s", begun.elapsed().as_secs_f64());
    chexbert.label(&texts[..texts.len().min(8)]);
    let begun = Instant::now();
    let labels = chexbert.label(&texts);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} reports of {words} words: {seconds:.2} s, {:.1} reports/s",
        labels.len(),
        labels.len() as f64 / seconds
    );
    if let Some(peak) = peak_memory() {
        println!("peak memory {} MiB", peak / 1024);
    }
    Ok(())
}

/// Most resident memory so far, in KiB, where the system tells.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Special tokens first, then words that are one piece each.
fn write_vocabulary(path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for token in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] {
        writeln!(file, "{token}")?;
    }
    for word in 0..VOCABULARY - 5 {
        writeln!(file, "word{word}")?;
    }
    file.flush()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    /// Roughly normal, with a standard deviation of 0.02 as in BERT's initialisation.
    fn weight(&mut self) -> f32 {
        let sum: f32 = (0..4)
            .map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32)
            .sum();
        0.02 * (sum - 2.0) * 1.732
    }
}

/// Names and shapes of CheXbert's tensors.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut tensors = Vec::new();
    let mut add = |name: &str, shape: &[usize]| {
        tensors.push((format!("module.{name}.weight"), shape.to_vec()));
        tensors.push((format!("module.{name}.bias"), shape[..1].to_vec()));
    };
    add("bert.embeddings.LayerNorm", &[HIDDEN]);
    for layer in 0..LAYERS {
        let layer = |part: &str| format!("bert.encoder.layer.{layer}.{part}");
        for part in ["query", "key", "value"] {
            add(&layer(&format!("attention.self.{part}")), &[HIDDEN, HIDDEN]);
        }
        add(&layer("attention.output.dense"), &[HIDDEN, HIDDEN]);
        add(&layer("attention.output.LayerNorm"), &[HIDDEN]);
        add(&layer("intermediate.dense"), &[INTERMEDIATE, HIDDEN]);
        add(&layer("output.dense"), &[HIDDEN, INTERMEDIATE]);
        add(&layer("output.LayerNorm"), &[HIDDEN]);
    }
    for head in 0..14 {
        let outputs = if head == 13 { 2 } else { 4 };
        add(&format!("linear_heads.{head}"), &[outputs, HIDDEN]);
    }
    for (name, rows) in [
        ("word", VOCABULARY),
        ("position", POSITIONS),
        ("token_type", 2),
    ] {
        let name = format!("module.bert.embeddings.{name}_embeddings.weight");
        tensors.push((name, vec![rows, HIDDEN]));
    }
    tensors
}

/// Writes random weights as `torch.save` does.
fn write_weights(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let tensors = tensors();
    let mut archive = ZipWriter::new(BufWriter::new(File::create(path)?));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    archive.start_file("archive/data.pkl", options)?;
    archive.write_all(&pickle(&tensors))?;
    archive.start_file("archive/version", options)?;
    archive.write_all(b"3\n")?;
    let mut random = Random(1);
    for (key, (name, shape)) in tensors.iter().enumerate() {
        archive.start_file(format!("archive/data/{key}"), options)?;
        let is_scale = name.ends_with("LayerNorm.weight");
        for _ in 0..shape.iter().product::<usize>() {
            let value = if is_scale { 1.0 } else { random.weight() };
            archive.write_all(&value.to_le_bytes())?;
        }
    }
    archive.finish()?.flush()?;
    Ok(())
}

/// The pickle of `{"model_state_dict": OrderedDict of tensors}`, protocol 2.
fn pickle(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let mut out = b"\x80\x02}".to_vec();
    text(&mut out, "model_state_dict");
    out.extend(b"ccollections\nOrderedDict\n)R(");
    for (key, (name, shape)) in tensors.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &key.to_string());
        text(&mut out, "cpu");
        int(&mut out, shape.iter().product());
        out.extend(b"tQ");
        int(&mut out, 0);
        out.push(b'(');
        shape.iter().for_each(|&size| int(&mut out, size));
        out.extend(b"t(");
        for axis in 0..shape.len() {
            int(&mut out, shape[axis + 1..].iter().product());
        }
        out.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"us.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(out: &mut Vec<u8>, value: usize) {
    out.push(b'J');
    out.extend((value as u32).to_le_bytes());
}
