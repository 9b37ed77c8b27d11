//! `pods/resize`: what may be asked for, and what the kubelet makes of it.

use super::control::Action;
use super::make;
use super::register::{PODS, Resource};
use super::reply::Refusal;
use super::store::{Key, Obj, State};
use crate::model::{Str, quantity};
use serde_json::{Value, json};

/// Another look at what was put off.
const AGAIN: i64 = 2000;

/// The pod with the resources that are asked for and nothing else.
pub fn wanted(s: &State, r: &Resource, old: &Obj, before: &Value, sent: &Value) -> Result<Value, Refusal> {
    let name = &*old.key.1;
    if old.ended() || old.deleting {
        return Err(Refusal::invalid(r, name, "spec: Forbidden: pods that have ended may not be resized"));
    }
    let mut new = before.clone();
    for container in new["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let found = sent["spec"]["containers"].as_array().and_then(|all| all.iter().find(|c| c["name"] == container["name"]));
        let Some(asked) = found else { continue };
        for kind in ["requests", "limits"] {
            let had = container["resources"][kind].as_object().map_or(0, serde_json::Map::len);
            if had > asked["resources"][kind].as_object().map_or(0, serde_json::Map::len) {
                return Err(Refusal::invalid(
                    r,
                    name,
                    "spec.containers[0].resources: Forbidden: resource requests and limits cannot be removed",
                ));
            }
        }
        if !asked["resources"].is_null() {
            container["resources"] = asked["resources"].clone();
        }
    }
    let (was, is) = (make::qos(&before["spec"]), make::qos(&new["spec"]));
    if was != is {
        return Err(Refusal::invalid(
            r,
            name,
            &format!("spec: Invalid value: {is:?}: Pod QOS Class may not change as a result of resizing"),
        ));
    }
    if new["spec"] != before["spec"] {
        let (reason, message) = judged(s, old, &new);
        match reason {
            "" => make::condition(&mut new["status"], "PodResizeInProgress", "True", ("", ""), s.now()),
            reason => make::condition(&mut new["status"], "PodResizePending", "True", (reason, &message), s.now()),
        }
    }
    Ok(new)
}

/// Whether the node has it: no reason when it has.
fn judged(s: &State, pod: &Obj, new: &Value) -> (&'static str, String) {
    let Some(facts) = &pod.pod else { return ("", String::new()) };
    let Some(node) = s.world.nodes.iter().find(|n| Some(&n.name) == facts.node.as_ref()) else { return ("", String::new()) };
    let sum = |what: &str, read: fn(&str) -> Option<i64>| -> i64 {
        let all = new["spec"]["containers"].as_array().into_iter().flatten();
        all.filter_map(|c| c["resources"]["requests"][what].as_str().and_then(read)).sum()
    };
    let used = s.used.get(&node.name).copied().unwrap_or_default();
    for (what, asked, own, used, room) in [
        ("cpu", sum("cpu", quantity::milli), facts.cpu, used.cpu, node.cpu),
        ("memory", sum("memory", quantity::whole), facts.memory, used.memory, node.memory),
    ] {
        if asked > room {
            return ("Infeasible", format!("Node didn't have enough capacity: {what}, requested: {asked}, capacity: {room}"));
        }
        if asked > own && used - own + asked > room {
            return (
                "Deferred",
                format!("Node didn't have enough resource: {what}, requested: {asked}, used: {}, capacity: {room}", used - own),
            );
        }
    }
    ("", String::new())
}

/// The kubelet gives what was asked for, or says why not.
pub fn actuate(s: &mut State, key: &Key, uid: &Str) {
    let Some(object) = s.at(PODS, key).filter(|o| o.uid == *uid && !o.deleting && !o.ended()).cloned() else { return };
    if object.pod.as_ref().and_then(|f| f.node.as_ref()).is_some_and(|n| s.world.dead.contains(n)) {
        return;
    }
    let value = object.value();
    let pending = value["status"]["conditions"].as_array().and_then(|c| c.iter().find(|c| c["type"] == "PodResizePending"));
    // What is put off has been counted already: it is given when the node is no longer too full.
    let facts = object.pod.as_ref().and_then(|f| f.node.clone());
    let full = facts.and_then(|n| {
        let used = s.used.get(&n).copied().unwrap_or_default();
        s.world.nodes.iter().find(|node| node.name == n).map(|node| used.cpu > node.cpu || used.memory > node.memory)
    });
    match pending.map(|c| c["reason"].as_str().unwrap_or("")) {
        Some("Infeasible") => return,
        Some(_) if full == Some(true) => return s.later(AGAIN, Action::Resize(key.clone(), uid.clone())),
        _ => {}
    }
    s.edit(PODS, key, |p| {
        if let Some(all) = p["status"]["conditions"].as_array_mut() {
            all.retain(|c| c["type"] != "PodResizePending" && c["type"] != "PodResizeInProgress");
        }
        let given: Vec<(Value, Value)> =
            p["spec"]["containers"].as_array().into_iter().flatten().map(|c| (c["name"].clone(), c["resources"].clone())).collect();
        for status in p["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
            if let Some((_, resources)) = given.iter().find(|(name, _)| *name == status["name"]) {
                status["allocatedResources"] = if resources["requests"].is_object() { resources["requests"].clone() } else { json!({}) };
                status["resources"] = resources.clone();
            }
        }
    });
    s.event(PODS, &object, false, "ResizeCompleted", "Pod resize completed", "kubelet");
}
