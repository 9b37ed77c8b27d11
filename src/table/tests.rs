//! The register walked: names, docs, units, and JSON of sample objects.

use super::*;
use crate::model::{
    AlertState, Batch, Change, ConnectionState, Delta, EtcdMetrics, Generation, Interner, Kind, KindState, Service, ServiceState,
    SilenceState, Usage, UsageList, UsageRow, object,
};
use crate::store::{ClusterInfo, Touched};
use hashbrown::HashSet;
use serde_json::json;

pub(super) const NOW: i64 = 1_700_000_000;

pub(super) fn at(secs_ago: i64) -> String {
    crate::model::Time::from_secs(NOW - secs_ago).unwrap().rfc3339()
}

/// Two live clusters, `prod-eu` (production) and `dev`.
pub(super) fn fleet() -> Store {
    let info = |name: &str, tier: &str| ClusterInfo {
        name: name.into(),
        contexts: vec![format!("ctx-{name}").into()],
        tier: Some(tier.into()),
        ..Default::default()
    };
    let mut store = Store::new(vec![info("prod-eu", "production"), info("dev", "development")], NOW);
    for n in 0..2 {
        apply(&mut store, n, Delta::State(ConnectionState::Live));
    }
    store
}

pub(super) fn apply(store: &mut Store, cluster: u16, delta: Delta) -> Vec<Touched> {
    let mut touched = Vec::new();
    store.apply(Batch { cluster: crate::model::ClusterId(cluster), generation: Generation(1), delta }, NOW, &mut touched);
    touched
}

pub(super) fn put(store: &mut Store, cluster: u16, kind: Kind, value: &serde_json::Value) -> Vec<Touched> {
    let object = object::decode_json(kind, value.to_string().as_bytes(), &mut Interner::default()).unwrap();
    let mut touched = apply(store, cluster, Delta::KindState(kind, KindState::Live));
    touched.extend(apply(store, cluster, Delta::Rows { kind, changes: vec![Change::Upsert(object)] }));
    touched
}

pub(super) fn pod(ns: &str, name: &str, node: &str, restarts: u32, waiting: Option<&str>) -> serde_json::Value {
    let state = waiting
        .map_or(json!({"running": {"startedAt": at(60)}}), |w| json!({"waiting": {"reason": w, "message": format!("{w}: in words")}}));
    json!({"metadata": {"name": name, "namespace": ns, "uid": format!("{ns}-{name}"), "creationTimestamp": at(7200), "labels": {"app": ns},
            "ownerReferences": [{"kind": "ReplicaSet", "name": format!("{name}-rs"), "uid": "o", "controller": true}]},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "registry/app:1.9", "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}]},
        "status": {"phase": "Running", "qosClass": "Burstable", "podIP": "10.0.0.1", "startTime": at(7000), "conditions": [{"type": "Ready", "status": if waiting.is_some() { "False" } else { "True" }, "lastTransitionTime": at(50)}],
            "containerStatuses": [{"name": "c", "ready": waiting.is_none(), "restartCount": restarts, "state": state,
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at(300)}}}]}})
}

