//! A workload of several replicas that no budget covers.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, core};
use crate::model::{Kind, Object, Pdb, VerbId};

const REPLICAS: Threshold = Threshold { name: "replicas", default: "2", doc: "from so many replicas on a budget is expected" };

pub static RULE: RuleInfo = RuleInfo {
    id: "pdb-missing",
    area: "availability",
    tier: 1,
    burns: false,
    severity: Severity::Warning,
    scope: "workload",
    summary: "No budget selects the pods of a workload with two replicas or more; a warning for core workloads, else info",
    why: "A drain may take every replica at once when nothing tells the eviction API how many must stay.",
    kinds: &[Kind::Deployment, Kind::StatefulSet],
    needs: &[crate::inspect::Need::Kind(Kind::Pdb)],
    leans_on: &[Kind::Pdb],
    thresholds: &[REPLICAS],
    peers: &[
        "popeye:206",
        "kube-score:deployment-has-poddisruptionbudget",
        "kube-score:statefulset-has-poddisruptionbudget",
        "polaris:missingPodDisruptionBudget",
    ],
    links: &[
        "https://kubernetes.io/docs/tasks/run-application/configure-pdb/",
        "https://kubernetes.io/docs/concepts/workloads/pods/disruptions/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    let desired = w.desired.unwrap_or(0);
    if i64::from(desired) < judge.value(&REPLICAS)
        || w.meta.owner.is_some()
        || w.meta.deleting.is_some()
        || !judge.cluster.current(Kind::Pdb)
    {
        return Verdict::Fine;
    }
    let covers = |p: &Pdb| p.selector.as_ref().is_some_and(|s| s.matches(&w.pod_labels));
    if judge.index.budgets(judge.cluster, &w.meta.namespace).any(covers) {
        return Verdict::Fine;
    }
    let severity = if core(object) { Severity::Warning } else { Severity::Info };
    let labels = w.pod_labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    // A share of few pods rounds to all or none of them.
    let most = if desired < 4 { "1" } else { "25%" };
    super::lint::settle(
        judge,
        &w.meta,
        judge
            .finding(severity, w.meta.created, format!("no budget covers its {desired} pods"))
            .with("replicas", desired.to_string(), None)
            .with("labels of its pods", labels, None)
            .then(format!("Make a budget with maxUnavailable {most}"))
            .here(VerbId::CreatePdb, &[("max-unavailable", most)]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment};
    use crate::model::{Delta, KindState, Remedy};
    use serde_json::{Value, json};

    fn fleet(replicas: i32, core: bool) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.delta(0, Delta::KindState(Kind::Pdb, KindState::Live));
        let mut d = deployment("web", replicas, replicas);
        d["spec"]["template"]["metadata"] = json!({"labels": {"app": "web"}});
        if core {
            d["metadata"]["labels"] = json!({"tier": "core"});
        }
        fleet.put(Kind::Deployment, [d]);
        fleet
    }

    fn pdb(namespace: &str, app: &str) -> Value {
        json!({"metadata": {"name": format!("{namespace}-{app}"), "namespace": namespace}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app}}}})
    }

    #[test]
    fn from_two_replicas_on_and_a_budget_of_its_own_ends_it() {
        let rule = |f: &Fleet| f.severity(Kind::Deployment, "web", RULE.id);
        assert_eq!(rule(&fleet(1, true)), None);
        assert_eq!(rule(&fleet(2, false)), Some(Severity::Info));
        let mut fleet = fleet(2, true);
        assert_eq!(rule(&fleet), Some(Severity::Warning));
        fleet.put(Kind::Pdb, [pdb("pay", "other"), pdb("shop", "web")]);
        assert_eq!(rule(&fleet), Some(Severity::Warning), "others' budgets");
        fleet.put(Kind::Pdb, [pdb("pay", "web")]);
        assert_eq!(rule(&fleet), None, "the budget came later");
        fleet.delete(Kind::Pdb, "pay-web");
        assert_eq!(rule(&fleet), Some(Severity::Warning));
    }

    #[test]
    fn the_remedy_leaves_some_pods_and_what_is_not_seen_is_not_missing() {
        let max = |replicas: i32| match fleet(replicas, false).finding(Kind::Deployment, "web", RULE.id).and_then(|f| f.remedy.clone()) {
            Some(Remedy::Act { verb: VerbId::CreatePdb, args, .. }) => args.get("max-unavailable").map(str::to_owned),
            other => panic!("{other:?}"),
        };
        assert_eq!((max(3).as_deref(), max(4).as_deref()), (Some("1"), Some("25%")));
        let mut blind = Fleet::default();
        blind.put(Kind::Deployment, [deployment("web", 3, 3)]);
        assert_eq!(blind.severity(Kind::Deployment, "web", RULE.id), None);
        blind.delta(0, Delta::KindState(Kind::Pdb, KindState::Live));
        assert_eq!(blind.severity(Kind::Deployment, "web", RULE.id), Some(Severity::Info), "budgets were listed last, and there are none");
        // While the server is away, nothing new is said of what is missing; when it is back it is looked at again.
        blind.delta(0, Delta::State(crate::model::ConnectionState::Stale { last: None, reason: "no answer".into() }));
        blind.put(Kind::Deployment, [deployment("api", 3, 3)]);
        assert_eq!(blind.severity(Kind::Deployment, "api", RULE.id), None);
        blind.delta(0, Delta::State(crate::model::ConnectionState::Live));
        assert_eq!(blind.severity(Kind::Deployment, "api", RULE.id), Some(Severity::Info));
    }
}
