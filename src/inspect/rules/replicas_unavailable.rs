//! A workload with fewer available pods than it wants, and a controller that does not get further.
//!
//! The hold counts from the oldest pod that is not ready; where pods are missing altogether, from the last thing that happened to the
//! workload's pods; where no timestamp says anything, from when it was first seen, and `since` stays open. Left out: Services that point at a
//! workload scaled to zero (not watched). Pods on dead nodes are the node's line (see `lines`).

use super::{last_progress, reasons, unready_since};
use crate::inspect::{Finding, Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, Time, Tri, VerbId, Workload, WorkloadDetail};

const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long without progress" };
const CORE: Threshold =
    Threshold { name: "core-percent", default: "50%", doc: "a core workload with less than this available is critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "replicas-unavailable",
    area: "availability",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "workload",
    summary: "Fewer pods available than wanted for 10 minutes; critical with none, or under half of a core workload",
    why: "The controller cannot reach the asked state; each kind hides it in another status field.",
    kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet],
    needs: &[crate::inspect::Need::Running],
    leans_on: &[],
    thresholds: &[AFTER, CORE],
    peers: &[
        "popeye:500",
        "popeye:501",
        "popeye:508",
        "popeye:1120",
        "k8s-mixin:KubeDeploymentReplicasMismatch",
        "k8s-mixin:KubeStatefulSetReplicasMismatch",
        "k8s-mixin:KubeDaemonSetNotScheduled",
        "k8s-mixin:KubeDaemonSetMisScheduled",
        "k8s-mixin:KubeDeploymentGenerationMismatch",
        "k8s-mixin:KubeStatefulSetGenerationMismatch",
    ],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubedeploymentreplicasmismatch/",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubestatefulsetreplicasmismatch/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    if (w.kind == Kind::ReplicaSet && w.meta.owner.is_some()) || w.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let desired = w.desired.unwrap_or(0);
    let misscheduled = if let WorkloadDetail::DaemonSet { misscheduled, .. } = w.detail { misscheduled } else { 0 };
    let unobserved = w.meta.generation > w.observed && w.observed > 0;
    let hold = judge.value(&AFTER);
    if !w.short() {
        let message = if unobserved {
            "controller does not act on the change".to_owned()
        } else if misscheduled > 0 {
            format!("{misscheduled} pods on nodes they are not meant for")
        } else {
            return Verdict::Fine;
        };
        return super::after(judge.held_since_seen(hold), || {
            with_counts(judge.finding(Severity::Warning, None, message), w).then("See whether the controller manager runs and what it logs")
        });
    }
    let pods = judge.index.pods(judge.cluster, w.meta.uid);
    let bad: Vec<_> = pods.iter().copied().filter(|p| p.bad()).collect();
    let since = oldest(w, &bad).or_else(|| last_progress(pods.iter().copied()));
    if let Err(at) = since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)) {
        return Verdict::FineUntil(at);
    }
    let few = i64::from(w.available) * 100 < i64::from(desired) * judge.value(&CORE);
    let severity = if w.available == 0 || (few && crate::inspect::core(object)) { Severity::Critical } else { Severity::Warning };
    let missing = desired - w.current;
    let failure = crate::model::meta::condition(&w.conditions, "ReplicaFailure").filter(|c| c.status == Tri::True);
    let mut parts = Vec::new();
    if !bad.is_empty() {
        parts.push(reasons(bad.iter().copied()));
    }
    if missing > 0 {
        let why = failure.and_then(|c| c.reason.as_deref()).map(|r| format!(" ({r})")).unwrap_or_default();
        parts.push(format!("{missing} not made{why}"));
    }
    if matches!(w.detail, WorkloadDetail::Deployment { paused: true, .. }) {
        parts.push("its rollout is paused".to_owned());
    }
    let message = if parts.is_empty() { "not available yet".to_owned() } else { parts.join(", ") };
    let mut finding = with_counts(judge.finding(severity, since, message), w);
    if let Some(c) = failure {
        finding = finding.with("cannot make pods", c.message.as_deref().unwrap_or(""), c.since);
    }
    let mut nodes: Vec<&str> = bad.iter().filter_map(|p| p.node.as_deref()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    if !nodes.is_empty() {
        finding = finding.with("nodes of the bad pods", nodes.join(", "), None);
    }
    Verdict::Burning(finding.then("Open the workload: its pods by reason; the first failing pod says what to repair").act(
        VerbId::Rollback,
        super::rolls_back(judge, object),
        &[],
    ))
}

/// Since when it is short: the oldest pod that is not ready, or the Deployment's own word.
fn oldest(w: &Workload, bad: &[&std::sync::Arc<crate::model::Pod>]) -> Option<Time> {
    let available = w.condition("Available").filter(|c| c.status == Tri::False).and_then(|c| c.since);
    bad.iter().filter_map(|p| unready_since(p).or(p.meta.created)).chain(available).min()
}

