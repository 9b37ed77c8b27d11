//! An autoscaler by utilization, of pods that request nothing of it.

use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::{ContainerSpec, Kind, Object};

pub static RULE: RuleInfo = RuleInfo {
    id: "hpa-no-requests",
    area: "capacity",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "horizontalpodautoscaler",
    summary: "It scales by utilization of a resource that a container of its pods does not request",
    why: "Utilization is computed against requests; one container without a request makes the whole pod unusable for the calculation.",
    kinds: &[Kind::Hpa],
    needs: &[],
    leans_on: &[Kind::Deployment, Kind::StatefulSet],
    thresholds: &[],
    peers: &[],
    links: &[
        "https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details",
        "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Hpa(hpa)) = judge.object else { return Verdict::Fine };
    let target = Kind::parse(&hpa.target_kind).and_then(|k| judge.cluster.named(k, &hpa.meta.namespace, &hpa.target_name));
    let Some(top @ Object::Workload(w)) = target else { return Verdict::Fine };
    let asks = |c: &&ContainerSpec, resource: &str| match resource {
        "cpu" => c.resources.cpu_request_m.or(c.resources.cpu_limit_m).is_some(),
        _ => c.resources.memory_request.or(c.resources.memory_limit).is_some(),
    };
    // Of the pod as a whole: then its containers need none.
    let pod = |resource: &str| {
        let own = w.shape.containers.iter().all(|c| !asks(&c, resource));
        own && if resource == "cpu" { w.shape.requests.cpu_request_m.is_some() } else { w.shape.requests.memory_request.is_some() }
    };
    let running = || w.shape.containers.iter().chain(w.shape.init.iter().filter(|c| c.sidecar));
    for m in hpa.metrics.iter().filter(|m| m.percent && &*m.source == "Resource" && matches!(&*m.name, "cpu" | "memory")) {
        let without: Vec<&str> = running().filter(|c| !asks(c, &m.name)).map(|c| &*c.name).collect();
        if without.is_empty() || pod(&m.name) {
            continue;
        }
        return Verdict::Burning(
            judge
                .finding(Severity::Warning, None, format!("scales by {}, which {} does not request", m.name, without.join(", ")))
                .with("scales", format!("{} {}", hpa.target_kind, hpa.target_name), None)
                .with("containers without a request", without.join(", "), None)
                .then(format!(
                    "Give {} a request of {}, or scale by the containers that have one (ContainerResource)",
                    without.join(", "),
                    m.name
                ))
                .edit_of(Some(top.reference(judge.cluster.id))),
        );
    }
    Verdict::Fine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment};
    use serde_json::{Value, json};

    fn fleet(containers: Value, percent: bool) -> Fleet {
        let mut fleet = Fleet::default();
        let target = if percent {
            json!({"type": "Utilization", "averageUtilization": 80})
        } else {
            json!({"type": "AverageValue", "averageValue": "1"})
        };
        fleet.put(
            Kind::Hpa,
            [json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]}})],
        );
        let mut d = deployment("web", 2, 2);
        d["spec"]["template"]["spec"]["containers"] = containers;
        fleet.put(Kind::Deployment, [d]);
        fleet
    }

    #[test]
    fn every_container_must_request_what_it_is_scaled_by() {
        let rule = |f: &Fleet| f.severity(Kind::Hpa, "h", RULE.id);
        let with = |resource: &str| json!({"name": "app", "resources": {"requests": {resource: "1"}}});
        assert_eq!(rule(&fleet(json!([with("cpu")]), true)), None);
        let f = fleet(json!([with("cpu"), {"name": "proxy"}]), true);
        assert_eq!(f.finding(Kind::Hpa, "h", RULE.id).unwrap().message, "scales by cpu, which proxy does not request");
        assert_eq!(rule(&fleet(json!([with("memory")]), true)), Some(Severity::Warning));
        assert_eq!(rule(&fleet(json!([with("memory")]), false)), None, "an absolute value needs no request");
        assert_eq!(rule(&fleet(json!([{"name": "app", "resources": {"limits": {"cpu": "1"}}}]), true)), None, "a limit is a request too");
    }
}
