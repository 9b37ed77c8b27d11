//! Nodes of a test's own, which no other pod comes to: what fits on them is known.

use super::lab::{Lab, until};
use serde_json::{Value, json};
use std::time::Duration;

/// They go when the test ends.
pub struct Pool<'a> {
    lab: &'a Lab,
    context: &'static str,
    name: &'static str,
    nodes: Vec<String>,
}

impl<'a> Pool<'a> {
    /// One node for each zone and amount of CPU.
    pub fn new(lab: &'a Lab, context: &'static str, name: &'static str, nodes: &[(&str, &str)]) -> Self {
        let pool = Self { lab, context, name, nodes: (0..nodes.len()).map(|n| format!("qd-{name}-{n}")).collect() };
        let node = |(at, (zone, cpu)): (usize, &(&str, &str))| {
            let room = json!({"cpu": cpu, "memory": "64Gi", "pods": "250"});
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": pool.nodes[at], "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
                "labels": {"kubernetes.io/hostname": pool.nodes[at], "type": "kwok", "pool": name, "topology.kubernetes.io/zone": zone}},
                "spec": {"taints": [{"key": "pool", "value": name, "effect": "NoSchedule"}]}, "status": {"allocatable": room, "capacity": room}})
        };
        lab.apply(context, &json!({"apiVersion": "v1", "kind": "List", "items": nodes.iter().enumerate().map(node).collect::<Vec<_>>()}));
        for at in 0..nodes.len() {
            until("a node of the pool to be Ready", Duration::from_secs(30), || {
                let live = pool.live(at);
                let ready =
                    live["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
                if ready && live["spec"]["taints"].as_array().map_or(0, Vec::len) == 1 { Ok(()) } else { Err(live["spec"].to_string()) }
            });
        }
        pool
    }
    pub fn node(&self, at: usize) -> &str {
        &self.nodes[at]
    }
    pub fn live(&self, at: usize) -> Value {
        serde_json::from_str(&self.lab.kubectl(self.context, &["get", "node", &self.nodes[at], "-o", "json"])).unwrap()
    }
    pub fn cordoned(&self, at: usize) -> bool {
        self.live(at)["spec"]["unschedulable"] == true
    }
    /// The names of a namespace's pods on a node.
    pub fn pods(&self, at: usize, namespace: &str) -> Vec<String> {
        let field = format!("spec.nodeName={}", self.nodes[at]);
        let list = self.lab.kubectl(self.context, &["get", "pods", "-n", namespace, "--field-selector", &field, "-o", "name"]);
        list.lines().map(str::to_owned).collect()
    }
    /// A workload for the pool, which would rather start on that node.
    pub fn deployment(&self, namespace: &str, app: &str, replicas: i64, cpu: &str, at: usize) -> Value {
        let mut made = super::stage::deployment(namespace, app, replicas);
        made["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": cpu, "memory": "64Mi"});
        let spec = made["spec"]["template"]["spec"].as_object_mut().unwrap();
        spec.extend(self.only_here(at));
        made
    }
    /// What makes a pod go to the pool, and rather to that node.
    pub fn only_here(&self, at: usize) -> serde_json::Map<String, Value> {
        let terms = json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [self.nodes[at]]}]}}]});
        let tolerations = json!([{"key": "pool", "value": self.name, "effect": "NoSchedule"}]);
        let spec =
            [("nodeSelector", json!({"pool": self.name})), ("tolerations", tolerations), ("affinity", json!({"nodeAffinity": terms}))];
        spec.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        let names: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        self.lab.kubectl(self.context, &[&["delete", "node", "--ignore-not-found"], names.as_slice()].concat());
    }
}
