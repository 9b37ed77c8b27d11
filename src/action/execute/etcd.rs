//! One call to etcd: the members are looked at before it, and after it until all is well again. A call whose answer was lost may still be
//! under way there; where a look does not tell, it is said to be unknown.

use super::super::etcd::{name_of, silent, words};
use super::{Ended, Run, Why, deadline};
use crate::client::{ClientError, EtcdClient, EtcdPermit, EtcdWriter};
use crate::model::etcd_rpc::{
    ALARM, AlarmRequest, COMPACT, CompactionRequest, DEFRAGMENT, MEMBER_ADD, MEMBER_PROMOTE, MEMBER_REMOVE, MOVE_LEADER, Member,
    MemberAddRequest, MemberId, MoveLeaderRequest, Nothing, alarm_name,
};
use crate::model::{ClusterId, EtcdCall, EtcdId, Quorum, Step, StepState};
use crate::reach::{EtcdReach, Look};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks while something is waited for.
const LOOK: Duration = Duration::from_secs(1);
/// A change of members or of the leader is agreed on by then, or was not.
const ANSWER: Duration = Duration::from_secs(15);
/// A compaction that frees what it forgets.
const COMPACTION: Duration = Duration::from_secs(300);
/// A defragmentation without a limit of its own.
const DEFRAG: Duration = Duration::from_secs(600);
/// For members to be well again after a step.
const SETTLE: Duration = Duration::from_secs(120);
/// Entries that a member may be behind and count as having caught up: others go on writing.
const BEHIND: u64 = 100;
/// What a member's metrics say while it defragments.
const INFLIGHT: &str = "etcd_disk_defrag_inflight ";
const DISARM: i32 = 2;

/// A cluster's etcd while something is done to it.
pub(super) struct Live {
    pub cluster: ClusterId,
    pub reach: EtcdReach,
    pub permit: EtcdPermit,
    pub look: Look,
}

impl Live {
    pub fn quorum(&self) -> Quorum {
        self.look.quorum(self.reach.members())
    }
    pub fn name(&self, id: u64) -> String {
        name_of(&self.reach, id)
    }
    pub fn client(&self, id: u64) -> Result<&EtcdClient, String> {
        let client = self.look.of(id).and_then(|(url, _)| self.reach.client(url));
        client.ok_or_else(|| format!("{} does not answer", self.name(id)))
    }
    pub fn writer(&self, id: u64) -> Result<EtcdWriter, (Why, String)> {
        let client = self.client(id).map_err(|why| (Why::Failed, why))?;
        Ok(self.permit.writer(client))
    }
    /// The leader, else anybody who answers, but not this one.
    fn through(&self, not: Option<u64>) -> Result<EtcdWriter, (Why, String)> {
        let leader = self.look.leader().filter(|id| Some(*id) != not && self.client(*id).is_ok());
        let anybody = || self.look.heard.iter().filter_map(|h| h.member()).find(|id| Some(*id) != not);
        let id = leader.or_else(anybody).ok_or_else(|| (Why::Failed, silent(&self.look)))?;
        self.writer(id)
    }
    fn member(&self, id: u64) -> Option<&Member> {
        self.reach.members().iter().find(|m| m.id == id)
    }
    fn with_peers(&self, peers: &[String]) -> Option<&Member> {
        self.reach.members().iter().find(|m| m.peer_urls.iter().any(|p| peers.contains(p)))
    }
}

/// Whether a call whose answer is this may have been taken all the same.
fn doubtful(e: &ClientError) -> bool {
    matches!(e, ClientError::Timeout { .. } | ClientError::Unreachable { .. } | ClientError::Server { .. } | ClientError::Decode { .. })
}

