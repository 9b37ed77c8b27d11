//! Answers of the API server are 5xx, as it counts them or as its clients do.
//!
//! Left out: the pairs of windows of an error budget (all but those over days are stricter than what is told here), slow answers as errors
//! (apiserver-slow tells), and refusals of one component that come up.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "apiserver-errors",
        area: "control-plane",
        scope: "cluster",
        summary: "More than 1 % of the API server's answers are 5xx for 5 minutes (critical from 5 % on), or a hundredth of the answers that one component had in 15 minutes",
        why: "Failed calls stop reconciliation; the error budget tells if it is a blip or an outage.",
        needs: &[Need::Query("api-errors")],
        peers: &["k8s-mixin:KubeAPIErrorBudgetBurn", "k8s-mixin:KubeClientErrors"],
        ..BASE
    },
    queries: &["api-errors", "client-errors"],
    says: |seen| match &*seen.signal.meta.name {
        "client-errors" => format!("{} of the API's answers to {} are 5xx", seen.value(), seen.label("job")),
        _ => format!("{}: {}", seen.signal.title, seen.value()),
    },
    next: "See which verb, resource and instance fail, and whether etcd or a webhook fails at the same time",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
