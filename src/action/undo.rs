//! Taking a job back, and going on with one: plans made from the audit log, previewed and confirmed like any other.

use super::preflight::drift;
use super::snapshot::{NoFact, gather};
use super::{Past, Request, Snapshot, Stop};
use crate::model::{Act, ClusterId, Inverse, Level, Method, Plan, SilenceWrite, Step, StepState, Target, UndoKind, VerbId};
use serde_json::Value;
use std::collections::BTreeMap;

/// The plan that takes back what was done of a job, last step first.
///
/// # Errors
/// When nothing was done, or what was cannot be taken back; when its cluster is not of this fleet.
pub fn undo(past: &Past, snapshot: &Snapshot) -> Result<Plan, Stop> {
    let refuse = |message: String| Stop::refuse("undo", message);
    if let Some(by) = &past.followed_by {
        return Err(refuse(format!("job {} was followed by {by} already", past.id)).with_hint(format!("qd undo {by}")));
    }
    let info = past.plan.verb.info();
    let mut plan = Plan::new(past.plan.verb, &past.plan.args, format!("undo: {}", past.plan.title));
    plan.undoes = Some(past.id.0.clone());
    // Taking back is a change like any other, and can itself be taken back.
    (plan.undo, plan.irreversible) = (info.undo, false);
    plan.parallel = past.plan.parallel;
    let (mut secret, mut over) = (0, None);
    // Silences that the job itself has ended.
    let ended = past.deeds(false).filter_map(|(.., step)| match &step.act {
        Act::Silence(SilenceWrite::Expire { body, .. }) => Some(body),
        _ => None,
    });
    let ended: Vec<&crate::model::SilenceBody> = ended.collect();
    // What a job goes on with is one deed with it.
    for (job, at, step) in past.deeds(false) {
        if step.undo.is_none() {
            continue;
        }
        if matches!(&step.act, Act::Silence(SilenceWrite::Add { body }) if ended.contains(&body)) {
            continue;
        }
        let Some(inverse) = step.way_back() else {
            secret += 1;
            continue;
        };
        let step = inverted(step, inverse, job.created.get(&at), here(job, step.target.cluster, snapshot)?);
        if let Some(why) = past_its_end(&step, snapshot.now) {
            over = over.or(Some(why.clone()));
            plan.note(Level::Warning, why);
            continue;
        }
        plan.steps.push(step);
    }
    // To wait for what nobody does takes nothing back.
    if plan.steps.iter().all(|s| matches!(s.act, Act::Wait(_))) {
        plan.steps.clear();
    }
    // The lanes stay as they were; within one the last stage goes first.
    let last = plan.steps.iter().map(|s| s.stage).max().unwrap_or(0);
    plan.steps.iter_mut().for_each(|s| s.stage = last - s.stage);
    if !past.plan.parts.is_empty() {
        // A runbook's steps are waves: the last one goes first.
        let last = past.plan.waves.iter().copied().max().unwrap_or(0);
        plan.waves = past.plan.waves.iter().map(|w| last - w).collect();
        (plan.undo, plan.parts) = (past.plan.undo, past.plan.parts.clone());
    }
    if secret > 0 {
        plan.note(
            Level::Warning,
            format!("{secret} steps held secrets, of which only a hash was kept: they cannot be taken back from the log"),
        );
    }
    let moved = settled(&mut plan, snapshot)?.or(over);
    if let (true, Some(why)) = (plan.steps.is_empty(), moved) {
        return Err(Stop::refuse("conflict", why).with_hint("what is no longer as the job left it is somebody else's by now"));
    }
    if plan.steps.is_empty() {
        let why = match past.plan.undo {
            UndoKind::None => format!("{} cannot be taken back", info.name),
            _ if secret > 0 => "what was changed was secret, and only a hash of it was kept".to_owned(),
            // The plan said so before: what the way back is.
            _ if past.plan.steps.iter().any(|s| s.sensitive) => past.plan.undo_text.clone(),
            _ => "nothing was done that could be taken back".to_owned(),
        };
        return Err(refuse(format!("job {}: {why}", past.id)));
    }
    plan.targets = plan.steps.iter().map(|s| s.target.clone()).collect();
    plan.targets.sort();
    plan.targets.dedup();
    super::name_clusters(snapshot, &mut plan);
    Ok(plan)
}

