//! The events tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Events,
    short: "EVENTS",
    tile: &["cluster", "last_seen_age_s", "reason", "object", "message"],
    bad: |c, _| c.counts.warnings,
    bad_word: "warnings",
    head: None,
};
