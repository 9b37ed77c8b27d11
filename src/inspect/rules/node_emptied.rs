//! A node that lost its pods, and why: by vote of what they said when they went.
//!
//! Left out: a maintenance annotation (annotations are not kept) and who did it (the audit log of the API server is not read).

use super::later;
use crate::inspect::explain::words::{ago, joined};
use crate::inspect::{Finding, Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Node, Object, Phase, Time, Tri, VerbId};
use crate::store::{Fall, Lost, NodeEvent, NodePast};
use std::collections::BTreeMap;

const SHARE: Threshold = Threshold { name: "share", default: "80%", doc: "of a node's ordinary pods that left it" };
const LEAST: Threshold = Threshold { name: "least", default: "5", doc: "pods from which that counts, and that its like have on average" };
const WITHIN: Threshold = Threshold { name: "within", default: "10m", doc: "how quickly they left, and how long it may have none" };

pub static RULE: RuleInfo = RuleInfo {
    id: "node-emptied",
    area: "node",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "node",
    summary: "Four fifths of its ordinary pods (5 or more) left it within 10 minutes, or it has none for 10 minutes while others like it have 5 on average; a warning where a drain, its namespaces or its workloads explain it, info for a drain of ours",
    why: "A node that silently loses its pods shifts its whole load to others and is found late because it looks healthy and idle.",
    kinds: &[Kind::Node],
    needs: &[Need::Kind(Kind::Pod)],
    leans_on: &[],
    thresholds: &[SHARE, LEAST, WITHIN],
    peers: &[],
    links: &[
        "https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions",
        "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
    ],
    judge,
};

/// While a node has none, how often one looks again (seconds).
const AGAIN: i64 = 600;

/// Why pods left a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Cause {
    Drained,
    Tainted,
    Unready,
    Kubelet,
    Registered,
    Relabelled,
    Preempted,
    Namespace,
    Workload,
    Unsaid,
}

impl Cause {
    fn words(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::Tainted => "NoExecute taint",
            Self::Unready => "it was not ready",
            Self::Kubelet => "stopped by the kubelet, for pressure or a shutdown",
            Self::Registered => "the node object was deleted or registered anew",
            Self::Relabelled => "its labels changed, and no longer fit the pods' affinity",
            Self::Preempted => "preempted by pods of higher priority",
            Self::Namespace => "their namespace was deleted",
            Self::Workload => "their workload was deleted or scaled down",
            Self::Unsaid => "no reason given",
        }
    }
}

/// What one pod's end says.
fn vote(judge: &Judge<'_>, past: &NodePast, fall: &Fall, lost: &Lost) -> Cause {
    let during = |is: fn(&NodeEvent) -> bool| past.events.iter().any(|(at, e)| (fall.began - 600..=fall.ended + 60).contains(at) && is(e));
    let own_taint = |t: &str| t.starts_with("node.kubernetes.io/not-ready") || t.starts_with("node.kubernetes.io/unreachable");
    match lost.reason.as_deref() {
        Some("EvictionByEvictionAPI") => Cause::Drained,
        Some("DeletionByTaintManager" | "TaintManagerEviction") => {
            let custom = past.events.iter().rev().find_map(|(_, e)| if let NodeEvent::Tainted(t) = e { Some(!own_taint(t)) } else { None });
            if custom == Some(false) { Cause::Unready } else { Cause::Tainted }
        }
        Some("DeletionByPodGC") => Cause::Registered,
        Some("NodeAffinity") => Cause::Relabelled,
        Some("TerminationByKubelet" | "Evicted" | "NodeShutdown" | "Terminated") => Cause::Kubelet,
        Some("PreemptionByScheduler" | "Preempting") => Cause::Preempted,
        Some("NodeLost") => Cause::Unready,
        _ => {
            let namespaces = judge.cluster.current(Kind::Namespace);
            let place = judge.cluster.named(Kind::Namespace, "", &lost.namespace);
            if namespaces && place.is_none_or(|o| o.meta().deleting.is_some()) {
                return Cause::Namespace;
            }
            if during(|e| matches!(e, NodeEvent::Removed | NodeEvent::Replaced)) {
                return Cause::Registered;
            }
            let owner = lost.owner.and_then(|uid| {
                let of =
                    [Kind::ReplicaSet, Kind::StatefulSet].into_iter().filter_map(|k| judge.cluster.table(k).slot_of(uid).map(|s| (k, s)));
                of.filter_map(|(k, slot)| judge.cluster.table(k).get(slot)).next()
            });
            match owner {
                Some(Object::Workload(w)) if w.desired.unwrap_or(0) == 0 || w.meta.deleting.is_some() => Cause::Workload,
                None if lost.owner.is_some() && judge.cluster.current(Kind::ReplicaSet) => Cause::Workload,
                _ => Cause::Unsaid,
            }
        }
    }
}

