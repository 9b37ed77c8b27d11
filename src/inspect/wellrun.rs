//! Twenty workloads as they should be (`tests/wellrun`), running: no rule has anything against them that is worse than info.

use super::Severity;
use super::fixture::{Fleet, NOW, ago, node, slice};
use crate::model::{Cron, Delta, Kind, KindState, Time};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const NODES: usize = 6;
const OLD: i64 = 40 * 86_400;

/// The manifests, in the order of the files.
fn documents() -> Vec<(Kind, Value)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wellrun");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for part in text.split("\n---\n") {
            let value: Value = serde_saphyr::from_str(part).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            // Kinds that nothing here reads are theirs who read the manifests otherwise.
            all.extend(Kind::parse(value["kind"].as_str().unwrap()).map(|kind| (kind, value)));
        }
    }
    all
}

/// A cluster in which they run as they are meant to.
struct World {
    fleet: Fleet,
    objects: BTreeMap<Kind, Vec<Value>>,
    next: usize,
}

fn metadata(doc: &Value, name: &str, kind: Kind, owner: Option<(Kind, &str)>) -> Value {
    let namespace = doc["metadata"]["namespace"].as_str().unwrap();
    let uid = |kind: Kind, name: &str| format!("{}/{namespace}/{name}", kind.plural());
    let mut meta = json!({"name": name, "namespace": namespace, "uid": uid(kind, name), "creationTimestamp": ago(OLD), "generation": 2});
    if let Some((kind, owner)) = owner {
        meta["ownerReferences"] = json!([{"kind": kind.name(), "name": owner, "uid": uid(kind, owner), "controller": true}]);
    }
    meta
}

impl World {
    fn put(&mut self, kind: Kind, value: Value) {
        self.objects.entry(kind).or_default().push(value);
    }

    fn pods(&mut self, doc: &Value, template: &Value, owner: (Kind, &str), names: impl Iterator<Item = String>) {
        for name in names {
            let mut meta = metadata(doc, &name, Kind::Pod, Some(owner));
            meta["labels"] = template["metadata"]["labels"].clone();
            let mut spec = template["spec"].clone();
            spec["nodeName"] = json!(format!("node-{}", self.next % NODES));
            self.next += 1;
            let class = spec["priorityClassName"].as_str().unwrap_or_default();
            spec["priority"] = json!(if class.starts_with("system-") {
                2_000_000_000
            } else if class.is_empty() {
                0
            } else {
                1_000_000
            });
            let status = |c: &Value| json!({"name": c["name"], "ready": true, "started": true, "restartCount": 0, "state": {"running": {"startedAt": ago(OLD)}}});
            let statuses: Vec<Value> = spec["containers"].as_array().unwrap().iter().map(status).collect();
            let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
                .map(|c| json!({"type": c, "status": "True", "lastTransitionTime": ago(OLD)}));
            let pod = json!({"metadata": meta, "spec": spec, "status": {"phase": "Running", "qosClass": "Burstable", "startTime": ago(OLD), "containerStatuses": statuses, "conditions": conditions}});
            self.put(Kind::Pod, pod);
        }
    }

    fn labelled(&self, doc: &Value, app: &Value) -> usize {
        let of = |p: &&Value| p["metadata"]["labels"]["app"] == *app && p["metadata"]["namespace"] == doc["metadata"]["namespace"];
        self.objects[&Kind::Pod].iter().filter(of).count()
    }

