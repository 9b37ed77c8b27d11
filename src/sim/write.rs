//! Changes: create, update, patch, delete, scale, evict, with the API's rules: versions, generations, preconditions, dry runs.

use super::control;
use super::make;
use super::patch;
use super::query::{Place, Query, Wanted};
use super::register::{CRONJOBS, DAEMONSETS, DEPLOYMENTS, HPAS, JOBS, NAMESPACES, NODES, PDBS, PODS, REGISTER, REPLICASETS, STATEFULSETS};
use super::reply::Refusal;
use super::store::{Key, Obj, State, rfc3339, selector_of};
use crate::model::Str;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a patch is, from its content type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchKind {
    Merge,
    Strategic,
    Json,
    Apply,
}

impl PatchKind {
    pub fn of(content_type: &str) -> Option<Self> {
        Some(match content_type.split(';').next().unwrap_or("").trim() {
            "application/merge-patch+json" => Self::Merge,
            "application/strategic-merge-patch+json" => Self::Strategic,
            "application/json-patch+json" => Self::Json,
            "application/apply-patch+yaml" => Self::Apply,
            _ => return None,
        })
    }

    fn apply(self, target: &mut Value, patch: &Value) -> Result<(), Refusal> {
        match self {
            Self::Merge => patch::merge(target, patch),
            Self::Strategic | Self::Apply => patch::strategic(target, patch),
            Self::Json => patch::json(target, patch).map_err(|e| {
                Refusal::new(422, "Invalid", format!("the server rejected our request due to an error in our request: {e}"))
            })?,
        }
        Ok(())
    }
}

fn key(place: &Place) -> Key {
    (Str::from(place.namespace.as_deref().unwrap_or("")), Str::from(place.name.as_deref().unwrap_or("")))
}

fn existing(s: &State, place: &Place) -> Result<Arc<Obj>, Refusal> {
    s.at(place.res, &key(place)).cloned().ok_or_else(|| Refusal::not_found(&REGISTER[place.res], place.name.as_deref().unwrap_or("")))
}

fn conflict(place: &Place, name: &str) -> Refusal {
    let r = &REGISTER[place.res];
    let text = format!(
        "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
        r.qualified()
    );
    Refusal { about: Some(Box::new((name.to_owned(), r.group.to_owned(), r.plural.to_owned()))), ..Refusal::new(409, "Conflict", text) }
}

fn invalid(place: &Place, name: &str, why: &str) -> Refusal {
    let r = &REGISTER[place.res];
    Refusal::new(422, "Invalid", format!("{}.{} \"{name}\" is invalid: {why}", r.kind, r.group).replace(". \"", " \""))
}

