//! DNS answers fail or are slow, or CoreDNS itself fails.
//!
//! Left out: the latency of inner zones apart, each upstream, and the replicas and where they are (replicas-unavailable and replicas-colocated tell).

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "coredns-degraded",
        area: "network",
        scope: "cluster",
        summary: "More than 1 % of DNS answers are SERVFAIL, or their p99 is over 500 ms, for 5 minutes (critical from 5 % or 2 s on); it panics, refuses questions for want of room, or cannot read its configuration (critical)",
        why: "Name lookups sit in front of every call; a slow or failing resolver looks like random application timeouts.",
        needs: &[Need::Query("dns-errors")],
        peers: &["npd:DNSUnreachable"],
        ..BASE
    },
    queries: &["dns-errors", "dns-latency", "dns-broken"],
    says: |seen| match seen.label("what") {
        "" => format!("{}: {}", seen.signal.title, seen.value()),
        what => format!("{} {what} in 5m", seen.value()),
    },
    next: "See which zone and upstream fail; scale CoreDNS up by half, or restart the odd replica",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
