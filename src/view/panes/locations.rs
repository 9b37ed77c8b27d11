//! The storage locations pane.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Locations,
    short: "BSL",
    tile: &["cluster", "name", "status", "message"],
    bad: |c, _| c.counts.locations_bad,
    bad_word: "unavailable",
    head: None,
};
