//! What a simulated cluster's Prometheus has measured: the answer to each query that qd ships, from how the cluster is at the moment.
//!
//! Levels follow from objects, faults and incidents; what is around them is the same for the same fleet and time.

use super::alerts;
use super::control::NodeFacts;
use super::fault::Faults;
use super::judged;
use super::metrics::{self, hash};
use super::register::{PODS, STATEFULSETS};
use super::store::{Obj, State, parse_time};
use std::collections::{BTreeMap, HashMap};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Of what is measured at each pod only the so many highest are told: no query that ships wants more.
const MOST: usize = 20;
/// Seconds that "lately" is for counters.
const LATELY: i64 = 900;

/// A series.
pub struct Row {
    pub labels: BTreeMap<&'static str, String>,
    level: f64,
    /// Since when it is at that level, and where it was before.
    before: Option<(i64, f64)>,
    /// How far it goes up and down, as a part of the level.
    moves: f64,
    seed: u64,
}

impl Row {
    pub(super) fn new(labels: &[(&'static str, &str)], level: f64) -> Self {
        let labels: BTreeMap<_, _> = labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        let seed = hash(&labels.iter().flat_map(|(k, v)| [*k, v.as_str()]).collect::<Vec<_>>());
        Self { labels, level, before: None, moves: 0.12, seed }
    }
    /// How many there are.
    pub fn count(n: u32) -> Self {
        Self::new(&[], f64::from(n)).exact()
    }
    pub(super) fn since(mut self, since: Option<i64>, before: f64) -> Self {
        self.before = since.map(|since| (since, before));
        self
    }
    /// It is exactly so.
    pub(super) fn exact(mut self) -> Self {
        self.moves = 0.0;
        self
    }
    /// The same at another level.
    pub(super) fn of(self, level: f64) -> Self {
        Self { level, ..self }
    }
    /// The same with another label.
    pub(super) fn with(mut self, label: &'static str, value: &str) -> Self {
        self.labels.insert(label, value.to_owned());
        self
    }
    /// The same without a label.
    pub(super) fn without(mut self, label: &str) -> Self {
        self.labels.remove(label);
        self
    }
    /// Its value at a time (unix seconds).
    pub fn at(&self, time: i64) -> f64 {
        let level = self.before.filter(|(since, _)| time < *since).map_or(self.level, |(_, before)| before);
        let phase = (self.seed % 997) as f64 / 997.0;
        let slow = (TAU * (time as f64 / 1500.0 + phase)).sin();
        let fast = (hash(&[&self.seed.to_string(), &(time / 60).to_string()]) % 1000) as f64 / 500.0 - 1.0;
        level * (1.0 + self.moves * (0.6 * slow + 0.4 * fast))
    }
}

/// A number from 0 to 1 that goes with these words.
pub(super) fn share(parts: &[&str]) -> f64 {
    (hash(parts) % 10_007) as f64 / 10_007.0
}

/// What the queries look at.
pub(super) struct Look<'a> {
    pub s: &'a State,
    faults: &'a Faults,
}

/// The answer to a query by its name; none to one that is not known.
pub fn rows(s: &State, faults: &Faults, query: &str) -> Option<Vec<Row>> {
    let look = Look { s, faults };
    Some(match query {
        "cpu-throttled" => look.containers(|used, asked| {
            let limit = 2.0 * asked.cpu as f64 * 1e6;
            Some((used.cpu as f64 / limit - 0.45).max(0.0) * 0.8)
        }),
        "memory-of-limit" => look.memory(),
        "oom-kills" => look.killed(),
        "restarts" => look.ended(|_| true),
        "pod-receive" => look.pods(|pod, used| Some(used * 4e6 * share(&["rx", pod]))),
        "pod-transmit" => look.pods(|pod, used| Some(used * 5e6 * share(&["tx", pod]))),
        "pod-packets-dropped" => look.pods(|pod, used| (share(&["drop", pod]) < 0.02 || used > 0.6).then(|| 0.05 + (used - 0.6).max(0.0))),
        "conntrack-use" => look.nodes("9100", |node| 0.08 + 0.3 * share(&["conntrack", node])),
        "filesystem-use" => look.filesystems(),
        "pleg-relist" => look.kubelets(|_| 12.4, |node| 0.008 + 0.02 * share(&["pleg", node])),
        "pleg-last-seen" => look.kubelets(|since| (s.now() - since + 180) as f64, |node| 0.5 + share(&["seen", node])),
        "volume-use" => look.volumes("bytes", 0.75),
        "volume-inodes" => look.volumes("inodes", 0.1),
        "api-latency" => look.api_latency(),
        "api-errors" => {
            let failing = if faults.broken || faults.hang || faults.refuse { 0.4 } else { 0.0 };
            let full = if s.etcd.full() { 0.08 } else { 0.0002 };
            vec![Row::new(&[("job", "apiserver")], f64::max(failing, full))]
        }
        "api-inflight" => [("readOnly", 14.0), ("mutating", 4.0)].map(|(kind, n)| Row::new(&[("request_kind", kind)], n)).into(),
        "api-seats" => {
            [("global-default", 0.22), ("workload-low", 0.31), ("workload-high", 0.12), ("leader-election", 0.05), ("system", 0.03)]
                .map(|(level, full)| Row::new(&[("priority_level", level)], full))
                .into()
        }
        "api-to-etcd" => {
            let slow = s.etcd.down().map(|(_, since)| since).min();
            let of = |(operation, usual): (&str, f64)| {
                Row::new(&[("operation", operation)], if slow.is_some() { usual * 40.0 } else { usual }).since(slow, usual)
            };
            [("get", 0.004), ("list", 0.021), ("update", 0.012), ("create", 0.011)].map(of).into()
        }
        "etcd-fsync" => {
            s.etcd.members.iter().map(|m| Row::new(&[("instance", &m.name)], 0.0035 + 0.003 * share(&[&s.name, &m.name]))).collect()
        }
        "scheduler-queue" => {
            let waiting = s.world.pending.len() as f64;
            [("active", 0.0), ("backoff", 0.0), ("unschedulable", waiting), ("gated", 0.0)]
                .map(|(queue, n)| Row::new(&[("queue", queue)], n).exact())
                .into()
        }
        "scheduler-latency" => {
            let mut rows = vec![Row::new(&[("result", "scheduled")], 0.014)];
            rows.extend((!s.world.pending.is_empty()).then(|| Row::new(&[("result", "unschedulable")], 0.009)));
            rows
        }
        "workqueue-depth" => ["deployment", "endpointslice", "garbage_collector_attempt_to_delete", "job"]
            .into_iter()
            .map(|name| Row::new(&[("name", name)], 1.0 + (4.0 * share(&[&s.name, name])).floor()).exact())
            .collect(),
        "dns-errors" => vec![Row::new(&[("job", "coredns")], if s.world.dead.is_empty() { 0.0004 } else { 0.012 })],
        "dns-latency" => vec![Row::new(&[("server", "dns://:53")], 0.0031), Row::new(&[("server", "dns://:5353")], 0.0024)],
        "calico-failures" => look
            .unready()
            .map(|(node, since, _)| Row::new(&[("instance", &format!("{}:9091", node.address))], 3.0).since(since, 0.0).exact())
            .collect(),
        "calico-ipam" => {
            let pods = s.tables[PODS].objects.values().filter(|o| !o.ended()).count();
            // Blocks of 64, of which each node has two or more.
            let all = s.world.nodes.len().max(1) * 128;
            vec![Row::new(&[("ippool", "default-ipv4-ippool")], pods as f64 / all.max(pods * 3 / 2) as f64).exact()]
        }
        "targets-down" => {
            let jobs = [("kubelet", 10250), ("node-exporter", 9100)];
            let silent = look
                .unready()
                .filter(|(.., silent)| *silent)
                .flat_map(|(node, ..)| jobs.map(|(job, port)| (job, format!("{}:{port}", node.address))));
            let members = s.etcd.down().map(|(member, _)| ("etcd", format!("{member}:2381")));
            silent.chain(members).map(|(job, at)| Row::new(&[("job", job), ("instance", &at)], 1.0).exact()).collect()
        }
        "alerts-pending" => look.pending(),
        "use-of-pods" => {
            let all = metrics::pods(s, &super::query::Wanted::default());
            all.iter().flat_map(|(pod, used)| uses(&[("namespace", &pod.key.0), ("pod", &pod.key.1)], *used)).collect()
        }
        "use-of-nodes" => {
            let all = metrics::nodes(s, &super::query::Wanted::default());
            all.iter().flat_map(|(node, used)| uses(&[("node", &node.key.1)], *used)).collect()
        }
        "use-of-claims" => {
            let part = |what: &'static str, rows: Vec<Row>| {
                rows.into_iter().map(move |mut row| {
                    row.labels.insert("resource", what.to_owned());
                    row
                })
            };
            part("bytes", look.volumes("bytes", 0.75)).chain(part("inodes", look.volumes("inodes", 0.1))).collect()
        }
        _ => return judged::rows(&look, query),
    })
}

