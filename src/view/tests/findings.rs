//! The findings pane: frames, the explanation, the fix and the way to the object.

use super::*;
use crate::action::Wanted;
use crate::app::Effect;
use crate::model::{Heard, Reported, Reports, Severity, VerbId};
use crate::store::Judged;

fn press(f: &Fixture, app: &mut App, keys: &[(KeyCode, KeyModifiers)]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (code, modifiers) in keys {
        effects = app.update(&f.world(), Event::Key(KeyEvent::new(*code, *modifiers)));
    }
    effects
}

/// The pane with the cursor on a finding of that rule.
fn on(f: &Fixture, rule: &str, size: (u16, u16)) -> App {
    let mut app = f.app_on("findings", size);
    f.keys(&mut app, "/");
    for c in format!("name={rule}").chars() {
        press(f, &mut app, &[(KeyCode::Char(c), KeyModifiers::NONE)]);
    }
    press(f, &mut app, &[(KeyCode::Enter, KeyModifiers::NONE)]);
    f.frame(&mut app, size);
    app.shown.frame = 1;
    app
}

#[test]
fn calm_and_burning_at_three_sizes_and_in_groups() {
    for (mood, fixture) in [("calm", Fixture::calm()), ("burning", Fixture::burning())] {
        for size in SIZES {
            let mut app = fixture.app_on("findings", size);
            insta::assert_snapshot!(format!("findings-{mood}-{}x{}", size.0, size.1), dump(&fixture.frame(&mut app, size)));
        }
    }
    let f = Fixture::burning();
    let mut app = f.app_on("findings", (80, 24));
    f.keys(&mut app, "j");
    press(&f, &mut app, &[(KeyCode::Enter, KeyModifiers::NONE)]);
    insta::assert_snapshot!("findings-grouped-80x24", dump(&f.frame(&mut app, (80, 24))));
    // The incident of the node is opened: what explains it is its first row.
    let groups = app.table().unwrap().grouping.as_ref().unwrap();
    let first = groups.groups[1].rows[0];
    let Some(crate::table::Row::Object(_, crate::model::Object::Finding(row))) = crate::table::Row::of(&f.store, first) else { panic!() };
    assert_eq!((&*row.meta.name, row.cause.as_deref()), ("node-not-ready", Some("node-002 node-not-ready")));
    assert!(groups.groups.iter().skip(5).all(|g| g.says.is_none()), "incidents come before what is only of one rule");
}

#[test]
fn rules_that_are_not_evaluated_are_listed_by_cluster() {
    let f = Fixture::burning();
    let mut app = f.app_on("findings", (80, 24));
    f.keys(&mut app, ":");
    for c in "rules".chars() {
        press(&f, &mut app, &[(KeyCode::Char(c), KeyModifiers::NONE)]);
    }
    press(&f, &mut app, &[(KeyCode::Enter, KeyModifiers::NONE)]);
    insta::assert_snapshot!("findings-rules-80x24", dump(&f.frame(&mut app, (80, 24))));
    press(&f, &mut app, &[(KeyCode::Enter, KeyModifiers::NONE)]);
    assert!(app.table().unwrap().filter_text.starts_with("name:"));
}

#[test]
fn the_column_filters_and_burning_has_the_same_incidents() {
    let f = Fixture::burning();
    let mut app = f.app_on("findings", (120, 40));
    f.keys(&mut app, "/");
    for c in "cause~node-002".chars() {
        press(&f, &mut app, &[(KeyCode::Char(c), KeyModifiers::NONE)]);
    }
    press(&f, &mut app, &[(KeyCode::Enter, KeyModifiers::NONE)]);
    let shown = app.table().unwrap().view.len();
    let incidents = f.engine.incidents(&f.store, NOW);
    let node = incidents.iter().find(|i| i.name == "node-002 node-not-ready").unwrap();
    assert_eq!(shown, node.line.findings.len());
    let burning: Vec<_> = incidents.iter().filter(|i| i.burns).map(|i| &i.line).collect();
    let lines = f.engine.lines(&f.store, NOW);
    assert_eq!(burning, lines.iter().collect::<Vec<_>>());
}

#[test]
fn enter_explains_the_fix_is_a_preview_and_the_owner_key_goes_to_the_object() {
    let f = Fixture::burning();
    let mut app = on(&f, "node-not-ready", (120, 40));
    press(&f, &mut app, &[(KeyCode::Enter, KeyModifiers::NONE)]);
    insta::assert_snapshot!("findings-detail-120x40", dump(&f.frame(&mut app, (120, 40))));
    let mut app = on(&f, "node-not-ready", (120, 40));
    let effects = press(&f, &mut app, &[(KeyCode::Char('F'), KeyModifiers::SHIFT)]);
    let [Effect::Plan(_, wanted)] = effects.as_slice() else { panic!("{effects:?} {:?}", app.notice) };
    let Wanted::Act(request) = &**wanted else { panic!() };
    assert_eq!((request.verb, request.targets[0].name.as_str()), (VerbId::Cordon, "node-002"));
    let mut app = on(&f, "node-not-ready", (120, 40));
    f.keys(&mut app, "go");
    let at = app.highlighted(&f.world()).unwrap();
    assert_eq!((at.kind, &*at.name), (Kind::Node, "node-002"));
}

