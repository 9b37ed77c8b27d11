//! A backup that failed and has not been made good.
//!
//! Of a schedule the last one counts; one made by hand until a complete one comes after it. Left out: how long one usually takes, how many items it
//! usually has (need the backups before it compared), and what is missing in it, which only its log says.

use crate::inspect::recovery::stands;
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::{Kind, Object, RunState};

pub static RULE: RuleInfo = RuleInfo {
    id: "velero-backup-failed",
    area: "backup",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "backup, rolled up to its schedule",
    summary: "A backup failed (critical), or some of its items, volume snapshots or hooks did (warning), and none after it made that good",
    why: "Partial backups restore partially; the missing part is usually the volume.",
    kinds: &[Kind::Backup],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, backup};
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
        let s = json!({"metadata": {"name": "s", "creationTimestamp": crate::inspect::fixture::ago(864_000)}, "spec": {"schedule": "@every 24h"},
            "status": {"phase": "Enabled", "lastBackup": crate::inspect::fixture::ago(600)}});
        fleet.put(Kind::Schedule, [s]).put(Kind::Backup, [of("s", "good", "Completed", 90_000), of("s", "a", "Failed", 600)]);
        let line = &fleet.lines()[0];
        assert_eq!((fleet.lines().len(), line.title.as_str(), line.message.as_str()), (1, "schedule pay/s", "a Failed"));
        fleet.put(Kind::Backup, [of("s", "b", "Completed", 60)]);
        assert!(fleet.lines().is_empty(), "{:?}", fleet.lines());
    }
}
