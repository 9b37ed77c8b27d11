//! Changes: create, update, patch, delete, scale, evict, with the API's rules: versions, generations, preconditions, dry runs.

use super::fields::{self, Writer};
use super::query::{Place, Query, Strictness, Wanted};
use super::register::{CRONJOBS, DAEMONSETS, DEPLOYMENTS, HPAS, JOBS, NAMESPACES, NODES, PDBS, PODS, REGISTER, REPLICASETS, STATEFULSETS};
use super::reply::Refusal;
use super::store::{Key, Obj, State, rfc3339, selector_of};
use super::{control, make, orders, patch, resize, schema};
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

pub fn existing(s: &State, place: &Place) -> Result<Arc<Obj>, Refusal> {
    s.at(place.res, &key(place)).cloned().ok_or_else(|| Refusal::not_found(&REGISTER[place.res], place.name.as_deref().unwrap_or("")))
}

fn conflict(place: &Place, name: &str) -> Refusal {
    Refusal::conflict(&REGISTER[place.res], name)
}

fn invalid(place: &Place, name: &str, why: &str) -> Refusal {
    Refusal::invalid(&REGISTER[place.res], name, why)
}

/// Nothing new comes into a namespace that goes.
pub fn room_in(s: &State, place: &Place, name: &str) -> Result<(), Refusal> {
    let Some(ns) = &place.namespace else { return Ok(()) };
    let Some(space) = s.get(NAMESPACES, "", ns) else { return Err(Refusal::not_found(&REGISTER[NAMESPACES], ns)) };
    if !space.deleting {
        return Ok(());
    }
    let what = REGISTER[place.res].qualified();
    let text = format!("{what} \"{name}\" is forbidden: unable to create new content in namespace {ns} because it is being terminated");
    let cause = ("NamespaceTerminating", "metadata.namespace".to_owned(), format!("namespace {ns} is being terminated"));
    Err(Refusal { causes: vec![cause], ..Refusal::new(403, "Forbidden", text) })
}

