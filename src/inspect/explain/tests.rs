use super::*;
use crate::inspect::fixture::{self, Fleet, NOW, ago};
use crate::model::{ClusterId, Time};
use serde_json::{Value, json};

/// `title label text`, one line each.
pub(super) fn said(fleet: &Fleet, kind: Kind, name: &str) -> Vec<String> {
    let (_, object) = fleet.store.find(ClusterId(0), kind, fixture::uid(kind, name)).unwrap();
    let sections = explain(&fleet.engine, &fleet.store, &fleet.store.clusters()[0], object, fleet.now);
    sections.iter().flat_map(|s| s.lines.iter().map(move |l| format!("{}|{}|{}", s.title, l.label, l.text))).collect()
}

#[track_caller]
pub(super) fn has(lines: &[String], wanted: &str) {
    assert!(lines.iter().any(|l| l.contains(wanted)), "no {wanted:?} in\n{}", lines.join("\n"));
}

fn event(kind: &str, about: &str, reason: &str, message: &str, secs: i64, count: u32) -> Value {
    json!({"metadata": {"name": format!("{about}.{reason}.{secs}")}, "type": "Warning", "reason": reason, "message": message, "count": count,
        "involvedObject": {"kind": kind, "namespace": "pay", "name": about, "uid": format!("{}/{about}", Kind::parse(kind).unwrap().plural())}, "lastTimestamp": ago(secs)})
}

fn checkout() -> Fleet {
    let mut fleet = Fleet::default();
    fleet.put(Kind::Deployment, [fixture::deployment("checkout", 2, 0)]);
    fleet.put(
        Kind::ReplicaSet,
        [
            fixture::replicaset("checkout-1", "checkout", 1, "reg/app:1.8", 90_000, 0),
            fixture::replicaset("checkout-2", "checkout", 2, "reg/app:1.9", 600, 2),
        ],
    );
    let pods = ["a", "b"].map(|n| {
        fixture::pod(
            fixture::owned(&format!("checkout-2-{n}"), Kind::ReplicaSet, "checkout-2"),
            "n1",
            false,
            500,
            fixture::crashing(7, 137, "OOMKilled", 60),
        )
    });
    fleet.put(Kind::Pod, pods);
    fleet.put(
        Kind::Event,
        [
            event("Pod", "checkout-2-a", "BackOff", "Back-off restarting failed container", 30, 12),
            event("Pod", "checkout-2-b", "BackOff", "Back-off restarting", 90, 5),
            event("Pod", "checkout-2-a", "Unhealthy", "Readiness probe failed: 503", 20, 3),
        ],
    );
    fleet
}

#[test]
fn a_crashing_pod_says_why_it_ended_and_what_changed() {
    let lines = said(&checkout(), Kind::Pod, "checkout-2-a");
    assert!(lines[0].starts_with("why|app|CrashLoopBackOff: it keeps ending"), "{lines:#?}");
    has(&lines, "why||its last run ended 60s ago, exit 137 (OOMKilled), after 5s: killed for using too much memory; its limit is 512Mi");
    has(&lines, "why|probe|Readiness probe failed: 503 (20s ago, 3 times)");
    has(&lines, "last change|app|image reg/app:1.8 > reg/app:1.9");
    has(&lines, "last change|revision|2, ReplicaSet checkout-2, made 10m ago");
    has(&lines, "events|30s ago x12|BackOff: Back-off restarting failed container");
    has(&lines, "pod|made by|ReplicaSet checkout-2, by Deployment checkout");
    has(&lines, "containers||requests none; limits memory 512Mi");
}

#[test]
fn a_workload_groups_its_pods_and_their_events() {
    let lines = said(&checkout(), Kind::Deployment, "checkout");
    has(&lines, "why|available|0 of 2 pods");
    has(&lines, "why|2 pods|CrashLoopBackOff: checkout-2-a, checkout-2-b");
    has(&lines, "events|30s ago x17|BackOff: Back-off restarting failed container (2 pods, newest checkout-2-a)");
    has(&lines, "last change|app|image reg/app:1.8 > reg/app:1.9");
    assert!(lines[0].starts_with("why|available"), "the worst first");
}

