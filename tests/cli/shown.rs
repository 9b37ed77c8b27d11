//! Rules on simulated fleets: each finds what its scenario has made wrong.

use super::{Value, qd, start};
use quarterdeck::inspect::RULES;
use quarterdeck::sim::{Moment, Options, Scenario};
use std::collections::BTreeSet;
use std::path::Path;
use table::By;

#[path = "../shown/table.rs"]
mod table;

#[test]
fn every_rule_is_shown_by_something() {
    let known: Vec<&str> = RULES.iter().map(|r| r.id).collect();
    let told: Vec<&str> = table::SHOWN.iter().map(|(rule, _)| *rule).collect();
    assert!(told.is_sorted(), "in alphabetical order");
    let missing: Vec<_> = known.iter().filter(|id| !told.contains(id)).collect();
    let stale: Vec<_> = told.iter().filter(|id| !known.contains(id)).collect();
    assert!(missing.is_empty() && stale.is_empty(), "say what shows {missing:?}; there is no rule {stale:?}");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
    let says = |file: &str, rule: &str| std::fs::read_to_string(dir.join(file)).unwrap().contains(&format!("\"{rule}\""));
    let of = |(rule, by): &(&'static str, By)| match by {
        By::Test(file) => !says(file, rule),
        By::Page => !says("signals.rs", rule),
        By::Demo(_) | By::Lab => false,
    };
    let silent: Vec<_> = table::SHOWN.iter().filter(|s| of(s)).collect();
    assert!(silent.is_empty(), "no test says so: {silent:?}");
}

/// The rules that find something in a fleet of that scenario.
fn found(name: &str) -> BTreeSet<String> {
    quarterdeck::client::install_crypto_provider();
    let dir = tempfile::tempdir().unwrap();
    let mut scenario = Scenario::load(name).unwrap();
    scenario.resize(None, None, Some(80)).unwrap();
    scenario.replace_every = 0.0;
    scenario.churn = 0.0;
    // A cluster that hangs is waited for, and shows no rule that another does not. What would come while one looks has been so for a while.
    scenario.incidents.retain(|i| format!("{:?}", i.what) != "ApiHangs");
    for incident in &mut scenario.incidents {
        incident.at = Moment(incident.at.0.min(-260));
    }
    let running = start(&Options { scenario, kubeconfig: Some(dir.path().join("kubeconfig")), viewer: false }).unwrap();
    let mut config = table::at_once();
    for name in running.fleet.names() {
        config.push_str(&format!("[clusters.{name}.prometheus]\nurl = '{}'\ncluster_label = 'cluster'\n", running.fleet.prometheus()));
        config.push_str(&format!("[clusters.{name}.velero]\nrpo = '1s'\n"));
        let etcd = running.fleet.etcd(name);
        if !etcd.is_empty() {
            config.push_str(&format!("[clusters.{name}.etcd]\nendpoints = {etcd:?}\n"));
        }
    }
    let file = dir.path().join("c.toml");
    std::fs::write(&file, config).unwrap();
    let (_, out, err) = qd(dir.path(), &["--config", file.to_str().unwrap(), "inspect", "-o", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {err}"));
    report["items"].as_array().unwrap().iter().map(|i| i["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_scenarios_make_wrong_is_found() {
    let scenarios: BTreeSet<&str> =
        table::SHOWN.iter().filter_map(|(_, by)| if let By::Demo(name) = by { Some(*name) } else { None }).collect();
    let mut silent = Vec::new();
    for name in scenarios {
        let found = found(name);
        println!("{name}: {found:?}");
        silent.extend(table::shown(|by| by == By::Demo(name)).into_iter().filter(|rule| !found.contains(*rule)).map(|rule| (name, rule)));
    }
    assert!(silent.is_empty(), "nothing is found by {silent:?}");
}
