//! What changed just before a finding began, newest first: by the objects and their events, by what was seen of them, and what was done from here.
//!
//! Nothing is guessed: where nothing is known, or nobody watched, that is what is said.

use super::words::count;
use super::{Look, Section, workload};
use crate::inspect::{age, clock};
use crate::model::{Event, FindingRow, Kind, Object, Str, Time, Uid, Workload};
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Seconds before it began that are looked at.
const WINDOW: i64 = 3600;
/// Clocks of different components (seconds): what is that much later may have come before.
const SLACK: i64 = 60;
/// Changes that are listed.
const MOST: usize = 10;
/// Nodes of a workload's bad pods that are looked at.
const NODES: usize = 4;

/// Reasons of events that tell of a change. Others tell of what is wrong.
const CHANGES: [&str; 24] = [
    "DeletingNode",
    "Drain",
    "Evicted",
    "Killing",
    "LeaderElection",
    "NodeHasDiskPressure",
    "NodeHasInsufficientMemory",
    "NodeHasInsufficientPID",
    "NodeNotReady",
    "NodeNotSchedulable",
    "NodeReady",
    "NodeSchedulable",
    "Preempted",
    "Rebooted",
    "RegisteredNode",
    "RemovingNode",
    "ResizeCompleted",
    "ScalingReplicaSet",
    "Starting",
    "SuccessfulDelete",
    "SuccessfulRescale",
    "SystemOOM",
    "TaintManagerEviction",
    "TemplateUpdated",
];

/// What is looked at for a finding, and what was found.
struct Before<'a> {
    look: &'a Look<'a>,
    /// Unix seconds.
    from: i64,
    began: i64,
    /// When (unix seconds), and what.
    all: Vec<(i64, String)>,
}

impl Before<'_> {
    fn note(&mut self, at: i64, what: impl Into<String>) {
        if at >= self.from && at <= self.began + SLACK {
            self.all.push((at, what.into()));
        }
    }

    /// Revisions of a Deployment that were rolled out, and that the workload was made.
    fn rollouts(&mut self, top: &Workload) {
        let number = |r: &Workload| r.revision.as_deref().and_then(|r| r.parse::<u64>().ok());
        let mut sets: Vec<(u64, &Workload)> = Vec::new();
        if top.kind == Kind::Deployment {
            for object in self.look.index.owned(self.look.cluster, top.meta.uid) {
                if let Object::Workload(set) = object {
                    sets.extend(number(set).map(|n| (n, &**set)));
                }
            }
        }
        sets.sort_by_key(|(n, _)| Reverse(*n));
        for pair in sets.windows(2) {
            let [(n, new), (_, old)] = pair else { continue };
            let Some(at) = new.meta.created else { continue };
            let what: Vec<String> =
                workload::differences(&old.shape, &new.shape).into_iter().map(|(container, text)| format!("{container} {text}")).collect();
            let what = if what.is_empty() { "something in its template changed".to_owned() } else { what.join("; ") };
            self.note(at.secs(), format!("{} revision {n}: {what}", top.meta.name));
        }
        self.made(top.kind, &top.meta.name, top.meta.created);
    }

    fn made(&mut self, kind: Kind, name: &str, at: Option<Time>) {
        if let Some(at) = at {
            self.note(at.secs(), format!("{} {name} was made", kind.name()));
        }
    }

    /// What became of a node, as it was seen.
    fn node(&mut self, name: &str) {
        let events = self.look.cluster.history.node(name).map(|past| past.events.clone()).unwrap_or_default();
        for (at, event) in events {
            self.note(at, format!("node {name}: {}", event.words()));
        }
    }

    /// Restarts of the pods of one owner that were seen, before it began.
    fn restarts(&mut self, of: Uid) {
        let mut by: HashMap<Str, (i64, u32)> = HashMap::new();
        for r in self.look.cluster.history.restarts(of).filter(|r| r.at >= self.from && r.at < self.began) {
            let entry = by.entry(r.container.clone()).or_default();
            *entry = (entry.0.max(r.at), entry.1 + r.times);
        }
        for (container, (at, times)) in by {
            self.note(at, format!("container {container} restarted {}, last then", count(times as usize, "time")));
        }
    }

    /// Events of change about these objects, and about these nodes.
    fn events(&mut self, uids: &BTreeSet<Uid>, nodes: &BTreeSet<Str>) {
        let about = |e: &Event| uids.contains(&e.about.uid) || &*e.about.kind == "Node" && nodes.contains(&e.about.name);
        let mut alike: HashMap<(Str, Str, Str), (i64, u32)> = HashMap::new();
        for o in self.look.cluster.objects(Kind::Event) {
            let Object::Event(e) = o else { continue };
            if !CHANGES.contains(&&*e.reason) || !about(e) {
                continue;
            }
            let within = |t: &Time| t.secs() >= self.from && t.secs() <= self.began + SLACK;
            let Some(at) = e.last.filter(within).or(e.first.filter(within)) else { continue };
            // Hundreds of pods say the same with other names.
            let said = if &*e.about.kind == "Pod" { Str::default() } else { e.message.clone() };
            let entry = alike.entry((e.about.kind.clone(), e.reason.clone(), said)).or_default();
            *entry = (entry.0.max(at.secs()), entry.1 + 1);
        }
        for ((kind, reason, said), (at, n)) in alike {
            let of = if said.is_empty() { format!(" of {}", count(n as usize, &kind.to_lowercase())) } else { format!(": {said}") };
            self.note(at, format!("{reason}{of}"));
        }
    }

    /// What was done from here to something of that name, or to anything of the cluster.
    fn jobs(&mut self, names: &BTreeSet<Str>, cluster_wide: bool) {
        let cluster = &self.look.cluster.info.name;
        let word = |c: char| !(c.is_alphanumeric() || matches!(c, '-' | '.' | '/'));
        let names_one = |text: &str| text.split(word).any(|w| names.contains(w));
        for job in self.look.jobs.iter().filter(|j| j.clusters.iter().any(|c| **c == **cluster)) {
            if cluster_wide || names_one(&job.title) || job.steps.iter().any(|s| names_one(&s.text)) {
                self.note(job.began, format!("qd: {} ({}, job {})", job.title, job.state.word(), job.id));
            }
        }
    }
}

