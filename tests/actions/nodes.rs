//! Nodes, pods and objects: the real eviction API, budgets, scheduler and controllers.

use crate::support::lab::{Lab, until};
use crate::support::runner::{Test, tests};
use crate::support::stage::{self, Begun, CONTEXT, Stage, manifests};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] = tests![
    a_node_is_cordoned_and_tainted_and_is_again_as_it_was,
    of_two_hundred_pods_one_is_blocked_and_all_others_leave,
    two_nodes_one_after_the_other_have_each_their_own_time,
    a_drain_that_was_killed_is_seen_and_gone_on_with,
    a_drain_whose_terminal_went_away_stops_safely,
    a_pod_that_cannot_end_is_named_with_its_finalizer,
    pods_are_evicted_and_deleted,
    labels_and_annotations_go_there_and_back,
    an_edit_keeps_what_others_changed_and_refuses_the_same_field,
    manifests_are_applied_and_their_conflicts_named,
    no_secret_of_an_edit_is_kept_or_shown,
];

const NAMESPACE: &str = "acts";
const NODE: &str = "qd-acts-node";
const OTHER: &str = "qd-acts-other";

/// A node of the lab's own kind for a test, which goes when it ends.
struct Node<'a>(&'a Lab, &'static str);

impl<'a> Node<'a> {
    fn new(lab: &'a Lab) -> Self {
        Self::named(lab, NODE)
    }
    fn named(lab: &'a Lab, name: &'static str) -> Self {
        lab.apply(
            CONTEXT,
            &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "type": "kwok"},
                "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"}},
                "status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "250"}, "capacity": {"cpu": "64", "memory": "256Gi", "pods": "250"}}}),
        );
        let node = Self(lab, name);
        until("the node to be Ready", Duration::from_secs(30), || {
            let live = node.get();
            let ready =
                live["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
            let taints = live["spec"]["taints"].as_array().map_or(0, Vec::len);
            if ready && taints == 0 { Ok(()) } else { Err(format!("{}", live["spec"])) }
        });
        node
    }
    fn get(&self) -> Value {
        serde_json::from_str(&self.0.kubectl(CONTEXT, &["get", "node", self.1, "-o", "json"])).unwrap()
    }
    /// Those of the test: DaemonSets of the lab come to every node.
    fn pods(&self) -> Vec<String> {
        let field = format!("spec.nodeName={}", self.1);
        let list = self.0.kubectl(CONTEXT, &["get", "pods", "-n", NAMESPACE, "--field-selector", &field, "-o", "name"]);
        list.lines().map(str::to_owned).collect()
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        self.0.kubectl(CONTEXT, &["delete", "node", self.1, "--ignore-not-found"]);
    }
}

/// Pods that start on the node, and may go anywhere.
fn deployment(app: &str, replicas: i64) -> Value {
    let mut made = stage::deployment(NAMESPACE, app, replicas);
    made["spec"]["template"]["spec"]["affinity"] = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "preference": {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE, OTHER]}]}}]}});
    made
}

fn budget(app: &str, allowed: i64) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": app, "namespace": NAMESPACE},
        "spec": {"maxUnavailable": allowed, "selector": {"matchLabels": {"app": app}}}})
}

/// Waits until `qd` would see the budget as its controller has it.
fn settled(stage: &Stage, app: &str) {
    until("the budget's status", Duration::from_secs(30), || match stage.get(&format!("pdb/{app}"))["status"]["expectedPods"].as_i64() {
        Some(n) if n > 0 => Ok(()),
        n => Err(format!("{n:?}")),
    });
}

fn a_node_is_cordoned_and_tainted_and_is_again_as_it_was(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[]);
    let node = Node::new(lab);
    let spec = || {
        let live = node.get();
        (live["spec"].clone(), live["metadata"]["annotations"].clone())
    };
    let before = spec();
    stage.qd(&format!("cordon {NODE}")).done();
    assert_eq!(node.get()["spec"]["unschedulable"], true);
    assert!(stage.qd(&format!("cordon {NODE}")).done().plan().is_null(), "it is so already");
    stage.qd("undo last").done();
    assert_eq!(spec(), before);
    stage.qd(&format!("taint {NODE} maintenance=now:NoSchedule")).done();
    assert_eq!(node.get()["spec"]["taints"], json!([{"effect": "NoSchedule", "key": "maintenance", "value": "now"}]));
    stage.qd("undo last").done();
    assert_eq!(spec(), before);
}

