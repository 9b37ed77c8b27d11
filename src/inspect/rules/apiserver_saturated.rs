//! A priority level of the API server has few seats left or lets requests wait, it refuses or ends requests, or it is short of memory.
//!
//! Its memory is judged by its node's; of a limit memory-of-limit tells.

use super::measured::{BASE, Measured, USUAL};
use crate::inspect::{Need, RuleInfo, Severity};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "apiserver-saturated",
        area: "control-plane",
        scope: "cluster",
        summary: "A priority level has 80 % of its seats taken, or requests in flight near their maximum, for 5 minutes (critical from 95 % on); requests wait a second in a queue, or it takes 85 % of its node's memory; it refuses requests of a level (critical of the system's or for leader election); or it ends a hundredth of its requests (critical: a fifth)",
        why: "One greedy client can push others into the queue; when system levels are rejected the cluster loses leases.",
        needs: &[Need::Query("api-seats")],
        peers: &["k8s-mixin:KubeAPITerminatedRequests"],
        links: &[
            "https://kubernetes.io/docs/concepts/cluster-administration/flow-control/",
            "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeapiterminatedrequests/",
        ],
        ..BASE
    },
    queries: &["api-seats", "api-inflight", "api-rejected", "api-terminated", "api-waits", "api-memory"],
    level: |seen| {
        let own = matches!(seen.label("priority_level"), "system" | "leader-election" | "node-high");
        let refuses = own && &*seen.signal.meta.name == "api-rejected";
        seen.limits().map(|severity| if refuses { Severity::Critical } else { severity })
    },
    says: |seen| format!("{} {}: {}", seen.signal.title, seen.of(), seen.value()),
    next: "See who asks most at that level; isolate that client in a FlowSchema of its own",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::Fleet;
    use crate::inspect::rules::measured::tests::{holds, seen};

    #[test]
    fn at_its_limits_after_its_time() {
        holds(&RULE, &FACTS, 300);
    }

    #[test]
    fn what_the_cluster_itself_is_refused_is_critical() {
        let of =
            |level: &str| seen(&mut Fleet::default(), &RULE, "api-rejected", &[("priority_level", level)], 0.1, 300).map(|f| f.severity);
        assert_eq!((of("leader-election"), of("workload-low")), (Some(Severity::Critical), Some(Severity::Warning)));
    }
}
