//! What a cluster was like: how many ordinary pods each node had, what became of those that left it and of the node itself, and which
//! containers restarted when.
//!
//! Kept from changes alone: nothing is noted while nothing changes, and nobody has to wake for it. A change takes 8 bytes; a node has at most
//! 1,810 of them (14 KiB), 128 pods that left (7 KiB) and 32 events; all restarts of a cluster are at most 20,000 (1 MiB).

use crate::model::{ContainerStatus, Node, Object, Pod, Str, Tri, Uid, meta};
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Seconds of a slot: the last value within one counts.
const SLOT: i64 = 10;
/// Seconds for which every slot is kept; before that the last of each minute.
const FINE: i64 = 3600;
/// Seconds for which anything is kept.
const KEEP: i64 = 86_400;
/// Changes of a course between two passes that thin it.
const PASS: usize = 64;
const LOST: usize = 128;
const EVENTS: usize = 32;
const RESTARTS: usize = 20_000;
/// Restarts of the pods of one owner.
const RESTARTS_OF: usize = 256;
/// Seconds between two looks for nodes that are long gone.
const SWEEP: i64 = 600;
/// Seconds within which what changed meanwhile is told, after a cluster is seen again.
const BLIND: i64 = 60;

/// A count over time: where it changed, and to what.
#[derive(Clone, Default, Debug)]
pub struct Course {
    /// Slot since 1970 and value, oldest first.
    steps: VecDeque<(u32, u16)>,
    unthinned: usize,
}

fn slot(now: i64) -> u32 {
    u32::try_from(now / SLOT).unwrap_or_default()
}

impl Course {
    /// Notes a value. `now` in unix seconds.
    pub fn record(&mut self, now: i64, value: u32) {
        let (at, value) = (slot(now), u16::try_from(value).unwrap_or(u16::MAX));
        match self.steps.back_mut() {
            Some(last) if last.0 >= at => last.1 = value,
            Some(last) if last.1 == value => return,
            _ => {
                self.steps.push_back((at, value));
                self.unthinned += 1;
            }
        }
        let oldest = at.saturating_sub(slot(KEEP));
        while self.steps.get(1).is_some_and(|second| second.0 <= oldest) {
            self.steps.pop_front();
        }
        if self.unthinned >= PASS {
            self.thin(at);
        }
    }

    /// Of what is older than [`FINE`], the last of each minute stays.
    fn thin(&mut self, at: u32) {
        self.unthinned = 0;
        let fine = at.saturating_sub(slot(FINE));
        let minute = |slot: u32| i64::from(slot) * SLOT / 60;
        let mut kept: VecDeque<(u32, u16)> = VecDeque::with_capacity(self.steps.len());
        for step in self.steps.drain(..) {
            match kept.back_mut() {
                Some(last) if step.0 < fine && minute(last.0) == minute(step.0) => *last = step,
                _ => kept.push_back(step),
            }
        }
        self.steps = kept;
    }

    /// The value now.
    pub fn last(&self) -> u32 {
        self.steps.back().map_or(0, |s| u32::from(s.1))
    }

    /// When it last became another value (unix seconds); none before the first.
    pub fn since(&self) -> Option<i64> {
        self.steps.back().map(|s| i64::from(s.0) * SLOT)
    }

    /// The most that is kept.
    pub fn peak(&self) -> u32 {
        self.steps.iter().map(|s| u32::from(s.1)).max().unwrap_or(0)
    }

    /// What it was at a time (unix seconds); none before the first.
    pub fn at(&self, time: i64) -> Option<u32> {
        let at = slot(time);
        self.steps.iter().rev().find(|s| s.0 <= at).map(|s| u32::from(s.1))
    }

