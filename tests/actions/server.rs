//! What only a real server does: admission that changes what is stored, numbers that a controller fills in; and what others did since.

use crate::support::lab::{Lab, until};
use crate::support::runner::{Test, tests};
use crate::support::stage::{CONTEXT, Definition, Made, Stage, deployment, manifests};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] = tests![
    of_two_objects_the_one_that_others_changed_is_left_and_named,
    what_admission_makes_of_it_is_in_the_preview,
    a_custom_number_that_was_unset_is_unset_again,
    a_custom_number_of_another_name_goes_there_and_back,
];

fn of_two_objects_the_one_that_others_changed_is_left_and_named(lab: &Lab) {
    const SPACE: &str = "server-undo";
    let stage = Stage::at(lab, CONTEXT, SPACE, &["a", "b"].map(|app| deployment(SPACE, app, 2)));
    let replicas = || ["deployment/a", "deployment/b"].map(|app| stage.get(app)["spec"]["replicas"].as_i64().unwrap());
    stage.qd("scale deployment/a deployment/b --replicas +1").done();
    assert_eq!(replicas(), [3, 3]);
    lab.kubectl(CONTEXT, &["scale", "deployment/b", "--replicas=5", "-n", SPACE]);
    let left = "left as it is: lab-1: deployment server-undo/b: spec.replicas is 5, it was 3";
    stage.typed("undo last --dry-run").is(0, left).is(0, "scale deployment server-undo/a 3 -> 2");
    let did = stage.qd("undo last").done();
    assert!(did.notes().contains(left), "{}", did.notes());
    assert_eq!(replicas(), [2, 5], "what others did stands, the rest is taken back");
    // With both of them changed nothing is left to take back, and that is no success.
    stage.qd("scale deployment/a deployment/b --replicas 4").done();
    for app in ["deployment/a", "deployment/b"] {
        lab.kubectl(CONTEXT, &["scale", app, "--replicas=1", "-n", SPACE]);
    }
    let refused = stage.qd("undo last").is(5, "spec.replicas is 1, it was 4");
    assert_eq!((refused.outcome(), replicas()), ("none", [1, 1]));
}

/// Makes every Deployment of a namespace keep three old ReplicaSets.
fn policy(space: &str) -> [Value; 2] {
    let version = "admissionregistration.k8s.io/v1";
    let rules = json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]);
    let expression = "Object{spec: Object.spec{revisionHistoryLimit: 3}}";
    [
        json!({"apiVersion": version, "kind": "MutatingAdmissionPolicy", "metadata": {"name": space}, "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never", "matchConstraints": {"resourceRules": rules,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}}},
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]}}),
        json!({"apiVersion": version, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": space}, "spec": {"policyName": space}}),
    ]
}

fn what_admission_makes_of_it_is_in_the_preview(lab: &Lab) {
    const SPACE: &str = "server-admission";
    let stage = Stage::at(lab, CONTEXT, SPACE, &[deployment(SPACE, "web", 1)]);
    let limit = |app: &str| stage.get(&format!("deployment/{app}"))["spec"]["revisionHistoryLimit"].as_i64().unwrap();
    assert_eq!(limit("web"), 10);
    let _policy = Made::new(lab, &policy(SPACE));
    until("the policy to be in effect", Duration::from_secs(60), || {
        let tried =
            ["annotate", "deployment/web", "tried=now", "-n", SPACE, "--dry-run=server", "-o", "jsonpath={.spec.revisionHistoryLimit}"];
        let is = lab.kubectl(CONTEXT, &tried);
        if is == "3" { Ok(()) } else { Err(is) }
    });
    let line = format!("label deployment/web owner=pay --context {CONTEXT} -n {SPACE}");
    let shown = stage.typed(&format!("{line} --dry-run")).is(0, "spec.revisionHistoryLimit: 10 -> 3 (the server's own)");
    assert!(shown.stdout.contains("metadata.labels.owner: - -> pay\n"), "what is asked for is not the server's: {}", shown.stdout);
    assert_eq!(limit("web"), 10, "tried only");
    stage.typed(&format!("{line} --yes")).is(0, "done");
    assert_eq!(limit("web"), 3, "as it was shown");
    // Made anew: what the manifest says and the server makes otherwise.
    let mut made = deployment(SPACE, "new", 1);
    made["spec"]["revisionHistoryLimit"] = json!(10);
    let file = manifests(&made.to_string());
    let line = format!("apply -f {} --context {CONTEXT} -n {SPACE}", file.path().display());
    stage.typed(&format!("{line} --dry-run")).is(0, "the server makes it: spec.revisionHistoryLimit: 10 -> 3");
    stage.typed(&format!("{line} --yes")).is(0, "done");
    assert_eq!(limit("new"), 3);
}

fn a_custom_number_that_was_unset_is_unset_again(lab: &Lab) {
    const SPACE: &str = "server-unset";
    let _alone = lab.alone_with_definitions();
    let _definition = Definition::new(lab, "unset.quarterdeck.io", "v1", "Gauge");
    let gauge = json!({"apiVersion": "unset.quarterdeck.io/v1", "kind": "Gauge", "metadata": {"name": "one", "namespace": SPACE}, "spec": {"size": 3}});
    let stage = Stage::at(lab, CONTEXT, SPACE, &[gauge]);
    let object = "gauge.unset.quarterdeck.io/one";
    let did = stage.there_and_back("scale gauge/one --replicas 5 --no-wait", object, |now| assert_eq!(now["spec"]["replicas"], 5));
    assert_eq!(did.plan()["title"], "scale gauge server-unset/one unset -> 5");
    assert_eq!(stage.get(object)["spec"], json!({"size": 3}), "unset, and not 0");
    stage.qd("scale gauge/one --replicas +1 --no-wait").is(2, "has no number of its own");
    stage.there_and_back("scale gauge/one --replicas 0 --no-wait --confirm lab-1", object, |now| assert_eq!(now["spec"]["replicas"], 0));
    // Somebody sets it meanwhile: it is theirs.
    stage.qd("scale gauge/one --replicas 5 --no-wait").done();
    lab.kubectl(CONTEXT, &["patch", object, "-n", SPACE, "--type=merge", "-p", r#"{"spec":{"replicas":9}}"#]);
    stage.qd("undo last").is(5, "spec.replicas is 9, it was 5");
}

fn a_custom_number_of_another_name_goes_there_and_back(lab: &Lab) {
    const SPACE: &str = "server-path";
    let _alone = lab.alone_with_definitions();
    let _definition = Definition::at(lab, "path.quarterdeck.io", "v1", "Gauge", "size");
    let gauge = json!({"apiVersion": "path.quarterdeck.io/v1", "kind": "Gauge", "metadata": {"name": "one", "namespace": SPACE}, "spec": {"size": 3}});
    let stage = Stage::at(lab, CONTEXT, SPACE, &[gauge]);
    let object = "gauge.path.quarterdeck.io/one";
    stage.there_and_back("scale gauge/one --replicas +1 --no-wait", object, |now| assert_eq!(now["spec"], json!({"size": 4})));
    stage.qd("scale gauge/one --replicas 6 --no-wait").done();
    lab.kubectl(CONTEXT, &["patch", object, "-n", SPACE, "--type=merge", "-p", r#"{"spec":{"size":9}}"#]);
    stage.qd("undo last").is(5, "spec.size is 9, it was 6");
}
