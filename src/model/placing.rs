//! Where a pod may run: what its spec says to the scheduler, and whether a node agrees.

use super::selector::{Operator, Requirement};
use super::{Interner, Labels, Node, Selector, Str, wire};

/// What a pod puts up with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Toleration {
    /// Empty: every key.
    pub key: Str,
    /// `Exists`, or a value must be equal.
    pub exists: bool,
    pub value: Str,
    /// Empty: every effect.
    pub effect: Str,
}

/// A term over other pods' labels, in some domain of nodes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PodTerm {
    /// None selects nothing.
    pub selector: Option<Selector>,
    /// With no `namespace_selector` either: the pod's own namespace.
    pub namespaces: Box<[Str]>,
    /// Namespaces by their labels, beside those that are named; an empty one is all of them.
    pub namespace_selector: Option<Selector>,
    /// The label of nodes that makes a domain.
    pub topology: Str,
}

/// Pods of one kind spread evenly over domains.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spread {
    pub max_skew: i32,
    pub topology: Str,
    pub selector: Option<Selector>,
}

/// Terms over nodes: any of them, all requirements of it.
pub type NodeTerms = Box<[Box<[Requirement]>]>;

/// Projects terms over nodes; one without expressions takes none, and is left out.
pub fn node_terms(terms: &[wire::NodeSelectorTerm], i: &mut Interner) -> NodeTerms {
    let requirement = |r: &wire::NodeSelectorRequirement, i: &mut Interner| Requirement {
        key: i.str(&r.key),
        operator: Operator::parse(&r.operator),
        values: r.values.iter().map(|v| i.str(v)).collect(),
    };
    let terms = terms.iter().filter(|t| !t.match_expressions.is_empty());
    terms.map(|t| t.match_expressions.iter().map(|r| requirement(r, i)).collect()).collect()
}

/// Whether any of these terms takes a node of these labels.
pub fn takes(terms: &NodeTerms, labels: &Labels) -> bool {
    terms.iter().any(|term| term.iter().all(|r| r.takes(labels)))
}

/// The required part of a pod's scheduling; preferences are left out.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Placing {
    pub tolerations: Box<[Toleration]>,
    /// Empty: every node.
    pub node_terms: NodeTerms,
    pub affinity: Box<[PodTerm]>,
    pub anti_affinity: Box<[PodTerm]>,
    /// `DoNotSchedule` constraints.
    pub spread: Box<[Spread]>,
    /// It has emptyDir volumes: what is in them goes with it.
    pub empty_dir: bool,
    /// It has claims: its storage may tie it to nodes.
    pub claims: bool,
}

impl Placing {
    /// Projects a pod's or a template's spec.
    pub fn of(spec: &wire::PodSpec, i: &mut Interner) -> Self {
        let none = wire::Affinity::default();
        let affinity = spec.affinity.as_ref().unwrap_or(&none);
        let terms = affinity.node_affinity.as_ref().and_then(|n| n.required_during_scheduling_ignored_during_execution.as_ref());
        let terms = terms.map(|s| s.node_selector_terms.as_slice()).unwrap_or_default();
        let pod_term = |t: &wire::PodAffinityTerm, i: &mut Interner| PodTerm {
            selector: t.label_selector.as_ref().map(|s| Selector::of(s, i)),
            namespaces: t.namespaces.iter().map(|n| i.str(n)).collect(),
            namespace_selector: t.namespace_selector.as_ref().map(|s| Selector::of(s, i)),
            topology: i.str(&t.topology_key),
        };
        let pod_terms = |set: Option<&wire::PodAffinity>, i: &mut Interner| -> Box<[PodTerm]> {
            set.map(|a| a.required_during_scheduling_ignored_during_execution.as_slice())
                .unwrap_or_default()
                .iter()
                .map(|t| pod_term(t, i))
                .collect()
        };
        Self {
            tolerations: spec
                .tolerations
                .iter()
                .map(|t| Toleration {
                    key: i.str(&t.key),
                    exists: t.operator == "Exists",
                    value: i.str(&t.value),
                    effect: i.str(&t.effect),
                })
                .collect(),
            node_terms: node_terms(terms, i),
            affinity: pod_terms(affinity.pod_affinity.as_ref(), i),
            anti_affinity: pod_terms(affinity.pod_anti_affinity.as_ref(), i),
            spread: spec
                .topology_spread_constraints
                .iter()
                .filter(|c| c.when_unsatisfiable != "ScheduleAnyway")
                .map(|c| Spread {
                    max_skew: c.max_skew,
                    topology: i.str(&c.topology_key),
                    selector: c.label_selector.as_ref().map(|s| Selector::of(s, i)),
                })
                .collect(),
            empty_dir: spec.volumes.iter().any(|v| v.source.as_ref().is_some_and(|s| s.empty_dir.is_some())),
            claims: spec.volumes.iter().any(|v| v.source.as_ref().is_some_and(|s| s.persistent_volume_claim.is_some())),
        }
    }

