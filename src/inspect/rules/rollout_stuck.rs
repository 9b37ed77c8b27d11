//! A rollout that does not end, or one that was paused and forgotten.
//!
//! A Deployment past its own progress deadline fires at once: the deadline was the hold. "Unchanged" is read from the pods' own times (made, turned
//! ready or unready) and the newest ReplicaSet's creation. Left out: who changed what (managedFields are not projected).

use super::{last_progress, reasons};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Amount, Kind, Object, Time, Tri, VerbId, Workload, WorkloadDetail};

const AFTER: Threshold = Threshold { name: "after", default: "15m", doc: "how long a rollout must not move" };
const FORGOTTEN: Threshold =
    Threshold { name: "forgotten-after", default: "24h", doc: "when a paused or partitioned rollout counts as forgotten" };

pub static RULE: RuleInfo = RuleInfo {
    id: "rollout-stuck",
    area: "release",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "workload",
    summary: "A rollout past its deadline or unchanged for 15 minutes; critical below desired less maxUnavailable",
    why: "Half a rollout means two versions serve traffic and the next change will behave unexpectedly.",
    kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet],
    needs: &[crate::inspect::Need::Running],
    leans_on: &[],
    thresholds: &[AFTER, FORGOTTEN],
    peers: &["k8s-mixin:KubeDeploymentRolloutStuck", "k8s-mixin:KubeStatefulSetUpdateNotRolledOut", "k8s-mixin:KubeDaemonSetRolloutStuck"],
    links: &[
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubestatefulsetupdatenotrolledout/",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubedaemonsetrolloutstuck/",
    ],
    judge,
};

