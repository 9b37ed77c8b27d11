//! What nodes and pods use now, found by name.

use crate::model::{Kind, Str, Usage, UsageList};
use hashbrown::{Equivalent, HashMap};

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

    /// Takes a list: what it does not name (in its namespace) is no longer known.
    pub fn replace(&mut self, list: UsageList) {
        let map = match list.kind {
            Kind::Node => &mut self.nodes,
            Kind::Pod => &mut self.pods,
            _ => return,
        };
        map.retain(|place, _| list.namespace.as_ref().is_some_and(|ns| *ns != place.0));
        map.extend(list.rows.into_iter().map(|row| (Place(row.namespace, row.name), row.usage)));
    }
}