    fn run(&mut self, kind: Kind, doc: &Value) {
        let name = doc["metadata"]["name"].as_str().unwrap();
        let mut object = doc.clone();
        object["metadata"] = metadata(doc, name, kind, None);
        object["metadata"]["labels"] = doc["metadata"]["labels"].clone();
        let n = doc["spec"]["replicas"].as_i64().unwrap_or(NODES as i64);
        let template = &doc["spec"]["template"];
        match kind {
            Kind::Deployment => {
                let set = format!("{name}-5d9c7b8f6");
                let condition =
                    |c: &str, reason: &str| json!({"type": c, "status": "True", "reason": reason, "lastTransitionTime": ago(OLD)});
                object["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "2"});
                object["status"] = json!({"observedGeneration": 2, "replicas": n, "updatedReplicas": n, "readyReplicas": n, "availableReplicas": n,
                    "conditions": [condition("Available", "MinimumReplicasAvailable"), condition("Progressing", "NewReplicaSetAvailable")]});
                let mut owned = metadata(doc, &set, Kind::ReplicaSet, Some((kind, name)));
                owned["annotations"] = json!({"deployment.kubernetes.io/revision": "2"});
                self.put(
                    Kind::ReplicaSet,
                    json!({"metadata": owned, "spec": {"replicas": n, "selector": doc["spec"]["selector"], "template": template},
                    "status": {"replicas": n, "readyReplicas": n, "availableReplicas": n, "observedGeneration": 2}}),
                );
                self.pods(doc, template, (Kind::ReplicaSet, &set), (0..n).map(|i| format!("{set}-x{i}")));
            }
            Kind::StatefulSet => {
                object["status"] = json!({"observedGeneration": 2, "replicas": n, "updatedReplicas": n, "readyReplicas": n, "availableReplicas": n, "currentReplicas": n, "currentRevision": "a", "updateRevision": "a"});
                self.pods(doc, template, (kind, name), (0..n).map(|i| format!("{name}-{i}")));
                for i in 0..n {
                    let meta = metadata(doc, &format!("data-{name}-{i}"), Kind::Claim, None);
                    self.put(
                        Kind::Claim,
                        json!({"metadata": meta, "spec": doc["spec"]["volumeClaimTemplates"][0]["spec"], "status": {"phase": "Bound"}}),
                    );
                }
            }
            Kind::DaemonSet => {
                object["status"] = json!({"observedGeneration": 2, "desiredNumberScheduled": n, "currentNumberScheduled": n, "numberReady": n, "numberAvailable": n, "updatedNumberScheduled": n, "numberMisscheduled": 0});
                self.pods(doc, template, (kind, name), (0..n).map(|i| format!("{name}-x{i}")));
            }
            Kind::CronJob => {
                let cron = Cron::parse(doc["spec"]["schedule"].as_str().unwrap()).unwrap();
                let last =
                    std::iter::successors(cron.next(NOW - 8 * 86_400), |at| cron.next(*at)).take_while(|at| *at < NOW).last().unwrap();
                let at = |secs: i64| Time::from_secs(last + secs).unwrap().rfc3339();
                object["status"] = json!({"lastScheduleTime": at(0), "lastSuccessfulTime": at(120)});
            }
            Kind::Job => {
                object["status"] = json!({"succeeded": 2, "startTime": ago(9000), "completionTime": ago(8000), "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": ago(8000)}]});
            }
            Kind::Service => {
                let pods = self.labelled(doc, &doc["spec"]["selector"]["app"]);
                let mut slice = slice(name, pods, 0);
                slice["metadata"] = metadata(doc, &format!("{name}-x"), Kind::EndpointSlice, None);
                slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": name});
                self.put(Kind::EndpointSlice, slice);
            }
            Kind::Pdb => {
                let app = &doc["spec"]["selector"]["matchLabels"]["app"];
                let pods = self.labelled(doc, app);
                assert!(pods > 1, "{app}: a budget of nothing");
                object["status"] = json!({"observedGeneration": 2, "disruptionsAllowed": 1, "currentHealthy": pods, "desiredHealthy": pods - 1, "expectedPods": pods});
            }
            Kind::Hpa => {
                let n = doc["spec"]["minReplicas"].as_i64().unwrap();
                let condition = |c: &str, status: &str, reason: &str| json!({"type": c, "status": status, "reason": reason, "lastTransitionTime": ago(OLD)});
                object["status"] = json!({"currentReplicas": n, "desiredReplicas": n, "lastScaleTime": ago(9000),
                    "conditions": [condition("AbleToScale", "True", "ReadyForNewScale"), condition("ScalingActive", "True", "ValidMetricFound"), condition("ScalingLimited", "False", "DesiredWithinRange")],
                    "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 55, "averageValue": "250m"}}}]});
            }
            _ => {}
        }
        self.put(kind, object);
    }
}

fn nodes() -> impl Iterator<Item = Value> {
    (0..NODES).map(|n| {
        let name = format!("node-{n}");
        let mut node = node(&name, "True", OLD);
        node["metadata"]["creationTimestamp"] = json!(ago(OLD));
        let zone = ["a", "b", "c"][n % 3];
        node["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name});
        node["status"]["conditions"][0]["reason"] = json!("KubeletReady");
        node["status"]["capacity"] = json!({"cpu": "16", "memory": "64Gi", "pods": "110"});
        node["status"]["allocatable"] = json!({"cpu": "15500m", "memory": "60Gi", "pods": "110"});
        node["status"]["nodeInfo"] = json!({"kernelVersion": "6.12.0", "osImage": "Linux", "containerRuntimeVersion": "containerd://2.0.1", "kubeletVersion": "v1.36.1", "operatingSystem": "linux", "architecture": "amd64"});
        node
    })
}

fn fleet(change: impl Fn(Kind, &mut Value)) -> Fleet {
    let mut world = World { fleet: Fleet::default(), objects: BTreeMap::new(), next: 0 };
    // What counts pods comes last.
    let mut all = documents();
    all.sort_by_key(|(kind, _)| matches!(kind, Kind::Pdb | Kind::Service));
    for (kind, mut doc) in all {
        change(kind, &mut doc);
        world.run(kind, &doc);
    }
    let namespaces: BTreeSet<String> =
        world.objects[&Kind::Pod].iter().map(|p| p["metadata"]["namespace"].as_str().unwrap().to_owned()).collect();
    for name in namespaces {
        world.put(Kind::Namespace, json!({"metadata": {"name": name, "uid": name}, "status": {"phase": "Active"}}));
    }
    for kind in [Kind::Node, Kind::Event].into_iter().chain(world.objects.keys().copied()) {
        world.fleet.delta(0, Delta::KindState(kind, KindState::Live));
    }
    world.fleet.put(Kind::Node, nodes());
    let kinds =
        [Kind::Namespace, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::CronJob, Kind::Job, Kind::ReplicaSet, Kind::Pod];
    for kind in kinds {
        let objects = world.objects.remove(&kind).unwrap_or_default();
        world.fleet.put(kind, objects);
    }
    for (kind, objects) in world.objects {
        world.fleet.put(kind, objects);
    }
    for _ in 0..4 {
        world.fleet.wait(900);
    }
    world.fleet
}

/// The findings of a severity and above: rule, object, what it says.
fn found(fleet: &Fleet, least: Severity) -> Vec<String> {
    let text = |f: &super::Finding| {
        let at = f.place().map(|o| format!("{} {}/{}", o.kind.name(), o.namespace, o.name)).unwrap_or_default();
        format!("{} {} {at}: {}", f.severity.word(), f.rule.id, f.message)
    };
    let mut all: Vec<String> = fleet.engine.findings().filter(|f| f.severity >= least).map(text).collect();
    all.sort();
    all
}

#[test]
fn nothing_worse_than_info_is_said_of_what_is_well_run() {
    let workloads = documents().iter().filter(|(kind, _)| Kind::WORKLOADS.contains(kind)).count();
    assert_eq!(workloads, 20);
    let fleet = fleet(|_, _| {});
    assert_eq!(found(&fleet, Severity::Warning), Vec::<String>::new());
    // What is left to know is argued here, one by one.
    let known: BTreeSet<String> = fleet.engine.findings().map(|f| f.rule.id.to_owned()).collect();
    println!("{}", found(&fleet, Severity::Info).join("\n"));
    let argued = [
        // Six nodes of 16 cores are more than these twenty need; who buys nodes may know of more to come.
        "node-binpack-low",
        // The agents of the cluster itself reach into the node, as they must.
        "privileged-or-host-access",
    ];
    assert_eq!(known.iter().map(String::as_str).collect::<Vec<_>>(), argued);
}

#[test]
fn the_same_made_carelessly_is_found() {
    let fleet = fleet(|kind, doc| {
        if !Kind::WORKLOADS.contains(&kind) {
            return;
        }
        let spec = if kind == Kind::CronJob {
            &mut doc["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        } else {
            &mut doc["spec"]["template"]["spec"]
        };
        spec["hostPID"] = json!(true);
        for field in ["topologySpreadConstraints", "automountServiceAccountToken", "serviceAccountName"] {
            spec[field] = Value::Null;
        }
        for c in spec["containers"].as_array_mut().unwrap() {
            for field in ["readinessProbe", "livenessProbe", "lifecycle", "resources"] {
                c[field] = json!(null);
            }
            c["env"] = json!([{"name": "DB_PASSWORD", "value": "hunter2"}]);
        }
    });
    let ids: BTreeSet<&str> = fleet.engine.findings().map(|f| f.rule.id).collect();
    for id in [
        "probes-missing",
        "release-not-lossless",
        "spread-policy-missing",
        "secret-in-env",
        "privileged-or-host-access",
        "sa-token-automount",
        "ephemeral-storage-unbounded",
        "resources-missing",
    ] {
        assert!(ids.contains(id), "{id} is not among {ids:?}");
    }
}
