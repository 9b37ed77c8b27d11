//! Its quota stops a container for more than a quarter of its periods for 5 minutes.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "cpu-throttled",
        area: "runtime",
        scope: "container",
        summary: "Its quota stops a container for more than a quarter of its periods for 5 minutes; critical from half of them on",
        why: "When the quota of a 100 ms period is used up, all threads stop until the next one, so response time jumps at peaks although average CPU looks low.",
        needs: &[Need::Query("cpu-throttled")],
        peers: &["k8s-mixin:CPUThrottlingHigh"],
        links: &[
            "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/cputhrottlinghigh/",
            "https://docs.kernel.org/scheduler/sched-bwc.html",
        ],
        ..BASE
    },
    queries: &["cpu-throttled"],
    says: |seen| format!("throttled in {} of its periods", seen.value()),
    next: "Raise its CPU limit to twice its p99 use, or take the limit away where the policy allows that",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
