//! What the verbs of Velero share: where it works, whether it does, where backups are kept, what is in a namespace.

use super::{Snapshot, Stop};
use crate::model::{
    Act, Backup, ClusterId, Kind, Labels, Level, Method, Object, Plan, Resource, RunState, Step, StorageLocation, Target, Verdict, Wait,
    Write,
};
use crate::store::Cluster;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Seconds without a sign of life of a server, after which nothing is asked of it.
const SILENT: i64 = 10 * 60;
/// The longest name of an object.
const LONGEST: usize = 253;

/// A request to Velero: no kind that is watched.
pub fn request(plural: &str, kind: &str) -> Resource {
    Resource { plural: plural.to_owned(), kind: kind.to_owned(), ..Kind::Backup.into() }
}

/// The namespace that Velero works in.
pub fn home(snapshot: &Snapshot, id: ClusterId) -> Result<String, Stop> {
    let cluster = snapshot.cluster(id)?;
    let none = || Stop::refuse("usage", format!("{}: Velero is not there, or has no storage location", cluster.info.name));
    cluster.velero().map(|ns| ns.to_string()).ok_or_else(none)
}

fn locations<'a>(cluster: &'a Cluster, home: &'a str) -> impl Iterator<Item = &'a StorageLocation> {
    let of = |o: &'a Object| if let Object::StorageLocation(l) = o { Some(&**l) } else { None };
    cluster.objects(Kind::StorageLocation).filter_map(of).filter(move |l| *l.meta.namespace == *home)
}

/// The location of that name; empty: the default one.
pub fn location<'a>(cluster: &'a Cluster, home: &'a str, name: &str) -> Result<&'a StorageLocation, String> {
    let mut all = locations(cluster, home);
    if name.is_empty() {
        return all.find(|l| l.default).ok_or_else(|| "no storage location is the default".to_owned());
    }
    let names = || locations(cluster, home).map(|l| &*l.meta.name);
    all.find(|l| *l.meta.name == *name).ok_or_else(|| crate::diag::unknown("storage location", name, names()))
}

/// Why a location cannot be used; `write`: also written to.
pub fn unusable(location: &StorageLocation, write: bool) -> Option<String> {
    let why = || location.message.as_deref().map_or_else(String::new, |m| format!(": {m}"));
    if !location.available() {
        let phase = if location.phase.is_empty() { "not looked at yet" } else { &location.phase };
        return Some(format!("location {}: {phase}{}", location.meta.name, why()));
    }
    (write && location.read_only).then(|| format!("location {}: ReadOnly", location.meta.name))
}

/// Says, where Velero stands still, that nothing comes of it until it goes on. It blocks when that is so for long, and no pod of its
/// Deployment is ready: who runs may be told not to look.
pub fn works(plan: &mut Plan, cluster: &Cluster, home: &str, now: i64) {
    let Some(idle) = cluster.velero_idle(now) else { return };
    let ready = match cluster.named(Kind::Deployment, home, "velero") {
        Some(Object::Workload(w)) if w.ready > 0 => true,
        Some(Object::Workload(w)) => {
            plan.note(Level::Warning, format!("deployment {home}/velero has {} of {} ready", w.ready, w.desired.unwrap_or(1)));
            false
        }
        _ => false,
    };
    let text = format!("Velero: {}", idle.why);
    if ready || idle.since.is_some_and(|at| at.age(now) < SILENT) {
        plan.note(Level::Warning, format!("Velero stands still ({}): what is asked for stays New until it goes on", idle.why));
        plan.judge(Verdict::Degrades(text));
    } else {
        plan.judge(Verdict::Blocks(text));
    }
}

/// The backup that a target is.
pub fn backup<'a>(snapshot: &Snapshot<'a>, target: &Target) -> Result<&'a Backup, Stop> {
    match snapshot.row(target) {
        Some(Object::Backup(backup)) => Ok(backup),
        _ => Err(Stop::refuse("not-found", format!("{}{} is gone", snapshot.place(target.cluster), target.label()))),
    }
}

/// What is in the namespaces that `takes` accepts, with labels that `has` accepts, by kind. Events are none of it.
pub fn contents(cluster: &Cluster, takes: impl Fn(&str) -> bool, has: impl Fn(&Labels) -> bool) -> BTreeMap<Kind, usize> {
    let mut found = BTreeMap::new();
    for kind in Kind::WATCHED.into_iter().filter(|k| k.info().namespaced && *k != Kind::Event && !Kind::VELERO.contains(k)) {
        let n = cluster.objects(kind).map(Object::meta).filter(|m| takes(&m.namespace) && has(&m.labels)).count();
        if n > 0 {
            found.insert(kind, n);
        }
    }
    found
}

