use super::*;
use crate::model::{Interner, object};
use serde_json::json;

fn word(kind: Kind, value: serde_json::Value) -> &'static str {
    let Object::Workload(w) = object::decode_json(kind, value.to_string().as_bytes(), &mut Interner::default()).unwrap() else {
        panic!("no workload")
    };
    status(&w)
}

#[test]
fn status_in_a_word() {
    let rolled = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3});
    let with = |key: &str, value: serde_json::Value| {
        let mut s = rolled.clone();
        s[key] = value;
        s
    };
    let deploy = |spec: serde_json::Value, status: serde_json::Value| {
        word(Kind::Deployment, json!({"metadata": {"name": "a", "generation": 2}, "spec": spec, "status": status}))
    };
    let three = json!({"replicas": 3});
    assert_eq!(deploy(three.clone(), rolled.clone()), "Available");
    assert_eq!(deploy(three.clone(), with("observedGeneration", 1.into())), "Progressing");
    assert_eq!(deploy(three.clone(), with("updatedReplicas", 2.into())), "Progressing");
    assert_eq!(deploy(three.clone(), with("availableReplicas", 2.into())), "Degraded");
    assert_eq!(
        deploy(three, with("conditions", json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]))),
        "Stuck"
    );
    assert_eq!(deploy(json!({"replicas": 3, "paused": true}), rolled.clone()), "Paused");
    assert_eq!(deploy(json!({"replicas": 0}), json!({"observedGeneration": 2})), "ScaledToZero");
    let job = |spec: serde_json::Value, status: serde_json::Value| {
        word(Kind::Job, json!({"metadata": {"name": "a"}, "spec": spec, "status": status}))
    };
    assert_eq!(job(json!({}), json!({"active": 1})), "Running");
    assert_eq!(job(json!({"suspend": true}), json!({})), "Suspended");
    assert_eq!(job(json!({}), json!({"conditions": [{"type": "Complete", "status": "True"}]})), "Complete");
    assert_eq!(job(json!({}), json!({"conditions": [{"type": "Failed", "status": "True"}]})), "Failed");
    assert_eq!(word(Kind::CronJob, json!({"metadata": {"name": "a"}, "spec": {"schedule": "@daily"}})), "Scheduled");
}
