//! metrics.k8s.io: what nodes and pods use, made up from what they request: the same for the same fleet and time, much below it here, above it there.
//!
//! It rises and falls with an app's load, which comes and goes over the better part of an hour, and is measured anew every minute.
//! What an autoscaler looks after uses what the autoscaler says; nothing is told of a node whose kubelet is dead, nor of its pods.

use super::api::Role;
use super::list;
use super::query::{Place, Query, Wanted};
use super::register::{DEPLOYMENTS, NODES, PODS, REGISTER, STATEFULSETS};
use super::reply::{Accept, Refusal, Reply, json_reply};
use super::serve::Cluster;
use super::store::{Obj, State, rfc3339};
use crate::model::Str;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::f64::consts::TAU;
use std::sync::Arc;

pub const GROUP: &str = "metrics.k8s.io";
pub const VERSION: &str = "v1beta1";
/// Plural, kind, whether in namespaces.
pub const RESOURCES: [(&str, &str, bool); 2] = [("nodes", "NodeMetrics", false), ("pods", "PodMetrics", true)];

/// Of a node without any pod: nanocores and bytes.
const IDLE: Amount = Amount { cpu: 120_000_000, memory: 600 << 20 };

#[derive(Clone, Copy, Default)]
pub struct Amount {
    /// Nanocores.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
}

/// Answers a request; `rest`: what follows the version in its path.
pub async fn answer(cluster: &Cluster, role: Role, rest: &[&str], query: &Query, accept: Accept) -> Result<Reply, Refusal> {
    let (res, namespace, name) = match rest {
        ["nodes"] => (NODES, None, None),
        ["nodes", name] => (NODES, None, Some(*name)),
        ["pods"] => (PODS, None, None),
        ["namespaces", ns, "pods"] => (PODS, Some(*ns), None),
        ["namespaces", ns, "pods", name] => (PODS, Some(*ns), Some(*name)),
        _ => return Err(Refusal::new(404, "NotFound", "the server could not find the requested resource")),
    };
    let (plural, verb) = (REGISTER[res].plural, if name.is_some() { "get" } else { "list" });
    let whole = format!("{plural}.{GROUP}");
    if !role.may(verb, plural) || cluster.switch.now().forbidden.contains(&whole) {
        let scope = namespace.map_or_else(|| "at the cluster scope".to_owned(), |n| format!("in the namespace \"{n}\""));
        let user = role.user();
        let text = format!("{whole} is forbidden: User \"{user}\" cannot {verb} resource \"{plural}\" in API group \"{GROUP}\" {scope}");
        return Err(Refusal::new(403, "Forbidden", text));
    }
    let place = Place { res, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned), sub: None, old: false };
    let wanted = Wanted::of(&place, query).map_err(Refusal::bad)?;
    let (found, now) = {
        let s = cluster.read();
        (if res == NODES { nodes(&s, &wanted) } else { pods(&s, &wanted) }, rfc3339(s.now()))
    };
    let kind = if res == NODES { "NodeMetrics" } else { "PodMetrics" };
    if let Some(name) = name {
        let (object, amount) = found.first().ok_or_else(|| Refusal::new(404, "NotFound", format!("{whole} \"{name}\" not found")))?;
        let mut doc = item(object, *amount, res == NODES, &now);
        (doc["kind"], doc["apiVersion"]) = (kind.into(), format!("{GROUP}/{VERSION}").into());
        return Ok(json_reply(200, &doc));
    }
    let write = move |out: &mut dyn std::io::Write| -> std::io::Result<()> {
        write!(out, "{{\"kind\":\"{kind}List\",\"apiVersion\":\"{GROUP}/{VERSION}\",\"metadata\":{{}},\"items\":[")?;
        for (n, (object, amount)) in found.iter().enumerate() {
            write!(out, "{}{}", if n > 0 { "," } else { "" }, item(object, *amount, res == NODES, &now))?;
        }
        out.write_all(b"]}\n")
    };
    Ok(list::send("application/json", accept.gzip, write).await)
}

/// What each of the wanted pods uses.
pub fn pods(s: &State, wanted: &Wanted) -> Vec<(Arc<Obj>, Amount)> {
    let mut loads = HashMap::new();
    let all = s.tables[PODS].objects.values().filter(|o| wanted.takes(o));
    all.filter_map(|o| Some((o.clone(), pod(s, o, &mut loads)?))).collect()
}

/// What each of the wanted nodes uses.
pub fn nodes(s: &State, wanted: &Wanted) -> Vec<(Arc<Obj>, Amount)> {
    let (mut loads, mut sums) = (HashMap::new(), HashMap::<&str, Amount>::new());
    for object in s.tables[PODS].objects.values() {
        let Some((node, amount)) = object.pod.as_ref().and_then(|p| p.node.as_deref()).zip(pod(s, object, &mut loads)) else { continue };
        let sum = sums.entry(node).or_insert(IDLE);
        (sum.cpu, sum.memory) = (sum.cpu + amount.cpu, sum.memory + amount.memory);
    }
    let all = s.tables[NODES].objects.values().filter(|o| wanted.takes(o) && !s.world.dead.contains(&o.key.1));
    all.map(|o| (o.clone(), sums.get(&*o.key.1).copied().unwrap_or(IDLE))).collect()
}

