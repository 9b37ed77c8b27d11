//! What a request asks for: its place in the API, its query, its selectors.

use super::register::{self, Res};
use super::store::Obj;
use crate::model::Selector;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};

/// A request's place.
#[derive(Debug, PartialEq)]
pub struct Place {
    pub res: Res,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub sub: Option<String>,
    /// An autoscaler as `autoscaling/v1` has it.
    pub old: bool,
}

/// The place that a path names; none when it is no resource.
pub fn place(path: &str) -> Option<Place> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let old = (group, version) == ("autoscaling", "v1");
    let version = if old { "v2" } else { version };
    let (namespace, rest) = match rest {
        ["namespaces", ns, plural, rest @ ..]
            if register::find(group, version, plural).is_some_and(|r| register::REGISTER[r].namespaced) =>
        {
            (Some((*ns).to_owned()), [&[*plural], rest].concat())
        }
        _ => (None, rest.to_vec()),
    };
    let res = register::find(group, version, rest.first()?)?;
    let part = |n: usize| rest.get(n).map(|s| decode(s));
    (rest.len() <= 3).then(|| Place { res, namespace, name: part(1), sub: part(2), old })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok())).flatten();
        out.push(hex.unwrap_or(if bytes[i] == b'+' { b' ' } else { bytes[i] }));
        i += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What to do about fields that there are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strictness {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// An autoscaler of `autoscaling/v1` as it is kept.
pub fn from_v1(hpa: &mut Value) {
    let spec = &mut hpa["spec"];
    // Where the old kind has a number in protobuf the new one has metrics: it is read as one of them.
    let percent = spec["metrics"][0].as_i64().or(spec["targetCPUUtilizationPercentage"].as_i64());
    if let Some(map) = spec.as_object_mut() {
        map.shift_remove("targetCPUUtilizationPercentage");
        map.shift_remove("metrics");
    }
    let percent = percent.unwrap_or(80);
    spec["metrics"] =
        json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}]);
}

/// An autoscaler as `autoscaling/v1` has it.
pub fn to_v1(hpa: &mut Value) {
    let cpu = |metric: &Value, of: &str| metric["resource"][of]["averageUtilization"].clone();
    hpa["apiVersion"] = "autoscaling/v1".into();
    let wanted = cpu(&hpa["spec"]["metrics"][0], "target");
    let is = cpu(&hpa["status"]["currentMetrics"][0], "current");
    for (part, gone, name, value) in
        [("spec", "metrics", "targetCPUUtilizationPercentage", wanted), ("status", "currentMetrics", "currentCPUUtilizationPercentage", is)]
    {
        let Some(map) = hpa[part].as_object_mut() else { continue };
        map.shift_remove(gone);
        map.shift_remove("conditions");
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    }
}

/// A query, and what else a change brings with it.
#[derive(Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    /// Of whom fields are after it.
    pub manager: String,
    /// What the client is to hear beside the answer.
    pub warnings: Mutex<Vec<String>>,
}

