//! The workload controllers: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob.
//!
//! Each looks at one object, makes or deletes what is one step away, and writes the status; what follows from that comes back as
//! a change.

use super::control::{Action, create_pod, delete, selected, tolerates};
use super::register::{CLAIMS, CRONJOBS, DAEMONSETS, DEPLOYMENTS, JOBS, PODS, REPLICASETS, STATEFULSETS, VOLUMES};
use super::store::{Key, Obj, State, parse_time, rfc3339};
use super::{make, revisions};
use crate::model::Str;
use serde_json::{Value, json};
use std::sync::Arc;

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
fn size(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}
fn ready(pods: &[Arc<Obj>]) -> i64 {
    count(pods.iter().filter(|p| !p.deleting && p.pod.as_ref().is_some_and(|f| f.ready)).count())
}
/// Pods that count: not ended, not going.
fn living(s: &State, uid: &str) -> Vec<Arc<Obj>> {
    s.owned(uid, PODS).into_iter().filter(|p| !p.deleting && !p.ended()).collect()
}

const REVISION: &str = "deployment.kubernetes.io/revision";

pub fn deployment(s: &mut State, key: &Key) {
    let Some(object) = s.at(DEPLOYMENTS, key).cloned().filter(|o| !o.deleting) else { return };
    let d = object.value();
    let desired = d["spec"]["replicas"].as_i64().unwrap_or(1);
    let name = format!("{}-{}", key.1, make::template_hash(&d["spec"]["template"]));
    let paused = d["spec"]["paused"] == true;
    let now = s.now();
    let mut sets: Vec<(Arc<Obj>, Value)> = s.owned(&object.uid, REPLICASETS).into_iter().map(|o| (o.clone(), o.value())).collect();
    let revision = |v: &Value| v["metadata"]["annotations"][REVISION].as_str().and_then(|r| r.parse::<i64>().ok()).unwrap_or(0);
    let newest = sets.iter().map(|(_, v)| revision(v)).max().unwrap_or(0);
    let at = sets.iter().position(|(_, v)| v["metadata"]["name"] == *name);
    let place = match at {
        Some(at) => at,
        None if paused && !sets.is_empty() => sets.iter().position(|(_, v)| revision(v) == newest).unwrap_or(0),
        None => {
            let hash = make::template_hash(&d["spec"]["template"]);
            let mut template = d["spec"]["template"].clone();
            template["metadata"]["labels"]["pod-template-hash"] = hash.as_str().into();
            let mut selector = d["spec"]["selector"].clone();
            selector["matchLabels"]["pod-template-hash"] = hash.as_str().into();
            let first = if sets.is_empty() { desired } else { 0 };
            let set = json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"name": name, "namespace": &*key.0, "generation": 1, "labels": template["metadata"]["labels"], "ownerReferences": make::owner_reference("apps/v1", "Deployment", &object),
                    "annotations": {REVISION: (newest + 1).to_string(), "deployment.kubernetes.io/desired-replicas": desired.to_string()}},
                "spec": {"replicas": first, "selector": selector, "template": template}, "status": {"replicas": 0},
            });
            let made = s.put(REPLICASETS, set);
            if first > 0 && !s.world.instant {
                scaled(s, &object, &name, 0, first);
            }
            let value = made.value();
            sets.push((made, value));
            sets.len() - 1
        }
    };
    if !paused && revision(&sets[place].1) < newest {
        // A template from before: it is the newest again.
        let made =
            s.edit(REPLICASETS, &sets[place].0.key.clone(), |r| r["metadata"]["annotations"][REVISION] = (newest + 1).to_string().into());
        if let Some(made) = made {
            sets[place] = (made.clone(), made.value());
        }
    }
    if !paused {
        // Who made the change and why stands on the set too: the history is read there.
        let notes = d["metadata"]["annotations"].as_object().into_iter().flatten();
        let notes: Vec<_> = notes.filter(|(k, _)| !k.starts_with("deployment.kubernetes.io/") && !k.contains("last-applied")).collect();
        let made = s.edit(REPLICASETS, &sets[place].0.key.clone(), |r| {
            notes.iter().for_each(|(k, v)| r["metadata"]["annotations"][k.as_str()] = (*v).clone());
        });
        if let Some(made) = made {
            sets[place] = (made.clone(), made.value());
        }
    }
    let replicas = |v: &Value| v["spec"]["replicas"].as_i64().unwrap_or(0);
    let pods: Vec<Vec<Arc<Obj>>> = sets.iter().map(|(o, _)| living(s, &o.uid)).collect();
    let available: i64 = pods.iter().map(|p| ready(p)).sum();
    let others: Vec<usize> = (0..sets.len()).filter(|i| *i != place && replicas(&sets[*i].1) > 0).collect();
    let mut wanted: Vec<(usize, i64)> = Vec::new();
    let current = replicas(&sets[place].1);
    if others.is_empty() {
        wanted.push((place, desired));
    } else if !paused {
        if d["spec"]["strategy"]["type"] == "Recreate" {
            others.iter().for_each(|i| wanted.push((*i, 0)));
        } else {
            let share = |field: &str, up: bool| match &d["spec"]["strategy"]["rollingUpdate"][field] {
                Value::Number(n) => n.as_i64().unwrap_or(1),
                Value::String(t) => {
                    t.trim_end_matches('%').parse::<i64>().map_or(1, |p| if up { (desired * p + 99) / 100 } else { desired * p / 100 })
                }
                _ => {
                    if up {
                        (desired + 3) / 4
                    } else {
                        desired / 4
                    }
                }
            };
            let (surge, mut unavailable) = (share("maxSurge", true), share("maxUnavailable", false));
            if surge == 0 && unavailable == 0 {
                unavailable = 1;
            }
            let total: i64 = sets.iter().map(|(_, v)| replicas(v)).sum();
            let room = (desired + surge - total).max(0);
            wanted.push((place, if current > desired { desired } else { (current + room).min(desired) }));
            // Pods that a set is about to delete serve no more.
            let serving = |i: usize| ready(&pods[i]).min(replicas(&sets[i].1));
            let mut spare = (0..sets.len()).map(serving).sum::<i64>() - (desired - unavailable);
            for i in others {
                let (have, good) = (replicas(&sets[i].1), serving(i));
                let bad = (have - good).max(0);
                let drop = (bad + spare.clamp(0, good)).min(have);
                spare -= (drop - bad).max(0);
                wanted.push((i, have - drop));
            }
        }
    }
    for (i, n) in wanted {
        let from = replicas(&sets[i].1);
        if from != n {
            let set_key = sets[i].0.key.clone();
            s.edit(REPLICASETS, &set_key, |r| {
                r["spec"]["replicas"] = n.into();
                r["metadata"]["generation"] = (r["metadata"]["generation"].as_i64().unwrap_or(1) + 1).into();
            });
            if !s.world.instant {
                scaled(s, &object, &set_key.1, from, n);
            }
        }
    }
    let total: i64 = pods.iter().map(|p| count(p.len())).sum();
    let updated = if at.is_some() || !paused { count(pods[place].len()) } else { 0 };
    let done = updated >= desired && total == updated && available >= desired;
    let rev = revision(&sets[place].1).max(1).to_string();
    let tolerated = match &d["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] {
        Value::Number(n) => n.as_i64().unwrap_or(0),
        _ => desired / 4,
    };
    let set_name = sets[place].0.key.1.clone();
    let deadline = d["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(600);
    let mut recheck = None;
    s.edit(DEPLOYMENTS, key, |d| {
        if !paused {
            d["metadata"]["annotations"][REVISION] = rev.into();
        }
        let generation = d["metadata"]["generation"].clone();
        let before = d["status"].clone();
        let status = &mut d["status"];
        for (field, n) in [
            ("replicas", total),
            ("updatedReplicas", updated),
            ("readyReplicas", available),
            ("availableReplicas", available),
            ("unavailableReplicas", (desired.max(total) - available).max(0)),
        ] {
            status[field] = n.into();
        }
        status["observedGeneration"] = generation;
        let enough = available >= desired - tolerated;
        let word = if enough {
            ("MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        make::condition(status, "Available", if enough { "True" } else { "False" }, word, now);
        let old =
            before["conditions"].as_array().and_then(|c| c.iter().find(|c| c["type"] == "Progressing")).cloned().unwrap_or(Value::Null);
        // A pod that comes or becomes ready is progress; one that goes is not.
        let grown = |field: &str| status[field].as_i64() > before[field].as_i64();
        let was_done = old["reason"] == "NewReplicaSetAvailable";
        let moved = old.is_null()
            || grown("updatedReplicas")
            || grown("readyReplicas")
            || before["observedGeneration"] != status["observedGeneration"];
        let last = if moved { now } else { parse_time(&old["lastUpdateTime"]).unwrap_or(now) };
        let (yes, reason, message) = if done || (was_done && !moved) {
            ("True", "NewReplicaSetAvailable", format!("ReplicaSet \"{set_name}\" has successfully progressed."))
        } else if paused {
            ("Unknown", "DeploymentPaused", "Deployment is paused".to_owned())
        } else if now - last >= deadline {
            ("False", "ProgressDeadlineExceeded", format!("ReplicaSet \"{set_name}\" has timed out progressing."))
        } else {
            recheck = Some(last + deadline - now + 1);
            ("True", "ReplicaSetUpdated", format!("ReplicaSet \"{set_name}\" is progressing."))
        };
        make::condition(status, "Progressing", yes, (reason, &message), now);
        for c in status["conditions"].as_array_mut().into_iter().flatten() {
            if c["type"] == "Progressing" {
                c["lastUpdateTime"] = rfc3339(last).into();
            } else if c["lastUpdateTime"].is_null() {
                c["lastUpdateTime"] = c["lastTransitionTime"].clone();
            }
        }
    });
    if let Some(seconds) = recheck {
        s.later(seconds * 1000, Action::Reconcile(DEPLOYMENTS, key.clone()));
    }
}

fn scaled(s: &mut State, deployment: &Obj, set: &str, from: i64, to: i64) {
    let word = if to > from { "up" } else { "down" };
    s.event(
        DEPLOYMENTS,
        deployment,
        false,
        "ScalingReplicaSet",
        &format!("Scaled {word} replica set {set} from {from} to {to}"),
        "deployment-controller",
    );
}

pub fn replicaset(s: &mut State, key: &Key) {
    let Some(object) = s.at(REPLICASETS, key).cloned().filter(|o| !o.deleting) else { return };
    let r = object.value();
    let desired = r["spec"]["replicas"].as_i64().unwrap_or(1);
    let mut pods = living(s, &object.uid);
    for _ in count(pods.len())..desired {
        let name = format!("{}-{}", key.1, s.suffix(5));
        let pod = make::pod(&r["spec"]["template"], &name, &key.0, make::owner_reference("apps/v1", "ReplicaSet", &object), &[]);
        create_pod(s, pod);
        if !s.world.instant {
            s.event(REPLICASETS, &object, false, "SuccessfulCreate", &format!("Created pod: {name}"), "replicaset-controller");
        }
    }
    if count(pods.len()) > desired {
        // Those that serve least go first: not placed, not ready, the youngest.
        pods.sort_by_key(|p| p.pod.as_ref().map(|f| (f.node.is_some(), f.ready, std::cmp::Reverse(p.rv))));
        for p in &pods[..pods.len() - size(desired)] {
            delete(s, PODS, &p.key, None);
            s.event(REPLICASETS, &object, false, "SuccessfulDelete", &format!("Deleted pod: {}", p.key.1), "replicaset-controller");
        }
    }
    let pods = living(s, &object.uid);
    let good = ready(&pods);
    s.edit(REPLICASETS, key, |r| {
        let generation = r["metadata"]["generation"].clone();
        let n = count(pods.len());
        r["status"] = json!({"replicas": n, "fullyLabeledReplicas": n, "readyReplicas": good, "availableReplicas": good, "observedGeneration": generation});
    });
}

pub fn statefulset(s: &mut State, key: &Key) {
    let Some(object) = s.at(STATEFULSETS, key).cloned().filter(|o| !o.deleting) else { return };
    let v = object.value();
    let desired = v["spec"]["replicas"].as_i64().unwrap_or(1);
    let revision = format!("{}-{}", key.1, make::template_hash(&v["spec"]["template"]));
    let in_use: Vec<Str> =
        s.owned(&object.uid, PODS).iter().filter_map(|p| p.labels.get("controller-revision-hash").map(Str::from)).collect();
    revisions::keep(s, &object, "StatefulSet", &v, &in_use);
    let parallel = v["spec"]["podManagementPolicy"] == "Parallel" || s.world.instant;
    let ordinal = |p: &Obj| p.key.1.rsplit('-').next().and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
    let all = s.owned(&object.uid, PODS);
    let mut steady = true;
    for n in 0..desired {
        let name = format!("{}-{n}", key.1);
        match all.iter().find(|p| *p.key.1 == *name) {
            Some(p) if p.pod.as_ref().is_some_and(|f| f.ready) && !p.deleting => {}
            Some(_) => steady = false,
            None if steady || parallel => {
                let extra = [
                    ("statefulset.kubernetes.io/pod-name", name.as_str()),
                    ("apps.kubernetes.io/pod-index", &n.to_string()),
                    ("controller-revision-hash", &revision),
                ];
                let mut pod =
                    make::pod(&v["spec"]["template"], &name, &key.0, make::owner_reference("apps/v1", "StatefulSet", &object), &extra);
                claims(s, &v, &name, &mut pod);
                create_pod(s, pod);
                if !s.world.instant {
                    s.event(
                        STATEFULSETS,
                        &object,
                        false,
                        "SuccessfulCreate",
                        &format!("create Pod {name} in StatefulSet {} successful", key.1),
                        "statefulset-controller",
                    );
                }
                steady = false;
            }
            None => {}
        }
        if !steady && !parallel {
            break;
        }
    }
    let mut extra: Vec<_> = all.iter().filter(|p| ordinal(p) >= desired && !p.deleting).collect();
    extra.sort_by_key(|p| ordinal(p));
    if let Some(p) = extra.last() {
        delete(s, PODS, &p.key, None);
    } else if steady && v["spec"]["updateStrategy"]["type"] != "OnDelete" {
        let partition = v["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
        let old = all.iter().filter(|p| p.labels.get("controller-revision-hash") != Some(&revision) && ordinal(p) >= partition);
        if let Some(p) = old.max_by_key(|p| ordinal(p)) {
            delete(s, PODS, &p.key, None);
        }
    }
    let pods = living(s, &object.uid);
    let good = ready(&pods);
    let updated = count(pods.iter().filter(|p| p.labels.get("controller-revision-hash") == Some(&revision)).count());
    s.edit(STATEFULSETS, key, |v| {
        let generation = v["metadata"]["generation"].clone();
        let current = v["status"]["currentRevision"].as_str().filter(|_| updated < desired).map_or_else(|| revision.clone(), ToOwned::to_owned);
        let n = count(pods.len());
        v["status"] = json!({"replicas": n, "readyReplicas": good, "availableReplicas": good, "currentReplicas": if current == revision { n } else { n - updated }, "updatedReplicas": updated,
            "currentRevision": current, "updateRevision": revision, "observedGeneration": generation, "collisionCount": 0});
    });
}

/// A claim that is gone takes its volume with it: that is what its class wants.
pub fn claim(s: &mut State, key: &Key) {
    if s.at(CLAIMS, key).is_some() {
        return;
    }
    let of_it = |o: &Arc<Obj>| {
        let reference = &o.value()["spec"]["claimRef"];
        reference["namespace"] == *key.0 && reference["name"] == *key.1
    };
    let volumes: Vec<Key> = s.tables[VOLUMES].objects.values().filter(|o| of_it(o)).map(|o| o.key.clone()).collect();
    for volume in volumes {
        delete(s, VOLUMES, &volume, None);
    }
}

/// The claims of a StatefulSet's pod, made and bound where they are not there yet, and mounted. They stay when the pod goes.
fn claims(s: &mut State, set: &Value, pod_name: &str, pod: &mut Value) {
    for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volume = template["metadata"]["name"].as_str().unwrap_or("data").to_owned();
        let (name, namespace) = (format!("{volume}-{pod_name}"), set["metadata"]["namespace"].clone());
        let key: Key = (namespace.as_str().unwrap_or_default().into(), name.as_str().into());
        if s.at(CLAIMS, &key).is_none() {
            let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace,
                "labels": set["spec"]["selector"]["matchLabels"]}, "spec": template["spec"], "status": {"phase": "Pending"}});
            claim["spec"]["volumeMode"] = "Filesystem".into();
            let made = s.put(CLAIMS, claim);
            let (of, capacity) = (format!("pvc-{}", made.uid), json!({"storage": template["spec"]["resources"]["requests"]["storage"]}));
            s.put(
                VOLUMES,
                json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": of},
                    "spec": {"capacity": capacity, "accessModes": template["spec"]["accessModes"], "persistentVolumeReclaimPolicy": "Delete",
                        "storageClassName": template["spec"]["storageClassName"], "volumeMode": "Filesystem",
                        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name, "uid": &*made.uid},
                        "csi": {"driver": "csi.example.com", "volumeHandle": of}},
                    "status": {"phase": "Bound"}}),
            );
            s.edit(CLAIMS, &key, |c| {
                c["spec"]["volumeName"] = of.into();
                c["status"] = json!({"phase": "Bound", "accessModes": template["spec"]["accessModes"], "capacity": capacity});
            });
        }
        if !pod["spec"]["volumes"].is_array() {
            pod["spec"]["volumes"] = json!([]);
        }
        if let Some(volumes) = pod["spec"]["volumes"].as_array_mut() {
            volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": name}}));
        }
    }
}

