//! A cluster from a scenario and a seed: nodes, namespaces and apps, made by the controllers themselves on a clock that runs
//! from a month ago to now.

use super::control::{self, Action};
use super::make::{self, App, NodeSpec};
use super::register::{
    CRONJOBS, DAEMONSETS, DEPLOYMENTS, EVENTS, HPAS, INGRESSES, NAMESPACES, NODES, PDBS, Res, SCALED_OBJECTS, SERVICES, STATEFULSETS,
};
use super::scenario::Scenario;
use super::store::{Key, State, parse_time, rfc3339};
use crate::model::Cron;
use serde_json::{Value, json};

/// A Deployment.
pub fn deployment(app: &App, replicas: i64) -> Value {
    let (mut labels, mut template) = (json!({"app": app.name}), make::template(app));
    if app.name == GATE {
        labels["app.kubernetes.io/name"] = "ingress-nginx".into();
        template["spec"]["containers"][0]["args"] = json!(["/nginx-ingress-controller", format!("--configmap=$(POD_NAMESPACE)/{GATE}")]);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": app.name, "namespace": app.namespace, "generation": 1, "labels": labels, "annotations": {}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": app.name}}, "template": template, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}},
        "status": {},
    })
}

fn statefulset(app: &App, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": app.name, "namespace": app.namespace, "generation": 1, "labels": {"app": app.name}},
        "spec": {"replicas": replicas, "serviceName": app.name, "podManagementPolicy": "OrderedReady", "selector": {"matchLabels": {"app": app.name}}, "template": make::template(app),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}, "revisionHistoryLimit": 10,
            "volumeClaimTemplates": [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "ssd", "resources": {"requests": {"storage": format!("{}Gi", app.memory_mi / 32)}}}}]},
        "status": {"replicas": 0},
    })
}

fn daemonset(app: &App) -> Value {
    let mut template = make::template(app);
    template["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    template["spec"]["priorityClassName"] = "system-node-critical".into();
    if let Some(spec) = template["spec"].as_object_mut() {
        // One on each node is spread enough.
        spec.shift_remove("topologySpreadConstraints");
    }
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": app.name, "namespace": app.namespace, "generation": 1, "labels": {"app": app.name}},
        "spec": {"selector": {"matchLabels": {"app": app.name}}, "template": template, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}, "revisionHistoryLimit": 10},
        "status": {},
    })
}

fn cronjob(app: &App, schedule: &str) -> Value {
    let mut template = make::template(app);
    template["spec"]["restartPolicy"] = "Never".into();
    if let Some(c) = template["spec"]["containers"][0].as_object_mut() {
        for field in ["readinessProbe", "livenessProbe", "lifecycle", "ports"] {
            c.shift_remove(field);
        }
    }
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": app.name, "namespace": app.namespace, "generation": 1, "labels": {"app": app.name}},
        "spec": {"schedule": schedule, "concurrencyPolicy": "Forbid", "suspend": false, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
            "jobTemplate": {"metadata": {}, "spec": {"completions": 1, "parallelism": 1, "backoffLimit": 2, "completionMode": "NonIndexed", "suspend": false, "template": template}}},
        "status": {},
    })
}

fn service(app: &App, ip: u8) -> Value {
    let mut ports = json!([{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]);
    let (mut kind, mut balancer) = ("ClusterIP", json!({}));
    match app.name.as_str() {
        "ledger" => ports[0] = json!({"name": "grpc", "port": 9090, "targetPort": "http", "protocol": "TCP", "appProtocol": "grpc"}),
        GATE => (kind, balancer) = ("LoadBalancer", json!({"ingress": [{"ip": GATEWAY, "ipMode": "VIP"}]})),
        _ => {}
    }
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": app.name, "namespace": app.namespace, "labels": {"app": app.name}},
        "spec": {"type": kind, "clusterIP": format!("10.96.{ip}.{}", make::fnv(&app.name) % 250 + 1), "selector": {"app": app.name}, "sessionAffinity": "None",
            "ports": ports},
        "status": {"loadBalancer": balancer},
    })
}

/// The Ingress controller: its Deployment, its Service, and the ConfigMap that it reads if there is one.
pub const GATE: &str = "gateway";
/// Where it is reached.
const GATEWAY: &str = "192.0.2.10";

