//! More than 50 pods wait for the scheduler, or an attempt takes over 1 s (p99), for 5 minutes.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "scheduler-backlog",
        area: "control-plane",
        tier: 2,
        scope: "cluster",
        summary: "More than 50 pods wait for the scheduler, or an attempt takes over 1 s (p99), for 5 minutes; critical from 500 pods or 5 s on",
        why: "A slow or stuck scheduler looks like lack of capacity.",
        needs: &[Need::Query("scheduler-queue")],
        links: &[
            "https://kubernetes.io/docs/concepts/scheduling-eviction/scheduler-perf-tuning/",
            "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeschedulerdown/",
        ],
        ..BASE
    },
    queries: &["scheduler-queue", "scheduler-latency"],
    says: |seen| format!("{} {}: {}", seen.signal.title, seen.of(), seen.value()),
    next: "See its lease and its log; a plugin or extender that is slow shows in scheduler_framework_extension_point_duration_seconds",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
