//! Autoscalers: the HPA controller, and KEDA's, which owns HPAs.

use super::fields::{self, Writer};
use super::register::{self, HPAS, REGISTER, SCALED_OBJECTS};
use super::store::{Key, State, rfc3339};
use super::{control, make};
use crate::model::Str;
use serde_json::json;

/// An autoscaler looks at its workload.
pub fn scaler(s: &mut State, key: &Key) {
    let Some(object) = s.at(HPAS, key).cloned() else { return };
    let value = object.value();
    let spec = &value["spec"];
    let (kind, name) = (spec["scaleTargetRef"]["kind"].as_str().unwrap_or(""), spec["scaleTargetRef"]["name"].as_str().unwrap_or(""));
    let Some(res) = super::register::of_kind(kind) else { return };
    let target: Key = (key.0.clone(), Str::from(name));
    s.world.scaler_of.insert((res, target.clone()), key.clone());
    let Some(workload) = s.at(res, &target).map(|o| o.value()) else { return };
    if workload["spec"]["replicas"] == 0 {
        // Nothing is nobody's to scale: who set it to zero must set it back.
        let now = s.now();
        s.edit(HPAS, key, |h| {
            let said = ("ScalingDisabled", "scaling is disabled since the replica count of the target is zero");
            make::condition(&mut h["status"], "ScalingActive", "False", said, now);
        });
        return;
    }
    let wanted = spec["metrics"][0]["resource"]["target"]["averageUtilization"].as_i64().unwrap_or(80);
    let (min, max) = (spec["minReplicas"].as_i64().unwrap_or(1), spec["maxReplicas"].as_i64().unwrap_or(1));
    let replicas = workload["spec"]["replicas"].as_i64().unwrap_or(1).max(1);
    let current = workload["status"]["replicas"].as_i64().unwrap_or(replicas).max(1);
    let load = s.world.load.get(key).copied().unwrap_or(wanted * 85 / 100 * replicas);
    s.world.load.insert(key.clone(), load);
    // Pods that are missing for a moment do not count: their share comes back with them.
    let each = load / replicas;
    // Within a tenth of the target nothing moves.
    let ideal = if (each - wanted).abs() * 10 <= wanted { replicas } else { (load + wanted - 1) / wanted };
    let desired = ideal.clamp(min, max);
    let now = s.now();
    if desired != replicas {
        let message = format!(
            "New size: {desired}; reason: cpu resource utilization (percentage of request) {} target",
            if desired > replicas { "above" } else { "below" }
        );
        s.event(HPAS, &object, false, "SuccessfulRescale", &message, "horizontal-pod-autoscaler");
        scale(s, res, &target, desired, "kube-controller-manager");
    }
    s.edit(HPAS, key, |h| {
        let status = &mut h["status"];
        status["currentReplicas"] = current.into();
        status["desiredReplicas"] = desired.into();
        let external = value["spec"]["metrics"][0]["external"]["metric"].clone();
        status["currentMetrics"] = if external.is_object() {
            json!([{"type": "External", "external": {"metric": external, "current": {"averageValue": each.to_string()}}}])
        } else {
            json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": each, "averageValue": format!("{each}m")}}}])
        };
        if desired != replicas {
            status["lastScaleTime"] = rfc3339(now).into();
        }
        make::condition(status, "AbleToScale", "True", ("ReadyForNewScale", "recommended size matches current size"), now);
        make::condition(status, "ScalingActive", "True", ("ValidMetricFound", "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"), now);
        match ideal {
            i if i > max => make::condition(status, "ScalingLimited", "True", ("TooManyReplicas", "the desired replica count is more than the maximum replica count"), now),
            i if i < min => make::condition(status, "ScalingLimited", "True", ("TooFewReplicas", "the desired replica count is less than the minimum replica count"), now),
            _ => make::condition(status, "ScalingLimited", "False", ("DesiredWithinRange", "the desired count is within the acceptable range"), now),
        }
    });
}

