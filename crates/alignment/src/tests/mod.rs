//! The alignment loss in double precision against loops written from the equations.

#[path = "../../../negatives/src/tests/data.rs"]
mod data;
mod directions;
mod masks;
mod oracle;
mod placements;
