//! Where storage ties pods to nodes: the volumes that their claims are bound to, read when a plan asks for them.
//!
//! As the scheduler has it: a volume's node affinity must take the node, and its zone and region labels must be the node's. What may not
//! be read, or is not bound yet, is not judged.

use super::super::snapshot::{NoFact, gather};
use super::super::{Snapshot, Stop};
use crate::model::placing::{NodeTerms, node_terms, takes};
use crate::model::{ClusterId, Interner, Node, wire};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Volumes that are read one by one; beyond, all of the cluster at once.
const ONE_BY_ONE: usize = 16;
/// Labels of a volume that a node must have too; several values are joined by `__`.
const PLACES: [(&str, &str); 4] = [
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
];

/// A claim: namespace and name.
pub type Claim = (String, String);

/// What a claim says about nodes.
#[derive(Clone, PartialEq, Debug)]
enum Tie {
    Volume {
        /// None: every node.
        terms: Option<NodeTerms>,
        /// The label, the one that stands for it since, and its values.
        places: Vec<(&'static str, &'static str, Vec<String>)>,
    },
    /// There is no such claim.
    Missing,
    Unknown(String),
}

/// The ties of claims.
#[derive(Clone, Debug, Default)]
pub struct Storage(BTreeMap<Claim, Tie>);

/// The claims that the volumes of a pod or of a pod template name.
pub fn claims(pod: &Value) -> Vec<String> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str()).map(str::to_owned).collect()
}

