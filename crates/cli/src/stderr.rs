//! What is said on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// A warning or an error, on a line of standard error. If that is closed, nobody is there to be told.
pub(crate) fn say(text: impl Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