/// POST to a collection.
pub fn create(s: &mut State, place: &Place, query: &Query, mut body: Value) -> Result<Value, Refusal> {
    let r = &REGISTER[place.res];
    if body["kind"].as_str().is_some_and(|k| k != r.kind) || !body.is_object() {
        return Err(Refusal::bad(format!("the object provided is unrecognized: expected {}", r.kind)));
    }
    if let Some(prefix) = body["metadata"]["generateName"].as_str().filter(|_| body["metadata"]["name"].is_null()) {
        body["metadata"]["name"] = format!("{prefix}{}", s.suffix(5)).into();
    }
    let name = body["metadata"]["name"].as_str().unwrap_or("").to_owned();
    if name.is_empty() {
        return Err(invalid(place, "", "metadata.name: Required value: name or generateName is required"));
    }
    if let Some(ns) = &place.namespace {
        if body["metadata"]["namespace"].as_str().is_some_and(|n| n != ns) {
            return Err(Refusal::bad("the namespace of the provided object does not match the namespace sent on the request"));
        }
        let Some(space) = s.get(NAMESPACES, "", ns) else { return Err(Refusal::not_found(&REGISTER[NAMESPACES], ns)) };
        if space.deleting {
            return Err(Refusal::new(
                403,
                "Forbidden",
                format!(
                    "{} \"{name}\" is forbidden: unable to create new content in namespace {ns} because it is being terminated",
                    r.qualified()
                ),
            ));
        }
        body["metadata"]["namespace"] = ns.as_str().into();
    }
    if s.get(place.res, place.namespace.as_deref().unwrap_or(""), &name).is_some() {
        let about = Some(Box::new((name.clone(), r.group.to_owned(), r.plural.to_owned())));
        return Err(Refusal { about, ..Refusal::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", r.qualified())) });
    }
    body["apiVersion"] = r.api_version().into();
    body["kind"] = r.kind.into();
    let now = rfc3339(s.now());
    let meta = &mut body["metadata"];
    for field in ["resourceVersion", "deletionTimestamp", "managedFields"] {
        if let Some(meta) = meta.as_object_mut() {
            meta.shift_remove(field);
        }
    }
    meta["creationTimestamp"] = now.into();
    meta["uid"] = s.uid().into();
    if body["spec"].is_object() && !matches!(place.res, PODS | NODES) {
        body["metadata"]["generation"] = 1.into();
    }
    defaults(place.res, &mut body);
    if query.dry_run() {
        return Ok(body);
    }
    Ok(s.put(place.res, body).value())
}

/// What the API fills in.
fn defaults(res: usize, body: &mut Value) {
    let mut set = |path: &str, value: Value| {
        let (parent, field) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(Value::Object(map)) = body.pointer_mut(parent) {
            map.entry(field.to_owned()).or_insert(value);
        }
    };
    if matches!(res, DEPLOYMENTS | REPLICASETS | STATEFULSETS | DAEMONSETS | JOBS | CRONJOBS | HPAS | PDBS | PODS) {
        set("/status", json!({}));
    }
    match res {
        DEPLOYMENTS => {
            set("/metadata/annotations", json!({}));
            set("/spec/replicas", json!(1));
            set("/spec/strategy", json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}));
            set("/spec/progressDeadlineSeconds", json!(600));
            set("/spec/revisionHistoryLimit", json!(10));
        }
        REPLICASETS | STATEFULSETS => set("/spec/replicas", json!(1)),
        JOBS => {
            set("/spec/completions", json!(1));
            set("/spec/parallelism", json!(1));
            set("/spec/backoffLimit", json!(6));
        }
        HPAS => set("/spec/minReplicas", json!(1)),
        NAMESPACES => {
            set("/spec", json!({"finalizers": ["kubernetes"]}));
            set("/status", json!({"phase": "Active"}));
        }
        PODS => {
            if let Some(status) = body["status"].as_object_mut() {
                status.insert("phase".to_owned(), "Pending".into());
                status.insert("qosClass".to_owned(), "Burstable".into());
            }
            make::default_spec(&mut body["spec"]);
        }
        _ => {}
    }
    if res == JOBS {
        let name = body["metadata"]["name"].clone();
        body["spec"]["template"]["metadata"]["labels"]["job-name"] = name;
    }
}

