//! A pod that the scheduler cannot place.
//!
//! The line of a workload with more than ten such pods is critical (see `lines`). A pod of a workload of which a
//! kubelet evicted another replaces that. Left out: the nearest node (a placement, which the scheduler alone can tell). Pods that are placed but do not start are replicas-unavailable's.

use super::core;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, Phase, Pod, Tri, meta};

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long a pod must be unschedulable" };
const GATED: Threshold = Threshold { name: "gated-after", default: "30m", doc: "how long a pod must wait at its scheduling gates" };

pub static RULE: RuleInfo = RuleInfo {
    id: "pod-pending",
    area: "availability",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "pod, rolled up to its workload",
    summary: "Unschedulable for 5 minutes; critical when core, one of more than ten of a workload, or in the place of one that was evicted",
    why: "The scheduler already says why; the message has to be turned into the one constraint that blocks.",
    kinds: &[Kind::Pod],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER, GATED],
    peers: &["~k8s-mixin:KubePodNotReady", "~popeye:207"],
    links: &[
        "https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Pod(pod)) = judge.object else { return Verdict::Fine };
    if pod.phase != Phase::Pending || pod.node.is_some() || pod.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let scheduled = meta::condition(&pod.conditions, "PodScheduled").filter(|c| c.status == Tri::False);
    let reason = scheduled.and_then(|c| c.reason.as_deref()).unwrap_or("");
    let gated = reason == "SchedulingGated";
    // Without a condition no scheduler has looked at it: as bad, since it was made.
    let since = scheduled.and_then(|c| c.since).or(pod.meta.created);
    let hold = judge.value(if gated { &GATED } else { &AFTER });
    if let Err(at) = since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)) {
        return Verdict::FineUntil(at);
    }
    if gated {
        let gates = pod.shape.scheduling_gates.join(", ");
        let finding = judge.finding(Severity::Info, since, "waits at a scheduling gate").with("gates", gates, since);
        return Verdict::Burning(finding.then("See whether the controller that removes the gate runs"));
    }
    let evicted = evicted(judge, pod);
    let severity = if evicted.is_some() || core(judge, object) { Severity::Critical } else { Severity::Warning };
    let text = scheduled.and_then(|c| c.message.as_deref());
    let Some(text) = text else {
        let finding = judge.finding(severity, since, "Pending, no scheduler took it").with("scheduler", "has said nothing", since);
        return Verdict::Burning(finding.then("See whether the scheduler runs, and whether the pod names one that exists"));
    };
    let causes = causes(text);
    let message = match causes.first() {
        Some((nodes, cause)) => format!("Pending: {cause} ({})", plural(*nodes)),
        None => format!("Pending: {text}"),
    };
    let mut finding = judge.finding(severity, since, message);
    for (nodes, cause) in &causes {
        finding = finding.with(cause, plural(*nodes), None);
    }
    if let Some(other) = evicted {
        finding = finding.with(
            "in the place of",
            format!("{}, evicted from {}", other.meta.name, other.node.as_deref().unwrap_or("a node")),
            None,
        );
    }
    let next = match causes.first().map_or(text, |(_, cause)| cause.as_str()) {
        c if c.contains("Insufficient") || c.contains("Too many pods") => {
            "Add nodes or free room; lower the request if it is far above use"
        }
        c if c.contains("taint") => "Tolerate the taint or take it off the nodes",
        c if c.contains("unschedulable") => "Uncordon nodes that were cordoned",
        c if c.contains("affinity") || c.contains("selector") || c.contains("spread") => {
            "Loosen the affinity, selector or spread, or label nodes that fit"
        }
        c if c.contains("volume") || c.contains("claim") => "Look at the claim: its volume, class and zone",
        _ => "Take away the constraint that the scheduler names",
    };
    Verdict::Burning(finding.with("scheduler", text, since).then(next))
}

/// A pod of the same owner that a kubelet evicted, before this one was made.
fn evicted<'a>(judge: &Judge<'a>, pod: &Pod) -> Option<&'a Pod> {
    let owner = pod.meta.owner.as_deref()?;
    let gone = |o: &'a Object| match o {
        Object::Pod(p) if p.phase == Phase::Failed && p.reason.as_deref() == Some("Evicted") => Some(&**p),
        _ => None,
    };
    judge.index.owned(judge.cluster, owner.uid).filter_map(gone).find(|p| p.meta.created < pod.meta.created)
}

