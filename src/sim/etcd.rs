//! The etcd behind a simulated API server: its members, how they stand, and what their gRPC API does to them.
//!
//! Nothing is kept in it and nothing runs by itself: indices, sizes and alarms follow from the time at which somebody asks. Errors are in
//! etcd's own words and codes (`api/v3rpc/rpctypes/error.go`). Sockets and framing are `rpc`'s, `/metrics` is `metrics`'.

mod metrics;
pub mod rpc;
mod snapshot;

use super::fault::Fault;
use super::make::fnv;
use super::store::State;
use crate::model::etcd_rpc as wire;
use std::collections::BTreeMap;
use tonic::Status;

const MIB: i64 = 1 << 20;
/// Bytes that a member's file may have.
const QUOTA: i64 = 512 * MIB;
const VERSION: &str = "3.6.5";
/// Of a member that ails: its version, the entries that it is behind, and its file.
const OLD: &str = "3.5.21";
const BEHIND: u64 = 3_200;
const FRAGMENTED: i64 = 320 * MIB;
/// The alarm, and what an alarm's request may want.
const NOSPACE: i32 = 1;
const ACTIVATE: i32 = 1;
const DISARM: i32 = 2;
/// Seconds between two compactions by the API server.
const COMPACTS: i64 = 300;
/// Seconds that a new member takes to start, and then to follow.
const STARTS: i64 = 4;
const FOLLOWS: i64 = 10;
/// What a request gets that finds no quorum, when its time is up.
const NO_ANSWER: &str = "etcdserver: request timed out";

/// One member.
pub struct Member {
    pub id: u64,
    /// Empty until it has started.
    pub name: String,
    peers: Vec<String>,
    /// Where its socket is.
    pub client: Option<String>,
    learner: bool,
    /// Unix seconds since which it runs.
    since: i64,
    /// Bytes of its file.
    size: i64,
    /// It does not answer since then (unix seconds).
    down: Option<i64>,
    /// Old, slow and far behind.
    ails: bool,
}

impl Member {
    fn version(&self) -> &'static str {
        if self.ails { OLD } else { VERSION }
    }
}

/// A database that fills up: from when on, and by how many bytes a second.
#[derive(Clone, Copy)]
struct Fill {
    from: i64,
    speed: i64,
    /// Bytes, once nothing more is written.
    stopped: Option<i64>,
}

/// The members and what they share.
pub struct Etcd {
    pub id: u64,
    pub members: Vec<Member>,
    /// 0: there is none.
    leader: u64,
    term: u64,
    /// Elections since the start.
    elections: i64,
    /// Unix seconds.
    pub born: i64,
    /// Bytes that hold data right after a compaction.
    base: i64,
    compacted: i64,
    /// The revision at which the quorum went.
    frozen: Option<i64>,
    fill: Option<Fill>,
    /// Member and alarm, and since when (unix seconds).
    alarms: BTreeMap<(u64, i32), i64>,
    /// What becomes of members' sockets: whose, by what, and whether it begins.
    pub troubles: Vec<(u64, Fault, bool)>,
}

