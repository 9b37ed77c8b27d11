//! Which signals are about which nodes, pods and workloads.

use super::Cluster;
use crate::model::{Kind, Object, Signal, Uid};
use hashbrown::HashMap;

/// The signals about an object, by its uid; made anew whenever they are told.
#[derive(Default)]
pub struct SignalsOf(HashMap<Uid, Vec<Uid>>);

impl SignalsOf {
    /// Joins what is told with what there is.
    pub fn join(c: &Cluster) -> Self {
        let mut of: HashMap<Uid, Vec<Uid>> = HashMap::new();
        let mut pods: HashMap<(&str, &str), Vec<Uid>> = HashMap::new();
        let mut nodes: HashMap<&str, Vec<Uid>> = HashMap::new();
        for signal in signals(c).filter(|s| s.value.is_some()) {
            let uid = signal.meta.uid;
            match signal.about().next() {
                Some((Kind::Pod, namespace, name)) => pods.entry((namespace, name)).or_default().push(uid),
                Some((Kind::Node, _, name)) => nodes.entry(name).or_default().push(uid),
                Some(_) => {}
                None => {
                    if let Some(instance) = signal.meta.labels.get("instance") {
                        nodes.entry(instance.rsplit_once(':').map_or(instance, |(host, _)| host)).or_default().push(uid);
                    }
                }
            }
        }
        for ((namespace, name), found) in pods {
            let Some(object) = c.named(Kind::Pod, namespace, name) else { continue };
            for uid in c.owners(object).chain([object.meta().uid]) {
                of.entry(uid).or_default().extend(&found);
            }
        }
        for object in c.objects(Kind::Node).filter(|_| !nodes.is_empty()) {
            let Object::Node(node) = object else { continue };
            // An exporter is told by its node's name, or by where it listens.
            let names = [Some(&*node.meta.name), node.internal_ip.as_deref()];
            let found: Vec<Uid> = names.into_iter().flatten().filter_map(|n| nodes.get(n)).flatten().copied().collect();
            if !found.is_empty() {
                of.insert(node.meta.uid, found);
            }
        }
        Self(of)
    }

    /// The signals about an object.
    pub fn of(&self, uid: Uid) -> &[Uid] {
        self.0.get(&uid).map_or(&[], Vec::as_slice)
    }
}

fn signals(c: &Cluster) -> impl Iterator<Item = &Signal> {
    c.objects(Kind::Signal).filter_map(|o| if let Object::Signal(s) = o { Some(&**s) } else { None })
}
