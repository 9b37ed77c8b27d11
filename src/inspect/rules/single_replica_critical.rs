//! A workload of one replica.

use crate::inspect::{Judge, RuleInfo, Severity, Verdict, core};
use crate::model::{Kind, Object, VerbId, Workload, WorkloadDetail};

pub static RULE: RuleInfo = RuleInfo {
    id: "single-replica-critical",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "workload",
    summary: "It has one replica, or its autoscaler may leave it one; a warning when core or reached from outside the cluster, else info",
    why: "Any restart, drain or rollout of the one replica is user-visible downtime.",
    kinds: &[Kind::Deployment, Kind::StatefulSet],
    needs: &[],
    leans_on: &[Kind::Hpa, Kind::Ingress, Kind::Service],
    thresholds: &[],
    peers: &[
        "popeye:1109",
        "kube-score:deployment-replicas",
        "kube-score:horizontalpodautoscaler-replicas",
        "polaris:deploymentMissingReplicas",
        "polaris:hpaMinAvailability",
        "kube-linter:minimum-three-replicas",
        "kube-linter:hpa-minimum-three-replicas",
    ],
    links: &["https://kubernetes.io/docs/concepts/workloads/pods/disruptions/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    if w.meta.owner.is_some() || w.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let outside = outside(judge, w);
    let severity = if core(object) || outside.is_some() { Severity::Warning } else { Severity::Info };
    let reference = object.reference(judge.cluster.id);
    if let Some(hpa) = super::scaler(judge, w) {
        if hpa.min > 1 {
            return Verdict::Fine;
        }
        let on = Object::Hpa(std::sync::Arc::new(hpa.clone())).reference(judge.cluster.id);
        return super::lint::settle(
            judge,
            &w.meta,
            judge
                .finding(severity, hpa.meta.created, format!("its autoscaler may leave it {} replica", hpa.min))
                .with("reached from outside by", outside.clone().unwrap_or_default(), None)
                .with("autoscaler", format!("{} {} to {}", hpa.meta.name, hpa.min, hpa.max), None)
                .then("Set the autoscaler's minimum to 2")
                .act(VerbId::HpaSet, Some(on), &[("min", "2")]),
        );
    }
    if w.desired != Some(1) {
        return Verdict::Fine;
    }
    let recreate = matches!(&w.detail, WorkloadDetail::Deployment { strategy, .. } if &**strategy == "Recreate");
    super::lint::settle(
        judge,
        &w.meta,
        judge
            .finding(severity, w.meta.created, if recreate { "one replica, and each rollout takes it away first" } else { "one replica" })
            .with("reached from outside by", outside.unwrap_or_default(), None)
            .with("strategy", if recreate { "Recreate" } else { "" }, None)
            .then("Scale it to 2, with a budget and a spread over nodes, if it can run twice")
            .act(VerbId::Scale, Some(reference), &[("replicas", "2")]),
    )
}

/// By what its pods are reached from outside the cluster: a Service that is exposed itself, or an Ingress to one.
fn outside(judge: &Judge<'_>, w: &Workload) -> Option<String> {
    let services = judge.index.services(judge.cluster, &w.meta.namespace).filter(|s| s.takes(&w.pod_labels));
    services.into_iter().find_map(|s| {
        let ingress = || judge.index.routing(judge.cluster, s).next().map(|i| format!("ingress {}", i.meta.name));
        if s.exposed() { Some(format!("{} {}", s.class, s.meta.name)) } else { ingress() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, ingress, service};
    use serde_json::json;

    fn fleet(replicas: i32, core: bool) -> Fleet {
        let mut fleet = Fleet::default();
        let mut d = deployment("web", replicas, replicas);
        if core {
            d["metadata"]["labels"] = json!({"tier": "core"});
        }
        fleet.put(Kind::Deployment, [d]);
        fleet
    }

    #[test]
    fn one_is_too_few_and_an_autoscaler_has_the_word() {
        let rule = |f: &Fleet| f.severity(Kind::Deployment, "web", RULE.id);
        assert_eq!((rule(&fleet(0, true)), rule(&fleet(2, true))), (None, None));
        assert_eq!((rule(&fleet(1, false)), rule(&fleet(1, true))), (Some(Severity::Info), Some(Severity::Warning)));
        let hpa = |min: i32| json!({"metadata": {"name": "h"}, "spec": {"minReplicas": min, "maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "web"}}});
        let mut f = fleet(3, false);
        f.put(Kind::Hpa, [hpa(1)]);
        assert_eq!(rule(&f), Some(Severity::Info), "it may be one at night");
        f.put(Kind::Hpa, [hpa(2)]);
        assert_eq!(rule(&f), None);
    }

    #[test]
    fn what_people_reach_weighs_more() {
        let rule = |f: &Fleet| f.severity(Kind::Deployment, "web", RULE.id);
        let mut f = fleet(1, false);
        let mut d = deployment("web", 1, 1);
        d["spec"]["template"]["metadata"] = json!({"labels": {"app": "web"}});
        f.put(Kind::Deployment, [d]).put(Kind::Service, [service("web", "web"), service("other", "other")]);
        f.put(Kind::Ingress, [ingress("i", "a.example.com", &[("/", "other")])]);
        assert_eq!(rule(&f), Some(Severity::Info));
        f.put(Kind::Ingress, [ingress("i", "a.example.com", &[("/", "web")])]);
        assert_eq!(rule(&f), Some(Severity::Warning), "the Ingress leads to it now");
        f.delete(Kind::Ingress, "i");
        let mut open = service("web", "web");
        open["spec"]["type"] = json!("LoadBalancer");
        f.put(Kind::Service, [open]);
        assert_eq!(rule(&f), Some(Severity::Warning));
    }
}
