//! Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs: pods against what is wanted, and what changed last.

use super::words::{ago, count, ended, joined, lasted, resources};
use super::{Look, Parts, Section, conditions, created, events};
use crate::inspect::{Severity, age};
use crate::model::{Condition, Kind, Object, Pod, PodShape, Str, Tri, Workload, WorkloadDetail};
use std::collections::BTreeMap;

pub fn explain(look: &Look, object: &Object, w: &Workload) -> Parts {
    let mut why = Section::default();
    let below = look.index.below(look.cluster, w.meta.uid);
    let mut pods: Vec<&Pod> = below.iter().filter_map(|o| if let Object::Pod(p) = o { Some(&**p) } else { None }).collect();
    pods.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    let desired = w.desired.unwrap_or(0);
    let healthy = match &w.detail {
        WorkloadDetail::Job { .. } => job(look, w, &mut why),
        WorkloadDetail::CronJob { .. } => cronjob(look, w, &mut why),
        _ => {
            replicas(look, w, &mut why);
            if desired == 0 {
                "scaled to nothing, and nothing runs".to_owned()
            } else {
                format!("{} of {desired} pods available, all of the newest template", w.available)
            }
        }
    };
    if w.observed > 0 && w.observed < w.meta.generation {
        why.bad(Severity::Warning, "controller", "it has not seen the latest change yet: the numbers speak of the one before");
    }
    if w.kind != Kind::CronJob {
        bad_pods(look, &pods, &mut why);
    }
    let mut facts = vec![change(look, w)];
    if w.kind == Kind::CronJob {
        facts.push(runs(look, &below));
    }
    facts.push(events::section(look, object, &below));
    facts.push(pods_section(w, &pods));
    facts.push(template(&w.shape));
    facts.push(itself(look, object, w));
    (why, healthy, facts)
}

fn replicas(look: &Look, w: &Workload, why: &mut Section) {
    let desired = w.desired.unwrap_or(0);
    if w.available < desired {
        let tone = if w.available == 0 { Severity::Critical } else { Severity::Warning };
        why.bad(tone, "available", format!("{} of {desired} pods ({} ready, {} made)", w.available, w.ready, w.current));
    }
    if w.updated < desired && !matches!(w.detail, WorkloadDetail::ReplicaSet) {
        why.bad(Severity::Info, "rollout", format!("{} of {desired} pods are of the newest template", w.updated));
    }
    match &w.detail {
        WorkloadDetail::Deployment { paused, progress_deadline, .. } => {
            if *paused {
                why.bad(Severity::Warning, "paused", "changes of the template are not rolled out until it is resumed");
            }
            let late = |c: &Condition| &*c.kind == "Progressing" && c.reason.as_deref() == Some("ProgressDeadlineExceeded");
            if let Some(c) = w.conditions.iter().find(|c| late(c)) {
                let deadline = progress_deadline.map_or_else(String::new, |s| format!(" of {s} s"));
                let since = c.since.map_or_else(String::new, |t| format!(" since {}", ago(t, look.now)));
                why.bad(Severity::Critical, "rollout", format!("stuck{since}: no progress within the deadline{deadline}"));
            }
            // Available says again what the numbers say.
            let good = |c: &Condition| match &*c.kind {
                "ReplicaFailure" => c.status != Tri::True,
                "Progressing" => late(c) || c.status == Tri::True || c.reason.as_deref() == Some("DeploymentPaused"),
                kind => kind == "Available" || c.status == Tri::True,
            };
            conditions(look, &w.conditions, good, Severity::Critical, why);
        }
        WorkloadDetail::StatefulSet { strategy, partition, current_revision, update_revision, .. }
            if current_revision != update_revision && !update_revision.is_empty() =>
        {
            let held = match (&**strategy, *partition) {
                ("OnDelete", _) => ": pods change only when somebody deletes them (OnDelete)".to_owned(),
                (_, 0) => String::new(),
                (_, n) => format!(": pods below {n} are held back by the partition"),
            };
            why.bad(Severity::Info, "rollout", format!("from {current_revision} to {update_revision}{held}"));
        }
        WorkloadDetail::DaemonSet { misscheduled, .. } if *misscheduled > 0 => {
            why.bad(
                Severity::Info,
                "misplaced",
                format!("{} on nodes that should have none", count(usize::try_from(*misscheduled).unwrap_or(0), "pod")),
            );
        }
        WorkloadDetail::ReplicaSet => {
            conditions(look, &w.conditions, |c| &*c.kind != "ReplicaFailure" || c.status != Tri::True, Severity::Critical, why)
        }
        _ => {}
    }
}

