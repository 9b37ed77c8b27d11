//! The endpoint slice controller: the pods that a Service selects, a hundred a slice.

use super::control::matching;
use super::make;
use super::register::{ENDPOINT_SLICES, Res, SERVICES};
use super::store::{Key, Obj, State, selector_of};
use crate::model::Str;
use serde_json::{Value, json};
use std::sync::Arc;

/// Endpoints of one slice at the most.
const SLICE: usize = 100;

fn keys_of(s: &State, res: Res, namespace: &Str) -> Vec<Key> {
    let from = (namespace.clone(), Str::from(""));
    s.tables[res].objects.range(from..).take_while(|(k, _)| k.0 == *namespace).map(|(k, _)| k.clone()).collect()
}

/// Brings the slices of all Services of a namespace up to date: its pods have changed.
pub fn namespace(s: &mut State, namespace: &Str) {
    for key in keys_of(s, SERVICES, namespace) {
        service(s, &key);
    }
}

/// Brings the slices of all Services up to date.
pub fn all(s: &mut State) {
    for key in s.tables[SERVICES].objects.keys().cloned().collect::<Vec<_>>() {
        service(s, &key);
    }
}

/// Brings the slices of one Service up to date. While the past is made in haste there are none.
pub fn service(s: &mut State, key: &Key) {
    if s.world.instant {
        return;
    }
    let Some(object) = s.at(SERVICES, key).cloned().filter(|o| !o.deleting) else { return };
    let value = object.value();
    let spec = &value["spec"];
    if spec["selector"].as_object().is_none_or(serde_json::Map::is_empty) || spec["type"] == "ExternalName" {
        return;
    }
    let selector = selector_of(&json!({"matchLabels": spec["selector"]}));
    let pods: Vec<Arc<Obj>> = matching(s, &key.0, &selector).into_iter().filter(|p| !p.ended()).collect();
    let always = spec["publishNotReadyAddresses"] == true;
    let endpoints: Vec<Value> = pods.iter().filter_map(|p| endpoint(p, always)).collect();
    let ports: Vec<Value> = spec["ports"].as_array().into_iter().flatten().map(|p| port(p, &pods)).collect();
    let chunks: Vec<&[Value]> = if endpoints.is_empty() { vec![&[]] } else { endpoints.chunks(SLICE).collect() };
    for (n, chunk) in chunks.iter().enumerate() {
        let name = format!("{}-{:05x}", key.1, make::fnv(&format!("{}{n}", object.uid)) & 0xf_ffff);
        let slice = (key.0.clone(), Str::from(name.as_str()));
        if s.at(ENDPOINT_SLICES, &slice).is_some() {
            s.edit(ENDPOINT_SLICES, &slice, |v| (v["endpoints"], v["ports"]) = (json!(chunk), json!(ports)));
            continue;
        }
        s.put(
            ENDPOINT_SLICES,
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": name, "namespace": &*key.0, "generation": 1, "ownerReferences": make::owner_reference("v1", "Service", &object),
                    "labels": {"kubernetes.io/service-name": &*key.1, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
                "addressType": "IPv4", "endpoints": chunk, "ports": ports,
            }),
        );
    }
    let surplus = s.owned(&object.uid, ENDPOINT_SLICES).into_iter().map(|o| o.key.clone());
    let wanted =
        |k: &Key| (0..chunks.len()).any(|n| k.1.ends_with(&format!("-{:05x}", make::fnv(&format!("{}{n}", object.uid)) & 0xf_ffff)));
    for key in surplus.filter(|k| !wanted(k)).collect::<Vec<_>>() {
        s.remove(ENDPOINT_SLICES, &key);
    }
}

/// A pod with an address; `always`: one that is not ready counts as if it were.
fn endpoint(pod: &Obj, always: bool) -> Option<Value> {
    let facts = pod.pod.as_ref()?;
    let address = facts.ip.as_deref()?;
    let serving = facts.ready;
    Some(
        json!({"addresses": [address], "conditions": {"ready": always || serving && !pod.deleting, "serving": serving, "terminating": pod.deleting},
        "nodeName": facts.node.as_deref(), "targetRef": {"kind": "Pod", "namespace": &*pod.key.0, "name": &*pod.key.1, "uid": &*pod.uid}}),
    )
}

/// A port of the Service as its pods have it; a name is looked up in one of them.
fn port(port: &Value, pods: &[Arc<Obj>]) -> Value {
    let named = |name: &str| {
        let pod = pods.first()?.value();
        let containers = pod["spec"]["containers"].as_array()?;
        containers
            .iter()
            .flat_map(|c| c["ports"].as_array().into_iter().flatten())
            .find(|p| p["name"] == name)
            .map(|p| p["containerPort"].clone())
    };
    let target = match &port["targetPort"] {
        Value::String(name) => named(name),
        Value::Number(n) => Some(Value::Number(n.clone())),
        _ => Some(port["port"].clone()),
    };
    let mut out =
        json!({"name": port["name"].as_str().unwrap_or(""), "protocol": port["protocol"].as_str().unwrap_or("TCP"), "port": target});
    if !port["appProtocol"].is_null() {
        out["appProtocol"] = port["appProtocol"].clone();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{control, generate, register::PODS, scenario::Scenario};
    use super::*;

    #[test]
    fn slices_follow_the_pods_and_go_with_the_service() {
        let calm = Scenario { replace_every: 0.0, churn: 0.0, ..Scenario::load("calm").unwrap() };
        let mut s = generate::cluster(&calm, "prod-eu-1", 0, 1, 1_800_000_000);
        let counts = |s: &State| -> (usize, usize) {
            let slices = s.tables[ENDPOINT_SLICES].objects.values().map(|o| o.value());
            let of: Vec<Value> = slices.filter(|v| v["metadata"]["labels"]["kubernetes.io/service-name"] == "checkout").collect();
            let all: Vec<Value> = of.iter().flat_map(|v| v["endpoints"].as_array().cloned().unwrap_or_default()).collect();
            (all.iter().filter(|e| e["conditions"]["ready"] == true).count(), all.len())
        };
        assert_eq!(counts(&s), (6, 6));
        let pod = s.tables[PODS].objects.values().find(|o| o.labels.get("app") == Some("checkout")).unwrap().key.clone();
        s.edit(PODS, &pod, |p| {
            for c in p["status"]["conditions"].as_array_mut().unwrap() {
                c["status"] = "False".into();
            }
        });
        control::settle(&mut s);
        assert_eq!(counts(&s), (5, 6));
        s.remove(SERVICES, &("pay".into(), "checkout".into()));
        let until = s.clock + 1000;
        control::run(&mut s, until);
        assert_eq!(counts(&s), (0, 0));
    }
}
