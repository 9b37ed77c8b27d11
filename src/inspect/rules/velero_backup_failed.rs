//! A backup that failed and has not been made good.
//!
//! Of a schedule the last one counts; one made by hand until a complete one comes after it. A backup or a restore that stays New is not taken up by
//! any server; while another one of its kind runs it may be waiting for that. How long one of a schedule takes, and how many
//! items it has, is judged by the ones before it. Left out: what is missing in it, which only its log says.

use super::{after, later};
use crate::inspect::recovery::stands;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, age};
use crate::model::{Backup, Kind, Object, RunState, Time};

/// Seconds between two looks at what may be waiting for another.
const AGAIN: i64 = 10;

const SLOW: Threshold = Threshold { name: "times-usual", default: "3", doc: "times as long as its schedule's backups usually take" };
const FEWER: Threshold = Threshold { name: "items-below", default: "50%", doc: "of the items of the one before it" };
/// With fewer items one comes or goes easily.
const FEW: i64 = 20;
/// So many are needed to say what is usual; as many are looked at.
const USUAL: std::ops::RangeInclusive<usize> = 3..=5;
/// What takes no longer is never slow (seconds).
const QUICK: i64 = 300;

pub static RULE: RuleInfo = RuleInfo {
    id: "velero-backup-failed",
    area: "backup",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "backup, rolled up to its schedule; restore",
    summary: "A backup failed (critical), or some of its items, volume snapshots or hooks did (warning), and none after it made that good; one runs three times as long as usual, or has half the items of the one before it (warning); a backup or a restore stays New for three minutes (warning)",
    why: "Partial backups restore partially; the missing part is usually the volume.",
    kinds: &[Kind::Backup, Kind::Restore],
    needs: &[],
    leans_on: &[],
    thresholds: &[SLOW, FEWER],
    peers: &[],
    links: &["https://velero.io/docs/main/troubleshooting/", "https://velero.io/docs/main/how-velero-works/#backup-workflow"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    if let Some(left) = judge.object.and_then(|o| fresh(judge, o)) {
        return left;
    }
    let Some(Object::Backup(b)) = judge.object else { return Verdict::Fine };
    let name = &b.meta.name;
    let lacks = b.run.ended() && (b.volumes.0 < b.volumes.1 || b.run.hooks.1 > 0 || b.operations.2 > 0);
    let (severity, message) = match b.run.state() {
        RunState::Failed => (Severity::Critical, format!("{name} {}", b.run.phase)),
        RunState::Partly => {
            let errors = if b.run.errors > 0 { format!(", {} errors", b.run.errors) } else { String::new() };
            (Severity::Warning, format!("{name} {}{errors}", b.run.phase))
        }
        RunState::Completed if lacks => (Severity::Warning, format!("{name} lacks volumes, hooks or operations")),
        RunState::Completed => return fewer(judge, b).unwrap_or(Verdict::Fine),
        RunState::Running => return slow(judge, b).unwrap_or(Verdict::Fine),
        _ => return Verdict::Fine,
    };
    if !stands(judge.cluster, b) {
        return Verdict::Fine;
    }
    let at = b.run.completed.or(b.point());
    let mut finding = judge.finding(severity, at, message).with("why", b.run.why().unwrap_or_default(), at);
    if b.volumes.1 > 0 {
        finding = finding.with("volume snapshots", format!("{} of {}", b.volumes.0, b.volumes.1), None);
    }
    if b.run.hooks.1 > 0 {
        finding = finding.with("failed hooks", format!("{} of {}", b.run.hooks.1, b.run.hooks.0), None);
    }
    Verdict::Burning(finding.then("Read its log, mend what it names, and back up again"))
}

/// The complete backups of its schedule that came before one, the newest first.
fn before<'a>(judge: &Judge<'a>, b: &Backup) -> Vec<&'a Backup> {
    let Some(schedule) = &b.schedule else { return Vec::new() };
    let of = |o: &'a Object| if let Object::Backup(b) = o { Some(&**b) } else { None };
    let all = judge.cluster.objects(Kind::Backup).filter_map(of);
    let mut all: Vec<&Backup> = all.filter(|x| x.schedule.as_ref() == Some(schedule) && x.good() && x.point() < b.point()).collect();
    all.sort_by_key(|x| std::cmp::Reverse(x.point()));
    all
}

