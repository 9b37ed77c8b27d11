//! A volume or its inodes are 85 % full for 5 minutes.

use super::measured::{Measured, USUAL};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    id: "volume-nearly-full",
    area: "storage",
    scope: "persistentvolumeclaim",
    summary: "A volume or its inodes are 85 % full for 5 minutes; critical from 95 % on",
    why: "Databases stop or corrupt when their volume fills.",
    needs: &[Need::Query("volume-use")],
    queries: &["volume-use", "volume-inodes"],
    peers: &["k8s-mixin:KubePersistentVolumeFillingUp", "k8s-mixin:KubePersistentVolumeInodesFillingUp"],
    next: "Back up first; then make the claim larger (its class must allow it), or make room",
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
