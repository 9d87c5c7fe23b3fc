use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::alter::Alter;
use crate::memory::CountedMemory;
use crate::random::Random;

/// Default number of altered inputs per target.
const FEW: usize = 200;

/// Longest time for one input in timed runs; other runs do not depend on time.
const LONGEST: Duration = Duration::from_secs(20);

/// Interval between progress messages.
const PROGRESS: Duration = Duration::from_secs(60);

/// Memory is counted for the whole program: one target at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A parser of untrusted data, and the inputs for fuzzing it.
#[derive(Debug)]
pub struct Target<'a> {
    /// Name of the target, and of its folder below `corpus`.
    pub name: &'a str,
    /// Name of the file whose path is passed to the parser.
    pub file: &'a str,
    /// Valid files.
    pub seeds: Vec<Vec<u8>>,
    /// Words of the format.
    pub words: &'a [&'a str],
    /// Repairs checksums of an altered input; applied to half of the inputs.
    pub mend: Option<fn(&mut [u8])>,
    /// Folder of saved inputs, with a subfolder per target.
    pub corpus: &'a Path,
    /// Bytes that parsing one input may allocate, in addition to 100 per byte of input.
    pub memory: usize,
}

/// When to stop.
enum Effort {
    Inputs(usize),
    Time(Duration),
}

impl Effort {
    fn asked_for() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(
                text.parse()
                    .unwrap_or_else(|_| panic!("{name} is a number")),
            )
        };
        match number("ITHN_FUZZ_SECONDS") {
            Some(seconds) => Effort::Time(Duration::from_secs(seconds)),
            None => Effort::Inputs(number("ITHN_MUTATIONS").map_or(FEW, |count| count as usize)),
        }
    }
}

/// One target under way.
struct Run<'a, F> {
    target: &'a Target<'a>,
    parse: F,
    input: PathBuf,
    is_timed: bool,
    tried: usize,
    peak: usize,
    slowest: Duration,
}

impl Target<'_> {
    /// Writes every input to a file in `folder`, and calls `parse` with the path of the file and its bytes.
    /// `folder` may hold other files. No other target may use it at the same time.
    ///
    /// # Panics
    ///
    /// - If an input makes `parse` panic, takes too much memory or, in a timed run, takes too long. The
    ///   message names a file that holds the input.
    /// - If files cannot be read or written.
    /// - If [`CountedMemory`] is not the global allocator.
    pub fn run(&self, folder: &Path, parse: impl FnMut(&Path, &[u8])) {
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(CountedMemory::taken() > 0, "memory is not counted");
        let effort = Effort::asked_for();
        let found = self.found();
        let mut run = Run {
            target: self,
            parse,
            input: folder.join(self.file),
            is_timed: matches!(effort, Effort::Time(_)),
            tried: 0,
            peak: 0,
            slowest: Duration::ZERO,
        };
        let begun = Instant::now();
        let seeds: Vec<Vec<u8>> = self.seeds.iter().cloned().chain(found).collect();
        seeds.iter().for_each(|seed| run.try_input(seed));
        let mut random = Random::named(self.name);
        let alter = Alter {
            seeds: &seeds,
            words: self.words,
        };
        let mut told = begun;
        while match effort {
            Effort::Inputs(count) => run.tried < seeds.len() + count,
            Effort::Time(limit) => begun.elapsed() < limit,
        } {
            let mut input = alter.next(&mut random);
            if let Some(mend) = self.mend
                && random.below(2) == 0
            {
                mend(&mut input);
            }
            run.try_input(&input);
            if told.elapsed() > PROGRESS {
                told = Instant::now();
                eprintln!("{}: {} inputs so far", self.name, run.tried);
            }
        }
        eprintln!(
            "{}: {} inputs in {:.1} s, at most {:.1} MiB and {:.3} s each",
            self.name,
            run.tried,
            begun.elapsed().as_secs_f64(),
            run.peak as f64 / f64::from(1 << 20),
            run.slowest.as_secs_f64(),
        );
    }

    /// Every file of the target's corpus, in the order of their names.
    fn found(&self) -> Vec<Vec<u8>> {
        let folder = self.corpus.join(self.name);
        if !folder.is_dir() {
            return Vec::new();
        }
        let entries = fs::read_dir(&folder).expect("a readable corpus");
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("a readable corpus").path())
            .collect();
        paths.sort();
        let read = |path: &PathBuf| fs::read(path).expect("a readable corpus");
        paths.iter().map(read).collect()
    }
}

impl<F: FnMut(&Path, &[u8])> Run<'_, F> {
    fn try_input(&mut self, bytes: &[u8]) {
        // Written first, so that it is there even after an abort.
        fs::write(&self.input, bytes).expect("a writable folder");
        CountedMemory::forget_peak();
        let (before, begun) = (CountedMemory::taken(), Instant::now());
        let result = catch_unwind(AssertUnwindSafe(|| (self.parse)(&self.input, bytes)));
        let taken = CountedMemory::peak().saturating_sub(before);
        let elapsed = begun.elapsed();
        self.tried += 1;
        self.peak = self.peak.max(taken);
        self.slowest = self.slowest.max(elapsed);
        if let Err(panic) = result {
            self.fail(bytes, &format!("panicked: {}", message(&*panic)));
        }
        if taken > self.target.memory + 100 * bytes.len() {
            self.fail(bytes, &format!("took {taken} bytes of memory"));
        }
        if self.is_timed && elapsed > LONGEST {
            self.fail(bytes, &format!("took {:.1} s", elapsed.as_secs_f64()));
        }
    }

    fn fail(&self, bytes: &[u8], what: &str) -> ! {
        let name = self.target.name;
        let kept =
            std::env::temp_dir().join(format!("found-{}-{}", name.replace('/', "-"), self.tried));
        fs::write(&kept, bytes).expect("a writable folder");
        panic!(
            "{name}: input {} {what}\n{} holds it; copy it into {} once it is understood",
            self.tried,
            kept.display(),
            self.target.corpus.join(name).display()
        );
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "with no message",
    }
}
