//! An etcd that elects leaders again and again.
//!
//! By the looks at its members: a term that grew is an election, whoever won it; several between two looks are seen as one. What this program does
//! that moves the leader (move-leader, a defragmentation, a member's removal) is left out, when it was done here or is in the audit log.
//! Left out: heartbeats that could not be sent, and the CPU of the members' hosts (not read).

use super::repaint;
use crate::inspect::{Finding, Judge, Need, RuleInfo, Severity, Threshold, Verdict, clock};
use crate::model::{Service, Time, VerbId};
use crate::store::Election;

/// The two windows, in seconds.
const HOUR: i64 = 3600;
const QUARTER: i64 = 900;
/// So many elections within so many seconds have one between nearly any two looks.
const EVERY_LOOK: (usize, i64) = (4, 20);
/// Seconds that an election may be seen after the act that made it, and before: another clock wrote that down.
const PLANNED: (i64, i64) = (15, 5);
/// Longer than this is slow: fsync and round trip, in microseconds.
const SLOW: (i64, i64) = (100_000, 50_000);
/// Elections that are told one by one.
const TOLD: usize = 6;

const INFO: Threshold = Threshold { name: "info", default: "2", doc: "elections in an hour" };
const WARNING: Threshold = Threshold { name: "warning", default: "3", doc: "elections in 15 minutes" };
const CRITICAL: Threshold = Threshold { name: "critical", default: "6", doc: "elections in 15 minutes" };

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-leader-changes",
    area: "etcd",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "etcd of a cluster",
    summary: "etcd has elected a leader twice in an hour (info), three times in 15 minutes (warning), six times or at every look (critical)",
    why: "Every election blocks writes and often comes from slow disks, CPU starvation or a bad link.",
    kinds: &[],
    needs: &[Need::Service(Service::Etcd), Need::EtcdWatched],
    leans_on: &[],
    thresholds: &[INFO, WARNING, CRITICAL],
    peers: &["etcd-mixin:etcdHighNumberOfLeaderChanges"],
    links: &[
        "https://etcd.io/docs/latest/tuning/#time-parameters",
        "https://etcd.io/docs/latest/op-guide/failures/#leader-failure",
        "https://runbooks.prometheus-operator.dev/runbooks/etcd/etcdnoleader/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let now = judge.now;
    let all: Vec<&Election> = judge.cluster.elections.iter().filter(|e| e.at > now - HOUR && !planned(judge, e.at)).collect();
    let within = |secs: i64| all.iter().filter(|e| e.at > now - secs).count();
    let reaches = |n: usize, t: &Threshold| i64::try_from(n).unwrap_or(i64::MAX) >= judge.value(t);
    let (quarter, hour) = (within(QUARTER), all.len());
    let often = within(EVERY_LOOK.1) >= EVERY_LOOK.0;
    let (severity, n, window) = if often || reaches(quarter, &CRITICAL) {
        (Severity::Critical, quarter, "15m")
    } else if reaches(quarter, &WARNING) {
        (Severity::Warning, quarter, "15m")
    } else if reaches(hour, &INFO) {
        (Severity::Info, hour, "60m")
    } else {
        return Verdict::Fine;
    };
    let Some(last) = all.last() else { return Verdict::Fine };
    let mut finding = judge.finding(severity, Time::from_secs(all[0].at), format!("{n} elections in {window}"));
    for e in all.iter().rev().take(TOLD) {
        finding = told(finding, e);
    }
    let finding = finding
        .then("See its members (E): the disk and the host of who led, and the way to its peers; move the leader to the one that is well");
    // An election leaves its window.
    let leaves = all.iter().flat_map(|e| [e.at + QUARTER, e.at + HOUR, e.at + EVERY_LOOK.1]).filter(|at| *at > now).min();
    let again = repaint(now - last.at, now);
    Verdict::BurningUntil(finding, leaves.map_or(again, |at| at.min(again)))
}

/// What one was like, and what may have caused it.
fn told(finding: Finding, e: &Election) -> Finding {
    let ms = |us: i64| format!("{} ms", us / 1000);
    let cause = match (&e.from, &e.down, e.fsync_p99_us, e.peer_p99_us) {
        (Some(from), Some(why), ..) => format!("{from} was gone: {why}"),
        (Some(from), _, Some(us), _) if us >= SLOW.0 => format!("the disk of {from} was slow: fsync p99 {}", ms(us)),
        (Some(from), _, _, Some(us)) if us >= SLOW.1 => format!("the way from {from} to a peer was slow: round trip p99 {}", ms(us)),
        _ => "no cause was seen".to_owned(),
    };
    let at = Time::from_secs(e.at);
    let what = at.map_or_else(String::new, clock);
    let led = e.from.as_deref().unwrap_or("nobody");
    let who = if led == &*e.to { format!("{led} again") } else { format!("{led} -> {}", e.to) };
    finding.with(&what, format!("{who}, term {}: {cause}", e.term), at)
}

