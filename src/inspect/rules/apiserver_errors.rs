//! More than 1 % of the API server's answers are 5xx for 5 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["api-errors"];

pub static RULE: RuleInfo = RuleInfo {
    id: "apiserver-errors",
    area: "control-plane",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "More than 1 % of the API server's answers are 5xx for 5 minutes; critical from 5 % on",
    why: "Failed calls stop reconciliation; the error budget tells if it is a blip or an outage.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("api-errors")],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["k8s-mixin:KubeAPIErrorBudgetBurn", "k8s-mixin:KubeClientErrors"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    over(
        judge,
        QUERIES,
        &AFTER,
        |Over { title, value, .. }| format!("{title}: {value}"),
        "See which verb, resource and instance fail, and whether etcd or a webhook fails at the same time",
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