pub fn daemonset(s: &mut State, key: &Key) {
    let Some(object) = s.at(DAEMONSETS, key).cloned().filter(|o| !o.deleting) else { return };
    let v = object.value();
    let template = &v["spec"]["template"];
    let hash = make::template_hash(template);
    let all = s.owned(&object.uid, PODS);
    let in_use: Vec<Str> =
        all.iter().filter_map(|p| p.labels.get("controller-revision-hash").map(|h| Str::from(format!("{}-{h}", key.1)))).collect();
    revisions::keep(s, &object, "DaemonSet", &v, &in_use);
    // Daemons stay where others must go.
    let meant = |n: &super::control::NodeFacts| {
        selected(&template["spec"], &n.labels)
            && n.taints
                .iter()
                .all(|t| t.0.starts_with("node.kubernetes.io/") || tolerates(&template["spec"], t) || t.2 == "PreferNoSchedule")
    };
    let nodes: Vec<(Str, bool)> = s.world.nodes.iter().map(|n| (n.name.clone(), meant(n))).collect();
    let (mut wanted, mut wrong) = (0, 0);
    let mut outdated = None;
    for (node, meant) in &nodes {
        let mine: Vec<_> = all.iter().filter(|p| p.pod.as_ref().is_some_and(|f| f.node.as_ref() == Some(node))).collect();
        wanted += i64::from(*meant);
        match (meant, mine.is_empty()) {
            (true, true) => {
                let name = format!("{}-{}", key.1, s.suffix(5));
                let mut pod = make::pod(
                    template,
                    &name,
                    &key.0,
                    make::owner_reference("apps/v1", "DaemonSet", &object),
                    &[("controller-revision-hash", &hash)],
                );
                make::bind(&mut pod, node, s.now());
                create_pod(s, pod);
            }
            (false, false) => {
                wrong += 1;
                mine.iter().filter(|p| !p.deleting).for_each(|p| {
                    delete(s, PODS, &p.key, None);
                });
            }
            _ => {
                outdated = mine
                    .iter()
                    .find(|p| !p.deleting && p.labels.get("controller-revision-hash") != Some(&hash))
                    .map(|p| p.key.clone())
                    .or(outdated)
            }
        }
    }
    let pods = living(s, &object.uid);
    let good = ready(&pods);
    if let Some(old) = outdated.filter(|_| good >= wanted && v["spec"]["updateStrategy"]["type"] != "OnDelete") {
        delete(s, PODS, &old, None);
    }
    let updated = count(pods.iter().filter(|p| p.labels.get("controller-revision-hash") == Some(&hash)).count());
    s.edit(DAEMONSETS, key, |v| {
        let generation = v["metadata"]["generation"].clone();
        v["status"] = json!({"currentNumberScheduled": count(pods.len()), "desiredNumberScheduled": wanted, "numberReady": good, "numberAvailable": good, "numberUnavailable": (wanted - good).max(0),
            "numberMisscheduled": wrong, "updatedNumberScheduled": updated, "observedGeneration": generation});
    });
}

