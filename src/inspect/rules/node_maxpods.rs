//! A node that runs out of places for pods.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, VerbId};

const INFO: Threshold =
    Threshold { name: "info-from", default: "90%", doc: "share of the pods that it may have from which it is worth knowing" };
const WARNING: Threshold = Threshold { name: "warning-from", default: "95%", doc: "the same, for a warning" };
/// How often one looks again (seconds): pods come without the node's doing.
const AGAIN: i64 = 300;

pub static RULE: RuleInfo = RuleInfo {
    id: "node-maxpods",
    area: "capacity",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "node",
    summary: "It has 90 % of the pods that it may have; a warning from 95 % on",
    why: "Slots or IPs can run out while CPU is free, and too many pods slow the kubelet's relist.",
    kinds: &[Kind::Node],
    needs: &[crate::inspect::Need::Kind(Kind::Pod)],
    leans_on: &[],
    thresholds: &[INFO, WARNING],
    peers: &["k8s-mixin:KubeletTooManyPods"],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubelettoomanypods/",
        "https://kubernetes.io/docs/setup/best-practices/cluster-large/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return Verdict::Fine };
    let may = node.pods_allocatable;
    let has = judge.cluster.counts.by_node.get(&node.meta.name).map_or(0, |u| i64::from(u.pods));
    let from = |t: &Threshold| has * 100 >= judge.value(t) * may;
    let severity = match () {
        () if may <= 0 => return Verdict::Fine,
        () if from(&WARNING) => Severity::Warning,
        () if from(&INFO) => Severity::Info,
        () => return Verdict::LookAgain(super::later(judge, AGAIN)),
    };
    let percent = |part: i64, whole: i64| if whole > 0 { format!("{}%", part * 100 / whole) } else { String::new() };
    let used = judge.cluster.counts.by_node.get(&node.meta.name).copied().unwrap_or_default();
    let finding = judge
        .finding(severity, None, format!("{has} of {may} pods"))
        .with("cpu requested", percent(used.cpu_request_m, node.cpu_allocatable_m), None)
        .with("memory requested", percent(used.memory_request, node.memory_allocatable), None)
        .then("Cordon it until pods have moved; raise maxPods only where the addresses and the kubelet allow it")
        .here(VerbId::Cordon, &[]);
    Verdict::BurningUntil(finding, super::later(judge, AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, node, pod, running};
    use serde_json::json;

    fn at(pods: usize) -> Option<Severity> {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, (0..pods).map(|n| pod(json!({"name": format!("p{n}")}), "n", true, 900, running())));
        let mut n = node("n", "True", 9000);
        n["status"]["allocatable"] = json!({"cpu": "8", "memory": "32Gi", "pods": "20"});
        fleet.put(Kind::Node, [n]);
        fleet.severity(Kind::Node, "n", RULE.id)
    }

    #[test]
    fn from_ninety_and_ninety_five_percent() {
        assert_eq!((at(17), at(18), at(19)), (None, Some(Severity::Info), Some(Severity::Warning)));
    }

    #[test]
    fn it_looks_again_when_pods_came() {
        let mut fleet = Fleet::default();
        let mut n = node("n", "True", 9000);
        n["status"]["allocatable"] = json!({"pods": "20"});
        fleet.put(Kind::Node, [n]);
        fleet.put(Kind::Pod, (0..19).map(|n| pod(json!({"name": format!("p{n}")}), "n", true, 900, running())));
        assert_eq!(fleet.wait(AGAIN).severity(Kind::Node, "n", RULE.id), Some(Severity::Warning));
    }
}
