//! A member of etcd: whether it answers, how full it is, how fast its disk, and what the others are.

use super::words::{ago, bytes, joined};
use super::{Look, Parts, Section};
use crate::inspect::quorum::{members, verdict};
use crate::inspect::{Severity, age};
use crate::model::{EtcdMember, EtcdMetrics, EtcdStatus, Time};

/// What an alarm means.
fn alarm(name: &str) -> &'static str {
    match name {
        "NOSPACE" => "its database is at the quota: writes are refused until it is compacted, defragmented, and the alarm disarmed",
        "CORRUPT" => "members hold different data: isolate the one that differs",
        _ => "an alarm that is not known here",
    }
}

pub fn explain(look: &Look, m: &EtcdMember) -> Parts {
    let mut why = Section::default();
    if let Some(reason) = &m.down {
        why.bad(Severity::Critical, "down", &**reason);
        why.say("", m.answered.map_or_else(|| "it has not answered yet".to_owned(), |t| format!("it answered last {}", ago(t, look.now))));
    }
    for name in &m.alarms {
        why.bad(Severity::Critical, format!("alarm {name}"), alarm(name));
    }
    if let Some(s) = &m.status {
        if s.leader.is_none() && m.down.is_none() {
            why.bad(Severity::Critical, "no leader", "it knows of no leader: nothing can be written through it");
        }
        for error in &s.errors {
            why.bad(Severity::Warning, "error", &**error);
        }
    }
    if m.learner {
        why.bad(Severity::Info, "learner", "it follows and has no vote until it is promoted");
    }
    if let Some(heard) = &m.second_hand {
        let failing = matches!(heard.check, Some(Err(_)));
        why.bad(if failing { Severity::Critical } else { Severity::Info }, "second hand", heard.words());
        why.say("", "etcd itself is not reached: qd doctor says what to configure");
    }
    let mut whole = Section::new("etcd of this cluster");
    if let Some(v) = verdict(look.cluster, look.now) {
        whole.add(v.severity, "", v.text);
    }
    for other in members(look.cluster).filter(|o| o.id != m.id) {
        let role = match &other.down {
            Some(reason) => format!("down: {reason}"),
            None if other.leads() => "leads".to_owned(),
            None if other.learner => "learns".to_owned(),
            None => "follows".to_owned(),
        };
        let lag =
            other.status.as_ref().map_or_else(String::new, |s| format!(", version {}, {} entries behind its log", s.version, s.lag()));
        whole.add(other.down.is_some().then_some(Severity::Warning), &*other.meta.name, format!("{role}{lag}"));
    }
    let facts = [Some(whole), m.status.as_ref().map(|s| database(look, m, s)), m.metrics.as_ref().map(latency), Some(member(look, m))];
    let role = if m.leads() { "it leads" } else { "it answers and follows the leader" };
    (why, role.to_owned(), facts.into_iter().flatten().collect())
}

fn database(look: &Look, m: &EtcdMember, s: &EtcdStatus) -> Section {
    let mut out = Section::new("database");
    match (s.quota, s.quota_percent()) {
        (Some(quota), Some(percent)) => {
            let tone = match percent {
                95.. => Some(Severity::Critical),
                80.. => Some(Severity::Warning),
                _ => None,
            };
            out.add(tone, "size", format!("{} of {}: {percent}%", bytes(s.db_size), bytes(quota)));
        }
        _ => out.say("size", format!("{}; the quota is not known", bytes(s.db_size))),
    }
    let free = s.fragmented_percent().map_or_else(String::new, |p| format!("; a defragmentation would free {p}%"));
    out.say("in use", format!("{}{free}", bytes(s.db_in_use)));
    let last = |at: Option<Time>| at.map_or_else(|| "not known".to_owned(), |t| ago(t, look.now));
    out.say("snapshot", last(m.snapshot));
    out.say("defragmented", last(m.defragmented));
    out
}

fn latency(m: &EtcdMetrics) -> Section {
    let mut out = Section::new("since the last look");
    let millis = |us: i64| format!("{}.{} ms", us / 1000, us % 1000 / 100);
    // What etcd's own alerts take for slow.
    for (label, us, slow) in [
        ("log to disk, p99", m.fsync_p99_us, 500_000),
        ("commit, p99", m.commit_p99_us, 250_000),
        ("slowest peer, p99", m.peer_p99_us, 150_000),
    ] {
        if let Some(us) = us {
            out.add((us > slow).then_some(Severity::Warning), label, millis(us));
        }
    }
    for (label, n) in [
        ("leader changes", m.leader_changes),
        ("proposals pending", m.proposals_pending),
        ("proposals failed", m.proposals_failed),
        ("slow applies", m.slow_applies),
    ] {
        if let Some(n) = n {
            out.say(label, n.to_string());
        }
    }
    out
}

fn member(look: &Look, m: &EtcdMember) -> Section {
    let mut out = Section::new("member");
    out.say("id", m.hex());
    if let Some(s) = &m.status {
        out.say("version", &*s.version);
        out.say("raft", format!("term {}, index {}, applied {}", s.term, s.raft_index, s.applied_index));
    }
    out.say("clients", joined(m.clients.iter(), 6));
    out.say("peers", joined(m.peers.iter(), 6));
    if let Some(at) = m.answered {
        out.say("answered", format!("{} ago ({})", age(at.age(look.now)), at.rfc3339()));
    }
    out
}
