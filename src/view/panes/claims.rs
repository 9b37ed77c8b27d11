//! The persistent volume claims pane.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Claims,
    short: "PVC",
    tile: &["cluster", "name", "status", "used_percent"],
    bad: |c, _| c.counts.claims_lost,
    bad_word: "lost",
    head: None,
};