/// What is wrong with its pods, those of one status in one line.
fn bad_pods(look: &Look, pods: &[&Pod], why: &mut Section) {
    let mut groups: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for pod in pods.iter().filter(|p| p.bad()) {
        groups.entry(pod.status().into_owned()).or_default().push(pod);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, pods)| std::cmp::Reverse(pods.len()));
    for (status, bad) in groups {
        why.bad(Severity::Warning, count(bad.len(), "pod"), format!("{status}: {}", joined(bad.iter().map(|p| &p.meta.name), 3)));
        let last = bad.iter().filter_map(|p| p.last_termination().map(|(c, t)| (p, c, t))).max_by_key(|(.., t)| t.finished);
        if let Some((pod, c, t)) = last {
            let limit =
                pod.shape.containers.iter().chain(&pod.shape.init).find(|s| s.name == c.name).and_then(|s| s.resources.memory_limit);
            why.say(
                "",
                format!(
                    "{} ended {}{}",
                    c.name,
                    t.finished.map_or_else(String::new, |f| format!("{}, ", ago(f, look.now))),
                    ended(t, limit)
                ),
            );
        }
        if let Some(message) =
            bad.iter().find_map(|p| p.conditions.iter().find(|c| &*c.kind == "PodScheduled").and_then(|c| c.message.as_deref()))
        {
            why.say("", message);
        }
    }
}

fn job(look: &Look, w: &Workload, why: &mut Section) -> String {
    let WorkloadDetail::Job { completions, succeeded, failed, active, backoff_limit, started, ended, suspended } = &w.detail else {
        return String::new();
    };
    if let Some(c) = w.condition("Failed").filter(|c| c.status == Tri::True) {
        let reason = c.reason.as_deref().unwrap_or("Failed");
        let meaning = match reason {
            "BackoffLimitExceeded" => format!(": its pods failed more often than the limit of {backoff_limit} allows"),
            "DeadlineExceeded" => ": it ran longer than activeDeadlineSeconds allows".to_owned(),
            "PodFailurePolicy" => ": a pod failed in a way that its policy does not retry".to_owned(),
            _ => String::new(),
        };
        let since = c.since.map_or_else(String::new, |t| format!(", {}", ago(t, look.now)));
        why.bad(Severity::Critical, "failed", format!("{reason}{meaning}{since}"));
        if let Some(m) = c.message.as_deref().filter(|m| !m.is_empty()) {
            why.say("", m);
        }
    } else if *failed > 0 {
        let tone = if ended.is_some() { Severity::Info } else { Severity::Warning };
        why.bad(
            tone,
            "retries",
            format!("{} failed so far; more than {backoff_limit} end the job", count(usize::try_from(*failed).unwrap_or(0), "pod")),
        );
    }
    if *suspended {
        why.bad(Severity::Info, "suspended", "no pods are made until it is resumed");
    }
    let of = completions.map_or_else(String::new, |n| format!(" of {n}"));
    match (started, ended) {
        (Some(a), Some(b)) => format!("complete {}: {succeeded}{of} succeeded in {}", ago(*b, look.now), age(a.age(b.secs()))),
        (Some(a), None) => format!("running for {}: {succeeded}{of} succeeded, {active} active", lasted(*a, look.now)),
        _ => format!("not started: {succeeded}{of} succeeded"),
    }
}

fn cronjob(look: &Look, w: &Workload, why: &mut Section) -> String {
    let WorkloadDetail::CronJob { schedule, suspended, active, last_schedule, last_success, .. } = &w.detail else { return String::new() };
    if *suspended {
        why.bad(Severity::Info, "suspended", "no job is started until it is resumed");
    }
    let last = last_schedule.map_or_else(|| "never ran".to_owned(), |t| format!("ran last {}", ago(t, look.now)));
    if last_schedule.is_some() && *active == 0 && last_success.is_none_or(|s| Some(s) < *last_schedule) {
        let success = last_success.map_or_else(|| "none ever did".to_owned(), |t| format!("the last that did was {}", ago(t, look.now)));
        why.bad(Severity::Warning, "last run", format!("{last} and did not succeed; {success}"));
    }
    format!("runs at {schedule}, {last}, {active} active")
}

