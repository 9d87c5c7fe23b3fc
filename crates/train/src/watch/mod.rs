//! Who watches a run: the console, a dashboard, anybody's own observer.

mod console;
mod observer;
mod pace;
mod printing;

pub use console::{Console, Verbosity};
pub(crate) use observer::Silent;
pub use observer::{EpochPlan, Observer};
pub use pace::Pace;
pub(crate) use printing::print;