/// How the rollout stands.
enum Stand {
    Done,
    /// The Deployment's own deadline is over since then.
    Late(Option<Time>),
    Moving,
    /// Held by hand: since then (none: look at the pods), and how.
    Held(Option<Time>, &'static str),
}

fn stand(w: &Workload) -> Stand {
    let behind = w.updated < w.desired.unwrap_or(0);
    let moving = if behind { Stand::Moving } else { Stand::Done };
    match &w.detail {
        WorkloadDetail::Deployment { paused, .. } => {
            let progressing = w.condition("Progressing");
            let reason = |r: &str| progressing.filter(|c| c.reason.as_deref() == Some(r));
            if let Some(c) = reason("ProgressDeadlineExceeded").filter(|c| c.status == Tri::False) {
                Stand::Late(c.since)
            } else if *paused {
                reason("DeploymentPaused").map_or(Stand::Done, |c| Stand::Held(c.since, "paused"))
            } else {
                moving
            }
        }
        WorkloadDetail::StatefulSet { strategy, .. } | WorkloadDetail::DaemonSet { strategy, .. } if &**strategy == "OnDelete" => {
            Stand::Done
        }
        WorkloadDetail::StatefulSet { partition, current_revision, update_revision, .. } => {
            match (*partition > 0, current_revision != update_revision) {
                (_, false) => Stand::Done,
                (true, true) => Stand::Held(None, "held at its partition"),
                (false, true) => Stand::Moving,
            }
        }
        _ => moving,
    }
}

/// Pods that may be unavailable during the rollout, as the controller counts.
fn tolerated(w: &Workload) -> i32 {
    let desired = w.desired.unwrap_or(0);
    match &w.detail {
        WorkloadDetail::Deployment { strategy, .. } if &**strategy == "Recreate" => desired,
        WorkloadDetail::Deployment { max_unavailable, .. } => match max_unavailable.unwrap_or(Amount::Percent(25)) {
            Amount::Count(n) => n,
            Amount::Percent(p) => i32::try_from(i64::from(desired) * i64::from(p) / 100).unwrap_or(0),
        },
        _ => 1,
    }
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    let stand = stand(w);
    if matches!(stand, Stand::Done) || w.desired.unwrap_or(0) == 0 || w.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let pods = judge.index.pods(judge.cluster, w.meta.uid);
    let newest =
        judge.index.owned(judge.cluster, w.meta.uid).filter(|o| o.kind() == Kind::ReplicaSet).filter_map(|o| o.meta().created).max();
    let moved = last_progress(pods.iter().copied()).max(newest);
    let (since, hold, what) = match stand {
        Stand::Late(since) => (since, 0, "rollout past its deadline"),
        Stand::Held(since, how) => (since.or(moved), judge.value(&FORGOTTEN), how),
        _ => (moved, judge.value(&AFTER), "rollout stuck"),
    };
    if let Err(at) = since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)) {
        return Verdict::FineUntil(at);
    }
    let desired = w.desired.unwrap_or(0);
    let by_hand = matches!(stand, Stand::Held(..));
    let severity = if !by_hand && w.available < desired - tolerated(w) { Severity::Critical } else { Severity::Warning };
    let mut finding = judge
        .finding(severity, since, format!("{what}, {}/{desired} updated", w.updated))
        .with("desired / updated / available", format!("{desired} / {} / {}", w.updated, w.available), None)
        .with("last move", moved.map(Time::rfc3339).unwrap_or_default(), moved);
    let bad = reasons(pods.iter().copied().filter(|p| p.bad()));
    if !bad.is_empty() {
        finding = finding.with("pods not ready", bad, None);
    }
    if let Some(message) = w.condition("Progressing").and_then(|c| c.message.as_deref()) {
        finding = finding.with("controller", message, since);
    }
    let finding = finding.act(VerbId::Rollback, super::rolls_back(judge, object), &[]);
    Verdict::Burning(finding.then(if by_hand {
        "Resume it or finish the partition, or go back to the previous revision"
    } else {
        "See why the first new pod is not ready; roll back to the previous revision if it does not come"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment, judged, owned, pod, replicaset, running};
    use crate::model::{Delta, KindState};
    use serde_json::{Value, json};

    fn progressing(available: i32, status: &str, reason: &str, since: i64, paused: bool) -> Value {
        let mut d = deployment("d", 4, available);
        d["spec"]["paused"] = json!(paused);
        d["status"]["conditions"] = json!([{"type": "Progressing", "status": status, "reason": reason, "lastTransitionTime": ago(since)}]);
        d
    }

    #[test]
    fn its_own_deadline_is_the_hold() {
        let rule = |d| judged(Kind::Deployment, d, "rollout-stuck");
        assert_eq!(rule(progressing(3, "False", "ProgressDeadlineExceeded", 1, false)), Some(Severity::Warning));
        assert_eq!(rule(progressing(2, "False", "ProgressDeadlineExceeded", 1, false)), Some(Severity::Critical));
        assert_eq!(rule(progressing(4, "True", "NewReplicaSetAvailable", 9000, false)), None);
        assert_eq!(rule(progressing(4, "Unknown", "DeploymentPaused", 86_399, true)), None);
        assert_eq!(rule(progressing(4, "Unknown", "DeploymentPaused", 86_400, true)), Some(Severity::Warning));
    }

    #[test]
    fn unchanged_for_fifteen_minutes() {
        let mut fleet = Fleet::default();
        let mut d = deployment("d", 4, 4);
        d["status"]["updatedReplicas"] = json!(2);
        fleet.put(Kind::Deployment, [d]).put(Kind::ReplicaSet, [replicaset("rs", "d", 2, "i:2", 899, 2)]);
        assert_eq!(fleet.severity(Kind::Deployment, "d", "rollout-stuck"), None);
        assert_eq!(fleet.wait(1).severity(Kind::Deployment, "d", "rollout-stuck"), Some(Severity::Warning));
    }

    #[test]
    fn there_is_nothing_to_roll_back_to_before_the_second_revision() {
        let offered = |fleet: &Fleet| fleet.finding(Kind::Deployment, "d", "rollout-stuck").unwrap().remedy.is_some();
        let late = || progressing(2, "False", "ProgressDeadlineExceeded", 1, false);
        let mut fleet = Fleet::default();
        fleet.put(Kind::ReplicaSet, [replicaset("rs-2", "d", 2, "i:2", 900, 4)]).put(Kind::Deployment, [late()]);
        assert!(offered(&fleet), "the revisions are not all read: there may be one");
        fleet.delta(0, Delta::KindState(Kind::ReplicaSet, KindState::Live));
        fleet.put(Kind::ReplicaSet, [replicaset("rs-2", "d", 2, "i:2", 899, 4)]);
        assert!(!offered(&fleet));
        fleet.put(Kind::ReplicaSet, [replicaset("rs-1", "d", 1, "i:1", 90_000, 0)]);
        assert!(offered(&fleet));
        fleet.delete(Kind::ReplicaSet, "rs-1");
        assert!(!offered(&fleet), "its history was cut");
        let mut new = late();
        new["metadata"]["generation"] = json!(1);
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [new]);
        assert!(!offered(&fleet), "it was never changed");
    }

    #[test]
    fn a_statefulset_with_two_revisions() {
        let sts = |partition: i32, update: &str, strategy: &str| {
            json!({"metadata": {"name": "s", "creationTimestamp": ago(90_000)}, "spec": {"replicas": 3, "updateStrategy": {"type": strategy, "rollingUpdate": {"partition": partition}}},
                "status": {"availableReplicas": 3, "updatedReplicas": 1, "currentRevision": "s-1", "updateRevision": update}})
        };
        for (object, severity) in [
            (sts(0, "s-2", "RollingUpdate"), Some(Severity::Warning)),
            (sts(0, "s-1", "RollingUpdate"), None),
            (sts(0, "s-2", "OnDelete"), None),
            (sts(2, "s-2", "RollingUpdate"), None),
        ] {
            let mut fleet = Fleet::default();
            let mut meta = owned("p", Kind::StatefulSet, "s");
            meta["creationTimestamp"] = json!(ago(900));
            fleet.put(Kind::Pod, [pod(meta, "n", true, 900, running())]).put(Kind::StatefulSet, [object.clone()]);
            assert_eq!(fleet.severity(Kind::StatefulSet, "s", "rollout-stuck"), severity, "{object}");
        }
    }
}