/// Writes `new` in place of what is there. `sub`: only the status counts, or everything but the status.
fn replace(s: &mut State, place: &Place, query: &Query, old: &Obj, mut new: Value) -> Result<Value, Refusal> {
    let before = old.value();
    let name = &*old.key.1;
    if new["metadata"]["name"].as_str().is_some_and(|n| n != name) {
        return Err(Refusal::bad(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            new["metadata"]["name"].as_str().unwrap_or("")
        )));
    }
    if new["metadata"]["resourceVersion"].as_str().is_some_and(|v| !v.is_empty() && v != old.rv.to_string())
        || new["metadata"]["uid"].as_str().is_some_and(|u| !u.is_empty() && *u != *old.uid)
    {
        return Err(conflict(place, name));
    }
    if place.sub.as_deref() == Some("status") {
        let status = new["status"].take();
        new = before.clone();
        new["status"] = status;
    } else {
        new["status"] = before["status"].clone();
    }
    for fixed in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
    ] {
        if before["metadata"][fixed].is_null() {
            if let Some(meta) = new["metadata"].as_object_mut() {
                meta.shift_remove(fixed);
            }
        } else {
            new["metadata"][fixed] = before["metadata"][fixed].clone();
        }
    }
    new["apiVersion"] = before["apiVersion"].clone();
    new["kind"] = before["kind"].clone();
    if before["status"].is_null()
        && let Some(map) = new.as_object_mut()
    {
        map.shift_remove("status");
    }
    if matches!(place.res, DEPLOYMENTS | REPLICASETS | STATEFULSETS | DAEMONSETS) && new["spec"]["selector"] != before["spec"]["selector"] {
        return Err(invalid(place, name, "spec.selector: Invalid value: field is immutable"));
    }
    if new["spec"] != before["spec"] && !matches!(place.res, PODS | NODES) {
        new["metadata"]["generation"] = (before["metadata"]["generation"].as_i64().unwrap_or(1) + 1).into();
    }
    if new == before || query.dry_run() {
        return Ok(new);
    }
    let object = s.put(place.res, new);
    let value = object.value();
    // What was held only by a finalizer goes now.
    if object.deleting
        && place.res != PODS
        && place.res != NAMESPACES
        && value["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
    {
        s.remove(place.res, &object.key);
    }
    Ok(value)
}

/// PUT.
pub fn update(s: &mut State, place: &Place, query: &Query, body: Value) -> Result<Value, Refusal> {
    let old = existing(s, place)?;
    if place.sub.as_deref() == Some("scale") {
        return scale(s, place, query, &old, &body);
    }
    replace(s, place, query, &old, body)
}

/// PATCH. An applied object that is not there is made.
pub fn patched(s: &mut State, place: &Place, query: &Query, kind: PatchKind, body: &Value) -> Result<Value, Refusal> {
    if kind == PatchKind::Apply && s.at(place.res, &key(place)).is_none() {
        return create(s, place, query, body.clone());
    }
    let old = existing(s, place)?;
    if place.sub.as_deref() == Some("scale") {
        let mut scale_now = scale_of(&old);
        kind.apply(&mut scale_now, body)?;
        return scale(s, place, query, &old, &scale_now);
    }
    let mut new = old.value();
    kind.apply(&mut new, body)?;
    if let (Some(sent), true) = (body["metadata"]["resourceVersion"].as_str(), kind != PatchKind::Json)
        && sent != old.rv.to_string()
    {
        return Err(conflict(place, &old.key.1));
    }
    replace(s, place, query, &old, new)
}

/// The scale subresource.
pub fn scale_of(object: &Obj) -> Value {
    let v = object.value();
    let selector = selector_of(&v["spec"]["selector"]).to_string();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": &*object.key.1, "namespace": &*object.key.0, "uid": &*object.uid, "resourceVersion": object.rv.to_string(), "creationTimestamp": v["metadata"]["creationTimestamp"]},
        "spec": {"replicas": v["spec"]["replicas"].as_i64().unwrap_or(0)}, "status": {"replicas": v["status"]["replicas"].as_i64().unwrap_or(0), "selector": selector},
    })
}

fn scale(s: &mut State, place: &Place, query: &Query, old: &Obj, scale: &Value) -> Result<Value, Refusal> {
    if scale["metadata"]["resourceVersion"].as_str().is_some_and(|v| !v.is_empty() && v != old.rv.to_string()) {
        return Err(conflict(place, &old.key.1));
    }
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        return Err(invalid(place, &old.key.1, "spec.replicas: Invalid value: must be greater than or equal to 0"));
    }
    let mut new = old.value();
    new["spec"]["replicas"] = replicas.into();
    let plain = Place { sub: None, name: place.name.clone(), namespace: place.namespace.clone(), res: place.res };
    replace(s, &plain, query, old, new)?;
    let mut answer = s.at(place.res, &old.key).map_or(Value::Null, |o| scale_of(o));
    answer["spec"]["replicas"] = replicas.into();
    Ok(answer)
}

