//! Pods are evicted, and more of them than one.
//!
//! Those that a taint or pods of higher priority drive away are counted too, where Prometheus measures them. Left out: deletions of a namespace's pods: a
//! rollout, an autoscaler and the end of Jobs delete as many; what is missing afterwards replicas-unavailable tells, and what a node lost node-emptied.

use super::measured::{BASE, Measured, Seen, USUAL};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, Phase, Pod, Time, VerbId};

const NODE: Threshold = Threshold { name: "node-above", default: "5", doc: "evicted pods of one node from which it is a warning" };
const CLUSTER: Threshold = Threshold { name: "cluster-above", default: "20", doc: "evicted pods of the cluster from which it is critical" };
const WITHIN: Threshold = Threshold { name: "within", default: "10m", doc: "the time in which they are counted where pods tell" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "eviction-storm",
        area: "node",
        scope: "pod, node",
        summary: "A kubelet evicted a pod within 10 minutes; a warning above 5 on one node, critical above 20 in the cluster, or by taints and priorities, or where a core workload is short of pods",
        why: "Evictions cascade: the displaced load creates pressure on the next node.",
        kinds: &[Kind::Pod, Kind::Signal],
        thresholds: &[NODE, CLUSTER, WITHIN],
        peers: &["k8s-mixin:KubeNodeEviction"],
        links: &[
            "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
            "https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions",
        ],
        ..BASE
    },
    queries: &["evictions"],
    level: |seen| {
        Some(match () {
            () if all(seen) > seen.threshold(&CLUSTER) as f64 => Severity::Critical,
            () if seen.number() > seen.threshold(&NODE) as f64 => Severity::Warning,
            () => Severity::Info,
        })
    },
    says: |seen| format!("{} pods evicted for {} in 10m", seen.value(), seen.label("eviction_signal")),
    next: NEXT,
    more: |seen, finding| {
        // What a controller counts is no node's.
        let on = finding.there().filter(|_| seen.label("job").is_empty());
        finding.with_all([("in the cluster", seen.signal.measure.text(all(seen)))]).act(VerbId::Cordon, on, &[])
    },
    ..USUAL
};
const NEXT: &str =
    "Cordon the next candidates and see what fills the node: memory, disk or process ids; then give those pods requests that say so";

pub static RULE: RuleInfo = FACTS.rule(judge);

/// Evictions of all nodes, as are measured.
fn all(seen: &Seen<'_>) -> f64 {
    let of = |o: &Object| match o {
        Object::Signal(s) if s.meta.name == seen.signal.meta.name => s.value,
        _ => None,
    };
    seen.judge.cluster.objects(Kind::Signal).filter_map(of).sum()
}

/// When a kubelet evicted it.
fn evicted(pod: &Pod) -> Option<Time> {
    if pod.phase != Phase::Failed || pod.reason.as_deref() != Some("Evicted") {
        return None;
    }
    let ended = super::containers(pod).filter_map(|c| c.terminated().and_then(|t| t.finished)).max();
    pod.conditions.iter().find(|c| &*c.kind == "DisruptionTarget").and_then(|c| c.since).or(ended)
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Pod(pod)) = judge.object else { return FACTS.judge(judge) };
    let within = judge.value(&WITHIN);
    let recent = |p: &Pod| evicted(p).filter(|t| t.secs() > judge.now - within);
    let Some(at) = recent(pod) else { return Verdict::Fine };
    let node = pod.node.as_deref().unwrap_or_default();
    let there = judge.index.on_node(judge.cluster, node).filter(|o| matches!(o, Object::Pod(p) if recent(p).is_some())).count();
    let short = super::core(judge, object) && super::workload_of(judge, object).is_some_and(crate::model::Workload::short);
    let severity = match () {
        () if short => Severity::Critical,
        () if there as i64 > judge.value(&NODE) => Severity::Warning,
        () => Severity::Info,
    };
    let finding = judge
        .finding(severity, Some(at), "evicted by the kubelet")
        .with("why", pod.message.as_deref().unwrap_or("no reason given"), Some(at))
        .with("evicted from that node", format!("{there} on {node}"), None)
        .with("class", pod.qos.as_str(), None);
    let on = judge.cluster.named(Kind::Node, "", node).map(|o| o.reference(judge.cluster.id));
    Verdict::BurningUntil(finding.then(NEXT).act(VerbId::Cordon, on, &[]), at.secs() + within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, owned, pod};
    use crate::inspect::rules::measured::tests::seen;
    use serde_json::{Value, json};

    fn gone(n: usize, secs: i64) -> Value {
        let ended = json!({"restartCount": 0, "state": {"terminated": {"exitCode": 137, "finishedAt": ago(secs)}}});
        let mut p = pod(owned(&format!("p{n}"), Kind::ReplicaSet, "r"), "n1", false, secs, ended);
        p["status"]["phase"] = json!("Failed");
        p["status"]["reason"] = json!("Evicted");
        p["status"]["message"] = json!("The node was low on resource: memory.");
        p
    }

    #[test]
    fn one_is_worth_knowing_and_six_on_a_node_are_a_warning() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, (0..5).map(|n| gone(n, 100)));
        assert_eq!(fleet.severity(Kind::Pod, "p4", RULE.id), Some(Severity::Info));
        fleet.put(Kind::Pod, [gone(5, 100)]);
        let found = fleet.finding(Kind::Pod, "p5", RULE.id).unwrap();
        assert_eq!((found.severity, found.evidence[1].value.as_str()), (Severity::Warning, "6 on n1"));
        fleet.wait(500);
        assert_eq!(fleet.severity(Kind::Pod, "p5", RULE.id), None, "ten minutes later it is history");
        assert_eq!(Fleet::default().put(Kind::Pod, [gone(0, 601)]).severity(Kind::Pod, "p0", RULE.id), None);
    }

    #[test]
    fn by_what_kubelets_count() {
        let at = |n: f64| {
            seen(&mut Fleet::default(), &RULE, "evictions", &[("instance", "n1:10250"), ("eviction_signal", "memory.available")], n, 0)
                .map(|f| f.severity)
        };
        assert_eq!([at(1.0), at(5.0), at(6.0)], [Some(Severity::Info), Some(Severity::Info), Some(Severity::Warning)]);
        assert_eq!(at(21.0), Some(Severity::Critical));
        let taint = [("job", "kube-controller-manager"), ("eviction_signal", "a taint")];
        let found = seen(&mut Fleet::default(), &RULE, "evictions", &taint, 6.0, 0).unwrap();
        assert_eq!((found.severity, found.message.as_str()), (Severity::Warning, "6 pods evicted for a taint in 10m"));
    }
}
