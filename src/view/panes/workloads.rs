//! The workloads tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Workloads,
    short: "WORK",
    tile: &["cluster", "namespace", "name", "ready", "status"],
    bad: |c, _| c.counts.workloads_short,
    bad_word: "short",
    head: None,
};
