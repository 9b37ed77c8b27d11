//! The findings pane.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Findings,
    short: "FINDINGS",
    tile: &["cluster", "name", "object", "message"],
    bad: |c, _| c.counts.findings_bad,
    bad_word: "bad",
    head: None,
};
