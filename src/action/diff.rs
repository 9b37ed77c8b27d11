//! What two values differ in, for people: field by field, an element of a list by what names it and not by its place.
//!
//! What is sent and tested is `verbs::fields`'s, where a list is one value.

use crate::model::FieldChange;
use serde_json::Value;
use std::collections::BTreeSet;

/// What names an element of a list, as strategic merge and server-side apply have it; the first that fits both lists counts. The second
/// field may be absent.
const KEYS: [(&str, Option<&str>); 12] = [
    ("name", None),
    ("containerPort", Some("protocol")),
    ("port", Some("protocol")),
    ("mountPath", None),
    ("devicePath", None),
    ("topologyKey", Some("whenUnsatisfiable")),
    ("key", Some("effect")),
    ("ip", None),
    ("type", None),
    ("uid", None),
    ("secretRef", None),
    ("configMapRef", None),
];

/// What the server writes itself, and nobody edits.
pub const SERVERS: [&str; 9] = [
    "/status",
    "/metadata/managedFields",
    "/metadata/resourceVersion",
    "/metadata/generation",
    "/metadata/creationTimestamp",
    "/metadata/uid",
    "/metadata/selfLink",
    "/metadata/deletionTimestamp",
    "/metadata/deletionGracePeriodSeconds",
];

/// One difference.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// `spec.template.spec.containers[app].image`.
    pub field: String,
    /// Where it is: in what there is afterwards, or in what there was where it goes.
    pub pointer: String,
    /// None: it was not there.
    pub before: Option<Value>,
    /// None: it is taken away.
    pub after: Option<Value>,
}

/// What two values differ in; `skip` names pointers that are left out.
pub fn changes(before: &Value, after: &Value, skip: &[&str]) -> Vec<Change> {
    let mut walk = Walk { skip, found: Vec::new() };
    walk.both(&At::default(), before, after);
    walk.found
}

/// The same of one field; `object` is what its pointer's indices count in.
pub fn expanded(change: &FieldChange, object: Option<&Value>) -> Vec<Change> {
    let at = At { field: named(&change.pointer, object), pointer: change.pointer.clone() };
    let mut walk = Walk { skip: &[], found: Vec::new() };
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => walk.both(&at, before, after),
        (None, Some(after)) => walk.both(&at, &empty(after), after),
        (Some(before), None) => walk.both(&at, before, &empty(before)),
        (None, None) => {}
    }
    walk.found
}

/// A pointer in words, elements of lists by their names where the object says them.
fn named(pointer: &str, object: Option<&Value>) -> String {
    let (mut at, mut here) = (At::default(), object);
    for part in pointer.trim_start_matches('/').split('/') {
        let key = part.replace("~1", "/").replace("~0", "~");
        match here {
            Some(Value::Array(items)) => {
                let item = key.parse::<usize>().ok().and_then(|n| items.get(n));
                let name = item.and_then(|item| Some(element(item, keyed(&[items])?)));
                at = at.element(name.as_deref().unwrap_or(&key), 0);
                here = item;
            }
            other => {
                at = at.key(&key);
                here = other.and_then(|o| o.get(&key));
            }
        }
    }
    at.field
}

type Key = (&'static str, Option<&'static str>);

/// What names the elements of all these lists, each by one of its own.
fn keyed(lists: &[&Vec<Value>]) -> Option<Key> {
    let fits = |key: &&Key| {
        lists.iter().all(|items| {
            let mut names = BTreeSet::new();
            items.iter().all(|item| item.get(key.0).is_some_and(|v| !v.is_null()) && names.insert(element(item, **key)))
        })
    };
    KEYS.iter().find(fits).copied().filter(|_| lists.iter().any(|l| !l.is_empty()))
}

/// An element's name, `app` or `53/UDP`.
fn element(item: &Value, (key, second): Key) -> String {
    let text = |v: &Value| match v {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        Value::Object(o) => o.get("name").and_then(Value::as_str).map(str::to_owned),
        other => Some(other.to_string()),
    };
    let first = text(&item[key]).unwrap_or_default();
    // TCP is what a port is without a word.
    let second = second.and_then(|second| text(&item[second])).filter(|s| s != "TCP");
    second.map_or(first.clone(), |second| format!("{first}/{second}"))
}

/// What an absent field is beside this one: an object and a list come and go piece by piece.
fn empty(value: &Value) -> Value {
    match value {
        Value::Object(_) => Value::Object(serde_json::Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Null,
    }
}

#[derive(Clone, Default)]
struct At {
    field: String,
    pointer: String,
}

impl At {
    fn key(&self, key: &str) -> Self {
        let dot = if self.field.is_empty() { "" } else { "." };
        Self { field: format!("{}{dot}{key}", self.field), pointer: format!("{}/{}", self.pointer, super::rollout::escape(key)) }
    }
    fn element(&self, name: &str, at: usize) -> Self {
        Self { field: format!("{}[{name}]", self.field), pointer: format!("{}/{at}", self.pointer) }
    }
}

struct Walk<'a> {
    skip: &'a [&'a str],
    found: Vec<Change>,
}

