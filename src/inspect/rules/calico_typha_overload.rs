//! Typha, which stands between Calico's nodes and the API server, is missing, too small, or behind.
//!
//! Its connections are shared out when nodes connect: after a restart of one replica the others have them all.

use super::measured::{BASE, Measured, USUAL, after};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, VerbId, Workload};

const NONE: Threshold = Threshold { name: "none-above", default: "50", doc: "nodes above which there must be a Typha" };
const FEW: Threshold = Threshold { name: "few-above", default: "100", doc: "nodes above which there must be three replicas and more" };
const EACH: Threshold = Threshold { name: "nodes-a-replica", default: "200", doc: "nodes that one replica serves" };
/// How often one looks again (seconds): nodes come without Typha's doing.
const AGAIN: i64 = 300;

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "calico-typha-overload",
        area: "network",
        scope: "typha deployment",
        summary: "No Typha with more than 50 nodes, fewer than 3 replicas or one for 200 nodes above 100, all replicas on one node; or it drops connections, or clients are 1 s behind (critical from 10 s on), for 10 minutes; info: one replica has half as many connections again as the mean",
        why: "A missing or overloaded fan-out makes every Felix hit the API server or lag behind it.",
        kinds: &[Kind::DaemonSet, Kind::Deployment, Kind::Signal],
        thresholds: &[after("10m"), NONE, FEW, EACH],
        links: &[
            "https://docs.tigera.io/calico/latest/reference/typha/overview",
            "https://docs.tigera.io/calico/latest/reference/typha/prometheus",
        ],
        ..BASE
    },
    queries: &["typha-latency", "typha-dropped", "typha-uneven"],
    level: |seen| if &*seen.signal.meta.name == "typha-uneven" { seen.known() } else { seen.limits() },
    next: "Give Typha one replica for 200 nodes and three at least, spread over nodes; a rolling restart shares the connections anew",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

fn judge(judge: &Judge<'_>) -> Verdict {
    let (cluster, nodes) = (judge.cluster, judge.cluster.objects(Kind::Node).count() as i64);
    let finding = match judge.object {
        Some(Object::Workload(w)) if w.kind == Kind::Deployment && &*w.meta.name == "calico-typha" => typha(judge, w, nodes),
        Some(Object::Workload(w)) if w.kind == Kind::DaemonSet && &*w.meta.name == "calico-node" => {
            let without = cluster.current(Kind::Deployment)
                && cluster.current(Kind::Node)
                && nodes > judge.value(&NONE)
                && cluster.objects(Kind::Deployment).all(|o| &*o.meta().name != "calico-typha");
            without.then(|| judge.finding(Severity::Warning, None, format!("no Typha for {nodes} nodes")).then(FACTS.next))
        }
        Some(Object::Signal(_)) => return FACTS.judge(judge),
        _ => return Verdict::Fine,
    };
    let again = super::later(judge, AGAIN);
    finding.map_or(Verdict::LookAgain(again), |f| Verdict::BurningUntil(f.with("nodes", nodes.to_string(), None), again))
}

fn typha(judge: &Judge<'_>, w: &Workload, nodes: i64) -> Option<crate::inspect::Finding> {
    let (has, each) = (i64::from(w.desired.unwrap_or(0)), judge.value(&EACH).max(1));
    let wanted = if nodes > judge.value(&FEW) { ((nodes + each - 1) / each).max(3) } else { 0 };
    if has < wanted {
        let found =
            judge.finding(Severity::Warning, None, format!("{has} replicas for {nodes} nodes: {wanted} are wanted")).then(FACTS.next);
        return Some(found.here(VerbId::Scale, &[("replicas", &wanted.to_string()), ("current-replicas", &has.to_string())]));
    }
    let pods = judge.index.pods(judge.cluster, w.meta.uid);
    let mut at: Vec<&str> = pods.iter().filter(|p| !p.finished()).filter_map(|p| p.node.as_deref()).collect();
    let count = at.len();
    at.dedup();
    let together = count > 1 && at.iter().all(|n| *n == at[0]);
    together.then(|| {
        judge.finding(Severity::Warning, None, format!("all {count} replicas are on {}", at[0])).then(FACTS.next).here(VerbId::Restart, &[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, node, owned, pod, replicaset, running};
    use crate::inspect::rules::measured::tests::{holds, holds_as};
    use crate::model::{Delta, KindState};
    use serde_json::json;

    #[test]
    fn by_what_typha_measures() {
        holds(&RULE, &Measured { queries: &["typha-latency", "typha-dropped"], ..FACTS }, 600);
        holds_as(&RULE, &Measured { queries: &["typha-uneven"], ..FACTS }, 600, Severity::Info);
    }

    fn fleet(nodes: usize) -> Fleet {
        let mut fleet = Fleet::default();
        for kind in [Kind::Node, Kind::Deployment] {
            fleet.delta(0, Delta::KindState(kind, KindState::Live));
        }
        fleet.put(Kind::Node, (0..nodes).map(|n| node(&format!("n{n}"), "True", 9000)));
        fleet
    }

    #[test]
    fn as_many_as_the_nodes_want() {
        let of = |nodes: usize, replicas: i32| {
            let mut f = fleet(nodes);
            f.put(Kind::Deployment, [deployment("calico-typha", replicas, replicas)]);
            f.finding(Kind::Deployment, "calico-typha", RULE.id).map(|f| f.message.clone())
        };
        assert_eq!(of(101, 2).as_deref(), Some("2 replicas for 101 nodes: 3 are wanted"));
        assert_eq!((of(101, 3), of(100, 1)), (None, None));
    }

    #[test]
    fn none_at_all_and_all_on_one_node() {
        let of = |nodes: usize| {
            let mut f = fleet(nodes);
            let set = json!({"metadata": {"name": "calico-node"}, "spec": {"selector": {}}, "status": {}});
            f.put(Kind::DaemonSet, [set]).severity(Kind::DaemonSet, "calico-node", RULE.id)
        };
        assert_eq!((of(51), of(50)), (Some(Severity::Warning), None));
        let mut f = fleet(3);
        f.put(Kind::ReplicaSet, [replicaset("rs", "calico-typha", 2, "i:1", 900, 2)]);
        f.put(Kind::Pod, ["a", "b"].map(|p| pod(owned(p, Kind::ReplicaSet, "rs"), "n1", true, 900, running())));
        f.put(Kind::Deployment, [deployment("calico-typha", 2, 2)]);
        assert_eq!(f.finding(Kind::Deployment, "calico-typha", RULE.id).unwrap().message, "all 2 replicas are on n1");
    }
}
