//! What a simulated cluster's Prometheus answers to the queries that are there for rules: what is too large, too small, or unlike its peers.
//!
//! On a good day workloads request too much and nothing is at a limit; a node that is sick is hot and evicts; in a storm of alerts the ways of names, of
//! alerts and of the ingress suffer too.

use super::measured::{Look, Row, share};
use std::collections::BTreeMap;

/// The ingress controller's pod, and the jobs of nodes.
const CONTROLLER: &str = "ingress-nginx-controller-7c9d8f6b5d-x2x4x";
const JOBS: [&str; 2] = ["kubelet", "node-exporter"];

/// What a workload's pods use and request together.
#[derive(Default)]
struct Sum {
    pods: f64,
    /// Cores.
    cpu: f64,
    cpu_asked: f64,
    /// Bytes.
    memory: f64,
    memory_asked: f64,
}

/// The answer to a query by its name; none to one that is not known.
pub fn rows(look: &Look<'_>, query: &str) -> Option<Vec<Row>> {
    Some(match query {
        "cpu-spare" => look.workloads(true, |w| Some(w.cpu_asked - w.cpu).filter(|spare| *spare > 0.0)),
        "memory-spare" => look.workloads(true, |w| Some(w.memory_asked - 1.15 * w.memory).filter(|spare| *spare > 0.0)),
        "replicas-spare" => look.workloads(false, |w| {
            let needed = (w.cpu / (0.6 * w.cpu_asked / w.pods)).ceil().max(2.0);
            Some(w.pods - needed).filter(|spare| *spare >= 2.0)
        }),
        "cpu-of-request" => look.workloads(false, |w| Some(w.cpu / w.cpu_asked)),
        "cpu-by-request" => look.workloads(false, |w| Some(0.004 + 0.02 * (w.cpu % 1.0))),
        "resident" => look.workloads(false, |w| Some(0.7 * w.memory / w.pods)),
        "pod-skew" => look.workloads(false, |w| (w.pods >= 5.0).then(|| 1.1 + (w.cpu % 0.5))),
        "cpu-burst" => look.containers(|used, asked| Some(used.cpu as f64 / (4.0 * asked.cpu as f64 * 1e6)).filter(|of| *of < 0.4)),
        "cache-share" => {
            look.containers(|used, asked| Some(used.memory as f64 / asked.memory as f64).filter(|of| *of > 1.0).map(|of| of - 0.6))
        }
        "cache-thrashed" => {
            look.containers(|used, asked| Some(used.memory as f64 / asked.memory as f64).filter(|of| *of > 1.0).map(|of| of * 3.0))
        }
        "cpu-governor" => look.some("9100", "governor", "schedutil", 0.2, |_| 8.0),
        "cpu-below-nominal" => look.nodes("9100", |node| 0.02 + 0.06 * share(&["mhz", node])),
        "cpu-throttles" => look.sick("9100", &[], 40.0),
        "cpu-steal" => look.nodes("9100", |node| 0.01 * share(&["steal", node])),
        // Where kubelets give out whole cores one of them cannot.
        "cpu-pinning-errors" => {
            let of =
                |node: &super::control::NodeFacts| Row::new(&[("instance", &format!("{}:10250", node.address)), ("what", "pinning")], 2.0);
            look.s.world.nodes.iter().filter(|_| look.s.world.pinned).take(1).map(|n| of(n).exact()).collect()
        }
        "numa-remote" => look.nodes("9100", |node| 0.01 + 0.04 * share(&["numa", node])),
        "webhook-errors" => look.storm(&[("name", "policy.example.com")], 0.002),
        "webhook-latency" => vec![Row::new(&[("name", "policy.example.com")], 0.02)],
        "api-rejected" => look.storm(&[("priority_level", "workload-low")], 0.005),
        "api-terminated" => vec![Row::new(&[("job", "apiserver")], 0.0001)],
        "client-errors" => ["kubelet", "kube-scheduler", "kube-controller-manager"].map(|job| Row::new(&[("job", job)], 0.0003)).into(),
        "conntrack-dropped" => look.storm(&[("instance", "10.0.0.9:9100")], 0.0005),
        "dns-broken" => look.storm(&[("job", "coredns"), ("what", "questions refused")], 0.5),
        "etcd-db-fills" => {
            let at = |secs: i64| look.s.etcd.filled_in(look.s.now(), secs);
            let row = |(within, secs): (&str, i64)| Some(Row::new(&[("instance", "10.0.0.1:2379"), ("within", within)], at(secs)?).exact());
            [("4h", 14_400), ("24h", 86_400)].into_iter().filter_map(row).collect()
        }
        "volume-fills" => look.volumes("fills", 0.9),
        "softnet-squeezed" => look.some("9100", "", "", 0.3, |node| 1.0 + share(&["squeezed", node])),
        "node-costs-more" => {
            let odd = |name: &&str| share(&["odd", name]) < 0.3;
            look.names().filter(odd).map(|name| Row::new(&[("node", name)], 1.0).exact()).collect()
        }
        "disk-queue" => look.disks(|node| 0.1 + 2.0 * share(&["queue", node])),
        "disk-await" => look.disks(|node| 0.0004 + 0.004 * share(&["await", node])),
        "io-pressure" => look.nodes("9100", |node| 0.001 + 0.01 * share(&["pressure", node])),
        "evictions" => look.sick("10250", &[("eviction_signal", "memory.available")], 2.0),
        "answers-shifted" => [("shop.example.com", "shop"), ("pay.example.com", "pay")]
            .map(|(host, ingress)| Row::new(&[("host", host), ("ingress", ingress), ("answers", "3xx")], 0.012))
            .into(),
        "ingress-reload-failed" => look.storm(&[("controller_pod", CONTROLLER)], 1.0),
        "conntrack-insert-failed" => look.nodes("9100", |node| 0.001 + 0.02 * share(&["refused", node])),
        "dns-nxdomain" => look.storm(&[("job", "coredns")], 0.62),
        "dns-load" => look.some("9153", "", "", 0.3, |node| 40.0 + 80.0 * share(&["dns", node])),
        "dns-cache-misses" => vec![Row::new(&[("job", "coredns")], 0.21)],
        "typha-latency" => look.some("9098", "", "", 0.3, |node| 0.02 + 0.05 * share(&["typha", node])),
        "typha-dropped" => look.storm(&[("instance", "10.0.0.9:9098")], 3.0),
        "job-down" => {
            let silent = look.unready().filter(|(.., silent)| *silent).count() as f64;
            let of = |job: &str| Row::new(&[("job", job)], silent / look.s.world.nodes.len().max(1) as f64).exact();
            JOBS.into_iter().filter(|_| silent > 0.0).map(of).collect()
        }
        "node-space" => look.spaces(0.0),
        "node-fills" => look.spaces(0.01),
        "oom-restarts" => look.killed(),
        "oom-peak" => look.killed().into_iter().map(|row| row.of(0.985)).collect(),
        "hpa-hours" => look.scalers(),
        "api-budget" => look.full(&[("job", "apiserver"), ("window", "6h")], 1.3),
        "api-budget-days" => look.full(&[("job", "apiserver"), ("window", "1d")], 2.6),
        "client-refused" => look.storm(&[("job", "kubelet")], 2.0),
        "api-waits" => ["global-default", "workload-low"].map(|level| Row::new(&[("priority_level", level)], 0.002)).into(),
        "api-memory" => look.nodes("10250", |node| 0.1 + 0.1 * share(&["api", node])).into_iter().take(3).collect(),
        "volume-days" => look.storm(&[("namespace", "pay"), ("persistentvolumeclaim", "data-db-0")], 0.88),
        "dns-inner-latency" => vec![Row::new(&[("zone", "cluster.local.")], 0.0021)],
        "dns-upstream" => ["10.0.0.2:53", "10.0.0.3:53"].map(|to| Row::new(&[("to", to)], 0.012)).into(),
        "dns-upstream-failing" => vec![Row::new(&[("to", "10.0.0.2:53")], 0.001)],
        "workqueue-stuck" => ["deployment", "job"].map(|name| Row::new(&[("name", name)], 0.2)).into(),
        "kubelet-certificates" => look.storm(&[("instance", "10.0.0.9:10250"), ("whose", "client")], 86_400.0),
        "calico-blocks" => ["leaked", "borrowed"].map(|what| Row::new(&[("ippool", "default-ipv4-ippool"), ("what", what)], 0.012)).into(),
        "calico-lost-blocks" => look.storm(&[("node", "node-gone")], 0.0),
        "jvm-heap" => look.workloads(false, |w| Some(0.4 + 0.2 * (w.cpu % 1.0))),
        "cpus-believed" => look.workloads(false, |_| Some(1.0)),
        "typha-uneven" => vec![Row::new(&[("job", "typha")], 1.1)],
        "conntrack-uneven" => look.storm(&[("instance", "10.0.0.9:9100")], 1.4),
        "etcd-peer-failures" => look.storm(&[("instance", "10.0.0.1:2379")], 0.002),
        "webhook-skipped" => look.storm(&[("name", "policy.example.com")], 2.0),
        "api-aggregation" => look.storm(&[("name", "v1beta1.metrics.k8s.io")], 0.05),
        "ephemeral-use" => {
            look.containers(|used, _| Some(0.2 * used.memory as f64)).into_iter().map(|row| row.without("container")).collect()
        }
        "watchdog" => vec![Row::new(&[("alertname", "Watchdog")], 1.0).exact()],
        "monitoring-failures" => look.storm(&[("alertmanager", "http://alertmanager-operated:9093"), ("hop", "to Alertmanager")], 2.0),
        _ => return None,
    })
}

