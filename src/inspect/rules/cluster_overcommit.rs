//! A cluster whose pods have nowhere to go when a node, or a zone, is lost.
//!
//! Sums, not a placement: what fits by sum may still not fit by shape. Nodes with the same taints are a pool, whose pods have nowhere else to go. Quotas
//! count that are for every pod of their namespace. Left out: pools that only selectors make.

use super::{core, open_nodes};
use crate::inspect::explain::words::{bytes, cores, percent};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object};
use std::collections::BTreeMap;

const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long it may be so" };
const LIMITS: Threshold =
    Threshold { name: "limits-above", default: "150%", doc: "of its memory that limits promise, or of its CPU or memory that quotas do" };
const USED: Threshold = Threshold { name: "used-above", default: "75%", doc: "of its memory in use from which that is told" };

pub static RULE: RuleInfo = RuleInfo {
    id: "cluster-overcommit",
    area: "capacity",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "Requests do not fit on what is left without the largest node, of all that take any pod or of those with the same taints; critical: those of core workloads do not without the largest zone; info: memory limits over 150 % with 75 % in use, or quotas that allow requests over 150 %",
    why: "After one node (or one room) is lost the displaced pods have nowhere to go.",
    kinds: &[],
    needs: &[Need::Kind(Kind::Node), Need::Kind(Kind::Pod)],
    leans_on: &[],
    thresholds: &[AFTER, LIMITS, USED],
    peers: &[
        "k8s-mixin:KubeCPUOvercommit",
        "k8s-mixin:KubeMemoryOvercommit",
        "k8s-mixin:KubeCPUQuotaOvercommit",
        "k8s-mixin:KubeMemoryQuotaOvercommit",
    ],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubememoryovercommit/",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubecpuovercommit/",
    ],
    judge,
};

/// Millicores and bytes.
type Amount = (i64, i64);

/// The nodes with the same taints.
#[derive(Default)]
struct Pool {
    nodes: usize,
    all: Amount,
    asked: Amount,
    /// The most that one of them has of each.
    largest: Amount,
}

impl Pool {
    fn left(&self) -> Amount {
        (self.all.0 - self.largest.0, self.all.1 - self.largest.1)
    }

    /// What does not fit without its largest node; one alone has no other.
    fn tight(&self) -> Option<&'static str> {
        short(self.asked, self.left()).filter(|_| self.nodes > 1)
    }
}

fn short(asked: Amount, left: Amount) -> Option<&'static str> {
    match (asked.0 > left.0, asked.1 > left.1) {
        (true, true) => Some("CPU and memory"),
        (true, false) => Some("CPU"),
        (false, true) => Some("memory"),
        (false, false) => None,
    }
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let cluster = judge.cluster;
    if !cluster.current(Kind::Node) || !cluster.current(Kind::Pod) {
        return Verdict::Fine;
    }
    let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
    let (mut limits, mut zones): (i64, BTreeMap<&str, Amount>) = Default::default();
    for (node, kept) in open_nodes(cluster) {
        let size = (node.cpu_allocatable_m, node.memory_allocatable);
        let used = cluster.counts.by_node.get(&node.meta.name).copied().unwrap_or_default();
        let open = kept.is_empty();
        let pool = pools.entry(kept).or_default();
        pool.nodes += 1;
        pool.all = (pool.all.0 + size.0, pool.all.1 + size.1);
        pool.largest = (pool.largest.0.max(size.0), pool.largest.1.max(size.1));
        pool.asked = (pool.asked.0 + used.cpu_request_m, pool.asked.1 + used.memory_request);
        if !open {
            continue;
        }
        limits += used.memory_limit;
        if let Some(zone) = node.zone() {
            let sum = zones.entry(zone).or_default();
            *sum = (sum.0 + size.0, sum.1 + size.1);
        }
    }
    let open = pools.remove("").unwrap_or_default();
    let (all, asked, left) = (open.all, open.asked, open.left());
    // Pods of the control plane are bound to their nodes.
    let own = |taints: &str| taints.contains("node-role.kubernetes.io/") || taints.contains("node.kubernetes.io/");
    let kept = || pools.iter().filter(|(taints, _)| !own(taints));
    let there = kept().fold(all, |sum, (_, pool)| (sum.0 + pool.all.0, sum.1 + pool.all.1));
    let tight = kept().find_map(|(taints, pool)| Some((taints, pool, pool.tight()?)));
    let zone = zones
        .iter()
        .filter(|_| zones.len() > 1)
        .map(|(zone, size)| (*zone, (all.0 - size.0, all.1 - size.1)))
        .min_by_key(|(_, left)| left.0);
    let lost_zone = zone.and_then(|(zone, left)| {
        short(asked, left)?;
        let needed = core_requests(judge);
        Some((zone, left, needed, short(needed, left)?))
    });
    let used = cluster.usage_of_nodes().memory.unwrap_or(0);
    let pair = |a: Amount| format!("{} CPU, {}", cores(a.0), bytes(a.1));
    let share = |part, whole| percent(part, whole).unwrap_or(0);
    let (severity, message) = if let Some((zone, _, _, what)) = lost_zone {
        (Severity::Critical, format!("core workloads do not fit without zone {zone}: {what}"))
    } else if let Some(what) = open.tight() {
        (Severity::Warning, format!("requests do not fit without the largest node: {what}"))
    } else if let Some((taints, _, what)) = tight {
        (Severity::Warning, format!("requests do not fit without the largest node of those with {taints}: {what}"))
    } else if open.nodes > 1 && share(limits, all.1) > judge.value(&LIMITS) && share(used, all.1) > judge.value(&USED) {
        (Severity::Info, format!("memory limits promise {}% of what there is, {}% is in use", share(limits, all.1), share(used, all.1)))
    } else if let Some(message) = promised(judge, there) {
        (Severity::Info, message)
    } else {
        return Verdict::Fine;
    };
    super::after(judge.held_since_seen(judge.value(&AFTER)), || {
        let mut finding = judge
            .finding(severity, None, message)
            .with("open nodes", open.nodes.to_string(), None)
            .with("allocatable on them", pair(all), None)
            .with("requested on them", pair(asked), None)
            .with("left without the largest node", pair(left), None);
        if let Some((taints, pool, _)) = tight {
            finding = finding.with("nodes of a pool", format!("{} with {taints}", pool.nodes), None);
            finding = finding.with("requested there", pair(pool.asked), None);
            finding = finding.with("left there without its largest node", pair(pool.left()), None);
        }
        if let Some((zone, left, needed, _)) = lost_zone {
            finding = finding.with("left without the largest zone", format!("{zone}: {}", pair(left)), None);
            finding = finding.with("requested by core workloads", pair(needed), None);
        }
        finding.then("Add a node, uncordon what is cordoned, or lower requests that are above use")
    })
}

