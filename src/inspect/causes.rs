//! Which rule may explain which, and by what tie: data, for `incident` to go by.

use hashbrown::{HashMap, HashSet};
use std::sync::LazyLock;

/// From a consequence to its cause and that one's, and not for ever.
pub(super) const DEEP: usize = 4;

/// By what a finding hangs on the one that may explain it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tie {
    /// It is found at the same thing.
    Same,
    /// Its pod is on that node; of a workload, every bad pod is on such nodes, and none is missing.
    OnNode,
    /// It is found of the same cluster.
    Cluster,
    /// Nothing of the cluster answers, etcd's members neither.
    Silent,
    /// Its pods were refused by that webhook.
    Refused,
    /// The scheduler finds no room for a pod that would fit on an empty node.
    NoRoom,
    /// It reads metrics of the API that is not available.
    Metrics,
    /// It goes to that storage location.
    Location,
    /// Its Service has that workload's pods behind it, and no other's.
    Behind,
}

impl Tie {
    /// In words, of the explained: `whose pods are on that node`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Same => "at the same thing",
            Self::OnNode => "at a pod on that node; at a workload of which every bad pod is on such nodes, and none is missing",
            Self::Cluster => "of the same cluster",
            Self::Silent => "while nothing of the cluster answers, etcd's members neither",
            Self::Refused => "at a workload whose pods that webhook refused",
            Self::NoRoom => "at a pod that finds no room, and would on an empty node",
            Self::Metrics => "at an autoscaler that reads metrics of that API",
            Self::Location => "at what goes to that storage location",
            Self::Behind => "at a Service with that workload's pods behind it, and no other's",
        }
    }
}

/// What explains what, for people: the rules that explain, those that are explained, and by what tie.
pub fn told() -> impl Iterator<Item = (&'static [&'static str], &'static [&'static str], &'static str)> {
    CAUSES.iter().map(|c| (c.by, c.of, c.tie.words()))
}

/// Which rules may explain which.
pub(super) struct Cause {
    /// What explains; of several that stand, the first.
    pub by: &'static [&'static str],
    pub of: &'static [&'static str],
    pub tie: Tie,
}

/// Rules on a pod or a workload that a node takes along when it goes.
const OF_PODS: &[&str] = &[
    "replicas-unavailable",
    "rollout-stuck",
    "pod-not-ready",
    "pod-crashloop",
    "container-waiting",
    "container-oomkilled",
    "container-restart-rate",
    "stuck-terminating",
    "calico-node-restarts",
];
const ETCD: &[&str] = &["etcd-quorum-risk", "etcd-alarm", "etcd-disk-slow", "etcd-raft-lag", "etcd-leader-changes"];

/// What explains what, the surest tie first.
pub(super) static CAUSES: &[Cause] = &[
    Cause { by: &["node-not-ready"], of: OF_PODS, tie: Tie::OnNode },
    Cause { by: &["node-not-ready"], of: &["node-pressure", "pleg-unhealthy", "node-emptied"], tie: Tie::Same },
    Cause {
        by: &["cluster-unreachable"],
        of: &["etcd-quorum-risk", "etcd-alarm", "etcd-db-quota", "etcd-disk-slow", "etcd-raft-lag", "etcd-leader-changes"],
        tie: Tie::Silent,
    },
    Cause {
        by: ETCD,
        of: &["apiserver-slow", "apiserver-errors", "apiserver-saturated", "controller-leader", "scheduler-backlog"],
        tie: Tie::Cluster,
    },
    Cause {
        by: &["apiserver-slow", "apiserver-errors", "apiserver-saturated"],
        of: &["controller-leader", "scheduler-backlog"],
        tie: Tie::Cluster,
    },
    Cause { by: &["webhook-fail-closed"], of: &["replicas-unavailable", "rollout-stuck"], tie: Tie::Refused },
    Cause { by: &["aggregated-api-down"], of: &["hpa-metrics-missing"], tie: Tie::Metrics },
    Cause { by: &["cluster-overcommit"], of: &["pod-pending"], tie: Tie::NoRoom },
    Cause { by: &["velero-bsl-unavailable"], of: &["velero-backup-failed", "velero-schedule-stale"], tie: Tie::Location },
    Cause { by: &["velero-schedule-stale"], of: &["velero-backup-failed"], tie: Tie::Same },
    Cause {
        by: &["pod-crashloop", "pod-pending"],
        of: &["replicas-unavailable", "rollout-stuck", "pod-not-ready", "service-no-endpoints", "job-failed"],
        tie: Tie::Same,
    },
    Cause {
        by: &["replicas-unavailable", "pod-crashloop", "pod-pending", "rollout-stuck", "container-waiting", "pod-not-ready"],
        of: &["service-no-endpoints"],
        tie: Tie::Behind,
    },
];

/// The rules that explain or are explained.
static LINKED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| CAUSES.iter().flat_map(|c| c.by.iter().chain(c.of)).copied().collect());

/// Which rule may explain which, through others too.
static EXPLAINS: LazyLock<HashSet<(&'static str, &'static str)>> = LazyLock::new(|| {
    let mut all: HashSet<_> = CAUSES.iter().flat_map(|c| c.by.iter().flat_map(|by| c.of.iter().map(move |of| (*by, *of)))).collect();
    for _ in 0..DEEP {
        let far: Vec<_> = all.iter().flat_map(|(a, b)| all.iter().filter(move |(c, _)| b == c).map(move |(_, d)| (*a, *d))).collect();
        all.extend(far);
    }
    all
});

/// The rules that may explain others of the whole cluster, and not only at one place.
static WIDE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let wide = |c: &&Cause| matches!(c.tie, Tie::Cluster | Tie::Refused | Tie::NoRoom | Tie::Metrics);
    CAUSES.iter().filter(wide).flat_map(|c| c.by).copied().collect()
});

/// What may explain each rule's findings, the surest tie first.
static OF: LazyLock<HashMap<&'static str, Vec<&'static Cause>>> = LazyLock::new(|| {
    let mut all: HashMap<&'static str, Vec<&'static Cause>> = HashMap::new();
    CAUSES.iter().for_each(|c| c.of.iter().for_each(|of| all.entry(*of).or_default().push(c)));
    all
});

/// Whether a rule may explain others of the whole cluster.
pub(super) fn wide(rule: &str) -> bool {
    WIDE.contains(rule)
}

/// What may explain a rule's findings, the surest tie first.
pub(super) fn of(rule: &str) -> &'static [&'static Cause] {
    OF.get(rule).map_or(&[], Vec::as_slice)
}

/// Whether one rule may explain another's finding that it is together with.
pub(super) fn explains(rule: &'static str, other: &'static str) -> bool {
    EXPLAINS.contains(&(rule, other))
}

/// Whether a rule explains others, or others explain it.
pub(super) fn linked(rule: &str) -> bool {
    LINKED.contains(rule)
}

/// How near to the root of things a rule is, the nearest first.
pub(super) fn rank(rule: &str) -> usize {
    CAUSES.iter().flat_map(|c| c.by).position(|by| *by == rule).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::RULES;

    #[test]
    fn every_rule_of_the_table_is_one_and_none_explains_itself() {
        for cause in CAUSES {
            for id in cause.by.iter().chain(cause.of) {
                assert!(RULES.iter().any(|r| r.id == *id), "{id}");
            }
        }
        let ring = RULES.iter().find(|r| explains(r.id, r.id));
        assert_eq!(ring.map(|r| r.id), None);
        assert!(explains("node-not-ready", "service-no-endpoints"), "through the workload behind it");
    }
}
