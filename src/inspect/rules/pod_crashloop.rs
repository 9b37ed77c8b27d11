//! A container that ends soon after each start.
//!
//! "In 3 of the last 5 minutes" needs history; its place is taken by the restart's own times: a container that runs again is still
//! looping until it has run for `settled` since its last short life. Left out: the log's tail and the image digest.

use super::{containers, core, exit, spec, workload_of};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{ContainerState, ContainerStatus, Kind, Object, Pod, Tri, VerbId};

const AFTER: Threshold = Threshold { name: "after", default: "2m", doc: "how long it must go on" };
const SETTLED: Threshold =
    Threshold { name: "settled", default: "5m", doc: "how long a restarted container must run to count as recovered" };

/// The kubelet forgets the back-off of a container that ran this long (seconds): its end is a first crash, not a loop.
const RESET: i64 = 600;

pub static RULE: RuleInfo = RuleInfo {
    id: "pod-crashloop",
    area: "availability",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "pod, rolled up to its workload",
    summary: "A container is in CrashLoopBackOff, or just left it; critical when the workload has no ready pod or is core",
    why: "The process exits soon after start and the restart back-off grows to 5 minutes, so capacity is silently missing.",
    kinds: &[Kind::Pod],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER, SETTLED],
    peers: &["popeye:203", "k8s-mixin:KubePodCrashLooping"],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping/",
        "https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/",
    ],
    judge,
};

/// Since when the container loops and, when it runs just now, since when it does.
struct Loop {
    began: i64,
    running: Option<i64>,
}