impl Run {
    pub(super) async fn etcd(&self, at: usize, step: &Step, call: &EtcdCall) -> Ended {
        if let EtcdCall::Hand(hand) = call {
            return self.hand(at, hand).await;
        }
        let cluster = step.target.cluster;
        let failed = |why| (Why::Failed, why);
        let permit = self.clients.etcd_permit(cluster).map_err(failed)?;
        let mut reach = self.clients.etcd(cluster).map_err(failed)?;
        let look = reach.look().await;
        let mut live = Live { cluster, reach, permit, look };
        if !look_answers(&live.look) {
            return Err((Why::Blocked, silent(&live.look)));
        }
        if Self::late() {
            return Err((Why::Blocked, "not within the time limit: it was not begun".to_owned()));
        }
        match call {
            EtcdCall::Hand(hand) => self.hand(at, hand).await,
            EtcdCall::Snapshot(to) => self.snapshot(at, &mut live, to).await,
            EtcdCall::Defragment { member } => self.defragment(at, &mut live, member.0).await,
            EtcdCall::MoveLeader { to } => self.move_leader(at, &mut live, to.0).await,
            EtcdCall::Disarm { member, alarm } => self.disarm(&mut live, member.0, *alarm).await,
            EtcdCall::Compact { revision } => self.compact(&live, *revision).await,
            EtcdCall::Add { peers } => self.add_member(&mut live, peers).await,
            EtcdCall::Promote { member } => self.promote(at, &mut live, *member).await,
            EtcdCall::Remove { member } => self.remove(at, &mut live, member.0).await,
            EtcdCall::RemoveAt { peers } => match live.with_peers(peers).map(|m| m.id) {
                Some(id) => self.remove(at, &mut live, id).await,
                None => Ok("gone already".to_owned()),
            },
        }
    }

    /// Looks until all is well: as many voters answer as before, the quorum holds, all have the same leader, and `caught_up` of a member.
    async fn whole_again(&self, at: usize, live: &mut Live, before: Quorum, caught_up: Option<(u64, u64)>) -> Result<(), (Why, String)> {
        let until = Instant::now() + SETTLE;
        let mut said = String::new();
        loop {
            live.look = live.reach.look().await;
            let Some(why) = unsettled(live, before, caught_up) else { return Ok(()) };
            if why != said {
                said.clone_from(&why);
                self.tell(at, StepState::Waits(why.clone()), None);
            }
            if Instant::now() >= until || Self::late() {
                return Err((Why::Blocked, format!("it was done, but is not well again in time: {why}")));
            }
            self.rest(LOOK).await?;
        }
    }

    async fn defragment(&self, at: usize, live: &mut Live, id: u64) -> Ended {
        let (name, before) = (live.name(id), live.quorum());
        let full = live.look.alarms.iter().flatten().any(|a| a.alarm == 1);
        let votes = live.member(id).is_none_or(|m| !m.is_learner);
        if votes && before.voters > 1 && !before.while_away().holds() && !full {
            return Err((Why::Blocked, format!("while {name} is away: {}", before.while_away().words())));
        }
        let size = |live: &Live| live.look.of(id).map(|(_, s)| s.db_size);
        let was = size(live).ok_or_else(|| (Why::Blocked, format!("{name} does not answer")))?;
        let (writer, begun) = (live.writer(id)?, Instant::now());
        let limit = deadline().map_or(DEFRAG, |d| d.saturating_duration_since(begun)).max(LOOK);
        let answer = writer.call(DEFRAGMENT, Nothing {}, limit, &self.receipt).await;
        let mut lost = None;
        match answer {
            Ok(_) => {}
            Err(e) if doubtful(&e) => {
                self.undecided(at, live, id, &e).await?;
                lost = Some(words(&e));
            }
            Err(e) => return Err((Why::Failed, words(&e))),
        }
        // What the others have had until now it must have too.
        let goal = live.reach.look().await.answers().map(|s| s.raft_index).max().unwrap_or(0);
        self.whole_again(at, live, before, Some((id, goal))).await?;
        let is = size(live).unwrap_or(was);
        let text = format!("{} KiB -> {} KiB in {:.1} s", was >> 10, is >> 10, begun.elapsed().as_secs_f32());
        match lost {
            None => Ok(text),
            Some(_) if is < was => Ok(format!("{text}; the answer was lost")),
            Some(why) => {
                Err((Why::Unknown, format!("{why}; it is not under way any more, and whether it was done cannot be told: {text}")))
            }
        }
    }

