//! The cluster's reactions: scheduler, kubelets, node lifecycle, budgets, autoscalers, garbage collection.
//!
//! Driven by changes and timers only; the same code makes the fleet's past, with a clock that jumps, and its present. Workload
//! controllers are in `workloads`.

use super::make::{self, End};
use super::register::{
    BACKUPS, CLAIMS, CRONJOBS, DAEMONSETS, DELETIONS, DEPLOYMENTS, DOWNLOADS, EVENTS, HPAS, JOBS, NAMESPACES, NODES, PDBS, PODS, REGISTER,
    REPLICASETS, RESTORES, Res, SCALED_OBJECTS, SERVICES, STATEFULSETS,
};
use super::store::{Key, Obj, State, rfc3339};
use super::{budgets, endpoints, scaler, taints, workloads};
use crate::model::{Selector, Str, quantity};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What comes due. Pods are named with the uid they had.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Action {
    /// An owner is gone: its uid.
    Orphan(Res, Key, Str),
    Start(Key, Str),
    Crash(Key, Str),
    Finish(Key, Str),
    Kill(Key, Str),
    /// The kubelet looks at the resources that a pod is to have.
    Resize(Key, Str),
    /// A taint's time is up for a pod.
    Evict(Key, Str),
    Reconcile(Res, Key),
    /// A backup, a restore or a request to Velero goes a step on.
    Velero(Res, Key),
    /// Every minute.
    Cron,
    Churn,
    /// One pod is replaced.
    Replace,
    /// A line of the scenario.
    Incident(usize),
    /// The line's end.
    Recover(usize),
    /// The beginning (true) or end of an ordered fault.
    Ordered(u64, bool),
}

/// What the controllers need of a node.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeFacts {
    pub name: Str,
    pub address: String,
    pub cpu: i64,
    pub memory: i64,
    pub pods: i64,
    pub ready: bool,
    pub cordoned: bool,
    pub labels: Value,
    /// Key, value and effect.
    pub taints: Vec<(String, String, String)>,
}

/// How things are in this cluster, besides its objects.
#[derive(Default)]
pub struct Conditions {
    pub nodes_changed: bool,
    pub nodes: Vec<NodeFacts>,
    next_node: usize,
    /// Pods come up at once, without events: the far past is made so.
    pub instant: bool,
    /// Kubelets that do nothing.
    pub dead: HashSet<Str>,
    /// Kubelets give out whole cores.
    pub pinned: bool,
    /// Images that do not run.
    pub broken: HashMap<String, End>,
    /// Percent of one pod's request that each autoscaled app needs in all.
    pub load: HashMap<Key, i64>,
    /// Which autoscaler looks after which workload.
    pub scaler_of: HashMap<(Res, Key), Key>,
    pub pending: BTreeSet<Key>,
    /// Pods that a taint drives out: when, in unix seconds.
    pub driven: HashMap<Str, i64>,
    starting: HashSet<Str>,
    killing: HashSet<Str>,
    /// Pod updates a second.
    pub churn: f64,
    /// Seconds between replaced pods; 0: none are.
    pub replace: f64,
    pub incidents: Vec<super::scenario::Incident>,
    /// Scenario lines and orders that concern the sockets: what begins, and what ends.
    pub outages: Vec<(super::fault::Fault, bool)>,
    /// No Velero server runs.
    pub velero_dead: bool,
    /// Where this server is reached, once it is: what Velero keeps is there too.
    pub address: String,
    /// What a backup that was made here has, by its name.
    pub kept: HashMap<Str, Vec<(Res, Arc<Obj>)>>,
    /// The fault that was ordered last, while it lasts, and how many there were with it.
    pub ordered: Option<(super::fault::Fault, u64)>,
    pub orders: u64,
}

/// Runs everything that is due up to `until` (unix milliseconds).
pub fn run(s: &mut State, until: i64) {
    loop {
        settle(s);
        match s.timers.peek() {
            Some(Reverse((due, _))) if *due <= until => {
                let Some(Reverse((due, action))) = s.timers.pop() else { break };
                s.clock = s.clock.max(due);
                act(s, action);
            }
            _ => break,
        }
    }
    s.clock = s.clock.max(until);
}

