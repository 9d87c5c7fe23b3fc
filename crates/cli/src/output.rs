//! What goes to standard output, to standard error, and to the files of `--json`, `--csv` and the like.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ithn::data::write_atomically;
use ithn::train::Verbosity;
use serde::Serialize;

use crate::failure::Failure;
use crate::stderr::say;

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talk {
    /// As the user chose.
    pub(crate) verbosity: Verbosity,
    /// Whether standard output carries a file, so that everything else goes to standard error.
    carries_file: bool,
}

impl Talk {
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        Talk {
            verbosity,
            carries_file: false,
        }
    }

    /// The same, where these files are written too: if one of them is standard output, results move to standard
    /// error.
    pub(crate) fn beside<'a>(
        mut self,
        files: impl IntoIterator<Item = &'a Option<OutputFile>>,
    ) -> Self {
        let mut files = files.into_iter().flatten();
        self.carries_file |= files.any(OutputFile::is_standard_output);
        self
    }

    /// A result, on a line of standard output. If nobody reads it any more, that is no failure: files are still to be
    /// written.
    pub(crate) fn result(self, text: impl Display) -> Result<(), Failure> {
        if self.carries_file {
            say(text);
            return Ok(());
        }
        match writeln!(io::stdout().lock(), "{text}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                CLOSED.store(true, Ordering::Relaxed);
                Ok(())
            }
            written => Ok(written?),
        }
    }

    /// Whether results are read, as far as is known: `head` closes standard output when it has enough.
    pub(crate) fn is_heard(self) -> bool {
        !CLOSED.load(Ordering::Relaxed)
    }

    /// Progress or a remark, on a line of standard error, unless less is to be said.
    pub(crate) fn note(self, text: impl Display) {
        if self.verbosity != Verbosity::Quiet {
            say(text);
        }
    }
}

/// Whether standard output was closed by its reader.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// A file to write; `-` is standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputFile(PathBuf);

impl FromStr for OutputFile {
    type Err = Infallible;

    fn from_str(path: &str) -> Result<Self, Infallible> {
        Ok(OutputFile(path.into()))
    }
}

impl Display for OutputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_standard_output() {
            true => f.write_str("standard output"),
            false => self.0.display().fmt(f),
        }
    }
}

impl OutputFile {
    pub(crate) fn is_standard_output(&self) -> bool {
        self.0 == Path::new("-")
    }

    /// Whether it can be written, as far as its folder tells; asked before the work.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_standard_output() {
            return Ok(());
        }
        check_file(&self.0)
    }

    /// Opens it for lines; what it held is gone.
    pub(crate) fn open(&self) -> Result<Lines, Failure> {
        if self.is_standard_output() {
            return Ok(Lines {
                file: Box::new(io::stdout()),
                path: None,
            });
        }
        let file = File::create(&self.0).map_err(|error| cannot_write(&self.0, &error))?;
        Ok(Lines {
            file: Box::new(file),
            path: Some(self.0.clone()),
        })
    }

    /// Writes the content, whole or not at all.
    pub(crate) fn write(&self, content: &[u8]) -> Result<(), Failure> {
        if self.is_standard_output() {
            let mut out = io::stdout().lock();
            return Ok(out.write_all(content).and_then(|()| out.flush())?);
        }
        write_atomically(&self.0, content).map_err(|error| cannot_write(&self.0, &error))
    }

    /// Writes a value as indented JSON; numbers that are not defined become `null`.
    pub(crate) fn write_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(value)
            .map_err(|error| cannot_write(&self.0, &error.into()))?;
        text.push(b'\n');
        self.write(&text)
    }
}

/// A file that is written line by line, so that what was computed is kept whatever happens later.
pub(crate) struct Lines {
    file: Box<dyn Write>,
    path: Option<PathBuf>,
}

impl Lines {
    /// Writes one line through to the file.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let written = writeln!(self.file, "{text}").and_then(|()| self.file.flush());
        match (&self.path, written) {
            (_, Ok(())) => Ok(()),
            (None, Err(error)) => Err(error.into()),
            (Some(path), Err(error)) => Err(cannot_write(path, &error)),
        }
    }
}

/// Checks several files, before the work whose results they shall hold.
pub(crate) fn check_all<'a>(
    files: impl IntoIterator<Item = &'a Option<OutputFile>>,
) -> Result<(), Failure> {
    files.into_iter().flatten().try_for_each(OutputFile::check)
}

/// Whether a file can be written, as far as its folder tells.
pub(crate) fn check_file(path: &Path) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let refused = |why: &str| {
        Err(Failure::Said(format!(
            "cannot write {}: {why}",
            path.display()
        )))
    };
    match () {
        () if path.is_dir() => refused("it is a folder"),
        () if !folder.is_dir() => refused(&format!("there is no folder {}", folder.display())),
        () => Ok(()),
    }
}

pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Said(format!("cannot write {}: {error}", path.display()))
}

/// What a command took.
pub(crate) struct Cost {
    time: Duration,
    peak: Option<u64>,
}

impl Cost {
    pub(crate) fn since(began: Instant) -> Self {
        Cost {
            time: began.elapsed(),
            peak: peak_memory(),
        }
    }
}

impl Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "took {:.1} s", self.time.as_secs_f64())?;
        match self.peak {
            Some(bytes) => write!(f, ", {} MB of memory at most", bytes / 1_000_000),
            None => Ok(()),
        }
    }
}

/// The largest resident memory of this process in bytes, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
