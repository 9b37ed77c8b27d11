//! What pods and nodes use, as metrics-server tells it: beside what kubectl says, and where there is none.

use super::SIZE;
use super::support::amount::whole;
use super::support::lab::{Lab, Room, until};
use super::support::pty::Term;
use super::support::runner::{Test, tests};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] =
    tests![top_tells_what_kubectl_does, without_metrics_nothing_is_zero, an_autoscaler_is_driven_to_its_maximum_by_use_and_shown_so,];

/// Millicores, rounded up, of quantities that are summed first.
fn millicores(amounts: &[&str]) -> i128 {
    let nano = |text: &str| match text.strip_suffix('n') {
        Some(n) => n.parse::<i128>().unwrap(),
        None => match text.strip_suffix('u') {
            Some(u) => u.parse::<i128>().unwrap() * 1000,
            None => super::support::amount::milli(text) * 1_000_000,
        },
    };
    let sum: i128 = amounts.iter().map(|t| nano(t)).sum();
    (sum + 999_999) / 1_000_000
}

/// Namespace and name (nodes: the name alone) with the item.
fn measured(lab: &Lab, what: &str) -> Vec<(String, Value)> {
    let text = lab.kubectl("lab-1", &["get", "--raw", &format!("/apis/metrics.k8s.io/v1beta1/{what}")]);
    let list: Value = serde_json::from_str(&text).unwrap();
    let place =
        |i: &Value| format!("{}/{}", i["metadata"]["namespace"].as_str().unwrap_or_default(), i["metadata"]["name"].as_str().unwrap());
    list["items"].as_array().unwrap().iter().map(|i| (place(i), i.clone())).collect()
}

fn top_tells_what_kubectl_does(lab: &Lab) {
    let room = Room::new();
    for what in ["pods", "nodes"] {
        until(&format!("the same use of {what} as kubectl's"), Duration::from_secs(90), || {
            let before = measured(lab, what);
            let mut args = vec!["top", what, "--no-headers"];
            args.extend((what == "pods").then_some("-A"));
            let printed = lab.kubectl("lab-1", &args);
            let (ours, code, said) = room.json(&lab.kubeconfig(), &["top", what, "--context", "lab-1", "-o", "json"]);
            let after = measured(lab, what);
            if code != 0 {
                return Err(format!("code {code}: {said}"));
            }
            let ours = ours["items"].as_array().unwrap();
            let mut compared = 0;
            // Those of which nothing else was measured meanwhile.
            let stayed = |b: &&(String, Value)| {
                let amounts = |i: &Value| (i["usage"].clone(), i["containers"].clone());
                after.iter().any(|(place, item)| *place == b.0 && amounts(item) == amounts(&b.1))
            };
            for (place, item) in before.iter().filter(stayed) {
                let same =
                    |o: &&Value| format!("{}/{}", o["namespace"].as_str().unwrap_or_default(), o["name"].as_str().unwrap()) == *place;
                let Some(own) = ours.iter().find(same) else { continue };
                let parts: Vec<&Value> = match item["containers"].as_array() {
                    Some(all) => all.iter().map(|c| &c["usage"]).collect(),
                    None => vec![&item["usage"]],
                };
                let cpu = millicores(&parts.iter().map(|u| u["cpu"].as_str().unwrap()).collect::<Vec<_>>());
                let memory: i128 = parts.iter().map(|u| whole(u["memory"].as_str().unwrap())).sum();
                let told = (own["cpu_use_m"].as_i64().map(i128::from), own["memory_use_bytes"].as_i64().map(i128::from));
                if told != (Some(cpu), Some(memory)) {
                    return Err(format!("{place}: qd has {told:?}, the server {cpu} and {memory}"));
                }
                let name = place.trim_start_matches('/').replace('/', " ");
                let line = printed
                    .lines()
                    .map(|l| l.split_whitespace().collect::<Vec<_>>())
                    .find(|l| l.join(" ").starts_with(&format!("{name} ")));
                let line = line.ok_or_else(|| format!("{place}: not printed by kubectl"))?;
                let at = name.split(' ').count();
                if line[at] != format!("{cpu}m") {
                    return Err(format!("{place}: kubectl prints {line:?}, the server has {cpu}m"));
                }
                compared += 1;
            }
            let enough = if what == "pods" { 50 } else { 5 };
            if compared < enough { Err(format!("{compared} of {} were the same before and after", before.len())) } else { Ok(()) }
        });
    }
}

fn without_metrics_nothing_is_zero(lab: &Lab) {
    let room = Room::new();
    for what in ["pods", "nodes", "workloads", "namespaces"] {
        let (got, code, said) = room.json(&lab.kubeconfig(), &["top", what, "--context", "lab-2", "-o", "json"]);
        assert_eq!(code, 3, "{what}: {said}");
        assert!(said.contains("lab-2: metrics: ") && said.contains("metrics-server"), "{said}");
        let rows = got["items"].as_array().unwrap();
        assert!(!rows.is_empty(), "{what}");
        for row in rows {
            assert!(row["cpu_use_m"].is_null() && row["memory_use_bytes"].is_null() && row["cpu_slack_m"].is_null(), "{row}");
        }
    }
    // One cluster without metrics takes nothing from the other.
    let (got, code, said) = room.json(&lab.kubeconfig(), &["top", "namespaces", "-o", "json"]);
    assert_eq!(code, 3, "{said}");
    assert!(!said.contains("lab-1: metrics"), "{said}");
    assert!(got["items"].as_array().unwrap().iter().any(|n| n["cluster"] == "lab-1" && n["cpu_use_m"].is_i64()));
}

