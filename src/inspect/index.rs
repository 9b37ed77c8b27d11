//! Which rows of a cluster belong to which: by owner, node, namespace, host, model and what they are about. Kept from what was touched, so that
//! nothing scans tables.

use crate::model::{Event, Hpa, Ingress, Kind, Labels, Node, Object, Pdb, Pod, Str, Svc, Uid, Workload};
use crate::store::{Cluster, RowId};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One cluster's rows by what they belong to.
#[derive(Default)]
pub(super) struct Index {
    owned: HashMap<Uid, BTreeSet<(Kind, u32)>>,
    on_node: HashMap<Str, BTreeSet<u32>>,
    ranks: BTreeMap<Rank, Ranked>,
    /// Of each of [`SPACES`].
    spaces: [HashMap<Str, BTreeSet<u32>>; SPACES.len()],
    /// Pods that have not ended by the claims that they mount: namespace and name.
    mounts: HashMap<(Str, Str), BTreeSet<u32>>,
    /// Ingresses by what they claim.
    hosts: HashMap<Str, BTreeSet<u32>>,
    links: HashMap<Str, Links>,
    /// Nodes by their model and roles.
    models: HashMap<String, BTreeSet<u32>>,
    /// How many nodes are in a zone.
    zones: BTreeMap<Str, u32>,
    /// Pods by namespace and by labels, which those of one template share.
    labelled: HashMap<Str, HashMap<Labels, BTreeSet<u32>>>,
    /// Events by what they are about.
    said: HashMap<Uid, BTreeSet<u32>>,
}

/// A priority and the class that gives it.
type Rank = (i32, Option<Str>);

/// How many pods have a priority, and how many of them are core.
#[derive(Default, Clone, Copy)]
struct Ranked {
    pods: u32,
    core: u32,
}

fn rank_of(object: Option<&Object>) -> Option<(Rank, bool)> {
    match object {
        Some(o @ Object::Pod(pod)) if !pod.finished() => Some(((pod.shape.priority, pod.shape.priority_class.clone()), super::core(o))),
        _ => None,
    }
}

/// The kinds that are found by namespace: what Services select and what leads to them, and what budgets and autoscalers are for.
const SPACES: [Kind; 7] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Service, Kind::Ingress, Kind::Pdb, Kind::Hpa];

/// What containers of a namespace get of its Services.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Links {
    /// Services with an address.
    pub services: u32,
    pub variables: u32,
    /// Names and values.
    pub bytes: u32,
}

/// The hosts that an Ingress claims: of its rules (empty: any host), its aliases, and the twin with or without `www.` that it redirects from.
pub(super) fn claims(ingress: &Ingress) -> Vec<Str> {
    let mut all: Vec<Str> = ingress.hosts.to_vec();
    if ingress.routes.iter().any(|r| r.host.is_empty()) {
        all.push(Str::default());
    }
    all.extend(taken_along(ingress));
    all.sort_unstable();
    all.dedup();
    all
}

/// The hosts that it claims besides those of its rules.
pub(super) fn taken_along(ingress: &Ingress) -> impl Iterator<Item = Str> {
    let aliases =
        ingress.settings.get("server-alias").unwrap_or_default().split(',').map(str::trim).filter(|a| !a.is_empty() && !a.starts_with('~'));
    let twins = ingress.settings.get("from-to-www-redirect") == Some("true");
    let twin = |host: &Str| host.strip_prefix("www.").map_or_else(|| Str::from(format!("www.{host}")), Str::from);
    let twins = ingress.hosts.iter().filter(move |_| twins).map(twin);
    aliases.map(Str::from).chain(twins)
}

fn insert<K: std::hash::Hash + Eq + Clone>(map: &mut HashMap<K, BTreeSet<u32>>, key: &K, slot: u32) {
    map.entry(key.clone()).or_default().insert(slot);
}

