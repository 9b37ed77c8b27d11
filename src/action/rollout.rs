//! Rollouts: the revisions that a workload has had, what two templates differ in, and how far a rollout is.
//!
//! A Deployment's revisions are its ReplicaSets, a StatefulSet's and a DaemonSet's are ControllerRevisions. Which one is current is told
//! by the template, not by the number: a controller numbers a change only after it has seen it.

pub use super::execute::wait::Far;
use super::execute::wait::rolled_out;
use super::snapshot::gather;
use super::{Snapshot, Stop};
use crate::model::{FieldChange, Kind, Target, Uid};
use serde_json::Value;
use std::fmt::Write as _;

/// The number of a Deployment's revision, on its ReplicaSets and on itself.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Why a revision was made, where somebody wrote it down.
pub const CAUSE: &str = "kubernetes.io/change-cause";
const HASH: &str = "pod-template-hash";

/// A revision of a workload.
#[derive(Clone, PartialEq, Debug)]
pub struct Revision {
    pub number: i64,
    /// Of the ReplicaSet or ControllerRevision.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// Of the containers, then of the init containers.
    pub images: Vec<String>,
    pub cause: Option<String>,
    /// The template of the workload is this one.
    pub current: bool,
    /// The pod template, without what the controller adds to it.
    pub template: Value,
    /// Annotations of the object that holds it.
    pub annotations: Value,
}

/// The revisions that are kept of a Deployment, StatefulSet or DaemonSet, oldest first.
///
/// # Errors
/// While the workload or its revisions have not been fetched; when they may not be read, or the kind has none.
pub fn history(snapshot: &Snapshot, target: &Target) -> Result<Vec<Revision>, Stop> {
    let kind = target.resource.known();
    let plural = match kind {
        Some(Kind::Deployment) => "replicasets",
        Some(Kind::StatefulSet | Kind::DaemonSet) => "controllerrevisions",
        _ => return Err(Stop::refuse("usage", format!("a {} has no revisions", target.resource.kind))),
    };
    let live = snapshot.object(target)?;
    let selector = query(&live["spec"]["selector"]);
    let path = format!("/apis/apps/v1/namespaces/{}/{plural}?labelSelector={selector}", target.namespace);
    let held = snapshot.list(target.cluster, path)?;
    let uid = live["metadata"]["uid"].as_str().map(Uid::parse);
    let own = |o: &&Value| {
        let owners = o["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.filter(|r| r["controller"] == true).any(|r| r["uid"].as_str().map(Uid::parse) == uid && uid.is_some())
    };
    let mut revisions: Vec<Revision> = held.iter().filter(own).filter_map(|o| revision(o, kind == Some(Kind::Deployment))).collect();
    revisions.sort_by_key(|r| r.number);
    let template = plain(&live["spec"]["template"]);
    // Two revisions of one template: the newer one is what runs.
    if let Some(current) = revisions.iter_mut().rfind(|r| r.template == template) {
        current.current = true;
    }
    Ok(revisions)
}

/// The revisions of several workloads, all fetched together.
///
/// # Errors
/// As [`history`].
pub fn histories(snapshot: &Snapshot, targets: &[Target]) -> Result<Vec<Vec<Revision>>, Stop> {
    gather(targets.iter().map(|t| history(snapshot, t)))
}

/// How far a rollout is, by the rules of `kubectl rollout status`.
pub fn status(live: &Value) -> Far {
    rolled_out(live)
}

fn revision(held: &Value, replica_set: bool) -> Option<Revision> {
    let meta = &held["metadata"];
    let annotation = |key: &str| meta["annotations"][key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let (number, template) = match replica_set {
        true => (annotation(REVISION)?.parse().ok()?, &held["spec"]["template"]),
        false => (held["revision"].as_i64()?, &held["data"]["spec"]["template"]),
    };
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let of = |list: &str| template["spec"][list].as_array().into_iter().flatten().map(|c| text(&c["image"])).collect::<Vec<_>>();
    Some(Revision {
        number,
        name: text(&meta["name"]),
        created: text(&meta["creationTimestamp"]),
        images: [of("containers"), of("initContainers")].concat(),
        cause: annotation(CAUSE),
        current: false,
        template: plain(template),
        annotations: meta["annotations"].clone(),
    })
}

/// A template without what only its holder has: the hash label, the patch directive, nulls and empty maps.
fn plain(template: &Value) -> Value {
    fn bare(value: &Value) -> Option<Value> {
        match value {
            Value::Null => None,
            Value::Object(map) => {
                let kept = map.iter().filter(|(k, _)| !k.starts_with('$')).filter_map(|(k, v)| Some((k.clone(), bare(v)?)));
                Some(Value::Object(kept.collect()))
            }
            Value::Array(all) => Some(Value::Array(all.iter().map(|v| bare(v).unwrap_or(Value::Null)).collect())),
            other => Some(other.clone()),
        }
    }
    let mut template = bare(template).unwrap_or(Value::Null);
    if let Some(meta) = template["metadata"].as_object_mut() {
        if let Some(labels) = meta.get_mut("labels").and_then(Value::as_object_mut) {
            labels.shift_remove(HASH);
        }
        // Absent and empty are the same nothing.
        for key in ["labels", "annotations"] {
            if meta.get(key).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
                meta.shift_remove(key);
            }
        }
    }
    template
}

/// What differs between two values, leaf by leaf; lists of another length as a whole. The pointers begin with `at`.
pub fn differences(at: &str, before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    differ(at, Some(before).filter(|v| !v.is_null()), Some(after).filter(|v| !v.is_null()), &mut found);
    found
}

fn differ(at: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    let there = |v: Option<&'_ Value>| v.is_some_and(|v| !v.is_null());
    match (before.filter(|_| there(before)), after.filter(|_| there(after))) {
        (Some(a), Some(b)) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
            keys.for_each(|k| differ(&format!("{at}/{}", escape(k)), a.get(k), b.get(k), found));
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() && !a.is_empty() && same_names(a, b) => {
            a.iter().zip(b).enumerate().for_each(|(n, (a, b))| differ(&format!("{at}/{n}"), Some(a), Some(b), found));
        }
        (None, None) => {}
        (before, after) => found.push(FieldChange { pointer: at.to_owned(), before: before.cloned(), after: after.cloned() }),
    }
}

/// Whether two lists hold the same named things in the same order, so that they can be compared one by one.
fn same_names(a: &[Value], b: &[Value]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.get("name").is_some() && a.get("name") == b.get("name"))
}

