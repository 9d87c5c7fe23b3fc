//! Hardening in double precision against loops written from the equations.

mod ascent;
mod closed_form;
mod hull;
mod json;
