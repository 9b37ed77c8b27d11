//! An etcd that has lost its quorum, or whose next loss would.
//!
//! Judged from the members themselves, so that it is said while the API server is gone with the quorum. A member that is down is dated by its last
//! answer; one that never answered counts as old. Where no member answers at all the quorum cannot be told from here: that is critical only when
//! the API server is gone too. Messages between members that fail are what a Prometheus measures of etcd.

use super::measured::lasted;
use crate::inspect::quorum::members;
use crate::inspect::{Finding, Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{EtcdMember, Kind, Object, Quorum, Service, ServiceState, Time};

const LOST: Threshold = Threshold { name: "lost-after", default: "5s", doc: "how long too few members must answer for a quorum" };
const AFTER: Threshold =
    Threshold { name: "after", default: "30s", doc: "how long none may fail any more, no member must answer, or members must disagree" };
const DOWN: Threshold = Threshold { name: "down-after", default: "2m", doc: "how long a member must be down while others may still fail" };

const PEERS: Threshold = Threshold { name: "peers-after", default: "5m", doc: "how long messages between members may fail" };
/// How often one looks again (seconds) at what is measured.
const AGAIN: i64 = 60;

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-quorum-risk",
    area: "etcd",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "etcd of a cluster",
    summary: "Too few members answer for a quorum, or one more loss would stop all writes; messages between members fail for 5 minutes (a warning)",
    why: "Without a majority nothing in the cluster can be written: no scheduling, no leases, soon NotReady nodes.",
    kinds: &[],
    needs: &[],
    leans_on: &[],
    thresholds: &[LOST, AFTER, DOWN, PEERS],
    peers: &["etcd-mixin:etcdMembersDown", "etcd-mixin:etcdInsufficientMembers", "etcd-mixin:etcdNoLeader"],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/etcd/etcdinsufficientmembers/",
        "https://etcd.io/docs/latest/op-guide/failures/#majority-failure",
        "https://etcd.io/docs/latest/op-guide/recovery/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let voters: Vec<&EtcdMember> = members(judge.cluster).filter(|m| !m.learner && m.second_hand.is_none()).collect();
    let quorum = Quorum::of(voters.iter().copied());
    let mut down: Vec<i64> = voters.iter().filter(|m| m.down.is_some()).map(|m| m.answered.map_or(0, Time::secs)).collect();
    down.sort_unstable();
    let answering = voters.len() - down.len();
    let (needed, of) = (quorum.needed, voters.len());
    if quorum.healthy == of {
        return match disagree(judge, &voters) {
            Verdict::Fine => peers(judge),
            verdict => verdict,
        };
    }
    // With the loss of this many the quorum went.
    let fatal = of - needed;
    let (severity, began, threshold, message, next) = if answering == 0 {
        let reason = voters.iter().find_map(|m| m.down.as_deref()).unwrap_or_default();
        let severity = if judge.cluster.state.live() { Severity::Warning } else { Severity::Critical };
        let next = "Check the route to etcd and its certificates (`qd doctor`), and on the members' hosts whether etcd runs";
        (severity, down.last().copied(), &AFTER, format!("no member answers: {reason}"), next)
    } else if answering < needed {
        let message = format!("QUORUM LOST: {answering} of {of} voters answer, {needed} are needed");
        (Severity::Critical, down.get(fatal).copied(), &LOST, message, RESTORE)
    } else if quorum.healthy < needed {
        let message = format!("QUORUM LOST: {answering} of {of} voters answer, {} know a leader", quorum.healthy);
        (Severity::Critical, None, &LOST, message, RESTORE)
    } else if quorum.healthy == needed {
        let message = format!("{} of {of} voters are well: one more lost stops all writes", quorum.healthy);
        let began = down.get(fatal.saturating_sub(1)).copied().filter(|_| down.len() == of - quorum.healthy);
        (Severity::Critical, began, &AFTER, message, "Bring the members back that are down, before anything else is restarted or drained")
    } else {
        let began = down.first().copied().filter(|_| down.len() == of - quorum.healthy);
        let message = format!("{} of {of} voters are well, {} more may fail", quorum.healthy, quorum.may_fail());
        (Severity::Warning, began, &DOWN, message, "Look at the host and the log of the member that is down")
    };
    let hold = judge.value(threshold);
    let held = match began {
        Some(began) => judge.held(began, hold),
        None => judge.held_since_seen(hold),
    };
    let since = began.filter(|at| *at > 0).and_then(Time::from_secs);
    super::after(held, || tell(judge.finding(severity, since, message), &voters, since).then(next))
}

