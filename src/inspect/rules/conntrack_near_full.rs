//! The table of connections is three quarters full, or connections are dropped for want of room in it.
//!
//! Insertions that fail are dns-cache-missing's. Left out: tables of eBPF, which tell no limit.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "conntrack-near-full",
        area: "node",
        scope: "node",
        summary: "The table of connections is three quarters full for 5 minutes (critical from 90 % on), or packets are dropped (critical); it is a fifth full and has three times the entries of the median node (a warning)",
        why: "All containers of a node share one table; when it is full or races, new connections and DNS packets vanish for seconds.",
        needs: &[Need::Query("conntrack-use")],
        peers: &["node-mixin:NodeHighNumberConntrackEntriesUsed", "npd:ConntrackFull"],
        links: &[
            "https://runbooks.prometheus-operator.dev/runbooks/node/nodehighnumberconntrackentriesused/",
            "https://docs.kernel.org/networking/nf_conntrack-sysctl.html",
        ],
        ..BASE
    },
    queries: &["conntrack-use", "conntrack-dropped", "conntrack-uneven"],
    next: "Raise nf_conntrack_max and its buckets, shorten the UDP timeouts, or move the pod that opens most",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
