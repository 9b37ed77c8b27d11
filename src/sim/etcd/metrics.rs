//! A member's `/metrics`: the families of etcd's that dashboards, alerts and qd read. Counters follow from the time, and grow with it.

use super::{Etcd, QUOTA, mixed, part};
use std::fmt::Write as _;

/// A histogram: its name, what its labels are (with a comma at the end), its first bound and how many there are, each twice the last.
struct Histogram<'a> {
    name: &'a str,
    help: &'a str,
    first: f64,
    bounds: i32,
}

const FSYNC: Histogram<'_> = Histogram {
    name: "etcd_disk_wal_fsync_duration_seconds",
    help: "The latency distributions of fsync called by WAL.",
    first: 0.001,
    bounds: 14,
};
const COMMIT: Histogram<'_> = Histogram {
    name: "etcd_disk_backend_commit_duration_seconds",
    help: "The latency distributions of commit called by backend.",
    first: 0.001,
    bounds: 14,
};
const PEER: Histogram<'_> = Histogram {
    name: "etcd_network_peer_round_trip_time_seconds",
    help: "Round-Trip-Time histogram between peers",
    first: 0.0001,
    bounds: 16,
};

impl Histogram<'_> {
    fn head(&self, out: &mut String) {
        let _ = writeln!(out, "# HELP {0} {1}\n# TYPE {0} histogram", self.name, self.help);
    }

    /// Writes `count` samples, of which one in a hundred takes longer than `p99` seconds.
    fn write(&self, out: &mut String, labels: &str, count: i64, p99: f64) {
        // Weibull: most take a third of that, some much longer.
        let share = |bound: f64| 1.0 - (-4.605 * (bound / p99).powf(1.4)).exp();
        for n in 0..self.bounds {
            let bound = self.first * f64::from(1 << n);
            // Six digits: as floats are written, without what they cannot hold.
            let le = format!("{bound:.6}");
            let le = le.trim_end_matches('0').trim_end_matches('.');
            let _ = writeln!(out, "{}_bucket{{{labels}le=\"{le}\"}} {}", self.name, (count as f64 * share(bound)) as i64);
        }
        let _ = writeln!(out, "{}_bucket{{{labels}le=\"+Inf\"}} {count}", self.name);
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.trim_end_matches(',')) };
        let _ = writeln!(out, "{}_sum{braces} {:.3}\n{}_count{braces} {count}", self.name, count as f64 * p99 / 3.0, self.name);
    }
}

/// What a member tells at `now` (unix seconds), of a database at `revision`; empty for one that is none.
pub fn text(e: &Etcd, id: u64, now: i64, revision: i64) -> String {
    let mut out = String::new();
    let Some(m) = e.member(id) else { return out };
    let up = (now - m.since).max(0);
    let of = |what: &str, below: i64| part(mixed(e.id, &m.name), what, below);
    let mut one = |name: &str, kind: &str, value: i64| {
        let _ = writeln!(out, "# TYPE {name} {kind}\n{name} {value}");
    };
    one("etcd_server_has_leader", "gauge", i64::from(e.leader != 0));
    one("etcd_server_is_leader", "gauge", i64::from(e.leader == id));
    one("etcd_server_is_learner", "gauge", i64::from(m.learner));
    one("etcd_server_leader_changes_seen_total", "counter", e.elections);
    one("etcd_server_proposals_committed_total", "gauge", revision + 240_113);
    one("etcd_server_proposals_applied_total", "gauge", revision + 240_113);
    one("etcd_server_proposals_pending", "gauge", of(&format!("pending {}", now / 10), 5) / 4);
    one("etcd_server_proposals_failed_total", "counter", of("failed", 4) + if e.leader == 0 { up } else { 0 });
    one("etcd_server_slow_apply_total", "counter", of("slow", 9));
    one("etcd_server_heartbeat_send_failures_total", "counter", 0);
    one("etcd_server_quota_backend_bytes", "gauge", QUOTA);
    one("etcd_mvcc_db_total_size_in_bytes", "gauge", m.size);
    one("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", e.in_use(now).min(m.size));
    one("etcd_debugging_mvcc_keys_total", "gauge", 4_000 + e.base / 8_000);
    one("etcd_debugging_mvcc_compact_revision", "gauge", e.compacted(now));
    one("etcd_debugging_mvcc_current_revision", "gauge", revision);
    one("process_start_time_seconds", "gauge", m.since);
    let _ = writeln!(out, "# TYPE etcd_server_version gauge\netcd_server_version{{server_version=\"{}\"}} 1", m.version());
    // Whoever leads writes more; a database that fills up is slow to commit.
    let slow = if e.fill.is_some_and(|f| f.stopped.is_none()) { 9.0 } else { 1.0 };
    let p99 = |what: &str, least: f64, spread: i64| least * (1.0 + of(what, spread) as f64 / 100.0);
    FSYNC.head(&mut out);
    let disk = if m.ails { 60.0 } else { 1.0 };
    FSYNC.write(&mut out, "", up * 29, p99("fsync", 0.0031, 80) * disk);
    COMMIT.head(&mut out);
    COMMIT.write(&mut out, "", up * 11, p99("commit", 0.0074, 90) * slow);
    PEER.head(&mut out);
    for peer in e.members.iter().filter(|p| p.id != id && !p.name.is_empty()) {
        PEER.write(&mut out, &format!("To=\"{:x}\",", peer.id), up * 4, p99(&peer.name, 0.0007, 90));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_and_buckets_hold_what_is_below_them() {
        let e = Etcd::new("c", 1, 1_800_000_000);
        let id = e.members[0].id;
        let read = |now: i64| -> Vec<f64> {
            let text = text(&e, id, now, 9);
            let lines = text.lines().filter(|l| l.starts_with("etcd_disk_wal_fsync_duration_seconds_bucket"));
            lines.map(|l| l.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
        };
        let (before, after) = (read(1_800_000_000), read(1_800_000_016));
        assert_eq!(before.len(), 15);
        let came: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        assert!(came.is_sorted() && before.is_sorted() && came[0] > 0.0, "{came:?}");
        let text = text(&e, id, 1_800_000_000, 9);
        assert!(text.contains("{le=\"0.001\"}") && text.contains("{le=\"8.192\"}") && text.contains("le=\"0.0001\"}"), "{text}");
        assert_eq!(text.matches("round_trip_time_seconds_count{To=").count(), 2);
    }
}
