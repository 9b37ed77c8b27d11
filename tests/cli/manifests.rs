//! Manifests without a cluster: what rules find in files, and what they leave to a cluster.

use super::{Value, qd, room};
use quarterdeck::inspect::{RULES, judges_manifests};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

const WELL_RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wellrun");

/// Rule and object of what is found in a directory, as severe as that at least.
fn found(dir: &Path, least: &[&str]) -> BTreeSet<(String, String)> {
    let room = room();
    let (_, out, err) = qd(room.path(), &["inspect", "--file", dir.to_str().unwrap(), "-o", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {err}"));
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let items = report["items"].as_array().unwrap().iter().filter(|i| least.contains(&i["severity"].as_str().unwrap()));
    items.map(|i| (text(&i["rule"]), text(&i["name"]))).collect()
}

const ALL: [&str; 3] = ["critical", "warning", "info"];

/// What is written wrongly, and by whom it is found.
const WRONG: &[(&str, &str)] = &[
    ("cronjob-missed", "never"),
    ("dns-policy-odd", "root"),
    ("grpc-ingress-protocol", "calls"),
    ("hpa-min-equals-max", "fixed"),
    ("hpa-no-requests", "fixed"),
    ("hpa-unable-to-scale", "nowhere"),
    ("image-not-pinned", "root"),
    ("ingress-duplicate-path", "second"),
    ("ingress-host-annotation-conflict", "second"),
    ("pdb-blocks-drain", "all"),
    ("pdb-blocks-drain", "half"),
    ("pdb-ineffective", "nobody"),
    ("pdb-missing", "web"),
    ("pdb-overlap", "all"),
    ("pdb-overlap", "half"),
    ("privileged-or-host-access", "root"),
    ("probes-missing", "db"),
    ("release-not-lossless", "db"),
    ("resources-missing", "root"),
    ("secret-in-env", "root"),
    ("service-no-endpoints", "lost"),
];

fn files() -> String {
    let deployment = |name: &str, replicas: i64, spec: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"tier": "core"}}, "spec": {"replicas": replicas,
            "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": spec}}})
    };
    let of = |version: &str, kind: &str, name: &str, spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    let plain = || json!({"containers": [{"name": "app", "image": "registry.internal/app:1.0"}]});
    let budget = |name: &str, app: &str, least: Value| {
        of("policy/v1", "PodDisruptionBudget", name, json!({"minAvailable": least, "selector": {"matchLabels": {"app": app}}}))
    };
    let service = |name: &str, app: &str, port: Value| {
        let mut port = port;
        port["port"] = json!(80);
        of("v1", "Service", name, json!({"selector": {"app": app}, "ports": [port]}))
    };
    let ingress = |name: &str, host: &str, to: &str, settings: Value| {
        let backend = json!({"service": {"name": to, "port": {"number": 80}}});
        let rules = json!([{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]);
        let mut out = of("networking.k8s.io/v1", "Ingress", name, json!({"ingressClassName": "nginx", "rules": rules}));
        out["metadata"]["annotations"] = settings;
        out
    };
    let scaler = |name: &str, to: &str, least: i64, most: i64| {
        let by = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]);
        let to = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": to});
        let spec = json!({"minReplicas": least, "maxReplicas": most, "scaleTargetRef": to, "metrics": by});
        of("autoscaling/v2", "HorizontalPodAutoscaler", name, spec)
    };
    let root = json!({"hostNetwork": true, "containers": [{"name": "app", "image": "app:latest", "securityContext": {"privileged": true},
        "env": [{"name": "DB_PASSWORD", "value": "hunter2-of-a-file"}]}]});
    let run =
        json!({"template": {"spec": {"containers": [{"name": "app", "image": "registry.internal/app:1.0"}], "restartPolicy": "Never"}}});
    let redirect = |on: &str| json!({"nginx.ingress.kubernetes.io/ssl-redirect": on});
    let all = [
        budget("all", "db", json!(2)),
        budget("half", "db", json!("50%")),
        budget("nobody", "bd", json!(1)),
        service("lost", "bd", json!({})),
        service("db", "db", json!({"appProtocol": "grpc"})),
        ingress("first", "a.example.com", "lost", redirect("true")),
        ingress("second", "a.example.com", "db", redirect("false")),
        ingress("calls", "b.example.com", "db", json!({})),
        scaler("fixed", "db", 1, 1),
        scaler("nowhere", "gone", 2, 4),
        deployment("db", 2, plain()),
        deployment("web", 2, plain()),
        deployment("root", 1, root),
        of("batch/v1", "CronJob", "never", json!({"schedule": "0 0 31 2 x", "jobTemplate": {"spec": run}})),
        of("batch/v1", "CronJob", "paused", json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": run}})),
    ];
    all.map(|o| o.to_string()).join("\n---\n")
}

