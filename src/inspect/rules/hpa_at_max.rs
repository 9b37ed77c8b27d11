//! An autoscaler that wants more pods than it may make.
//!
//! How long it was at its maximum this week, and whether its pods are throttled, is said where a Prometheus measures it. Left out: errors that rise (no
//! metric that all have is a workload's), room for more pods (its sum is not a placement: pod-pending tells when there is none), and quotas, which are
//! not read.

use super::later;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, core};
use crate::model::{Hpa, HpaMetric, Kind, Object, Signal, SignalState, Tri, VerbId, meta};

const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long the autoscaler must be limited" };
const OVER: Threshold = Threshold { name: "critical-over", default: "120%", doc: "a metric beyond this share of its target is critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "hpa-at-max",
    area: "capacity",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "horizontalpodautoscaler",
    summary: "At its maximum and wanting more for 10 minutes; critical when core, a metric is over 120 % of target, or its pods are throttled",
    why: "The autoscaler asks for more pods than it may create; load is above what the service was sized for.",
    kinds: &[Kind::Hpa],
    needs: &[crate::inspect::Need::Running],
    leans_on: &[],
    thresholds: &[AFTER, OVER],
    peers: &["k8s-mixin:KubeHpaMaxedOut"],
    judge,
};

/// How often one looks again (seconds) at what is measured.
const AGAIN: i64 = 60;

/// How long it was at its maximum within the last seven days, as is measured.
fn hours<'a>(judge: &Judge<'a>, hpa: &Hpa) -> Option<&'a Signal> {
    let of = |o: &'a Object| if let Object::Signal(s) = o { Some(&**s) } else { None };
    let named = |s: &&Signal| &*s.meta.name == "hpa-hours" && s.meta.labels.get("horizontalpodautoscaler") == Some(&hpa.meta.name);
    judge.cluster.objects(Kind::Signal).filter_map(of).find(|s| named(s) && s.meta.namespace == hpa.meta.namespace)
}

/// Pods that are so busy that none of them can do more, by the worst metric: as many as would bring it to its target.
fn needed(hpa: &Hpa, load: i64) -> i64 {
    (i64::from(hpa.current) * load + 99) / 100
}

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
    let throttled = target.into_iter().flat_map(|t| judge.cluster.signals_of(t, "cpu-throttled"));
    let throttled = throttled.filter(|s| matches!(s.state, SignalState::Warning | SignalState::Critical));
    let throttled = throttled.max_by(|a, b| a.value.unwrap_or(0.0).total_cmp(&b.value.unwrap_or(0.0)));
    let hot = worst.is_some_and(|(l, _)| l > judge.value(&OVER)) || throttled.is_some();
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
    if let Some((load, m)) = worst.filter(|(l, _)| *l > 100) {
        finding = finding.with("pods that would bring it to its target", format!("{} by {}", needed(hpa, load), m.name), None);
    }
    if let Some(hours) = hours(judge, hpa) {
        let value = hours.value.map(|v| hours.measure.text(v)).unwrap_or_default();
        finding = finding.with("at its maximum within 7 days", value, None);
    }
    if let Some(s) = throttled {
        finding = finding.with(&s.title, format!("{} {}", s.of_what(), s.value.map(|v| s.measure.text(v)).unwrap_or_default()), None);
    }
    let next = match worst.filter(|(l, _)| *l > 100) {
        Some((load, _)) => {
            format!("Raise maxReplicas to about {} after checking room and quota", i64::from(hpa.current) * load * 13 / 1000 + 1)
        }
        None => "Raise maxReplicas after checking room and quota, or see where the load comes from".to_owned(),
    };
    let finding = finding.then(next).here(VerbId::HpaSet, &[]);
    // What is measured changes without it.
    Verdict::BurningUntil(finding, later(judge, AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment, judged, owned, pod, replicaset, running, told};
    use crate::inspect::rules::measured::tests::shipped;
    use crate::model::signal::tests::labels;
    use crate::model::{Service, ServiceState};
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

    #[test]
    fn what_is_measured_of_it_and_of_its_pods() {
        let of = |ratio: f64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Deployment, [deployment("api", 40, 40)]);
            fleet.put(Kind::ReplicaSet, [replicaset("r", "api", 2, "i:1", 900, 40)]);
            fleet.put(Kind::Pod, [pod(owned("api-1", Kind::ReplicaSet, "r"), "n", true, 900, running())]);
            fleet.put(Kind::Hpa, [hpa(2, 90, "TooManyReplicas", 700)]);
            let row = |query: &str, of: &[(&str, &str)], value: f64| {
                Object::Signal(Signal::of(&shipped(query), labels(of), value, [value].into()).into())
            };
            let hours = |name: &str, secs: f64| row("hpa-hours", &[("namespace", "pay"), ("horizontalpodautoscaler", name)], secs);
            let throttled = row("cpu-throttled", &[("namespace", "pay"), ("pod", "api-1"), ("container", "app")], ratio);
            told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![hours("other", 300.0), hours("api", 36_000.0), throttled]);
            fleet.wait(60);
            fleet.finding(Kind::Hpa, "api", RULE.id).map(|f| (f.severity, f.evidence.clone())).unwrap()
        };
        let (severity, evidence) = of(0.25);
        assert_eq!(severity, Severity::Critical, "its pods are throttled");
        let has = |what: &str, value: &str| assert!(evidence.iter().any(|e| e.what == what && e.value == value), "{what}: {evidence:?}");
        has("at its maximum within 7 days", "10h");
        has("pods that would bring it to its target", "45 by cpu");
        has("CPU throttled", "pay/api-1 app 25%");
        assert_eq!(of(0.249).0, Severity::Warning);
    }
}
