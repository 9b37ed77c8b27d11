//! An autoscaler that wants more pods than it may make.
//!
//! Left out: hours at the maximum (history), throttling and errors (Prometheus), room for more pods and quota.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, core};
use crate::model::{HpaMetric, Kind, Object, Tri, VerbId, meta};

const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long the autoscaler must be limited" };
const OVER: Threshold = Threshold { name: "critical-over", default: "120%", doc: "a metric beyond this share of its target is critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "hpa-at-max",
    area: "capacity",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "horizontalpodautoscaler",
    summary: "At its maximum and wanting more for 10 minutes; critical when core or a metric is over 120 % of target",
    why: "The autoscaler asks for more pods than it may create; load is above what the service was sized for.",
    kinds: &[Kind::Hpa],
    needs: &[crate::inspect::Need::Running],
    leans_on: &[],
    thresholds: &[AFTER, OVER],
    peers: &["k8s-mixin:KubeHpaMaxedOut"],
    judge,
};

/// Percent of its target that a metric stands at.
fn load(m: &HpaMetric) -> Option<i64> {
    let (current, target) = (m.current?, m.target.filter(|t| *t > 0)?);
    Some(current.saturating_mul(100) / target)
}

/// `143/80%`, or plain numbers.
fn shown(m: &HpaMetric) -> String {
    let number = |n: Option<i64>| match n {
        None => "?".to_owned(),
        Some(n) if m.percent => n.to_string(),
        Some(n) if n % 1000 == 0 || n >= 100_000 => (n / 1000).to_string(),
        Some(n) => format!("{}.{}", n / 1000, n % 1000 / 100),
    };
    format!("{}/{}{}", number(m.current), number(m.target), if m.percent { "%" } else { "" })
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Hpa(hpa)) = judge.object else { return Verdict::Fine };
    let limited = meta::condition(&hpa.conditions, "ScalingLimited")
        .filter(|c| c.status == Tri::True && c.reason.as_deref() == Some("TooManyReplicas"));
    let Some(limited) = limited.filter(|_| hpa.at_max()) else { return Verdict::Fine };
    let hold = judge.value(&AFTER);
    if let Err(at) = limited.since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)) {
        return Verdict::FineUntil(at);
    }
    let worst = hpa.metrics.iter().filter_map(|m| Some((load(m)?, m))).max_by_key(|(l, _)| *l);
    let target = Kind::parse(&hpa.target_kind).and_then(|k| judge.cluster.named(k, &hpa.meta.namespace, &hpa.target_name));
    let hot = worst.is_some_and(|(l, _)| l > judge.value(&OVER));
    let severity = if hot || core(object) || target.is_some_and(core) { Severity::Critical } else { Severity::Warning };
    let mut message = format!("{}/{}", hpa.current, hpa.max);
    if let Some((_, m)) = worst {
        message.push_str(&format!(", {} {}", m.name, shown(m)));
    }
    let mut finding =
        judge.finding(severity, limited.since, message).with("scales", format!("{} {}", hpa.target_kind, hpa.target_name), None);
    for m in &hpa.metrics {
        finding = finding.with(&m.name, shown(m), None);
    }
    finding = finding.with("last scale", hpa.last_scale.map(|t| t.rfc3339()).unwrap_or_default(), hpa.last_scale);
    let next = match worst.filter(|(l, _)| *l > 100) {
        Some((load, _)) => {
            format!("Raise maxReplicas to about {} after checking room and quota", i64::from(hpa.current) * load * 13 / 1000 + 1)
        }
        None => "Raise maxReplicas after checking room and quota, or see where the load comes from".to_owned(),
    };
    Verdict::Burning(finding.then(next).here(VerbId::HpaSet, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, judged};
    use serde_json::{Value, json};

    fn hpa(min: i32, cpu: i32, reason: &str, since: i64) -> Value {
        json!({"metadata": {"name": "api"},
            "spec": {"minReplicas": min, "maxReplicas": 40, "scaleTargetRef": {"kind": "Deployment", "name": "api"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
            "status": {"currentReplicas": 40, "desiredReplicas": 40,
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu}}}],
                "conditions": [{"type": "ScalingLimited", "status": "True", "reason": reason, "lastTransitionTime": ago(since)}]}})
    }

    #[test]
    fn limited_for_ten_minutes() {
        for (object, severity) in [
            (hpa(2, 90, "TooManyReplicas", 599), None),
            (hpa(2, 90, "TooManyReplicas", 600), Some(Severity::Warning)),
            (hpa(2, 96, "TooManyReplicas", 600), Some(Severity::Warning)),
            (hpa(2, 97, "TooManyReplicas", 600), Some(Severity::Critical)),
            (hpa(40, 200, "TooManyReplicas", 6000), None),
            (hpa(2, 90, "TooFewReplicas", 6000), None),
        ] {
            assert_eq!(judged(Kind::Hpa, object.clone(), "hpa-at-max"), severity, "{object}");
        }
    }

    #[test]
    fn the_message_has_the_hottest_metric() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Hpa, [hpa(2, 143, "TooManyReplicas", 700)]);
        assert_eq!(fleet.finding(Kind::Hpa, "api", "hpa-at-max").unwrap().message, "40/40, cpu 143/80%");
        assert_eq!(fleet.lines()[0].title, "hpa pay/api");
    }
}
