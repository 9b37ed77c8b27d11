//! Rules on a real cluster: every one of `tests/shown/table.rs` that the lab shows finds something in one inspection.
//!
//! The causes are what `lab fault` and `lab kinds` have made, and what is made here and taken away again.

use super::support::lab::{CONTEXTS, Lab, Room, now, until};
use super::support::runner::{Test, test};
use quarterdeck::model::etcd_act::snapshot_name;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use table::By;

#[path = "../shown/table.rs"]
mod table;

const CONTEXT: &str = CONTEXTS[0];
const OTHER: &str = CONTEXTS[1];
const NS: &str = "shown";
const DAY: i64 = 86_400;

pub const TESTS: &[Test] = &[test!(rules_find_their_causes_in_one_inspection)];

fn at(secs: i64) -> String {
    jiff::Timestamp::from_second(secs).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn workload(kind: &str, name: &str, labels: &Value, spec: Value) -> Value {
    let selector = json!({"app": name});
    let mut out = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NS, "labels": labels},
        "spec": {"selector": {"matchLabels": selector}, "template": {"metadata": {"labels": selector}, "spec": spec}}});
    if kind == "Deployment" {
        out["spec"]["replicas"] = json!(2);
    }
    out
}

fn spec(image: &str, resources: Value) -> Value {
    json!({"containers": [{"name": "app", "image": image, "resources": resources}]})
}

fn asks() -> Value {
    json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}})
}

fn scaler(name: &str, target: &str, least: i64, most: i64) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name, "namespace": NS},
        "spec": {"minReplicas": least, "maxReplicas": most, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]}})
}

fn ingress(name: &str, to: &str, settings: Value) -> Value {
    let backend = json!({"service": {"name": to, "port": {"number": 80}}});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": NS, "annotations": settings},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": "shown.example.com",
            "http": {"paths": [{"path": format!("/{name}"), "pathType": "Prefix", "backend": backend}]}}]}})
}

/// A node that the scheduler leaves alone where it is tainted.
fn node(name: &str, labels: Value, (cpu, memory, pods): (&str, &str, &str), kubelet: &str, tainted: bool) -> Value {
    let room = json!({"cpu": cpu, "memory": memory, "pods": pods});
    let taints = json!([{"key": NS, "effect": "NoSchedule"}]);
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "spec": {"taints": if tainted { taints } else { json!([]) }},
        "status": {"capacity": room, "allocatable": room, "nodeInfo": {"kubeletVersion": kubelet, "kernelVersion": "5.10.0",
            "containerRuntimeVersion": "containerd://2.1.4", "osImage": "Debian GNU/Linux 12", "architecture": "amd64", "operatingSystem": "linux",
            "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": ""}}})
}

fn bound(name: &str, node: &str, resources: Value) -> Value {
    let mut spec = spec("registry.internal/app:1", resources);
    spec["nodeName"] = json!(node);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NS}, "spec": spec})
}

fn objects(hostname: &str) -> Value {
    let (core, none) = (json!({"tier": "core"}), json!({}));
    let mut together = spec("registry.internal/app:1", asks());
    together["affinity"] = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "together"}}}]}});
    let mut agent = spec("registry.internal/calico-node:1", asks());
    agent["nodeSelector"] = json!({"kubernetes.io/hostname": hostname});
    let budget = |name: &str| {
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": NS},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "served"}}}})
    };
    let like_the_others = json!({"kubernetes.io/hostname": "node-shown", "node.kubernetes.io/instance-type": "bm-64c-256g"});
    let scheduler = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kube-scheduler-shown", "namespace": "kube-system",
            "labels": {"app": "kube-scheduler-shown", "component": "kube-scheduler", "tier": "control-plane"},
            "annotations": {"kubernetes.io/config.mirror": "shown", "kubernetes.io/config.source": "file"}},
        "spec": {"nodeName": "node-shown", "containers": [{"name": "app", "image": "registry.internal/kube-scheduler:1"}]}});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}},
        workload("Deployment", "served", &core, spec("registry.internal/app:1", asks())),
        workload("Deployment", "latest", &none, spec("registry.internal/app:latest", none.clone())),
        workload("Deployment", "together", &none, together),
        workload("Deployment", "unpulled", &none, spec("registry.internal/app:1", asks())),
        workload("DaemonSet", "calico-node", &none, agent),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "served", "namespace": NS},
            "spec": {"selector": {"app": "served"}, "ports": [{"port": 80, "targetPort": 8080, "appProtocol": "grpc"}]}},
        ingress("a", "served", json!({"nginx.ingress.kubernetes.io/ssl-redirect": "false"})),
        ingress("b", "served", json!({"nginx.ingress.kubernetes.io/ssl-redirect": "true"})),
        scaler("blind", "latest", 2, 4),
        scaler("fixed", "served", 2, 2),
        scaler("nowhere", "gone", 2, 4),
        budget("one"),
        budget("other"),
        node("node-shown", like_the_others, ("64", "256Gi", "2"), "v1.31.0", true),
        bound("first", "node-shown", asks()),
        bound("second", "node-shown", asks()),
        scheduler,
    ]})
}

