//! `apply`: manifests applied on the server's side. Which fields would change is said from what is there; whose they are the dry run says.
//!
//! The request's targets are the namespaces that objects without one go to, one a cluster.

use super::super::snapshot::{NoFact, gather};
use super::fields::{diff, holds_env, inverse, operations, touches_env};
use super::template::owners;
use super::{Request, Snapshot, Stop};
use crate::model::{Act, ClusterId, FieldChange, Inverse, Kind, Level, Method, Plan, Resource, Step, Target, UndoKind, Wait, Write};
use serde_json::{Value, json};

/// Kinds that others need, in the order in which they are applied; all others follow.
const FIRST: [&str; 9] = [
    "Namespace",
    "CustomResourceDefinition",
    "StorageClass",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
];

/// One object of a manifest: where it stands, and what it says.
struct Wanted {
    file: String,
    object: Value,
}

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut wanted = Vec::new();
    for (file, text) in &request.documents {
        wanted.extend(read(file, text)?);
    }
    if wanted.is_empty() {
        return Err(Stop::refuse("usage", "no object in these manifests"));
    }
    let rank = |w: &Wanted| FIRST.iter().position(|k| w.object["kind"] == **k).unwrap_or(FIRST.len());
    wanted.sort_by_key(rank);
    let force = request.args.flag("force-conflicts");
    let mut plan =
        Plan::new(request.verb, &request.args, format!("apply {} object{}", wanted.len(), if wanted.len() == 1 { "" } else { "s" }));
    plan.undo_text = "what is made is deleted again, what is changed gets its fields back".to_owned();
    let places: Vec<(ClusterId, &str)> = request.targets.iter().map(|t| (t.cluster, t.name.as_str())).collect();
    let all = places.iter().flat_map(|place| wanted.iter().map(move |w| (place, w)));
    let kinds: Vec<(String, Resource)> = wanted.iter().flat_map(|w| defined(&w.object)).collect();
    let found = gather(all.map(|((cluster, namespace), w)| {
        let target = target(snapshot, *cluster, namespace, w, &kinds)?;
        let live = snapshot.fact(*cluster, target.path())?;
        Ok((target, w, live))
    }))?;
    let mut lane = 0;
    for (target, w, live) in found {
        let live = match live {
            Ok(live) => Some(live),
            Err(NoFact::NotFound) => None,
            Err(NoFact::Forbidden(why) | NoFact::Other(why)) => {
                return Err(Stop::refuse("forbidden", format!("{}: {why}", target.label())));
            }
        };
        let Some(step) = step(&target, &w.object, live, force) else {
            plan.note(Level::Info, format!("{} is so already", target.label()));
            continue;
        };
        if let Some(live) = live {
            owners(&mut plan, &target, live, "the fields");
        }
        // One after the other: what comes first may be needed by the next.
        plan.steps.push(step.at(0, lane));
        lane += 1;
        let used = kinds.iter().any(|(name, kind)| *name == target.name && wanted.iter().any(|w| of(&w.object, kind)));
        if target.resource.kind == "CustomResourceDefinition" && live.is_none() && used {
            let served = Wait::Condition { condition: "Established".to_owned(), status: "True".to_owned() };
            plan.steps.push(Step::new(format!("wait for {} to be served", target.name), &target, Act::Wait(served)).at(0, lane));
            lane += 1;
        }
        plan.targets.push(target);
    }
    // What is not kept cannot come back, and is not promised.
    let kept_back = plan.steps.iter().filter(|s| s.undo.is_none()).count();
    if kept_back > 0 {
        let all = kept_back == plan.steps.len();
        plan.undo = if all { UndoKind::None } else { UndoKind::Compensating };
        let but = format!("{kept_back} of {} hold secrets or environment values, kept only as hashes: these stay", plan.steps.len());
        plan.undo_text = if all { but } else { format!("{}; {but}", plan.undo_text) };
    }
    if force {
        plan.note(Level::Warning, "fields that others own are taken over: the next apply of theirs conflicts");
    }
    if plan.steps.is_empty() { Err(super::nothing(&plan)) } else { Ok(plan) }
}