fn of_two_hundred_pods_one_is_blocked_and_all_others_leave(lab: &Lab) {
    let node = Node::new(lab);
    let stage = Stage::new(lab, NAMESPACE, &[deployment("many", 199), deployment("db", 1), budget("db", 0)]);
    stage.ready("deployment/many", 199);
    stage.ready("deployment/db", 1);
    settled(&stage, "db");
    let here = node.pods().len();
    assert!(here >= 150, "only {here} pods came to the node");
    let plan = stage.qd(&format!("drain {NODE} --dry-run"));
    assert_eq!(plan.plan()["verdict"], "blocks on pdb acts/db", "named before: {:#?}", plan.events);
    let blast = &plan.plan()["blast"][0];
    assert_eq!(blast["pods"], here);
    assert_eq!(blast["placement"]["unplaced"], json!([]), "the rest of the lab has room");
    assert_eq!(node.get()["spec"]["unschedulable"], Value::Null, "a dry run cordons nothing");
    let mut drain = stage.begin(&format!("drain {NODE} --context {CONTEXT} -o json --yes"));
    let blocked = drain.until("blocked", |e| e["state"] == "blocked" && e["text"].as_str().is_some_and(|t| t.contains("acts/db-")));
    assert!(blocked["why"].as_str().unwrap().contains("budget db"), "named during: {blocked}");
    until("every other pod to leave", Duration::from_secs(120), || match node.pods().as_slice() {
        [left] if left.contains("/db-") => Ok(()),
        left => Err(format!("{} are left", left.len())),
    });
    drain.signal(Signal::INT);
    let did = drain.end();
    assert_eq!((did.code, did.outcome()), (5, "cancelled"), "{}", did.stderr);
    assert_eq!(stage.jobs()[0]["state"], "cancelled");
    assert_eq!(node.get()["spec"]["unschedulable"], true, "it stays cordoned");
    stage.ready("deployment/many", 199);
    stage.qd("undo last").done();
    assert_eq!(node.get()["spec"]["unschedulable"], Value::Null);
}

fn two_nodes_one_after_the_other_have_each_their_own_time(lab: &Lab) {
    let nodes = [Node::named(lab, NODE), Node::named(lab, OTHER)];
    let mut apps = ["db", "mq"].map(|app| deployment(app, 1));
    for (app, node) in apps.iter_mut().zip([NODE, OTHER]) {
        app["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["preference"]["matchExpressions"]
            [0]["values"] = json!([node]);
    }
    let [db, mq] = apps;
    let stage = Stage::new(lab, NAMESPACE, &[deployment("many", 20), db, budget("db", 0), mq, budget("mq", 0)]);
    stage.ready("deployment/many", 20);
    for app in ["db", "mq"] {
        stage.ready(&format!("deployment/{app}"), 1);
        settled(&stage, app);
    }
    let did = stage.qd(&format!("drain {NODE} {OTHER} --timeout 7s"));
    assert_eq!((did.code, did.outcome()), (5, "blocked"), "{}", did.stderr);
    for (node, app) in nodes.iter().zip(["db", "mq"]) {
        let left = node.pods();
        assert!(left.len() == 1 && left[0].contains(&format!("/{app}-")), "of {} all but the blocked one leave: {left:?}", node.1);
        assert_eq!(node.get()["spec"]["unschedulable"], true);
    }
    stage.qd("undo last").done();
    assert!(nodes.iter().all(|n| n.get()["spec"]["unschedulable"].is_null()));
}

/// `qd drain` in the background, once its blocked pod was told.
fn blocked_drain(stage: &Stage) -> Begun {
    let mut drain = stage.begin(&format!("drain {NODE} --context {CONTEXT} -o json --yes"));
    drain.until("blocked", |e| e["state"] == "blocked");
    drain
}

fn one_blocked<'a>(lab: &'a Lab) -> (Node<'a>, Stage<'a>) {
    let node = Node::new(lab);
    let stage = Stage::new(lab, NAMESPACE, &[deployment("many", 5), deployment("db", 1), budget("db", 0)]);
    stage.ready("deployment/many", 5);
    stage.ready("deployment/db", 1);
    settled(&stage, "db");
    (node, stage)
}

