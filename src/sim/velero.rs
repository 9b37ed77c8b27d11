//! Velero in a simulated cluster: a storage location, schedules and their backups, and a server that carries out what is asked for.
//!
//! A backup that is made while it runs has the objects that a restore of it makes again; those that are there from the start have none.

use super::control::Action;
use super::generate::Plan;
use super::register::{
    BACKUPS, CLAIMS, CRONJOBS, DAEMONSETS, DELETIONS, DEPLOYMENTS, DOWNLOADS, HPAS, INGRESSES, LOCATIONS, NAMESPACES, PDBS, REGISTER,
    RESTORES, Res, SCHEDULES, SERVICES, STATEFULSETS,
};
use super::store::{Key, Obj, State, parse_time, rfc3339};
use crate::model::{Backup, Interner, Kind, Object, RunState, Str, decode_json};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;

const NAMESPACE: &str = "velero";
/// A schedule with this annotation is no longer looked at, and a location with it cannot be reached.
const STUCK: &str = "quarterdeck.io/stuck";
/// At how many items each backup of a schedule fails.
const FAILS: &str = "quarterdeck.io/fails";
/// Milliseconds between two looks at what runs, and how many of these it takes.
const STEP: i64 = 2000;
const STEPS: i64 = 5;

/// What a backup has: what controllers make again is none of it.
const KEPT: [Res; 12] = [NAMESPACES, SERVICES, INGRESSES, 5, 6, CLAIMS, DEPLOYMENTS, STATEFULSETS, DAEMONSETS, CRONJOBS, HPAS, PDBS];
/// What lies in the store.
pub const STORE: &str = "/store/";

/// A schedule that every cluster has.
struct Made {
    name: &'static str,
    expression: &'static str,
    /// None: all.
    namespaces: &'static [&'static str],
    /// Seconds between two runs.
    every: i64,
    /// Backups that are there.
    kept: i64,
    items: i64,
}

const SCHEDULES_MADE: [Made; 3] = [
    Made { name: "nightly", expression: "0 2 * * *", namespaces: &[], every: 86_400, kept: 7, items: 1240 },
    Made { name: "pay-hourly", expression: "@every 1h", namespaces: &["pay", "auth"], every: 3600, kept: 24, items: 310 },
    Made { name: "shop-6h", expression: "0 */6 * * *", namespaces: &["shop"], every: 6 * 3600, kept: 8, items: 420 },
];

/// What is there at `start` (unix seconds): the last two hours' backups are made by the schedules themselves.
pub fn plan(plan: &mut Plan, start: i64) {
    let bucket = json!({"bucket": "backups", "prefix": "velero"});
    plan.push((
        25 * 86_400,
        LOCATIONS,
        json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default", "namespace": NAMESPACE, "generation": 1},
            "spec": {"provider": "aws", "default": true, "accessMode": "ReadWrite", "objectStorage": bucket},
            "status": {"phase": "Available", "lastSyncedTime": rfc3339(start - 30), "lastValidationTime": rfc3339(start - 40)}}),
    ));
    let until = start - 7200;
    for Made { name, expression, namespaces, every, kept, items } in SCHEDULES_MADE {
        let template = json!({"includedNamespaces": namespaces, "storageLocation": "default", "ttl": "720h0m0s"});
        // At their hours; those of `@every` 37 minutes past: by the clock, so that fleets of one seed are one.
        let last = match name {
            "nightly" => until - (until - 7200).rem_euclid(every),
            "shop-6h" => until - until.rem_euclid(every),
            _ => until - (until - 2220).rem_euclid(every),
        };
        plan.push((
            25 * 86_400,
            SCHEDULES,
            json!({"apiVersion": "velero.io/v1", "kind": "Schedule", "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1},
                "spec": {"schedule": expression, "template": template, "useOwnerReferencesInBackup": false}, "status": {"phase": "Enabled", "lastBackup": rfc3339(last)}}),
        ));
        for n in 0..kept {
            let at = last - n * every;
            let mut made = backup(name, &template, at);
            made["status"] = json!({"phase": "Completed", "version": 1, "formatVersion": "1.1.0", "startTimestamp": rfc3339(at), "completionTimestamp": rfc3339(at + 42 + n),
                "expiration": rfc3339(at + 30 * 86_400), "progress": {"totalItems": items - n, "itemsBackedUp": items - n}});
            plan.push((start - at, BACKUPS, made));
        }
    }
}

