//! Containers that restart again and again without ever being caught in back-off, and replicas that restart together.
//!
//! Restarts are dated by what was seen since this program follows the cluster; before that only by what a young pod's count proves. The
//! restarts of a workload's replicas within ten minutes of each other are dated by the containers' own times. Left out: which dependency
//! changed at the same time.

use super::{containers, exit};
use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict, clock};
use crate::model::{Kind, Object, Pod, Time, VerbId, Workload};

const HOUR: Threshold = Threshold { name: "warning-in-hour", default: "3", doc: "restarts of a container in an hour" };
const DAY: Threshold = Threshold { name: "warning-in-day", default: "8", doc: "restarts of a container in a day" };
const INFO: Threshold = Threshold { name: "info-in-day", default: "3", doc: "restarts of a container in a day that are told" };
const SHARE: Threshold = Threshold { name: "share", default: "50%", doc: "of a workload's replicas that restart together" };
const TOGETHER: Threshold = Threshold { name: "together", default: "10m", doc: "what is together" };

pub static RULE: RuleInfo = RuleInfo {
    id: "container-restart-rate",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "pod, and the workload whose replicas restart together",
    summary: "A container restarted 3 times in an hour or 8 times in a day (info from 3 in a day); critical: half of a workload's replicas restarted within 10 minutes",
    why: "Slow restart loops and synchronous restarts never reach CrashLoopBackOff, so status columns look healthy.",
    kinds: &[Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet],
    needs: &[Need::Kind(Kind::Pod)],
    leans_on: &[],
    thresholds: &[HOUR, DAY, INFO, SHARE, TOGETHER],
    peers: &["popeye:205"],
    links: &[
        "https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/",
        "https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/",
    ],
    judge,
};

const SECS_OF_HOUR: i64 = 3600;
const SECS_OF_DAY: i64 = 86_400;

fn judge(judge: &Judge<'_>) -> Verdict {
    match judge.object {
        Some(object @ Object::Pod(pod)) => one(judge, object, pod),
        Some(object @ Object::Workload(w)) => together(judge, object, w),
        _ => Verdict::Fine,
    }
}

/// The restarts of one pod's container: in the last hour and the last day, and when the next of them is too old to count.
fn rate(judge: &Judge<'_>, pod: &Pod, container: &str, restarts: u32) -> (u32, u32, Option<i64>) {
    let of = pod.meta.owner.as_ref().map_or(pod.meta.uid, |o| o.uid);
    let seen = judge.cluster.history.restarts(of).filter(|r| r.pod == pod.meta.uid && *r.container == *container);
    let (mut hour, mut day, mut next) = (0, 0, None);
    for r in seen {
        let age = judge.now - r.at;
        if age < SECS_OF_DAY {
            day += r.times;
            let end = r.at + if age < SECS_OF_HOUR { SECS_OF_HOUR } else { SECS_OF_DAY };
            next = Some(next.map_or(end, |n: i64| n.min(end)));
        }
        if age < SECS_OF_HOUR {
            hour += r.times;
        }
    }
    // All of a young pod's restarts are of its life.
    if let Some(began) = pod.started.or(pod.meta.created).map(Time::secs) {
        let age = judge.now - began;
        if age < SECS_OF_DAY {
            day = day.max(restarts);
            next = Some(next.unwrap_or(began + SECS_OF_DAY).min(began + SECS_OF_DAY));
        }
        if age < SECS_OF_HOUR {
            hour = hour.max(restarts);
            next = Some(next.unwrap_or(began + SECS_OF_HOUR).min(began + SECS_OF_HOUR));
        }
    }
    (hour, day, next)
}

