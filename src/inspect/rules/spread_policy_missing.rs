//! A workload whose replicas nothing keeps apart.

use super::lint::{REPLICATED, Whole};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;
use std::collections::BTreeMap;

const REPLICAS: Threshold =
    Threshold { name: "replicas", default: "2", doc: "from so many replicas on (or of its autoscaler's maximum) a policy is expected" };

pub static RULE: RuleInfo = RuleInfo {
    id: "spread-policy-missing",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "workload",
    summary: "No spread constraint or anti-affinity matches the own pods of a workload with two replicas or more, or a constraint selects none of them; a warning for core workloads, else info",
    why: "Without a rule the scheduler may put all replicas on one node and often does after a mass restart.",
    kinds: REPLICATED,
    needs: &[],
    leans_on: &[Kind::Hpa],
    thresholds: &[REPLICAS],
    peers: &[
        "kube-score:deployment-has-host-podantiaffinity",
        "kube-score:statefulset-has-host-podantiaffinity",
        "kube-score:pod-topology-spread-constraints",
        "polaris:topologySpreadConstraint",
        "kube-linter:no-anti-affinity",
    ],
    links: &["https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let Some(w) = whole.workload.filter(|w| w.desired.is_some_and(|n| n > 0)) else { return Verdict::Fine };
    let least = judge.value(&REPLICAS);
    let desired = w.desired.unwrap_or(0);
    if i64::from(desired) < least && super::scaler(judge, w).is_none_or(|h| i64::from(h.max) < least) {
        return Verdict::Fine;
    }
    let own = |selector: Option<&crate::model::Selector>| selector.is_some_and(|s| s.matches(whole.labels));
    let astray = whole.template.apart.iter().find(|a| a.what == "topologySpreadConstraints" && !own(a.selector.as_ref()));
    let message = match astray {
        Some(a) => format!("its spread over {} selects none of its own pods", a.topology),
        None if whole.template.apart.iter().any(|a| own(a.selector.as_ref())) => return Verdict::Fine,
        None => format!("nothing keeps its {desired} replicas on different nodes"),
    };
    let severity = if whole.core() { Severity::Warning } else { Severity::Info };
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in whole.pods(judge) {
        *nodes.entry(pod.node.as_deref().unwrap_or("no node")).or_default() += 1;
    }
    let mut finding = judge.finding(severity, None, message).with("replicas", desired.to_string(), None);
    if let Some(a) = astray {
        let selects = a.selector.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        finding = finding.with("it selects", selects, None);
    }
    let labels = whole.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    let places = super::lint::several(nodes.iter().map(|(node, n)| format!("{node} {n}")).collect(), 6);
    let finding = finding.with("labels of its pods", labels, None).with("replicas by node", places, None);
    let then = "Give its template topologySpreadConstraints over kubernetes.io/hostname and topology.kubernetes.io/zone: maxSkew 1, ScheduleAnyway, its own labels";
    whole.verdict(judge, Some(finding.then(then).edit()))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::{judged, with};
    use super::*;
    use crate::inspect::fixture::Fleet;
    use serde_json::{Value, json};

    fn spec(more: Value) -> Value {
        let mut spec = more;
        spec["containers"] = json!([{"name": "a"}]);
        spec
    }

    fn spread(app: &str) -> Value {
        spec(
            json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": app}}}]}),
        )
    }

    #[test]
    fn a_policy_must_be_about_its_own_pods() {
        let rule = |spec: Value, core| judged(RULE.id, spec, core).map(|f| f.0);
        assert_eq!((rule(spec(json!({})), false), rule(spec(json!({})), true)), (Some(Severity::Info), Some(Severity::Warning)));
        assert_eq!(rule(spread("web"), true), None);
        assert_eq!(
            judged(RULE.id, spread("wbe"), true).map(|f| f.1).as_deref(),
            Some("its spread over kubernetes.io/hostname selects none of its own pods")
        );
        let soft = |app: &str| {
            spec(
                json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}}]}}}),
            )
        };
        assert_eq!((rule(soft("web"), true), rule(soft("other"), true)), (None, Some(Severity::Warning)));
    }

    #[test]
    fn from_two_replicas_on_or_where_an_autoscaler_may_make_them() {
        let mut d = with(spec(json!({})), false);
        d["spec"]["replicas"] = json!(1);
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [d]);
        let rule = |f: &Fleet| f.severity(Kind::Deployment, "web", RULE.id);
        assert_eq!(rule(&fleet), None);
        let hpa = |max: i32| json!({"metadata": {"name": "h"}, "spec": {"minReplicas": 1, "maxReplicas": max, "scaleTargetRef": {"kind": "Deployment", "name": "web"}}});
        fleet.put(Kind::Hpa, [hpa(1)]);
        assert_eq!(rule(&fleet), None);
        fleet.put(Kind::Hpa, [hpa(2)]);
        assert_eq!(rule(&fleet), Some(Severity::Info));
    }
}