    /// The taint of a node that keeps such a pod away, if one does.
    pub fn repelled_by<'a>(&self, node: &'a Node) -> Option<&'a super::Taint> {
        let repels = |t: &&super::Taint| matches!(&*t.effect, "NoSchedule" | "NoExecute") && !self.tolerates(&t.key, &t.value, &t.effect);
        node.taints.iter().find(repels)
    }

    /// Whether such a pod is put on a node although it is cordoned.
    pub fn ignores_cordon(&self) -> bool {
        self.tolerates("node.kubernetes.io/unschedulable", "", "NoSchedule")
    }

    fn tolerates(&self, key: &str, value: &str, effect: &str) -> bool {
        self.tolerations.iter().any(|t| {
            (t.effect.is_empty() || &*t.effect == effect)
                && (t.key.is_empty() && t.exists || &*t.key == key && (t.exists || &*t.value == value))
        })
    }

    /// Whether the required node affinity takes a node.
    pub fn takes(&self, node: &Node) -> bool {
        self.node_terms.is_empty() || takes(&self.node_terms, &node.meta.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, decode_json, object::json_to_proto};
    use serde_json::json;
    use std::sync::Arc;

    fn pod(spec: serde_json::Value) -> Arc<crate::model::Pod> {
        let value = json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec});
        let mut i = Interner::default();
        let one = decode_json(Kind::Pod, value.to_string().as_bytes(), &mut i).unwrap();
        let other = crate::model::decode_proto(Kind::Pod, &json_to_proto(Kind::Pod, &value).unwrap(), &mut i).unwrap();
        assert_eq!(one, other, "both encodings say the same");
        match one {
            Object::Pod(pod) => pod,
            other => panic!("{other:?}"),
        }
    }

    fn node(labels: serde_json::Value, taints: serde_json::Value) -> Arc<Node> {
        let value = json!({"metadata": {"name": "n", "uid": "n", "labels": labels}, "spec": {"taints": taints}});
        match decode_json(Kind::Node, value.to_string().as_bytes(), &mut Interner::default()).unwrap() {
            Object::Node(node) => node,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn taints_and_tolerations() {
        let tainted = node(
            json!({}),
            json!([{"key": "gpu", "value": "a100", "effect": "NoSchedule"}, {"key": "soft", "effect": "PreferNoSchedule"}]),
        );
        let kept = |tolerations: serde_json::Value| pod(json!({"tolerations": tolerations})).shape.placing.repelled_by(&tainted).is_some();
        assert!(
            kept(json!([]))
                && kept(json!([{"key": "gpu", "value": "h100"}]))
                && kept(json!([{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]))
        );
        assert!(
            !kept(json!([{"operator": "Exists"}]))
                && !kept(json!([{"key": "gpu", "value": "a100"}]))
                && !kept(json!([{"key": "gpu", "operator": "Exists"}]))
        );
    }

    #[test]
    fn node_affinity_is_any_term_and_all_of_it() {
        let terms = |terms: serde_json::Value| {
            pod(json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}))
        };
        let n = node(json!({"zone": "a", "cores": "16"}), json!([]));
        let takes = |t: serde_json::Value| terms(t).shape.placing.takes(&n);
        assert!(takes(
            json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}, {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["8"]}]}])
        ));
        assert!(!takes(
            json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}, {"key": "cores", "operator": "Lt", "values": ["8"]}]}])
        ));
        assert!(takes(json!([{"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b"]}]}])));
    }

    #[test]
    fn volumes_and_terms_over_pods_are_seen() {
        let placing = &pod(json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "d", "configMap": {"name": "x"}}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "kubernetes.io/hostname"}]}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "a"}}}, {"maxSkew": 1, "topologyKey": "x", "whenUnsatisfiable": "ScheduleAnyway"}]}))
        .shape
        .placing;
        assert!(placing.empty_dir && placing.claims);
        assert_eq!(
            (placing.anti_affinity.len(), &*placing.anti_affinity[0].topology, placing.spread.len()),
            (1, "kubernetes.io/hostname", 1)
        );
        assert_eq!(*pod(json!({})).shape.placing, Placing::default());
    }
}