/// Leaves alone what is no longer as the job left it, so that it keeps nothing else from being taken back. Why, of the first one.
fn settled(plan: &mut Plan, snapshot: &Snapshot) -> Result<Option<String>, Stop> {
    // The first step on each object tells; those after it stand on what it leaves behind.
    let mut first: Vec<&Step> = Vec::new();
    for step in plan.steps.iter().filter(|s| !s.changes.is_empty()) {
        if !first.iter().any(|s| s.target == step.target) {
            first.push(step);
        }
    }
    let live = |s: &&Step| snapshot.fact(s.target.cluster, s.target.path());
    let found = gather(first.iter().map(live))?;
    let moved = |step: &Step, live: &Result<Value, NoFact>| match live {
        Ok(live) => drift(step, live),
        Err(NoFact::NotFound) => Some("it is gone".to_owned()),
        // What cannot be looked at the preflight tells.
        Err(_) => None,
    };
    let moved: BTreeMap<Target, String> =
        first.iter().zip(found).filter_map(|(step, live)| Some((step.target.clone(), moved(step, live)?))).collect();
    let words = |(target, why): (&Target, &String)| format!("{}{}: {why}", snapshot.place(target.cluster), target.label());
    let told: Vec<String> = moved.iter().map(words).collect();
    plan.steps.retain(|s| !moved.contains_key(&s.target));
    if !plan.steps.is_empty() {
        told.iter().for_each(|text| plan.note(Level::Warning, format!("left as it is: {text}")));
    }
    Ok(told.into_iter().next())
}

/// Why nothing is done about a silence: it has ended, or would have, by now.
fn past_its_end(step: &Step, now: i64) -> Option<String> {
    match &step.act {
        Act::Silence(SilenceWrite::Expire { body, .. }) if body.ends <= now => Some(format!("{}: it has ended by now", step.text)),
        Act::Silence(SilenceWrite::Add { body }) if body.ends <= now => Some(format!("{}: it would have ended by now", step.text)),
        Act::Silence(SilenceWrite::End { ends, .. }) if *ends <= now => {
            Some(format!("{}: that is past; silence-expire ends it now", step.text))
        }
        _ => None,
    }
}

fn inverted(step: &Step, inverse: &Inverse, created: Option<&String>, cluster: ClusterId) -> Step {
    let mut target = inverse.target.clone().unwrap_or_else(|| step.target.clone());
    target.cluster = cluster;
    let mut act = inverse.act.clone();
    if let (Act::Write(write), Some(uid)) = (&mut act, created)
        && write.method == Method::Delete
    {
        // What was made since under the same name is somebody else's.
        write.body["preconditions"]["uid"] = uid.as_str().into();
        target.uid = Some(uid.clone());
    }
    if let (Act::Silence(write), Some(id)) = (&mut act, created) {
        *write = write.clone().of(id);
    }
    let mut undo = Step::new(inverse.text.clone(), &target, act).at(usize::from(step.lane), usize::from(step.stage));
    undo.changes.clone_from(&inverse.changes);
    if let Act::Silence(write) = &undo.act {
        let again = Act::Silence(write.back());
        undo = undo.taken_back_by(step.text.clone(), again);
    }
    // The way forward again is the step itself.
    if let Act::Write(write) = &step.act
        && write.method != Method::Post
        && write.method != Method::Delete
        && inverse.target.is_none()
    {
        undo = undo.undone_by(step.text.clone(), write.clone());
    }
    undo
}

/// The plan of what a job has left: the steps that were not done, as they were.
///
/// # Errors
/// When nothing is left, or what is left was secret; when its cluster is not of this fleet.
pub fn remaining(past: &Past, snapshot: &Snapshot) -> Result<Plan, Stop> {
    let refuse = |message: String| Stop::refuse("resume", message);
    if let Some(by) = &past.followed_by {
        return Err(refuse(format!("job {} was followed by {by} already", past.id)));
    }
    if past.plan.verb == VerbId::Drain && past.plan.parts.is_empty() {
        return drained(past, snapshot);
    }
    let mut plan = past.plan.clone();
    plan.resumes = true;
    let left = |at: &usize| !matches!(past.steps.get(at), Some(StepState::Done(_)));
    plan.steps = past.plan.steps.iter().enumerate().filter(|(at, _)| left(at)).map(|(_, s)| s.clone()).collect();
    if plan.steps.is_empty() {
        return Err(refuse(format!("job {} has nothing left to do", past.id)));
    }
    if plan.steps.iter().any(|s| s.sensitive) {
        return Err(refuse(format!("job {}: what is left holds secrets, of which only a hash was kept; start it anew", past.id)));
    }
    if plan.steps.iter().any(|s| !s.kept()) {
        let why = format!("job {}: of the reports that are left to write only the digest was kept", past.id);
        return Err(refuse(why).with_hint("the next inspection publishes what is so then: qd inspect --publish policyreport"));
    }
    for step in &mut plan.steps {
        step.target.cluster = here(past, step.target.cluster, snapshot)?;
    }
    for sweep in &mut plan.sweeps {
        sweep.node.cluster = here(past, sweep.node.cluster, snapshot)?;
    }
    for target in &mut plan.targets {
        target.cluster = here(past, target.cluster, snapshot)?;
    }
    plan.title = format!("resume: {}", past.plan.title);
    super::name_clusters(snapshot, &mut plan);
    Ok(plan)
}

