//! `ithn serve`: a page and a JSON endpoint on this computer that write reports of radiographs.
//!
//! [`Server`] binds `127.0.0.1` and runs until it is interrupted. One thread owns the writer and takes
//! the waiting studies batch by batch; requests are read and films decoded beside it, all of it within
//! [`Limits`]. Nothing is written to disk.

mod about;
mod answer;
mod beside;
mod connections;
mod desk;
mod guard;
mod limits;
mod refusal;
mod routes;
mod upload;

use std::path::PathBuf;

use clap::Args;
use ithn::checkpoint::CheckpointHeader;
use ithn::device::DeviceName;
use ithn::inference::ReportWriter;
use ithn::train::{Interrupt, Verbosity};

use crate::failure::Failure;
use crate::output::Talk;

pub use about::About;
pub use connections::Server;
pub use desk::StudyWriter;
pub use limits::Limits;

/// Serves a page on this computer that takes films and shows reports, and a JSON endpoint.
///
/// The page and the endpoint answer on 127.0.0.1 alone. POST /v1/report takes a film as its body, or the films of one
/// study as multipart/form-data, with what is known beside them; GET /healthz says that the server is up. Ctrl-C ends it, with exit code 0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn serve --checkpoint runs/phantom-1/best.ithn
  ithn serve --checkpoint best.ithn --port 9000 --n-best 5 --device cuda:0")]
pub(crate) struct Arguments {
    /// Checkpoint of a run, such as runs/phantom-1/best.ithn
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,

    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8000)]
    port: u16,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// Beams [default: as the run was evaluated]
    #[arg(long, value_name = "N")]
    beam: Option<usize>,

    /// Reports per study, best first, with their scores, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    n_best: u16,

    /// Studies per batch at most, 1 to 1024
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch_size: u16,

    /// Requests at once, at work and waiting, 1 to 4096; one more is answered 503
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    queue: u16,

    /// Size of a request in MiB at most, 1 to 1024
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_body: u16,

    /// Millions of pixels of a film at most, 1 to 268
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=268))]
    max_megapixels: u16,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        ithn::device::prepare_process();
        let interrupt = Interrupt::on_signals()
            .map_err(|error| Failure::Said(format!("cannot listen to signals: {error}")))?;
        let header = CheckpointHeader::load(&self.checkpoint)?;
        let writer = ReportWriter::from_checkpoint(&self.checkpoint, &self.device.open()?)?
            .with_beams(self.beam, usize::from(self.n_best))?;
        let about = About::of(&self.checkpoint, &header, writer.search());
        let server = Server::bind(self.port, self.limits()).map_err(|error| {
            let place = format!("cannot listen on 127.0.0.1:{}: {error}", self.port);
            Failure::with_options(place, " (--port)")
        })?;
        talk.result(format_args!("http://{}/", server.address()))?;
        talk.note(&about);
        talk.note("Research software, not for clinical use. Ctrl-C ends the server.");
        let films = writer.film_reader();
        let log = move |line: &str, is_detail: bool| {
            if !is_detail || talk.verbosity == Verbosity::Verbose {
                talk.note(line);
            }
        };
        server
            .run(about, films, writer, &interrupt, log)
            .map_err(|error| Failure::Said(format!("the server failed: {error}")))
    }

    fn limits(&self) -> Limits {
        Limits {
            queue: usize::from(self.queue),
            batch: usize::from(self.batch_size),
            body_bytes: usize::from(self.max_body) << 20,
            megapixels: usize::from(self.max_megapixels),
            ..Limits::default()
        }
    }
}
