//! Core pods that may fill the node's disk.
//!
//! Judged from the template. Left out: what pods use of the disk, which is the kubelet's to tell.

use super::lint::{SERVING, Whole, several};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};

pub static RULE: RuleInfo = RuleInfo {
    id: "ephemeral-storage-unbounded",
    area: "capacity",
    tier: 2,
    burns: false,
    severity: Severity::Info,
    scope: "workload, by container",
    summary: "A container of a core workload has no limit for ephemeral storage",
    why: "One pod writing logs or temp files fills the node disk and gets its neighbours evicted.",
    kinds: SERVING,
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &["~kube-score:container-ephemeral-storage-request-and-limit", "~kube-score:container-ephemeral-storage-request-equals-limit"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge).filter(Whole::core) else { return Verdict::Fine };
    let open: Vec<String> = whole.template.running().filter(|c| c.ephemeral_limit.is_none()).map(|c| c.name.to_string()).collect();
    if open.is_empty() {
        return Verdict::Fine;
    }
    let scratch: Vec<String> = whole.template.scratch.iter().filter(|s| s.limit.is_none()).map(|s| s.name.to_string()).collect();
    let asked: Vec<String> = whole
        .template
        .running()
        .filter_map(|c| c.ephemeral_request.map(|n| format!("{} {}", c.name, super::container_oomkilled::binary(n))))
        .collect();
    let finding = judge
        .finding(Severity::Info, None, "core, and nothing limits what it writes to the node's disk")
        .with("containers without a limit", several(open, 8), None)
        .with("requests", several(asked, 8), None)
        .with("emptyDirs without sizeLimit", several(scratch, 8), None)
        .then("Set limits.ephemeral-storage to half as much again as it used at its most, and sizeLimit of its emptyDirs");
    whole.verdict(judge, Some(finding.edit()))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::one;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn core_without_a_limit() {
        let rule = |c: Value, core| one(RULE.id, c, core).map(|f| f.0);
        assert_eq!((rule(json!({}), false), rule(json!({}), true)), (None, Some(Severity::Info)));
        assert_eq!(rule(json!({"resources": {"requests": {"ephemeral-storage": "1Gi"}}}), true), Some(Severity::Info));
        assert_eq!(rule(json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}}), true), None);
    }
}
