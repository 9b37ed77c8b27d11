//! The etcd pane: does the quorum hold, and how many members may still fail?

use super::HeadLine;
use super::Pane;
use crate::inspect::quorum::verdict;
use crate::store::{Cluster, Store};
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Etcd,
    short: "ETCD",
    tile: &["cluster", "name", "status", "db_size_bytes", "quota_percent"],
    bad: |c, _| c.counts.etcd_bad,
    bad_word: "bad",
    head: Some(head),
};

fn head(store: &Store, now: i64) -> Vec<HeadLine> {
    let line = |c: &Cluster| verdict(c, now).map(|v| HeadLine { cluster: c.id, severity: v.severity, text: v.text });
    store.clusters().iter().filter_map(line).collect()
}