/// An Ingress for one host; each path with the Service that it leads to.
fn ingress(namespace: &str, name: &str, host: &str, paths: &[(&str, &str)]) -> Value {
    let path = |(path, service): &(&str, &str)| json!({"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"name": "http"}}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": {"ingressClassName": "nginx", "tls": [{"hosts": [host], "secretName": format!("{name}-tls")}],
            "rules": [{"host": host, "http": {"paths": paths.iter().map(path).collect::<Vec<_>>()}}]},
        "status": {"loadBalancer": {"ingress": [{"ip": GATEWAY}]}},
    })
}

/// The Service that the Prometheus operator makes for what it runs (`alertmanager`), with these ports.
pub fn operated(what: &str, name: &str, ports: &[(&str, u16)]) -> Value {
    let ports = ports.iter().map(|(name, port)| json!({"name": name, "port": port, "targetPort": name, "protocol": "TCP"}));
    let mut labels = json!({"managed-by": "prometheus-operator"});
    labels[format!("operated-{what}")] = "true".into();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": super::alertmanager::NAMESPACE, "labels": labels},
        "spec": {"type": "ClusterIP", "clusterIP": "None", "selector": {"app": what}, "sessionAffinity": "None", "publishNotReadyAddresses": true,
            "ports": ports.collect::<Vec<_>>()},
        "status": {"loadBalancer": {}},
    })
}

fn hpa(app: &App, min: i64, max: i64) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": app.name, "namespace": app.namespace},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name}, "minReplicas": min, "maxReplicas": max,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
        "status": {"currentReplicas": 0, "desiredReplicas": 0},
    })
}

fn scaled_object(app: &App, max: i64) -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": app.name, "namespace": app.namespace, "generation": 1},
        "spec": {"scaleTargetRef": {"name": app.name}, "minReplicaCount": 1, "maxReplicaCount": max,
            "triggers": [{"type": "prometheus", "metadata": {"serverAddress": "http://prometheus.monitoring:9090", "query": format!("sum(rate({}_messages_total[1m]))", app.name), "threshold": "80"}}]},
        "status": {},
    })
}

fn pdb(app: &App, rule: (&str, Value)) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": app.name, "namespace": app.namespace, "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": app.name}}, rule.0: rule.1},
        "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
    })
}

/// The apps that every cluster has: namespace, name, replicas, millicores, MiB, and what guards or scales it.
const APPS: [(&str, &str, i64, i64, i64, &str); 17] = [
    ("pay", "checkout", 6, 250, 512, "pdb"),
    ("pay", "api", 10, 200, 384, "hpa"),
    ("pay", "ledger", 4, 150, 256, "pdb"),
    ("pay", "fraud", 3, 400, 768, ""),
    ("shop", "cart", 5, 150, 256, "pdb"),
    ("shop", "web", 8, 100, 192, "hpa"),
    ("shop", "search", 4, 500, 1024, "pdb"),
    ("shop", "catalog", 4, 200, 384, ""),
    ("shop", "recommend", 3, 300, 512, "hpa"),
    ("auth", "login", 4, 100, 192, "pdb"),
    ("auth", "session", 3, 100, 256, ""),
    ("data", "ingest", 4, 250, 512, "hpa"),
    ("data", "stream", 3, 300, 768, "keda"),
    ("monitoring", "grafana", 1, 100, 256, ""),
    ("monitoring", "alertmanager", 2, 50, 128, ""),
    ("kube-system", "coredns", 3, 100, 70, "pdb"),
    ("ingress", GATE, 4, 300, 256, "pdb"),
];
const SETS: [(&str, &str, i64, i64, i64); 4] = [
    ("pay", "db", 3, 500, 2048),
    ("data", "kafka", 3, 400, 2048),
    ("auth", "redis", 3, 100, 512),
    ("monitoring", "prometheus", 2, 500, 2048),
];
const DAEMONS: [(&str, &str, i64, i64); 4] = [
    ("kube-system", "kube-proxy", 50, 64),
    ("kube-system", "cni", 50, 96),
    ("monitoring", "node-exporter", 30, 48),
    ("monitoring", "log-agent", 60, 128),
];
const CRONS: [(&str, &str, &str); 4] = [
    ("data", "backup", "0 2 * * *"),
    ("data", "compact", "*/10 * * * *"),
    ("shop", "reprice", "*/15 * * * *"),
    ("auth", "expire", "*/20 * * * *"),
];

