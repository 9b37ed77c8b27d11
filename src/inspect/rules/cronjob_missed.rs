//! A CronJob that does not run as it says.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, age};
use crate::model::{Cron, Kind, Object, Time, VerbId, WorkloadDetail};

const RUNS: Threshold = Threshold { name: "runs", default: "2", doc: "so many runs in a row may not begin" };
const GOOD: Threshold = Threshold { name: "good-runs", default: "3", doc: "so many runs in a row may not succeed" };
const SUSPENDED: Threshold = Threshold { name: "suspended-after", default: "7d", doc: "how long it may be suspended" };

pub static RULE: RuleInfo = RuleInfo {
    id: "cronjob-missed",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "cronjob",
    summary: "Two runs in a row did not begin, three did not succeed, or it is suspended for a week",
    why: "A schedule that stopped is invisible: there is no failed pod to look at.",
    kinds: &[Kind::CronJob],
    needs: &[],
    leans_on: &[],
    thresholds: &[RUNS, GOOD, SUSPENDED],
    peers: &["popeye:1500", "popeye:1501", "popeye:1502", "popeye:1503", "kube-score:cronjob-has-deadline"],
    links: &["https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#cron-job-limitations"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    let WorkloadDetail::CronJob { schedule, time_zone, suspended, last_schedule, last_success, .. } = &w.detail else {
        return Verdict::Fine;
    };
    if w.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    if *suspended && judge.written {
        return Verdict::Fine;
    }
    if *suspended {
        return super::after(judge.held_since_seen(judge.value(&SUSPENDED)), || {
            judge
                .finding(Severity::Warning, None, "suspended for a week")
                .with("last run", last_schedule.map(Time::rfc3339).unwrap_or_default(), *last_schedule)
                .then("Let it run again, or delete it when nobody needs it")
                .act(VerbId::Unsuspend, Some(object.reference(judge.cluster.id)), &[])
        });
    }
    // Without a time zone it is the controller manager's, which in a cluster of one's own may be another one.
    let text = time_zone.as_ref().map_or_else(|| schedule.to_string(), |z| format!("CRON_TZ={z} {schedule}"));
    let Ok(cron) = Cron::parse(&text) else {
        return Verdict::Burning(
            judge
                .finding(Severity::Warning, w.meta.created, format!("never runs: `{schedule}` cannot be read"))
                .then("Correct spec.schedule or spec.timeZone")
                .edit(),
        );
    };
    let after = |from: Option<Time>, n: i64| -> Option<i64> {
        let mut at = from.or(w.meta.created)?.secs();
        for _ in 0..n.clamp(1, 100) {
            at = cron.next(at)?;
        }
        Some(at)
    };
    // The run after the ones that may be missed; a controller takes some seconds.
    let missed = after(*last_schedule, judge.value(&RUNS)).map(|at| at + 60);
    let bad = after(*last_success, judge.value(&GOOD)).map(|at| at + 60);
    let (due, message) = match (missed, bad) {
        (Some(at), _) if judge.now >= at => (at, format!("has not run since {}", told(*last_schedule, judge.now))),
        (_, Some(at)) if judge.now >= at => (at, format!("has not succeeded since {}", told(*last_success, judge.now))),
        (missed, bad) => return missed.into_iter().chain(bad).min().map_or(Verdict::Fine, Verdict::FineUntil),
    };
    Verdict::Burning(
        judge
            .finding(Severity::Warning, Time::from_secs(due), message)
            .with("schedule", text, None)
            .with("last run", last_schedule.map(Time::rfc3339).unwrap_or_default(), *last_schedule)
            .with("last success", last_success.map(Time::rfc3339).unwrap_or_default(), *last_success)
            .then("See its events and the controller manager; run it once now")
            .act(VerbId::Trigger, Some(object.reference(judge.cluster.id)), &[]),
    )
}

fn told(at: Option<Time>, now: i64) -> String {
    at.map_or_else(|| "it was made".to_owned(), |t| format!("{} ago", age(t.age(now))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago};
    use serde_json::{Value, json};

    /// Every hour, at the full one; now it is noon.
    fn cronjob(spec: Value, last: Option<i64>, success: Option<i64>) -> Value {
        let mut c = json!({"metadata": {"name": "c", "creationTimestamp": ago(900_000)}, "spec": {"schedule": "0 * * * *"},
            "status": {"lastScheduleTime": last.map(ago), "lastSuccessfulTime": success.map(ago)}});
        for (k, v) in spec.as_object().unwrap() {
            c["spec"][k] = v.clone();
        }
        c
    }

    fn at(c: Value, wait: i64) -> Option<String> {
        let mut fleet = Fleet::default();
        fleet.put(Kind::CronJob, [c]);
        fleet.wait(wait);
        fleet.finding(Kind::CronJob, "c", RULE.id).map(|f| f.message.clone())
    }

    #[test]
    fn the_second_run_that_does_not_begin_and_the_third_that_does_not_succeed() {
        let hour = 3600;
        assert_eq!(at(cronjob(json!({}), Some(hour), Some(hour)), 0), None);
        // Eleven and noon are missed: a minute after noon it is told.
        assert_eq!(at(cronjob(json!({}), Some(2 * hour), Some(2 * hour)), 59), None);
        assert!(at(cronjob(json!({}), Some(2 * hour), Some(2 * hour)), 60).unwrap().starts_with("has not run since 2h"));
        assert_eq!(at(cronjob(json!({}), Some(0), Some(3 * hour)), 59), None);
        assert!(at(cronjob(json!({}), Some(0), Some(3 * hour)), 60).unwrap().starts_with("has not succeeded since 3h"));
    }

    #[test]
    fn suspended_for_a_week_and_a_schedule_that_means_nothing() {
        let suspended = cronjob(json!({"suspend": true}), Some(900_000), None);
        assert_eq!(at(suspended.clone(), 7 * 86_400 - 1), None);
        assert_eq!(at(suspended, 7 * 86_400).as_deref(), Some("suspended for a week"));
        assert!(at(cronjob(json!({"timeZone": "Mars/Phobos"}), None, None), 0).unwrap().starts_with("never runs"));
    }
}
