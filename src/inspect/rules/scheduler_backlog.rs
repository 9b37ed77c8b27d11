//! More than 50 pods wait for the scheduler, or an attempt takes over 1 s (p99), for 5 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["scheduler-queue", "scheduler-latency"];

pub static RULE: RuleInfo = RuleInfo {
    id: "scheduler-backlog",
    area: "control-plane",
    tier: 2,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "More than 50 pods wait for the scheduler, or an attempt takes over 1 s (p99), for 5 minutes; critical from 500 pods or 5 s on",
    why: "A slow or stuck scheduler looks like lack of capacity.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("scheduler-queue")],
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
        |Over { title, value, of }| format!("{title} {of}: {value}"),
        "See its lease and its log; a plugin or extender that is slow shows in scheduler_framework_extension_point_duration_seconds",
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