/// A new backup of a schedule.
fn backup(schedule: &str, template: &Value, at: i64) -> Value {
    let stamp: String = rfc3339(at).chars().filter(char::is_ascii_digit).take(14).collect();
    json!({"apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": {"name": format!("{schedule}-{stamp}"), "namespace": NAMESPACE, "generation": 1, "labels": {"velero.io/schedule-name": schedule, "velero.io/storage-location": "default"}},
        "spec": template, "status": {"phase": "New"}})
}

/// Once a minute: what is due is begun, and locations are looked at.
pub fn minute(s: &mut State) {
    if s.world.velero_dead {
        return;
    }
    let now = s.now();
    let due = |o: &Obj| match decode_json(Kind::Schedule, &o.json, &mut Interner::default()) {
        Ok(Object::Schedule(schedule)) => schedule.due().filter(|at| *at <= now),
        _ => None,
    };
    let all = s.tables[SCHEDULES].objects.iter().filter_map(|(k, o)| Some((k.clone(), o.value(), due(o)?)));
    for (key, schedule, at) in all.collect::<Vec<_>>() {
        if schedule["metadata"]["annotations"][STUCK].is_string() {
            continue;
        }
        s.put(BACKUPS, backup(&key.1, &schedule["spec"]["template"], at));
        s.edit(SCHEDULES, &key, |v| v["status"]["lastBackup"] = rfc3339(at).into());
    }
    for key in s.tables[LOCATIONS].objects.keys().cloned().collect::<Vec<_>>() {
        s.edit(LOCATIONS, &key, |v| {
            let stuck = v["metadata"]["annotations"][STUCK].is_string();
            v["status"]["phase"] = if stuck { "Unavailable" } else { "Available" }.into();
            v["status"]["lastValidationTime"] = rfc3339(now).into();
            if stuck {
                v["status"]["message"] = v["metadata"]["annotations"][STUCK].clone();
            } else {
                v["status"]["lastSyncedTime"] = rfc3339(now).into();
                v["status"]["message"] = Value::Null;
            }
        });
    }
}

/// A backup or a restore has changed: what waits is begun.
pub fn look(s: &mut State, res: Res, key: &Key) {
    let waits = |o: &Obj| {
        let read = if res == BACKUPS { Kind::Backup } else { Kind::Restore };
        let run = match decode_json(read, &o.json, &mut Interner::default()) {
            Ok(Object::Backup(b)) => b.run.clone(),
            Ok(Object::Restore(r)) => r.run.clone(),
            _ => return false,
        };
        run.state() == RunState::Waiting
    };
    if s.world.velero_dead || !s.at(res, key).is_some_and(|o| !o.deleting && waits(o)) {
        return;
    }
    let now = s.now();
    if let Some(why) = invalid(s, res, key) {
        s.edit(res, key, |v| v["status"] = json!({"phase": "FailedValidation", "validationErrors": [why]}));
        return;
    }
    let total = match of_backup(s, res, key).and_then(|name| s.world.kept.get(&name)) {
        Some(kept) if res == RESTORES => i64::try_from(kept.len()).unwrap_or(1).max(1),
        _ => {
            let any = s.rng.i64(120..900);
            // A schedule's backups are of a size: a few items come and go.
            usual(s, res, key).map_or(any, |items| items + any % 5)
        }
    };
    s.edit(res, key, |v| v["status"] = json!({"phase": "InProgress", "startTimestamp": rfc3339(now), "progress": {"totalItems": total}}));
    if res == BACKUPS {
        s.edit(res, key, |v| v["status"]["expiration"] = rfc3339(now + 30 * 86_400).into());
    }
    s.later(STEP, Action::Velero(res, key.clone()));
}