#[test]
fn a_healthy_pod_says_so_in_one_line() {
    let mut fleet = Fleet::default();
    fleet.put(Kind::Pod, [fixture::pod(json!({"name": "web", "creationTimestamp": ago(7200)}), "n1", true, 3600, fixture::running())]);
    let lines = said(&fleet, Kind::Pod, "web");
    assert_eq!(
        lines.iter().filter(|l| l.starts_with("healthy|") || l.starts_with("why|")).collect::<Vec<_>>(),
        ["healthy||running, 1 of 1 container ready for 60m"]
    );
    has(&lines, "pod|node|n1");
}

#[test]
fn scheduling_is_a_table_of_causes() {
    let mut fleet = Fleet::default();
    let message = "0/50 nodes are available: 20 Insufficient cpu, 30 node(s) had untolerated taint {a: b}. preemption: none";
    let pod = json!({"metadata": {"name": "big", "creationTimestamp": ago(600)}, "spec": {"containers": [{"name": "app", "image": "i", "resources": {"requests": {"cpu": "64"}}}]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}});
    fleet.put(Kind::Pod, [pod]);
    let lines = said(&fleet, Kind::Pod, "big");
    has(&lines, "why|pending|no node takes it since 10m ago");
    has(&lines, "scheduling|30 of 50 nodes|node(s) had untolerated taint {a: b}");
    has(&lines, "scheduling|20 of 50 nodes|Insufficient cpu");
    has(&lines, "scheduling|it asks for|requests cpu 64; limits none");
}

#[test]
fn a_node_that_is_lost_and_its_pods() {
    let mut fleet = Fleet::default();
    fleet.put(Kind::Node, [fixture::node("n1", "Unknown", 540)]);
    fleet.put(Kind::Pod, [fixture::pod(json!({"name": "web"}), "n1", false, 500, fixture::running())]);
    let lines = said(&fleet, Kind::Node, "n1");
    assert!(lines[0].starts_with("why|not ready|the kubelet does not report"), "{lines:#?}");
    has(&lines, "pods|by status|1 Running");
    has(&lines, "requested and used of allocatable|pods|1 of 0");
    has(&said(&fleet, Kind::Pod, "web"), "why|node|n1 is not ready since 9m ago");
}

#[test]
fn an_autoscaler_at_its_maximum_and_one_that_cannot_read() {
    let mut fleet = Fleet::default();
    let hpa = |name: &str, current: Value, conditions: Value| {
        json!({"metadata": {"name": name}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
            "status": {"currentReplicas": 10, "desiredReplicas": 10, "currentMetrics": current, "conditions": conditions}})
    };
    let hot = json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 143}}}]);
    fleet.put(
        Kind::Hpa,
        [
            hpa("hot", hot, json!([])),
            hpa(
                "blind",
                json!([]),
                json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}]),
            ),
        ],
    );
    let lines = said(&fleet, Kind::Hpa, "hot");
    has(&lines, "why|at maximum|10 of at most 10 pods; over its target: cpu");
    has(&lines, "metrics|cpu|143% against 80%");
    has(&said(&fleet, Kind::Hpa, "blind"), "why|ScalingActive|False: FailedGetResourceMetric: no metrics");
}

#[test]
fn a_budget_shows_its_arithmetic() {
    let mut fleet = checkout();
    let pdb = |desired: i32, healthy: i32| json!({"metadata": {"name": "db"}, "spec": {"minAvailable": desired, "selector": {}}, "status": {"expectedPods": 2, "desiredHealthy": desired, "currentHealthy": healthy, "disruptionsAllowed": 0}});
    fleet.put(Kind::Pdb, [pdb(2, 2)]);
    has(&said(&fleet, Kind::Pdb, "db"), "minAvailable 2 asks for all 2 pods: it never allows a disruption");
    fleet.put(Kind::Pdb, [pdb(1, 0)]);
    let lines = said(&fleet, Kind::Pdb, "db");
    has(&lines, "0 of 2 pods are healthy and 1 must be: 1 too few");
    has(&lines, "not healthy: checkout-2-a (CrashLoopBackOff)");
    has(&lines, "covers|Deployment checkout|2 pods, 0 healthy");
    has(&lines, "arithmetic|pods|2 expected, 1 must be healthy, 0 are");
}

