//! The table of connections is three quarters full for 5 minutes.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "conntrack-near-full",
        area: "node",
        scope: "node",
        summary: "The table of connections is three quarters full for 5 minutes; critical from 90 % on",
        why: "All containers of a node share one table; when it is full or races, new connections and DNS packets vanish for seconds.",
        needs: &[Need::Query("conntrack-use")],
        peers: &["node-mixin:NodeHighNumberConntrackEntriesUsed", "npd:ConntrackFull"],
        ..BASE
    },
    queries: &["conntrack-use"],
    next: "Raise nf_conntrack_max and its buckets, shorten the UDP timeouts, or move the pod that opens most",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