/// That quotas together allow far more than there is on the nodes that take pods, kept for some of them or not. Of several quotas of a namespace the
/// smallest counts.
fn promised(judge: &Judge<'_>, there: Amount) -> Option<String> {
    let quotas = judge.cluster.asked.quotas.as_ref().ok()?;
    let sum = |resource: &str| {
        let mut least: BTreeMap<&str, i64> = BTreeMap::new();
        let all = quotas.iter().flat_map(|q| q.limits.iter().map(|l| (&*q.namespace, l)));
        for (namespace, limit) in all.filter(|(_, l)| &*l.resource == resource) {
            least.entry(namespace).and_modify(|hard| *hard = (*hard).min(limit.hard)).or_insert(limit.hard);
        }
        least.values().fold(0, |sum: i64, hard| sum.saturating_add(*hard))
    };
    let of = |what: &str, hard: i64, there: i64| {
        let share = percent(hard, there).filter(|share| *share > judge.value(&LIMITS))?;
        Some(format!("quotas allow requests of {share}% of the {what} there is"))
    };
    of("CPU", sum("requests.cpu"), there.0).or_else(|| of("memory", sum("requests.memory"), there.1))
}

/// What the pods of core workloads request.
fn core_requests(judge: &Judge<'_>) -> Amount {
    let pods = judge.cluster.objects(Kind::Pod).filter(|o| matches!(o, Object::Pod(p) if !p.finished()) && core(judge, o));
    pods.fold((0, 0), |sum, o| match o {
        Object::Pod(p) => {
            let r = &p.shape.requests;
            (sum.0 + r.cpu_request_m.unwrap_or(0), sum.1 + r.memory_request.unwrap_or(0))
        }
        _ => sum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, node, pod, running};
    use crate::model::{ClusterId, Delta, KindState, Uid};
    use serde_json::json;

    fn at(zones: &[&str], cpu: &[i64], is_core: bool, wait: i64) -> Option<(Severity, String)> {
        tainted(zones, cpu, is_core, "", wait)
    }

    /// The same with a taint on every node, by its key.
    fn tainted(zones: &[&str], cpu: &[i64], is_core: bool, taint: &str, wait: i64) -> Option<(Severity, String)> {
        let mut fleet = Fleet::default();
        fleet.put(
            Kind::Node,
            zones.iter().enumerate().map(|(n, zone)| {
                let mut node = node(&format!("n{n}"), "True", 9000);
                node["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": zone});
                node["status"]["allocatable"] = json!({"cpu": "10", "memory": "100Gi"});
                if !taint.is_empty() {
                    node["spec"] = json!({"taints": [{"key": taint, "value": "gpu", "effect": "NoSchedule"}]});
                }
                node
            }),
        );
        fleet.put(
            Kind::Pod,
            cpu.iter().enumerate().map(|(n, cpu)| {
                let mut p = pod(json!({"name": format!("p{n}"), "creationTimestamp": ago(900)}), &format!("n{n}"), true, 900, running());
                p["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu.to_string(), "memory": "1Gi"}});
                if is_core {
                    p["metadata"]["labels"] = json!({"tier": "core"});
                }
                p
            }),
        );
        for kind in [Kind::Node, Kind::Pod] {
            fleet.delta(0, Delta::KindState(kind, KindState::Live));
        }
        fleet.wait(wait);
        let all = fleet.engine.for_object(ClusterId(0), Uid::default());
        all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn without_the_largest_node() {
        let warning = Some((Severity::Warning, "requests do not fit without the largest node: CPU".to_owned()));
        assert_eq!(at(&["a"; 3], &[7, 7, 7], true, 600), warning);
        assert_eq!(at(&["a"; 3], &[7, 7, 7], true, 599), None);
        assert_eq!(at(&["a"; 3], &[7, 7, 6], true, 600), None, "they just fit");
        assert_eq!(at(&["a"], &[7], true, 600), None, "one node has no other");
    }

    #[test]
    fn a_pool_without_its_largest_node() {
        let of = |taint: &str, cpu: &[i64]| tainted(&["a"; 3], cpu, true, taint, 600);
        let warning = "requests do not fit without the largest node of those with for=gpu:NoSchedule: CPU";
        assert_eq!(of("for", &[7, 7, 7]), Some((Severity::Warning, warning.to_owned())));
        assert_eq!((of("for", &[7, 7, 6]), of("node-role.kubernetes.io/control-plane", &[7, 7, 7])), (None, None));
        assert_eq!(tainted(&["a"], &[7], true, "for", 600), None, "one node has no other");
    }

    #[test]
    fn without_the_largest_zone_core_workloads_must_fit() {
        let at = |is_core: bool, cpu: &[i64]| at(&["a", "a", "b", "b"], cpu, is_core, 600).map(|f| f.0);
        assert_eq!((at(true, &[6, 5, 5, 5]), at(false, &[6, 5, 5, 5])), (Some(Severity::Critical), None));
        assert_eq!(at(true, &[5, 5, 5, 5]), None);
    }
    #[test]
    fn quotas_that_allow_more_than_there_is() {
        use crate::model::Asked;
        use crate::model::asked::{Limit, Quota};
        let of = |hard: i64| {
            let mut fleet = Fleet::default();
            let mut n = node("n", "True", 9000);
            n["status"]["allocatable"] = json!({"cpu": "10", "memory": "100Gi"});
            fleet.put(Kind::Node, [n]);
            for kind in [Kind::Node, Kind::Pod] {
                fleet.delta(0, Delta::KindState(kind, KindState::Live));
            }
            let quota = |name: &str| Quota {
                namespace: name.into(),
                name: "q".into(),
                limits: [Limit { resource: "requests.cpu".into(), hard, used: 0 }].into(),
            };
            fleet.delta(0, Delta::Asked(Asked { quotas: Ok([quota("a"), quota("b")].into()), ..Asked::default() }.into()));
            fleet.wait(600);
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        assert_eq!(of(7600), Some((Severity::Info, "quotas allow requests of 152% of the CPU there is".to_owned())));
        assert_eq!(of(7500), None);
    }
    #[test]
    fn quotas_by_what_there_is_of_all_pools() {
        use crate::model::Asked;
        use crate::model::asked::{Limit, Quota};
        let of = |quotas: &[(&str, &str, i64)], taint: &str| {
            let mut fleet = Fleet::default();
            let node = |name: &str, taint: &str| {
                let mut n = node(name, "True", 9000);
                n["status"]["allocatable"] = json!({"cpu": "10", "memory": "100"});
                if !taint.is_empty() {
                    n["spec"] = json!({"taints": [{"key": taint, "effect": "NoSchedule"}]});
                }
                n
            };
            fleet.put(Kind::Node, [node("a", ""), node("b", taint)]);
            for kind in [Kind::Node, Kind::Pod] {
                fleet.delta(0, Delta::KindState(kind, KindState::Live));
            }
            let quota = |(namespace, resource, hard): &(&str, &str, i64)| Quota {
                namespace: (*namespace).into(),
                name: "q".into(),
                limits: [Limit { resource: (*resource).into(), hard: *hard, used: 0 }].into(),
            };
            fleet.delta(0, Delta::Asked(Asked { quotas: Ok(quotas.iter().map(quota).collect()), ..Asked::default() }.into()));
            fleet.wait(600);
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| f.message.clone())
        };
        assert_eq!(of(&[("a", "requests.cpu", 30_000)], "for"), None, "pods of the pool are in it too");
        let control_plane = of(&[("a", "requests.cpu", 30_000)], "node-role.kubernetes.io/control-plane");
        assert_eq!(control_plane.as_deref(), Some("quotas allow requests of 300% of the CPU there is"));
        assert_eq!(of(&[("a", "requests.cpu", 31_000), ("a", "requests.cpu", 9000)], "for"), None, "the smallest counts");
        let memory = of(&[("a", "requests.memory", 302)], "for");
        assert_eq!(memory.as_deref(), Some("quotas allow requests of 151% of the memory there is"));
        assert_eq!(of(&[("a", "limits.memory", 302), ("a", "limits.cpu", 90_000)], "for"), None);
    }
}
