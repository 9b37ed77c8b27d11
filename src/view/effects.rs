//! What a step changes, as a preview tells it: fields by their names, before and after; a new object as the text of it. What is secret is
//! masked: Secret data, environment values, and what looks like a secret in any text.

use super::pieces::clean;
use super::text::cut;
use crate::action::Preview;
use crate::action::diff::{Change, SERVERS, changes, expanded};
use crate::doc::{Doc, Mask, redact};
use crate::model::{Act, FieldChange, Method, Step, quantity};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Cells of a value.
const VALUE: usize = 90;
/// Lines of a new object, and fields of a changed one.
const LINES: usize = 100;
/// What stands around the hash of a hidden value until it is printed, so that another value is seen to be another.
const HIDDEN: (char, char) = ('\u{e000}', '\u{e001}');

/// The lines of a step.
pub fn lines(preview: &Preview, at: usize, step: &Step, ellipsis: &str) -> Vec<String> {
    let secret = step.target.resource.kind == "Secret";
    let (live, stored) = (preview.preflight.live.get(&at), preview.preflight.stored.get(&at));
    if let Act::Write(write) = &step.act
        && write.method == Method::Apply
        && step.target.uid.is_none()
    {
        let mut lines = added(&write.body, secret);
        let made = stored.map(|stored| changes(&masked(&write.body, secret), &masked(stored, secret), &SERVERS)).unwrap_or_default();
        // What the manifest does not say is the server's to fill in; what it says, and what is put beside it in a list, is told.
        let written = |c: &Change| c.pointer.starts_with("/stringData") || c.pointer == "/apiVersion";
        let made = made.iter().filter(|c| (c.before.is_some() || c.field.ends_with(']')) && !same_amount(c) && !written(c));
        lines.extend(made.map(|c| format!("the server makes it: {}", told(c, ellipsis))));
        return lines;
    }
    let both = live.zip(stored).filter(|(live, stored)| live["kind"] == stored["kind"] && live["kind"].is_string());
    let found: Vec<(Change, bool)> = match both {
        Some((live, stored)) => {
            let named = |c: &Change| step.changes.iter().any(|f| c.pointer.starts_with(&f.pointer) || f.pointer.starts_with(&c.pointer));
            let all = changes(&masked(live, secret), &masked(stored, secret), &SERVERS);
            all.into_iter().map(|c| (named(&c) || sent(step, &c.pointer), c)).map(|(own, c)| (c, own)).collect()
        }
        None => {
            let hidden = step.changes.iter().map(|c| hide_field(c, secret));
            // What a manifest does not say of an element is not taken away.
            let stays = |c: &Change| matches!(&step.act, Act::Write(w) if w.method == Method::Apply) && c.after.is_none();
            hidden.flat_map(|c| expanded(&c, live)).filter(|c| !stays(c)).map(|c| (c, true)).collect()
        }
    };
    let fresh = found.iter().filter(|(c, _)| !step.text.contains(&format!("{} -> {}", word(c.before.as_ref()), word(c.after.as_ref()))));
    let mut lines: Vec<String> =
        fresh.map(|(c, own)| if *own { told(c, ellipsis) } else { format!("{} (the server's own)", told(c, ellipsis)) }).collect();
    shorten(&mut lines, "fields");
    lines
}

/// What two objects, or parts of them, differ in, a line a field.
pub fn between(before: &Value, after: &Value, ellipsis: &str) -> Vec<String> {
    changes(&masked(before, false), &masked(after, false), &[]).iter().map(|c| told(c, ellipsis)).collect()
}

/// Whether what a step sends has that field in it, or all of what it is part of.
fn sent(step: &Step, pointer: &str) -> bool {
    let Act::Write(write) = &step.act else { return false };
    match write.method {
        Method::JsonPatch => {
            let paths = write.body.as_array().into_iter().flatten().filter_map(|op| op["path"].as_str());
            paths.into_iter().any(|path| pointer.starts_with(path) || path.starts_with(pointer))
        }
        Method::MergePatch | Method::StrategicPatch | Method::Apply => {
            let mut here = &write.body;
            for part in pointer.split('/').skip(1).map(|p| p.replace("~1", "/").replace("~0", "~")) {
                match here.get(&part) {
                    Some(next) => here = next,
                    // Below a list places may be others.
                    None => return !here.is_object(),
                }
            }
            true
        }
        Method::Post | Method::Put | Method::Delete => true,
    }
}