pub fn job(s: &mut State, key: &Key) {
    let Some(object) = s.at(JOBS, key).cloned().filter(|o| !o.deleting) else { return };
    let v = object.value();
    let over = v["status"]["conditions"]
        .as_array()
        .is_some_and(|c| c.iter().any(|c| (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True"));
    if over {
        return;
    }
    let spec = &v["spec"];
    let (completions, parallelism, limit) =
        (spec["completions"].as_i64().unwrap_or(1), spec["parallelism"].as_i64().unwrap_or(1), spec["backoffLimit"].as_i64().unwrap_or(6));
    let pods = s.owned(&object.uid, PODS);
    let phase = |wanted: &str| count(pods.iter().filter(|p| p.pod.as_ref().is_some_and(|f| &*f.phase == wanted)).count());
    let (succeeded, failed) = (phase("Succeeded"), phase("Failed"));
    let living = living(s, &object.uid);
    let now = s.now();
    let mut active = count(living.len());
    let ended = if failed > limit {
        Some(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    } else if succeeded >= completions {
        Some(("Complete", "CompletionsReached", "Reached expected number of succeeded pods"))
    } else {
        None
    };
    if ended.is_none() && spec["suspend"] != true {
        while active < parallelism.min(completions - succeeded) {
            let name = format!("{}-{}", key.1, s.suffix(5));
            let labels = [("job-name", &*key.1), ("batch.kubernetes.io/job-name", &*key.1), ("controller-uid", &*object.uid)];
            let pod = make::pod(&spec["template"], &name, &key.0, make::owner_reference("batch/v1", "Job", &object), &labels);
            create_pod(s, pod);
            s.event(JOBS, &object, false, "SuccessfulCreate", &format!("Created pod: {name}"), "job-controller");
            active += 1;
        }
    } else if ended.is_some() {
        for p in &living {
            delete(s, PODS, &p.key, None);
        }
        active = 0;
    }
    s.edit(JOBS, key, |v| {
        let status = &mut v["status"];
        for (field, n) in [("active", active), ("succeeded", succeeded), ("failed", failed), ("ready", ready(&living)), ("terminating", 0)]
        {
            status[field] = n.into();
        }
        if status["startTime"].is_null() {
            status["startTime"] = rfc3339(now).into();
        }
        if let Some((kind, reason, message)) = ended {
            make::condition(status, kind, "True", (reason, message), now);
            if kind == "Complete" {
                status["completionTime"] = rfc3339(now).into();
            }
        }
    });
    if let Some((kind, reason, message)) = ended {
        let failed = kind == "Failed";
        s.event(
            JOBS,
            &object,
            failed,
            if failed { reason } else { "Completed" },
            if failed { message } else { "Job completed" },
            "job-controller",
        );
    }
}

/// What a CronJob's status says about its jobs, and which old ones go.
pub fn cronjob(s: &mut State, key: &Key) {
    let Some(object) = s.at(CRONJOBS, key).cloned().filter(|o| !o.deleting) else { return };
    let is = |v: &Value, kind: &str| {
        v["status"]["conditions"].as_array().is_some_and(|c| c.iter().any(|c| c["type"] == kind && c["status"] == "True"))
    };
    let mut jobs: Vec<(Arc<Obj>, Value)> = s.owned(&object.uid, JOBS).into_iter().map(|o| (o.clone(), o.value())).collect();
    jobs.sort_by_key(|(_, v)| parse_time(&v["metadata"]["creationTimestamp"]));
    for (kind, kept) in [("Complete", 3), ("Failed", 1)] {
        let ended: Vec<_> = jobs.iter().filter(|(_, v)| is(v, kind)).map(|(o, _)| o.key.clone()).collect();
        for old in ended.iter().take(ended.len().saturating_sub(kept)) {
            delete(s, JOBS, old, None);
        }
    }
    let active: Vec<Value> = jobs
        .iter()
        .filter(|(_, v)| !is(v, "Complete") && !is(v, "Failed"))
        .map(|(o, _)| json!({"apiVersion": "batch/v1", "kind": "Job", "namespace": &*o.key.0, "name": &*o.key.1, "uid": &*o.uid}))
        .collect();
    let success = jobs.iter().rfind(|(_, v)| is(v, "Complete")).map(|(_, v)| v["status"]["completionTime"].clone());
    s.edit(CRONJOBS, key, |v| {
        if active.is_empty() {
            if let Some(status) = v["status"].as_object_mut() {
                status.shift_remove("active");
            }
        } else {
            v["status"]["active"] = active.into();
        }
        if let Some(at) = success {
            v["status"]["lastSuccessfulTime"] = at;
        }
    });
}

/// Whether a field of a schedule takes the number: `*`, `*/n`, `n`, lists.
fn field(text: &str, n: i64) -> bool {
    text.split(',').any(|part| match part.split_once("*/") {
        Some((_, step)) => step.parse::<i64>().is_ok_and(|step| step > 0 && n % step == 0),
        None => part == "*" || part.parse() == Ok(n),
    })
}

/// Makes the job of this minute, if there is one.
pub fn schedule(s: &mut State, key: &Key) {
    let Some(object) = s.at(CRONJOBS, key).cloned().filter(|o| !o.deleting) else { return };
    let v = object.value();
    let now = s.now();
    let fields: Vec<&str> = v["spec"]["schedule"].as_str().unwrap_or("").split_whitespace().collect();
    let (minute, hour) = (now.div_euclid(60).rem_euclid(60), now.div_euclid(3600).rem_euclid(24));
    if v["spec"]["suspend"] == true || fields.len() != 5 || !field(fields[0], minute) || !field(fields[1], hour) {
        return;
    }
    trigger(s, &object, &format!("{}-{}", key.1, now.div_euclid(60)));
}

/// Makes a job from a CronJob's template.
pub fn trigger(s: &mut State, cronjob: &Obj, name: &str) {
    let v = cronjob.value();
    let now = s.now();
    let mut spec = v["spec"]["jobTemplate"]["spec"].clone();
    spec["template"]["metadata"]["labels"]["job-name"] = name.into();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": &*cronjob.key.0, "generation": 1, "labels": {"app": &*cronjob.key.1}, "ownerReferences": make::owner_reference("batch/v1", "CronJob", cronjob)},
        "spec": spec, "status": {},
    });
    s.put(JOBS, job);
    s.edit(CRONJOBS, &cronjob.key, |c| c["status"]["lastScheduleTime"] = rfc3339(now).into());
    s.event(CRONJOBS, cronjob, false, "SuccessfulCreate", &format!("Created job {name}"), "cronjob-controller");
}
