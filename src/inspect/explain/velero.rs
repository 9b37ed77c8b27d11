//! Velero's backups, restores, schedules and storage locations: what became of them, and what that means for a restore.

use super::words::{ago, bytes, count, joined, lasted};
use super::{Look, Parts, Section, created, events};
use crate::inspect::{Severity, age};
use crate::model::{Backup, Kind, Meta, MovedData, Object, Restore, Run, RunState, Schedule, Selection, StorageLocation, Str, Time};

/// The title of a backup's facts.
pub const BACKUP: &str = "backup";

/// How much of the data of volumes is in a backup, in words.
pub fn data(moved: &MovedData) -> String {
    let more = match moved.unknown {
        0 => String::new(),
        1 => ", 1 more does not tell its size".to_owned(),
        n => format!(", {n} more do not tell their size"),
    };
    format!("{} of {}{more}", bytes(moved.bytes), count(moved.volumes, "volume"))
}

/// What a phase means.
fn meaning(phase: &str) -> &'static str {
    match phase {
        "" | "New" => "the server has not begun it: is Velero running?",
        "Queued" => "it waits until another backup is done",
        "ReadyToStart" => "it is about to begin",
        "InProgress" => "it is running",
        "WaitingForPluginOperations" => "the objects are done, data is still being moved; not usable yet",
        "WaitingForPluginOperationsPartiallyFailed" => "some items failed, data is still being moved; it will end PartiallyFailed",
        "Finalizing" => "the last objects are written; not usable yet",
        "FinalizingPartiallyFailed" => "the last objects are written; it will end PartiallyFailed",
        "Completed" => "it is complete",
        "PartiallyFailed" => "it ended, and some items failed",
        "Failed" => "it failed as a whole",
        "FailedValidation" => "the server refuses it as it is written",
        "Deleting" => "it and its data are being deleted",
        _ => "a phase that is not known here: taken as not usable yet",
    }
}

/// What is wrong with a run, and its facts.
fn run(look: &Look, run: &Run, what: &str) -> (Section, Section) {
    let (mut why, mut facts) = (Section::default(), Section::new(what));
    let phase = if run.phase.is_empty() { "New" } else { &*run.phase };
    let tone = match run.state() {
        RunState::Completed => None,
        RunState::Waiting | RunState::Running | RunState::Deleting => Some(Severity::Info),
        RunState::Partly => Some(Severity::Warning),
        RunState::Failed => Some(Severity::Critical),
    };
    if let Some(tone) = tone {
        why.bad(tone, phase, meaning(phase));
    }
    if let Some(text) = &run.failure {
        why.say("", &**text);
    }
    for text in &run.invalid {
        why.bad(Severity::Critical, "invalid", &**text);
    }
    if run.errors > 0 {
        why.bad(
            Severity::Warning,
            "errors",
            format!("{}; what they are is in its log", count(usize::try_from(run.errors).unwrap_or(0), "error")),
        );
    }
    if run.hooks.1 > 0 {
        why.bad(Severity::Warning, "hooks", format!("{} of {} hooks failed", run.hooks.1, run.hooks.0));
    }
    if run.warnings > 0 {
        why.bad(
            Severity::Info,
            "warnings",
            format!("{}; what they are is in its log", count(usize::try_from(run.warnings).unwrap_or(0), "warning")),
        );
    }
    facts.say("phase", phase);
    facts.say("started", moment(look, run.started));
    match (run.completed, run.took(look.now)) {
        (Some(at), Some(took)) => facts.say("ended", format!("{}, after {}", ago(at, look.now), age(took))),
        (None, Some(took)) => facts.say("running for", age(took)),
        _ => {}
    }
    if let Some((done, all)) = run.items {
        facts.say("items", format!("{done} of {all}"));
    }
    (why, facts)
}

fn moment(look: &Look, at: Option<Time>) -> String {
    at.map_or_else(|| "not yet".to_owned(), |t| format!("{} ({})", ago(t, look.now), t.rfc3339()))
}

fn names(all: &[Str], empty: &str) -> String {
    if all.is_empty() { empty.to_owned() } else { joined(all.iter(), 20) }
}

/// What is taken in, in facts.
fn selection(s: &Selection, facts: &mut Section) {
    let mut both = |label: &str, with: &[Str], without: &[Str]| {
        let but = if without.is_empty() { String::new() } else { format!(", without {}", joined(without.iter(), 20)) };
        facts.say(label, format!("{}{but}", names(with, "all")));
    };
    both("namespaces", &s.namespaces, &s.without_namespaces);
    both("resources", &s.resources, &s.without_resources);
    if !s.selectors.is_empty() {
        facts.say("selects", joined(s.selectors.iter(), 6));
    }
    facts.say("location", if s.location.is_empty() { "the default one" } else { &s.location });
    match (s.snapshots, s.files) {
        (Some(false), Some(true)) => facts.say("volumes", "copied as files, not snapshotted"),
        (Some(false), _) => facts.say("volumes", "their data is not in it, only the objects"),
        (_, Some(true)) => facts.say("volumes", "copied as files"),
        _ => {}
    }
    if let Some(ttl) = s.ttl {
        facts.say("kept for", age(ttl));
    }
}

