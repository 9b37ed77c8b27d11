//! Storage of a zone: what a preview says of the pods that it keeps there, what the scheduler makes of them, and who may not look.

use crate::support::lab::{Lab, until};
use crate::support::pool::Pool;
use crate::support::runner::{Test, tests};
use crate::support::stage::{CONTEXT, Did, Made, Stage};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] =
    tests![a_drain_says_which_pods_their_storage_keeps_and_the_scheduler_agrees, a_claim_that_was_kept_ties_the_pod_that_comes_back];

/// A volume of a zone for that claim.
fn volume(namespace: &str, claim: &str, zone: &str) -> Value {
    let here = json!([{"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}]}]);
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("{namespace}-{claim}")}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
        "claimRef": {"namespace": namespace, "name": claim}, "local": {"path": "/data"}, "nodeAffinity": {"required": {"nodeSelectorTerms": here}}}})
}

fn claim(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace}, "spec": wish()})
}

fn wish() -> Value {
    json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}})
}

/// Somebody on call who may do everything to workloads and nodes, and may not read volumes.
fn on_call(name: &str) -> [Value; 2] {
    let resources = json!([
        "nodes",
        "namespaces",
        "pods",
        "pods/eviction",
        "services",
        "persistentvolumeclaims",
        "events",
        "deployments",
        "deployments/scale",
        "replicasets",
        "statefulsets",
        "statefulsets/scale",
        "daemonsets",
        "jobs",
        "cronjobs",
        "poddisruptionbudgets",
        "horizontalpodautoscalers"
    ]);
    let groups = json!(["", "apps", "batch", "policy", "autoscaling", "events.k8s.io"]);
    let version = "rbac.authorization.k8s.io/v1";
    [
        json!({"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": name},
            "rules": [{"apiGroups": groups, "resources": resources, "verbs": ["*"]}]}),
        json!({"apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]}),
    ]
}

/// How many find room, which do not, of how many it is not known.
#[track_caller]
fn placed(did: &Did) -> (u64, Vec<(String, String)>, u64) {
    let placement = &did.plan()["blast"][0]["placement"];
    assert!(placement.is_object(), "{:#?}\n{}", did.events, did.stderr);
    (
        placement["fits"].as_u64().unwrap(),
        serde_json::from_value(placement["unplaced"].clone()).unwrap(),
        placement["unjudged"].as_u64().unwrap(),
    )
}

/// Waits until the scheduler says why it has no node for the pod of an app.
fn unscheduled(stage: &Stage, app: &str) {
    until("the scheduler to have its say", Duration::from_secs(60), || {
        let pods = stage.pods(&format!("app={app}"));
        let said = |p: &Value| {
            let conditions = p["status"]["conditions"].as_array().into_iter().flatten();
            conditions.filter(|c| c["type"] == "PodScheduled").any(|c| c["message"].as_str().is_some_and(|m| m.contains("affinity")))
        };
        if pods.iter().any(|p| p["spec"]["nodeName"].is_null() && said(p)) { Ok(()) } else { Err(json!(pods).to_string()) }
    });
}

fn on(pool: &Pool, at: usize, namespace: &str, app: &str) -> bool {
    pool.pods(at, namespace).iter().any(|p| p.contains(&format!("/{app}-")))
}

fn a_drain_says_which_pods_their_storage_keeps_and_the_scheduler_agrees(lab: &Lab) {
    const SPACE: &str = "storage-drain";
    let pool = Pool::new(lab, CONTEXT, "store", &[("a", "4"), ("b", "4"), ("a", "4")]);
    lab.kubectl(CONTEXT, &["cordon", pool.node(2)]);
    let _made = Made::new(lab, &[&[volume(SPACE, "data", "a")], on_call(SPACE).as_slice()].concat());
    let mut db = pool.deployment(SPACE, "db", 1, "100m", 0);
    db["spec"]["template"]["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let stage = Stage::at(lab, CONTEXT, SPACE, &[claim(SPACE, "data"), db, pool.deployment(SPACE, "web", 1, "100m", 0)]);
    stage.until("pvc/data", "to be bound", |live| live["status"]["phase"] == "Bound");
    for app in ["db", "web"] {
        stage.ready(&format!("deployment/{app}"), 1);
        assert!(on(&pool, 0, SPACE, app), "{app} is elsewhere");
    }
    let drain = format!("drain {}", pool.node(0));
    // Zone a has no other node that takes pods.
    let tried = stage.qd(&format!("{drain} --dry-run"));
    let (fits, unplaced, unjudged) = placed(&tried);
    assert_eq!((fits, unplaced.len(), unjudged), (1, 1, 0), "{:#?}", tried.plan());
    assert!(unplaced[0].0.starts_with("storage-drain/db-") && unplaced[0].1.contains("1 not where claim data is"), "{unplaced:?}");
    assert!(tried.plan()["verdict"].as_str().unwrap().starts_with("degrades storage-drain/db-"), "{}", tried.plan()["verdict"]);
    let shown = stage.typed(&format!("{drain} --context {CONTEXT} --dry-run")).is(0, "no room for storage-drain/db-");
    assert!(shown.stdout.contains("1 find room, 1 do not"), "{}", shown.stdout);
    // Who may not read the volume gets no guess.
    let blind = stage.qd(&format!("{drain} --dry-run --as {SPACE}"));
    assert_eq!(placed(&blind), (1, vec![], 1), "{:#?}", blind.plan());
    let unknown = blind.plan()["blast"][0]["placement"]["unknown"].to_string();
    assert!(unknown.contains("where the storage of 1 pod can go is not known: volumes cannot be read"), "{unknown}");
    stage
        .typed(&format!("{drain} --context {CONTEXT} --dry-run --as {SPACE}"))
        .is(0, "1 find room, of 1 it is not known")
        .is(0, "not judged: where the storage of 1 pod can go is not known: volumes cannot be read");
    stage.qd(&drain).done();
    unscheduled(&stage, "db");
    stage.ready("deployment/web", 1);
    assert!(on(&pool, 1, SPACE, "web"));
    stage.qd("undo last").done();
    stage.ready("deployment/db", 1);
    assert!(on(&pool, 0, SPACE, "db"));
    // With a second node in the zone both fit, one in its own zone.
    lab.kubectl(CONTEXT, &["uncordon", pool.node(2)]);
    let did = stage.qd(&drain).done();
    assert_eq!(placed(&did), (1, vec![], 0), "{:#?}", did.plan());
    stage.ready("deployment/db", 1);
    assert!(on(&pool, 2, SPACE, "db"));
}

fn a_claim_that_was_kept_ties_the_pod_that_comes_back(lab: &Lab) {
    const SPACE: &str = "storage-scale";
    let pool = Pool::new(lab, CONTEXT, "kept", &[("a", "4"), ("b", "4")]);
    lab.kubectl(CONTEXT, &["cordon", pool.node(1)]);
    let volumes = [volume(SPACE, "data-db-0", "a"), volume(SPACE, "data-db-1", "b")];
    let _made = Made::new(lab, &[volumes.as_slice(), on_call(SPACE).as_slice()].concat());
    let mut set = pool.deployment(SPACE, "db", 1, "100m", 0);
    set["kind"] = "StatefulSet".into();
    set["spec"]["serviceName"] = "db".into();
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": wish()}]);
    let stage = Stage::at(lab, CONTEXT, SPACE, &[claim(SPACE, "data-db-0"), claim(SPACE, "data-db-1"), set]);
    for kept in ["pvc/data-db-0", "pvc/data-db-1"] {
        stage.until(kept, "to be bound", |live| live["status"]["phase"] == "Bound");
    }
    stage.ready("statefulset/db", 1);
    let scale = "scale statefulset/db --replicas 2";
    let tried = stage.qd(&format!("{scale} --dry-run"));
    let (fits, unplaced, unjudged) = placed(&tried);
    assert_eq!((fits, unplaced.len(), unjudged), (0, 1, 0), "{:#?}", tried.plan());
    assert!(unplaced[0].1.contains("1 not where claim data-db-1 is"), "{unplaced:?}");
    assert_eq!(tried.plan()["verdict"], "degrades storage-scale/db: 1 of its new pods stay pending");
    let blind = stage.qd(&format!("{scale} --dry-run --as {SPACE}"));
    assert_eq!(placed(&blind), (0, vec![], 1), "{:#?}", blind.plan());
    let line = format!("{scale} --context {CONTEXT} -n {SPACE} --dry-run --as {SPACE}");
    let shown = stage.typed(&line).is(0, "whether 1 find room is not known");
    assert!(shown.stdout.contains("fits as far as can be told") && shown.stdout.contains("volumes cannot be read"), "{}", shown.stdout);
    stage.qd(&format!("{scale} --no-wait")).done();
    unscheduled(&stage, "db");
    stage.qd("undo last").done();
    stage.ready("statefulset/db", 1);
    lab.kubectl(CONTEXT, &["uncordon", pool.node(1)]);
    let did = stage.qd(scale).done();
    assert_eq!((placed(&did), &did.plan()["verdict"]), ((1, vec![], 0), &json!("fits")), "{:#?}", did.plan());
    assert!(on(&pool, 1, SPACE, "db"), "db-1 is in the zone of its claim");
}