/// A drain of ours that took in that time.
fn ours(judge: &Judge<'_>, node: &str, fall: &Fall) -> Option<String> {
    let named = |text: &str| text.split([' ', ',', '/']).any(|word| word == node);
    let during = |j: &&crate::model::Job| j.began <= fall.ended + 60 && j.ended.is_none_or(|end| end >= fall.began - 60);
    let here = |j: &&crate::model::Job| j.clusters.iter().any(|c| **c == *judge.cluster.info.name);
    let drains = |j: &&crate::model::Job| j.title.contains("drain") || j.steps.iter().any(|s| s.text.starts_with("evict"));
    let found = judge.store.jobs.iter().filter(during).filter(here).filter(drains);
    found.filter(|j| named(&j.title) || j.steps.iter().any(|s| named(&s.text))).map(|j| j.title.clone()).next()
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return Verdict::Fine };
    let history = &judge.cluster.history;
    let Some(past) = history.node(&node.meta.name) else { return empty(judge, node) };
    let small = |t: &Threshold| u32::try_from(judge.value(t)).unwrap_or(u32::MAX);
    match past.ordinary.fall(small(&SHARE), small(&LEAST), judge.value(&WITHIN), judge.now) {
        Some(fall) => Verdict::BurningUntil(fell(judge, node, past, &fall), (fall.began + 3600).max(judge.now) + 10),
        None => empty(judge, node),
    }
}

fn fell(judge: &Judge<'_>, node: &Node, past: &NodePast, fall: &Fall) -> Finding {
    let lost: Vec<&Lost> = past.lost.iter().filter(|l| (fall.began - 10..=fall.ended + 20).contains(&l.at)).collect();
    let mut votes: BTreeMap<Cause, usize> = BTreeMap::new();
    for l in &lost {
        *votes.entry(vote(judge, past, fall, l)).or_default() += 1;
    }
    let cause = votes.iter().max_by_key(|(_, n)| **n).map_or(Cause::Unsaid, |(c, _)| *c);
    let own = ours(judge, &node.meta.name, fall);
    let severity = match cause {
        _ if own.is_some() => Severity::Info,
        Cause::Drained | Cause::Namespace | Cause::Workload => Severity::Warning,
        _ => Severity::Critical,
    };
    let counted = joined(votes.iter().map(|(c, n)| format!("{n} {}", c.words())), 4);
    let events = past.events.iter().rev().take(5).rev();
    let events = joined(events.filter_map(|(at, e)| Some(format!("{} {}", e.words(), ago(Time::from_secs(*at)?, judge.now)))), 5);
    let (mut nodes, mut pending): (BTreeMap<&str, usize>, usize) = (BTreeMap::new(), 0);
    let mut owners: Vec<_> = lost.iter().filter_map(|l| l.owner).collect();
    owners.sort_unstable();
    owners.dedup();
    for object in owners.iter().flat_map(|o| judge.index.owned(judge.cluster, *o)) {
        let Object::Pod(p) = object else { continue };
        let new = p.meta.created.is_some_and(|t| t.secs() >= fall.began - 10);
        match &p.node {
            Some(at) if new => *nodes.entry(at).or_default() += 1,
            None if p.phase == Phase::Pending => pending += 1,
            _ => {}
        }
    }
    let mut places: Vec<_> = nodes.into_iter().collect();
    places.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let began = Time::from_secs(fall.began);
    let message = format!("lost {} of {} pods: {}", fall.from - fall.to, fall.from, cause.words());
    let mut finding = judge
        .finding(severity, began, message)
        .with("why, by pods", counted, began)
        .with("what became of the node", events, None)
        .with("they went to", joined(places.iter().map(|(n, c)| format!("{n} {c}")), 5), None)
        .with("still pending", pending.to_string(), None);
    if let Some(title) = own {
        finding = finding.with("a job of ours", title, None);
    }
    mend(finding, node, cause)
}