fn one(judge: &Judge<'_>, object: &Object, pod: &Pod) -> Verdict {
    if pod.finished() || pod.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let restarted = containers(pod).filter(|c| c.restarts > 0);
    let rates = restarted.map(|c| (c, rate(judge, pod, &c.name, c.restarts)));
    let Some((c, (hour, day, next))) = rates.max_by_key(|(_, (hour, day, _))| (*hour, *day)) else { return Verdict::Fine };
    let reached = |n: u32, t: &Threshold| i64::from(n) >= judge.value(t);
    let (severity, message) = match () {
        () if reached(hour, &HOUR) => (Severity::Warning, format!("{} restarted {hour} times in an hour", c.name)),
        () if reached(day, &DAY) => (Severity::Warning, format!("{} restarted {day} times in a day", c.name)),
        () if reached(day, &INFO) => (Severity::Info, format!("{} restarted {day} times in a day", c.name)),
        () => return Verdict::Fine,
    };
    let of = pod.meta.owner.as_ref().map_or(pod.meta.uid, |o| o.uid);
    let times = judge.cluster.history.restarts(of).filter(|r| r.pod == pod.meta.uid).rev().filter_map(|r| Time::from_secs(r.at));
    let times = joined(times.map(clock).collect::<Vec<_>>(), 8);
    let said = judge.index.said(judge.cluster, pod.meta.uid);
    let probe = said.filter(|e| &*e.reason == "Unhealthy" && e.message.starts_with("Liveness")).max_by_key(|e| e.last);
    let last = c.last.as_deref().or(c.terminated());
    let mut finding = judge
        .finding(severity, last.and_then(|t| t.finished), message)
        .with("restarts in all", c.restarts.to_string(), None)
        .with("seen at", times, None);
    if let Some(t) = last {
        let reason = t.reason.as_deref().map(|r| format!(", {r}")).unwrap_or_default();
        finding = finding.with("last exit", format!("{}{reason}", exit(t.exit_code)), t.finished);
    }
    if let Some(e) = probe {
        finding = finding.with("liveness probe", &*e.message, e.last);
    }
    finding = finding
        .then("Read the logs of the previous instance, and lay its restarts beside rollouts, node events and failed probes")
        .act(VerbId::Rollback, super::rolls_back(judge, object).filter(|o| o.kind == Kind::Deployment && hour > 0), &[]);
    match next {
        Some(at) => Verdict::BurningUntil(finding, at),
        None => Verdict::Burning(finding),
    }
}

