//! From an object to what belongs to it: node, owner, pods, autoscaler, budget, events, cluster.

use super::{App, Effect, Notice, Place, Scope, World};
use crate::command::Target;
use crate::model::{Alert, Kind, Object, ObjectRef, Selector};
use crate::store::Cluster;
use crate::table::{RowKey, Subject};

/// Pods that a filter names at the most.
const PODS: usize = 40;

/// The pods that an object has: those a selector, an owner or a node names.
pub fn pods_of<'a>(cluster: &'a Cluster, object: &Object) -> Vec<&'a Object> {
    let selected = |namespace: &str, selector: &Selector| -> Vec<&'a Object> {
        cluster.objects(Kind::Pod).filter(|p| &*p.meta().namespace == namespace && selector.matches(&p.meta().labels)).collect()
    };
    match object {
        Object::Node(n) => {
            cluster.objects(Kind::Pod).filter(|p| matches!(p, Object::Pod(p) if p.node.as_ref() == Some(&n.meta.name))).collect()
        }
        Object::Pdb(p) => p.selector.as_ref().map(|s| selected(&p.meta.namespace, s)).unwrap_or_default(),
        Object::Hpa(h) => Kind::parse(&h.target_kind)
            .and_then(|k| cluster.named(k, &h.meta.namespace, &h.target_name))
            .map(|w| pods_of(cluster, w))
            .unwrap_or_default(),
        Object::Workload(w) => {
            let uid = w.meta.uid;
            cluster.objects(Kind::Pod).filter(|p| p.meta().namespace == w.meta.namespace && owned_by(cluster, p, uid)).collect()
        }
        Object::Namespace(n) => cluster.objects(Kind::Pod).filter(|p| p.meta().namespace == n.meta.name).collect(),
        Object::Claim(c) => {
            let mounts =
                |o: &&Object| matches!(o, Object::Pod(p) if p.meta.namespace == c.meta.namespace && p.claims.contains(&c.meta.name));
            cluster.objects(Kind::Pod).filter(mounts).collect()
        }
        Object::Svc(s) => {
            cluster.objects(Kind::Pod).filter(|p| p.meta().namespace == s.meta.namespace && s.takes(&p.meta().labels)).collect()
        }
        Object::Pod(p) => cluster.named(Kind::Pod, &p.meta.namespace, &p.meta.name).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether an object is made by the owner of that uid, through others or at once.
pub fn owned_by(cluster: &Cluster, object: &Object, uid: crate::model::Uid) -> bool {
    let mut at = object;
    for _ in 0..4 {
        let Some(owner) = at.meta().owner.as_deref() else { return false };
        if owner.uid == uid {
            return true;
        }
        let Some(up) = Kind::parse(&owner.kind).and_then(|kind| cluster.table(kind).get(cluster.table(kind).slot_of(owner.uid)?)) else {
            return false;
        };
        at = up;
    }
    false
}

/// The object that a row speaks of: a finding's own where it has one.
pub fn meant(world: &World, reference: &ObjectRef) -> ObjectRef {
    match world.store.resolve(reference) {
        Some(Object::Finding(f)) => f.about.clone().unwrap_or_else(|| reference.clone()),
        _ => reference.clone(),
    }
}

/// The filter of an object's alerts, those of its pods among them.
fn alerts_of(cluster: &Cluster, object: &Object) -> String {
    let meta = object.meta();
    let ns = if object.kind().info().namespaced { format!(" ns={}", meta.namespace) } else { String::new() };
    let pods = if Kind::WORKLOADS.contains(&object.kind()) { pods_of(cluster, object) } else { Vec::new() };
    let pods = pods.iter().take(PODS).map(|p| format!(",Pod/{}", p.meta().name)).collect::<String>();
    format!("cluster={}{ns} object={}/{}{pods}", cluster.info.name, object.kind().name(), meta.name)
}

/// The object that an alert is about, the most particular one that is here; of a pod that is gone, what made it.
fn named_by<'a>(cluster: &'a Cluster, alert: &Alert) -> Option<&'a Object> {
    alert.about().find_map(|(kind, namespace, name)| {
        let gone = || {
            let (stem, _) = name.rsplit_once('-').filter(|_| kind == Kind::Pod)?;
            let deployment = stem.rsplit_once('-').and_then(|(stem, _)| cluster.named(Kind::Deployment, namespace, stem));
            deployment
                .or_else(|| [Kind::StatefulSet, Kind::DaemonSet, Kind::Job].into_iter().find_map(|k| cluster.named(k, namespace, stem)))
        };
        cluster.named(kind, namespace, name).or_else(gone)
    })
}

