//! The alignment loss in double precision against loops written from the equations.

mod directions;
mod masks;
mod oracle;
mod placements;