/// A drain goes on with what is on its nodes now: others may have come, and what is gone needs no second look.
fn drained(past: &Past, snapshot: &Snapshot) -> Result<Plan, Stop> {
    let mut targets = past.plan.targets.clone();
    for target in &mut targets {
        target.cluster = here(past, target.cluster, snapshot)?;
    }
    let request = Request { verb: past.plan.verb, targets, args: past.plan.args.clone(), documents: Vec::new() };
    // What the job has cordoned is its own, and an undo of the whole uncordons it.
    let mut facts = snapshot.facts.clone();
    for (job, _, step) in past.deeds(true) {
        let mut step = step.clone();
        step.target.cluster = here(job, step.target.cluster, snapshot)?;
        facts.own(&step);
    }
    let mut plan = super::plan(&Snapshot { facts: &facts, ..*snapshot }, &request)?;
    plan.title = format!("resume: {}", past.plan.title);
    Ok(plan)
}

/// The cluster of the job in this run's fleet: the same server, and where both are known the same uid.
fn here(past: &Past, id: ClusterId, snapshot: &Snapshot) -> Result<ClusterId, Stop> {
    let was = past.plan.clusters.iter().find(|c| c.id == id);
    let was = was.ok_or_else(|| Stop::refuse("cluster", format!("job {} does not say which cluster it was for", past.id)))?;
    let found = snapshot.store.clusters().iter().find(|c| *c.info.server == *was.server);
    let found = found.or_else(|| snapshot.store.clusters().iter().find(|c| c.info.contexts.iter().any(|x| **x == *was.context)));
    let Some(found) = found else {
        return Err(Stop::refuse("cluster", format!("cluster {} ({}) is not among those that are open", was.name, was.context)));
    };
    match (&was.uid, snapshot.cluster_uid(found.id)) {
        (Some(was_uid), Some(is)) if *was_uid != is => {
            Err(Stop::refuse("cluster", format!("cluster {} is another one by now: it was built anew", was.name)))
        }
        _ => Ok(found.id),
    }
}

#[cfg(test)]
mod tests {
    use super::super::verbs::fixture::{Fixture, NOW};
    use super::*;
    use crate::model::{Actor, JobId, Kind, Outcome, SilenceState};

    fn past(plan: Plan, steps: &[StepState]) -> Past {
        Past {
            id: JobId("j".into()),
            began: String::new(),
            actor: Actor::default(),
            clusters: vec![],
            confirmed: "yes".into(),
            reason: None,
            plan_hash: plan.hash(),
            plan,
            resumes: None,
            steps: steps.iter().cloned().enumerate().collect(),
            created: BTreeMap::new(),
            outcome: Some((String::new(), Outcome::Partial, String::new())),
            locked: false,
            followed_by: None,
            before: None,
        }
    }

    fn two(f: &mut Fixture) -> Plan {
        f.deployment("a", 3, |_| {});
        f.deployment("b", 1, |_| {});
        f.plan(VerbId::Scale, Kind::Deployment, &["a", "b"], "+1").unwrap()
    }

    /// A Deployment of the plan has that many replicas by now.
    fn scaled(f: &mut Fixture, plan: &Plan, target: usize, replicas: i64) {
        let t = &plan.targets[target];
        f.deployment(&t.name, replicas, |d| d["metadata"]["uid"] = t.uid.clone().into());
    }

