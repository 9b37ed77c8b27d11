//! A schedule of backups that makes none, or whose last complete one is too old.
//!
//! By the schedule's own runs: from the newest complete backup of it (else from when it was made) the first run that follows was missed by half an
//! interval, or the third was. The namespaces that it alone takes in are named.

use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, age};
use crate::model::{Backup, Kind, Object, Schedule, Time};

const PAUSED: Threshold = Threshold { name: "paused-for", default: "24h", doc: "how long a schedule may be seen paused" };

pub static RULE: RuleInfo = RuleInfo {
    id: "velero-schedule-stale",
    area: "backup",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "schedule",
    summary: "A schedule is late, invalid or paused for a day, or its newest complete backup is older than 1.5 intervals; critical from the third run",
    why: "A backup that stopped is noticed only on the day of the restore.",
    kinds: &[Kind::Schedule],
    needs: &[],
    leans_on: &[],
    thresholds: &[PAUSED],
    peers: &[],
    links: &["https://velero.io/docs/main/backup-reference/#schedule-a-backup"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Schedule(s)) = judge.object else { return Verdict::Fine };
    if let Some(error) = s.invalid.first().filter(|_| &*s.phase == "FailedValidation") {
        let finding = judge.finding(Severity::Critical, None, format!("invalid: {error}"));
        return Verdict::Burning(finding.with("schedule", &*s.text, None).then("Correct the schedule: nothing is backed up by it"));
    }
    if s.paused {
        return super::after(judge.held_since_seen(judge.value(&PAUSED)), || {
            judge.finding(Severity::Warning, None, "paused").then("Let it go on, or delete it if it is not needed any more")
        });
    }
    let (now, good) = (judge.now, newest(judge, s));
    let Some(runs) = Runs::after(s, good.or(s.meta.created)) else { return Verdict::Fine };
    let late = s.late(now);
    if late.is_none() && !judge.cluster.seen(Kind::Backup) {
        // Its backups may still come.
        return Verdict::LookAgain(now + LOOK);
    }
    // What will be so next, when nothing comes.
    let next =
        [runs.half, runs.third].into_iter().chain(s.due().map(|due| due + crate::model::schedule::LATE + 1)).filter(|at| *at > now).min();
    let severity = if now >= runs.third { Severity::Critical } else { Severity::Warning };
    let (message, since, oldest) = match (late, good) {
        (Some(late), _) => (format!("late: a backup was due {} ago", age(late)), Time::from_secs(now - late), late),
        _ if now < runs.half => return next.map_or(Verdict::Fine, Verdict::LookAgain),
        (None, Some(good)) => {
            let old = good.age(now);
            (format!("its newest complete backup is {} old", age(old)), Time::from_secs(runs.first), old)
        }
        (None, None) => ("no backup of it is complete".to_owned(), Time::from_secs(runs.first), now - runs.first),
    };
    let finding = judge
        .finding(severity, since, message)
        .with("runs", &*s.text, None)
        .with("last made", s.last_backup.map_or_else(|| "never".to_owned(), Time::rfc3339), s.last_backup)
        .with("last complete", good.map_or_else(|| "none".to_owned(), Time::rfc3339), good);
    let finding = finding.with("namespaces that no other schedule takes in", alone(judge, s), None);
    let step = if late.is_some() {
        "Is Velero running? Look at its pod and log; then back up now from the schedule's template"
    } else {
        "Look at the backups that it made (BB) and at the log of the last one"
    };
    let again = super::repaint(oldest, now);
    // The only hold is that of a pause, which has not begun.
    judge.holds_apart(None);
    Verdict::BurningUntil(finding.then(step), next.map_or(again, |at| at.min(again)))
}

/// The namespaces that this schedule takes in and no other one that runs does.
fn alone(judge: &Judge<'_>, s: &Schedule) -> String {
    let other = |o: &'_ Object| matches!(o, Object::Schedule(x) if x.meta.uid != s.meta.uid && !x.paused);
    let others = || judge.cluster.objects(Kind::Schedule).filter(|o| other(o));
    let takes = |o: &Object, namespace: &str| matches!(o, Object::Schedule(x) if x.selection.takes(namespace));
    if s.selection.namespaces.is_empty() {
        return if others().next().is_none() { "all".to_owned() } else { "it takes in all".to_owned() };
    }
    let left: Vec<&str> = s.selection.namespaces.iter().map(|n| &**n).filter(|n| !others().any(|o| takes(o, n))).collect();
    if left.is_empty() { "none".to_owned() } else { joined(left, 6) }
}

