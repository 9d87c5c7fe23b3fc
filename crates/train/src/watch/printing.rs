use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a failure to write was said.
static SAID: AtomicBool = AtomicBool::new(false);

/// Prints a line on standard output. Training goes on if nobody reads it (a closed pipe, as behind `head`) or if it
/// cannot be written; the latter is said once, on standard error.
pub(crate) fn print(text: impl Display) {
    let Err(error) = writeln!(io::stdout().lock(), "{text}") else {
        return;
    };
    if error.kind() != io::ErrorKind::BrokenPipe && !SAID.swap(true, Ordering::Relaxed) {
        // If standard error is closed too, nobody is there to be told.
        drop(writeln!(
            io::stderr().lock(),
            "warning: cannot write to standard output: {error}; the run goes on"
        ));
    }
}
