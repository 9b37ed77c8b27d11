//! Who owns which field: `metadata.managedFields`, and server-side apply with its conflicts.
//!
//! Ownership is kept by leaf, list items that have a key by item, as the API server does; paths are spelt as `fieldsV1` spells them,
//! `f:spec`, `k:{"name":"a"}`, `v:"x"`.

use super::schema::{self, Items};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Path = Vec<String>;
type Set = BTreeSet<Path>;

/// Who writes: manager and, where one was written through, the subresource.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    pub manager: &'a str,
    pub subresource: &'a str,
    /// RFC 3339.
    pub now: &'a str,
}

/// Fields of the metadata that nobody owns.
const NOBODYS: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];

/// One line of `managedFields`.
#[derive(Clone, PartialEq, Debug)]
struct Entry {
    manager: String,
    apply: bool,
    subresource: String,
    time: String,
    set: Set,
}

/// A field that somebody else owns.
#[derive(PartialEq, Eq, Debug)]
pub struct Clash {
    /// `.spec.replicas`.
    pub field: String,
    /// `"kubectl-set" using apps/v1 at 2026-03-01T02:47:30Z`.
    pub owner: String,
}

/// Every leaf with its value, and every keyed item with null.
fn leaves(kind: &str, object: &Value) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let mut meta = value.clone();
                if let Some(map) = meta.as_object_mut() {
                    map.retain(|k, _| !NOBODYS.contains(&k.as_str()));
                }
                if meta.as_object().is_some_and(|m| !m.is_empty()) {
                    below(Some("ObjectMeta"), &meta, &vec!["f:metadata".to_owned()], &mut found);
                }
            }
            _ => child(Some(kind), name, value, &Vec::new(), &mut found),
        }
    }
    found
}

fn below(kind: Option<&str>, value: &Value, path: &Path, found: &mut BTreeMap<Path, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(name, inner)| child(kind, name, inner, path, found)),
        Value::Null => {}
        leaf => drop(found.insert(path.clone(), leaf.clone())),
    }
}

fn child(kind: Option<&str>, name: &str, value: &Value, path: &Path, found: &mut BTreeMap<Path, Value>) {
    let field = kind.and_then(|k| schema::find(k, name));
    let at = [path.as_slice(), &[format!("f:{name}")]].concat();
    match (field, value) {
        (_, Value::Null) => {}
        (Some(f), Value::Array(items)) => match &f.items {
            Items::By(keys) => {
                for item in items {
                    let at = [at.as_slice(), &[key_of(keys, item)]].concat();
                    below(Some(f.kind), item, &at, found);
                    found.insert(at, Value::Null);
                }
            }
            Items::Set => items.iter().for_each(|item| drop(found.insert([at.as_slice(), &[format!("v:{item}")]].concat(), item.clone()))),
            Items::Whole | Items::Apart => drop(found.insert(at, value.clone())),
        },
        (Some(f), Value::Object(_)) if f.items == Items::Whole || f.kind == "r" => drop(found.insert(at, value.clone())),
        (Some(f), Value::Object(_)) if f.map => below(None, value, &at, found),
        (Some(f), _) => below(Some(f.kind), value, &at, found),
        (None, _) => below(None, value, &at, found),
    }
}

fn key_of(keys: &[&str], item: &Value) -> String {
    let mut map = Map::new();
    for key in keys {
        let value = match &item[*key] {
            Value::Null if *key == "protocol" => json!("TCP"),
            value => value.clone(),
        };
        map.insert((*key).to_owned(), value);
    }
    format!("k:{}", Value::Object(map))
}

/// Whether a path is the field by which its item is known.
fn is_key(path: &Path) -> bool {
    let [.., item, field] = path.as_slice() else { return false };
    let keys: Value = item.strip_prefix("k:").and_then(|k| serde_json::from_str(k).ok()).unwrap_or(Value::Null);
    field.strip_prefix("f:").is_some_and(|name| keys.get(name).is_some())
}

/// A set as `fieldsV1`.
fn tree(set: &Set) -> Value {
    let mut root = json!({});
    for path in set {
        let mut at = &mut root;
        for part in path {
            if at[part].is_null() {
                at[part] = json!({});
            }
            at = &mut at[part];
        }
        if path.last().is_some_and(|p| p.starts_with("k:")) {
            at["."] = json!({});
        }
    }
    root
}

