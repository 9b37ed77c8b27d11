//! Cores are given out otherwise than core workloads need them: nobody pins what wants whole cores, or the cores are pinned for others.
//!
//! Judged by what kubelets say of their configuration; nodes whose kubelet was not heard are not judged. Left out: what a workload was throttled before
//! it was pinned, containers whose devices are not aligned, and workloads of infrastructure, which are at home on the cores that are left.

use super::later;
use super::lint::{Whole, several};
use super::measured::{BASE, Measured, USUAL, after};
use crate::inspect::{Finding, Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::Part;
use crate::model::{ContainerSpec, Kind, Node, Object, Pod, Qos};
use std::collections::BTreeSet;

const AFTER: Threshold = after("10m");
const EXCLUSIVE: Threshold = Threshold { name: "exclusive-above", default: "70%", doc: "of a node's cores that are given out whole" };
const SHARED: Threshold = Threshold { name: "shared-below", default: "2", doc: "cores that are left for all others then" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "cpu-manager-mismatch",
        area: "node",
        burns: false,
        severity: Severity::Warning,
        scope: "workload, over the nodes that its pods are on; node",
        summary: "A core workload shares cores on nodes whose kubelet pins (info: it wants whole cores where none pins), its pods are refused for lack of aligned cores; whole cores take 70 % of a node and leave fewer than 2; pinning fails, or a tenth of memory is another NUMA node's under the topology policy none; for 10 minutes",
        why: "A pinned VM had its own cores and local memory; an unpinned container migrates across cores and sockets and is throttled by quota.",
        kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::Node, Kind::Signal],
        needs: &[Need::Asked(Part::Kubelets)],
        thresholds: &[AFTER, EXCLUSIVE, SHARED],
        links: &[
            "https://kubernetes.io/docs/tasks/administer-cluster/cpu-management-policies/",
            "https://kubernetes.io/docs/tasks/administer-cluster/topology-manager/",
        ],
        ..BASE
    },
    queries: &["cpu-pinning-errors", "numa-remote"],
    level: |seen| {
        let unaligned = || seen.node().and_then(|n| seen.judge.cluster.asked.kubelet(&n.meta.name)).is_some_and(|k| &*k.topology == "none");
        seen.limits().filter(|_| &*seen.signal.meta.name != "numa-remote" || unaligned())
    },
    says: |seen| match &*seen.signal.meta.name {
        "numa-remote" => format!("{} of its memory is another NUMA node's, under the topology policy none", seen.value()),
        _ => format!("{} failures of {} in 1h", seen.value(), seen.label("what")),
    },
    next: "Set the kubelet's cpuManagerPolicy to static and its topologyManagerPolicy to best-effort or single-numa-node, node by node: cordon, drain, remove cpu_manager_state, restart",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

/// How often one looks again (seconds): pods move, and kubelets are set up anew, without the workload.
const AGAIN: i64 = 600;
/// The same for nodes, of which there are more.
const NODES_AGAIN: i64 = 3600;
/// Why a kubelet refuses a pod that it cannot give aligned cores.
const REFUSED: [&str; 2] = ["TopologyAffinityError", "SMTAlignmentError"];

fn judge(judge: &Judge<'_>) -> Verdict {
    match judge.object {
        Some(Object::Signal(_)) => FACTS.judge(judge),
        Some(Object::Node(n)) => node(judge, n),
        Some(Object::Workload(_)) => workload(judge),
        _ => Verdict::Fine,
    }
}

/// Whole cores that a container has for itself under the static policy, if its pod is Guaranteed.
fn whole_cores(c: &ContainerSpec) -> i64 {
    let (request, limit) = (c.resources.cpu_request_m.or(c.resources.cpu_limit_m), c.resources.cpu_limit_m);
    request.filter(|m| request == limit && m % 1000 == 0).map_or(0, |m| m / 1000)
}

/// Whether pods of these containers are Guaranteed.
fn guaranteed<'a>(mut containers: impl Iterator<Item = &'a ContainerSpec>) -> bool {
    containers.all(|c| {
        let r = &c.resources;
        let same = |request: Option<i64>, limit: Option<i64>| limit.is_some() && (request.is_none() || request == limit);
        same(r.cpu_request_m, r.cpu_limit_m) && same(r.memory_request, r.memory_limit)
    })
}

