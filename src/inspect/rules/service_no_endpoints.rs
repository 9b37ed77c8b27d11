//! A Service behind which nobody answers.

use crate::inspect::index::Index;
use crate::inspect::{Finding, Judge, Need, RuleInfo, Severity, Threshold, Verdict, title};
use crate::model::{Kind, Object, Svc, Workload};
use std::sync::Arc;

const AFTER: Threshold = Threshold { name: "after", default: "2m", doc: "how long it may be so" };
const YOUNG: Threshold = Threshold { name: "young", default: "5m", doc: "how long a new Service may have nobody behind it" };

pub static RULE: RuleInfo = RuleInfo {
    id: "service-no-endpoints",
    area: "network",
    tier: 2,
    burns: true,
    severity: Severity::Critical,
    scope: "service",
    summary: "It selects pods and none is ready for 2 minutes, or one where several are wanted; no pod at all is critical where an Ingress leads to it, else info",
    why: "Callers get connection refused or time out although the Deployment may look fine.",
    kinds: &[Kind::Service],
    needs: &[Need::Made(Kind::EndpointSlice)],
    leans_on: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Ingress],
    thresholds: &[AFTER, YOUNG],
    peers: &[
        "popeye:1100",
        "popeye:1105",
        "~popeye:1106",
        "popeye:1110",
        "kube-score:service-targets-pod",
        "kube-linter:dangling-service",
        "~kube-linter:invalid-target-ports",
    ],
    links: &["https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Svc(service)) = judge.object else { return Verdict::Fine };
    if !service.selects() || service.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    if !judge.cluster.current(Kind::EndpointSlice) {
        return Verdict::Fine;
    }
    if judge.written && led(judge, service) {
        return Verdict::Fine;
    }
    let endpoints = judge.cluster.endpoints(service).unwrap_or_default();
    let workloads = judge.index.selected(judge.cluster, service);
    let desired: i64 = workloads.iter().filter_map(|w| w.desired).map(i64::from).sum();
    let (severity, message) = match (endpoints.ready, endpoints.all) {
        (0, 0) => nobody(judge, service, &workloads, desired),
        (0, 1) => (Severity::Critical, "its one endpoint is not ready".to_owned()),
        (0, n) => (Severity::Critical, format!("none of its {n} endpoints is ready")),
        (1, _) if desired > 1 => (Severity::Warning, format!("one ready endpoint, {desired} pods are wanted")),
        _ => return Verdict::Fine,
    };
    let held = match (endpoints.all, &workloads[..], began(judge, &workloads)) {
        // What it selects and what there is are written down, and not on the way.
        (0, [], _) => Ok(()),
        (0, ..) if desired == 0 => Ok(()),
        (.., Some(began)) => judge.held(began, judge.value(&AFTER)),
        _ => judge.held_since_seen(judge.value(&AFTER)),
    };
    let young = service.meta.created.map_or(0, |c| c.secs() + judge.value(&YOUNG));
    let held = held.and(if judge.now < young { Err(young) } else { Ok(()) });
    super::after(held, || finding(judge, service, &workloads, severity, message))
}

/// Whether a Service that runs nowhere selects what is written beside it, or there is nothing that it could.
fn led(judge: &Judge<'_>, service: &Svc) -> bool {
    let mut pods = judge.index.labelled(judge.cluster, &service.meta.namespace, |labels| service.takes(labels));
    let all = judge.index.workloads(judge.cluster, &service.meta.namespace);
    all.is_empty() || all.iter().any(|w| service.takes(&w.pod_labels)) || pods.next().is_some()
}

/// When the last of the pods behind it stopped to be ready (unix seconds); none where no pod is seen that is not.
fn began(judge: &Judge<'_>, workloads: &[&Arc<Workload>]) -> Option<i64> {
    let pods = workloads.iter().flat_map(|w| judge.index.pods(judge.cluster, w.meta.uid));
    pods.filter_map(|p| super::unready_since(p)).map(|t| t.secs()).max()
}