fn paths(tree: &Value, path: &Path, set: &mut Set) {
    let Some(map) = tree.as_object().filter(|m| !m.is_empty()) else {
        set.insert(path.clone());
        return;
    };
    for (part, inner) in map {
        if part == "." {
            set.insert(path.clone());
        } else {
            paths(inner, &[path.as_slice(), std::slice::from_ref(part)].concat(), set);
        }
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    let all = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    all.map(|e| {
        let text = |key: &str| e[key].as_str().unwrap_or("").to_owned();
        let mut set = Set::new();
        paths(&e["fieldsV1"], &Vec::new(), &mut set);
        Entry { manager: text("manager"), apply: e["operation"] == "Apply", subresource: text("subresource"), time: text("time"), set }
    })
    .collect()
}

fn write_down(object: &mut Value, api_version: &str, entries: &[Entry]) {
    let lines: Vec<Value> = entries
        .iter()
        .filter(|e| !e.set.is_empty())
        .map(|e| {
            let mut line = json!({"manager": e.manager, "operation": if e.apply { "Apply" } else { "Update" }, "apiVersion": api_version, "time": e.time, "fieldsType": "FieldsV1", "fieldsV1": tree(&e.set)});
            if !e.subresource.is_empty() {
                line["subresource"] = e.subresource.as_str().into();
            }
            line
        })
        .collect();
    if lines.is_empty() {
        if let Some(meta) = object["metadata"].as_object_mut() {
            meta.shift_remove("managedFields");
        }
    } else {
        object["metadata"]["managedFields"] = Value::Array(lines);
    }
}

fn own<'a>(all: &'a mut Vec<Entry>, writer: &Writer<'_>, apply: bool) -> &'a mut Entry {
    let is = |e: &Entry| e.manager == writer.manager && e.apply == apply && e.subresource == writer.subresource;
    let at = all.iter().position(is).unwrap_or_else(|| {
        all.push(Entry {
            manager: writer.manager.to_owned(),
            apply,
            subresource: writer.subresource.to_owned(),
            time: writer.now.to_owned(),
            set: Set::new(),
        });
        all.len() - 1
    });
    &mut all[at]
}

/// Writes down that `writer` made `after` of `before`: what differs is its own now, and nobody else's.
pub fn updated(kind: &str, before: &Value, after: &mut Value, writer: &Writer<'_>) {
    let api_version = after["apiVersion"].as_str().unwrap_or("").to_owned();
    let (old, new) = (leaves(kind, before), leaves(kind, after));
    let changed: Set = new.iter().filter(|(path, value)| old.get(*path) != Some(value)).map(|(path, _)| path.clone()).collect();
    let gone: Set = old.keys().filter(|path| !new.contains_key(*path)).cloned().collect();
    let mut all = entries(before);
    if changed.is_empty() && gone.is_empty() {
        return write_down(after, &api_version, &all);
    }
    for entry in &mut all {
        entry.set.retain(|path| !gone.contains(path) && (!changed.contains(path) || new[path].is_null()));
    }
    let mine = own(&mut all, writer, false);
    mine.set.extend(changed);
    writer.now.clone_into(&mut mine.time);
    write_down(after, &api_version, &all);
}

/// Server-side apply: what `live` becomes. Null: it is not there yet.
///
/// # Errors
/// The fields that others own with other values, unless it is forced.
pub fn applied(kind: &str, live: &Value, config: &Value, writer: &Writer<'_>, force: bool) -> Result<Value, Vec<Clash>> {
    let api_version = config["apiVersion"].as_str().unwrap_or("").to_owned();
    let (old, new) = (leaves(kind, live), leaves(kind, config));
    let mut all = entries(live);
    if all.is_empty() && !old.is_empty() {
        let before = Writer { manager: "before-first-apply", subresource: "", now: writer.now };
        own(&mut all, &before, false).set.extend(old.keys().cloned());
    }
    let mine = own(&mut all, writer, true).clone();
    let other = |e: &Entry| !(e.apply && e.manager == mine.manager && e.subresource == mine.subresource);
    let differs = |path: &Path| !new[path].is_null() && old.get(path) != new.get(path);
    let mut clashes = Vec::new();
    for entry in all.iter_mut().filter(|e| other(e)) {
        for path in new.keys().filter(|p| entry.set.contains(*p) && differs(p)).collect::<Vec<_>>() {
            if force {
                entry.set.remove(path);
            } else {
                clashes.push(Clash { field: shown(path), owner: entry.words(&api_version) });
            }
        }
    }
    if !clashes.is_empty() {
        return Err(clashes);
    }
    let mut result = if live.is_null() { json!({}) } else { live.clone() };
    merge(Some(kind), &mut result, config);
    // What was applied before and is no longer meant goes, unless somebody else wants it too.
    let mut dropped: Vec<&Path> = mine.set.iter().filter(|p| !new.contains_key(*p)).collect();
    // An item goes whole, before its fields; one that stays keeps its key.
    dropped.sort_by_key(|p| p.len());
    for path in dropped.into_iter().filter(|p| !is_key(p)) {
        let wanted = |e: &Entry| other(e) && e.set.iter().any(|p| p.starts_with(path));
        if !all.iter().any(wanted) && !new.keys().any(|p| p.starts_with(path)) {
            remove(&mut result, path);
        }
    }
    let mine = own(&mut all, writer, true);
    let set: Set = new.into_keys().collect();
    if mine.set != set {
        (mine.set, mine.time) = (set, writer.now.to_owned());
    }
    write_down(&mut result, &api_version, &all);
    Ok(result)
}

impl Entry {
    fn words(&self, api_version: &str) -> String {
        let through = if self.subresource.is_empty() { String::new() } else { format!(" with subresource {:?}", self.subresource) };
        let when = if self.apply { String::new() } else { format!(" using {api_version} at {}", self.time) };
        format!("{:?}{through}{when}", self.manager)
    }
}

/// `.spec.template.spec.containers[name="a"].image`.
fn shown(path: &Path) -> String {
    let part = |part: &String| {
        if let Some(name) = part.strip_prefix("f:") {
            return format!(".{name}");
        }
        if let Some(value) = part.strip_prefix("v:") {
            return format!("[={value}]");
        }
        let keys: Value = serde_json::from_str(part.trim_start_matches("k:")).unwrap_or(Value::Null);
        let keys: Vec<String> = keys.as_object().into_iter().flatten().map(|(k, v)| format!("{k}={v}")).collect();
        format!("[{}]", keys.join(","))
    };
    path.iter().map(part).collect()
}

fn merge(kind: Option<&str>, live: &mut Value, config: &Value) {
    let Value::Object(config) = config else {
        *live = config.clone();
        return;
    };
    if !live.is_object() {
        *live = json!({});
    }
    for (name, value) in config.iter().filter(|(_, v)| !v.is_null()) {
        let field = kind.and_then(|k| schema::find(k, name));
        let inner = field.map(|f| f.kind).filter(|k| schema::known(k));
        let here = &mut live[name];
        match (field.map(|f| &f.items), value) {
            (Some(Items::By(keys)), Value::Array(items)) => {
                let mut all = here.as_array().cloned().unwrap_or_default();
                for item in items {
                    match all.iter_mut().find(|have| key_of(keys, have) == key_of(keys, item)) {
                        Some(have) => merge(inner, have, item),
                        None => all.push(item.clone()),
                    }
                }
                *here = Value::Array(all);
            }
            (Some(Items::Set), Value::Array(items)) => {
                let mut all = here.as_array().cloned().unwrap_or_default();
                all.extend(items.iter().filter(|i| !here.as_array().is_some_and(|h| h.contains(i))).cloned());
                *here = Value::Array(all);
            }
            (Some(Items::Whole), _) | (_, Value::Array(_)) => *here = value.clone(),
            _ => merge(inner, here, value),
        }
    }
}

fn remove(value: &mut Value, path: &[String]) {
    let Some((part, rest)) = path.split_first() else { return };
    if let (Some(name), Some(map)) = (part.strip_prefix("f:"), value.as_object_mut()) {
        if rest.is_empty() {
            map.shift_remove(name);
        } else if let Some(inner) = map.get_mut(name) {
            remove(inner, rest);
            if inner.as_object().is_some_and(Map::is_empty) || inner.as_array().is_some_and(Vec::is_empty) {
                map.shift_remove(name);
            }
        }
        return;
    }
    let Value::Array(items) = value else { return };
    let is = |item: &Value| match part.strip_prefix("v:") {
        Some(text) => serde_json::from_str::<Value>(text).is_ok_and(|v| v == *item),
        None => {
            let keys: Value = serde_json::from_str(part.trim_start_matches("k:")).unwrap_or(Value::Null);
            keys.as_object()
                .is_some_and(|keys| keys.iter().all(|(k, v)| item[k] == *v || k == "protocol" && item[k].is_null() && *v == "TCP"))
        }
    };
    if rest.is_empty() {
        items.retain(|item| !is(item));
    } else if let Some(item) = items.iter_mut().find(|item| is(item)) {
        remove(item, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(manager: &str) -> Writer<'_> {
        Writer { manager, subresource: "", now: "2026-03-01T02:47:30Z" }
    }
    fn config(replicas: i64, containers: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "b"}}, "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn what_another_owns_with_another_value_is_a_clash_unless_forced() {
        let ours = config(3, json!([{"name": "c", "image": "1"}]));
        let live = applied("Deployment", &Value::Null, &ours, &by("us"), false).unwrap();
        assert_eq!(
            live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"],
            json!({"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}}})
        );
        let shared = applied("Deployment", &live, &ours, &by("them"), false).unwrap();
        assert_eq!(shared["metadata"]["managedFields"].as_array().unwrap().len(), 2, "the same values may be owned by both");
        let other = config(4, json!([{"name": "c", "image": "2"}]));
        let clashes = applied("Deployment", &live, &other, &by("them"), false).unwrap_err();
        assert_eq!(
            clashes.iter().map(|c| (c.field.as_str(), c.owner.as_str())).collect::<Vec<_>>(),
            [(".spec.replicas", "\"us\""), (".spec.template.spec.containers[name=\"c\"].image", "\"us\"")]
        );
        let taken = applied("Deployment", &live, &other, &by("them"), true).unwrap();
        assert_eq!(taken["spec"]["replicas"], 4);
        assert!(taken["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].get("f:replicas").is_none(), "{taken}");
    }

    #[test]
    fn what_is_no_longer_applied_goes_unless_another_wants_it() {
        let two = config(3, json!([{"name": "c", "image": "1"}, {"name": "side", "image": "2"}]));
        let live = applied("Deployment", &Value::Null, &two, &by("us"), false).unwrap();
        let mut touched = live.clone();
        touched["spec"]["template"]["spec"]["containers"][0]["tty"] = true.into();
        updated("Deployment", &live, &mut touched, &by("them"));
        let one = config(3, json!([{"name": "c"}]));
        let after = applied("Deployment", &touched, &one, &by("us"), false).unwrap();
        assert_eq!(after["spec"]["template"]["spec"]["containers"], json!([{"name": "c", "tty": true}]));
    }

    #[test]
    fn a_change_takes_the_field_from_whoever_had_it() {
        let live = applied("Deployment", &Value::Null, &config(3, json!([])), &by("us"), false).unwrap();
        let mut scaled = live.clone();
        scaled["spec"]["replicas"] = 5.into();
        updated("Deployment", &live, &mut scaled, &Writer { subresource: "scale", ..by("kubectl") });
        let lines = scaled["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[1]["fieldsV1"], &lines[1]["subresource"]), (&json!({"f:spec": {"f:replicas": {}}}), &json!("scale")));
        let clash = applied("Deployment", &scaled, &config(3, json!([])), &by("us"), false).unwrap_err().remove(0);
        assert_eq!(clash.owner, "\"kubectl\" with subresource \"scale\" using apps/v1 at 2026-03-01T02:47:30Z");
    }

    #[test]
    fn who_applies_first_to_what_nobody_wrote_down_meets_what_was_there() {
        let live = config(3, json!([]));
        let clash = applied("Deployment", &live, &config(4, json!([])), &by("us"), false).unwrap_err().remove(0);
        assert!(clash.owner.starts_with("\"before-first-apply\""), "{clash:?}");
    }
}
