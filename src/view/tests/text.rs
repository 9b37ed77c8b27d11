//! Frames of an open object and of open logs.

use super::*;
use crate::app::{Effect, LogLine, LogState, Place, RequestId};

/// Opens what the cursor of a pane is on.
fn open(f: &Fixture, screen: &str, keys: &str, size: (u16, u16)) -> (App, Vec<Effect>) {
    let mut app = f.app_on(screen, size);
    f.frame(&mut app, size);
    let mut effects = Vec::new();
    for c in keys.chars() {
        let code = if c == '\r' { KeyCode::Enter } else { KeyCode::Char(c) };
        effects = app.update(&f.world(), Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    f.frame(&mut app, size);
    (app, effects)
}

fn fetched(f: &Fixture, app: &mut App, effects: &[Effect]) {
    let Some(Effect::Fetch(id, object)) = effects.first() else { panic!("{effects:?}") };
    let value = json!({"apiVersion": "v1", "kind": object.kind.name(), "metadata": {"name": &*object.name, "namespace": &*object.namespace, "uid": Value::Null, "resourceVersion": "77",
        "annotations": {"note": "数据库 \u{202e}turned\u{1b}[31m", "long": "a line that is longer than the screen is wide, so that it is cut and a sign says where it goes on"}, "managedFields": [{"manager": "kubectl"}]},
        "spec": {"containers": [{"name": "app", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}], "replicas": 3, "paused": true, "nothing": Value::Null}});
    app.update(&f.world(), Event::Fetched(*id, Ok(value)));
}

fn symbols(buffer: &Buffer) -> String {
    dump(buffer).lines().step_by(2).take(usize::from(buffer.area.height)).fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn why_comes_first_then_yaml() {
    let f = Fixture::burning();
    for (name, screen) in
        [("pod", "pods"), ("workload", "workloads"), ("node", "nodes"), ("hpa", "hpa"), ("pdb", "pdb"), ("event", "events")]
    {
        for size in SIZES {
            let (mut app, effects) = open(&f, screen, "\r", size);
            fetched(&f, &mut app, &effects);
            insta::assert_snapshot!(format!("detail-{name}-{}x{}", size.0, size.1), dump(&f.frame(&mut app, size)));
        }
    }
}

#[test]
fn yaml_is_harmless_masked_cut_and_searched() {
    let f = Fixture::burning();
    let (mut app, effects) = open(&f, "pods", "\r", (80, 24));
    let waiting = symbols(&f.frame(&mut app, (80, 24)));
    f.keys(&mut app, "y");
    assert!(waiting.contains("WHY") && symbols(&f.frame(&mut app, (80, 24))).contains("fetching the whole object"));
    fetched(&f, &mut app, &effects);
    let frame = symbols(&f.frame(&mut app, (80, 24)));
    for wanted in
        ["YAML  resourceVersion 77, fetched 02:47Z", "1 masked", "*** (7 bytes)", "managedFields: # 1 line", "<U+202E>", "数据库", "›"]
    {
        assert!(frame.contains(wanted), "{wanted} in\n{frame}");
    }
    assert!(!frame.contains('\u{202e}') && !frame.contains('\u{1b}'));
    f.keys(&mut app, "/replicas\r");
    let frame = f.frame(&mut app, (80, 24));
    insta::assert_snapshot!("detail-yaml-80x24", dump(&frame));
    assert!(symbols(&frame).contains("match 3/3"));
    app.update(&f.world(), Event::Key(KeyEvent::new(KeyCode::Right, KeyModifiers::NONE)));
    let moved = symbols(&f.frame(&mut app, (80, 24)));
    assert!(moved.contains("‹that is longer than the screen"), "{moved}");
    app.update(&f.world(), Event::Fetched(RequestId(99), Err("late".into())));
    assert!(!symbols(&f.frame(&mut app, (80, 24))).contains("late"));
}

fn logs(f: &Fixture, size: (u16, u16)) -> (App, RequestId) {
    let (mut app, effects) = open(f, "workloads", "l", size);
    let Some(Effect::StartLogs(id, of)) = effects.first() else { panic!("{effects:?}") };
    let pods: Vec<_> = of.pods.iter().map(|(p, _)| p.name.clone()).collect();
    assert_eq!(pods.len(), 6);
    let line = |n: usize| LogLine {
        time: format!("2026-03-01T02:46:{:02}.{n:03}000000Z", n / 2),
        pod: pods[n % 6].clone(),
        container: "app".into(),
        text: match n % 10 {
            7 => format!(
                "\u{1b}[31mERROR\u{1b}[0m {n} \u{7}数据库 does not answer: dial tcp 10.0.0.7:5432: connect: connection refused, attempt 3 of 5, giving up soon"
            ),
            _ => format!("GET /api/v1/orders/{n} 200"),
        },
    };
    app.update(&f.world(), Event::Logs(*id, (0..100).map(line).collect()));
    for pod in &pods {
        app.update(&f.world(), Event::LogState { id: *id, pod: pod.to_string(), container: "app".into(), state: LogState::Open });
    }
    (app, *id)
}

#[test]
fn logs_at_three_sizes() {
    let f = Fixture::burning();
    for size in SIZES {
        let (mut app, _) = logs(&f, size);
        insta::assert_snapshot!(format!("logs-{}x{}", size.0, size.1), dump(&f.frame(&mut app, size)));
    }
}

#[test]
fn logs_follow_stay_wrap_and_search() {
    let f = Fixture::burning();
    let size = (80, 24);
    let (mut app, id) = logs(&f, size);
    let frame = f.frame(&mut app, size);
    assert!(symbols(&frame).contains("FOLLOWING") && symbols(&frame).contains("GET /api/v1/orders/99 200"));
    f.keys(&mut app, "kk");
    let pod = "checkout-7d4b9-00000";
    let line =
        |text: &str| LogLine { time: "2026-03-01T02:47:00.000000000Z".into(), pod: pod.into(), container: "app".into(), text: text.into() };
    app.update(&f.world(), Event::Logs(id, vec![line("new one"), line("new two")]));
    app.update(
        &f.world(),
        Event::LogState {
            id,
            pod: pod.into(),
            container: "app".into(),
            state: LogState::Waiting("the container waits: CrashLoopBackOff".into()),
        },
    );
    let frame = symbols(&f.frame(&mut app, size));
    assert!(
        frame.contains("PAUSED, 2 new")
            && !frame.contains("new two")
            && frame.contains("checkout-7d4b9-00000 waiting: the container waits"),
        "{frame}"
    );
    f.keys(&mut app, "wt/refused\r");
    insta::assert_snapshot!("logs-wrapped-80x24", dump(&f.frame(&mut app, size)));
    f.keys(&mut app, "G");
    let frame = symbols(&f.frame(&mut app, size));
    assert!(frame.contains("FOLLOWING") && frame.contains("new two"), "{frame}");
    f.keys(&mut app, "&!GET\r");
    let frame = symbols(&f.frame(&mut app, size));
    assert!(frame.contains("drop GET: 12 of 102"), "{frame}");
    let effects = app.update(&f.world(), Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)));
    assert_eq!(effects, [Effect::StopLogs(id)]);
    assert!(matches!(app.place, Place::Table(_)));
}

#[test]
fn leaving_by_any_way_stops_the_logs() {
    let f = Fixture::burning();
    let (mut app, id) = logs(&f, (80, 24));
    let effects = app.update(&f.world(), Event::Key(KeyEvent::new(KeyCode::Char('1'), KeyModifiers::NONE)));
    assert_eq!(effects, [Effect::StopLogs(id)]);
}