    #[test]
    fn what_somebody_has_changed_since_is_left_alone_and_keeps_nothing_else() {
        let mut f = Fixture::new();
        let plan = two(&mut f);
        let done = StepState::Done("done".into());
        let job = past(plan.clone(), &vec![done; 4]);
        scaled(&mut f, &plan, 0, 4);
        scaled(&mut f, &plan, 1, 7);
        let snapshot = Snapshot { store: &f.store, facts: &f.facts, now: NOW };
        let back = undo(&job, &snapshot).unwrap();
        assert_eq!(back.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["scale deployment pay/a 4 -> 3"]);
        assert_eq!(back.notes[0].text, "left as it is: lab: deployment pay/b: spec.replicas is 7, it was 2");
        scaled(&mut f, &plan, 0, 5);
        let snapshot = Snapshot { store: &f.store, facts: &f.facts, now: NOW };
        match undo(&job, &snapshot) {
            Err(Stop::Refuse { kind: "conflict", message, .. }) => {
                assert_eq!(message, "lab: deployment pay/a: spec.replicas is 5, it was 4")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reports_are_not_written_from_the_log_which_has_their_digests() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        let mut plan = f.plan(VerbId::Cordon, Kind::Node, &["n1"], "").unwrap();
        let resource = crate::model::policy_report::resource(false);
        let report = Target { resource, ..Target::of_cluster(plan.targets[0].cluster, "quarterdeck") };
        plan.verb = VerbId::Publish;
        plan.steps = vec![Step::write("publish", &report, Method::Apply, serde_json::json!({"results": []}))];
        let snapshot = Snapshot { store: &f.store, facts: &f.facts, now: NOW };
        let job = |plan: &Plan| past(plan.clone(), &[StepState::Failed("refused".into())]);
        assert!(remaining(&job(&plan), &snapshot).is_ok(), "logs of before have them whole");
        match remaining(&job(&plan.redacted("salt")), &snapshot) {
            Err(Stop::Refuse { kind: "resume", message, .. }) => assert!(message.contains("only the digest was kept"), "{message}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_several_steps_on_one_object_the_first_tells_whether_it_still_is_as_it_was() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        let mut plan = f.plan(VerbId::Cordon, Kind::Node, &["n1"], "").unwrap();
        let uid = plan.targets[0].uid.clone();
        f.node("n1", |n| {
            n["metadata"]["uid"] = uid.clone().into();
            n["spec"]["unschedulable"] = true.into();
        });
        plan.steps.extend(f.plan(VerbId::Uncordon, Kind::Node, &["n1"], "").unwrap().steps);
        f.node("n1", |n| n["metadata"]["uid"] = uid.into());
        let job = past(plan, &vec![StepState::Done("done".into()); 2]);
        let back = undo(&job, &Snapshot { store: &f.store, facts: &f.facts, now: NOW }).unwrap();
        assert_eq!(back.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["cordon node n1", "uncordon node n1"]);
    }

    #[test]
    fn only_what_was_done_is_taken_back_and_its_clusters_are_named() {
        let mut f = Fixture::new();
        let plan = two(&mut f);
        let done = StepState::Done("done".into());
        scaled(&mut f, &plan, 0, 4);
        let job = past(plan, &[done.clone(), done, StepState::Failed("no".into())]);
        let snapshot = Snapshot { store: &f.store, facts: &f.facts, now: NOW };
        let undo = undo(&job, &snapshot).unwrap();
        assert_eq!(undo.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["scale deployment pay/a 4 -> 3"]);
        assert_eq!((undo.clusters.len(), undo.clusters[0].name.as_str(), undo.undoes.as_deref()), (1, "lab", Some("j")));
        let left = remaining(&job, &snapshot).unwrap();
        assert_eq!(
            left.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(),
            ["scale deployment pay/b 1 -> 2", "wait for deployment pay/b"]
        );
        assert_eq!(left.clusters.len(), 1);
    }

    #[test]
    fn a_drain_that_was_gone_on_with_is_taken_back_as_one() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        let pod = f.pod("a", "app", "n1", |_| {});
        let items = serde_json::json!({"items": [f.object(&pod)]});
        f.fact("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", items);
        let first = past(f.plan(VerbId::Drain, Kind::Node, &["n1"], "").unwrap(), &[StepState::Done("done".into())]);
        let uid = first.plan.targets[0].uid.clone();
        f.node("n1", |n| {
            n["metadata"]["uid"] = uid.into();
            n["spec"]["unschedulable"] = true.into();
        });
        let snapshot = Snapshot { store: &f.store, facts: &f.facts, now: NOW };
        let left = remaining(&first, &snapshot).unwrap();
        assert_eq!(left.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["evict pod pay/a"]);
        assert_eq!(left.notes, [], "the node is cordoned by the job itself");
        let mut second = past(left, &[StepState::Done("gone".into())]);
        assert!(!second.undoable());
        second.before = Some(Box::new(Past { followed_by: Some(JobId("k".into())), ..first }));
        assert!(second.undoable());
        let back = undo(&second, &snapshot).unwrap();
        assert_eq!(back.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["uncordon node n1"]);
        // Killed before it could write down that it had cordoned: the same.
        let mut unheard = second.clone();
        let before = unheard.before.as_mut().unwrap();
        (before.steps, before.outcome) = (BTreeMap::new(), None);
        let killed = Past { followed_by: None, ..(**before).clone() };
        assert_eq!(remaining(&killed, &snapshot).unwrap().notes, [], "it may have cordoned the node itself");
        assert_eq!(undo(&unheard, &snapshot).unwrap().steps.len(), 1);
        // Killed while it cordoned: the same, and also where nobody goes on with it.
        unheard.before.as_mut().unwrap().steps.insert(0, StepState::Running);
        assert!(unheard.undoable());
        assert_eq!(undo(&unheard, &snapshot).unwrap().steps.len(), 1);
        let begun = Past { steps: BTreeMap::from([(0, StepState::Running)]), ..killed };
        assert_eq!(undo(&begun, &snapshot).unwrap().steps.len(), 1);
        // Who cordoned it once more takes that back, and not twice.
        let mut again = second.clone();
        again.plan.steps.push(second.before.as_ref().unwrap().plan.steps[0].clone());
        again.steps.insert(1, StepState::Done("done".into()));
        assert_eq!(undo(&again, &snapshot).unwrap().steps.len(), 1);
    }

    #[test]
    fn a_silence_is_ended_by_its_id_and_one_that_was_ended_comes_back_while_it_would_last() {
        let mut f = Fixture::new();
        f.alerts();
        f.silence("s1", SilenceState::Active, NOW + 600);
        f.pod("web-1", "web", "n1", |_| {});
        let done = [StepState::Done("done".into())];
        let mut job = past(f.plan(VerbId::Silence, Kind::Pod, &["web-1"], "2h comment=x").unwrap(), &done);
        job.created = BTreeMap::from([(0, "s7".to_owned())]);
        let at = |now| Snapshot { store: &f.store, facts: &f.facts, now };
        let back = undo(&job, &at(NOW)).unwrap();
        assert_eq!(back.steps[0].text, r#"end the silence namespace="pay" pod="web-1""#);
        assert!(matches!(&back.steps[0].act, Act::Silence(SilenceWrite::Expire { id, .. }) if id == "s7"));
        assert!(matches!(&back.steps[0].undo.as_ref().unwrap().act, Act::Silence(SilenceWrite::Add { .. })));
        let mut f = f;
        let job = past(f.plan(VerbId::SilenceExpire, Kind::Silence, &["s1"], "").unwrap(), &done);
        let at = |now| Snapshot { store: &f.store, facts: &f.facts, now };
        assert_eq!(undo(&job, &at(NOW)).unwrap().steps[0].text, r#"silence alertname="X" again"#);
        match undo(&job, &at(NOW + 700)) {
            Err(Stop::Refuse { message, .. }) => assert!(message.ends_with("it would have ended by now"), "{message}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_done_somebody_else_or_another_cluster_is_refused() {
        let mut f = Fixture::new();
        let plan = two(&mut f);
        let snapshot = Snapshot { store: &f.store, facts: &f.facts, now: NOW };
        let words = |job: &Past| match undo(job, &snapshot) {
            Err(Stop::Refuse { message, .. }) => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(words(&past(plan.clone(), &[])), "job j: nothing was done that could be taken back");
        let done = [StepState::Done("done".into())];
        let mut job = past(plan.clone(), &done);
        job.followed_by = Some(JobId("k".into()));
        assert_eq!(words(&job), "job j was followed by k already");
        let mut job = past(plan, &done);
        (job.plan.clusters[0].server, job.plan.clusters[0].context) = ("https://other".into(), "other".into());
        assert_eq!(words(&job), "cluster lab (other) is not among those that are open");
    }
}