/// How many items the backups have of the schedule that made this one.
fn usual(s: &State, res: Res, key: &Key) -> Option<i64> {
    let made = s.at(res, key)?.value();
    let schedule = made["metadata"]["labels"]["velero.io/schedule-name"].as_str()?;
    SCHEDULES_MADE.iter().find(|m| m.name == schedule).map(|m| m.items)
}

fn backup_of(o: &Obj) -> Option<Arc<Backup>> {
    match decode_json(Kind::Backup, &o.json, &mut Interner::default()) {
        Ok(Object::Backup(backup)) => Some(backup),
        _ => None,
    }
}

/// The name of the backup that it is, or that it restores.
fn of_backup(s: &State, res: Res, key: &Key) -> Option<Str> {
    if res == BACKUPS {
        return Some(key.1.clone());
    }
    s.at(res, key)?.value()["spec"]["backupName"].as_str().map(Str::from)
}

/// Why the server does not begin it.
fn invalid(s: &State, res: Res, key: &Key) -> Option<String> {
    let name = of_backup(s, res, key)?;
    let Some(backup) = s.get(BACKUPS, &key.0, &name) else {
        return Some(format!("Error retrieving backup: backups.velero.io \"{name}\" not found"));
    };
    let wanted = backup.value()["spec"]["storageLocation"].as_str().unwrap_or("default").to_owned();
    match s.get(LOCATIONS, &key.0, &wanted).map(|l| l.value()) {
        None => Some(format!(
            "a BackupStorageLocation CRD with the name specified in the backup spec needs to be created before this backup can be executed. Error: backupstoragelocations.velero.io \"{wanted}\" not found"
        )),
        Some(l) if l["status"]["phase"] != "Available" => {
            Some(format!("backup can't be created because BackupStorageLocation {wanted} is in Unavailable status"))
        }
        Some(_) => None,
    }
}

/// A backup is complete: what it has is kept.
fn keep(s: &mut State, key: &Key) {
    let Some(backup) = s.at(BACKUPS, key).and_then(|o| backup_of(o)) else { return };
    let chosen = |o: &Obj| backup.selection.selectors.is_empty() || backup.selection.selectors.iter().any(|x| x.matches(&o.labels));
    let takes = |res: Res, k: &Key, o: &Obj| match res {
        NAMESPACES => backup.selection.takes(&k.1),
        _ => backup.selection.takes(&k.0) && chosen(o) && !o.deleting,
    };
    let mut kept = Vec::new();
    for res in KEPT {
        kept.extend(s.tables[res].objects.iter().filter(|(k, o)| takes(res, k, o)).map(|(_, o)| (res, o.clone())));
    }
    s.world.kept.insert(key.1.clone(), kept);
}

/// A restore is complete: what is not there is made.
fn bring_back(s: &mut State, key: &Key) {
    let Some(restore) = s.at(RESTORES, key).map(|o| o.value()) else { return };
    let name = restore["spec"]["backupName"].as_str().unwrap_or("");
    let Some(kept) = s.world.kept.get(name).cloned() else { return };
    let only: Vec<&str> = restore["spec"]["includedNamespaces"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (res, object) in kept {
        let from = if res == NAMESPACES { &object.key.1 } else { &object.key.0 };
        if !only.is_empty() && !only.contains(&"*") && !only.contains(&&**from) {
            continue;
        }
        let to = restore["spec"]["namespaceMapping"][&**from].as_str().unwrap_or(from).to_owned();
        let at: Key = if res == NAMESPACES { ("".into(), to.as_str().into()) } else { (to.as_str().into(), object.key.1.clone()) };
        if s.at(res, &at).is_some() {
            continue;
        }
        let mut value = object.value();
        if let Some(value) = value.as_object_mut() {
            value.shift_remove("status");
        }
        if let Some(meta) = value["metadata"].as_object_mut() {
            for own in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "deletionTimestamp"] {
                meta.shift_remove(own);
            }
        }
        value["metadata"]["labels"]["velero.io/restore-name"] = (&*key.1).into();
        value["metadata"]["name"] = (&*at.1).into();
        if res == NAMESPACES {
            value["status"] = json!({"phase": "Active"});
        } else {
            value["metadata"]["namespace"] = to.into();
        }
        s.put(res, value);
    }
}

