//! Budgets that select the same pod.

use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::{Kind, Labels, Object, Pdb};

pub static RULE: RuleInfo = RuleInfo {
    id: "pdb-overlap",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "poddisruptionbudget",
    summary: "Two budgets or more select the same pod",
    why: "The eviction API refuses such pods outright, so a drain of their node cannot finish.",
    kinds: &[Kind::Pdb],
    needs: &[crate::inspect::Need::Made(Kind::Pod)],
    leans_on: &[Kind::Pdb],
    thresholds: &[],
    peers: &["popeye:209"],
    links: &[
        "https://kubernetes.io/docs/tasks/run-application/configure-pdb/#arbitrary-controllers-and-selectors",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/",
    ],
    judge,
};

/// Pods that are named.
const NAMED: usize = 5;

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Pdb(pdb)) = judge.object else { return Verdict::Fine };
    let Some(selector) = pdb.selector.as_ref() else { return Verdict::Fine };
    let others = judge.index.budgets(judge.cluster, &pdb.meta.namespace);
    let others: Vec<&Pdb> = others.filter(|p| p.meta.uid != pdb.meta.uid && p.selector.is_some()).collect();
    if others.is_empty() {
        return Verdict::Fine;
    }
    let mut pods: Vec<&str> = Vec::new();
    let mut with: Vec<&str> = Vec::new();
    // Pods of one template have the same labels, and come one after the other.
    let mut last: Option<(&Labels, Vec<&str>)> = None;
    for (name, labels) in covered(judge, pdb) {
        if last.as_ref().is_none_or(|(of, _)| *of != labels) {
            let also = others.iter().filter(|p| p.selector.as_ref().is_some_and(|s| s.matches(labels)));
            last = Some((labels, also.map(|p| &*p.meta.name).collect()));
        }
        let Some((_, names)) = last.as_ref().filter(|(_, names)| !names.is_empty()) else { continue };
        pods.push(name);
        with.extend(names);
    }
    if pods.is_empty() {
        // Its pods may come later.
        return Verdict::LookAgain(super::later(judge, 300));
    }
    pods.sort_unstable();
    with.sort_unstable();
    with.dedup();
    let named = pods.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = if pods.len() > NAMED { format!(" and {} more", pods.len() - NAMED) } else { String::new() };
    Verdict::Burning(
        judge
            .finding(
                Severity::Warning,
                pdb.meta.created,
                format!("{} cannot be evicted: {} selects them too", whose(judge, pods.len()), with.join(", ")),
            )
            .with("its selector", selector.to_string(), None)
            .with(if judge.written { "workloads" } else { "pods" }, format!("{named}{more}"), None)
            .then("Narrow one of the selectors, or delete the budget that is not needed")
            .edit(),
    )
}

/// The pods that a budget selects, or the workloads that would make them: name and labels.
fn covered<'a>(judge: &Judge<'a>, pdb: &Pdb) -> Vec<(&'a str, &'a Labels)> {
    if judge.written {
        return super::guarded(judge, pdb).0.into_iter().map(|w| (&*w.meta.name, &w.pod_labels)).collect();
    }
    let Some(selector) = &pdb.selector else { return Vec::new() };
    let pods = judge.index.labelled(judge.cluster, &pdb.meta.namespace, |labels| selector.matches(labels));
    pods.filter(|p| !p.finished()).map(|p| (&*p.meta.name, &p.meta.labels)).collect()
}

fn whose(judge: &Judge<'_>, n: usize) -> String {
    if judge.written { format!("pods of {n} workload{}", if n == 1 { "" } else { "s" }) } else { format!("{n} of its pods") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, pod, running};
    use serde_json::{Value, json};

    fn pdb(name: &str, selector: Value) -> Value {
        json!({"metadata": {"name": name}, "spec": {"maxUnavailable": 1, "selector": selector}, "status": {"expectedPods": 1}})
    }

    #[test]
    fn both_say_it_while_they_share_a_pod() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod(json!({"name": "db-0", "labels": {"app": "db", "team": "pay"}}), "n", true, 900, running())]);
        fleet.put(Kind::Pdb, [pdb("db", json!({"matchLabels": {"app": "db"}})), pdb("other", json!({"matchLabels": {"app": "web"}}))]);
        let rule = |f: &Fleet, name: &str| f.severity(Kind::Pdb, name, RULE.id);
        assert_eq!((rule(&fleet, "db"), rule(&fleet, "other")), (None, None));
        fleet.put(Kind::Pdb, [pdb("team", json!({"matchLabels": {"team": "pay"}}))]);
        assert_eq!(
            (rule(&fleet, "db"), rule(&fleet, "team"), rule(&fleet, "other")),
            (Some(Severity::Warning), Some(Severity::Warning), None)
        );
        assert_eq!(fleet.finding(Kind::Pdb, "db", RULE.id).unwrap().message, "1 of its pods cannot be evicted: team selects them too");
        fleet.delete(Kind::Pdb, "team");
        assert_eq!(rule(&fleet, "db"), None);
    }
}
