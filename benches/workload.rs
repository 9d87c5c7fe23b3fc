//! Runs workloads of the comparison with PyTorch and prints a line for each:
//! `{"name": ..., "first_ms": ..., "ms": [...], "mb": peak}`.
//!
//!     workload NAME[:SIZE=N,...]... [--repeats N] [--inputs FOLDER] [--device NAME] [--precision f32|bf16]
//!
//! `first_ms` is the time of a first run, in which kernels are compiled and tuned if the device needs it; `ms` are the
//! times of the runs after it. `mb` is the peak of host memory since the program started, earlier workloads included.
//! The sizes (`batch`, `length`, `rows`, `side`, `studies`) are those of `benches/pytorch/workloads.py` unless the name
//! sets others; `train_step:recompute=1` computes the backbone's activations again in the backward pass.
//! `RAYON_NUM_THREADS` sets the number of threads.

mod synthetic;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use burn::tensor::Device;
use ithn::device::DeviceName;
use ithn_data::{ImageTransform, decode_image, normalise};
use ithn_kernels::in_bfloat16;
use ithn_metrics::score_corpus;
use synthetic::reports::MiningRun;
use synthetic::{BackboneRun, GenerationRun, MemoryRun, TrainingRun};

fn main() -> ExitCode {
    ithn::device::prepare_process();
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut repeats, mut inputs, mut device) = (3, PathBuf::from("."), DeviceName::Cpu);
    let (mut names, mut rounds) = (Vec::new(), false);
    while let Some(option) = arguments.next() {
        if !option.starts_with("--") {
            names.push(option);
            continue;
        }
        let value = arguments
            .next()
            .ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--repeats" => {
                repeats = value
                    .parse()
                    .map_err(|_| format!("'{value}' is no number"))?
            }
            "--inputs" => inputs = value.into(),
            "--device" => device = value.parse().map_err(shown)?,
            "--precision" => {
                rounds = match value.as_str() {
                    "f32" => false,
                    "bf16" => true,
                    _ => return Err(format!("no precision '{value}': f32 or bf16")),
                }
            }
            _ => return Err(format!("no option '{option}'")),
        }
    }
    if names.is_empty() {
        return Err("name a workload".to_owned());
    }
    if device != DeviceName::Cpu
        && let Some(name) = names.iter().find(|name| !on_device(name))
    {
        return Err(format!("'{name}' runs on the processor alone"));
    }
    let device = device.open().map_err(shown)?;
    for name in &names {
        let mut work = workload(name, &inputs, &device)?;
        measure(name, repeats, &device, || match rounds {
            true => in_bfloat16(&mut work),
            false => work(),
        })?;
    }
    Ok(())
}

/// Runs a workload and prints its line.
fn measure(
    name: &str,
    repeats: usize,
    device: &Device,
    mut work: impl FnMut(),
) -> Result<(), String> {
    let mut timed = || {
        let began = Instant::now();
        work();
        device.sync().map_err(shown)?;
        Ok::<_, String>(format!("{:.3}", 1000.0 * began.elapsed().as_secs_f64()))
    };
    let first = timed()?;
    let times: Vec<String> = (0..repeats).map(|_| timed()).collect::<Result<_, _>>()?;
    println!(
        "{{\"name\": \"{name}\", \"first_ms\": {first}, \"ms\": [{}], \"mb\": {:.1}}}",
        times.join(", "),
        peak_mb()?
    );
    Ok(())
}

fn shown(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Whether a workload's tensors lie on the device.
fn on_device(name: &str) -> bool {
    !["mining", "images", "metrics"]
        .iter()
        .any(|host| name.starts_with(host))
}

/// Sizes that a name may carry, such as `batch=4,length=60`.
struct Sizes<'a>(Vec<(&'a str, usize)>);

impl<'a> Sizes<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let size = |part: &'a str| {
            let (key, value) = part.split_once('=')?;
            Some((key, value.parse().ok()?))
        };
        let known = |(key, _): &(&str, usize)| {
            ["batch", "length", "recompute", "rows", "side", "studies"].contains(key)
        };
        text.split(',')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let size = size(part).filter(known);
                size.ok_or_else(|| format!("'{part}' is no size"))
            })
            .collect::<Result<_, _>>()
            .map(Sizes)
    }

    fn or(&self, key: &str, usual: usize) -> usize {
        let given = self.0.iter().find(|(name, _)| *name == key);
        given.map_or(usual, |&(_, value)| value)
    }
}

fn workload(name: &str, inputs: &Path, device: &Device) -> Result<Box<dyn FnMut()>, String> {
    let (name, sizes) = name.split_once(':').unwrap_or((name, ""));
    let sizes = Sizes::parse(sizes)?;
    Ok(match name {
        "memory_60" | "memory_98" => {
            let length = if name == "memory_60" { 60 } else { 98 };
            let run = MemoryRun::new(
                sizes.or("rows", 2048),
                sizes.or("batch", 16),
                sizes.or("length", length),
                device,
            );
            Box::new(move || run.forward_backward())
        }
        "beam_3" => {
            let run = GenerationRun::published(sizes.or("batch", 2), sizes.or("side", 224), device);
            let length = sizes.or("length", 60);
            Box::new(move || run.write(3, length))
        }
        "train_step" => {
            let (batch, length) = (sizes.or("batch", 2), sizes.or("length", 60));
            let mut run = TrainingRun::published(batch, length, sizes.or("side", 224), device)
                .with_recomputation(sizes.or("recompute", 0) != 0);
            Box::new(move || run.step())
        }
        "backbone_forward" => {
            let run = BackboneRun::published(sizes.or("batch", 2), sizes.or("side", 224), device);
            Box::new(move || run.forward())
        }
        "backbone_backward" => {
            let run = BackboneRun::published(sizes.or("batch", 2), sizes.or("side", 224), device);
            Box::new(move || run.forward_backward())
        }
        "mining" => {
            let run = MiningRun::new(sizes.or("studies", 4000));
            Box::new(move || run.mine())
        }
        "images_gray" => images(&inputs.join("gray"))?,
        "images_rgb" => images(&inputs.join("rgb"))?,
        "metrics" => metrics(&inputs.join("pairs.json"))?,
        _ => return Err(format!("no workload '{name}'")),
    })
}

fn images(folder: &Path) -> Result<Box<dyn FnMut()>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(named)? {
        paths.push(entry.map_err(named)?.path());
    }
    let transform = ImageTransform::evaluation(224);
    Ok(Box::new(move || {
        for path in &paths {
            let image = decode_image(path).expect("a JPEG that inputs.py has written");
            let square = transform.apply(&image, 0).expect("larger than the square");
            std::hint::black_box(normalise(&square, 224 * 224));
        }
    }))
}

fn metrics(file: &Path) -> Result<Box<dyn FnMut()>, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let pairs: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let field = |pair: &serde_json::Value, name: &str| pair[name].as_str().map(str::to_owned);
    let pairs: Vec<(String, String)> = pairs
        .iter()
        .filter_map(|pair| field(pair, "generated").zip(field(pair, "reference")))
        .collect();
    Ok(Box::new(move || {
        let pairs = pairs
            .iter()
            .map(|(generated, reference)| (generated.as_str(), reference.as_str()));
        std::hint::black_box(score_corpus(pairs).expect("pairs of words"));
    }))
}

/// Largest resident set so far, in MiB.
fn peak_mb() -> Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("peak memory is read from /proc: {error}"))?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<f64>()
                .ok()
        })
        .map(|kib| kib / 1024.0)
        .ok_or_else(|| "no peak memory in /proc/self/status".to_owned())
}