/// Somebody wants a backup to be deleted.
pub fn deletion(s: &mut State, key: &Key) {
    if !s.world.velero_dead && s.at(DELETIONS, key).is_some_and(|o| o.value()["status"]["phase"].is_null()) {
        s.edit(DELETIONS, key, |v| v["status"] = json!({"phase": "InProgress"}));
        s.later(STEP, Action::Velero(DELETIONS, key.clone()));
    }
}

/// It is deleted with its restores and the request; or why not is said.
fn deleted(s: &mut State, key: &Key) {
    let Some(name) = s.at(DELETIONS, key).and_then(|o| o.value()["spec"]["backupName"].as_str().map(Str::from)) else { return };
    let backup: Key = (key.0.clone(), name.clone());
    let state = s.at(BACKUPS, &backup).and_then(|o| backup_of(o)).map(|b| b.run.state());
    let why = match state {
        None => Some("backup not found".to_owned()),
        Some(RunState::Waiting | RunState::Running) => Some("backup is still in progress".to_owned()),
        Some(_) => invalid(s, BACKUPS, &backup)
            .map(|_| "cannot delete backup because backup storage location is currently in Unavailable state".to_owned()),
    };
    if let Some(why) = why {
        s.edit(DELETIONS, key, |v| v["status"] = json!({"phase": "Processed", "errors": [why]}));
        return;
    }
    s.world.kept.remove(&name);
    let of = |o: &Arc<Obj>| o.value()["spec"]["backupName"].as_str() == Some(&*name);
    let restores: Vec<Key> = s.tables[RESTORES].objects.values().filter(|o| of(o)).map(|o| o.key.clone()).collect();
    restores.iter().for_each(|k| drop(s.remove(RESTORES, k)));
    s.remove(BACKUPS, &backup);
    s.remove(DELETIONS, key);
}

/// Somebody wants to know where something lies.
pub fn download(s: &mut State, key: &Key) {
    let asked = s.at(DOWNLOADS, key).filter(|_| !s.world.velero_dead).map(|o| o.value());
    let Some(request) = asked.filter(|r| r["status"].is_null()) else { return };
    let target = &request["spec"]["target"];
    let (kind, name) = (target["kind"].as_str().unwrap_or(""), target["name"].as_str().unwrap_or(""));
    let about = if kind.starts_with("Restore") { RESTORES } else { BACKUPS };
    // Of what is not there nothing is ever said.
    if s.get(about, &key.0, name).is_none() || s.world.address.is_empty() {
        return;
    }
    let (signature, plural) = (s.uid(), REGISTER[about].plural);
    let path = format!("{STORE}{plural}/{name}/{kind}.gz?X-Amz-Expires=600&X-Amz-Signature={signature}");
    let address = format!("{}{path}", s.world.address);
    let until = rfc3339(s.now() + 600);
    s.edit(DOWNLOADS, key, |v| v["status"] = json!({"phase": "Processed", "downloadURL": address, "expiration": until}));
}

