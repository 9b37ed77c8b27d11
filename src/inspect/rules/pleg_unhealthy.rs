//! A kubelet takes long to look at all its containers, or has stopped looking.

use super::after;
use super::measured::{BASE, Measured, USUAL, after as hold};
use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{ContainerState, Kind, Object, Tri, VerbId, meta};

const HOLD: Threshold = hold("1m");

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "pleg-unhealthy",
        area: "node",
        scope: "node",
        summary: "A relist of containers takes over 5 s (p99), or was last seen a minute ago, for 1 minute; critical from 10 s or 2 minutes on, or when the kubelet says so itself",
        why: "Relist walks all sandboxes through the runtime; when it does not finish in 3 minutes the node is declared NotReady and gets emptied.",
        kinds: &[Kind::Signal, Kind::Node],
        thresholds: &[HOLD],
        peers: &["k8s-mixin:KubeletPlegDurationHigh", "~npd:DockerHung"],
        links: &["https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeletplegdurationhigh/"],
        ..BASE
    },
    queries: &["pleg-relist", "pleg-last-seen"],
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
    let says = |c: &&crate::model::Condition| c.message.as_deref().is_some_and(|m| m.contains("PLEG is not healthy"));
    let Some(ready) = meta::condition(&node.conditions, "Ready").filter(|c| c.status != Tri::True).filter(says) else {
        return Verdict::Fine;
    };
    let held = ready.since.map_or_else(|| judge.held_since_seen(judge.value(&HOLD)), |t| judge.held(t.secs(), judge.value(&HOLD)));
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
        judge
            .finding(Severity::Critical, ready.since, "PLEG is not healthy")
            .with("message", ready.message.as_deref().unwrap_or(""), ready.since)
            .with("runtime", &*node.runtime, None)
            .with("pods and containers", format!("{} and {containers}", pods.len()), None)
            .with("pods that hang", hangs, None)
            .then(FACTS.next)
            .here(VerbId::Cordon, &[])
    })
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