impl Walk<'_> {
    fn one(&mut self, at: &At, before: Option<&Value>, after: Option<&Value>) {
        let there = |v: Option<&Value>| v.filter(|v| !v.is_null()).cloned();
        let (before, after) = (there(before), there(after));
        if before != after {
            self.found.push(Change { field: at.field.clone(), pointer: at.pointer.clone(), before, after });
        }
    }

    fn both(&mut self, at: &At, before: &Value, after: &Value) {
        if before == after || self.skip.contains(&at.pointer.as_str()) {
            return;
        }
        match (before, after) {
            (Value::Object(a), Value::Object(b)) => {
                for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                    let at = at.key(key);
                    match (a.get(key), b.get(key)) {
                        (Some(a), Some(b)) => self.both(&at, a, b),
                        (None, Some(b)) => self.both(&at, &empty(b), b),
                        (Some(a), None) => self.both(&at, a, &empty(a)),
                        (None, None) => {}
                    }
                }
            }
            (Value::Array(a), Value::Array(b)) => self.lists(at, a, b),
            _ => self.one(at, Some(before), Some(after)),
        }
    }

    fn lists(&mut self, at: &At, a: &Vec<Value>, b: &Vec<Value>) {
        if let Some(key) = keyed(&[a, b]) {
            return self.by_name(at, a, b, key);
        }
        if a.iter().chain(b).all(|v| !v.is_object() && !v.is_array()) {
            let (mut gone, mut came) = (a.clone(), Vec::new());
            for item in b {
                match gone.iter().position(|g| g == item) {
                    Some(n) => drop(gone.remove(n)),
                    None => came.push(item),
                }
            }
            if gone.is_empty() && came.is_empty() {
                return self.one(at, Some(&Value::Array(a.clone())), Some(&Value::Array(b.clone())));
            }
            // One for one is a change; else what goes, then what comes.
            if let ([gone], [came]) = (gone.as_slice(), came.as_slice()) {
                return self.one(at, Some(gone), Some(came));
            }
            gone.iter().for_each(|v| self.one(at, Some(v), None));
            came.into_iter().for_each(|v| self.one(at, None, Some(v)));
            return;
        }
        // Nothing names them: what is the same at both ends stays, the rest is compared place by place.
        let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let rest = a.len().min(b.len()) - head;
        let tail = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
        let (a, b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
        for n in 0..a.len().max(b.len()) {
            let at = at.element(&(head + n).to_string(), head + n);
            match (a.get(n), b.get(n)) {
                (Some(a), Some(b)) => self.both(&at, a, b),
                (a, b) => self.one(&at, a, b),
            }
        }
    }

    fn by_name(&mut self, at: &At, a: &[Value], b: &[Value], key: Key) {
        let names = |list: &[Value]| -> Vec<String> { list.iter().map(|item| element(item, key)).collect() };
        let (old, new) = (names(a), names(b));
        for (n, (name, item)) in old.iter().zip(a).enumerate() {
            match new.iter().position(|other| other == name).and_then(|m| Some((m, b.get(m)?))) {
                Some((m, other)) => self.both(&at.element(name, m), item, other),
                None => self.one(&at.element(name, n), Some(item), None),
            }
        }
        for (m, (name, item)) in new.iter().zip(b).enumerate().filter(|(_, (name, _))| !old.contains(name)) {
            self.one(&at.element(name, m), None, Some(item));
        }
        let stay = |all: &[String], other: &[String]| -> Vec<String> { all.iter().filter(|n| other.contains(n)).cloned().collect() };
        let (was, is) = (stay(&old, &new), stay(&new, &old));
        if was != is {
            let at = At { field: format!("{} (order)", at.field), pointer: at.pointer.clone() };
            self.one(&at, Some(&was.join(", ").into()), Some(&is.join(", ").into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(before: &Value, after: &Value) -> Vec<String> {
        let word = |v: &Option<Value>| v.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        changes(before, after, &["/status"]).iter().map(|c| format!("{}: {} -> {}", c.field, word(&c.before), word(&c.after))).collect()
    }

    #[test]
    fn an_element_of_a_list_is_told_by_its_name_wherever_it_stands() {
        let app = json!({"name": "app", "image": "1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
        let mut new = app.clone();
        new["image"] = "2".into();
        new["env"] = json!([{"name": "C", "value": "3"}, {"name": "A", "value": "1"}]);
        let before = json!({"spec": {"containers": [app]}, "status": {"n": 1}});
        let after = json!({"spec": {"containers": [{"name": "sidecar", "image": "s"}, new]}, "status": {"n": 2}});
        assert_eq!(
            words(&before, &after),
            [
                r#"spec.containers[app].image: "1" -> "2""#,
                r#"spec.containers[app].env[B]: {"name":"B","value":"2"} -> -"#,
                r#"spec.containers[app].env[C]: - -> {"name":"C","value":"3"}"#,
                r#"spec.containers[sidecar]: - -> {"name":"sidecar","image":"s"}"#,
            ]
        );
        assert_eq!(
            words(&json!({"env": [{"name": "A"}, {"name": "B"}]}), &json!({"env": [{"name": "B"}, {"name": "A"}]})),
            [r#"env (order): "A, B" -> "B, A""#]
        );
    }

    #[test]
    fn ports_mounts_and_taints_have_keys_of_their_own() {
        let ports = |all: Value| json!({"ports": all});
        assert_eq!(
            words(
                &ports(json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}])),
                &ports(json!([{"containerPort": 53, "hostPort": 5}]))
            ),
            [r#"ports[53/UDP]: {"containerPort":53,"protocol":"UDP"} -> -"#, "ports[53].hostPort: - -> 5"]
        );
        assert_eq!(
            words(
                &json!({"m": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]}),
                &json!({"m": [{"name": "v", "mountPath": "/b", "readOnly": true}, {"name": "v", "mountPath": "/a"}]})
            ),
            [r#"m[/b].readOnly: - -> true"#, r#"m (order): "/a, /b" -> "/b, /a""#],
            "a volume may be mounted twice: its name is none"
        );
        assert_eq!(
            words(&json!({"t": [{"key": "a", "effect": "NoSchedule"}]}), &json!({"t": []})),
            [r#"t[a/NoSchedule]: {"key":"a","effect":"NoSchedule"} -> -"#]
        );
    }

    #[test]
    fn plain_values_and_what_has_no_name_are_told_without_what_stays() {
        let args = |all: Value| json!({"args": all});
        assert_eq!(words(&args(json!(["a", "-v=1", "b"])), &args(json!(["a", "-v=2", "b"]))), [r#"args: "-v=1" -> "-v=2""#]);
        assert_eq!(words(&args(json!(["a"])), &args(json!(["a", "b", "c"]))), [r#"args: - -> "b""#, r#"args: - -> "c""#]);
        assert_eq!(words(&args(json!(["a", "b"])), &args(json!(["b", "a"]))), [r#"args: ["a","b"] -> ["b","a"]"#]);
        let rules = |all: Value| json!({"rules": all});
        assert_eq!(
            words(
                &rules(json!([{"verbs": ["get"]}, {"verbs": ["list"]}])),
                &rules(json!([{"verbs": ["get", "watch"]}, {"verbs": ["list"]}]))
            ),
            [r#"rules[0].verbs: - -> "watch""#]
        );
        assert_eq!(words(&rules(json!([{"x": [1]}, {"x": [2]}])), &rules(json!([{"x": [2]}]))), [r#"rules[0]: {"x":[1]} -> -"#]);
        assert_eq!(words(&json!({"a": null, "b": {}}), &json!({"b": {"c": 1}})), ["b.c: - -> 1"]);
        assert_eq!(
            words(&json!({}), &json!({"m": {"a": {"x/y": "z"}, "e": {}}, "l": [{"name": "n"}]})),
            [r#"m.a.x/y: - -> "z""#, r#"l[n]: - -> {"name":"n"}"#]
        );
    }

    #[test]
    fn a_field_of_a_step_is_told_by_the_names_in_its_object() {
        let object = json!({"spec": {"containers": [{"name": "app", "image": "1"}]}});
        let change =
            |pointer: &str, before: Value, after: Value| FieldChange { pointer: pointer.into(), before: Some(before), after: Some(after) };
        let image = change("/spec/containers/0/image", json!("1"), json!("2"));
        assert_eq!(expanded(&image, Some(&object))[0].field, "spec.containers[app].image");
        assert_eq!(expanded(&image, None)[0].field, "spec.containers.0.image");
        let list = change("/spec/containers", object["spec"]["containers"].clone(), json!([{"name": "app", "image": "1"}, {"name": "b"}]));
        assert_eq!(expanded(&list, None).iter().map(|c| c.field.as_str()).collect::<Vec<_>>(), ["spec.containers[b]"]);
        assert_eq!(expanded(&change("/metadata/labels/a~1b", json!("x"), json!("y")), None)[0].field, "metadata.labels.a/b");
    }
}
