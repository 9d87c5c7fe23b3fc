//! How a subcommand fails: what is printed, and the exit code.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

use ithn::train::arguments;
use ithn::train::{Ranks, TrainError};

use crate::stderr::say;

/// Why a subcommand did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Reading, training or writing by the library; its options are known to [`arguments::failed`].
    Train(TrainError),
    /// A run of several processes, all of which have the error.
    Ranks(Box<TrainError>, Ranks),
    /// Work that several processes share, all of which have the failure.
    Together(Box<Failure>, Ranks),
    /// Standard output was closed by its reader, as `head` does: no failure to speak of.
    Closed,
    /// Anything else, in one line.
    Said(String),
}

impl Failure {
    /// An error with the options that mend it, such as ` (--out)`.
    pub(crate) fn with_options(error: impl Display, options: &str) -> Self {
        Failure::Said(format!("{error}{options}"))
    }

    /// Prints what is to be said and returns the exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Train(error) => arguments::failed(error, &Ranks::default()),
            Failure::Ranks(error, ranks) => arguments::failed(error, ranks),
            Failure::Together(failure, ranks) if ranks.is_first() => failure.exit_code(),
            Failure::Together(failure, _) => match **failure {
                Failure::Closed => ExitCode::SUCCESS,
                _ => ExitCode::from(2),
            },
            Failure::Closed => ExitCode::SUCCESS,
            Failure::Said(text) => {
                say(format_args!("error: {text}"));
                ExitCode::from(2)
            }
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Train(error) => error.fmt(f),
            Failure::Ranks(error, _) => error.fmt(f),
            Failure::Together(failure, _) => failure.fmt(f),
            Failure::Closed => f.write_str("standard output was closed"),
            Failure::Said(text) => f.write_str(text),
        }
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        Failure::Train(error)
    }
}

impl From<Box<dyn Error>> for Failure {
    fn from(error: Box<dyn Error>) -> Self {
        Failure::Said(error.to_string())
    }
}

/// Errors of the library that name what is wrong and need no option beside it.
macro_rules! said {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::Said(error.to_string())
            }
        }
    )*};
}

said!(
    crate::dashboard::DashboardError,
    crate::hub::HubError,
    ithn::checkpoint::CheckpointError,
    ithn::config::ConfigError,
    ithn::data::DataError,
    ithn::import::ImportError,
    ithn::device::DeviceError,
    ithn::inference::InferenceError,
    ithn::metrics::MeteorDataError,
    ithn::metrics::MetricsError,
    ithn::metrics::evaluation::EvaluationError,
    ithn::mining::AnnotationMiningError,
);

impl From<io::Error> for Failure {
    /// Only standard output is written without a name.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Said(format!("cannot write to standard output: {error}")),
        }
    }
}