    /// The answer to a defragmentation was lost: waits for as long as the member says that it is under way.
    async fn undecided(&self, at: usize, live: &mut Live, id: u64, e: &ClientError) -> Result<(), (Why, String)> {
        let unknown = |why: &str| {
            let text = format!("{}; {why}: the defragmentation of {} may still be under way there", words(e), name_of(&live.reach, id));
            (Why::Unknown, text)
        };
        let until = Instant::now() + SETTLE;
        loop {
            let look = live.reach.clone().look().await;
            let client = look.of(id).and_then(|(url, _)| live.reach.client(url)).cloned();
            let metrics = match client {
                Some(client) => client.metrics().await.ok().and_then(|b| String::from_utf8(b.to_vec()).ok()),
                None => None,
            };
            match metrics.as_deref().and_then(|text| text.lines().find_map(|l| l.strip_prefix(INFLIGHT))).map(str::trim) {
                Some("0") => return Ok(()),
                Some(_) => {
                    self.tell(at, StepState::Waits("its answer was lost, but the member says that it is under way".to_owned()), None)
                }
                None => self.tell(at, StepState::Waits("its answer was lost, and the member does not answer".to_owned()), None),
            }
            if Instant::now() >= until || Self::late() {
                return Err(unknown("nobody can say how it ended"));
            }
            self.rest(LOOK).await.map_err(|_| unknown("stopped"))?;
        }
    }

    async fn move_leader(&self, at: usize, live: &mut Live, to: u64) -> Ended {
        let (name, before) = (live.name(to), live.quorum());
        match live.look.leader() {
            Some(leader) if leader == to => return Ok("it leads already".to_owned()),
            Some(leader) => {
                live.client(to).map_err(|why| (Why::Blocked, why))?;
                let writer = live.writer(leader)?;
                if let Err(e) = writer.call(MOVE_LEADER, MoveLeaderRequest { target: to }, ANSWER, &self.receipt).await {
                    live.look = live.reach.look().await;
                    if live.look.leader() != Some(to) {
                        let why = if matches!(e, ClientError::Timeout { .. }) { Why::Unknown } else { Why::Failed };
                        return Err((why, words(&e)));
                    }
                }
            }
            None => return Err((Why::Blocked, format!("there is no leader: {}", before.words()))),
        }
        self.whole_again(at, live, before, None).await?;
        match live.look.leader() {
            Some(leader) if leader == to => Ok(format!("{name} leads")),
            other => Err((Why::Failed, format!("{} leads, not {name}", other.map_or("nobody".to_owned(), |id| live.name(id))))),
        }
    }

    async fn disarm(&self, live: &mut Live, member: u64, alarm: i32) -> Ended {
        let raised = |look: &Look| look.alarms.as_ref().map(|all| all.iter().any(|a| a.member == member && a.alarm == alarm));
        if raised(&live.look) == Some(false) {
            return Ok("was so already".to_owned());
        }
        let sent = live.through(None)?.call(ALARM, AlarmRequest { action: DISARM, member, alarm }, ANSWER, &self.receipt).await;
        live.look = live.reach.look().await;
        match (sent, raised(&live.look)) {
            (_, Some(false)) => Ok("no longer raised".to_owned()),
            (Ok(_), Some(true)) => Err((Why::Failed, format!("{} is raised again already", alarm_name(alarm)))),
            (Ok(_), None) => Err((Why::Unknown, "it was taken, and nobody says whether it is still raised".to_owned())),
            (Err(e), _) => Err((if doubtful(&e) { Why::Unknown } else { Why::Failed }, words(&e))),
        }
    }

    async fn compact(&self, live: &Live, revision: Option<i64>) -> Ended {
        let newest = live.look.answers().filter_map(|s| Some(s.header.as_ref()?.revision)).max().unwrap_or(0);
        let revision = revision.unwrap_or(newest);
        if revision > newest {
            return Err((Why::Failed, format!("the newest revision is {newest}")));
        }
        let limit = deadline().map_or(COMPACTION, |d| d.saturating_duration_since(Instant::now()));
        let sent = live.through(None)?.call(COMPACT, CompactionRequest { revision, physical: true }, limit, &self.receipt).await;
        match sent {
            Ok(_) => Ok(format!("up to revision {revision}")),
            // OutOfRange: as far as that is forgotten already, by us or by the API server.
            Err(ClientError::Invalid { message }) if message.contains("has been compacted") => Ok("was so already".to_owned()),
            Err(e) if doubtful(&e) => Err((Why::Unknown, format!("{}; it may still be under way", words(&e)))),
            Err(e) => Err((Why::Failed, words(&e))),
        }
    }

