//! The front ends: what meets a person or a pipe. `tui` is the cockpit in a terminal.

pub mod cli;
pub mod tui;
