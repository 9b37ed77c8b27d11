//! Compares what `qd get` prints with what is derived from kubectl's JSON, object by object and field by field.

use super::derive::{Expected, World, expected, list};
use super::lab::{CONTEXTS, Lab, Room, now};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What `qd get` takes, and the kinds that it then lists.
pub const SUBJECTS: [(&str, &[&str]); 17] = [
    ("clusters", &[]),
    ("nodes", &["Node"]),
    ("pods", &["Pod"]),
    ("workloads", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"]),
    ("deployments", &["Deployment"]),
    ("statefulsets", &["StatefulSet"]),
    ("daemonsets", &["DaemonSet"]),
    ("replicasets", &["ReplicaSet"]),
    ("jobs", &["Job"]),
    ("cronjobs", &["CronJob"]),
    ("hpa", &["HorizontalPodAutoscaler"]),
    ("pdb", &["PodDisruptionBudget"]),
    ("events", &["Event"]),
    ("namespaces", &["Namespace"]),
    ("pvc", &["PersistentVolumeClaim"]),
    ("services", &["Service"]),
    ("ingresses", &["Ingress"]),
];

/// What was found in one comparison.
#[derive(Default)]
pub struct Report {
    pub rows: usize,
    /// Fields with how many of their values were not null: a column that is never filled proves nothing.
    pub fields: BTreeMap<String, usize>,
    pub wrong: Vec<String>,
}

/// Whether a printed value is right; `began` and `ended` are when `qd` ran.
fn right(expected: &Expected, printed: &Value, began: i64, ended: i64) -> Result<(), String> {
    let ok = match expected {
        Expected::Is(value) => value == printed,
        // The clock may tick between our look at it and theirs; before its time an age is zero.
        Expected::Since(at) => printed.as_i64().is_some_and(|age| ((began - at - 1).max(0)..=(ended - at + 1).max(0)).contains(&age)),
        Expected::Sane(sane, _) => sane(printed),
    };
    if ok {
        return Ok(());
    }
    Err(match expected {
        Expected::Is(value) => format!("prints {printed}, kubectl's JSON gives {value}"),
        Expected::Since(at) => format!("prints {printed}, kubectl's JSON gives {} to {}", began - at, ended - at),
        Expected::Sane(_, what) => format!("prints {printed}, which should be: {what}"),
    })
}

type Key = (String, String, String);

fn key(kind: &Value, namespace: &Value, name: &Value) -> Key {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    (text(kind), text(namespace), text(name))
}

/// The objects that a subject lists in a world.
fn listed<'a>(subject: &str, kinds: &[&str], world: &'a World) -> BTreeMap<Key, &'a Value> {
    let owned = |o: &Value| subject == "workloads" && o["kind"] == "ReplicaSet" && !list(&o["metadata"]["ownerReferences"]).is_empty();
    let objects = kinds.iter().flat_map(|k| world.list(k)).filter(|o| !owned(o));
    objects.map(|o| (key(&o["kind"], &o["metadata"]["namespace"], &o["metadata"]["name"]), o)).collect()
}

/// One subject, all clusters, once.
pub fn compare(lab: &Lab, room: &Room, subject: &str, kinds: &[&str]) -> Report {
    let worlds: Vec<World> = CONTEXTS.iter().map(|c| lab.world(c)).collect();
    let began = now();
    let (printed, code, stderr) = room.json(&lab.kubeconfig(), &["get", subject, "--all", "-o", "json"]);
    let ended = now();
    let mut report = Report::default();
    if code != 0 {
        report.wrong.push(format!("exit code {code}: {stderr}"));
    }
    for world in &worlds {
        let wanted = listed(subject, kinds, world);
        let items = list(&printed["items"]).iter().filter(|i| i["cluster"] == *world.context);
        let mut seen = BTreeSet::new();
        for item in items {
            let id = key(&item["kind"], &item["namespace"], &item["name"]);
            let object = if subject == "clusters" { &Value::Null } else { wanted.get(&id).copied().unwrap_or(&Value::Null) };
            let place = format!("{} {} {}/{}", world.context, id.0, id.1, id.2);
            if object.is_null() && subject != "clusters" {
                report.wrong.push(format!("{place}: printed, but kubectl has no such object"));
                continue;
            }
            report.rows += 1;
            for (field, value) in item.as_object().unwrap() {
                *report.fields.entry(field.clone()).or_default() += usize::from(!value.is_null());
                match expected(subject, field, object, world) {
                    None => report.wrong.push(format!("{place}: no derivation of {field}, which prints {value}")),
                    Some(expected) => {
                        if let Err(e) = right(&expected, value, began, ended) {
                            report.wrong.push(format!("{place}: {field} {e}"));
                        }
                    }
                }
            }
            if !seen.insert(id) {
                report.wrong.push(format!("{place}: printed twice"));
            }
        }
        report.wrong.extend(
            wanted.keys().filter(|id| !seen.contains(*id)).map(|id| format!("{} {} {}/{}: not printed", world.context, id.0, id.1, id.2)),
        );
    }
    report
}

/// Compares until nothing differs: the clusters move while two programs look at them one after the other.
pub fn settle(lab: &Lab, room: &Room, subject: &str, kinds: &[&str], limit: Duration) -> Report {
    let end = Instant::now() + limit;
    loop {
        let report = compare(lab, room, subject, kinds);
        if report.wrong.is_empty() || Instant::now() > end {
            return report;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}