pub(super) fn node(name: &str, ready: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "uid": name, "creationTimestamp": at(864_000), "labels": {"topology.kubernetes.io/zone": "z1", "node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": true, "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "1", "memory": "4Gi", "pods": "110"}, "capacity": {"cpu": "2", "memory": "8Gi"},
            "conditions": [{"type": "Ready", "status": ready, "message": "PLEG", "lastTransitionTime": at(540)}, {"type": "MemoryPressure", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.0"}}})
}

/// One object of every kind.
pub(super) fn everything() -> Store {
    let mut s = fleet();
    put(&mut s, 0, Kind::Pod, &pod("pay", "checkout-1", "node-001", 4, Some("CrashLoopBackOff")));
    put(&mut s, 0, Kind::Pod, &pod("shop", "web-1", "node-001", 0, None));
    put(&mut s, 0, Kind::Node, &node("node-001", "False"));
    let meta = |name: &str| json!({"name": name, "namespace": "pay", "uid": name, "creationTimestamp": at(3600), "generation": 2});
    let template = json!({"spec": {"containers": [{"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "1"}}}]}});
    let selector = json!({"matchLabels": {"app": "x"}});
    let status = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 2, "availableReplicas": 2});
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::ReplicaSet] {
        put(
            &mut s,
            0,
            kind,
            &json!({"metadata": meta(&format!("{}-a", kind.plural())), "spec": {"replicas": 3, "selector": selector, "template": template}, "status": status}),
        );
    }
    put(
        &mut s,
        0,
        Kind::DaemonSet,
        &json!({"metadata": meta("agent"), "spec": {"selector": selector, "template": template}, "status": {"desiredNumberScheduled": 3, "numberReady": 3, "numberAvailable": 3, "updatedNumberScheduled": 3, "numberMisscheduled": 1}}),
    );
    put(
        &mut s,
        0,
        Kind::Job,
        &json!({"metadata": meta("import"), "spec": {"completions": 2, "template": template, "selector": selector}, "status": {"active": 1, "succeeded": 1, "failed": 3, "startTime": at(100)}}),
    );
    put(
        &mut s,
        0,
        Kind::CronJob,
        &json!({"metadata": meta("nightly"), "spec": {"schedule": "0 3 * * *", "timeZone": "UTC", "suspend": true, "jobTemplate": {"spec": {"template": template}}}, "status": {"lastScheduleTime": at(5000)}}),
    );
    put(
        &mut s,
        0,
        Kind::Hpa,
        &json!({"metadata": meta("api"), "spec": {"minReplicas": 2, "maxReplicas": 40, "scaleTargetRef": {"kind": "Deployment", "name": "api"},
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}, {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}]},
        "status": {"currentReplicas": 40, "desiredReplicas": 40, "lastScaleTime": at(90), "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 143}}}],
            "conditions": [{"type": "ScalingLimited", "status": "True", "message": "too many"}]}}),
    );
    put(
        &mut s,
        0,
        Kind::Pdb,
        &json!({"metadata": meta("db"), "spec": {"minAvailable": "50%", "selector": selector}, "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 2, "expectedPods": 3}}),
    );
    put(
        &mut s,
        0,
        Kind::Event,
        &json!({"metadata": meta("e1"), "type": "Warning", "reason": "FailedScheduling", "message": "0/3 nodes 日本\n", "count": 88, "lastTimestamp": at(30), "involvedObject": {"kind": "Pod", "name": "checkout-1", "namespace": "pay"}}),
    );
    put(
        &mut s,
        0,
        Kind::Namespace,
        &json!({"metadata": {"name": "pay", "uid": "ns-pay", "labels": {"team": "支払い"}}, "status": {"phase": "Active"}}),
    );
    put(
        &mut s,
        0,
        Kind::Claim,
        &json!({"metadata": meta("data-db-0"), "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}, "storageClassName": "ssd", "volumeName": "pv-1"},
        "status": {"phase": "Bound", "capacity": {"storage": "20Gi"}, "conditions": [{"type": "FileSystemResizePending", "status": "True", "message": "waits for the node"}]}}),
    );
    put(
        &mut s,
        0,
        Kind::Service,
        &json!({"metadata": meta("web"), "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "selector": {"app": "x", "tier": "y"}, "externalIPs": ["1.2.3.4"],
        "ports": [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "protocol": "TCP"}, {"name": "rpc", "port": 9000, "appProtocol": "grpc"}]}}),
    );
    let endpoint = |ready: bool, going: bool| json!({"addresses": ["10.1.0.1"], "conditions": {"ready": ready, "terminating": going}});
    let mut slice = json!({"metadata": meta("web-x"), "addressType": "IPv4", "endpoints": [endpoint(true, false), endpoint(true, false), endpoint(false, true)]});
    slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": "web"});
    put(&mut s, 0, Kind::EndpointSlice, &slice);
    let path = |path: &str, service: &str| json!({"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"name": "http"}}}});
    put(
        &mut s,
        0,
        Kind::Ingress,
        &json!({"metadata": meta("web"), "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["a.example.com"]}],
        "rules": [{"host": "a.example.com", "http": {"paths": [path("/", "web"), path("/x", "gone")]}}, {"host": "b.example.com", "http": {"paths": [path("/", "web")]}}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}),
    );
    signals(&mut s);
    s
}

/// What Velero, etcd and an Alertmanager tell of cluster 0.
fn signals(s: &mut Store) {
    let meta = |name: &str| json!({"name": name, "namespace": "velero", "uid": name, "creationTimestamp": at(3600), "labels": {"velero.io/schedule-name": "nightly"}});
    let spec = json!({"includedNamespaces": ["pay"], "excludedNamespaces": ["tmp"], "storageLocation": "default", "ttl": "720h0m0s", "labelSelector": {"matchLabels": {"app": "x"}}});
    for (name, phase, errors) in [("b1", "Completed", 0), ("b2", "PartiallyFailed", 2)] {
        let status = json!({"phase": phase, "errors": errors, "warnings": 1, "startTimestamp": at(3000), "completionTimestamp": at(2910), "expiration": at(-86_400),
            "progress": {"totalItems": 40, "itemsBackedUp": 38}, "queuePosition": 1, "csiVolumeSnapshotsAttempted": 2, "csiVolumeSnapshotsCompleted": 1, "hookStatus": {"hooksAttempted": 2, "hooksFailed": 1}});
        put(s, 0, Kind::Backup, &json!({"metadata": meta(name), "spec": spec, "status": status}));
    }
    put(
        s,
        0,
        Kind::Restore,
        &json!({"metadata": meta("r1"), "spec": {"backupName": "b1", "namespaceMapping": {"pay": "pay-copy"}, "existingResourcePolicy": "update"},
        "status": {"phase": "Failed", "failureReason": "no such backup", "startTimestamp": at(60), "progress": {"totalItems": 4, "itemsRestored": 1}}}),
    );
    put(
        s,
        0,
        Kind::Schedule,
        &json!({"metadata": meta("nightly"), "spec": {"schedule": "@every 10m", "template": spec}, "status": {"phase": "Enabled", "lastBackup": at(3000)}}),
    );
    put(
        s,
        0,
        Kind::StorageLocation,
        &json!({"metadata": meta("default"), "spec": {"provider": "aws", "default": true, "objectStorage": {"bucket": "b", "prefix": "p"}},
        "status": {"phase": "Unavailable", "message": "no such host", "lastValidationTime": at(40), "lastSyncedTime": at(50)}}),
    );
    let mut member = crate::model::etcd::tests::member(0xab, "etcd-0", Some(0xab));
    member.alarms = ["NOSPACE".into()].into();
    member.metrics = Some(EtcdMetrics { fsync_p99_us: Some(1_200), leader_changes: Some(3), ..EtcdMetrics::default() });
    let labels = [("alertname", "PodDown"), ("namespace", "pay"), ("pod", "checkout-1"), ("severity", "critical")];
    let alert = crate::model::alert::tests::alert(&labels, AlertState::Firing);
    let silence = crate::model::silence::tests::silence("s-1", SilenceState::Active, NOW + 600);
    let throttled = crate::model::signal::tests::query("cpu-throttled");
    let labels = crate::model::signal::tests::labels(&[("container", "app"), ("namespace", "pay"), ("pod", "checkout-1")]);
    let signal = crate::model::Signal::of(&throttled, labels, 0.3, [0.1, 0.2, 0.3].into());
    let uid = crate::model::Uid::parse("checkout-1");
    let about = crate::model::ObjectRef { cluster: ClusterId(0), kind: Kind::Pod, namespace: "pay".into(), name: "checkout-1".into(), uid };
    let finding = crate::model::FindingRow {
        meta: crate::model::FindingRow::meta(
            "pod-crashloop",
            uid,
            "pay".into(),
            Default::default(),
            crate::model::Time::from_secs(NOW - 60),
        ),
        area: "availability".into(),
        tier: 1,
        severity: crate::model::Severity::Critical,
        state: crate::model::FindingState::Flapping,
        about: Some(about.clone()),
        top: Some(crate::model::ObjectRef {
            kind: Kind::Deployment,
            name: "checkout".into(),
            uid: crate::model::Uid::parse("checkout"),
            ..about.clone()
        }),
        message: "exit 137".into(),
        evidence: [crate::model::Evidence { what: "restarts".into(), value: "9".into(), at: None }].into(),
        remedy: Some(crate::model::Remedy::Edit(about)),
        next_step: "read its log".into(),
        since: crate::model::Time::from_secs(NOW - 600),
        resolved: None,
        begun: 3,
        suppressed: Some("known (until 2026-12-31)".into()),
        cause: Some("pay/checkout pod-crashloop".into()),
        explains: Some(crate::model::Explains { says: "0/3 exit 137".into(), findings: 3, alerts: 1, objects: 4, workloads: 1 }),
    };
    apply(s, 0, Delta::Rows { kind: Kind::Finding, changes: vec![Change::Upsert(Object::Finding(finding.into()))] });
    for (service, object) in [
        (Service::Etcd, Object::EtcdMember(member.into())),
        (Service::Alertmanager, Object::Alert(alert.into())),
        (Service::Alertmanager, Object::Silence(silence.into())),
        (Service::Prometheus, Object::Signal(signal.into())),
    ] {
        apply(s, 0, Delta::Service { service, state: ServiceState::Live, via: "https://10.0.0.1".into() });
        apply(s, 0, Delta::Rows { kind: object.kind(), changes: vec![Change::Upsert(object)] });
    }
}

#[test]
fn what_the_api_server_tells_of_etcd_is_no_member() {
    let mut s = Store::new(vec![ClusterInfo { name: "prod".into(), ..ClusterInfo::default() }], NOW - 600);
    let mut told = crate::model::etcd::tests::member(0xab, "etcd", None);
    told.second_hand = Some(Box::default());
    apply(&mut s, 0, Delta::Rows { kind: Kind::EtcdMember, changes: vec![Change::Upsert(Object::EtcdMember(told.into()))] });
    let healthy = Subject::Clusters.column("etcd_healthy").unwrap();
    let ctx = Ctx { store: &s, now: NOW };
    assert_eq!(healthy.value(&ctx, Row::Cluster(&s.clusters()[0])).json(NOW), serde_json::Value::Null);
}

pub(super) fn rows(store: &Store, subject: Subject) -> Vec<Row<'_>> {
    if subject == Subject::Clusters {
        return store.clusters().iter().map(Row::Cluster).collect();
    }
    store.clusters().iter().flat_map(|c| subject.kinds().iter().flat_map(move |k| c.objects(*k).map(move |o| Row::Object(c, o)))).collect()
}

fn fits(unit: Unit, value: &Value<'_>) -> bool {
    matches!(
        (unit, value),
        (_, Value::None)
            | (Unit::Text | Unit::Reference, Value::Text(_))
            | (Unit::Bool, Value::Bool(_))
            | (Unit::Number, Value::Int(_) | Value::Found(..))
            | (Unit::Ratio, Value::Ratio(..))
            | (Unit::Millicores, Value::Millicores(_))
            | (Unit::Bytes, Value::Bytes(_))
            | (Unit::Percent, Value::Percent(_))
            | (Unit::Seconds, Value::Age(_) | Value::Seconds(_))
            | (Unit::Millis, Value::Millis(_))
            | (Unit::Moment, Value::Moment(_))
            | (Unit::List, Value::List(_))
            | (Unit::Trend, Value::Trend(_))
            | (Unit::Json, Value::Json(_) | Value::Text(_))
    )
}

#[test]
fn every_column_has_its_own_name_title_and_doc_and_says_its_unit() {
    let store = everything();
    let ctx = Ctx { store: &store, now: NOW };
    for subject in Subject::ALL {
        let (mut names, mut docs) = (HashSet::new(), HashSet::new());
        for c in subject.columns() {
            assert!(names.insert(c.id) && (names.insert(c.title) && docs.insert(c.doc)), "{} {}: twice", subject.name(), c.id);
            assert!(c.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !c.doc.is_empty(), "{}", c.id);
            assert!(c.title.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"%-".contains(&b)), "{}", c.title);
            assert!(c.min <= c.max && c.min > 0, "{}", c.id);
            let suffix = match c.unit {
                Unit::Millicores => "_m",
                Unit::Bytes => "_bytes",
                Unit::Percent => "_percent",
                Unit::Seconds => "_s",
                Unit::Millis => "_ms",
                Unit::Moment => "_at",
                _ => "",
            };
            assert!(c.id.ends_with(suffix), "{} is {:?}", c.id, c.unit);
            for row in rows(&store, subject) {
                let value = c.value(&ctx, row);
                assert!(fits(c.unit, &value), "{} {}: {value:?}", subject.name(), c.id);
            }
            assert!(
                std::ptr::eq(subject.column(c.id).unwrap(), c) && std::ptr::eq(subject.column(c.title).unwrap(), c),
                "{} {}",
                subject.name(),
                c.title
            );
        }
        assert!(!rows(&store, subject).is_empty(), "{}: no sample", subject.name());
        let first: Vec<_> = subject.columns().iter().take(4).map(|c| c.id).collect();
        assert_eq!(first, ["cluster", "kind", "namespace", "name"], "{}", subject.name());
    }
    for (subject, alias, id) in columns::OWN_ALIASES {
        assert_eq!(subject.column(alias).unwrap().id, *id, "{alias}");
    }
    assert!(Subject::Pods.column("alertname").is_err());
    for (_, id) in columns::ALIASES {
        assert!(Subject::ALL.iter().any(|s| s.columns().iter().any(|c| c.id == *id)), "{id}");
    }
}

#[test]
fn items_as_json() {
    let store = everything();
    let ctx = Ctx { store: &store, now: NOW };
    let item = |subject, n: usize| serde_json::Value::Object(item_json(&ctx, subject, rows(&store, subject)[n]));
    let expect = |item: &serde_json::Value, fields: serde_json::Value| {
        for (key, value) in fields.as_object().unwrap() {
            assert_eq!(&item[key], value, "{key} of {item}");
        }
    };
    expect(
        &item(Subject::Pods, 0),
        json!({"cluster": "prod-eu", "kind": "Pod", "namespace": "pay", "name": "checkout-1", "ready": 0, "containers": 1, "status": "CrashLoopBackOff", "restarts": 4, "last_restart_age_s": 300,
        "last_reason": "OOMKilled", "last_exit_code": 137, "cpu_request_m": 250, "cpu_limit_m": null, "memory_limit_bytes": 2_147_483_648_i64, "owner": "ReplicaSet/checkout-1-rs", "age_s": 7200, "message": "CrashLoopBackOff: in words", "labels": {"app": "pay"}}),
    );
    expect(
        &item(Subject::Nodes, 0),
        json!({"namespace": null, "status": "NotReady,SchedulingDisabled", "pods": 2, "pods_max": 110, "pods_bad": 1, "cpu_request_percent": 50, "memory_request_percent": 50, "pressure": ["MemoryPressure"], "taints": ["a=b:NoSchedule"], "roles": ["worker"], "message": "PLEG"}),
    );
    expect(
        &item(Subject::Deployments, 0),
        json!({"ready": 2, "desired": 3, "status": "Degraded", "selector": "app=x", "images": ["i:1"], "cpu_request_m": 1000, "memory_request_bytes": null}),
    );
    expect(&item(Subject::Jobs, 0), json!({"ready": 1, "duration_s": 100, "failed": 3, "status": "Running"}));
    expect(
        &item(Subject::CronJobs, 0),
        json!({"schedule": "0 3 * * *", "suspended": true, "last_schedule_age_s": 5000, "last_success_age_s": null}),
    );
    expect(
        &item(Subject::Hpa, 0),
        json!({"current_replicas": 40, "status": "AtMax", "at_max": true, "targets": ["cpu 143/80%", "memory ?/1Gi"], "target": "Deployment/api",
        "metrics": [{"name": "cpu", "source": "Resource", "current_percent": 143, "target_percent": 80}, {"name": "memory", "source": "Resource", "current_m": null, "target_m": 1_073_741_824_000_i64}]}),
    );
    expect(
        &item(Subject::Pdb, 0),
        json!({"status": "Blocks", "min_available": "50%", "max_unavailable": null, "message": "only 1 of the 2 needed pods are healthy"}),
    );
    expect(
        &item(Subject::Services, 0),
        json!({"type": "NodePort", "cluster_ip": "10.0.0.1", "ports": ["80:30080/TCP", "9000/TCP"], "target_ports": ["web", "9000"], "selector": "app=x,tier=y", "app_protocols": ["grpc"],
            "outside": ["1.2.3.4"], "endpoints_ready": 2, "endpoints": 3, "endpoints_terminating": 1}),
    );
    expect(
        &item(Subject::Ingresses, 0),
        json!({"class": "nginx", "hosts": ["a.example.com", "b.example.com"], "backends": ["web:http", "gone:http"], "address": ["1.2.3.4"], "tls": 1,
            "routes": ["a.example.com/ -> web:http", "a.example.com/x -> gone:http", "b.example.com/ -> web:http"]}),
    );
    expect(
        &item(Subject::Events, 0),
        json!({"type": "Warning", "count": 88, "object": "Pod/checkout-1", "last_seen_age_s": 30, "message": "0/3 nodes 日本"}),
    );
    let cluster = item(Subject::Clusters, 0);
    expect(
        &cluster,
        json!({"cluster": "prod-eu", "kind": "Cluster", "namespace": null, "name": "prod-eu", "context": "ctx-prod-eu", "state": "live", "nodes_ready": 0, "nodes": 1, "pods_bad": 1, "hpas_at_max": 1, "pdbs_zero": 1, "cpu_request_percent": 50, "latency_ms": null}),
    );
    assert!(cluster.get("latency_trend").is_none());
    expect(&item(Subject::Clusters, 1), json!({"pods": null, "nodes": null, "cpu_request_m": null, "workloads_short": null}));
}

#[test]
fn what_is_used_stands_beside_what_is_requested_and_the_unmeasured_is_null() {
    let mut store = everything();
    let owner = json!([{"kind": "Deployment", "name": "deployments-a", "uid": "deployments-a", "controller": true}]);
    put(
        &mut store,
        0,
        Kind::ReplicaSet,
        &json!({"metadata": {"name": "rs", "namespace": "pay", "uid": "o", "ownerReferences": owner}, "spec": {"replicas": 2}}),
    );
    let check = |store: &Store, subject, n: usize, fields: serde_json::Value| {
        let item = item_json(&Ctx { store, now: NOW }, subject, rows(store, subject)[n]);
        for (key, value) in fields.as_object().unwrap() {
            assert_eq!(&item[key], value, "{subject:?} {key}");
        }
    };
    for subject in [Subject::Pods, Subject::Nodes, Subject::Deployments, Subject::Namespaces, Subject::Clusters] {
        check(&store, subject, 0, json!({"cpu_use_m": null, "memory_use_bytes": null}));
    }
    let gib = |quarters: i64| quarters << 28;
    let of = |namespace: &str, name: &str, cpu_m, memory| UsageRow {
        namespace: namespace.into(),
        name: name.into(),
        usage: Usage { cpu_m, memory, at: crate::model::Time::from_secs(NOW - 20) },
    };
    let pods = vec![of("pay", "checkout-1", Some(100), Some(gib(6))), of("shop", "web-1", Some(500), None)];
    for (kind, rows) in [(Kind::Node, vec![of("", "node-001", Some(400), Some(gib(12)))]), (Kind::Pod, pods)] {
        apply(&mut store, 0, Delta::Usage(UsageList { kind, namespace: None, rows }));
    }
    check(
        &store,
        Subject::Pods,
        0,
        json!({"cpu_use_m": 100, "cpu_use_request_percent": 40, "cpu_use_limit_percent": null, "cpu_slack_m": 150, "use_age_s": 20,
        "memory_use_bytes": gib(6), "memory_use_request_percent": 150, "memory_use_limit_percent": 75, "memory_slack_bytes": gib(-2)}),
    );
    check(
        &store,
        Subject::Pods,
        1,
        json!({"cpu_use_m": 500, "cpu_slack_m": -250, "memory_use_bytes": null, "memory_use_request_percent": null, "memory_slack_bytes": null}),
    );
    check(
        &store,
        Subject::Nodes,
        0,
        json!({"cpu_use_percent": 40, "cpu_slack_m": 100, "memory_use_percent": 75, "memory_slack_bytes": gib(-4)}),
    );
    // Of each resource those pods count that were measured.
    check(
        &store,
        Subject::Deployments,
        0,
        json!({"pods_measured": 2, "cpu_use_m": 600, "pods_cpu_request_m": 500, "cpu_use_request_percent": 120, "cpu_slack_m": -100,
        "memory_use_bytes": gib(6), "pods_memory_request_bytes": gib(4), "memory_slack_bytes": gib(-2)}),
    );
    check(&store, Subject::Namespaces, 0, json!({"pods_measured": 1, "cpu_use_m": 100, "cpu_slack_m": 150}));
    check(&store, Subject::Clusters, 0, json!({"cpu_use_m": 400, "cpu_use_percent": 40, "memory_use_percent": 75}));
    check(&store, Subject::Clusters, 1, json!({"cpu_use_m": null, "cpu_use_percent": null}));
}

#[test]
fn what_is_bad_and_what_is_stale() {
    let mut store = everything();
    let tones = |store: &Store, subject| rows(store, subject).into_iter().map(|r| bad(&Ctx { store, now: NOW }, r)).collect::<Vec<_>>();
    assert_eq!(tones(&store, Subject::Pods), [Tone::Critical, Tone::Ok]);
    assert_eq!(tones(&store, Subject::Nodes), [Tone::Critical]);
    assert_eq!(tones(&store, Subject::Deployments), [Tone::Warning]);
    assert_eq!(tones(&store, Subject::Hpa), [Tone::Warning]);
    assert_eq!(tones(&store, Subject::Clusters), [Tone::Ok, Tone::Ok]);
    assert!(rows(&store, Subject::Pods).into_iter().all(|r| !stale(r)));
    apply(&mut store, 0, Delta::State(ConnectionState::Unreachable { last: None, reason: "dial timeout".into() }));
    assert!(rows(&store, Subject::Pods).into_iter().all(stale));
    assert_eq!(tones(&store, Subject::Clusters), [Tone::Critical, Tone::Ok]);
}

#[test]
fn what_services_tell_as_json() {
    let store = everything();
    let ctx = Ctx { store: &store, now: NOW };
    let item = |subject, n: usize| serde_json::Value::Object(item_json(&ctx, subject, rows(&store, subject)[n]));
    let expect = |item: &serde_json::Value, fields: serde_json::Value| {
        for (key, value) in fields.as_object().unwrap() {
            assert_eq!(&item[key], value, "{key} of {item}");
        }
    };
    expect(
        &item(Subject::Backups, 1),
        json!({"kind": "Backup", "status": "PartiallyFailed", "items_done": 38, "items_total": 40, "errors": 2, "warnings": 1, "started_age_s": 3000, "duration_s": 90, "expires_in_s": 86_400,
            "schedule": "nightly", "namespaces": ["pay", "-tmp"], "message": "2 items failed; its log says which", "volumes_done": 1, "ttl_s": 2_592_000, "hooks_failed": 1}),
    );
    expect(
        &item(Subject::Restores, 0),
        json!({"status": "Failed", "backup": "b1", "mapping": {"pay": "pay-copy"}, "existing": "update", "message": "no such backup", "duration_s": null}),
    );
    expect(
        &item(Subject::Schedules, 0),
        json!({"status": "Late", "late_s": 2400, "last_backup_age_s": 3000, "last_success_age_s": 3000, "next_run_in_s": 0, "ttl_s": 2_592_000}),
    );
    expect(
        &item(Subject::Locations, 0),
        json!({"kind": "BackupStorageLocation", "status": "Unavailable", "access": "ReadWrite", "backups": 2, "message": "no such host", "validated_age_s": 40}),
    );
    expect(
        &item(Subject::Etcd, 0),
        json!({"name": "etcd-0", "namespace": null, "status": "Alarm", "alarms": ["NOSPACE"], "db_size_bytes": 104_857_600, "fragmented_percent": 60, "quota_percent": 4, "raft_lag": 10,
            "fsync_ms": 2, "leader_changes": 3, "commit_ms": null, "id": "ab"}),
    );
    expect(
        &item(Subject::Alerts, 0),
        json!({"name": "PodDown", "namespace": "pay", "severity": "critical", "status": "firing", "object": "Pod/checkout-1", "summary": "it burns", "silenced_by": []}),
    );
    expect(
        &item(Subject::Silences, 0),
        json!({"name": "s-1", "status": "active", "matchers": ["alertname=\"X\""], "hides": 0, "ends_in_s": 600, "created_by": "ada", "message": "hides nothing"}),
    );
    let tone = |subject| bad(&ctx, rows(&store, subject)[0]);
    assert_eq!([tone(Subject::Backups), tone(Subject::Restores), tone(Subject::Schedules)], [Tone::Ok, Tone::Critical, Tone::Critical]);
    assert_eq!(
        [tone(Subject::Locations), tone(Subject::Etcd), tone(Subject::Alerts), tone(Subject::Silences)],
        [Tone::Critical, Tone::Critical, Tone::Critical, Tone::Info]
    );
}

#[test]
fn a_services_rows_are_old_when_it_is_and_not_when_the_api_server_is_gone() {
    let mut store = everything();
    let old = |s: &Store, subject| stale(rows(s, subject)[0]);
    apply(&mut store, 0, Delta::State(ConnectionState::Unreachable { last: None, reason: "dial timeout".into() }));
    assert!(!old(&store, Subject::Etcd) && old(&store, Subject::Backups));
    apply(&mut store, 0, Delta::Service { service: Service::Etcd, state: ServiceState::Stale { reason: "x".into() }, via: "".into() });
    assert!(old(&store, Subject::Etcd));
}