fn with_counts(finding: Finding, w: &Workload) -> Finding {
    finding.with("desired / ready / available", format!("{} / {} / {}", w.desired.unwrap_or(0), w.ready, w.available), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, ago, deployment, owned, pod, replicaset, running};
    use serde_json::json;

    fn short(available: i32, unready: i64) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [deployment("d", 2, available)]).put(Kind::ReplicaSet, [replicaset("rs", "d", 2, "i:2", 9000, 2)]);
        let other = pod(owned("p2", Kind::ReplicaSet, "rs"), "n", available == 1, unready, running());
        fleet.put(Kind::Pod, [pod(owned("p1", Kind::ReplicaSet, "rs"), "n", false, unready, running()), other]);
        fleet
    }

    #[test]
    fn from_the_pods_own_time_after_ten_minutes() {
        let mut fleet = short(1, 599);
        assert_eq!(fleet.severity(Kind::Deployment, "d", "replicas-unavailable"), None);
        assert_eq!(fleet.wait(1).severity(Kind::Deployment, "d", "replicas-unavailable"), Some(Severity::Warning));
        let finding = short(0, 600).finding(Kind::Deployment, "d", "replicas-unavailable").unwrap().clone();
        assert_eq!(
            (finding.severity, finding.since, finding.message.as_str()),
            (Severity::Critical, Time::from_secs(NOW - 600), "2 not ready")
        );
    }

    #[test]
    fn whole_or_scaled_to_zero_is_fine() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [deployment("a", 2, 2), deployment("b", 0, 0)]);
        fleet.wait(9000);
        assert_eq!(fleet.engine.findings().filter(|f| *f.rule == RULE).count(), 0);
    }

    #[test]
    fn without_timestamps_it_holds_from_first_sight_and_stays() {
        let mut fleet = Fleet::default();
        let sts = |available: i32| json!({"metadata": {"name": "s", "creationTimestamp": ago(90_000)}, "spec": {"replicas": 3}, "status": {"availableReplicas": available}});
        fleet.put(Kind::StatefulSet, [sts(2)]);
        assert_eq!(fleet.wait(599).severity(Kind::StatefulSet, "s", "replicas-unavailable"), None);
        assert_eq!(
            fleet.wait(1).finding(Kind::StatefulSet, "s", "replicas-unavailable").map(|f| (f.since, f.message.as_str())),
            Some((None, "3 not made"))
        );
        fleet.put(Kind::StatefulSet, [sts(1)]);
        assert_eq!(
            fleet.severity(Kind::StatefulSet, "s", "replicas-unavailable"),
            Some(Severity::Warning),
            "a change does not begin the hold anew"
        );
        fleet.put(Kind::StatefulSet, [sts(3)]);
        assert_eq!(fleet.severity(Kind::StatefulSet, "s", "replicas-unavailable"), None);
    }

    #[test]
    fn a_paused_deployment_says_that_it_is() {
        let mut fleet = Fleet::default();
        let mut paused = deployment("a", 2, 0);
        paused["spec"]["paused"] = true.into();
        fleet.put(Kind::Deployment, [paused]);
        fleet.wait(9000);
        let finding = fleet.finding(Kind::Deployment, "a", "replicas-unavailable").unwrap();
        assert!(finding.message.ends_with("its rollout is paused"), "{}", finding.message);
    }

    #[test]
    fn whole_but_misplaced_or_not_acted_upon() {
        let ds = |misscheduled: i32, observed: i64| json!({"metadata": {"name": "d", "generation": 3}, "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberAvailable": 2, "numberMisscheduled": misscheduled, "observedGeneration": observed}});
        for (object, severity) in [(ds(0, 3), None), (ds(1, 3), Some(Severity::Warning)), (ds(0, 2), Some(Severity::Warning))] {
            let mut fleet = Fleet::default();
            fleet.put(Kind::DaemonSet, [object.clone()]);
            assert_eq!(fleet.wait(599).severity(Kind::DaemonSet, "d", "replicas-unavailable"), None);
            assert_eq!(fleet.wait(1).severity(Kind::DaemonSet, "d", "replicas-unavailable"), severity, "{object}");
        }
    }

    #[test]
    fn a_core_workload_below_half_is_critical() {
        let mut fleet = short(1, 700);
        let mut d = deployment("d", 3, 1);
        d["metadata"]["labels"] = json!({"quarterdeck.io/core": "true"});
        fleet.put(Kind::Deployment, [d]);
        assert_eq!(fleet.severity(Kind::Deployment, "d", "replicas-unavailable"), Some(Severity::Critical));
    }
}
