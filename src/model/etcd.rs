//! etcd's members: what each says of itself, and what that means for the quorum.

use super::{Meta, Str, Time};
use serde::{Deserialize, Serialize};

/// A member of a cluster's etcd. A member that no longer answers keeps what it said last.
#[derive(Clone, PartialEq, Debug)]
pub struct EtcdMember {
    /// `name` is the member's name, else its first peer's address; the uid is that of `etcd/<member id>`.
    pub meta: Meta,
    /// `Member.ID` of MemberList.
    pub id: u64,
    /// `Member.peerURLs`.
    pub peers: Box<[Str]>,
    /// `Member.clientURLs`.
    pub clients: Box<[Str]>,
    /// `Member.isLearner`: it follows and has no vote.
    pub learner: bool,
    /// Its answer to Maintenance Status; none before the first.
    pub status: Option<EtcdStatus>,
    /// Why it does not answer now, in words; none: it does.
    pub down: Option<Str>,
    /// When it last answered.
    pub answered: Option<Time>,
    /// Alarms of it that are raised: `NOSPACE`, `CORRUPT`.
    pub alarms: Box<[Str]>,
    /// What its /metrics tell; none where they are not read.
    pub metrics: Option<EtcdMetrics>,
    /// When it was last snapshotted and defragmented, as far as is known.
    pub snapshot: Option<Time>,
    pub defragmented: Option<Time>,
    /// What the API server tells in its place: then it is no member, and stands for all of them.
    pub second_hand: Option<Box<SecondHand>>,
}

/// What an API server tells of the etcd behind it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SecondHand {
    /// Its own check of etcd, and why it fails; none where it does not tell.
    pub check: Option<Result<(), Str>>,
    /// `etcd_request_duration_seconds`: the 99th percentile since the look before, in microseconds.
    pub request_p99_us: Option<i64>,
    /// `apiserver_storage_size_bytes`, of the largest where there are several.
    pub size: Option<i64>,
    /// `apiserver_resource_objects`, summed.
    pub objects: Option<i64>,
    /// The rights that are missing to know more, in words.
    pub missing: Option<Str>,
}

impl SecondHand {
    /// All of it, on one line.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        match &self.check {
            Some(Ok(())) => parts.push("the API server's check of etcd is ok".to_owned()),
            Some(Err(why)) => parts.push(format!("the API server's check of etcd FAILS: {why}")),
            None => {}
        }
        if let Some(us) = self.request_p99_us {
            parts.push(format!("its requests take {}.{} ms (p99)", us / 1000, us % 1000 / 100));
        }
        if let Some(size) = self.size {
            parts.push(format!("{:.1} MiB", size as f64 / f64::from(1 << 20)));
        }
        if let Some(objects) = self.objects {
            parts.push(format!("{objects} objects"));
        }
        if let Some(missing) = &self.missing {
            parts.push(missing.to_string());
        }
        parts.join(", ")
    }
}

/// The answer to Maintenance Status.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EtcdStatus {
    pub version: Str,
    /// The member that it takes for the leader; none: it knows of no leader.
    pub leader: Option<u64>,
    pub term: u64,
    pub raft_index: u64,
    pub applied_index: u64,
    /// Bytes of the file.
    pub db_size: i64,
    /// Bytes of these that hold data.
    pub db_in_use: i64,
    /// Bytes that the file may have; none where the server does not tell.
    pub quota: Option<i64>,
    /// What the server says is wrong with it.
    pub errors: Box<[Str]>,
}

/// What /metrics tell. Latencies are the 99th percentile since the last look, in microseconds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EtcdMetrics {
    /// `etcd_disk_wal_fsync_duration_seconds`.
    pub fsync_p99_us: Option<i64>,
    /// `etcd_disk_backend_commit_duration_seconds`.
    pub commit_p99_us: Option<i64>,
    /// `etcd_network_peer_round_trip_time_seconds`, of the slowest peer.
    pub peer_p99_us: Option<i64>,
    /// `etcd_server_leader_changes_seen_total`.
    pub leader_changes: Option<i64>,
    /// `etcd_server_proposals_pending`.
    pub proposals_pending: Option<i64>,
    /// `etcd_server_proposals_failed_total`.
    pub proposals_failed: Option<i64>,
    /// `etcd_server_slow_apply_total`.
    pub slow_applies: Option<i64>,
}

impl EtcdMember {
    /// Whether it answers and knows a leader.
    pub fn healthy(&self) -> bool {
        self.down.is_none() && self.status.as_ref().is_some_and(|s| s.leader.is_some())
    }
    /// Whether it is the leader, by its own word.
    pub fn leads(&self) -> bool {
        self.healthy() && self.status.as_ref().is_some_and(|s| s.leader == Some(self.id))
    }
    /// The member's id as etcdctl writes it.
    pub fn hex(&self) -> String {
        format!("{:x}", self.id)
    }
}

