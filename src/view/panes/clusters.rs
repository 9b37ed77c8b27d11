//! The cluster strip.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Clusters,
    short: "CLUSTERS",
    tile: &[
        "name",
        "state",
        "nodes_ready",
        "pods_bad",
        "pods_pending",
        "hpas_at_max",
        "pdbs_zero",
        "etcd_healthy",
        "alerts_firing",
        "findings",
        "cpu_request_percent",
        "memory_request_percent",
        "latency_ms",
        "latency_trend",
    ],
    bad: |c, _| c.counts.nodes - c.counts.nodes_ready,
    bad_word: "bad",
    head: None,
};