/// What a pod uses; none while it does not run.
pub fn pod(s: &State, object: &Obj, loads: &mut HashMap<Str, Option<i64>>) -> Option<Amount> {
    let facts = object.pod.as_ref().filter(|p| &*p.phase == "Running")?;
    if s.world.dead.contains(facts.node.as_ref()?) {
        return None;
    }
    let owner = object.owner.as_ref();
    let app = object.labels.get("app").or(owner.map(|(_, name, _)| &**name)).unwrap_or(&object.key.1);
    let load = owner.and_then(|owner| *loads.entry(owner.2.clone()).or_insert_with(|| load(s, &object.key.0, owner)));
    let (of_app, of_pod) = (hash(&[&object.key.0, app]), hash(&[&object.key.0, &object.key.1]));
    let around = |percent: i64, spread: i64| percent * (100 - spread + (of_pod % (2 * spread as u64 + 1)) as i64) / 100;
    let cpu = around(load.unwrap_or(8 + (of_app % 120) as i64), 12);
    let memory = around(30 + (of_app / 120 % 75) as i64, 4);
    // Who requests nothing uses something all the same.
    let (asked, reserved) = (facts.cpu.max(20), facts.memory.max(48 << 20));
    let busy = if load.is_some() { 1000 } else { busy(of_app, of_pod, s.now()) };
    Some(Amount { cpu: asked * cpu * 10 * busy, memory: reserved / 100 * memory / 1000 * (900 + busy / 10) })
}

/// Between two measurements, seconds.
const MEASURE: i64 = 60;

/// How much of its usual use an app's pod is at, in thousandths: from 600 to 1000, in waves of the app's own length, and a little as the pod likes.
fn busy(of_app: u64, of_pod: u64, now: i64) -> i64 {
    let step = now / MEASURE;
    let long = 2100.0 + (of_app % 1500) as f64;
    let phase = (of_app / 1500 % 997) as f64 / 997.0;
    let wave = (TAU * ((step * MEASURE) as f64 / long + phase)).sin();
    let own = (hash(&[&of_pod.to_string(), &step.to_string()]) % 1000) as f64 / 500.0 - 1.0;
    800 + (150.0 * wave + 50.0 * own) as i64
}

/// Percent of its request that a pod of an autoscaled workload uses.
fn load(s: &State, namespace: &Str, (kind, name, uid): &(Str, Str, Str)) -> Option<i64> {
    let target = match &**kind {
        "ReplicaSet" => (DEPLOYMENTS, (namespace.clone(), Str::from(name.rsplit_once('-')?.0))),
        "StatefulSet" => (STATEFULSETS, (namespace.clone(), name.clone())),
        _ => return None,
    };
    let all = s.world.load.get(s.world.scaler_of.get(&target)?)?;
    let pods = s.children.get(uid)?.iter().filter(|(res, _)| *res == PODS).count();
    Some(all / i64::try_from(pods).ok()?.max(1))
}

/// FNV-1a: the same in every build.
pub fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|p| p.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// What of a pod its measurement names.
#[derive(Deserialize)]
struct Shape {
    spec: Spec,
}
#[derive(Deserialize)]
struct Spec {
    containers: Vec<Container>,
}
#[derive(Deserialize)]
struct Container {
    name: String,
}

fn item(object: &Obj, amount: Amount, node: bool, now: &str) -> Value {
    let usage = |cpu: i64, memory: i64| json!({"cpu": format!("{cpu}n"), "memory": format!("{}Ki", memory >> 10)});
    let labels: serde_json::Map<String, Value> = object.labels.iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    let mut meta = json!({"name": &*object.key.1, "creationTimestamp": now, "labels": labels});
    if node {
        return json!({"metadata": meta, "timestamp": now, "window": "15s", "usage": usage(amount.cpu, amount.memory)});
    }
    meta["namespace"] = (&*object.key.0).into();
    let containers = serde_json::from_slice::<Shape>(&object.json).map(|s| s.spec.containers).unwrap_or_default();
    let many = i64::try_from(containers.len()).unwrap_or(1).max(1);
    // The first does the work.
    let part = |all: i64, n: usize| if n == 0 { all - all / (2 * many) * (many - 1) } else { all / (2 * many) };
    let containers = containers.iter().enumerate();
    let containers: Vec<Value> =
        containers.map(|(n, c)| json!({"name": c.name, "usage": usage(part(amount.cpu, n), part(amount.memory, n))})).collect();
    json!({"metadata": meta, "timestamp": now, "window": "15s", "containers": containers})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_comes_and_goes_in_its_bounds_and_is_the_same_for_the_same_time() {
        for app in 1..40_u64 {
            let (of_app, of_pod) = (hash(&[&app.to_string()]), hash(&["pod", &app.to_string()]));
            let course: Vec<i64> = (0..120).map(|n| busy(of_app, of_pod, 1_767_225_600 + n * MEASURE)).collect();
            let (least, most) = (course.iter().min().unwrap(), course.iter().max().unwrap());
            assert!((600..=1000).contains(least) && (600..=1000).contains(most) && most - least > 250, "{least} {most}");
            // A wave is no noise: it goes on as it went.
            assert!(course.windows(2).all(|w| (w[0] - w[1]).abs() < 140), "{course:?}");
            assert_eq!(busy(of_app, of_pod, 1_767_225_600), busy(of_app, of_pod, 1_767_225_659), "measured every minute");
        }
    }
}