fn mend(finding: Finding, node: &Node, cause: Cause) -> Finding {
    let taint = node.taints.iter().find(|t| &*t.effect == "NoExecute" && !t.key.starts_with("node.kubernetes.io/"));
    match (cause, taint) {
        (Cause::Tainted, Some(taint)) => {
            let away = format!("{}:NoExecute-", taint.key);
            finding.then(format!("Take the taint {taint} away if nobody means it")).here(VerbId::Taint, &[("taints", &away)])
        }
        (Cause::Drained, _) if node.unschedulable => finding.then("Uncordon it when its maintenance is over").here(VerbId::Uncordon, &[]),
        (Cause::Drained, _) => finding.then("It is open again: restart what should be spread over it"),
        (Cause::Unready, _) => finding.then("See why it was not ready before pods come back to it").here(VerbId::Cordon, &[]),
        (Cause::Kubelet, _) => finding.then("See what it was short of, or who shut it down").here(VerbId::Cordon, &[]),
        (Cause::Registered, _) => {
            finding.then("See who deleted the node object: a cloud controller, an autoscaler, or a kubelet with another name")
        }
        (Cause::Relabelled, _) => finding.then("Bring its labels back").here(VerbId::Label, &[]),
        (Cause::Namespace, _) => finding.then("If the namespace should be there, restore it from a backup"),
        (Cause::Workload, _) => finding.then("See who scaled or deleted the workloads"),
        (Cause::Preempted, _) => finding.then("See which pods of higher priority came, and whether their requests are right"),
        (Cause::Tainted | Cause::Unsaid, _) => finding.then("See the node's events and who deleted its pods"),
    }
}

