//! The p99 of a verb is over 1 s for 10 minutes.

use super::measured::{BASE, Measured, USUAL, after, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "apiserver-slow",
        area: "control-plane",
        scope: "cluster",
        summary: "The p99 of a verb is over 1 s for 10 minutes; critical from 5 s on",
        why: "Controllers, kubelets and kubectl all wait here; slow writes delay failover.",
        needs: &[Need::Query("api-latency")],
        thresholds: &[after("10m")],
        peers: &["~k8s-mixin:KubeAPIErrorBudgetBurn"],
        links: &[
            "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeapierrorbudgetburn/",
            "https://kubernetes.io/docs/concepts/cluster-administration/flow-control/",
        ],
        ..BASE
    },
    queries: &["api-latency"],
    says: |seen| format!("{} of {}: {}", seen.signal.title, seen.of(), seen.value()),
    next: "See what it waits for: webhooks, etcd or its own queue; then who asks most",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(600);
