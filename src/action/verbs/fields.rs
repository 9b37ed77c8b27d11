//! Fields of an object: what two texts of it differ in, as JSON patch operations there and back, and who owns them.

use super::super::diff::SERVERS;
use crate::model::FieldChange;
use serde_json::{Value, json};

/// The fields in which `after` differs from `before`: objects are gone into, and lists of the same named items; other lists are one value.
pub fn diff(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    walk("", Some(before), Some(after), &mut found);
    found
}

fn walk(at: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    if before == after || SERVERS.contains(&at) {
        return;
    }
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
            keys.for_each(|k| walk(&format!("{at}/{}", escape(k)), a.get(k), b.get(k), found));
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() && a.iter().zip(b).all(|(a, b)| named_alike(a, b)) => {
            a.iter().zip(b).enumerate().for_each(|(n, (a, b))| walk(&format!("{at}/{n}"), Some(a), Some(b), found));
        }
        _ => found.push(FieldChange { pointer: at.to_owned(), before: before.cloned(), after: after.cloned() }),
    }
}

fn named_alike(a: &Value, b: &Value) -> bool {
    a["name"].is_string() && a["name"] == b["name"]
}

/// A key in a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `/spec/replicas` as `spec.replicas`.
pub fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~")
}

/// JSON patch operations that make these changes; each value is tested before it is touched.
pub fn operations(changes: &[FieldChange]) -> Value {
    let mut all = Vec::new();
    for c in changes {
        if let Some(before) = &c.before {
            all.push(json!({"op": "test", "path": c.pointer, "value": before}));
        }
        all.push(match (&c.before, &c.after) {
            (_, None) => json!({"op": "remove", "path": c.pointer}),
            (None, Some(after)) => json!({"op": "add", "path": c.pointer, "value": after}),
            (Some(_), Some(after)) => json!({"op": "replace", "path": c.pointer, "value": after}),
        });
    }
    Value::Array(all)
}

/// The same the other way round.
pub fn inverse(changes: &[FieldChange]) -> Vec<FieldChange> {
    changes.iter().rev().map(|c| FieldChange { pointer: c.pointer.clone(), before: c.after.clone(), after: c.before.clone() }).collect()
}

/// Whether a change touches environment values, however deep in what is changed: a container that comes or goes brings its own.
pub fn touches_env(change: &FieldChange) -> bool {
    let below = |p: &str| p == "env" || p.contains("last-applied-configuration");
    change.pointer.split('/').any(below) || [&change.before, &change.after].into_iter().flatten().any(holds_env)
}

/// Whether a value has environment variables in it, also as the copy that `kubectl apply` keeps in an annotation.
pub fn holds_env(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(k, v)| k == "env" && v.is_array() || k.contains("last-applied-configuration") || holds_env(v))
        }
        Value::Array(items) => items.iter().any(holds_env),
        _ => false,
    }
}

/// Who owns a field, from managedFields: manager, how, and since when.
pub fn owners(live: &Value, pointer: &str) -> Vec<(String, String, String)> {
    let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    entries
        .filter(|e| owns(&e["fieldsV1"], live, pointer))
        .map(|e| {
            let sub = e["subresource"].as_str().map(|s| format!(" with subresource {s}")).unwrap_or_default();
            (text(&e["manager"]), format!("{}{sub}", text(&e["operation"]).to_lowercase()), text(&e["time"]))
        })
        .collect()
}

/// Whether a set of fields has that one, or one below it.
fn owns(fields: &Value, live: &Value, pointer: &str) -> bool {
    let (mut set, mut object) = (fields, live);
    for part in pointer.trim_start_matches('/').split('/') {
        let key = part.replace("~1", "/").replace("~0", "~");
        let (next_set, next_object) = match object {
            Value::Array(items) => {
                let Some(item) = key.parse::<usize>().ok().and_then(|n| items.get(n)) else { return false };
                let found = set.as_object().into_iter().flatten().find(|(k, _)| {
                    let wanted = k.strip_prefix("k:").and_then(|k| serde_json::from_str::<Value>(k).ok());
                    wanted.is_some_and(|w| w.as_object().is_some_and(|w| w.iter().all(|(k, v)| item[k] == *v)))
                });
                (found.map(|(_, v)| v), item)
            }
            other => (set.get(format!("f:{key}")), &other[&key]),
        };
        let Some(next) = next_set else { return false };
        (set, object) = (next, next_object);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apply(target: &mut Value, patch: &Value) {
        for op in patch.as_array().unwrap() {
            let path = op["path"].as_str().unwrap();
            let (parent, last) = path.rsplit_once('/').unwrap();
            let key = last.replace("~1", "/").replace("~0", "~");
            match op["op"].as_str().unwrap() {
                "test" => assert_eq!(target.pointer(path), Some(&op["value"]), "{path}"),
                "remove" => drop(target.pointer_mut(parent).unwrap().as_object_mut().unwrap().shift_remove(&key)),
                "add" => drop(target.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key, op["value"].clone())),
                _ => *target.pointer_mut(path).unwrap() = op["value"].clone(),
            }
        }
    }

    #[test]
    fn lists_of_named_items_are_gone_into_and_others_are_one_value() {
        let before = json!({"spec": {"containers": [{"name": "a", "image": "1"}], "args": ["x"]}, "status": {"n": 1}, "metadata": {"resourceVersion": "1"}});
        let after = json!({"spec": {"containers": [{"name": "a", "image": "2"}], "args": ["x", "y"]}, "status": {"n": 2}, "metadata": {"resourceVersion": "1", "labels": {"a/b": "c"}}});
        let pointers: Vec<String> = diff(&before, &after).into_iter().map(|c| c.pointer).collect();
        assert_eq!(pointers, ["/spec/containers/0/image", "/spec/args", "/metadata/labels"]);
        assert_eq!(dotted("/metadata/labels/a~1b"), "metadata.labels.a/b");
    }

    #[test]
    fn owners_are_found_through_lists_by_their_keys() {
        let live = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app", "image": "1"}]}}}, "metadata": {"managedFields": [
            {"manager": "argocd", "operation": "Apply", "time": "t1", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}}}}}}}},
            {"manager": "hpa", "operation": "Update", "subresource": "scale", "time": "t2", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]}});
        let names = |pointer| owners(&live, pointer).into_iter().map(|(m, how, _)| format!("{m} {how}")).collect::<Vec<_>>();
        assert_eq!(names("/spec/template/spec/containers/0/image"), ["argocd apply"]);
        assert_eq!(names("/spec/replicas"), ["hpa update with subresource scale"]);
        assert!(names("/spec/paused").is_empty());
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<u8>().prop_map(Value::from), "[a-c~/]{0,3}".prop_map(Value::from), Just(Value::Bool(true))];
        let value = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::btree_map("[a-c/~]{1,2}", inner.clone(), 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
                prop::collection::vec(inner, 0..3).prop_map(Value::Array),
            ]
        });
        prop::collection::btree_map("[a-c/~]{1,2}", value, 0..4).prop_map(|m| Value::Object(m.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn there_and_back_again(before in object(), after in object()) {
            let changes = diff(&before, &after);
            let mut value = before.clone();
            apply(&mut value, &operations(&changes));
            prop_assert_eq!(&value, &after);
            apply(&mut value, &operations(&inverse(&changes)));
            prop_assert_eq!(value, before);
        }
    }
}
