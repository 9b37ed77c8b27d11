use super::super::cel::compile;
use super::*;
use crate::model::Interner;
use crate::model::object::decode_json;
use serde_json::json;

fn pod_spec() -> serde_json::Value {
    let container = json!({"name": "app", "image": "reg/app:1", "restartPolicy": "Always", "livenessProbe": {}, "readinessProbe": {}, "startupProbe": {},
        "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1536Mi"}}});
    json!({"containers": [container], "initContainers": [container], "priorityClassName": "high", "priority": 7, "serviceAccountName": "sa", "hostNetwork": true,
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}, {"key": "b", "value": "c"}]})
}

fn conditions() -> serde_json::Value {
    json!([{"type": "Odd", "status": "False", "reason": "Why", "message": "so", "lastTransitionTime": "2026-01-05T12:00:00Z"}])
}

/// An object of a kind with every field that is kept.
fn sample(kind: Kind) -> serde_json::Value {
    let at = "2026-01-05T12:00:00Z";
    let ended = json!({"exitCode": 137, "signal": 9, "reason": "OOMKilled", "message": "m", "startedAt": at, "finishedAt": at});
    let status = |state: serde_json::Value| json!({"name": "app", "ready": true, "started": true, "restartCount": 2, "state": state, "lastState": {"terminated": ended}});
    let statuses = json!([
        status(json!({"waiting": {"reason": "r", "message": "m"}})),
        status(json!({"running": {"startedAt": at}})),
        status(json!({"terminated": ended}))
    ]);
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod_spec()});
    let selector = json!({"matchLabels": {"app": "a"}});
    let replicas = json!({"replicas": 4, "readyReplicas": 3, "availableReplicas": 2, "updatedReplicas": 1, "observedGeneration": 5, "conditions": conditions(),
        "currentRevision": "x", "updateRevision": "y"});
    let (spec, status) = match kind {
        Kind::Pod => {
            let mut spec = pod_spec();
            spec["nodeName"] = json!("n1");
            (
                spec,
                json!({"phase": "Running", "reason": "r", "message": "m", "podIP": "10.0.0.1", "startTime": at, "qosClass": "Burstable",
                "containerStatuses": statuses, "initContainerStatuses": statuses, "conditions": conditions()}),
            )
        }
        Kind::Node => (
            json!({"unschedulable": true, "podCIDR": "10.1.0.0/24", "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}),
            json!({"capacity": {"cpu": "4", "memory": "8Gi"}, "allocatable": {"cpu": "3900m", "memory": "7Gi", "pods": "110"}, "conditions": conditions(),
                "nodeInfo": {"kernelVersion": "6", "osImage": "os", "containerRuntimeVersion": "c", "kubeletVersion": "v1", "architecture": "amd64", "operatingSystem": "linux"}}),
        ),
        Kind::Deployment => (
            json!({"replicas": 3, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}}, "paused": true, "progressDeadlineSeconds": 600,
                "template": template, "selector": selector}),
            replicas,
        ),
        Kind::StatefulSet => (
            json!({"replicas": 3, "serviceName": "s", "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, "template": template, "selector": selector}),
            replicas,
        ),
        Kind::ReplicaSet => (json!({"replicas": 3, "template": template, "selector": selector}), replicas),
        Kind::DaemonSet => (
            json!({"updateStrategy": {"type": "OnDelete"}, "template": template, "selector": selector}),
            json!({"desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3, "numberAvailable": 2, "updatedNumberScheduled": 1, "numberMisscheduled": 6,
                "observedGeneration": 5}),
        ),
        Kind::Job => (
            json!({"parallelism": 2, "completions": 3, "backoffLimit": 4, "suspend": true, "template": template, "selector": selector}),
            json!({"active": 1, "ready": 1, "succeeded": 2, "failed": 3, "startTime": at, "completionTime": at, "conditions": conditions()}),
        ),
        Kind::CronJob => (
            json!({"schedule": "* * * * *", "timeZone": "Etc/UTC", "suspend": true, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"template": template}}}),
            json!({"lastScheduleTime": at, "lastSuccessfulTime": at}),
        ),
        Kind::Hpa => (
            json!({"scaleTargetRef": {"kind": "Deployment", "name": "a"}, "minReplicas": 2, "maxReplicas": 5}),
            json!({"currentReplicas": 3, "desiredReplicas": 4, "lastScaleTime": at, "conditions": conditions()}),
        ),
        Kind::Pdb => (
            json!({"minAvailable": "50%", "maxUnavailable": 1, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
            json!({"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 3, "expectedPods": 4, "observedGeneration": 5, "conditions": conditions()}),
        ),
        Kind::Namespace => (json!({}), json!({"phase": "Terminating", "conditions": conditions()})),
        Kind::Claim => (
            json!({"volumeName": "v", "storageClassName": "fast", "volumeMode": "Block", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}),
            json!({"phase": "Bound", "capacity": {"storage": "10Gi"}, "conditions": conditions()}),
        ),
        _ => (json!({}), json!({})),
    };
    json!({"kind": kind.name(), "apiVersion": kind.api_version(), "spec": spec, "status": status,
        "metadata": {"name": "a", "namespace": "pay", "uid": "0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11", "labels": {"l": "1"}, "creationTimestamp": at, "deletionTimestamp": at,
            "generation": 5, "finalizers": ["f"], "ownerReferences": [{"kind": "K", "name": "o", "uid": "0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c12"}]}})
}

const KINDS: [Kind; 12] = [
    Kind::Pod,
    Kind::Node,
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::ReplicaSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::CronJob,
    Kind::Hpa,
    Kind::Pdb,
    Kind::Namespace,
    Kind::Claim,
];

#[test]
fn every_field_that_is_kept_has_the_value_of_the_api() {
    for kind in KINDS {
        let json = sample(kind);
        let row = decode_json(kind, json.to_string().as_bytes(), &mut Interner::default()).unwrap();
        let whole = whole(&json);
        for path in kept(kind) {
            // One expression for both: members that have it, as a list.
            let expression = match path.split_once("[].") {
                Some((list, inner)) => {
                    let mut at = "m".to_owned();
                    let mut there = Vec::new();
                    for part in inner.split('.') {
                        at = format!("{at}.{part}");
                        there.push(format!("has({at})"));
                    }
                    format!("object.{list}.filter(m, {}).map(m, {at})", there.join(" && "))
                }
                None => format!("object.{}", path.trim_end_matches(".*").trim_end_matches("[]")),
            };
            let compiled = compile(&expression, &["object"]).unwrap();
            let wanted = Wanted::of(kind, &compiled.paths).unwrap_or_else(|p| panic!("{kind:?} {p:?}"));
            let kept = compiled.eval(&[("object", &wanted.value(&row))], 1000);
            let told = compiled.eval(&[("object", &whole)], 1000);
            assert!(kept.is_ok(), "{kind:?} {path}: {kept:?}");
            assert_ne!(kept, Ok(Value::List(Arc::new(Vec::new()))), "{kind:?} {path}: no sample has it");
            assert_eq!(kept, told, "{kind:?} {path}");
        }
    }
}

#[test]
fn what_is_not_kept_is_no_path() {
    let of = |kind, text: &str| Wanted::of(kind, &compile(text, &["object"]).unwrap().paths).map(|_| ()).map_err(|p| p.join("."));
    assert_eq!(
        of(Kind::Pod, "has(object.spec) && object.metadata.labels['a.b/c'] == 'x' && object.spec.containers[0].image == 'x'"),
        Ok(())
    );
    assert_eq!(of(Kind::Pod, "object.spec.containers[0].ports[0].name == 'x'"), Err("spec.containers.[].ports.[].name".to_owned()));
    assert_eq!(of(Kind::Pod, "object.spec.containers.exists(c, c.tty)"), Err("spec.containers.[].tty".to_owned()));
    assert_eq!(of(Kind::Pod, "object.spec.nodeName.x == 'x'"), Err("spec.nodeName.x".to_owned()));
    assert_eq!(of(Kind::Schedule, "object.spec.schedule == 'x'"), Err("spec.schedule".to_owned()));
    assert!(near(Kind::Pod, &["spec".into(), "containers".into(), "[]".into(), "tty".into()]).contains("spec.containers[].image"));
    assert_eq!(near(Kind::Namespace, &["spec".into(), "x".into()]).split(", ").count(), 13, "nothing of its parent: all");
}