const RESTORE: &str =
    "Start etcd on the members that are down; what cannot come back is replaced from the newest snapshot (etcdutl snapshot restore)";

/// All are well, and do not take the same member for the leader.
fn disagree(judge: &Judge<'_>, voters: &[&EtcdMember]) -> Verdict {
    let mut leaders: Vec<u64> = voters.iter().filter_map(|m| m.status.as_ref()?.leader).collect();
    leaders.sort_unstable();
    leaders.dedup();
    if leaders.len() < 2 {
        return Verdict::Fine;
    }
    super::after(judge.held_since_seen(judge.value(&AFTER)), || {
        let finding = judge.finding(Severity::Critical, None, format!("members take {} different ones for the leader", leaders.len()));
        tell(finding, voters, None).then("Look at the network between the members: those who answer are not one cluster")
    })
}

/// All are well, and messages between them fail.
fn peers(judge: &Judge<'_>) -> Verdict {
    if judge.cluster.service(Service::Prometheus).state != ServiceState::Live {
        return Verdict::Fine;
    }
    let (again, hold) = (super::later(judge, AGAIN), judge.value(&PEERS));
    let fails = |o: &'_ Object| matches!(o, Object::Signal(s) if &*s.meta.name == "etcd-peer-failures" && lasted(judge, s, hold));
    let mut all: Vec<&Object> = judge.cluster.objects(Kind::Signal).filter(|o| fails(o)).collect();
    all.sort_by(|a, b| a.meta().labels.get("instance").cmp(&b.meta().labels.get("instance")));
    let Some(Object::Signal(first)) = all.first() else { return Verdict::LookAgain(again) };
    let at = |o: &Object| o.meta().labels.get("instance").unwrap_or_default().to_owned();
    let message = format!("messages of {} to its peers fail", first.meta.labels.get("instance").unwrap_or_default());
    let mut finding = judge.finding(Severity::Warning, None, message);
    for object in all.iter().take(6) {
        if let Object::Signal(s) = object {
            finding = finding.with(&at(object), s.value.map(|v| s.measure.text(v)).unwrap_or_default(), None);
        }
    }
    Verdict::BurningUntil(
        finding.then("Look at the network between the members' hosts and at the log of the peer that does not take them"),
        again,
    )
}

