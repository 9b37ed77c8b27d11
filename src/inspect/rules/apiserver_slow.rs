//! The p99 of a verb is over 1 s for 10 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["api-latency"];

pub static RULE: RuleInfo = RuleInfo {
    id: "apiserver-slow",
    area: "control-plane",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "The p99 of a verb is over 1 s for 10 minutes; critical from 5 s on",
    why: "Controllers, kubelets and kubectl all wait here; slow writes delay failover.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("api-latency")],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["~k8s-mixin:KubeAPIErrorBudgetBurn"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    over(
        judge,
        QUERIES,
        &AFTER,
        |Over { title, value, of }| format!("{title} of {of}: {value}"),
        "See what it waits for: webhooks, etcd or its own queue; then who asks most",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::rules::measured::tests::holds;

    #[test]
    fn at_its_limits_after_its_time() {
        holds(&RULE, QUERIES, 600);
    }
}
