//! Replicas that share what fails at once.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, core};
use crate::model::{Kind, Object, Pod, Tri, VerbId};
use std::collections::BTreeMap;

const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long it may be so" };

pub static RULE: RuleInfo = RuleInfo {
    id: "replicas-colocated",
    area: "availability",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "workload",
    summary: "All its ready replicas are on one node or in one zone, or more than half on one of several nodes, for 10 minutes",
    why: "What counts is where replicas really run; soft rules and past drains leave them piled on one failure domain.",
    kinds: &[Kind::Deployment, Kind::StatefulSet],
    needs: &[crate::inspect::Need::Kind(Kind::Pod), crate::inspect::Need::Kind(Kind::Node)],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["~kube-score:deployment-has-host-podantiaffinity", "~polaris:topologySpreadConstraint"],
    links: &[
        "https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/",
    ],
    judge,
};

/// While it is not so, how often one looks again (seconds): pods move without their workload.
const AGAIN: i64 = 120;

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    if w.desired.unwrap_or(0) < 2 || w.meta.owner.is_some() || w.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let ready = |p: &&Pod| p.ready == Tri::True && !p.finished() && p.meta.deleting.is_none();
    let pods: Vec<&Pod> = judge.index.pods(judge.cluster, w.meta.uid).into_iter().map(|p| &**p).filter(ready).collect();
    if pods.len() < 2 {
        return Verdict::LookAgain(super::later(judge, AGAIN));
    }
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in &pods {
        *nodes.entry(pod.node.as_deref().unwrap_or("")).or_default() += 1;
    }
    let takes = |o: &&Object| matches!(o, Object::Node(n) if !n.unschedulable && n.ready() == Tri::True && w.shape.placing.repelled_by(n).is_none());
    let open = |least: usize| judge.cluster.objects(Kind::Node).filter(takes).take(least).count() == least;
    let zone = |node: &str| if let Some(Object::Node(n)) = judge.cluster.named(Kind::Node, "", node) { n.zone() } else { None };
    let zones: std::collections::BTreeSet<Option<&str>> = nodes.keys().map(|n| zone(n)).collect();
    let several = judge.index.zones() > 1;
    let (node, most) = nodes.iter().max_by_key(|(_, n)| **n).map(|(node, n)| (*node, *n)).unwrap_or_default();
    let n = pods.len();
    let (severity, message) = if nodes.len() == 1 && open(2) {
        (if core(object) { Severity::Critical } else { Severity::Warning }, format!("all {n} replicas are on {node}"))
    } else if nodes.len() > 1 && most * 2 > n && n > 2 && open(3) {
        (Severity::Warning, format!("{most} of {n} replicas are on {node}"))
    } else if let (1, true, Some(Some(zone))) = (zones.len(), several, zones.iter().next()) {
        (Severity::Warning, format!("all {n} replicas are in zone {zone}"))
    } else {
        return Verdict::LookAgain(super::later(judge, AGAIN));
    };
    let held = judge.held_since_seen(judge.value(&AFTER));
    super::after(held, || {
        let places: Vec<String> = nodes.iter().map(|(node, n)| format!("{node} {n}")).collect();
        judge
            .finding(severity, None, message)
            .with("replicas by node", places.join(", "), None)
            .with("nodes that are open to it", judge.cluster.objects(Kind::Node).filter(takes).count().to_string(), None)
            .then("Give its template a topology spread over nodes and zones; then restart it, which places its pods anew")
            .act(VerbId::Restart, super::controller(judge, object), &[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, node, owned, pod, replicaset, running};
    use serde_json::{Value, json};

    fn zoned(name: &str, zone: &str) -> Value {
        let mut n = node(name, "True", 9000);
        n["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": zone});
        n
    }

    fn fleet(nodes: &[(&str, &str)], pods: &[&str], core: bool) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, nodes.iter().map(|(name, zone)| zoned(name, zone)));
        let n = pods.len() as i32;
        fleet.put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 9000, n)]);
        fleet.put(
            Kind::Pod,
            pods.iter().enumerate().map(|(n, node)| pod(owned(&format!("p{n}"), Kind::ReplicaSet, "rs"), node, true, 900, running())),
        );
        let mut d = deployment("web", n, n);
        if core {
            d["metadata"]["labels"] = json!({"tier": "core"});
        }
        fleet.put(Kind::Deployment, [d]);
        fleet
    }

    #[test]
    fn one_node_one_zone_or_most_on_one() {
        const THREE: [(&str, &str); 3] = [("a", "z1"), ("b", "z1"), ("c", "z2")];
        let rule = |mut f: Fleet| f.wait(600).severity(Kind::Deployment, "web", RULE.id);
        assert_eq!(fleet(&THREE, &["a", "a"], false).wait(599).severity(Kind::Deployment, "web", RULE.id), None);
        assert_eq!(rule(fleet(&THREE, &["a", "a"], false)), Some(Severity::Warning));
        assert_eq!(rule(fleet(&THREE, &["a", "a"], true)), Some(Severity::Critical));
        assert_eq!(rule(fleet(&THREE, &["a", "b"], false)), Some(Severity::Warning), "one zone of two");
        assert_eq!(rule(fleet(&THREE, &["a", "c"], false)), None);
        assert_eq!(rule(fleet(&THREE, &["a", "a", "c"], false)), Some(Severity::Warning), "two of three on one");
        assert_eq!(rule(fleet(&THREE, &["a", "a", "b", "c"], false)), None, "exactly half");
        assert_eq!(rule(fleet(&THREE[..1], &["a", "a"], false)), None, "there is no other node");
    }

    #[test]
    fn one_look_says_that_it_cannot_tell_for_how_long() {
        let waits = |f: &Fleet| f.engine.waiting(crate::model::ClusterId(0)).contains(RULE.id);
        let mut there = fleet(&[("a", "z1"), ("b", "z1"), ("c", "z2")], &["a", "a"], false);
        assert!(waits(&there));
        assert!(!waits(there.wait(600)), "it is found");
        assert!(!waits(&fleet(&[("a", "z1"), ("b", "z1"), ("c", "z2")], &["a", "c"], false)), "there is nothing to find");
    }

    #[test]
    fn a_look_in_between_is_no_hold() {
        let mut fleet = fleet(&[("a", "z1"), ("b", "z1"), ("c", "z2")], &["a", "c"], false);
        let rule = |f: &Fleet| f.severity(Kind::Deployment, "web", RULE.id);
        fleet.wait(AGAIN);
        fleet.put(Kind::Pod, [pod(owned("p1", Kind::ReplicaSet, "rs"), "a", true, 900, running())]);
        assert_eq!(rule(fleet.wait(AGAIN)), None, "it has just come to be so");
        assert_eq!(rule(fleet.wait(600)), Some(Severity::Warning));
    }
}
