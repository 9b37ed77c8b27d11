//! DNS answers fail or are slow, by zone and by upstream, or CoreDNS itself fails.
//!
//! A zone is told apart where CoreDNS has it in a server block of its own. Left out: the replicas and where they are, and their throttling
//! (replicas-unavailable, replicas-colocated and cpu-throttled tell), and the text of the Corefile (ConfigMaps are not read).

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "coredns-degraded",
        area: "network",
        scope: "cluster",
        summary: "More than 1 % of DNS answers are SERVFAIL, or their p99 is over 500 ms, of a zone of its own 100 ms, for 5 minutes (critical from 5 % or 2 s on); an upstream is as slow, or answers 5 % with SERVFAIL (critical from half on); it panics, refuses questions for want of room, has no upstream that works, or cannot read its configuration (critical)",
        why: "Name lookups sit in front of every call; a slow or failing resolver looks like random application timeouts.",
        needs: &[Need::Query("dns-errors")],
        peers: &["npd:DNSUnreachable"],
        links: &["https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/", "https://coredns.io/plugins/metrics/"],
        ..BASE
    },
    queries: &["dns-errors", "dns-latency", "dns-inner-latency", "dns-upstream", "dns-upstream-failing", "dns-broken"],
    says: |seen| match (seen.label("what"), seen.label("to"), seen.label("zone")) {
        ("", "", "") => format!("{}: {}", seen.signal.title, seen.value()),
        ("", "", zone) => format!("{}, {zone}: {}", seen.signal.title, seen.value()),
        ("", to, _) => format!("{}, {to}: {}", seen.signal.title, seen.value()),
        (what, ..) => format!("{} {what} in 5m", seen.value()),
    },
    next: "See which zone and upstream fail; scale CoreDNS up by half, or restart the odd replica; take a broken upstream out of the Corefile's forward",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