/// Paths and the apps behind them.
type Paths = &'static [(&'static str, &'static str)];

/// The hosts that people reach the apps under: namespace, name, host, paths.
const HOSTS: [(&str, &str, &str, Paths); 3] = [
    ("shop", "shop", "shop.example.com", &[("/", "web"), ("/cart", "cart"), ("/search", "search")]),
    ("pay", "pay", "pay.example.com", &[("/", "checkout"), ("/api", "api")]),
    ("auth", "login", "login.example.com", &[("/", "login")]),
];

const DAY: i64 = 86_400;

/// What is made, when (seconds before the start), and where.
pub type Plan = Vec<(i64, Res, Value)>;

/// A CronJob that was made then ran for the last time before the clockwork does.
fn ran(value: &mut Value, made: i64, before: i64) {
    let Ok(cron) = Cron::parse(value["spec"]["schedule"].as_str().unwrap_or_default()) else { return };
    let mut last = None;
    // A run is at most a week before: no schedule here is rarer.
    let mut at = made.max(before - 7 * DAY);
    while let Some(next) = cron.next(at).filter(|next| *next < before) {
        (last, at) = (Some(next), next);
    }
    if let Some(last) = last {
        value["status"] = json!({"lastScheduleTime": rfc3339(last), "lastSuccessfulTime": rfc3339(last + 20)});
    }
}

/// Makes one cluster's state as it is at `start` (unix seconds).
pub fn cluster(scenario: &Scenario, name: &str, index: usize, seed: u64, start: i64) -> State {
    let mut s = State::new(name, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(make::fnv(name)));
    s.etcd = super::etcd::Etcd::new(name, seed, start);
    let mut plan: Plan = Vec::new();
    let mut rng = s.rng.fork();
    apps(&mut plan, scenario, &mut rng);
    super::velero::plan(&mut plan, start);
    plan.push((25 * DAY, SERVICES, super::alertmanager::service()));
    plan.push((25 * DAY, SERVICES, super::prometheus::service()));
    plan.extend(HOSTS.map(|(namespace, name, host, paths)| (24 * DAY, INGRESSES, ingress(namespace, name, host, paths))));
    let namespaces: std::collections::BTreeSet<String> =
        plan.iter().filter_map(|(_, _, v)| v["metadata"]["namespace"].as_str().map(ToOwned::to_owned)).collect();
    for ns in namespaces.iter().map(String::as_str).chain(["default", "kube-public", "kube-node-lease"]) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns, "labels": {"kubernetes.io/metadata.name": ns}}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        plan.push((32 * DAY, NAMESPACES, namespace));
    }
    let (cpu, memory_gi, pods) = room(&plan, scenario);
    let region = ["eu-central", "us-east", "ap-south", "eu-west"][index % 4];
    for n in 0..scenario.nodes {
        let zone = format!("{region}-{}", ['a', 'b', 'c'][n % 3]);
        let age = 31 * DAY - i64::try_from(n).unwrap_or(0) * 60;
        plan.push((
            age,
            NODES,
            make::node(&NodeSpec { name: &format!("node-{:03}", n + 1), zone: &zone, region, index: n, cpu, memory_gi, pods }, start - age),
        ));
    }
    plan.sort_by_key(|(age, ..)| std::cmp::Reverse(*age));
    s.world.instant = true;
    for (age, res, mut value) in plan {
        control::run(&mut s, (start - age) * 1000);
        if res == CRONJOBS {
            ran(&mut value, start - age, start - 7200);
        }
        s.put(res, value);
    }
    control::settle(&mut s);
    s.world.instant = false;
    super::endpoints::all(&mut s);
    let mine = scenario.incidents.iter().filter(|i| i.cluster == name);
    s.world.incidents = mine.cloned().collect();
    for n in 0..s.world.incidents.len() {
        let at = (start + s.world.incidents[n].at.0) * 1000;
        s.timers.push(std::cmp::Reverse((at, Action::Incident(n))));
    }
    // Old troubles first, then two hours with the clockwork running.
    control::run(&mut s, (start - 7200) * 1000);
    s.later(0, Action::Cron);
    control::run(&mut s, start * 1000 - 1);
    let old = |v: &Value| parse_time(&v["lastTimestamp"]).is_none_or(|t| t < start - 3600);
    let gone: Vec<Key> = s.tables[EVENTS].objects.iter().filter(|(_, o)| old(&o.value())).map(|(k, _)| k.clone()).collect();
    for key in gone {
        s.remove(EVENTS, &key);
    }
    (s.world.churn, s.world.replace) = (scenario.churn, scenario.replace_every);
    if s.world.churn > 0.0 {
        s.later(1000, Action::Churn);
    }
    if s.world.replace > 0.0 {
        let first = s.rng.i64(5000..10_000);
        s.later(first, Action::Replace);
    }
    s.serving = true;
    s
}

