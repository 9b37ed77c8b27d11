//! A member whose disk is slow, by itself and beside the other members.
//!
//! What is only worth knowing must be so in every minute of the course that is kept, which is half an hour. Left out: what else is on the disk, and who
//! writes most (neither is measured by etcd).

use super::later;
use crate::inspect::explain::words::joined;
use crate::inspect::{Finding, Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{EtcdMember, EtcdMetrics, Kind, Object, VerbId};
use crate::store::{MINUTES, Series};

const FSYNC_INFO: Threshold = Threshold { name: "fsync-info-ms", default: "10", doc: "the same, worth knowing" };
const FSYNC_WARNING: Threshold =
    Threshold { name: "fsync-warning-ms", default: "100", doc: "p99 of writing the log to the disk, milliseconds" };
const FSYNC_CRITICAL: Threshold = Threshold { name: "fsync-critical-ms", default: "500", doc: "the same, critical" };
const COMMIT_INFO: Threshold = Threshold { name: "commit-info-ms", default: "25", doc: "the same, worth knowing" };
const COMMIT_WARNING: Threshold =
    Threshold { name: "commit-warning-ms", default: "100", doc: "p99 of a commit of the database, milliseconds" };
const COMMIT_CRITICAL: Threshold = Threshold { name: "commit-critical-ms", default: "250", doc: "the same, critical" };
const AFTER: Threshold = Threshold { name: "after", default: "10m", doc: "how long it may be so" };
const INFO_AFTER: Threshold =
    Threshold { name: "info-after", default: "30m", doc: "how long it may be worth knowing, half an hour at the most" };
const ALONE: Threshold =
    Threshold { name: "alone-above", default: "3", doc: "times the slowest other member's fsync from which it alone is slow" };

/// How often one looks again (seconds) at the course of what is not slow for long enough.
const AGAIN: i64 = 60;

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-disk-slow",
    area: "etcd",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "etcd member",
    summary: "Its p99 of an fsync or a commit is over 100 ms for 10 minutes, critical from 500 ms or 250 ms on; info: over 10 ms or 25 ms in every minute of 30, or of 10 where its fsync takes three times as long as any other member's",
    why: "Each write waits for the log to reach the disk on a majority; slow fsync becomes slow API and elections.",
    kinds: &[Kind::EtcdMember],
    needs: &[crate::inspect::Need::EtcdWatched],
    leans_on: &[],
    thresholds: &[FSYNC_WARNING, FSYNC_CRITICAL, FSYNC_INFO, COMMIT_WARNING, COMMIT_CRITICAL, COMMIT_INFO, AFTER, INFO_AFTER, ALONE],
    peers: &["etcd-mixin:etcdHighFsyncDurations", "etcd-mixin:etcdHighCommitDurations"],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/etcd/etcdhighfsyncdurations/",
        "https://etcd.io/docs/latest/op-guide/hardware/#disks",
        "https://etcd.io/docs/latest/tuning/#disk",
    ],
    judge,
};

/// `12 ms`.
fn ms(us: Option<i64>) -> String {
    us.map_or_else(|| "not told".to_owned(), |us| format!("{} ms", us / 1000))
}

/// The fsync of the other members that tell of it (microseconds).
struct Others<'a>(Vec<(&'a str, i64)>);

impl<'a> Others<'a> {
    fn of(judge: &Judge<'a>, m: &EtcdMember) -> Self {
        let other = |o: &'a Object| match o {
            Object::EtcdMember(o) if o.id != m.id && o.down.is_none() => Some((&*o.meta.name, o.metrics.as_ref()?.fsync_p99_us?)),
            _ => None,
        };
        Self(judge.cluster.objects(Kind::EtcdMember).filter_map(other).collect())
    }

    /// Whether it is so many times as slow as the slowest of them, and there is one.
    fn far_below(&self, fsync: Option<i64>, times: i64) -> bool {
        let slowest = self.0.iter().map(|(_, us)| *us).max();
        fsync.zip(slowest).is_some_and(|(own, slowest)| own > slowest.saturating_mul(times))
    }

    fn words(&self) -> String {
        joined(self.0.iter().map(|(name, us)| format!("{name} {}", ms(Some(*us)))), 6)
    }
}

