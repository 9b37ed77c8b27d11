//! A disruption budget under which no eviction can ever succeed.
//!
//! `since` is when the budget last stopped to allow disruptions, else its creation. A budget that allows
//! something now is told as a warning where it will not once an autoscaler is at its minimum. Left out: drains that it blocked before (nothing keeps
//! them).

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Amount, Kind, Object, Pdb, Tri, meta};

const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long the budget must allow nothing" };

pub static RULE: RuleInfo = RuleInfo {
    id: "pdb-blocks-drain",
    area: "availability",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "poddisruptionbudget",
    summary: "Allows no disruption though all pods are healthy, or by its arithmetic never can, or will not at the minimum of the autoscaler of its pods; critical while it holds up a drain",
    why: "No eviction can ever succeed, so node maintenance, upgrades and the autoscaler hang on this budget.",
    kinds: &[Kind::Pdb],
    needs: &[],
    leans_on: &[Kind::Hpa],
    thresholds: &[AFTER],
    peers: &[
        "popeye:901",
        "polaris:pdbDisruptionsIsZero",
        "polaris:pdbMinAvailableGreaterThanHPAMinReplicas",
        "kube-linter:pdb-max-unavailable",
        "kube-linter:pdb-min-available",
    ],
    links: &[
        "https://kubernetes.io/docs/tasks/run-application/configure-pdb/",
        "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
    ],
    judge,
};

/// Why the budget can never allow anything with so many pods, whatever they do.
fn never(pdb: &Pdb, pods: i32) -> Option<String> {
    match (pdb.max_unavailable, pdb.min_available) {
        (Some(max @ (Amount::Count(0) | Amount::Percent(0))), _) => Some(format!("maxUnavailable {max}")),
        (_, Some(min @ Amount::Percent(100..))) => Some(format!("minAvailable {min}")),
        // Rounded up.
        (_, Some(min @ Amount::Percent(n))) if pods > 0 && (i64::from(n) * i64::from(pods) + 99) / 100 >= i64::from(pods) => {
            Some(format!("minAvailable {min} of {pods} pods"))
        }
        (_, Some(Amount::Count(n))) if pods > 0 && n >= pods => Some(format!("minAvailable {n} of {pods} pods")),
        _ => None,
    }
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Pdb(pdb)) = judge.object else { return Verdict::Fine };
    if judge.written {
        return written(judge, pdb);
    }
    if pdb.allowed > 0 {
        return at_the_least(judge, pdb);
    }
    let never = never(pdb, pdb.expected);
    let whole = pdb.allowed == 0 && pdb.healthy == pdb.expected;
    // A budget that covers nothing, or that the controller has not looked at, blocks nobody yet.
    if pdb.expected == 0 || pdb.meta.deleting.is_some() || !(whole || never.is_some()) {
        return Verdict::Fine;
    }
    let denied = meta::condition(&pdb.conditions, "DisruptionAllowed").filter(|c| c.status != Tri::True);
    let since = denied.and_then(|c| c.since).or(pdb.meta.created);
    let hold = judge.value(&AFTER);
    if let Err(at) = since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)) {
        return Verdict::FineUntil(at);
    }
    let held = held_nodes(judge, pdb);
    let severity = if held.is_empty() { Severity::Warning } else { Severity::Critical };
    let why = never.unwrap_or_else(|| format!("{} of {} must stay", pdb.desired, pdb.expected));
    let message = match held.first() {
        Some(node) => format!("holds up the drain of {node}: {why}"),
        None => format!("0 allowed: {why}"),
    };
    let mut finding = judge
        .finding(severity, since, message)
        .with("expected / desired / healthy", format!("{} / {} / {}", pdb.expected, pdb.desired, pdb.healthy), None)
        .with("allowed", pdb.allowed.to_string(), since);
    if !held.is_empty() {
        finding = finding.with("cordoned nodes with its pods", held.join(", "), None);
    }
    Verdict::Burning(finding.then("Set maxUnavailable 1, or scale the workload up by one for the time of the drain").edit())
}

/// Of one that allows something now: whether it will when the autoscaler of what it selects is at its minimum.
fn at_the_least(judge: &Judge<'_>, pdb: &Pdb) -> Verdict {
    // By shares of the pods it is the same with few of them, but for all.
    let counts = matches!(pdb.min_available, Some(Amount::Count(1..) | Amount::Percent(51..)));
    if !counts || pdb.meta.deleting.is_some() || pdb.expected == 0 {
        return Verdict::Fine;
    }
    let (guards, pods) = super::guarded(judge, pdb);
    let [only] = guards.as_slice() else { return Verdict::Fine };
    let Some(scaler) = super::scaler(judge, only).filter(|h| h.min < pdb.expected) else { return Verdict::Fine };
    let Some(why) = never(pdb, pods) else { return Verdict::Fine };
    let hold = judge.value(&AFTER);
    let began = scaler.meta.created.max(pdb.meta.created);
    let held = began.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold));
    super::after(held, || {
        let message = format!("allows nothing once {} is at its minimum: {why}", scaler.meta.name);
        let finding = judge.finding(Severity::Warning, began, message);
        let finding = finding.with("expected / allowed now", format!("{} / {}", pdb.expected, pdb.allowed), None);
        finding
            .with("minReplicas", scaler.min.to_string(), None)
            .then("Set maxUnavailable 1, or raise the autoscaler's minimum by one")
            .edit()
    })
}

