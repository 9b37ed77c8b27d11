//! Acting: what a key opens, and what confirms.

use super::*;
use crate::action::{Ask, Gate, Preflight, Preview, Request, Wanted};
use crate::command::PaneName;
use crate::model::{Act, Args, JobId, JobState, Outcome, Plan, Step, VerbId};
use std::sync::Arc;

fn preview(ask: Ask, reason_required: bool) -> Arc<Preview> {
    let plan = Plan::new(VerbId::Restart, &Args::default(), "restart deployment shop/web");
    Arc::new(Preview::new(plan, Preflight::default(), Gate { ask, reason_required, refusals: Vec::new(), parallel: 1 }))
}

/// The preview of a restart on the screen in frame 5, with what is asked.
fn open(b: &Bench, app: &mut App, ask: Ask, reason: bool) -> RequestId {
    let effects = b.press(app, "4r");
    let [Effect::Plan(id, wanted)] = effects.as_slice() else { panic!("{effects:?}") };
    let Wanted::Act(Request { verb: VerbId::Restart, targets, .. }) = &**wanted else { panic!("{wanted:?}") };
    assert_eq!(targets.len(), 1);
    app.update(&b.world(), Event::Previewed(*id, Ok(preview(ask, reason))));
    app.drawn(HitMap { frame: 5, ..HitMap::default() });
    app.acked = 5;
    *id
}

fn confirms(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Confirm(..)))
}

#[test]
fn a_write_key_opens_a_preview_and_sends_nothing() {
    let (b, mut app) = Bench::new();
    for keys in ["2r", "2c", "4r", "4R", "3\u{4}"] {
        let effects = b.press(&mut app, keys);
        assert!(matches!(effects.as_slice(), [Effect::Plan(..)] | []), "{keys}: {effects:?}");
        b.press(&mut app, "\x1b");
    }
    b.press(&mut app, "4s");
    assert!(matches!(&app.overlay, Some(Overlay::Form(f)) if f.fields[0].text() == "2"), "scale proposes the number there is");
    let effects = b.press(&mut app, "\r");
    assert!(matches!(effects.as_slice(), [Effect::Plan(..)]), "{effects:?}");
    b.press(&mut app, "\x1b3s");
    assert!(app.notice.is_some(), "a shell is not there yet, and says so");
}

#[test]
fn what_does_not_fit_a_verb_says_so() {
    let (b, mut app) = Bench::new();
    b.press(&mut app, "2");
    app.run(&b.world(), &Command::Verb(VerbId::Restart, None));
    assert_eq!(app.notice.as_ref().unwrap().text, "restart is for Deployment, StatefulSet or DaemonSet, not for a Node");
    app.run(&b.world(), &Command::Verb(VerbId::Drain, Some("timout=2m".into())));
    assert!(app.notice.as_ref().unwrap().text.contains("did you mean `timeout`?"));
}

