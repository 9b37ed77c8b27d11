//! The lines of BURNING.
use super::{Engine, FindingId, Severity};
use crate::model::{ClusterId, ConnectionState, ObjectRef, Time};
use crate::store::{Cluster, Store};

/// One problem: findings that have one cause or one owner, folded.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    pub severity: Severity,
    pub cluster: ClusterId,
    /// What Enter opens: a node, workload, pod, HPA...; none: the cluster.
    pub subject: Option<ObjectRef>,
    /// `pay/checkout`, `node-017`, `hpa pay/api`, `API`.
    pub title: String,
    /// Why, about 50 columns.
    pub message: String,
    /// Objects folded in, one at least.
    pub count: usize,
    pub since: Option<Time>,
    /// The second line, for the highlighted one.
    pub detail: String,
    /// The cluster does not answer: this was so when last seen.
    pub stale: bool,
    /// The findings folded in, the one that speaks for all first.
    pub findings: Vec<FindingId>,
}

/// Whether a cluster's rows are unproven.
pub(super) fn stale(cluster: &Cluster) -> bool {
    !matches!(cluster.state, ConnectionState::Live | ConnectionState::Syncing { .. })
}

impl Engine {
    /// What burns, worst first.
    pub fn lines(&self, _store: &Store, _now: i64) -> Vec<Line> {
        Vec::new()
    }
}