/// Reacts to what changed.
pub fn settle(s: &mut State) {
    loop {
        if std::mem::take(&mut s.world.nodes_changed) {
            nodes_changed(s);
        }
        let Some((res, key)) = s.next_dirty() else { break };
        match res {
            PODS => pod(s, &key),
            NAMESPACES => namespace(s, &key.1),
            PDBS => budgets::budgets(s, &key.0),
            SERVICES => endpoints::service(s, &key),
            HPAS => scaler::scaler(s, &key),
            SCALED_OBJECTS => scaler::scaled_object(s, &key),
            DEPLOYMENTS => workloads::deployment(s, &key),
            REPLICASETS => workloads::replicaset(s, &key),
            STATEFULSETS => workloads::statefulset(s, &key),
            DAEMONSETS => workloads::daemonset(s, &key),
            JOBS => workloads::job(s, &key),
            CRONJOBS => workloads::cronjob(s, &key),
            CLAIMS => workloads::claim(s, &key),
            BACKUPS | RESTORES => super::velero::look(s, res, &key),
            DELETIONS => super::velero::deletion(s, &key),
            DOWNLOADS => super::velero::download(s, &key),
            _ => {}
        }
        if let Some(scaler) = s.world.scaler_of.get(&(res, key)).cloned() {
            s.mark(HPAS, &scaler);
        }
    }
}

fn act(s: &mut State, action: Action) {
    match action {
        Action::Orphan(res, key, uid) => {
            if s.at(res, &key).is_some_and(|o| o.owner.as_ref().is_some_and(|(_, _, owner)| *owner == uid)) {
                delete(s, res, &key, None);
            }
        }
        Action::Start(key, uid) => start(s, &key, &uid),
        Action::Crash(key, uid) => again(s, &key, &uid),
        Action::Finish(key, uid) => finish(s, &key, &uid),
        Action::Kill(key, uid) => kill(s, &key, &uid),
        Action::Resize(key, uid) => super::resize::actuate(s, &key, &uid),
        Action::Evict(key, uid) => super::taints::due(s, &key, &uid),
        Action::Reconcile(res, key) => s.mark(res, &key),
        Action::Velero(res, key) => super::velero::step(s, res, &key),
        Action::Cron => {
            for key in s.tables[CRONJOBS].objects.keys().cloned().collect::<Vec<_>>() {
                workloads::schedule(s, &key);
            }
            super::velero::minute(s);
            let to_minute = 60_000 - s.clock.rem_euclid(60_000);
            s.later(to_minute, Action::Cron);
        }
        Action::Churn => {
            churn(s);
            if s.world.churn > 0.0 {
                let wait = (1000.0 / s.world.churn) as i64;
                s.later(wait.max(1), Action::Churn);
            }
        }
        Action::Replace => {
            if let Some(pod) = some_pod(s, |o| o.owner.as_ref().is_some_and(|(kind, ..)| &**kind == "ReplicaSet")) {
                delete(s, PODS, &pod.key.clone(), None);
            }
            let wait = s.world.replace * (0.5 + s.rng.f64());
            s.later((wait * 1000.0) as i64, Action::Replace);
        }
        Action::Incident(n) => super::incident::begin(s, n),
        Action::Recover(n) => super::incident::end(s, n),
        Action::Ordered(n, begins) => super::orders::due(s, n, begins),
    }
}

/// A ready pod by chance.
fn some_pod(s: &mut State, fits: impl Fn(&Obj) -> bool) -> Option<Arc<Obj>> {
    if s.world.nodes.is_empty() {
        return None;
    }
    for _ in 0..8 {
        let node = s.world.nodes[s.rng.usize(..s.world.nodes.len())].name.clone();
        let Some(keys) = s.on_node.get(&node).filter(|k| !k.is_empty()) else { continue };
        let at = s.rng.usize(..keys.len());
        let pod = keys.iter().nth(at).and_then(|k| s.at(PODS, k)).cloned();
        if let Some(pod) = pod.filter(|p| !p.deleting && p.pod.as_ref().is_some_and(|f| f.ready) && fits(p)) {
            return Some(pod);
        }
    }
    None
}

/// One visible change of one pod: a restart that did no harm, long ago.
fn churn(s: &mut State) {
    let Some(pod) = some_pod(s, |_| true) else { return };
    s.edit(PODS, &pod.key.clone(), |p| {
        let made = p["metadata"]["creationTimestamp"].clone();
        let c = &mut p["status"]["containerStatuses"][0];
        c["restartCount"] = (c["restartCount"].as_i64().unwrap_or(0) + 1).into();
        let at = c["state"]["running"]["startedAt"].clone();
        c["lastState"] = json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": made, "finishedAt": at}});
    });
}

