//! What follows from a change elsewhere: which objects are judged too, and which incidents are told anew.

use super::{Engine, Room, Subject};
use crate::inspect::{Finding, index, rules};
use crate::model::ingress::wildcard;
use crate::model::{AlertState, Kind, Object, Str, Uid};
use crate::store::Cluster;
use hashbrown::HashSet;

impl Engine {
    /// What else has to be judged, or shown anew, because an object was `before` and is `after`.
    pub(super) fn follow(&mut self, cluster: &Cluster, before: Option<&Object>, after: Option<&Object>, again: &mut HashSet<Subject>) {
        let room = &self.rooms[usize::from(cluster.id.0)];
        let subject = |o: &Object| Subject { cluster: cluster.id, kind: Some(o.kind()), uid: o.meta().uid };
        let Some(object) = after.or(before) else { return };
        if before.is_none() != after.is_none() && room.settled.alerted(&object.meta().name) {
            self.told_anew(cluster.id, cluster.and_above(object));
        }
        let room = &self.rooms[usize::from(cluster.id.0)];
        let leaning = &self.leaning[object.kind() as usize];
        if !leaning.is_empty() && material(before, after) {
            let namespace = &object.meta().namespace;
            let near = |o: &&Object| namespace.is_empty() || o.meta().namespace.is_empty() || o.meta().namespace == *namespace;
            for kind in leaning {
                match room.index.in_namespace(cluster, *kind, namespace).filter(|_| !namespace.is_empty()) {
                    Some(here) => again.extend(here.map(subject)),
                    None => again.extend(cluster.objects(*kind).filter(near).map(subject)),
                }
            }
        }
        match object {
            Object::Pod(_) => {
                let bad = |o: Option<&Object>| matches!(o, Some(Object::Pod(p)) if p.bad());
                // A list's pods come after their workload: the one that waits for its hold learns from them since when it is so.
                if bad(before) || bad(after) || (before.is_none() && !self.asked.is_empty()) {
                    let top = cluster.workload_of(object);
                    if matches!(top, Object::Workload(w) if w.short() || room.findings.contains_key(&w.meta.uid))
                        || self.waits(subject(top))
                    {
                        again.insert(subject(top));
                    }
                }
                again.extend(self.emptied(cluster, before, after));
                let room = &self.rooms[usize::from(cluster.id.0)];
                // What nodes take along is told with them.
                let (left, come) = (running_on(before), running_on(after));
                if left == come {
                    return;
                }
                let nodes: Vec<&Str> = [left, come].into_iter().flatten().collect();
                if nodes.iter().any(|node| room.cordoned.contains(*node)) {
                    again.extend(burning(room, Kind::Pdb));
                }
                let told = nodes.into_iter().filter(|node| room.unsteady.contains(*node));
                let mut told: Vec<Uid> = told.filter_map(|node| cluster.named(Kind::Node, "", node)).map(|o| o.meta().uid).collect();
                if !told.is_empty() {
                    told.extend(cluster.and_above(object));
                    self.told_anew(cluster.id, told);
                }
            }
            Object::Workload(_) => {
                let top = cluster.workload_of(object);
                if top.meta().uid != object.meta().uid {
                    again.insert(subject(top));
                }
                if room.findings.is_empty() {
                    return;
                }
                let below = room.index.below(cluster, top.meta().uid);
                let found: Vec<&Object> = below.into_iter().filter(|o| room.findings.contains_key(&o.meta().uid)).collect();
                again.extend(found.iter().copied().map(subject));
                let words: Vec<Uid> = found.into_iter().chain([top]).filter(|o| room.takes_part(o)).map(|o| o.meta().uid).collect();
                // Who only suffers from a lost node is told there, and what it takes along; pods at what is above them, once that is known.
                let there = |o: Option<&Object>| o.map(|o| o.meta().owner.as_ref().map(|o| o.uid));
                if there(before) != there(after) {
                    let shown = !room.unsteady.is_empty() || !words.is_empty();
                    self.shown(cluster.id, shown);
                } else {
                    let nodes = room.unsteady.iter().filter_map(|node| cluster.named(Kind::Node, "", node));
                    let with: Vec<&Object> = nodes.chain(Some(top).filter(|_| !room.unsteady.is_empty())).collect();
                    self.told_anew(cluster.id, words.into_iter().chain(with.into_iter().map(|o| o.meta().uid)));
                }
            }
            Object::Alert(_) => {
                let fires = |o: Option<&Object>| matches!(o, Some(Object::Alert(a)) if a.state == AlertState::Firing);
                let shown = !room.acute.is_empty() && fires(before) != fires(after);
                self.shown(cluster.id, shown);
            }
            Object::Node(_) => {
                // How much of a zone is dead.
                let zone = !room.lost.is_empty() && (before.is_none() || after.is_none());
                let cordoned = |o: Option<&Object>| matches!(o, Some(Object::Node(n)) if n.unschedulable);
                if cordoned(before) != cordoned(after) {
                    again.extend(burning(room, Kind::Pdb));
                    // Nobody needs to cordon it now, or somebody may again.
                    let here = |f: &&Finding| f.place().is_some_and(|place| place.uid == object.meta().uid);
                    again.extend(room.findings.values().flatten().filter(here).filter_map(found_at));
                }
                self.shown(cluster.id, zone);
            }
            Object::Ingress(_) => {
                let claims =
                    [before, after].into_iter().flatten().filter_map(|o| if let Object::Ingress(i) = o { Some(&**i) } else { None });
                for host in claims.flat_map(index::claims) {
                    again.extend(room.index.at_host(cluster, &host).map(|i| subject(&Object::Ingress(i.clone()))));
                    // Few have a wildcard, and those that it has in it are few changes away.
                    if host.starts_with("*.") {
                        let under = |o: &&Object| matches!(o, Object::Ingress(i) if i.hosts.iter().any(|h| wildcard(&host, h)));
                        again.extend(cluster.objects(Kind::Ingress).filter(under).map(subject));
                    }
                }
            }
            // Of these the cluster as a whole is judged too.
            Object::EtcdMember(_) | Object::Schedule(_) | Object::StorageLocation(_) => {
                again.insert(Subject { cluster: cluster.id, kind: None, uid: Uid::default() });
            }
            Object::Backup(b) => {
                again.insert(Subject { cluster: cluster.id, kind: None, uid: Uid::default() });
                again.extend(burning(room, Kind::Backup));
                again.extend(rules::velero_schedule_stale::of(cluster, b).map(subject));
            }
            _ => {}
        }
    }

