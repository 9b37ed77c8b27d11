//! An address pool is 80 % used for 5 minutes.

use super::measured::{BASE, Measured, USUAL, held};
use crate::inspect::{Need, RuleInfo};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "calico-ipam-exhausted",
        area: "network",
        scope: "cluster",
        summary: "An address pool is 80 % used for 5 minutes; critical from 95 % on",
        why: "Pods stay in ContainerCreating although CPU and memory are free, and leaked blocks make it look like growth.",
        needs: &[Need::Query("calico-ipam")],
        ..BASE
    },
    queries: &["calico-ipam"],
    says: |seen| format!("address pool {}: {} used", seen.of(), seen.value()),
    next: "Release leaked blocks (`calicoctl ipam check`), or add an IPPool",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(300);
