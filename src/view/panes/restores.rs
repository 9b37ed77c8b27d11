//! The restores pane.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Restores,
    short: "RESTORES",
    tile: &["cluster", "name", "status", "started_age_s"],
    bad: |c, _| c.counts.restores_failed,
    bad_word: "failed",
    head: None,
};
