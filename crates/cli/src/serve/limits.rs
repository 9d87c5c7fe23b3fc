use std::time::Duration;

/// What a server takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests for reports at once: being read, waiting, at work. One more is answered 503.
    pub queue: usize,
    /// Studies that are written in one batch.
    pub batch: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are in memory at once; beyond it 503. At least
    /// [`body_bytes`](Self::body_bytes).
    pub all_bodies_bytes: usize,
    /// Millions of pixels of a film, before it is decoded.
    pub megapixels: usize,
    /// Films in a request.
    pub films: usize,
    /// Connections at once; more wait in the system's backlog.
    pub connections: usize,
    /// Time for a request's header to arrive, and for its body.
    pub patience: Duration,
    /// Time for requests at work to end after an interruption.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            queue: 32,
            batch: 8,
            body_bytes: 64 << 20,
            all_bodies_bytes: 256 << 20,
            megapixels: 50,
            films: 64,
            connections: 256,
            patience: Duration::from_secs(30),
            farewell: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Bytes of all bodies, never less than one body may have.
    pub(super) fn all_bodies(&self) -> usize {
        self.all_bodies_bytes.max(self.body_bytes)
    }

    /// The limit of a body, for people.
    pub(super) fn body_words(&self) -> String {
        match self.body_bytes >> 20 {
            0 => format!("{} bytes", self.body_bytes),
            mebibytes => format!("{mebibytes} MiB"),
        }
    }
}