/// A CronJob's jobs, the newest first.
fn runs(look: &Look, below: &[&Object]) -> Section {
    let mut out = Section::new("runs");
    let mut jobs: Vec<_> = below.iter().filter_map(|o| if let Object::Workload(w) = o { Some(w) } else { None }).collect();
    jobs.sort_by_key(|w| std::cmp::Reverse(w.meta.created));
    for w in jobs.iter().take(8) {
        let mut said = Section::default();
        let healthy = job(look, w, &mut said);
        match said.lines.first().filter(|_| said.wrong()) {
            Some(line) => out.add(said.tone, &*w.meta.name, format!("{}: {}", line.label, line.text)),
            None => out.say(&*w.meta.name, healthy),
        }
    }
    out
}

/// What changed last: revision, images and when, read from the ReplicaSets; a StatefulSet has its revisions' names.
pub fn change(look: &Look, w: &Workload) -> Section {
    let mut out = Section::new("last change");
    match &w.detail {
        WorkloadDetail::Deployment { .. } => {
            let number = |r: &Workload| r.revision.as_deref().and_then(|r| r.parse::<u64>().ok());
            let mut sets: Vec<_> = look
                .index
                .owned(look.cluster, w.meta.uid)
                .filter_map(|o| if let Object::Workload(r) = o { Some((number(r)?, r)) } else { None })
                .collect();
            sets.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
            let at = sets.iter().position(|(n, _)| w.revision.as_deref().and_then(|r| r.parse().ok()) == Some(*n)).unwrap_or(0);
            let Some((n, new)) = sets.get(at) else {
                if let Some(revision) = &w.revision {
                    out.say("revision", format!("{revision}; its ReplicaSets are not known"));
                }
                return out;
            };
            let when = new.meta.created.map_or_else(String::new, |t| format!(", made {} ({})", ago(t, look.now), t.rfc3339()));
            out.say("revision", format!("{n}, ReplicaSet {}{when}", new.meta.name));
            match sets.get(at + 1) {
                Some((before, old)) => {
                    let what = differences(&old.shape, &new.shape);
                    if what.is_empty() {
                        out.say("", format!("same images and resources as revision {before}: something else in the template changed"));
                    }
                    for (container, text) in what {
                        out.say(&*container, text);
                    }
                    // A revision that is taken up again keeps its old ReplicaSet.
                    if new.meta.created < old.meta.created {
                        out.say("", "the template is older than the one before: a rollback");
                    }
                }
                None => out.say("", "no earlier revision is kept"),
            }
        }
        WorkloadDetail::StatefulSet { current_revision, update_revision, .. } if !update_revision.is_empty() => {
            if current_revision == update_revision {
                out.say("revision", format!("{update_revision}, all pods"));
            } else {
                out.say(
                    "revision",
                    format!("{current_revision} to {update_revision}, {} of {} pods so far", w.updated, w.desired.unwrap_or(0)),
                );
            }
        }
        _ => {}
    }
    out
}

/// Images and resources that differ, by container.
pub(super) fn differences(old: &PodShape, new: &PodShape) -> Vec<(Str, String)> {
    let all = |s: &PodShape| s.init.iter().chain(&s.containers).cloned().collect::<Vec<_>>();
    let (olds, news) = (all(old), all(new));
    let mut out = Vec::new();
    for n in &news {
        match olds.iter().find(|o| o.name == n.name) {
            None => out.push((n.name.clone(), format!("new container, image {}", n.image))),
            Some(o) => {
                if o.image != n.image {
                    out.push((n.name.clone(), format!("image {} > {}", o.image, n.image)));
                }
                if o.resources != n.resources {
                    out.push((n.name.clone(), format!("{} > {}", resources(&o.resources), resources(&n.resources))));
                }
                if (o.liveness, o.readiness, o.startup) != (n.liveness, n.readiness, n.startup) {
                    out.push((n.name.clone(), "its probes changed".to_owned()));
                }
            }
        }
    }
    out.extend(olds.iter().filter(|o| !news.iter().any(|n| n.name == o.name)).map(|o| (o.name.clone(), "taken out".to_owned())));
    out
}

