//! An autoscaler that cannot see what it scales by.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, Tri, meta};

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long no metric may be there" };
const SOME: Threshold = Threshold { name: "some-after", default: "15m", doc: "how long some of several may be missing" };

pub static RULE: RuleInfo = RuleInfo {
    id: "hpa-metrics-missing",
    area: "capacity",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "horizontalpodautoscaler",
    summary: "It cannot read its metrics for 5 minutes; a warning when it is some of several, for 15",
    why: "Without the metric the HPA freezes at its current size, up and down.",
    kinds: &[Kind::Hpa],
    needs: &[crate::inspect::Need::Running],
    leans_on: &[],
    thresholds: &[AFTER, SOME],
    peers: &["~k8s-mixin:KubeAggregatedAPIDown"],
    links: &[
        "https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/#metrics-server",
        "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Hpa(hpa)) = judge.object else { return Verdict::Fine };
    let active = meta::condition(&hpa.conditions, "ScalingActive");
    let reason = active.and_then(|c| c.reason.as_deref()).unwrap_or("");
    if hpa.meta.deleting.is_some() || reason == "ScalingDisabled" {
        return Verdict::Fine;
    }
    let blind: Vec<&str> = hpa.metrics.iter().filter(|m| m.current.is_none()).map(|m| &*m.name).collect();
    let names = blind.join(", ");
    if let Some(c) = active.filter(|c| c.status == Tri::False && (reason.starts_with("FailedGet") || reason == "InvalidMetricSourceType")) {
        let hold = judge.value(&AFTER);
        return super::after(c.since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)), || {
            judge
                .finding(
                    Severity::Critical,
                    c.since,
                    format!("stays at {}: {}", hpa.current, if names.is_empty() { reason } else { &names }),
                )
                .with("reason", reason, c.since)
                .with("controller", c.message.as_deref().unwrap_or(""), c.since)
                .then("See whether metrics-server or the metrics adapter answers; scale by hand meanwhile")
        });
    }
    if blind.is_empty() || blind.len() == hpa.metrics.len() || active.is_none_or(|c| c.status != Tri::True) {
        return Verdict::Fine;
    }
    super::after(judge.held_since_seen(judge.value(&SOME)), || {
        judge
            .finding(Severity::Warning, None, format!("never scales down: {names} is not there"))
            .with("metrics it has", format!("{} of {}", hpa.metrics.len() - blind.len(), hpa.metrics.len()), None)
            .then("See whether the adapter of that metric answers, or take the metric out")
            .edit()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago};
    use serde_json::{Value, json};

    fn hpa(active: (&str, &str), since: i64, readable: usize) -> Value {
        let metric = |name: &str| json!({"type": "Pods", "pods": {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": "30"}}});
        let current = |name: &str, there: bool| {
            if there {
                json!({"type": "Pods", "pods": {"metric": {"name": name}, "current": {"averageValue": "10"}}})
            } else {
                json!({"type": ""})
            }
        };
        json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "metrics": [metric("rps"), metric("lag")]},
            "status": {"currentReplicas": 2, "currentMetrics": [current("rps", readable > 0), current("lag", readable > 1)],
                "conditions": [{"type": "ScalingActive", "status": active.0, "reason": active.1, "message": "no adapter", "lastTransitionTime": ago(since)}]}})
    }

    fn fleet(h: Value) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Hpa, [h]);
        fleet
    }

    #[test]
    fn all_of_them_after_five_minutes() {
        let rule = |f: &Fleet| f.severity(Kind::Hpa, "h", RULE.id);
        let mut f = fleet(hpa(("False", "FailedGetPodsMetric"), 299, 0));
        assert_eq!(rule(&f), None);
        assert_eq!(rule(f.wait(1)), Some(Severity::Critical));
        assert_eq!(f.finding(Kind::Hpa, "h", RULE.id).unwrap().message, "stays at 2: rps, lag");
        assert_eq!(rule(&fleet(hpa(("False", "ScalingDisabled"), 9000, 0))), None, "scaled to zero by hand");
    }

    #[test]
    fn some_of_several_after_fifteen() {
        let rule = |f: &Fleet| f.severity(Kind::Hpa, "h", RULE.id);
        let mut f = fleet(hpa(("True", "ValidMetricFound"), 9000, 1));
        assert_eq!(rule(f.wait(899)), None);
        assert_eq!(rule(f.wait(1)), Some(Severity::Warning));
        f.put(Kind::Hpa, [hpa(("True", "ValidMetricFound"), 9000, 2)]);
        assert_eq!(rule(&f), None);
    }
}
