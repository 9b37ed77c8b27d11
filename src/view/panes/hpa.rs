//! The autoscalers tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Hpa,
    short: "HPA",
    tile: &["cluster", "name", "current_replicas", "targets"],
    bad: |c, _| c.counts.hpas_at_max,
    bad_word: "at max",
    head: None,
};