fn success(object: &Obj, res: usize) -> Value {
    let r = &REGISTER[res];
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": {"name": &*object.key.1, "group": r.group, "kind": r.plural, "uid": &*object.uid}})
}

/// DELETE, of one or of a collection.
pub fn delete(s: &mut State, place: &Place, query: &Query, body: &Value) -> Result<(u16, Value), Refusal> {
    let grace = body["gracePeriodSeconds"].as_i64().or(query.number("gracePeriodSeconds"));
    // A body hides the query's dry run.
    let dry = if body.is_object() { body["dryRun"].as_array().is_some_and(|d| d.iter().any(|d| d == "All")) } else { query.dry_run() };
    let orphan = body["propagationPolicy"].as_str().or(query.get("propagationPolicy")) == Some("Orphan");
    if place.name.is_none() {
        let wanted = Wanted::of(place, query).map_err(Refusal::bad)?;
        let all: Vec<Arc<Obj>> = s.tables[place.res].objects.values().filter(|o| wanted.takes(o)).cloned().collect();
        if !dry {
            for o in &all {
                control::delete(s, place.res, &o.key, grace);
            }
        }
        let r = &REGISTER[place.res];
        let items: Vec<Value> = all.iter().map(|o| o.value()).collect();
        return Ok((
            200,
            json!({"kind": format!("{}List", r.kind), "apiVersion": r.api_version(), "metadata": {"resourceVersion": s.rv.to_string()}, "items": items}),
        ));
    }
    let object = existing(s, place)?;
    let wanted = &body["preconditions"];
    let uid_differs = wanted["uid"].as_str().is_some_and(|u| *u != *object.uid);
    if uid_differs || wanted["resourceVersion"].as_str().is_some_and(|v| v != object.rv.to_string()) {
        return Err(conflict(place, &object.key.1));
    }
    if dry {
        return Ok((200, object.value()));
    }
    if orphan {
        for (res, child) in s.children.remove(&object.uid).unwrap_or_default() {
            s.edit(res, &child, |c| {
                if let Some(owners) = c["metadata"]["ownerReferences"].as_array_mut() {
                    owners.retain(|o| o["uid"] != *object.uid);
                }
            });
        }
    }
    control::delete(s, place.res, &object.key, grace);
    match s.at(place.res, &object.key) {
        Some(left) if left.deleting => Ok((200, left.value())),
        _ => Ok((200, success(&object, place.res))),
    }
}