/// The documents of a text, lists taken apart.
fn read(file: &str, text: &str) -> Result<Vec<Wanted>, Stop> {
    let mut found = Vec::new();
    let (mut document, mut from) = (String::new(), 1);
    let mut flush = |document: &mut String, from: usize| -> Result<(), Stop> {
        let text = std::mem::take(document);
        let bare = text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'));
        if bare {
            return Ok(());
        }
        let value: Value =
            serde_saphyr::from_str(&text).map_err(|e| Stop::refuse("usage", format!("{file}, document from line {from}: no YAML: {e}")))?;
        let items = match value["kind"].as_str() {
            Some(kind) if kind.ends_with("List") => value["items"].as_array().cloned().unwrap_or_default(),
            _ => vec![value],
        };
        for object in items {
            for field in ["apiVersion", "kind"] {
                if !object[field].is_string() {
                    return Err(Stop::refuse("usage", format!("{file}, document from line {from}: no {field}")));
                }
            }
            if !object["metadata"]["name"].is_string() {
                return Err(Stop::refuse("usage", format!("{file}, document from line {from}: no metadata.name")));
            }
            found.push(Wanted { file: file.to_owned(), object });
        }
        Ok(())
    };
    for (n, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            flush(&mut document, from)?;
            from = n + 2;
        } else {
            document.push_str(line);
            document.push('\n');
        }
    }
    flush(&mut document, from)?;
    Ok(found)
}

/// The kinds that a definition brings, with its name.
fn defined(object: &Value) -> Vec<(String, Resource)> {
    if object["kind"] != "CustomResourceDefinition" {
        return Vec::new();
    }
    let (spec, text) = (&object["spec"], |v: &Value| v.as_str().unwrap_or("").to_owned());
    let versions = spec["versions"].as_array().into_iter().flatten().filter(|v| v["served"] == true);
    let kind = |v: &Value| Resource {
        group: text(&spec["group"]),
        version: text(&v["name"]),
        plural: text(&spec["names"]["plural"]),
        kind: text(&spec["names"]["kind"]),
        namespaced: spec["scope"] == "Namespaced",
    };
    versions.map(|v| (text(&object["metadata"]["name"]), kind(v))).collect()
}

fn of(object: &Value, kind: &Resource) -> bool {
    object["apiVersion"] == kind.api_version() && object["kind"] == *kind.kind
}

/// Which object a document means. Kinds that the same manifests define need not be there yet.
fn target(snapshot: &Snapshot, cluster: ClusterId, namespace: &str, w: &Wanted, kinds: &[(String, Resource)]) -> Result<Target, Stop> {
    let (api, kind) = (w.object["apiVersion"].as_str().unwrap_or(""), w.object["kind"].as_str().unwrap_or(""));
    let known = Kind::WATCHED.into_iter().find(|k| k.name() == kind && k.api_version() == api).map(Resource::from);
    let known = known.or_else(|| kinds.iter().map(|(_, k)| k).find(|k| of(&w.object, k)).cloned());
    let resource = match known {
        Some(resource) => resource,
        None => {
            let path = if api.contains('/') { format!("/apis/{api}") } else { format!("/api/{api}") };
            let list = match snapshot.fact(cluster, path)? {
                Ok(list) => list,
                Err(_) => return Err(Stop::refuse("usage", format!("{}: the cluster has no {api}", w.file))),
            };
            let found = list["resources"].as_array().into_iter().flatten();
            let found = found.clone().find(|r| r["kind"] == kind && !r["name"].as_str().unwrap_or("/").contains('/'));
            let Some(r) = found else {
                let names: Vec<&str> = list["resources"].as_array().into_iter().flatten().filter_map(|r| r["kind"].as_str()).collect();
                return Err(Stop::refuse("usage", format!("{}: {}", w.file, crate::diag::unknown("kind", kind, names))));
            };
            let (group, version) = api.split_once('/').unwrap_or(("", api));
            Resource {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: r["name"].as_str().unwrap_or("").to_owned(),
                kind: kind.to_owned(),
                namespaced: r["namespaced"].as_bool().unwrap_or(true),
            }
        }
    };
    let own = w.object["metadata"]["namespace"].as_str();
    let namespace = if resource.namespaced { own.unwrap_or(namespace).to_owned() } else { String::new() };
    let name = w.object["metadata"]["name"].as_str().unwrap_or("").to_owned();
    Ok(Target { cluster, resource, namespace, name, uid: None })
}

