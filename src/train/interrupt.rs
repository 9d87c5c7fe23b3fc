use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop after the present step, that any thread may make.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    raised: Arc<AtomicBool>,
}

/// Exit status of a process that Ctrl-C ended, as shells report it.
pub const INTERRUPTED_STATUS: u8 = 130;

impl Interrupt {
    /// One that Ctrl-C, SIGTERM and SIGHUP raise (Ctrl-C alone where there are no signals). A second
    /// Ctrl-C ends the process at once; what was saved before then is whole.
    ///
    /// # Errors
    ///
    /// If the process has such a handler already.
    pub fn on_signals() -> std::io::Result<Self> {
        let interrupt = Interrupt::default();
        let raised = interrupt.clone();
        ctrlc::set_handler(move || {
            if raised.is_raised() {
                std::process::exit(i32::from(INTERRUPTED_STATUS));
            }
            raised.raise();
            eprintln!("stopping after this step; once more stops at once");
        })
        .map_err(std::io::Error::other)?;
        Ok(interrupt)
    }

    /// Asks for the stop.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }
}
