//! Services without endpoints, hosts of two Ingresses, a namespace full of Services: made by `lab fault`, found by `qd inspect`.

use super::support::lab::{CONTEXTS, Lab, Room, until};
use super::support::runner::{Test, tests};
use serde_json::Value;
use std::time::Duration;

pub const TESTS: &[Test] = tests![broken_services_and_shared_hosts_are_found, the_panes_show_endpoints_and_hosts];

/// Rule, kind, place, severity, and a part of what is said.
const FOUND: [[&str; 5]; 4] = [
    ["service-no-endpoints", "Service", "faults/dangling", "critical", "no pod has the labels that it selects"],
    ["service-no-endpoints", "Service", "faults/unserved", "critical", "none of its 2 endpoints is ready"],
    ["ingress-duplicate-path", "Ingress", "faults/second", "critical", "shared.example.com/ leads to second:80 here and to first:80"],
    ["service-links-bloat", "Deployment", "crowded/web", "warning", "4000 variables of 500 Services at its next restart"],
];

fn broken_services_and_shared_hosts_are_found(lab: &Lab) {
    let room = Room::new();
    let config = room.path("qd.toml");
    std::fs::write(&config, "[thresholds.service-no-endpoints]\nyoung = \"1s\"\nafter = \"1s\"\n").unwrap();
    let config = config.to_str().unwrap();
    until("what is broken to be found", Duration::from_secs(90), || {
        let mut args = vec!["inspect", "--context", CONTEXTS[0], "--config", config, "-o", "json"];
        FOUND.iter().for_each(|f| args.extend(["--rule", f[0]]));
        let (report, code, said) = room.json(&lab.kubeconfig(), &args);
        let items = report["items"].as_array().cloned().unwrap_or_default();
        let text = |i: &Value, field: &str| i[field].as_str().unwrap_or_default().to_owned();
        let is = |i: &&Value, f: &[&str; 5]| {
            let place = format!("{}/{}", text(i, "namespace"), text(i, "name"));
            [text(i, "rule"), text(i, "kind"), place, text(i, "severity")] == f[..4] && text(i, "message").contains(f[4])
        };
        match FOUND.iter().find(|f| !items.iter().any(|i| is(&i, f))) {
            Some(missing) => Err(format!("no {missing:?} among {items:?}, code {code}: {said}")),
            None if items.iter().any(|i| i["name"] == "first") => Err("the older Ingress is found too".to_owned()),
            None => Ok(()),
        }
    });
}

fn the_panes_show_endpoints_and_hosts(lab: &Lab) {
    let room = Room::new();
    let row = |kind: &str, name: &str| {
        let (got, code, said) = room.json(&lab.kubeconfig(), &["get", kind, name, "--context", CONTEXTS[0], "-n", "faults", "-o", "json"]);
        let found = got["items"].as_array().and_then(|i| i.first().cloned());
        found.ok_or_else(|| format!("no {kind} {name}, code {code}: {said}"))
    };
    until("the counts of endpoints", Duration::from_secs(60), || {
        let (none, unready) = (row("svc", "dangling")?, row("svc", "unserved")?);
        let counts = |r: &Value| (r["endpoints_ready"].as_i64(), r["endpoints"].as_i64());
        match (counts(&none), counts(&unready)) {
            ((Some(0), Some(0)), (Some(0), Some(2))) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let ingress = row("ing", "second").unwrap();
    assert_eq!((&ingress["hosts"][0], &ingress["backends"][0]), (&"shared.example.com".into(), &"second:80".into()), "{ingress}");
}