fn tell(mut finding: Finding, voters: &[&EtcdMember], since: Option<Time>) -> Finding {
    for m in voters.iter().filter(|m| !m.healthy()) {
        let why = m.down.as_deref().unwrap_or("it knows of no leader");
        finding = finding.with(&m.meta.name, why, m.answered.or(since));
    }
    let well: Vec<&str> = voters.iter().filter(|m| m.healthy()).map(|m| &*m.meta.name).collect();
    finding.with("well", well.join(", "), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, etcd, etcd_members, put_members};
    use crate::model::{ClusterId, ConnectionState, Delta, Uid};

    /// `u` up, `n` up without a leader, otherwise down since so many seconds.
    fn fleet(members: &[(char, i64)]) -> Fleet {
        let mut fleet = Fleet::default();
        etcd(&mut fleet, members);
        fleet
    }

    fn found(fleet: &Fleet) -> Option<(Severity, &str)> {
        let found = fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule.id == RULE.id);
        found.map(|f| (f.severity, f.message.as_str()))
    }

    #[test]
    fn a_lost_quorum_is_said_five_seconds_after_the_last_answer() {
        let all = |two: i64, three: i64| fleet(&[('u', 0), ('d', two), ('d', three)]);
        assert_eq!(found(&fleet(&[('u', 0), ('u', 0), ('u', 0)])), None);
        assert_eq!(found(&all(900, 4)), None, "the second loss counts");
        assert_eq!(found(&all(900, 5)), Some((Severity::Critical, "QUORUM LOST: 1 of 3 voters answer, 2 are needed")));
        let fleet = all(900, 5);
        assert_eq!(fleet.engine.for_object(ClusterId(0), Uid::default())[0].since, Time::from_secs(NOW - 5));
        assert_eq!(found(&self::fleet(&[('d', 5)])).map(|f| f.0), None, "the only one: not to be told from a broken route");
    }

    #[test]
    fn what_the_api_server_tells_is_no_voter() {
        let mut heard = etcd_members(&[('d', 900)]);
        heard[0].second_hand = Some(Box::default());
        let mut fleet = Fleet::default();
        put_members(&mut fleet, heard);
        assert_eq!(found(fleet.wait(900)), None);
    }

    #[test]
    fn no_more_may_fail_after_thirty_seconds_and_a_loss_that_is_borne_after_two_minutes() {
        assert_eq!(found(&fleet(&[('u', 0), ('u', 0), ('d', 29)])), None);
        assert_eq!(
            found(&fleet(&[('u', 0), ('u', 0), ('d', 30)])),
            Some((Severity::Critical, "2 of 3 voters are well: one more lost stops all writes"))
        );
        let five = |secs| fleet(&[('u', 0), ('u', 0), ('u', 0), ('u', 0), ('d', secs)]);
        assert_eq!(found(&five(119)), None);
        assert_eq!(found(&five(120)), Some((Severity::Warning, "4 of 5 voters are well, 1 more may fail")));
    }

    #[test]
    fn an_election_is_no_loss_and_one_that_does_not_end_is() {
        let mut fleet = fleet(&[('n', 0), ('n', 0), ('n', 0)]);
        assert_eq!(found(fleet.wait(4)), None);
        assert_eq!(found(fleet.wait(1)), Some((Severity::Critical, "QUORUM LOST: 3 of 3 voters answer, 0 know a leader")));
        etcd(&mut fleet, &[('u', 0), ('u', 0), ('u', 0)]);
        assert_eq!(found(&fleet), None, "judged again when members change");
    }

    #[test]
    fn members_that_disagree_on_the_leader() {
        let mut fleet = Fleet::default();
        etcd(&mut fleet, &[('u', 0), ('o', 0), ('u', 0)]);
        assert_eq!(found(fleet.wait(29)), None);
        assert_eq!(found(fleet.wait(1)), Some((Severity::Critical, "members take 2 different ones for the leader")));
    }

    #[test]
    fn where_none_answers_the_api_server_decides_and_both_are_one_line() {
        let mut fleet = fleet(&[('d', 40), ('d', 40), ('d', 40)]);
        assert_eq!(found(&fleet), Some((Severity::Warning, "no member answers: connection refused")));
        let shown = |f: &Fleet| f.lines().into_iter().map(|l| (l.severity, l.title, l.message)).collect::<Vec<_>>();
        assert_eq!(shown(&fleet), [(Severity::Warning, "etcd".to_owned(), "no member answers: connection refused".to_owned())]);
        fleet.delta(0, Delta::State(ConnectionState::Unreachable { last: Time::from_secs(NOW), reason: "dial timeout".into() }));
        fleet.wait(15);
        etcd(&mut fleet, &[('d', 41), ('d', 41), ('d', 41)]);
        assert_eq!(shown(&fleet), [(Severity::Critical, "API".to_owned(), "DOWN dial timeout, rows <1m old".to_owned())]);
        assert!(fleet.lines()[0].detail.contains("no member answers"), "{}", fleet.lines()[0].detail);
    }

    #[test]
    fn a_lost_quorum_is_on_top_and_current_while_the_api_server_is_gone() {
        let mut fleet = fleet(&[('u', 0), ('d', 60), ('d', 60)]);
        fleet.delta(0, Delta::State(ConnectionState::Unreachable { last: Time::from_secs(NOW), reason: "dial timeout".into() }));
        fleet.wait(15);
        let lines = fleet.lines();
        let etcd = lines.iter().find(|l| l.title == "etcd").unwrap();
        assert!(etcd.message.starts_with("QUORUM LOST") && !etcd.stale && lines.len() == 2, "{lines:#?}");
        assert_eq!(etcd.subject.as_ref().map(|s| &*s.name), Some("etcd-2"), "the first that is down");
        assert!(etcd.detail.contains("etcd-2 connection refused"), "{}", etcd.detail);
    }

    #[test]
    fn messages_between_members_that_fail() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        use crate::model::Signal;
        let of = |rate: f64, minutes: usize| {
            let mut fleet = Fleet::default();
            let labels = crate::model::signal::tests::labels(&[("instance", "10.0.0.1:2381")]);
            let signal = Signal::of(&shipped("etcd-peer-failures"), labels, rate, vec![rate; minutes].into());
            told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            etcd(&mut fleet, &[('u', 0), ('u', 0), ('u', 0)]);
            fleet.wait(60);
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        assert_eq!(of(0.01, 5), Some((Severity::Warning, "messages of 10.0.0.1:2381 to its peers fail".into())));
        assert_eq!((of(0.009, 5), of(0.01, 4)), (None, None));
    }
}
