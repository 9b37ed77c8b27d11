//! `qd jobs`, `resume`, `undo`, `audit`: what was done, and going on with it or taking it back.

use super::super::args::{Global, Output};
use super::super::fail::{Code, Failure};
use super::command::Writing;
use super::{SILENCES, carry_out, with_fleet};
use crate::action::{Ledger, Past, Wanted};
use crate::model::{Act, AuditEvent, JobId, Kind, Plan, StepState, VERBS, VerbId};
use crate::state::StateDir;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;

fn ledger() -> Result<(StateDir, Ledger), Failure> {
    let state = StateDir::open()?;
    let ledger = Ledger::read(&state)?;
    for bad in &ledger.bad {
        eprintln!("qd: {bad}");
    }
    Ok((state, ledger))
}

fn item(past: &Past) -> Value {
    let count = |f: fn(&StepState) -> bool| past.steps.values().filter(|s| f(s)).count();
    let (done, failed) = (count(|s| matches!(s, StepState::Done(_))), count(|s| matches!(s, StepState::Failed(_) | StepState::Unknown(_))));
    let (ended, why) = past.outcome.as_ref().map_or((None, None), |(at, _, why)| (Some(at), Some(why).filter(|w| !w.is_empty())));
    json!({
        "job": past.id, "state": past.state().word(), "verb": past.plan.verb, "runbook": past.plan.runbook, "title": past.plan.title,
        "clusters": past.clusters, "user": past.actor.user, "began": past.began, "ended": ended, "steps": past.plan.steps.len(), "done": done, "failed": failed, "why": why,
        "resumable": past.resumable(), "undoable": past.undoable(), "followed_by": past.followed_by,
        "resumes": past.resumes, "undoes": past.plan.undoes,
    })
}

/// Every job of the audit log, newest last.
pub fn jobs(global: &Global) -> Result<Code, Failure> {
    let (_, ledger) = ledger()?;
    let mut out = std::io::stdout().lock();
    if global.output == Output::Json {
        writeln!(out, "{}", json!({"items": ledger.jobs.iter().map(item).collect::<Vec<_>>()}))?;
        return Ok(Code::Done);
    }
    if ledger.jobs.is_empty() {
        eprintln!("qd: nothing was done yet");
    }
    for past in &ledger.jobs {
        let (done, all) = past.job().progress();
        let next = if past.resumable() { format!("; qd resume {}", past.id) } else { String::new() };
        writeln!(out, "{}  {:<11} {done}/{all}  {}  ({}){next}", past.id, past.state().word(), past.plan.title, past.clusters.join(", "))?;
    }
    Ok(Code::Done)
}

/// Only the cluster that the job was for, unless others were named.
fn scoped(global: &Global, past: &Past) -> Global {
    let mut global = global.clone();
    if global.context.is_empty() && global.clusters.is_none() {
        global.context = past.plan.clusters.iter().map(|c| c.context.clone()).collect();
    }
    global
}

/// What has to be seen of services.
fn seen(plan: &Plan) -> &'static [Kind] {
    if plan.steps.iter().any(|s| matches!(s.act, Act::Silence(_))) { SILENCES } else { &[] }
}

/// Goes on with a job.
pub fn resume(global: &Global, job: &str, writing: &Writing) -> Result<Code, Failure> {
    let (_, ledger) = ledger()?;
    let past = ledger.find(job).map_err(|e| Failure::usage(e).hint("qd jobs lists them"))?.clone();
    if !past.state().resumable() {
        return Err(Failure::failed("resume", format!("job {} is {}", past.id, past.state().word())));
    }
    let wanted = Wanted::Resume(Box::new(past.clone()));
    with_fleet(&scoped(global, &past), seen(&past.plan), async |fleet, state| carry_out(fleet, state, global, writing, &wanted).await)
}

