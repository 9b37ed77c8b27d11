//! What an inspection found as PolicyReports of wgpolicyk8s.io: the shape that others read too, both ways.
//!
//! v1alpha2, of the Kubernetes policy working group: <https://github.com/kubernetes-sigs/wg-policy-prototypes>. One report a namespace and one of the
//! cluster, all of one name; a finding is a result: its rule is the policy, its area the category. Reports of other producers have another label.

use super::{Kind, Resource, Severity};
use serde_json::{Map, Value, json};

pub const GROUP: &str = "wgpolicyk8s.io";
pub const VERSION: &str = "v1alpha2";
/// Every report of ours is called so.
pub const NAME: &str = "quarterdeck";
/// The label that tells whose a report is.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "quarterdeck");
/// When the inspection was made, RFC 3339. That of the cluster's own report counts: it is written last.
pub const AT: &str = "quarterdeck.io/inspected-at";
/// How often it is made: `15m`.
pub const EVERY: &str = "quarterdeck.io/every";
/// Results that found no room.
pub const LEFT_OUT: &str = "quarterdeck.io/left-out";
/// As many bytes of results as a report holds: etcd takes 1.5 MiB at most, of which others ask 1 MiB.
const MOST: usize = 768 << 10;
/// As much of a text as a result holds, in bytes.
const TEXT: usize = 1024;

/// The resource of a namespace's report, or of the cluster's.
pub fn resource(namespaced: bool) -> Resource {
    let (plural, kind) = if namespaced { ("policyreports", "PolicyReport") } else { ("clusterpolicyreports", "ClusterPolicyReport") };
    Resource { group: GROUP.into(), version: VERSION.into(), plural: plural.into(), kind: kind.into(), namespaced }
}

/// The path of the list of ours, of all namespaces.
pub fn list(namespaced: bool) -> String {
    format!("{}?labelSelector={}%3D{}", resource(namespaced).path(""), LABEL.0.replace('/', "%2F"), LABEL.1)
}

/// A report of a namespace, or of the cluster (empty), without its times.
#[derive(Default)]
pub struct Sheet {
    results: Vec<Value>,
    size: usize,
    left_out: usize,
    /// Of all results, those that found no room too: pass, fail, warn, error, skip.
    counts: [usize; 5],
}

const RESULTS: [&str; 5] = ["pass", "fail", "warn", "error", "skip"];

impl Sheet {
    /// Adds a result; the worst come first, for those that come late may find no room.
    pub fn add(&mut self, result: Value) {
        if let Some(at) = RESULTS.iter().position(|r| result["result"] == **r) {
            self.counts[at] += 1;
        }
        self.size += result.to_string().len() + 1;
        if self.size > MOST { self.left_out += 1 } else { self.results.push(result) }
    }

    /// Rules that judged and found nothing.
    pub fn passed(&mut self, rules: usize) {
        self.counts[0] = rules;
    }

    /// Findings in it, those that found no room too.
    pub fn findings(&self) -> usize {
        self.counts[1] + self.counts[2]
    }

    /// Whether a report that is there says the same.
    pub fn said_by(&self, live: &Value) -> bool {
        let there = live["results"].as_array().map_or(&[][..], Vec::as_slice);
        there == self.results && live["summary"] == self.summary() && live["metadata"]["annotations"][LEFT_OUT] == self.annotation()
    }

    fn summary(&self) -> Value {
        RESULTS.iter().zip(self.counts).map(|(r, n)| ((*r).to_owned(), Value::from(n))).collect::<Map<_, _>>().into()
    }

    fn annotation(&self) -> Value {
        if self.left_out == 0 { Value::Null } else { self.left_out.to_string().into() }
    }

    /// The object, to be applied on the server's side. `at` in RFC 3339, `every` as `15m`.
    pub fn object(&self, namespace: &str, at: &str, every: &str) -> Value {
        let resource = resource(!namespace.is_empty());
        let mut metadata = json!({"name": NAME, "labels": {LABEL.0: LABEL.1}, "annotations": {AT: at, EVERY: every}});
        if !namespace.is_empty() {
            metadata["namespace"] = namespace.into();
        }
        if self.left_out > 0 {
            metadata["annotations"][LEFT_OUT] = self.annotation();
        }
        json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata, "summary": self.summary(), "results": self.results})
    }
}

