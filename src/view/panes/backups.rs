//! The backups pane: could we restore, and to when?

use super::HeadLine;
use super::Pane;
use crate::inspect::recovery::recovery;
use crate::store::{Cluster, Store};
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Backups,
    short: "BACKUPS",
    tile: &["cluster", "name", "status", "started_age_s"],
    bad: |c, _| c.counts.backups_failed,
    bad_word: "failed",
    head: Some(head),
};

fn head(store: &Store, now: i64) -> Vec<HeadLine> {
    let line = |c: &Cluster| recovery(c, now).map(|r| HeadLine { cluster: c.id, severity: r.severity, text: r.text });
    store.clusters().iter().filter_map(line).collect()
}