/// One that is complete and has far fewer items than the one before it: silently empty.
fn fewer(judge: &Judge<'_>, b: &Backup) -> Option<Verdict> {
    let (_, has) = b.run.items?;
    let last = *before(judge, b).first()?;
    let (_, had) = last.run.items.filter(|(_, had)| *had >= FEW)?;
    if has * 100 >= had * judge.value(&FEWER) || last.selection != b.selection || !stands(judge.cluster, b) {
        return None;
    }
    let at = b.run.completed.or(b.point());
    let finding = judge.finding(Severity::Warning, at, format!("{} has {has} items, the one before it {had}", b.meta.name));
    let finding = finding.with("the one before it", &*last.meta.name, last.point());
    Some(Verdict::Burning(
        finding.then("See what is no longer in it: namespaces or objects that are gone, or that it may not list any more"),
    ))
}

/// One that runs far longer than those of its schedule do.
fn slow(judge: &Judge<'_>, b: &Backup) -> Option<Verdict> {
    let started = b.run.started?;
    let mut took: Vec<i64> = before(judge, b).into_iter().take(*USUAL.end()).filter_map(|b| b.run.took(judge.now)).collect();
    if took.len() < *USUAL.start() {
        return None;
    }
    took.sort_unstable();
    let usual = took[took.len() / 2];
    let limit = (usual * judge.value(&SLOW)).max(QUICK);
    Some(after(judge.held(started.secs(), limit), || {
        let finding = judge.finding(Severity::Warning, Some(started), format!("{} runs for more than {}", b.meta.name, age(limit)));
        let finding = finding.with("usually", age(usual), None).with("how far it is", b.run.words(), None);
        finding.then("See its volumes: PodVolumeBackups and DataUploads that do not get on, their node-agent, and the location")
    }))
}

