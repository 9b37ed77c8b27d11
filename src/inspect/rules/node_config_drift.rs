//! A node that is not made like the others of its kind.
//!
//! Judged by what nodes say of themselves, and their kubelets of how they give out cores where these were heard. Left out: the rest of the kubelet's
//! configuration and the version of cgroups, and kernels without the fix of the CFS quota.

use super::later;
use crate::inspect::explain::words::bytes;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Node, Object, Time, VerbId};
use crate::store::NodeEvent;
use std::collections::BTreeMap;

const AFTER: Threshold = Threshold { name: "after", default: "1h", doc: "how long it may differ: a rolling upgrade takes its time" };
const MOST: Threshold = Threshold { name: "majority", default: "80%", doc: "of the nodes of a model that share what is usual" };
const LEAST: Threshold = Threshold { name: "least", default: "5", doc: "nodes of a model from which there is a usual" };

pub static RULE: RuleInfo = RuleInfo {
    id: "node-config-drift",
    area: "node",
    tier: 1,
    burns: false,
    severity: Severity::Warning,
    scope: "node, among those of its model and roles",
    summary: "Its kernel, system image, runtime, kubelet, policies of cores and topology, cores or memory differ for an hour from what four fifths of its model have",
    why: "The same model behaves differently when kernel, cgroup mode, mitigations or kubelet settings differ; this is the first thing to compare.",
    kinds: &[Kind::Node],
    needs: &[Need::Kind(Kind::Node)],
    leans_on: &[],
    thresholds: &[AFTER, MOST, LEAST],
    peers: &["~k8s-mixin:KubeVersionMismatch"],
    links: &[
        "https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/",
        "https://kubernetes.io/docs/concepts/architecture/nodes/",
    ],
    judge,
};

/// How often one looks again (seconds): others of its model change without it.
const AGAIN: i64 = 3600;
/// Memory differs by a few pages from boot to boot; what is told apart is this coarse.
const COARSE: i64 = 1 << 28;

/// Whether so few are like it in some respect that the others may have what is usual. Most nodes are told so by the first fifth of the others.
fn may_be_odd(judge: &Judge<'_>, like: &[&Node], own: &[(&'static str, Trait<'_>); 8]) -> bool {
    let all = i64::try_from(like.len()).unwrap_or(i64::MAX);
    let few = |same: i64| (all - same) * 100 >= judge.value(&MOST) * all;
    let mut same = [0_i64; 8];
    for n in like {
        for (count, (own, its)) in same.iter_mut().zip(own.iter().zip(traits(judge, n))) {
            *count += i64::from(own.1 == its.1);
        }
        if !same.into_iter().any(few) {
            return false;
        }
    }
    true
}

/// How a node is in one respect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trait<'a> {
    Text(&'a str),
    Number(i64),
    Bytes(i64),
}

impl Trait<'_> {
    /// What is empty is not known, and not compared.
    fn known(self) -> bool {
        self != Trait::Text("")
    }
    fn words(self) -> String {
        match self {
            Trait::Text(text) => text.to_owned(),
            Trait::Number(n) => n.to_string(),
            Trait::Bytes(n) => bytes(n),
        }
    }
}

