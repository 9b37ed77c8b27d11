//! `edit`: what was changed in a text of an object, sent as the fields that differ from the version that was edited. What others changed
//! meanwhile stays; where they changed the same field it is refused, with both values.

use super::super::blast::owned_by;
use super::fields::{diff, dotted, holds_env, inverse, operations, owners, touches_env};
use super::{Request, Snapshot, Stop};
use crate::model::{Act, FieldChange, Level, Method, Plan, Step, Target, UndoKind, Write};
use serde_json::Value;

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let [target] = request.targets.as_slice() else { return Err(Stop::refuse("usage", "one object is edited at a time")) };
    let document = |name: &str| request.documents.iter().find(|(n, _)| n == name);
    let Some((name, text)) = request.documents.iter().find(|(n, _)| n != "base") else {
        return Err(Stop::refuse("usage", "edit needs the edited object").with_hint("--file FILE, or an editor"));
    };
    let live = snapshot.object(target)?;
    let edited = read(name, text)?;
    let base = match document("base") {
        Some((name, text)) => read(name, text)?,
        None => live.clone(),
    };
    for field in ["/kind", "/apiVersion", "/metadata/name", "/metadata/namespace"] {
        if edited.pointer(field) != base.pointer(field) {
            return Err(Stop::refuse("usage", format!("{name}: {} cannot be changed: it is what the object is", dotted(field))));
        }
    }
    let uid = |v: &Value| v["metadata"]["uid"].as_str().map(str::to_owned);
    if uid(&edited).is_some_and(|uid_there| Some(uid_there) != uid(&base)) {
        return Err(Stop::refuse("usage", format!("{name}: metadata.uid cannot be changed: it is what the object is")));
    }
    if uid(&base).is_some_and(|began| Some(began) != uid(live)) {
        let why = format!("{} was deleted and made anew since you began: it is another object", target.label());
        return Err(Stop::refuse("conflict", why).with_hint("edit it anew"));
    }
    let mut changes = Vec::new();
    let mut plan = Plan::new(request.verb, &request.args, format!("edit {}", target.label()));
    for change in diff(&base, &edited) {
        let now = live.pointer(&change.pointer);
        if now == change.after.as_ref() {
            plan.note(Level::Info, format!("{} is so already", dotted(&change.pointer)));
        } else if now == change.before.as_ref() {
            changes.push(change);
        } else {
            return Err(stale(target, live, &change, now));
        }
    }
    if changes.is_empty() {
        plan.note(Level::Info, "the text is as the object is");
        return Err(super::nothing(&plan));
    }
    if document("base").is_some() && !diff(&base, live).is_empty() {
        plan.note(Level::Info, "others have changed other fields meanwhile: these stay as they are now");
    }
    own(&mut plan, live, &changes);
    let sensitive = target.resource.kind == "Secret" || changes.iter().any(touches_env);
    let target = Target { uid: live["metadata"]["uid"].as_str().map(str::to_owned), ..target.clone() };
    let write = |changes: &[FieldChange]| Write {
        method: Method::JsonPatch,
        path: target.path(),
        query: "fieldValidation=Strict".to_owned(),
        body: operations(changes),
    };
    let n = changes.len();
    let mut step =
        Step::new(format!("edit {}: {n} field{}", target.label(), if n == 1 { "" } else { "s" }), &target, Act::Write(write(&changes)));
    step.sensitive = sensitive;
    let back = write(&inverse(&changes));
    step.changes = changes;
    if !sensitive {
        step = step.undone_by(format!("put {n} field{} of {} back", if n == 1 { "" } else { "s" }, target.label()), back);
    }
    plan.steps.push(step);
    plan.undo_text = "the fields there were come back".to_owned();
    if sensitive {
        // What is not kept cannot come back, and is not promised.
        plan.undo = UndoKind::None;
        plan.undo_text = "values are kept only as hashes: edit it again".to_owned();
    }
    Ok(plan)
}

fn read(name: &str, text: &str) -> Result<Value, Stop> {
    let value: Value = serde_saphyr::from_str(text).map_err(|e| Stop::refuse("usage", format!("{name}: no YAML: {e}")))?;
    if value.is_object() { Ok(value) } else { Err(Stop::refuse("usage", format!("{name}: no object"))) }
}

/// Somebody changed the same field.
fn stale(target: &Target, live: &Value, change: &FieldChange, now: Option<&Value>) -> Stop {
    let hide = target.resource.kind == "Secret" || touches_env(change) || now.is_some_and(holds_env);
    let word = |v: Option<&Value>| match v {
        None => "absent".to_owned(),
        Some(_) if hide => "another value".to_owned(),
        Some(v) => v.to_string(),
    };
    let who = owners(live, &change.pointer).first().map(|(m, ..)| format!(" by {m}")).unwrap_or_default();
    Stop::refuse(
        "conflict",
        format!(
            "{} was changed{who} since you began: it was {}, it is {} now, you want {}",
            dotted(&change.pointer),
            word(change.before.as_ref()),
            word(now),
            word(change.after.as_ref())
        ),
    )
    .with_hint("edit it anew")
}