fn here<'a>(look: &Look<'a>, kind: Kind, meta: &Meta, name: &str) -> Option<&'a Object> {
    look.cluster.named(kind, &meta.namespace, name)
}

/// A location that is gone makes what is kept there useless.
fn location(look: &Look, meta: &Meta, name: &str, why: &mut Section) {
    match here(look, Kind::StorageLocation, meta, name) {
        Some(Object::StorageLocation(l)) if !l.available() => {
            let said = l.message.as_deref().map_or_else(String::new, |m| format!(": {m}"));
            why.bad(
                Severity::Critical,
                "location",
                format!("{name} is {}{said}", if l.phase.is_empty() { "not looked at yet" } else { "unavailable" }),
            );
        }
        None if !name.is_empty() && look.cluster.current(Kind::StorageLocation) => {
            why.bad(Severity::Critical, "location", format!("{name} does not exist"));
        }
        _ => {}
    }
}

fn parts(look: &Look, object: &Object, why: Section, healthy: String, mut facts: Section, more: Option<Section>) -> Parts {
    created(look, object.meta(), &mut facts);
    let all = [events::section(look, object, &[]), facts].into_iter().chain(more).collect();
    (why, healthy, all)
}

pub fn backup(look: &Look, object: &Object, b: &Backup) -> Parts {
    let (mut why, mut facts) = run(look, &b.run, BACKUP);
    location(look, &b.meta, &b.selection.location, &mut why);
    if b.volumes.1 > b.volumes.0 {
        why.bad(Severity::Warning, "volumes", format!("{} of {} volume snapshots were made", b.volumes.0, b.volumes.1));
    }
    if b.operations.2 > 0 {
        why.bad(Severity::Warning, "operations", format!("{} of {} operations of plugins failed", b.operations.2, b.operations.1));
    }
    if let Some(n) = b.queue {
        facts.say("queue", format!("place {n}"));
    }
    if let Some(schedule) = &b.schedule {
        let gone = here(look, Kind::Schedule, &b.meta, schedule).is_none() && look.cluster.current(Kind::Schedule);
        facts.say("schedule", format!("{schedule}{}", if gone { ", which no longer exists" } else { "" }));
    }
    if b.volumes.1 > 0 {
        facts.say("volumes", format!("{} of {} snapshots", b.volumes.0, b.volumes.1));
    }
    if let Some(at) = b.expires {
        let left = at.secs() - look.now;
        facts.say(
            "expires",
            if left > 0 { format!("in {} ({})", age(left), at.rfc3339()) } else { format!("{}: to be deleted", ago(at, look.now)) },
        );
    }
    selection(&b.selection, &mut facts);
    let mut restores = Section::new("restores of it");
    for o in look.cluster.objects(Kind::Restore) {
        if let Object::Restore(r) = o
            && r.backup.as_deref() == Some(&*b.meta.name)
            && r.meta.namespace == b.meta.namespace
        {
            restores.say(&*r.meta.name, format!("{}, {}", r.run.phase, moment(look, r.run.started)));
        }
    }
    let point = b.point().map_or_else(String::new, |p| format!(": a restore leads back to {} ago", lasted(p, look.now)));
    parts(look, object, why, format!("Completed{point}"), facts, Some(restores))
}

pub fn restore(look: &Look, object: &Object, r: &Restore) -> Parts {
    let (mut why, mut facts) = run(look, &r.run, "restore");
    if let Some(name) = &r.backup {
        let of = match here(look, Kind::Backup, &r.meta, name) {
            Some(Object::Backup(b)) => {
                if !b.good() && r.run.state() != RunState::Completed {
                    why.bad(Severity::Warning, "backup", format!("{name} is {}", b.run.phase));
                }
                b.point().map_or_else(String::new, |p| format!(", of {} ago", lasted(p, look.now)))
            }
            _ if look.cluster.current(Kind::Backup) => {
                if !r.run.ended() {
                    why.bad(Severity::Critical, "backup", format!("{name} does not exist"));
                }
                ", which no longer exists".to_owned()
            }
            _ => String::new(),
        };
        facts.say("backup", format!("{name}{of}"));
    }
    if let Some(schedule) = &r.schedule {
        facts.say("schedule", format!("{schedule}: its newest completed backup"));
    }
    let but =
        if r.without_namespaces.is_empty() { String::new() } else { format!(", without {}", joined(r.without_namespaces.iter(), 20)) };
    facts.say("namespaces", format!("{}{but}", names(&r.namespaces, "all of the backup")));
    for (from, to) in r.mapping.iter() {
        facts.say("mapped", format!("{from} becomes {to}"));
    }
    facts.say(
        "what exists",
        if r.policy.as_deref() == Some("update") { "is changed to what the backup has" } else { "is left as it is, with a warning" },
    );
    parts(look, object, why, "Completed: everything is restored".to_owned(), facts, None)
}

