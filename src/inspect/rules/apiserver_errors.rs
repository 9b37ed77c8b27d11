//! More than 1 % of the API server's answers are 5xx for 5 minutes.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "apiserver-errors",
        area: "control-plane",
        scope: "cluster",
        summary: "More than 1 % of the API server's answers are 5xx for 5 minutes; critical from 5 % on",
        why: "Failed calls stop reconciliation; the error budget tells if it is a blip or an outage.",
        needs: &[Need::Query("api-errors")],
        peers: &["k8s-mixin:KubeAPIErrorBudgetBurn", "k8s-mixin:KubeClientErrors"],
        ..BASE
    },
    queries: &["api-errors"],
    next: "See which verb, resource and instance fail, and whether etcd or a webhook fails at the same time",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