    /// The deepest fall of the last hour by at least `percent` from at least `least` within `window` seconds, unless it is half made up for.
    pub fn fall(&self, percent: u32, least: u32, window: i64, now: i64) -> Option<Fall> {
        let begin = slot(now - FINE);
        let first = self.steps.iter().rposition(|s| s.0 < begin).unwrap_or(0);
        let steps: Vec<(u32, u32)> = self.steps.range(first..).map(|s| (s.0, u32::from(s.1))).collect();
        let last = steps.last()?.1;
        let high = |v: u32| v >= least.max(1) && last * 2 <= v;
        let mut found: Option<Fall> = None;
        for (n, (_, from)) in steps.iter().enumerate().filter(|(_, s)| high(s.1)) {
            let Some((left, _)) = steps.get(n + 1) else { break };
            let within = steps[n + 1..].iter().take_while(|s| s.0 <= left.saturating_add(slot(window)));
            let Some((ended, to)) = within.min_by_key(|s| s.1) else { continue };
            let deeper = found.as_ref().is_none_or(|f| from - to.min(from) > f.from - f.to);
            if *left >= begin && to * 100 <= from * (100 - percent.min(100)) && deeper {
                found = Some(Fall { from: *from, to: *to, began: i64::from(*left) * SLOT, ended: i64::from(*ended) * SLOT });
            }
        }
        found
    }
}

/// A count that fell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fall {
    pub from: u32,
    pub to: u32,
    /// When it left the first value (unix seconds), and when it came to the second.
    pub began: i64,
    pub ended: i64,
}

/// An ordinary pod that left its node.
#[derive(Clone, PartialEq, Debug)]
pub struct Lost {
    /// Unix seconds.
    pub at: i64,
    pub namespace: Str,
    /// Its controller.
    pub owner: Option<Uid>,
    /// Why, where the pod said so: the reason of its condition DisruptionTarget, else its own.
    pub reason: Option<Str>,
}

/// What became of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeEvent {
    Cordoned,
    Uncordoned,
    /// The taint, `key=value:effect`.
    Tainted(Str),
    Untainted(Str),
    /// Ready is no more; the condition's reason.
    Unready(Str),
    Ready,
    /// The keys of the labels that changed.
    Relabelled(Str),
    /// Its kernel, system, runtime, kubelet or size became another.
    Reconfigured,
    /// Its object was deleted.
    Removed,
    /// Another object has its name: it was registered anew.
    Replaced,
}

impl NodeEvent {
    /// `tainted a=b:NoExecute`.
    pub fn words(&self) -> String {
        match self {
            Self::Cordoned => "cordoned".to_owned(),
            Self::Uncordoned => "uncordoned".to_owned(),
            Self::Tainted(t) => format!("tainted {t}"),
            Self::Untainted(t) => format!("taint {t} taken away"),
            Self::Unready(why) => format!("not ready ({why})"),
            Self::Ready => "ready".to_owned(),
            Self::Relabelled(keys) => format!("labels changed: {keys}"),
            Self::Reconfigured => "set up anew".to_owned(),
            Self::Removed => "node object deleted".to_owned(),
            Self::Replaced => "registered anew, with another uid".to_owned(),
        }
    }
}

/// A node's past.
#[derive(Clone, Default, Debug)]
pub struct NodePast {
    /// Its ordinary pods: those that are to run always, of no DaemonSet and no file of the kubelet's.
    pub ordinary: Course,
    /// Those that left it, oldest first.
    pub lost: VecDeque<Lost>,
    /// With when (unix seconds), oldest first.
    pub events: VecDeque<(i64, NodeEvent)>,
    count: u32,
    uid: Option<Uid>,
}

/// A container was restarted, once or more between two looks.
#[derive(Clone, PartialEq, Debug)]
pub struct Restart {
    /// Unix seconds.
    pub at: i64,
    pub pod: Uid,
    pub container: Str,
    pub times: u32,
}