fn remove<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<u32>>, key: &K, slot: u32) {
    if let Some(set) = map.get_mut(key) {
        set.remove(&slot);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

fn node_of(object: Option<&Object>) -> Option<&Str> {
    match object {
        Some(Object::Pod(pod)) => pod.node.as_ref(),
        _ => None,
    }
}

fn owner_of(object: Option<&Object>) -> Option<Uid> {
    object.and_then(|o| o.meta().owner.as_ref()).map(|o| o.uid)
}

impl Index {
    /// A row was `before` and is `after`.
    pub(super) fn note(&mut self, id: RowId, before: Option<&Object>, after: Option<&Object>) {
        if let Some(space) = SPACES.iter().position(|k| *k == id.kind) {
            self.note_space(space, id.slot, before, after);
        }
        match id.kind {
            Kind::Node => self.note_node(id.slot, before, after),
            Kind::Event => {
                let about = |o: Option<&Object>| if let Some(Object::Event(e)) = o { Some(e.about.uid) } else { None };
                let (old, new) = (about(before), about(after));
                if old != new {
                    old.iter().for_each(|uid| remove(&mut self.said, uid, id.slot));
                    new.iter().for_each(|uid| insert(&mut self.said, uid, id.slot));
                }
            }
            _ => {}
        }
        if !matches!(id.kind, Kind::Pod | Kind::ReplicaSet | Kind::Job) {
            return;
        }
        if id.kind == Kind::Pod {
            self.rank(before, after);
            self.note_mounts(id.slot, before, after);
            self.note_labels(id.slot, before, after);
        }
        let (old, new) = (owner_of(before), owner_of(after));
        if old != new {
            if let Some(owner) = old
                && let Some(set) = self.owned.get_mut(&owner)
            {
                set.remove(&(id.kind, id.slot));
                if set.is_empty() {
                    self.owned.remove(&owner);
                }
            }
            if let Some(owner) = new {
                self.owned.entry(owner).or_default().insert((id.kind, id.slot));
            }
        }
        let (old, new) = (node_of(before), node_of(after));
        if old != new {
            if let Some(node) = old
                && let Some(set) = self.on_node.get_mut(node)
            {
                set.remove(&id.slot);
                if set.is_empty() {
                    self.on_node.remove(node);
                }
            }
            if let Some(node) = new {
                self.on_node.entry_ref(node).or_default().insert(id.slot);
            }
        }
    }

    fn note_node(&mut self, slot: u32, before: Option<&Object>, after: Option<&Object>) {
        let node = |o: Option<&Object>| if let Some(Object::Node(n)) = o { Some((n.model(), n.zone().map(Str::from))) } else { None };
        let (old, new) = (node(before), node(after));
        if old == new {
            return;
        }
        if let Some((model, zone)) = old {
            remove(&mut self.models, &model, slot);
            if let Some(zone) = zone
                && let Some(n) = self.zones.get_mut(&zone)
            {
                *n -= 1;
                if *n == 0 {
                    self.zones.remove(&zone);
                }
            }
        }
        if let Some((model, zone)) = new {
            insert(&mut self.models, &model, slot);
            if let Some(zone) = zone {
                *self.zones.entry(zone).or_default() += 1;
            }
        }
    }

    /// The nodes of a model and its roles.
    pub(super) fn alike<'a>(&'a self, cluster: &'a Cluster, model: &str) -> impl Iterator<Item = &'a Node> + use<'a> {
        let slots = self.models.get(model).into_iter().flatten();
        slots.filter_map(move |slot| match cluster.table(Kind::Node).get(*slot) {
            Some(Object::Node(n)) => Some(&**n),
            _ => None,
        })
    }

    /// How many zones the nodes are in.
    pub(super) fn zones(&self) -> usize {
        self.zones.len()
    }

    /// The events about an object.
    pub(super) fn said<'a>(&'a self, cluster: &'a Cluster, about: Uid) -> impl Iterator<Item = &'a Arc<Event>> + use<'a> {
        let slots = self.said.get(&about).into_iter().flatten();
        slots.filter_map(move |slot| match cluster.table(Kind::Event).get(*slot) {
            Some(Object::Event(e)) => Some(e),
            _ => None,
        })
    }

    fn note_mounts(&mut self, slot: u32, before: Option<&Object>, after: Option<&Object>) {
        let claims = |o: Option<&Object>| match o {
            Some(Object::Pod(p)) if !p.finished() => p.claims.iter().map(|c| (p.meta.namespace.clone(), c.clone())).collect(),
            _ => Vec::new(),
        };
        claims(before).iter().for_each(|claim| remove(&mut self.mounts, claim, slot));
        claims(after).iter().for_each(|claim| insert(&mut self.mounts, claim, slot));
    }

    fn note_labels(&mut self, slot: u32, before: Option<&Object>, after: Option<&Object>) {
        let of = |o: Option<&Object>| o.map(Object::meta).map(|m| (m.namespace.clone(), m.labels.clone()));
        let (old, new) = (of(before), of(after));
        if old == new {
            return;
        }
        if let Some((namespace, labels)) = old
            && let Some(here) = self.labelled.get_mut(&namespace)
        {
            remove(here, &labels, slot);
            if here.is_empty() {
                self.labelled.remove(&namespace);
            }
        }
        if let Some((namespace, labels)) = new {
            insert(self.labelled.entry(namespace).or_default(), &labels, slot);
        }
    }

    /// The pods of a namespace, ended ones included, whose labels are as they have to be; each set of labels is looked at once.
    pub(super) fn labelled<'a, F: Fn(&Labels) -> bool>(
        &'a self,
        cluster: &'a Cluster,
        namespace: &str,
        fit: F,
    ) -> impl Iterator<Item = &'a Pod> + use<'a, F> {
        let here = self.labelled.get(namespace).into_iter().flatten();
        here.filter(move |(labels, _)| fit(labels)).flat_map(|(_, slots)| slots).filter_map(move |slot| {
            match cluster.table(Kind::Pod).get(*slot) {
                Some(Object::Pod(p)) => Some(&**p),
                _ => None,
            }
        })
    }

    /// Whether a pod that has not ended mounts a claim.
    pub(super) fn mounted(&self, namespace: &Str, claim: &Str) -> bool {
        self.mounts.contains_key(&(namespace.clone(), claim.clone()))
    }

    fn rank(&mut self, before: Option<&Object>, after: Option<&Object>) {
        let (old, new) = (rank_of(before), rank_of(after));
        if old == new {
            return;
        }
        if let Some((rank, core)) = old
            && let Some(ranked) = self.ranks.get_mut(&rank)
        {
            ranked.pods = ranked.pods.saturating_sub(1);
            ranked.core = ranked.core.saturating_sub(u32::from(core));
            if ranked.pods == 0 {
                self.ranks.remove(&rank);
            }
        }
        if let Some((rank, core)) = new {
            let ranked = self.ranks.entry(rank).or_default();
            ranked.pods += 1;
            ranked.core += u32::from(core);
        }
    }

    /// The priorities of the cluster's pods, highest first: the priority, its class, its pods, and those of them that are core.
    pub(super) fn ranks(&self) -> impl Iterator<Item = (i32, Option<&str>, u32, u32)> {
        self.ranks.iter().rev().map(|((priority, class), r)| (*priority, class.as_deref(), r.pods, r.core))
    }

    fn note_space(&mut self, space: usize, slot: u32, before: Option<&Object>, after: Option<&Object>) {
        if before.map(|o| &o.meta().namespace) != after.map(|o| &o.meta().namespace) {
            before.iter().for_each(|o| remove(&mut self.spaces[space], &o.meta().namespace, slot));
            after.iter().for_each(|o| insert(&mut self.spaces[space], &o.meta().namespace, slot));
        }
        if let Some(Object::Ingress(i)) = before {
            claims(i).iter().for_each(|host| remove(&mut self.hosts, host, slot));
        }
        if let Some(Object::Ingress(i)) = after {
            claims(i).iter().for_each(|host| insert(&mut self.hosts, host, slot));
        }
        let links = |o: Option<&Object>| if let Some(Object::Svc(s)) = o { s.links().map(|l| (s.meta.namespace.clone(), l)) } else { None };
        if let Some((namespace, (variables, bytes))) = links(before)
            && let Some(sum) = self.links.get_mut(&namespace)
        {
            *sum = Links { services: sum.services - 1, variables: sum.variables - variables, bytes: sum.bytes - bytes };
            if sum.services == 0 {
                self.links.remove(&namespace);
            }
        }
        if let Some((namespace, (variables, bytes))) = links(after) {
            let sum = self.links.entry(namespace).or_default();
            *sum = Links { services: sum.services + 1, variables: sum.variables + variables, bytes: sum.bytes + bytes };
        }
    }

    /// The objects of a kind in a namespace, where that kind is found so.
    pub(super) fn in_namespace<'a>(
        &'a self,
        cluster: &'a Cluster,
        kind: Kind,
        namespace: &str,
    ) -> Option<impl Iterator<Item = &'a Object> + use<'a>> {
        let space = SPACES.iter().position(|k| *k == kind)?;
        let slots = self.spaces[space].get(namespace);
        Some(slots.into_iter().flatten().filter_map(move |slot| cluster.table(kind).get(*slot)))
    }

    fn here<'a>(&'a self, cluster: &'a Cluster, kind: Kind, namespace: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.in_namespace(cluster, kind, namespace).into_iter().flatten()
    }

    /// The workloads of a namespace that keep pods running.
    pub(super) fn workloads<'a>(&'a self, cluster: &'a Cluster, namespace: &str) -> Vec<&'a Arc<Workload>> {
        let of = |kind: Kind| self.here(cluster, kind, namespace);
        let workload = |o: &'a Object| if let Object::Workload(w) = o { Some(w) } else { None };
        [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet].into_iter().flat_map(of).filter_map(workload).collect()
    }

    /// The workloads whose pods a Service selects.
    pub(super) fn selected<'a>(&'a self, cluster: &'a Cluster, service: &Svc) -> Vec<&'a Arc<Workload>> {
        let mut all = self.workloads(cluster, &service.meta.namespace);
        all.retain(|w| service.takes(&w.pod_labels));
        all
    }

    /// The Services of a namespace.
    pub(super) fn services<'a>(&'a self, cluster: &'a Cluster, namespace: &str) -> impl Iterator<Item = &'a Arc<Svc>> + use<'a> {
        self.here(cluster, Kind::Service, namespace).filter_map(|o| if let Object::Svc(s) = o { Some(s) } else { None })
    }

    /// The budgets of a namespace.
    pub(super) fn budgets<'a>(&'a self, cluster: &'a Cluster, namespace: &str) -> impl Iterator<Item = &'a Pdb> + use<'a> {
        self.here(cluster, Kind::Pdb, namespace).filter_map(|o| if let Object::Pdb(p) = o { Some(&**p) } else { None })
    }

    /// The autoscalers of a namespace.
    pub(super) fn scalers<'a>(&'a self, cluster: &'a Cluster, namespace: &str) -> impl Iterator<Item = &'a Hpa> + use<'a> {
        self.here(cluster, Kind::Hpa, namespace).filter_map(|o| if let Object::Hpa(h) = o { Some(&**h) } else { None })
    }

    /// The autoscaler of a workload.
    pub(super) fn scaler<'a>(&'a self, cluster: &'a Cluster, w: &Workload) -> Option<&'a Hpa> {
        self.scalers(cluster, &w.meta.namespace).find(|h| h.target_name == w.meta.name && Kind::parse(&h.target_kind) == Some(w.kind))
    }

    /// The Ingresses that lead to a Service.
    pub(super) fn routing<'a>(&'a self, cluster: &'a Cluster, service: &'a Svc) -> impl Iterator<Item = &'a Arc<Ingress>> {
        let ingress = |o: &'a Object| if let Object::Ingress(i) = o { Some(i) } else { None };
        let leads = |i: &&Arc<Ingress>| i.backends().iter().any(|b| b.service == service.meta.name);
        self.here(cluster, Kind::Ingress, &service.meta.namespace).filter_map(ingress).filter(leads)
    }

    /// The Ingresses that claim a host, of all namespaces.
    pub(super) fn at_host<'a>(&'a self, cluster: &'a Cluster, host: &str) -> impl Iterator<Item = &'a Arc<Ingress>> + use<'a> {
        let slots = self.hosts.get(host).into_iter().flatten();
        slots.filter_map(move |slot| match cluster.table(Kind::Ingress).get(*slot) {
            Some(Object::Ingress(i)) => Some(i),
            _ => None,
        })
    }

    /// What containers of a namespace get of its Services.
    pub(super) fn links(&self, namespace: &str) -> Links {
        self.links.get(namespace).copied().unwrap_or_default()
    }

    /// What an object owns directly: a Deployment's ReplicaSets, a CronJob's Jobs, pods.
    pub(super) fn owned<'a>(&'a self, cluster: &'a Cluster, owner: Uid) -> impl Iterator<Item = &'a Object> {
        let rows = self.owned.get(&owner).into_iter().flatten();
        rows.filter_map(move |(kind, slot)| cluster.table(*kind).get(*slot)).filter(move |o| owner_of(Some(o)) == Some(owner))
    }

    /// The pods on a node, ended ones included.
    pub(super) fn on_node<'a>(&'a self, cluster: &'a Cluster, node: &str) -> impl Iterator<Item = &'a Object> {
        self.on_node.get(node).into_iter().flatten().filter_map(move |slot| cluster.table(Kind::Pod).get(*slot))
    }

    /// Everything below an object, itself left out: a CronJob's Jobs and their pods. Owners may form a ring: three levels are all there are.
    pub(super) fn below<'a>(&'a self, cluster: &'a Cluster, owner: Uid) -> Vec<&'a Object> {
        let mut all: Vec<&Object> = self.owned(cluster, owner).collect();
        let mut from = 0;
        for _ in 0..2 {
            let upto = all.len();
            for at in from..upto {
                if all[at].kind() != Kind::Pod {
                    let uid = all[at].meta().uid;
                    all.extend(self.owned(cluster, uid));
                }
            }
            from = upto;
        }
        all
    }

    /// The pods of a workload, through its ReplicaSets or Jobs.
    pub(super) fn pods<'a>(&'a self, cluster: &'a Cluster, workload: Uid) -> Vec<&'a Arc<Pod>> {
        let pod = |o: &'a Object| if let Object::Pod(p) = o { Some(p) } else { None };
        self.below(cluster, workload).into_iter().filter_map(pod).collect()
    }
}
