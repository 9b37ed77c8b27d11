//! Every query that qd ships, asked of a real Prometheus: one that scrapes what the lab's clusters cannot produce from a page of this file.

use super::SIZE;
use super::support::lab::{Lab, Room, until};
use super::support::pty::Term;
use super::support::runner::{Test, test};
use quarterdeck::config::Config;
use quarterdeck::model::{Gives, Query};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CONTEXT: &str = "lab-1";

pub const TESTS: &[Test] = &[test!(every_query_runs_on_a_real_prometheus).needs(&["prometheus"])];

/// What is counted so many times a second.
const COUNTERS: &[(&str, &str, f64)] = &[
    ("container_cpu_cfs_periods_total", r#"namespace="pay",pod="checkout-1",container="app""#, 60.0),
    ("container_cpu_cfs_throttled_periods_total", r#"namespace="pay",pod="checkout-1",container="app""#, 40.0),
    ("container_cpu_usage_seconds_total", r#"namespace="pay",pod="checkout-1",container="app""#, 0.25),
    ("container_cpu_usage_seconds_total", r#"id="/",node="n1""#, 2.0),
    ("container_oom_events_total", r#"namespace="pay",pod="checkout-1",container="app""#, 0.5),
    ("kube_pod_container_status_restarts_total", r#"namespace="pay",pod="checkout-1",container="app""#, 0.5),
    ("container_network_receive_bytes_total", r#"namespace="pay",pod="checkout-1""#, 2e6),
    ("container_network_transmit_bytes_total", r#"namespace="pay",pod="checkout-1""#, 1e6),
    ("container_network_receive_packets_dropped_total", r#"namespace="pay",pod="checkout-1""#, 3.0),
    ("container_network_transmit_packets_dropped_total", r#"namespace="pay",pod="checkout-1""#, 1.0),
    ("apiserver_request_total", r#"code="200",verb="GET""#, 50.0),
    ("apiserver_request_total", r#"code="503",verb="GET""#, 5.0),
    ("coredns_dns_responses_total", r#"rcode="NOERROR""#, 90.0),
    ("coredns_dns_responses_total", r#"rcode="SERVFAIL""#, 10.0),
    ("felix_int_dataplane_failures", "", 1.0),
];
const GAUGES: &[(&str, &str, f64)] = &[
    ("container_memory_working_set_bytes", r#"namespace="pay",pod="checkout-1",container="app""#, 98e6),
    ("container_memory_working_set_bytes", r#"id="/",node="n1""#, 8e9),
    ("container_spec_memory_limit_bytes", r#"namespace="pay",pod="checkout-1",container="app""#, 100e6),
    ("node_nf_conntrack_entries", "", 800.0),
    ("node_nf_conntrack_entries_limit", "", 1000.0),
    ("node_filesystem_avail_bytes", r#"mountpoint="/var",fstype="ext4""#, 4e9),
    ("node_filesystem_size_bytes", r#"mountpoint="/var",fstype="ext4""#, 100e9),
    ("kubelet_volume_stats_used_bytes", r#"namespace="pay",persistentvolumeclaim="data-db-0""#, 9e9),
    ("kubelet_volume_stats_capacity_bytes", r#"namespace="pay",persistentvolumeclaim="data-db-0""#, 10e9),
    ("kubelet_volume_stats_inodes_used", r#"namespace="pay",persistentvolumeclaim="data-db-0""#, 10.0),
    ("kubelet_volume_stats_inodes", r#"namespace="pay",persistentvolumeclaim="data-db-0""#, 1000.0),
    ("apiserver_current_inflight_requests", r#"request_kind="mutating""#, 3.0),
    ("apiserver_flowcontrol_current_executing_seats", r#"priority_level="global-default""#, 9.0),
    ("apiserver_flowcontrol_current_limit_seats", r#"priority_level="global-default""#, 10.0),
    ("scheduler_pending_pods", r#"queue="unschedulable""#, 7.0),
    ("workqueue_depth", r#"name="deployment""#, 4.0),
    ("ipam_allocations_in_use", r#"ippool="default""#, 200.0),
    ("ipam_ippool_size", r#"ippool="default""#, 256.0),
];
/// Each with all of its observations between 0.1 and 0.5.
const HISTOGRAMS: &[(&str, &str)] = &[
    ("kubelet_pleg_relist_duration_seconds", ""),
    ("apiserver_request_duration_seconds", r#"verb="LIST""#),
    ("etcd_request_duration_seconds", r#"operation="get""#),
    ("etcd_disk_wal_fsync_duration_seconds", ""),
    ("scheduler_scheduling_attempt_duration_seconds", r#"result="scheduled""#),
    ("coredns_dns_request_duration_seconds", r#"server="dns://:53""#),
];

/// The page after so many seconds.
fn page(seconds: f64) -> String {
    let mut out = String::new();
    let mut line = |name: &str, labels: &str, value: f64| out.push_str(&format!("{name}{{{labels}}} {value}\n"));
    for (name, labels, rate) in COUNTERS {
        // Of CPU fractions of a second count.
        line(name, labels, if name.contains("cpu_usage") { rate * seconds } else { (rate * seconds).floor() });
    }
    for (name, labels, value) in GAUGES {
        line(name, labels, *value);
    }
    for (name, labels) in HISTOGRAMS {
        let comma = if labels.is_empty() { "" } else { "," };
        for (le, share) in [("0.1", 0.0), ("0.5", 1.0), ("+Inf", 1.0)] {
            line(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{le}\""), (seconds * 20.0 * share).floor());
        }
    }
    line("kubelet_pleg_last_seen_seconds", "", jiff::Timestamp::now().as_second() as f64 - 3.0);
    out
}

/// A Prometheus that scrapes it, a target that is down, and a rule that waits. It ends with the test.
struct Prometheus {
    process: Child,
    url: String,
    _room: tempfile::TempDir,
}

impl Prometheus {
    fn new() -> Self {
        let pages = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = pages.local_addr().unwrap();
        let began = Instant::now();
        std::thread::spawn(move || {
            for stream in pages.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.read(&mut [0; 4096]);
                let body = page(began.elapsed().as_secs_f64());
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        let room = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (own, closed) = (free(), free());
        let path = |name: &str| room.path().join(name);
        let waits = json!({"alert": "QdWaits", "expr": "vector(1)", "for": "1h", "labels": {"severity": "warning"}});
        std::fs::write(path("rules.json"), json!({"groups": [{"name": "g", "interval": "1s", "rules": [waits]}]}).to_string()).unwrap();
        let job = |name: &str, at: String| json!({"job_name": name, "static_configs": [{"targets": [at]}]});
        let config = json!({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "rule_files": [path("rules.json")],
            "scrape_configs": [job("page", target.to_string()), job("gone", closed.to_string())]});
        std::fs::write(path("prometheus.json"), config.to_string()).unwrap();
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let process = Command::new("prometheus")
            .args([option("config.file", &path("prometheus.json")), option("storage.tsdb.path", &path("tsdb"))])
            .arg(format!("--web.listen-address={own}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, url: format!("http://{own}"), _room: room }
    }
}

/// What a Prometheus answers to an instant query: the values by the label `resource`.
fn ask(url: &str, expr: &str) -> Vec<(String, f64)> {
    let escaped: String = expr.bytes().map(|b| format!("%{b:02X}")).collect();
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(stream, "GET /api/v1/query?query={escaped} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|e| panic!("{e}: {answer}"));
    assert_eq!(body["status"], "success", "{body}");
    let result = body["data"]["result"].as_array().unwrap();
    result
        .iter()
        .map(|r| (r["metric"]["resource"].as_str().unwrap().to_owned(), r["value"][1].as_str().unwrap().parse().unwrap()))
        .collect()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn every_query_runs_on_a_real_prometheus(lab: &Lab) {
    let prometheus = Prometheus::new();
    let room = Room::new();
    let config = room.path("qd.toml");
    std::fs::write(&config, format!("[clusters.{CONTEXT}.prometheus]\nurl = {:?}\n", prometheus.url)).unwrap();
    let config = config.to_str().unwrap();
    let shipped = Config::default().queries;
    // The use of pods and nodes is no signal: it stands in for metrics.k8s.io, which the lab has. Nor is how full claims are.
    let (signals, uses): (Vec<&Query>, Vec<&Query>) = shipped.iter().partition(|q| q.gives == Gives::Signals);
    let asked: Vec<String> = signals.iter().map(|q| q.name.to_string()).collect();
    assert!(asked.len() > 20);
    let rows = until("every query to have a number", Duration::from_secs(90), || {
        let (got, code, said) = room.json(&lab.kubeconfig(), &["get", "signals", "--context", CONTEXT, "--config", config, "-o", "json"]);
        if code != 0 {
            return Err(format!("code {code}: {said}"));
        }
        let rows = got["items"].as_array().unwrap().clone();
        let has = |name: &String| rows.iter().any(|r| r["name"] == **name && r["value"].is_number());
        let without: Vec<&String> = asked.iter().filter(|name| !has(name)).collect();
        let told: Vec<&Value> = rows.iter().filter(|r| without.iter().any(|n| r["name"] == ***n)).collect();
        if without.is_empty() { Ok(rows) } else { Err(format!("{without:?}: {}", json!(told))) }
    });
    assert_eq!(uses.len(), 3);
    let full = ask(&prometheus.url, &uses.iter().find(|q| q.gives == Gives::ClaimUse).unwrap().filled(None, &[]));
    let of = |resource: &str| full.iter().find(|(r, _)| r == resource).unwrap_or_else(|| panic!("no {resource} in {full:?}")).1;
    assert_eq!((full.len(), of("bytes"), of("inodes")), (2, 0.9, 0.01));
    for (query, cpu, memory) in [("use-of-pods", 0.25, 98e6), ("use-of-nodes", 2.0, 8e9)] {
        let expr = uses.iter().find(|q| *q.name == *query).unwrap().filled(None, &[]);
        let told = ask(&prometheus.url, &expr);
        let of =
            |resource: &str| told.iter().find(|(r, _)| r == resource).unwrap_or_else(|| panic!("{query}: no {resource} in {told:?}")).1;
        // What was counted for less than the five minutes counts as if there were nothing before.
        assert!(of("cpu") > 0.0 && of("cpu") < cpu * 1.1 && of("memory") == memory, "{query}: {told:?}");
    }
    let row = |name: &str| rows.iter().find(|r| r["name"] == name).unwrap();
    let near = |name: &str, least: f64, most: f64, status: &str| {
        let row = row(name);
        let value = row["value"].as_f64().unwrap();
        assert!(value >= least && value <= most && row["status"] == status, "{row}");
    };
    near("cpu-throttled", 0.6, 0.75, "critical");
    near("memory-of-limit", 0.979, 0.981, "critical");
    near("filesystem-use", 0.959, 0.961, "critical");
    near("volume-use", 0.899, 0.901, "warning");
    near("api-latency", 0.4, 0.5, "ok");
    near("api-errors", 0.08, 0.1, "critical");
    near("dns-errors", 0.08, 0.12, "critical");
    near("etcd-fsync", 0.4, 0.5, "critical");
    near("calico-ipam", 0.78, 0.79, "ok");
    near("pleg-last-seen", 2.0, 60.0, "ok");
    assert_eq!((&row("cpu-throttled")["of"], &row("cpu-throttled")["namespace"]), (&json!("pay/checkout-1 app"), &json!("pay")));
    assert_eq!(row("alerts-pending")["of"], "QdWaits severity=warning");
    assert!(row("targets-down")["of"].as_str().unwrap().contains("gone"));
    // The pane, and what it says when the server is gone.
    let args = ["--screen", "signals", "--context", CONTEXT, "--config", config];
    let mut term = Term::open(&args, room.env(&lab.kubeconfig()), SIZE.0, SIZE.1);
    term.line(30, &[CONTEXT, "CPU throttled", "pay/checkout-1 app", "critical"]);
    drop(prometheus);
    term.line(90, &[CONTEXT, "signals", "old"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}
