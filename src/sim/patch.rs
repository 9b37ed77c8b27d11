//! The three patches: merge, strategic merge, JSON.

use serde_json::{Map, Value};

/// RFC 7386.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let mut map = object(target);
    for (key, value) in patch {
        if value.is_null() {
            map.shift_remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
    *target = Value::Object(map);
}

/// The map that a value is; an empty one in its place when it is none.
fn object(target: &mut Value) -> Map<String, Value> {
    match target.take() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// By which key the items of a list are told apart; none: the list is replaced whole.
fn merge_key(list: &str) -> Option<&'static str> {
    Some(match list {
        "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env" | "imagePullSecrets" => "name",
        "conditions" | "addresses" => "type",
        "taints" => "key",
        "ports" => "containerPort",
        "volumeMounts" => "mountPath",
        "ownerReferences" => "uid",
        "hostAliases" | "podIPs" | "hostIPs" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    })
}

/// Strategic merge, as far as built-in kinds need it.
pub fn strategic(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if patch.get("$patch").is_some_and(|p| p == "replace") {
        let mut new = patch.clone();
        new.shift_remove("$patch");
        *target = Value::Object(new);
        return;
    }
    let mut map = object(target);
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(have)), Value::Array(gone)) = (map.get_mut(list), value) {
                have.retain(|v| !gone.contains(v));
            }
        } else if key == "$retainKeys" {
            let keep: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            map.retain(|k, _| keep.contains(&k.as_str()));
        } else if key.starts_with('$') {
            // Orders of elements: lists keep the order they have.
        } else if value.is_null() {
            map.shift_remove(key);
        } else if let Value::Array(items) = value {
            let old = map.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
            list(key, old, items);
        } else {
            strategic(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
    *target = Value::Object(map);
}

fn list(name: &str, target: &mut Value, items: &[Value]) {
    if name == "finalizers" {
        let mut all = target.as_array().cloned().unwrap_or_default();
        all.extend(items.iter().filter(|i| !target.as_array().is_some_and(|t| t.contains(i))).cloned());
        *target = Value::Array(all);
        return;
    }
    let key = merge_key(name).map(|k| if name == "ports" && items.iter().any(|i| i["containerPort"].is_null()) { "port" } else { k });
    let Some(key) = key else {
        *target = Value::Array(items.to_vec());
        return;
    };
    let mut all = target.as_array().cloned().unwrap_or_default();
    if items.iter().any(|i| i["$patch"] == "replace") {
        all = Vec::new();
    }
    for item in items.iter().filter(|i| i["$patch"] != "replace") {
        let at = all.iter().position(|have| have[key] == item[key]);
        match (at, item["$patch"] == "delete") {
            (Some(at), true) => drop(all.remove(at)),
            (None, true) => {}
            (Some(at), false) => strategic(&mut all[at], item),
            (None, false) => {
                let mut new = Value::Null;
                strategic(&mut new, item);
                all.push(new);
            }
        }
    }
    *target = Value::Array(all);
}

/// RFC 6902.
///
/// # Errors
/// An operation that cannot be done, in words.
pub fn json(target: &mut Value, patch: &Value) -> Result<(), String> {
    for op in patch.as_array().ok_or("a JSON patch is a list")? {
        let path = op["path"].as_str().ok_or("an operation without a path")?;
        let from = op["from"].as_str().unwrap_or("");
        match op["op"].as_str().unwrap_or("") {
            "add" => add(target, path, op["value"].clone())?,
            "remove" => drop(remove(target, path)?),
            "replace" => *target.pointer_mut(path).ok_or_else(|| missing(path))? = op["value"].clone(),
            "test" if target.pointer(path) == Some(&op["value"]) => {}
            "test" => return Err(format!("testing value {path} failed")),
            "move" => {
                let value = remove(target, from)?;
                add(target, path, value)?;
            }
            "copy" => {
                let value = target.pointer(from).cloned().ok_or_else(|| missing(from))?;
                add(target, path, value)?;
            }
            other => return Err(format!("unexpected kind: {other}")),
        }
    }
    Ok(())
}

fn missing(path: &str) -> String {
    format!("nothing at {path}")
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let Some((parent, last)) = path.rsplit_once('/') else {
        *target = value;
        return Ok(());
    };
    let key = last.replace("~1", "/").replace("~0", "~");
    match target.pointer_mut(parent).ok_or_else(|| missing(path))? {
        Value::Object(map) => drop(map.insert(key, value)),
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => {
            let at = key.parse().ok().filter(|at| *at <= list.len()).ok_or_else(|| missing(path))?;
            list.insert(at, value);
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(target: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| missing(path))?;
    let key = last.replace("~1", "/").replace("~0", "~");
    let removed = match target.pointer_mut(parent).ok_or_else(|| missing(path))? {
        Value::Object(map) => map.shift_remove(&key),
        Value::Array(list) => key.parse().ok().filter(|at| *at < list.len()).map(|at: usize| list.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| missing(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_removes_nulls_and_replaces_lists() {
        let mut v = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        merge(&mut v, &json!({"a": {"b": null, "d": 3}, "l": [9]}));
        assert_eq!(v, json!({"a": {"c": 2, "d": 3}, "l": [9]}));
    }

    #[test]
    fn strategic_knows_lists_by_their_keys() {
        let mut v = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "taints": [{"key": "x"}], "finalizers": ["f"], "args": ["1"]});
        strategic(
            &mut v,
            &json!({
                "$setElementOrder/containers": [], "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
                "taints": [{"$patch": "replace"}], "finalizers": ["g"], "args": ["2"], "$deleteFromPrimitiveList/finalizers": ["f"],
            }),
        );
        assert_eq!(
            v,
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "c"}], "taints": [], "finalizers": ["g"], "args": ["2"]})
        );
    }

    #[test]
    fn json_patches() {
        let mut v = json!({"l": [1], "m": {"a/b": 1}});
        json(&mut v, &json!([{"op": "add", "path": "/l/-", "value": 2}, {"op": "remove", "path": "/m/a~1b"}, {"op": "test", "path": "/l/0", "value": 1}])).unwrap();
        assert_eq!(v, json!({"l": [1, 2], "m": {}}));
        assert!(json(&mut v, &json!([{"op": "test", "path": "/l/0", "value": 7}])).is_err());
        assert!(json(&mut v, &json!([{"op": "remove", "path": "/l/7"}])).is_err());
    }
}
