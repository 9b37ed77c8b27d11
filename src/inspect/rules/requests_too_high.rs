//! A container requests far more than it ever used in two weeks, times its replicas.
//!
//! Left out: the cap of Java heaps at their Xmx (needs the process' arguments), prices.

use super::measured::{BASE, Measured, Seen, cores, percent, whole};
use crate::inspect::{Need, RuleInfo, Severity, Threshold};
use crate::model::{Kind, Measure, Time, VerbId, Workload};

const SPARE: Threshold = Threshold { name: "spare", default: "50%", doc: "share of the request that must have been unused" };
const CPU: Threshold = Threshold { name: "cpu-from", default: "250", doc: "millicores a replica that are too few to speak of below" };
const MEMORY: Threshold = Threshold { name: "memory-from", default: "250", doc: "the same in MiB" };
const MANY_CPU: Threshold = Threshold { name: "warning-cores", default: "5", doc: "cores of all replicas from which it is a warning" };
const MANY_MEMORY: Threshold = Threshold { name: "warning-memory", default: "20", doc: "the same in GiB" };
const AGE: Threshold = Threshold { name: "age", default: "3d", doc: "how old the workload must be" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "requests-too-high",
        area: "cost",
        tier: 2,
        burns: false,
        severity: Severity::Warning,
        scope: "workload/container",
        summary: "Half of what a container requests was never used in 14 days; a warning from 5 cores or 20 GiB of all replicas on",
        why: "Reserved but unused requests are the money; nodes fill up while they are idle.",
        needs: &[Need::Query("cpu-spare")],
        thresholds: &[SPARE, CPU, MEMORY, MANY_CPU, MANY_MEMORY, AGE],
        peers: &["popeye:504", "popeye:506", "krr:simple", "krr:simple_limit", "goldilocks:burstable"],
        links: &[
            "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits",
            "https://kubernetes.io/docs/concepts/workloads/autoscaling/vertical-pod-autoscale/",
        ],
        ..BASE
    },
    queries: &["cpu-spare", "memory-spare"],
    again: Some(300),
    level,
    says: |seen| format!("{} of {}: {}", seen.signal.title, seen.label("container"), seen.value()),
    next: "Request what its busiest hours used, at most half less at a time",
    more: |seen, finding| {
        let Some((w, asked)) = asked(seen) else { return finding };
        let (spare, replicas) = (spare(seen), replicas(w));
        let used = (asked - spare / replicas).max(0);
        let goal = used.max(asked / 2);
        let text = |n: i64| if cpu(seen) { cores(n) } else { Measure::Bytes.text(n as f64) };
        let wanted = if cpu(seen) { format!("cpu={goal}m") } else { format!("memory={}Mi", (goal >> 20) + 1) };
        let on = finding.there();
        finding
            .with_all([
                ("requested", format!("{} x {replicas}", text(asked))),
                ("used at its busiest", format!("{} ({} of the request)", text(used), percent(used, asked))),
                ("free for others", text(spare)),
            ])
            .act(VerbId::Resize, on, &[("container", seen.label("container")), ("requests", &wanted)])
    },
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

fn cpu(seen: &Seen<'_>) -> bool {
    &*seen.signal.meta.name == "cpu-spare"
}

/// Millicores or bytes of all replicas.
fn spare(seen: &Seen<'_>) -> i64 {
    whole(if cpu(seen) { seen.number() * 1000.0 } else { seen.number() })
}

fn replicas(w: &Workload) -> i64 {
    i64::from(w.desired.unwrap_or(1).max(1))
}

/// What each replica requests: millicores or bytes.
fn asked<'a>(seen: &Seen<'a>) -> Option<(&'a Workload, i64)> {
    let w = seen.workload().filter(|w| matches!(w.kind, Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet))?;
    let of = seen.container(w)?.resources;
    Some((w, if cpu(seen) { of.cpu_request_m } else { of.memory_request }?))
}

fn level(seen: &Seen<'_>) -> Option<Severity> {
    let (w, asked) = asked(seen)?;
    let resource = if cpu(seen) { "cpu" } else { "memory" };
    let young = w.meta.created.map_or(0, Time::secs) > seen.judge.now - seen.threshold(&AGE);
    if young || seen.scaler(w).is_some_and(|h| h.metrics.iter().any(|m| &*m.name == resource)) {
        return None;
    }
    let spare = spare(seen);
    let (least, many) = if cpu(seen) {
        (seen.threshold(&CPU), seen.threshold(&MANY_CPU) * 1000)
    } else {
        (seen.threshold(&MEMORY) << 20, seen.threshold(&MANY_MEMORY) << 30)
    };
    let each = spare / replicas(w);
    (each >= least && each * 100 >= asked * seen.threshold(&SPARE)).then_some(if spare >= many {
        Severity::Warning
    } else {
        Severity::Info
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment};
    use crate::inspect::rules::measured::tests::seen;
    use crate::inspect::{Finding, Remedy};
    use serde_json::json;

    const LABELS: [(&str, &str); 3] = [("namespace", "pay"), ("workload", "web"), ("container", "app")];

    fn fleet(days: i64, replicas: i32) -> Fleet {
        let mut fleet = Fleet::default();
        let mut web = deployment("web", replicas, replicas);
        web["metadata"]["creationTimestamp"] = json!(ago(days * 86_400));
        web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "2", "memory": "4Gi"}});
        fleet.put(Kind::Deployment, [web]);
        fleet
    }

    fn found(days: i64, replicas: i32, query: &str, value: f64) -> Option<Finding> {
        seen(&mut fleet(days, replicas), &RULE, query, &LABELS, value, 0)
    }

    #[test]
    fn half_of_it_and_enough_to_speak_of() {
        let of = |days, replicas, query: &str, value| found(days, replicas, query, value).map(|f| f.severity);
        assert_eq!(of(4, 2, "cpu-spare", 2.0), Some(Severity::Info));
        assert_eq!(of(4, 2, "cpu-spare", 1.99), None, "less than half of two times two cores");
        assert_eq!(of(2, 2, "cpu-spare", 3.0), None, "it is young");
        assert_eq!(of(4, 4, "cpu-spare", 5.0), Some(Severity::Warning));
        assert_eq!(of(4, 2, "memory-spare", 4.0 * 1024f64.powi(3)), Some(Severity::Info));
        assert_eq!(of(4, 2, "memory-spare", 3.9 * 1024f64.powi(3)), None);
    }

    #[test]
    fn it_says_of_how_much_and_offers_half() {
        let f = found(4, 4, "cpu-spare", 6.0).unwrap();
        assert_eq!(f.message, "CPU requested and not used of app: 6 cores");
        let of = |what: &str| f.evidence.iter().find(|e| e.what == what).unwrap().value.clone();
        assert_eq!(
            (of("requested"), of("used at its busiest"), of("free for others")),
            ("2 x 4".into(), "500m (25% of the request)".into(), "6".into())
        );
        assert!(matches!(f.remedy, Some(Remedy::Act { verb: VerbId::Resize, .. })), "{:?}", f.remedy);
    }

    #[test]
    fn not_what_an_autoscaler_lives_on_and_once_the_workload_is_known() {
        let mut fleet = fleet(4, 2);
        let hpa = json!({"metadata": {"name": "web"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]}});
        fleet.put(Kind::Hpa, [hpa]);
        assert_eq!(seen(&mut fleet, &RULE, "cpu-spare", &LABELS, 3.0, 0), None);
        fleet.delete(Kind::Hpa, "web");
        assert!(seen(&mut fleet, &RULE, "cpu-spare", &LABELS, 3.0, 300).is_some(), "looked at again");
    }
}