/// The step that applies it; none when everything it says is so already.
fn step(target: &Target, object: &Value, live: Option<&Value>, force: bool) -> Option<Step> {
    let mut body = object.clone();
    for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
        if let Some(meta) = body["metadata"].as_object_mut() {
            meta.shift_remove(field);
        }
    }
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("status");
    }
    if target.resource.namespaced {
        body["metadata"]["namespace"] = target.namespace.as_str().into();
    }
    let mut target = target.clone();
    let changes = live.map(|live| said(live, &body)).unwrap_or_default();
    if let Some(live) = live {
        if changes.is_empty() {
            return None;
        }
        // One that is deleted and made anew meanwhile is another object.
        let uid = live["metadata"]["uid"].as_str().unwrap_or("");
        body["metadata"]["uid"] = uid.into();
        target.uid = Some(uid.to_owned());
    }
    let query = format!("fieldValidation=Strict&force={force}");
    // The whole manifest is sent, also where something else in it changes.
    let sensitive = target.resource.kind == "Secret" || holds_env(&body) || changes.iter().any(touches_env);
    let word = if live.is_some() { "apply" } else { "create" };
    let write = Write { method: Method::Apply, path: target.path(), query, body };
    let mut step = Step::new(format!("{word} {}", target.label()), &target, Act::Write(write));
    step.sensitive = sensitive;
    step.undo = (!sensitive || live.is_none()).then(|| {
        if live.is_some() {
            let back = inverse(&changes);
            let write = Write { method: Method::JsonPatch, path: target.path(), query: String::new(), body: operations(&back) };
            Inverse {
                text: format!("put {} fields of {} back", back.len(), target.label()),
                act: Act::Write(write),
                changes: back,
                target: None,
            }
        } else {
            let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
            let write = Write { method: Method::Delete, path: target.path(), query: String::new(), body: options };
            Inverse {
                text: format!("delete {}", target.label()),
                act: Act::Write(write),
                changes: Vec::new(),
                target: Some(target.clone()),
            }
        }
    });
    step.changes = changes;
    Some(step)
}