/// Fills the plan with apps until there are enough pods.
fn apps(plan: &mut Plan, scenario: &Scenario, rng: &mut fastrand::Rng) {
    let mut left = i64::try_from(scenario.pods).unwrap_or(i64::MAX);
    let app = |namespace: &str, name: &str, version: &str, cpu_m: i64, memory_mi: i64| App {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        image: format!("registry.example.com/{namespace}/{name}:{version}"),
        cpu_m,
        memory_mi,
    };
    let nodes = i64::try_from(scenario.nodes).unwrap_or(0);
    for (ns, name, cpu, memory) in DAEMONS {
        plan.push((30 * DAY, DAEMONSETS, daemonset(&app(ns, name, "1.4", cpu, memory))));
        left -= nodes;
    }
    for (ns, name, schedule) in CRONS {
        plan.push((20 * DAY, CRONJOBS, cronjob(&app(ns, name, "3.2", 100, 256), schedule)));
    }
    for (ns, name, replicas, cpu, memory) in SETS {
        let a = app(ns, name, "15.4", cpu, memory);
        plan.push((28 * DAY, STATEFULSETS, statefulset(&a, replicas)));
        plan.push((28 * DAY, SERVICES, service(&a, rng.u8(..))));
        if replicas > 2 {
            plan.push((28 * DAY - 60, PDBS, pdb(&a, ("maxUnavailable", json!(1)))));
        }
        left -= replicas;
    }
    for (ns, name, replicas, cpu, memory, guard) in APPS {
        let a = app(ns, name, "1.8", cpu, memory);
        let age = rng.i64(DAY..25 * DAY);
        plan.push((age, DEPLOYMENTS, deployment(&a, replicas)));
        plan.push((age, SERVICES, service(&a, rng.u8(..))));
        match guard {
            "pdb" => plan.push((age - 60, PDBS, pdb(&a, ("maxUnavailable", json!("25%"))))),
            "hpa" => plan.push((age - 60, HPAS, hpa(&a, 2, if name == "api" { 40 } else { 20 }))),
            "keda" => plan.push((age - 60, SCALED_OBJECTS, scaled_object(&a, 12))),
            _ => {}
        }
        left -= replicas;
    }
    let mut n = 0;
    while left > 0 {
        n += 1;
        let replicas = if scenario.pods > 5000 { rng.i64(4..40) } else { rng.i64(1..9) }.min(left);
        let (ns, name) = (format!("team-{:02}", n % 24 + 1), format!("app-{n:04}"));
        let a = app(&ns, &name, "2.1", [50, 100, 150, 200][rng.usize(..4)], [64, 128, 192, 256][rng.usize(..4)]);
        plan.push((rng.i64(DAY..25 * DAY), DEPLOYMENTS, deployment(&a, replicas)));
        left -= replicas;
    }
}