/// Takes a job back.
pub fn undo(global: &Global, job: &str, writing: &Writing) -> Result<Code, Failure> {
    let (_, ledger) = ledger()?;
    let past = ledger.find(job).map_err(|e| Failure::usage(e).hint("qd jobs lists them"))?.clone();
    let wanted = Wanted::Undo(Box::new(past.clone()));
    with_fleet(&scoped(global, &past), seen(&past.plan), async |fleet, state| carry_out(fleet, state, global, writing, &wanted).await)
}

/// Which records are wanted.
pub struct Which {
    pub job: Option<String>,
    pub verb: Option<String>,
    pub since: Option<std::time::Duration>,
}

/// The audit log: JSON lines as they are, or a line a record.
pub fn audit(global: &Global, which: &Which) -> Result<Code, Failure> {
    let verb = match &which.verb {
        None => None,
        Some(name) => {
            Some(VerbId::find(name).ok_or_else(|| Failure::usage(crate::diag::unknown("verb", name, VERBS.iter().map(|v| v.name))))?)
        }
    };
    let cluster = global.clusters.as_deref().map(crate::config::Glob::new).transpose().map_err(Failure::usage)?;
    let history = StateDir::open()?.journal().read()?;
    let from = which.since.and_then(|d| jiff::Timestamp::now().checked_sub(jiff::SignedDuration::try_from(d).ok()?).ok());
    // A record of a step does not say of what: its job's first record does.
    let mut jobs: BTreeMap<&JobId, bool> = BTreeMap::new();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for record in &history.records {
        if let AuditEvent::Intent { plan, .. } = &record.event {
            let named = |c: &crate::model::PlanCluster| {
                let asked = global.context.is_empty() || global.context.iter().any(|x| *x == c.context || *x == c.name);
                asked && cluster.as_ref().is_none_or(|g| g.matches(&c.context) || g.matches(&c.name))
            };
            let everywhere = global.context.is_empty() && cluster.is_none();
            jobs.insert(
                &record.job,
                verb.is_none_or(|v| plan.verb == v || plan.parts.contains(&v)) && (everywhere || plan.clusters.iter().any(named)),
            );
        }
        let chosen = jobs.get(&record.job).copied().unwrap_or(verb.is_none() && global.context.is_empty() && cluster.is_none());
        let late = from.is_none_or(|from| record.at.parse::<jiff::Timestamp>().is_ok_and(|at| at >= from));
        if !chosen || !late || which.job.as_ref().is_some_and(|j| *j != record.job.0) {
            continue;
        }
        if global.output == Output::Json {
            serde_json::to_writer(&mut out, record).map_err(|e| Failure::failed("io", e.to_string()))?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}  {}  {}", record.at, record.job, words(&record.event))?;
        }
    }
    out.flush()?;
    for bad in &history.bad {
        eprintln!("qd: {}:{}: {}", bad.file.display(), bad.line, bad.why);
    }
    Ok(if history.bad.is_empty() { Code::Done } else { Code::Partial })
}

fn words(event: &AuditEvent) -> String {
    match event {
        AuditEvent::Intent { actor, clusters, confirmed, reason, plan, .. } => {
            let from = actor.ssh_from.as_ref().map(|f| format!(" from {f}")).unwrap_or_default();
            let reason = reason.as_ref().map(|r| format!("; reason: {r}")).unwrap_or_default();
            format!(
                "intent   {} on {} by {}@{}{from} ({}), confirmed {confirmed}{reason}",
                plan.title,
                clusters.join(", "),
                actor.user,
                actor.host,
                actor.ui
            )
        }
        AuditEvent::Step { text, state, http, warnings, .. } => {
            let code = http.map(|c| format!(" [{c}]")).unwrap_or_default();
            let why = if state.why().is_empty() { String::new() } else { format!(": {}", state.why()) };
            let warned = warnings.first().map(|w| format!("; warning: {w}")).unwrap_or_default();
            format!("{:<8} {text}{code}{why}{warned}", state.word())
        }
        AuditEvent::Outcome { outcome, done, failed, left, why } => {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            format!("outcome  {}: {done} done, {failed} failed, {left} not tried{why}", outcome.word())
        }
    }
}
