//! A node short of memory, disk or process ids, or near the point at which its kubelet evicts.
//!
//! How near is measured by Prometheus (node_exporter, and the kubelet's cAdvisor for memory); where a kubelet evicts is what it says of its
//! configuration. Of one that was not heard the kubelet's defaults are taken, and that is said. Its file systems are those at its usual directories.
//! Process ids count where node_exporter tells of processes and the kubelet is told to evict for them, which it is not by default. Left out: the events of a
//! failed garbage collection, which the condition follows.

use super::after;
use super::measured::{BASE, Measured, Seen, USUAL};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Measure, Node, Object, VerbId, quantity};

const AFTER: Threshold = Threshold { name: "after", default: "1m", doc: "how long it must be so" };
const NEAR: Threshold = Threshold { name: "near", default: "5%", doc: "of the whole, what may be left to the point of eviction" };

/// Where a kubelet evicts that is not told otherwise.
const USUALLY: &str = "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%";

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "node-pressure",
        area: "node",
        scope: "node",
        summary: "MemoryPressure, DiskPressure or PIDPressure is true (critical); memory, process ids, a file system of the kubelet's or its inodes are less than 5 points from where the kubelet evicts, or will be there within 4 hours at the rate of the last 6 (a warning)",
        why: "At the threshold the kubelet starts killing pods, lowest QoS first, and keeps the node unschedulable for minutes.",
        kinds: &[Kind::Node, Kind::Signal],
        thresholds: &[AFTER, NEAR],
        peers: &[
            "popeye:703",
            "popeye:704",
            "popeye:705",
            "popeye:706",
            "k8s-mixin:KubeNodePressure",
            "node-mixin:NodeFilesystemSpaceFillingUp",
            "node-mixin:NodeFilesystemAlmostOutOfSpace",
            "node-mixin:NodeFilesystemFilesFillingUp",
            "node-mixin:NodeFilesystemAlmostOutOfFiles",
        ],
        links: &[
            "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-conditions",
            "https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/",
        ],
        ..BASE
    },
    queries: &["node-space", "node-fills"],
    level: |seen| {
        let node = seen.node()?;
        // What it says itself is told already.
        let told = match seen.label("signal").split('.').next() {
            Some("memory") => "MemoryPressure",
            Some("pid") => "PIDPressure",
            _ => "DiskPressure",
        };
        let (point, _) = point(seen, node)?;
        let near = if fills(seen) { point } else { point - seen.threshold(&NEAR) as f64 / 100.0 };
        (seen.number() >= near && node.pressures().all(|c| &*c.kind != told)).then_some(Severity::Warning)
    },
    says: |seen| {
        let left = Measure::Ratio.text((1.0 - seen.number()).max(0.0));
        let point = seen.node().and_then(|n| point(seen, n)).map_or_else(String::new, |(_, text)| text);
        match fills(seen) {
            true => format!("{} below {point} within 4h at the rate of the last 6h", seen.label("signal")),
            false => format!("{} {left} left, it evicts below {point}", seen.label("signal")),
        }
    },
    next: "See what takes it: images, logs, what containers write, emptyDirs, page cache; cordon it before the kubelet evicts",
    more: |seen, finding| {
        let heard = seen.node().is_some_and(|n| seen.judge.cluster.asked.kubelet(&n.meta.name).is_some());
        let how = if heard { "as its configuration has it" } else { "the default: its kubelet was not heard" };
        let on = finding.there();
        finding.with_all([("point of eviction", how.to_owned())]).act(VerbId::Cordon, on, &[])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

fn fills(seen: &Seen<'_>) -> bool {
    &*seen.signal.meta.name == "node-fills"
}

/// The share taken at which a node's kubelet evicts for what is measured, the first of several; and that as it is written.
fn point(seen: &Seen<'_>, node: &Node) -> Option<(f64, String)> {
    let kubelet = seen.judge.cluster.asked.kubelet(&node.meta.name);
    let all = kubelet.map_or(USUALLY, |k| &*k.evicts).split(',').filter_map(|one| one.split_once('<'));
    let of = |below: &str| match below.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok().map(|p| 1.0 - p / 100.0),
        // Of file systems it is not known how large they are.
        None => quantity::whole(below)
            .filter(|_| seen.label("signal") == "memory.available" && node.memory_capacity > 0)
            .map(|b| 1.0 - b as f64 / node.memory_capacity as f64),
    };
    let known = all.filter(|(signal, _)| *signal == seen.label("signal")).filter_map(|(_, below)| Some((of(below)?, below.to_owned())));
    known.min_by(|a, b| a.0.total_cmp(&b.0))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return FACTS.judge(judge) };
    // A condition without a time counts as old.
    let Some(oldest) = node.pressures().map(|c| c.since).min() else { return Verdict::Fine };
    after(judge.held(oldest.map_or(0, |t| t.secs()), judge.value(&AFTER)), || {
        let names: Vec<&str> = node.pressures().map(|c| &*c.kind).collect();
        let mut finding = judge.finding(Severity::Critical, oldest, names.join(", "));
        for c in node.pressures() {
            finding = finding.with(&c.kind, c.message.as_deref().or(c.reason.as_deref()).unwrap_or("True"), c.since);
        }
        finding.then("Cordon it and evict the largest consumer; for disk, prune images and rotate logs").here(VerbId::Cordon, &[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, judged, node};
    use crate::inspect::rules::measured::tests::seen;
    use crate::model::asked::Kubelet;
    use crate::model::{Asked, Delta};
    use serde_json::json;

    #[test]
    fn a_pressure_for_a_minute() {
        for (status, since, severity) in
            [("True", 60, Some(Severity::Critical)), ("True", 59, None), ("False", 600, None), ("Unknown", 600, None)]
        {
            let mut n = node("n", "True", 9000);
            n["status"]["conditions"]
                .as_array_mut()
                .unwrap()
                .push(json!({"type": "DiskPressure", "status": status, "lastTransitionTime": ago(since)}));
            assert_eq!(judged(Kind::Node, n, "node-pressure"), severity, "{status} {since}");
        }
    }

    #[test]
    fn a_cordon_is_offered_where_there_is_none() {
        for cordoned in [false, true] {
            let mut fleet = Fleet::default();
            let on = json!({"type": "DiskPressure", "status": "True", "lastTransitionTime": ago(600)});
            let mut of = |name: &str, conditions: &[serde_json::Value]| {
                let mut n = node(name, "True", 9000);
                n["spec"]["unschedulable"] = cordoned.into();
                n["status"]["conditions"].as_array_mut().unwrap().extend_from_slice(conditions);
                fleet.put(Kind::Node, [n]);
            };
            of("full", &[on]);
            of("n1", &[]);
            let full = fleet.finding(Kind::Node, "full", "node-pressure").unwrap();
            assert_eq!(full.remedy.is_none(), cordoned);
            let near = seen(&mut fleet, &RULE, "node-space", &[("instance", "n1:9100"), ("signal", "nodefs.available")], 0.86, 60);
            assert_eq!(near.unwrap().remedy.is_none(), cordoned);
        }
    }

    fn at(query: &str, signal: &str, value: f64, wait: i64) -> Option<(Severity, String)> {
        let mut fleet = Fleet::default();
        let mut n = node("n1", "True", 9000);
        n["status"]["capacity"] = json!({"memory": "10Gi"});
        fleet.put(Kind::Node, [n]);
        seen(&mut fleet, &RULE, query, &[("instance", "n1:9100"), ("signal", signal)], value, wait).map(|f| (f.severity, f.message))
    }

    #[test]
    fn near_the_point_of_eviction_by_the_default() {
        let warns = |message: &str| Some((Severity::Warning, message.to_owned()));
        assert_eq!(at("node-space", "nodefs.available", 0.85, 60), warns("nodefs.available 15% left, it evicts below 10%"));
        assert_eq!((at("node-space", "nodefs.available", 0.85, 59), at("node-space", "nodefs.available", 0.849, 60)), (None, None));
        assert_eq!(at("node-space", "imagefs.available", 0.8, 60).map(|f| f.0), Some(Severity::Warning));
        // 100Mi of 10Gi are a hundredth.
        assert_eq!(
            (at("node-space", "memory.available", 0.93, 60), at("node-space", "memory.available", 0.941, 60).is_some()),
            (None, true)
        );
        assert_eq!(at("node-fills", "nodefs.available", 0.9, 60), warns("nodefs.available below 10% within 4h at the rate of the last 6h"));
        assert_eq!((at("node-fills", "nodefs.available", 0.899, 60), at("node-space", "pid.available", 1.0, 60)), (None, None));
    }

    #[test]
    fn as_its_kubelet_is_configured_and_not_twice() {
        let mut fleet = Fleet::default();
        let evicts = "nodefs.available<5%,nodefs.available<20%,imagefs.available<1Gi,pid.available<10%".into();
        let kubelet = Kubelet { node: "n1".into(), evicts, ..Kubelet::default() };
        fleet.delta(0, Delta::Asked(Asked { kubelets: Ok([kubelet].into()), ..Asked::default() }.into()));
        fleet.put(Kind::Node, [node("n1", "True", 9000)]);
        let of = |fleet: &mut Fleet, signal: &str, value: f64| {
            seen(fleet, &RULE, "node-space", &[("instance", "n1:9100"), ("signal", signal)], value, 60).map(|f| (f.message, f.evidence))
        };
        let (message, evidence) = of(&mut fleet, "nodefs.available", 0.75).unwrap();
        assert_eq!(message, "nodefs.available 25% left, it evicts below 20%");
        assert!(evidence.iter().any(|e| e.value == "as its configuration has it"), "{evidence:?}");
        assert_eq!(of(&mut fleet, "nodefs.available", 0.74), None);
        assert_eq!(of(&mut fleet, "imagefs.available", 0.99), None, "how large it is is not told");
        let pids = of(&mut fleet, "pid.available", 0.85).map(|f| f.0);
        assert_eq!(pids.as_deref(), Some("pid.available 15% left, it evicts below 10%"));
        assert_eq!(of(&mut fleet, "pid.available", 0.84), None);
        let mut n = node("n1", "True", 9000);
        let on = json!({"type": "DiskPressure", "status": "True", "lastTransitionTime": ago(600)});
        n["status"]["conditions"].as_array_mut().unwrap().push(on);
        fleet.put(Kind::Node, [n]);
        assert_eq!(of(&mut fleet, "nodefs.available", 0.99), None);
        assert_eq!(fleet.severity(Kind::Node, "n1", RULE.id), Some(Severity::Critical));
    }
    #[test]
    fn a_pressure_that_is_told_silences_its_own_signal_alone() {
        let mut fleet = Fleet::default();
        let kubelet = Kubelet { node: "n1".into(), evicts: "pid.available<10%,memory.available<10%".into(), ..Kubelet::default() };
        fleet.delta(0, Delta::Asked(Asked { kubelets: Ok([kubelet].into()), ..Asked::default() }.into()));
        let mut of = |pressure: &str, signal: &str| {
            let mut n = node("n1", "True", 9000);
            let on = json!({"type": pressure, "status": "True", "lastTransitionTime": ago(600)});
            n["status"]["conditions"].as_array_mut().unwrap().push(on);
            fleet.put(Kind::Node, [n]);
            seen(&mut fleet, &RULE, "node-space", &[("instance", "n1:9100"), ("signal", signal)], 0.95, 60).is_some()
        };
        assert_eq!((of("PIDPressure", "pid.available"), of("PIDPressure", "memory.available")), (false, true));
        assert_eq!((of("MemoryPressure", "pid.available"), of("MemoryPressure", "memory.available")), (true, false));
    }
}
