//! One node is slower than its peers.
//!
//! What a pod costs is its CPU by received byte: every cluster has that. Left out: requests and their p99 by pod (no metric that all have), NUMA and
//! frequency as causes (cpu-governor-slow tells).

use super::measured::{BASE, Measured, USUAL, after, held};
use crate::inspect::{Need, RuleInfo, Severity};
use crate::model::VerbId;

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "node-peer-outlier",
        area: "node",
        severity: Severity::Warning,
        scope: "node",
        summary: "On one node pods of three workloads cost 1.3 times their median, the hypervisor takes 3 % of its CPU, or its network softirqs are cut short 3 times as often as elsewhere, for 10 minutes",
        why: "When several unrelated services are slow on one node only, the node is at fault, not the code.",
        needs: &[Need::Query("cpu-steal")],
        thresholds: &[after("10m")],
        links: &[
            "https://kubernetes.io/docs/tasks/debug/debug-cluster/monitor-node-health/",
            "https://docs.kernel.org/accounting/psi.html",
        ],
        ..BASE
    },
    queries: &["node-costs-more", "cpu-steal", "softnet-squeezed"],
    next: "Cordon it and move one replica to prove it; drain it when that helps",
    more: |seen, finding| {
        let node = seen
            .node()
            .map(|n| (n.kernel.to_string(), n.meta.labels.get("node.kubernetes.io/instance-type").unwrap_or("not known").to_owned()));
        let on = finding.there();
        let (kernel, machine) = node.unwrap_or_default();
        finding.with_all([("kernel", kernel), ("machine", machine)]).act(VerbId::Cordon, on, &[])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(600);
