//! A budget that protects nothing.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, Tri, Workload, meta};

const AFTER: Threshold = Threshold { name: "after", default: "15m", doc: "how long it may cover nothing" };

pub static RULE: RuleInfo = RuleInfo {
    id: "pdb-ineffective",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "poddisruptionbudget",
    summary: "It selects no pod for 15 minutes, sets neither bound, or its controller fails",
    why: "The team believes it is protected and is not; usually a renamed label.",
    kinds: &[Kind::Pdb],
    needs: &[],
    leans_on: &[Kind::Deployment, Kind::StatefulSet],
    thresholds: &[AFTER],
    peers: &["popeye:900", "kube-score:poddisruptionbudget-has-policy"],
    links: &["https://kubernetes.io/docs/tasks/run-application/configure-pdb/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Pdb(pdb)) = judge.object else { return Verdict::Fine };
    if pdb.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let failed = meta::condition(&pdb.conditions, "DisruptionAllowed")
        .filter(|c| !judge.written && c.status == Tri::False && c.reason.as_deref() == Some("SyncFailed"));
    if pdb.min_available.is_none() && pdb.max_unavailable.is_none() {
        return Verdict::Burning(
            judge
                .finding(Severity::Warning, pdb.meta.created, "sets neither minAvailable nor maxUnavailable")
                .then("Set maxUnavailable 1")
                .edit(),
        );
    }
    let covers = if judge.written { !super::guarded(judge, pdb).0.is_empty() } else { pdb.expected > 0 };
    if covers && failed.is_none() {
        return Verdict::Fine;
    }
    let here = || {
        let all = judge.index.workloads(judge.cluster, &pdb.meta.namespace).into_iter().map(|w| &**w);
        all.filter(|w| w.kind != Kind::DaemonSet && w.desired.unwrap_or(0) > 0)
    };
    if failed.is_none() && here().next().is_none() {
        return Verdict::Fine;
    }
    super::after(judge.held_since_seen(judge.value(&AFTER)), || {
        let selector = pdb.selector.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        let near = here().max_by_key(|w| shared(pdb.selector.as_ref(), w)).filter(|w| shared(pdb.selector.as_ref(), w) > 0);
        let message = if failed.is_some() { "its controller cannot work it out".to_owned() } else { "selects no pod".to_owned() };
        let labels = near.map(|w| w.pod_labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")).unwrap_or_default();
        judge
            .finding(Severity::Warning, failed.and_then(|c| c.since), message)
            .with("selector", selector, None)
            .with("controller", failed.and_then(|c| c.message.as_deref()).unwrap_or(""), None)
            .with("nearest workload", near.map(|w| format!("{} ({labels})", w.meta.name)).unwrap_or_default(), None)
            .then("Take the selector from the workload that it is for, or delete it")
            .edit()
    })
}

/// How many keys or values a selector has in common with a workload's pods.
fn shared(selector: Option<&crate::model::Selector>, w: &Workload) -> usize {
    let Some(selector) = selector else { return 0 };
    selector
        .labels
        .iter()
        .map(|(k, v)| usize::from(w.pod_labels.get(k).is_some()) + usize::from(w.pod_labels.iter().any(|(_, o)| o == v)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment};
    use serde_json::{Value, json};

    fn fleet(pdb: Value, workloads: bool) -> Fleet {
        let mut fleet = Fleet::default();
        if workloads {
            let mut d = deployment("web", 2, 2);
            d["spec"]["template"]["metadata"] = json!({"labels": {"app.kubernetes.io/name": "web"}});
            fleet.put(Kind::Deployment, [d]);
        }
        fleet.put(Kind::Pdb, [pdb]);
        fleet
    }

    fn pdb(spec: Value, expected: i32) -> Value {
        let mut spec = spec;
        spec["selector"] = json!({"matchLabels": {"app": "web"}});
        json!({"metadata": {"name": "b"}, "spec": spec, "status": {"expectedPods": expected}})
    }

    #[test]
    fn nothing_selected_for_fifteen_minutes_where_there_are_workloads() {
        let rule = |f: &Fleet| f.severity(Kind::Pdb, "b", RULE.id);
        let one = || pdb(json!({"maxUnavailable": 1}), 0);
        assert_eq!(rule(fleet(one(), true).wait(899)), None);
        let mut f = fleet(one(), true);
        assert_eq!(rule(f.wait(900)), Some(Severity::Warning));
        let evidence = &f.finding(Kind::Pdb, "b", RULE.id).unwrap().evidence;
        assert!(evidence.iter().any(|e| e.value == "web (app.kubernetes.io/name=web)"), "{evidence:?}");
        assert_eq!(rule(fleet(one(), false).wait(9000)), None, "an empty namespace");
        assert_eq!(rule(fleet(pdb(json!({"maxUnavailable": 1}), 2), true).wait(9000)), None);
        assert_eq!(rule(&fleet(pdb(json!({}), 2), true)), Some(Severity::Warning), "no bound");
    }
}
