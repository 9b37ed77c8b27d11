//! By what each rule is shown to find its real cause: what is simulated, what is made in the lab, or a test of the lab's of its own.

use quarterdeck::inspect::RULES;

/// What shows a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// A scenario that comes with qd.
    Demo(&'static str),
    /// Faults and objects of the lab that are made once and inspected once.
    Lab,
    /// A file of the lab's tests in which one finds it, and says so.
    Test(&'static str),
    /// A page of metrics that a real Prometheus scrapes.
    Page,
}
use By::{Demo, Lab, Page, Test};

pub const SHOWN: &[(&str, By)] = &[
    ("aggregated-api-down", Test("asked.rs")),
    ("alert-critical", Demo("on-call-night")),
    ("apiserver-errors", Demo("region-down")),
    ("apiserver-saturated", Page),
    ("apiserver-slow", Page),
    ("backup-overdue", Demo("backups")),
    ("calico-ipam-exhausted", Page),
    ("calico-node-restarts", Lab),
    ("calico-typha-overload", Page),
    ("cert-expiring", Lab),
    ("cluster-overcommit", Lab),
    ("cluster-unreachable", Demo("region-down")),
    ("component-down", Lab),
    ("conntrack-near-full", Page),
    ("container-oomkilled", Lab),
    ("container-restart-rate", Lab),
    ("container-waiting", Lab),
    ("controller-leader", Test("asked.rs")),
    ("coredns-degraded", Demo("region-down")),
    ("cpu-governor-slow", Page),
    ("cpu-limit-below-burst", Page),
    ("cpu-manager-mismatch", Demo("from-vms")),
    ("cpu-throttled", Demo("on-call-night")),
    ("cronjob-missed", Lab),
    ("deprecated-api-in-use", Test("asked.rs")),
    ("dns-cache-missing", Page),
    ("dns-ndots-amplification", Page),
    ("dns-policy-odd", Lab),
    ("ephemeral-storage-unbounded", Lab),
    ("etcd-alarm", Demo("etcd-full")),
    ("etcd-backup-stale", Lab),
    ("etcd-db-quota", Demo("etcd-full")),
    ("etcd-disk-slow", Test("etcd.rs")),
    ("etcd-fragmentation", Demo("etcd-full")),
    ("etcd-leader-changes", Test("etcd.rs")),
    ("etcd-quorum-risk", Demo("etcd-quorum")),
    ("etcd-raft-lag", Demo("etcd-full")),
    ("etcd-version-skew", Demo("etcd-full")),
    ("eviction-storm", Demo("on-call-night")),
    ("grpc-ingress-protocol", Lab),
    ("grpc-l4-balancing", Lab),
    ("hpa-at-max", Lab),
    ("hpa-metrics-missing", Lab),
    ("hpa-min-equals-max", Lab),
    ("hpa-no-requests", Lab),
    ("hpa-unable-to-scale", Lab),
    ("image-not-pinned", Lab),
    ("ingress-duplicate-path", Lab),
    ("ingress-forwarded-headers", Demo("from-vms")),
    ("ingress-host-annotation-conflict", Lab),
    ("ingress-redirect-shift", Page),
    ("job-failed", Lab),
    ("jvm-heap-unaware", Test("careless.rs")),
    ("keda-paused", Test("asked.rs")),
    ("lxcfs-stale-mount", Test("careless.rs")),
    ("monitoring-blind", Demo("region-down")),
    ("node-binpack-low", Lab),
    ("node-config-drift", Lab),
    ("node-emptied", Test("asked.rs")),
    ("node-io-saturated", Page),
    ("node-maxpods", Lab),
    ("node-not-ready", Lab),
    ("node-peer-outlier", Page),
    ("node-pressure", Lab),
    ("node-reservation-thin", Lab),
    ("orphaned-storage", Lab),
    ("page-cache-inflation", Page),
    ("pdb-blocks-drain", Lab),
    ("pdb-ineffective", Lab),
    ("pdb-missing", Lab),
    ("pdb-overlap", Lab),
    ("pleg-unhealthy", Lab),
    ("pod-crashloop", Lab),
    ("pod-load-skew", Page),
    ("pod-not-ready", Lab),
    ("pod-pending", Lab),
    ("priority-class-missing", Lab),
    ("privileged-or-host-access", Lab),
    ("probes-missing", Lab),
    ("qos-core-not-guaranteed", Lab),
    ("rbac-too-wide", Test("asked.rs")),
    ("release-not-lossless", Lab),
    ("replicas-colocated", Lab),
    ("replicas-excess", Page),
    ("replicas-unavailable", Lab),
    ("requests-too-high", Page),
    ("resources-missing", Lab),
    ("rollout-stuck", Lab),
    ("runtime-sees-host-cpus", Test("careless.rs")),
    ("sa-token-automount", Lab),
    ("scheduler-backlog", Page),
    ("secret-in-env", Test("careless.rs")),
    ("service-links-bloat", Lab),
    ("service-no-endpoints", Lab),
    ("silence-expiring", Demo("region-down")),
    ("silence-matches-nothing", Demo("region-down")),
    ("single-replica-critical", Lab),
    ("spread-policy-missing", Lab),
    ("stuck-terminating", Lab),
    ("usage-denominator-shift", Page),
    ("velero-backup-failed", Demo("backups")),
    ("velero-bsl-unavailable", Demo("backups")),
    ("velero-schedule-stale", Demo("backups")),
    ("version-skew", Lab),
    ("vm-baseline-drift", Page),
    ("volume-nearly-full", Page),
    ("webhook-fail-closed", Test("asked.rs")),
];

/// The rules that are shown so.
pub fn shown(by: impl Fn(By) -> bool) -> Vec<&'static str> {
    SHOWN.iter().filter(|(_, b)| by(*b)).map(|(rule, _)| *rule).collect()
}

/// Settings with which one look is enough: what must hold for a while holds at once.
pub fn at_once() -> String {
    let mut text = String::new();
    for rule in RULES {
        let waits = |name: &str| name == "after" || name.ends_with("-after") || matches!(name, "young" | "age");
        let waits: Vec<_> = rule.thresholds.iter().filter(|t| waits(t.name) && t.default.ends_with(['s', 'm', 'h', 'd'])).collect();
        if !waits.is_empty() {
            text.push_str(&format!("[thresholds.{}]\n", rule.id));
            waits.iter().for_each(|t| text.push_str(&format!("{} = '0s'\n", t.name)));
        }
    }
    text
}
