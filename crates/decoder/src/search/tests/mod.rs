//! Laws of search, stated on a small scripted generator; then agreement with the released beam
//! search, written out literally.

mod laws;
mod released;
mod repeats;
mod script;
