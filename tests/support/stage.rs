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
    context: &'static str,
    namespace: &'static str,
    /// Its name is used again: the next one waits until it is gone.
    again: bool,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let wait = if self.again { "--wait=true" } else { "--wait=false" };
        self.lab.kubectl(self.context, &["delete", "namespace", self.namespace, wait, "--timeout=120s", "--ignore-not-found"]);
    }
}

/// What a command did: its exit code, its events, what it said to people.
pub struct Did {
    pub line: String,
    pub code: i32,
    pub events: Vec<Value>,
    pub stdout: String,
    pub stderr: String,
}

impl Did {
    /// It ended with that code, and said so.
    #[track_caller]
    pub fn is(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, code, "qd {}: {}{}", self.line, self.stdout, self.stderr);
        assert!(
            self.stdout.contains(words) || self.stderr.contains(words),
            "qd {}: no {words:?} in {}{}",
            self.line,
            self.stdout,
            self.stderr
        );
        self
    }
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
        let mut stage = Self::at(lab, CONTEXT, namespace, objects);
        stage.again = true;
        stage
    }
    /// In a cluster, in a namespace whose name no other test has: its end is not waited for.
    pub fn at(lab: &'a Lab, context: &'static str, namespace: &'static str, objects: &[Value]) -> Self {
        let stage = Self { lab, room: Room::new(), context, namespace, again: false };
        until("the namespace of an earlier run to be gone", Duration::from_secs(60), || {
            let phase = lab.kubectl(context, &["get", "namespace", namespace, "--ignore-not-found", "-o", "jsonpath={.status.phase}"]);
            if phase == "Terminating" { Err(phase) } else { Ok(()) }
        });
        lab.apply(context, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        if !objects.is_empty() {
            lab.apply(context, &json!({"apiVersion": "v1", "kind": "List", "items": objects}));
        }
        stage
    }
    pub fn qd(&self, line: &str) -> Did {
        self.typed(&format!("{line} --context {} -n {} -o json --yes", self.context, self.namespace))
    }
    /// With these arguments and no others.
    pub fn typed(&self, line: &str) -> Did {
        self.typed_by(&self.lab.kubeconfig(), line)
    }
    /// The same as somebody else.
    pub fn typed_by(&self, kubeconfig: &std::path::Path, line: &str) -> Did {
        let args: Vec<&str> = line.split(' ').collect();
        let out = self.room.qd(kubeconfig, &args);
        let text = String::from_utf8_lossy(&out.stdout);
        let events = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        Did { line: line.to_owned(), code: out.status.code().unwrap_or(-1), events, stdout: text.into_owned(), stderr }
    }
    pub fn get(&self, object: &str) -> Value {
        serde_json::from_str(&self.lab.kubectl(self.context, &["get", "-n", self.namespace, object, "-o", "json"])).unwrap()
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
        !self.lab.kubectl(self.context, &["get", "-n", self.namespace, object, "--ignore-not-found", "-o", "name"]).trim().is_empty()
    }
    pub fn pods(&self, label: &str) -> Vec<Value> {
        let list: Value =
            serde_json::from_str(&self.lab.kubectl(self.context, &["get", "pods", "-n", self.namespace, "-l", label, "-o", "json"]))
                .unwrap();
        list["items"].as_array().unwrap().clone()
    }
    /// Waits until a workload has that many ready pods.
    pub fn ready(&self, object: &str, n: i64) {
        until(&format!("{object} to be ready"), Duration::from_secs(60), || match self.get(object)["status"]["readyReplicas"].as_i64() {
            Some(ready) if ready == n => Ok(()),
            is => Err(format!("{is:?} of {n}")),
        });
    }
    /// Waits until an object is so.
    pub fn until(&self, object: &str, what: &str, so: impl Fn(&Value) -> bool) {
        until(&format!("{object} {what}"), Duration::from_secs(60), || {
            let live = self.get(object);
            if so(&live) { Ok(()) } else { Err(live["status"].to_string()) }
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
