//! A pod that runs and takes no traffic, or that failed and is nobody's Job.
//!
//! What has a rule of its own is left to it: containers that wait or loop, and pods of nodes that do not report.

use super::containers;
use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{ContainerState, Event, Kind, Object, Phase, Pod, Tri, VerbId};
use std::sync::Arc;

const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long a pod may run without being ready" };
const FAILED: Threshold = Threshold { name: "failed-after", default: "5m", doc: "how long a pod may be Failed or Unknown" };

pub static RULE: RuleInfo = RuleInfo {
    id: "pod-not-ready",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "pod, rolled up to its workload",
    summary: "It runs and is not ready for 10 minutes, by a container or a readiness gate; or it is Failed or Unknown for 5 and no Job's (info where its workload is whole)",
    why: "A running but unready pod takes no traffic; a set of them is an outage that looks green.",
    kinds: &[Kind::Pod],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER, FAILED],
    peers: &["popeye:204", "popeye:207", "k8s-mixin:KubePodNotReady"],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodnotready/",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/",
    ],
    judge,
};

/// Conditions that every pod has; others are readiness gates, or say why it ends.
const USUAL: [&str; 8] = [
    "Ready",
    "ContainersReady",
    "PodScheduled",
    "Initialized",
    "PodReadyToStartContainers",
    "DisruptionTarget",
    "PodResizePending",
    "PodResizeInProgress",
];

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Pod(pod)) = judge.object else { return Verdict::Fine };
    let job = pod.meta.owner.as_ref().is_some_and(|o| &*o.kind == "Job");
    if pod.meta.deleting.is_some() || job {
        return Verdict::Fine;
    }
    let hold = match pod.phase {
        Phase::Running if pod.ready != Tri::True => &AFTER,
        Phase::Failed | Phase::Unknown => &FAILED,
        _ => return Verdict::Fine,
    };
    let waits = |c: &crate::model::ContainerStatus| matches!(c.state, ContainerState::Waiting { .. });
    if pod.phase == Phase::Running && containers(pod).any(waits) {
        return Verdict::Fine;
    }
    let since = pod.ready_since.or(pod.started).or(pod.meta.created);
    let hold = judge.value(hold);
    super::after(since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)), || {
        let top = judge.cluster.workload_of(object);
        let whole = matches!(top, Object::Workload(w) if !w.short());
        let failed = pod.phase != Phase::Running;
        let severity = if failed && whole { Severity::Info } else { Severity::Warning };
        let unready = joined(pod.containers.iter().filter(|c| !c.ready).map(|c| &*c.name), 4);
        let gates = pod.conditions.iter().filter(|c| c.status != Tri::True && !USUAL.contains(&&*c.kind));
        let gates = joined(gates.map(|c| &*c.kind), 4);
        let message = match () {
            () if failed => format!("{}{}", pod.phase.as_str(), pod.reason.as_deref().map(|r| format!(" ({r})")).unwrap_or_default()),
            () if !unready.is_empty() => format!("not ready: {unready}"),
            () if !gates.is_empty() => format!("not ready: readiness gate {gates}"),
            () => "not ready".to_owned(),
        };
        let siblings = judge.index.pods(judge.cluster, top.meta().uid);
        let bad = siblings.iter().filter(|p| p.bad()).count();
        let mut finding = judge.finding(severity, since, message);
        if !siblings.is_empty() {
            finding = finding.with("not ready of its workload's pods", format!("{bad} of {}", siblings.len()), None);
        }
        if let Some(probe) = last_probe(judge, pod) {
            finding = finding.with("last probe", &*probe.message, probe.last);
        }
        if let Some(message) = &pod.message {
            finding = finding.with("message", &**message, None);
        }
        finding = finding.with("readiness gates that are not true", gates, None);
        if failed {
            finding.then("See why it ended; what is Failed is only kept for its logs, and may be deleted").here(VerbId::Delete, &[])
        } else {
            finding
                .then("See what its readiness probe says, and what it waits for; delete the one pod to have it made anew")
                .here(VerbId::Delete, &[])
        }
    })
}

/// The last event of a probe that failed at a pod.
fn last_probe(judge: &Judge<'_>, pod: &Pod) -> Option<Arc<Event>> {
    judge.index.said(judge.cluster, pod.meta.uid).filter(|e| &*e.reason == "Unhealthy").max_by_key(|e| e.last).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, crashing, deployment, judged, owned, pod, replicaset, running};
    use serde_json::json;

    #[test]
    fn a_pod_that_runs_and_is_not_ready() {
        let at = |since: i64| {
            judged(Kind::Pod, pod(json!({"name": "p", "creationTimestamp": ago(7200)}), "n", false, since, running()), RULE.id)
        };
        assert_eq!((at(600), at(599)), (Some(Severity::Warning), None));
        let ready = pod(json!({"name": "p"}), "n", true, 900, running());
        assert_eq!(judged(Kind::Pod, ready, RULE.id), None);
        let loops = pod(json!({"name": "p"}), "n", false, 900, crashing(9, 1, "Error", 60));
        assert_eq!(judged(Kind::Pod, loops, RULE.id), None, "pod-crashloop has it");
    }

    #[test]
    fn a_gate_and_the_probes_words_are_named() {
        let mut fleet = Fleet::default();
        let mut p = pod(json!({"name": "p", "uid": "p"}), "n", false, 900, running());
        p["status"]["containerStatuses"][0]["ready"] = json!(true);
        p["status"]["conditions"].as_array_mut().unwrap().push(json!({"type": "example.com/lb", "status": "False"}));
        let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "pay", "uid": "p"},
            "type": "Warning", "reason": "Unhealthy", "message": "Readiness probe failed: 503", "lastTimestamp": ago(5)});
        fleet.put(Kind::Event, [event]);
        fleet.put(Kind::Pod, [p]);
        let all = fleet.engine.for_object(crate::model::ClusterId(0), crate::model::Uid::parse("p"));
        let finding = all.iter().find(|f| f.rule == &RULE).unwrap();
        assert_eq!(finding.message, "not ready: readiness gate example.com/lb");
        assert!(finding.evidence.iter().any(|e| e.value == "Readiness probe failed: 503"), "{finding:?}");
    }

    #[test]
    fn a_failed_pod_of_a_whole_workload_is_only_left_over_and_a_jobs_is_its_own() {
        let at = |owner: Kind, available: i32, since: i64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Deployment, [deployment("web", 2, available)]);
            fleet.put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 9000, 2)]);
            let mut p = pod(owned("p", owner, "rs"), "n", false, since, running());
            p["status"]["phase"] = json!("Failed");
            p["status"]["reason"] = json!("Evicted");
            fleet.put(Kind::Pod, [p]).severity(Kind::Pod, "p", RULE.id)
        };
        assert_eq!(at(Kind::ReplicaSet, 2, 300), Some(Severity::Info));
        assert_eq!(at(Kind::ReplicaSet, 1, 300), Some(Severity::Warning));
        assert_eq!(at(Kind::ReplicaSet, 1, 299), None);
        assert_eq!(at(Kind::Job, 2, 900), None);
    }
}
