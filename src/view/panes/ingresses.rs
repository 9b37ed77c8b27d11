//! The Ingresses pane.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Ingresses,
    short: "ING",
    tile: &["cluster", "name", "hosts", "backends"],
    bad: |_, _| 0,
    bad_word: "bad",
    head: None,
};
