//! The nodes tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane { subject: Subject::Nodes, short: "NODES", tile: &["cluster", "name", "status", "pods", "age_s"], bad: |c| c.nodes - c.nodes_ready, bad_word: "bad" };