fn pods_section(w: &Workload, pods: &[&Pod]) -> Section {
    let mut out = Section::new("pods");
    if let Some(desired) = w.desired.filter(|_| w.kind != Kind::Job) {
        out.say(
            "replicas",
            format!("{desired} wanted, {} made, {} ready, {} available, {} updated", w.current, w.ready, w.available, w.updated),
        );
    }
    let mut by: BTreeMap<String, usize> = BTreeMap::new();
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    for p in pods {
        *by.entry(p.status().into_owned()).or_default() += 1;
        *nodes.entry(p.node.as_deref().unwrap_or("no node")).or_default() += 1;
    }
    if !pods.is_empty() {
        out.say("by status", joined(by.iter().map(|(s, n)| format!("{n} {s}")), 6));
        let most = nodes.values().max().copied().unwrap_or(0);
        out.say("spread", format!("over {}, at most {most} on one", count(nodes.len(), "node")));
        let restarts: u32 = pods.iter().map(|p| p.restarts()).sum();
        out.say("restarts", restarts.to_string());
    }
    out
}

fn template(shape: &PodShape) -> Section {
    let mut out = Section::new("template");
    for c in shape.init.iter().chain(&shape.containers) {
        let init = shape.init.iter().any(|i| i.name == c.name);
        out.say(&*c.name, format!("{}{}", c.image, if init { " (init)" } else { "" }));
        out.say("", resources(&c.resources));
    }
    out
}

fn itself(look: &Look, object: &Object, w: &Workload) -> Section {
    let mut out = Section::new(w.kind.name().to_lowercase());
    match &w.detail {
        WorkloadDetail::Deployment { strategy, max_unavailable, .. } => {
            out.say(
                "strategy",
                format!("{strategy}{}", max_unavailable.map_or_else(String::new, |m| format!(", at most {m} unavailable"))),
            );
        }
        WorkloadDetail::StatefulSet { service, strategy, .. } => {
            out.say("strategy", &**strategy);
            out.say("service", &**service);
        }
        WorkloadDetail::DaemonSet { strategy, .. } => out.say("strategy", &**strategy),
        WorkloadDetail::ReplicaSet => {}
        WorkloadDetail::Job { completions, succeeded, failed, active, backoff_limit, .. } => {
            let of = completions.map_or_else(String::new, |n| format!(" of {n}"));
            out.say("pods", format!("{succeeded}{of} succeeded, {failed} failed of {backoff_limit} allowed, {active} active"));
        }
        WorkloadDetail::CronJob { schedule, time_zone, active, last_schedule, last_success, concurrency, .. } => {
            out.say("schedule", format!("{schedule}{}", time_zone.as_deref().map_or_else(String::new, |z| format!(" ({z})"))));
            out.say("last run", last_schedule.map_or_else(|| "never".to_owned(), |t| ago(t, look.now)));
            out.say("last success", last_success.map_or_else(|| "never".to_owned(), |t| ago(t, look.now)));
            out.say("active", format!("{active}, concurrency {concurrency}"));
        }
    }
    if let Some(s) = &w.selector {
        out.say("selector", s.to_string());
    }
    if let Some(owner) = &w.meta.owner {
        out.say("made by", format!("{} {}", owner.kind, owner.name));
    }
    let top = look.cluster.workload_of(object).meta();
    let hpas = look.cluster.objects(Kind::Hpa).filter(|o| matches!(o, Object::Hpa(h) if h.meta.namespace == top.namespace && h.target_name == top.name && Kind::parse(&h.target_kind) == Some(look.cluster.workload_of(object).kind())));
    for o in hpas {
        if let Object::Hpa(h) = o {
            out.say("autoscaler", format!("{}: {} pods of {} to {}", h.meta.name, h.current, h.min, h.max));
        }
    }
    created(look, &w.meta, &mut out);
    out
}
