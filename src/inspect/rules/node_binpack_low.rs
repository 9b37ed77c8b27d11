//! A node that is kept for next to nothing.
//!
//! Judged by node. Left out: a pool's average, the skew of CPU and memory over a pool, and taints that no pod tolerates.

use super::later;
use crate::inspect::explain::words::{bytes, cores, joined, percent};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict, title};
use crate::model::{Kind, Node, Object, Pod, Time, Tri, VerbId};

const BELOW: Threshold = Threshold { name: "below", default: "20%", doc: "of its CPU and of its memory that ordinary pods request" };
const AFTER: Threshold = Threshold { name: "after", default: "24h", doc: "how long nothing came to it" };

pub static RULE: RuleInfo = RuleInfo {
    id: "node-binpack-low",
    area: "cost",
    tier: 2,
    burns: false,
    severity: Severity::Info,
    scope: "node",
    summary: "Pods besides DaemonSets' request less than a fifth of its CPU and memory for a day, and the other nodes have room for them with one more lost",
    why: "Scattered pods keep half-empty nodes alive, and stranded CPU or memory cannot be sold to anyone.",
    kinds: &[Kind::Node],
    needs: &[Need::Kind(Kind::Pod)],
    leans_on: &[],
    thresholds: &[BELOW, AFTER],
    peers: &["popeye:700"],
    links: &[
        "https://kubernetes.io/docs/concepts/scheduling-eviction/resource-bin-packing/",
        "https://kubernetes.io/docs/concepts/cluster-administration/node-autoscaling/",
    ],
    judge,
};

/// How often one looks again (seconds).
const AGAIN: i64 = 3600;

fn open(n: &Node) -> bool {
    !n.unschedulable && n.ready() == Tri::True && !n.taints.iter().any(|t| matches!(&*t.effect, "NoSchedule" | "NoExecute"))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return Verdict::Fine };
    if !open(node) || node.cpu_allocatable_m <= 0 || node.memory_allocatable <= 0 {
        return Verdict::Fine;
    }
    if !judge.cluster.current(Kind::Pod) {
        return Verdict::Fine;
    }
    let daemon = |p: &Pod| p.mirror || p.meta.owner.as_deref().is_some_and(|o| matches!(&*o.kind, "DaemonSet" | "Node"));
    let pods = judge.index.on_node(judge.cluster, &node.meta.name).filter_map(|o| if let Object::Pod(p) = o { Some(&**p) } else { None });
    let pods: Vec<&Pod> = pods.filter(|p| !p.finished() && !daemon(p)).collect();
    let cpu: i64 = pods.iter().filter_map(|p| p.shape.requests.cpu_request_m).sum();
    let memory: i64 = pods.iter().filter_map(|p| p.shape.requests.memory_request).sum();
    let below = |part: i64, whole: i64| percent(part, whole).is_some_and(|p| p < judge.value(&BELOW));
    if !below(cpu, node.cpu_allocatable_m) || !below(memory, node.memory_allocatable) {
        return Verdict::LookAgain(later(judge, AGAIN));
    }
    // What others have left over, the largest of them lost.
    let (mut free, mut largest) = ((0, 0), (0, 0));
    for other in judge.cluster.objects(Kind::Node) {
        let Object::Node(other) = other else { continue };
        if other.meta.uid == node.meta.uid || !open(other) {
            continue;
        }
        let used = judge.cluster.counts.by_node.get(&other.meta.name).copied().unwrap_or_default();
        free = (free.0 + other.cpu_allocatable_m - used.cpu_request_m, free.1 + other.memory_allocatable - used.memory_request);
        largest = (largest.0.max(other.cpu_allocatable_m), largest.1.max(other.memory_allocatable));
    }
    let room = (free.0 - largest.0, free.1 - largest.1);
    if room.0 < cpu || room.1 < memory {
        return Verdict::LookAgain(later(judge, AGAIN));
    }
    // Pods come and go: since the last that came, or the last that was seen to go, it had as few.
    let came = pods.iter().filter_map(|p| p.started.or(p.meta.created)).max();
    let went = judge.cluster.history.node(&node.meta.name).and_then(|n| n.lost.back()).and_then(|l| Time::from_secs(l.at));
    let since = node.meta.created.max(came).max(went);
    let hold = judge.value(&AFTER);
    super::until(since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold)), || {
        let tied = pods.iter().filter(|p| p.meta.owner.is_none() || p.shape.placing.empty_dir || p.shape.placing.claims);
        let tied = joined(tied.map(|p| title(&p.meta.namespace, &p.meta.name)), 4);
        let share = |part, whole| percent(part, whole).map_or_else(String::new, |p| format!("{p}%"));
        let message = format!(
            "{} of its CPU and {} of its memory are asked for",
            share(cpu, node.cpu_allocatable_m),
            share(memory, node.memory_allocatable)
        );
        let finding = judge
            .finding(Severity::Info, since, message)
            .with("ordinary pods", format!("{}, requesting {} CPU and {}", pods.len(), cores(cpu), bytes(memory)), None)
            .with("free on others, the largest lost", format!("{} CPU, {}", cores(room.0), bytes(room.1)), None)
            .with("without a controller, or with volumes", tied, None)
            .then("Drain it and give it back; what is left over is enough without it")
            .here(VerbId::Drain, &[]);
        (finding, Some(later(judge, AGAIN)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, node, owned, pod, running};
    use crate::model::{Delta, KindState};
    use serde_json::{Value, json};

    const DAY: i64 = 86_400;

    fn sized(name: &str) -> Value {
        let mut n = node(name, "True", 9 * DAY);
        n["metadata"]["creationTimestamp"] = json!(ago(9 * DAY));
        n["status"]["allocatable"] = json!({"cpu": "10", "memory": "100Gi"});
        n
    }

    fn asks(name: &str, owner: Kind, at: &str, cpu: &str, since: i64) -> Value {
        let mut p = pod(owned(name, owner, "x"), at, true, since, running());
        p["status"]["startTime"] = json!(ago(since));
        p["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu, "memory": "1Gi"}});
        p
    }

    fn at(nodes: usize, cpu: &str, since: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, (0..nodes).map(|n| sized(&format!("n{n}"))));
        fleet.put(Kind::Pod, [asks("p", Kind::ReplicaSet, "n0", cpu, since), asks("d", Kind::DaemonSet, "n0", "5", since)]);
        fleet.delta(0, Delta::KindState(Kind::Pod, KindState::Live));
        fleet.wait(60).severity(Kind::Node, "n0", RULE.id)
    }

    #[test]
    fn little_for_a_day_and_room_elsewhere() {
        assert_eq!(at(3, "1900m", DAY), Some(Severity::Info));
        assert_eq!(at(3, "2", DAY), None, "a fifth");
        assert_eq!(at(3, "1900m", DAY - 61), None, "not for a day");
        assert_eq!(at(2, "1900m", DAY), None, "the one other may be lost");
    }
}