/// What one cluster was like.
#[derive(Default, Debug)]
pub struct History {
    nodes: HashMap<Str, NodePast>,
    /// By the pods' owner, or the pod itself where it has none.
    restarts: HashMap<Uid, VecDeque<Restart>>,
    restarted: usize,
    swept: i64,
    /// Since when it is followed without a break (unix seconds).
    watched: Option<i64>,
    /// It was not seen for long, until then: what is told next changed at times that nobody knows.
    blind: Option<i64>,
}

/// The node that an ordinary pod runs on.
fn ordinary(object: Option<&Object>) -> Option<(&Pod, &Str)> {
    let Some(Object::Pod(pod)) = object else { return None };
    let kept = pod.meta.owner.as_deref().is_some_and(|o| matches!(&*o.kind, "DaemonSet" | "Node"));
    let here = !pod.finished() && !pod.mirror && !kept && !matches!(&*pod.shape.restart_policy, "Never" | "OnFailure");
    here.then_some(pod.node.as_ref()).flatten().map(|node| (&**pod, node))
}

impl History {
    /// The past of the node of that name.
    pub fn node(&self, name: &str) -> Option<&NodePast> {
        self.nodes.get(name)
    }

    /// The nodes that it knows of, those that are gone for less than a day too.
    pub fn nodes(&self) -> impl Iterator<Item = &Str> {
        self.nodes.keys()
    }

    /// Since when it is followed without a break (unix seconds); none before the first object.
    pub fn watched(&self) -> Option<i64> {
        self.watched
    }

    /// The restarts of the pods of one owner (of a pod that nobody owns: its own), oldest first, of the last day.
    pub fn restarts(&self, of: Uid) -> impl DoubleEndedIterator<Item = &Restart> {
        self.restarts.get(&of).into_iter().flatten()
    }

    /// The cluster was not seen for long and is again: until its pods are listed, or a minute is over, nothing is dated.
    pub(super) fn blind(&mut self, now: i64) {
        self.blind = Some(now);
        self.watched = Some(now);
    }

    /// Its pods are listed: what they are now is where their courses begin again.
    pub(super) fn listed(&mut self, now: i64) {
        if self.blind.take().is_none() {
            return;
        }
        for past in self.nodes.values_mut() {
            past.ordinary = Course::default();
            past.ordinary.record(now, past.count);
            past.lost.clear();
        }
    }

    /// An object was `before` and is `after`.
    pub(super) fn note(&mut self, before: Option<&Object>, after: Option<&Object>, now: i64) {
        self.watched.get_or_insert(now);
        match after.or(before) {
            Some(Object::Pod(_)) => {
                self.moved(before, after, now);
                if let (Some(Object::Pod(before)), Some(Object::Pod(after))) = (before, after) {
                    self.restarted(before, after, now);
                }
            }
            Some(Object::Node(node)) => {
                self.nodes.entry_ref(&node.meta.name).or_default().changed(node_of(before), node_of(after), now);
                self.sweep(now);
            }
            _ => {}
        }
    }

    fn moved(&mut self, before: Option<&Object>, after: Option<&Object>, now: i64) {
        let (old, new) = (ordinary(before), ordinary(after));
        if old.map(|o| o.1) == new.map(|n| n.1) {
            return;
        }
        if self.blind.is_some_and(|at| now > at + BLIND) {
            self.listed(now);
        }
        if let Some((pod, node)) = old
            && let Some(past) = self.nodes.get_mut(node)
        {
            past.count = past.count.saturating_sub(1);
            // What it was last says why; it may be gone without a word.
            let last = if let Some(Object::Pod(last)) = after { last } else { pod };
            let said = meta::condition(&last.conditions, "DisruptionTarget").filter(|c| c.status == Tri::True);
            if self.blind.is_none() {
                past.ordinary.record(now, past.count);
                let reason = said.and_then(|c| c.reason.clone()).or_else(|| last.reason.clone());
                let owner = pod.meta.owner.as_ref().map(|o| o.uid);
                push(&mut past.lost, LOST, Lost { at: now, namespace: pod.meta.namespace.clone(), owner, reason });
            }
        }
        if let Some((_, node)) = new {
            let past = self.nodes.entry_ref(node).or_default();
            past.count += 1;
            if self.blind.is_none() {
                past.ordinary.record(now, past.count);
            }
        }
    }