#[test]
fn a_finding_is_suppressed_from_its_row_by_a_form_that_knows_the_rule() {
    let f = Fixture::burning();
    let mut app = on(&f, "node-not-ready", (80, 24));
    f.keys(&mut app, "m");
    insta::assert_snapshot!("findings-ignore-80x24", dump(&f.frame(&mut app, (80, 24))));
    // The rule stands there; when it ends and why is for people to say.
    f.keys(&mut app, "30d");
    press(&f, &mut app, &[(KeyCode::Tab, KeyModifiers::NONE)]);
    f.keys(&mut app, "repair");
    let effects = press(&f, &mut app, &[(KeyCode::Enter, KeyModifiers::NONE)]);
    let [Effect::Plan(_, wanted)] = effects.as_slice() else { panic!("{effects:?} {:?}", app.notice) };
    let Wanted::Act(request) = &**wanted else { panic!() };
    assert_eq!((request.verb, request.targets[0].name.as_str()), (VerbId::Ignore, "node-002"));
    let given = ["rule", "until", "because"].map(|name| request.args.get(name));
    assert_eq!(given, [Some("node-not-ready"), Some("30d"), Some("repair")]);
}

/// The fixture's clusters, whose findings are read from reports.
fn reported(mut f: Fixture, name: impl Fn(&ClusterInfo) -> String) -> Fixture {
    let of = |c: &crate::store::Cluster| ClusterInfo { name: name(&c.info).into(), judged: Judged::ByReports, ..c.info.clone() };
    let infos = f.store.clusters().iter().map(of).collect();
    (f.store, f.engine) = (Store::new(infos, NOW - 600), Engine::new(Thresholds::default()));
    f.touched.clear();
    for c in 0..3 {
        f.delta(c, Delta::State(ConnectionState::Live));
        for kind in Kind::WATCHED {
            f.delta(c, Delta::KindState(kind, KindState::Live));
        }
    }
    f
}

fn ill(rule: &str, kind: &str, name: &str) -> Reported {
    Reported {
        rule: rule.into(),
        area: "node".into(),
        tier: 1,
        severity: Severity::Critical,
        kind: kind.into(),
        namespace: "".into(),
        name: name.into(),
        message: "NotReady for 9m".into(),
        evidence: Vec::new(),
        remedy: format!("cordon {name}"),
        next_step: "Look at its kubelet".into(),
        since: Time::from_secs(NOW - 540),
        first_seen: Time::from_secs(NOW - 400),
    }
}

/// What a cluster publishes every quarter of an hour, so many seconds ago.
fn publish(f: &mut Fixture, cluster: u16, ago: i64, findings: Vec<Reported>) {
    let reports = Reports { at: Time::from_secs(NOW - ago), every: Some(900), findings, ..Default::default() };
    f.delta(cluster, Delta::Reports(Heard { told: true, reports: Some(reports.into()), ..Heard::default() }.into()));
}

#[test]
fn findings_that_are_read_from_reports_say_how_old_these_are_and_that_there_are_none() {
    let mut f = reported(Fixture::burning(), |c| c.name.to_string());
    publish(&mut f, 0, 60, vec![ill("node-not-ready", "Node", "node-002")]);
    publish(&mut f, 1, 7200, vec![ill("node-not-ready", "Node", "node-002")]);
    f.delta(2, Delta::Reports(Heard { told: true, ..Heard::default() }.into()));
    f.judge();
    let mut app = f.app_on("findings", (80, 24));
    let frame = dump(&f.frame(&mut app, (80, 24)));
    assert!(frame.contains("prod-us findings: the report is stale: 2h old, one is expected every 15m"), "{frame}");
    assert!(frame.contains("staging findings: no report of an inspec"), "{frame}");
    insta::assert_snapshot!("findings-reported-80x24", frame);
    let mut app = f.app_on("clusters", (80, 24));
    let frame = dump(&f.frame(&mut app, (80, 24)));
    assert!(frame.contains("OLD REPORT") && frame.contains("NO REPORT"), "{frame}");
}

#[test]
fn the_title_of_an_incident_keeps_its_last_word_whatever_its_cluster_is_called() {
    let mut f = reported(Fixture::calm(), |c| c.name.replace('-', " "));
    publish(&mut f, 0, 60, vec![ill("a-rule-of-theirs", "Cluster", "in-cluster"), ill("node-not-ready", "Node", "node-002")]);
    f.judge();
    let mut app = f.app_on("findings", (120, 40));
    f.keys(&mut app, "f");
    let frame = dump(&f.frame(&mut app, (120, 40)));
    println!("{frame}");
    assert!(frame.contains("prod eu a-rule-of-theirs ") && frame.contains("prod eu node-002 "), "{frame}");
}