#[test]
fn jobs_and_namespaces_that_do_not_end_well() {
    let mut fleet = Fleet::default();
    fleet.put(Kind::Job, [json!({"metadata": {"name": "etl"}, "spec": {"completions": 1, "backoffLimit": 3}, "status": {"failed": 4, "startTime": ago(900),
        "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit", "lastTransitionTime": ago(60)}]}})]);
    let lines = said(&fleet, Kind::Job, "etl");
    has(&lines, "why|failed|BackoffLimitExceeded: its pods failed more often than the limit of 3 allows, 60s ago");
    fleet.put(Kind::Namespace, [json!({"metadata": {"name": "old", "deletionTimestamp": ago(600)}, "status": {"phase": "Terminating",
        "conditions": [{"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain", "message": "pods. has 1 resource instances"}]}})]);
    let lines = said(&fleet, Kind::Namespace, "old");
    has(&lines, "why|NamespaceContentRemaining|True: SomeResourcesRemain: pods. has 1 resource instances");
    has(&lines, "why|terminating|was to be gone 10m ago");
}

#[test]
fn backups_say_what_they_are_good_for() {
    let mut fleet = Fleet::default();
    let spec = json!({"includedNamespaces": ["pay"], "excludedNamespaces": ["tmp"], "storageLocation": "default", "snapshotVolumes": false, "ttl": "720h0m0s"});
    let labels = json!({"velero.io/schedule-name": "nightly"});
    fleet.put(Kind::Backup, [
        json!({"metadata": {"name": "b1", "labels": labels}, "spec": spec, "status": {"phase": "Completed", "startTimestamp": ago(90_000), "completionTimestamp": ago(89_960), "progress": {"totalItems": 40, "itemsBackedUp": 40}}}),
        json!({"metadata": {"name": "b2", "labels": labels}, "spec": spec, "status": {"phase": "PartiallyFailed", "errors": 2, "startTimestamp": ago(3600), "completionTimestamp": ago(3500)}}),
        json!({"metadata": {"name": "b3"}, "spec": spec, "status": {"phase": "FailedValidation", "validationErrors": ["an existing backup storage location was not specified"]}}),
    ]);
    fleet.put(Kind::Restore, [json!({"metadata": {"name": "r1"}, "spec": {"backupName": "b2", "namespaceMapping": {"pay": "pay-copy"}}, "status": {"phase": "InProgress", "startTimestamp": ago(30)}})]);
    fleet.put(Kind::Schedule, [json!({"metadata": {"name": "nightly", "creationTimestamp": ago(900_000)}, "spec": {"schedule": "0 2 * * *", "template": spec}, "status": {"phase": "Enabled", "lastBackup": ago(200_000)}})]);
    let good = said(&fleet, Kind::Backup, "b1");
    assert_eq!(good[0], "healthy||Completed: a restore leads back to 25h ago", "{good:#?}");
    has(&good, "backup|namespaces|pay, without tmp");
    has(&good, "backup|volumes|their data is not in it, only the objects");
    let partly = said(&fleet, Kind::Backup, "b2");
    assert_eq!(partly[0], "why|PartiallyFailed|it ended, and some items failed", "{partly:#?}");
    has(&partly, "why|errors|2 errors; what they are is in its log");
    has(&partly, "restores of it|r1|InProgress");
    has(&said(&fleet, Kind::Backup, "b3"), "why|invalid|an existing backup storage location was not specified");
    has(&said(&fleet, Kind::Restore, "r1"), "why|backup|b2 is PartiallyFailed");
    let schedule = said(&fleet, Kind::Schedule, "nightly");
    has(&schedule, "why|late|a backup was due");
    has(&schedule, "why|last backup|b2 is PartiallyFailed; the last complete one is 25h old");
    fleet.put(Kind::StorageLocation, [json!({"metadata": {"name": "default"}, "spec": {"objectStorage": {"bucket": "b"}}, "status": {"phase": "Unavailable", "message": "no such host"}})]);
    has(&said(&fleet, Kind::Backup, "b1"), "why|location|default is unavailable: no such host");
    has(&said(&fleet, Kind::StorageLocation, "default"), "why|unavailable|nothing can be backed up to it");
}

