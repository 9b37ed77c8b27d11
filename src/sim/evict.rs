//! The eviction subresource: a pod goes if its budget allows.

use super::make;
use super::query::{Place, Query};
use super::register::{PDBS, PODS};
use super::reply::Refusal;
use super::store::{Obj, State, selector_of};
use super::write::{existing, precondition, room_in};
use super::{budgets, control};
use serde_json::{Value, json};
use std::sync::Arc;

/// POST to a pod's eviction: deletes it if its budget allows.
pub fn evict(s: &mut State, place: &Place, query: &Query, body: &Value) -> Result<Value, Refusal> {
    let pod = existing(s, place)?;
    let options = &body["deleteOptions"];
    room_in(s, place, &pod.key.1)?;
    precondition(place, &pod, &options["preconditions"])?;
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
                refusal.causes = vec![("DisruptionBudget", String::new(), text)];
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
        budgets::budgets(s, &namespace);
    }
    Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
}
