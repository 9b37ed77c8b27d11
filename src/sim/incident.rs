//! What goes wrong, done to a cluster: at its time in the past, or while people watch.

use super::control::{self, Action, settle};
use super::fault::Fault;
use super::make::{self, App, End};
use super::register::{CONFIGMAPS, CRONJOBS, DEPLOYMENTS, HPAS, NODES, PDBS, PODS, REPLICASETS, SERVICES};
use super::scenario::{Incident, What};
use super::store::{Key, State};
use super::workloads;
use crate::model::Str;

/// Between a bad release and its first crash.
const SOAK: i64 = 300;
/// By which annotation a balancer ends TLS.
const CERTIFICATE: &str = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert";
/// By which label a workload is core.
const CORE: &str = "quarterdeck.io/core";

fn target(incident: &Incident) -> Key {
    let (namespace, name) = incident.target.split_once('/').unwrap_or(("", &incident.target));
    (namespace.into(), name.into())
}

/// The nodes that an incident takes down.
fn nodes(s: &State, incident: &Incident) -> Vec<Str> {
    let zone = |n: &&control::NodeFacts| n.labels["topology.kubernetes.io/zone"].as_str().is_some_and(|z| z.ends_with(&incident.target));
    match incident.what {
        What::ZoneLost => s.world.nodes.iter().filter(zone).map(|n| n.name.clone()).collect(),
        _ => s.tables[NODES].objects.keys().filter(|k| *k.1 == *incident.target).map(|k| k.1.clone()).collect(),
    }
}

/// What is wrong with the API server meanwhile.
fn fault(incident: &Incident) -> Option<Fault> {
    Some(match incident.what {
        What::ApiHangs => Fault::Hang,
        What::ApiRefuses => Fault::Refuse,
        What::ApiSlow => Fault::Slow(incident.amount.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(300)),
        _ => return None,
    })
}

/// What is wrong with the socket of a member of etcd meanwhile.
fn member_fault(incident: &Incident) -> Fault {
    if incident.what == What::EtcdMemberDown { Fault::Refuse } else { Fault::Hang }
}

/// Lets it happen, now.
pub fn begin(s: &mut State, n: usize) {
    let Some(incident) = s.world.incidents.get(n).cloned() else { return };
    if let Some(lasts) = incident.lasts {
        s.later(lasts.0 * 1000, Action::Recover(n));
    }
    let key = target(&incident);
    match incident.what {
        What::ApiHangs | What::ApiRefuses | What::ApiSlow => s.world.outages.extend(fault(&incident).map(|f| (f, true))),
        What::NodeNotReady | What::ZoneLost => {
            let (silent, default) = (incident.message.is_none(), "Kubelet stopped posting node status.");
            for node in nodes(s, &incident) {
                control::node_down(s, &node, silent, incident.message.as_deref().unwrap_or(default));
            }
        }
        What::CrashLoop => crash_loop(s, &incident, &key),
        What::HpaAtMax => {
            let max = s.at(HPAS, &key).and_then(|h| h.value()["spec"]["maxReplicas"].as_i64()).unwrap_or(1);
            s.world.load.insert(key.clone(), incident.amount.unwrap_or(143) * max);
            s.mark(HPAS, &key);
        }
        What::PdbBlocks => {
            let expected = s.at(PDBS, &key).and_then(|p| p.value()["status"]["expectedPods"].as_i64()).unwrap_or(1);
            s.edit(PDBS, &key, |p| {
                p["spec"]["minAvailable"] = expected.into();
                if let Some(spec) = p["spec"].as_object_mut() {
                    spec.shift_remove("maxUnavailable");
                }
            });
        }
        What::Pending => {
            let app = App {
                namespace: key.0.to_string(),
                name: key.1.to_string(),
                image: format!("registry.example.com/{}/{}:2.0", key.0, key.1),
                cpu_m: 2000,
                memory_mi: 700 << 10,
            };
            let deployment = super::generate::deployment(&app, 2);
            s.put(DEPLOYMENTS, deployment);
        }
        What::JobFails => {
            let Some(cronjob) = s.at(CRONJOBS, &key).cloned() else { return };
            let image = cronjob.value()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"]
                .as_str()
                .unwrap_or("")
                .to_owned();
            s.world.broken.insert(image, End { exit: incident.exit.unwrap_or(1), reason: "Error".to_owned() });
            let minute = s.now().div_euclid(60);
            workloads::trigger(s, &cronjob, &format!("{}-{minute}", key.1));
        }
        What::BackupFails => super::velero::fail(s, &key, incident.amount.unwrap_or(3)),
        What::ScheduleLate => super::velero::forget(s, &key, incident.amount.unwrap_or(50 * 3600)),
        What::EtcdMemberDown | What::EtcdMemberHangs => drop(s.member(&incident.target, &member_fault(&incident), true)),
        What::EtcdMemberAils => s.etcd.ails(&incident.target, true),
        What::EtcdFills => {
            let now = s.now();
            s.etcd.fill(now, incident.amount.unwrap_or(120));
        }
        What::AlertStorm => s.alerting.storm = Some((s.now(), incident.amount.unwrap_or(2000))),
        What::Silence => {
            let lasts = incident.lasts.map_or(8 * 3600, |m| m.0);
            s.silenced(&incident.target, lasts, incident.message.as_deref().unwrap_or("known, being worked on"));
        }
        What::LocationUnavailable => super::velero::unreachable(s, &key, incident.message.as_deref()),
        What::VeleroDown => super::velero::die(s),
        What::TlsAtBalancer => {
            let config = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": &*key.1, "namespace": &*key.0},
                "data": {"proxy-body-size": "8m"}});
            s.put(CONFIGMAPS, config);
            s.edit(SERVICES, &key, |v| v["metadata"]["annotations"][CERTIFICATE] = "arn:aws:acm:eu-central-1:1:certificate/edge".into());
        }
        What::CoresPinned => {
            s.world.pinned = true;
            s.edit(DEPLOYMENTS, &key, |v| v["metadata"]["labels"][CORE] = "true".into());
        }
        What::StuckTerminating => {
            let sets = s.at(DEPLOYMENTS, &key).map(|d| s.owned(&d.uid, REPLICASETS)).unwrap_or_default();
            let Some(pod) = sets.iter().flat_map(|r| s.owned(&r.uid, PODS)).find(|p| !p.deleting) else { return };
            s.edit(PODS, &pod.key, |p| p["metadata"]["finalizers"] = serde_json::json!(["example.com/detach-volume"]));
            control::delete(s, PODS, &pod.key, None);
        }
    }
}