fn shorten(lines: &mut Vec<String>, what: &str) {
    let more = lines.len().saturating_sub(LINES);
    if more > 0 {
        lines.truncate(LINES);
        lines.push(format!("and {more} more {what}"));
    }
}

/// A new object, without what the step's own words say.
fn added(body: &Value, secret: bool) -> Vec<String> {
    let mut shown = masked(body, secret);
    seal(&mut shown);
    if let Some(map) = shown.as_object_mut() {
        map.shift_remove("kind");
        map.shift_remove("apiVersion");
        if let Some(meta) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.shift_remove("name");
            meta.shift_remove("namespace");
            if meta.is_empty() {
                map.shift_remove("metadata");
            }
        }
    }
    let mut lines: Vec<String> = match shown.as_object() {
        Some(map) if map.is_empty() => Vec::new(),
        _ => Doc::new(&shown).lines().iter().map(|l| format!("+ {}", l.text)).collect(),
    };
    shorten(&mut lines, "lines");
    lines
}

/// One change in words.
fn told(change: &Change, ellipsis: &str) -> String {
    if let (Some(Value::String(before)), Some(Value::String(after))) = (&change.before, &change.after)
        && before.starts_with(HIDDEN.0)
        && after.starts_with(HIDDEN.0)
    {
        return format!("{}: another value (hidden)", change.field);
    }
    let short = |v: Option<&Value>| cut(&clean(&word(v).replace('\n', "\\n")), VALUE, ellipsis);
    format!("{}: {} -> {}", change.field, short(change.before.as_ref()), short(change.after.as_ref()))
}

fn word(value: Option<&Value>) -> String {
    let Some(value) = value.filter(|v| !v.is_null()) else { return "-".to_owned() };
    let mut value = value.clone();
    seal(&mut value);
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// `1000m` and `1`: the server writes amounts its own way.
fn same_amount(change: &Change) -> bool {
    let amount = |v: &Option<Value>| v.as_ref().and_then(Value::as_str).and_then(quantity::milli);
    change.pointer.contains("/resources/") && amount(&change.before).is_some() && amount(&change.before) == amount(&change.after)
}

/// A value that is not shown: another one for another value, until it is sealed.
fn hide(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(hide),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null => {}
        other => {
            let mut hash = DefaultHasher::new();
            other.to_string().hash(&mut hash);
            *other = format!("{}{:x}{}", HIDDEN.0, hash.finish(), HIDDEN.1).into();
        }
    }
}

/// Takes the hashes of hidden values away, and masks what looks like a secret in other texts.
fn seal(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(seal),
        Value::Array(items) => items.iter_mut().for_each(seal),
        Value::String(text) if text.starts_with(HIDDEN.0) => *text = "(hidden)".to_owned(),
        // Alone, since beside a name that says so it would be masked once more.
        text => drop(redact(text, Mask::Ascii)),
    }
}

/// An object with what is secret in it hidden.
fn masked(object: &Value, secret: bool) -> Value {
    let mut object = object.clone();
    if secret {
        for key in ["data", "stringData"] {
            if let Some(data) = object.get_mut(key) {
                hide(data);
            }
        }
    }
    walk(&mut object);
    object
}

fn walk(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Array(items) if key == "env" => items.iter_mut().for_each(variable),
                    text if key.contains("last-applied-configuration") => hide(text),
                    other => walk(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(walk),
        _ => {}
    }
}

/// An environment variable: its name is told, and where a reference leads.
fn variable(item: &mut Value) {
    if let Some(value) = item.get_mut("value") {
        hide(value);
    }
}

