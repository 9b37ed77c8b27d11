//! `rollback`: the template of an earlier revision, written field by field where it differs, so that the preview is the diff and nothing
//! that is the same (environment values among it) is sent or kept.
//!
//! The template alone: replicas, volume claims and Services stay. For a Deployment the annotations of the revision come along, as kubectl
//! has it.

use super::super::rollout::{REVISION, Revision, differences, histories};
use super::template::{aimed, literals, rolls};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Act, FieldChange, Kind, Level, Method, Plan, Step, Target, Wait, Write};
use serde_json::{Value, json};

const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotations that are the live object's own, whatever the revision has.
const OWN: &[&str] = &[
    APPLIED,
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("roll back {}", subject(request)));
    let wanted = request.args.count("to-revision").filter(|n| *n > 0);
    let all = histories(snapshot, &request.targets)?;
    for (lane, (target, (object, revisions))) in
        request.targets.iter().zip(snapshot.objects(&request.targets)?.into_iter().zip(all)).enumerate()
    {
        if object["spec"]["paused"] == true {
            return Err(Stop::refuse("usage", format!("{} is paused: it cannot be rolled back", target.label())).with_hint(format!(
                "resume it first: qd rollout resume {} -n {}",
                target.slashed(),
                target.namespace
            )));
        }
        let to = chosen(target, &revisions, wanted)?;
        let target = aimed(target, object);
        let changes = changes(&target, object, to);
        if !changes.iter().any(|c| c.pointer.starts_with("/spec/")) {
            plan.note(Level::Info, format!("{} has the template of revision {} already", target.label(), to.number));
            continue;
        }
        let title = format!("roll back {} to revision {}", target.label(), to.number);
        if request.targets.len() == 1 {
            plan.title.clone_from(&title);
        }
        let back: Vec<FieldChange> =
            changes.iter().map(|c| FieldChange { pointer: c.pointer.clone(), before: c.after.clone(), after: c.before.clone() }).collect();
        let mut step = Step::write(title, &target, Method::JsonPatch, patch(object, &changes));
        let then = changed(object, &changes);
        let undo = Write { method: Method::JsonPatch, path: target.path(), query: String::new(), body: patch(&then, &back) };
        step.sensitive = changes.iter().any(secret);
        for c in changes {
            step = step.changing(c.pointer, c.before, c.after);
        }
        plan.steps.push(step.undone_by(format!("give {} the template it had", target.label()), undo).at(lane, 0));
        said(&mut plan, &target, object, to);
        if rolls(snapshot, &mut plan, &target, object) {
            plan.steps.push(Step::new(format!("wait for {}", target.label()), &target, Act::Wait(Wait::RolledOut)).at(lane, 1));
        }
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    let secret = plan.steps.iter().any(|s| s.sensitive);
    plan.undo_text = match secret {
        true => "environment values differ, of which only hashes are kept: roll back once more to the revision there was",
        false => "rolls forward to the template there was; the pods are replaced once more",
    }
    .to_owned();
    Ok(plan)
}

/// The revision that is meant: by number, else the one before the current.
fn chosen<'a>(target: &Target, revisions: &'a [Revision], wanted: Option<i64>) -> Result<&'a Revision, Stop> {
    let there = || revisions.iter().map(|r| r.number.to_string()).collect::<Vec<_>>().join(", ");
    match wanted {
        Some(n) => revisions
            .iter()
            .find(|r| r.number == n)
            .ok_or_else(|| Stop::refuse("not-found", format!("{} has no revision {n}; there are {}", target.label(), there()))),
        None => {
            // A template that is no revision's yet is newer than all of them.
            let before = match revisions.iter().position(|r| r.current) {
                Some(at) => revisions.get(..at).and_then(<[_]>::last),
                None => revisions.last(),
            };
            before.ok_or_else(|| Stop::refuse("not-found", format!("{} has no revision before this one", target.label())))
        }
    }
}

/// What differs: the template, and for a Deployment the annotations that came with the revision.
fn changes(target: &Target, object: &Value, to: &Revision) -> Vec<FieldChange> {
    let mut found = differences("/spec/template", &object["spec"]["template"], &to.template);
    if target.resource.known() == Some(Kind::Deployment) {
        let kept = |v: &Value| {
            let pairs = v.as_object().into_iter().flatten().filter(|(k, _)| !OWN.contains(&k.as_str()));
            Value::Object(pairs.map(|(k, v)| (k.clone(), v.clone())).collect())
        };
        found.extend(differences("/metadata/annotations", &kept(&object["metadata"]["annotations"]), &kept(&to.annotations)));
    }
    found
}