/// Whether a course was over so many milliseconds in each of the last minutes.
fn course(series: &Series, minutes: usize, limit_ms: i64) -> bool {
    let values = series.values();
    values.len() >= minutes && values.iter().rev().take(minutes).all(|us| i64::from(*us) > limit_ms * 1000)
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::EtcdMember(m)) = judge.object else { return Verdict::Fine };
    let Some(metrics) = m.metrics.as_ref().filter(|_| m.down.is_none()) else { return Verdict::Fine };
    let over = |us: Option<i64>, t: &Threshold| us.is_some_and(|us| us > judge.value(t) * 1000);
    let either = |f: &Threshold, c: &Threshold| over(metrics.fsync_p99_us, f) || over(metrics.commit_p99_us, c);
    let severity = if either(&FSYNC_CRITICAL, &COMMIT_CRITICAL) {
        Some(Severity::Critical)
    } else {
        either(&FSYNC_WARNING, &COMMIT_WARNING).then_some(Severity::Warning)
    };
    let known = either(&FSYNC_INFO, &COMMIT_INFO);
    if severity.is_none() && !known {
        return Verdict::Fine;
    }
    let others = Others::of(judge, m);
    let info = || known && knowable(judge, m, metrics, &others);
    let found = |severity: Severity| finding(judge, severity, m, metrics, &others);
    let Some(severity) = severity else {
        let again = later(judge, AGAIN);
        if !info() {
            return Verdict::LookAgain(again);
        }
        // The hold is that of a warning, which has not begun.
        judge.holds_apart(None);
        return Verdict::BurningUntil(found(Severity::Info), again);
    };
    match judge.held_since_seen(judge.value(&AFTER)) {
        Ok(()) => Verdict::Burning(found(severity)),
        Err(at) if info() => {
            judge.holds_apart(Some(at));
            Verdict::BurningUntil(found(Severity::Info), at)
        }
        Err(at) => Verdict::FineUntil(at),
    }
}

/// Whether it has been worth knowing for long enough.
fn knowable(judge: &Judge<'_>, m: &EtcdMember, metrics: &EtcdMetrics, others: &Others<'_>) -> bool {
    let Some(trends) = judge.cluster.etcd.get(&m.meta.uid) else { return false };
    let minutes = |t: &Threshold| usize::try_from(judge.value(t) / 60).unwrap_or(0).clamp(1, MINUTES);
    let long = course(&trends.fsync, minutes(&INFO_AFTER), judge.value(&FSYNC_INFO))
        || course(&trends.commit, minutes(&INFO_AFTER), judge.value(&COMMIT_INFO));
    let alone = others.far_below(metrics.fsync_p99_us, judge.value(&ALONE));
    long || alone && course(&trends.fsync, minutes(&AFTER), judge.value(&FSYNC_INFO))
}