/// The node that an alert names, else that of the pod that it names.
fn node_of<'a>(cluster: &'a Cluster, alert: &Alert) -> Option<&'a Object> {
    let labels = &alert.meta.labels;
    let named = ["node", "nodename", "kubernetes_node", "host", "instance"].into_iter().filter_map(|l| labels.get(l));
    let node = named.map(|n| n.split_once(':').map_or(n, |(host, _)| host)).find_map(|n| cluster.named(Kind::Node, "", n));
    let of_pod = || match named_by(cluster, alert)? {
        Object::Pod(p) => cluster.named(Kind::Node, "", p.node.as_ref()?),
        Object::Node(n) => cluster.named(Kind::Node, "", &n.meta.name),
        _ => None,
    };
    node.or_else(of_pod)
}

/// The autoscalers and budgets that cover an object's pods or the workload itself.
pub fn covering<'a>(cluster: &'a Cluster, object: &Object, kind: Kind) -> Vec<&'a Object> {
    let namespace = &object.meta().namespace;
    let here = cluster.objects(kind).filter(|o| o.meta().namespace == *namespace);
    match kind {
        Kind::Hpa => {
            let top = cluster.workload_of(object);
            here.filter(
                |o| matches!(o, Object::Hpa(h) if *h.target_name == *top.meta().name && Kind::parse(&h.target_kind) == Some(top.kind())),
            )
            .collect()
        }
        Kind::Pdb => {
            let pods = pods_of(cluster, object);
            here.filter(
                |o| matches!(o, Object::Pdb(b) if b.selector.as_ref().is_some_and(|s| pods.iter().any(|p| s.matches(&p.meta().labels)))),
            )
            .collect()
        }
        _ => Vec::new(),
    }
}

impl App {
    pub(super) fn jump(&mut self, world: &World, target: Target) -> Vec<Effect> {
        let Some(cluster) = self.highlighted_cluster(world).and_then(|id| world.store.cluster(id)) else {
            return self.say(self.no_object(world));
        };
        if target == Target::Cluster {
            self.show_table(world, Subject::Clusters, "");
            if let Some(pane) = self.panes.get_mut(&Subject::Clusters) {
                pane.select(world, RowKey::Cluster(cluster.id));
            }
            return Vec::new();
        }
        let Some(reference) = self.highlighted(world) else { return self.say(self.no_object(world)) };
        if reference.kind == Kind::Finding && target == Target::Owner {
            return match meant(world, &reference) {
                about if about == reference => self.say("it is of the whole cluster"),
                about if world.store.resolve(&about).is_none() => self.say(format!("{} is gone", about.name)),
                about => self.show_object(world, &about),
            };
        }
        let reference = meant(world, &reference);
        let Some(object) = world.store.resolve(&reference) else { return self.say("that object is gone") };
        let name = &reference.name;
        match target {
            Target::Node => match object {
                Object::Pod(p) => match p.node.as_ref().and_then(|n| cluster.named(Kind::Node, "", n)) {
                    Some(node) => self.show_object(world, &node.reference(cluster.id)),
                    None => self.say(
                        p.node.as_ref().map_or_else(|| format!("{name} is on no node"), |n| format!("node {n} is not among the rows")),
                    ),
                },
                Object::Alert(a) => match node_of(cluster, a) {
                    Some(node) => self.show_object(world, &node.reference(cluster.id)),
                    None => self.say(format!("{name} names no node that is here")),
                },
                _ => self.say("only a pod is on a node"),
            },
            Target::Owner => {
                let owner = match object {
                    Object::Hpa(h) => Kind::parse(&h.target_kind).and_then(|k| cluster.named(k, &h.meta.namespace, &h.target_name)),
                    Object::Alert(a) => named_by(cluster, a),
                    Object::Event(e) => e.about.known_kind().and_then(|k| cluster.named(k, &e.about.namespace, &e.about.name)),
                    _ => {
                        let top = object.meta().owner.as_deref();
                        top.and_then(|o| Kind::parse(&o.kind).and_then(|k| cluster.table(k).get(cluster.table(k).slot_of(o.uid)?)))
                    }
                };
                match owner {
                    Some(owner) => {
                        // A ReplicaSet of a Deployment is only a step on the way.
                        let up = if owner.kind() == Kind::ReplicaSet { cluster.workload_of(owner) } else { owner };
                        self.show_object(world, &up.reference(cluster.id))
                    }
                    None if reference.kind == Kind::Alert => self.say(format!("what {name} names is not here")),
                    None => self.say(format!("nothing owns {name}")),
                }
            }
            Target::Pods => {
                let filter = match object {
                    Object::Node(n) => format!("cluster={} node={}", cluster.info.name, n.meta.name),
                    _ => {
                        let pods = pods_of(cluster, object);
                        if pods.is_empty() {
                            return self.say(format!("{name} has no pods"));
                        }
                        let names: Vec<&str> = pods.iter().map(|p| &*p.meta().name).collect();
                        format!("cluster={} ns={} name={}", cluster.info.name, pods[0].meta().namespace, names.join(","))
                    }
                };
                let filter = match object {
                    // Its pods are its ReplicaSets', which a rollout makes more of: all are called after it, with a hash.
                    Object::Workload(w) if w.kind == Kind::Deployment => {
                        let name = w.meta.name.replace('.', "\\.");
                        format!("cluster={} ns={} owner~^ReplicaSet/{name}-[a-z0-9]+$", cluster.info.name, w.meta.namespace)
                    }
                    Object::Workload(w) if w.kind != Kind::CronJob => {
                        format!("cluster={} ns={} owner={}/{}", cluster.info.name, w.meta.namespace, w.kind.name(), w.meta.name)
                    }
                    Object::Namespace(n) => format!("cluster={} ns={}", cluster.info.name, n.meta.name),
                    _ => filter,
                };
                self.show_table(world, Subject::Pods, &filter);
                Vec::new()
            }
            Target::Hpa | Target::Pdb => {
                let (kind, subject) = if target == Target::Hpa { (Kind::Hpa, Subject::Hpa) } else { (Kind::Pdb, Subject::Pdb) };
                match &covering(cluster, object, kind)[..] {
                    [] => self.say(format!("no {} covers {name}", kind.name())),
                    [one] => self.show_object(world, &one.reference(cluster.id)),
                    many => {
                        let names: Vec<&str> = many.iter().map(|o| &*o.meta().name).collect();
                        let filter = format!("cluster={} ns={} name={}", cluster.info.name, object.meta().namespace, names.join(","));
                        self.show_table(world, subject, &filter);
                        Vec::new()
                    }
                }
            }
            Target::Events => {
                let ns = if reference.namespace.is_empty() { String::new() } else { format!(" ns={}", reference.namespace) };
                self.show_table(
                    world,
                    Subject::Events,
                    &format!("cluster={}{ns} object={}/{name}", cluster.info.name, reference.kind.name()),
                );
                Vec::new()
            }
            Target::Alerts => {
                let filter = match object {
                    Object::Namespace(n) => format!("cluster={} ns={}", cluster.info.name, n.meta.name),
                    Object::Silence(_) => format!("cluster={} silenced_by={name}", cluster.info.name),
                    Object::Alert(a) => match named_by(cluster, a) {
                        Some(about) => alerts_of(cluster, about),
                        None => return self.say(format!("what {name} names is not here")),
                    },
                    o => alerts_of(cluster, o),
                };
                self.show_table(world, Subject::Alerts, &filter);
                Vec::new()
            }
            Target::Cluster => Vec::new(),
        }
    }