fn traits<'a>(judge: &Judge<'a>, node: &'a Node) -> [(&'static str, Trait<'a>); 8] {
    let kubelet = judge.cluster.asked.kubelet(&node.meta.name);
    [
        ("kernel", Trait::Text(&node.kernel)),
        ("system", Trait::Text(&node.os_image)),
        ("runtime", Trait::Text(&node.runtime)),
        ("kubelet", Trait::Text(&node.kubelet)),
        ("cpuManagerPolicy", Trait::Text(kubelet.map_or("", |k| &k.cpus))),
        ("topologyManagerPolicy", Trait::Text(kubelet.map_or("", |k| &k.topology))),
        ("cores", Trait::Number(node.cpu_capacity_m / 1000)),
        ("memory", Trait::Bytes((node.memory_capacity + COARSE / 2) / COARSE * COARSE)),
    ]
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return Verdict::Fine };
    if node.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    if !judge.cluster.current(Kind::Node) {
        return Verdict::Fine;
    }
    let own_model = node.model();
    let like: Vec<&Node> = judge.index.alike(judge.cluster, &own_model).collect();
    let all = i64::try_from(like.len()).unwrap_or(i64::MAX);
    let own = traits(judge, node);
    if all < judge.value(&LEAST) || !may_be_odd(judge, &like, &own) {
        return Verdict::LookAgain(later(judge, AGAIN));
    }
    let mut counts: [BTreeMap<Trait<'_>, i64>; 8] = Default::default();
    for n in &like {
        for (at, (_, value)) in traits(judge, n).into_iter().enumerate() {
            *counts[at].entry(value).or_default() += 1;
        }
    }
    let odd = own.iter().zip(&counts).filter_map(|((what, value), counts)| {
        let (usual, n) = counts.iter().max_by_key(|(_, n)| **n)?;
        (usual != value && value.known() && usual.known() && n * 100 >= judge.value(&MOST) * all).then_some((*what, *value, *usual, *n))
    });
    let odd: Vec<_> = odd.collect();
    if odd.is_empty() {
        return Verdict::LookAgain(later(judge, AGAIN));
    }
    // While nodes of its model are set up, or come, they are not compared.
    let changed = |n: &&Node| {
        let past = judge.cluster.history.node(&n.meta.name)?.events.iter().rev();
        past.filter(|(_, e)| matches!(e, NodeEvent::Reconfigured | NodeEvent::Replaced)).map(|(at, _)| *at).next()
    };
    let last = like.iter().filter_map(|n| changed(n).max(n.meta.created.map(Time::secs))).max();
    let hold = judge.value(&AFTER);
    // How kubelets are set up changes without the node: nothing dates it.
    let dated = odd.iter().any(|o| !o.0.ends_with("Policy"));
    let held = if dated { judge.held(last.unwrap_or(0), hold) } else { judge.held_since_seen(hold) };
    super::until(held, || {
        let names: Vec<&str> = odd.iter().map(|o| o.0).collect();
        let message = format!("{} unlike the {} others of its model", names.join(", "), all - 1);
        let mut finding = judge.finding(Severity::Warning, None, message).with("model", own_model.trim(), None);
        for (what, value, usual, n) in &odd {
            finding = finding.with(what, format!("{}; usual is {} ({n} of {all})", value.words(), usual.words()), None);
        }
        let next = "Compare first what is slow on it with the others; cordon it, drain it and set it up anew like them";
        (finding.then(next).here(VerbId::Cordon, &[]), Some(later(judge, AGAIN)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, node};
    use crate::model::{Delta, KindState};
    use serde_json::{Value, json};

    fn made(name: &str, kernel: &str, model: &str) -> Value {
        let mut n = node(name, "True", 9000);
        n["metadata"]["labels"] = json!({"node.kubernetes.io/instance-type": model});
        n["status"]["nodeInfo"] = json!({"kernelVersion": kernel, "kubeletVersion": "v1.36.0"});
        n["status"]["capacity"] = json!({"cpu": "16", "memory": "64Gi"});
        n
    }

    fn odd(kernels: &[&str], wait: i64) -> Option<String> {
        let mut fleet = Fleet::default();
        let put = |fleet: &mut Fleet, kernel: fn(&str) -> &str| {
            fleet.put(Kind::Node, kernels.iter().enumerate().map(|(n, k)| made(&format!("n{n}"), kernel(k), "m1")));
        };
        put(&mut fleet, |_| "4.0");
        fleet.put(Kind::Node, (0..5).map(|n| made(&format!("other{n}"), "9.9", "m2")));
        fleet.delta(0, Delta::KindState(Kind::Node, KindState::Live));
        put(&mut fleet, |k| k);
        fleet.wait(wait);
        fleet.finding(Kind::Node, "n0", RULE.id).map(|f| f.message.clone())
    }

    #[test]
    fn a_kubelet_that_is_set_up_otherwise() {
        use crate::model::Asked;
        use crate::model::asked::Kubelet;
        let mut fleet = Fleet::default();
        fleet.delta(0, Delta::KindState(Kind::Node, KindState::Live));
        let of = |fleet: &mut Fleet, heard: usize, first: &str| {
            let one = |n: usize| Kubelet {
                node: format!("n{n}").into(),
                cpus: if n == 0 { first } else { "static" }.into(),
                topology: "none".into(),
                kept: 0,
                ..Kubelet::default()
            };
            fleet.delta(0, Delta::Asked(Asked { kubelets: Ok((0..heard).map(one).collect()), ..Asked::default() }.into()));
            fleet.put(Kind::Node, (0..5).map(|n| made(&format!("n{n}"), "6.1", "m1")));
            fleet.wait(AGAIN).wait(3600);
            fleet.finding(Kind::Node, "n0", RULE.id).map(|f| f.message.clone())
        };
        assert_eq!(of(&mut fleet, 5, "none").as_deref(), Some("cpuManagerPolicy unlike the 4 others of its model"));
        assert_eq!(of(&mut fleet, 5, "static"), None);
        assert_eq!(of(&mut fleet, 1, "none"), None, "the others were not heard");
    }

    #[test]
    fn one_of_five_differs_from_what_is_usual_of_its_model() {
        assert_eq!(odd(&["5.4", "6.1", "6.1", "6.1", "6.1"], 3600).as_deref(), Some("kernel unlike the 4 others of its model"));
        assert_eq!(odd(&["5.4", "6.1", "6.1", "6.1", "6.1"], 3599), None, "not for an hour");
        assert_eq!(odd(&["5.4", "5.4", "6.1", "6.1", "6.1"], 3600), None, "three of five are no usual");
        assert_eq!(odd(&["5.4", "6.1", "6.1", "6.1"], 3600), None, "too few of its model");
        assert_eq!(odd(&["6.1", "6.1", "6.1", "6.1", "6.1"], 3600), None);
    }
}
