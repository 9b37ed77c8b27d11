//! An address pool is 80 % used for 5 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["calico-ipam"];

pub static RULE: RuleInfo = RuleInfo {
    id: "calico-ipam-exhausted",
    area: "network",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "An address pool is 80 % used for 5 minutes; critical from 95 % on",
    why: "Pods stay in ContainerCreating although CPU and memory are free, and leaked blocks make it look like growth.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("calico-ipam")],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &[],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    over(
        judge,
        QUERIES,
        &AFTER,
        |Over { value, of, .. }| format!("address pool {of}: {value} used"),
        "Release leaked blocks (`calicoctl ipam check`), or add an IPPool",
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