fn looping(pod: &Pod, c: &ContainerStatus, settled: i64, now: i64) -> Option<Loop> {
    let last = c.last.as_deref().or(c.terminated());
    let ended = last.and_then(|t| t.finished).map(|t| t.secs());
    let short = last.and_then(|t| Some(t.finished?.secs() - t.started?.secs())).is_none_or(|ran| ran < RESET);
    let unready = (pod.ready != Tri::True).then_some(pod.ready_since.or(pod.meta.created)).flatten().map(|t| t.secs());
    // Four short lives in a row last longer than the hold: 10, 20, 40 and 80 s of back-off.
    let long = if short && c.restarts >= 4 { ended.map(|e| e - 150) } else { None };
    let began = match (short, ended) {
        (false, Some(ended)) => ended,
        _ => [unready, long, ended].into_iter().flatten().min().unwrap_or(now),
    };
    match &c.state {
        ContainerState::Waiting { reason, .. } if reason.as_deref() == Some("CrashLoopBackOff") => Some(Loop { began, running: None }),
        ContainerState::Running { since } if short && c.restarts >= 3 => {
            let since = since.map_or(now, |t| t.secs());
            (now < since + settled).then_some(Loop { began, running: Some(since) })
        }
        ContainerState::Terminated(_) if short && c.restarts >= 3 && &*pod.shape.restart_policy != "Never" && c.last.is_some() => {
            Some(Loop { began, running: None })
        }
        _ => None,
    }
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Pod(pod)) = judge.object else { return Verdict::Fine };
    if pod.finished() || pod.meta.deleting.is_some() || !containers(pod).any(|c| c.restarts > 0) {
        return Verdict::Fine;
    }
    let settled = judge.value(&SETTLED);
    // The container in back-off now before one that runs again; of two, the one that loops longer.
    let all = containers(pod).filter_map(|c| Some((c, looping(pod, c, settled, judge.now)?)));
    let Some((c, at)) = all.min_by_key(|(_, l)| (l.running.is_some(), l.began)) else { return Verdict::Fine };
    let hold = judge.value(&AFTER);
    if let Err(due) = judge.held(at.began, hold) {
        return Verdict::FineUntil(due);
    }
    let workload = workload_of(judge, object);
    let none_ready = workload.is_some_and(|w| w.ready == 0 && !matches!(w.kind, Kind::Job | Kind::CronJob));
    let severity = if none_ready || core(judge, object) { Severity::Critical } else { Severity::Warning };
    let last = c.last.as_deref().or(c.terminated());
    let message = match last {
        Some(t) if t.signal != 0 && t.exit_code == 0 => format!("signal {}", t.signal),
        Some(t) => format!("exit {}", t.exit_code),
        None => "CrashLoopBackOff".to_owned(),
    };
    let since = if pod.ready == Tri::True { last.and_then(|t| t.finished) } else { pod.ready_since.or(pod.meta.created) };
    let mut finding =
        judge.finding(severity, since, message).with("container", &*c.name, None).with("restarts", c.restarts.to_string(), None);
    if let Some(t) = last {
        finding = finding.with("last exit", exit(t.exit_code), t.finished);
        if let Some(reason) = t.reason.as_deref().filter(|r| *r != "Error") {
            finding = finding.with("reason", reason, t.finished);
        }
        if let Some(message) = t.message.as_deref() {
            finding = finding.with("message", message.lines().last().unwrap_or(""), t.finished);
        }
    }
    if let Some(spec) = spec(pod, c) {
        finding = finding.with("image", &*spec.image, None);
    }
    let finding = finding.then("Read the previous instance's log; if it began with a new revision, roll back");
    let finding = finding.act(VerbId::Rollback, super::rolls_back(judge, object), &[]);
    match at.running {
        Some(since) => Verdict::BurningUntil(finding, since + settled),
        None => Verdict::Burning(finding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, crashing, deployment, judged, owned, pod, replicaset, running};
    use serde_json::json;

    fn looped(status: serde_json::Value, unready: i64) -> Option<Severity> {
        judged(Kind::Pod, pod(json!({"name": "p", "creationTimestamp": ago(9000)}), "n", false, unready, status), "pod-crashloop")
    }

    #[test]
    fn fires_after_two_minutes() {
        assert_eq!(looped(crashing(2, 1, "Error", 20), 119), None);
        assert_eq!(looped(crashing(2, 1, "Error", 20), 120), Some(Severity::Warning));
        assert_eq!(looped(crashing(9, 1, "Error", 5), 10), Some(Severity::Warning), "nine short lives are a loop at once");
        assert_eq!(looped(running(), 9000), None);
    }

    #[test]
    fn the_first_crash_after_days_is_none_yet() {
        let mut c = crashing(11, 1, "Error", 100);
        c["lastState"]["terminated"]["startedAt"] = json!(ago(90_000));
        assert_eq!(looped(c, 100), None);
    }

    #[test]
    fn a_restarted_container_must_settle() {
        let mut c = crashing(6, 1, "Error", 100);
        c["state"] = json!({"running": {"startedAt": ago(60)}});
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod(json!({"name": "p"}), "n", true, 60, c)]);
        assert_eq!(fleet.severity(Kind::Pod, "p", "pod-crashloop"), Some(Severity::Warning));
        assert_eq!(fleet.wait(239).severity(Kind::Pod, "p", "pod-crashloop"), Some(Severity::Warning));
        assert_eq!(fleet.wait(1).severity(Kind::Pod, "p", "pod-crashloop"), None);
    }

    #[test]
    fn critical_without_a_ready_replica_whatever_arrives_first() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "rs"), "n", false, 600, crashing(9, 137, "Error", 20))]);
        assert_eq!(fleet.severity(Kind::Pod, "p", "pod-crashloop"), Some(Severity::Warning));
        fleet.put(Kind::Deployment, [deployment("d", 2, 0)]);
        fleet.put(Kind::ReplicaSet, [replicaset("rs", "d", 2, "reg/app:1.9", 700, 2)]);
        assert_eq!(fleet.severity(Kind::Pod, "p", "pod-crashloop"), Some(Severity::Critical));
        fleet.put(Kind::Deployment, [deployment("d", 2, 1)]);
        assert_eq!(fleet.severity(Kind::Pod, "p", "pod-crashloop"), Some(Severity::Warning));
    }
}
