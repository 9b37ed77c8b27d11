//! A priority level has 80 % of its seats taken, or requests in flight near their maximum, for 5 minutes.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "apiserver-saturated",
        area: "control-plane",
        scope: "cluster",
        summary: "A priority level has 80 % of its seats taken, or requests in flight near their maximum, for 5 minutes; critical from 95 % on",
        why: "One greedy client can push others into the queue; when system levels are rejected the cluster loses leases.",
        needs: &[Need::Query("api-seats")],
        peers: &["k8s-mixin:KubeAPITerminatedRequests"],
        ..BASE
    },
    queries: &["api-seats", "api-inflight"],
    says: |seen| format!("{} {}: {}", seen.signal.title, seen.of(), seen.value()),
    next: "See who asks most at that level; isolate that client in a FlowSchema of its own",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
