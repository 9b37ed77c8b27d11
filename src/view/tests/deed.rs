//! Previews, jobs and the audit log at three sizes.

use super::*;
use crate::action::{Ask, Check, Facts, Finding, Gate, Preflight, Preview, Snapshot, Stop, Wanted, plan};
use crate::app::{Effect, Place};
use crate::model::{Args, Job, JobId, JobState, JobStep, Outcome, Progress, StepState, VerbId};
use std::sync::Arc;

/// The app with a preview of what these keys ask for. Facts are whole objects made of what the fixture was given.
fn previewed(f: &Fixture, app: &mut App, keys: &str, ask: Ask, facts: &[(u16, &str, Value)]) {
    let mut effects = Vec::new();
    for c in keys.chars() {
        let code = match c {
            '\r' => KeyCode::Enter,
            '\u{8}' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        };
        effects.extend(app.update(&f.world(), Event::Key(KeyEvent::new(code, KeyModifiers::NONE))));
    }
    let Some(Effect::Plan(id, wanted)) = effects.into_iter().find(|e| matches!(e, Effect::Plan(..))) else {
        panic!("{keys} plans nothing")
    };
    let Wanted::Act(request) = &*wanted else { panic!() };
    let mut known = Facts::default();
    for (cluster, path, value) in facts {
        known.set(crate::action::Need { cluster: ClusterId(*cluster), path: (*path).to_owned() }, Ok(value.clone()));
    }
    let result = loop {
        match plan(&Snapshot { store: &f.store, facts: &known, now: NOW }, request) {
            Ok(plan) => {
                let checks = plan.permissions().into_iter().map(|(cluster, p)| Check {
                    cluster,
                    text: format!("may {}", p.words()),
                    finding: Finding::Fine,
                    warnings: Vec::new(),
                });
                let preflight = Preflight { checks: checks.collect(), ..Preflight::default() };
                let gate = Gate { ask, reason_required: false, refusals: Vec::new(), parallel: 1 };
                break Ok(Arc::new(Preview::new(plan, preflight, gate)));
            }
            Err(Stop::Needs(needs)) => {
                for need in needs {
                    known.missing(need);
                }
            }
            Err(Stop::Refuse { message, hint, .. }) => break Err(crate::app::Refusal { nothing: false, message, hint }),
        }
    };
    app.update(&f.world(), Event::Previewed(id, result));
    assert!(matches!(app.place, Place::Preview(_)));
}

fn snap(f: &Fixture, name: &str, prepare: impl Fn(&Fixture, &mut App)) {
    for size in SIZES {
        let mut app = f.app_on("nodes", size);
        f.frame(&mut app, size);
        prepare(f, &mut app);
        insta::assert_snapshot!(format!("{name}-{}x{}", size.0, size.1), dump(&f.frame(&mut app, size)));
    }
}

fn node(c: u16, n: usize) -> Value {
    let name = format!("node-{n:03}");
    json!({"kind": "Node", "metadata": {"name": name, "uid": crate::model::Uid::parse(&format!("node-{c}-{n}")).to_string()}, "spec": {}})
}

