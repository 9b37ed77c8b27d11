//! One pod of a workload has far more to do than the others.
//!
//! By CPU, which every cluster has. Left out: network and requests by pod, and what the Service says of affinity and policy.

use super::measured::{BASE, Measured, USUAL, after, cores, held};
use crate::inspect::{Need, RuleInfo, Severity};
use crate::model::Kind;

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "pod-load-skew",
        area: "network",
        severity: Severity::Warning,
        scope: "workload",
        summary: "Of five pods and more the busiest uses 2.5 times the median CPU, for 15 minutes",
        why: "The busiest pod sets the tail latency and triggers scaling that does not help.",
        needs: &[Need::Query("pod-skew")],
        thresholds: &[after("15m")],
        links: &["https://kubernetes.io/docs/reference/networking/virtual-ips/", "https://grpc.io/blog/grpc-load-balancing/"],
        ..BASE
    },
    queries: &["pod-skew"],
    says: |seen| format!("its busiest pod uses {} times the median", seen.value()),
    next: "See whether connections live long, the Service has affinity or policy Local, or one key is hot; a restart of the busiest spreads long connections anew",
    more: |seen, finding| {
        let (judge, Some(w)) = (seen.judge, seen.workload()) else { return finding };
        let pods = judge.index.pods(judge.cluster, w.meta.uid);
        let used = |p: &&std::sync::Arc<crate::model::Pod>| judge.cluster.usage(Kind::Pod, &p.meta.namespace, &p.meta.name)?.cpu_m;
        let mut all: Vec<(i64, &str, &str)> =
            pods.iter().filter_map(|p| Some((used(p)?, &*p.meta.name, p.node.as_deref().unwrap_or("")))).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let told = all.iter().take(3).chain(all.last().filter(|_| all.len() > 3));
        finding.with_all(told.map(|(cpu, pod, node)| ("cpu", format!("{pod} on {node}: {}", cores(*cpu)))))
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(900);