/// A field of a step, hidden by where it is.
fn hide_field(change: &FieldChange, secret: bool) -> FieldChange {
    let mut change = change.clone();
    let pointer = change.pointer.clone();
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let data = secret && matches!(parts.first(), Some(&("data" | "stringData")));
    let applied = parts.iter().any(|p| p.contains("last-applied-configuration"));
    let env = parts.iter().rposition(|p| *p == "env").map(|at| parts.len() - at - 1);
    for value in [&mut change.before, &mut change.after].into_iter().flatten() {
        match env {
            _ if data || applied => hide(value),
            Some(0) => value.as_array_mut().into_iter().flatten().for_each(variable),
            Some(1) => variable(value),
            Some(_) if parts.last() == Some(&"value") => hide(value),
            _ if secret && parts.is_empty() => *value = masked(value, true),
            _ => walk(value),
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::verbs::fixture::{Fixture, NOW};
    use crate::action::{Guardrails, Preflight, Request};
    use crate::model::{Args, ClusterId, Kind, Target, VerbId};
    use serde_json::json;

    /// What a preview says of a plan's first step, with what the server has and would store.
    fn said(f: &mut Fixture, text: &str, live: Option<Value>, stored: Option<Value>) -> Vec<String> {
        let into =
            Target { cluster: ClusterId(0), resource: Kind::Namespace.into(), namespace: String::new(), name: "pay".into(), uid: None };
        let args = Args::parse(VerbId::Apply.info(), "filename=app.yaml").unwrap();
        let documents = vec![("app.yaml".into(), text.into())];
        let plan = f.request(&Request { verb: VerbId::Apply, targets: vec![into], args, documents }).unwrap();
        let preflight = Preflight {
            live: live.map(|v| (0, v)).into_iter().collect(),
            stored: stored.map(|v| (0, v)).into_iter().collect(),
            ..Preflight::default()
        };
        let gate = Guardrails::default().gate(&plan, NOW);
        lines(&Preview::new(plan.clone(), preflight, gate), 0, &plan.steps[0], "...")
    }

    #[test]
    fn a_new_object_is_told_whole_with_what_is_secret_masked_and_what_the_server_makes_of_it() {
        let mut f = Fixture::new();
        f.fact("/api/v1", json!({"resources": [{"name": "secrets", "kind": "Secret", "namespaced": true}]}));
        let text = "{apiVersion: v1, kind: Secret, metadata: {name: s, labels: {a: b}}, type: Opaque, stringData: {token: canary}}";
        assert_eq!(
            said(&mut f, text, None, None),
            ["+ metadata:", "+   labels:", "+     a: b", "+ type: Opaque", "+ stringData:", "+   token: (hidden)"]
        );
        let text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {replicas: 2, template: {spec: {containers: \
                    [{name: app, image: 'a:1', env: [{name: DB, value: canary}], resources: {requests: {cpu: 1000m}}}]}}}}";
        let stored = json!({"kind": "Deployment", "metadata": {"name": "api", "namespace": "pay", "uid": "u"}, "spec": {"replicas": 2, "paused": false,
            "template": {"spec": {"containers": [{"name": "app", "image": "mirror/a:1", "env": [{"name": "DB", "value": "canary"}], "resources": {"requests": {"cpu": "1"}}},
                {"name": "mesh", "image": "m"}]}}}});
        let told = said(&mut f, text, None, Some(stored));
        assert!(told.contains(&"+           value: (hidden)".to_owned()) && !told.join("").contains("canary"), "{told:#?}");
        assert_eq!(
            told.iter().filter(|l| l.starts_with("the server")).collect::<Vec<_>>(),
            [
                "the server makes it: spec.template.spec.containers[app].image: a:1 -> mirror/a:1",
                r#"the server makes it: spec.template.spec.containers[mesh]: - -> {"name":"mesh","image":"m"}"#,
            ]
        );
    }

    #[test]
    fn a_changed_object_is_told_as_the_server_would_store_it() {
        let mut f = Fixture::new();
        let target = f.deployment("api", 3, |d| {
            d["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "DB", "value": "old-canary"}]);
        });
        let live = f.object(&target);
        let text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {replicas: 3, template: {spec: {containers: \
                    [{name: app, image: 'registry.internal/app:1', env: [{name: DB, value: canary}, {name: LEVEL, value: canary}]}]}}}}";
        let mut stored = live.clone();
        stored["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "DB", "value": "canary"}, {"name": "LEVEL", "value": "canary"}]);
        stored["metadata"]["labels"] = json!({"seen": "webhook"});
        stored["metadata"]["managedFields"] = json!([{"manager": "quarterdeck"}]);
        let env = "spec.template.spec.containers[app].env";
        assert_eq!(
            said(&mut f, text, Some(live), Some(stored)),
            [
                "metadata.labels.seen: - -> webhook (the server's own)".to_owned(),
                format!("{env}[DB].value: another value (hidden)"),
                format!(r#"{env}[LEVEL]: - -> {{"name":"LEVEL","value":"(hidden)"}}"#),
            ]
        );
        // Without a dry run what the manifest says is told, and what it leaves out of an element is not told as taken away.
        let told = said(&mut f, text, None, None);
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(!told.join("").contains("canary"), "{told:#?}");
    }
}
