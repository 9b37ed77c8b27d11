//! What nodes and pods use now, found by name.

use crate::model::pod::Resources;
use crate::model::{Kind, Str, Uid, Usage, UsageList};
use hashbrown::{Equivalent, HashMap};

/// What some pods use together, and what the same pods request: of each resource those count that were measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UseSum {
    /// Pods that were measured.
    pub pods: u32,
    /// Millicores; none: of no pod it is known.
    pub cpu_m: Option<i64>,
    /// Bytes.
    pub memory: Option<i64>,
    pub cpu_request_m: i64,
    pub memory_request: i64,
}

impl UseSum {
    fn add(&mut self, usage: &Usage, requests: &Resources) {
        self.pods += 1;
        if let Some(cpu) = usage.cpu_m {
            self.cpu_m = Some(self.cpu_m.unwrap_or(0) + cpu);
            self.cpu_request_m += requests.cpu_request_m.unwrap_or(0);
        }
        if let Some(memory) = usage.memory {
            self.memory = Some(self.memory.unwrap_or(0) + memory);
            self.memory_request += requests.memory_request.unwrap_or(0);
        }
    }
}

/// Sums over the pods there are.
#[derive(Default)]
pub struct Sums {
    by_owner: HashMap<Uid, UseSum>,
    by_namespace: HashMap<Str, UseSum>,
}

impl Sums {
    /// Counts a pod for its namespace and for those that own it.
    pub fn add(&mut self, namespace: &Str, owners: impl IntoIterator<Item = Uid>, usage: &Usage, requests: &Resources) {
        self.by_namespace.entry(namespace.clone()).or_default().add(usage, requests);
        for owner in owners {
            self.by_owner.entry(owner).or_default().add(usage, requests);
        }
    }
}

/// Namespace and name.
#[derive(PartialEq, Eq, Hash)]
struct Place(Str, Str);

#[derive(Hash)]
struct Sought<'a>(&'a str, &'a str);

impl Equivalent<Place> for Sought<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        (self.0, self.1) == (&*place.0, &*place.1)
    }
}

/// The side table of one cluster.
#[derive(Default)]
pub struct Uses {
    nodes: HashMap<Place, Usage>,
    pods: HashMap<Place, Usage>,
    /// Of all nodes.
    total: Usage,
    pub sums: Sums,
}

impl Uses {
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Usage> {
        let map = match kind {
            Kind::Node => &self.nodes,
            Kind::Pod => &self.pods,
            _ => return None,
        };
        map.get(&Sought(namespace, name))
    }

    /// No pod was measured.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// What all nodes use that were measured.
    pub fn total(&self) -> Usage {
        self.total
    }

    pub fn of_owner(&self, uid: Uid) -> Option<&UseSum> {
        self.sums.by_owner.get(&uid)
    }

    pub fn of_namespace(&self, name: &str) -> Option<&UseSum> {
        self.sums.by_namespace.get(name)
    }

    /// Takes a list: what it does not name (in its namespace) is no longer known.
    pub fn replace(&mut self, list: UsageList) {
        let map = match list.kind {
            Kind::Node => &mut self.nodes,
            Kind::Pod => &mut self.pods,
            _ => return,
        };
        map.retain(|place, _| list.namespace.as_ref().is_some_and(|ns| *ns != place.0));
        map.extend(list.rows.into_iter().map(|row| (Place(row.namespace, row.name), row.usage)));
        if list.kind == Kind::Node {
            let sum = |f: fn(&Usage) -> Option<i64>| self.nodes.values().filter_map(f).reduce(|a, b| a + b);
            self.total = Usage { cpu_m: sum(|u| u.cpu_m), memory: sum(|u| u.memory), at: self.nodes.values().filter_map(|u| u.at).min() };
        }
    }
}
