//! The cockpit in a terminal: bytes in, bytes out, and how often.
//!
//! The files here know terminals and nothing else; what is drawn comes from `view`, what a key means from `keymap`.

pub mod input;
pub mod lend;
pub mod pace;
pub mod screen;
pub mod terminal;
pub mod writer;