/// POST to a pod's eviction: deletes it if its budget allows.
pub fn evict(s: &mut State, place: &Place, query: &Query, body: &Value) -> Result<Value, Refusal> {
    let pod = existing(s, place)?;
    let options = &body["deleteOptions"];
    let dry = query.dry_run() || options["dryRun"].as_array().is_some_and(|d| d.iter().any(|d| d == "All"));
    let serving = !pod.ended() && !pod.deleting && pod.pod.as_ref().is_some_and(|f| f.node.is_some());
    let ready = pod.pod.as_ref().is_some_and(|f| f.ready);
    if serving {
        let budgets: Vec<Arc<Obj>> = s.tables[PDBS].objects.values().filter(|b| b.key.0 == pod.key.0).cloned().collect();
        let covering: Vec<(Arc<Obj>, Value)> = budgets
            .into_iter()
            .map(|b| (b.clone(), b.value()))
            .filter(|(_, v)| v["spec"]["selector"].is_object() && selector_of(&v["spec"]["selector"]).matches(&pod.labels))
            .collect();
        if covering.len() > 1 {
            return Err(Refusal::new(
                500,
                "InternalError",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
        for (budget, v) in covering {
            let n = |field: &str| v["status"][field].as_i64().unwrap_or(0);
            let free = !ready && (v["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" || n("currentHealthy") >= n("desiredHealthy"));
            if !free && n("disruptionsAllowed") < 1 {
                let mut refusal = Refusal::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.");
                let text = format!(
                    "The disruption budget {} needs {} healthy pods and has {} currently",
                    budget.key.1,
                    n("desiredHealthy"),
                    n("currentHealthy")
                );
                refusal.causes = vec![("DisruptionBudget", text)];
                return Err(refusal);
            }
        }
    }
    if !dry {
        let now = s.now();
        s.edit(PODS, &pod.key, |p| {
            make::condition(&mut p["status"], "DisruptionTarget", "True", ("EvictionByEvictionAPI", "Eviction API: evicting"), now)
        });
        control::delete(s, PODS, &pod.key, options["gracePeriodSeconds"].as_i64());
        let namespace = pod.key.0.clone();
        control::budgets(s, &namespace);
    }
    Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
}

#[cfg(test)]
mod tests {
    use super::super::query;
    use super::*;

    fn state() -> State {
        let mut s = State::new("c", 1);
        s.put(NAMESPACES, json!({"metadata": {"name": "a"}}));
        s
    }
    fn at(path: &str) -> Place {
        query::place(path).unwrap()
    }
    const LIST: &str = "/apis/apps/v1/namespaces/a/deployments";
    const ONE: &str = "/apis/apps/v1/namespaces/a/deployments/d";

    fn made(s: &mut State) -> Value {
        create(s, &at(LIST), &Query::default(), json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": {"metadata": {"labels": {"app": "d"}}}}})).unwrap()
    }

    #[test]
    fn an_old_version_is_a_conflict_and_a_dry_run_writes_nothing() {
        let mut s = state();
        let first = made(&mut s);
        let mut changed = first.clone();
        changed["spec"]["replicas"] = 3.into();
        let dry = update(&mut s, &at(ONE), &Query::parse("dryRun=All"), changed.clone()).unwrap();
        assert_eq!((dry["metadata"]["generation"].as_i64(), s.get(DEPLOYMENTS, "a", "d").unwrap().value()), (Some(2), first.clone()));
        assert_eq!(update(&mut s, &at(ONE), &Query::default(), changed.clone()).unwrap()["metadata"]["generation"], 2);
        assert_eq!(update(&mut s, &at(ONE), &Query::default(), changed).unwrap_err().code, 409);
        assert_eq!(create(&mut s, &at(LIST), &Query::default(), first).unwrap_err().reason, "AlreadyExists");
    }

    #[test]
    fn status_and_the_rest_are_written_apart() {
        let mut s = state();
        made(&mut s);
        let both = json!({"metadata": {"labels": {"x": "y"}}, "status": {"replicas": 9}});
        let plain = patched(&mut s, &at(ONE), &Query::default(), PatchKind::Merge, &both).unwrap();
        assert_eq!((&plain["metadata"]["labels"]["x"], &plain["status"]["replicas"]), (&json!("y"), &Value::Null));
        let status = patched(&mut s, &at(&format!("{ONE}/status")), &Query::default(), PatchKind::Merge, &both).unwrap();
        assert_eq!(status["status"]["replicas"], 9);
    }

    #[test]
    fn what_has_a_finalizer_waits_for_it() {
        let mut s = state();
        made(&mut s);
        patched(&mut s, &at(ONE), &Query::default(), PatchKind::Merge, &json!({"metadata": {"finalizers": ["x"]}})).unwrap();
        let (_, left) = delete(&mut s, &at(ONE), &Query::default(), &Value::Null).unwrap();
        assert!(left["metadata"]["deletionTimestamp"].is_string());
        patched(&mut s, &at(ONE), &Query::default(), PatchKind::Merge, &json!({"metadata": {"finalizers": null}})).unwrap();
        assert!(s.get(DEPLOYMENTS, "a", "d").is_none());
    }
}