/// The same for a row that a service tells.
fn told_of(fleet: &Fleet, kind: Kind, name: &str) -> Vec<String> {
    let cluster = &fleet.store.clusters()[0];
    let object = cluster.objects(kind).find(|o| &*o.meta().name == name).unwrap();
    let sections = explain(&fleet.engine, &fleet.store, cluster, object, NOW);
    sections.iter().flat_map(|s| s.lines.iter().map(move |l| format!("{}|{}|{}", s.title, l.label, l.text))).collect()
}

#[test]
fn a_member_of_etcd_says_how_it_is_and_what_the_others_are() {
    let mut fleet = Fleet::default();
    let mut members = fixture::etcd_members(&[('u', 3), ('u', 3), ('d', 65)]);
    members[1].alarms = ["NOSPACE".into()].into();
    members[1].status.as_mut().unwrap().db_size = 1945 << 20;
    members[0].metrics = Some(crate::model::EtcdMetrics { fsync_p99_us: Some(612_345), leader_changes: Some(2), ..Default::default() });
    fixture::put_members(&mut fleet, members);
    let well = told_of(&fleet, Kind::EtcdMember, "etcd-1");
    assert_eq!(well[0], "healthy||it leads", "{well:#?}");
    has(
        &well,
        "etcd of this cluster||2 of 3 voters answer, leader etcd-1, none may fail; alarm: etcd-2 NOSPACE; etcd-2 at 94% of its quota",
    );
    has(&well, "etcd of this cluster|etcd-3|down: connection refused");
    has(&well, "since the last look|log to disk, p99|612.3 ms");
    has(&well, "database|in use|40Mi; a defragmentation would free 60%");
    has(&well, "member|raft|term 4, index 1000, applied 990");
    let alarmed = told_of(&fleet, Kind::EtcdMember, "etcd-2");
    assert!(alarmed[0].starts_with("why|alarm NOSPACE|its database is at the quota: writes are refused"), "{alarmed:#?}");
    has(&alarmed, "findings|etcd-alarm|alarm NOSPACE: writes are refused");
    let down = told_of(&fleet, Kind::EtcdMember, "etcd-3");
    assert_eq!(&down[..2], ["why|down|connection refused", "why||it answered last 65s ago"], "{down:#?}");
}

#[test]
fn an_alert_on_a_claim_is_told_at_the_claim_at_the_pod_that_mounts_it_and_at_its_workload() {
    let mut fleet = checkout();
    let mut pod = fixture::pod(fixture::owned("checkout-2-a", Kind::ReplicaSet, "checkout-2"), "n", true, 900, fixture::running());
    pod["spec"]["volumes"] = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
    fleet.put(Kind::Pod, [pod]).put(Kind::Claim, [json!({"metadata": {"name": "data"}, "status": {"phase": "Bound"}})]);
    let labels = [("alertname", "Filling"), ("namespace", "pay"), ("persistentvolumeclaim", "data"), ("node", "n")];
    let mut alert = crate::model::alert::tests::alert(&labels, crate::model::AlertState::Firing);
    alert.starts = Time::from_secs(NOW - 600);
    fixture::told(&mut fleet, crate::model::Service::Alertmanager, crate::model::ServiceState::Live, vec![Object::Alert(alert.into())]);
    for (kind, name) in [(Kind::Claim, "data"), (Kind::Pod, "checkout-2-a"), (Kind::Deployment, "checkout")] {
        has(&said(&fleet, kind, name), "alerts|Filling|firing since 10m ago");
    }
    assert!(!said(&fleet, Kind::Pod, "checkout-2-b").iter().any(|l| l.starts_with("alerts|")));
}