fn nodes_changed(s: &mut State) {
    let facts: Vec<NodeFacts> = s.tables[NODES].objects.values().map(|o| node_facts(&o.value())).collect();
    if facts == s.world.nodes {
        return;
    }
    let gone: Vec<Str> = s.world.nodes.iter().map(|n| n.name.clone()).filter(|n| !facts.iter().any(|f| f.name == *n)).collect();
    s.world.nodes = facts;
    for node in gone {
        s.world.dead.remove(&node);
        for key in s.on_node.get(&node).cloned().unwrap_or_default() {
            s.remove(PODS, &key);
        }
    }
    let sets: Vec<Key> = s.tables[DAEMONSETS].objects.keys().cloned().collect();
    let pending: Vec<Key> = s.world.pending.iter().cloned().collect();
    taints::changed(s);
    sets.iter().for_each(|k| s.mark(DAEMONSETS, k));
    pending.iter().for_each(|k| s.mark(PODS, k));
}

fn node_facts(node: &Value) -> NodeFacts {
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let room = &node["status"]["allocatable"];
    let conditions = node["status"]["conditions"].as_array();
    NodeFacts {
        name: text(&node["metadata"]["name"]).into(),
        address: text(&node["status"]["addresses"][0]["address"]),
        cpu: room["cpu"].as_str().and_then(quantity::milli).unwrap_or(0),
        memory: room["memory"].as_str().and_then(quantity::whole).unwrap_or(0),
        pods: room["pods"].as_str().and_then(quantity::whole).unwrap_or(110),
        ready: conditions.is_some_and(|c| c.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")),
        cordoned: node["spec"]["unschedulable"] == true,
        labels: node["metadata"]["labels"].clone(),
        taints: node["spec"]["taints"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|t| (text(&t["key"]), text(&t["value"]), text(&t["effect"])))
            .collect(),
    }
}

/// Whether the spec tolerates the taint.
pub fn tolerates(spec: &Value, (key, value, effect): &(String, String, String)) -> bool {
    spec["tolerations"].as_array().into_iter().flatten().any(|t| {
        let same = |field: &str, wanted: &str| t[field].as_str().is_none_or(|v| v.is_empty() || v == wanted);
        same("key", key) && same("effect", effect) && (t["operator"] == "Exists" || t["value"].as_str().unwrap_or("") == value)
    })
}

/// Whether a node's labels have what the pod asks for.
pub fn selected(spec: &Value, labels: &Value) -> bool {
    spec["nodeSelector"].as_object().into_iter().flatten().all(|(k, v)| labels[k] == *v)
}

/// The node for a pod, or the scheduler's message.
fn place(s: &mut State, spec: &Value, cpu: i64, memory: i64) -> Result<usize, String> {
    let n = s.world.nodes.len();
    let mut why: Vec<(String, usize)> = Vec::new();
    for step in 0..n {
        let at = (s.world.next_node + step) % n;
        let node = &s.world.nodes[at];
        let used = s.used.get(&node.name).copied().unwrap_or_default();
        let taint =
            node.taints.iter().find(|t| t.2 != "PreferNoSchedule" && !tolerates(spec, t) && t.0 != "node.kubernetes.io/unschedulable");
        let reason = if node.cordoned {
            "node(s) were unschedulable".to_owned()
        } else if let Some((key, value, _)) = taint {
            format!("node(s) had untolerated taint {{{key}: {value}}}")
        } else if !selected(spec, &node.labels) {
            "node(s) didn't match Pod's node affinity/selector".to_owned()
        } else if used.pods >= node.pods {
            "Too many pods".to_owned()
        } else if used.cpu + cpu > node.cpu {
            "Insufficient cpu".to_owned()
        } else if used.memory + memory > node.memory {
            "Insufficient memory".to_owned()
        } else {
            s.world.next_node = at + 1;
            return Ok(at);
        };
        match why.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, count)) => *count += 1,
            None => why.push((reason, 1)),
        }
    }
    why.sort();
    let parts: Vec<String> = why.iter().map(|(r, c)| format!("{c} {r}")).collect();
    Err(format!(
        "0/{n} nodes are available: {}. preemption: 0/{n} nodes are available: {n} Preemption is not helpful for scheduling.",
        parts.join(", ")
    ))
}

