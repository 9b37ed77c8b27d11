//! A container that the kernel killed for memory within the last hour, or a process in it.
//!
//! Kills are counted by the restarts that were seen, by what Prometheus counts, and of a young pod by all that it had. What ran out is told by the most
//! that the container used (Prometheus; what grows faster than it is measured is not seen), by how long it ran, and by what else was killed on its node.
//! Left out: the kernel's own words, which only events of node-problem-detector have.

use super::measured::{BASE, Measured, Seen, USUAL};
use super::{containers, core, later, spec};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, age, clock};
use crate::model::{ContainerStatus, Kind, Measure, Object, Phase, Pod, Terminated, Time};

const WINDOW: Threshold = Threshold { name: "window", default: "1h", doc: "how long a kill is shown" };
const MANY: Threshold = Threshold { name: "many", default: "3", doc: "kills in the window that make it critical" };
const LIMIT: Threshold = Threshold { name: "limit-from", default: "95%", doc: "of its limit, the use from which the limit was reached" };

/// What ran no longer was killed at its start (seconds).
const START: i64 = 60;
/// Kills on one node so close to each other (seconds) are the node's.
const TOGETHER: i64 = 120;
/// How often one looks again (seconds) at what is measured.
const AGAIN: i64 = 60;

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "container-oomkilled",
        area: "availability",
        scope: "container, rolled up to its workload",
        summary: "A container was OOMKilled in the last hour, critical when it is core or was killed three times; or a process in it was, and the container runs on (a warning)",
        why: "The kernel killed the process; the right fix differs if the container limit, the node, or a child process ran out.",
        kinds: &[Kind::Pod, Kind::Signal],
        thresholds: &[WINDOW, MANY, LIMIT],
        peers: &["npd:OOMKilling", "~krr:use_oomkill_data"],
        links: &[
            "https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/",
            "https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/",
        ],
        ..BASE
    },
    queries: &["oom-kills"],
    level: |seen| {
        // What restarted is told at the pod.
        let Some(Object::Pod(pod)) = seen.object() else { return None };
        let c = pod.containers.iter().find(|c| *c.name == *seen.label("container"))?;
        let ended = killed(c).and_then(|t| t.finished).is_some_and(|at| at.age(seen.judge.now) < seen.threshold(&WINDOW));
        (!ended && seen.number() >= 1.0 && c.restarts == 0).then_some(Severity::Warning)
    },
    says: |seen| format!("{} processes in {} OOMKilled in 15m, it runs on", seen.value(), seen.label("container")),
    next: "Its main process lives and a child was killed: look for workers that vanish; raise the memory limit or start fewer of them",
    more: |seen, finding| finding.with_all([("memory limit", of_signal(seen).map_or_else(|| "none".to_owned(), binary))]),
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

fn of_signal(seen: &Seen<'_>) -> Option<i64> {
    let Some(Object::Pod(pod)) = seen.object() else { return None };
    pod.shape.containers.iter().find(|c| *c.name == *seen.label("container"))?.resources.memory_limit
}

/// How it ended last, where that was for memory.
fn killed(c: &ContainerStatus) -> Option<&Terminated> {
    let ends = c.terminated().into_iter().chain(c.last.as_deref());
    ends.filter(|t| t.reason.as_deref() == Some("OOMKilled")).max_by_key(|t| t.finished)
}

/// A query's value for a container of a pod.
fn measured(judge: &Judge<'_>, object: &Object, query: &str, container: &str) -> Option<f64> {
    judge.cluster.signals_of(object, query).find(|s| s.meta.labels.get("container") == Some(container))?.value
}

/// How often it was killed within the window, as far as is known.
fn kills(judge: &Judge<'_>, object: &Object, pod: &Pod, c: &ContainerStatus, window: i64) -> i64 {
    let of = pod.meta.owner.as_ref().map_or(pod.meta.uid, |o| o.uid);
    let seen = judge.cluster.history.restarts(of).filter(|r| r.pod == pod.meta.uid && r.container == c.name && r.at > judge.now - window);
    let seen: i64 = seen.map(|r| i64::from(r.times)).sum();
    let counted = measured(judge, object, "oom-restarts", &c.name).map_or(0, |n| super::measured::whole(n.round()));
    let young = pod.meta.created.is_some_and(|t| t.age(judge.now) < window);
    seen.max(counted).max(if young { i64::from(c.restarts) } else { 0 }).max(1)
}

/// Pods of others on its node of which a container was killed at about the same time.
fn beside(judge: &Judge<'_>, pod: &Pod, at: Time) -> usize {
    let near = |c: &ContainerStatus| killed(c).and_then(|t| t.finished).is_some_and(|t| (t.secs() - at.secs()).abs() <= TOGETHER);
    // Its own siblings have the same limit.
    let owner = |p: &Pod| p.meta.owner.as_ref().map_or(p.meta.uid, |o| o.uid);
    let others = judge.index.on_node(judge.cluster, pod.node.as_deref().unwrap_or_default());
    others.filter(|o| matches!(o, Object::Pod(p) if owner(p) != owner(pod) && containers(p).any(near))).count()
}