/// A namespace that goes when the test ends; of a run's own, since an earlier one may still be on its way out.
struct Space<'a>(&'a Lab, String);

impl Drop for Space<'_> {
    fn drop(&mut self) {
        self.0.try_kubectl("lab-1", &["delete", "namespace", &self.1, "--wait=false"]);
    }
}

/// The nodes whose pods are measured: those that came after `lab metrics` are not, and pods do not run on all.
fn measured_nodes(lab: &Lab) -> Vec<String> {
    let all: Value = serde_json::from_str(&lab.kubectl("lab-1", &["get", "nodes", "-o", "json"])).unwrap();
    let told: Vec<String> = measured(lab, "nodes").into_iter().map(|(place, _)| place.trim_start_matches('/').to_owned()).collect();
    let fit = |n: &&Value| {
        let ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
        let own = n["metadata"]["annotations"]["metrics.k8s.io/resource-metrics-path"].is_string();
        own && n["spec"]["unschedulable"] != true
            && n["spec"]["taints"].is_null()
            && n["status"]["conditions"].as_array().unwrap().iter().any(ready)
    };
    let names = all["items"].as_array().unwrap().iter().filter(fit).map(|n| n["metadata"]["name"].as_str().unwrap().to_owned());
    names.filter(|name| told.contains(name)).collect()
}

/// What is measured of a pod is only about what its annotation says: counters are read at moments that a busy machine does not keep.
fn percent(row: &Value) -> Option<i64> {
    row["targets"][0].as_str()?.strip_prefix("cpu ")?.split_once('/')?.0.parse().ok()
}

fn an_autoscaler_is_driven_to_its_maximum_by_use_and_shown_so(lab: &Lab) {
    let space = Space(lab, format!("driven-{}", std::process::id()));
    let name = space.1.as_str();
    let nodes = until("nodes that are measured", Duration::from_secs(120), || {
        let nodes = measured_nodes(lab);
        if nodes.is_empty() { Err("none".to_owned()) } else { Ok(nodes) }
    });
    let labels = json!({"app": "web"});
    let there = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]}]}}});
    let uses = |cpu: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": name}, "spec": {
            "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels, "annotations": {"kwok.x-k8s.io/usage-cpu": cpu, "kwok.x-k8s.io/usage-memory": "32Mi"}},
                "spec": {"affinity": there,
                    "containers": [{"name": "app", "image": "registry.example.com/web:1", "resources": {"requests": {"cpu": "50m"}}}]}}}})
    };
    lab.apply("lab-1", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    lab.apply("lab-1", &uses("10m"));
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let metrics = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]);
    // One wrong measurement is not to keep pods for the usual five minutes.
    let behavior =
        json!({"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 10, "periodSeconds": 15}]}});
    let spec = json!({"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": target, "metrics": metrics, "behavior": behavior});
    let meta = json!({"name": "web", "namespace": name});
    lab.apply("lab-1", &json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec}));

    let room = Room::new();
    let config = room.path("qd.toml");
    std::fs::write(&config, "[thresholds.hpa-at-max]\nafter = \"1s\"\n").unwrap();
    let config = config.to_str().unwrap();
    // As the pane has it: status, pods of the most, what each uses, and whether more would be wanted: with the first measurement of one pod three are
    // just enough, and only with theirs too few.
    let stands = |status: &str, used: std::ops::RangeInclusive<i64>, replicas: i64, limited: bool| {
        until(&format!("the autoscaler to be {status} with {replicas}"), Duration::from_secs(300), || {
            let args = ["get", "hpa", "--context", "lab-1", "-n", name, "--config", config, "-o", "json"];
            let (got, _, said) = room.json(&lab.kubeconfig(), &args);
            let rows = got["items"].as_array().unwrap();
            let so = |row: &&Value| {
                let measured = percent(row).is_some_and(|p| used.contains(&p));
                measured && row["status"] == status && row["current_replicas"] == replicas && row["limited"] == limited
            };
            rows.iter().find(so).cloned().ok_or_else(|| format!("{}{said}", json!(rows)))
        })
    };
    let calm = stands("Steady", 5..=50, 1, false);
    assert_eq!((&calm["at_max"], &calm["max_replicas"]), (&json!(false), &json!(3)));
    // Of this namespace alone: the lab has other autoscalers and findings.
    let args = ["--screen", "hpa", "--context", "lab-1", "-n", name, "--config", config];
    let mut term = Term::open(&args, room.env(&lab.kubeconfig()), SIZE.0, SIZE.1);
    term.line(60, &[name, "web", "Steady", "1/3"]);

    lab.apply("lab-1", &uses("90m"));
    let full = stands("AtMax", 120..=260, 3, true);
    assert_eq!((&full["at_max"], &full["desired_replicas"]), (&json!(true), &json!(3)));
    term.line(120, &[name, "web", "AtMax", "3/3", "cpu "]);
    // The finding: whose it is, and by how much; on paper and in its pane.
    let finding = until("the finding", Duration::from_secs(120), || {
        let args = ["inspect", "--rule", "hpa-at-max", "--context", "lab-1", "-n", name, "--config", config, "-o", "json"];
        let (got, _, said) = room.json(&lab.kubeconfig(), &args);
        got["items"].as_array().unwrap().iter().find(|r| r["namespace"] == name).cloned().ok_or_else(|| format!("{got}{said}"))
    });
    let message = finding["message"].as_str().unwrap();
    assert!(message.starts_with("3/3, cpu ") && message.ends_with("/60%") && finding["severity"] == "critical", "{finding}");
    term.keys("I/name:hpa-at-max\r");
    term.line(60, &["hpa-at-max", "web", "3/3, cpu "]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(30), Vec::<String>::new());
}
