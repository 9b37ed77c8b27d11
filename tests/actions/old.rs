//! The older Kubernetes of the lab: the common verbs there, what it has not, and an autoscaler's controller that really runs.

use crate::support::lab::{CONTEXTS, Lab};
use crate::support::pool::Pool;
use crate::support::runner::{Test, tests};
use crate::support::stage::{Stage, deployment};
use serde_json::json;

pub const TESTS: &[Test] = tests![
    a_workload_is_scaled_and_restarted,
    a_resize_in_place_is_refused_where_there_is_none,
    a_node_is_drained_and_given_back,
    a_frozen_autoscaler_holds_its_number,
];

const OLD: &str = CONTEXTS[1];

fn a_workload_is_scaled_and_restarted(lab: &Lab) {
    let stage = Stage::at(lab, OLD, "old-work", &[deployment("old-work", "web", 2)]);
    stage.ready("deployment/web", 2);
    let uids = || {
        let mut uids: Vec<String> = stage
            .pods("app=web")
            .iter()
            .filter(|p| p["metadata"]["deletionTimestamp"].is_null())
            .map(|p| p["metadata"]["uid"].to_string())
            .collect();
        uids.sort();
        uids
    };
    stage.there_and_back("scale deployment/web --replicas 150%", "deployment/web", |now| assert_eq!(now["spec"]["replicas"], 3));
    stage.ready("deployment/web", 2);
    let before = uids();
    stage.there_and_back("restart deployment/web", "deployment/web", |_| {
        let now = uids();
        assert!(now.len() == 2 && now.iter().all(|u| !before.contains(u)), "every pod is another: {before:?} {now:?}");
    });
}

fn a_resize_in_place_is_refused_where_there_is_none(lab: &Lab) {
    let served = lab.kubectl(OLD, &["get", "--raw", "/api/v1"]);
    assert!(!served.contains("pods/resize"), "this lab's older Kubernetes is not old enough");
    let stage = Stage::at(lab, OLD, "old-resize", &[deployment("old-resize", "web", 1)]);
    stage.ready("deployment/web", 1);
    let pod = format!("pod/{}", stage.pods("app=web")[0]["metadata"]["name"].as_str().unwrap());
    let before = stage.said(&pod);
    let refused = stage.qd(&format!("resize {pod} --requests cpu=20m")).is(2, "this server cannot resize pods in place");
    assert!(refused.stderr.contains("resize the workload"), "{}", refused.stderr);
    assert_eq!(stage.said(&pod), before);
    stage.there_and_back("resize deployment/web --requests cpu=20m", "deployment/web", |now| {
        assert_eq!(now["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"], "20m");
    });
}

fn a_node_is_drained_and_given_back(lab: &Lab) {
    let pool = Pool::new(lab, OLD, "old", &[("a", "4"), ("a", "4")]);
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "old-drain"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    let stage = Stage::at(lab, OLD, "old-drain", &[pool.deployment("old-drain", "web", 3, "100m", 0), budget]);
    stage.ready("deployment/web", 3);
    stage.until("pdb/web", "to have counted", |live| live["status"]["disruptionsAllowed"] == 1);
    assert!(pool.pods(0, "old-drain").len() > 1, "{:?}", pool.pods(0, "old-drain"));
    stage.qd(&format!("drain {} --timeout 60s", pool.node(0))).done();
    assert_eq!((pool.cordoned(0), pool.pods(0, "old-drain").len()), (true, 0));
    stage.qd("undo last").done();
    assert!(!pool.cordoned(0));
    // What cordons and what takes that back, by themselves.
    let spec = || pool.live(0)["spec"].clone();
    let open = spec();
    stage.qd(&format!("cordon {}", pool.node(0))).done();
    let shut = spec();
    assert_eq!(shut["unschedulable"], true);
    stage.qd(&format!("uncordon {}", pool.node(0))).done();
    assert_eq!(spec(), open);
    stage.qd("undo last").done();
    // The taint of a cordon is a controller's, which takes its time and its own note of when.
    assert_eq!(pool.live(0)["spec"]["unschedulable"], shut["unschedulable"]);
    stage.ready("deployment/web", 3);
}

fn a_frozen_autoscaler_holds_its_number(lab: &Lab) {
    let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "old-hpa"},
        "spec": {"minReplicas": 2, "maxReplicas": 8, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]}});
    let stage = Stage::at(lab, OLD, "old-hpa", &[deployment("old-hpa", "web", 3), hpa]);
    stage.ready("deployment/web", 3);
    stage.until("hpa/web", "to have counted", |live| live["status"]["currentReplicas"] == 3);
    let before = stage.said("hpa/web");
    stage.qd("hpa freeze hpa/web").done();
    assert_eq!((&stage.said("hpa/web")["spec"]["minReplicas"], &stage.said("hpa/web")["spec"]["maxReplicas"]), (&json!(3), &json!(3)));
    // Somebody else's number does not last: the controller brings back the one it is frozen at.
    lab.kubectl(OLD, &["scale", "deployment/web", "--replicas=6", "-n", "old-hpa"]);
    stage.until("deployment/web", "to be held at 3", |live| live["spec"]["replicas"] == 3);
    let warned = stage.qd("scale deployment/web --replicas 5 --dry-run");
    assert!(warned.notes().contains("hpa old-hpa/web"), "{}", warned.notes());
    stage.there_and_back("hpa thaw hpa/web", "hpa/web", |now| assert_eq!(now, &before));
    stage.qd("hpa thaw hpa/web").done();
    assert_eq!(stage.said("hpa/web"), before);
}
