//! The signals pane: what Prometheus measures.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Signals,
    short: "SIGNALS",
    tile: &["cluster", "title", "of", "reads", "course"],
    bad: |c, _| c.counts.signals_bad,
    bad_word: "over",
    head: None,
};