fn ip_of(s: &mut State) -> String {
    format!("10.{}.{}.{}", 64 + s.rng.u8(..64), s.rng.u8(..), s.rng.u8(1..255))
}

/// A pod that is to be made: placed and running at once when the past is made in haste.
pub fn create_pod(s: &mut State, mut pod: Value) {
    let now = s.now();
    if s.world.instant && pod["spec"]["nodeName"].is_null() {
        let asked = |what: &str, read: fn(&str) -> Option<i64>| -> i64 {
            pod["spec"]["containers"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|c| c["resources"]["requests"][what].as_str().and_then(read))
                .sum()
        };
        let (cpu, memory) = (asked("cpu", quantity::milli), asked("memory", quantity::whole));
        if let Ok(at) = place(s, &pod["spec"].clone(), cpu, memory) {
            make::bind(&mut pod, &s.world.nodes[at].name.clone(), now);
        }
    }
    if s.world.instant
        && let Some(node) = pod["spec"]["nodeName"].as_str()
    {
        let host = s.world.nodes.iter().find(|n| *n.name == *node).map(|n| n.address.clone()).unwrap_or_default();
        let ip = ip_of(s);
        make::run(&mut pod, (&host, &ip), now);
    }
    s.put(PODS, pod);
}

/// Scheduler and kubelet look at a pod.
fn pod(s: &mut State, key: &Key) {
    let Some(object) = s.at(PODS, key).cloned() else {
        s.world.pending.remove(key);
        return;
    };
    let Some(facts) = &object.pod else { return };
    if object.deleting {
        let dead = facts.node.as_ref().is_some_and(|n| s.world.dead.contains(n));
        if !dead && s.world.killing.insert(object.uid.clone()) {
            let wait = s.rng.i64(300..1500);
            s.later(wait, Action::Kill(key.clone(), object.uid.clone()));
        }
        return;
    }
    if &*facts.phase != "Pending" {
        return;
    }
    let now = s.now();
    if facts.node.is_none() {
        let spec = object.value()["spec"].clone();
        if spec["schedulingGates"].as_array().is_some_and(|g| !g.is_empty()) {
            s.edit(PODS, key, |p| {
                make::condition(
                    &mut p["status"],
                    "PodScheduled",
                    "False",
                    ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"),
                    now,
                )
            });
            return;
        }
        match place(s, &spec, facts.cpu, facts.memory) {
            Ok(at) => {
                let node = s.world.nodes[at].name.clone();
                s.world.pending.remove(key);
                s.edit(PODS, key, |p| make::bind(p, &node, now));
                s.event(
                    PODS,
                    &object,
                    false,
                    "Scheduled",
                    &format!("Successfully assigned {}/{} to {node}", key.0, key.1),
                    "default-scheduler",
                );
            }
            Err(message) => {
                let new = s.world.pending.insert(key.clone());
                let changed =
                    s.edit(PODS, key, |p| make::condition(&mut p["status"], "PodScheduled", "False", ("Unschedulable", &message), now));
                if new || changed.is_some() {
                    s.event(PODS, &object, true, "FailedScheduling", &message, "default-scheduler");
                }
            }
        }
    } else if s.world.starting.insert(object.uid.clone()) {
        let wait = s.rng.i64(700..1600);
        s.later(wait, Action::Start(key.clone(), object.uid.clone()));
    }
}

fn same(s: &State, key: &Key, uid: &str) -> Option<Arc<Obj>> {
    s.at(PODS, key).filter(|o| *o.uid == *uid).cloned()
}

fn broken(s: &State, pod: &Value) -> Option<End> {
    let images = pod["spec"]["containers"].as_array().into_iter().flatten().filter_map(|c| c["image"].as_str());
    images.filter_map(|i| s.world.broken.get(i)).next().cloned()
}

fn host_of(s: &mut State, object: &Obj) -> (String, String) {
    let node = object.pod.as_ref().and_then(|f| f.node.clone());
    let host = s.world.nodes.iter().find(|n| Some(&n.name) == node.as_ref()).map(|n| n.address.clone()).unwrap_or_default();
    (host, ip_of(s))
}