/// Says who owns the fields that change.
fn own(plan: &mut Plan, live: &Value, changes: &[FieldChange]) {
    for change in changes {
        for (manager, how, since) in owners(live, &change.pointer).into_iter().filter(|(m, ..)| m != crate::client::FIELD_MANAGER) {
            let level = if how.starts_with("apply") || how.contains("scale") { Level::Warning } else { Level::Info };
            plan.note(level, format!("{} is owned by {manager} ({how}, {since})", dotted(&change.pointer)));
        }
    }
    for tool in owned_by(live) {
        plan.note(Level::Warning, format!("{tool} puts the object back as it has it"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Request;
    use super::super::fixture::Fixture;
    use crate::model::{Act, Args, Plan, Target, UndoKind, VerbId};
    use serde_json::{Value, json};

    fn edit(f: &mut Fixture, target: &Target, base: &Value, edited: &Value) -> Result<Plan, String> {
        let documents = vec![("f.yaml".to_owned(), edited.to_string()), ("base".to_owned(), base.to_string())];
        f.request(&Request { verb: VerbId::Edit, targets: vec![target.clone()], args: Args::default(), documents })
    }

    #[test]
    fn what_others_changed_elsewhere_stays_and_the_same_field_is_refused() {
        let mut f = Fixture::new();
        let target = f.deployment("api", 3, |_| {});
        let base = f.object(&target);
        let mut edited = base.clone();
        edited["spec"]["paused"] = true.into();
        // Somebody scales meanwhile.
        let target = f.deployment("api", 5, |d| d["metadata"]["uid"] = base["metadata"]["uid"].clone());
        let plan = edit(&mut f, &target, &base, &edited).unwrap();
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        assert_eq!(write.body, json!([{"op": "add", "path": "/spec/paused", "value": true}]));
        assert_eq!(
            plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body,
            json!([{"op": "test", "path": "/spec/paused", "value": true}, {"op": "remove", "path": "/spec/paused"}])
        );
        edited["spec"]["replicas"] = 7.into();
        let refused = edit(&mut f, &target, &base, &edited).unwrap_err();
        assert_eq!(refused, "spec.replicas was changed since you began: it was 3, it is 5 now, you want 7");
    }

    #[test]
    fn identity_stays_bad_yaml_is_named_and_owners_are_told() {
        let mut f = Fixture::new();
        let target = f.deployment("api", 3, |d| {
            d["metadata"]["managedFields"] =
                json!([{"manager": "argocd", "operation": "Apply", "time": "t", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        });
        let base = f.object(&target);
        let mut edited = base.clone();
        edited["metadata"]["name"] = "other".into();
        assert_eq!(edit(&mut f, &target, &base, &edited).unwrap_err(), "f.yaml: metadata.name cannot be changed: it is what the object is");
        edited = base.clone();
        edited["spec"]["replicas"] = 4.into();
        assert_eq!(edit(&mut f, &target, &base, &edited).unwrap().notes[0].text, "spec.replicas is owned by argocd (apply, t)");
        assert_eq!(edit(&mut f, &target, &base, &base).unwrap_err(), "nothing to do: the text is as the object is");
        let documents = vec![("f.yaml".to_owned(), "a: [".to_owned())];
        let refused = f.request(&Request { verb: VerbId::Edit, targets: vec![target], args: Args::default(), documents }).unwrap_err();
        assert!(refused.starts_with("f.yaml: no YAML: "), "{refused}");
    }

    #[test]
    fn environment_values_are_kept_as_hashes_only() {
        let mut f = Fixture::new();
        let target =
            f.deployment("api", 3, |d| d["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN", "value": "old"}]));
        let base = f.object(&target);
        let mut edited = base.clone();
        edited["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "canary".into();
        let plan = edit(&mut f, &target, &base, &edited).unwrap();
        assert!(plan.steps[0].sensitive && plan.undo == UndoKind::None && plan.steps[0].undo.is_none());
        assert!(!serde_json::to_string(&plan.redacted("s")).unwrap().contains("canary"));
        // A container that comes, and one that goes: the list is one value, and its environment is in it.
        for (from, to) in [(&base, "sidecar"), (&edited, "")] {
            let mut other = from.clone();
            let containers = other["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
            if to.is_empty() {
                containers.clear();
            } else {
                containers.push(json!({"name": to, "image": "x", "env": [{"name": "TOKEN", "value": "canary"}]}));
            }
            let target = f.add(crate::model::Kind::Deployment, from.clone());
            let plan = edit(&mut f, &target, from, &other).unwrap();
            assert_eq!(plan.steps[0].changes[0].pointer, "/spec/template/spec/containers");
            assert!(!serde_json::to_string(&plan.redacted("s")).unwrap().contains("canary"), "{to}");
            // Nor does the refusal of a stale edit say it.
            let mut live = from.clone();
            live["spec"]["template"]["spec"]["containers"] = json!([{"name": "x", "env": [{"name": "TOKEN", "value": "canary-2"}]}]);
            f.add(crate::model::Kind::Deployment, live);
            let refused = edit(&mut f, &target, from, &other).unwrap_err();
            assert!(refused.contains("another value") && !refused.contains("canary"), "{refused}");
        }
    }

    #[test]
    fn an_object_that_was_made_anew_is_not_the_one_that_was_edited() {
        let mut f = Fixture::new();
        let target = f.deployment("api", 3, |_| {});
        let base = f.object(&target);
        let mut edited = base.clone();
        edited["spec"]["paused"] = true.into();
        let mut other = edited.clone();
        other["metadata"]["uid"] = "00000000-0000-4000-8000-00000000ffff".into();
        let refused = edit(&mut f, &target, &base, &other).unwrap_err();
        assert_eq!(refused, "f.yaml: metadata.uid cannot be changed: it is what the object is");
        let anew = f.deployment("api", 3, |_| {});
        let refused = edit(&mut f, &anew, &base, &edited).unwrap_err();
        assert_eq!(refused, "deployment pay/api was deleted and made anew since you began: it is another object");
    }
}