/// Fields that there are not, and what is out of date.
fn checked(place: &Place, query: &Query, method: &str, body: &mut Value) -> Result<(), Refusal> {
    let r = &REGISTER[place.res];
    let whole = body.to_string();
    let unknown = schema::prune(r.kind, body);
    if !unknown.is_empty() && query.strictness() == Strictness::Strict {
        let fields: Vec<String> = unknown.iter().map(|f| format!("unknown field {f:?}")).collect();
        let said = format!("strict decoding error: {}", fields.join(", "));
        let name = body["metadata"]["name"].as_str().unwrap_or("");
        return Err(match method {
            "PATCH" => invalid(place, name, &format!("patch: Invalid value: {whole:?}: {said}")),
            _ => Refusal::bad(format!("{} in version {:?} cannot be handled as a {}: {said}", r.kind, r.version, r.kind)),
        });
    }
    if query.strictness() == Strictness::Warn {
        unknown.iter().for_each(|f| query.warn(format!("unknown field {f:?}")));
    }
    let root = match place.res {
        PODS => "/spec",
        CRONJOBS => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    let path = root.trim_start_matches('/').replace('/', ".");
    let spec = body.pointer(root).unwrap_or(&Value::Null);
    for (old, new) in [("beta.kubernetes.io/os", "kubernetes.io/os"), ("beta.kubernetes.io/arch", "kubernetes.io/arch")] {
        if spec["nodeSelector"][old].is_string() {
            query.warn(format!("{path}.nodeSelector[{old}]: deprecated since v1.14; use {new:?} instead"));
        }
    }
    for (c, container) in spec["containers"].as_array().into_iter().flatten().enumerate() {
        let env = container["env"].as_array().map_or(&[][..], Vec::as_slice);
        for (n, variable) in env.iter().enumerate().filter(|(n, v)| env[..*n].iter().any(|before| before["name"] == v["name"])) {
            let name = variable["name"].as_str().unwrap_or("");
            query.warn(format!(
                "{path}.containers[{c}].env[{n}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
    Ok(())
}

fn writer<'a>(query: &'a Query, place: &'a Place, now: &'a str) -> Writer<'a> {
    Writer { manager: &query.manager, subresource: place.sub.as_deref().unwrap_or(""), now }
}

/// POST to a collection.
pub fn create(s: &mut State, place: &Place, query: &Query, body: Value) -> Result<Value, Refusal> {
    make_new(s, place, query, body, false)
}

fn make_new(s: &mut State, place: &Place, query: &Query, mut body: Value, apply: bool) -> Result<Value, Refusal> {
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
        room_in(s, place, &name)?;
        body["metadata"]["namespace"] = ns.as_str().into();
    }
    if s.get(place.res, place.namespace.as_deref().unwrap_or(""), &name).is_some() {
        let about = Some(Box::new((name.clone(), r.group.to_owned(), r.plural.to_owned())));
        return Err(Refusal { about, ..Refusal::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", r.qualified())) });
    }
    checked(place, query, "POST", &mut body)?;
    body["apiVersion"] = r.api_version().into();
    body["kind"] = r.kind.into();
    let now = rfc3339(s.now());
    for field in ["resourceVersion", "deletionTimestamp", "managedFields"] {
        if let Some(meta) = body["metadata"].as_object_mut() {
            meta.shift_remove(field);
        }
    }
    // Who creates owns what was sent, not what is filled in.
    let written = writer(query, place, &now);
    let body = if apply {
        fields::applied(r.kind, &Value::Null, &body, &written, true).unwrap_or(Value::Null)
    } else {
        fields::updated(r.kind, &Value::Null, &mut body, &written);
        body
    };
    let mut body = body;
    body["metadata"]["creationTimestamp"] = now.into();
    body["metadata"]["uid"] = s.uid().into();
    if body["spec"].is_object() && !matches!(place.res, PODS | NODES) {
        body["metadata"]["generation"] = 1.into();
    }
    defaults(place.res, &mut body);
    sound(place, &name, &body)?;
    if query.dry_run() {
        return Ok(body);
    }
    Ok(s.put(place.res, body).value())
}

/// What no object may be.
fn sound(place: &Place, name: &str, body: &Value) -> Result<(), Refusal> {
    if body["spec"]["replicas"].as_i64().is_some_and(|n| n < 0) {
        return Err(invalid(place, name, "spec.replicas: Invalid value: must be greater than or equal to 0"));
    }
    if place.res == HPAS && body["spec"]["maxReplicas"].as_i64().unwrap_or(0) < body["spec"]["minReplicas"].as_i64().unwrap_or(1).max(1) {
        return Err(invalid(place, name, "spec.maxReplicas: Invalid value: must be greater than or equal to `minReplicas`"));
    }
    if place.res == NAMESPACES {
        orders::sound(name, body).map_err(|why| invalid(place, name, &why))?;
    }
    if place.res == PDBS && !body["spec"]["minAvailable"].is_null() && !body["spec"]["maxUnavailable"].is_null() {
        return Err(invalid(place, name, "spec: Invalid value: minAvailable and maxUnavailable cannot be both set"));
    }
    Ok(())
}

/// What the API fills in.
fn defaults(res: usize, body: &mut Value) {
    let mut set = |path: &str, value: Value| {
        let (parent, field) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(Value::Object(map)) = body.pointer_mut(parent) {
            match map.get_mut(field) {
                Some(Value::Object(there)) if there.is_empty() => drop(map.insert(field.to_owned(), value)),
                Some(_) => {}
                None => drop(map.insert(field.to_owned(), value)),
            }
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
            set("/spec/suspend", json!(false));
        }
        HPAS => set("/spec/minReplicas", json!(1)),
        NAMESPACES => {
            set("/spec", json!({"finalizers": ["kubernetes"]}));
            set("/status", json!({"phase": "Active"}));
        }
        PODS => {
            make::default_spec(&mut body["spec"]);
            let qos = make::qos(&body["spec"]);
            if let Some(status) = body["status"].as_object_mut() {
                status.insert("phase".to_owned(), "Pending".into());
                status.insert("qosClass".to_owned(), qos.into());
            }
        }
        _ => {}
    }
    if res == JOBS {
        let name = body["metadata"]["name"].clone();
        body["spec"]["template"]["metadata"]["labels"]["job-name"] = name;
    }
}

/// Fields that the server keeps as they are.
const FIXED: [&str; 8] =
    ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"];

/// Writes `new` in place of what is there: the status or everything but it. `applied`: who owns what is settled.
fn replace(s: &mut State, place: &Place, query: &Query, old: &Obj, mut new: Value, applied: bool) -> Result<Value, Refusal> {
    let before = old.value();
    let name = &*old.key.1;
    let sent = |field: &str| new["metadata"][field].as_str().filter(|v| !v.is_empty()).map(str::to_owned);
    if let Some(other) = sent("name").filter(|n| n != name) {
        return Err(Refusal::bad(format!("the name of the object ({other}) does not match the name on the URL ({name})")));
    }
    if let Some(other) = sent("uid").filter(|u| **u != *old.uid) {
        return Err(invalid(place, name, &format!("metadata.uid: Invalid value: {other:?}: field is immutable")));
    }
    if sent("resourceVersion").is_some_and(|v| v != old.rv.to_string()) {
        return Err(conflict(place, name));
    }
    match place.sub.as_deref() {
        Some("status") => {
            let status = new["status"].take();
            new = before.clone();
            new["status"] = status;
        }
        Some("resize") => new = resize::wanted(s, &REGISTER[place.res], old, &before, &new)?,
        _ => new["status"] = before["status"].clone(),
    }
    for fixed in FIXED {
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
    immutable(place, name, &before, &new)?;
    sound(place, name, &new)?;
    if new["spec"] != before["spec"] && place.res != NODES && (place.res != PODS || before["metadata"]["generation"].is_i64()) {
        new["metadata"]["generation"] = (before["metadata"]["generation"].as_i64().unwrap_or(1) + 1).into();
    }
    let now = rfc3339(s.now());
    if !applied {
        fields::updated(REGISTER[place.res].kind, &before, &mut new, &writer(query, place, &now));
    }
    if new == before || query.dry_run() {
        return Ok(new);
    }
    let object = s.put(place.res, new);
    let value = object.value();
    if place.res == NAMESPACES {
        orders::follow(s, &before, &value);
    }
    if place.sub.as_deref() == Some("resize") && value["spec"] != before["spec"] {
        s.later(1000, control::Action::Resize(object.key.clone(), object.uid.clone()));
    }
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

/// What cannot be changed any more.
fn immutable(place: &Place, name: &str, before: &Value, new: &Value) -> Result<(), Refusal> {
    if matches!(place.res, DEPLOYMENTS | REPLICASETS | STATEFULSETS | DAEMONSETS) && new["spec"]["selector"] != before["spec"]["selector"] {
        return Err(invalid(place, name, "spec.selector: Invalid value: field is immutable"));
    }
    if place.res == JOBS && new["spec"]["template"] != before["spec"]["template"] {
        return Err(invalid(place, name, "spec.template: Invalid value: field is immutable"));
    }
    if place.res == PODS && place.sub.is_none() {
        let fixed = |v: &Value| {
            let mut spec = v["spec"].clone();
            for free in ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "nodeName", "schedulingGates"] {
                spec.as_object_mut().map(|m| m.shift_remove(free));
            }
            for list in ["containers", "initContainers"] {
                spec[list].as_array_mut().into_iter().flatten().for_each(|c| c["image"] = Value::Null);
            }
            spec
        };
        if fixed(before) != fixed(new) {
            let text = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
            return Err(invalid(place, name, text));
        }
    }
    Ok(())
}

/// PUT.
pub fn update(s: &mut State, place: &Place, query: &Query, mut body: Value) -> Result<Value, Refusal> {
    let old = existing(s, place)?;
    if place.sub.as_deref() == Some("scale") {
        return scale(s, place, query, &old, &body);
    }
    if let Some(other) = body["metadata"]["uid"].as_str().filter(|u| !u.is_empty() && **u != *old.uid) {
        let text = format!("Precondition failed: UID in precondition: {other}, UID in object meta: {}", old.uid);
        return Err(Refusal { message: text, ..conflict(place, &old.key.1) });
    }
    checked(place, query, "PUT", &mut body)?;
    if body["spec"].is_object() {
        defaults(place.res, &mut body);
    }
    replace(s, place, query, &old, body, false)
}

/// PATCH. An applied object that is not there is made.
pub fn patched(s: &mut State, place: &Place, query: &Query, kind: PatchKind, body: &Value) -> Result<(u16, Value), Refusal> {
    let r = &REGISTER[place.res];
    if kind == PatchKind::Strategic && !schema::known(r.kind) {
        let text = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        return Err(Refusal::new(415, "UnsupportedMediaType", text));
    }
    if kind == PatchKind::Apply {
        return apply(s, place, query, body);
    }
    let old = existing(s, place)?;
    if place.sub.as_deref() == Some("scale") {
        let mut scale_now = scale_of(&old);
        kind.apply(&mut scale_now, body)?;
        return Ok((200, scale(s, place, query, &old, &scale_now)?));
    }
    let mut new = old.value();
    kind.apply(&mut new, body)?;
    if let (Some(sent), true) = (body["metadata"]["resourceVersion"].as_str(), kind != PatchKind::Json)
        && sent != old.rv.to_string()
    {
        return Err(conflict(place, &old.key.1));
    }
    checked(place, query, "PATCH", &mut new)?;
    Ok((200, replace(s, place, query, &old, new, false)?))
}

/// Server-side apply.
fn apply(s: &mut State, place: &Place, query: &Query, body: &Value) -> Result<(u16, Value), Refusal> {
    let r = &REGISTER[place.res];
    let mut body = body.clone();
    let name = place.name.as_deref().unwrap_or("");
    if query.get("fieldManager").is_none() {
        return Err(Refusal::new(
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    if body["metadata"]["managedFields"].as_array().is_some_and(|m| !m.is_empty()) {
        return Err(Refusal::bad("metadata.managedFields must be nil"));
    }
    let text = |field: &str| body["metadata"][field].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let (uid, version) = (text("uid"), text("resourceVersion"));
    let Ok(old) = existing(s, place) else {
        if let Some(uid) = uid {
            let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Refusal { message: why, ..conflict(place, name) });
        }
        if version.is_some() || place.sub.is_some() {
            return Err(if place.sub.is_some() { Refusal::not_found(r, name) } else { conflict(place, name) });
        }
        return Ok((201, make_new(s, place, query, body, true)?));
    };
    if version.is_some_and(|v| v != old.rv.to_string()) {
        return Err(conflict(place, name));
    }
    if let Some(other) = uid.filter(|u| **u != *old.uid) {
        return Err(invalid(place, name, &format!("metadata.uid: Invalid value: {other:?}: field is immutable")));
    }
    checked(place, query, "APPLY", &mut body)?;
    let now = rfc3339(s.now());
    let new = fields::applied(r.kind, &old.value(), &body, &writer(query, place, &now), query.flag("force"));
    let mut new = new.map_err(|clashes| {
        let said: Vec<String> = clashes.iter().map(|c| format!("\n- {}", c.field)).collect();
        let text = match clashes.as_slice() {
            [one] => format!("Apply failed with 1 conflict: conflict with {}: {}", one.owner, one.field),
            all => format!("Apply failed with {} conflicts: conflicts with {}:{}", all.len(), all[0].owner, said.concat()),
        };
        let causes = clashes.iter().map(|c| ("FieldManagerConflict", c.field.clone(), format!("conflict with {}", c.owner))).collect();
        Refusal { causes, ..Refusal::new(409, "Conflict", text) }
    })?;
    for field in ["uid", "resourceVersion"] {
        new["metadata"].as_object_mut().map(|m| m.shift_remove(field));
    }
    Ok((200, replace(s, place, query, &old, new, true)?))
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
    replace(s, place, query, old, new, false)?;
    let mut answer = s.at(place.res, &old.key).map_or(Value::Null, |o| scale_of(o));
    answer["spec"]["replicas"] = replicas.into();
    Ok(answer)
}

/// What a deletion may be bound to.
pub fn precondition(place: &Place, object: &Obj, wanted: &Value) -> Result<(), Refusal> {
    let is = [("uid", "UID", object.uid.to_string()), ("resourceVersion", "ResourceVersion", object.rv.to_string())];
    for (field, word, is) in is {
        if let Some(wanted) = wanted[field].as_str().filter(|w| *w != is) {
            let text = format!("Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {is}");
            let what = REGISTER[place.res].qualified();
            let text = format!("Operation cannot be fulfilled on {what} \"{}\": {text}", object.key.1);
            return Err(Refusal { message: text, ..conflict(place, &object.key.1) });
        }
    }
    Ok(())
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
    precondition(place, &object, wanted)?;
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
        let plain = patched(&mut s, &at(ONE), &Query::default(), PatchKind::Merge, &both).unwrap().1;
        assert_eq!((&plain["metadata"]["labels"]["x"], &plain["status"]["replicas"]), (&json!("y"), &Value::Null));
        let status = patched(&mut s, &at(&format!("{ONE}/status")), &Query::default(), PatchKind::Merge, &both).unwrap().1;
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