    /// Why there is no object here that a command could be about.
    pub(super) fn no_object(&self, world: &World) -> &'static str {
        if self.highlighted_cluster(world).is_some() { "this is a whole cluster, and no object of it" } else { "nothing is highlighted" }
    }

    pub(super) fn say(&mut self, text: impl Into<String>) -> Vec<Effect> {
        self.notice = Some(Notice::info(text));
        Vec::new()
    }

    /// Shows the table of an object's kind with the cursor on it; what hides it is taken away.
    pub(super) fn show_object(&mut self, world: &World, reference: &ObjectRef) -> Vec<Effect> {
        let Some((id, _)) = world.store.find(reference.cluster, reference.kind, reference.uid) else {
            return self.say("that object is gone");
        };
        let key = RowKey::Object(id);
        let own = Subject::of_kind(reference.kind);
        let subject = if Kind::WORKLOADS.contains(&reference.kind) { Subject::Workloads } else { own };
        self.go_table(world, subject);
        for hidden in [None, Some(())] {
            if hidden.is_some() {
                if let Some(pane) = self.panes.get_mut(&subject) {
                    let _ = pane.set_filter(world, "");
                    pane.set_faults_only(world, false);
                }
                if !self.scope.is_all() {
                    self.set_scope(world, Scope::default());
                }
            }
            if self.panes.get_mut(&subject).is_some_and(|p| p.select(world, key)) {
                return Vec::new();
            }
        }
        // Rows that the workloads pane leaves out (owned ReplicaSets) have a pane of their own.
        if own != subject {
            self.go_table(world, own);
            if let Some(p) = self.panes.get_mut(&own) {
                p.select(world, key);
            }
        }
        Vec::new()
    }

    /// Shows a table with this filter, in the whole fleet.
    pub(super) fn show_table(&mut self, world: &World, subject: Subject, filter: &str) {
        if !self.scope.is_all() && !filter.is_empty() {
            self.set_scope(world, Scope::default());
        }
        self.go_table(world, subject);
        let error = self.pane(subject).set_filter(world, filter).err();
        if let Some(pane) = self.panes.get_mut(&subject) {
            pane.move_to(world, 0);
        }
        if let Some(error) = error {
            self.notice = Some(Notice::error(error.to_string()));
        }
    }

    /// Goes to a table as it was left.
    pub(super) fn go_table(&mut self, world: &World, subject: Subject) {
        self.remember();
        self.leave(Place::Table(subject));
        self.refresh_place(world);
        let pane = self.pane(subject);
        pane.settled = false;
        pane.follow(world);
    }
}