/// The fields that a manifest names and that are another value now. What it does not name stays out.
fn said(live: &Value, body: &Value) -> Vec<FieldChange> {
    fn only(live: &Value, body: &Value) -> Value {
        match (live, body) {
            (Value::Object(live), Value::Object(body)) => {
                body.keys().filter_map(|k| Some((k.clone(), only(live.get(k)?, &body[k])))).collect::<serde_json::Map<_, _>>().into()
            }
            (Value::Array(live), Value::Array(body)) if body.iter().all(|b| b["name"].is_string()) && !body.is_empty() => {
                // Lists of named items are merged by name: what the manifest does not name of an item stays out too.
                let items = live.iter().filter_map(|l| {
                    let b = body.iter().find(|b| b["name"] == l["name"])?;
                    Some(only(l, b))
                });
                items.collect::<Vec<_>>().into()
            }
            (live, _) => live.clone(),
        }
    }
    // Changes inside lists are told as the whole list of the manifest: places in the live list may be others.
    let named = only(live, body);
    let mut changes = Vec::new();
    for change in diff(&named, body) {
        let top = change.pointer.find("/containers/").or_else(|| change.pointer.find("/initContainers/"));
        let in_list = top.is_some() || change.pointer.split('/').any(|p| p.parse::<usize>().is_ok());
        if !in_list {
            changes.push(FieldChange { before: live.pointer(&change.pointer).cloned(), ..change });
            continue;
        }
        let upto: Vec<&str> = change.pointer.split('/').take_while(|p| p.parse::<usize>().is_err()).collect();
        let pointer = upto.join("/");
        if changes.iter().all(|c: &FieldChange| c.pointer != pointer) {
            changes.push(FieldChange { before: live.pointer(&pointer).cloned(), after: body.pointer(&pointer).cloned(), pointer });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::super::super::Request;
    use super::super::fixture::Fixture;
    use crate::model::{Act, Args, ClusterId, Kind, Method, Plan, Target, UndoKind, VerbId};
    use serde_json::json;

    fn apply(f: &mut Fixture, text: &str, args: &str) -> Result<Plan, String> {
        let into =
            Target { cluster: ClusterId(0), resource: Kind::Namespace.into(), namespace: String::new(), name: "pay".into(), uid: None };
        let args = Args::parse(VerbId::Apply.info(), &format!("filename=app.yaml {args}")).unwrap();
        f.request(&Request { verb: VerbId::Apply, targets: vec![into], args, documents: vec![("app.yaml".into(), text.into())] })
    }

    #[test]
    fn new_objects_are_made_in_order_and_taken_back_by_deleting() {
        let mut f = Fixture::new();
        f.fact("/api/v1", json!({"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": true}, {"name": "pods/log", "kind": "ConfigMap"}]}));
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: 2}\n---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
        let plan = apply(&mut f, text, "").unwrap();
        assert_eq!(
            plan.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(),
            ["create namespace shop", "create configmap pay/c", "create deployment pay/api"]
        );
        let undo = plan.steps[2].undo.as_ref().unwrap();
        assert_eq!((undo.text.as_str(), undo.act.request().unwrap().method), ("delete deployment pay/api", Method::Delete));
        let Act::Write(write) = &plan.steps[2].act else { panic!() };
        assert_eq!(
            (write.query.as_str(), write.body["metadata"]["namespace"].as_str()),
            ("fieldValidation=Strict&force=false", Some("pay"))
        );
    }

    #[test]
    fn only_what_the_manifest_says_counts_as_changed() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        let same = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: 3}\n";
        assert_eq!(apply(&mut f, same, "").unwrap_err(), "nothing to do: deployment pay/api is so already");
        let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  replicas: 5\n  template: {spec: {containers: [{name: app, image: 'registry.internal/app:2'}]}}\n";
        let plan = apply(&mut f, other, "force-conflicts").unwrap();
        let pointers: Vec<&str> = plan.steps[0].changes.iter().map(|c| c.pointer.as_str()).collect();
        assert_eq!(pointers, ["/spec/replicas", "/spec/template/spec/containers"]);
        assert!(plan.steps[0].target.uid.is_some() && plan.notes[0].text.starts_with("fields that others own"));
    }

    #[test]
    fn environment_values_of_a_manifest_are_kept_as_hashes_only() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  replicas: 5\n  template: {spec: {containers: [{name: app, env: [{name: TOKEN, value: canary}]}]}}\n";
        let kept = |plan: &Plan| serde_json::to_string(&plan.redacted("s")).unwrap();
        // Made, and changed elsewhere while the environment stays as it is.
        let mut f = Fixture::new();
        let made = apply(&mut f, text, "").unwrap();
        assert!(made.steps[0].text.starts_with("create") && !kept(&made).contains("canary"), "{}", kept(&made));
        f.deployment("api", 3, |d| d["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN", "value": "canary"}]));
        let changed = apply(&mut f, text, "").unwrap();
        assert_eq!(changed.steps[0].changes.len(), 1);
        assert_eq!((changed.undo, made.undo == UndoKind::None), (UndoKind::None, false), "a deletion needs no values");
        assert!(!kept(&changed).contains("canary"), "{}", kept(&changed));
    }

    #[test]
    fn mistakes_are_named_with_file_and_line() {
        let mut f = Fixture::new();
        assert!(apply(&mut f, "a: [\n", "").unwrap_err().starts_with("app.yaml, document from line 1: no YAML: "));
        assert_eq!(
            apply(&mut f, "---\nkind: Pod\nmetadata: {name: x}\n", "").unwrap_err(),
            "app.yaml, document from line 2: no apiVersion"
        );
        assert_eq!(apply(&mut f, "# nothing\n", "").unwrap_err(), "no object in these manifests");
        f.fact("/apis/apps/v1", json!({"resources": [{"name": "deployments", "kind": "Deployment"}]}));
        let wrong = "apiVersion: apps/v1\nkind: Deploymnt\nmetadata: {name: x}\n";
        assert_eq!(apply(&mut f, wrong, "").unwrap_err(), "app.yaml: unknown kind `Deploymnt`; did you mean `Deployment`?");
    }
}
