//! What is printed of plans and jobs: text for people, a JSON line an event for scripts.

use super::super::fail::Failure;
use crate::action::{Ask, Check, Finding, Preview};
use crate::model::{Act, ClusterId, Job, JobId, JobStep, Level, Outcome, Plan, Progress, Step, StepState};
use crate::runtime::Fleet;
use crate::state::StateDir;
use crate::view::telling;
use serde_json::{Value, json};
use std::io::Write as _;

fn cluster_name(plan: &Plan, id: ClusterId) -> &str {
    plan.clusters.iter().find(|c| c.id == id).map_or("", |c| c.name.as_str())
}

/// A value of a change: what is secret stays out.
fn value(step: &Step, value: Option<&Value>) -> Value {
    match value {
        Some(_) if step.sensitive => json!("(hidden)"),
        Some(v) => v.clone(),
        None => Value::Null,
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Danger => "danger",
    }
}

fn finding(finding: &Finding) -> (&'static str, &str) {
    match finding {
        Finding::Fine => ("ok", ""),
        Finding::Unknown(why) => ("unknown", why),
        Finding::Forbidden(why) => ("forbidden", why),
        Finding::Drifted(why) => ("drifted", why),
        Finding::Invalid(why) => ("invalid", why),
    }
}

/// The plan as JSON: the event `plan`.
pub fn plan_json(plan: &Plan, hash: &str) -> Value {
    let step = |s: &Step| {
        json!({
            "text": s.text, "cluster": cluster_name(plan, s.target.cluster), "kind": s.target.resource.kind,
            "namespace": Some(&s.target.namespace).filter(|n| !n.is_empty()), "name": s.target.name, "lane": s.lane, "stage": s.stage,
            "changes": s.changes.iter().map(|c| json!({"field": c.pointer, "before": value(s, c.before.as_ref()), "after": value(s, c.after.as_ref())})).collect::<Vec<_>>(),
        })
    };
    let blast: Vec<Value> = plan
        .blast
        .iter()
        .map(|b| {
            let mut out = serde_json::to_value(b).unwrap_or_default();
            out["cluster"] = cluster_name(plan, b.cluster).into();
            out
        })
        .collect();
    json!({
        "event": "plan", "verb": plan.verb, "title": plan.title, "clusters": plan.clusters.iter().map(|c| &c.name).collect::<Vec<_>>(),
        "verdict": plan.verdict.words(), "parts": plan.parts, "undo": plan.undo.word(), "undo_text": plan.undo_text, "irreversible": plan.irreversible,
        "notes": plan.notes.iter().map(|n| json!({"level": level(n.level), "text": n.text})).collect::<Vec<_>>(),
        "offers": plan.offers.iter().map(|o| json!({"text": o.text, "verb": o.verb, "args": o.args})).collect::<Vec<_>>(),
        "steps": plan.steps.iter().map(step).collect::<Vec<_>>(), "blast": blast, "hash": hash,
    })
}

/// Prints what would be done, and what was found out about it.
pub fn preview(fleet: &Fleet, preview: &Preview, as_json: bool) -> Result<(), Failure> {
    let plan = &preview.plan;
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", plan_json(plan, &preview.hash))?;
        let check = |c: &Check| {
            let (word, why) = finding(&c.finding);
            json!({"cluster": cluster_name(plan, c.cluster), "text": c.text, "finding": word, "why": why, "warnings": c.warnings})
        };
        let (ask, expected) = match &preview.gate.ask {
            Ask::Nothing => ("none", None),
            Ask::Yes => ("yes", None),
            Ask::Typed(text) => ("typed", Some(text)),
        };
        let line = json!({
            "event": "preflight", "checks": preview.preflight.checks.iter().map(check).collect::<Vec<_>>(), "confirm": ask, "expected": expected,
            "reason_required": preview.gate.reason_required, "refusals": preview.gate.refusals,
        });
        writeln!(out, "{line}")?;
        return Ok(out.flush()?);
    }
    for line in text(fleet, preview) {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

/// The preview for people, line by line.
fn text(fleet: &Fleet, preview: &Preview) -> Vec<String> {
    let told = telling::lines(&fleet.store, preview, telling::Reader::Shell, "...");
    let mut lines = vec![preview.plan.title.clone()];
    lines.extend(told.iter().map(telling::Line::plain));
    lines.extend(preview.gate.refusals.iter().map(|r| format!("refused: {r}")));
    lines.push(telling::undo(&preview.plan).plain());
    lines
}

/// Prints what a job tells.
pub fn progress(fleet: &Fleet, told: &Progress, preview: &Preview, as_json: bool) -> Result<(), Failure> {
    let Progress::Step { job, step: at, state } = told else { return Ok(()) };
    let known = fleet.store.jobs.get(job).and_then(|j| j.steps.get(*at));
    // What the plan did not have is in the job only.
    let planned = preview.plan.steps.get(*at).map(|s| (&s.text, s.target.cluster));
    let Some((text, cluster)) = planned.or_else(|| known.map(|s| (&s.text, s.cluster))) else { return Ok(()) };
    let same = known.is_some_and(|s| s.state == *state);
    if same || *state == StepState::Waiting {
        return Ok(());
    }
    let cluster = cluster_name(&preview.plan, cluster);
    let mut out = std::io::stdout().lock();
    if as_json {
        let line = json!({"event": "step", "job": job, "step": at, "cluster": cluster, "text": text, "state": state.word(), "why": Some(state.why()).filter(|w| !w.is_empty())});
        writeln!(out, "{line}")?;
    } else if *state != StepState::Running {
        let place = if preview.plan.clusters.len() > 1 { format!("{cluster} ") } else { String::new() };
        let why = if state.why().is_empty() || state.why() == "done" { String::new() } else { format!(": {}", state.why()) };
        writeln!(out, "{:<8} {place}{text}{why}", state.word())?;
    }
    Ok(out.flush()?)
}

/// Prints what was fetched, from the files it is kept in.
pub fn fetched(state: &StateDir, plan: &Plan) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for step in &plan.steps {
        if let Act::Fetch { file } = &step.act {
            out.write_all(&std::fs::read(state.path(file))?)?;
        }
    }
    Ok(out.flush()?)
}

