//! More than 1 % of DNS answers are SERVFAIL, or their p99 is over 500 ms, for 5 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["dns-errors", "dns-latency"];

pub static RULE: RuleInfo = RuleInfo {
    id: "coredns-degraded",
    area: "network",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "More than 1 % of DNS answers are SERVFAIL, or their p99 is over 500 ms, for 5 minutes; critical from 5 % or 2 s on",
    why: "Name lookups sit in front of every call; a slow or failing resolver looks like random application timeouts.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("dns-errors")],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["npd:DNSUnreachable"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    over(
        judge,
        QUERIES,
        &AFTER,
        |Over { title, value, .. }| format!("{title}: {value}"),
        "See which zone and upstream fail; scale CoreDNS up by half, or restart the odd replica",
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
