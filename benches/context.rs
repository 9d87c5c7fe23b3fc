//! What context costs: a training step with a previous study beside one without, and a decoded word. Prints the ratios of
//! paired runs, which alternate so that both have the same machine.
//!
//!     cargo bench -p ithn-benches --bench context -- [--pairs N] [--batch N] [--views N] [--side N] [--words N]
//!
//! The model is of the published size. A study carries one previous film, 100 words of the previous report and 16 of the
//! indication. The previous film's features come from a cache (`cached`), or the film passes the backbone without gradients
//! (`passed`). `RAYON_NUM_THREADS` sets the threads.

mod synthetic;

use std::process::ExitCode;
use std::time::Instant;

use burn::tensor::Device;
use ithn::device::DeviceName;
use ithn::generator::{ContextBatch, PriorFilms, PriorStudy, Projection, StudyBatch};
use ithn_generator::StepDecoder;
use ithn_kernels::on_worker;
use synthetic::{TrainingRun, VOCABULARY, normal, reading_generator};

/// Words of the previous report.
const REPORT: usize = 100;

/// Words of the indication.
const INDICATION: usize = 16;

struct Sizes {
    pairs: usize,
    batch: usize,
    views: usize,
    side: usize,
    words: usize,
}

fn main() -> ExitCode {
    ithn::device::prepare_process();
    match sizes().and_then(|sizes| run(&sizes)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn sizes() -> Result<Sizes, String> {
    let mut sizes = Sizes {
        pairs: 5,
        batch: 2,
        views: 1,
        side: 224,
        words: 60,
    };
    // Cargo adds --bench.
    let mut arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    while let Some(option) = arguments.next() {
        let place = match option.as_str() {
            "--pairs" => &mut sizes.pairs,
            "--batch" => &mut sizes.batch,
            "--views" => &mut sizes.views,
            "--side" => &mut sizes.side,
            "--words" => &mut sizes.words,
            _ => return Err(format!("no option '{option}'")),
        };
        let value = arguments.next().and_then(|value| value.parse().ok());
        *place = value
            .filter(|number| *number > 0)
            .ok_or_else(|| format!("{option} needs a number above 0"))?;
    }
    Ok(sizes)
}

fn run(sizes: &Sizes) -> Result<(), String> {
    let device = DeviceName::Cpu.open().map_err(|error| error.to_string())?;
    let autodiff = device.clone().autodiff();
    let films = |passed: bool, device: &Device| {
        let patches = (sizes.side / 32).pow(2);
        match passed {
            true => PriorFilms::Images(normal([sizes.batch, 3, sizes.side, sizes.side], device)),
            false => PriorFilms::Features(normal([sizes.batch, patches, 2048], device)),
        }
    };
    for (name, passed) in [("cached", false), ("passed", true)] {
        let mut runs = [None, Some(films(passed, &autodiff))].map(|prior| {
            let studies = |prior: &Option<PriorFilms>| studies(sizes, prior, &autodiff);
            let both = [studies(&prior), studies(&prior)];
            let generator = reading_generator(sizes.views, REPORT, INDICATION, &autodiff);
            TrainingRun::of(generator, both, sizes.words, &autodiff)
        });
        let times = paired(sizes.pairs, |with| runs[usize::from(with)].step());
        say(&format!("training step, previous film {name}"), &times);
    }
    let generator = reading_generator(sizes.views, REPORT, INDICATION, &device);
    let prior = Some(films(false, &device));
    let states = [&None, &prior].map(|prior| generator.start(studies(sizes, prior, &device)));
    let times = paired(sizes.pairs, |with| {
        let mut state = states[usize::from(with)].clone();
        on_worker(|| {
            for word in 0..sizes.words {
                let tokens = vec![(word % VOCABULARY) as u32; sizes.batch];
                std::hint::black_box(generator.step(&tokens, &mut state).into_data());
            }
        });
    });
    say(&format!("{} decoded words", sizes.words), &times);
    Ok(())
}

/// Studies that carry nothing, or a previous study and an indication.
fn studies(sizes: &Sizes, prior: &Option<PriorFilms>, device: &Device) -> StudyBatch {
    let dims = [sizes.batch, sizes.views, 3, sizes.side, sizes.side];
    let studies = StudyBatch::new(normal(dims, device));
    let Some(films) = prior else {
        return studies;
    };
    let mut context = ContextBatch::empty(sizes.batch);
    let text = |words: usize| (1..=words as u32).collect::<Vec<_>>();
    for study in 0..sizes.batch {
        context.indications[study] = text(INDICATION);
        context.priors[study] = Some(PriorStudy {
            films: study..study + 1,
            projections: vec![Some(Projection::PosteroAnterior)],
            report: text(REPORT),
            interval_days: 3,
        });
    }
    context.prior_films = Some(films.clone());
    studies.with_context(context)
}

/// Milliseconds of each pair of runs, without and with. One unmeasured run of each comes first.
fn paired(pairs: usize, mut work: impl FnMut(bool)) -> Vec<[f64; 2]> {
    let mut timed = |with: bool| {
        let began = Instant::now();
        work(with);
        1000.0 * began.elapsed().as_secs_f64()
    };
    (0..=pairs)
        .map(|_| [false, true].map(&mut timed))
        .skip(1)
        .collect()
}

/// Prints medians, and the median of the ratios.
fn say(what: &str, times: &[[f64; 2]]) {
    let median = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    let of = |read: fn(&[f64; 2]) -> f64| median(times.iter().map(read).collect());
    println!(
        "{what}: {:.1} ms without, {:.1} ms with, ratio {:.3} (median of {} pairs)",
        of(|pair| pair[0]),
        of(|pair| pair[1]),
        of(|pair| pair[1] / pair[0]),
        times.len()
    );
}