impl Storage {
    /// Looks claims up.
    ///
    /// # Errors
    /// While the claims and volumes have not been fetched.
    pub fn of(snapshot: &Snapshot, cluster: ClusterId, wanted: BTreeSet<Claim>) -> Result<Self, Stop> {
        let namespaces: BTreeSet<&str> = wanted.iter().map(|(namespace, _)| namespace.as_str()).collect();
        let listed = gather(namespaces.into_iter().map(|namespace| {
            let list = snapshot.fact(cluster, format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"))?;
            Ok((namespace, list))
        }))?;
        let mut ties = BTreeMap::new();
        let mut bound: BTreeMap<Claim, String> = BTreeMap::new();
        for claim in &wanted {
            let list = listed.iter().find(|(namespace, _)| **namespace == claim.0).map(|(_, list)| *list);
            let found = match list {
                Some(Ok(list)) => list["items"].as_array().into_iter().flatten().find(|c| c["metadata"]["name"] == claim.1),
                Some(Err(NoFact::Forbidden(why) | NoFact::Other(why))) => {
                    ties.insert(claim.clone(), Tie::Unknown(format!("claims of {} cannot be read: {why}", claim.0)));
                    continue;
                }
                _ => None,
            };
            match found.map(|c| c["spec"]["volumeName"].as_str().unwrap_or("")) {
                None => drop(ties.insert(claim.clone(), Tie::Missing)),
                Some("") => drop(ties.insert(claim.clone(), Tie::Unknown("claims that are not bound yet".to_owned()))),
                Some(volume) => drop(bound.insert(claim.clone(), volume.to_owned())),
            }
        }
        let volumes: BTreeSet<&str> = bound.values().map(String::as_str).collect();
        let read: BTreeMap<&str, Result<Option<&Value>, &NoFact>> = if volumes.len() > ONE_BY_ONE {
            let list = snapshot.fact(cluster, "/api/v1/persistentvolumes")?;
            let find = |list: &'_ Value, name: &str| list["items"].as_array()?.iter().position(|v| v["metadata"]["name"] == name);
            volumes.into_iter().map(|name| (name, list.as_ref().map(|l| find(l, name).map(|at| &l["items"][at])))).collect()
        } else {
            let one = |name| {
                let fact = snapshot.fact(cluster, format!("/api/v1/persistentvolumes/{name}"))?;
                Ok((name, fact.as_ref().map(Some)))
            };
            gather(volumes.into_iter().map(one))?.into_iter().collect()
        };
        for (claim, volume) in &bound {
            let tie = match read.get(volume.as_str()) {
                Some(Ok(Some(volume))) => tie(volume),
                Some(Err(NoFact::Forbidden(why) | NoFact::Other(why))) => Tie::Unknown(format!("volumes cannot be read: {why}")),
                _ => Tie::Unknown(format!("volume {volume} is not there")),
            };
            ties.insert(claim.clone(), tie);
        }
        Ok(Self(ties))
    }

    /// Whether there is such a claim, or it cannot be told.
    pub fn has(&self, namespace: &str, claim: &str) -> bool {
        !matches!(self.tie(namespace, claim), None | Some(Tie::Missing))
    }

    fn tie(&self, namespace: &str, claim: &str) -> Option<&Tie> {
        self.0.get(&(namespace.to_owned(), claim.to_owned()))
    }

    /// The claim that keeps a pod of these claims from a node.
    pub(super) fn objection(&self, namespace: &str, claims: &[String], node: &Node) -> Option<String> {
        let away = claims.iter().find(|claim| matches!(self.tie(namespace, claim), Some(tie) if !tie.takes(node)))?;
        Some(format!("not where claim {away} is"))
    }

    /// Why it cannot be told where these claims let a pod go.
    pub(super) fn unknown(&self, namespace: &str, claims: &[String]) -> Option<String> {
        claims.iter().find_map(|claim| match self.tie(namespace, claim) {
            Some(Tie::Unknown(why)) => Some(why.clone()),
            Some(Tie::Missing) => Some(format!("claim {namespace}/{claim} is not there")),
            _ => None,
        })
    }
}

impl Tie {
    fn takes(&self, node: &Node) -> bool {
        let Self::Volume { terms, places } = self else { return true };
        let labels = &node.meta.labels;
        let there = |(label, since, values): &(&str, &str, Vec<String>)| {
            labels.get(label).or_else(|| labels.get(since)).is_some_and(|is| values.iter().any(|v| v == is))
        };
        terms.as_ref().is_none_or(|terms| takes(terms, labels)) && places.iter().all(there)
    }
}

/// What a volume says about nodes.
fn tie(volume: &Value) -> Tie {
    let required = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"];
    let terms = required.is_array().then(|| {
        let terms: Vec<wire::NodeSelectorTerm> = serde_json::from_value(required.clone()).unwrap_or_default();
        node_terms(&terms, &mut Interner::default())
    });
    let places = PLACES.iter().filter_map(|(label, since)| {
        let values = volume["metadata"]["labels"][*label].as_str()?;
        Some((*label, *since, values.split("__").map(str::to_owned).collect()))
    });
    Tie::Volume { terms, places: places.collect() }
}

#[cfg(test)]
mod tests {
    use super::super::super::verbs::fixture::{Fixture, NOW};
    use super::*;
    use serde_json::json;

    fn storage(f: &mut Fixture, claims: &[&str]) -> Storage {
        loop {
            let wanted = claims.iter().map(|c| ("pay".to_owned(), (*c).to_owned())).collect();
            let snapshot = Snapshot { store: &f.store, facts: &f.facts, now: NOW };
            match Storage::of(&snapshot, ClusterId(0), wanted) {
                Ok(storage) => return storage,
                Err(Stop::Needs(needs)) => needs.into_iter().for_each(|n| f.facts.missing(n)),
                Err(stop) => panic!("{stop:?}"),
            }
        }
    }

    fn node(labels: Value) -> std::sync::Arc<Node> {
        let value = json!({"metadata": {"name": "n", "uid": "n", "labels": labels}});
        match crate::model::decode_json(crate::model::Kind::Node, value.to_string().as_bytes(), &mut Interner::default()).unwrap() {
            crate::model::Object::Node(node) => node,
            other => panic!("{other:?}"),
        }
    }