/// What ran out, and what to do about it.
fn class(judge: &Judge<'_>, pod: &Pod, end: &Terminated, limit: Option<i64>, peak: Option<f64>, at: Time) -> (String, &'static str) {
    let ran = end.started.map(|s| s.age(at.secs()));
    let beside = beside(judge, pod, at);
    let reached = peak.map(|p| p * 100.0 >= judge.value(&LIMIT) as f64);
    match (limit, ran, reached) {
        (None, ..) => (
            "the node: it has no limit".to_owned(),
            "It has no limit: the node ran out. Look at the node's memory and what else runs there; set requests and limits",
        ),
        (_, _, Some(false) | None) if beside > 0 => (
            format!("the node: {beside} other pods there were killed at that time"),
            "Look at the node's memory and what runs there above its requests; lower the overcommit before any limit is raised",
        ),
        (_, Some(ran), _) if ran <= START => (
            format!("the limit, {} after the start", age(ran)),
            "The limit is below what a start needs: raise it; if it began with a new revision, roll back",
        ),
        (_, _, Some(false)) => (
            "not the limit as it was measured: it grew faster than that, or the node ran out".to_owned(),
            "Look at the node's memory at that time; if it had room, raise the memory limit above what a burst needs",
        ),
        (_, Some(ran), Some(true)) if ran >= 3600 => (
            format!("the limit, reached after {}", age(ran)),
            "Compare its memory over some runs: where it climbs alike each time it is a leak; else raise the limit above the peak",
        ),
        _ => (
            if reached.is_some() { "the limit" } else { "the limit or the node: its use is not measured" }.to_owned(),
            "Raise the memory limit above the peak before the kill, or find the leak; if it began with a new revision, roll back",
        ),
    }
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Pod(pod)) = judge.object else { return FACTS.judge(judge) };
    if pod.phase == Phase::Succeeded || pod.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let kill = containers(pod).filter_map(|c| Some((c, killed(c)?))).max_by_key(|(_, t)| t.finished);
    let Some((c, end)) = kill else { return Verdict::Fine };
    let Some(at) = end.finished else { return Verdict::Fine };
    let window = judge.value(&WINDOW);
    if at.age(judge.now) >= window {
        return Verdict::Fine;
    }
    let kills = kills(judge, object, pod, c, window);
    let severity = if kills >= judge.value(&MANY) || core(judge, object) { Severity::Critical } else { Severity::Warning };
    let limit = spec(pod, c).and_then(|s| s.resources.memory_limit);
    let peak = measured(judge, object, "oom-peak", &c.name);
    let (class, next) = class(judge, pod, end, limit, peak, at);
    let of = limit.map_or_else(|| "no limit".to_owned(), |bytes| format!("limit {}", binary(bytes)));
    let mut finding = judge
        .finding(severity, Some(at), format!("OOMKilled {}, {of}", clock(at)))
        .with("container", &*c.name, None)
        .with("what ran out", class, Some(at))
        .with("kills within the window", kills.to_string(), Some(at))
        .with("memory limit", limit.map_or_else(|| "none".to_owned(), binary), None)
        .with("node", pod.node.as_deref().unwrap_or("none"), None)
        .with("QoS", pod.qos.as_str(), None)
        .with("restarts", c.restarts.to_string(), Some(at));
    if let Some(peak) = peak {
        finding = finding.with("most that was measured in 1h, of its limit", Measure::Ratio.text(peak), None);
    }
    // What Prometheus measures of it comes later than the kill, or not at all.
    Verdict::BurningUntil(finding.then(next), (at.secs() + window).min(later(judge, AGAIN)))
}