/// Half of a workload's replicas restarted within ten minutes, in the last hour.
fn together(judge: &Judge<'_>, object: &Object, w: &Workload) -> Verdict {
    if w.meta.owner.is_some() || w.desired.unwrap_or(0) < 2 {
        return Verdict::Fine;
    }
    let pods = judge.index.pods(judge.cluster, w.meta.uid);
    let ended = |p: &Pod| containers(p).filter_map(|c| c.last.as_ref()?.finished).max();
    let mut times: Vec<(i64, &str)> = pods.iter().filter_map(|p| Some((ended(p)?.secs(), p.node.as_deref().unwrap_or("")))).collect();
    times.retain(|(at, _)| judge.now - at < SECS_OF_HOUR);
    times.sort_unstable();
    let within = judge.value(&TOGETHER);
    let from = |n: usize| times[n..].iter().take_while(|(at, _)| at - times[n].0 <= within).count();
    let Some((most, at)) = (0..times.len()).map(|n| (from(n), n)).max_by_key(|(n, at)| (*n, *at)) else { return Verdict::Fine };
    let of = pods.len();
    if most < 2 || i64::try_from(most * 100).unwrap_or(i64::MAX) < judge.value(&SHARE) * i64::try_from(of).unwrap_or(i64::MAX) {
        return Verdict::Fine;
    }
    let group = &times[at..at + most];
    let mut nodes: Vec<&str> = group.iter().map(|(_, n)| *n).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let moments = joined(group.iter().filter_map(|(at, _)| Time::from_secs(*at)).map(clock).collect::<Vec<_>>(), 8);
    let began = Time::from_secs(group[0].0);
    let finding = judge
        .finding(Severity::Critical, began, format!("{most} of {of} replicas restarted within {}", crate::inspect::age(within)))
        .with("ended at", moments, began)
        .with("on nodes", joined(nodes, 6), None)
        .then("They share something that failed: a dependency, a liveness probe that reaches it, their node; see what changed at that time")
        .act(VerbId::Rollback, super::rolls_back(judge, object).filter(|o| o.kind == Kind::Deployment), &[]);
    Verdict::BurningUntil(finding, group[0].0 + SECS_OF_HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment, owned, pod, replicaset, running};
    use serde_json::{Value, json};

    fn restarted(name: &str, restarts: u32, ended: i64, created: i64) -> Value {
        let mut status = running();
        status["restartCount"] = json!(restarts);
        status["lastState"] =
            json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": ago(ended + 900), "finishedAt": ago(ended)}});
        let mut metadata = owned(name, Kind::ReplicaSet, "rs");
        metadata["creationTimestamp"] = json!(ago(created));
        let mut p = pod(metadata, "n1", true, 900, status);
        p["status"]["startTime"] = json!(ago(created));
        p
    }

    #[test]
    fn restarts_that_were_seen_count_for_an_hour_and_a_day() {
        let mut fleet = Fleet::default();
        let old = |n: u32| restarted("p", n, 100, 900_000);
        let severity = |f: &Fleet| f.severity(Kind::Pod, "p", RULE.id);
        fleet.put(Kind::Pod, [old(40)]);
        assert_eq!(severity(&fleet), None, "nobody knows when they were");
        fleet.put(Kind::Pod, [old(42)]);
        assert_eq!(severity(&fleet), None);
        fleet.wait(600).put(Kind::Pod, [old(43)]);
        assert_eq!(severity(&fleet), Some(Severity::Warning), "three in an hour");
        fleet.wait(SECS_OF_HOUR - 601);
        assert_eq!(severity(&fleet), Some(Severity::Warning));
        fleet.wait(1);
        assert_eq!(severity(&fleet), Some(Severity::Info), "three in a day");
        fleet.put(Kind::Pod, [old(48)]);
        assert_eq!(severity(&fleet), Some(Severity::Warning), "eight in a day");
        fleet.wait(2 * SECS_OF_DAY);
        assert_eq!(severity(&fleet), None);
    }

    #[test]
    fn a_young_pods_count_is_proof() {
        let at = |restarts: u32, created: i64| {
            Fleet::default().put(Kind::Pod, [restarted("p", restarts, 100, created)]).severity(Kind::Pod, "p", RULE.id)
        };
        assert_eq!((at(2, 3000), at(3, 3000)), (None, Some(Severity::Warning)));
        assert_eq!((at(3, 4000), at(7, 4000), at(8, 4000)), (Some(Severity::Info), Some(Severity::Info), Some(Severity::Warning)));
        assert_eq!(at(50, SECS_OF_DAY), None);
    }

    #[test]
    fn half_of_the_replicas_within_ten_minutes() {
        let at = |ended: &[i64]| {
            let mut fleet = Fleet::default();
            let n = 4;
            fleet.put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 90_000, n)]);
            fleet.put(Kind::Pod, ended.iter().enumerate().map(|(n, e)| restarted(&format!("p{n}"), 1, *e, 900_000)));
            fleet.put(Kind::Deployment, [deployment("web", n, n)]).severity(Kind::Deployment, "web", RULE.id)
        };
        const OLD: i64 = 80_000;
        assert_eq!(at(&[100, 700, OLD, OLD]), Some(Severity::Critical));
        assert_eq!(at(&[100, 701, OLD, OLD]), None, "not together");
        assert_eq!(at(&[100, OLD, OLD, OLD]), None, "one of four");
        assert_eq!(at(&[3599, 3590, OLD, OLD]), Some(Severity::Critical));
        assert_eq!(at(&[3600, 3590, OLD, OLD]), None, "an hour ago");
    }
}
