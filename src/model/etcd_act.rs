//! What can be done to a cluster's etcd, as data: the calls of a plan's steps, and what they mean for the quorum.

use super::etcd::Quorum;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// A member's id, written in hex as etcdctl does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EtcdId(pub u64);

impl fmt::Display for EtcdId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl Serialize for EtcdId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EtcdId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(d)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| serde::de::Error::custom(format!("{text:?} is no member's id")))
    }
}

/// A snapshot to a file here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SnapshotTo {
    /// Whose database it is.
    pub member: EtcdId,
    /// An absolute path, or one relative to where qd runs. What is there is never overwritten.
    pub file: String,
    /// The newest of ours in that directory that stay; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// The directory that it is moved to in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_to: Option<String>,
    /// Do not compare the members' hashes first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhashed: bool,
}

/// A command of this machine that is given a snapshot: run without a shell.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HandTo {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// The snapshot.
    pub file: String,
    /// Seconds until it is ended.
    pub within: u64,
}

impl HandTo {
    /// In a command's arguments: where the snapshot is.
    pub const FILE: &str = "{file}";

    /// The program and its arguments with the file in its place; where no argument names it, it is the last one.
    pub fn argv(&self) -> Vec<String> {
        let mut argv: Vec<String> = self.command.iter().map(|a| a.replace(Self::FILE, &self.file)).collect();
        if !self.command.iter().any(|a| a.contains(Self::FILE)) {
            argv.push(self.file.clone());
        }
        argv
    }
}

/// One call. Before it, and where it says so after it, the members are looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum EtcdCall {
    Snapshot(SnapshotTo),
    /// Not a call to etcd: what is done with the snapshot of the step before.
    Hand(HandTo),
    /// Then waits until the member has caught up and as many as before answer.
    Defragment {
        member: EtcdId,
    },
    /// Then waits until all that answer have the same leader.
    MoveLeader {
        to: EtcdId,
    },
    /// `alarm` as `AlarmRequest` has it.
    Disarm {
        member: EtcdId,
        alarm: i32,
    },
    /// None: up to the newest revision there is then.
    Compact {
        revision: Option<i64>,
    },
    /// As a learner, which has no vote.
    Add {
        peers: Vec<String>,
    },
    /// Again until it has caught up.
    Promote {
        member: EtcdId,
    },
    /// Not while fewer voters than are needed would be left.
    Remove {
        member: EtcdId,
    },
    /// The member with these peer addresses: what `Add` has added.
    RemoveAt {
        peers: Vec<String>,
    },
}

/// What a plan does to a cluster's etcd.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EtcdBlast {
    /// Members that are touched.
    pub members: u32,
    pub before: Quorum,
    pub after: Quorum,
    /// What does not work meanwhile, in words; empty: nothing.
    pub meanwhile: String,
}

impl EtcdBlast {
    /// In words, a line each.
    pub fn lines(&self) -> Vec<String> {
        let s = if self.members == 1 { "" } else { "s" };
        let quorum = if self.before == self.after {
            format!("the quorum stays as it is: {}", self.before.words())
        } else {
            format!("the quorum now: {}; then: {}", self.before.words(), self.after.words())
        };
        let mut lines = vec![format!("touches {} etcd member{s}", self.members), quorum];
        if !self.meanwhile.is_empty() {
            lines.push(format!("meanwhile: {}", self.meanwhile));
        }
        lines
    }
}

/// What was done to a cluster's etcd and ended well, as far as is known: times in unix seconds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EtcdPast {
    pub snapshot: Option<i64>,
    /// By member.
    pub defragmented: BTreeMap<u64, i64>,
}

/// What our snapshots end with.
const SUFFIX: &str = ".snapshot.db";

/// The name of a cluster as it is in file names.
fn filed(cluster: &str) -> String {
    cluster.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' }).collect()
}

/// The file name of a snapshot that is taken now (unix seconds): `prod-eu-20261126T153501Z.snapshot.db`.
pub fn snapshot_name(cluster: &str, now: i64) -> String {
    let at = jiff::Timestamp::from_second(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}-{}{SUFFIX}", filed(cluster), at.strftime("%Y%m%dT%H%M%SZ"))
}

/// When a file of that name was taken (unix seconds), if it is a snapshot of that cluster that we named.
pub fn snapshot_time(cluster: &str, name: &str) -> Option<i64> {
    let stamp = name.strip_prefix(&filed(cluster))?.strip_prefix('-')?.strip_suffix(SUFFIX)?;
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Act;

    #[test]
    fn a_call_survives_the_journal_with_its_id_in_hex() {
        let to = SnapshotTo { member: EtcdId(u64::MAX), file: "/a/b.db".into(), keep: Some(3), move_to: None, unhashed: false };
        for call in [EtcdCall::Snapshot(to), EtcdCall::Compact { revision: None }, EtcdCall::Defragment { member: EtcdId(0xab) }] {
            let act = Act::Etcd(call);
            let text = serde_json::to_string(&act).unwrap();
            assert_eq!(serde_json::from_str::<Act>(&text).unwrap(), act, "{text}");
        }
        let text = serde_json::to_string(&Act::Etcd(EtcdCall::Remove { member: EtcdId(0xab) })).unwrap();
        assert_eq!(text, r#"{"act":"etcd","call":"remove","member":"ab"}"#);
    }

    #[test]
    fn a_command_is_given_the_file_where_it_says_so_else_at_its_end() {
        let argv = |command: &[&str]| {
            HandTo { command: command.iter().map(|c| (*c).to_owned()).collect(), file: "/a b.db".into(), within: 1 }.argv()
        };
        assert_eq!(argv(&["put", "--from={file}", "s3:x"]), ["put", "--from=/a b.db", "s3:x"]);
        assert_eq!(argv(&["put"]), ["put", "/a b.db"]);
    }

    #[test]
    fn a_snapshots_name_says_whose_it_is_and_when_it_was_taken() {
        let name = snapshot_name("prod eu/1", 1_772_333_250);
        assert_eq!(name, "prod_eu_1-20260301T024730Z.snapshot.db");
        assert_eq!(snapshot_time("prod eu/1", &name), Some(1_772_333_250));
        assert_eq!(snapshot_time("prod", &name), None, "another cluster's, whose name begins the same");
        assert_eq!(snapshot_time("prod eu/1", "prod_eu_1-yesterday.snapshot.db"), None);
    }
}
