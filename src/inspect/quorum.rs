//! Is etcd well? One answer a cluster, from what its members say of themselves.

use super::{Severity, age};
use crate::model::{EtcdMember, Kind, Object, Quorum, Service, ServiceState, Time};
use crate::store::Cluster;

/// The answer of one cluster.
#[derive(Clone, PartialEq, Debug)]
pub struct EtcdVerdict {
    /// None: it is well.
    pub severity: Option<Severity>,
    pub quorum: Quorum,
    /// In words, one line, without the cluster's name.
    pub text: String,
}

/// A cluster's members.
pub(super) fn members(cluster: &Cluster) -> impl Iterator<Item = &EtcdMember> {
    cluster.objects(Kind::EtcdMember).filter_map(|o| if let Object::EtcdMember(m) = o { Some(&**m) } else { None })
}

/// Whether there are members, and none of them answers: the route may be broken as well as etcd.
pub(super) fn silent(cluster: &Cluster) -> bool {
    let mut all = members(cluster).peekable();
    all.peek().is_some() && all.all(|m| m.down.is_some())
}

/// Judges a cluster's etcd. None where nothing is known of it.
pub fn verdict(cluster: &Cluster, now: i64) -> Option<EtcdVerdict> {
    let members: Vec<&EtcdMember> = members(cluster).collect();
    if members.is_empty() {
        return None;
    }
    let slot = cluster.service(Service::Etcd);
    let quorum = Quorum::of(members.iter().copied());
    let mut severity = None;
    let mut parts: Vec<String> = Vec::new();
    // Where nobody has configured it that is no fault; the pane says beside it what to do.
    let absent = matches!(slot.state, ServiceState::Absent { .. });
    if let Some(reason) = slot.state.reason().filter(|_| !absent && slot.state != ServiceState::Live) {
        severity = severity.max(Some(Severity::Warning));
        let seen = Time::from_secs(slot.alive).map_or_else(String::new, |t| format!(", seen {} ago", age(t.age(now))));
        parts.push(format!("not reached now: {reason}{seen}"));
    }
    if quorum.voters == 0 {
        let heard = members.iter().find_map(|m| m.second_hand.as_ref());
        if heard.is_some_and(|h| matches!(h.check, Some(Err(_)))) {
            severity = Some(Severity::Critical);
        }
        parts.insert(0, heard.map_or_else(String::new, |h| format!("second hand: {}", h.words())));
        return Some(EtcdVerdict { severity, quorum, text: parts.join("; ") });
    }
    let of = format!("{} of {} voters answer", quorum.healthy, quorum.voters);
    if !quorum.holds() {
        severity = Some(Severity::Critical);
        parts.insert(0, format!("QUORUM LOST: {of}, {} are needed; nothing can be written", quorum.needed));
    } else {
        let leader = members.iter().find(|m| m.leads()).map_or_else(|| "no leader".to_owned(), |m| format!("leader {}", m.meta.name));
        let spare = match quorum.may_fail() {
            0 => "none may fail".to_owned(),
            n => format!("{n} more may fail"),
        };
        if quorum.healthy < quorum.voters {
            severity = severity.max(Some(if quorum.may_fail() == 0 { Severity::Critical } else { Severity::Warning }));
        }
        parts.insert(0, format!("{of}, {leader}, {spare}"));
    }
    let raised: Vec<String> =
        members.iter().filter(|m| !m.alarms.is_empty()).map(|m| format!("{} {}", m.meta.name, m.alarms.join(","))).collect();
    if !raised.is_empty() {
        severity = Some(Severity::Critical);
        parts.push(format!("alarm: {}", raised.join(", ")));
    }
    let share = |m: &&EtcdMember| m.status.as_ref().and_then(|s| s.quota_percent());
    if let Some((full, name)) = members.iter().filter_map(|m| Some((share(m)?, &m.meta.name))).max().filter(|(full, _)| *full >= 80) {
        severity = severity.max(Some(if full >= 95 { Severity::Critical } else { Severity::Warning }));
        parts.push(format!("{name} at {full}% of its quota"));
    }
    let mut versions: Vec<&str> = members.iter().filter_map(|m| m.status.as_ref().map(|s| &*s.version)).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        parts.push(format!("versions {}", versions.join(", ")));
    }
    Some(EtcdVerdict { severity, quorum, text: parts.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fleet, NOW};
    use super::*;
    use crate::model::etcd::tests::member;
    use crate::model::{Change, Delta};
    use std::sync::Arc;

    fn said(members: Vec<EtcdMember>, state: ServiceState) -> (Option<Severity>, String) {
        let mut f = Fleet::default();
        let changes = members.into_iter().map(|m| Change::Upsert(Object::EtcdMember(Arc::new(m)))).collect();
        f.delta(0, Delta::Rows { kind: Kind::EtcdMember, changes });
        f.delta(0, Delta::Service { service: Service::Etcd, state, via: "https://10.0.0.1:2379".into() });
        verdict(&f.store.clusters()[0], NOW).map(|v| (v.severity, v.text)).unwrap()
    }

    #[test]
    fn what_the_api_server_says_is_marked_and_counts_for_no_quorum() {
        let heard = |check| {
            let mut m = member(1, "api-server", None);
            let heard = crate::model::SecondHand { check: Some(check), size: Some(5 << 20), ..Default::default() };
            (m.down, m.status, m.second_hand) = (None, None, Some(Box::new(heard)));
            vec![m]
        };
        let absent = ServiceState::absent(Service::Etcd);
        let fine = said(heard(Ok(())), absent.clone());
        assert_eq!(fine, (None, "second hand: the API server's check of etcd is ok, 5.0 MiB".to_owned()));
        let (severity, text) = said(heard(Err("etcd-readiness".into())), absent);
        assert!(severity == Some(Severity::Critical) && text.contains("FAILS: etcd-readiness"), "{text}");
        let (severity, text) = said(heard(Ok(())), ServiceState::Failing { reason: "timeout".into() });
        assert!(
            severity == Some(Severity::Warning) && text.contains("second hand: ") && text.contains("not reached now: timeout"),
            "{text}"
        );
    }

    #[test]
    fn the_quorum_in_words() {
        let up = |id| member(id, ["a", "b", "c"][id as usize - 1], Some(2));
        let down = |id| member(id, ["a", "b", "c"][id as usize - 1], None);
        assert_eq!(
            said(vec![up(1), up(2), up(3)], ServiceState::Live),
            (None, "3 of 3 voters answer, leader b, 1 more may fail".to_owned())
        );
        let (severity, text) = said(vec![up(1), up(2), down(3)], ServiceState::Live);
        assert_eq!((severity, &*text), (Some(Severity::Critical), "2 of 3 voters answer, leader b, none may fail"));
        let (severity, text) = said(vec![up(1), down(2), down(3)], ServiceState::Live);
        assert!(severity == Some(Severity::Critical) && text.starts_with("QUORUM LOST: 1 of 3"), "{text}");
        let mut full = up(1);
        full.alarms = ["NOSPACE".into()].into();
        assert_eq!(said(vec![full, up(2), up(3)], ServiceState::Live).0, Some(Severity::Critical));
        let (severity, text) = said(vec![up(1), up(2), up(3)], ServiceState::Stale { reason: "timeout".into() });
        assert!(severity == Some(Severity::Warning) && text.contains("not reached now: timeout"), "{text}");
        assert!(verdict(&Fleet::default().store.clusters()[0], NOW).is_none());
    }
}