/// Whether a change shows an environment value.
fn secret(change: &FieldChange) -> bool {
    let inside = |v: &Option<Value>| v.as_ref().is_some_and(literals);
    change.pointer.contains("/env/") || change.pointer.ends_with("/env") || inside(&change.before) || inside(&change.after)
}

/// The JSON patch that makes these changes to an object. Where one goes through a list, the name of what it goes through is tested.
fn patch(object: &Value, changes: &[FieldChange]) -> Value {
    let mut operations = Vec::new();
    let mut tested = Vec::new();
    for change in changes {
        let parts: Vec<&str> = change.pointer.split('/').skip(1).collect();
        for n in 1..parts.len() {
            let at = format!("/{}", parts[..n].join("/"));
            let Some(name) = object.pointer(&at).and_then(|v| v.get("name")) else { continue };
            if parts[n - 1].parse::<usize>().is_ok() && !tested.contains(&at) {
                operations.push(json!({"op": "test", "path": format!("{at}/name"), "value": name}));
                tested.push(at);
            }
        }
    }
    for change in changes {
        // A parent that is not there yet is made.
        let parts: Vec<&str> = change.pointer.split('/').skip(1).collect();
        for n in 1..parts.len() {
            let at = format!("/{}", parts[..n].join("/"));
            let made = operations.iter().any(|o| o["path"] == at.as_str());
            if change.after.is_some() && !made && object.pointer(&at).is_none_or(Value::is_null) {
                operations.push(json!({"op": "add", "path": at, "value": {}}));
            }
        }
        operations.push(match &change.after {
            Some(value) => json!({"op": "add", "path": change.pointer, "value": value}),
            None => json!({"op": "remove", "path": change.pointer}),
        });
    }
    Value::Array(operations)
}

/// The object as it will be: what the undo starts from. A map that is emptied is gone, as the server has it.
fn changed(object: &Value, changes: &[FieldChange]) -> Value {
    let mut object = object.clone();
    for change in changes {
        let Some((parent, key)) = change.pointer.rsplit_once('/') else { continue };
        let key = key.replace("~1", "/").replace("~0", "~");
        match object.pointer_mut(parent) {
            Some(Value::Array(all)) => {
                if let (Some(slot), Some(value)) = (key.parse::<usize>().ok().and_then(|n| all.get_mut(n)), &change.after) {
                    slot.clone_from(value);
                }
            }
            Some(Value::Object(map)) => {
                match &change.after {
                    Some(value) => drop(map.insert(key, value.clone())),
                    None => drop(map.shift_remove(&key)),
                }
                if map.is_empty() {
                    object.pointer_mut(parent).map(Value::take);
                }
            }
            Some(gone @ Value::Null) => {
                if let Some(value) = &change.after {
                    *gone = json!({key: value});
                }
            }
            _ => {}
        }
    }
    object
}

