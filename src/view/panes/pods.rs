//! The pods tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Pods,
    short: "PODS",
    tile: &["cluster", "name", "status"],
    bad: |c, _| c.counts.pods_bad,
    bad_word: "bad",
    head: None,
};