/// What to say where there is no endpoint at all.
fn nobody(judge: &Judge<'_>, service: &Svc, workloads: &[&Arc<Workload>], desired: i64) -> (Severity, String) {
    let routed = judge.index.routing(judge.cluster, service).next().is_some();
    let by = |severity| if routed { severity } else { Severity::Info };
    match workloads {
        [] => (by(Severity::Critical), "no pod has the labels that it selects".to_owned()),
        // On purpose, as far as can be seen.
        [one, ..] if desired == 0 => (by(Severity::Warning), format!("{} is scaled to 0", one.meta.name)),
        _ => (Severity::Critical, format!("none of the {desired} pods that it wants has an address")),
    }
}

fn finding(judge: &Judge<'_>, service: &Svc, workloads: &[&Arc<Workload>], severity: Severity, message: String) -> Finding {
    let pairs = |labels: &crate::model::Labels| labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    let e = judge.cluster.endpoints(service).unwrap_or_default();
    let counts = format!("{} of {} ready, {} serving, {} terminating", e.ready, e.all, e.serving, e.terminating);
    let behind: Vec<String> =
        workloads.iter().map(|w| format!("{}/{} {}/{}", w.kind.name(), w.meta.name, w.ready, w.desired.unwrap_or(0))).collect();
    let from: Vec<String> = judge.index.routing(judge.cluster, service).map(|i| title(&i.meta.namespace, &i.meta.name)).collect();
    let ports: Vec<String> = service.ports.iter().map(|p| format!("{} to {}", p.text(), p.target)).collect();
    let finding = judge.finding(severity, None, message);
    let finding = if judge.written { finding } else { finding.with("endpoints", counts, None) };
    let finding = finding
        .with("selects", pairs(&service.selector), None)
        .with("workloads with these labels", behind.join(", "), None)
        .with("ports", ports.join(", "), None)
        .with("Ingresses that lead to it", from.join(", "), None);
    match (workloads, nearest(judge.index, judge, service)) {
        ([], Some(near)) => finding
            .with("nearest workload", format!("{}/{}: {}", near.kind.name(), near.meta.name, pairs(&near.pod_labels)), None)
            .then(format!("Select the labels of {}, or delete it if nobody calls it", near.meta.name))
            .edit(),
        ([], None) => finding.then("Correct its selector, or delete it if nobody calls it").edit(),
        ([one, ..], _) => {
            finding.then(format!("See why the pods of {} are not ready: their probes, their events, their logs", one.meta.name))
        }
    }
}