impl Query {
    pub fn parse(text: &str) -> Self {
        let pair = |p: &str| p.split_once('=').map_or_else(|| (decode(p), String::new()), |(k, v)| (decode(k), decode(v)));
        Self { pairs: text.split('&').filter(|p| !p.is_empty()).map(pair).collect(), ..Self::default() }
    }
    /// The value; none where it is empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }
    /// Every value.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    pub fn flag(&self, key: &str) -> bool {
        self.pairs.iter().any(|(k, v)| k == key && matches!(v.as_str(), "true" | "1" | ""))
    }
    pub fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.parse().ok()
    }
    pub fn dry_run(&self) -> bool {
        self.get("dryRun") == Some("All")
    }
    pub fn strictness(&self) -> Strictness {
        match self.get("fieldValidation") {
            Some("Ignore") => Strictness::Ignore,
            Some("Strict") => Strictness::Strict,
            _ => Strictness::Warn,
        }
    }
    pub fn warn(&self, text: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Which objects of a resource are meant.
#[derive(Default)]
pub struct Wanted {
    pub namespace: Option<String>,
    labels: Option<Selector>,
    /// Field, whether it must be equal, value.
    fields: Vec<(String, bool, String)>,
}

const FIELDS: [&str; 14] = [
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.schedulerName",
    "spec.restartPolicy",
    "status.phase",
    "spec.unschedulable",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "reason",
    "type",
];

impl Wanted {
    /// # Errors
    /// A selector that cannot be read, in words.
    pub fn of(place: &Place, query: &Query) -> Result<Self, String> {
        let labels = query.get("labelSelector").map(Selector::parse).transpose()?;
        let mut fields = Vec::new();
        for term in query.get("fieldSelector").unwrap_or("").split(',').filter(|t| !t.is_empty()) {
            let (key, equal, value) = if let Some((k, v)) = term.split_once("!=") {
                (k, false, v)
            } else {
                let (k, v) = term.split_once('=').ok_or_else(|| format!("invalid selector: '{term}'; can't understand '{term}'"))?;
                (k, true, v.trim_start_matches('='))
            };
            let known = FIELDS.contains(&key)
                || key.starts_with("involvedObject.")
                || key == "status.successful"
                || key.starts_with("reportingComponent")
                || key == "source";
            if !known {
                return Err(format!("field label not supported: {key}"));
            }
            fields.push((key.to_owned(), equal, value.to_owned()));
        }
        if let Some(name) = &place.name {
            fields.push(("metadata.name".to_owned(), true, name.clone()));
        }
        Ok(Self { namespace: place.namespace.clone(), labels, fields })
    }

    /// Whether this one is meant.
    pub fn takes(&self, object: &Obj) -> bool {
        if self.namespace.as_ref().is_some_and(|n| **n != *object.key.0) || self.labels.as_ref().is_some_and(|l| !l.matches(&object.labels))
        {
            return false;
        }
        let mut whole = None;
        self.fields.iter().all(|(key, equal, value)| {
            let facts = object.pod.as_ref();
            let same = match (key.as_str(), facts) {
                ("metadata.name", _) => *object.key.1 == **value,
                ("metadata.namespace", _) => *object.key.0 == **value,
                ("spec.nodeName", Some(f)) => f.node.as_deref().unwrap_or("") == value,
                ("status.phase", Some(f)) => *f.phase == **value,
                _ => {
                    let tree = whole.get_or_insert_with(|| object.value());
                    let found = key.split('.').fold(&*tree, |v, part| &v[part]);
                    match found {
                        serde_json::Value::Null => value.is_empty() || value == "false",
                        serde_json::Value::String(text) => text == value,
                        other => value.parse::<serde_json::Value>().is_ok_and(|v| v == *other),
                    }
                }
            };
            same == *equal
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::State;
    use super::*;
    use serde_json::json;

    #[test]
    fn places() {
        let at = |path: &str| {
            place(path).map(|p| {
                (register::REGISTER[p.res].plural, p.namespace.unwrap_or_default(), p.name.unwrap_or_default(), p.sub.unwrap_or_default())
            })
        };
        let all = |a: &'static str, b: &str, c: &str, d: &str| Some((a, b.to_owned(), c.to_owned(), d.to_owned()));
        assert_eq!(at("/api/v1/pods"), all("pods", "", "", ""));
        assert_eq!(at("/api/v1/namespaces/a/pods/p/log"), all("pods", "a", "p", "log"));
        assert_eq!(at("/api/v1/namespaces/a/status"), all("namespaces", "", "a", "status"));
        assert_eq!(at("/apis/apps/v1/namespaces/a/deployments/d/scale"), all("deployments", "a", "d", "scale"));
        assert_eq!(at("/apis/apps/v1beta1/deployments"), None);
    }

    #[test]
    fn fields_and_labels() {
        let mut s = State::new("c", 1);
        let pod = s.put(register::PODS, json!({"metadata": {"name": "p", "namespace": "a", "labels": {"app": "x"}}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}));
        let takes = |query: &str| Wanted::of(&place("/api/v1/pods").unwrap(), &Query::parse(query)).unwrap().takes(&pod);
        assert!(takes("fieldSelector=spec.nodeName%3Dn,status.phase!%3DFailed&labelSelector=app%20in%20(x,y)"));
        assert!(!takes("fieldSelector=spec.nodeName%3Dm") && !takes("labelSelector=app!=x"));
        assert!(Wanted::of(&place("/api/v1/pods").unwrap(), &Query::parse("fieldSelector=spec.color=red")).is_err());
    }
}