/// One that is New, and since when; none where it is not.
fn fresh(judge: &Judge<'_>, object: &Object) -> Option<Verdict> {
    let run = match object {
        Object::Backup(b) => &b.run,
        Object::Restore(r) => &r.run,
        _ => return None,
    };
    let meta = object.meta();
    if !run.fresh() || meta.deleting.is_some() {
        return None;
    }
    // Another may run that it waits for, and what it is now may not be seen.
    let Some(left) = judge.cluster.left(object) else { return Some(Verdict::LookAgain(later(judge, AGAIN))) };
    Some(after(judge.held(left, 0), || {
        let looked = judge.cluster.velero_looked();
        judge
            .finding(Severity::Warning, meta.created, format!("{} is New: no Velero server has taken it up", meta.name))
            .with("phase", if run.phase.is_empty() { "none" } else { &*run.phase }, None)
            .with("made", meta.created.map_or_else(String::new, Time::rfc3339), meta.created)
            .with("a server last looked at a location", looked.map_or_else(|| "never".to_owned(), Time::rfc3339), looked)
            .then("Look at the Velero server's pod and its log; it takes this up when it works")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, backup};
    use crate::model::{Delta, KindState};
    use serde_json::{Value, json};

    fn of(schedule: &str, name: &str, phase: &str, secs: i64) -> Value {
        let mut b = backup(name, phase, secs);
        b["metadata"]["labels"] = json!({"velero.io/schedule-name": schedule});
        b
    }

    fn lines(backups: &[Value]) -> Vec<(Severity, String, String)> {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Backup, backups.to_vec());
        fleet.lines().into_iter().map(|l| (l.severity, l.title, l.message)).collect()
    }

    #[test]
    fn the_last_of_a_schedule_counts_and_a_manual_one_until_a_complete_one_follows() {
        let line = |severity, name: &str, message: &str| (severity, format!("backup pay/{name}"), message.to_owned());
        assert_eq!(lines(&[of("s", "a", "Failed", 600)]), [line(Severity::Critical, "a", "a Failed")]);
        assert_eq!(lines(&[of("s", "a", "Failed", 600), of("s", "b", "Completed", 60)]), []);
        assert_eq!(lines(&[of("s", "a", "Failed", 600), of("t", "b", "Completed", 60)]).len(), 1, "another schedule's");
        assert_eq!(lines(&[of("s", "a", "Failed", 600), of("s", "b", "InProgress", 60)]).len(), 1, "it has not ended");
        assert_eq!(lines(&[backup("m", "PartiallyFailed", 600)]), [line(Severity::Warning, "m", "m PartiallyFailed")]);
        assert_eq!(lines(&[backup("m", "PartiallyFailed", 600), of("t", "b", "Completed", 60)]), []);
        assert_eq!(lines(&[backup("m", "Completed", 600)]), []);
    }

    #[test]
    fn one_that_stays_new_is_taken_up_by_nobody() {
        let at = |kind: Kind, phase: &str, secs: i64, other: &str| {
            let mut fleet = Fleet::default();
            fleet.delta(0, Delta::KindState(kind, KindState::Live));
            let made = json!({"metadata": {"name": "m", "creationTimestamp": ago(secs)}, "spec": {}, "status": {"phase": phase}});
            fleet.put(kind, [made, backup("other", other, 9000)]);
            fleet.severity(kind, "m", RULE.id)
        };
        for kind in [Kind::Backup, Kind::Restore] {
            assert_eq!((at(kind, "", 179, "Completed"), at(kind, "New", 180, "Completed")), (None, Some(Severity::Warning)));
            assert_eq!(at(kind, "New", 900, "InProgress"), None, "it may be waiting for that one");
            assert_eq!(at(kind, "Queued", 900, "Completed"), None, "a server has it");
        }
        let mut fleet = Fleet::default();
        fleet.put(Kind::Backup, [json!({"metadata": {"name": "m", "creationTimestamp": ago(900)}})]);
        assert!(fleet.lines().is_empty(), "whether it is still so is not seen");
        fleet.delta(0, Delta::KindState(Kind::Backup, KindState::Live));
        assert_eq!(fleet.wait(60).lines()[0].message, "m is New: no Velero server has taken it up");
        fleet.put(Kind::Backup, [backup("m", "InProgress", 1)]);
        assert!(fleet.lines().is_empty());
    }

    #[test]
    fn a_complete_one_that_lacks_volumes_or_hooks() {
        let mut b = backup("m", "Completed", 60);
        b["status"]["csiVolumeSnapshotsAttempted"] = json!(2);
        b["status"]["csiVolumeSnapshotsCompleted"] = json!(2);
        assert_eq!(lines(&[b.clone()]), []);
        b["status"]["csiVolumeSnapshotsCompleted"] = json!(1);
        assert_eq!(lines(&[b])[0].2, "m lacks volumes, hooks or operations");
    }

    #[test]
    fn a_later_backup_ends_it_and_both_are_at_the_schedule() {
        let mut fleet = Fleet::default();
        let s = json!({"metadata": {"name": "s", "creationTimestamp": ago(864_000)}, "spec": {"schedule": "@every 24h"},
            "status": {"phase": "Enabled", "lastBackup": ago(600)}});
        fleet.put(Kind::Schedule, [s]).put(Kind::Backup, [of("s", "good", "Completed", 90_000), of("s", "a", "Failed", 600)]);
        let line = &fleet.lines()[0];
        assert_eq!((fleet.lines().len(), line.title.as_str(), line.message.as_str()), (1, "schedule pay/s", "a Failed"));
        fleet.put(Kind::Backup, [of("s", "b", "Completed", 60)]);
        assert!(fleet.lines().is_empty(), "{:?}", fleet.lines());
    }

    /// The last of a schedule whose others took a hundred seconds each and had a hundred items.
    fn last(phase: &str, started: i64, items: i64) -> Option<String> {
        let mut fleet = Fleet::default();
        let old = (1..4).map(|n: i64| {
            let mut b = of("s", &format!("old-{n}"), "Completed", n * 90_000);
            b["status"]["completionTimestamp"] = json!(ago(n * 90_000 - 200));
            b["status"]["progress"] = json!({"totalItems": 100, "itemsBackedUp": 100});
            b
        });
        let mut b = of("s", "new", phase, started);
        b["status"]["progress"] = json!({"totalItems": items, "itemsBackedUp": items});
        fleet.put(Kind::Backup, old.chain([b]));
        fleet.finding(Kind::Backup, "new", RULE.id).map(|f| f.message.clone())
    }

    #[test]
    fn one_that_is_silently_empty_and_one_that_takes_long() {
        assert_eq!(last("Completed", 600, 49).as_deref(), Some("new has 49 items, the one before it 100"));
        assert_eq!(last("Completed", 600, 50), None);
        assert_eq!(last("InProgress", 600, 9).as_deref(), Some("new runs for more than 10m"));
        assert_eq!(last("InProgress", 599, 9), None);
    }
}
