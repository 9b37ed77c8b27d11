//! Pods that may fill the node's disk, or are about to.
//!
//! Judged from the template, and by what is measured of pods: their root filesystems and logs where cAdvisor tells of them, else their logs alone, of which
//! every kubelet tells. Left out: emptyDirs and the share of the node's disk (needs the kubelet's statistics).

use super::container_oomkilled::binary;
use super::lint::{SERVING, Whole, and, several};
use super::measured::{BASE, Measured, Seen, USUAL, after};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object};

const OF_LIMIT: Threshold = Threshold { name: "of-limit", default: "80%", doc: "of its limit, what a pod may have written" };

const KINDS: [Kind; SERVING.len() + 1] = and(SERVING, Kind::Signal);

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "ephemeral-storage-unbounded",
        area: "capacity",
        tier: 2,
        burns: false,
        severity: Severity::Warning,
        scope: "workload, by container; pod",
        summary: "A container of a core workload has no limit for ephemeral storage; a warning when a pod without one has written 2 GiB to the node's disk, or one with a limit 80 % of it, for 10 minutes",
        why: "One pod writing logs or temp files fills the node disk and gets its neighbours evicted.",
        kinds: &KINDS,
        thresholds: &[after("10m"), OF_LIMIT],
        peers: &[
            "~kube-score:container-ephemeral-storage-request-and-limit",
            "~kube-score:container-ephemeral-storage-request-equals-limit",
        ],
        links: &["https://kubernetes.io/docs/concepts/storage/ephemeral-storage/#requests-limits"],
        ..BASE
    },
    queries: &["ephemeral-use"],
    level: |seen| match limit(seen)? {
        Some(limit) => (seen.number() * 100.0 > limit as f64 * seen.threshold(&OF_LIMIT) as f64).then_some(Severity::Warning),
        None => seen.limits(),
    },
    says: |seen| match limit(seen).flatten() {
        Some(limit) => format!("{} of {} written to the node's disk: over its limit it is evicted", seen.value(), binary(limit)),
        None => format!("{} written to the node's disk, and nothing limits it", seen.value()),
    },
    next: "Cut its logs, or move what it writes to a volume; set limits.ephemeral-storage to half as much again as it uses at its most",
    more: |seen, finding| {
        let node = if let Some(Object::Pod(p)) = seen.object() { p.node.as_deref().unwrap_or("none") } else { "none" };
        finding.with_all([("node", node.to_owned())])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

/// What limits what a pod's containers write to the node's disk (bytes, together); none where one of them has no limit. None at all: its template is not
/// seen.
fn limit(seen: &Seen<'_>) -> Option<Option<i64>> {
    let shape = match (seen.workload(), seen.object()?) {
        (Some(w), _) => &w.shape,
        (None, Object::Pod(p)) => &p.shape,
        _ => return None,
    };
    Some(shape.template.as_deref()?.running().map(|c| c.ephemeral_limit).sum())
}

fn judge(judge: &Judge<'_>) -> Verdict {
    if matches!(judge.object, Some(Object::Signal(_))) {
        return FACTS.judge(judge);
    }
    let Some(whole) = Whole::of(judge).filter(Whole::core) else { return Verdict::Fine };
    let open: Vec<String> = whole.template.running().filter(|c| c.ephemeral_limit.is_none()).map(|c| c.name.to_string()).collect();
    if open.is_empty() {
        return Verdict::Fine;
    }
    let scratch: Vec<String> = whole.template.scratch.iter().filter(|s| s.limit.is_none()).map(|s| s.name.to_string()).collect();
    let asked: Vec<String> =
        whole.template.running().filter_map(|c| c.ephemeral_request.map(|n| format!("{} {}", c.name, binary(n)))).collect();
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
    use crate::inspect::fixture::{Fleet, deployment, owned, pod, replicaset, running};
    use crate::inspect::rules::measured::tests::seen;
    use serde_json::{Value, json};

    #[test]
    fn core_without_a_limit() {
        let rule = |c: Value, core| one(RULE.id, c, core).map(|f| f.0);
        assert_eq!((rule(json!({}), false), rule(json!({}), true)), (None, Some(Severity::Info)));
        assert_eq!(rule(json!({"resources": {"requests": {"ephemeral-storage": "1Gi"}}}), true), Some(Severity::Info));
        assert_eq!(rule(json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}}), true), None);
    }
    #[test]
    fn what_a_pod_wrote_by_its_limit_and_without_one() {
        const GIB: f64 = 1_073_741_824.0;
        let at = |limit: Option<&str>, gib: f64, wait: i64| {
            let mut fleet = Fleet::default();
            let mut web = deployment("web", 1, 1);
            if let Some(limit) = limit {
                web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"ephemeral-storage": limit}});
            }
            fleet.put(Kind::Deployment, [web]).put(Kind::ReplicaSet, [replicaset("rs", "web", 2, "i:1", 900, 1)]);
            fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "rs"), "n1", true, 900, running())]);
            seen(&mut fleet, &RULE, "ephemeral-use", &[("namespace", "pay"), ("pod", "p")], gib * GIB, wait)
                .map(|f| (f.severity, f.message))
        };
        let warns = |message: &str| Some((Severity::Warning, message.to_owned()));
        assert_eq!(at(None, 2.0, 600), warns("2Gi written to the node's disk, and nothing limits it"));
        assert_eq!((at(None, 2.0, 599), at(None, 1.99, 600)), (None, None));
        assert_eq!(at(Some("5Gi"), 4.01, 600), warns("4.01Gi of 5Gi written to the node's disk: over its limit it is evicted"));
        assert_eq!(at(Some("5Gi"), 4.0, 600), None);
        let labels = [("namespace", "pay"), ("pod", "gone")];
        assert_eq!(seen(&mut Fleet::default(), &RULE, "ephemeral-use", &labels, 9.0 * GIB, 600), None, "its template is not seen");
    }
    #[test]
    fn a_pod_that_nobody_owns() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod(json!({"name": "p"}), "n1", true, 900, running())]);
        let found = seen(&mut fleet, &RULE, "ephemeral-use", &[("namespace", "pay"), ("pod", "p")], 3_221_225_472.0, 600).unwrap();
        assert_eq!(found.message, "3Gi written to the node's disk, and nothing limits it");
        assert!(found.evidence.iter().any(|e| e.what == "node" && e.value == "n1"), "{:?}", found.evidence);
    }
}
