//! The network's agent restarting on nodes, or not ready there.
//!
//! Any DaemonSet that is a network's agent by its usual name or label. That its pods are throttled, or their nodes busy, is
//! named as a cause where it is measured. Left out: the size of its tables of rules, and what its log says of BGP and the datastore.

use super::containers;
use crate::inspect::explain::words::{cores, joined};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict, clock};
use crate::model::{Kind, Object, Pod, Time, Tri, Workload};
use std::collections::BTreeMap;

const RESTARTS: Threshold = Threshold { name: "restarts", default: "2", doc: "restarts on one node in an hour" };
const NODES: Threshold = Threshold { name: "critical-nodes", default: "3", doc: "nodes with that many from which it is critical" };
const SHARE: Threshold = Threshold { name: "critical-share", default: "5%", doc: "of the nodes, the same" };
const UNREADY: Threshold = Threshold { name: "unready-after", default: "3m", doc: "how long the agent of a node may be not ready" };
const PROBES: Threshold = Threshold { name: "failed-probes", default: "5", doc: "failed liveness probes of a pod within 10 minutes" };

pub static RULE: RuleInfo = RuleInfo {
    id: "calico-node-restarts",
    area: "network",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "the network agent's DaemonSet",
    summary: "Its pods restarted twice in an hour on a node, or their liveness fails; critical on 3 nodes or a twentieth of them, or when one is not ready for 3 minutes",
    why: "While it restarts, policy and routes of the node are not updated, and the restarts usually come from CPU starvation at the worst moment.",
    kinds: &[Kind::DaemonSet],
    needs: &[Need::Kind(Kind::Pod)],
    leans_on: &[],
    thresholds: &[RESTARTS, NODES, SHARE, UNREADY, PROBES],
    peers: &[],
    links: &[
        "https://docs.tigera.io/calico/latest/operations/troubleshoot/troubleshooting",
        "https://docs.tigera.io/calico/latest/operations/troubleshoot/component-logs",
    ],
    judge,
};

const AGENTS: [&str; 8] = ["calico-node", "cilium", "kube-flannel-ds", "canal", "antrea-agent", "weave-net", "kube-router", "kube-ovn-cni"];
const SECS_OF_HOUR: i64 = 3600;
/// Within which failed probes are counted (seconds).
const PROBED: i64 = 600;