/// What is to be known about it.
fn said(plan: &mut Plan, target: &Target, object: &Value, to: &Revision) {
    let cause = to.cause.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
    plan.note(Level::Info, format!("revision {} of {}{cause}: {}", to.number, to.created, to.images.join(", ")));
    if object["metadata"]["annotations"][APPLIED].is_string() {
        plan.note(Level::Warning, format!("{} was applied by kubectl: the next apply brings the newer template back", target.label()));
    }
    if target.resource.known() == Some(Kind::StatefulSet) {
        plan.note(
            Level::Warning,
            "the template alone goes back, not volume claims or data; a pod that cannot start may have to be deleted first",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::VerbId;

    const SETS: &str = "/apis/apps/v1/namespaces/pay/replicasets?labelSelector=app%3Dapi";

    fn set(owner: &Target, n: i64, container: Value) -> Value {
        json!({"metadata": {"name": format!("api-{n}"), "creationTimestamp": "2026-03-01T02:00:00Z",
                "annotations": {REVISION: n.to_string(), "deployment.kubernetes.io/desired-replicas": "3", "kubernetes.io/change-cause": format!("change {n}")},
                "ownerReferences": [{"uid": owner.uid, "controller": true}]},
            "spec": {"template": {"metadata": {"labels": {"app": "api", "pod-template-hash": "x"}}, "spec": {"containers": [container]}}}})
    }

    fn deployment(f: &mut Fixture) -> Target {
        f.deployment("api", 3, |d| {
            d["metadata"]["annotations"] = json!({REVISION: "2", APPLIED: "{}", "kubernetes.io/change-cause": "change 2"});
        })
    }

    #[test]
    fn only_what_differs_is_written_and_the_revision_number_stays() {
        let mut f = Fixture::new();
        let d = deployment(&mut f);
        let app = |image: &str| json!({"name": "app", "image": image});
        f.fact(SETS, json!({"items": [set(&d, 1, app("registry.internal/app:0")), set(&d, 2, app("registry.internal/app:1"))]}));
        let plan = f.plan(VerbId::Rollback, Kind::Deployment, &["api"], "").unwrap();
        assert_eq!(plan.title, "roll back deployment pay/api to revision 1");
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        let wanted = json!([{"op": "test", "path": "/spec/template/spec/containers/0/name", "value": "app"},
            {"op": "add", "path": "/spec/template/spec/containers/0/image", "value": "registry.internal/app:0"},
            {"op": "add", "path": "/metadata/annotations/kubernetes.io~1change-cause", "value": "change 1"}]);
        assert_eq!(write.body, wanted);
        let undo = plan.steps[0].undo.as_ref().unwrap();
        assert_eq!(undo.act.request().unwrap().body[1]["value"], "registry.internal/app:1");
        assert!(plan.notes.iter().any(|n| n.text.contains("was applied by kubectl")) && !plan.steps[0].sensitive);
        assert!(matches!(plan.steps[1].act, Act::Wait(Wait::RolledOut)));
        let same = f.plan(VerbId::Rollback, Kind::Deployment, &["api"], "2").unwrap_err();
        assert_eq!(same, "nothing to do: deployment pay/api has the template of revision 2 already");
        let none = f.plan(VerbId::Rollback, Kind::Deployment, &["api"], "7").unwrap_err();
        assert_eq!(none, "deployment pay/api has no revision 7; there are 1, 2");
    }

    #[test]
    fn environment_values_that_differ_are_secret() {
        let mut f = Fixture::new();
        let d = deployment(&mut f);
        let app = json!({"name": "app", "image": "registry.internal/app:1"});
        let with = json!({"name": "app", "image": "registry.internal/app:1", "env": [{"name": "TOKEN", "value": "canary"}]});
        f.fact(SETS, json!({"items": [set(&d, 1, with), set(&d, 2, app)]}));
        let plan = f.plan(VerbId::Rollback, Kind::Deployment, &["api"], "").unwrap();
        assert!(plan.steps[0].sensitive && plan.undo_text.contains("only hashes"));
        assert!(!serde_json::to_string(&plan.redacted("salt")).unwrap().contains("canary"));
    }

    #[test]
    fn controller_revisions_go_back_too_and_a_paused_deployment_does_not() {
        let mut f = Fixture::new();
        f.deployment("held", 3, |d| d["spec"]["paused"] = true.into());
        assert_eq!(
            f.plan(VerbId::Rollback, Kind::Deployment, &["held"], "").unwrap_err(),
            "deployment pay/held is paused: it cannot be rolled back"
        );
        let template =
            |image: &str| json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": image}]}});
        let set = f.add(
            Kind::StatefulSet,
            json!({"metadata": {"name": "db", "namespace": "pay"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "db"}}, "template": template("db:2")}}),
        );
        let revision = |n: i64| {
            let mut data = json!({"spec": {"template": template(&format!("db:{n}"))}});
            data["spec"]["template"]["$patch"] = "replace".into();
            json!({"metadata": {"name": format!("db-{n}"), "ownerReferences": [{"uid": set.uid, "controller": true}]}, "revision": n, "data": data})
        };
        f.fact("/apis/apps/v1/namespaces/pay/controllerrevisions?labelSelector=app%3Ddb", json!({"items": [revision(2), revision(1)]}));
        let plan = f.plan(VerbId::Rollback, Kind::StatefulSet, &["db"], "").unwrap();
        let change = &plan.steps[0].changes[0];
        assert_eq!((change.before.as_ref(), change.after.as_ref()), (Some(&json!("db:2")), Some(&json!("db:1"))));
        assert_eq!(plan.verdict.words(), "degrades pay/db: 1 of 3 pods at a time");
    }

    #[test]
    fn parents_that_are_missing_are_made() {
        let changes = [
            FieldChange { pointer: "/metadata/annotations/a".into(), before: None, after: Some(json!("1")) },
            FieldChange { pointer: "/metadata/annotations/b".into(), before: None, after: Some(json!("2")) },
        ];
        let paths: Vec<_> = patch(&json!({"metadata": {}}), &changes).as_array().unwrap().iter().map(|o| o["path"].clone()).collect();
        assert_eq!(paths, ["/metadata/annotations", "/metadata/annotations/a", "/metadata/annotations/b"]);
        let gone = [FieldChange { pointer: "/metadata/annotations/a".into(), before: Some(json!("1")), after: None }];
        let back = [FieldChange { pointer: "/metadata/annotations/a".into(), before: None, after: Some(json!("1")) }];
        let then = changed(&json!({"metadata": {"annotations": {"a": "1"}}}), &gone);
        assert_eq!(
            patch(&then, &back)[0],
            json!({"op": "add", "path": "/metadata/annotations", "value": {}}),
            "the server keeps no empty map"
        );
    }
}
