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
    ("coredns_dns_responses_total", r#"rcode="NOERROR""#, 120.0),
    ("coredns_dns_responses_total", r#"rcode="SERVFAIL""#, 40.0),
    ("coredns_dns_responses_total", r#"rcode="NXDOMAIN""#, 240.0),
    ("coredns_dns_requests_total", "", 600.0),
    ("coredns_cache_requests_total", "", 100.0),
    ("coredns_cache_hits_total", "", 20.0),
    ("felix_int_dataplane_failures", "", 1.0),
    (
        "container_memory_failures_total",
        r#"namespace="pay",pod="checkout-1",container="app",failure_type="pgmajfault",scope="container""#,
        200.0,
    ),
    ("node_cpu_seconds_total", r#"cpu="0",mode="idle""#, 0.1),
    ("node_cpu_seconds_total", r#"cpu="0",mode="steal""#, 0.05),
    ("node_cpu_package_throttles_total", r#"package="0""#, 1.0),
    ("node_disk_io_time_weighted_seconds_total", r#"device="sda""#, 12.0),
    ("node_disk_read_time_seconds_total", r#"device="sda""#, 3.0),
    ("node_disk_write_time_seconds_total", r#"device="sda""#, 0.0),
    ("node_disk_reads_completed_total", r#"device="sda""#, 60.0),
    ("node_disk_writes_completed_total", r#"device="sda""#, 1.0),
    ("node_pressure_io_stalled_seconds_total", "", 0.2),
    ("node_softnet_times_squeezed_total", r#"cpu="0",instance="a""#, 100.0),
    ("node_softnet_times_squeezed_total", r#"cpu="0",instance="b""#, 1.0),
    ("node_softnet_times_squeezed_total", r#"cpu="0",instance="c""#, 1.0),
    ("node_softnet_times_squeezed_total", r#"cpu="0",instance="d""#, 1.0),
    ("node_softnet_times_squeezed_total", r#"cpu="0",instance="e""#, 1.0),
    ("node_nf_conntrack_stat_insert_failed", "", 1.0),
    ("node_nf_conntrack_stat_drop", "", 1.0),
    ("node_memory_numa_local_node_total", r#"node="0""#, 700.0),
    ("node_memory_numa_local_node_total", r#"node="1""#, 100.0),
    ("node_memory_numa_other_node_total", r#"node="0""#, 100.0),
    ("node_memory_numa_other_node_total", r#"node="1""#, 100.0),
    ("kubelet_cpu_manager_pinning_errors_total", "", 0.01),
    ("kubelet_topology_manager_admission_errors_total", "", 0.01),
    ("rest_client_requests_total", r#"code="200""#, 8.0),
    ("rest_client_requests_total", r#"code="503""#, 2.0),
    ("apiserver_flowcontrol_rejected_requests_total", r#"priority_level="leader-election",reason="queue-full""#, 1.0),
    ("apiserver_request_terminations_total", "", 5.0),
    ("apiserver_admission_webhook_rejection_count", r#"name="check.policy.io",error_type="calling_webhook_error""#, 1.0),
    ("apiserver_admission_webhook_request_total", r#"name="check.policy.io",code="200""#, 4.0),
    ("apiserver_admission_webhook_fail_open_count", r#"name="check.policy.io""#, 0.1),
    ("coredns_panics_total", "", 0.1),
    ("coredns_forward_max_concurrent_rejects_total", "", 0.1),
    ("etcd_mvcc_db_total_size_in_bytes", "", 100_000.0),
    ("kubelet_evictions", r#"eviction_signal="memory.available""#, 0.1),
    (
        "nginx_ingress_controller_requests",
        r#"host="shop.example.com",ingress="shop",status="200",exported_namespace="pay",exported_service="web",service="nginx""#,
        50.0,
    ),
    ("typha_connections_dropped", "", 0.1),
    ("rest_client_requests_total", r#"code="401""#, 1.0),
    ("coredns_proxy_request_duration_seconds_count", r#"to="10.0.0.2:53",rcode="NOERROR""#, 9.0),
    ("coredns_proxy_request_duration_seconds_count", r#"to="10.0.0.2:53",rcode="SERVFAIL""#, 1.0),
    ("etcd_network_peer_sent_failures_total", r#"To="2""#, 1.0),
    ("taint_eviction_controller_pod_deletions_total", "", 0.1),
    ("prometheus_rule_evaluation_failures_total", r#"rule_group="g""#, 0.1),
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
    ("kubelet_volume_stats_available_bytes", r#"namespace="pay",persistentvolumeclaim="data-db-0""#, 1e9),
    ("etcd_server_quota_backend_bytes", "", 2e9),
    ("apiserver_current_inflight_requests", r#"request_kind="mutating""#, 3.0),
    ("apiserver_flowcontrol_current_executing_seats", r#"priority_level="global-default""#, 9.0),
    ("apiserver_flowcontrol_current_limit_seats", r#"priority_level="global-default""#, 10.0),
    ("scheduler_pending_pods", r#"queue="unschedulable""#, 70.0),
    ("workqueue_depth", r#"name="deployment""#, 4.0),
    ("ipam_allocations_in_use", r#"ippool="default""#, 240.0),
    ("ipam_ippool_size", r#"ippool="default""#, 256.0),
    ("container_memory_rss", r#"namespace="pay",pod="checkout-1",container="app""#, 20e6),
    ("container_spec_cpu_quota", r#"namespace="pay",pod="bursts-0",container="app""#, 100_000.0),
    ("container_spec_cpu_period", r#"namespace="pay",pod="bursts-0",container="app""#, 100_000.0),
    ("node_cpu_scaling_governor", r#"cpu="0",governor="powersave""#, 1.0),
    ("node_cpu_scaling_governor", r#"cpu="0",governor="performance""#, 0.0),
    ("node_cpu_scaling_frequency_hertz", r#"cpu="0""#, 2e9),
    ("node_cpu_frequency_max_hertz", r#"cpu="0""#, 3e9),
    ("nginx_ingress_controller_config_last_reload_successful", r#"controller_pod="ingress-1""#, 0.0),
    ("typha_client_latency_secs", r#"quantile="0.99""#, 3.0),
    ("jvm_memory_max_bytes", r#"namespace="pay",pod="bursts-0",area="heap",id="old""#, 900.0),
    ("container_spec_memory_limit_bytes", r#"namespace="pay",pod="bursts-0",container="app""#, 1000.0),
    ("go_sched_gomaxprocs_threads", r#"namespace="pay",pod="bursts-0""#, 8.0),
    ("typha_connections_active", r#"instance="a""#, 100.0),
    ("typha_connections_active", r#"instance="b""#, 20.0),
    ("kube_pod_container_status_last_terminated_reason", r#"namespace="pay",pod="checkout-1",container="app",reason="OOMKilled""#, 1.0),
    ("kube_horizontalpodautoscaler_status_current_replicas", r#"namespace="pay",horizontalpodautoscaler="web""#, 10.0),
    ("kube_horizontalpodautoscaler_spec_max_replicas", r#"namespace="pay",horizontalpodautoscaler="web""#, 10.0),
    ("container_memory_working_set_bytes", r#"namespace="kube-system",pod="kube-apiserver-1",container="kube-apiserver""#, 1e9),
    ("machine_memory_bytes", "", 10e9),
    ("workqueue_longest_running_processor_seconds", r#"name="deployment""#, 400.0),
    ("kubelet_certificate_manager_client_ttl_seconds", "", 172_800.0),
    ("ipam_allocations_gc_candidates", r#"ippool="default""#, 24.0),
    ("ipam_allocations_borrowed", r#"ippool="default""#, 60.0),
    ("ipam_blocks", r#"ippool="default",node="n9""#, 2.0),
    ("kube_node_info", r#"node="n1""#, 1.0),
    ("aggregator_unavailable_apiservice", r#"name="v1beta1.metrics.k8s.io""#, 1.0),
    ("kubelet_container_log_filesystem_used_bytes", r#"namespace="pay",pod="checkout-1",container="app""#, 3e9),
    ("node_processes_threads", "", 800.0),
    ("node_processes_max_processes", "", 32_768.0),
    ("node_processes_max_threads", "", 8000.0),
    ("node_nf_conntrack_entries", r#"instance="a""#, 100.0),
    ("node_nf_conntrack_entries", r#"instance="b""#, 100.0),
    ("node_nf_conntrack_entries", r#"instance="c""#, 100.0),
    ("node_nf_conntrack_entries", r#"instance="d""#, 100.0),
];
/// Each with all of its observations between 0.1 and 0.5.
const HISTOGRAMS: &[(&str, &str)] = &[
    ("kubelet_pleg_relist_duration_seconds", ""),
    ("apiserver_request_duration_seconds", r#"verb="LIST""#),
    ("etcd_request_duration_seconds", r#"operation="get""#),
    ("etcd_disk_wal_fsync_duration_seconds", ""),
    ("apiserver_admission_webhook_admission_duration_seconds", r#"name="check.policy.io""#),
    ("scheduler_scheduling_attempt_duration_seconds", r#"result="scheduled""#),
    ("coredns_dns_request_duration_seconds", r#"server="dns://:53",zone="cluster.local.""#),
    ("coredns_proxy_request_duration_seconds", r#"to="10.0.0.2:53""#),
    ("apiserver_flowcontrol_request_wait_duration_seconds", r#"priority_level="global-default""#),
];

/// A workload of the lab's, and its namespace, that is said to have been smaller in a VM.
const MOVED: &str = "moved";

fn moved() -> Value {
    let labels = json!({"app": MOVED});
    let app = json!({"name": "app", "image": "registry.internal/app:1",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MOVED}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": MOVED, "namespace": MOVED,
                "annotations": {"quarterdeck.io/vm-baseline": "cpu=500m,requests=100,memory=50Mi"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [app]}}}}]})
}

/// So long it was before the test began: rules look back. Whole minutes.
const BEFORE: i64 = 3 * 3600;
/// So long before that many answers became redirects.
const SHIFTED: f64 = 1000.0;

/// Every series and its value after so many seconds, at a time (unix seconds).
fn series(seconds: f64, at: f64) -> Vec<(String, String, f64)> {
    let mut out = Vec::new();
    let mut line = |name: &str, labels: &str, value: f64| out.push((name.to_owned(), labels.to_owned(), value));
    for (name, labels, rate) in COUNTERS {
        // Of seconds fractions count.
        line(name, labels, if name.contains("_seconds_") { rate * seconds } else { (rate * seconds).floor() });
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
    line("kubelet_pleg_last_seen_seconds", "", at - 3.0);
    let began = at - seconds + BEFORE as f64;
    line("nginx_ingress_controller_config_last_reload_successful_timestamp_seconds", r#"controller_pod="ingress-1""#, began - SHIFTED);
    let redirects = 0.5 * seconds + 50.0 * (seconds - (BEFORE as f64 - SHIFTED)).max(0.0);
    let host = r#"host="shop.example.com",ingress="shop",status="302",exported_namespace="pay",exported_service="web",service="nginx""#;
    line("nginx_ingress_controller_requests", host, redirects.floor());
    // A minute of work in ten.
    let worked = (seconds / 600.0).floor() * 54.0 + (seconds % 600.0).min(60.0) * 0.9;
    line("container_cpu_usage_seconds_total", r#"namespace="pay",pod="bursts-0",container="app""#, worked);
    // Three workloads whose pods on n1 do four times the work for as many bytes, and one of the lab's that does next to nothing.
    let mut pod = |namespace: &str, workload: &str, n: usize, node: &str, cpu: f64, request: f64| {
        let letter = |n: usize| ["b", "c", "d", "f", "g"][n % 5];
        let pod = format!(r#"namespace="{namespace}",pod="{workload}-7c9d8f6b5d-x2x{}{}""#, letter(n / 5), letter(n));
        let container = format!(r#"{pod},container="app""#);
        line("container_cpu_usage_seconds_total", &container, cpu * seconds);
        line("container_memory_working_set_bytes", &container, 1e8);
        line("container_memory_rss", &container, 9e7);
        line("container_network_receive_bytes_total", &pod, (1e5 * seconds).floor());
        line("kube_pod_info", &format!(r#"{pod},node="{node}""#), 1.0);
        line("kube_pod_start_time", &pod, 1.0);
        line("kube_pod_container_resource_requests", &format!(r#"{container},resource="cpu""#), request);
        line("kube_pod_container_resource_requests", &format!(r#"{container},resource="memory""#), 1e9);
    };
    for n in 0..5 {
        let (node, cpu) = if n == 0 { ("n1", 0.8) } else { ("n2", 0.2) };
        ["web", "api", "cart"].iter().for_each(|workload| pod("pay", workload, n, node, cpu, 0.1));
    }
    // Two that came from a VM: they use three times what they ask for.
    (0..2).for_each(|n| pod(MOVED, MOVED, n, "n3", 0.3, 0.1));
    // As many as that has.
    (0..20).for_each(|n| pod("team-01", "app-0001", n, "n3", 0.04, 1.0));
    out
}

/// The page after so many seconds.
fn page(seconds: f64) -> String {
    let at = jiff::Timestamp::now().as_second() as f64;
    series(seconds, at).iter().map(|(name, labels, value)| format!("{name}{{{labels}}} {value}\n")).collect()
}

/// What such a page would have said every minute before `began` (unix seconds, a whole minute), as Prometheus keeps it.
fn history(target: &str, began: i64, tsdb: &Path) {
    let mut text = String::new();
    for at in (began - BEFORE..began).step_by(60) {
        for (name, labels, value) in series((at - (began - BEFORE)) as f64, at as f64) {
            let mut labels = labels;
            for (label, own) in [("instance", target), ("job", "page")] {
                if !labels.contains(&format!("{label}=")) {
                    labels.push_str(&format!("{}{label}=\"{own}\"", if labels.is_empty() { "" } else { "," }));
                }
            }
            text.push_str(&format!("{name}{{{labels}}} {value} {at}\n"));
        }
    }
    text.push_str("# EOF\n");
    let file = tsdb.with_extension("txt");
    std::fs::write(&file, text).unwrap();
    let out = Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics"]).args([&file, tsdb]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
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
        // What was before ends at a whole minute.
        let now = jiff::Timestamp::now().as_second();
        let began = now / 60 * 60;
        let (clock, head) = (Instant::now(), (BEFORE + now - began) as f64);
        std::thread::spawn(move || {
            for stream in pages.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.read(&mut [0; 4096]);
                let body = page(head + clock.elapsed().as_secs_f64());
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
        history(&target.to_string(), began, &path("tsdb"));
        let watchdog = json!({"alert": "Watchdog", "expr": "vector(1)"});
        let waits = json!({"alert": "QdWaits", "expr": "vector(1)", "for": "1h", "labels": {"severity": "warning"}});
        std::fs::write(path("rules.json"), json!({"groups": [{"name": "g", "interval": "1s", "rules": [waits, watchdog]}]}).to_string())
            .unwrap();
        let job = |name: &str, at: String| json!({"job_name": name, "honor_labels": true, "static_configs": [{"targets": [at]}]});
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
        .filter(|r| r["metric"]["pod"].is_null() || r["metric"]["pod"] == "checkout-1")
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
    lab.apply(CONTEXT, &moved());
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
        // Some queries have a row for each of several things.
        let all = rows.iter().filter(|r| r["name"] == name);
        let fits = |r: &Value| r["value"].as_f64().is_some_and(|v| v >= least && v <= most) && r["status"] == status;
        assert!(all.clone().any(fits), "{name} is no {least} to {most}, {status}: {:?}", all.collect::<Vec<_>>());
    };
    near("cpu-throttled", 0.6, 0.75, "critical");
    near("memory-of-limit", 0.979, 0.981, "critical");
    near("filesystem-use", 0.959, 0.961, "critical");
    near("volume-use", 0.899, 0.901, "warning");
    near("api-latency", 0.4, 0.5, "ok");
    near("api-errors", 0.08, 0.1, "critical");
    near("dns-errors", 0.08, 0.12, "critical");
    near("etcd-fsync", 0.4, 0.5, "critical");
    near("calico-ipam", 0.93, 0.94, "warning");
    near("pleg-last-seen", 2.0, 60.0, "ok");
    assert_eq!((&row("cpu-throttled")["of"], &row("cpu-throttled")["namespace"]), (&json!("pay/checkout-1 app"), &json!("pay")));
    assert_eq!(row("alerts-pending")["of"], "QdWaits severity=warning");
    assert!(row("targets-down")["of"].as_str().unwrap().contains("gone"));
    near("cpu-burst", 0.85, 0.95, "warning");
    near("node-costs-more", 3.0, 3.0, "warning");
    near("pod-skew", 3.8, 4.2, "warning");
    // Of the lab's own workload; the others ask for less than they use.
    let spare = |name: &str, least: f64, most: f64| {
        let row = rows.iter().find(|r| r["name"] == name && r["labels"]["workload"] == "app-0001");
        let row = row.unwrap_or_else(|| panic!("{name}: {rows:?}"));
        assert!(row["value"].as_f64().is_some_and(|v| v >= least && v <= most) && row["status"] == "ok", "{row}");
    };
    spare("cpu-spare", 19.1, 19.3);
    spare("replicas-spare", 18.0, 18.0);
    near("answers-shifted", 0.45, 0.5, "warning");
    near("dns-nxdomain", 0.58, 0.62, "warning");
    near("numa-remote", 0.19, 0.21, "warning");
    near("client-errors", 0.18, 0.22, "warning");
    near("webhook-errors", 0.24, 0.26, "critical");
    near("api-terminated", 0.07, 0.1, "warning");
    near("volume-fills", 0.899, 0.901, "ok");
    near("disk-await", 0.045, 0.055, "warning");
    near("node-space", 0.959, 0.961, "ok");
    near("node-fills", 0.95, 0.97, "ok");
    near("oom-peak", 0.979, 0.981, "ok");
    near("hpa-hours", 3600.0, 14_400.0, "ok");
    // 5 of 55 answers in both windows.
    near("api-budget", 1.4, 1.6, "critical");
    near("api-budget-days", 2.9, 9.5, "warning");
    near("client-refused", 0.8, 1.2, "ok");
    near("volume-days", 0.899, 0.901, "ok");
    near("dns-upstream-failing", 0.09, 0.11, "warning");
    near("kubelet-certificates", 431_999.0, 432_001.0, "warning");
    near("calico-blocks", 0.09, 0.26, "warning");
    near("calico-lost-blocks", 2.0, 2.0, "warning");
    near("jvm-heap", 0.899, 0.901, "warning");
    near("cpus-believed", 8.0, 8.0, "warning");
    near("typha-uneven", 1.66, 1.67, "warning");
    near("api-aggregation", 1.0, 1.0, "warning");
    near("ephemeral-use", 3e9, 3e9, "warning");
    near("conntrack-uneven", 7.9, 8.1, "warning");
    every_rule_over_queries_finds_something(lab, &room, config);
    lab.kubectl(CONTEXT, &["delete", "namespace", MOVED, "--wait=false"]);
    // The pane, and what it says when the server is gone.
    let args = ["--screen", "signals", "--context", CONTEXT, "--config", config];
    let mut term = Term::open(&args, room.env(&lab.kubeconfig()), SIZE.0, SIZE.1);
    term.line(30, &[CONTEXT, "CPU throttled", "pay/checkout-1 app", "critical"]);
    drop(prometheus);
    term.line(90, &[CONTEXT, "signals", "old"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

/// Each of these rules has a finding here. A volume that stands still at 90 % would be as it should be.
fn every_rule_over_queries_finds_something(lab: &Lab, room: &Room, config: &str) {
    let own = std::fs::read_to_string(config).unwrap();
    let text: String = JUDGED.iter().map(|(rule, set)| format!("[thresholds.{rule}]\n{set}\n")).collect();
    let path = room.path("at-once.toml");
    std::fs::write(
        &path,
        own + &text + "[[query]]\nname = 'api-latency'\nwarning = 0.3\n[[query]]\nname = 'volume-use'\ncritical = 0.89\n",
    )
    .unwrap();
    let args = ["inspect", "--context", CONTEXT, "--config", path.to_str().unwrap(), "-o", "json"];
    until("each of these rules to find something", Duration::from_secs(60), || {
        let (report, _, said) = room.json(&lab.kubeconfig(), &args);
        let found = |rule: &str| report["items"].as_array().is_some_and(|all| all.iter().any(|i| i["rule"] == rule));
        let silent: Vec<&str> = JUDGED.iter().map(|(rule, _)| *rule).filter(|rule| !found(rule)).collect();
        if silent.is_empty() { Ok(()) } else { Err(format!("{silent:?}: {said}\n{:#}", report["clusters"][0]["not_evaluated"])) }
    });
}

/// The rules that find something in what this page says, and what they are set to for that.
const JUDGED: &[(&str, &str)] = &[
    ("aggregated-api-down", ""),
    ("apiserver-saturated", "after = '0s'"),
    ("apiserver-slow", "after = '0s'"),
    ("calico-ipam-exhausted", "after = '0s'"),
    ("calico-typha-overload", "after = '0s'"),
    ("conntrack-near-full", "after = '0s'"),
    ("coredns-degraded", "after = '0s'"),
    ("cpu-governor-slow", "after = '0s'"),
    ("cpu-limit-below-burst", "after = '0s'"),
    ("dns-cache-missing", "after = '0s'"),
    ("dns-ndots-amplification", "after = '0s'"),
    ("eviction-storm", ""),
    ("ingress-redirect-shift", "after = '0s'"),
    ("monitoring-blind", "after = '1m'\ngone-after = '1m'"),
    ("node-io-saturated", "after = '0s'"),
    ("node-peer-outlier", "after = '0s'"),
    ("page-cache-inflation", "after = '0s'"),
    ("pod-load-skew", "after = '0s'"),
    ("replicas-excess", "full-from = '1000%'"),
    ("requests-too-high", "age = '0s'\ncpu-from = 100"),
    ("scheduler-backlog", "after = '0s'"),
    ("usage-denominator-shift", "after = '0s'"),
    ("vm-baseline-drift", "after = '0s'"),
    ("volume-nearly-full", "after = '0s'"),
];