/// As a deed names it.
fn full(namespace: &str, name: &str) -> Str {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}

/// What changed within the hour before a finding began; `object` is what it is attached to.
pub(super) fn section(look: &Look, f: &FindingRow, object: Option<&Object>) -> Section {
    let mut out = Section::new("changed before");
    let Some(began) = f.since.or(f.meta.created).map(Time::secs) else { return out };
    let mut before = Before { look, from: began - WINDOW, began, all: Vec::new() };
    let (mut uids, mut nodes, mut names) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    match (object, &f.about) {
        (Some(object), _) => {
            let top = look.cluster.workload_of(object);
            for o in [object, top] {
                uids.insert(o.meta().uid);
                names.insert(full(&o.meta().namespace, &o.meta().name));
            }
            let below = look.index.below(look.cluster, top.meta().uid);
            uids.extend(below.iter().map(|o| o.meta().uid));
            match object {
                Object::Node(n) => nodes.extend([n.meta.name.clone()]),
                Object::Pod(p) => nodes.extend(p.node.clone()),
                _ => {
                    let bad_on = |o: &&Object| if let Object::Pod(p) = o { p.node.clone().filter(|_| p.bad()) } else { None };
                    let bad: BTreeSet<Str> = below.iter().filter_map(bad_on).collect();
                    nodes.extend(bad.into_iter().take(NODES));
                }
            }
            if let Object::Pod(p) = object {
                before.made(Kind::Pod, &p.meta.name, p.meta.created);
            }
            if let Object::Workload(w) = top {
                before.rollouts(w);
                let scales =
                    |o: &&Object| matches!(o, Object::Hpa(h) if h.meta.namespace == w.meta.namespace && h.target_name == w.meta.name);
                uids.extend(look.cluster.objects(Kind::Hpa).filter(scales).map(|o| o.meta().uid));
            }
            let owners: BTreeSet<Uid> =
                below.iter().copied().chain([object]).filter_map(|o| o.meta().owner.as_ref()).map(|o| o.uid).collect();
            let owners = if owners.is_empty() { BTreeSet::from([object.meta().uid]) } else { owners };
            owners.into_iter().for_each(|owner| before.restarts(owner));
        }
        (None, Some(gone)) => {
            uids.insert(gone.uid);
            if gone.kind == Kind::Node {
                nodes.insert(gone.name.clone())
            } else {
                names.insert(full(&gone.namespace, &gone.name))
            };
        }
        (None, None) => nodes.extend(look.cluster.history.nodes().cloned()),
    }
    for node in &nodes {
        before.node(node);
    }
    before.events(&uids, &nodes);
    names.extend(nodes);
    before.jobs(&names, f.about.is_none());
    if &*f.area == "etcd" {
        for e in look.cluster.elections.iter() {
            before.note(e.at, format!("etcd: {} leads, before {}", e.to, e.from.as_deref().unwrap_or("nobody")));
        }
    }
    let Before { mut all, from, .. } = before;
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    all.dedup();
    let at = |secs: i64| Time::from_secs(secs).map(clock).unwrap_or_default();
    let more = all.len().saturating_sub(MOST);
    let none = all.is_empty();
    for (when, what) in all.into_iter().take(MOST) {
        let long = if when < began { format!("{} before", age(began - when)) } else { "as it began".to_owned() };
        out.say(at(when), format!("{what} ({long})"));
    }
    if more > 0 {
        out.say("", format!("and {more} earlier ones"));
    }
    let minutes = WINDOW / 60;
    let nothing =
        if none { format!("nothing is known to have changed in the {minutes} minutes before {}", at(began)) } else { String::new() };
    let blind = match look.cluster.history.watched() {
        Some(since) if since <= from => String::new(),
        Some(since) if since < began => format!("qd has watched since {} only: of nodes and restarts nothing is known before", at(since)),
        _ => "qd was not watching then: of nodes and restarts nothing is known".to_owned(),
    };
    out.say("", [nothing, blind].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("; "));
    if !look.cluster.current(Kind::Event) {
        out.say("", "this cluster's events are not known");
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::inspect::explain::explain;
    use crate::inspect::fixture::{Fleet, NOW, ago, crashing, deployment, node, owned, pod, replicaset, uid};
    use crate::model::{ClusterId, Delta, FindingRow, Job, JobId, JobState, Kind, Outcome, Progress};
    use serde_json::{Value, json};

    /// `label text` of what changed before a finding of that rule at that object.
    fn before(fleet: &mut Fleet, rule: &str, kind: Kind, name: &str) -> Vec<String> {
        for (cluster, changes) in fleet.engine.news() {
            fleet.delta(cluster.0, Delta::Rows { kind: Kind::Finding, changes });
        }
        let (_, row) = fleet.store.find(ClusterId(0), Kind::Finding, FindingRow::uid(rule, uid(kind, name))).unwrap();
        let sections = explain(&fleet.engine, &fleet.store, &fleet.store.clusters()[0], row, fleet.now);
        let of = sections.iter().find(|s| s.title == "changed before").unwrap();
        of.lines.iter().map(|l| format!("{} {}", l.label, l.text).trim().to_owned()).collect()
    }

    fn event(kind: Kind, about: &str, reason: &str, message: &str, secs: i64) -> Value {
        json!({"metadata": {"name": format!("{about}.{reason}.{secs}")}, "type": "Normal", "reason": reason, "message": message,
            "involvedObject": {"kind": kind.name(), "namespace": "pay", "name": about, "uid": format!("{}/{about}", kind.plural())}, "lastTimestamp": ago(secs)})
    }

    fn job(id: &str, title: &str, cluster: &str, began: i64) -> Progress {
        let state = JobState::Ended(Outcome::Done);
        let (what, note) = ("scale".to_owned(), String::new());
        let (title, clusters) = (title.to_owned(), vec![cluster.to_owned()]);
        Progress::Began(Box::new(Job { id: JobId(id.into()), what, title, clusters, began, ended: None, state, steps: Vec::new(), note }))
    }

    /// A crash that began 850 seconds ago, after a release 900 seconds ago.
    fn released(fleet: &mut Fleet) {
        fleet.put(Kind::Deployment, [deployment("checkout", 1, 0)]);
        let set = |n: u32, image: &str, made: i64| replicaset(&format!("rs{n}"), "checkout", n, image, made, i32::from(n == 3));
        fleet.put(Kind::ReplicaSet, [set(1, "reg/app:1.7", 90_000), set(2, "reg/app:1.8", 9_000), set(3, "reg/app:1.9", 900)]);
        let mut meta = owned("p", Kind::ReplicaSet, "rs3");
        meta["creationTimestamp"] = json!(ago(890));
        fleet.put(Kind::Pod, [pod(meta, "n1", false, 850, crashing(9, 137, "OOMKilled", 60))]);
    }

    #[test]
    fn the_release_the_scaling_and_what_was_done_from_here_newest_first_and_nothing_older() {
        let mut fleet = Fleet::default();
        released(&mut fleet);
        fleet.put(
            Kind::Event,
            [
                event(Kind::Deployment, "checkout", "ScalingReplicaSet", "Scaled up replica set rs3 from 0 to 1", 898),
                event(Kind::Deployment, "checkout", "ScalingReplicaSet", "Scaled up replica set rs2 from 0 to 1", 9_000),
                event(Kind::Pod, "p", "BackOff", "Back-off restarting failed container", 60),
                event(Kind::Deployment, "other", "ScalingReplicaSet", "Scaled up replica set x from 0 to 1", 880),
            ],
        );
        fleet.store.jobs.apply(job("1", "scale deployment pay/checkout 0 -> 1", "prod", NOW - 1000), NOW);
        fleet.store.jobs.apply(job("2", "scale deployment pay/checkout-2 0 -> 1", "prod", NOW - 1000), NOW);
        fleet.store.jobs.apply(job("3", "scale deployment pay/checkout 0 -> 1", "dev", NOW - 1000), NOW);
        fleet.store.jobs.apply(job("4", "scale deployment shop/checkout 0 -> 1", "prod", NOW - 1000), NOW);
        let lines = before(&mut fleet, "pod-crashloop", Kind::Pod, "p");
        assert_eq!(lines[0], "11:45Z Pod p was made (40s before)");
        assert_eq!(lines[1], "11:45Z ScalingReplicaSet: Scaled up replica set rs3 from 0 to 1 (48s before)");
        assert!(lines[2].starts_with("11:45Z checkout revision 3: app") && lines[2].contains("1.9"), "{lines:#?}");
        assert_eq!(lines[3], "11:43Z qd: scale deployment pay/checkout 0 -> 1 (done, job 1) (2m before)");
        assert!(lines[4].starts_with("qd was not watching then"), "{lines:#?}");
        assert_eq!(lines.len(), 6, "events are not listed here, and that is said: {lines:#?}");
    }

    #[test]
    fn what_became_of_the_node_is_told_and_where_nothing_did_that_is_said() {
        let mut fleet = Fleet { now: NOW - 7200, ..Fleet::default() };
        fleet.put(Kind::Node, [node("n1", "True", 90_000), node("n2", "True", 90_000), node("n3", "True", 90_000)]);
        fleet.delta(0, Delta::KindState(Kind::Event, crate::model::KindState::Live));
        fleet.now = NOW - 1200;
        let mut cordoned = node("n1", "True", 90_000);
        cordoned["spec"] = json!({"unschedulable": true});
        fleet.put(Kind::Node, [cordoned.clone()]);
        fleet.now = NOW;
        cordoned["status"]["conditions"] = node("n1", "False", 600)["status"]["conditions"].clone();
        fleet.put(Kind::Node, [cordoned, node("n2", "False", 600)]);
        let lines = before(&mut fleet, "node-not-ready", Kind::Node, "n1");
        assert_eq!(lines, ["11:40Z node n1: cordoned (10m before)"]);
        let lines = before(&mut fleet, "node-not-ready", Kind::Node, "n2");
        assert_eq!(lines, ["nothing is known to have changed in the 60 minutes before 11:50Z"]);
    }
}