/// How large the nodes must be: cores, GiB, pods.
fn room(plan: &Plan, scenario: &Scenario) -> (i64, i64, i64) {
    let nodes = i64::try_from(scenario.nodes).unwrap_or(1).max(1);
    let (mut cpu, mut memory, mut pods) = (0, 0, 0);
    for (_, res, v) in plan {
        let ask = &v["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"];
        let replicas = if *res == DAEMONSETS { nodes } else { v["spec"]["replicas"].as_i64().unwrap_or(0) };
        cpu += replicas * ask["cpu"].as_str().and_then(crate::model::quantity::milli).unwrap_or(0);
        memory += replicas * ask["memory"].as_str().and_then(crate::model::quantity::whole).unwrap_or(0);
        pods += replicas;
    }
    // Two thirds are asked for.
    let fit = |per_node: i64, sizes: &[i64]| sizes.iter().copied().find(|size| size * 2 >= per_node * 3).unwrap_or(per_node * 3 / 2 + 1);
    let cpu = fit((cpu / nodes / 1000).max(1), &[4, 8, 16, 32, 48, 64, 96, 128]);
    let memory = fit(((memory / nodes) >> 30).max(1), &[16, 32, 64, 128, 192, 256, 384, 512]);
    (cpu, memory, fit(pods / nodes + 20, &[110, 250, 500]))
}

#[cfg(test)]
mod tests {
    use super::super::register::{BACKUPS, CLAIMS, JOBS, LOCATIONS, PODS, REPLICASETS, SCHEDULES, VOLUMES};
    use super::*;
    use std::sync::Arc;

    const START: i64 = 1_800_000_000;