/// The kubelet starts a pod.
fn start(s: &mut State, key: &Key, uid: &Str) {
    s.world.starting.remove(uid);
    let Some(object) = same(s, key, uid).filter(|o| !o.deleting) else { return };
    let Some(node) = object.pod.as_ref().and_then(|f| f.node.clone()).filter(|n| !s.world.dead.contains(n)) else { return };
    let now = s.now();
    let (host, ip) = host_of(s, &object);
    let value = object.value();
    let job = value["spec"]["restartPolicy"] != "Always";
    let end = broken(s, &value);
    s.edit(PODS, key, |p| make::run(p, (&host, &ip), now));
    let source = "kubelet";
    let image = value["spec"]["containers"][0]["image"].as_str().unwrap_or("").to_owned();
    let name = value["spec"]["containers"][0]["name"].as_str().unwrap_or("").to_owned();
    s.event(PODS, &object, false, "Pulled", &format!("Container image \"{image}\" already present on machine"), source);
    s.event(PODS, &object, false, "Created", &format!("Created container: {name}"), source);
    s.event(PODS, &object, false, "Started", &format!("Started container {name} on {node}"), source);
    if job {
        let wait = s.rng.i64(4000..12_000);
        s.later(wait, Action::Finish(key.clone(), uid.clone()));
    } else if end.is_some() {
        let wait = s.rng.i64(2000..5000);
        s.later(wait, Action::Crash(key.clone(), uid.clone()));
    }
}

/// A container ends and is started again after a while, unless it has been repaired.
fn again(s: &mut State, key: &Key, uid: &Str) {
    let Some(object) = same(s, key, uid).filter(|o| !o.deleting) else { return };
    if object.pod.as_ref().and_then(|f| f.node.as_ref()).is_some_and(|n| s.world.dead.contains(n)) {
        return;
    }
    let now = s.now();
    let value = object.value();
    let ip = value["status"]["podIP"].as_str().unwrap_or("").to_owned();
    let (host, _) = host_of(s, &object);
    let Some(end) = broken(s, &value) else {
        s.edit(PODS, key, |p| make::run(p, (&host, &ip), now));
        return;
    };
    let mut restarts = 0;
    s.edit(PODS, key, |p| restarts = make::crash(p, (&host, &ip), &end, now));
    let name = value["spec"]["containers"][0]["name"].as_str().unwrap_or("").to_owned();
    s.event(
        PODS,
        &object,
        true,
        "BackOff",
        &format!("Back-off restarting failed container {name} in pod {}_{}({uid})", key.1, key.0),
        "kubelet",
    );
    s.later((10_000 << (restarts - 1).clamp(0, 5)).min(300_000), Action::Crash(key.clone(), uid.clone()));
}

/// A pod that does not restart ends.
fn finish(s: &mut State, key: &Key, uid: &Str) {
    let Some(object) = same(s, key, uid).filter(|o| !o.deleting && !o.ended()) else { return };
    let end = broken(s, &object.value()).unwrap_or(End { exit: 0, reason: "Completed".to_owned() });
    let now = s.now();
    s.edit(PODS, key, |p| make::finish(p, &end, now));
}

