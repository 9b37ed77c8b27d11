//! A member whose disk is slow.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, VerbId};

const FSYNC_WARNING: Threshold =
    Threshold { name: "fsync-warning-ms", default: "100", doc: "p99 of writing the log to the disk, milliseconds" };
const FSYNC_CRITICAL: Threshold = Threshold { name: "fsync-critical-ms", default: "500", doc: "the same, critical" };
const COMMIT_WARNING: Threshold =
    Threshold { name: "commit-warning-ms", default: "100", doc: "p99 of a commit of the database, milliseconds" };
const COMMIT_CRITICAL: Threshold = Threshold { name: "commit-critical-ms", default: "250", doc: "the same, critical" };
const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long it may be so" };

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-disk-slow",
    area: "etcd",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "etcd member",
    summary: "Its p99 of an fsync or a commit is over 100 ms for 10 minutes; critical from 500 ms or 250 ms on",
    why: "Each write waits for the log to reach the disk on a majority; slow fsync becomes slow API and elections.",
    kinds: &[Kind::EtcdMember],
    needs: &[crate::inspect::Need::EtcdWatched],
    leans_on: &[],
    thresholds: &[FSYNC_WARNING, FSYNC_CRITICAL, COMMIT_WARNING, COMMIT_CRITICAL, AFTER],
    peers: &["etcd-mixin:etcdHighFsyncDurations", "etcd-mixin:etcdHighCommitDurations"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::EtcdMember(m)) = judge.object else { return Verdict::Fine };
    let Some(metrics) = m.metrics.as_ref().filter(|_| m.down.is_none()) else { return Verdict::Fine };
    let over = |us: Option<i64>, t: &Threshold| us.is_some_and(|us| us > judge.value(t) * 1000);
    let (fsync, commit) = (metrics.fsync_p99_us, metrics.commit_p99_us);
    let severity = if over(fsync, &FSYNC_CRITICAL) || over(commit, &COMMIT_CRITICAL) {
        Severity::Critical
    } else if over(fsync, &FSYNC_WARNING) || over(commit, &COMMIT_WARNING) {
        Severity::Warning
    } else {
        return Verdict::Fine;
    };
    let ms = |us: Option<i64>| us.map_or_else(|| "not told".to_owned(), |us| format!("{} ms", us / 1000));
    super::after(judge.held_since_seen(judge.value(&AFTER)), || {
        let finding = judge
            .finding(severity, None, format!("its disk is slow: fsync {}, commit {}", ms(fsync), ms(commit)))
            .with("fsync p99", ms(fsync), None)
            .with("commit p99", ms(commit), None)
            .with("leader", if m.leads() { "it is" } else { "it is not" }, None);
        let next = "Give it a disk of its own; see what else writes there, and which objects are written most";
        if m.leads() {
            finding.then(format!("Move the leader away from it. {next}")).here(VerbId::EtcdMoveLeader, &[])
        } else {
            finding.then(next)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, etcd_members, put_members};
    use crate::model::{ClusterId, EtcdMetrics};

    fn at(fsync_ms: i64, commit_ms: i64, wait: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut members = etcd_members(&[('u', 0)]);
        members[0].metrics =
            Some(EtcdMetrics { fsync_p99_us: Some(fsync_ms * 1000), commit_p99_us: Some(commit_ms * 1000), ..EtcdMetrics::default() });
        let uid = members[0].meta.uid;
        put_members(&mut fleet, members);
        fleet.wait(wait);
        fleet.engine.for_object(ClusterId(0), uid).iter().find(|f| f.rule.id == RULE.id).map(|f| f.severity)
    }

    #[test]
    fn either_of_them_for_ten_minutes() {
        assert_eq!(at(100, 100, 600), None);
        assert_eq!((at(101, 1, 599), at(101, 1, 600)), (None, Some(Severity::Warning)));
        assert_eq!(
            (at(1, 101, 600), at(1, 251, 600), at(501, 1, 600)),
            (Some(Severity::Warning), Some(Severity::Critical), Some(Severity::Critical))
        );
    }
}