fn finding(judge: &Judge<'_>, severity: Severity, m: &EtcdMember, metrics: &EtcdMetrics, others: &Others<'_>) -> Finding {
    let (fsync, commit) = (metrics.fsync_p99_us, metrics.commit_p99_us);
    let alone = others.far_below(fsync, judge.value(&ALONE));
    let all = !others.0.is_empty() && others.0.iter().all(|(_, us)| *us > judge.value(&FSYNC_INFO) * 1000);
    let (which, next) = match (alone, all) {
        (true, _) => ("it alone is slow", "Give it a disk of its own; see what else writes there"),
        (_, true) => ("all members are slow", "See which objects are written most, and what the members' storage has in common"),
        _ => ("", "Give it a disk of its own; see what else writes there, and which objects are written most"),
    };
    let only = if alone { ", and it alone" } else { "" };
    let finding = judge
        .finding(severity, None, format!("its disk is slow: fsync {}, commit {}{only}", ms(fsync), ms(commit)))
        .with("fsync p99", ms(fsync), None)
        .with("commit p99", ms(commit), None)
        .with("fsync p99 of the other members", others.words(), None)
        .with("compared", which, None)
        .with("leader", if m.leads() { "it is" } else { "it is not" }, None);
    // Where all are slow another leader is no faster.
    if m.leads() && severity > Severity::Info && (alone || !all) {
        finding.then(format!("Move the leader away from it. {next}")).here(VerbId::EtcdMoveLeader, &[])
    } else {
        finding.then(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, etcd_members, put_members};
    use crate::model::ClusterId;

    /// Members whose fsync and commit take so long (milliseconds), and the finding of the first.
    fn put(fleet: &mut Fleet, all: &[(i64, i64)]) -> Option<Finding> {
        let mut members = etcd_members(&vec![('u', 0); all.len()]);
        for (m, (fsync, commit)) in members.iter_mut().zip(all) {
            let (fsync_p99_us, commit_p99_us) = (Some(fsync * 1000), Some(commit * 1000));
            // Something of it is other at every look.
            m.metrics = Some(EtcdMetrics { fsync_p99_us, commit_p99_us, slow_applies: Some(fleet.now), ..EtcdMetrics::default() });
        }
        let uid = members[0].meta.uid;
        put_members(fleet, members);
        fleet.engine.for_object(ClusterId(0), uid).iter().find(|f| f.rule.id == RULE.id).cloned()
    }

    fn at(fsync_ms: i64, commit_ms: i64, wait: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        put(&mut fleet, &[(fsync_ms, commit_ms)]);
        fleet.wait(wait);
        put(&mut fleet, &[(fsync_ms, commit_ms)]).map(|f| f.severity)
    }

    /// The first member's finding after so many minutes in each of which it was so.
    fn over(all: &[(i64, i64)], minutes: usize) -> Option<Finding> {
        let mut fleet = Fleet::default();
        let mut last = None;
        for _ in 0..minutes {
            last = put(&mut fleet, all);
            fleet.wait(60);
        }
        last
    }

    #[test]
    fn either_of_them_for_ten_minutes() {
        assert_eq!(at(10, 25, 600), None);
        assert_eq!((at(101, 1, 599), at(101, 1, 600)), (None, Some(Severity::Warning)));
        assert_eq!((at(100, 1, 600), at(1, 100, 600)), (None, None), "neither is over its limit");
        assert_eq!(
            (at(1, 101, 600), at(1, 251, 600), at(501, 1, 600)),
            (Some(Severity::Warning), Some(Severity::Critical), Some(Severity::Critical))
        );
    }

    #[test]
    fn worth_knowing_in_every_minute_of_half_an_hour() {
        let of = |fsync: i64, commit: i64, minutes: usize| over(&[(fsync, commit)], minutes).map(|f| f.severity);
        assert_eq!((of(11, 1, 30), of(11, 1, 29), of(10, 1, 40)), (Some(Severity::Info), None, None));
        assert_eq!((of(1, 26, 30), of(1, 25, 40)), (Some(Severity::Info), None));
        let mut fleet = Fleet::default();
        for n in 0..30 {
            assert_eq!(put(&mut fleet, &[(if n == 20 { 9 } else { 11 }, 1)]), None, "{n}: it was fast between");
            fleet.wait(60);
        }
    }

    #[test]
    fn one_slow_disk_or_all() {
        let words = |f: &Finding| f.evidence.iter().find(|e| e.what == "compared").map(|e| e.value.clone()).unwrap();
        let one = over(&[(13, 1), (4, 1), (3, 1)], 10).unwrap();
        assert_eq!((one.severity, one.message.as_str()), (Severity::Info, "its disk is slow: fsync 13 ms, commit 1 ms, and it alone"));
        assert_eq!(words(&one), "it alone is slow");
        assert!(one.evidence.iter().any(|e| e.value == "etcd-2 4 ms, etcd-3 3 ms"), "{one:?}");
        assert_eq!(over(&[(13, 1), (4, 1), (3, 1)], 9), None, "not for ten minutes");
        assert_eq!(over(&[(12, 1), (4, 1), (3, 1)], 10), None, "three times is not more than three times");
        let all = over(&[(120, 1), (90, 1)], 11).unwrap();
        assert_eq!((all.severity, words(&all)), (Severity::Warning, "all members are slow".to_owned()));
        assert_eq!(all.remedy, None, "another leader is no faster");
    }

    #[test]
    fn a_warning_has_its_own_ten_minutes_whatever_was_known_before() {
        let mut fleet = Fleet::default();
        for _ in 0..30 {
            put(&mut fleet, &[(20, 1)]);
            fleet.wait(60);
        }
        let severity = |fleet: &mut Fleet| put(fleet, &[(200, 1)]).map(|f| f.severity);
        assert_eq!(severity(&mut fleet), Some(Severity::Info));
        fleet.wait(599);
        assert_eq!(severity(&mut fleet), Some(Severity::Info));
        fleet.wait(1);
        assert_eq!(severity(&mut fleet), Some(Severity::Warning));
    }
    #[test]
    fn one_that_is_down_is_not_compared_with_and_what_is_worth_knowing_moves_no_leader() {
        let of = |fsync: i64, minutes: usize| {
            let mut fleet = Fleet::default();
            let mut last = None;
            for _ in 0..minutes {
                let mut members = etcd_members(&[('u', 0), ('u', 0), ('d', 60)]);
                for (m, ms) in members.iter_mut().zip([fsync, 4, 500]) {
                    m.metrics =
                        Some(EtcdMetrics { fsync_p99_us: Some(ms * 1000), slow_applies: Some(fleet.now), ..EtcdMetrics::default() });
                }
                let uid = members[0].meta.uid;
                put_members(&mut fleet, members);
                last = fleet.engine.for_object(ClusterId(0), uid).iter().find(|f| f.rule.id == RULE.id).cloned();
                fleet.wait(60);
            }
            last.map(|f| (f.severity, f.message, f.remedy.is_some()))
        };
        let known = "its disk is slow: fsync 13 ms, commit not told, and it alone";
        assert_eq!(of(13, 10), Some((Severity::Info, known.to_owned(), false)));
        assert_eq!(of(130, 11).map(|f| (f.0, f.2)), Some((Severity::Warning, true)), "it leads, and it alone is slow");
    }
}
