//! One simulated cluster's objects: tables, the resourceVersion, the event log that watches replay, and the indices that the
//! controllers need.
//!
//! Objects are kept as compact JSON text with what is asked often beside it; protobuf is made when first wanted and kept. What
//! becomes of the objects is `control`'s, who may see them `api`'s.

use super::register::{EVENTS, NAMESPACES, NODES, PODS, REGISTER, Res};
use crate::model::{Labels, Str, quantity, wire};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

/// Namespace (empty: none) and name.
pub type Key = (Str, Str);

/// What of a pod the controllers look at.
#[derive(Clone, PartialEq, Debug)]
pub struct PodFacts {
    pub node: Option<Str>,
    pub phase: Str,
    pub ready: bool,
    pub ip: Option<Str>,
    /// Requests: millicores and bytes.
    pub cpu: i64,
    pub memory: i64,
}

/// A stored object.
pub struct Obj {
    pub rv: u64,
    pub key: Key,
    pub uid: Str,
    pub labels: Labels,
    /// Kind, name and uid of the controller.
    pub owner: Option<(Str, Str, Str)>,
    pub deleting: bool,
    pub pod: Option<PodFacts>,
    pub json: Box<[u8]>,
    proto: OnceLock<Box<[u8]>>,
}

impl Obj {
    /// The whole object.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }
    /// The object's protobuf message; empty for kinds that are not served so.
    pub fn proto(&self, res: Res) -> &[u8] {
        self.proto.get_or_init(|| {
            REGISTER[res].proto().and_then(|kind| crate::model::object::json_to_proto(kind, &self.value()).ok()).unwrap_or_default().into()
        })
    }
    /// Phase of a pod that has ended.
    pub fn ended(&self) -> bool {
        self.pod.as_ref().is_some_and(|p| matches!(&*p.phase, "Succeeded" | "Failed"))
    }
}

/// What happened to an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

/// One line of a table's log. A deleted object carries the version of its deletion.
#[derive(Clone)]
pub struct Entry {
    pub change: Change,
    pub object: Arc<Obj>,
    /// What it was before: a selector may have held for that.
    pub before: Option<Arc<Obj>>,
}

/// One resource's objects.
pub struct Table {
    pub objects: BTreeMap<Key, Arc<Obj>>,
    pub log: VecDeque<Entry>,
    /// Changes up to this version are no longer in the log.
    pub floor: u64,
    /// Tells watches that something came.
    pub news: tokio::sync::watch::Sender<u64>,
}

/// Watches can be resumed over this many changes.
const LOG: usize = 8192;
/// Events beyond this many are dropped, the oldest first.
const EVENTS_KEPT: usize = 2000;

/// What a node carries.
#[derive(Clone, Copy, Default, Debug)]
pub struct Use {
    pub cpu: i64,
    pub memory: i64,
    pub pods: i64,
}

/// One cluster.
pub struct State {
    pub name: String,
    pub rv: u64,
    pub tables: Vec<Table>,
    pub children: HashMap<Str, BTreeSet<(Res, Key)>>,
    pub on_node: HashMap<Str, BTreeSet<Key>>,
    pub used: HashMap<Str, Use>,
    pub rng: fastrand::Rng,
    strings: HashSet<Str>,
    label_sets: HashMap<Vec<(Str, Str)>, Labels>,
    /// What the controllers have to look at.
    pub dirty: VecDeque<(Res, Key)>,
    queued: HashSet<(Res, Key)>,
    /// What comes due: unix milliseconds, and what then.
    pub timers: BinaryHeap<std::cmp::Reverse<(i64, super::control::Action)>>,
    /// Unix milliseconds: the controllers' time. Runs ahead in jumps while the fleet's past is made.
    pub clock: i64,
    /// Nobody watches before.
    pub serving: bool,
    pub world: super::control::Conditions,
    pub etcd: super::etcd::Etcd,
    pub alerting: super::alertmanager::Alerting,
    event_order: VecDeque<Key>,
}

/// As the API writes times.
pub fn rfc3339(secs: i64) -> String {
    jiff::Timestamp::from_second(secs).map_or_else(|_| String::new(), |t| t.to_string())
}

