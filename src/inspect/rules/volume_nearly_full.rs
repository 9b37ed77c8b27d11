//! A volume or its inodes are 85 % full for 5 minutes.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "volume-nearly-full",
        area: "storage",
        scope: "persistentvolumeclaim",
        summary: "A volume or its inodes are 85 % full for 5 minutes; critical from 95 % on",
        why: "Databases stop or corrupt when their volume fills.",
        needs: &[Need::Query("volume-use")],
        peers: &["k8s-mixin:KubePersistentVolumeFillingUp", "k8s-mixin:KubePersistentVolumeInodesFillingUp"],
        ..BASE
    },
    queries: &["volume-use", "volume-inodes"],
    next: "Back up first; then make the claim larger (its class must allow it), or make room",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