/// A release goes out well, and ends badly some minutes later.
fn crash_loop(s: &mut State, incident: &Incident, key: &Key) {
    let Some(image) = incident.image.clone() else { return };
    let past = !s.serving;
    s.world.instant |= past;
    s.edit(DEPLOYMENTS, key, |d| {
        d["spec"]["template"]["spec"]["containers"][0]["image"] = image.as_str().into();
        d["metadata"]["generation"] = (d["metadata"]["generation"].as_i64().unwrap_or(1) + 1).into();
    });
    settle(s);
    if past {
        s.world.instant = false;
    }
    let end = End { exit: incident.exit.unwrap_or(137), reason: incident.reason.clone().unwrap_or_else(|| "Error".to_owned()) };
    s.world.broken.insert(image.clone(), end);
    let hash = s.at(DEPLOYMENTS, key).map(|d| make::template_hash(&d.value()["spec"]["template"])).unwrap_or_default();
    let from = (key.0.clone(), Str::from(""));
    let pods: Vec<_> = s.tables[PODS]
        .objects
        .range(from..)
        .take_while(|(k, _)| k.0 == key.0)
        .filter(|(_, o)| o.labels.get("pod-template-hash") == Some(&hash))
        .map(|(k, o)| (k.clone(), o.uid.clone()))
        .collect();
    for (pod, uid) in pods {
        let wait = SOAK * 1000 + s.rng.i64(0..20_000);
        s.later(wait, Action::Crash(pod, uid));
    }
}

/// Lets it be over.
pub fn end(s: &mut State, n: usize) {
    let Some(incident) = s.world.incidents.get(n).cloned() else { return };
    let key = target(&incident);
    match incident.what {
        What::ApiHangs | What::ApiRefuses | What::ApiSlow => s.world.outages.extend(fault(&incident).map(|f| (f, false))),
        What::NodeNotReady | What::ZoneLost => {
            for node in nodes(s, &incident) {
                control::node_up(s, &node);
            }
        }
        What::CrashLoop => {
            s.world.broken.remove(incident.image.as_deref().unwrap_or(""));
        }
        What::HpaAtMax => {
            s.world.load.remove(&key);
            s.mark(HPAS, &key);
        }
        What::Pending => {
            control::delete(s, DEPLOYMENTS, &key, None);
        }
        What::StuckTerminating => {
            let from = (key.0.clone(), Str::from(""));
            let held: Vec<Key> = s.tables[PODS]
                .objects
                .range(from..)
                .take_while(|(k, _)| k.0 == key.0)
                .filter(|(k, o)| o.deleting && k.1.starts_with(&*key.1))
                .map(|(k, _)| k.clone())
                .collect();
            for pod in held {
                s.edit(PODS, &pod, |p| p["metadata"]["finalizers"] = serde_json::Value::Null);
            }
        }
        What::ScheduleLate | What::BackupFails => super::velero::remember(s, super::register::SCHEDULES, &key),
        What::EtcdMemberDown | What::EtcdMemberHangs => drop(s.member(&incident.target, &member_fault(&incident), false)),
        What::EtcdMemberAils => s.etcd.ails(&incident.target, false),
        What::EtcdFills => {
            let now = s.now();
            s.etcd.stop(now);
        }
        What::AlertStorm => s.alerting.storm = None,
        What::Silence | What::PdbBlocks | What::JobFails => {}
        What::LocationUnavailable => super::velero::remember(s, super::register::LOCATIONS, &key),
        What::VeleroDown => super::velero::live(s),
        What::TlsAtBalancer => {
            s.edit(SERVICES, &key, |v| v["metadata"]["annotations"] = serde_json::json!({}));
        }
        What::CoresPinned => s.world.pinned = false,
    }
}
