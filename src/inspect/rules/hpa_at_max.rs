//! An autoscaler that wants more pods than it may make.
//!
//! How long it was at its maximum this week, and whether its pods are throttled, is said where a Prometheus measures it. Room for more pods is what nodes
//! that take any pod have left by requests: affinity and spreading may leave less. Of quotas those count that are for every pod. Left out: errors that rise
//! (no metric that all have is a workload's).

use super::{later, open_nodes};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, core};
use crate::model::asked::Limit;
use crate::model::{Hpa, HpaMetric, Kind, Node, Object, Signal, SignalState, Tri, VerbId, Workload, meta};

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
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubehpamaxedout/",
        "https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/",
    ],
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

/// How many more of a workload's pods fit on the nodes that take any; none: they request nothing, or nodes and pods are not all seen.
fn room(judge: &Judge<'_>, w: &Workload) -> Option<i64> {
    let (cluster, asks) = (judge.cluster, &w.shape.requests);
    let (cpu, memory) = (asks.cpu_request_m.unwrap_or(0), asks.memory_request.unwrap_or(0));
    if cpu + memory == 0 || !cluster.current(Kind::Node) || !cluster.current(Kind::Pod) {
        return None;
    }
    let of = |free: i64, each: i64| if each > 0 { free / each } else { i64::MAX };
    let fit = |n: &Node| {
        let used = cluster.counts.by_node.get(&n.meta.name).copied().unwrap_or_default();
        let by_cpu = of(n.cpu_allocatable_m - used.cpu_request_m, cpu);
        let by_memory = of(n.memory_allocatable - used.memory_request, memory);
        by_cpu.min(by_memory).min(n.pods_allocatable - i64::from(used.pods)).max(0)
    };
    Some(open_nodes(cluster).filter(|(_, kept)| kept.is_empty()).map(|(n, _)| fit(n)).sum())
}

