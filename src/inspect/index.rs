//! Which rows of a cluster belong to which: by owner and by node. Kept from what was touched, so that nothing scans tables.

use crate::model::{Kind, Object, Pod, Str, Uid};
use crate::store::{Cluster, RowId};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One cluster's rows by owner and by node.
#[derive(Default)]
pub(super) struct Index {
    owned: HashMap<Uid, BTreeSet<(Kind, u32)>>,
    on_node: HashMap<Str, BTreeSet<u32>>,
    ranks: BTreeMap<Rank, Ranked>,
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
        if !matches!(id.kind, Kind::Pod | Kind::ReplicaSet | Kind::Job) {
            return;
        }
        if id.kind == Kind::Pod {
            self.rank(before, after);
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