    fn restarted(&mut self, before: &Pod, after: &Pod, now: i64) {
        let more = |old: &[ContainerStatus], new: &[ContainerStatus]| -> Vec<(Str, u32)> {
            let was = |c: &ContainerStatus| old.iter().find(|o| o.name == c.name).map_or(c.restarts, |o| o.restarts);
            new.iter().filter(|c| c.restarts > was(c)).map(|c| (c.name.clone(), c.restarts - was(c))).collect()
        };
        for (container, times) in more(&before.init, &after.init).into_iter().chain(more(&before.containers, &after.containers)) {
            let of = after.meta.owner.as_ref().map_or(after.meta.uid, |o| o.uid);
            let all = self.restarts.entry(of).or_default();
            self.restarted += usize::from(all.len() < RESTARTS_OF);
            push(all, RESTARTS_OF, Restart { at: now, pod: after.meta.uid, container, times });
        }
        let mut keep = KEEP;
        while self.restarted > RESTARTS && keep > 0 {
            self.restarts.retain(|_, all| {
                all.retain(|r| r.at > now - keep);
                !all.is_empty()
            });
            self.restarted = self.restarts.values().map(VecDeque::len).sum();
            keep /= 2;
        }
    }

    /// Forgets nodes that are gone for a day, and restarts of a day ago.
    fn sweep(&mut self, now: i64) {
        if now < self.swept + SWEEP {
            return;
        }
        self.swept = now;
        self.nodes.retain(|_, n| n.uid.is_some() || n.count > 0 || n.events.back().is_some_and(|(at, _)| *at > now - KEEP));
        self.restarts.retain(|_, all| {
            all.retain(|r| r.at > now - KEEP);
            !all.is_empty()
        });
        self.restarted = self.restarts.values().map(VecDeque::len).sum();
    }
}

fn node_of(object: Option<&Object>) -> Option<&Node> {
    if let Some(Object::Node(node)) = object { Some(node) } else { None }
}

fn push<T>(all: &mut VecDeque<T>, most: usize, one: T) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(one);
}

impl NodePast {
    /// The node's uid; none while there is no node of that name.
    pub fn uid(&self) -> Option<Uid> {
        self.uid
    }

