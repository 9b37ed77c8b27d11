//! A report as metrics of Prometheus' text format (0.0.4): how much is found, by rule; which rules could not judge; when it was looked.

use super::{Item, Report};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The text. `only`: of this cluster alone. `took`: the inspection, from its first request on. What is of no namespace has an empty one.
pub fn metrics(report: &Report, only: Option<&str>, took: Duration) -> String {
    let mut out = String::new();
    let wanted = |cluster: &str| only.is_none_or(|c| c == cluster);
    let mut counts: BTreeMap<[&str; 5], usize> = BTreeMap::new();
    for Item { cluster, rule, severity, area, namespace, .. } in report.items.iter().filter(|i| wanted(&i.cluster)) {
        *counts.entry([cluster, rule, severity, area, namespace.as_deref().unwrap_or("")]).or_default() += 1;
    }
    head(&mut out, "qd_findings", "Findings of the last inspection.");
    for ([cluster, rule, severity, area, namespace], n) in counts {
        let labels = [("cluster", cluster), ("rule", rule), ("severity", severity), ("area", area), ("namespace", namespace)];
        sample(&mut out, "qd_findings", &labels, n as f64);
    }
    let clusters = || report.clusters.iter().filter(|c| wanted(&c.name));
    head(&mut out, "qd_rule_not_evaluated", "Rules that could not judge in the last inspection: always 1.");
    for c in clusters().filter(|c| c.score.is_some()) {
        for not in &c.not_evaluated {
            sample(&mut out, "qd_rule_not_evaluated", &[("cluster", &c.name), ("rule", &not.rule)], 1.0);
        }
    }
    let secs = |at: &str| at.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second) as f64;
    let took = took.as_secs_f64();
    type Of = fn(&super::ClusterReport) -> Option<f64>;
    let seen: [(&str, &str, Of); 3] = [
        ("qd_cluster_seen", "Whether the last inspection saw the cluster.", |c| Some(f64::from(u8::from(c.score.is_some())))),
        ("qd_cluster_score", "100 is a cluster without findings.", |c| c.score.map(f64::from)),
        ("qd_rules_evaluated", "Rules that judged in the last inspection.", |c| c.score.map(|_| c.evaluated as f64)),
    ];
    for (name, help, of) in seen {
        head(&mut out, name, help);
        clusters().filter_map(|c| Some((c, of(c)?))).for_each(|(c, value)| sample(&mut out, name, &[("cluster", &c.name)], value));
    }
    head(&mut out, "qd_inspection_timestamp_seconds", "When the cluster was inspected last, unix seconds.");
    for c in clusters().filter(|c| c.score.is_some()) {
        // What is read from its reports is as old as these are.
        let at = secs(c.reported_at.as_deref().unwrap_or(&report.at));
        sample(&mut out, "qd_inspection_timestamp_seconds", &[("cluster", &c.name)], at);
    }
    head(&mut out, "qd_inspection_duration_seconds", "How long the last inspection took.");
    for c in clusters().filter(|c| c.score.is_some()) {
        sample(&mut out, "qd_inspection_duration_seconds", &[("cluster", &c.name)], took);
    }
    out
}

fn head(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let _ = writeln!(out, "{name}{{{}}} {value}", labels.join(","));
}

/// As the format has it between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