pub fn schedule(look: &Look, object: &Object, s: &Schedule) -> Parts {
    let mut why = Section::default();
    let mut facts = Section::new("schedule");
    for text in &s.invalid {
        why.bad(Severity::Critical, "invalid", &**text);
    }
    if &*s.phase == "FailedValidation" && s.invalid.is_empty() {
        why.bad(Severity::Critical, "invalid", meaning("FailedValidation"));
    }
    if let Some(late) = s.late(look.now) {
        why.bad(Severity::Critical, "late", format!("a backup was due {} ago and is not made: is Velero running?", age(late)));
    }
    if s.paused {
        why.bad(Severity::Warning, "paused", "nothing is backed up until somebody lets it go on");
    }
    if let Err(text) = &s.cron {
        why.bad(Severity::Info, "time", format!("{} cannot be read here: {text}", s.text));
    }
    location(look, &s.meta, &s.selection.location, &mut why);
    let mut made: Vec<&Backup> = look
        .cluster
        .objects(Kind::Backup)
        .filter_map(|o| if let Object::Backup(b) = o { Some(&**b) } else { None })
        .filter(|b| b.schedule.as_deref() == Some(&*s.meta.name) && b.meta.namespace == s.meta.namespace)
        .collect();
    made.sort_by_key(|b| std::cmp::Reverse(b.point()));
    let good = made.iter().find(|b| b.good());
    if let Some(last) = made.iter().find(|b| b.run.ended()).filter(|b| !b.good()) {
        let before = good
            .and_then(|b| b.point())
            .map_or_else(|| "none before it is complete".to_owned(), |p| format!("the last complete one is {} old", lasted(p, look.now)));
        why.bad(Severity::Critical, "last backup", format!("{} is {}; {before}", last.meta.name, last.run.phase));
    }
    facts.say("runs", &*s.text);
    let next = s.due().filter(|due| *due > look.now).and_then(Time::from_secs);
    if let Some(next) = next {
        facts.say("next run", format!("{} ({})", ago(next, look.now), next.rfc3339()));
    }
    facts.say("last backup", s.last_backup.map_or_else(|| "never".to_owned(), |t| ago(t, look.now)));
    facts.say("last complete", good.and_then(|b| b.point()).map_or_else(|| "none".to_owned(), |p| ago(p, look.now)));
    selection(&s.selection, &mut facts);
    let mut backups = Section::new("its backups");
    for b in made.iter().take(10) {
        let errors = if b.run.errors > 0 { format!(", {} errors", b.run.errors) } else { String::new() };
        backups.say(&*b.meta.name, format!("{}{errors}, {}", b.run.phase, moment(look, b.run.started)));
    }
    if made.len() > 10 {
        backups.say("", format!("and {} more", made.len() - 10));
    }
    let healthy = match next {
        Some(next) => format!("it runs next {}", ago(next, look.now)),
        None => "it is as it should be".to_owned(),
    };
    parts(look, object, why, healthy, facts, Some(backups))
}

pub fn storage(look: &Look, object: &Object, l: &StorageLocation) -> Parts {
    let mut why = Section::default();
    let mut facts = Section::new("location");
    if &*l.phase == "Unavailable" {
        why.bad(Severity::Critical, "unavailable", "nothing can be backed up to it or restored from it");
        if let Some(m) = &l.message {
            why.say("", &**m);
        }
    } else if l.phase.is_empty() {
        why.bad(Severity::Info, "new", "the server has not looked at it yet");
    }
    if l.overdue().is_some_and(|at| at <= look.now) && look.cluster.current(Kind::StorageLocation) {
        why.bad(Severity::Critical, "not looked at", "Velero is gone, or hangs at it: nothing is backed up, restored or deleted meanwhile");
    }
    if l.read_only {
        why.bad(Severity::Info, "read-only", "nothing is backed up to it");
    }
    facts.say("phase", if l.phase.is_empty() { "none" } else { &*l.phase });
    facts.say("default", if l.default { "yes: backups go there that name none" } else { "no" });
    facts.say("provider", &*l.provider);
    facts.say("bucket", format!("{}{}", l.bucket, l.prefix.as_deref().map_or_else(String::new, |p| format!("/{p}"))));
    let every = l.period().map_or_else(|| "never: it is told not to".to_owned(), age);
    facts.say("looked at", moment(look, l.validated));
    facts.say("looked at every", every);
    facts.say("read", moment(look, l.synced));
    let kept = look.cluster.objects(Kind::Backup).filter(|o| matches!(o, Object::Backup(b) if b.selection.location == l.meta.name)).count();
    facts.say("backups", kept.to_string());
    parts(look, object, why, "Available".to_owned(), facts, None)
}
