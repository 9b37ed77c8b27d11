//! A kubelet that no longer gets round its containers.
//!
//! Judged by what the node itself says. How long its relists take is a query's to measure.

use super::after;
use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{ContainerState, Kind, Object, VerbId, meta};

const AFTER: Threshold = Threshold { name: "after", default: "1m", doc: "how long the node must say so" };

pub static RULE: RuleInfo = RuleInfo {
    id: "pleg-unhealthy",
    area: "node",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "node",
    summary: "Its Ready condition says `PLEG is not healthy`",
    why: "Relist walks all sandboxes through the runtime; when it does not finish in 3 minutes the node is declared NotReady and gets emptied.",
    kinds: &[Kind::Node],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["k8s-mixin:KubeletPlegDurationHigh", "~npd:DockerHung"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Node(node)) = judge.object else { return Verdict::Fine };
    let says = |c: &&crate::model::Condition| c.message.as_deref().is_some_and(|m| m.contains("PLEG is not healthy"));
    let Some(ready) = meta::condition(&node.conditions, "Ready").filter(says) else { return Verdict::Fine };
    let held = ready.since.map_or_else(|| judge.held_since_seen(judge.value(&AFTER)), |t| judge.held(t.secs(), judge.value(&AFTER)));
    after(held, || {
        let pods: Vec<_> = judge.index.on_node(judge.cluster, &node.meta.name).collect();
        let containers: usize = pods.iter().map(|o| if let Object::Pod(p) = o { p.containers.len() + p.init.len() } else { 0 }).sum();
        // What the runtime does not end is what it hangs on.
        let hangs = pods.iter().filter_map(|o| if let Object::Pod(p) = o { Some(p) } else { None }).filter(|p| {
            let over = p.meta.deleting.is_some_and(|t| t.secs() < judge.now);
            over || p
                .containers
                .iter()
                .any(|c| matches!(&c.state, ContainerState::Waiting { reason: Some(r), .. } if &**r == "CreateContainerError"))
        });
        let hangs = joined(hangs.map(|p| crate::inspect::title(&p.meta.namespace, &p.meta.name)), 5);
        let mut finding = judge
            .finding(Severity::Critical, ready.since, "PLEG is not healthy")
            .with("message", ready.message.as_deref().unwrap_or(""), ready.since)
            .with("runtime", &*node.runtime, None)
            .with("pods and containers", format!("{} and {containers}", pods.len()), None)
            .with("pods that hang", hangs, None)
            .then("Cordon it; then restart its runtime, remove the pod that hangs, or move pods and exec probes away from it");
        if !node.unschedulable {
            finding = finding.act(VerbId::Cordon, Some(object.reference(judge.cluster.id)), &[]);
        }
        finding
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{judged, node};
    use serde_json::json;

    #[test]
    fn the_nodes_own_words_for_a_minute() {
        let at = |message: &str, since: i64| {
            let mut n = node("n", "False", since);
            n["status"]["conditions"][0]["message"] = json!(message);
            judged(Kind::Node, n, RULE.id)
        };
        let says = "PLEG is not healthy: pleg was last seen active 4m12s ago; threshold is 3m0s";
        assert_eq!(at(says, 60), Some(Severity::Critical));
        assert_eq!(at(says, 59), None);
        assert_eq!(at("container runtime is down", 600), None);
    }
}