/// The workload that shares most labels with what a Service selects; none where none shares any.
fn nearest<'a>(index: &'a Index, judge: &'a Judge<'_>, service: &Svc) -> Option<&'a Arc<Workload>> {
    let shares = |w: &Arc<Workload>| {
        let same = service.selector.iter().filter(|(k, v)| w.pod_labels.get(k) == Some(v)).count();
        let named = usize::from(w.meta.name == service.meta.name);
        same * 2 + named
    };
    let all = index.workloads(judge.cluster, &service.meta.namespace).into_iter();
    all.map(|w| (shares(w), w)).filter(|(n, _)| *n > 0).max_by_key(|(n, w)| (*n, std::cmp::Reverse(w.meta.name.clone()))).map(|(_, w)| w)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, ago, crashing, deployment, ingress, owned, pod, replicaset, service, slice};
    use crate::model::{Delta, KindState, Remedy};
    use serde_json::json;

    fn fleet() -> Fleet {
        let mut fleet = Fleet::default();
        fleet.delta(0, Delta::KindState(Kind::EndpointSlice, KindState::Live));
        let mut d = deployment("web", 3, 3);
        d["spec"]["template"]["metadata"] = json!({"labels": {"app": "web", "team": "shop"}});
        fleet.put(Kind::Deployment, [d]);
        fleet
    }
    fn rule(f: &Fleet) -> Option<Severity> {
        f.severity(Kind::Service, "web", RULE.id)
    }

    #[test]
    fn none_ready_for_two_minutes_and_one_of_three() {
        let mut f = fleet();
        f.put(Kind::EndpointSlice, [slice("web", 2, 1)]).put(Kind::Service, [service("web", "web")]);
        f.wait(300);
        assert_eq!(rule(&f), None);
        f.put(Kind::EndpointSlice, [slice("web", 1, 2)]).wait(119);
        assert_eq!(rule(&f), None);
        assert_eq!(rule(f.wait(1)), Some(Severity::Warning));
        f.put(Kind::EndpointSlice, [slice("web", 0, 3)]);
        assert_eq!(rule(f.wait(0)), Some(Severity::Critical));
        assert_eq!(f.finding(Kind::Service, "web", RULE.id).unwrap().message, "none of its 3 endpoints is ready");
        f.put(Kind::EndpointSlice, [slice("web", 3, 0)]);
        assert_eq!(rule(&f), None);
        f.put(Kind::EndpointSlice, [slice("web", 0, 3)]);
        assert_eq!(rule(&f), None, "it is waited for anew");
    }

    #[test]
    fn nobody_is_worse_where_an_ingress_leads_to_it() {
        let mut f = fleet();
        f.put(Kind::Service, [service("web", "wbe")]).wait(120);
        assert_eq!(rule(&f), Some(Severity::Info));
        let found = f.finding(Kind::Service, "web", RULE.id).unwrap();
        assert!(found.next_step.contains("labels of web") && matches!(found.remedy, Some(Remedy::Edit(_))), "{found:?}");
        f.put(Kind::Ingress, [ingress("web", "a.example.com", &[("/", "web")])]);
        assert_eq!(rule(&f), Some(Severity::Critical), "the Ingress came later");
        let mut renamed = deployment("web", 3, 3);
        renamed["spec"]["template"]["metadata"] = json!({"labels": {"app": "wbe"}});
        f.put(Kind::Deployment, [renamed]);
        let found = f.finding(Kind::Service, "web", RULE.id);
        assert!(found.is_none_or(|f| f.message.contains("has an address")), "its pods have these labels now: {found:?}");
        let mut zero = deployment("web", 0, 0);
        zero["spec"]["template"]["metadata"] = json!({"labels": {"app": "wbe"}});
        f.put(Kind::Deployment, [zero]);
        assert_eq!(rule(&f), Some(Severity::Warning), "scaled to zero");
        assert_eq!(f.finding(Kind::Service, "web", RULE.id).unwrap().message, "web is scaled to 0");
    }

    #[test]
    fn the_new_the_unseen_and_those_without_selector_are_left_alone() {
        let mut f = fleet();
        let mut new = service("web", "wbe");
        new["metadata"]["creationTimestamp"] = json!(ago(60));
        f.put(Kind::Service, [new]).wait(200);
        assert_eq!(rule(&f), None);
        assert_eq!(rule(f.wait(NOW + 240 - f.now)), Some(Severity::Info));
        let mut bare = service("web", "web");
        bare["spec"]["selector"] = json!({});
        f.put(Kind::Service, [bare]).wait(300);
        assert_eq!(rule(&f), None);
        let mut blind = Fleet::default();
        blind.delta(0, Delta::State(crate::model::ConnectionState::Syncing { done: 1, of: 2 }));
        blind.put(Kind::Service, [service("web", "wbe")]).wait(400);
        assert_eq!(rule(&blind), None, "slices are not read yet");
        blind.delta(0, Delta::KindState(Kind::EndpointSlice, KindState::Live));
        assert_eq!(rule(&blind), None, "others are not");
        blind.delta(0, Delta::State(crate::model::ConnectionState::Live));
        assert_eq!(rule(&blind), Some(Severity::Info), "now all are");
    }

    #[test]
    fn one_line_with_the_workload_whose_pods_crash() {
        let mut f = fleet();
        let mut d = deployment("web", 1, 0);
        d["spec"]["template"]["metadata"] = json!({"labels": {"app": "web"}});
        f.put(Kind::Deployment, [d]);
        f.put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 9000, 1)]);
        f.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "rs"), "n", false, 900, crashing(9, 1, "Error", 60))]);
        f.put(Kind::EndpointSlice, [slice("web", 0, 1)]).put(Kind::Service, [service("web", "web")]).wait(300);
        assert_eq!(rule(&f), Some(Severity::Critical));
        let lines = f.lines();
        assert_eq!(lines.iter().map(|l| l.title.as_str()).collect::<Vec<_>>(), ["pay/web"], "{lines:?}");
    }
}