/// A number from the cluster's name and seed, the same for the same fleet.
fn mixed(seed: u64, what: &str) -> u64 {
    (seed ^ fnv(what)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The same, below `below`.
fn part(seed: u64, what: &str, below: i64) -> i64 {
    (mixed(seed, what) >> 33) as i64 % below.max(1)
}

impl Etcd {
    /// Three members that run well since some weeks before `born` (unix seconds).
    pub fn new(cluster: &str, seed: u64, born: i64) -> Self {
        let seed = mixed(seed, cluster);
        let base = 34 * MIB + part(seed, "base", 24 * MIB);
        let member = |n: i64| {
            let name = format!("etcd-{n}");
            Member {
                id: mixed(seed, &name),
                peers: vec![format!("https://10.{}.0.{}:2380", 10 + part(seed, "net", 200), 10 + n)],
                client: None,
                learner: false,
                since: born - 86_400 * (9 + 5 * n) - part(seed, &name, 40_000),
                // In pages, as bolt has it.
                size: (base * 3 / 2 + part(seed, &name, 6 * MIB)) & !4095,
                down: None,
                ails: false,
                name,
            }
        };
        let members: Vec<Member> = (1..=3).map(member).collect();
        let leader = members[part(seed, "leader", 3) as usize].id;
        Self {
            id: mixed(seed, "id"),
            members,
            leader,
            term: 3 + part(seed, "term", 9).unsigned_abs(),
            elections: 1,
            born,
            base,
            compacted: 0,
            frozen: None,
            fill: None,
            alarms: BTreeMap::new(),
            troubles: Vec::new(),
        }
    }

    fn member(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// A member of that name ails from now on, or no more; what its file has grown to stays.
    pub fn ails(&mut self, name: &str, begins: bool) {
        for member in self.members.iter_mut().filter(|m| m.name == name) {
            member.ails = begins;
            member.size = member.size.max(FRAGMENTED);
        }
    }

    fn quorum(&self) -> bool {
        let voters = || self.members.iter().filter(|m| !m.learner);
        voters().filter(|m| m.down.is_none() && !m.name.is_empty()).count() > voters().count() / 2
    }

    /// Whether the API server's writes are refused.
    pub fn full(&self) -> bool {
        self.alarms.keys().any(|(_, alarm)| *alarm == NOSPACE)
    }

    /// Alarms: the member's name, which, and since when (unix seconds).
    pub fn raised(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.alarms.iter().filter_map(|((id, alarm), since)| Some((self.member(*id)?.name.as_str(), *alarm, *since)))
    }

    /// The names of the members that are down, and since when (unix seconds).
    pub fn down(&self) -> impl Iterator<Item = (&str, i64)> {
        self.members.iter().filter_map(|m| Some((m.name.as_str(), m.down?)))
    }

    /// The leader stays while it can; else another one that can is one.
    fn elect(&mut self, revision: i64) {
        let can = |m: &&Member| m.down.is_none() && !m.learner && !m.name.is_empty();
        if !self.quorum() {
            self.leader = 0;
            self.frozen = self.frozen.or(Some(revision));
        } else if self.leader == 0 || !self.member(self.leader).is_some_and(|m| can(&m)) {
            self.lead(self.members.iter().find(can).map_or(0, |m| m.id));
        }
    }

    fn lead(&mut self, id: u64) {
        (self.leader, self.frozen) = (id, None);
        self.term += 1;
        self.elections += 1;
    }

    /// It begins to fill up, and is full in so many seconds.
    pub fn fill(&mut self, now: i64, seconds: i64) {
        self.fill = Some(Fill { from: now, speed: (QUOTA - self.base) / seconds.max(1) + 1, stopped: None });
    }

    /// It no longer does; what has been written stays.
    pub fn stop(&mut self, now: i64) {
        let grown = self.grown(now);
        if let Some(fill) = &mut self.fill {
            fill.stopped = fill.stopped.or(Some(grown));
        }
    }

    /// How much of the quota will be taken in so many seconds, while it fills up.
    pub fn filled_in(&self, now: i64, secs: i64) -> Option<f64> {
        let fill = self.fill.filter(|f| f.stopped.is_none())?;
        Some(self.in_use(now).saturating_add(fill.speed.saturating_mul(secs)) as f64 / QUOTA as f64)
    }

    fn grown(&self, now: i64) -> i64 {
        self.fill.map_or(0, |f| f.stopped.unwrap_or((now - f.from).max(0) * f.speed))
    }

    fn in_use(&self, now: i64) -> i64 {
        // History that the next compaction takes.
        let history = self.base / 12 * now.rem_euclid(COMPACTS) / COMPACTS;
        (self.base + history + self.grown(now)) & !4095
    }

    /// Files grow with what is in them, until one is too large.
    pub fn advance(&mut self, now: i64) {
        let used = self.in_use(now);
        for member in self.members.iter_mut().filter(|m| m.down.is_none() && !m.name.is_empty()) {
            if member.size < used {
                // Bolt takes it in steps.
                member.size = (used + 4 * MIB) & !4095;
            }
            if member.size >= QUOTA {
                member.size = QUOTA + 4096;
                self.alarms.entry((member.id, NOSPACE)).or_insert(now);
            }
        }
        if self.full() {
            self.stop(now);
        }
        let learner = |m: &Member| m.name.is_empty() && m.client.is_some() && now >= m.since;
        if let Some(n) = self.members.iter().position(learner) {
            let taken = self.members.iter().filter_map(|m| m.name.strip_prefix("etcd-")?.parse::<u32>().ok());
            self.members[n].name = format!("etcd-{}", taken.max().unwrap_or(0) + 1);
        }
    }

    /// Up to which revision history is gone.
    fn compacted(&self, now: i64) -> i64 {
        // Whoever fills it up does so because nobody compacts.
        let at = self.fill.map_or(now, |f| f.from.min(now));
        let seconds = at - at.rem_euclid(COMPACTS) - COMPACTS - self.born;
        self.compacted.max(written(seconds))
    }
}

/// Revisions by what a cluster writes without being asked: leases, heartbeats.
fn written(seconds: i64) -> i64 {
    2_400_000 + seconds * 3
}

impl State {
    /// A member by its name no longer answers, or does again; false when there is no such member.
    pub fn member(&mut self, name: &str, fault: &Fault, begins: bool) -> bool {
        let (now, revision) = (self.now(), self.revision());
        let Some(member) = self.etcd.members.iter_mut().find(|m| m.name == name) else { return false };
        member.down = begins.then_some(now);
        self.etcd.troubles.push((member.id, fault.clone(), begins));
        self.etcd.elect(revision);
        true
    }

    /// The revision of etcd that the API server's own versions would be.
    pub fn revision(&self) -> i64 {
        let e = &self.etcd;
        e.frozen.unwrap_or_else(|| written(self.now() - e.born) + i64::try_from(self.rv).unwrap_or(0))
    }
}

/// What a member answers.
type Said<T> = Result<T, Status>;

fn no_quorum() -> Status {
    Status::unavailable(NO_ANSWER)
}

fn header(s: &State, id: u64) -> Option<wire::ResponseHeader> {
    Some(wire::ResponseHeader { cluster_id: s.etcd.id, member_id: id, revision: s.revision(), raft_term: s.etcd.term })
}

/// Only with a quorum: everything that goes through the log.
fn agreed(s: &State) -> Said<()> {
    if s.etcd.leader == 0 { Err(no_quorum()) } else { Ok(()) }
}

pub fn status(s: &mut State, id: u64) -> Said<wire::StatusResponse> {
    let now = s.now();
    let (header, index) = (header(s, id), (s.revision() + 240_113).unsigned_abs());
    let e = &s.etcd;
    let Some(m) = e.member(id) else { return Err(Status::unavailable("etcdserver: server stopped")) };
    // A learner comes from behind.
    let behind = if m.learner { (m.since + FOLLOWS - now).max(0).unsigned_abs() * 21_000 } else { 0 };
    let behind = if m.ails { BEHIND } else { behind };
    let errors = [(e.leader == 0).then(|| "etcdserver: no leader".to_owned())].into_iter().flatten();
    let alarms = e.alarms.keys().filter(|a| a.0 == id).map(|(_, alarm)| format!("memberID:{id} alarm:{} ", wire::alarm_name(*alarm)));
    Ok(wire::StatusResponse {
        header,
        version: m.version().to_owned(),
        db_size: m.size,
        leader: e.leader,
        raft_index: index.saturating_sub(behind),
        raft_term: e.term,
        raft_applied_index: index.saturating_sub(behind),
        errors: errors.chain(alarms).collect(),
        db_size_in_use: e.in_use(now).min(m.size),
        is_learner: m.learner,
        storage_version: "3.6.0".to_owned(),
        db_size_quota: QUOTA,
    })
}

fn listed(e: &Etcd) -> Vec<wire::Member> {
    let clients = |m: &Member| if m.name.is_empty() { Vec::new() } else { m.client.iter().cloned().collect() };
    e.members
        .iter()
        .map(|m| wire::Member {
            id: m.id,
            name: m.name.clone(),
            peer_urls: m.peers.clone(),
            client_urls: clients(m),
            is_learner: m.learner,
        })
        .collect()
}

pub fn list(s: &mut State, id: u64, asked: &wire::MemberListRequest) -> Said<wire::MemberListResponse> {
    if asked.linearizable {
        agreed(s)?;
    }
    Ok(wire::MemberListResponse { header: header(s, id), members: listed(&s.etcd) })
}

/// A member is added; `client`: the socket on which it will answer once it has started by itself.
pub fn add(s: &mut State, id: u64, asked: &wire::MemberAddRequest, client: String) -> Said<wire::MemberAddResponse> {
    agreed(s)?;
    let now = s.now();
    let e = &mut s.etcd;
    if asked.peer_urls.is_empty() {
        return Err(Status::invalid_argument("etcdserver: given member URLs are invalid"));
    }
    if e.members.iter().any(|m| m.peers.iter().any(|p| asked.peer_urls.contains(p))) {
        return Err(Status::failed_precondition("etcdserver: Peer URLs already exists"));
    }
    if asked.is_learner && e.members.iter().any(|m| m.learner) {
        return Err(Status::failed_precondition("etcdserver: too many learner members in cluster"));
    }
    let down = e.members.iter().filter(|m| !m.learner && (m.down.is_some() || m.name.is_empty())).count();
    if !asked.is_learner && down > 0 {
        return Err(Status::unavailable("etcdserver: unhealthy cluster"));
    }
    let new = Member {
        id: mixed(e.id, &asked.peer_urls.join(",")),
        name: String::new(),
        peers: asked.peer_urls.clone(),
        client: Some(client),
        learner: asked.is_learner,
        since: now + STARTS,
        size: e.in_use(now),
        down: None,
        ails: false,
    };
    e.members.push(new);
    let members = listed(e);
    let member = members.last().cloned();
    Ok(wire::MemberAddResponse { header: header(s, id), member, members })
}

pub fn remove(s: &mut State, id: u64, asked: &wire::MemberId) -> Said<wire::MemberListResponse> {
    agreed(s)?;
    let revision = s.revision();
    let e = &mut s.etcd;
    let Some(at) = e.members.iter().position(|m| m.id == asked.id) else { return Err(Status::not_found("etcdserver: member not found")) };
    let voters: Vec<&Member> = e.members.iter().filter(|m| !m.learner && m.id != asked.id).collect();
    let started = voters.iter().filter(|m| m.down.is_none() && !m.name.is_empty()).count();
    if !e.members[at].learner && started < voters.len() / 2 + 1 {
        return Err(Status::failed_precondition("etcdserver: re-configuration failed due to not enough started members"));
    }
    let gone = e.members.remove(at);
    e.alarms.retain(|(member, _), _| *member != gone.id);
    e.troubles.push((gone.id, Fault::Refuse, true));
    e.elect(revision);
    Ok(wire::MemberListResponse { header: header(s, id), members: listed(&s.etcd) })
}

pub fn promote(s: &mut State, id: u64, asked: &wire::MemberId) -> Said<wire::MemberListResponse> {
    agreed(s)?;
    let now = s.now();
    let Some(member) = s.etcd.members.iter_mut().find(|m| m.id == asked.id) else {
        return Err(Status::not_found("etcdserver: member not found"));
    };
    if !member.learner {
        return Err(Status::failed_precondition("etcdserver: can only promote a learner member"));
    }
    if member.name.is_empty() || now < member.since + FOLLOWS {
        return Err(Status::failed_precondition("etcdserver: can only promote a learner member which is in sync with leader"));
    }
    member.learner = false;
    Ok(wire::MemberListResponse { header: header(s, id), members: listed(&s.etcd) })
}

pub fn move_leader(s: &mut State, id: u64, asked: &wire::MoveLeaderRequest) -> Said<wire::Done> {
    let e = &mut s.etcd;
    if e.leader != id {
        return Err(Status::failed_precondition("etcdserver: not leader"));
    }
    if !e.member(asked.target).is_some_and(|m| !m.learner && !m.name.is_empty()) {
        return Err(Status::failed_precondition("etcdserver: bad leader transferee"));
    }
    if e.member(asked.target).is_some_and(|m| m.down.is_some()) {
        return Err(Status::unavailable("etcdserver: request timed out, leader transfer took too long"));
    }
    if asked.target != id {
        e.lead(asked.target);
    }
    Ok(wire::Done { header: header(s, id) })
}

pub fn alarm(s: &mut State, id: u64, asked: &wire::AlarmRequest) -> Said<wire::AlarmResponse> {
    agreed(s)?;
    let told = |all: &mut dyn Iterator<Item = (u64, i32)>| all.map(|(member, alarm)| wire::AlarmMember { member, alarm }).collect();
    let (now, e) = (s.now(), &mut s.etcd);
    let one = (asked.member, asked.alarm);
    let alarms = match asked.action {
        DISARM => told(&mut e.alarms.remove(&one).map(|_| one).into_iter()),
        ACTIVATE => {
            e.alarms.entry(one).or_insert(now);
            told(&mut [one].into_iter())
        }
        _ => told(&mut e.alarms.keys().copied().filter(|a| asked.alarm == 0 || a.1 == asked.alarm)),
    };
    Ok(wire::AlarmResponse { header: header(s, id), alarms })
}

/// Whether a revision can be read: it has been written, and is not compacted.
fn readable(s: &State, revision: i64) -> Said<()> {
    if revision > s.revision() {
        return Err(Status::out_of_range("etcdserver: mvcc: required revision is a future revision"));
    }
    if revision < s.etcd.compacted(s.now()) {
        return Err(Status::out_of_range("etcdserver: mvcc: required revision has been compacted"));
    }
    Ok(())
}

pub fn hash(s: &mut State, id: u64, asked: &wire::HashKvRequest) -> Said<wire::HashKvResponse> {
    let revision = if asked.revision == 0 { s.revision() } else { asked.revision };
    readable(s, revision)?;
    let compact_revision = s.etcd.compacted(s.now());
    let hash = (mixed(s.etcd.id, &format!("{compact_revision} {revision}")) >> 32) as u32;
    Ok(wire::HashKvResponse { header: header(s, id), hash, compact_revision, hash_revision: revision })
}

/// A read that finds nothing.
pub fn range(s: &mut State, id: u64) -> Said<wire::Done> {
    agreed(s)?;
    Ok(wire::Done { header: header(s, id) })
}

pub fn compact(s: &mut State, id: u64, asked: &wire::CompactionRequest) -> Said<wire::Done> {
    agreed(s)?;
    if asked.revision <= s.etcd.compacted(s.now()) {
        return Err(Status::out_of_range("etcdserver: mvcc: required revision has been compacted"));
    }
    readable(s, asked.revision)?;
    // What filled it up was history.
    (s.etcd.compacted, s.etcd.fill) = (asked.revision, None);
    Ok(wire::Done { header: header(s, id) })
}

pub fn defragment(s: &mut State, id: u64) -> Said<wire::Done> {
    let used = s.etcd.in_use(s.now());
    if let Some(member) = s.etcd.members.iter_mut().find(|m| m.id == id) {
        member.size = member.size.min(used + MIB / 4);
    }
    Ok(wire::Done { header: header(s, id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn state() -> State {
        let mut s = State::new("c", 1);
        s.clock = NOW * 1000;
        s.etcd = Etcd::new("c", 1, NOW);
        s
    }

    fn pass(s: &mut State, seconds: i64) {
        s.clock += seconds * 1000;
        let now = s.now();
        s.etcd.advance(now);
    }

    fn ids(s: &State) -> Vec<u64> {
        s.etcd.members.iter().map(|m| m.id).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_members_that_agree() {
        let (mut a, mut b) = (state(), state());
        for id in ids(&a) {
            let said = status(&mut a, id).unwrap();
            assert_eq!(said, status(&mut b, id).unwrap());
            assert_eq!((said.errors.len(), said.leader, said.db_size < QUOTA / 4), (0, a.etcd.leader, true));
            assert!(said.db_size_in_use < said.db_size);
        }
        let hashes: Vec<_> = ids(&a)
            .into_iter()
            .map(|id| hash(&mut a, id, &wire::HashKvRequest::default()).unwrap())
            .map(|h| (h.hash, h.compact_revision))
            .collect();
        assert!(hashes.iter().all(|h| *h == hashes[0]), "{hashes:?}");
        assert_ne!(a.etcd.id, Etcd::new("d", 1, NOW).id);
    }

    #[test]
    fn a_lost_leader_is_followed_by_another_and_a_lost_quorum_by_none() {
        let mut s = state();
        let (leader, term) = (s.etcd.leader, s.etcd.term);
        let name = s.etcd.member(leader).unwrap().name.clone();
        let revision = s.revision();
        s.member(&name, &Fault::Refuse, true);
        assert!(s.etcd.leader != leader && s.etcd.leader != 0 && s.etcd.term == term + 1);
        let other = s.etcd.member(s.etcd.leader).unwrap().name.clone();
        s.member(&other, &Fault::Hang, true);
        let left = s.etcd.members.iter().find(|m| m.down.is_none()).unwrap().id;
        let said = status(&mut s, left).unwrap();
        assert_eq!((said.leader, said.errors), (0, vec!["etcdserver: no leader".to_owned()]));
        assert_eq!(alarm(&mut s, left, &wire::AlarmRequest::default()).unwrap_err().message(), NO_ANSWER);
        assert!(list(&mut s, left, &wire::MemberListRequest { linearizable: true }).is_err());
        assert_eq!(list(&mut s, left, &wire::MemberListRequest::default()).unwrap().members.len(), 3);
        pass(&mut s, 60);
        assert_eq!(s.revision(), revision, "nothing is written");
        s.member(&name, &Fault::Refuse, false);
        assert!(s.etcd.leader != 0 && s.revision() > revision);
    }

    #[test]
    fn what_fills_up_is_mended_by_compacting_defragmenting_and_disarming() {
        let mut s = state();
        s.etcd.fill(NOW, 60);
        pass(&mut s, 30);
        assert!(!s.etcd.full());
        pass(&mut s, 40);
        assert_eq!(s.etcd.raised().count(), 3);
        let (id, revision) = (ids(&s)[0], s.revision());
        let raised = alarm(&mut s, id, &wire::AlarmRequest::default()).unwrap().alarms;
        let disarm = |s: &mut State| {
            for a in &raised {
                alarm(s, id, &wire::AlarmRequest { action: DISARM, member: a.member, alarm: a.alarm }).unwrap();
            }
        };
        disarm(&mut s);
        pass(&mut s, 1);
        assert!(s.etcd.full(), "there is still no room");
        compact(&mut s, id, &wire::CompactionRequest { revision, physical: true }).unwrap();
        let said = status(&mut s, id).unwrap();
        assert!(said.db_size >= QUOTA && said.db_size_in_use < QUOTA / 8, "the file keeps its size");
        assert!(said.errors[0].contains("NOSPACE"));
        for id in ids(&s) {
            defragment(&mut s, id).unwrap();
        }
        disarm(&mut s);
        pass(&mut s, 600);
        assert!(!s.etcd.full() && status(&mut s, id).unwrap().db_size < QUOTA / 8);
        let again = compact(&mut s, id, &wire::CompactionRequest { revision, physical: true }).unwrap_err();
        assert!(again.message().ends_with("has been compacted"), "{again}");
        assert!(hash(&mut s, id, &wire::HashKvRequest { revision: revision + 1_000_000 }).unwrap_err().message().contains("future"));
    }

    #[test]
    fn a_member_is_added_follows_is_promoted_leads_and_goes() {
        let mut s = state();
        let first = ids(&s)[0];
        let asked = wire::MemberAddRequest { peer_urls: vec!["https://10.0.0.9:2380".to_owned()], is_learner: true };
        let added = add(&mut s, first, &asked, "http://127.0.0.1:9".to_owned()).unwrap();
        let new = added.member.unwrap();
        assert!(new.name.is_empty() && new.client_urls.is_empty() && new.is_learner && added.members.len() == 4);
        assert!(add(&mut s, first, &asked, String::new()).unwrap_err().message().contains("already exists"));
        let promoted = |s: &mut State| promote(s, first, &wire::MemberId { id: new.id });
        assert!(promoted(&mut s).unwrap_err().message().contains("in sync with leader"));
        pass(&mut s, STARTS);
        assert!(status(&mut s, new.id).unwrap().raft_index < status(&mut s, first).unwrap().raft_index);
        pass(&mut s, FOLLOWS);
        let members = promoted(&mut s).unwrap().members;
        assert!(members.iter().all(|m| !m.is_learner && !m.client_urls.is_empty() || m.id != new.id));
        let leader = s.etcd.leader;
        let follower = ids(&s).into_iter().find(|id| *id != leader).unwrap();
        let to = wire::MoveLeaderRequest { target: new.id };
        assert_eq!(move_leader(&mut s, follower, &to).unwrap_err().message(), "etcdserver: not leader");
        move_leader(&mut s, leader, &to).unwrap();
        assert_eq!(s.etcd.leader, new.id);
        assert_eq!(remove(&mut s, first, &wire::MemberId { id: new.id }).unwrap().members.len(), 3);
        assert!(s.etcd.leader != new.id && s.etcd.leader != 0);
        assert_eq!(s.etcd.troubles, [(new.id, Fault::Refuse, true)]);
        let name = s.etcd.members[2].name.clone();
        s.member(&name, &Fault::Refuse, true);
        let one = ids(&s)[1];
        assert!(remove(&mut s, first, &wire::MemberId { id: one }).unwrap_err().message().contains("not enough started members"));
    }
}
