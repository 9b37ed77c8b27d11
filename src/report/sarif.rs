//! A report as SARIF 2.1.0 (OASIS), which code hosts and scanners show. An object of a cluster has no file: it is a logical location.

use super::Report;
use super::markdown::place;
use serde_json::{Value, json};

/// The document.
pub fn sarif(report: &Report) -> Value {
    let level = |severity: &str| match severity {
        "critical" => "error",
        "warning" => "warning",
        _ => "note",
    };
    let used: Vec<_> = report.rules.all().iter().filter(|r| report.items.iter().chain(&report.fixed).any(|i| i.rule == r.id)).collect();
    let rules: Vec<Value> = used
        .iter()
        .map(|r| {
            let mut one = json!({"id": r.id, "name": r.id, "shortDescription": {"text": r.summary}, "fullDescription": {"text": r.why},
                "defaultConfiguration": {"level": level(r.severity.word())}, "properties": {"area": r.area, "tier": r.tier}});
            if let Some(link) = r.links.first() {
                one["helpUri"] = (*link).into();
            }
            one
        })
        .collect();
    let result = |i: &super::Item, state: Option<&str>| {
        let text = if i.next_step.is_empty() { i.message.clone() } else { format!("{}. {}", i.message, i.next_step) };
        let mut one = json!({"ruleId": i.rule, "ruleIndex": used.iter().position(|r| r.id == i.rule), "level": level(&i.severity),
            "message": {"text": format!("{}: {text}", place(i))},
            "locations": [{"logicalLocations": [{"name": i.name, "kind": "resource", "fullyQualifiedName": super::key(i)[..].iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join("/")}]}],
            "partialFingerprints": {"object/v1": super::key(i).join("/")},
            "properties": {"cluster": i.cluster, "severity": i.severity, "since": i.since, "remedy": i.remedy}});
        if let Some(file) = &i.file {
            one["locations"][0]["physicalLocation"] =
                json!({"artifactLocation": {"uri": file}, "region": {"startLine": i.line.unwrap_or(1)}});
        }
        if let Some(state) = state {
            one["baselineState"] = state.into();
        }
        one
    };
    let state = |i: &super::Item| i.change.as_deref().map(|c| if c == "new" { "new" } else { "unchanged" });
    let results: Vec<Value> =
        report.items.iter().map(|i| result(i, state(i))).chain(report.fixed.iter().map(|i| result(i, Some("absent")))).collect();
    let notes: Vec<Value> = report
        .clusters
        .iter()
        .flat_map(|c| c.not_evaluated.iter().map(|n| json!({"level": "note", "descriptor": {"id": n.rule}, "message": {"text": format!("{}: not evaluated: {}", c.name, n.why)}})))
        .collect();
    let seen = report.clusters.iter().all(|c| c.score.is_some());
    json!({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": "qd", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
        "invocations": [{"executionSuccessful": seen, "endTimeUtc": report.at, "toolConfigurationNotifications": notes}],
        "results": results}]})
}
