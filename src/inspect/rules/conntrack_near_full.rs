//! The table of connections is three quarters full for 5 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["conntrack-use"];

pub static RULE: RuleInfo = RuleInfo {
    id: "conntrack-near-full",
    area: "node",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "node",
    summary: "The table of connections is three quarters full for 5 minutes; critical from 90 % on",
    why: "All containers of a node share one table; when it is full or races, new connections and DNS packets vanish for seconds.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("conntrack-use")],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["node-mixin:NodeHighNumberConntrackEntriesUsed", "npd:ConntrackFull"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    over(
        judge,
        QUERIES,
        &AFTER,
        |Over { title, value, .. }| format!("{title}: {value}"),
        "Raise nf_conntrack_max and its buckets, shorten the UDP timeouts, or move the pod that opens most",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::rules::measured::tests::holds;

    #[test]
    fn at_its_limits_after_its_time() {
        holds(&RULE, QUERIES, 300);
    }
}
