//! An autoscaler whose target cannot be read or written.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Condition, Hpa, Kind, Object, Tri, meta};

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

pub static RULE: RuleInfo = RuleInfo {
    id: "hpa-unable-to-scale",
    area: "capacity",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "horizontalpodautoscaler",
    summary: "It cannot read or write what it scales, or two scale the same, for 5 minutes",
    why: "The target cannot be read or written, so load changes have no effect.",
    kinds: &[Kind::Hpa],
    needs: &[],
    leans_on: &[Kind::Hpa, Kind::Deployment, Kind::StatefulSet, Kind::ReplicaSet],
    thresholds: &[AFTER],
    peers: &[
        "popeye:600",
        "kube-score:horizontalpodautoscaler-has-target",
        "k8s-mixin:KubeHpaReplicasMismatch",
        "kube-linter:dangling-horizontalpodautoscaler",
    ],
    links: &[
        "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubehpareplicasmismatch/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Hpa(hpa)) = judge.object else { return Verdict::Fine };
    if hpa.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let conditions: &[Condition] = if judge.written { &[] } else { &hpa.conditions };
    let unable = meta::condition(conditions, "AbleToScale").filter(|c| c.status == Tri::False);
    let selector = meta::condition(conditions, "ScalingActive")
        .filter(|c| c.status == Tri::False && matches!(c.reason.as_deref(), Some("AmbiguousSelector" | "InvalidSelector")));
    let kind = Kind::parse(&hpa.target_kind);
    // Manifests without any workload of its namespace say nothing of it.
    let told = !judge.written || !judge.index.workloads(judge.cluster, &hpa.meta.namespace).is_empty();
    let seen = kind.filter(|k| told && judge.cluster.current(*k));
    let missing = seen.is_some_and(|k| judge.cluster.named(k, &hpa.meta.namespace, &hpa.target_name).is_none());
    let too = |h: &&Hpa| h.meta.uid != hpa.meta.uid && h.target_kind == hpa.target_kind && h.target_name == hpa.target_name;
    let twin = judge.index.scalers(judge.cluster, &hpa.meta.namespace).find(too);
    let condition = unable.or(selector);
    let target = format!("{} {}", hpa.target_kind, hpa.target_name);
    let message = match (condition, twin) {
        _ if missing => format!("{target} is not there"),
        (_, Some(twin)) => format!("{} scales {target} too", twin.meta.name),
        (Some(c), _) => c.reason.as_deref().unwrap_or("unable to scale").to_owned(),
        (None, None) => return Verdict::Fine,
    };
    let since = condition.and_then(|c| c.since);
    let hold = judge.value(&AFTER);
    super::after(since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)), || {
        judge
            .finding(Severity::Critical, since, message)
            .with("scales", target, None)
            .with("controller", condition.and_then(|c| c.message.as_deref()).unwrap_or(""), since)
            .then("Correct scaleTargetRef, or delete the autoscaler that is one too many")
            .edit()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment};
    use crate::model::{Delta, KindState};
    use serde_json::{Value, json};

    fn hpa(name: &str, target: &str, able: (&str, &str), since: i64) -> Value {
        json!({"metadata": {"name": name}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": target}},
            "status": {"conditions": [{"type": "AbleToScale", "status": able.0, "reason": able.1, "message": "no", "lastTransitionTime": ago(since)}]}})
    }

    fn fleet(hpas: impl IntoIterator<Item = Value>) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [deployment("web", 2, 2)]);
        fleet.delta(0, Delta::KindState(Kind::Deployment, KindState::Live));
        fleet.put(Kind::Hpa, hpas);
        fleet
    }

    #[test]
    fn after_five_minutes_of_its_own_word() {
        let rule = |f: &Fleet| f.severity(Kind::Hpa, "h", RULE.id);
        assert_eq!(rule(&fleet([hpa("h", "web", ("True", "ReadyForNewScale"), 900)])), None);
        let mut f = fleet([hpa("h", "web", ("False", "FailedUpdateScale"), 299)]);
        assert_eq!(rule(&f), None);
        assert_eq!(rule(f.wait(1)), Some(Severity::Critical));
        assert_eq!(f.finding(Kind::Hpa, "h", RULE.id).unwrap().message, "FailedUpdateScale");
    }

    #[test]
    fn a_target_that_is_not_there_and_one_that_two_scale() {
        let mut f = fleet([hpa("h", "gone", ("True", "x"), 900)]);
        assert_eq!(f.severity(Kind::Hpa, "h", RULE.id), None);
        f.wait(300);
        assert_eq!(f.finding(Kind::Hpa, "h", RULE.id).unwrap().message, "Deployment gone is not there");
        f.put(Kind::Deployment, [deployment("gone", 1, 1)]);
        assert_eq!(f.severity(Kind::Hpa, "h", RULE.id), None, "it came");
        f.put(Kind::Hpa, [hpa("twin", "gone", ("True", "x"), 900)]);
        f.wait(300);
        assert_eq!(f.finding(Kind::Hpa, "h", RULE.id).unwrap().message, "twin scales Deployment gone too");
        f.delete(Kind::Hpa, "twin");
        assert_eq!(f.severity(Kind::Hpa, "h", RULE.id), None);
    }
}
