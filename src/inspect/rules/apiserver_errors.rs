//! More than 1 % of the API server's answers are 5xx for 5 minutes.

use super::measured::{Measured, USUAL};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    id: "apiserver-errors",
    area: "control-plane",
    scope: "cluster",
    summary: "More than 1 % of the API server's answers are 5xx for 5 minutes; critical from 5 % on",
    why: "Failed calls stop reconciliation; the error budget tells if it is a blip or an outage.",
    needs: &[Need::Query("api-errors")],
    queries: &["api-errors"],
    peers: &["k8s-mixin:KubeAPIErrorBudgetBurn", "k8s-mixin:KubeClientErrors"],
    next: "See which verb, resource and instance fail, and whether etcd or a webhook fails at the same time",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::rules::measured::tests::holds;

    #[test]
    fn at_its_limits_after_its_time() {
        holds(&RULE, &FACTS, 300);
    }
}
