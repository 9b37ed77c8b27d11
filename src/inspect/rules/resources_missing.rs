//! Containers that ask for nothing.

use crate::inspect::{Judge, RuleInfo, Severity, Verdict, core};
use crate::model::{ContainerSpec, Kind, Object};

pub static RULE: RuleInfo = RuleInfo {
    id: "resources-missing",
    area: "capacity",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "workload, by container",
    summary: "A container has no memory request or limit, or no CPU request; critical for memory of core workloads",
    why: "The scheduler places it blindly and the runtime sizes itself from the node.",
    kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::CronJob],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[
        "popeye:106",
        "popeye:107",
        "kube-score:container-resources",
        "polaris:cpuRequestsMissing",
        "polaris:memoryRequestsMissing",
        "polaris:memoryLimitsMissing",
        "kube-linter:unset-cpu-requirements",
        "kube-linter:unset-memory-requirements",
    ],
    links: &[
        "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    if w.meta.owner.is_some() || w.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let all = || w.shape.containers.iter().chain(w.shape.init.iter().filter(|c| c.sidecar));
    let none = |lacks: fn(&ContainerSpec) -> bool| all().filter(|c| lacks(c)).map(|c| &*c.name).collect::<Vec<&str>>();
    // Of the pod as a whole: then its containers need none.
    let whole = |own: fn(&ContainerSpec) -> bool, sum: Option<i64>| sum.is_some() && !all().any(own);
    let (r, mut lacking) = (&w.shape.requests, Vec::new());
    if !whole(|c| c.resources.memory_request.is_some(), r.memory_request) {
        lacking.push(("no memory request", none(|c| c.resources.memory_request.is_none() && c.resources.memory_limit.is_none()), true));
    }
    if !whole(|c| c.resources.memory_limit.is_some(), r.memory_limit) {
        lacking.push(("no memory limit", none(|c| c.resources.memory_limit.is_none()), true));
    }
    if !whole(|c| c.resources.cpu_request_m.is_some(), r.cpu_request_m) {
        lacking.push(("no CPU request", none(|c| c.resources.cpu_request_m.is_none() && c.resources.cpu_limit_m.is_none()), false));
    }
    lacking.retain(|(_, names, _)| !names.is_empty());
    if lacking.is_empty() {
        return Verdict::Fine;
    }
    let memory = lacking.iter().any(|(_, _, memory)| *memory);
    let severity = if memory && core(object) { Severity::Critical } else { Severity::Warning };
    let words: Vec<&str> = lacking.iter().map(|(what, ..)| *what).collect();
    let mut finding = judge.finding(severity, w.meta.created, words.join(", "));
    for (what, names, _) in &lacking {
        finding = finding.with(what, names.join(", "), None);
    }
    super::lint::settle(
        judge,
        &w.meta,
        finding.then("Give each container a CPU and memory request and a memory limit: what it used at its busiest, and some room").edit(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment};
    use serde_json::{Value, json};

    fn at(spec: Value, core: bool) -> Option<(Severity, String)> {
        let mut fleet = Fleet::default();
        let mut d = deployment("web", 2, 2);
        d["spec"]["template"]["spec"] = spec;
        if core {
            d["metadata"]["labels"] = json!({"tier": "core"});
        }
        fleet.put(Kind::Deployment, [d]);
        fleet.finding(Kind::Deployment, "web", RULE.id).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn each_container_and_the_pod_as_a_whole() {
        let full = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}});
        assert_eq!(at(json!({"containers": [{"name": "a", "resources": full}]}), true), None);
        let some = |r: Value| json!({"containers": [{"name": "a", "resources": r}]});
        assert_eq!(at(some(json!({})), true), Some((Severity::Critical, "no memory request, no memory limit, no CPU request".into())));
        assert_eq!(
            at(some(json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}})), true),
            Some((Severity::Warning, "no CPU request".into()))
        );
        assert_eq!(at(some(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), false), None, "a limit is a request too");
        let sidecar =
            json!({"containers": [{"name": "a", "resources": full}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]});
        assert_eq!(at(sidecar, false).map(|f| f.0), Some(Severity::Warning));
        let pod =
            json!({"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}, "containers": [{"name": "a"}]});
        assert_eq!(at(pod, true), None);
    }
}
