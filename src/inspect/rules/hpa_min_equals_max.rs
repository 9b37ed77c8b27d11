//! An autoscaler that cannot move.

use crate::inspect::{Judge, RuleInfo, Severity, Verdict, core};
use crate::model::{Kind, Object, VerbId};

pub static RULE: RuleInfo = RuleInfo {
    id: "hpa-min-equals-max",
    area: "capacity",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "horizontalpodautoscaler",
    summary: "Its minimum is its maximum; a warning when core or when a metric is over its target",
    why: "An autoscaler that cannot move only adds a false sense of elasticity.",
    kinds: &[Kind::Hpa],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &["polaris:hpaMaxAvailability"],
    links: &[
        "https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubehpamaxedout/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Hpa(hpa)) = judge.object else { return Verdict::Fine };
    if hpa.min != hpa.max || hpa.max == 0 || hpa.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let target = Kind::parse(&hpa.target_kind).and_then(|k| judge.cluster.named(k, &hpa.meta.namespace, &hpa.target_name));
    let over = hpa.metrics.iter().find(|m| matches!((m.current, m.target), (Some(c), Some(t)) if c > t));
    let severity = if over.is_some() || core(object) || target.is_some_and(core) { Severity::Warning } else { Severity::Info };
    Verdict::Burning(
        judge
            .finding(severity, hpa.meta.created, format!("stays at {}: minimum and maximum are the same", hpa.max))
            .with("scales", format!("{} {}", hpa.target_kind, hpa.target_name), None)
            .with("over its target", over.map(|m| m.name.to_string()).unwrap_or_default(), None)
            .then("Give it room between minimum and maximum, or delete it and scale by hand")
            .here(VerbId::HpaSet, &[]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::judged;
    use serde_json::{Value, json};

    fn hpa(min: i32, max: i32, use_percent: i32) -> Value {
        json!({"metadata": {"name": "h"}, "spec": {"minReplicas": min, "maxReplicas": max, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
            "status": {"currentReplicas": min, "desiredReplicas": min, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": use_percent}}}]}})
    }

    #[test]
    fn only_one_that_cannot_move_and_worse_when_it_should() {
        assert_eq!(judged(Kind::Hpa, hpa(2, 3, 90), RULE.id), None);
        assert_eq!(judged(Kind::Hpa, hpa(3, 3, 80), RULE.id), Some(Severity::Info));
        assert_eq!(judged(Kind::Hpa, hpa(3, 3, 81), RULE.id), Some(Severity::Warning));
    }
}
