//! A namespace of a lab's cluster in which verbs are tried, and what `qd` says while they are.

use super::lab::{Lab, QD, Room, until};
use serde_json::{Value, json};
use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The cluster that is acted on.
pub const CONTEXT: &str = "lab-1";

/// A Deployment of small pods that end soon, labelled `app`.
pub fn deployment(namespace: &str, app: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "namespace": namespace}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": app}}, "template": template(app)}})
}

/// The pods of it.
pub fn template(app: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "app", "image": "registry.internal/app:1", "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}}]}})
}

/// A file of manifests.
pub fn manifests(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

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

/// A command that runs in the background.
pub struct Begun {
    line: String,
    child: Child,
    told: mpsc::Receiver<String>,
    stdout: String,
    stderr: tempfile::NamedTempFile,
}

impl Begun {
    /// Waits until it tells of something.
    #[track_caller]
    pub fn until(&mut self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.told.recv_timeout(left) else { panic!("qd {}: never {what}\n{}", self.line, self.stdout) };
            self.stdout.push_str(&line);
            if let Ok(event) = serde_json::from_str(&line)
                && so(&event)
            {
                return event;
            }
        }
    }
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }
    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Did {
        while let Ok(line) = self.told.recv_timeout(Duration::from_secs(90)) {
            self.stdout.push_str(&line);
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let stderr = std::fs::read_to_string(self.stderr.path()).unwrap();
        Did::new(&self.line, code, std::mem::take(&mut self.stdout), stderr)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
    fn new(line: &str, code: i32, stdout: String, stderr: String) -> Self {
        let events = stdout.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        Self { line: line.to_owned(), code, events, stdout, stderr }
    }
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
        until("the namespace of an earlier run to be gone", Duration::from_secs(180), || {
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
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Did::new(line, out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
    }
    /// Begins it in the background.
    pub fn begin(&self, line: &str) -> Begun {
        let stderr = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new(QD)
            .args(line.split(' '))
            .env_clear()
            .envs(self.room.env(&self.lab.kubeconfig()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        // What nobody waits for is read all the same, or the child would wait.
        std::thread::spawn(move || {
            let mut line = String::new();
            while out.read_line(&mut line).is_ok_and(|n| n > 0) {
                let _ = tell.send(std::mem::take(&mut line));
            }
        });
        Begun { line: line.to_owned(), child, told, stdout: String::new(), stderr }
    }
    /// The jobs that `qd jobs` tells of, oldest first.
    pub fn jobs(&self) -> Vec<Value> {
        self.room.json(&self.lab.kubeconfig(), &["jobs", "-o", "json"]).0["items"].as_array().unwrap().clone()
    }
    /// Everything that is in the state directory.
    pub fn kept(&self) -> String {
        let (mut folders, mut kept) = (vec![self.room.state()], String::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    kept.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()));
                }
            }
        }
        kept
    }
    pub fn get(&self, object: &str) -> Value {
        serde_json::from_str(&self.lab.kubectl(self.context, &["get", "-n", self.namespace, object, "-o", "json"])).unwrap()
    }
    /// What a person has a say in: spec, data, labels, and of annotations and taints those that no controller writes. Null when it is gone.
    pub fn said(&self, object: &str) -> Value {
        self.said_in(self.namespace, object)
    }
    /// The same of an object in another namespace.
    pub fn said_in(&self, namespace: &str, object: &str) -> Value {
        let text = self.lab.kubectl(self.context, &["get", "-n", namespace, object, "--ignore-not-found", "-o", "json"]);
        if text.trim().is_empty() {
            return Value::Null;
        }
        let live: Value = serde_json::from_str(&text).unwrap();
        let (mut annotations, mut spec) = (live["metadata"]["annotations"].clone(), live["spec"].clone());
        if let Some(map) = annotations.as_object_mut() {
            map.retain(|k, _| k != "deployment.kubernetes.io/revision" && k != "deprecated.daemonset.template.generation");
        }
        if let Some(taints) = spec.get_mut("taints").and_then(Value::as_array_mut) {
            taints.retain(|t| t["key"].as_str().is_none_or(|k| !k.starts_with("node.kubernetes.io/")));
        }
        if spec.get("taints").is_some_and(|t| t.as_array().is_none_or(Vec::is_empty)) {
            spec.as_object_mut().unwrap().remove("taints");
        }
        let filled = |v: &Value| v.as_object().is_some_and(|m| !m.is_empty());
        let annotations = if filled(&annotations) { annotations } else { Value::Null };
        json!({"spec": spec, "annotations": annotations, "labels": live["metadata"]["labels"], "data": live["data"]})
    }
    /// The names of a kind's objects.
    pub fn names(&self, resource: &str) -> Value {
        self.names_in(self.namespace, resource)
    }
    /// The same in another namespace.
    pub fn names_in(&self, namespace: &str, resource: &str) -> Value {
        let list = self.lab.kubectl(self.context, &["get", "-n", namespace, resource, "-o", "name"]);
        let mut names: Vec<&str> = list.lines().collect();
        names.sort_unstable();
        json!(names)
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

/// Objects of no namespace, which go when the test ends.
pub struct Made<'a> {
    lab: &'a Lab,
    objects: Vec<String>,
}

impl<'a> Made<'a> {
    /// Waits until those of an earlier run are gone.
    pub fn new(lab: &'a Lab, objects: &[Value]) -> Self {
        let name = |o: &Value| format!("{}/{}", o["kind"].as_str().unwrap(), o["metadata"]["name"].as_str().unwrap());
        let made = Self { lab, objects: objects.iter().map(name).collect() };
        until("the objects of an earlier run to be gone", Duration::from_secs(60), || {
            let left = lab.kubectl(CONTEXT, &[&["get", "--ignore-not-found", "-o", "name"], made.names().as_slice()].concat());
            if left.trim().is_empty() { Ok(()) } else { Err(left) }
        });
        lab.apply(CONTEXT, &json!({"apiVersion": "v1", "kind": "List", "items": objects}));
        made
    }
    fn names(&self) -> Vec<&str> {
        self.objects.iter().map(String::as_str).collect()
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        self.lab.kubectl(CONTEXT, &[&["delete", "--ignore-not-found", "--wait=false"], self.names().as_slice()].concat());
    }
}

/// A kind of the test's own with `/scale`, in version v1; it goes when the test ends.
pub struct Definition<'a> {
    lab: &'a Lab,
    name: String,
}

impl<'a> Definition<'a> {
    pub fn new(lab: &'a Lab, group: &str, version: &str, kind: &str) -> Self {
        Self::at(lab, group, version, kind, "replicas")
    }
    /// One whose number is in that field of its spec.
    pub fn at(lab: &'a Lab, group: &str, version: &str, kind: &str, field: &str) -> Self {
        let singular = kind.to_lowercase();
        let plural = format!("{singular}s");
        let made = Self { lab, name: format!("{plural}.{group}") };
        let scale = json!({"specReplicasPath": format!(".spec.{field}"), "statusReplicasPath": ".status.replicas"});
        let fields = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"spec": {"type": "object",
            "x-kubernetes-preserve-unknown-fields": true, "properties": {field: {"type": "integer"}}}}});
        lab.apply(
            CONTEXT,
            &json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": made.name},
                "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List")},
                    "versions": [{"name": version, "served": true, "storage": true, "subresources": {"status": {}, "scale": scale}, "schema": {"openAPIV3Schema": fields}}]}}),
        );
        until("the kind to be served", Duration::from_secs(30), || {
            let out = lab.try_kubectl(CONTEXT, &["get", &made.name, "-A"]);
            if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
        });
        made
    }
}

impl Drop for Definition<'_> {
    fn drop(&mut self) {
        self.lab.kubectl(CONTEXT, &["delete", "crd", &self.name, "--wait=true", "--timeout=60s", "--ignore-not-found"]);
    }
}
