use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A request to stop after the current step; any thread can raise it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    raised: Arc<AtomicBool>,
}

/// Exit status that shells report for a process ended by Ctrl-C.
pub const INTERRUPTED_STATUS: u8 = 130;

impl Interrupt {
    /// One that Ctrl-C, SIGTERM and, where there are such things, SIGHUP and SIGUSR1 raise. A second one ends
    /// the process at once, unless it is SIGUSR1, which a queue may send before the end of a job, and more than
    /// once; checkpoints saved before then are intact.
    ///
    /// # Errors
    ///
    /// If the system does not let the process listen.
    pub fn on_signals() -> std::io::Result<Self> {
        let interrupt = Interrupt::default();
        #[cfg(unix)]
        let signals = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
        #[cfg(not(unix))]
        let signals = [SIGINT, SIGTERM];
        for signal in signals {
            // Handlers run in this order: the first signal finds the flag down and raises it.
            let raised = Arc::clone(&interrupt.raised);
            flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED_STATUS), raised)?;
            flag::register(signal, Arc::clone(&interrupt.raised))?;
        }
        #[cfg(unix)]
        flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&interrupt.raised))?;
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