/// Whether this program did it.
fn planned(judge: &Judge<'_>, at: i64) -> bool {
    let moves = [VerbId::EtcdMoveLeader, VerbId::EtcdDefrag, VerbId::EtcdMemberRemove].map(|v| v.info().name);
    judge.store.jobs.iter().any(|job| {
        let here = job.clusters.iter().any(|c| **c == *judge.cluster.info.name);
        here && moves.contains(&job.what.as_str())
            && (job.began - PLANNED.1..=job.ended.unwrap_or(i64::MAX - PLANNED.0) + PLANNED.0).contains(&at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, etcd_members, put_members};
    use crate::model::{ClusterId, Job, JobId, JobState, Outcome, Progress, Uid};

    fn look(f: &mut Fleet, term: u64, down: bool) {
        let mut members = etcd_members(&[(if down { 'd' } else { 'u' }, 0), ('u', 0), ('u', 0)]);
        for m in &mut members {
            let index = u64::try_from(f.now).unwrap();
            m.status.iter_mut().for_each(|s| (s.term, s.leader, s.raft_index) = (term, Some(2 - term % 2), index));
        }
        put_members(f, members);
    }

    /// Looked at every three seconds; an election as many seconds after the first look.
    fn after(elections: &[i64], until: i64) -> Fleet {
        let mut f = Fleet::default();
        let mut term = 4;
        look(&mut f, term, false);
        for secs in (3..=until).step_by(3) {
            f.now = NOW + secs;
            if elections.contains(&secs) {
                term += 1;
            }
            look(&mut f, term, false);
        }
        f
    }

    fn found(f: &Fleet) -> Option<&Finding> {
        f.engine.for_object(ClusterId(0), Uid::default()).iter().find(|x| x.rule.id == RULE.id)
    }

    fn severity(elections: &[i64], until: i64) -> Option<Severity> {
        // What is judged with the rows is seen a look later.
        found(&after(elections, until)).map(|f| f.severity)
    }

    #[test]
    fn by_how_many_in_the_hour_and_the_quarter() {
        assert_eq!(severity(&[300], 306), None);
        assert_eq!(severity(&[300, 2100], 2106), Some(Severity::Info));
        assert_eq!(severity(&[300, 600, 1197], 1203), Some(Severity::Info), "900 s before is out of the window");
        assert_eq!(severity(&[300, 600, 1194], 1197), Some(Severity::Warning));
        assert_eq!(severity(&[60, 120, 180, 240, 300], 306), Some(Severity::Warning));
        assert_eq!(severity(&[60, 120, 180, 240, 300, 360], 366), Some(Severity::Critical));
        assert_eq!(severity(&[60, 63, 66, 69], 72), Some(Severity::Critical), "at every look");
        assert_eq!(severity(&[3, 300], 3606), None, "an hour later");
    }

    #[test]
    fn it_ends_by_the_clock_and_tells_each_with_its_cause() {
        let mut f = after(&[300, 600], 606);
        let words: Vec<String> = found(&f).unwrap().evidence.iter().map(|e| format!("{} {}", e.what, e.value)).collect();
        assert_eq!(words, ["12:10Z etcd-1 -> etcd-2, term 6: no cause was seen", "12:05Z etcd-2 -> etcd-1, term 5: no cause was seen"]);
        assert!(found(f.wait(3293)).is_some());
        assert!(found(f.wait(2)).is_none(), "nobody looks any more, and the hour is over");
        let mut f = after(&[300], 306);
        f.now += 3;
        look(&mut f, 6, true);
        f.now += 3;
        look(&mut f, 6, true);
        assert_eq!(found(&f).unwrap().evidence[0].value, "etcd-1 -> etcd-2, term 6: etcd-1 was gone: connection refused");
    }

    #[test]
    fn what_was_done_here_is_no_news() {
        let mut f = after(&[300, 600], 606);
        let mut job = Job {
            id: JobId("j".into()),
            what: VerbId::EtcdMoveLeader.info().name.into(),
            title: "move the leader".into(),
            clusters: vec!["prod".into()],
            began: NOW + 596,
            ended: None,
            state: JobState::Running,
            steps: Vec::new(),
            note: String::new(),
        };
        job.clusters[0] = "dev".into();
        let began = |f: &mut Fleet, job: &Job, at: i64| {
            f.store.jobs.apply(Progress::Began(Box::new(job.clone())), at);
            f.store.jobs.apply(Progress::State { job: job.id.clone(), state: JobState::Ended(Outcome::Done) }, at);
            f.now += 3;
            look(f, 6, false);
        };
        began(&mut f, &job, NOW + 597);
        assert!(found(&f).is_some(), "another cluster's");
        job.clusters[0] = "prod".into();
        began(&mut f, &job, NOW + 597);
        assert!(found(&f).is_none());
    }
}