/// It has no ordinary pods although others like it do.
fn empty(judge: &Judge<'_>, node: &Node) -> Verdict {
    let hard = |n: &Node| n.taints.iter().any(|t| matches!(&*t.effect, "NoSchedule" | "NoExecute"));
    let open = |n: &Node| !n.unschedulable && n.ready() == Tri::True && !hard(n);
    let has = |n: &Node| judge.cluster.history.node(&n.meta.name).map_or(0, |p| p.ordinary.last());
    if !open(node) || has(node) > 0 {
        return Verdict::Fine;
    }
    if !judge.cluster.current(Kind::Pod) || !judge.cluster.current(Kind::Node) {
        return Verdict::Fine;
    }
    let (mut like, mut pods) = (0_i64, 0_i64);
    for other in judge.cluster.objects(Kind::Node) {
        if let Object::Node(other) = other
            && other.meta.uid != node.meta.uid
            && open(other)
            && other.roles() == node.roles()
        {
            like += 1;
            pods += i64::from(has(other));
        }
    }
    if like == 0 || pods < judge.value(&LEAST) * like {
        return Verdict::LookAgain(later(judge, AGAIN));
    }
    let since = judge.cluster.history.node(&node.meta.name).and_then(|p| p.ordinary.since()).and_then(Time::from_secs);
    let since = since.max(node.meta.created);
    let held = judge.held(since.map_or(0, Time::secs), judge.value(&WITHIN));
    super::after(held, || {
        judge
            .finding(Severity::Warning, since, format!("no ordinary pods, while {like} nodes like it have {} on average", pods / like))
            .with(
                "cpu and memory allocatable",
                format!("{}m, {}", node.cpu_allocatable_m, crate::inspect::explain::words::bytes(node.memory_allocatable)),
                None,
            )
            .then("See whether labels or soft taints keep pods away from it; what is restarted may be placed on it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, node, owned, pod, replicaset, running, uid};
    use crate::model::{Change, Delta, KindState, Remedy};
    use serde_json::json;

    fn fleet(pods: usize) -> Fleet {
        let mut fleet = Fleet::default();
        for kind in [Kind::Node, Kind::Pod, Kind::Namespace, Kind::ReplicaSet] {
            fleet.delta(0, Delta::KindState(kind, KindState::Live));
        }
        fleet.put(Kind::Namespace, [json!({"metadata": {"name": "pay"}})]);
        fleet.put(Kind::Node, ["n1", "n2"].map(|n| node(n, "True", 9000)));
        fleet.put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 9000, 5)]);
        for n in ["n1", "n2"] {
            fleet.put(Kind::Pod, (0..pods).map(|i| pod(owned(&format!("{n}-p{i}"), Kind::ReplicaSet, "rs"), n, true, 900, running())));
        }
        fleet.wait(700);
        fleet
    }

    fn lose(fleet: &mut Fleet, pods: usize, reason: Option<&str>) {
        for i in 0..pods {
            let name = format!("n1-p{i}");
            if let Some(reason) = reason {
                let mut p = pod(owned(&name, Kind::ReplicaSet, "rs"), "n1", true, 900, running());
                p["status"]["conditions"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({"type": "DisruptionTarget", "status": "True", "reason": reason}));
                fleet.put(Kind::Pod, [p]);
            }
            fleet.delete(Kind::Pod, &name);
        }
    }

    fn said(fleet: &Fleet) -> Option<(Severity, String)> {
        fleet.finding(Kind::Node, "n1", RULE.id).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn four_fifths_of_five_or_more() {
        for (has, loses, burns) in [(5, 4, true), (5, 3, false), (4, 4, false), (10, 8, true), (10, 7, false)] {
            let mut fleet = fleet(has);
            lose(&mut fleet, loses, Some("EvictionByEvictionAPI"));
            assert_eq!(said(&fleet).is_some(), burns, "{loses} of {has}");
        }
    }

    #[test]
    fn the_pods_say_why_and_the_remedy_follows() {
        let of = |reason: Option<&str>, before: fn(&mut Fleet)| {
            let mut fleet = fleet(10);
            before(&mut fleet);
            lose(&mut fleet, 10, reason);
            said(&fleet).unwrap()
        };
        let none = |_: &mut Fleet| {};
        assert_eq!(of(Some("EvictionByEvictionAPI"), none), (Severity::Warning, "lost 10 of 10 pods: drained".to_owned()));
        assert_eq!(of(Some("DeletionByTaintManager"), none).1, "lost 10 of 10 pods: NoExecute taint");
        let (severity, message) = of(Some("DeletionByTaintManager"), |f| {
            let mut n = node("n1", "False", 100);
            n["spec"] = json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]});
            f.put(Kind::Node, [n]);
        });
        assert_eq!((severity, message.as_str()), (Severity::Critical, "lost 10 of 10 pods: it was not ready"));
        assert_eq!(of(Some("DeletionByPodGC"), none).1, "lost 10 of 10 pods: the node object was deleted or registered anew");
        assert_eq!(of(None, none), (Severity::Critical, "lost 10 of 10 pods: no reason given".to_owned()));
        assert_eq!(of(None, |f| f.delete(Kind::Namespace, "pay")).1, "lost 10 of 10 pods: their namespace was deleted");
        assert_eq!(of(None, |f| f.delete(Kind::ReplicaSet, "rs")).1, "lost 10 of 10 pods: their workload was deleted or scaled down");
        let mut tainted = fleet(10);
        let mut n = node("n1", "True", 9000);
        n["spec"] = json!({"taints": [{"key": "rack", "effect": "NoExecute"}]});
        tainted.put(Kind::Node, [n]);
        lose(&mut tainted, 10, Some("DeletionByTaintManager"));
        let remedy = tainted.finding(Kind::Node, "n1", RULE.id).and_then(|f| f.remedy.clone());
        assert!(matches!(&remedy, Some(Remedy::Act { verb: VerbId::Taint, .. })), "{remedy:?}");
    }

    #[test]
    fn a_drain_of_ours_is_info_and_what_comes_back_ends_it() {
        let mut fleet = fleet(10);
        let job = crate::model::Job {
            id: crate::model::JobId("j".into()),
            what: "drain".into(),
            title: "drain n1".into(),
            clusters: vec!["prod".into()],
            began: fleet.now - 10,
            ended: None,
            state: crate::model::JobState::Running,
            steps: Vec::new(),
            note: String::new(),
        };
        fleet.store.jobs.apply(crate::model::Progress::Began(Box::new(job)), fleet.now);
        lose(&mut fleet, 10, Some("EvictionByEvictionAPI"));
        assert_eq!(said(&fleet).map(|s| s.0), Some(Severity::Info));
        fleet.put(Kind::Pod, (0..6).map(|i| pod(owned(&format!("new{i}"), Kind::ReplicaSet, "rs"), "n1", true, 900, running())));
        assert_eq!(said(&fleet), None, "more than half came back");
    }

    #[test]
    fn an_hour_later_it_is_only_empty_and_that_while_others_are_not() {
        let mut fleet = fleet(10);
        lose(&mut fleet, 10, None);
        fleet.wait(3700);
        assert_eq!(said(&fleet), Some((Severity::Warning, "no ordinary pods, while 1 nodes like it have 10 on average".to_owned())));
        fleet.put(Kind::Pod, [pod(owned("new", Kind::ReplicaSet, "rs"), "n1", true, 900, running())]);
        assert_eq!(said(&fleet), None);
        let gone = (0..10).map(|i| Change::Delete(uid(Kind::Pod, &format!("n2-p{i}")))).collect();
        fleet.delta(0, Delta::Rows { kind: Kind::Pod, changes: gone });
        fleet.delete(Kind::Pod, "new");
        fleet.wait(4000).wait(4000);
        assert_eq!(said(&fleet), None, "none has any");
    }
}
