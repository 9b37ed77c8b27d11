//! etcd's members.

use super::*;
use crate::model::{EtcdMember, EtcdMetrics, EtcdStatus, SecondHand};
use crate::store::{EtcdTrends, Series};

reader!(member: EtcdMember);

/// What it said of itself last; none before the first answer.
fn said<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&'a EtcdStatus) -> V) -> Value<'a> {
    member(r, |m| m.status.as_ref().map(f))
}

fn measured<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&'a EtcdMetrics) -> Option<V>) -> Value<'a> {
    member(r, |m| m.metrics.as_ref().and_then(f))
}

/// Bytes of the database file, whoever says so.
fn size(m: &EtcdMember) -> Option<i64> {
    m.status.as_ref().map(|s| s.db_size).or_else(|| m.second_hand.as_ref()?.size)
}

/// Nothing before there are two minutes to compare.
fn trend<'a>(r: Row<'a>, f: impl FnOnce(&'a EtcdTrends) -> &'a Series) -> Value<'a> {
    let Row::Object(c, o) = r else { return Value::None };
    let values = c.etcd.get(&o.meta().uid).map(|t| f(t).values()).filter(|v| v.len() > 1);
    values.map_or(Value::None, Value::Trend)
}

/// Microseconds as milliseconds, rounded up: what is known is not 0.
fn millis<'a>(us: Option<i64>) -> Option<Value<'a>> {
    us.map(|us| Value::Millis((us + 999) / 1000))
}

fn number<'a>(n: u64) -> Value<'a> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// What the API server tells in place of a member.
fn heard<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&'a SecondHand) -> Option<V>) -> Value<'a> {
    member(r, |m| m.second_hand.as_deref().and_then(f))
}

/// What a member is now, in one word.
pub fn status(m: &EtcdMember) -> &str {
    match &m.status {
        _ if m.down.is_some() => "Down",
        _ if !m.alarms.is_empty() => "Alarm",
        _ if m.second_hand.is_some() => "SecondHand",
        None => "Unknown",
        Some(s) if s.leader.is_none() => "NoLeader",
        _ if m.learner => "Learner",
        _ if m.leads() => "Leader",
        _ => "Follower",
    }
}

fn message(m: &EtcdMember) -> Option<Cow<'_, str>> {
    if let Some(heard) = &m.second_hand {
        return Some(format!("second hand: {}", heard.words()).into());
    }
    if let Some(why) = &m.down {
        return Some((&**why).into());
    }
    if !m.alarms.is_empty() {
        return Some(format!("alarm {}", m.alarms.join(", ")).into());
    }
    let status = m.status.as_ref()?;
    if let Some(error) = status.errors.first() {
        return Some((&**error).into());
    }
    if status.leader.is_none() {
        return Some("it knows of no leader".into());
    }
    None
}

/// Disks that are slower than this lose leaders.
fn slow_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::Millis(100..) => Tone::Critical,
        Value::Millis(25..) => Tone::Warning,
        _ => Tone::Plain,
    }
}

