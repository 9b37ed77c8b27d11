//! Workloads made without care on a real cluster: each rule on templates finds its own, by what the API server made of it.

use super::support::lab::{Lab, Room, until};
use super::support::runner::{Test, test};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const CONTEXT: &str = "lab-1";
const NS: &str = "careless";

pub const TESTS: &[Test] = &[test!(templates_made_without_care_are_found)];

fn workload(kind: &str, name: &str, core: bool, spec: Value) -> Value {
    let mut labels = json!({"app": name});
    if core {
        labels["tier"] = json!("core");
    }
    let mut out = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NS, "labels": labels},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": labels}, "spec": spec}}});
    if kind == "Deployment" {
        out["spec"]["replicas"] = json!(2);
    }
    out
}

fn app(more: Value) -> Value {
    let mut c = json!({"name": "app", "image": "registry.internal/app:1"});
    c.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"containers": [c]})
}

fn reads_lxcfs() -> Value {
    let mut spec = app(json!({"volumeMounts": [{"name": "meminfo", "mountPath": "/proc/meminfo"}]}));
    spec["volumes"] = json!([{"name": "meminfo", "hostPath": {"path": "/var/lib/lxcfs/proc/meminfo"}}]);
    spec
}

fn objects() -> Value {
    let mut network = app(json!({}));
    network["hostNetwork"] = json!(true);
    let class =
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "careless-high"}, "value": 1000});
    let mut high = app(json!({}));
    high["priorityClassName"] = json!("careless-high");
    let limits = json!({"limits": {"cpu": "500m", "memory": "512Mi"}});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}},
        class,
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "serves", "namespace": NS}, "spec": {"selector": {"app": "serves"}, "ports": [{"port": 80, "targetPort": 8080}]}},
        workload("Deployment", "serves", true, app(json!({"ports": [{"containerPort": 8080}]}))),
        workload("Deployment", "high", false, high),
        workload("Deployment", "network", false, network),
        workload("Deployment", "root", false, app(json!({"securityContext": {"privileged": true}}))),
        workload("Deployment", "leaks", false, app(json!({"env": [{"name": "DB_PASSWORD", "value": "hunter2-of-the-lab"}]}))),
        workload("Deployment", "go", false, app(json!({"image": "golang:1.22", "resources": limits}))),
        workload("Deployment", "java", false, app(json!({"image": "openjdk:8u181-jre", "resources": limits}))),
        workload("DaemonSet", "lxcfs", false, app(json!({"image": "registry.internal/lxcfs:6"}))),
        workload("Deployment", "reads", false, reads_lxcfs()),
    ]})
}

/// Rule and object of what is found in the namespace.
fn found(room: &Room, lab: &Lab) -> (BTreeSet<(String, String)>, String) {
    let config = room.path("qd.toml");
    std::fs::write(&config, "new_for = '1s'\n[thresholds.lxcfs-stale-mount]\nafter = '1s'\n").unwrap();
    let args = ["inspect", "--context", CONTEXT, "--config", config.to_str().unwrap(), "-n", NS, "-o", "json"];
    let (report, _, said) = room.json(&lab.kubeconfig(), &args);
    let text = report.to_string();
    let of = |f: &Value| Some((f["rule"].as_str()?.to_owned(), f["name"].as_str()?.to_owned()));
    (report["items"].as_array().unwrap_or_else(|| panic!("no items: {said}")).iter().filter_map(of).collect(), text)
}

fn templates_made_without_care_are_found(lab: &Lab) {
    let room = Room::new();
    lab.apply(CONTEXT, &objects());
    until("its pods to run", Duration::from_secs(60), || {
        let pods: Value = serde_json::from_str(&lab.kubectl(CONTEXT, &["get", "pods", "-n", NS, "-o", "json"])).unwrap();
        let running = pods["items"].as_array().unwrap().iter().filter(|p| p["status"]["phase"] == "Running").count();
        if running >= 17 { Ok(()) } else { Err(format!("{running} run")) }
    });
    // lxcfs begins anew: what was there before it holds dead files.
    lab.kubectl(CONTEXT, &["delete", "pods", "-n", NS, "-l", "app=lxcfs", "--wait=false"]);
    let expected = [
        ("probes-missing", "serves"),
        ("release-not-lossless", "serves"),
        ("spread-policy-missing", "serves"),
        ("priority-class-missing", "serves"),
        ("ephemeral-storage-unbounded", "serves"),
        ("sa-token-automount", "serves"),
        ("dns-policy-odd", "network"),
        ("privileged-or-host-access", "root"),
        ("secret-in-env", "leaks"),
        ("runtime-sees-host-cpus", "go"),
        ("jvm-heap-unaware", "java"),
    ];
    until("each rule to find its own", Duration::from_secs(90), || {
        let (found, text) = found(&room, lab);
        assert!(!text.contains("hunter2"), "the secret is in the report");
        let has = |rule: &str, name: &str| found.iter().any(|(r, n)| r == rule && n.starts_with(name));
        let missing: Vec<_> = expected.iter().chain(&[("lxcfs-stale-mount", "reads")]).filter(|(rule, name)| !has(rule, name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {found:?}")) }
    });
    lab.kubectl(CONTEXT, &["delete", "namespace", NS, "--wait=false"]);
    lab.kubectl(CONTEXT, &["delete", "priorityclass", "careless-high"]);
}
