//! The Services pane.

use super::Pane;
use crate::model::Kind;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Services,
    short: "SVC",
    tile: &["cluster", "name", "endpoints_ready", "ports"],
    bad: |c, _| if c.current(Kind::EndpointSlice) { c.counts.services_dead } else { 0 },
    bad_word: "dead",
    head: None,
};