/// Bytes as a template would say them: `512Mi`.
pub(super) fn binary(bytes: i64) -> String {
    let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
    let unit = units
        .iter()
        .find(|(shift, _)| bytes >= 1 << shift && bytes % (1 << shift) == 0)
        .or(units.iter().find(|(shift, _)| bytes >= 100 << shift));
    unit.map_or_else(|| bytes.to_string(), |(shift, name)| format!("{}{name}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, crashing, judged, pod, running, told};
    use crate::inspect::rules::measured::tests::{seen, shipped};
    use crate::model::{Service, ServiceState, Signal, signal::tests::labels};
    use serde_json::{Value, json};

    fn killed(metadata: Value, restarts: u32, reason: &str, ended: i64) -> Option<Severity> {
        judged(Kind::Pod, pod(metadata, "n", true, ended, crashing(restarts, 137, reason, ended)), "container-oomkilled")
    }

    #[test]
    fn for_an_hour() {
        let old = || json!({"name": "p", "creationTimestamp": ago(90_000)});
        assert_eq!(killed(old(), 1, "OOMKilled", 3599), Some(Severity::Warning));
        assert_eq!(killed(old(), 1, "OOMKilled", 3600), None);
        assert_eq!(killed(old(), 1, "Error", 60), None);
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod(old(), "n", true, 60, crashing(1, 137, "OOMKilled", 60))]);
        assert_eq!(fleet.finding(Kind::Pod, "p", "container-oomkilled").unwrap().message, "OOMKilled 11:59Z, limit 512Mi");
        assert_eq!(fleet.wait(3540).severity(Kind::Pod, "p", "container-oomkilled"), None);
    }

    #[test]
    fn critical_when_core_or_killed_three_times_in_a_young_pod() {
        assert_eq!(killed(json!({"name": "p", "labels": {"tier": "core"}}), 1, "OOMKilled", 60), Some(Severity::Critical));
        let young = || json!({"name": "p", "creationTimestamp": ago(1800)});
        assert_eq!(killed(young(), 3, "OOMKilled", 60), Some(Severity::Critical));
        assert_eq!(killed(young(), 2, "OOMKilled", 60), Some(Severity::Warning));
    }

    const OF: [(&str, &str); 3] = [("namespace", "pay"), ("pod", "p"), ("container", "app")];

    /// Prometheus tells these of the one container.
    fn tell(fleet: &mut Fleet, all: &[(&str, f64)]) {
        let row = |(query, value): &(&str, f64)| Object::Signal(Signal::of(&shipped(query), labels(&OF), *value, [*value].into()).into());
        told(fleet, Service::Prometheus, ServiceState::Live, all.iter().map(row).collect());
        fleet.wait(60);
    }

    fn ran(restarts: u32, secs: i64) -> Value {
        let mut c = crashing(restarts, 137, "OOMKilled", 60);
        c["lastState"]["terminated"]["startedAt"] = json!(ago(60 + secs));
        c
    }

    #[test]
    fn kills_are_counted_by_what_is_seen_and_by_prometheus() {
        let old = || json!({"name": "p", "creationTimestamp": ago(90_000)});
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod(old(), "n", true, 60, ran(7, 600))]);
        let severity = |f: &Fleet| f.severity(Kind::Pod, "p", RULE.id);
        fleet.put(Kind::Pod, [pod(old(), "n", true, 60, ran(9, 600))]);
        assert_eq!(severity(&fleet), Some(Severity::Warning));
        fleet.put(Kind::Pod, [pod(old(), "n", true, 60, ran(10, 600))]);
        assert_eq!(severity(&fleet), Some(Severity::Critical));
        assert_eq!(fleet.finding(Kind::Pod, "p", RULE.id).unwrap().evidence[2].value, "3");
        let by = |count: f64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Pod, [pod(old(), "n", true, 60, ran(7, 600))]);
            tell(&mut fleet, &[("oom-restarts", count)]);
            fleet.severity(Kind::Pod, "p", RULE.id)
        };
        assert_eq!((by(2.4), by(2.6)), (Some(Severity::Warning), Some(Severity::Critical)));
    }

    #[test]
    fn what_ran_out() {
        let of = |secs: i64, peak: Option<f64>, other: bool| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Pod, [pod(json!({"name": "p"}), "n", true, 60, ran(1, secs))]);
            if other {
                fleet.put(Kind::Pod, [pod(json!({"name": "q"}), "n", true, 100, crashing(1, 137, "OOMKilled", 100))]);
            }
            tell(&mut fleet, &peak.map(|p| ("oom-peak", p)).into_iter().chain([("api-latency", 0.1)]).collect::<Vec<_>>());
            fleet.finding(Kind::Pod, "p", RULE.id).unwrap().evidence[1].value.clone()
        };
        assert_eq!(of(7200, Some(0.95), false), "the limit, reached after 2h");
        assert_eq!(of(600, Some(0.95), true), "the limit");
        assert!(of(7200, Some(0.949), false).starts_with("not the limit as it was measured"));
        assert_eq!(of(7200, Some(0.949), true), "the node: 1 other pods there were killed at that time");
        assert_eq!(of(30, None, false), "the limit, 30s after the start");
        assert_eq!(of(61, None, false), "the limit or the node: its use is not measured");
    }

    #[test]
    fn a_process_that_is_killed_and_a_container_that_runs_on() {
        let of = |status: Value, value: f64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Pod, [pod(json!({"name": "p"}), "n", true, 9000, status)]);
            seen(&mut fleet, &RULE, "oom-kills", &OF, value, 0).map(|f| (f.severity, f.message))
        };
        assert_eq!(of(running(), 2.0), Some((Severity::Warning, "2 processes in app OOMKilled in 15m, it runs on".to_owned())));
        assert_eq!((of(running(), 0.9), of(ran(1, 600), 2.0)), (None, None));
    }
}