/// Seconds after which it is looked again whether the backups are seen.
const LOOK: i64 = 10;

/// When the newest complete backup of it began.
fn newest(judge: &Judge<'_>, s: &Schedule) -> Option<Time> {
    let of = |o: &Object| match o {
        Object::Backup(b) if b.schedule.as_deref() == Some(&*s.meta.name) && b.meta.namespace == s.meta.namespace && b.good() => b.point(),
        _ => None,
    };
    judge.cluster.objects(Kind::Backup).filter_map(of).max()
}

/// The runs that follow a moment, in unix seconds.
struct Runs {
    first: i64,
    /// Half an interval after the first.
    half: i64,
    third: i64,
}

impl Runs {
    fn after(s: &Schedule, from: Option<Time>) -> Option<Self> {
        let cron = s.cron.as_ref().ok()?;
        let first = cron.next(from?.secs())?;
        let second = cron.next(first)?;
        Some(Self { first, half: first + (second - first) / 2, third: cron.next(second)? })
    }
}

/// The schedule that made a backup, while it is there.
pub fn of<'a>(cluster: &'a crate::store::Cluster, b: &Backup) -> Option<&'a Object> {
    cluster.named(Kind::Schedule, &b.meta.namespace, b.schedule.as_deref()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, backup};
    use crate::model::{Delta, KindState};
    use serde_json::{Value, json};

    /// A fleet that sees its backups.
    fn fleet(schedule: Value, backups: &[Value]) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.delta(0, Delta::KindState(Kind::Backup, KindState::Live));
        fleet.put(Kind::Schedule, [schedule]).put(Kind::Backup, backups.to_vec());
        fleet
    }

    /// An hourly schedule, made ten days ago, whose last backup was made so many seconds ago.
    fn schedule(spec: Value, last: i64) -> Value {
        let mut spec = spec;
        if spec["schedule"].is_null() {
            spec["schedule"] = json!("@every 1h");
        }
        json!({"metadata": {"name": "hourly", "creationTimestamp": ago(864_000)}, "spec": spec, "status": {"phase": "Enabled", "lastBackup": ago(last)}})
    }

    fn made(phase: &str, secs: i64) -> Value {
        let mut b = backup(&format!("hourly-{secs}"), phase, secs);
        b["metadata"]["labels"] = json!({"velero.io/schedule-name": "hourly"});
        b
    }

    fn found(schedule: Value, backups: &[Value]) -> Option<(Severity, String)> {
        fleet(schedule, backups).finding(Kind::Schedule, "hourly", RULE.id).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn late_when_the_server_makes_none() {
        let late = |secs| found(schedule(json!({}), secs), &[made("Completed", secs)]).map(|f| f.1);
        assert_eq!(late(3900), None, "the server looks once a minute");
        assert_eq!(late(3901).as_deref(), Some("late: a backup was due 5m ago"));
        let other = found(schedule(json!({"paused": true}), 90_000), &[]);
        assert_eq!(other, None, "it is not to run");
    }

    #[test]
    fn the_newest_complete_one_by_intervals() {
        let old = |secs| found(schedule(json!({}), 60), &[made("Completed", secs), made("Failed", 60)]);
        assert_eq!(old(5399), None);
        assert_eq!(old(5400), Some((Severity::Warning, "its newest complete backup is 90m old".to_owned())));
        assert_eq!(old(10_799).map(|f| f.0), Some(Severity::Warning));
        assert_eq!(old(10_800).map(|f| f.0), Some(Severity::Critical));
        let never = found(schedule(json!({}), 60), &[made("PartiallyFailed", 60)]);
        assert_eq!(never, Some((Severity::Critical, "no backup of it is complete".to_owned())), "for ten days");
    }

    #[test]
    fn the_clock_and_a_backup_decide_anew() {
        let mut late = fleet(schedule(json!({}), 3000), &[made("Completed", 3000)]);
        assert!(late.lines().is_empty());
        late.wait(901);
        assert_eq!(
            (late.lines()[0].title.as_str(), late.lines()[0].message.as_str()),
            ("schedule pay/hourly", "late: a backup was due 5m ago")
        );
        late.wait(60);
        assert_eq!(late.lines()[0].message, "late: a backup was due 6m ago");
        let mut old = fleet(schedule(json!({}), 60), &[made("Completed", 6000)]);
        assert_eq!(old.lines().len(), 1);
        old.put(Kind::Backup, [made("Completed", 60)]);
        assert!(old.lines().is_empty(), "{:?}", old.lines());
        let mut unseen = Fleet::default();
        unseen.put(Kind::Schedule, [schedule(json!({}), 60)]);
        assert!(unseen.lines().is_empty(), "its backups are not listed yet");
        unseen.delta(0, Delta::KindState(Kind::Backup, KindState::Live));
        assert_eq!(unseen.wait(10).lines()[0].message, "no backup of it is complete");
    }

    #[test]
    fn invalid_at_once_and_paused_after_a_day() {
        let mut invalid = schedule(json!({"schedule": "every day"}), 60);
        invalid["status"] = json!({"phase": "FailedValidation", "validationErrors": ["invalid schedule"]});
        assert_eq!(found(invalid, &[]), Some((Severity::Critical, "invalid: invalid schedule".to_owned())));
        let mut paused = fleet(schedule(json!({"paused": true}), 60), &[]);
        assert!(paused.wait(86_399).lines().is_empty());
        assert_eq!(paused.wait(1).lines()[0].message, "paused");
    }

    #[test]
    fn a_pause_has_its_own_day_whatever_was_before() {
        for complete in [60, 6000] {
            let mut fleet = fleet(schedule(json!({}), 60), &[made("Completed", complete)]);
            assert_eq!(fleet.lines().is_empty(), complete == 60);
            fleet.wait(600).put(Kind::Schedule, [schedule(json!({"paused": true}), 60)]);
            assert!(fleet.wait(86_399).lines().is_empty(), "paused for less than a day: {:?}", fleet.lines());
            assert_eq!(fleet.wait(1).lines()[0].message, "paused");
            // It goes on, is late, and is paused again: another day.
            fleet.put(Kind::Schedule, [schedule(json!({}), 60)]);
            assert!(fleet.lines()[0].message.starts_with("late"), "{:?}", fleet.lines());
            fleet.put(Kind::Schedule, [schedule(json!({"paused": true}), 60)]);
            assert!(fleet.wait(86_399).lines().is_empty(), "{:?}", fleet.lines());
            assert_eq!(fleet.wait(1).lines()[0].message, "paused");
        }
    }

    #[test]
    fn the_namespaces_that_it_alone_takes_in() {
        let schedule = |name: &str, namespaces: &[&str], paused: bool| {
            json!({"metadata": {"name": name, "creationTimestamp": ago(864_000)},
                "spec": {"schedule": "@every 1h", "paused": paused, "template": {"includedNamespaces": namespaces}}, "status": {"phase": "Enabled"}})
        };
        let of = |others: &[Value]| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Schedule, others.to_vec()).put(Kind::Schedule, [schedule("s", &["pay", "shop"], false)]);
            let found = fleet.finding(Kind::Schedule, "s", RULE.id).unwrap();
            found.evidence.last().unwrap().value.clone()
        };
        assert_eq!(of(&[]), "pay, shop");
        assert_eq!((of(&[schedule("o", &["pay"], false)]), of(&[schedule("o", &["pay"], true)])), ("shop".into(), "pay, shop".into()));
        assert_eq!(of(&[schedule("o", &[], false)]), "none");
    }
    #[test]
    fn what_another_leaves_out_it_alone_takes_in() {
        let schedule = |name: &str, template: Value| {
            json!({"metadata": {"name": name, "creationTimestamp": ago(864_000)},
                "spec": {"schedule": "@every 1h", "template": template}, "status": {"phase": "Enabled"}})
        };
        let of = |own: Value, others: &[Value]| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Schedule, others.to_vec()).put(Kind::Schedule, [schedule("s", own)]);
            fleet.finding(Kind::Schedule, "s", RULE.id).unwrap().evidence.last().unwrap().value.clone()
        };
        let two = json!({"includedNamespaces": ["pay", "shop"]});
        assert_eq!(of(two.clone(), &[schedule("o", json!({"excludedNamespaces": ["pay"]}))]), "pay");
        assert_eq!(of(two.clone(), &[schedule("o", json!({"includedNamespaces": ["*"]}))]), "none");
        assert_eq!(of(two, &[schedule("o", json!({"includedNamespaces": ["sh*"]}))]), "pay");
        assert_eq!((of(json!({}), &[]), of(json!({}), &[schedule("o", json!({}))])), ("all".into(), "it takes in all".into()));
    }
}
