use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ithn::train::{INTERRUPTED_STATUS, Interrupt};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::is_raw_mode_enabled;

use super::progress::Progress;
use super::screen::{CHARTS, draw};

/// Time between two drawings where no key is pressed.
const REDRAW: Duration = Duration::from_millis(250);

/// The thread that draws the dashboard and reads keys. It is separate because a training step may take long, and
/// neither the drawing nor the keys should wait for the step.
#[derive(Debug)]
pub(crate) struct Terminal {
    is_closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Terminal {
    /// Takes the screen.
    pub(crate) fn open(progress: Arc<Mutex<Progress>>, interrupt: Interrupt) -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let is_closing = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&is_closing);
        let thread = thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(move || {
                let shown = show(terminal, &progress, &interrupt, &closing);
                // Restore also after a failed draw, so that later output is legible.
                let restored = ratatui::try_restore();
                shown.and(restored)
            });
        match thread {
            Ok(thread) => Ok(Terminal {
                is_closing,
                thread: Some(thread),
            }),
            Err(error) => {
                ratatui::restore();
                Err(error)
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.thread.is_some()
    }

    /// Restores the terminal. The first call returns the drawing thread's error.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.is_closing.store(true, Ordering::Relaxed);
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that draws panicked")))
    }
}

pub(crate) fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    // The guarded value is only displayed, so poisoning can be ignored.
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn show(
    mut terminal: DefaultTerminal,
    progress: &Mutex<Progress>,
    interrupt: &Interrupt,
    is_closing: &AtomicBool,
) -> io::Result<()> {
    let mut first = 0;
    // A panic elsewhere restores the terminal; do not draw over its message.
    while !is_closing.load(Ordering::Relaxed) && is_raw_mode_enabled()? {
        {
            let mut progress = lock(progress);
            progress.is_stopping = interrupt.is_raised();
            terminal.draw(|frame| draw(frame, &progress, first))?;
        }
        if !event::poll(REDRAW)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if asks_to_stop(&key) => {
                if interrupt.is_raised() {
                    ratatui::restore();
                    std::process::exit(i32::from(INTERRUPTED_STATUS));
                }
                interrupt.raise();
            }
            Event::Key(key) if key.code == KeyCode::Tab && key.kind == KeyEventKind::Press => {
                first = (first + 1) % CHARTS;
            }
            _ => {}
        }
    }
    Ok(())
}

fn asks_to_stop(key: &KeyEvent) -> bool {
    let is_control_c =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (is_control_c || key.code == KeyCode::Char('q'))
}