/// The pods' restarts of the last hour: those that were seen, or the last one by the container's own times.
fn recent(judge: &Judge<'_>, owner: &Workload, pod: &Pod) -> Vec<i64> {
    let seen = judge.cluster.history.restarts(owner.meta.uid).filter(|r| r.pod == pod.meta.uid);
    let mut times: Vec<i64> = seen.flat_map(|r| std::iter::repeat_n(r.at, r.times as usize)).collect();
    if times.is_empty() {
        times.extend(containers(pod).filter(|c| c.restarts > 0).filter_map(|c| Some(c.last.as_ref()?.finished?.secs())));
        let young = pod.started.filter(|t| t.age(judge.now) < SECS_OF_HOUR);
        times.extend(young.iter().flat_map(|t| std::iter::repeat_n(t.secs(), pod.restarts() as usize)).skip(times.len()));
    }
    times.retain(|at| judge.now - at < SECS_OF_HOUR);
    times
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Workload(w)) = judge.object else { return Verdict::Fine };
    let label = w.pod_labels.get("k8s-app").or_else(|| w.pod_labels.get("app"));
    if !AGENTS.contains(&&*w.meta.name) && !label.is_some_and(|l| AGENTS.contains(&l)) {
        return Verdict::Fine;
    }
    let pods = judge.index.pods(judge.cluster, w.meta.uid);
    let (hold, mut next) = (judge.value(&UNREADY), i64::MAX);
    let mut restarted: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut unready: Vec<(&str, Option<Time>)> = Vec::new();
    for pod in &pods {
        let node = pod.node.as_deref().unwrap_or("");
        let times = recent(judge, w, pod);
        if times.len() >= usize::try_from(judge.value(&RESTARTS)).unwrap_or(usize::MAX) {
            next = next.min(times.iter().min().map_or(i64::MAX, |t| t + SECS_OF_HOUR));
            restarted.insert(node, times);
        }
        // A node that does not report has a rule of its own.
        let reports = matches!(judge.cluster.named(Kind::Node, "", node), Some(Object::Node(n)) if n.ready() == Tri::True);
        if let Some(since) =
            super::unready_since(pod).filter(|_| pod.meta.deleting.is_none() && (reports || !judge.cluster.current(Kind::Node)))
        {
            match judge.held(since.secs(), hold) {
                Ok(()) => unready.push((node, Some(since))),
                Err(at) => next = next.min(at),
            }
        }
    }
    let probes = if restarted.is_empty() { failed_probes(judge, &pods) } else { BTreeMap::new() };
    let later = |next: i64| if next == i64::MAX { Verdict::Fine } else { Verdict::FineUntil(next) };
    let all = pods.len().max(1);
    let many = i64::try_from(restarted.len()).unwrap_or(i64::MAX);
    let wide = many >= judge.value(&NODES) || (many > 1 && many * 100 >= judge.value(&SHARE) * i64::try_from(all).unwrap_or(i64::MAX));
    let (severity, message) = match () {
        () if !unready.is_empty() => (Severity::Critical, format!("not ready on {}", joined(unready.iter().map(|u| u.0), 3))),
        () if wide => (Severity::Critical, format!("restarts again and again on {many} of {all} nodes")),
        () if many > 0 => (Severity::Warning, format!("restarts again and again on {}", joined(restarted.keys(), 3))),
        () if !probes.is_empty() => (Severity::Warning, format!("liveness fails on {}", joined(probes.keys(), 3))),
        () => return later(next),
    };
    let since = restarted.values().flatten().min().copied().and_then(Time::from_secs).or_else(|| unready.iter().filter_map(|u| u.1).min());
    let moments = restarted.iter().map(|(node, times)| {
        let mut times = times.clone();
        times.sort_unstable();
        format!("{node}: {}", joined(times.into_iter().filter_map(Time::from_secs).map(clock).collect::<Vec<_>>(), 6))
    });
    let said = judge.cluster.objects(Kind::Event).filter_map(|o| if let Object::Event(e) = o { Some(e) } else { None });
    let said = said.filter(|e| &*e.reason == "Unhealthy" && pods.iter().any(|p| p.meta.uid == e.about.uid)).max_by_key(|e| e.last);
    let asks = w.shape.requests.cpu_request_m;
    let mut finding = judge
        .finding(severity, since, message)
        .with("restarts in the last hour", joined(moments, 6), since)
        .with("cpu request", asks.map_or_else(|| "none".to_owned(), cores), None)
        .with("priority class", w.shape.priority_class.as_deref().unwrap_or("none"), None)
        .with("causes", joined(causes(judge, w, &pods, restarted.keys().copied().chain(unready.iter().map(|u| u.0))), 6), None);
    if let Some(e) = said {
        finding = finding.with("last probe", &*e.message, e.last);
    }
    finding = finding
        .then(
            "Give it 250m to 500m of CPU without a limit and the priority class system-node-critical; delete the pod that stays not ready",
        )
        .edit();
    if next == i64::MAX { Verdict::Burning(finding) } else { Verdict::BurningUntil(finding, next) }
}

