//! The silences pane.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Silences,
    short: "SILENCES",
    tile: &["cluster", "matchers", "ends_in_s"],
    bad: |_, _| 0,
    bad_word: "bad",
    head: None,
};