/// How many more of a workload's pods the quotas of its namespace allow, and the one that allows fewest; none: there is none that counts.
fn granted<'a>(judge: &Judge<'a>, w: &Workload) -> Option<(i64, &'a str)> {
    let all = judge.cluster.asked.quotas.as_ref().ok()?;
    let asks = &w.shape.requests;
    let each = |resource: &str| match resource {
        "requests.cpu" => asks.cpu_request_m,
        "requests.memory" => asks.memory_request,
        "limits.cpu" => asks.cpu_limit_m,
        "limits.memory" => asks.memory_limit,
        _ => Some(1),
    };
    let left = |l: &Limit| each(&l.resource).filter(|each| *each > 0).map(|each| ((l.hard - l.used) / each).max(0));
    let here = all.iter().filter(|q| q.namespace == w.meta.namespace);
    let each = here.flat_map(|q| q.limits.iter().filter_map(move |l| Some((left(l)?, &*q.name))));
    each.min_by_key(|(n, _)| *n)
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
    let workload = target.and_then(|t| if let Object::Workload(w) = t { Some(&**w) } else { None });
    let room = workload.and_then(|w| room(judge, w));
    let granted = workload.and_then(|w| granted(judge, w));
    if let Some(room) = room {
        finding = finding.with("more of its pods that fit by requests", room.to_string(), None);
    }
    if let Some((n, quota)) = granted {
        finding = finding.with("more of its pods that quota allows", format!("{n} ({quota})"), None);
    }
    let wanted = worst.filter(|(l, _)| *l > 100).map(|(load, _)| i64::from(hpa.current) * load * 13 / 1000 + 1);
    let next = match (wanted, room) {
        (Some(n), _) if granted.is_some_and(|(more, _)| n - i64::from(hpa.current) > more) => {
            let (more, quota) = granted.unwrap_or_default();
            format!("The quota {quota} allows {more} more of its pods: raise that first, then maxReplicas to about {n} after checking room")
        }
        (Some(n), Some(room)) if n - i64::from(hpa.current) > room => {
            format!("{room} more of its pods fit by requests: make room first, then raise maxReplicas to about {n} after checking quota")
        }
        (Some(n), _) => format!("Raise maxReplicas to about {n} after checking room and quota"),
        (None, _) => "Raise maxReplicas after checking room and quota, or see where the load comes from".to_owned(),
    };
    // No further than there is room and quota, where these are known.
    let current = i64::from(hpa.current);
    let may = [room, granted.map(|(more, _)| more)].into_iter().flatten().map(|more| current + more).min();
    let max = wanted.map(|n| may.map_or(n, |may| n.min(may))).filter(|n| *n > i64::from(hpa.max)).map(|n| n.to_string());
    let given = max.as_deref().map(|n| ("max", n));
    let finding = finding.then(next).here(VerbId::HpaSet, given.as_slice());
    // What is measured changes without it.
    Verdict::BurningUntil(finding, later(judge, AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment, judged, node, owned, pod, replicaset, running, told};
    use crate::inspect::rules::measured::tests::shipped;
    use crate::model::signal::tests::labels;
    use crate::model::{Delta, KindState, Service, ServiceState};
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
        assert_eq!(proposed(&fleet).as_deref(), Some("93"));
    }

    /// The most replicas that the remedy fills in.
    fn proposed(fleet: &Fleet) -> Option<String> {
        match &fleet.finding(Kind::Hpa, "api", RULE.id).unwrap().remedy {
            Some(crate::model::Remedy::Act { args, .. }) => args.get("max").map(ToString::to_string),
            other => panic!("{other:?}"),
        }
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
    #[test]
    fn room_for_more_of_its_pods() {
        let of = |taken: &str, change: fn(&mut Value)| {
            let mut fleet = Fleet::default();
            for kind in [Kind::Node, Kind::Pod] {
                fleet.delta(0, Delta::KindState(kind, KindState::Live));
            }
            let mut n = node("n", "True", 9000);
            n["status"]["allocatable"] = json!({"cpu": "50", "memory": "100Gi", "pods": "110"});
            change(&mut n);
            let mut api = deployment("api", 40, 40);
            api["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "2", "memory": "1Gi"}});
            let mut other = pod(json!({"name": "other"}), "n", true, 900, running());
            other["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": taken}});
            fleet.put(Kind::Node, [n]).put(Kind::Deployment, [api]).put(Kind::Pod, [other]);
            fleet.put(Kind::Hpa, [hpa(2, 90, "TooManyReplicas", 700)]);
            let found = fleet.finding(Kind::Hpa, "api", RULE.id).unwrap();
            let room = found.evidence.iter().find(|e| e.what == "more of its pods that fit by requests").unwrap();
            assert_eq!(proposed(&fleet), room.value.parse().ok().filter(|n| *n > 0).map(|n: i64| (40 + n.min(19)).to_string()));
            (room.value.clone(), found.next_step.starts_with("Raise"))
        };
        // 90 of 80 percent: 59 pods of 40, 19 more.
        assert_eq!(of("12", |_| ()), ("19".to_owned(), true));
        assert_eq!(of("12001m", |_| ()), ("18".to_owned(), false));
        assert_eq!(of("12", |n| n["status"]["allocatable"]["pods"] = json!("11")).0, "10", "of pods");
        assert_eq!(of("12", |n| n["spec"] = json!({"unschedulable": true})).0, "0", "cordoned");
        assert_eq!(
            of("12", |n| n["spec"] = json!({"taints": [{"key": "for", "value": "gpu", "effect": "NoSchedule"}]})).0,
            "0",
            "kept for others"
        );
    }
    #[test]
    fn what_quota_allows() {
        use crate::model::Asked;
        use crate::model::asked::Quota;
        let of = |namespace: &str, limits: &[(&str, i64, i64)]| {
            let mut fleet = Fleet::default();
            let mut api = deployment("api", 40, 40);
            api["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "2", "memory": "1Gi"}});
            let limit = |(resource, hard, used): &(&str, i64, i64)| Limit { resource: (*resource).into(), hard: *hard, used: *used };
            let quota = Quota { namespace: namespace.into(), name: "team".into(), limits: limits.iter().map(limit).collect() };
            fleet.delta(0, Delta::Asked(Asked { quotas: Ok([quota].into()), ..Asked::default() }.into()));
            fleet.put(Kind::Deployment, [api]).put(Kind::Hpa, [hpa(2, 90, "TooManyReplicas", 700)]);
            let found = fleet.finding(Kind::Hpa, "api", RULE.id).unwrap();
            let quota = found.evidence.iter().find(|e| e.what == "more of its pods that quota allows").map(|e| e.value.clone());
            (quota, found.next_step.starts_with("Raise"))
        };
        let allows = |text: &str| Some(text.to_owned());
        assert_eq!(of("pay", &[("requests.cpu", 100_000, 62_000), ("pods", 60, 40)]), (allows("19 (team)"), true));
        assert_eq!(of("pay", &[("requests.cpu", 100_000, 62_001), ("pods", 60, 40)]), (allows("18 (team)"), false));
        assert_eq!(of("pay", &[("pods", 50, 40), ("limits.cpu", 1, 1)]), (allows("10 (team)"), false), "it has no limit that counts");
        assert_eq!(of("other", &[("pods", 50, 40)]), (None, true));
    }
    #[test]
    fn quota_for_memory_and_pods_that_request_nothing() {
        use crate::model::Asked;
        use crate::model::asked::Quota;
        let of = |resources: Value, limit: (&str, i64)| {
            let mut fleet = Fleet::default();
            for kind in [Kind::Node, Kind::Pod] {
                fleet.delta(0, Delta::KindState(kind, KindState::Live));
            }
            let mut n = node("n", "True", 9000);
            n["status"]["allocatable"] = json!({"cpu": "50", "memory": "100Gi", "pods": "110"});
            let mut api = deployment("api", 40, 40);
            api["spec"]["template"]["spec"]["containers"][0]["resources"] = resources;
            let limits = [Limit { resource: limit.0.into(), hard: limit.1 << 30, used: 0 }].into();
            let quota = Quota { namespace: "pay".into(), name: "team".into(), limits };
            fleet.delta(0, Delta::Asked(Asked { quotas: Ok([quota].into()), ..Asked::default() }.into()));
            fleet.put(Kind::Node, [n]).put(Kind::Deployment, [api]).put(Kind::Hpa, [hpa(2, 90, "TooManyReplicas", 700)]);
            let found = fleet.finding(Kind::Hpa, "api", RULE.id).unwrap();
            let of = |what: &str| found.evidence.iter().find(|e| e.what == what).map(|e| e.value.clone());
            (of("more of its pods that fit by requests"), of("more of its pods that quota allows"))
        };
        let memory = json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}});
        assert_eq!(of(memory.clone(), ("requests.memory", 8)).1.as_deref(), Some("8 (team)"));
        assert_eq!(of(memory, ("limits.memory", 8)).1.as_deref(), Some("4 (team)"));
        assert_eq!(of(json!({}), ("requests.memory", 8)), (None, None));
    }
}
