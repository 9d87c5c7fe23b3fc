//! A server in a thread, and writers that misbehave on purpose.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ithn::checkpoint::CheckpointHeader;
use ithn::device::DeviceName;
use ithn::inference::{FilmStudy, InferenceError, ReportWriter, StudySheet, WrittenReport};
use ithn::train::Interrupt;
use ithn_cli::serve::{About, Limits, Server, StudyWriter};

use crate::client::{self, Answer, fixtures};

/// How long anything may take that does happen.
const TRIES: usize = 12_000;
const PAUSE: Duration = Duration::from_millis(10);

/// The writer of a checkpoint of the fixtures.
pub fn writer(checkpoint: &str, reports: usize) -> ReportWriter {
    writer_at(&fixtures("checkpoints").join(checkpoint), reports)
}

/// The writer of a checkpoint.
pub fn writer_at(path: &Path, reports: usize) -> ReportWriter {
    let device = DeviceName::Cpu.open().expect("a processor");
    let writer = ReportWriter::from_checkpoint(path, &device).expect("it loads");
    writer.with_beams(None, reports).expect("as many reports")
}

/// A server to send requests to.
pub trait Serving {
    fn address(&self) -> SocketAddr;

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        client::request(self.address(), method, path, headers, body)
    }

    /// Posts a body in chunks, without its length.
    fn chunked(&self, path: &str, body: &[u8]) -> Answer {
        let headers = [("Transfer-Encoding", "chunked")];
        let mut sent = client::head(self.address(), "POST", path, &headers, None).into_bytes();
        for chunk in body.chunks(1000) {
            sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            sent.extend_from_slice(chunk);
            sent.extend_from_slice(b"\r\n");
        }
        sent.extend_from_slice(b"0\r\n\r\n");
        let mut stream = client::send(self.address(), &[&sent]);
        client::read(&mut stream).expect("an answer")
    }

    /// Sends the head of a request of `length` bytes and some of them.
    fn begin(&self, path: &str, length: usize, some: &[u8]) -> TcpStream {
        let head = client::head(self.address(), "POST", path, &[], Some(length));
        client::send(self.address(), &[head.as_bytes(), some])
    }

    /// Waits until so many requests for reports are waiting or at work.
    fn wait_for_requests(&self, count: usize) {
        for _ in 0..TRIES {
            let health = self.request("GET", "/healthz", &[], b"").json();
            if health["requests"] == count {
                return;
            }
            thread::sleep(PAUSE);
        }
        panic!("never {count} requests at once");
    }
}

/// A server that answers until it is dropped.
pub struct Running {
    address: SocketAddr,
    interrupt: Interrupt,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// Serves a checkpoint of the fixtures, three reports per study.
    pub fn start(checkpoint: &str, limits: Limits) -> Self {
        Running::of(&fixtures("checkpoints").join(checkpoint), limits)
    }

    /// Serves a checkpoint, three reports per study.
    pub fn of(path: &Path, limits: Limits) -> Self {
        Running::serving(path, limits, writer_at(path, 3))
    }

    /// Serves what another writer makes of `r2gen_cmn.ithn`.
    pub fn with(limits: Limits, writer: impl StudyWriter) -> Self {
        let path = fixtures("checkpoints").join("r2gen_cmn.ithn");
        Running::serving(&path, limits, writer)
    }

    fn serving(path: &Path, limits: Limits, serving: impl StudyWriter) -> Self {
        let header = CheckpointHeader::load(path).expect("a checkpoint");
        let named = writer_at(path, 3);
        let about = About::of(path, &header, named.search());
        let films = named.film_reader();
        let server = Server::bind(0, limits).expect("a free port");
        let address = server.address();
        let interrupt = Interrupt::default();
        let raised = interrupt.clone();
        let thread = thread::spawn(move || {
            server.run(about, films, serving, &raised, |_: &str, _: bool| ())
        });
        Running {
            address,
            interrupt,
            thread: Some(thread),
        }
    }

    pub fn interrupt(&self) {
        self.interrupt.raise();
    }

    /// Waits until no further connection is accepted.
    pub fn wait_until_closed(&self) {
        for _ in 0..TRIES {
            if TcpStream::connect(self.address).is_err() {
                return;
            }
            thread::sleep(PAUSE);
        }
        panic!("it listens on");
    }

    /// What the server returned.
    pub fn ended(&mut self) -> io::Result<()> {
        let thread = self.thread.take().expect("asked once");
        thread.join().expect("the server did not panic")
    }
}

impl Serving for Running {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.interrupt.raise();
        if let Some(thread) = self.thread.take() {
            // A failed test has said why already.
            let _ = thread.join();
        }
    }
}

/// Holds back every report until it is opened.
#[derive(Clone)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn closed() -> Self {
        Gate(Arc::new((Mutex::new(false), Condvar::new())))
    }

    pub fn open(&self) {
        *self.0.0.lock().expect("not poisoned") = true;
        self.0.1.notify_all();
    }

    /// A writer that waits here.
    pub fn writer(&self) -> Gated {
        Gated {
            gate: self.clone(),
            writer: writer("r2gen_cmn.ithn", 1),
        }
    }
}

/// See [`Gate`].
pub struct Gated {
    gate: Gate,
    writer: ReportWriter,
}

impl StudyWriter for Gated {
    fn views(&self) -> usize {
        self.writer.views()
    }

    fn reports(&self, studies: &[FilmStudy]) -> Result<Vec<Vec<WrittenReport>>, InferenceError> {
        let mut open = self.gate.0.0.lock().expect("not poisoned");
        while !*open {
            open = self.gate.0.1.wait(open).expect("not poisoned");
        }
        drop(open);
        self.writer.reports(studies)
    }

    fn explain(&self, study: &FilmStudy) -> Result<StudySheet, InferenceError> {
        self.writer.explain(study)
    }
}

/// Panics at a study whose identifier is `panic`.
pub struct Panicky(pub ReportWriter);

impl StudyWriter for Panicky {
    fn views(&self) -> usize {
        self.0.views()
    }

    fn reports(&self, studies: &[FilmStudy]) -> Result<Vec<Vec<WrittenReport>>, InferenceError> {
        assert!(studies.iter().all(|study| study.id != "panic"), "as asked");
        self.0.reports(studies)
    }

    fn explain(&self, study: &FilmStudy) -> Result<StudySheet, InferenceError> {
        self.0.explain(study)
    }
}

/// The program `ithn serve` in a process of its own.
pub struct Program {
    process: Child,
    address: SocketAddr,
}

impl Program {
    /// Serves a checkpoint of the fixtures, three reports per study.
    pub fn start(checkpoint: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ithn"))
            .args(["serve", "--quiet", "--port", "0", "--checkpoint"])
            .arg(fixtures("checkpoints").join(checkpoint))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("http://");
        let address = address
            .and_then(|it| it.strip_suffix('/'))
            .expect("an address");
        Program {
            address: address.parse().expect("an address"),
            process,
        }
    }

    /// Resident memory in MB, where the system tells (Linux).
    pub fn resident_megabytes(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes / 1000)
    }

    /// Sends a signal and waits for the end; the exit code.
    #[cfg(unix)]
    pub fn end_by(mut self, signal: &str) -> Option<i32> {
        let process = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &process]).status();
        assert!(sent.expect("kill runs").success());
        self.process.wait().expect("it ends").code()
    }
}

impl Serving for Program {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
