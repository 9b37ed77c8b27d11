//! The alerts pane.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Alerts,
    short: "ALERTS",
    tile: &["cluster", "name", "object", "started_age_s"],
    bad: |c, _| c.counts.alerts_firing,
    bad_word: "firing",
    head: None,
};
