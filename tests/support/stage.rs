//! A namespace of a lab's cluster in which verbs are tried, and what `qd` says while they are.

use super::lab::{Lab, Room, until};
use serde_json::{Value, json};
use std::time::Duration;

/// The cluster that is acted on.
pub const CONTEXT: &str = "lab-1";

/// A namespace of its own, which goes when the test ends, and a state directory.
pub struct Stage<'a> {
    pub lab: &'a Lab,
    pub room: Room,
    namespace: &'static str,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.lab.kubectl(CONTEXT, &["delete", "namespace", self.namespace, "--wait=true", "--timeout=120s", "--ignore-not-found"]);
    }
}

/// What a command did: its exit code, its events, what it said to people.
pub struct Did {
    pub line: String,
    pub code: i32,
    pub events: Vec<Value>,
    pub stderr: String,
}

impl Did {
    pub fn outcome(&self) -> &str {
        self.events.iter().rev().find(|e| e["event"] == "outcome").and_then(|e| e["outcome"].as_str()).unwrap_or("none")
    }
    pub fn done(self) -> Self {
        assert_eq!((self.code, self.outcome()), (0, "done"), "qd {}: {:#?}\n{}", self.line, self.events, self.stderr);
        self
    }
    pub fn plan(&self) -> &Value {
        self.events.iter().find(|e| e["event"] == "plan").unwrap_or(&Value::Null)
    }
    pub fn notes(&self) -> String {
        self.plan()["notes"].as_array().into_iter().flatten().filter_map(|n| n["text"].as_str()).collect::<Vec<_>>().join("\n")
    }
}

impl<'a> Stage<'a> {
    pub fn new(lab: &'a Lab, namespace: &'static str, objects: &[Value]) -> Self {
        let stage = Self { lab, room: Room::new(), namespace };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        lab.apply(CONTEXT, &namespace);
        if !objects.is_empty() {
            lab.apply(CONTEXT, &json!({"apiVersion": "v1", "kind": "List", "items": objects}));
        }
        stage
    }
    pub fn qd(&self, line: &str) -> Did {
        let common = ["--context", CONTEXT, "-n", self.namespace, "-o", "json", "--yes"];
        let args: Vec<&str> = line.split(' ').chain(common).collect();
        let out = self.room.qd(&self.lab.kubeconfig(), &args);
        let text = String::from_utf8_lossy(&out.stdout);
        let events = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        Did { line: line.to_owned(), code: out.status.code().unwrap_or(-1), events, stderr }
    }
    pub fn get(&self, object: &str) -> Value {
        serde_json::from_str(&self.lab.kubectl(CONTEXT, &["get", "-n", self.namespace, object, "-o", "json"])).unwrap()
    }
    /// What a person has a say in: the spec, and annotations but those that controllers count in.
    pub fn said(&self, object: &str) -> Value {
        let live = self.get(object);
        let mut annotations = live["metadata"]["annotations"].clone();
        if let Some(map) = annotations.as_object_mut() {
            map.remove("deployment.kubernetes.io/revision");
            map.remove("deprecated.daemonset.template.generation");
        }
        let annotations = if annotations.as_object().is_none_or(|m| m.is_empty()) { Value::Null } else { annotations };
        json!({"spec": live["spec"], "annotations": annotations})
    }
    pub fn exists(&self, object: &str) -> bool {
        !self.lab.kubectl(CONTEXT, &["get", "-n", self.namespace, object, "--ignore-not-found", "-o", "name"]).trim().is_empty()
    }
    pub fn pods(&self, label: &str) -> Vec<Value> {
        let list: Value =
            serde_json::from_str(&self.lab.kubectl(CONTEXT, &["get", "pods", "-n", self.namespace, "-l", label, "-o", "json"])).unwrap();
        list["items"].as_array().unwrap().clone()
    }
    /// Waits until a workload has that many ready pods.
    pub fn ready(&self, object: &str, n: i64) {
        until(&format!("{object} to be ready"), Duration::from_secs(60), || match self.get(object)["status"]["readyReplicas"].as_i64() {
            Some(ready) if ready == n => Ok(()),
            is => Err(format!("{is:?} of {n}")),
        });
    }
    /// Does it, then takes it back: what kubectl sees after is given to `after`, and in the end all is as before.
    pub fn there_and_back(&self, line: &str, object: &str, after: impl Fn(&Value)) -> Did {
        let before = self.said(object);
        let did = self.qd(line).done();
        let then = self.said(object);
        assert_ne!(then, before, "{line}");
        after(&then);
        self.qd("undo last").done();
        assert_eq!(self.said(object), before, "after undo of {line}");
        did
    }
}
