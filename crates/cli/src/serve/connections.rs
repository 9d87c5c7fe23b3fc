//! Connections: accepted up to a limit, closed when they stall, ended when the server is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use ithn::inference::FilmReader;
use ithn::train::Interrupt;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::about::About;
use super::desk::{Desk, StudyWriter};
use super::limits::Limits;
use super::routes::{Log, Shared, page, router};

/// How often an interruption is looked for.
const PULSE: Duration = Duration::from_millis(50);

/// Films that are decoded at once.
const DECODERS: usize = 2;

/// A server that listens on `127.0.0.1` and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Server {
    /// Listens on a port of `127.0.0.1`; 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the port is taken or not allowed.
    pub fn bind(port: u16, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        Ok(Server {
            address: listener.local_addr()?,
            listener,
            limits,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `interrupt` is raised; requests at work then have
    /// [`Limits::farewell`] to end. `films` decodes for `writer`. `log` hears of every request and
    /// failure: a line without names of films, and whether it is a detail.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started or the system refuses the listener.
    pub fn run<W: StudyWriter>(
        self,
        about: About,
        films: FilmReader,
        writer: W,
        interrupt: &Interrupt,
        log: impl Fn(&str, bool) + Send + Sync + 'static,
    ) -> io::Result<()> {
        let log: Arc<Log> = Arc::new(log);
        let limits = self.limits;
        let (views, reads) = (writer.views(), writer.reads());
        let page = page(&about, (views, reads), &limits)?;
        let failures = Arc::clone(&log);
        let (desk, thread) = Desk::open(writer, limits.batch, move |line| failures(line, false))?;
        let shared = Shared {
            about,
            films,
            views,
            reads,
            limits,
            desk,
            places: Arc::new(Semaphore::new(limits.queue)),
            room: Arc::new(Semaphore::new(limits.all_bodies())),
            page,
            log: Arc::clone(&log),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(DECODERS)
            .build()?;
        let answered =
            runtime.block_on(self.answer(router(Arc::new(shared)), interrupt, log.as_ref()));
        // What is left of connections goes, and with it every desk, so that the thread ends.
        drop(runtime);
        let ended = thread.join();
        ended.map_err(|_| io::Error::other("the thread that writes reports panicked"))?;
        answered
    }

    async fn answer(self, router: Router, interrupt: &Interrupt, log: &Log) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let open = GracefulShutdown::new();
        let seats = Arc::new(Semaphore::new(self.limits.connections));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.patience);
        while !interrupt.is_raised() {
            let Ok(Ok(seat)) = timeout(PULSE, Arc::clone(&seats).acquire_owned()).await else {
                continue;
            };
            let stream = match timeout(PULSE, listener.accept()).await {
                Ok(Ok((stream, _))) => stream,
                Ok(Err(error)) => {
                    // A client that has gone again, or too many open files.
                    log(&format!("a connection was not accepted: {error}"), true);
                    sleep(PULSE).await;
                    continue;
                }
                Err(_) => continue,
            };
            let service = TowerToHyperService::new(router.clone());
            let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                // A client that breaks off, stalls or speaks no HTTP has nobody to be told.
                let _ = connection.await;
                drop(seat);
            });
        }
        drop(listener);
        if timeout(self.limits.farewell, open.shutdown())
            .await
            .is_err()
        {
            log("some requests were given up", false);
        }
        Ok(())
    }
}