fn a_drain_that_was_killed_is_seen_and_gone_on_with(lab: &Lab) {
    let (node, stage) = one_blocked(lab);
    let drain = blocked_drain(&stage);
    assert_eq!(stage.jobs()[0]["state"], "running", "another process sees that somebody works on it");
    drain.signal(Signal::KILL);
    assert_eq!(drain.end().outcome(), "none");
    let job = stage.jobs()[0].clone();
    assert_eq!((&job["state"], &job["resumable"]), (&json!("interrupted"), &json!(true)), "{job}");
    lab.kubectl(CONTEXT, &["delete", "pdb", "db", "-n", NAMESPACE]);
    stage.qd(&format!("resume {}", job["job"].as_str().unwrap())).done();
    assert!(node.pods().is_empty(), "{:?}", node.pods());
    assert_eq!(stage.jobs()[0]["resumable"], false, "once is enough");
    let again = stage.qd(&format!("resume {}", job["job"].as_str().unwrap()));
    assert_ne!(again.code, 0);
    assert_eq!(node.get()["spec"]["unschedulable"], true, "the job that was killed had cordoned it");
    stage.qd("undo last").done();
    assert_eq!(node.get()["spec"]["unschedulable"], Value::Null, "both are taken back as one deed");
}

fn a_drain_whose_terminal_went_away_stops_safely(lab: &Lab) {
    let (node, stage) = one_blocked(lab);
    let drain = blocked_drain(&stage);
    drain.signal(Signal::HUP);
    assert_eq!(drain.end().code, 5);
    let job = stage.jobs()[0].clone();
    assert_eq!((&job["state"], &job["why"]), (&json!("cancelled"), &json!("the terminal went away")), "{job}");
    assert_eq!(node.get()["spec"]["unschedulable"], true, "and the node says where it stopped");
    stage.qd("undo last").done();
    assert_eq!(node.get()["spec"]["unschedulable"], Value::Null);
}

fn a_pod_that_cannot_end_is_named_with_its_finalizer(lab: &Lab) {
    let node = Node::new(lab);
    let mut stuck = deployment("stuck", 1);
    stuck["spec"]["template"]["metadata"]["finalizers"] = json!(["quarterdeck.io/test"]);
    let stage = Stage::new(lab, NAMESPACE, &[stuck]);
    stage.ready("deployment/stuck", 1);
    let did = stage.qd(&format!("drain {NODE} --timeout 8s"));
    assert_eq!((did.code, did.outcome()), (5, "blocked"), "{:#?}", did.events);
    assert!(did.events.iter().any(|e| e["why"].as_str().is_some_and(|w| w.contains("finalizer quarterdeck.io/test"))), "{:#?}", did.events);
    for pod in node.pods() {
        lab.kubectl(CONTEXT, &["patch", &pod, "-n", NAMESPACE, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    }
    lab.kubectl(CONTEXT, &["delete", "deployment", "stuck", "-n", NAMESPACE]);
    for pod in stage.pods("app=stuck") {
        let name = format!("pod/{}", pod["metadata"]["name"].as_str().unwrap());
        lab.kubectl(CONTEXT, &["patch", &name, "-n", NAMESPACE, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    }
}

fn pods_are_evicted_and_deleted(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("web", 3), budget("web", 1)]);
    stage.ready("deployment/web", 3);
    settled(&stage, "web");
    let name = |stage: &Stage| stage.pods("app=web")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    for verb in ["evict", "delete"] {
        let pod = name(&stage);
        stage.qd(&format!("{verb} pod/{pod} --confirm {CONTEXT}")).done();
        assert!(!stage.exists(&format!("pod/{pod}")), "{verb}");
        stage.ready("deployment/web", 3);
    }
    let refused = stage.qd("undo last");
    assert!(refused.code != 0 && refused.stderr.contains("no job can be undone"), "{}", refused.stderr);
    let did = stage.qd(&format!("delete deployment/web --confirm {CONTEXT}")).done();
    assert!(did.notes().contains("goes with it: 3 pods, ReplicaSet web-"), "{}", did.notes());
    assert!(!stage.exists("deployment/web"));
}

fn labels_and_annotations_go_there_and_back(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("web", 1)]);
    stage.ready("deployment/web", 1);
    let labels = || stage.get("deployment/web")["metadata"]["labels"].clone();
    let before = labels();
    stage.qd("label deployment/web owner=pay tier=core").done();
    assert_eq!(labels()["owner"], "pay");
    let refused = stage.qd("label deployment/web owner=shop");
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    stage.qd("undo last").done();
    assert_eq!(labels(), before);
    stage.there_and_back("annotate deployment/web note=checked", "deployment/web", |now| assert_eq!(now["annotations"]["note"], "checked"));
}