/// A time the API wrote.
pub fn parse_time(value: &Value) -> Option<i64> {
    value.as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

impl State {
    pub fn new(name: &str, seed: u64) -> Self {
        let table = || Table { objects: BTreeMap::new(), log: VecDeque::new(), floor: 1000, news: tokio::sync::watch::channel(0).0 };
        Self {
            name: name.to_owned(),
            rv: 1000,
            tables: REGISTER.iter().map(|_| table()).collect(),
            children: HashMap::new(),
            on_node: HashMap::new(),
            used: HashMap::new(),
            rng: fastrand::Rng::with_seed(seed),
            strings: HashSet::new(),
            label_sets: HashMap::new(),
            dirty: VecDeque::new(),
            queued: HashSet::new(),
            timers: BinaryHeap::new(),
            clock: 0,
            serving: false,
            world: super::control::Conditions::default(),
            etcd: super::etcd::Etcd::new(name, seed, 0),
            alerting: super::alertmanager::Alerting::default(),
            event_order: VecDeque::new(),
        }
    }

    /// The controllers' time in unix seconds.
    pub fn now(&self) -> i64 {
        self.clock.div_euclid(1000)
    }

    /// A shared string.
    pub fn str(&mut self, text: &str) -> Str {
        if let Some(known) = self.strings.get(text) {
            return known.clone();
        }
        let new = Str::from(text);
        self.strings.insert(new.clone());
        new
    }

    /// A uid from the seed.
    pub fn uid(&mut self) -> String {
        let (a, b) = (self.rng.u64(..), self.rng.u64(..));
        format!("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff, 0x8000 | (b >> 50), b & 0xffff_ffff_ffff)
    }

    /// The five letters that generated names end in.
    pub fn suffix(&mut self, letters: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..letters).map(|_| char::from(ALPHABET[self.rng.usize(..ALPHABET.len())])).collect()
    }

    pub fn get(&self, res: Res, namespace: &str, name: &str) -> Option<&Arc<Obj>> {
        self.tables[res].objects.get(&(Str::from(namespace), Str::from(name)))
    }

    pub fn at(&self, res: Res, key: &Key) -> Option<&Arc<Obj>> {
        self.tables[res].objects.get(key)
    }

    /// The objects that `uid` controls, of one resource.
    pub fn owned(&self, uid: &str, res: Res) -> Vec<Arc<Obj>> {
        let all = self.children.get(uid).into_iter().flatten();
        all.filter(|(r, _)| *r == res).filter_map(|(r, k)| self.at(*r, k)).cloned().collect()
    }

    /// Writes an object, whole. Gives it a version, and uid and creation time where it has none.
    pub fn put(&mut self, res: Res, mut value: Value) -> Arc<Obj> {
        self.rv += 1;
        let (now, uid) = (self.now(), self.uid());
        let meta = &mut value["metadata"];
        meta["resourceVersion"] = self.rv.to_string().into();
        if meta["uid"].as_str().is_none_or(str::is_empty) {
            meta["uid"] = uid.into();
        }
        if !meta["creationTimestamp"].is_string() {
            meta["creationTimestamp"] = rfc3339(now).into();
        }
        let object = Arc::new(self.describe(res, &value, self.rv));
        self.store(res, object.clone());
        object
    }

    fn describe(&mut self, res: Res, value: &Value, rv: u64) -> Obj {
        let meta = &value["metadata"];
        let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
        let mut pairs: Vec<(Str, Str)> = Vec::new();
        for (k, v) in meta["labels"].as_object().into_iter().flatten() {
            pairs.push((self.str(k), self.str(v.as_str().unwrap_or(""))));
        }
        pairs.sort();
        let labels = self.label_sets.get(&pairs).cloned().unwrap_or_else(|| {
            let made = Labels::from(pairs.clone());
            if self.label_sets.len() < 50_000 {
                self.label_sets.insert(pairs, made.clone());
            }
            made
        });
        let owners = meta["ownerReferences"].as_array();
        let owner = owners.and_then(|o| o.iter().find(|o| o["controller"] == true).or(o.first()));
        let owner = owner.map(|o| (self.str(&text(&o["kind"])), self.str(&text(&o["name"])), self.str(&text(&o["uid"]))));
        let pod = (res == PODS).then(|| {
            let (mut cpu, mut memory) = (0, 0);
            for c in value["spec"]["containers"].as_array().into_iter().flatten() {
                let ask = &c["resources"]["requests"];
                cpu += ask["cpu"].as_str().and_then(quantity::milli).unwrap_or(0);
                memory += ask["memory"].as_str().and_then(quantity::whole).unwrap_or(0);
            }
            let node = value["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()).map(|n| self.str(n));
            let ready =
                value["status"]["conditions"].as_array().is_some_and(|c| c.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
            let phase = self.str(value["status"]["phase"].as_str().unwrap_or("Pending"));
            let ip = value["status"]["podIP"].as_str().filter(|ip| !ip.is_empty()).map(Str::from);
            PodFacts { node, phase, ready, ip, cpu, memory }
        });
        Obj {
            rv,
            key: (self.str(&text(&meta["namespace"])), Str::from(text(&meta["name"]))),
            uid: self.str(&text(&meta["uid"])),
            labels,
            owner,
            deleting: meta["deletionTimestamp"].is_string(),
            pod,
            json: serde_json::to_vec(value).unwrap_or_default().into(),
            proto: OnceLock::new(),
        }
    }

    fn store(&mut self, res: Res, object: Arc<Obj>) {
        let before = self.tables[res].objects.insert(object.key.clone(), object.clone());
        if let Some(old) = &before {
            self.unindex(res, old);
        } else if res == EVENTS {
            self.event_order.push_back(object.key.clone());
        }
        if let Some((_, _, uid)) = &object.owner {
            self.children.entry(uid.clone()).or_default().insert((res, object.key.clone()));
        }
        if let Some(facts) = &object.pod
            && let Some(node) = &facts.node
        {
            self.on_node.entry(node.clone()).or_default().insert(object.key.clone());
            if !object.ended() {
                let used = self.used.entry(node.clone()).or_default();
                (used.cpu, used.memory, used.pods) = (used.cpu + facts.cpu, used.memory + facts.memory, used.pods + 1);
            }
        }
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        self.log(res, Entry { change, object: object.clone(), before: before.clone() });
        self.react(res, &object, before.as_deref());
        if res == EVENTS {
            while self.tables[EVENTS].objects.len() > EVENTS_KEPT {
                let Some(oldest) = self.event_order.pop_front() else { break };
                self.remove(EVENTS, &oldest);
            }
        }
    }

    /// Takes an object away, for good.
    pub fn remove(&mut self, res: Res, key: &Key) -> Option<Arc<Obj>> {
        let old = self.tables[res].objects.remove(key)?;
        self.unindex(res, &old);
        self.rv += 1;
        let mut value = old.value();
        value["metadata"]["resourceVersion"] = self.rv.to_string().into();
        let gone = Arc::new(self.describe(res, &value, self.rv));
        self.log(res, Entry { change: Change::Deleted, object: gone, before: Some(old.clone()) });
        self.strings.remove(&old.uid);
        if let Some(children) = self.children.remove(&old.uid) {
            for (r, k) in children {
                self.mark(r, &k);
                self.later(0, super::control::Action::Orphan(r, k, old.uid.clone()));
            }
        }
        self.react(res, &old, Some(&old));
        Some(old)
    }

    fn unindex(&mut self, res: Res, old: &Obj) {
        if let Some((_, _, uid)) = &old.owner
            && let Some(set) = self.children.get_mut(uid)
        {
            set.remove(&(res, old.key.clone()));
            if set.is_empty() {
                self.children.remove(uid);
            }
        }
        if let Some(facts) = &old.pod
            && let Some(node) = &facts.node
        {
            if let Some(set) = self.on_node.get_mut(node) {
                set.remove(&old.key);
            }
            if !old.ended() {
                let used = self.used.entry(node.clone()).or_default();
                (used.cpu, used.memory, used.pods) = (used.cpu - facts.cpu, used.memory - facts.memory, used.pods - 1);
            }
        }
    }

    fn log(&mut self, res: Res, entry: Entry) {
        let (rv, serving) = (self.rv, self.serving);
        let table = &mut self.tables[res];
        if !serving {
            // The first fleet is listed, not watched.
            table.floor = rv;
            return;
        }
        table.log.push_back(entry);
        while table.log.len() > LOG {
            if let Some(old) = table.log.pop_front() {
                table.floor = old.object.rv;
            }
        }
        table.news.send_replace(rv);
    }

    /// Forgets the log: every watch from before is too old now.
    pub fn compact(&mut self) {
        self.rv += 1;
        let rv = self.rv;
        for table in &mut self.tables {
            table.log.clear();
            table.floor = rv;
            table.news.send_replace(rv);
        }
    }

    /// The controllers are to look at this.
    pub fn mark(&mut self, res: Res, key: &Key) {
        if self.queued.insert((res, key.clone())) {
            self.dirty.push_back((res, key.clone()));
        }
    }

    /// The next thing to look at.
    pub fn next_dirty(&mut self) -> Option<(Res, Key)> {
        let next = self.dirty.pop_front()?;
        self.queued.remove(&next);
        Some(next)
    }

    /// Does something in `ms` milliseconds.
    pub fn later(&mut self, ms: i64, action: super::control::Action) {
        self.timers.push(std::cmp::Reverse((self.clock + ms, action)));
    }

    /// Changes an object in place; nothing is written when `change` leaves it as it is.
    pub fn edit(&mut self, res: Res, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Arc<Obj>> {
        let mut value = self.at(res, key)?.value();
        let before = value.clone();
        change(&mut value);
        if value == before {
            return None;
        }
        Some(self.put(res, value))
    }

    /// Writes an event about an object, or counts it once more.
    pub fn event(&mut self, res: Res, about: &Obj, warning: bool, reason: &str, message: &str, source: &str) {
        self.event_at(res, about, warning, (reason, message, source), self.now(), 1);
    }

    /// The same with a time and a count: (reason, message, source).
    pub fn event_at(&mut self, res: Res, about: &Obj, warning: bool, what: (&str, &str, &str), at: i64, count: i64) {
        let (reason, message, source) = what;
        let hash = |text: &str| text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let name = format!("{}.{:016x}", about.key.1, hash(&format!("{}{reason}{message}", about.uid)));
        let namespace = if about.key.0.is_empty() { "default" } else { &*about.key.0 };
        let key = (Str::from(namespace), Str::from(&*name));
        if self.at(EVENTS, &key).is_some() {
            self.edit(EVENTS, &key, |e| {
                e["count"] = (e["count"].as_i64().unwrap_or(1) + count).into();
                e["lastTimestamp"] = rfc3339(at).into();
            });
            return;
        }
        let r = &REGISTER[res];
        let first = at - (count - 1) * 15;
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": rfc3339(first)},
            "involvedObject": {"apiVersion": r.api_version(), "kind": r.kind, "namespace": &*about.key.0, "name": &*about.key.1, "uid": &*about.uid, "resourceVersion": about.rv.to_string()},
            "type": if warning { "Warning" } else { "Normal" }, "reason": reason, "message": message, "count": count,
            "firstTimestamp": rfc3339(first), "lastTimestamp": rfc3339(at), "source": {"component": source}, "reportingComponent": source, "reportingInstance": "",
        });
        self.put(EVENTS, event);
    }

    fn react(&mut self, res: Res, object: &Obj, before: Option<&Obj>) {
        if res == EVENTS {
            return;
        }
        self.mark(res, &object.key);
        let owners =
            [Some(object), before].into_iter().flatten().filter_map(|o| o.owner.as_ref().map(|owner| (owner.clone(), o.key.0.clone())));
        for ((kind, name, _), namespace) in owners.collect::<Vec<_>>() {
            if let Some(owner) = super::register::of_kind(&kind) {
                self.mark(owner, &(namespace, name));
            }
        }
        match res {
            PODS => self.mark(NAMESPACES, &(Str::from(""), object.key.0.clone())),
            NODES => self.world.nodes_changed = true,
            _ => {}
        }
    }
}

/// A label selector as objects carry it.
pub fn selector_of(value: &Value) -> crate::model::Selector {
    use serde::Deserialize as _;
    let wire = wire::LabelSelector::deserialize(value).unwrap_or_default();
    crate::model::Selector::of(&wire, &mut crate::model::Interner::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, node: Option<&str>) -> Value {
        let requests = json!({"cpu": "100m", "memory": "1Mi"});
        json!({"metadata": {"name": name, "namespace": "a", "labels": {"app": "x"}}, "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": requests}}]}})
    }

    #[test]
    fn versions_grow_and_the_log_keeps_what_came_after() {
        let mut s = State::new("c", 1);
        s.put(PODS, pod("before", None));
        s.serving = true;
        let first = s.put(PODS, pod("p", None));
        let second = s.put(PODS, pod("p", Some("n")));
        s.remove(PODS, &second.key.clone());
        let changes: Vec<_> = s.tables[PODS].log.iter().map(|e| (e.change, e.object.rv)).collect();
        assert_eq!(changes, [(Change::Added, first.rv), (Change::Modified, first.rv + 1), (Change::Deleted, first.rv + 2)]);
        assert_eq!(s.tables[PODS].floor, first.rv - 1);
    }

    #[test]
    fn nodes_know_what_they_carry() {
        let mut s = State::new("c", 1);
        let node = Str::from("n");
        s.put(PODS, pod("p", Some("n")));
        s.put(PODS, pod("p", Some("n")));
        assert_eq!((s.used[&node].cpu, s.used[&node].memory, s.used[&node].pods), (100, 1 << 20, 1));
        s.remove(PODS, &("a".into(), "p".into()));
        assert_eq!((s.used[&node].cpu, s.used[&node].pods, s.on_node[&node].len()), (0, 0, 0));
    }

    #[test]
    fn old_changes_leave_the_log() {
        let mut s = State::new("c", 1);
        s.serving = true;
        for _ in 0..LOG + 5 {
            s.put(PODS, pod("p", None));
        }
        assert_eq!((s.tables[PODS].log.len(), s.tables[PODS].floor), (LOG, 1005));
    }
}