/// `12 pods, 1 service`.
pub fn counted(found: &BTreeMap<Kind, usize>) -> String {
    let one = |(kind, n): (&Kind, &usize)| match n {
        1 => format!("1 {}", kind.name()),
        n => format!("{n} {}", kind.plural()),
    };
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Up to three names, and how many more.
pub fn some(names: &[String]) -> String {
    match names {
        all if all.len() <= 4 => all.join(", "),
        [a, b, c, rest @ ..] => format!("{a}, {b}, {c} and {} more", rest.len()),
        _ => String::new(),
    }
}

/// The words of a list as it is typed: commas between.
pub fn list(text: Option<&str>) -> Vec<String> {
    text.into_iter().flat_map(|t| t.split(',')).map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// A name that an object may have.
pub fn checked(name: &str) -> Result<String, Stop> {
    let inner = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'));
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if inner && ends(name.chars().next()) && ends(name.chars().last()) && name.len() <= LONGEST {
        return Ok(name.to_owned());
    }
    Err(Stop::refuse("usage", format!("`{name}` is no name: lower-case letters, digits, - and ., {LONGEST} at most")))
}

/// What Velero calls a backup of its own: the name and the time to the second.
pub fn stamped(name: &str, now: i64) -> String {
    let time = jiff::Timestamp::from_second(now).map(|t| t.strftime("%Y%m%d%H%M%S").to_string()).unwrap_or_default();
    let head: String = name.chars().take(LONGEST - time.len() - 1).collect();
    format!("{}-{time}", head.trim_end_matches(['-', '.']))
}

/// The selector that a text says, as the API has it.
pub fn selector(text: &str) -> Result<Value, Stop> {
    crate::model::Selector::parse(text).map(|s| s.json()).map_err(|why| Stop::refuse("usage", why))
}

/// Puts a list under a key, where it is none that is empty.
pub fn put(spec: &mut Value, key: &str, words: Vec<String>) {
    if !words.is_empty() {
        spec[key] = words.into();
    }
}

/// Refuses a name that is taken.
pub fn free(snapshot: &Snapshot, target: &Target) -> Result<(), Stop> {
    match snapshot.row(target) {
        Some(_) => Err(Stop::refuse("conflict", format!("{} is there already", target.label())).with_hint("name=NAME")),
        None => Ok(()),
    }
}

/// The request that deletes a backup, and the one that it is.
pub fn deletion(backup: &Target, name: String) -> (Target, Write) {
    let target = Target { resource: request("deletebackuprequests", "DeleteBackupRequest"), name, uid: None, ..backup.clone() };
    let mut labels = json!({});
    // A longer one Velero writes as a hash, and puts there itself.
    if backup.name.len() <= 63 {
        labels["velero.io/backup-name"] = backup.name.as_str().into();
    }
    if let Some(uid) = &backup.uid {
        labels["velero.io/backup-uid"] = uid.as_str().into();
    }
    let body = json!({"apiVersion": target.resource.api_version(), "kind": target.resource.kind,
        "metadata": {"name": target.name, "namespace": target.namespace, "labels": labels}, "spec": {"backupName": backup.name}});
    let write = Write { method: Method::Post, path: target.resource.path(&target.namespace), query: String::new(), body };
    (target, write)
}

/// A step that waits until a request was carried out.
pub fn processed(text: impl Into<String>, request: &Target) -> Step {
    Step::new(text, request, Act::Wait(Wait::Processed))
}

/// Notes what else runs: one at a time does, unless the server was told otherwise.
pub fn busy(plan: &mut Plan, cluster: &Cluster, home: &str, kind: Kind) {
    let runs = |o: &&Object| {
        let run = match o {
            Object::Backup(b) => &b.run,
            Object::Restore(r) => &r.run,
            _ => return false,
        };
        *o.meta().namespace == *home && matches!(run.state(), RunState::Waiting | RunState::Running)
    };
    if let Some(other) = cluster.objects(kind).find(runs) {
        let word = kind.name().to_lowercase();
        plan.note(Level::Info, format!("{word} {} is under way: this one may have to wait for it", other.meta().name));
    }
}