fn pod(c: u16, app: &str, n: i64) -> Value {
    json!({"metadata": {"name": format!("{app}-7d4b9-{n:05}"), "namespace": "shop", "uid": format!("p-{c}-{app}-{n}"), "labels": {"app": app},
            "ownerReferences": [{"kind": "ReplicaSet", "name": format!("{app}-7d4b9"), "uid": format!("rs-{c}-{app}"), "controller": true}]},
        "spec": {"nodeName": format!("node-{:03}", n % 4), "containers": [{"name": "app", "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
}

#[test]
fn a_drain_with_a_blocker_in_production() {
    let mut f = Fixture::calm();
    f.add(
        1,
        Kind::Pdb,
        json!({"metadata": {"name": "db", "namespace": "shop", "uid": "b9", "generation": 1}, "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "db"}}},
        "status": {"observedGeneration": 1, "expectedPods": 3, "currentHealthy": 3, "desiredHealthy": 3, "disruptionsAllowed": 0}}),
    );
    let list = json!({"items": [pod(1, "db", 0), pod(1, "api", 0), pod(1, "web", 0)]});
    snap(&f, "preview-drain", |f, app| {
        f.keys(app, "/cluster:prod-us node-000\r");
        f.frame(app, app.size);
        previewed(
            f,
            app,
            "r",
            Ask::Typed("prod-us".into()),
            &[(1, "/api/v1/nodes/node-000", node(1, 0)), (1, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-000", list.clone())],
        );
    });
}

#[test]
fn a_bulk_act_over_two_clusters_and_one_that_is_refused() {
    let f = Fixture::calm();
    snap(&f, "preview-bulk", |f, app| {
        f.keys(app, "/node-001 cluster:prod-*\r*");
        f.frame(app, app.size);
        let facts = [(0, "/api/v1/nodes/node-001", node(0, 1)), (1, "/api/v1/nodes/node-001", node(1, 1))];
        previewed(f, app, "c", Ask::Typed("prod-eu prod-us 2".into()), &facts);
    });
    snap(&f, "preview-refused", |f, app| {
        f.keys(app, "/cluster:staging node-000\r");
        f.frame(app, app.size);
        let alone = json!({"metadata": {"name": "alone", "namespace": "shop", "uid": "x"}, "spec": {"nodeName": "node-000", "volumes": [{"name": "s", "emptyDir": {}}]}, "status": {"phase": "Running"}});
        let facts = [
            (2, "/api/v1/nodes/node-000", node(2, 0)),
            (2, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-000", json!({"items": [alone]})),
        ];
        previewed(f, app, "r", Ask::Yes, &facts);
    });
}

#[test]
fn jobs_under_way_and_ended() {
    let mut f = Fixture::calm();
    let step =
        |text: &str, state| JobStep { text: text.into(), cluster: ClusterId(1), part: String::new(), waits: false, state, since: NOW - 30 };
    let job = |id: &str, title: &str, state, steps: Vec<JobStep>| {
        Progress::Began(Box::new(Job {
            id: JobId(id.into()),
            what: "drain".into(),
            title: title.into(),
            clusters: vec!["prod-us".into()],
            began: NOW - 95,
            ended: None,
            state,
            steps,
            note: String::new(),
        }))
    };
    let done = || StepState::Done("gone".into());
    let blocked = StepState::Blocked("budget db needs 3 healthy pods and has 3 currently".into());
    let steps = vec![
        step("cordon node node-000", StepState::Done("done".into())),
        step("evict pod shop/api-0", done()),
        step("evict pod shop/db-0", blocked),
        step("evict pod shop/web-0", StepState::Running),
    ];
    f.store.jobs.apply(job("20260301-024555-4f2a", "drain node node-000", JobState::Running, steps), NOW);
    f.store.jobs.apply(
        job("20260301-014555-0000", "scale deployment pay/checkout 3 -> 7", JobState::Ended(Outcome::Done), vec![step("scale", done())]),
        NOW,
    );
    f.store.jobs.apply(
        job(
            "20260228-224555-1111",
            "drain node node-003",
            JobState::Interrupted,
            vec![step("evict", done()), step("evict", StepState::Waiting)],
        ),
        NOW,
    );
    snap(&f, "jobs", |f, app| f.keys(app, "J"));
    snap(&f, "jobs-steps", |f, app| f.keys(app, "J\r"));
    let mut app = f.app_on("nodes", (80, 24));
    f.frame(&mut app, (80, 24));
    for _ in 0..2 {
        app.update(&f.world(), Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }
    insta::assert_snapshot!("quit-80x24", dump(&f.frame(&mut app, (80, 24))));
    let args = Args::parse(VerbId::Scale.info(), "7").unwrap();
    assert_eq!(args.to_string(), "replicas=7");
}

#[test]
fn arguments_are_a_form_with_what_is_wrong_below() {
    let f = Fixture::calm();
    let mut app = f.app_on("workloads", (80, 24));
    f.keys(&mut app, "/kind:Deployment api\r");
    f.frame(&mut app, (80, 24));
    f.keys(&mut app, "s");
    insta::assert_snapshot!("arguments-80x24", dump(&f.frame(&mut app, (80, 24))));
    f.keys(&mut app, "x\r");
    assert!(matches!(app.overlay, Some(crate::app::Overlay::Form(_))), "it stays while something is wrong");
    insta::assert_snapshot!("form-wrong-80x24", dump(&f.frame(&mut app, (80, 24))));
    snap(&f, "form-drain", |f, app| {
        f.keys(app, ":drain timeout=2m force ignore-daemonsets=false\r");
        f.keys(app, "o");
    });
}

#[test]
fn the_audit_log_and_one_of_its_records() {
    let plan = crate::model::Plan::new(VerbId::Scale, &Args::default(), "scale deployment pay/checkout 3 -> 7");
    let actor = crate::model::Actor {
        user: "jane".into(),
        host: "bastion".into(),
        ui: "cockpit".into(),
        version: "0.1.0".into(),
        ..Default::default()
    };
    let record = |event| crate::model::AuditRecord {
        at: "2026-03-01T02:45:00.000Z".into(),
        job: JobId("20260301-024500-4f2a".into()),
        event,
        prev: String::new(),
    };
    let intent = crate::model::AuditEvent::Intent {
        actor: Box::new(actor),
        clusters: vec!["prod-us".into()],
        confirmed: "typed".into(),
        reason: Some("INC-7".into()),
        plan_hash: "c0740a35f8fc".into(),
        plan: Box::new(plan),
        salt: "s".into(),
        resumes: None,
    };
    let outcome = crate::model::AuditEvent::Outcome { outcome: Outcome::Done, done: 0, failed: 0, left: 0, why: String::new() };
    let records = vec![record(intent), record(outcome)];
    let f = Fixture::calm();
    for (name, keys) in [("audit", "L"), ("audit-record", "L\r"), ("audit-filter", "L/JANE inc-7 nothing")] {
        snap(&f, name, |f, app| {
            f.keys(app, "L");
            let ledger = crate::action::Ledger::of(records.clone());
            app.update(&f.world(), Event::Remembered(crate::app::Remember::Show, Ok(Box::new(ledger))));
            f.keys(app, &keys[1..]);
        });
    }
}

#[test]
fn acts_and_what_the_clusters_refuse() {
    let f = Fixture::calm();
    snap(&f, "acts", |f, app| {
        let effects = app.update(&f.world(), Event::Key(KeyEvent::new(KeyCode::Char('a'), KeyModifiers::NONE)));
        let [Effect::MayI(id, ..)] = effects.as_slice() else { panic!("{effects:?}") };
        let why = "patch nodes: not permitted: RBAC: no role of jane allows it".to_owned();
        app.update(&f.world(), Event::Refused(*id, vec![(VerbId::Drain, why.clone()), (VerbId::Taint, why)]));
    });
}

#[test]
fn the_editor_its_masks_and_its_mistakes() {
    let f = Fixture::calm();
    snap(&f, "editor", |f, app| {
        let effects = app.update(&f.world(), Event::Key(KeyEvent::new(KeyCode::Char('e'), KeyModifiers::NONE)));
        let [Effect::Fetch(id, object)] = effects.as_slice() else { panic!("{effects:?}") };
        let mut live = node(object.cluster.0, 0);
        live["metadata"]["uid"] = object.uid.to_string().into();
        live["metadata"]["annotations"] = json!({"note": "wide ".repeat(60), "login": "curl -H 'Authorization: Bearer canary0123456789'"});
        live["spec"] = json!({"podCIDR": "10.0.0.0/24", "taints": [{"key": "maintenance", "value": "数据库", "effect": "NoSchedule"}]});
        live["status"]["conditions"] = (0..40).map(|n| json!({"type": format!("Made{n:02}"), "status": "False"})).collect();
        app.update(&f.world(), Event::Fetched(*id, Ok(live)));
        f.keys(app, "]");
        app.update(&f.world(), Event::Key(KeyEvent::new(KeyCode::F(2), KeyModifiers::NONE)));
    });
}

#[test]
fn a_scale_in_staging_asks_for_y() {
    let f = Fixture::calm();
    for size in SIZES {
        let mut app = f.app_on("workloads", size);
        f.frame(&mut app, size);
        f.keys(&mut app, "/cluster:staging kind:Deployment api\r");
        f.frame(&mut app, size);
        let path = "/apis/apps/v1/namespaces/shop/deployments/api";
        let uid = crate::model::Uid::parse("d-2-api").to_string();
        let live = json!({"kind": "Deployment", "metadata": {"name": "api", "namespace": "shop", "uid": uid}, "spec": {"replicas": 3}});
        let scale = json!({"kind": "Scale", "metadata": {"resourceVersion": "1"}, "spec": {"replicas": 3}});
        let facts = [(2, path, live), (2, &*format!("{path}/scale"), scale)];
        previewed(&f, &mut app, "s\u{8}7\r", Ask::Yes, &facts);
        insta::assert_snapshot!(format!("preview-scale-{}x{}", size.0, size.1), dump(&f.frame(&mut app, size)));
    }
}

#[test]
fn the_remedy_of_a_line_is_a_preview_and_never_another_lines() {
    let f = Fixture::burning();
    let press = |app: &mut App| app.update(&f.world(), Event::Key(KeyEvent::new(KeyCode::Char('F'), KeyModifiers::SHIFT)));
    let on = |what: &str| {
        let mut app = f.app_on("cockpit", (80, 24));
        f.frame(&mut app, (80, 24));
        let at =
            app.cockpit.lines.iter().position(|l| l.findings.iter().any(|id| f.engine.finding(*id).is_some_and(|x| x.rule.id == what)));
        for _ in 0..at.unwrap_or_else(|| panic!("no {what}")) {
            f.keys(&mut app, "j");
        }
        f.frame(&mut app, (80, 24));
        app.shown.frame = 1;
        app
    };
    let mut app = on("node-not-ready");
    let effects = press(&mut app);
    let [Effect::Plan(_, wanted)] = effects.as_slice() else { panic!("{effects:?} {:?}", app.notice) };
    let Wanted::Act(request) = &**wanted else { panic!() };
    assert_eq!((request.verb, request.targets[0].name.as_str()), (VerbId::Cordon, "node-002"));
    let mut app = on("hpa-at-max");
    let effects = press(&mut app);
    let [Effect::Plan(_, wanted)] = effects.as_slice() else { panic!("{effects:?} {:?}", app.notice) };
    let Wanted::Act(request) = &**wanted else { panic!() };
    assert_eq!((request.verb, request.args.get("max")), (VerbId::HpaSet, Some("92")));
    let mut app = on("pdb-blocks-drain");
    let effects = press(&mut app);
    assert!(matches!(effects.as_slice(), [Effect::Fetch(..)]) && matches!(app.place, Place::Editor(_)), "{effects:?}");
    let mut app = on("cluster-unreachable");
    assert!(press(&mut app).is_empty());
    assert!(app.notice.as_ref().unwrap().text.starts_with("by hand: "), "{:?}", app.notice);
    // Another line has come to where the cursor is since the last frame.
    let mut app = on("node-not-ready");
    app.shown.highlighted.as_mut().unwrap().name = "gone".into();
    assert!(press(&mut app).is_empty());
    assert_eq!(app.notice.as_ref().unwrap().text, "what was highlighted burns no more");
}
