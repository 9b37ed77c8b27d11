//! The disruption controller: what a budget's status says.

use super::control::matching;
use super::make;
use super::register::PDBS;
use super::store::{Key, State, selector_of};
use crate::model::Str;
use serde_json::Value;
use std::collections::HashMap;

fn amount(value: &Value, of: i64) -> Option<i64> {
    match value {
        Value::Number(n) => n.as_i64(),
        Value::String(text) => text.trim_end_matches('%').parse::<i64>().ok().map(|p| (of * p + 99) / 100),
        _ => None,
    }
}

/// Brings the status of a namespace's disruption budgets up to date.
pub fn budgets(s: &mut State, namespace: &Str) {
    let keys: Vec<Key> = s.tables[PDBS]
        .objects
        .range((namespace.clone(), Str::from(""))..)
        .take_while(|(k, _)| k.0 == *namespace)
        .map(|(k, _)| k.clone())
        .collect();
    let now = s.now();
    for key in keys {
        let Some(value) = s.at(PDBS, &key).map(|o| o.value()) else { continue };
        let spec = &value["spec"];
        let selector = spec["selector"].is_object().then(|| selector_of(&spec["selector"]));
        let pods: Vec<_> =
            selector.map(|sel| matching(s, namespace, &sel)).unwrap_or_default().into_iter().filter(|p| !p.ended()).collect();
        let mut owners: HashMap<Str, i64> = HashMap::new();
        for p in pods.iter().filter(|p| !p.deleting) {
            let uid = p.owner.as_ref().map_or_else(|| p.uid.clone(), |(_, _, uid)| uid.clone());
            *owners.entry(uid).or_default() += 1;
        }
        for p in &pods {
            let Some((kind, name, uid)) = &p.owner else { continue };
            let Some(owner) = super::register::of_kind(kind).and_then(|r| s.get(r, namespace, name)) else { continue };
            if let Some(wanted) = owner.value()["spec"]["replicas"].as_i64() {
                owners.insert(uid.clone(), wanted);
            }
        }
        let expected: i64 = owners.values().sum();
        let healthy = i64::try_from(pods.iter().filter(|p| !p.deleting && p.pod.as_ref().is_some_and(|f| f.ready)).count()).unwrap_or(0);
        let desired = match (amount(&spec["maxUnavailable"], expected), amount(&spec["minAvailable"], expected)) {
            (Some(max), _) => (expected - max).max(0),
            (None, min) => min.unwrap_or(1),
        };
        let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
        s.edit(PDBS, &key, |p| {
            let generation = p["metadata"]["generation"].clone();
            let status = &mut p["status"];
            for (field, n) in
                [("currentHealthy", healthy), ("desiredHealthy", desired), ("disruptionsAllowed", allowed), ("expectedPods", expected)]
            {
                status[field] = n.into();
            }
            status["observedGeneration"] = generation;
            let (yes, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
            make::condition(status, "DisruptionAllowed", yes, (reason, ""), now);
        });
    }
}
