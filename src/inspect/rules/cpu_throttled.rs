//! Its quota stops a container for more than a quarter of its periods for 5 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["cpu-throttled"];

pub static RULE: RuleInfo = RuleInfo {
    id: "cpu-throttled",
    area: "runtime",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "container",
    summary: "Its quota stops a container for more than a quarter of its periods for 5 minutes; critical from half of them on",
    why: "When the quota of a 100 ms period is used up, all threads stop until the next one, so response time jumps at peaks although average CPU looks low.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("cpu-throttled")],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["k8s-mixin:CPUThrottlingHigh"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    over(
        judge,
        QUERIES,
        &AFTER,
        |Over { value, .. }| format!("throttled in {value} of its periods"),
        "Raise its CPU limit to twice its p99 use, or take the limit away where the policy allows that",
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