/// A key as a part of a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A label selector as the value of a query's `labelSelector`.
fn query(selector: &Value) -> String {
    let mut terms = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        terms.push(format!("{key}={}", value.as_str().unwrap_or("")));
    }
    for e in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = e["key"].as_str().unwrap_or("");
        let values: Vec<&str> = e["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        match e["operator"].as_str().unwrap_or("") {
            "In" => terms.push(format!("{key} in ({})", values.join(","))),
            "NotIn" => terms.push(format!("{key} notin ({})", values.join(","))),
            "Exists" => terms.push(key.to_owned()),
            "DoesNotExist" => terms.push(format!("!{key}")),
            _ => {}
        }
    }
    terms.join(",").bytes().fold(String::new(), |mut out, b| {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => drop(write!(out, "%{b:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::super::verbs::fixture::{Fixture, NOW};
    use super::*;
    use serde_json::json;

    const SETS: &str = "/apis/apps/v1/namespaces/pay/replicasets?labelSelector=app%3Dapi";

    fn set(number: &str, image: &str, owner: &str) -> Value {
        json!({"metadata": {"name": format!("api-{number}"), "creationTimestamp": "2026-03-01T02:00:00Z", "annotations": {REVISION: number, CAUSE: "deploy"},
                "ownerReferences": [{"kind": "Deployment", "uid": owner, "controller": true}]},
            "spec": {"template": {"metadata": {"creationTimestamp": null, "labels": {"app": "api", "pod-template-hash": number}},
                "spec": {"containers": [{"name": "app", "image": image}]}}}})
    }

    fn read(f: &Fixture, target: &Target) -> Result<Vec<Revision>, Stop> {
        history(&Snapshot { store: &f.store, facts: &f.facts, now: NOW }, target)
    }

    #[test]
    fn replica_sets_are_revisions_by_owner_and_the_template_tells_the_current_one() {
        let mut f = Fixture::new();
        let d = f.deployment("api", 3, |_| {});
        let uid = d.uid.clone().unwrap();
        assert!(matches!(read(&f, &d), Err(Stop::Needs(needs)) if needs[0].path == SETS));
        let sets = json!({"items": [set("10", "registry.internal/app:1", &uid), set("9", "registry.internal/app:0", &uid),
            set("11", "registry.internal/other:1", "00000000-0000-4000-8000-00000000ffff")]});
        f.fact(SETS, sets);
        let revisions = read(&f, &d).unwrap();
        let seen: Vec<_> = revisions.iter().map(|r| (r.number, r.images[0].as_str(), r.current)).collect();
        assert_eq!(seen, [(9, "registry.internal/app:0", false), (10, "registry.internal/app:1", true)], "an orphan is nobody's revision");
        assert_eq!(revisions[0].cause.as_deref(), Some("deploy"));
        assert!(revisions[1].template.pointer("/metadata/labels/pod-template-hash").is_none());
    }

    #[test]
    fn controller_revisions_hold_a_patch() {
        let mut f = Fixture::new();
        let template =
            json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "registry.internal/db:2"}]}});
        let set = f.add(
            Kind::StatefulSet,
            json!({"metadata": {"name": "db", "namespace": "pay"}, "spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "x"]}]},
                "template": template}}),
        );
        let mut data = json!({"spec": {"template": template}});
        data["spec"]["template"]["$patch"] = "replace".into();
        let held = json!({"items": [{"metadata": {"name": "db-1", "ownerReferences": [{"uid": set.uid, "controller": true}]}, "revision": 3, "data": data}]});
        f.fact("/apis/apps/v1/namespaces/pay/controllerrevisions?labelSelector=app%20in%20%28db%2Cx%29", held);
        let revisions = read(&f, &set).unwrap();
        assert_eq!((revisions[0].number, revisions[0].current), (3, true));
        assert!(matches!(read(&f, &Target { resource: Kind::Job.into(), ..set }), Err(Stop::Refuse { .. })));
    }

    #[test]
    fn differences_are_told_leaf_by_leaf() {
        let template = |image: &str, more: Value| json!({"spec": {"containers": [{"name": "app", "image": image, "args": more}]}, "metadata": {"annotations": {"a/b": image}}});
        let found = differences("/spec/template", &template("x:1", json!(["a"])), &template("x:2", json!(["a", "b"])));
        let told: Vec<_> = found.iter().map(|c| c.pointer.as_str()).collect();
        assert_eq!(
            told,
            ["/spec/template/spec/containers/0/image", "/spec/template/spec/containers/0/args", "/spec/template/metadata/annotations/a~1b"]
        );
        assert!(differences("", &json!({"a": null}), &json!({})).is_empty());
        let (two, one) =
            (json!({"c": [{"name": "a", "v": 1}, {"name": "b", "v": 1}]}), json!({"c": [{"name": "b", "v": 1}, {"name": "a", "v": 1}]}));
        assert_eq!(differences("", &two, &one)[0].pointer, "/c", "another order is another list");
    }
}