    fn bound(f: &mut Fixture, volume: Value) {
        f.fact(
            "/api/v1/namespaces/pay/persistentvolumeclaims",
            json!({"items": [{"metadata": {"name": "data"}, "spec": {"volumeName": "pv-1"}}, {"metadata": {"name": "free"}, "spec": {}}]}),
        );
        f.fact("/api/v1/persistentvolumes/pv-1", volume);
    }

    #[test]
    fn a_volume_goes_where_its_affinity_and_its_zone_labels_say() {
        let there = |volume: Value, labels: Value| {
            let mut f = Fixture::new();
            bound(&mut f, volume);
            storage(&mut f, &["data"]).objection("pay", &["data".to_owned()], &node(labels)).is_none()
        };
        let zone = |z: &str| json!({"topology.kubernetes.io/zone": z});
        let affinity = |terms: Value| json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}});
        let in_a = || json!([{"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}]}]);
        assert!(there(affinity(in_a()), zone("a")) && !there(affinity(in_a()), zone("b")) && !there(affinity(in_a()), json!({})));
        let either = json!([in_a()[0], {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]);
        assert!(there(affinity(either), json!({"disk": "ssd"})), "any of the terms");
        assert!(!there(affinity(json!([{}])), zone("a")), "an empty term takes no node");
        assert!(there(json!({"spec": {}}), json!({})), "a volume of the network goes everywhere");
        let labelled = |l: Value| json!({"metadata": {"labels": l}, "spec": {}});
        assert!(there(labelled(json!({"topology.kubernetes.io/zone": "a__b"})), zone("b")));
        assert!(!there(labelled(json!({"topology.kubernetes.io/zone": "a__b"})), zone("c")));
        assert!(there(labelled(json!({"failure-domain.beta.kubernetes.io/zone": "a"})), zone("a")), "the old label is the new one's");
    }

    #[test]
    fn what_is_not_bound_not_there_or_not_ours_to_read_is_not_judged() {
        let why = |f: &mut Fixture, claim: &str| storage(f, &[claim]).unknown("pay", &[claim.to_owned()]);
        let mut f = Fixture::new();
        bound(&mut f, json!({"spec": {}}));
        assert_eq!(why(&mut f, "data"), None);
        assert_eq!(why(&mut f, "free").unwrap(), "claims that are not bound yet");
        assert_eq!(why(&mut f, "gone").unwrap(), "claim pay/gone is not there");
        assert!(!storage(&mut f, &["gone"]).has("pay", "gone") && storage(&mut f, &["data"]).has("pay", "data"));
        let need = |path: &str| super::super::super::Need { cluster: ClusterId(0), path: path.into() };
        f.facts.set(need("/api/v1/persistentvolumes/pv-1"), Err(NoFact::Forbidden("not permitted".into())));
        assert_eq!(why(&mut f, "data").unwrap(), "volumes cannot be read: not permitted");
        f.facts.set(need("/api/v1/namespaces/pay/persistentvolumeclaims"), Err(NoFact::Forbidden("not permitted".into())));
        assert_eq!(why(&mut f, "data").unwrap(), "claims of pay cannot be read: not permitted");
    }

    #[test]
    fn many_volumes_are_read_in_one_go() {
        let mut f = Fixture::new();
        let names: Vec<String> = (0..=ONE_BY_ONE).map(|n| format!("data-{n}")).collect();
        let claims: Vec<Value> =
            names.iter().map(|n| json!({"metadata": {"name": n}, "spec": {"volumeName": format!("pv-{n}")}})).collect();
        f.fact("/api/v1/namespaces/pay/persistentvolumeclaims", json!({"items": claims}));
        let volumes: Vec<Value> = names
            .iter()
            .map(|n| json!({"metadata": {"name": format!("pv-{n}")}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": []}}}}))
            .collect();
        f.fact("/api/v1/persistentvolumes", json!({"items": volumes}));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let storage = storage(&mut f, &names);
        assert!(storage.objection("pay", &["data-3".to_owned()], &node(json!({}))).is_some(), "no term takes no node");
    }
}
