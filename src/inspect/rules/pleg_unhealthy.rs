//! A kubelet takes long to look at all its containers, or has stopped looking.

use super::measured::{Measured, USUAL, after};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::{Kind, Object, Tri, VerbId, meta};

const FACTS: Measured = Measured {
    id: "pleg-unhealthy",
    area: "node",
    scope: "node",
    summary: "A relist of containers takes over 5 s (p99), or was last seen a minute ago, for 1 minute; critical from 10 s or 2 minutes on, or when the kubelet says so itself",
    why: "Relist walks all sandboxes through the runtime; when it does not finish in 3 minutes the node is declared NotReady and gets emptied.",
    kinds: &[Kind::Signal, Kind::Node],
    queries: &["pleg-relist", "pleg-last-seen"],
    thresholds: &[after("1m")],
    peers: &["k8s-mixin:KubeletPlegDurationHigh", "~npd:DockerHung"],
    next: "Cordon it; then see which call of the runtime hangs (crictl ps, crictl pods), remove that pod, restart the runtime, or have fewer pods there",
    more: |seen, finding| {
        let judge = seen.judge;
        let Some(node) = seen.node() else { return finding };
        let pods = judge.index.on_node(judge.cluster, &node.meta.name).count();
        let on = finding.there();
        finding.with_all([("pods on it", pods.to_string()), ("runtime", node.runtime.to_string())]).act(VerbId::Cordon, on, &[])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return FACTS.judge(judge) };
    let ready = meta::condition(&node.conditions, "Ready").filter(|c| c.status != Tri::True);
    let said = ready.and_then(|c| Some((c.message.as_deref().filter(|m| m.contains("PLEG is not healthy"))?, c.since)));
    let Some((message, since)) = said else { return Verdict::Fine };
    Verdict::Burning(
        judge
            .finding(Severity::Critical, since, "PLEG is not healthy")
            .with("the kubelet says", message, since)
            .with("runtime", &*node.runtime, None)
            .then(FACTS.next)
            .here(VerbId::Cordon, &[]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{judged, node};
    use crate::inspect::rules::measured::tests::holds;
    use serde_json::json;

    #[test]
    fn by_what_is_measured() {
        holds(&RULE, &FACTS, 60);
    }

    #[test]
    fn by_what_the_kubelet_says() {
        let at = |ready: &str, message: &str| {
            let mut n = node("n", ready, 60);
            n["status"]["conditions"][0]["message"] = json!(message);
            judged(Kind::Node, n, RULE.id)
        };
        let said = "PLEG is not healthy: pleg was last seen active 3m14.2s ago; threshold is 3m0s";
        assert_eq!(at("False", said), Some(Severity::Critical));
        assert_eq!((at("True", said), at("False", "container runtime is down")), (None, None));
    }
}
