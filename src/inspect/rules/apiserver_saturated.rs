//! A priority level has 80 % of its seats taken, or requests in flight near their maximum, for 5 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["api-seats", "api-inflight"];

pub static RULE: RuleInfo = RuleInfo {
    id: "apiserver-saturated",
    area: "control-plane",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "A priority level has 80 % of its seats taken, or requests in flight near their maximum, for 5 minutes; critical from 95 % on",
    why: "One greedy client can push others into the queue; when system levels are rejected the cluster loses leases.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("api-seats")],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["k8s-mixin:KubeAPITerminatedRequests"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    over(
        judge,
        QUERIES,
        &AFTER,
        |Over { title, value, of }| format!("{title} {of}: {value}"),
        "See who asks most at that level; isolate that client in a FlowSchema of its own",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::rules::measured::tests::holds;

    #[test]
    fn at_its_limits_after_its_time() {
        holds(&RULE, QUERIES, 300);
    }
}
