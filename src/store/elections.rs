//! Elections of a cluster's etcd, as its members were seen before and after.

use crate::model::{EtcdMember, Str};
use std::collections::VecDeque;

/// Seconds that an election is kept, and how many at most.
const KEPT: i64 = 3600;
const MOST: usize = 100;
/// Seconds after which a leader that is gone is not the cause of an election any more: two looks, and what a refused answer takes.
const CAUSED: i64 = 10;

/// An election that was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Election {
    /// When it was seen (unix seconds): between two looks.
    pub at: i64,
    /// The term that it began.
    pub term: u64,
    /// Who led before; none where nobody was known to.
    pub from: Option<Str>,
    pub to: Str,
    /// Why the one before did not answer any more, where it did not.
    pub down: Option<Str>,
    /// What its /metrics told last: the 99th percentile of fsync, in microseconds.
    pub fsync_p99_us: Option<i64>,
    /// The same of the round trip to its slowest peer.
    pub peer_p99_us: Option<i64>,
}

/// The elections of the last hour, since when they are seen, and what was so at the last look.
#[derive(Clone, Default, Debug)]
pub struct Elections {
    all: VecDeque<Election>,
    /// The first look and the last (unix seconds).
    seen: Option<(i64, i64)>,
    term: u64,
    leader: Option<u64>,
}

impl Elections {
    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Election> {
        self.all.iter()
    }

    /// Seconds between the first look and the last.
    pub fn seen_for(&self) -> i64 {
        self.seen.map_or(0, |(first, last)| last - first)
    }

    /// Takes in what the members say now. A term that grows is an election, who wins it or not; what the first look finds is none.
    /// A member tells its leader as soon as it knows it, and the term only when the first entry of it is applied (etcd's `Status`), so a
    /// leader that changes within its term is the next term's, and is taken with that.
    pub(super) fn look<'a>(&mut self, members: impl Iterator<Item = &'a EtcdMember>, now: i64) {
        let members: Vec<&EtcdMember> = members.filter(|m| m.second_hand.is_none()).collect();
        let newest = members.iter().filter(|m| m.healthy()).filter_map(|m| m.status.as_ref()).max_by_key(|s| s.term);
        let Some((term, leader)) = newest.and_then(|s| Some((s.term, s.leader?))) else { return };
        let of = |id: u64| members.iter().find(|m| m.id == id);
        let name = |id: u64| of(id).map_or_else(|| format!("{id:x}").into(), |m| m.meta.name.clone());
        if self.seen.is_some() && term > self.term {
            let before = self.leader.and_then(of);
            let metrics = before.and_then(|m| m.metrics.as_ref());
            self.all.push_back(Election {
                at: now,
                term,
                from: self.leader.map(name),
                to: name(leader),
                down: before.and_then(|m| m.down.clone()),
                fsync_p99_us: metrics.and_then(|m| m.fsync_p99_us),
                peer_p99_us: metrics.and_then(|m| m.peer_p99_us),
            });
        }
        // Another etcd under the same name begins anew.
        if term < self.term {
            self.all.clear();
            self.seen = None;
        }
        // Its successor may answer before it is known to be gone.
        if let Some(last) = self.all.back_mut().filter(|e| e.down.is_none() && now - e.at <= CAUSED) {
            last.down = members.iter().find(|m| last.from.as_ref() == Some(&m.meta.name)).and_then(|m| m.down.clone());
        }
        let leader = self.leader.filter(|&l| term == self.term && of(l).is_some()).unwrap_or(leader);
        (self.term, self.leader, self.seen) = (term, Some(leader), Some((self.seen.map_or(now, |(first, _)| first), now)));
        while self.all.front().is_some_and(|e| e.at <= now - KEPT) || self.all.len() > MOST {
            self.all.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::etcd::tests::member;

    fn look(e: &mut Elections, leader: u64, term: u64, down: &[u64], now: i64) {
        let members: Vec<EtcdMember> = (1..=3)
            .map(|id| {
                let mut m = member(id, &format!("etcd-{id}"), (!down.contains(&id)).then_some(leader));
                m.status.iter_mut().for_each(|s| s.term = term);
                m
            })
            .collect();
        e.look(members.iter(), now);
    }

    #[test]
    fn a_leader_that_is_told_before_its_term_and_one_that_is_gone_after_it_are_one_election() {
        let mut e = Elections::default();
        look(&mut e, 1, 2, &[], 100);
        look(&mut e, 3, 2, &[1], 103);
        look(&mut e, 3, 3, &[], 104);
        let told = |e: &Elections| -> Vec<(u64, String, String, Option<String>)> {
            let text = |s: &Str| s.to_string();
            e.iter().map(|x| (x.term, x.from.as_ref().map(text).unwrap_or_default(), text(&x.to), x.down.as_ref().map(text))).collect()
        };
        let elected = |down: Option<&str>| (3, "etcd-1".to_owned(), "etcd-3".to_owned(), down.map(str::to_owned));
        assert_eq!(told(&e), [elected(None)]);
        look(&mut e, 3, 3, &[1], 107);
        assert_eq!(told(&e), [elected(Some("connection refused"))]);
        let mut e = Elections::default();
        look(&mut e, 1, 2, &[], 100);
        look(&mut e, 3, 3, &[], 104);
        look(&mut e, 3, 3, &[1], 104 + CAUSED + 1);
        assert_eq!(told(&e), [elected(None)], "it went long after");
    }

    #[test]
    fn a_term_that_grows_is_an_election_and_the_first_look_is_none() {
        let mut e = Elections::default();
        look(&mut e, 1, 4, &[], 100);
        look(&mut e, 1, 4, &[], 103);
        assert_eq!((e.iter().count(), e.seen_for()), (0, 3));
        look(&mut e, 2, 5, &[1], 106);
        look(&mut e, 2, 7, &[], 109);
        let told: Vec<_> = e.iter().map(|x| (x.at, x.term, x.from.as_deref(), &*x.to, x.down.as_deref())).collect();
        assert_eq!(told, [(106, 5, Some("etcd-1"), "etcd-2", Some("connection refused")), (109, 7, Some("etcd-2"), "etcd-2", None)]);
        look(&mut e, 2, 7, &[1, 2, 3], 112);
        assert_eq!(e.seen_for(), 9, "who does not answer says nothing");
        look(&mut e, 2, 7, &[], 106 + KEPT);
        assert_eq!(e.iter().count(), 1, "an hour");
        look(&mut e, 1, 2, &[], 4000);
        assert_eq!((e.iter().count(), e.seen_for()), (0, 0), "it was made anew");
    }
}