/// The nodes on whose agent liveness failed often just now.
fn failed_probes<'a>(judge: &Judge<'_>, pods: &[&'a std::sync::Arc<Pod>]) -> BTreeMap<&'a str, u32> {
    let recent = |e: &crate::model::Event| e.last.is_some_and(|t| t.age(judge.now) < PROBED);
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for object in judge.cluster.objects(Kind::Event) {
        let Object::Event(e) = object else { continue };
        if &*e.reason == "Unhealthy"
            && e.message.contains("iveness")
            && recent(e)
            && let Some(pod) = pods.iter().find(|p| p.meta.uid == e.about.uid)
        {
            // Counted since its first time: what is older than the window is none of it.
            let all = e.first.is_some_and(|t| t.age(judge.now) < PROBED);
            *counts.entry(pod.node.as_deref().unwrap_or("")).or_default() += if all { e.count } else { 1 };
        }
    }
    counts.retain(|_, n| i64::from(*n) >= judge.value(&PROBES));
    counts
}

/// Percent of its cores from which a node is busy, and of its periods from which a container is throttled.
const BUSY: i64 = 90;
const THROTTLED: f64 = 0.1;

/// Why it may be; `nodes`: where it is not well.
fn causes<'a>(judge: &Judge<'_>, w: &Workload, pods: &[&std::sync::Arc<Pod>], nodes: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let oom = |p: &Pod| containers(p).any(|c| c.last.as_ref().is_some_and(|t| t.reason.as_deref() == Some("OOMKilled")));
    let mut causes = Vec::new();
    let throttled = |o: &Object| judge.cluster.signals_of(o, "cpu-throttled").any(|s| s.value >= Some(THROTTLED));
    if judge.object.is_some_and(throttled) {
        causes.push("throttled");
    }
    let busy = |node: &str| {
        let used = judge.cluster.usage(Kind::Node, "", node).and_then(|u| u.cpu_m);
        let of = |o: &Object| if let Object::Node(n) = o { Some(n.cpu_capacity_m).filter(|c| *c > 0) } else { None };
        let cores = judge.cluster.named(Kind::Node, "", node).and_then(of);
        used.zip(cores).is_some_and(|(used, cores)| used * 100 > cores * BUSY)
    };
    if nodes.into_iter().any(busy) {
        causes.push("its node's CPU is busy");
    }
    if pods.iter().any(|p| oom(p)) {
        causes.push("killed for memory");
    }
    if w.shape.requests.cpu_request_m.is_none() {
        causes.push("no CPU request");
    }
    if w.shape.requests.cpu_limit_m.is_some() {
        causes.push("a CPU limit");
    }
    if w.shape.priority < 1_000_000_000 {
        causes.push("low priority");
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, node, owned, pod, running};
    use serde_json::{Value, json};

    fn agent(n: usize, restarts: u32, ready: bool, since: i64) -> Value {
        let mut status = running();
        status["restartCount"] = json!(restarts);
        let mut metadata = owned(&format!("p{n}"), Kind::DaemonSet, "calico-node");
        metadata["namespace"] = json!("kube-system");
        let mut p = pod(metadata, &format!("n{n}"), ready, since, status);
        p["status"]["startTime"] = json!(ago(900_000));
        p
    }

    fn set(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "kube-system", "creationTimestamp": ago(900_000)},
            "spec": {"selector": {"matchLabels": {"k8s-app": name}}, "template": {"spec": {"containers": [{"name": "app", "image": "i"}]}}},
            "status": {"desiredNumberScheduled": 60, "numberReady": 60}})
    }

    /// Sixty nodes; on the first `nodes` of them so many restarts were seen.
    fn after(nodes: usize, restarts: u32) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, (0..60).map(|n| node(&format!("n{n}"), "True", 9000)));
        fleet.put(Kind::Pod, (0..60).map(|n| agent(n, 7, true, 9000)));
        for more in 1..=restarts {
            fleet.wait(60).put(Kind::Pod, (0..nodes).map(|n| agent(n, 7 + more, true, 9000)));
        }
        fleet.put(Kind::DaemonSet, [set("calico-node")]);
        fleet
    }

    #[test]
    fn twice_in_an_hour_on_one_node_or_on_three() {
        let rule = |f: &Fleet| f.severity(Kind::DaemonSet, "calico-node", RULE.id);
        assert_eq!(rule(&after(1, 1)), None);
        let mut one = after(1, 2);
        assert_eq!(rule(&one), Some(Severity::Warning));
        assert_eq!(rule(&after(2, 2)), Some(Severity::Warning));
        assert_eq!(rule(&after(3, 2)), Some(Severity::Critical));
        one.wait(3600);
        assert_eq!(rule(&one), None, "an hour ago");
    }

    #[test]
    fn not_ready_for_three_minutes_is_critical_and_others_daemonsets_are_not_meant() {
        let at = |name: &str, since: i64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Node, [node("n0", "True", 9000)]);
            let mut p = agent(0, 0, false, since);
            p["metadata"]["ownerReferences"][0]["uid"] = json!(format!("daemonsets/{name}"));
            fleet.put(Kind::Pod, [p]);
            fleet.put(Kind::DaemonSet, [set(name)]).severity(Kind::DaemonSet, name, RULE.id)
        };
        assert_eq!((at("calico-node", 180), at("calico-node", 179)), (Some(Severity::Critical), None));
        assert_eq!(at("logger", 900), None);
    }

    #[test]
    fn causes_that_are_measured() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        use crate::model::{Delta, Service, ServiceState, Signal, Usage, UsageList, UsageRow};
        let of = |ratio: f64, cpu_m: i64| {
            let mut fleet = Fleet::default();
            let mut n = node("n0", "True", 9000);
            n["status"]["capacity"] = json!({"cpu": "2"});
            fleet.put(Kind::Node, [n]).put(Kind::Pod, [agent(0, 7, false, 900)]);
            let usage = Usage { cpu_m: Some(cpu_m), memory: None, at: None };
            let row = UsageRow { namespace: "".into(), name: "n0".into(), usage };
            fleet.delta(0, Delta::Usage(UsageList { kind: Kind::Node, namespace: None, rows: vec![row] }));
            let labels = [("namespace", "kube-system"), ("pod", "p0"), ("container", "app")];
            let signal = Signal::of(&shipped("cpu-throttled"), crate::model::signal::tests::labels(&labels), ratio, [ratio].into());
            told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            fleet.put(Kind::DaemonSet, [set("calico-node")]);
            let found = fleet.finding(Kind::DaemonSet, "calico-node", RULE.id).unwrap();
            found.evidence.iter().find(|e| e.what == "causes").unwrap().value.clone()
        };
        assert_eq!(of(0.1, 1801), "throttled, its node's CPU is busy, no CPU request, low priority");
        assert_eq!(of(0.09, 1800), "no CPU request, low priority");
    }
}
