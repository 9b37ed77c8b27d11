//! A volume or its inodes are 85 % full for 5 minutes.

use super::measured::{Over, over};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::Kind;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be so" };

/// The limits are the queries' own: `[[query]]` sets them.
const QUERIES: &[&str] = &["volume-use", "volume-inodes"];

pub static RULE: RuleInfo = RuleInfo {
    id: "volume-nearly-full",
    area: "storage",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "persistentvolumeclaim",
    summary: "A volume or its inodes are 85 % full for 5 minutes; critical from 95 % on",
    why: "Databases stop or corrupt when their volume fills.",
    kinds: &[Kind::Signal],
    needs: &[Need::Query("volume-use")],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["k8s-mixin:KubePersistentVolumeFillingUp", "k8s-mixin:KubePersistentVolumeInodesFillingUp"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    over(
        judge,
        QUERIES,
        &AFTER,
        |Over { title, value, .. }| format!("{title}: {value}"),
        "Back up first; then make the claim larger (its class must allow it), or make room",
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