#[test]
fn b_backs_up_what_is_highlighted_or_all_of_a_cluster() {
    let (b, mut app) = Bench::new();
    let wanted = |effects: &[Effect]| match effects {
        [Effect::Plan(_, wanted)] => match &**wanted {
            Wanted::Act(request) => (request.verb, request.targets.iter().map(|t| t.label()).collect::<Vec<_>>()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(wanted(&b.press(&mut app, "4b")), (VerbId::Backup, vec!["deployment shop/web".to_owned()]));
    b.press(&mut app, "\x1b");
    b.press(&mut app, "1");
    let (verb, targets) = wanted(&b.press(&mut app, "b"));
    assert_eq!((verb, targets.as_slice()), (VerbId::Backup, ["cluster a".to_owned()].as_slice()));
    b.press(&mut app, "\x1b");
    b.press(&mut app, "2b");
    assert!(app.notice.as_ref().unwrap().text.starts_with("backup is for Namespace, Deployment"), "{:?}", app.notice);
}

#[test]
fn what_an_offer_came_before_is_previewed_afresh_when_that_is_done() {
    use crate::model::plan::Offer;
    let ready = |verb: VerbId, before: bool, on: &Request| {
        let mut plan = Plan::new(verb, &Args::default(), "it");
        let offer = Offer { text: "back up".into(), before, verb: VerbId::Backup, args: Args::default(), targets: on.targets.clone() };
        plan.offers.extend((verb == VerbId::Delete).then_some(offer));
        let gate = Gate { ask: Ask::Yes, reason_required: false, refusals: Vec::new(), parallel: 1 };
        Arc::new(Preview::new(plan, Preflight::default(), gate))
    };
    let planned = |effects: &[Effect]| match effects.last() {
        Some(Effect::Plan(id, wanted)) => match &**wanted {
            Wanted::Act(request) => (*id, request.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    // Before it, instead of it; done, failed, while something is typed.
    for (before, outcome, keys, comes) in [
        (true, Outcome::Done, "", true),
        (false, Outcome::Done, "", false),
        (true, Outcome::Failed, "", false),
        (true, Outcome::Done, "/", false),
    ] {
        let (b, mut app) = Bench::new();
        b.press(&mut app, "4");
        let (id, delete) = planned(&app.run(&b.world(), &Command::Verb(VerbId::Delete, None)));
        assert_eq!(delete.verb, VerbId::Delete);
        app.update(&b.world(), Event::Previewed(id, Ok(ready(VerbId::Delete, before, &delete))));
        let (id, backup) = planned(&b.press(&mut app, "1"));
        assert_eq!(backup.verb, VerbId::Backup);
        let Place::Preview(pane) = &app.place else { panic!() };
        assert_eq!(pane.then().is_some(), before);
        app.update(&b.world(), Event::Previewed(id, Ok(ready(VerbId::Backup, false, &backup))));
        app.drawn(HitMap { frame: 5, ..HitMap::default() });
        app.acked = 5;
        assert!(confirms(&b.press(&mut app, "y")));
        let job = JobId("j1".into());
        app.update(&b.world(), Event::Started(id, Ok(job.clone())));
        b.press(&mut app, keys);
        let effects = app.update(&b.world(), Event::JobEnded(job.clone(), JobState::Ended(outcome)));
        assert_eq!(matches!(app.place, Place::Preview(_)), comes, "{before} {outcome:?} {keys}");
        assert!(!confirms(&effects), "nothing is sent unasked");
        if comes {
            assert_eq!(planned(&effects).1, delete);
            assert!(app.notice.as_ref().unwrap().text.ends_with("nothing of it is sent yet"), "{:?}", app.notice);
        }
        assert!(app.update(&b.world(), Event::JobEnded(job, JobState::Ended(Outcome::Done))).is_empty(), "once");
    }
}

#[test]
fn a_digit_takes_an_offer_before_a_name_is_typed_and_is_of_the_name_else() {
    use crate::model::plan::Offer;
    for (name, reason, keys, takes, typed) in [
        ("lab-1", false, "1", true, ""),
        ("lab-1", false, "lab-1", false, "lab-1"),
        ("1st", false, "1", false, "1"),
        ("lab-1", true, "1", false, ""),
    ] {
        let (b, mut app) = Bench::new();
        let effects = b.press(&mut app, "4r");
        let [Effect::Plan(id, wanted)] = effects.as_slice() else { panic!("{effects:?}") };
        let Wanted::Act(request) = &**wanted else { panic!() };
        let mut plan = Plan::new(VerbId::Restart, &Args::default(), "it");
        let targets = request.targets.clone();
        plan.offers.push(Offer { text: "back up".into(), before: true, verb: VerbId::Backup, args: Args::default(), targets });
        let gate = Gate { ask: Ask::Typed(name.into()), reason_required: reason, refusals: Vec::new(), parallel: 1 };
        app.update(&b.world(), Event::Previewed(*id, Ok(Arc::new(Preview::new(plan, Preflight::default(), gate)))));
        assert!(b.press(&mut app, "1").is_empty(), "before it is on the screen");
        app.drawn(HitMap { frame: 5, ..HitMap::default() });
        app.acked = 5;
        let effects = b.press(&mut app, keys);
        assert_eq!(matches!(effects.last(), Some(Effect::Plan(..))), takes, "{name} {reason} {keys}");
        let Place::Preview(pane) = &app.place else { panic!() };
        assert_eq!(pane.typed, typed, "{name} {reason} {keys}");
    }
}

#[test]
fn a_fetched_log_opens_when_its_job_is_done_unless_keys_go_elsewhere() {
    let of = [(Kind::Backup, PaneName::Backups), (Kind::Restore, PaneName::Restores)];
    for ((kind, pane), (elsewhere, opens)) in of.into_iter().flat_map(|of| [("", true), ("/", false)].map(|how| (of, how))) {
        let (mut b, mut app) = Bench::new();
        b.add(0, kind, json!({"metadata": {"name": "nightly", "namespace": "velero", "uid": "v1"}, "status": {"phase": "Completed"}}));
        app.run(&b.world(), &Command::Pane((pane, None)));
        let effects = b.press(&mut app, "l");
        let [Effect::Plan(id, wanted)] = effects.as_slice() else { panic!("{effects:?}") };
        let Wanted::Act(request) = &**wanted else { panic!("{wanted:?}") };
        assert_eq!(request.verb, VerbId::BackupLogs);
        assert_eq!(request.targets[0].resource.known(), Some(kind));
        let kept = format!("velero-a-{}-nightly-log.txt", kind.name().to_lowercase());
        let fetch = Act::Fetch { file: kept.clone() };
        let mut plan = Plan::new(VerbId::BackupLogs, &Args::default(), "fetch the log");
        plan.steps.push(Step::new("fetch", &request.targets[0], fetch));
        let gate = Gate { ask: Ask::Yes, reason_required: false, refusals: Vec::new(), parallel: 1 };
        app.update(&b.world(), Event::Previewed(*id, Ok(Arc::new(Preview::new(plan, Preflight::default(), gate)))));
        app.drawn(HitMap { frame: 5, ..HitMap::default() });
        app.acked = 5;
        assert!(confirms(&b.press(&mut app, "y")));
        let job = JobId("j1".into());
        assert!(app.update(&b.world(), Event::Started(*id, Ok(job.clone()))).is_empty());
        assert!(app.update(&b.world(), Event::JobEnded(JobId("j0".into()), JobState::Ended(Outcome::Done))).is_empty(), "another job");
        b.press(&mut app, elsewhere);
        let effects = app.update(&b.world(), Event::JobEnded(job, JobState::Ended(Outcome::Done)));
        assert_eq!(matches!(app.place, Place::Logs(_)), opens, "{elsewhere}");
        if opens {
            let Some(Effect::ReadFiles(id, files)) = effects.first() else { panic!("{effects:?}") };
            assert_eq!((&*files[0].about, &*files[0].file), ("nightly", &*kept));
            let line = LogLine { time: String::new(), pod: "nightly".into(), container: "log".into(), text: "Setting up".into() };
            app.update(&b.world(), Event::Logs(*id, vec![line]));
            let Place::Logs(logs) = &app.place else { panic!() };
            assert_eq!((logs.len(), logs.top()), (1, Some(0)), "from its beginning");
        }
    }
}

#[test]
fn only_what_was_typed_after_the_preview_was_seen_confirms() {
    let (b, mut app) = Bench::new();
    let effects = b.press(&mut app, "4ry");
    assert!(!confirms(&effects), "typed ahead");
    let Some(Effect::Plan(id, _)) = effects.first() else { panic!("{effects:?}") };
    app.update(&b.world(), Event::Previewed(*id, Ok(preview(Ask::Yes, false))));
    assert!(!confirms(&b.press(&mut app, "y")), "not drawn yet");
    app.drawn(HitMap { frame: 7, ..HitMap::default() });
    app.acked = 6;
    assert!(!confirms(&b.press(&mut app, "y")), "drawn, and not on the screen yet");
    assert_eq!(app.notice.as_ref().unwrap().text, "typed before it was on the screen: not counted");
    app.acked = 7;
    assert!(!confirms(&b.press(&mut app, "\r")), "Enter never does");
    assert!(confirms(&b.press(&mut app, "y")));
    assert!(!confirms(&b.press(&mut app, "y")), "once");
}

#[test]
fn production_wants_the_name_and_a_slip_leaves_it_open() {
    let (b, mut app) = Bench::new();
    open(&b, &mut app, Ask::Typed("prod-eu".into()), false);
    assert!(!confirms(&b.press(&mut app, "\r")), "Enter alone");
    assert!(!confirms(&b.press(&mut app, "prod-us\r")));
    assert_eq!(app.notice.as_ref().unwrap().text, "\"prod-us\" is not \"prod-eu\"");
    let key = |app: &mut App, code, with| drop(app.update(&b.world(), Event::Key(KeyEvent::new(code, with))));
    key(&mut app, KeyCode::Char('u'), KeyModifiers::CONTROL);
    b.press(&mut app, "prod-us");
    key(&mut app, KeyCode::Backspace, KeyModifiers::NONE);
    key(&mut app, KeyCode::Backspace, KeyModifiers::NONE);
    let effects = b.press(&mut app, "eu\r");
    let [Effect::Confirm(_, said)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(said.typed.as_deref(), Some("prod-eu"));
}

#[test]
fn a_reason_that_is_required_is_asked_for_first() {
    let (b, mut app) = Bench::new();
    open(&b, &mut app, Ask::Yes, true);
    assert!(!confirms(&b.press(&mut app, "INC-7\r\r")), "the reason alone");
    let effects = b.press(&mut app, "y\r");
    let [Effect::Confirm(_, said)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((said.reason.as_deref(), said.yes), (Some("INC-7"), true));
}

#[test]
fn late_answers_are_dropped_and_closing_forgets_the_plan() {
    let (b, mut app) = Bench::new();
    let id = open(&b, &mut app, Ask::Yes, false);
    let effects = b.press(&mut app, "\x1b");
    assert_eq!(effects, [Effect::DropPlan(id)]);
    app.update(&b.world(), Event::Previewed(id, Ok(preview(Ask::Yes, false))));
    assert!(matches!(app.place, Place::Table(_)), "it stays closed");
    app.update(&b.world(), Event::Started(id, Err("late".into())));
    assert!(matches!(app.place, Place::Table(_)));
}

#[test]
fn marks_over_clusters_are_one_plan() {
    let (b, mut app) = Bench::new();
    b.press(&mut app, "2*");
    let effects = b.press(&mut app, "c");
    let [Effect::Plan(_, wanted)] = effects.as_slice() else { panic!("{effects:?}") };
    let Wanted::Act(request) = &**wanted else { panic!("{wanted:?}") };
    let clusters: Vec<u16> = request.targets.iter().map(|t| t.cluster.0).collect();
    assert_eq!((request.verb, clusters), (VerbId::Cordon, vec![0, 1]));
}

#[test]
fn quitting_asks_while_a_job_runs() {
    use crate::model::{Job, JobId, JobState, Progress};
    let (mut b, mut app) = Bench::new();
    let id = JobId("j".into());
    let job = Job {
        id: id.clone(),
        what: "drain".into(),
        title: "drain".into(),
        clusters: vec![],
        began: 0,
        ended: None,
        state: JobState::Running,
        steps: vec![],
        note: String::new(),
    };
    b.store.jobs.apply(Progress::Began(Box::new(job)), 0);
    assert!(b.press(&mut app, "\x03\x03").is_empty());
    assert!(matches!(app.overlay, Some(Overlay::Quit)) && !app.quitting());
    b.press(&mut app, "\x1b");
    assert!(app.overlay.is_none());
    b.press(&mut app, "J");
    b.press(&mut app, "x");
    assert!(!app.notice.as_ref().unwrap().text.is_empty(), "asked once more");
    let effects = b.press(&mut app, "x");
    assert!(matches!(effects.as_slice(), [Effect::Job(j, crate::model::Control::Stop(_))] if *j == id), "{effects:?}");
    let effects = b.press(&mut app, "\x03\x03\x03\x03");
    assert!(effects.contains(&Effect::Quit), "asked, and answered with the same keys: {effects:?}");
}

fn key(b: &Bench, app: &mut App, code: KeyCode) -> Vec<Effect> {
    app.update(&b.world(), Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

#[test]
fn an_edited_text_goes_to_the_preview_and_the_text_stays_under_it() {
    let (b, mut app) = Bench::new();
    let effects = b.press(&mut app, "4e");
    let [Effect::Fetch(id, object)] = effects.as_slice() else { panic!("{effects:?}") };
    let (id, uid) = (*id, object.uid.to_string());
    assert!(key(&b, &mut app, KeyCode::F(2)).is_empty(), "nothing is here yet");
    let live = json!({"kind": "Deployment", "metadata": {"name": "web", "uid": uid, "managedFields": []}, "spec": {"replicas": 2}});
    app.update(&b.world(), Event::Fetched(id, Ok(live.clone())));
    assert!(key(&b, &mut app, KeyCode::F(2)).is_empty());
    assert_eq!(app.notice.as_ref().unwrap().text, "nothing was changed");
    // Keys are text here, also those that act elsewhere.
    b.press(&mut app, "]ryq");
    assert_eq!(b.here(&app), "editor");
    assert!(key(&b, &mut app, KeyCode::F(2)).is_empty(), "no YAML any more");
    assert!(app.notice.as_ref().unwrap().error);
    for _ in 0..4 {
        key(&b, &mut app, KeyCode::Delete);
    }
    for _ in 0..9 {
        key(&b, &mut app, KeyCode::Down);
    }
    let Place::Editor(editor) = &mut app.place else { panic!() };
    let text: Vec<&str> = editor.pages().unwrap().lines().iter().map(String::as_str).collect();
    assert!(!text.iter().any(|l| l.contains("managedFields")), "{text:?}");
    let edited = text.join("\n").replace("replicas: 2", "replicas: 5");
    app.update(&b.world(), Event::Edited(id, Ok(edited)));
    let effects = key(&b, &mut app, KeyCode::F(2));
    let [Effect::Plan(plan, wanted)] = effects.as_slice() else { panic!("{effects:?} {:?}", app.notice) };
    let Wanted::Act(request) = &**wanted else { panic!("{wanted:?}") };
    assert_eq!((request.verb, request.documents.len()), (VerbId::Edit, 2));
    assert!(request.documents[0].1.contains("\"replicas\":5") && request.documents[1].1.contains("\"replicas\":2"), "{request:?}");
    b.press(&mut app, "\x1b");
    assert_eq!(b.here(&app), "editor");
    b.press(&mut app, "\x1b");
    assert_eq!(b.here(&app), "editor", "changed: asked once");
    let plan = *plan;
    app.update(&b.world(), Event::Started(plan, Ok(crate::model::JobId("late".into()))));
    assert_eq!(b.here(&app), "editor", "that preview was closed");
    b.press(&mut app, "\x1b");
    assert_eq!(b.here(&app), "workloads 2/ web");
    app.update(&b.world(), Event::Fetched(id, Ok(live)));
    assert_eq!(b.here(&app), "workloads 2/ web", "late");
}

#[test]
fn the_editor_is_left_when_its_job_begins() {
    let (b, mut app) = Bench::new();
    let effects = b.press(&mut app, "4e");
    let [Effect::Fetch(id, object)] = effects.as_slice() else { panic!("{effects:?}") };
    let live = json!({"kind": "Deployment", "metadata": {"name": "web", "uid": object.uid.to_string()}, "spec": {"replicas": 2}});
    app.update(&b.world(), Event::Fetched(*id, Ok(live)));
    b.press(&mut app, "a: 1\r");
    let effects = key(&b, &mut app, KeyCode::F(2));
    let [Effect::Plan(plan, _)] = effects.as_slice() else { panic!("{effects:?} {:?}", app.notice) };
    app.update(&b.world(), Event::Started(*plan, Ok(crate::model::JobId("j".into()))));
    assert_eq!(b.here(&app), "workloads 2/ web");
}

fn acts(app: &App) -> (Vec<&str>, &str) {
    let Some(Overlay::Choose(c)) = &app.overlay else { panic!() };
    (c.items.iter().filter(|i| !i.off).map(|i| i.text.as_str()).collect(), c.current().map_or("", |i| i.text.as_str()))
}

#[test]
fn acts_that_the_clusters_refuse_go_below_and_say_why() {
    let (b, mut app) = Bench::new();
    let effects = b.press(&mut app, "2a");
    let [Effect::MayI(id, verbs, targets)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(verbs.contains(&VerbId::Cordon) && !verbs.contains(&VerbId::Scale) && targets.len() == 1, "{verbs:?}");
    let (first, cursor) = (acts(&app).0.len(), acts(&app).1.to_owned());
    app.update(&b.world(), Event::Refused(RequestId(9999), vec![(VerbId::Drain, "late".into())]));
    assert_eq!(acts(&app).0.len(), first, "another list's answer");
    app.update(&b.world(), Event::Refused(*id, vec![(VerbId::Cordon, "patch nodes: not permitted".into())]));
    assert_eq!((acts(&app).0.len(), acts(&app).1), (first - 1, cursor.as_str()), "the cursor stays on its act");
    let Some(Overlay::Choose(c)) = &mut app.overlay else { panic!() };
    c.selected = c.items.iter().position(|i| i.text == "cordon").unwrap();
    assert!(b.press(&mut app, "\r").is_empty());
    assert_eq!(app.notice.as_ref().unwrap().text, "cordon: no: patch nodes: not permitted");
}

#[test]
fn an_act_of_the_list_is_for_what_the_list_was_opened_on() {
    let (mut b, mut app) = Bench::new();
    b.press(&mut app, "3a");
    let Some(Overlay::Choose(c)) = &mut app.overlay else { panic!() };
    let object = c.objects[0].clone();
    c.selected = c.items.iter().position(|i| i.text == "evict").unwrap();
    // It goes while the list is open, and the cursor of the table lies on another pod.
    b.store.apply(
        Batch {
            cluster: object.cluster,
            generation: Generation(1),
            delta: Delta::Rows { kind: Kind::Pod, changes: vec![Change::Delete(object.uid)] },
        },
        100,
        &mut Vec::new(),
    );
    assert!(b.press(&mut app, "\r").is_empty());
    assert_eq!(app.notice.as_ref().unwrap().text, format!("{} is gone", object.name));
}

#[test]
fn the_audit_log_is_filtered_by_words_while_they_are_typed() {
    use crate::model::{Actor, AuditEvent, AuditRecord, JobId};
    let (b, mut app) = Bench::new();
    assert_eq!(b.press(&mut app, "L"), [Effect::Remember(Remember::Show)]);
    let record = |job: &str, title: &str, user: &str, reason: &str| AuditRecord {
        at: "2026-03-01T02:45:00.000Z".into(),
        job: JobId(job.into()),
        event: AuditEvent::Intent {
            actor: Box::new(Actor { user: user.into(), ..Actor::default() }),
            clusters: vec!["prod-eu".into()],
            confirmed: "typed".into(),
            reason: Some(reason.into()),
            plan_hash: "h".into(),
            plan: Box::new(Plan::new(VerbId::Scale, &Args::default(), title)),
            salt: "s".into(),
            resumes: None,
        },
        prev: String::new(),
    };
    let ledger = crate::action::Ledger::of(vec![record("1", "scale pay/api", "jane", "INC-7"), record("2", "drain n1", "joe", "INC-7")]);
    app.update(&b.world(), Event::Remembered(Remember::Show, Ok(Box::new(ledger))));
    let shown = |app: &App| {
        let Place::Audit(p) = &app.place else { panic!() };
        p.shown().iter().map(|j| j.id.0.clone()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&app), ["2", "1"], "newest first");
    b.press(&mut app, "/inc-7 JANE");
    assert_eq!(shown(&app), ["1"]);
    b.press(&mut app, "\x1b");
    assert_eq!(shown(&app), ["2", "1"], "Esc puts back what was");
    b.press(&mut app, "/joe\r\r");
    assert!(matches!(&app.place, Place::Audit(p) if p.open && p.shown()[p.cursor].id.0 == "2"), "the record is one of those shown");
    b.press(&mut app, "\x1b\x1b");
    assert_eq!(shown(&app), ["2", "1"], "back closes the record, then lifts the filter");
}

fn with_books(app: &mut App) {
    let mut diags = Vec::new();
    for text in [include_str!("../../../assets/runbooks/node-maintenance.toml"), include_str!("../../../assets/runbooks/freeze-hpas.toml")]
    {
        crate::config::parse_runbooks(text, std::path::Path::new("r.toml"), &mut app.runbooks, &mut diags);
    }
    assert!(diags.is_empty());
}

#[test]
fn a_runbook_is_chosen_filled_in_and_planned() {
    let (b, mut app) = Bench::new();
    with_books(&mut app);
    b.press(&mut app, "2");
    assert!(app.run(&b.world(), &Command::Run(None)).is_empty());
    let Some(Overlay::Choose(c)) = &app.overlay else { panic!("a list") };
    assert_eq!(c.items.iter().map(|i| i.text.as_str()).collect::<Vec<_>>(), ["node-maintenance", "freeze-hpas"]);
    assert!(c.items.iter().all(|i| !i.doc.is_empty()));
    b.press(&mut app, "\r");
    let Some(Overlay::Form(f)) = &app.overlay else { panic!("a form") };
    let fields: Vec<(&str, &str)> = f.fields.iter().map(|f| (f.name.as_str(), f.text())).collect();
    let node = app.highlighted(&b.world()).unwrap();
    let cluster = b.world().store.cluster(node.cluster).unwrap().info.name.to_string();
    assert_eq!(
        fields,
        [("cluster", cluster.as_str()), ("node", &*node.name), ("pause", "10m"), ("timeout", "30m")],
        "what the screen says"
    );
    let effects = b.press(&mut app, "\r");
    let [Effect::Plan(_, wanted)] = effects.as_slice() else { panic!("{effects:?}") };
    let Wanted::Run(run) = &**wanted else { panic!("{wanted:?}") };
    assert_eq!((run.0.name.as_str(), run.1.clusters.as_slice()), ("node-maintenance", [node.cluster].as_slice()));
    assert_eq!(run.1.values.get("node").map(String::as_str), Some(&*node.name));
    // Other parameters: the form as it was.
    b.press(&mut app, "o");
    assert!(matches!(&app.overlay, Some(Overlay::Form(f)) if f.fields[1].text() == &*node.name));
}

#[test]
fn a_runbooks_line_is_checked_and_a_whole_one_is_planned_at_once() {
    let (b, mut app) = Bench::new();
    with_books(&mut app);
    let world = b.world();
    let run = |app: &mut App, text: &str| app.run(&world, &Command::parse(text).unwrap());
    assert!(run(&mut app, "run node-maintenence").is_empty());
    assert!(app.notice.as_ref().unwrap().text.contains("did you mean `node-maintenance`?"), "{:?}", app.notice);
    assert!(run(&mut app, "run node-maintenance nod=n1").is_empty());
    assert!(app.notice.as_ref().unwrap().text.contains("did you mean `node`?"), "{:?}", app.notice);
    let name = world.store.clusters()[0].info.name.to_string();
    let effects = run(&mut app, &format!("run node-maintenance cluster={name} node=n1"));
    assert!(matches!(effects.as_slice(), [Effect::Plan(..)]), "{effects:?} {:?}", app.notice);
    assert!(run(&mut app, "run node-maintenance cluster=nowhere node=n1").is_empty());
    let Some(Overlay::Form(f)) = &app.overlay else { panic!("it stays a form") };
    assert!(f.error.as_ref().is_some_and(|(at, why)| *at == Some(0) && why.contains("nowhere")), "{:?}", f.error);
}

#[test]
fn nothing_is_planned_in_a_read_only_cluster() {
    let (b, mut app) = Bench::of(Some("an audit is on"));
    with_books(&mut app);
    for keys in ["2r", "2c", "2*c", "4s", "4r", "4e"] {
        assert!(b.press(&mut app, keys).is_empty(), "{keys}");
        let said = app.notice.as_ref().map(|n| n.text.clone()).unwrap_or_default();
        assert!(said.contains("is read-only: an audit is on"), "{keys}: {said}");
        b.press(&mut app, "\\");
    }
    b.press(&mut app, "3");
    assert!(app.run(&b.world(), &Command::Verb(VerbId::Delete, None)).is_empty());
    assert!(app.notice.as_ref().unwrap().text.contains("is read-only"));
    b.press(&mut app, "2");
    app.run(&b.world(), &Command::Run(Some("node-maintenance".into())));
    assert!(b.press(&mut app, "\r").is_empty());
    let Some(Overlay::Form(f)) = &app.overlay else { panic!() };
    assert!(f.error.as_ref().unwrap().1.contains("is read-only"), "{:?}", f.error);
}

#[test]
fn every_verb_is_an_act_of_a_kind_or_says_where_it_is() {
    let (b, mut app) = Bench::new();
    b.press(&mut app, "2");
    for v in crate::model::VERBS {
        assert!(crate::command::COMMANDS.iter().any(|c| c.name == v.name), "{} is in the palette", v.name);
        // Here no HPA is KEDA's; manifests are named in a form.
        let elsewhere = matches!(v.id, VerbId::KedaPause | VerbId::KedaResume);
        let kinds = Kind::ALL.into_iter().filter(|k| v.on.takes(*k)).count();
        assert!(elsewhere || kinds > 0 || v.on.alone(), "{}", v.name);
        if elsewhere {
            assert!(app.run(&b.world(), &Command::Verb(v.id, None)).is_empty());
            assert!(app.notice.as_ref().unwrap().text.contains("qd "), "{}: {:?}", v.name, app.notice);
        }
    }
    b.press(&mut app, "a");
    let (can, _) = acts(&app);
    assert!(!can.iter().any(|a| a.starts_with("keda") || *a == "scale"), "{can:?}");
}

#[test]
fn keda_is_paused_where_its_hpa_is_seen() {
    let (mut b, mut app) = Bench::new();
    b.add(
        0,
        Kind::Hpa,
        json!({"metadata": {"name": "keda-hpa-queue", "namespace": "shop", "uid": "k0", "ownerReferences": [{"kind": "ScaledObject", "name": "queue", "uid": "s0", "controller": true}]},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3}}),
    );
    app.run(&b.world(), &Command::Find(Some("keda-hpa-queue".into())));
    b.press(&mut app, "\r");
    b.press(&mut app, "a");
    let (can, _) = acts(&app);
    assert!(can.contains(&"keda-pause") && can.contains(&"keda-resume"), "{can:?}");
    b.press(&mut app, "\x1b");
    let effects = app.run(&b.world(), &Command::Verb(VerbId::KedaResume, None));
    let wanted = effects.iter().find_map(|e| if let Effect::Plan(_, w) = e { Some(w) } else { None });
    let Some(Wanted::Act(request)) = wanted.map(|w| &**w) else { panic!("{effects:?}") };
    let target = &request.targets[0];
    assert_eq!((target.resource.plural.as_str(), target.namespace.as_str(), target.name.as_str()), ("scaledobjects", "shop", "queue"));
}

#[test]
fn manifests_go_where_the_highlighted_object_is() {
    let (b, mut app) = Bench::new();
    b.press(&mut app, "2");
    assert!(app.run(&b.world(), &Command::Verb(VerbId::Apply, None)).is_empty());
    assert!(matches!(&app.overlay, Some(Overlay::Form(_))), "it asks for the file");
    b.press(&mut app, "\x1b");
    let effects = app.run(&b.world(), &Command::Verb(VerbId::Apply, Some("filename=app.yaml".into())));
    let [Effect::Plan(_, wanted)] = effects.as_slice() else { panic!("{effects:?}") };
    let Wanted::Act(request) = &**wanted else { panic!("{wanted:?}") };
    assert_eq!((request.targets[0].cluster, request.targets[0].name.as_str()), (ClusterId(0), "default"));
}