fn an_edit_keeps_what_others_changed_and_refuses_the_same_field(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("web", 2)]);
    stage.ready("deployment/web", 2);
    let mut edited = stage.get("deployment/web");
    edited["spec"]["minReadySeconds"] = 3.into();
    let path = manifests(&edited.to_string());
    stage.there_and_back(&format!("edit deployment/web --file {}", path.path().display()), "deployment/web", |now| {
        assert_eq!(now["spec"]["minReadySeconds"], 3);
    });
    edited["spec"]["nonsense"] = true.into();
    let path = manifests(&edited.to_string());
    let refused = stage.qd(&format!("edit deployment/web --file {}", path.path().display()));
    assert_eq!(refused.outcome(), "refused", "{:#?}", refused.events);
    assert!(refused.events.iter().any(|e| e.to_string().contains("unknown field")), "{:#?}", refused.events);
}

fn manifests_are_applied_and_their_conflicts_named(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[]);
    let new = manifests(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: '1'}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\ndata: {a: '1'}\n",
    );
    stage.qd(&format!("apply -f {}", new.path().display())).done();
    assert_eq!(stage.get("configmap/two")["data"]["a"], "1");
    stage.qd("undo last").done();
    assert!(!stage.exists("configmap/one") && !stage.exists("configmap/two"), "what was made is deleted again");
    lab.kubectl(CONTEXT, &["apply", "--server-side", "--field-manager=other", "-n", NAMESPACE, "-f", new.path().to_str().unwrap()]);
    let other = manifests("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: '2'}\n");
    let line = format!("apply -f {}", other.path().display());
    let refused = stage.qd(&line);
    assert_eq!((refused.code, refused.outcome()), (4, "refused"), "{:#?}", refused.events);
    assert!(refused.events.iter().any(|e| e.to_string().contains("conflict with \\\"other\\\"")), "{:#?}", refused.events);
    stage.qd(&format!("{line} --force-conflicts")).done();
    assert_eq!(stage.get("configmap/one")["data"]["a"], "2");
    stage.qd("undo last").done();
    assert_eq!(stage.get("configmap/one")["data"]["a"], "1");
}

fn no_secret_of_an_edit_is_kept_or_shown(lab: &Lab) {
    const CANARY: &str = "Q2FuYXJ5LTQ3MTEx";
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": NAMESPACE}, "data": {"token": "b2xk"}});
    let stage = Stage::new(lab, NAMESPACE, &[secret]);
    let mut edited = stage.get("secret/s");
    edited["data"]["token"] = CANARY.into();
    let path = manifests(&edited.to_string());
    let did = stage.qd(&format!("edit secret/s --file {}", path.path().display())).done();
    assert_eq!(stage.get("secret/s")["data"]["token"], CANARY, "it was sent");
    let said = format!("{:?}{}", did.events, did.stderr);
    let audit = stage.room.qd(&lab.kubeconfig(), &["audit", "-o", "json"]).stdout;
    let audit = String::from_utf8(audit).unwrap();
    assert!(audit.contains("sha256:") && audit.contains("edit secret"), "{audit}");
    for (what, text) in [("what was said", said), ("the audit log", audit)] {
        for secret in [CANARY, "b2xk"] {
            assert!(!text.contains(secret), "{what} has {secret}: {text}");
        }
    }
    assert!(!stage.kept().contains(CANARY), "the state directory has it");
}