    fn made(scenario: &str, cluster_name: &str) -> State {
        let quiet = Scenario { replace_every: 0.0, churn: 0.0, ..Scenario::load(scenario).unwrap() };
        cluster(&quiet, cluster_name, 0, 1, START)
    }
    fn values(s: &State, res: Res) -> Vec<Value> {
        s.tables[res].objects.values().map(|o| o.value()).collect()
    }
    fn one(s: &State, res: Res, namespace: &str, name: &str) -> Value {
        s.get(res, namespace, name).unwrap().value()
    }
    fn condition<'a>(v: &'a Value, kind: &str) -> &'a Value {
        v["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap()
    }
    fn since(v: &Value) -> i64 {
        START - parse_time(&v["lastTransitionTime"]).unwrap()
    }
    /// Lets seconds pass.
    fn pass(s: &mut State, seconds: i64) {
        let until = s.clock + seconds * 1000;
        control::run(s, until);
    }

    #[test]
    fn calm_is_calm() {
        let s = made("calm", "prod-eu");
        for pod in s.tables[PODS].objects.values() {
            let facts = pod.pod.as_ref().unwrap();
            assert!(facts.ready || &*facts.phase == "Succeeded", "{:?} {}", pod.key, facts.phase);
        }
        for d in values(&s, DEPLOYMENTS) {
            assert_eq!(
                (&d["status"]["readyReplicas"], &condition(&d, "Progressing")["reason"]),
                (&d["spec"]["replicas"], &json!("NewReplicaSetAvailable")),
                "{}",
                d["metadata"]["name"]
            );
        }
        assert!(values(&s, PDBS).iter().all(|p| p["status"]["disruptionsAllowed"].as_i64() > Some(0)));
        assert!(values(&s, EVENTS).iter().all(|e| e["type"] == "Normal"));
        let pods = s.tables[PODS].objects.len();
        assert!((250..300).contains(&pods), "{pods}");
    }

    #[test]
    fn the_night_has_all_its_troubles_and_they_are_old() {
        let s = made("on-call-night", "prod-us");
        let checkout = one(&s, DEPLOYMENTS, "pay", "checkout");
        assert_eq!((&checkout["status"]["readyReplicas"], &checkout["status"]["updatedReplicas"]), (&json!(0), &json!(6)));
        assert_eq!(s.owned(checkout["metadata"]["uid"].as_str().unwrap(), REPLICASETS).len(), 2);
        let crashed = s.tables[PODS].objects.values().find(|p| p.key.1.starts_with("checkout-")).unwrap().value();
        assert_eq!(crashed["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
        assert!(since(condition(&crashed, "Ready")) > 500);
        let node = one(&s, NODES, "", "node-017");
        assert!(condition(&node, "Ready")["message"].as_str().unwrap().contains("PLEG") && since(condition(&node, "Ready")) == 540);
        assert!(s.on_node["node-017"].iter().all(|k| !s.at(PODS, k).unwrap().pod.as_ref().unwrap().ready));
        assert_eq!(one(&s, PDBS, "pay", "db")["status"]["disruptionsAllowed"], 0);
        let s = made("on-call-night", "prod-ap");
        let hpa = one(&s, HPAS, "pay", "api");
        assert_eq!(
            (&hpa["status"]["currentReplicas"], &hpa["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"]),
            (&json!(40), &json!(143))
        );
        assert_eq!(condition(&hpa, "ScalingLimited")["reason"], "TooManyReplicas");
        let s = made("on-call-night", "prod-eu");
        let waiting = s.tables[PODS].objects.values().find(|p| p.key.1.starts_with("reindex-")).unwrap().value();
        assert!(condition(&waiting, "PodScheduled")["message"].as_str().unwrap().starts_with("0/18 nodes are available: "));
        assert!(s.tables[PODS].objects.values().any(|p| p.deleting && p.key.1.starts_with("cart-")));
        let s = made("on-call-night", "staging");
        assert!(values(&s, JOBS).iter().any(|j| j["status"]["conditions"][0]["reason"] == "BackoffLimitExceeded"));
    }

    #[test]
    fn backups_are_made_and_what_is_asked_for_is_carried_out() {
        let mut s = made("calm", "prod-eu");
        let backups = values(&s, BACKUPS);
        assert!(backups.len() > 35 && backups.iter().all(|b| b["status"]["phase"] == "Completed"), "{}", backups.len());
        assert!(values(&s, SCHEDULES).iter().all(|b| START - parse_time(&b["status"]["lastBackup"]).unwrap() <= 86_400));
        let hourly =
            |s: &State| values(s, BACKUPS).iter().filter(|b| b["metadata"]["labels"]["velero.io/schedule-name"] == "pay-hourly").count();
        let before = hourly(&s);
        pass(&mut s, 3700);
        assert_eq!(hourly(&s), before + 1);
        // One with half of the items of the one before is a finding, and a calm fleet has none.
        let items = |b: &Value| b["status"]["progress"]["totalItems"].as_i64().unwrap();
        let of_hours = values(&s, BACKUPS).into_iter().filter(|b| b["metadata"]["labels"]["velero.io/schedule-name"] == "pay-hourly");
        assert!(of_hours.map(|b| items(&b)).all(|n| (280..=320).contains(&n)), "{:?}", values(&s, BACKUPS));
        s.put(
            BACKUPS,
            json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "mine", "namespace": "velero"}, "spec": {}}),
        );
        pass(&mut s, 3);
        assert_eq!(one(&s, BACKUPS, "velero", "mine")["status"]["phase"], "InProgress");
        pass(&mut s, 15);
        let status = &one(&s, BACKUPS, "velero", "mine")["status"];
        assert_eq!((&status["phase"], &status["progress"]["itemsBackedUp"]), (&json!("Completed"), &status["progress"]["totalItems"]));
        let night = made("on-call-night", "prod-us");
        assert!(values(&night, BACKUPS).iter().any(|b| b["status"]["phase"] == "PartiallyFailed"));
    }

    #[test]
    fn without_its_server_velero_does_nothing_until_it_is_there_again() {
        let mut s = made("calm", "prod-eu");
        let ask = |s: &mut State, name: &str| {
            s.put(
                BACKUPS,
                json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name, "namespace": "velero"}, "spec": {}}),
            );
        };
        let phase = |s: &State, name: &str| one(s, BACKUPS, "velero", name)["status"]["phase"].clone();
        let looked = |s: &State| parse_time(&one(s, LOCATIONS, "velero", "default")["status"]["lastValidationTime"]).unwrap();
        pass(&mut s, 70);
        assert!(s.now() - looked(&s) <= 60, "it is looked at once a minute");
        ask(&mut s, "runs");
        pass(&mut s, 3);
        super::super::velero::die(&mut s);
        let (last, made) = (looked(&s), values(&s, BACKUPS).len());
        ask(&mut s, "waits");
        pass(&mut s, 7300);
        assert_eq!(
            (looked(&s), values(&s, BACKUPS).len(), phase(&s, "runs"), phase(&s, "waits")),
            (last, made + 1, json!("InProgress"), Value::Null)
        );
        super::super::velero::live(&mut s);
        pass(&mut s, 20);
        assert_eq!((phase(&s, "runs"), phase(&s, "waits")), (json!("Failed"), json!("Completed")));
        assert!(looked(&s) > last && values(&s, BACKUPS).len() > made + 1, "what is due is made up for");
    }

    #[test]
    fn a_release_rolls_out_and_never_below_its_minimum() {
        let mut s = made("calm", "prod-eu");
        let key: Key = ("shop".into(), "catalog".into());
        s.edit(DEPLOYMENTS, &key, |d| {
            d["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/shop/catalog:1.9".into()
        });
        let mut least = i64::MAX;
        for _ in 0..60 {
            pass(&mut s, 1);
            least = least.min(one(&s, DEPLOYMENTS, "shop", "catalog")["status"]["readyReplicas"].as_i64().unwrap());
        }
        let d = one(&s, DEPLOYMENTS, "shop", "catalog");
        assert_eq!(
            (&d["status"]["updatedReplicas"], &d["status"]["replicas"], &d["metadata"]["annotations"]["deployment.kubernetes.io/revision"]),
            (&json!(4), &json!(4), &json!("2"))
        );
        assert_eq!(least, 3);
    }

    #[test]
    fn a_node_that_comes_back_has_its_pods_again_and_a_removed_one_loses_them() {
        let mut s = made("calm", "prod-eu");
        let node = crate::model::Str::from("node-003");
        let ready = |s: &State| s.on_node[&node].iter().filter(|k| s.at(PODS, k).is_some_and(|p| p.pod.as_ref().unwrap().ready)).count();
        let before = ready(&s);
        control::node_down(&mut s, &node, true, "Kubelet stopped posting node status.");
        pass(&mut s, 5);
        assert_eq!(ready(&s), 0);
        control::node_up(&mut s, &node);
        pass(&mut s, 5);
        assert_eq!(ready(&s), before);
        let lasting =
            |s: &State| s.tables[PODS].objects.values().filter(|p| p.owner.as_ref().is_some_and(|(kind, ..)| &**kind != "Job")).count();
        let pods = lasting(&s);
        control::delete(&mut s, NODES, &("".into(), node.clone()), None);
        pass(&mut s, 10);
        // The four daemons have one node less to be on.
        assert_eq!((lasting(&s), s.on_node[&node].len()), (pods - 4, 0));
    }

    #[test]
    fn claims_stay_when_pods_go_and_take_their_volumes_with_them() {
        let mut s = made("calm", "prod-eu");
        let claims = values(&s, CLAIMS);
        assert!(claims.iter().any(|c| c["metadata"]["name"] == "data-db-0" && c["status"]["phase"] == "Bound"), "{claims:?}");
        let key: Key = ("pay".into(), "data-db-0".into());
        let volume = one(&s, CLAIMS, "pay", "data-db-0")["spec"]["volumeName"].as_str().unwrap().to_owned();
        let mounts = |s: &State| one(s, PODS, "pay", "db-0")["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"].clone();
        assert_eq!(mounts(&s), "data-db-0");
        control::delete(&mut s, PODS, &("pay".into(), "db-0".into()), Some(0));
        pass(&mut s, 120);
        assert_eq!((one(&s, CLAIMS, "pay", "data-db-0")["spec"]["volumeName"].as_str(), mounts(&s)), (Some(&*volume), "data-db-0".into()));
        let volumes = values(&s, VOLUMES).len();
        control::delete(&mut s, CLAIMS, &key, None);
        pass(&mut s, 1);
        assert_eq!(values(&s, VOLUMES).len(), volumes - 1);
    }

    #[test]
    fn an_autoscaler_has_the_last_word() {
        let mut s = made("calm", "prod-eu");
        let key: Key = ("shop".into(), "web".into());
        let wanted = |s: &State| one(s, DEPLOYMENTS, "shop", "web")["spec"]["replicas"].as_i64().unwrap();
        let before = wanted(&s);
        s.edit(DEPLOYMENTS, &key, |d| d["spec"]["replicas"] = 1.into());
        pass(&mut s, 30);
        assert!((wanted(&s) - before).abs() <= 1, "{} {before}", wanted(&s));
        let living: Vec<Arc<_>> = s.tables[PODS].objects.values().filter(|p| p.key.1.starts_with("web-")).cloned().collect();
        assert_eq!(i64::try_from(living.len()).unwrap(), wanted(&s));
    }
}
