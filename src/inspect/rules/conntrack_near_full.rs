//! The table of connections is three quarters full for 5 minutes.

use super::measured::{Measured, USUAL};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    id: "conntrack-near-full",
    area: "node",
    scope: "node",
    summary: "The table of connections is three quarters full for 5 minutes; critical from 90 % on",
    why: "All containers of a node share one table; when it is full or races, new connections and DNS packets vanish for seconds.",
    needs: &[Need::Query("conntrack-use")],
    queries: &["conntrack-use"],
    peers: &["node-mixin:NodeHighNumberConntrackEntriesUsed", "npd:ConntrackFull"],
    next: "Raise nf_conntrack_max and its buckets, shorten the UDP timeouts, or move the pod that opens most",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::rules::measured::tests::holds;

    #[test]
    fn at_its_limits_after_its_time() {
        holds(&RULE, &FACTS, 300);
    }
}