/// Cores that pods have for themselves on a node.
fn exclusive(judge: &Judge<'_>, node: &str) -> i64 {
    let of = |p: &Pod| p.shape.containers.iter().chain(p.shape.init.iter().filter(|c| c.sidecar)).map(whole_cores).sum::<i64>();
    let pods = judge.index.on_node(judge.cluster, node).filter_map(|o| if let Object::Pod(p) = o { Some(&**p) } else { None });
    pods.filter(|p| p.qos == Qos::Guaranteed && !p.finished()).map(of).sum()
}

/// Burning once it has held, and looked at again in any case.
fn verdict(judge: &Judge<'_>, found: Option<Finding>, every: i64) -> Verdict {
    let again = later(judge, every);
    match found {
        None => Verdict::LookAgain(again),
        Some(finding) => super::until(judge.held_since_seen(judge.value(&AFTER)), || (finding, Some(again))),
    }
}

fn node(judge: &Judge<'_>, n: &Node) -> Verdict {
    let kubelet = match judge.cluster.asked.kubelet(&n.meta.name) {
        _ if judge.cluster.asked.kubelets.is_err() => return Verdict::Fine,
        // They are asked a few at a time.
        None => return Verdict::LookAgain(later(judge, AGAIN)),
        Some(k) if &*k.cpus != "static" => return Verdict::LookAgain(later(judge, NODES_AGAIN)),
        Some(k) => k,
    };
    let (all, taken) = (n.cpu_capacity_m / 1000, exclusive(judge, &n.meta.name));
    let left = all - taken - i64::from(kubelet.kept);
    let short = taken * 100 > all * judge.value(&EXCLUSIVE) && left < judge.value(&SHARED);
    let found = short.then(|| {
        judge
            .finding(Severity::Warning, None, format!("{taken} of {all} cores are given out whole: {left} left for all others"))
            .with("cpuManagerPolicy", &*kubelet.cpus, None)
            .with("reserved cores that no pod may use", kubelet.kept.to_string(), None)
            .then("Move a workload with whole cores to another node, or give it fractions: daemons and every other pod share what is left")
    });
    verdict(judge, found, NODES_AGAIN)
}