impl EtcdStatus {
    /// Entries that it has and has not applied yet.
    pub fn lag(&self) -> u64 {
        self.raft_index.saturating_sub(self.applied_index)
    }
    /// Share of the file that holds no data, in percent.
    pub fn fragmented_percent(&self) -> Option<i64> {
        (self.db_size > 0).then(|| (self.db_size - self.db_in_use).max(0) * 100 / self.db_size)
    }
    /// Share of the quota that the file takes, in percent.
    pub fn quota_percent(&self) -> Option<i64> {
        self.quota.filter(|q| *q > 0).map(|q| i64::try_from(i128::from(self.db_size) * 100 / i128::from(q)).unwrap_or(i64::MAX))
    }
}

/// How the members stand together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Quorum {
    pub voters: usize,
    pub healthy: usize,
    /// Voters that must agree.
    pub needed: usize,
}

impl Quorum {
    /// Counted over the voters; learners have no vote.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a EtcdMember>) -> Self {
        let voters: Vec<&EtcdMember> = members.into_iter().filter(|m| !m.learner && m.second_hand.is_none()).collect();
        Self::sum(voters.len(), voters.iter().filter(|m| m.healthy()).count())
    }
    /// Of so many voters, of whom so many answer.
    pub fn sum(voters: usize, healthy: usize) -> Self {
        Self { voters, healthy, needed: voters / 2 + 1 }
    }
    /// The same without one voter that answers, or does not.
    pub fn without(self, healthy: bool) -> Self {
        Self::sum(self.voters.saturating_sub(1), self.healthy.saturating_sub(usize::from(healthy)))
    }
    /// The same with one more voter that answers.
    pub fn with_one(self) -> Self {
        Self::sum(self.voters + 1, self.healthy + 1)
    }
    /// The same while one that answers does not.
    pub fn while_away(self) -> Self {
        Self::sum(self.voters, self.healthy.saturating_sub(1))
    }
    /// Whether every voter answers.
    pub fn whole(self) -> bool {
        self.healthy == self.voters
    }
    /// `3 of 3 voters answer, 2 are needed`.
    pub fn words(self) -> String {
        let answer = if self.healthy == 1 { "answers" } else { "answer" };
        let s = if self.voters == 1 { "" } else { "s" };
        let are = if self.needed == 1 { "is" } else { "are" };
        format!("{} of {} voter{s} {answer}, {} {are} needed", self.healthy, self.voters, self.needed)
    }
    /// Whether writes are possible.
    pub fn holds(self) -> bool {
        self.voters > 0 && self.healthy >= self.needed
    }
    /// How many more may fail before none is.
    pub fn may_fail(self) -> usize {
        self.healthy.saturating_sub(self.needed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::{Labels, Uid};

    pub(crate) fn member(id: u64, name: &str, leader: Option<u64>) -> EtcdMember {
        let status = leader.map(|leader| EtcdStatus {
            version: "3.6.5".into(),
            leader: Some(leader),
            term: 4,
            raft_index: 1_000,
            applied_index: 990,
            db_size: 100 << 20,
            db_in_use: 40 << 20,
            quota: Some(2 << 30),
            errors: Box::default(),
        });
        EtcdMember {
            meta: Meta::bare(Uid::parse(&format!("etcd/{id:x}")), name.into(), "".into(), Labels::default(), None),
            id,
            peers: ["https://10.0.0.1:2380".into()].into(),
            clients: ["https://10.0.0.1:2379".into()].into(),
            learner: false,
            down: status.is_none().then(|| "connection refused".into()),
            status,
            answered: Time::from_secs(1_000),
            alarms: Box::default(),
            metrics: None,
            snapshot: None,
            defragmented: None,
            second_hand: None,
        }
    }

    #[test]
    fn a_learner_has_no_vote_and_half_is_no_quorum() {
        let mut members = vec![member(1, "a", Some(1)), member(2, "b", Some(1)), member(3, "c", None)];
        assert!(members[0].leads() && !members[1].leads());
        let q = Quorum::of(&members);
        assert_eq!((q.voters, q.healthy, q.needed, q.holds(), q.may_fail()), (3, 2, 2, true, 0));
        members[1].down = Some("timeout".into());
        assert!(!Quorum::of(&members).holds());
        members[1].learner = true;
        let q = Quorum::of(&members);
        assert_eq!((q.voters, q.needed, q.holds()), (2, 2, false));
        assert!(!Quorum::of(&[]).holds());
        let status = members[0].status.clone().unwrap();
        assert_eq!((status.lag(), status.fragmented_percent(), status.quota_percent()), (10, Some(60), Some(4)));
    }
}