/// What lies at an address of the store: packed; none where nobody was told of it.
pub fn stored(s: &State, path_and_query: &str) -> Option<Vec<u8>> {
    let told = |o: &&Arc<Obj>| {
        o.value()["status"]["downloadURL"].as_str().is_some_and(|u| u.strip_prefix(&*s.world.address) == Some(path_and_query))
    };
    let request = s.tables[DOWNLOADS].objects.values().find(told)?.value();
    let target = &request["spec"]["target"];
    let (kind, name) = (target["kind"].as_str()?, target["name"].as_str()?);
    let about = if kind.starts_with("Restore") { RESTORES } else { BACKUPS };
    let run = s.get(about, request["metadata"]["namespace"].as_str()?, name)?.value();
    let (status, word) = (&run["status"], if about == BACKUPS { "backup" } else { "restore" });
    let errors = status["errors"].as_i64().unwrap_or(0);
    let text = if kind.ends_with("Results") {
        let lines: Vec<String> = (0..errors).map(|n| format!("error backing up item: timed out reading volume data-{n}")).collect();
        json!({"errors": {"velero": lines}, "warnings": {}}).to_string()
    } else {
        let at = status["startTimestamp"].as_str().unwrap_or("");
        let line = |level: &str, rest: &str| {
            format!("time=\"{at}\" level={level} {rest} {word}={NAMESPACE}/{name} logSource=\"pkg/{word}/{word}.go\"\n")
        };
        let mut text = line("info", &format!("msg=\"Setting up {word} temp file\""));
        text.extend(
            (0..errors).map(|n| line("error", &format!("msg=\"Error backing up item\" error=\"timed out reading volume data-{n}\""))),
        );
        text.push_str(&line("info", &format!("msg=\"{} items in all\"", status["progress"]["totalItems"])));
        text
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).ok()?;
    packed.finish().ok()
}

/// The server is reached there, and who signed its certificate signed that of its store.
pub fn at(s: &mut State, address: &str, authority: &str) {
    address.clone_into(&mut s.world.address);
    for key in s.tables[LOCATIONS].objects.keys().cloned().collect::<Vec<_>>() {
        s.edit(LOCATIONS, &key, |v| v["spec"]["objectStorage"]["caCert"] = authority.into());
    }
}

/// A location cannot be reached from now on.
pub fn unreachable(s: &mut State, location: &Key, why: Option<&str>) {
    let why = why.unwrap_or("rpc error: code = Unknown desc = dial tcp 10.0.0.9:443: i/o timeout");
    s.edit(LOCATIONS, location, |v| {
        v["metadata"]["annotations"][STUCK] = why.into();
        v["status"]["phase"] = "Unavailable".into();
        v["status"]["message"] = why.into();
    });
}

/// The server is gone: what runs stands still, and what is asked for from now on stays as it is.
pub fn die(s: &mut State) {
    s.world.velero_dead = true;
}

/// It is there again: what ran when it went has failed, what waits is begun, and locations are looked at.
pub fn live(s: &mut State) {
    s.world.velero_dead = false;
    for res in [BACKUPS, RESTORES, DELETIONS, DOWNLOADS] {
        for key in s.tables[res].objects.keys().cloned().collect::<Vec<_>>() {
            let runs = s.at(res, &key).is_some_and(|o| o.value()["status"]["phase"] == "InProgress");
            match (runs, res) {
                (true, DELETIONS) => s.later(STEP, Action::Velero(res, key)),
                (true, _) => {
                    let word = REGISTER[res].kind.to_lowercase();
                    let why = format!("found a {word} with status \"InProgress\" during the server starting, mark it as \"Failed\"");
                    s.edit(res, &key, |v| {
                        v["status"]["phase"] = "Failed".into();
                        v["status"]["failureReason"] = why.into();
                    });
                }
                (false, _) => s.mark(res, &key),
            }
        }
    }
    minute(s);
}