fn quota_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::Percent(95..) => Tone::Critical,
        Value::Percent(80..) => Tone::Warning,
        _ => Tone::Plain,
    }
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NO_NAMESPACE,
    Column { doc: "Name of the member: `Member.name` of MemberList, else its first peer address", ..NAME },
    col(
        "status",
        "STATUS",
        Unit::Text,
        |_, r| member(r, status),
        "Leader, Follower, Learner, Down (it does not answer), NoLeader, Alarm, SecondHand (the API server tells), or Unknown",
    )
    .width(6, 10)
    .leave(1)
    .tone(row_tone),
    col("alarms", "ALARMS", Unit::List, |_, r| member(r, |m| list(m.alarms.iter().map(|a| &**a))), "Raised alarms: NOSPACE, CORRUPT")
        .width(6, 16)
        .leave(4)
        .tone(some_tone),
    col(
        "db_size_bytes",
        "DB",
        Unit::Bytes,
        |_, r| member(r, |m| size(m).map(Value::Bytes)),
        "Size of the database file: `dbSize` of Status; second hand `apiserver_storage_size_bytes`",
    )
    .leave(5),
    col(
        "db_in_use_bytes",
        "IN-USE",
        Unit::Bytes,
        |_, r| said(r, |s| Value::Bytes(s.db_in_use)),
        "Bytes of the file that hold data: `dbSizeInUse`; the rest a defragmentation gives back",
    )
    .leave(12),
    col(
        "fragmented_percent",
        "FRAG%",
        Unit::Percent,
        |_, r| said(r, |s| s.fragmented_percent().map(Value::Percent)),
        "Share of the file that holds no data, rounded down",
    )
    .leave(13),
    col(
        "quota_percent",
        "QUOTA%",
        Unit::Percent,
        |_, r| said(r, |s| s.quota_percent().map(Value::Percent)),
        "Share of the quota that the file takes: at 100 etcd takes no more writes",
    )
    .leave(3)
    .tone(quota_tone),
    col(
        "quota_bytes",
        "QUOTA",
        Unit::Bytes,
        |_, r| said(r, |s| s.quota.map(Value::Bytes)),
        "`dbSizeQuota` of Status (since 3.6), else `etcd_server_quota_backend_bytes`",
    )
    .wide()
    .leave(50),
    col("raft_term", "TERM", Unit::Number, |_, r| said(r, |s| number(s.term)), "`raftTerm`: grows with each election").leave(30),
    col("raft_index", "INDEX", Unit::Number, |_, r| said(r, |s| number(s.raft_index)), "`raftIndex`").width(5, 12).wide().leave(51),
    col(
        "raft_lag",
        "LAG",
        Unit::Number,
        |_, r| said(r, |s| number(s.lag())),
        "Entries that it has and has not applied: `raftIndex` less `raftAppliedIndex`",
    )
    .leave(14),
    col(
        "fsync_ms",
        "FSYNC",
        Unit::Millis,
        |_, r| measured(r, |m| millis(m.fsync_p99_us)),
        "99th percentile of `etcd_disk_wal_fsync_duration_seconds` since the last look, rounded up",
    )
    .leave(6)
    .tone(slow_tone),
    col(
        "fsync_trend",
        "FSYNCS",
        Unit::Trend,
        |_, r| trend(r, |t| &t.fsync),
        "fsync's 99th percentile over the last half hour, the slowest of each minute",
    )
    .leave(22),
    col("db_trend", "GROWTH", Unit::Trend, |_, r| trend(r, |t| &t.size), "Size of the database file over the last half hour")
        .wide()
        .leave(58),
    col(
        "commit_ms",
        "COMMIT",
        Unit::Millis,
        |_, r| measured(r, |m| millis(m.commit_p99_us)),
        "99th percentile of `etcd_disk_backend_commit_duration_seconds`, as fsync's",
    )
    .leave(15)
    .tone(slow_tone),
    col(
        "peer_ms",
        "PEER",
        Unit::Millis,
        |_, r| measured(r, |m| millis(m.peer_p99_us)),
        "99th percentile of `etcd_network_peer_round_trip_time_seconds`, of the slowest peer",
    )
    .leave(16),
    col(
        "leader_changes",
        "CHANGES",
        Unit::Number,
        |_, r| measured(r, |m| m.leader_changes),
        "Elections that it has seen since its start: `etcd_server_leader_changes_seen_total`",
    )
    .leave(17),
    col("proposals_pending", "PENDING", Unit::Number, |_, r| measured(r, |m| m.proposals_pending), "`etcd_server_proposals_pending`")
        .wide()
        .leave(52),
    col("proposals_failed", "FAILED", Unit::Number, |_, r| measured(r, |m| m.proposals_failed), "`etcd_server_proposals_failed_total`")
        .wide()
        .leave(53),
    col("slow_applies", "SLOW", Unit::Number, |_, r| measured(r, |m| m.slow_applies), "`etcd_server_slow_apply_total`").wide().leave(54),
    col(
        "snapshot_age_s",
        "SNAPSHOT",
        Unit::Seconds,
        |_, r| member(r, |m| m.snapshot.map(Value::Age)),
        "Since the last snapshot that is known: of the audit log, or a file of the snapshot directory",
    )
    .leave(18),
    col(
        "defrag_age_s",
        "DEFRAG",
        Unit::Seconds,
        |_, r| member(r, |m| m.defragmented.map(Value::Age)),
        "Since the last defragmentation in the audit log",
    )
    .wide()
    .leave(55),
    col("version", "VERSION", Unit::Text, |_, r| said(r, |s| &s.version), "`version` of Status").width(5, 12).leave(20),
    col("answered_age_s", "SEEN", Unit::Seconds, |_, r| member(r, |m| m.answered.map(Value::Age)), "Since it last answered").leave(25),
    col("learner", "LEARNER", Unit::Bool, |_, r| member(r, |m| m.learner), "`Member.isLearner`: it has no vote").hidden(),
    col("id", "ID", Unit::Text, |_, r| member(r, |m| m.hex()), "`Member.ID`, in hex as etcdctl writes it").width(8, 16).wide().leave(56),
    col("client_urls", "CLIENT", Unit::List, |_, r| member(r, |m| list(m.clients.iter().map(|u| &**u))), "`Member.clientURLs`")
        .width(10, 40)
        .wide()
        .leave(57),
    col("peer_urls", "PEERS", Unit::List, |_, r| member(r, |m| list(m.peers.iter().map(|u| &**u))), "`Member.peerURLs`").hidden(),
    FINDINGS,
    col("message", "WHY", Unit::Text, |_, r| member(r, message), "Why it is not well: the error, the alarm, or what Status says of itself")
        .width(10, 70)
        .leave(10),
    col(
        "request_ms",
        "REQUEST",
        Unit::Millis,
        |_, r| heard(r, |h| millis(h.request_p99_us)),
        "Second hand: 99th percentile of the API server's `etcd_request_duration_seconds` since the look before, rounded up",
    )
    .wide()
    .leave(59)
    .tone(slow_tone),
    col(
        "objects",
        "OBJECTS",
        Unit::Number,
        |_, r| heard(r, |h| h.objects),
        "Second hand: objects that are stored, by `apiserver_resource_objects` (before 1.34 `apiserver_storage_objects`)",
    )
    .wide()
    .leave(60),
    col("second_hand", "SECOND-HAND", Unit::Bool, |_, r| member(r, |m| m.second_hand.is_some()), "Told by the API server, not by etcd")
        .hidden(),
];
