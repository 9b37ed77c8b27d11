//! The nodes tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Nodes,
    short: "NODES",
    tile: &["cluster", "name", "status", "pods", "cpu_request_percent"],
    bad: |c, _| c.counts.nodes - c.counts.nodes_ready,
    bad_word: "bad",
    head: None,
};