fn workload(judge: &Judge<'_>) -> Verdict {
    let at_home = |w: &Whole<'_>| judge.policy.infra(&w.meta.namespace);
    let Some(whole) = Whole::of(judge).filter(|w| w.core() && w.meta.owner.is_none() && !at_home(w)) else { return Verdict::Fine };
    if judge.cluster.asked.kubelets.is_err() {
        return Verdict::Fine;
    }
    let containers = || whole.shape.containers.iter().chain(&whole.shape.init);
    let pinned = guaranteed(containers()) && whole.shape.containers.iter().any(|c| whole_cores(c) > 0);
    let pods = judge.index.pods(judge.cluster, whole.meta.uid);
    let refused = pods.iter().filter(|p| p.finished() && p.reason.as_deref().is_some_and(|r| REFUSED.contains(&r))).count();
    // The pods whose kubelets were heard, and those of them on nodes that pin.
    let heard = pods.iter().filter(|p| !p.finished()).filter_map(|p| judge.cluster.asked.kubelet(p.node.as_deref()?));
    let (fixed, free): (Vec<_>, Vec<_>) = heard.partition(|k| &*k.cpus == "static");
    let all = fixed.len() + free.len();
    let (severity, message, next) = if refused > 0 {
        let message = format!("{refused} pods refused: no aligned cores for them");
        (Severity::Warning, message, "Ask for fewer cores, or free a NUMA node: the kubelet's topology policy refuses what it cannot align")
    } else if !pinned && !fixed.is_empty() {
        let message = format!("{} of {all} pods share cores on nodes that pin", fixed.len());
        (
            Severity::Warning,
            message,
            "Give every container whole cores and equal requests and limits, of memory too; or run it on nodes that pin none",
        )
    } else if pinned && !free.is_empty() {
        (Severity::Info, format!("{} of {all} pods want whole cores on nodes that pin none", free.len()), FACTS.next)
    } else {
        return Verdict::LookAgain(later(judge, AGAIN));
    };
    let nodes: BTreeSet<&str> = fixed.iter().map(|k| &*k.node).collect();
    let left = nodes.iter().take(4).map(|n| format!("{n} ({} cores taken)", exclusive(judge, n))).collect();
    let policies: BTreeSet<String> = fixed.iter().chain(&free).map(|k| format!("{}, topology {}", k.cpus, k.topology)).collect();
    let cpu = containers().map(|c| {
        let of = |m: Option<i64>| m.map_or_else(|| "none".to_owned(), super::measured::cores);
        format!("{} {} / {}", c.name, of(c.resources.cpu_request_m), of(c.resources.cpu_limit_m))
    });
    let finding = judge
        .finding(severity, None, message)
        .with("policies of its nodes", policies.into_iter().collect::<Vec<_>>().join("; "), None)
        .with("CPU requests / limits", cpu.collect::<Vec<_>>().join(", "), None)
        .with("nodes that pin", several(left, 4), None)
        .then(next);
    verdict(judge, Some(if pinned { finding } else { finding.edit() }), AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, node, owned, pod, replicaset, running};
    use crate::inspect::rules::measured::tests::seen;
    use crate::model::asked::Kubelet;
    use crate::model::{Asked, Delta};
    use serde_json::{Value, json};

    fn tell(fleet: &mut Fleet, cpus: &str, kept: u32) {
        let one = |node: &str| Kubelet { node: node.into(), cpus: cpus.into(), topology: "none".into(), kept, ..Kubelet::default() };
        fleet.delta(0, Delta::Asked(Asked { kubelets: Ok(["n1", "n2"].map(one).into()), ..Asked::default() }.into()));
    }

    fn resources(cpu: &str) -> Value {
        json!({"requests": {"cpu": cpu, "memory": "1Gi"}, "limits": {"cpu": cpu, "memory": "1Gi"}})
    }

    /// A workload with two pods on n1 whose container has these resources.
    fn fleet(resources: &Value, core: bool) -> Fleet {
        let mut fleet = Fleet::default();
        let containers = json!([{"name": "app", "image": "reg/app:1.9", "resources": resources}]);
        let mut web = deployment("web", 2, 2);
        web["spec"]["template"]["spec"]["containers"] = containers.clone();
        web["metadata"]["labels"] = if core { json!({"tier": "core"}) } else { json!({}) };
        let guaranteed = resources["requests"] == resources["limits"];
        let pods = ["a", "b"].map(|name| {
            let mut p = pod(owned(name, Kind::ReplicaSet, "rs"), "n1", true, 900, running());
            p["spec"]["containers"] = containers.clone();
            p["status"]["qosClass"] = json!(if guaranteed { "Guaranteed" } else { "Burstable" });
            p
        });
        fleet.put(Kind::Deployment, [web]).put(Kind::ReplicaSet, [replicaset("rs", "web", 2, "i:1", 900, 2)]).put(Kind::Pod, pods);
        fleet
    }

    fn says(fleet: &Fleet) -> Option<(Severity, &str)> {
        fleet.finding(Kind::Deployment, "web", RULE.id).map(|f| (f.severity, f.message.as_str()))
    }

    fn at(resources: &Value, core: bool, cpus: &str, wait: i64) -> Option<(Severity, String)> {
        let mut fleet = fleet(resources, core);
        tell(&mut fleet, cpus, 0);
        fleet.wait(wait);
        says(&fleet).map(|(severity, message)| (severity, message.to_owned()))
    }

    #[test]
    fn whole_cores_where_none_pins_and_fractions_where_one_does() {
        let of = |n: Severity, text: &str| Some((n, text.to_owned()));
        assert_eq!(at(&resources("2"), true, "none", 600), of(Severity::Info, "2 of 2 pods want whole cores on nodes that pin none"));
        assert_eq!(at(&resources("2"), true, "static", 600), None);
        assert_eq!(at(&resources("1500m"), true, "static", 600), of(Severity::Warning, "2 of 2 pods share cores on nodes that pin"));
        let burst = json!({"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}});
        assert_eq!(at(&burst, true, "static", 600), of(Severity::Warning, "2 of 2 pods share cores on nodes that pin"));
        assert_eq!(at(&resources("1500m"), true, "none", 600), None);
        assert_eq!(at(&resources("1500m"), true, "static", 599), None, "not for ten minutes");
        assert_eq!(at(&resources("1500m"), false, "static", 600), None, "not core");
    }

    #[test]
    fn what_is_not_heard_is_not_judged_and_a_kubelet_set_up_anew_is() {
        let mut f = fleet(&resources("1500m"), true);
        f.wait(600);
        assert_eq!(says(&f), None);
        tell(&mut f, "static", 0);
        f.wait(600);
        assert_eq!(says(&f).map(|f| f.0), Some(Severity::Warning));
        tell(&mut f, "none", 0);
        f.wait(AGAIN);
        assert_eq!(says(&f), None);
    }

    #[test]
    fn refused_pods() {
        let mut f = fleet(&resources("2"), true);
        let mut p = pod(owned("c", Kind::ReplicaSet, "rs"), "n2", false, 900, running());
        (p["status"]["phase"], p["status"]["reason"]) = (json!("Failed"), json!("TopologyAffinityError"));
        f.put(Kind::Pod, [p]);
        tell(&mut f, "static", 0);
        f.wait(600);
        assert_eq!(says(&f), Some((Severity::Warning, "1 pods refused: no aligned cores for them")));
    }

    #[test]
    fn cores_that_are_left_on_a_node() {
        let of = |cores: &str, capacity: &str, kept: u32, cpus: &str| {
            let mut f = fleet(&resources(cores), true);
            let mut n = node("n1", "True", 9000);
            n["status"]["capacity"] = json!({"cpu": capacity});
            f.put(Kind::Node, [n]);
            tell(&mut f, cpus, kept);
            f.wait(600);
            f.finding(Kind::Node, "n1", RULE.id).map(|f| f.message.clone())
        };
        let at = |capacity: &str, kept: u32, cpus: &str| of("2", capacity, kept, cpus);
        assert_eq!(at("5", 0, "static").as_deref(), Some("4 of 5 cores are given out whole: 1 left for all others"));
        assert_eq!((at("5", 0, "none"), at("6", 0, "static")), (None, None), "none pins; four of six are not 70 %");
        assert_eq!((of("3", "8", 0, "static"), of("3", "8", 1, "static").is_some()), (None, true), "of six of eight two are left, or one");
        assert_eq!(at("6", 1, "static"), None, "four of six are not 70 %");
        assert!(at("5", 1, "static").is_some());
    }

    #[test]
    fn a_kubelet_that_is_heard_later_is_judged_then() {
        let mut f = Fleet::default();
        f.put(
            Kind::Node,
            ["n1", "n2"].map(|n| {
                let mut o = node(n, "True", 9000);
                o["status"]["capacity"] = json!({"cpu": "5"});
                o
            }),
        );
        let whole = json!([{"name": "app", "image": "reg/app:1.9", "resources": resources("4")}]);
        let mut one = pod(json!({"name": "p", "creationTimestamp": crate::inspect::fixture::ago(9000)}), "n2", true, 900, running());
        (one["spec"]["containers"], one["status"]["qosClass"]) = (whole, json!("Guaranteed"));
        f.put(Kind::Pod, [one]);
        let heard = |names: &[&str]| {
            let one = |node: &&str| Kubelet {
                node: (*node).into(),
                cpus: "static".into(),
                topology: "none".into(),
                kept: 0,
                ..Kubelet::default()
            };
            Delta::Asked(Asked { kubelets: Ok(names.iter().map(one).collect()), ..Asked::default() }.into())
        };
        f.delta(0, heard(&["n1"]));
        f.delta(0, heard(&["n1", "n2"]));
        f.wait(AGAIN);
        assert!(f.wait(600).severity(Kind::Node, "n2", RULE.id).is_some());
    }

    #[test]
    fn failures_and_memory_of_another_numa_node() {
        let of = |query: &str, value: f64, topology: &str| {
            let mut f = Fleet::default();
            f.put(Kind::Node, [node("n1", "True", 9000)]);
            let one = Kubelet { node: "n1".into(), cpus: "static".into(), topology: topology.into(), kept: 0, ..Kubelet::default() };
            f.delta(0, Delta::Asked(Asked { kubelets: Ok([one].into()), ..Asked::default() }.into()));
            seen(&mut f, &RULE, query, &[("instance", "n1:9100"), ("what", "pinning")], value, 600).map(|f| f.message)
        };
        assert_eq!(of("cpu-pinning-errors", 1.0, "none").as_deref(), Some("1 failures of pinning in 1h"));
        assert_eq!(of("cpu-pinning-errors", 0.9, "none"), None);
        assert!(of("numa-remote", 0.1, "none").is_some());
        assert_eq!((of("numa-remote", 0.099, "none"), of("numa-remote", 0.1, "single-numa-node")), (None, None));
    }
}