    async fn add_member(&self, live: &mut Live, peers: &[String]) -> Ended {
        let ours = |live: &Live| live.with_peers(peers).map(|m| format!("member {}, a learner", EtcdId(m.id)));
        if ours(live).is_some() {
            return Ok("it is a member already".to_owned());
        }
        if !live.quorum().holds() {
            return Err((Why::Blocked, format!("the quorum is lost: {}", live.quorum().words())));
        }
        let request = MemberAddRequest { peer_urls: peers.to_vec(), is_learner: true };
        let sent = live.through(None)?.call(MEMBER_ADD, request, ANSWER, &self.receipt).await;
        live.look = live.reach.look().await;
        match (sent, ours(live)) {
            (_, Some(text)) => Ok(text),
            (Ok(_), None) => Ok("added".to_owned()),
            (Err(e), None) => Err((unfinished(&e), words(&e))),
        }
    }

    async fn promote(&self, at: usize, live: &mut Live, id: EtcdId) -> Ended {
        loop {
            match live.member(id.0) {
                None => return Err((Why::Failed, "it is no member any more".to_owned())),
                Some(m) if !m.is_learner => return Ok("it has a vote".to_owned()),
                Some(_) => {}
            }
            let why = match live.through(Some(id.0))?.call(MEMBER_PROMOTE, MemberId { id: id.0 }, ANSWER, &self.receipt).await {
                Ok(_) => "the list of members does not have it yet".to_owned(),
                // Not in sync yet, or nobody heard the answer: looked at before it is asked again.
                Err(e @ ClientError::Invalid { .. }) => words(&e),
                Err(e) if doubtful(&e) => words(&e),
                Err(e) => return Err((Why::Failed, words(&e))),
            };
            self.tell(at, StepState::Waits(why.clone()), None);
            if Self::late() {
                return Err((Why::Blocked, format!("not within the time limit: {why}")));
            }
            self.rest(LOOK).await?;
            live.look = live.reach.look().await;
        }
    }

    async fn remove(&self, at: usize, live: &mut Live, id: u64) -> Ended {
        let Some(member) = live.member(id) else { return Ok("gone already".to_owned()) };
        let (learner, before) = (member.is_learner, live.quorum());
        let healthy = live.look.of(id).is_some_and(|(_, s)| s.leader != 0);
        let after = if learner { before } else { before.without(healthy) };
        if !before.holds() || !after.holds() {
            let text = format!("the quorum would be lost: {} (now: {})", after.words(), before.words());
            return Err((Why::Blocked, text));
        }
        let sent = live.through(Some(id))?.call(MEMBER_REMOVE, MemberId { id }, ANSWER, &self.receipt).await;
        live.look = live.reach.look().await;
        match (sent, live.member(id).is_some()) {
            (Err(e), true) => return Err((unfinished(&e), words(&e))),
            (Ok(_), _) | (Err(_), false) => {}
        }
        self.whole_again(at, live, after, None).await?;
        Ok(live.quorum().words())
    }
}

/// What a refusal means that left things as they were: after silence it may still be agreed on.
fn unfinished(e: &ClientError) -> Why {
    if matches!(e, ClientError::Timeout { .. } | ClientError::Unreachable { .. }) { Why::Unknown } else { Why::Failed }
}

fn look_answers(look: &Look) -> bool {
    look.answers().next().is_some()
}

/// What is not as it should be; none: all is well.
fn unsettled(live: &Live, before: Quorum, caught_up: Option<(u64, u64)>) -> Option<String> {
    let (look, now) = (&live.look, live.quorum());
    if now.healthy < before.healthy || !now.holds() {
        return Some(now.words());
    }
    let mut leaders: Vec<u64> = look.answers().map(|s| s.leader).collect();
    leaders.sort_unstable();
    leaders.dedup();
    match leaders.as_slice() {
        [0] | [] => return Some("there is no leader".to_owned()),
        [_] => {}
        _ => return Some("the members do not agree on who leads".to_owned()),
    }
    let (id, goal) = caught_up?;
    match look.of(id) {
        None => Some(format!("{} does not answer", live.name(id))),
        Some((_, s)) if s.raft_applied_index + BEHIND < goal => {
            Some(format!("{} is {} entries behind", live.name(id), goal - s.raft_applied_index))
        }
        Some(_) => None,
    }
}