impl Look<'_> {
    /// A row for each workload that requests CPU, and its one container.
    fn workloads(&self, container: bool, of: impl Fn(&Sum) -> Option<f64>) -> Vec<Row> {
        let mut sums: BTreeMap<(String, String), Sum> = BTreeMap::new();
        for (o, used) in self.used() {
            let (Some(facts), Some(app)) = (o.pod.as_ref().filter(|f| f.cpu > 0), o.labels.get("app")) else { continue };
            let sum = sums.entry((o.key.0.to_string(), app.to_owned())).or_default();
            sum.pods += 1.0;
            sum.cpu += used.cpu as f64 / 1e9;
            sum.cpu_asked += facts.cpu as f64 / 1e3;
            sum.memory += used.memory as f64;
            sum.memory_asked += facts.memory as f64;
        }
        let row = |((namespace, app), sum): (&(String, String), &Sum)| {
            let labels: [(&'static str, &str); 3] = [("namespace", namespace), ("workload", app), ("container", app)];
            Some(Row::new(&labels[..if container { 3 } else { 2 }], of(sum)?).exact())
        };
        sums.iter().filter_map(row).collect()
    }

    /// The names of nodes that are up.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.s.world.nodes.iter().filter(|n| !self.s.world.dead.contains(&n.name)).map(|n| &*n.name)
    }

    /// Such a part of the nodes, with another label where it has a name.
    fn some(&self, port: &str, label: &'static str, value: &str, part: f64, of: impl Fn(&str) -> f64) -> Vec<Row> {
        let up = self.s.world.nodes.iter().filter(|n| !self.s.world.dead.contains(&n.name) && share(&[port, label, &n.name]) < part);
        let row = |n: &super::control::NodeFacts| {
            let instance = format!("{}:{port}", n.address);
            let labels = [("instance", instance.as_str()), (label, value)];
            Row::new(&labels[..if label.is_empty() { 1 } else { 2 }], of(&n.name)).exact()
        };
        up.map(row).collect()
    }

    fn disks(&self, of: impl Fn(&str) -> f64) -> Vec<Row> {
        let rows = self.nodes("9100", of);
        rows.into_iter().map(|row| row.with("device", "nvme0n1")).collect()
    }

    /// Of nodes that are not ready and whose kubelets speak.
    fn sick(&self, port: &str, labels: &[(&'static str, &str)], level: f64) -> Vec<Row> {
        let speaks = self.unready().filter(|(.., silent)| !silent);
        let row = |(node, since, _): (&super::control::NodeFacts, Option<i64>, bool)| {
            let instance = format!("{}:{port}", node.address);
            Row::new(&[labels, &[("instance", instance.as_str())]].concat(), level).since(since, 0.0).exact()
        };
        speaks.map(row).collect()
    }

    /// What kubelets evict for.
    fn spaces(&self, more: f64) -> Vec<Row> {
        let of = |(signal, least): (&'static str, f64)| {
            let rows = self.nodes("9100", |node| least + 0.3 * share(&[&self.s.name, node, signal]) + more);
            rows.into_iter().map(move |row| row.with("signal", signal))
        };
        [
            ("nodefs.available", 0.2),
            ("imagefs.available", 0.4),
            ("nodefs.inodesFree", 0.05),
            ("memory.available", 0.3),
            ("pid.available", 0.02),
        ]
        .into_iter()
        .flat_map(of)
        .collect()
    }

    /// Autoscalers and how long they were at their maximum: those that are there now, for long.
    fn scalers(&self) -> Vec<Row> {
        let row = |o: &std::sync::Arc<super::store::Obj>| {
            let hpa = o.value();
            let most = hpa["spec"]["maxReplicas"].as_i64().unwrap_or(0);
            let at = hpa["status"]["currentReplicas"].as_i64().unwrap_or(0) >= most;
            let hours = if at { 20.0 } else { 0.25 };
            Row::new(&[("namespace", &o.key.0), ("horizontalpodautoscaler", &o.key.1)], 3600.0 * hours).exact()
        };
        self.s.tables[super::register::HPAS].objects.values().map(row).collect()
    }

    /// One row while etcd is full; in a storm of alerts a lower one.
    fn full(&self, labels: &[(&'static str, &str)], level: f64) -> Vec<Row> {
        if self.s.etcd.full() { vec![Row::new(labels, level).exact()] } else { self.storm(labels, 0.3) }
    }

    /// One row while there is a storm of alerts.
    fn storm(&self, labels: &[(&'static str, &str)], level: f64) -> Vec<Row> {
        self.s.alerting.storm.iter().map(|_| Row::new(labels, level).exact()).collect()
    }
}