/// Prints the last lines: how it ended and, of what was begun, what can be done next.
pub fn outcome(outcome: Outcome, job: Option<(&JobId, &str)>, why: &str, as_json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if as_json {
        let job = job.map(|(id, _)| id);
        writeln!(out, "{}", json!({"event": "outcome", "outcome": outcome, "job": job, "why": Some(why).filter(|w| !w.is_empty())}))?;
    } else if let Some((job, next)) = job {
        let why = if why.is_empty() || outcome == Outcome::Done { String::new() } else { format!(": {why}") };
        writeln!(out, "{}{why}", outcome.word())?;
        if outcome != Outcome::Refused {
            writeln!(out, "job {job}{next}")?;
        }
    }
    Ok(out.flush()?)
}

/// What can be done after a job: going on with what is left, taking back what was done; each where the log has what that needs.
pub fn next(plan: &Plan, job: &Job, outcome: Outcome) -> String {
    let steps = || plan.steps.iter().zip(&job.steps);
    let done = |(_, s): &(&Step, &JobStep)| matches!(s.state, StepState::Done(_));
    let back = steps().any(|(step, s)| {
        let begun = plan.resumes || matches!(s.state, StepState::Done(_) | StepState::Unknown(_));
        begun && step.way_back().is_some_and(|way| !matches!(way.act, Act::Wait(_)))
    });
    let log = plan.redacted("");
    let on = outcome != Outcome::Done && steps().zip(&log.steps).filter(|(s, _)| !done(s)).all(|(_, kept)| kept.kept());
    let id = &job.id;
    let undo = match (outcome, back) {
        (Outcome::Done, true) => Some(format!("qd undo {id} takes it back where that is possible")),
        (_, back) => back.then(|| format!("qd undo {id} takes back what was done")),
    };
    let ways: Vec<String> = on.then(|| format!("qd resume {id} goes on")).into_iter().chain(undo).collect();
    if ways.is_empty() { String::new() } else { format!("; {}", ways.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Args, JobState, Kind, Method, Resource, Target, VerbId, Write};

    /// What is said after a job of these steps: each with how it ended.
    fn said(verb: VerbId, outcome: Outcome, steps: &[(Step, StepState)]) -> String {
        let mut plan = Plan::new(verb, &Args::default(), "it");
        plan.steps = steps.iter().map(|(step, _)| step.clone()).collect();
        let of = |(step, state): &(Step, StepState)| JobStep {
            text: step.text.clone(),
            cluster: step.target.cluster,
            part: String::new(),
            waits: false,
            state: state.clone(),
            since: 0,
        };
        let job = Job {
            id: JobId("j".into()),
            what: String::new(),
            title: String::new(),
            clusters: Vec::new(),
            began: 0,
            ended: None,
            state: JobState::Ended(outcome),
            steps: steps.iter().map(of).collect(),
            note: String::new(),
        };
        next(&plan, &job, outcome)
    }

    #[test]
    fn only_what_can_be_done_after_a_job_is_said() {
        let on = |resource: Resource| Target { resource, ..Target::of_cluster(ClusterId(0), "c") };
        let done = || StepState::Done("done".into());
        let failed = || StepState::Failed("refused".into());
        let step = || Step::write("scale", &on(Kind::Deployment.into()), Method::MergePatch, json!({}));
        let back = || {
            let way = Write { method: Method::MergePatch, path: "/x".into(), query: String::new(), body: json!({}) };
            step().undone_by("scale back", way)
        };
        let scale = |outcome, steps: &[(Step, StepState)]| said(VerbId::Scale, outcome, steps);
        assert_eq!(scale(Outcome::Done, &[(back(), done())]), "; qd undo j takes it back where that is possible");
        assert_eq!(scale(Outcome::Done, &[(step(), done())]), "", "nobody knows the way back");
        let secret = Step { sensitive: true, ..back() };
        assert_eq!(scale(Outcome::Done, &[(secret.clone(), done())]), "", "of it a hash was kept");
        let both = "; qd resume j goes on, qd undo j takes back what was done";
        assert_eq!(scale(Outcome::Partial, &[(back(), done()), (back(), failed())]), both);
        assert_eq!(scale(Outcome::Failed, &[(back(), failed())]), "; qd resume j goes on", "nothing was done");
        assert_eq!(scale(Outcome::Partial, &[(back(), done()), (secret, failed())]), "; qd undo j takes back what was done");
        let report = Step::write("publish", &on(crate::model::policy_report::resource(false)), Method::Apply, json!({"results": []}));
        assert_eq!(said(VerbId::Publish, Outcome::Failed, &[(report, failed())]), "", "the log has only its digest");
    }
}