    fn changed(&mut self, before: Option<&Node>, after: Option<&Node>, now: i64) {
        let mut events: Vec<NodeEvent> = Vec::new();
        match (before, after) {
            (Some(a), Some(b)) => {
                if a.unschedulable != b.unschedulable {
                    events.push(if b.unschedulable { NodeEvent::Cordoned } else { NodeEvent::Uncordoned });
                }
                let more = |a: &Node, b: &Node| -> Vec<Str> {
                    b.taints.iter().filter(|t| !a.taints.contains(t)).map(|t| Str::from(t.to_string())).collect()
                };
                events.extend(more(a, b).into_iter().map(NodeEvent::Tainted));
                events.extend(more(b, a).into_iter().map(NodeEvent::Untainted));
                match (a.ready() == Tri::True, b.ready() == Tri::True) {
                    (true, false) => {
                        let why = meta::condition(&b.conditions, "Ready").and_then(|c| c.reason.clone());
                        events.push(NodeEvent::Unready(why.unwrap_or_default()));
                    }
                    (false, true) => events.push(NodeEvent::Ready),
                    _ => {}
                }
                let setup = |n: &Node| (n.kernel.clone(), n.os_image.clone(), n.runtime.clone(), n.kubelet.clone(), n.cpu_capacity_m);
                if setup(a) != setup(b) {
                    events.push(NodeEvent::Reconfigured);
                }
                if a.meta.labels != b.meta.labels {
                    let other = |x: &Node, y: &Node| -> Vec<String> {
                        x.meta.labels.iter().filter(|(k, v)| y.meta.labels.get(k) != Some(v)).map(|(k, _)| k.to_owned()).collect()
                    };
                    let mut keys = [other(a, b), other(b, a)].concat();
                    keys.sort_unstable();
                    keys.dedup();
                    events.push(NodeEvent::Relabelled(keys.join(", ").into()));
                }
            }
            (Some(_), None) => events.push(NodeEvent::Removed),
            _ => {}
        }
        if let Some(node) = after {
            if self.uid.is_some_and(|old| old != node.meta.uid)
                || (before.is_none() && self.events.back().is_some_and(|e| e.1 == NodeEvent::Removed))
            {
                events.push(NodeEvent::Replaced);
            }
            self.uid = Some(node.meta.uid);
        } else {
            self.uid = None;
        }
        for event in events {
            push(&mut self.events, EVENTS, (now, event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Interner, Kind, decode_json};
    use serde_json::{Value, json};

    fn pod(name: &str, node: &str, restarts: u32) -> Value {
        json!({"metadata": {"name": name, "namespace": "pay", "uid": name, "ownerReferences": [{"kind": "ReplicaSet", "name": "rs", "uid": "rs", "controller": true}]},
            "spec": {"nodeName": node, "restartPolicy": "Always", "containers": [{"name": "app", "image": "i"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "app", "restartCount": restarts}]}})
    }

    fn read(kind: Kind, value: &Value) -> Object {
        decode_json(kind, value.to_string().as_bytes(), &mut Interner::default()).unwrap()
    }

    #[test]
    fn a_course_is_fine_for_an_hour_by_the_minute_for_a_day_and_bounded() {
        let mut course = Course::default();
        for n in 0..20_000_i64 {
            course.record(1_000_000 + n * 10, u32::try_from(n % 7).unwrap());
        }
        let end = 1_000_000 + 19_999 * 10;
        assert!(course.steps.len() <= 1810, "{}", course.steps.len());
        assert_eq!(course.at(end - 1800), Some((19_999 - 180) % 7));
        assert!(course.at(end - KEEP + 120).is_some());
        assert_eq!(course.at(end - KEEP - 600), None, "a day and more ago");
        let mut quiet = Course::default();
        for n in 0..1000 {
            quiet.record(1_000_000 + n, 4);
        }
        assert_eq!((quiet.steps.len(), quiet.at(1_000_999), quiet.last()), (1, Some(4), 4), "what stays takes nothing");
    }

    #[test]
    fn a_fall_is_deep_and_quick_and_lasts() {
        let fall = |values: &[(i64, u32)], now: i64| {
            let mut course = Course::default();
            values.iter().for_each(|(at, v)| course.record(10_000 + at, *v));
            course.fall(80, 5, 600, 10_000 + now).map(|f| (f.from, f.to, f.began - 10_000))
        };
        assert_eq!(fall(&[(0, 10), (100, 6), (200, 2)], 300), Some((10, 2, 100)));
        assert_eq!(fall(&[(0, 10), (100, 6), (200, 3)], 300), None, "not deep");
        assert_eq!(fall(&[(0, 4), (100, 0)], 300), None, "from too few");
        assert_eq!(fall(&[(0, 10), (100, 4), (710, 1)], 900), None, "too slow");
        assert_eq!(fall(&[(0, 10), (100, 1), (400, 5)], 500), Some((10, 1, 100)), "half came back");
        assert_eq!(fall(&[(0, 10), (100, 1), (400, 6)], 500), None, "more than half");
        assert_eq!(fall(&[(0, 10), (100, 1)], 3700), Some((10, 1, 100)));
        assert_eq!(fall(&[(0, 10), (100, 1)], 3710), None, "an hour ago");
    }

    #[test]
    fn pods_that_leave_say_why_and_daemons_and_jobs_do_not_count() {
        let mut history = History::default();
        let all: Vec<Object> = (0..3).map(|n| read(Kind::Pod, &pod(&format!("p{n}"), "n1", 0))).collect();
        all.iter().for_each(|p| history.note(None, Some(p), 1000));
        let mut daemon = pod("d", "n1", 0);
        daemon["metadata"]["ownerReferences"][0]["kind"] = json!("DaemonSet");
        history.note(None, Some(&read(Kind::Pod, &daemon)), 1000);
        let mut job = pod("j", "n1", 0);
        job["spec"]["restartPolicy"] = json!("Never");
        history.note(None, Some(&read(Kind::Pod, &job)), 1000);
        assert_eq!(history.node("n1").map(|n| n.ordinary.last()), Some(3));
        let mut evicted = pod("p0", "n1", 0);
        evicted["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]);
        let evicted = read(Kind::Pod, &evicted);
        history.note(Some(&all[0]), Some(&evicted), 1010);
        history.note(Some(&evicted), None, 1020);
        let past = history.node("n1").unwrap();
        assert_eq!((past.ordinary.last(), past.lost.len(), past.lost[0].reason.as_deref()), (2, 1, Some("EvictionByEvictionAPI")));
        // After a long blindness nobody knows when.
        history.blind(9000);
        history.note(Some(&all[1]), None, 9000);
        history.listed(9000);
        let past = history.node("n1").unwrap();
        assert_eq!((past.ordinary.last(), past.lost.len(), past.ordinary.at(8000)), (1, 0, None));
        assert_eq!(history.watched(), Some(9000), "what was before is another watch");
    }

    #[test]
    fn restarts_are_dated_and_bounded() {
        let mut history = History::default();
        let at = |n: u32| read(Kind::Pod, &pod("p", "n1", n));
        history.note(None, Some(&at(5)), 1000);
        assert_eq!(history.restarts(Uid::parse("rs")).count(), 0, "what was before is not dated");
        history.note(Some(&at(5)), Some(&at(7)), 1100);
        let all: Vec<_> = history.restarts(Uid::parse("rs")).map(|r| (r.at, &*r.container, r.times)).collect();
        assert_eq!(all, [(1100, "app", 2)]);
        for n in 0..1000 {
            history.note(Some(&at(n)), Some(&at(n + 1)), 1200);
        }
        assert_eq!(history.restarts(Uid::parse("rs")).count(), RESTARTS_OF);
        assert_eq!(history.restarted, RESTARTS_OF);
    }

    #[test]
    fn what_becomes_of_a_node_is_kept_under_its_name() {
        let node = |uid: &str, taint: Option<&str>, ready: &str| {
            let taints = taint.map(|key| json!([{"key": key, "effect": "NoExecute"}])).unwrap_or_else(|| json!([]));
            read(
                Kind::Node,
                &json!({"metadata": {"name": "n1", "uid": uid}, "spec": {"taints": taints, "unschedulable": taint.is_some()},
                "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady"}]}}),
            )
        };
        let mut history = History::default();
        let states = [node("a", None, "True"), node("a", Some("x"), "True"), node("a", None, "False")];
        history.note(None, Some(&states[0]), 1000);
        history.note(Some(&states[0]), Some(&states[1]), 1010);
        history.note(Some(&states[1]), Some(&states[2]), 1020);
        history.note(Some(&states[2]), None, 1030);
        history.note(None, Some(&node("b", None, "True")), 1040);
        let words: Vec<String> = history.node("n1").unwrap().events.iter().map(|(_, e)| e.words()).collect();
        let expected = [
            "cordoned",
            "tainted x:NoExecute",
            "uncordoned",
            "taint x:NoExecute taken away",
            "not ready (KubeletNotReady)",
            "node object deleted",
            "registered anew, with another uid",
        ];
        assert_eq!(words, expected);
        history.note(Some(&node("b", None, "True")), None, 1050);
        history.sweep(1050 + KEEP);
        assert!(history.node("n1").is_none(), "gone for a day");
    }
}
