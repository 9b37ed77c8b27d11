//! NoExecute taints: pods that do not tolerate one go, at once or when their time is up.

use super::control::{Action, delete, tolerates};
use super::register::PODS;
use super::store::{Key, State};
use crate::model::Str;
use serde_json::Value;

/// Looks at every node that has such a taint.
pub fn changed(s: &mut State) {
    if s.world.instant {
        return;
    }
    let nodes: Vec<Str> = s.world.nodes.iter().filter(|n| n.taints.iter().any(|t| t.2 == "NoExecute")).map(|n| n.name.clone()).collect();
    for node in nodes {
        for key in s.on_node.get(&node).cloned().unwrap_or_default() {
            let Some(pod) = s.at(PODS, &key).filter(|p| !p.deleting).cloned() else { continue };
            match patience(s, &key) {
                Some(seconds) if !s.world.driven.contains_key(&pod.uid) => {
                    s.world.driven.insert(pod.uid.clone(), s.now() + seconds);
                    s.later(seconds * 1000, Action::Evict(key, pod.uid.clone()));
                }
                _ => {}
            }
        }
    }
}

/// How long a pod may stay where it is; none: for ever.
fn patience(s: &State, key: &Key) -> Option<i64> {
    let pod = s.at(PODS, key)?;
    let node = pod.pod.as_ref()?.node.clone()?;
    let facts = s.world.nodes.iter().find(|n| n.name == node)?;
    let daemon = pod.owner.as_ref().is_some_and(|(kind, ..)| &**kind == "DaemonSet");
    let spec = pod.value()["spec"].clone();
    let taints = facts.taints.iter().filter(|t| t.2 == "NoExecute" && !(daemon && t.0.starts_with("node.kubernetes.io/")));
    taints
        .filter_map(|taint| {
            if !tolerates(&spec, taint) {
                return Some(0);
            }
            let mut limits: Vec<Option<i64>> = Vec::new();
            for t in spec["tolerations"].as_array().into_iter().flatten() {
                let one = serde_json::json!({"tolerations": [t]});
                if tolerates(&one, taint) {
                    limits.push(t.get("tolerationSeconds").and_then(Value::as_i64));
                }
            }
            if limits.contains(&None) { None } else { limits.into_iter().flatten().min() }
        })
        .min()
}

/// A pod's time is up, if the taint is still there.
pub fn due(s: &mut State, key: &Key, uid: &Str) {
    s.world.driven.remove(uid);
    if patience(s, key).is_none() {
        return;
    }
    let Some(pod) = s.at(PODS, key).filter(|p| p.uid == *uid && !p.deleting).cloned() else { return };
    s.event(
        PODS,
        &pod,
        false,
        "TaintManagerEviction",
        &format!("Marking for deletion Pod {}/{}", key.0, key.1),
        "taint-eviction-controller",
    );
    delete(s, PODS, key, None);
}
