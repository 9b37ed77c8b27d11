//! The pods tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane =
    Pane { subject: Subject::Pods, short: "PODS", tile: &["cluster", "name", "status"], bad: |c| c.pods_bad, bad_word: "bad" };
