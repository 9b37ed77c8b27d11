//! A workload without an autoscaler has more replicas than its busiest hours need.
//!
//! Left out: requests a second, and zones (needs what the ingress measures, and a policy).

use super::measured::{BASE, Measured, Seen, percent, whole};
use crate::inspect::{Need, RuleInfo, Severity, Threshold};
use crate::model::{Kind, VerbId, Workload};

const SHARE: Threshold = Threshold { name: "needed-below", default: "70%", doc: "share of its replicas that must be enough" };
const FULL: Threshold = Threshold { name: "full-from", default: "60%", doc: "of its request, what a replica may use at the busiest" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "replicas-excess",
        area: "cost",
        tier: 2,
        burns: false,
        severity: Severity::Info,
        scope: "workload without HPA",
        summary: "At the p99 of 14 days two replicas less and 70 % of them would do, each at 60 % of its CPU request",
        why: "Fewer replicas or smaller pods give the same service; VM-era replica counts are often carried over.",
        needs: &[Need::Query("replicas-spare")],
        thresholds: &[SHARE, FULL],
        links: &[
            "https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/",
            "https://kubernetes.io/docs/concepts/workloads/autoscaling/vertical-pod-autoscale/",
        ],
        ..BASE
    },
    queries: &["replicas-spare"],
    again: Some(300),
    level: |seen| needed(seen).map(|_| Severity::Info),
    says: |seen| needed(seen).map_or_else(String::new, |(w, needed)| format!("{needed} of {} replicas would do", has(w))),
    next: "One step down, then watch its p99 and throttling for a day; or create an autoscaler",
    more: |seen, finding| {
        let Some((w, needed)) = needed(seen) else { return finding };
        let (has, each) = (has(w), w.shape.requests.cpu_request_m.unwrap_or(0));
        let goal = (has - (has / 5).max(1)).max(needed);
        let on = finding.there();
        finding
            .with_all([
                ("CPU request a replica", super::measured::cores(each)),
                ("free for others", super::measured::cores(each * (has - needed))),
                (
                    "memory of the requests now",
                    memory(seen, w).map_or_else(|| "not known".to_owned(), |(used, asked)| percent(used, asked)),
                ),
            ])
            .act(VerbId::Scale, on, &[("replicas", &goal.to_string()), ("current-replicas", &has.to_string())])
    },
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

fn has(w: &Workload) -> i64 {
    i64::from(w.desired.unwrap_or(0))
}

/// What its pods use and request now, bytes.
fn memory(seen: &Seen<'_>, w: &Workload) -> Option<(i64, i64)> {
    let sum = seen.judge.cluster.usage_of_pods(seen.judge.cluster.named(w.kind, &w.meta.namespace, &w.meta.name)?)?;
    Some((sum.memory?, sum.memory_request)).filter(|(_, asked)| *asked > 0)
}

/// The workload and how many replicas it needs, where that is few enough.
fn needed<'a>(seen: &Seen<'a>) -> Option<(&'a Workload, i64)> {
    let w = seen.workload().filter(|w| matches!(w.kind, Kind::Deployment | Kind::StatefulSet))?;
    if seen.scaler(w).is_some() {
        return None;
    }
    let has = has(w);
    let by_cpu = has - whole(seen.number());
    // What is bound by memory needs the replicas for that.
    let by_memory = memory(seen, w).map_or(0, |(used, asked)| (used * has * 100).div_euclid(asked * seen.threshold(&FULL).max(1)) + 1);
    let needed = by_cpu.max(by_memory).max(2);
    (needed <= has - 2 && needed * 100 <= has * seen.threshold(&SHARE)).then_some((w, needed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment};
    use crate::inspect::rules::measured::tests::seen;
    use crate::inspect::{Finding, Remedy};

    fn found(replicas: i32, spare: f64) -> Option<Finding> {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [deployment("web", replicas, replicas)]);
        seen(&mut fleet, &RULE, "replicas-spare", &[("namespace", "pay"), ("workload", "web")], spare, 0)
    }

    #[test]
    fn two_less_and_seven_tenths() {
        assert_eq!(found(10, 3.0).map(|f| f.message).as_deref(), Some("7 of 10 replicas would do"));
        assert_eq!(found(10, 2.0), None, "eight of ten");
        assert_eq!(found(4, 2.0).map(|f| f.severity), Some(Severity::Info));
        assert_eq!(found(3, 2.0), None, "two are the least");
        let Some(Remedy::Act { verb, args, .. }) = found(10, 5.0).unwrap().remedy else { panic!("no remedy") };
        assert_eq!((verb, args.get("replicas")), (VerbId::Scale, Some("8")), "a fifth at a time");
    }
}