#[test]
fn what_is_written_wrongly_is_found_whatever_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let text = files();
    let documents: Vec<&str> = text.split("\n---\n").collect();
    let backwards: Vec<&str> = documents.iter().rev().copied().collect();
    let file = dir.path().join("all.yaml");
    for order in [documents, backwards] {
        std::fs::write(&file, order.join("\n---\n")).unwrap();
        let found = found(dir.path(), &ALL);
        let silent: Vec<_> = WRONG.iter().filter(|(rule, name)| !found.contains(&((*rule).to_owned(), (*name).to_owned()))).collect();
        assert!(silent.is_empty(), "{silent:?} of {found:?}");
        let wrong = |rule: &str, name: &str| found.contains(&(rule.to_owned(), name.to_owned()));
        assert!(!wrong("service-no-endpoints", "db") && !wrong("pdb-missing", "db") && !wrong("cronjob-missed", "paused"), "{found:?}");
    }
    // Files without any workload say nothing of what selects some.
    let alone: Vec<&str> =
        text.split("\n---\n").filter(|d| d.contains("\"nobody\"") || d.contains("\"lost\"") || d.contains("\"gone\"")).collect();
    assert_eq!(alone.len(), 4);
    std::fs::write(&file, alone.join("\n---\n")).unwrap();
    assert_eq!(found(dir.path(), &ALL), BTreeSet::new());
}

#[test]
fn what_is_well_written_is_left_in_peace() {
    assert_eq!(found(Path::new(WELL_RUN), &["critical", "warning"]), BTreeSet::new());
}

/// A verdict on manifests rests on what is written, and nobody writes a status.
#[test]
fn no_status_changes_what_is_found_in_manifests() {
    let dir = tempfile::tempdir().unwrap();
    let (mut before, mut after) = (files(), files());
    for file in std::fs::read_dir(WELL_RUN).unwrap() {
        for document in std::fs::read_to_string(file.unwrap().path()).unwrap().split("\n---\n") {
            let value: Value = serde_saphyr::from_str(document).unwrap();
            before.push_str(&format!("\n---\n{value}"));
            after.push_str(&format!("\n---\n{value}"));
        }
    }
    let never = |kind: &str| json!({"type": kind, "status": "False", "reason": "Bad", "lastTransitionTime": "2020-01-01T00:00:00Z"});
    let always = |kind: &str| json!({"type": kind, "status": "True", "reason": "Bad", "lastTransitionTime": "2020-01-01T00:00:00Z"});
    let status = json!({"replicas": 9, "readyReplicas": 0, "availableReplicas": 0, "unavailableReplicas": 9, "updatedReplicas": 0,
        "desiredNumberScheduled": 9, "numberReady": 0, "numberUnavailable": 9, "currentReplicas": 99, "desiredReplicas": 99, "failed": 9,
        "expectedPods": 9, "currentHealthy": 9, "desiredHealthy": 9, "disruptionsAllowed": 0, "observedGeneration": 1,
        "conditions": [never("AbleToScale"), never("ScalingActive"), always("ScalingLimited"), never("Progressing"), never("Available"),
            always("Failed"), never("DisruptionAllowed")]});
    let with = after.split("\n---\n").map(|document| {
        let mut value: Value = serde_json::from_str(document).unwrap();
        value["status"] = status.clone();
        value.to_string()
    });
    after = with.collect::<Vec<_>>().join("\n---\n");
    let file = dir.path().join("all.yaml");
    let of = |text: &str| {
        std::fs::write(&file, text).unwrap();
        found(dir.path(), &ALL)
    };
    let (without, with) = (of(&before), of(&after));
    assert_eq!(without, with);
    assert!(without.len() > WRONG.len());
}

#[test]
fn rules_say_whether_they_judge_manifests() {
    let judge = |id: &str| judges_manifests(RULES.iter().find(|r| r.id == id).unwrap(), false);
    for id in
        ["replicas-unavailable", "hpa-at-max", "node-not-ready", "cpu-throttled", "rbac-too-wide", "pod-crashloop", "dns-cache-missing"]
    {
        assert!(!judge(id), "{id} needs a cluster");
    }
    let all = RULES.iter().filter(|r| judges_manifests(r, false)).count();
    assert!(all >= 26, "{all} rules judge manifests");
    let dir = room();
    let (_, out, _) = qd(dir.path(), &["rule", "list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().iter().filter(|r| r["manifests"] == true).count(), all);
}
