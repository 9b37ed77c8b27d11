//! Velero in a simulated cluster: a storage location, schedules and their backups, and a server that carries out what is asked for.
//!
//! Nothing is copied anywhere: a backup goes through its phases and counts items, a restore too.

use super::control::Action;
use super::generate::Plan;
use super::register::{BACKUPS, LOCATIONS, Res, SCHEDULES};
use super::store::{Key, Obj, State, parse_time, rfc3339};
use crate::model::{Interner, Kind, Object, RunState, decode_json};
use serde_json::{Value, json};

const NAMESPACE: &str = "velero";
/// A schedule with this annotation is no longer looked at.
const STUCK: &str = "quarterdeck.io/stuck";
/// Milliseconds between two looks at what runs, and how many of these it takes.
const STEP: i64 = 2000;
const STEPS: i64 = 5;

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
            v["status"]["phase"] = "Available".into();
            v["status"]["lastValidationTime"] = rfc3339(now).into();
            v["status"]["lastSyncedTime"] = rfc3339(now).into();
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
    if !s.at(res, key).is_some_and(|o| !o.deleting && waits(o)) {
        return;
    }
    let now = s.now();
    let total = s.rng.i64(120..900);
    s.edit(res, key, |v| v["status"] = json!({"phase": "InProgress", "startTimestamp": rfc3339(now), "progress": {"totalItems": total}}));
    if res == BACKUPS {
        s.edit(res, key, |v| v["status"]["expiration"] = rfc3339(now + 30 * 86_400).into());
    }
    s.later(STEP, Action::Velero(res, key.clone()));
}

/// One step on.
pub fn step(s: &mut State, res: Res, key: &Key) {
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
    if !ended && s.at(res, key).is_some() {
        s.later(STEP, Action::Velero(res, key.clone()));
    }
}

/// The newest backup of a schedule turns out to have failed at some items.
pub fn fail(s: &mut State, schedule: &Key, errors: i64) {
    let of = |o: &Obj| o.labels.get("velero.io/schedule-name") == Some(&*schedule.1);
    let started = |o: &Obj| parse_time(&o.value()["status"]["startTimestamp"]);
    let newest = s.tables[BACKUPS].objects.values().filter(|o| of(o)).max_by_key(|o| started(o)).map(|o| o.key.clone());
    let Some(key) = newest else { return };
    let now = s.now();
    s.edit(BACKUPS, &key, |v| {
        let status = &mut v["status"];
        status["phase"] = "PartiallyFailed".into();
        status["errors"] = errors.into();
        status["warnings"] = 1.into();
        if status["completionTimestamp"].is_null() {
            status["completionTimestamp"] = rfc3339(now).into();
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

/// It is looked at again.
pub fn remember(s: &mut State, schedule: &Key) {
    s.edit(SCHEDULES, schedule, |v| {
        if let Some(all) = v["metadata"]["annotations"].as_object_mut() {
            all.shift_remove(STUCK);
        }
    });
}