fn plural(nodes: u32) -> String {
    format!("{nodes} node{}", if nodes == 1 { "" } else { "s" })
}

/// The scheduler's "0/6 nodes are available: 3 Insufficient cpu, 2 node(s) had ..." as (nodes, cause), most nodes first.
fn causes(text: &str) -> Vec<(u32, String)> {
    let Some((_, list)) = text.split_once(" nodes are available: ") else { return Vec::new() };
    let list = list.split(" preemption:").next().unwrap_or(list);
    let mut causes: Vec<(u32, String)> = Vec::new();
    for part in list.trim().trim_end_matches('.').split(", ") {
        let Some((count, cause)) = part.split_once(' ') else { continue };
        let Ok(count) = count.parse() else { continue };
        let cause = cause.strip_prefix("node(s) ").unwrap_or(cause);
        let cause = cause.strip_prefix("had ").or(cause.strip_prefix("were ")).unwrap_or(cause);
        causes.push((count, cause.trim_end_matches('.').to_owned()));
    }
    causes.sort_by_key(|(nodes, _)| std::cmp::Reverse(*nodes));
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, judged, owned, pod, running};
    use serde_json::{Value, json};

    const TEXT: &str = "0/6 nodes are available: 1 node(s) had untolerated taint {dedicated: db}, 5 Insufficient cpu. preemption: 0/6 nodes are available: 6 No preemption victims found.";

    fn pending(reason: &str, since: i64) -> Value {
        json!({"metadata": {"name": "p", "creationTimestamp": ago(since)}, "spec": {"containers": [{"name": "c", "image": "i"}], "schedulingGates": [{"name": "g"}]},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": reason, "message": TEXT, "lastTransitionTime": ago(since)}]}})
    }

    #[test]
    fn unschedulable_for_five_minutes() {
        assert_eq!(judged(Kind::Pod, pending("Unschedulable", 299), "pod-pending"), None);
        assert_eq!(judged(Kind::Pod, pending("Unschedulable", 300), "pod-pending"), Some(Severity::Warning));
        assert_eq!(judged(Kind::Pod, pending("SchedulingGated", 1799), "pod-pending"), None);
        assert_eq!(judged(Kind::Pod, pending("SchedulingGated", 1800), "pod-pending"), Some(Severity::Info));
        let mut core = pending("Unschedulable", 300);
        core["spec"]["priority"] = json!(2_000_000_000);
        assert_eq!(judged(Kind::Pod, core, "pod-pending"), Some(Severity::Critical));
    }

    #[test]
    fn a_placed_pod_that_starts_is_not_pending() {
        let mut placed = pending("Unschedulable", 900);
        placed["spec"]["nodeName"] = json!("n");
        assert_eq!(judged(Kind::Pod, placed, "pod-pending"), None);
    }

    #[test]
    fn the_message_is_the_cause_with_most_nodes() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pending("Unschedulable", 400)]);
        let finding = fleet.finding(Kind::Pod, "p", "pod-pending").unwrap();
        assert_eq!(finding.message, "Pending: Insufficient cpu (5 nodes)");
        assert_eq!(
            (finding.evidence[1].what.as_str(), finding.evidence[1].value.as_str()),
            ("untolerated taint {dedicated: db}", "1 node")
        );
    }

    #[test]
    fn in_the_place_of_one_that_was_evicted() {
        let of = |reason: &str, made: i64| {
            let mut fleet = Fleet::default();
            let mut waits = pending("Unschedulable", 400);
            waits["metadata"] = owned("p", Kind::ReplicaSet, "r");
            waits["metadata"]["creationTimestamp"] = json!(ago(400));
            let mut gone = pod(owned("gone", Kind::ReplicaSet, "r"), "n1", false, 500, running());
            gone["metadata"]["creationTimestamp"] = json!(ago(made));
            gone["status"]["phase"] = json!("Failed");
            gone["status"]["reason"] = json!(reason);
            fleet.put(Kind::Pod, [gone, waits]);
            fleet.severity(Kind::Pod, "p", RULE.id)
        };
        assert_eq!((of("Evicted", 9000), of("NodeLost", 9000)), (Some(Severity::Critical), Some(Severity::Warning)));
        assert_eq!(of("Evicted", 300), Some(Severity::Warning));
    }
}
