//! Labels, edits and manifests, where it is easy to say or keep too much.

use crate::support::lab::Lab;
use crate::support::runner::{Test, tests};
use crate::support::stage::{self, CONTEXT, Did, Stage, manifests};
use serde_json::{Value, json};

pub const TESTS: &[Test] = tests![
    environment_values_of_a_manifest_are_kept_nowhere,
    two_managers_of_one_field_are_named_before,
    an_object_that_was_made_anew_is_left_alone,
    services_that_select_by_a_label_are_named,
    annotations_go_there_and_back,
];

const NAMESPACE: &str = "edit";
const CANARY: &str = "canary-of-the-edit-48213";

fn deployment(replicas: i64, env: &str) -> Value {
    let mut made = stage::deployment(NAMESPACE, "api", replicas);
    made["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN", "value": env}]);
    made
}

/// Neither what was said nor any file of the state directory has the canary.
fn kept_nowhere(stage: &Stage, did: &Did) {
    assert!(!format!("{:?}{}", did.events, did.stderr).contains(CANARY), "qd {} says it: {:#?}", did.line, did.events);
    let kept = stage.kept();
    assert!(!kept.contains(CANARY), "qd {}: the state directory has it", did.line);
    assert!(!kept.is_empty(), "a job leaves a record");
}

fn environment_values_of_a_manifest_are_kept_nowhere(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[]);
    let value = |stage: &Stage| stage.get("deployment/api")["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"].clone();
    let made = manifests(&deployment(1, CANARY).to_string());
    kept_nowhere(&stage, &stage.qd(&format!("apply -f {}", made.path().display())).done());
    assert_eq!(value(&stage), CANARY, "it was sent");
    // Something else changes, and the whole manifest is sent.
    let other = manifests(&deployment(2, CANARY).to_string());
    kept_nowhere(&stage, &stage.qd(&format!("apply -f {}", other.path().display())).done());
    assert_eq!((&stage.get("deployment/api")["spec"]["replicas"], value(&stage)), (&json!(2), json!(CANARY)));
    // A container that comes brings its own.
    let mut edited = stage.get("deployment/api");
    let containers = edited["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers[0]["env"][0]["value"] = "plain".into();
    containers.push(json!({"name": "side", "image": "registry.internal/side:1", "env": [{"name": "TOKEN", "value": CANARY}]}));
    let text = manifests(&edited.to_string());
    kept_nowhere(&stage, &stage.qd(&format!("edit deployment/api --file {}", text.path().display())).done());
    assert_eq!(stage.get("deployment/api")["spec"]["template"]["spec"]["containers"][1]["env"][0]["value"], CANARY);
}

fn two_managers_of_one_field_are_named_before(lab: &Lab) {
    let map = |a: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": a, "b": a}}).to_string();
    let stage = Stage::new(lab, NAMESPACE, &[]);
    let theirs = manifests(&map("1"));
    let theirs = theirs.path().to_str().unwrap();
    lab.kubectl(CONTEXT, &["apply", "--server-side", "--field-manager=other", "-n", NAMESPACE, "-f", theirs]);
    let ours = manifests(&map("2"));
    let refused = stage.qd(&format!("apply -f {}", ours.path().display()));
    assert_eq!((refused.code, refused.outcome()), (4, "refused"), "{:#?}", refused.events);
    let said = format!("{:?}", refused.events);
    for part in ["data.a: conflict with", "data.b: conflict with", "other", "--force-conflicts"] {
        assert!(said.contains(part), "{part}: {:#?}", refused.events);
    }
    assert_eq!(stage.get("configmap/one")["data"]["a"], "1");
}

fn an_object_that_was_made_anew_is_left_alone(lab: &Lab) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": NAMESPACE}, "data": {"a": "1"}});
    let stage = Stage::new(lab, NAMESPACE, std::slice::from_ref(&map));
    let mut edited = stage.get("configmap/one");
    edited["data"]["a"] = "2".into();
    lab.kubectl(CONTEXT, &["delete", "configmap", "one", "-n", NAMESPACE]);
    lab.apply(CONTEXT, &map);
    let text = manifests(&edited.to_string());
    let refused = stage.qd(&format!("edit configmap/one --file {}", text.path().display()));
    assert!(refused.code != 0 && refused.stderr.contains("metadata.uid"), "{} {}", refused.code, refused.stderr);
    assert_eq!(stage.get("configmap/one")["data"]["a"], "1");
}

fn services_that_select_by_a_label_are_named(lab: &Lab) {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front", "namespace": NAMESPACE},
        "spec": {"selector": {"role": "front"}, "ports": [{"port": 80}]}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": NAMESPACE, "labels": {"role": "front"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "app", "image": "registry.internal/app:1"}]}});
    let stage = Stage::new(lab, NAMESPACE, &[service, pod]);
    // Admission adds a label of its own; only this one is ours.
    let role = |stage: &Stage| stage.get("pod/p")["metadata"]["labels"]["role"].clone();
    let refused = stage.qd("label pod/p role=back");
    assert!(refused.code != 0 && refused.stderr.contains("role=front already"), "{}", refused.stderr);
    let did = stage.qd("label pod/p role=back --overwrite").done();
    assert!(did.notes().contains("Service front selects it, and would no longer"), "{}", did.notes());
    assert_eq!(role(&stage), "back");
    stage.qd("undo last").done();
    assert_eq!(role(&stage), "front");
}

fn annotations_go_there_and_back(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment(1, "plain")]);
    stage.there_and_back("annotate deployment/api x.io/note=one x.io/other=two", "deployment/api", |now| {
        assert_eq!((&now["annotations"]["x.io/note"], &now["annotations"]["x.io/other"]), (&json!("one"), &json!("two")));
    });
}