/// The beginning of a text, in so many bytes.
fn short(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let end = (0..=TEXT).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    format!("{}...", &text[..end])
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn seconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// What tells a result from others: its rule, and kind, namespace and name of its object.
pub fn key(result: &Value) -> [&str; 4] {
    let object = &result["resources"][0];
    [text(result, "policy"), text(object, "kind"), text(object, "namespace"), text(object, "name")]
}

/// The time of a result that is there, unix seconds: since when the finding is known.
pub fn known_since(result: &Value) -> Option<i64> {
    result["timestamp"]["seconds"].as_i64()
}

/// A finding as `qd inspect -o json` has it, as a result.
pub fn result(item: &Value) -> Value {
    let severity = Severity::parse(text(item, "severity")).unwrap_or(Severity::Info);
    let (level, result) = match severity {
        Severity::Critical => ("critical", "fail"),
        Severity::Warning => ("medium", "fail"),
        Severity::Info => ("info", "warn"),
    };
    let mut object = json!({"kind": item["kind"], "name": item["name"]});
    if let Some(kind) = Kind::parse(text(item, "kind")).filter(|k| k.watched()) {
        object["apiVersion"] = kind.api_version().into();
    }
    if item["namespace"].is_string() {
        object["namespace"] = item["namespace"].clone();
    }
    let mut properties = Map::new();
    properties.insert("severity".into(), severity.word().into());
    properties.insert("tier".into(), item["tier"].to_string().into());
    for (key, from) in [("next-step", "next_step"), ("remedy", "remedy"), ("since", "since")] {
        if !text(item, from).is_empty() {
            properties.insert(key.into(), short(text(item, from)).into());
        }
    }
    let evidence: Vec<String> = item["evidence"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| format!("{}: {}{}", text(e, "what"), text(e, "value"), e["at"].as_str().map_or_else(String::new, |t| format!(" ({t})"))))
        .collect();
    if !evidence.is_empty() {
        properties.insert("evidence".into(), short(&evidence.join("\n")).into());
    }
    let mut made = json!({
        "source": NAME, "policy": item["rule"], "category": item["area"], "severity": level, "result": result, "scored": true,
        "message": short(text(item, "message")), "resources": [object], "properties": properties,
    });
    if let Some(seconds) = seconds(text(item, "first_seen")) {
        stamp(&mut made, seconds);
    }
    made
}

/// Dates a result, unix seconds.
pub fn stamp(result: &mut Value, seconds: i64) {
    result["timestamp"] = json!({"seconds": seconds, "nanos": 0});
}

/// A rule that could not judge, and why.
pub fn skipped(rule: &str, why: &str) -> Value {
    json!({"source": NAME, "policy": rule, "result": "skip", "scored": false, "message": short(&format!("not evaluated: {why}"))})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, message: &str) -> Value {
        json!({"rule": "node-not-ready", "area": "node", "tier": 1, "severity": "critical", "cluster": "c", "kind": "Node", "namespace": null,
            "name": name, "message": message, "evidence": [{"what": "Ready", "value": "False", "at": "2026-03-01T02:47:30Z"}],
            "remedy": "cordon a", "next_step": "look at it", "since": "2026-03-01T02:47:30Z", "first_seen": "2026-03-01T02:50:00Z"})
    }

    #[test]
    fn a_finding_is_a_result_that_others_understand() {
        let made = result(&item("a", "not ready"));
        assert_eq!((&made["result"], &made["severity"], &made["policy"]), (&json!("fail"), &json!("critical"), &json!("node-not-ready")));
        assert_eq!(made["resources"], json!([{"kind": "Node", "name": "a", "apiVersion": "v1"}]));
        assert_eq!(made["properties"]["evidence"], "Ready: False (2026-03-01T02:47:30Z)");
        assert_eq!(known_since(&made), Some(1_772_333_400));
        assert!(made["properties"].as_object().unwrap().values().all(Value::is_string), "the definition takes nothing else");
        assert_eq!(key(&made), ["node-not-ready", "Node", "", "a"]);
        let info = result(&json!({"rule": "r", "severity": "info", "kind": "Cluster", "name": "c"}));
        assert_eq!((&info["result"], &info["resources"]), (&json!("warn"), &json!([{"kind": "Cluster", "name": "c"}])));
    }

    #[test]
    fn what_finds_no_room_is_counted_all_the_same() {
        let mut sheet = Sheet::default();
        let long = "ä".repeat(2000);
        for n in 0..2000 {
            sheet.add(result(&item(&format!("n{n}"), &long)));
        }
        sheet.passed(7);
        let object = sheet.object("", "2026-03-01T02:50:00Z", "15m");
        let kept = object["results"].as_array().unwrap().len();
        assert!(object.to_string().len() < 1 << 20, "{}", object.to_string().len());
        assert!(kept > 100 && kept < 2000, "{kept}");
        assert_eq!(object["summary"], json!({"pass": 7, "fail": 2000, "warn": 0, "error": 0, "skip": 0}));
        assert_eq!(object["metadata"]["annotations"][LEFT_OUT], (2000 - kept).to_string());
        assert_eq!(object["results"][0]["resources"][0]["name"], "n0", "the first stay");
        assert!(sheet.said_by(&object) && !Sheet::default().said_by(&object));
    }
}
