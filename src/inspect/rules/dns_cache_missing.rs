//! Names are looked up over the network where a cache on the node would do, and it shows; or that cache is not ready.
//!
//! Left out: which address kubelets give to pods, and timeouts of clients.

use super::measured::{BASE, Measured, Seen, USUAL, after};
use crate::inspect::{Finding, Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, VerbId, Workload};
use crate::store::Cluster;

const NODES: Threshold = Threshold { name: "nodes-a-replica", default: "16", doc: "nodes that one replica of the cluster's DNS serves" };
const CORES: Threshold = Threshold { name: "cores-a-replica", default: "256", doc: "the same of the nodes' cores" };
/// How often one looks again (seconds): nodes come without the resolver's doing.
const AGAIN: i64 = 300;

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "dns-cache-missing",
        area: "network",
        burns: false,
        severity: Severity::Critical,
        scope: "cluster, node",
        summary: "Without a cache on the nodes one CoreDNS replica gets 500 questions a second, or a node's table refuses connections; half of the questions miss the cache, or there are fewer replicas than nodes want (info); a cache on the nodes that is not ready is critical; for 10 minutes",
        why: "Without a node cache each lookup crosses conntrack over UDP, where parallel A/AAAA packets can race and be dropped, giving the classic 5-second delay.",
        kinds: &[Kind::DaemonSet, Kind::Deployment, Kind::Signal],
        thresholds: &[after("10m"), NODES, CORES],
        links: &["https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/"],
        ..BASE
    },
    queries: &["dns-load", "dns-cache-misses", "conntrack-insert-failed"],
    level: |seen| match &*seen.signal.meta.name {
        "dns-cache-misses" => seen.known(),
        _ => seen.limits().filter(|_| !cached(seen)),
    },
    next: "Scale CoreDNS up now; then roll out NodeLocal DNSCache",
    more: |seen, finding| {
        let on = (&*seen.signal.meta.name == "dns-load").then(|| dns(seen.judge.cluster)).flatten();
        let cache = if cached(seen) { "yes" } else { "no" };
        let finding = finding.with_all([("a cache on the nodes", cache.to_owned())]);
        let Some(Object::Workload(w)) = on else { return finding };
        up(finding, seen.judge, w, i64::from(w.desired.unwrap_or(1)) * 3 / 2 + 1)
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

/// The Deployment that answers the cluster's names.
pub(super) fn dns(cluster: &Cluster) -> Option<&Object> {
    ["coredns", "kube-dns"].into_iter().find_map(|name| cluster.named(Kind::Deployment, "kube-system", name))
}

fn local(w: &Workload) -> bool {
    w.kind == Kind::DaemonSet && (w.meta.name.contains("node-local-dns") || w.meta.name.contains("nodelocaldns"))
}

fn cached(seen: &Seen<'_>) -> bool {
    seen.judge.cluster.objects(Kind::DaemonSet).any(|o| matches!(o, Object::Workload(w) if local(w)))
}

fn up(finding: Finding, judge: &Judge<'_>, w: &Workload, to: i64) -> Finding {
    let on = judge.cluster.named(w.kind, &w.meta.namespace, &w.meta.name).map(|o| o.reference(judge.cluster.id));
    finding.act(VerbId::Scale, on, &[("replicas", &to.to_string()), ("current-replicas", &w.desired.unwrap_or(0).to_string())])
}

fn judge(judge: &Judge<'_>) -> Verdict {
    match judge.object {
        Some(Object::Workload(w)) if local(w) => {
            if !w.short() {
                return Verdict::Fine;
            }
            let hold = RULE.thresholds.first().map_or(0, |t| judge.value(t));
            super::after(judge.held_since_seen(hold), || {
                let lacking = w.desired.unwrap_or(0) - w.available;
                judge
                    .finding(
                        Severity::Critical,
                        None,
                        format!("the DNS cache is not ready on {lacking} of {} nodes", w.desired.unwrap_or(0)),
                    )
                    .with("ready", w.ready.to_string(), None)
                    .then("See why its pod is not ready there; until then that node's pods look up no names")
                    .here(VerbId::Restart, &[])
            })
        }
        Some(object @ Object::Workload(w)) if dns(judge.cluster).is_some_and(|d| d.meta().uid == object.meta().uid) => {
            let again = super::later(judge, AGAIN);
            few(judge, w).map_or(Verdict::LookAgain(again), |f| Verdict::BurningUntil(f, again))
        }
        Some(Object::Signal(_)) => FACTS.judge(judge),
        _ => Verdict::Fine,
    }
}

fn few(judge: &Judge<'_>, w: &Workload) -> Option<Finding> {
    let (mut nodes, mut millicores) = (0, 0);
    for object in judge.cluster.objects(Kind::Node) {
        let Object::Node(node) = object else { continue };
        (nodes, millicores) = (nodes + 1, millicores + node.cpu_capacity_m);
    }
    let by = |all: i64, t: &Threshold| (all + judge.value(t).max(1) - 1) / judge.value(t).max(1);
    let wanted = by(nodes, &NODES).max(by(millicores / 1000, &CORES));
    let has = i64::from(w.desired.unwrap_or(0));
    (has < wanted).then(|| {
        let found = judge
            .finding(Severity::Info, None, format!("{has} replicas answer the names of {nodes} nodes: {wanted} are wanted"))
            .with("cores of the nodes", (millicores / 1000).to_string(), None)
            .then("Scale CoreDNS up, or let an autoscaler do it by nodes and cores");
        up(found, judge, w, wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, node};
    use crate::inspect::rules::measured::tests::seen;
    use serde_json::{Value, json};

    fn cache(desired: i32, ready: i32) -> Value {
        json!({"metadata": {"name": "node-local-dns"}, "spec": {"selector": {}},
            "status": {"desiredNumberScheduled": desired, "currentNumberScheduled": desired, "numberReady": ready, "numberAvailable": ready}})
    }

    #[test]
    fn what_is_measured_is_a_warning_only_without_a_cache() {
        let at = |with: bool, query: &str, value: f64, wait: i64| {
            let mut fleet = Fleet::default();
            if with {
                fleet.put(Kind::DaemonSet, [cache(3, 3)]);
            }
            seen(&mut fleet, &RULE, query, &[("instance", "10.0.0.1:9153")], value, wait).map(|f| f.severity)
        };
        for (query, limit) in [("dns-load", 500.0), ("conntrack-insert-failed", 0.1)] {
            assert_eq!(at(false, query, limit, 600), Some(Severity::Warning), "{query}");
            assert_eq!(
                (at(false, query, limit * 0.99, 600), at(false, query, limit, 599), at(true, query, limit, 600)),
                (None, None, None)
            );
        }
        assert_eq!((at(true, "dns-cache-misses", 0.5, 600), at(true, "dns-cache-misses", 0.49, 600)), (Some(Severity::Info), None));
    }

    #[test]
    fn a_cache_that_is_not_ready_and_too_few_replicas() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::DaemonSet, [cache(3, 2)]).wait(599);
        assert_eq!(fleet.severity(Kind::DaemonSet, "node-local-dns", RULE.id), None);
        fleet.wait(1);
        let found = fleet.finding(Kind::DaemonSet, "node-local-dns", RULE.id).unwrap();
        assert_eq!((found.severity, found.message.as_str()), (Severity::Critical, "the DNS cache is not ready on 1 of 3 nodes"));
        let of = |nodes: usize, replicas: i32| {
            let mut f = Fleet::default();
            let mut dns = deployment("coredns", replicas, replicas);
            dns["metadata"]["namespace"] = json!("kube-system");
            f.put(Kind::Node, (0..nodes).map(|n| node(&format!("n{n}"), "True", 9000))).put(Kind::Deployment, [dns]);
            f.severity(Kind::Deployment, "coredns", RULE.id)
        };
        assert_eq!((of(33, 2), of(32, 2)), (Some(Severity::Info), None));
    }
}
