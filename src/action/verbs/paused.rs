//! `rollout-pause`, `rollout-resume`, `suspend-cronjob`, `resume-cronjob`, `schedule-pause`, `schedule-resume`: one switch in the spec, on or off.

use super::template::{aimed, owners, rolls};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::duration::age;
use crate::model::{Act, Level, Method, Object, Plan, Step, Target, Wait, Write};
use serde_json::{Value, json};

/// Whose switch it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Rollout,
    CronJob,
    Schedule,
}

pub fn pause(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, Of::Rollout, true)
}

pub fn resume(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, Of::Rollout, false)
}

pub fn suspend(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, Of::CronJob, true)
}

pub fn unsuspend(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, Of::CronJob, false)
}

pub fn pause_schedule(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, Of::Schedule, true)
}

pub fn resume_schedule(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, Of::Schedule, false)
}

fn plan(snapshot: &Snapshot, request: &Request, of: Of, on: bool) -> Result<Plan, Stop> {
    let field = if of == Of::CronJob { "suspend" } else { "paused" };
    // Custom resources take no strategic patch.
    let method = if of == Of::Schedule { Method::MergePatch } else { Method::StrategicPatch };
    let word = |on: bool| match (of, on) {
        (Of::Rollout, true) => "pause the rollout of",
        (Of::CronJob, true) => "suspend",
        (Of::Schedule, true) => "pause",
        _ => "resume",
    };
    let mut plan = Plan::new(request.verb, &request.args, format!("{} {}", word(on), subject(request)));
    for (lane, (target, object)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        let was = object["spec"][field].clone();
        if was.as_bool().unwrap_or(false) == on {
            let state = match (field, on) {
                ("paused", true) => "is paused already",
                ("paused", false) => "is not paused",
                (_, true) => "is suspended already",
                _ => "is not suspended",
            };
            plan.note(Level::Info, format!("{} {state}", target.label()));
            continue;
        }
        let target = aimed(target, object);
        let after = if on || of != Of::Rollout { json!(on) } else { Value::Null };
        let body = |value: &Value| json!({"spec": {field: value}});
        let back = Write { method, path: target.path(), query: String::new(), body: body(&was) };
        let some = |v: &Value| Some(v.clone()).filter(|v| !v.is_null());
        let step = Step::write(format!("{} {}", word(on), target.label()), &target, method, body(&after))
            .changing(format!("/spec/{field}"), some(&was), some(&after))
            .undone_by(format!("{} {}", word(!on), target.label()), back);
        plan.steps.push(step.at(lane, 0));
        match (of, on) {
            (Of::Rollout, true) => held(&mut plan, &target, object),
            (Of::Rollout, false) => {
                let mut resumed = object.clone();
                resumed["spec"]["paused"] = Value::Null;
                rolls(snapshot, &mut plan, &target, &resumed);
                plan.steps.push(Step::new(format!("wait for {}", target.label()), &target, Act::Wait(Wait::RolledOut)).at(lane, 1));
            }
            (Of::CronJob, on) => scheduled(&mut plan, &target, object, on),
            (Of::Schedule, on) => made(snapshot, &mut plan, &target, object, on),
        }
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.parallel = 4;
    plan.undo_text = if on { "lets go on what this holds" } else { "holds again what this lets go on" }.to_owned();
    Ok(plan)
}

fn held(plan: &mut Plan, target: &Target, object: &Value) {
    owners(plan, target, object, "the spec");
    plan.blast_in(target.cluster).workloads += 1;
    let (all, new) = (object["spec"]["replicas"].as_i64().unwrap_or(1), object["status"]["updatedReplicas"].as_i64().unwrap_or(0));
    if new < all {
        plan.note(Level::Warning, format!("the rollout of {} stays where it is: {new} of {all} pods are new", target.label()));
    } else {
        plan.note(Level::Info, format!("no rollout of {} is under way: changes of its template wait until it is resumed", target.label()));
    }
}

fn scheduled(plan: &mut Plan, target: &Target, object: &Value, on: bool) {
    owners(plan, target, object, "the spec");
    plan.blast_in(target.cluster).workloads += 1;
    let active = object["status"]["active"].as_array().map_or(0, Vec::len);
    if on && active > 0 {
        plan.note(Level::Info, format!("{active} Jobs of {} run already and go on", target.label()));
    }
    if !on && object["spec"]["startingDeadlineSeconds"].is_null() {
        plan.note(Level::Warning, format!("{} has no starting deadline: a run that was missed may start at once", target.label()));
    }
}

/// What a schedule of Velero would have made meanwhile, or makes at once.
fn made(snapshot: &Snapshot, plan: &mut Plan, target: &Target, object: &Value, on: bool) {
    owners(plan, target, object, "the spec");
    let Some(Object::Schedule(schedule)) = snapshot.row(target) else { return };
    if on {
        let next = schedule.due().filter(|at| *at > snapshot.now);
        let next = next.map_or_else(String::new, |at| format!(": the next one, in {}, is not made", age(at - snapshot.now)));
        plan.note(Level::Warning, format!("no backup of {} is made until it is resumed{next}", target.label()));
        return;
    }
    let resumed = crate::model::Schedule { paused: false, ..(**schedule).clone() };
    match resumed.due() {
        Some(at) if at <= snapshot.now => {
            plan.note(Level::Info, format!("a run of {} ago was missed: a backup may be made at once", age(snapshot.now - at)));
        }
        Some(at) => plan.note(Level::Info, format!("the next backup is made in {}", age(at - snapshot.now))),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use crate::model::{Act, Kind, VerbId};
    use serde_json::json;

    #[test]
    fn a_rollout_is_held_and_let_go() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |d| d["status"]["updatedReplicas"] = 1.into());
        let plan = f.plan(VerbId::RolloutPause, Kind::Deployment, &["api"], "").unwrap();
        assert_eq!(plan.title, "pause the rollout of deployment pay/api");
        assert_eq!(plan.notes[0].text, "the rollout of deployment pay/api stays where it is: 1 of 3 pods are new");
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body, json!({"spec": {"paused": null}}));
        assert_eq!(
            f.plan(VerbId::RolloutResume, Kind::Deployment, &["api"], "").unwrap_err(),
            "nothing to do: deployment pay/api is not paused"
        );
        f.deployment("held", 3, |d| d["spec"]["paused"] = true.into());
        let plan = f.plan(VerbId::RolloutResume, Kind::Deployment, &["held"], "").unwrap();
        assert!(matches!(plan.steps[1].act, Act::Wait(_)));
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body, json!({"spec": {"paused": true}}));
    }

    #[test]
    fn a_schedule_is_paused_and_what_is_not_made_is_said() {
        let mut f = Fixture::new();
        let schedule = |paused: bool| {
            json!({"metadata": {"name": if paused { "held" } else { "nightly" }, "namespace": "velero"},
            "spec": {"schedule": "0 3 * * *", "paused": paused}, "status": {"phase": "Enabled", "lastBackup": "2026-02-27T03:00:10Z"}})
        };
        f.add(Kind::Schedule, schedule(false));
        f.add(Kind::Schedule, schedule(true));
        let plan = f.plan(VerbId::SchedulePause, Kind::Schedule, &["nightly"], "").unwrap();
        assert_eq!(plan.steps[0].text, "pause schedule velero/nightly");
        let write = plan.steps[0].act.request().unwrap();
        assert_eq!((write.method, &write.body), (crate::model::Method::MergePatch, &json!({"spec": {"paused": true}})));
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body, json!({"spec": {"paused": false}}));
        assert!(plan.notes[0].text.starts_with("no backup of schedule velero/nightly is made until it is resumed"));
        let plan = f.plan(VerbId::ScheduleResume, Kind::Schedule, &["held"], "").unwrap();
        assert_eq!(plan.notes[0].text, "a run of 23h ago was missed: a backup may be made at once");
        let again = f.plan(VerbId::ScheduleResume, Kind::Schedule, &["nightly"], "").unwrap_err();
        assert_eq!(again, "nothing to do: schedule velero/nightly is not paused");
    }

    #[test]
    fn a_cron_job_is_suspended_and_starts_again() {
        let mut f = Fixture::new();
        let cron = |on: bool| json!({"metadata": {"name": if on { "off" } else { "report" }, "namespace": "pay"}, "spec": {"schedule": "0 * * * *", "suspend": on}});
        f.add(Kind::CronJob, cron(false));
        f.add(Kind::CronJob, cron(true));
        let plan = f.plan(VerbId::Suspend, Kind::CronJob, &["report", "off"], "").unwrap();
        assert_eq!(plan.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["suspend cronjob pay/report"]);
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body, json!({"spec": {"suspend": false}}));
        let plan = f.plan(VerbId::Unsuspend, Kind::CronJob, &["off"], "").unwrap();
        assert_eq!(plan.notes[0].text, "cronjob pay/off has no starting deadline: a run that was missed may start at once");
    }
}