#[test]
fn an_alert_says_what_it_is_about_and_who_hides_it_and_its_object_says_the_alert() {
    let mut fleet = checkout();
    let labels = [("alertname", "PodCrashLooping"), ("namespace", "pay"), ("pod", "checkout-2-a"), ("severity", "critical")];
    let mut alert = crate::model::alert::tests::alert(&labels, crate::model::AlertState::Firing);
    let text = |k: &str, v: &str| (crate::model::Str::from(k), crate::model::Str::from(v));
    alert.annotations =
        vec![text("description", "5 restarts in 10m"), text("runbook_url", "https://run/book"), text("summary", "it burns")].into();
    alert.starts = Time::from_secs(NOW - 600);
    let put = |fleet: &mut Fleet, a: &crate::model::Alert| {
        fixture::told(fleet, crate::model::Service::Alertmanager, crate::model::ServiceState::Live, vec![Object::Alert(a.clone().into())]);
    };
    put(&mut fleet, &alert);
    let lines = told_of(&fleet, Kind::Alert, "PodCrashLooping");
    assert_eq!(&lines[..2], ["why|firing|it burns", "why||5 restarts in 10m"], "{lines:#?}");
    has(&lines, "next|runbook|https://run/book");
    has(&lines, "about|Pod|pay/checkout-2-a, of pay/checkout: CrashLoopBackOff");
    has(&lines, "labels|severity|critical");
    has(&lines, "annotations|description|5 restarts in 10m");
    for (kind, name) in [(Kind::Pod, "checkout-2-a"), (Kind::Deployment, "checkout")] {
        has(&said(&fleet, kind, name), "alerts|PodCrashLooping|firing since 10m ago: it burns");
    }
    assert!(!said(&fleet, Kind::Pod, "checkout-2-b").iter().any(|l| l.starts_with("alerts|")));
    // A silence hides it.
    (alert.state, alert.silenced_by) = (crate::model::AlertState::Silenced, ["s1".into()].into());
    put(&mut fleet, &alert);
    let mut silence = crate::model::silence::tests::silence("s1", crate::model::SilenceState::Active, NOW + 1200);
    silence.hides = 1;
    fixture::told(&mut fleet, crate::model::Service::Alertmanager, crate::model::ServiceState::Live, vec![Object::Silence(silence.into())]);
    let lines = told_of(&fleet, Kind::Alert, "PodCrashLooping");
    assert_eq!(lines[0], "healthy||a silence hides it", "{lines:#?}");
    has(&lines, "worth knowing|silenced|by ada until 2026-01-05T12:20:00Z (in 20m): node work");
    let lines = told_of(&fleet, Kind::Silence, "s1");
    assert_eq!(lines[0], "why|ends soon|in 20m: then 1 alert is heard, 1 of them critical", "{lines:#?}");
    has(&lines, "hides|critical|PodCrashLooping: Pod pay/checkout-2-a, since 10m ago");
    has(&lines, "silence|matches|alertname=\"X\"");
    alert.silenced_by = Box::default();
    put(&mut fleet, &alert);
    has(&told_of(&fleet, Kind::Silence, "s1"), "worth knowing|hides nothing|no alert matches it now");
}

#[test]
fn a_finding_names_two_pages_to_read_in_its_last_part() {
    let mut fleet = Fleet::default();
    fleet.put(Kind::StatefulSet, [json!({"metadata": {"name": "s"}, "spec": {"replicas": 2}, "status": {"replicas": 2, "availableReplicas": 2, "readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"}})]);
    fleet.put(Kind::Pod, [fixture::pod(fixture::owned("s-0", Kind::StatefulSet, "s"), "n1", true, 1000, fixture::running())]);
    for (cluster, changes) in fleet.engine.news() {
        fleet.delta(cluster.0, crate::model::Delta::Rows { kind: Kind::Finding, changes });
    }
    let lines = told_of(&fleet, Kind::Finding, "rollout-stuck");
    let read: Vec<&String> = lines.iter().filter(|l| l.contains("|read|")).collect();
    let links = fleet.engine.rules().find("rollout-stuck").unwrap().links;
    assert_eq!(links.len(), 3, "one more than is named");
    assert_eq!(read, [&format!("finding|read|{}", links[0]), &format!("finding|read|{}", links[1])]);
    assert_eq!(lines.last(), read.last().copied());
}

#[test]
fn only_what_belongs_to_it_concerns_an_object() {
    let fleet = checkout();
    let cluster = &fleet.store.clusters()[0];
    let get = |kind, name: &str| fleet.store.find(ClusterId(0), kind, fixture::uid(kind, name)).unwrap().1.clone();
    let (deployment, pod) = (get(Kind::Deployment, "checkout"), get(Kind::Pod, "checkout-2-a"));
    let event = cluster.objects(Kind::Event).next().unwrap();
    assert!(concerns(cluster, &deployment, &pod) && concerns(cluster, &pod, &deployment) && concerns(cluster, &deployment, event));
    assert!(!concerns(cluster, &pod, &get(Kind::Pod, "checkout-2-b")));
}