/// Sets a workload's replicas, and writes down who did.
fn scale(s: &mut State, res: usize, target: &Key, replicas: i64, manager: &str) {
    let now = rfc3339(s.now());
    s.edit(res, target, |w| {
        if w["spec"]["replicas"] == replicas {
            return;
        }
        let before = w.clone();
        w["spec"]["replicas"] = replicas.into();
        w["metadata"]["generation"] = (w["metadata"]["generation"].as_i64().unwrap_or(1) + 1).into();
        fields::updated(REGISTER[res].kind, &before, w, &Writer { manager, subresource: "scale", now: &now });
    });
}

const PAUSED: &str = "autoscaling.keda.sh/paused";
const PAUSED_AT: &str = "autoscaling.keda.sh/paused-replicas";

/// KEDA looks at a ScaledObject: it keeps an HPA for it, or takes that away while it is paused.
pub fn scaled_object(s: &mut State, key: &Key) {
    let Some(object) = s.at(SCALED_OBJECTS, key).cloned().filter(|o| !o.deleting) else { return };
    let value = object.value();
    let (spec, notes) = (&value["spec"], &value["metadata"]["annotations"]);
    let of = &spec["scaleTargetRef"];
    let Some(res) = register::of_kind(of["kind"].as_str().unwrap_or("Deployment")) else { return };
    let target: Key = (key.0.clone(), Str::from(of["name"].as_str().unwrap_or("")));
    let hpa: Key = (key.0.clone(), Str::from(format!("keda-hpa-{}", key.1)));
    let at = notes[PAUSED_AT].as_str().and_then(|n| n.parse::<i64>().ok());
    let paused = at.is_some() || notes[PAUSED].as_str().is_some_and(|v| v != "false");
    let found = s.at(res, &target).is_some();
    if paused {
        control::delete(s, HPAS, &hpa, None);
        if let Some(n) = at {
            scale(s, res, &target, n, "keda");
        }
    } else if found {
        let number = |field: &str, or: i64| spec[field].as_i64().unwrap_or(or);
        let (min, max) = (number("minReplicaCount", 0).max(1), number("maxReplicaCount", 100));
        let metric = json!([{"type": "External", "external": {"metric": {"name": "s0-prometheus", "selector": {"matchLabels": {"scaledobject.keda.sh/name": &*key.1}}}, "target": {"type": "AverageValue", "averageValue": "80"}}}]);
        let wanted = json!({"scaleTargetRef": {"apiVersion": REGISTER[res].api_version(), "kind": REGISTER[res].kind, "name": &*target.1}, "minReplicas": min, "maxReplicas": max, "metrics": metric});
        if s.at(HPAS, &hpa).is_some() {
            s.edit(HPAS, &hpa, |h| h["spec"] = wanted);
        } else {
            let owner = make::owner_reference("keda.sh/v1alpha1", "ScaledObject", &object);
            let labels = json!({"app.kubernetes.io/managed-by": "keda-operator", "scaledobject.keda.sh/name": &*key.1});
            s.put(HPAS, json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": &*hpa.1, "namespace": &*key.0, "labels": labels, "ownerReferences": owner}, "spec": wanted, "status": {"currentReplicas": 0, "desiredReplicas": 0}}));
        }
    }
    let now = s.now();
    s.edit(SCALED_OBJECTS, key, |o| {
        let status = &mut o["status"];
        status["hpaName"] = (&*hpa.1).into();
        status["scaleTargetKind"] = format!("{}.{}", REGISTER[res].api_version(), REGISTER[res].kind).into();
        let (yes, why) = if found {
            ("True", ("ScaledObjectReady", "ScaledObject is defined correctly and is ready for scaling"))
        } else {
            ("False", ("ScaledObjectCheckFailed", "ScaledObject doesn't have correct scaleTargetRef specification"))
        };
        make::condition(status, "Ready", yes, why, now);
        let (yes, why) = if paused {
            ("True", ("ScaledObjectPaused", "ScaledObject is paused"))
        } else {
            ("False", ("ScaledObjectUnpaused", "pause annotation removed for ScaledObject"))
        };
        make::condition(status, "Paused", yes, why, now);
    });
}