/// Of one that runs nowhere: what its arithmetic is with the workloads beside it.
fn written(judge: &Judge<'_>, pdb: &Pdb) -> Verdict {
    let (guards, pods) = super::guarded(judge, pdb);
    let Some(why) = never(pdb, pods) else { return Verdict::Fine };
    let names: Vec<&str> = guards.iter().map(|w| &*w.meta.name).collect();
    let finding = judge.finding(Severity::Warning, None, format!("never allows a disruption: {why}"));
    let finding = finding.with("workloads that it selects", names.join(", "), None).with("their pods at the least", pods.to_string(), None);
    Verdict::Burning(finding.then("Set maxUnavailable 1").edit())
}

/// The cordoned nodes that have a pod of the budget.
fn held_nodes(judge: &Judge<'_>, pdb: &Pdb) -> Vec<String> {
    let Some(selector) = pdb.selector.as_ref().filter(|_| judge.cluster.counts.cordoned > 0) else { return Vec::new() };
    let covered = |o: &Object| {
        let m = o.meta();
        m.namespace == pdb.meta.namespace
            && m.deleting.is_none()
            && selector.matches(&m.labels)
            && matches!(o, Object::Pod(p) if !p.finished())
    };
    let cordoned = judge.cordoned.iter().filter(|node| judge.index.on_node(judge.cluster, node).any(covered));
    let mut nodes: Vec<String> = cordoned.map(|n| n.to_string()).collect();
    nodes.sort_unstable();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment, judged, node, pod, running};
    use serde_json::{Value, json};

    fn pdb(spec: Value, healthy: i32, allowed: i32, since: i64) -> Value {
        let mut spec = spec;
        spec["selector"] = json!({"matchLabels": {"app": "db"}});
        json!({"metadata": {"name": "db", "creationTimestamp": ago(90_000)}, "spec": spec,
            "status": {"expectedPods": 3, "desiredHealthy": 3, "currentHealthy": healthy, "disruptionsAllowed": allowed,
                "conditions": [{"type": "DisruptionAllowed", "status": "False", "lastTransitionTime": ago(since)}]}})
    }

    #[test]
    fn what_can_never_be_evicted() {
        for (object, severity) in [
            (pdb(json!({"maxUnavailable": 0}), 2, 0, 600), Some(Severity::Warning)),
            (pdb(json!({"maxUnavailable": 0}), 2, 0, 599), None),
            (pdb(json!({"minAvailable": "100%"}), 2, 0, 600), Some(Severity::Warning)),
            (pdb(json!({"minAvailable": 3}), 2, 0, 600), Some(Severity::Warning)),
            // One pod is down: the budget does its work.
            (pdb(json!({"minAvailable": 2}), 2, 0, 600), None),
            (pdb(json!({"minAvailable": "90%"}), 3, 0, 600), Some(Severity::Warning)),
            (pdb(json!({"maxUnavailable": 1}), 3, 1, 600), None),
        ] {
            assert_eq!(judged(Kind::Pdb, object.clone(), "pdb-blocks-drain"), severity, "{object}");
        }
    }

    #[test]
    fn critical_while_a_node_is_drained() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [node("n", "True", 9000)]);
        fleet.put(Kind::Pod, [pod(json!({"name": "db-0", "labels": {"app": "db"}}), "n", true, 900, running())]);
        fleet.put(Kind::Pdb, [pdb(json!({"maxUnavailable": 0}), 3, 0, 600)]);
        let rule = |f: &Fleet| f.severity(Kind::Pdb, "db", "pdb-blocks-drain");
        assert_eq!(rule(&fleet), Some(Severity::Warning));
        let mut cordoned = node("n", "True", 9000);
        cordoned["spec"] = json!({"unschedulable": true});
        fleet.put(Kind::Node, [cordoned]);
        assert_eq!(rule(&fleet), Some(Severity::Critical));
        fleet.delete(Kind::Pod, "db-0");
        assert_eq!(rule(&fleet), Some(Severity::Warning));
    }

    #[test]
    fn an_autoscaler_at_its_minimum() {
        let of = |spec: Value, min: i32, allowed: i32| {
            let mut fleet = Fleet::default();
            let mut d = deployment("db", 3, 3);
            d["spec"]["template"]["metadata"] = json!({"labels": {"app": "db"}});
            fleet.put(Kind::Deployment, [d]);
            fleet.put(Kind::Pdb, [pdb(spec, 3, allowed, 600)]);
            fleet.put(
                Kind::Hpa,
                [json!({"metadata": {"name": "db", "creationTimestamp": ago(90_000)},
                "spec": {"minReplicas": min, "maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "db"}}, "status": {}})],
            );
            fleet.finding(Kind::Pdb, "db", RULE.id).map(|f| f.message.clone())
        };
        let says = "allows nothing once db is at its minimum: minAvailable 2 of 2 pods";
        assert_eq!(of(json!({"minAvailable": 2}), 2, 1).as_deref(), Some(says));
        assert_eq!((of(json!({"minAvailable": 2}), 3, 1), of(json!({"minAvailable": "50%"}), 1, 1)), (None, None));
        assert_eq!(of(json!({"maxUnavailable": 1}), 1, 1), None);
    }
}