    /// The nodes that a pod left or came to, where that makes or unmakes an empty one.
    fn emptied(&self, cluster: &Cluster, before: Option<&Object>, after: Option<&Object>) -> Vec<Subject> {
        let (old, new) = (running_on(before), running_on(after));
        if old == new {
            return Vec::new();
        }
        let room = &self.rooms[usize::from(cluster.id.0)];
        let told = |uid: &Uid| room.findings.get(uid).is_some_and(|all| all.iter().any(|f| f.rule.id == "node-emptied"));
        let past = [old, new].into_iter().flatten().filter_map(|name| cluster.history.node(name));
        let of = past.filter_map(|p| p.uid().filter(|uid| told(uid) || p.ordinary.last() * 2 <= p.ordinary.peak()));
        of.map(|uid| Subject { cluster: cluster.id, kind: Some(Kind::Node), uid }).collect()
    }
}

/// Whether an object changed in what the verdicts on others may rest on: what it is meant to be, rather than how it stands.
fn material(before: Option<&Object>, after: Option<&Object>) -> bool {
    match (before, after) {
        (Some(Object::Pdb(a)), Some(Object::Pdb(b))) => {
            (&a.selector, a.min_available, a.max_unavailable) != (&b.selector, b.min_available, b.max_unavailable)
        }
        (Some(Object::Hpa(a)), Some(Object::Hpa(b))) => {
            (&a.target_kind, &a.target_name, a.min, a.max) != (&b.target_kind, &b.target_name, b.min, b.max)
        }
        (Some(Object::Node(a)), Some(Object::Node(b))) => {
            a.meta.labels != b.meta.labels || a.unschedulable != b.unschedulable || a.cpu_allocatable_m != b.cpu_allocatable_m
        }
        (Some(Object::Workload(a)), Some(Object::Workload(b))) => {
            (a.desired, &a.selector, &a.pod_labels) != (b.desired, &b.selector, &b.pod_labels)
                || !std::sync::Arc::ptr_eq(&a.shape, &b.shape)
        }
        // Its endpoints are judged with the Service itself.
        (Some(Object::Svc(a)), Some(Object::Svc(b))) => {
            (&a.class, &a.ip, &a.ports, &a.selector) != (&b.class, &b.ip, &b.ports, &b.selector)
        }
        (Some(a), Some(b)) => a != b,
        _ => true,
    }
}

/// The node of a pod that has not ended.
fn running_on(object: Option<&Object>) -> Option<&Str> {
    match object {
        Some(Object::Pod(p)) if !p.finished() => p.node.as_ref(),
        _ => None,
    }
}

/// The objects of a kind that burn now.
fn burning(room: &Room, kind: Kind) -> impl Iterator<Item = Subject> {
    room.findings.values().flatten().filter_map(found_at).filter(move |s| s.kind == Some(kind))
}

/// What was judged when a finding was found. None: the cluster.
pub(super) fn found_at(f: &Finding) -> Option<Subject> {
    f.object.as_ref().map(|o| Subject { cluster: f.cluster, kind: Some(o.kind), uid: o.uid })
}