/// A node without which the other cluster has no room: where there is one, no node of its cluster can be spared.
fn large() -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}},
        node("node-shown", json!({"kubernetes.io/hostname": "node-shown"}), ("100k", "256Gi", "110"), "v1.31.4", false),
        bound("greedy", "node-shown", json!({"requests": {"cpu": "90k"}})),
    ]})
}

fn pods(lab: &Lab, namespace: &str, app: &str) -> Vec<String> {
    let wanted = ["get", "pods", "-n", namespace, "-l", &format!("app={app}"), "--field-selector", "status.phase=Running", "-o", "name"];
    lab.kubectl(CONTEXT, &wanted).lines().map(str::to_owned).collect()
}

/// The one container of an app's pods is so, as its kubelet would say.
fn stands(lab: &Lab, namespace: &str, app: &str, container: &Value) {
    let all = until(&format!("{app} to run"), Duration::from_secs(60), || {
        let all = pods(lab, namespace, app);
        if all.is_empty() { Err("no pod".to_owned()) } else { Ok(all) }
    });
    let mut one = json!({"name": "app", "image": "i", "imageID": "", "ready": false, "restartCount": 0});
    one.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    let ready = ["Ready", "ContainersReady"].map(|c| json!({"type": c, "status": "False", "lastTransitionTime": at(now() - 900)}));
    let patch = json!({"status": {"containerStatuses": [one], "conditions": ready}}).to_string();
    for pod in all {
        lab.kubectl(CONTEXT, &["patch", "-n", namespace, &pod, "--subresource", "status", "--type", "merge", "-p", &patch]);
    }
}

/// A kubeconfig whose certificate lives for eighty minutes, of which twenty are left.
fn nearly_expired(lab: &Lab, room: &Room) -> PathBuf {
    let [certificate, key] = lab.client_certificate(CONTEXT, "shown", 20 * 60);
    let file = |name: &str, text: &str| {
        std::fs::write(room.path(name), text).unwrap();
        room.path(name)
    };
    let (certificate, key) = (file("client.crt", &certificate), file("client.key", &key));
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(lab.kubeconfig()).unwrap()).unwrap();
    let user = config["users"].as_array_mut().unwrap().iter_mut().find(|u| u["name"] == format!("{CONTEXT}-admin")).unwrap();
    user["user"] = json!({"client-certificate": certificate, "client-key": key});
    file("kubeconfig", &config.to_string())
}

/// One look is enough, etcd is known, and its newest snapshot is of the day before yesterday.
fn settings(lab: &Lab, room: &Room) -> PathBuf {
    let etcd: Value = serde_json::from_str(&std::fs::read_to_string(lab.file(CONTEXT, "etcd.json")).unwrap()).unwrap();
    let kept = room.path("kept");
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join(snapshot_name(CONTEXT, now() - 2 * DAY)), "").unwrap();
    let lines = ["ca", "cert", "key"].map(|name| format!("{name} = {}\n", etcd[name])).concat();
    let own = format!("[clusters.{CONTEXT}.etcd]\nendpoints = {}\nsnapshots = {kept:?}\n{lines}", etcd["endpoints"]);
    std::fs::write(room.path("qd.toml"), format!("new_for = '1s'\n{}{own}", table::at_once())).unwrap();
    room.path("qd.toml")
}

fn rules_find_their_causes_in_one_inspection(lab: &Lab) {
    let room = Room::new();
    let hostname =
        lab.kubectl(CONTEXT, &["get", "nodes", "-l", "node.kubernetes.io/instance-type", "-o", "jsonpath={.items[0].metadata.name}"]);
    lab.apply(CONTEXT, &objects(&hostname));
    lab.apply(OTHER, &large());
    let killed = json!({"terminated": {"exitCode": 137, "reason": "Error", "startedAt": at(now() - 300), "finishedAt": at(now() - 60)}});
    stands(lab, NS, "calico-node", &json!({"state": {"running": {"startedAt": at(now() - 50)}}, "lastState": killed, "restartCount": 3}));
    stands(lab, "kube-system", "kube-scheduler-shown", &json!({"state": {"running": {"startedAt": at(now() - 50)}}}));
    stands(lab, NS, "unpulled", &json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}));
    let (kubeconfig, config) = (nearly_expired(lab, &room), settings(lab, &room));
    let wanted = table::shown(|by| by == By::Lab);
    until("every rule that the lab shows to find something", Duration::from_secs(120), || {
        let args = ["inspect", "--context", CONTEXT, "--context", OTHER, "--config", config.to_str().unwrap(), "-o", "json"];
        let (report, code, said) = room.json(&kubeconfig, &args);
        let items = report["items"].as_array().ok_or_else(|| format!("code {code}: {said}"))?;
        let found: BTreeSet<&str> = items.iter().filter_map(|i| i["rule"].as_str()).collect();
        let silent: Vec<_> = wanted.iter().filter(|rule| !found.contains(**rule)).collect();
        if silent.is_empty() { Ok(()) } else { Err(format!("{silent:?} find nothing; {}", report["clusters"][0]["not_evaluated"])) }
    });
    for context in [CONTEXT, OTHER] {
        lab.kubectl(context, &["delete", "namespace", NS, "--wait=false"]);
        lab.kubectl(context, &["delete", "node", "node-shown"]);
    }
    lab.kubectl(CONTEXT, &["delete", "pod", "-n", "kube-system", "kube-scheduler-shown", "--grace-period=0", "--force"]);
}