/// Cores and bytes of one object.
fn uses(of: &[(&'static str, &str)], used: metrics::Amount) -> [Row; 2] {
    [("cpu", used.cpu as f64 / 1e9), ("memory", used.memory as f64)]
        .map(|(resource, level)| Row { moves: 0.03, ..Row::new(&[of, &[("resource", resource)]].concat(), level) })
}

/// The highest.
fn highest(mut all: Vec<(f64, &Arc<Obj>)>) -> impl Iterator<Item = (f64, &Arc<Obj>)> {
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.key.cmp(&b.1.key)));
    all.into_iter().take(MOST)
}

/// Namespace, pod and container: here it has the app's name.
fn container(pod: &Obj) -> [(&'static str, &str); 3] {
    [("namespace", &pod.key.0), ("pod", &pod.key.1), ("container", pod.labels.get("app").unwrap_or("app"))]
}

impl Look<'_> {
    /// The running pods, and what they use.
    pub(super) fn used(&self) -> impl Iterator<Item = (&Arc<Obj>, metrics::Amount)> {
        let mut loads = HashMap::new();
        self.s.tables[PODS].objects.values().filter_map(move |o| Some((o, metrics::pod(self.s, o, &mut loads)?)))
    }

    /// The running pods by what their use and requests give.
    fn measured(&self, mut of: impl FnMut(&Obj, metrics::Amount) -> Option<f64>) -> Vec<(f64, &Arc<Obj>)> {
        self.used().filter_map(|(o, used)| Some((of(o, used)?, o))).collect()
    }

    pub(super) fn containers(&self, of: impl Fn(metrics::Amount, &super::store::PodFacts) -> Option<f64>) -> Vec<Row> {
        let all = self.measured(|o, used| of(used, o.pod.as_ref().filter(|f| f.cpu > 0)?));
        highest(all).map(|(level, o)| Row::new(&container(o), level)).collect()
    }

    /// Containers that were killed for memory, and how often.
    pub(super) fn killed(&self) -> Vec<Row> {
        self.ended(|status| status["lastState"]["terminated"]["reason"] == "OOMKilled")
    }

    fn memory(&self) -> Vec<Row> {
        let killed = self.killed();
        let mut rows = self.containers(|used, asked| (asked.memory > 0).then(|| used.memory as f64 / (2.0 * asked.memory as f64)));
        rows.retain(|row| killed.iter().all(|k| k.labels != row.labels));
        let near = |k: Row| Row { level: 0.985, moves: 0.01, before: k.before.map(|(since, _)| (since, 0.6)), ..k };
        killed.into_iter().map(near).chain(rows).collect()
    }

    /// By pod's name and what it uses, cores.
    fn pods(&self, of: impl Fn(&str, f64) -> Option<f64>) -> Vec<Row> {
        let all = self.measured(|o, used| of(&o.key.1, used.cpu as f64 / 1e9));
        highest(all).map(|(level, o)| Row::new(&container(o)[..2], level)).collect()
    }

    /// How often containers of unready pods ended lately, of those that a status is taken of.
    fn ended(&self, takes: impl Fn(&serde_json::Value) -> bool) -> Vec<Row> {
        let now = self.s.now();
        let unready = self.s.tables[PODS].objects.values().filter(|o| o.pod.as_ref().is_some_and(|f| !f.ready && &*f.phase == "Running"));
        let count = |o: &Arc<Obj>| {
            let pod = o.value();
            let status = &pod["status"]["containerStatuses"][0];
            let last = parse_time(&status["lastState"]["terminated"]["finishedAt"]).filter(|at| now - at < LATELY)?;
            // The first ones follow each other closely.
            takes(status)
                .then(|| (status["restartCount"].as_i64().unwrap_or(0).clamp(1, 6), alerts::since(&pod, "Ready", "False").unwrap_or(last)))
        };
        let rows = unready.filter_map(|o| {
            let (count, since) = count(o)?;
            Some(Row::new(&container(o), count as f64).since(Some(since), 0.0).exact())
        });
        rows.take(MOST).collect()
    }

    pub(super) fn nodes(&self, port: &str, of: impl Fn(&str) -> f64) -> Vec<Row> {
        let up = self.s.world.nodes.iter().filter(|n| !self.s.world.dead.contains(&n.name));
        up.map(|n| Row::new(&[("instance", &format!("{}:{port}", n.address))], of(&n.name))).collect()
    }

    fn filesystems(&self) -> Vec<Row> {
        let up = self.s.world.nodes.iter().filter(|n| !self.s.world.dead.contains(&n.name));
        let of = |n: &NodeFacts| {
            let instance = format!("{}:9100", n.address);
            [("/", 0.2), ("/var/lib/containerd", 0.4)].map(|(mount, least)| {
                let full = least + 0.35 * share(&[&self.s.name, &n.name, mount]);
                Row { moves: 0.01, ..Row::new(&[("instance", &instance), ("mountpoint", mount)], full) }
            })
        };
        up.flat_map(of).collect()
    }

    /// Nodes that are not ready, since when, and whether their kubelets are silent too.
    pub(super) fn unready(&self) -> impl Iterator<Item = (&NodeFacts, Option<i64>, bool)> {
        self.s.world.nodes.iter().filter(|n| !n.ready).map(|n| {
            let node = self.s.get(super::register::NODES, "", &n.name).map(|o| o.value()).unwrap_or_default();
            let said = alerts::since(&node, "Ready", "False");
            (n, said.or_else(|| alerts::since(&node, "Ready", "Unknown")), said.is_none())
        })
    }

    /// Of kubelets that answer: those whose node is not ready, by since when, and the others.
    fn kubelets(&self, sick: impl Fn(i64) -> f64, well: impl Fn(&str) -> f64) -> Vec<Row> {
        let unready: HashMap<&str, (Option<i64>, bool)> = self.unready().map(|(n, since, silent)| (&*n.name, (since, silent))).collect();
        let row = |n: &NodeFacts| {
            let (instance, usual) = (format!("{}:10250", n.address), well(&n.name));
            let labels = [("instance", instance.as_str())];
            match unready.get(&*n.name) {
                Some((_, true)) => None,
                Some((Some(since), false)) => Some(Row::new(&labels, sick(*since)).since(Some(*since), usual)),
                _ => Some(Row::new(&labels, usual)),
            }
        };
        self.s.world.nodes.iter().filter_map(row).collect()
    }

    /// Every replica of a StatefulSet keeps its data on one.
    pub(super) fn volumes(&self, what: &str, most: f64) -> Vec<Row> {
        let pods = self.s.tables[PODS].objects.values();
        let owned = pods.filter(|o| o.owner.as_ref().is_some_and(|(kind, ..)| &**kind == super::register::REGISTER[STATEFULSETS].kind));
        let row = |o: &Arc<Obj>| {
            let claim = format!("data-{}", o.key.1);
            let full = most * (0.25 + 0.75 * share(&[&self.s.name, &o.key.0, &claim, what]));
            Row { moves: 0.005, ..Row::new(&[("namespace", &o.key.0), ("persistentvolumeclaim", &claim)], full) }
        };
        owned.map(row).collect()
    }

    fn api_latency(&self) -> Vec<Row> {
        let slow = self.faults.slow as f64 / 1000.0 + if self.faults.hang { 60.0 } else { 0.0 };
        let verbs = [("GET", 0.018), ("LIST", 0.16), ("POST", 0.045), ("PUT", 0.04), ("PATCH", 0.05), ("DELETE", 0.06)];
        verbs.map(|(verb, usual)| Row::new(&[("verb", verb)], usual + slow)).into()
    }

    fn pending(&self) -> Vec<Row> {
        let names = ["alertname", "severity", "namespace", "pod", "node"];
        let labels = |a: &alerts::Alert| names.map(|name| (name, a.label(name).to_owned()));
        let mut counts: BTreeMap<_, u32> = BTreeMap::new();
        for alert in alerts::pending(self.s) {
            *counts.entry(labels(&alert)).or_default() += 1;
        }
        let row = |(labels, count): ([(&'static str, String); 5], u32)| {
            let told: Vec<(&'static str, &str)> = labels.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (*k, v.as_str())).collect();
            Row::new(&told, f64::from(count)).exact()
        };
        counts.into_iter().take(MOST).map(row).collect()
    }
}
