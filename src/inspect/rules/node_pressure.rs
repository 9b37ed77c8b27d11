//! A node short of memory, disk or process ids.
//!
//! Left out: the distance to the eviction threshold and its forecast (need the kubelet's statistics and configuration).

use super::after;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, VerbId};

const AFTER: Threshold = Threshold { name: "after", default: "1m", doc: "how long a pressure condition must be true" };

pub static RULE: RuleInfo = RuleInfo {
    id: "node-pressure",
    area: "node",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "node",
    summary: "MemoryPressure, DiskPressure or PIDPressure is true",
    why: "At the threshold the kubelet starts killing pods, lowest QoS first, and keeps the node unschedulable for minutes.",
    kinds: &[Kind::Node],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &[
        "popeye:703",
        "popeye:704",
        "popeye:705",
        "popeye:706",
        "k8s-mixin:KubeNodePressure",
        "node-mixin:NodeFilesystemSpaceFillingUp",
        "node-mixin:NodeFilesystemAlmostOutOfSpace",
        "node-mixin:NodeFilesystemFilesFillingUp",
        "node-mixin:NodeFilesystemAlmostOutOfFiles",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return Verdict::Fine };
    // A condition without a time counts as old.
    let Some(oldest) = node.pressures().map(|c| c.since).min() else { return Verdict::Fine };
    after(judge.held(oldest.map_or(0, |t| t.secs()), judge.value(&AFTER)), || {
        let names: Vec<&str> = node.pressures().map(|c| &*c.kind).collect();
        let mut finding = judge.finding(Severity::Critical, oldest, names.join(", "));
        for c in node.pressures() {
            finding = finding.with(&c.kind, c.message.as_deref().or(c.reason.as_deref()).unwrap_or("True"), c.since);
        }
        finding.then("Cordon it and evict the largest consumer; for disk, prune images and rotate logs").here(VerbId::Cordon, &[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{ago, judged, node};
    use serde_json::json;

    #[test]
    fn a_pressure_for_a_minute() {
        for (status, since, severity) in
            [("True", 60, Some(Severity::Critical)), ("True", 59, None), ("False", 600, None), ("Unknown", 600, None)]
        {
            let mut n = node("n", "True", 9000);
            n["status"]["conditions"]
                .as_array_mut()
                .unwrap()
                .push(json!({"type": "DiskPressure", "status": status, "lastTransitionTime": ago(since)}));
            assert_eq!(judged(Kind::Node, n, "node-pressure"), severity, "{status} {since}");
        }
    }
}