/// The kubelet is through with a pod that is to go.
fn kill(s: &mut State, key: &Key, uid: &Str) {
    s.world.killing.remove(uid);
    let Some(object) = same(s, key, uid).filter(|o| o.deleting) else { return };
    let dead = object.pod.as_ref().and_then(|f| f.node.as_ref()).is_some_and(|n| s.world.dead.contains(n));
    let held = object.value()["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
    if !dead && !held {
        s.remove(PODS, key);
        let pending: Vec<Key> = s.world.pending.iter().cloned().collect();
        pending.iter().for_each(|k| s.mark(PODS, k));
    }
}

/// Deletes as the API does: with grace, finalizers honoured. What hangs on it follows.
pub fn delete(s: &mut State, res: Res, key: &Key, grace: Option<i64>) -> Option<Arc<Obj>> {
    let object = s.at(res, key)?.clone();
    let value = object.value();
    let held = value["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
    let own = value["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let now = s.now();
    let grace = if res == PODS { grace.unwrap_or(own) } else { 0 };
    let placed = object.pod.as_ref().is_some_and(|f| f.node.is_some()) && !object.ended();
    let waits = (res == PODS && placed && grace > 0) || held || res == NAMESPACES;
    if !waits {
        if res == PODS {
            s.world.pending.remove(key);
        }
        return s.remove(res, key);
    }
    if object.deleting && value["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|g| g <= grace) {
        return Some(object);
    }
    let changed = s.edit(res, key, |o| {
        o["metadata"]["deletionTimestamp"] = rfc3339(now + grace).into();
        o["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        if res == NAMESPACES {
            o["status"]["phase"] = "Terminating".into();
        }
    });
    if res == PODS && !s.world.instant {
        s.event(
            PODS,
            &object,
            false,
            "Killing",
            &format!("Stopping container {}", value["spec"]["containers"][0]["name"].as_str().unwrap_or("")),
            "kubelet",
        );
    }
    changed.or(Some(object))
}

/// Pods of a namespace changed: its budgets; or the namespace itself goes.
fn namespace(s: &mut State, name: &Str) {
    budgets::budgets(s, name);
    endpoints::namespace(s, name);
    let key = (Str::from(""), name.clone());
    if !s.at(NAMESPACES, &key).is_some_and(|n| n.deleting) {
        return;
    }
    let mut left = false;
    for res in (0..REGISTER.len()).filter(|r| REGISTER[*r].namespaced) {
        let from = (name.clone(), Str::from(""));
        let keys: Vec<Key> = s.tables[res].objects.range(from..).take_while(|(k, _)| k.0 == *name).map(|(k, _)| k.clone()).collect();
        for k in keys {
            if s.at(res, &k).is_some_and(|o| !o.deleting) {
                delete(s, res, &k, None);
            }
            left |= res != EVENTS && s.at(res, &k).is_some();
        }
    }
    if left {
        s.later(1000, Action::Reconcile(NAMESPACES, key));
    } else {
        s.remove(NAMESPACES, &key);
    }
}

/// A kubelet stops working (`message` is its Ready condition's) or comes back.
pub fn node_down(s: &mut State, node: &Str, silent: bool, message: &str) {
    let now = s.now();
    s.world.dead.insert(node.clone());
    let (status, reason, taint) =
        if silent { ("Unknown", "NodeStatusUnknown", "unreachable") } else { ("False", "KubeletNotReady", "not-ready") };
    let key = (Str::from(""), node.clone());
    let changed = s.edit(NODES, &key, |n| {
        make::condition(&mut n["status"], "Ready", status, (reason, message), now);
        let taint = |effect: &str| json!({"key": format!("node.kubernetes.io/{taint}"), "effect": effect, "timeAdded": rfc3339(now)});
        n["spec"]["taints"] = json!([taint("NoSchedule"), taint("NoExecute")]);
    });
    if let Some(object) = changed {
        s.event(NODES, &object, false, "NodeNotReady", &format!("Node {node} status is now: NodeNotReady"), "node-controller");
    }
    for key in s.on_node.get(node).cloned().unwrap_or_default() {
        let changed = s.edit(PODS, &key, |p| {
            if p["status"]["phase"] == "Running" {
                make::unready(p, "NodeNotReady", now);
            }
        });
        if let Some(pod) = changed {
            s.event(PODS, &pod, true, "NodeNotReady", "Node is not ready", "node-controller");
        }
    }
}

/// The kubelet works again; its pods are ready again.
pub fn node_up(s: &mut State, node: &Str) {
    let now = s.now();
    s.world.dead.remove(node);
    s.edit(NODES, &(Str::from(""), node.clone()), |n| {
        make::condition(&mut n["status"], "Ready", "True", ("KubeletReady", "kubelet is posting ready status"), now);
        if let Some(spec) = n["spec"].as_object_mut() {
            spec.shift_remove("taints");
        }
    });
    for key in s.on_node.get(node).cloned().unwrap_or_default() {
        s.edit(PODS, &key, |p| {
            let waits = p["status"]["containerStatuses"].as_array().is_some_and(|c| c.iter().any(|c| c["ready"] == false));
            if p["status"]["phase"] == "Running" && !waits {
                make::condition(&mut p["status"], "Ready", "True", ("", ""), now);
            }
        });
        s.mark(PODS, &key);
    }
}

/// The pods in a namespace that a selector takes.
pub fn matching(s: &State, namespace: &Str, selector: &Selector) -> Vec<Arc<Obj>> {
    let pods = s.tables[PODS].objects.range((namespace.clone(), Str::from(""))..).take_while(|(k, _)| k.0 == *namespace);
    pods.map(|(_, o)| o).filter(|o| selector.matches(&o.labels)).cloned().collect()
}
