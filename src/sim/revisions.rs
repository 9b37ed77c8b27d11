//! ControllerRevisions: what a StatefulSet or DaemonSet was at every revision, so that it can be rolled back.

use super::make;
use super::register::REVISIONS;
use super::store::{Key, Obj, State};
use crate::model::Str;
use serde_json::{Value, json};

/// How a template's revision is called; it is also the pods' `controller-revision-hash`.
pub fn name(set: &str, template: &Value) -> String {
    format!("{set}-{}", make::template_hash(template))
}

/// Makes the revision of this template the newest of the set, and forgets the oldest beyond the set's limit.
pub fn keep(s: &mut State, object: &Obj, kind: &'static str, set: &Value, used: &[Str]) {
    let template = &set["spec"]["template"];
    let name = name(&object.key.1, template);
    let mut all: Vec<(i64, Key)> = s.owned(&object.uid, REVISIONS).into_iter().map(|o| (number(&o.value()), o.key.clone())).collect();
    all.sort();
    let newest = all.last().map_or(0, |(n, _)| *n);
    let key: Key = (object.key.0.clone(), Str::from(&*name));
    match all.iter().find(|(_, k)| *k == key) {
        Some((n, _)) if *n == newest => return,
        Some(_) => drop(s.edit(REVISIONS, &key, |r| r["revision"] = (newest + 1).into())),
        None => {
            // As kubectl reads it: a strategic patch that puts the template in the place of any other.
            let mut whole = template.clone();
            whole["$patch"] = "replace".into();
            let mut labels = template["metadata"]["labels"].clone();
            labels["controller-revision-hash"] = make::template_hash(template).into();
            let mut metadata = json!({"name": name, "namespace": &*object.key.0, "labels": labels, "ownerReferences": make::owner_reference("apps/v1", kind, object)});
            if let Some(cause) = set["metadata"]["annotations"]["kubernetes.io/change-cause"].as_str() {
                metadata["annotations"] = json!({"kubernetes.io/change-cause": cause});
            }
            s.put(
                REVISIONS,
                json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": {"spec": {"template": whole}}, "revision": newest + 1}),
            );
        }
    }
    let limit = usize::try_from(set["spec"]["revisionHistoryLimit"].as_i64().unwrap_or(10)).unwrap_or(0);
    let old: Vec<Key> = all.into_iter().map(|(_, k)| k).filter(|k| *k != key && !used.contains(&k.1)).collect();
    let beyond = old.len().saturating_sub(limit);
    for gone in old.into_iter().take(beyond) {
        s.remove(REVISIONS, &gone);
    }
}

fn number(revision: &Value) -> i64 {
    revision["revision"].as_i64().unwrap_or(0)
}
