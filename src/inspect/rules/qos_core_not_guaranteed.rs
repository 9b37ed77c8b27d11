//! Core workloads that are among the first to go when memory is short.

use crate::inspect::{Judge, RuleInfo, Severity, Verdict, core};
use crate::model::{ContainerSpec, Kind, Object};

pub static RULE: RuleInfo = RuleInfo {
    id: "qos-core-not-guaranteed",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "workload",
    summary: "A core workload is BestEffort, or Burstable with a memory request below its limit",
    why: "Under node pressure the kubelet and the OOM killer take BestEffort, then Burstable above request, first.",
    kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[
        "kube-score:container-resource-requests-equal-limits",
        "kube-score:container-cpu-requests-equal-limits",
        "kube-score:container-memory-requests-equal-limits",
        "~goldilocks:guaranteed",
    ],
    links: &[
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    if w.meta.owner.is_some() || w.meta.deleting.is_some() || !core(object) {
        return Verdict::Fine;
    }
    let all: Vec<&ContainerSpec> = w.shape.containers.iter().chain(&w.shape.init).collect();
    let r = &w.shape.requests;
    let best_effort = [r.cpu_request_m, r.memory_request, r.cpu_limit_m, r.memory_limit].iter().all(Option::is_none);
    // A limit without a request is one too: the API server sets it.
    let below = |c: &&&ContainerSpec| c.resources.memory_request.is_some_and(|q| c.resources.memory_limit.is_none_or(|l| q < l));
    let (severity, message, who) = if best_effort {
        (Severity::Critical, "BestEffort: the first to go".to_owned(), Vec::new())
    } else {
        let who: Vec<&str> = all.iter().filter(below).map(|c| &*c.name).collect();
        if who.is_empty() {
            return Verdict::Fine;
        }
        (Severity::Warning, format!("Burstable: {} may use more memory than it asks for", who.join(", ")), who)
    };
    super::lint::settle(
        judge,
        &w.meta,
        judge
            .finding(severity, w.meta.created, message)
            .with("containers whose memory request is below the limit", who.join(", "), None)
            .then("Set the memory request to the limit: what it used at its busiest, and some room")
            .edit(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment};
    use serde_json::{Value, json};

    fn at(resources: Value, core: bool) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut d = deployment("web", 2, 2);
        d["spec"]["template"]["spec"]["containers"] = json!([{"name": "app", "resources": resources}]);
        if core {
            d["metadata"]["labels"] = json!({"tier": "core"});
        }
        fleet.put(Kind::Deployment, [d]);
        fleet.severity(Kind::Deployment, "web", RULE.id)
    }

    #[test]
    fn only_core_ones_by_their_memory() {
        let of = |request: &str, limit: &str| json!({"requests": {"memory": request}, "limits": {"memory": limit}});
        assert_eq!((at(json!({}), false), at(json!({}), true)), (None, Some(Severity::Critical)));
        assert_eq!(at(of("1Gi", "1Gi"), true), None);
        assert_eq!(at(of("1023Mi", "1Gi"), true), Some(Severity::Warning));
        assert_eq!(at(json!({"limits": {"memory": "1Gi"}}), true), None);
    }
}