/// One step on.
pub fn step(s: &mut State, res: Res, key: &Key) {
    if s.world.velero_dead {
        return;
    }
    if res == DELETIONS {
        return deleted(s, key);
    }
    let done = if res == BACKUPS { "itemsBackedUp" } else { "itemsRestored" };
    let (now, mut ended) = (s.now(), false);
    s.edit(res, key, |v| {
        let status = &mut v["status"];
        if status["phase"] != "InProgress" {
            ended = true;
            return;
        }
        let total = status["progress"]["totalItems"].as_i64().unwrap_or(0);
        let on = (status["progress"][done].as_i64().unwrap_or(0) + total / STEPS + 1).min(total);
        status["progress"][done] = on.into();
        if on == total {
            status["phase"] = "Completed".into();
            status["completionTimestamp"] = rfc3339(now).into();
            ended = true;
        }
    });
    if ended && s.at(res, key).is_some_and(|o| o.value()["status"]["phase"] == "Completed") {
        if res == BACKUPS { keep(s, key) } else { bring_back(s, key) }
    }
    if ended && res == BACKUPS {
        fails_as_its_schedule(s, key);
    }
    if !ended && s.at(res, key).is_some() {
        s.later(STEP, Action::Velero(res, key.clone()));
    }
}

/// From now on a schedule's backups fail at some items, and so did its newest one.
pub fn fail(s: &mut State, schedule: &Key, errors: i64) {
    s.edit(SCHEDULES, schedule, |v| v["metadata"]["annotations"][FAILS] = errors.to_string().into());
    let of = |o: &Obj| o.labels.get("velero.io/schedule-name") == Some(&*schedule.1);
    let started = |o: &Obj| parse_time(&o.value()["status"]["startTimestamp"]);
    let ended = |o: &Obj| o.value()["status"]["phase"] == "Completed";
    let newest = s.tables[BACKUPS].objects.values().filter(|o| of(o) && ended(o)).max_by_key(|o| started(o)).map(|o| o.key.clone());
    if let Some(key) = newest {
        fails_as_its_schedule(s, &key);
    }
}

/// A backup that has ended failed in part where its schedule's backups do.
fn fails_as_its_schedule(s: &mut State, backup: &Key) {
    let Some(schedule) = s.at(BACKUPS, backup).and_then(|o| o.labels.get("velero.io/schedule-name").map(Str::from)) else { return };
    let errors = s
        .at(SCHEDULES, &(backup.0.clone(), schedule))
        .and_then(|o| o.value()["metadata"]["annotations"][FAILS].as_str()?.parse::<i64>().ok());
    let Some(errors) = errors else { return };
    s.edit(BACKUPS, backup, |v| {
        if v["status"]["phase"] == "Completed" {
            v["status"]["phase"] = "PartiallyFailed".into();
            v["status"]["errors"] = errors.into();
            v["status"]["warnings"] = 1.into();
        }
    });
}

/// A schedule is forgotten: no backup of it has been made since `ago` seconds.
pub fn forget(s: &mut State, schedule: &Key, ago: i64) {
    let last = s.now() - ago;
    s.edit(SCHEDULES, schedule, |v| {
        v["metadata"]["annotations"][STUCK] = "true".into();
        v["status"]["lastBackup"] = rfc3339(last).into();
    });
    let since = |o: &Obj| parse_time(&o.value()["status"]["startTimestamp"]).is_none_or(|at| at > last);
    let of = |o: &Obj| o.labels.get("velero.io/schedule-name") == Some(&*schedule.1);
    let gone: Vec<Key> = s.tables[BACKUPS].objects.values().filter(|o| of(o) && since(o)).map(|o| o.key.clone()).collect();
    for key in gone {
        s.remove(BACKUPS, &key);
    }
}

/// A schedule is looked at again or its backups are whole again, a location is reached.
pub fn remember(s: &mut State, res: Res, key: &Key) {
    s.edit(res, key, |v| {
        if let Some(all) = v["metadata"]["annotations"].as_object_mut() {
            all.shift_remove(STUCK);
            all.shift_remove(FAILS);
        }
    });
}
