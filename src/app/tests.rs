//! Navigation, without a terminal.

use super::*;
use crate::command::Command;
use crate::inspect::Thresholds;
use crate::model::{Batch, Change, Delta, Generation, Interner, Kind, object};
use crate::store::ClusterInfo;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

struct Bench {
    store: Store,
    engine: Engine,
}

impl Bench {
    fn new() -> (Self, App) {
        Self::of(None)
    }

    /// Clusters that are read-only for this reason.
    fn of(read_only: Option<&str>) -> (Self, App) {
        let info = |n: &str| ClusterInfo {
            name: n.into(),
            contexts: vec![n.into()],
            read_only: read_only.map(Into::into),
            ..ClusterInfo::default()
        };
        let clusters = ["a", "b"].map(info);
        let mut bench = Self { store: Store::new(clusters.to_vec(), 0), engine: Engine::new(Thresholds::default()) };
        for c in 0..2 {
            bench.add(c, Kind::Node, json!({"metadata": {"name": "n1", "uid": format!("n{c}")}}));
            bench.add(c, Kind::Deployment, json!({"metadata": {"name": "web", "namespace": "shop", "uid": format!("d{c}")}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}}}));
            bench.add(
                c,
                Kind::ReplicaSet,
                json!({"metadata": {"name": "web-1", "namespace": "shop", "uid": format!("r{c}"), "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": format!("d{c}"), "controller": true}]}}),
            );
            for n in 0..2 {
                bench.add(
                    c,
                    Kind::Pod,
                    json!({"metadata": {"name": format!("web-1-{n}"), "namespace": "shop", "uid": format!("p{c}{n}"), "labels": {"app": "web"},
                        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "uid": format!("r{c}"), "controller": true}]}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}),
                );
            }
            bench.add(c, Kind::Pdb, json!({"metadata": {"name": "web", "namespace": "shop", "uid": format!("b{c}")}, "spec": {"selector": {"matchLabels": {"app": "web"}}}}));
            bench.add(c, Kind::Hpa, json!({"metadata": {"name": "web", "namespace": "shop", "uid": format!("h{c}")}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3}}));
        }
        let app = App::new(&Config::default(), Keymap::load("default", None).0, Vec::new());
        (bench, app)
    }

    fn add(&mut self, cluster: u16, kind: Kind, value: serde_json::Value) {
        let row = object::decode_json(kind, value.to_string().as_bytes(), &mut Interner::default()).unwrap();
        let delta = Delta::Rows { kind, changes: vec![Change::Upsert(row)] };
        self.store.apply(Batch { cluster: ClusterId(cluster), generation: Generation(1), delta }, 100, &mut Vec::new());
    }

    fn world(&self) -> World<'_> {
        World { store: &self.store, engine: &self.engine, now: 1000 }
    }

    fn press(&self, app: &mut App, keys: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for c in keys.chars() {
            let (code, modifiers) = match c {
                '\r' => (KeyCode::Enter, KeyModifiers::NONE),
                '\x1b' => (KeyCode::Esc, KeyModifiers::NONE),
                '\x03' => (KeyCode::Char('c'), KeyModifiers::CONTROL),
                c if c.is_uppercase() => (KeyCode::Char(c), KeyModifiers::SHIFT),
                c => (KeyCode::Char(c), KeyModifiers::NONE),
            };
            effects.extend(app.update(&self.world(), Event::Key(KeyEvent::new(code, modifiers))));
        }
        effects
    }

    fn here(&self, app: &App) -> String {
        match &app.place {
            Place::Cockpit => "cockpit".into(),
            Place::Table(s) => {
                let t = app.table().unwrap();
                let at = app.highlighted(&self.world()).map(|o| o.name.to_string()).unwrap_or_default();
                format!("{} {}/{} {at}", s.name(), t.view.len(), t.filter_text)
            }
            Place::Detail(d) => format!("detail {}", d.object.name),
            Place::Logs(_) => "logs".into(),
            Place::Help { .. } => "help".into(),
            Place::Preview(_) => "preview".into(),
            Place::Editor(_) => "editor".into(),
            Place::Jobs(_) => "jobs".into(),
            Place::Audit(_) => "audit".into(),
        }
    }
}

#[test]
fn jumps_go_to_what_belongs_to_an_object_and_history_comes_back() {
    let (b, mut app) = Bench::new();
    for (keys, expected) in [
        ("3", "pods 4/ web-1-0"),
        ("gn", "nodes 2/ n1"),
        ("gp", "pods 2/cluster=a node=n1 web-1-0"),
        ("go", "workloads 2/ web"),
        ("gp", "pods 2/cluster=a ns=shop owner~^ReplicaSet/web-[a-z0-9]+$ web-1-0"),
        ("go", "workloads 2/ web"),
        ("gh", "hpa 2/ web"),
        ("4gb", "pdb 2/ web"),
        ("[", "workloads 2/ web"),
        ("]", "pdb 2/ web"),
        ("4\r", "detail web"),
        ("\x1b", "workloads 2/ web"),
        // What lies over a view is none itself: back closes it, and it is not what one comes back to.
        ("2?", "help"),
        ("[", "nodes 2/ n1"),
        ("?3", "pods 2/cluster=a ns=shop owner~^ReplicaSet/web-[a-z0-9]+$ web-1-0"),
        ("[", "nodes 2/ n1"),
        // There and here again, as often as one likes.
        ("-", "workloads 2/ web"),
        ("-", "nodes 2/ n1"),
        ("--", "nodes 2/ n1"),
    ] {
        b.press(&mut app, keys);
        assert_eq!(b.here(&app), expected, "after {keys:?}: {:?}", app.notice);
    }
}

#[test]
fn escape_goes_back_and_never_quits_and_ctrl_c_twice_does() {
    let (b, mut app) = Bench::new();
    b.press(&mut app, "3");
    app.run(&b.world(), &Command::Filter(Some("ns:shop".into())));
    assert_eq!(b.here(&app), "pods 4/ns:shop web-1-0");
    b.press(&mut app, "\x1b");
    assert_eq!(b.here(&app), "pods 4/ web-1-0");
    assert!(b.press(&mut app, "\x1b\x1b\x1b\x1bqq").is_empty());
    assert_eq!(b.here(&app), "cockpit");
    assert!(b.press(&mut app, "\x03").is_empty() && !app.quitting());
    assert_eq!(b.press(&mut app, "\x03").last(), Some(&Effect::Quit));
    let (b, mut app) = Bench::new();
    app.run(&b.world(), &Command::NextTile);
    app.run(&b.world(), &Command::Filter(Some("ns:shop".into())));
    let filter = |app: &App| app.table().map(|t| t.filter_text.clone());
    assert_eq!(filter(&app).as_deref(), Some("ns:shop"));
    b.press(&mut app, "\x1b");
    assert_eq!(filter(&app).as_deref(), Some(""), "a tile's filter goes as its pane's does");
}

#[test]
fn the_palette_completes_the_cluster_to_log_in_to() {
    let (b, mut app) = Bench::new();
    b.press(&mut app, ":login b");
    let Some(Overlay::Search(_, chooser)) = &app.overlay else { panic!("no palette") };
    assert_eq!(chooser.current().map(|i| i.text.as_str()), Some("login b"));
    b.press(&mut app, "\x1b:login");
    let Some(Overlay::Search(_, chooser)) = &app.overlay else { panic!("no palette") };
    let all: Vec<&str> = chooser.items.iter().map(|i| i.text.as_str()).filter(|t| t.starts_with("login ")).collect();
    assert!(all.contains(&"login a") && all.contains(&"login b"), "{all:?}");
}

#[test]
fn a_search_begins_empty_says_when_nothing_matches_and_comes_back_with_escape() {
    let (b, mut app) = Bench::new();
    let searched = |app: &App| match &app.place {
        Place::Detail(d) => (d.search.is_some(), d.matches().0),
        _ => panic!("no detail"),
    };
    b.press(&mut app, "3\r/web-1\r");
    let (_, found) = searched(&app);
    assert!(found > 0 && app.notice.is_none(), "{:?}", app.notice);
    b.press(&mut app, "/n1");
    assert!(matches!(&app.overlay, Some(Overlay::Prompt(p)) if p.text() == "n1"), "not added to the last one");
    b.press(&mut app, "\x1b");
    assert_eq!(searched(&app), (true, found), "as it was");
    b.press(&mut app, "/nosuch\r");
    assert!(app.overlay.is_none() && app.notice.as_ref().is_some_and(|n| n.error && n.text.contains("nosuch")), "{:?}", app.notice);
}

#[test]
fn a_filter_is_applied_while_typing_and_escape_puts_the_old_one_back() {
    let (b, mut app) = Bench::new();
    b.press(&mut app, "3/cluster:b");
    assert_eq!(b.here(&app), "pods 2/cluster:b web-1-0");
    b.press(&mut app, "\x1b");
    assert_eq!(b.here(&app), "pods 4/ web-1-0");
    b.press(&mut app, "/restarts>x\r");
    assert!(matches!(&app.overlay, Some(Overlay::Prompt(p)) if p.error.is_some()), "a bad term stays on screen with what is wrong");
}

#[test]
fn a_session_comes_back_and_unknown_names_are_left_out() {
    let (b, mut app) = Bench::new();
    b.press(&mut app, "3w");
    app.run(&b.world(), &Command::Filter(Some("ns:shop".into())));
    app.run(&b.world(), &Command::Sort(Some("restarts".into())));
    app.run(&b.world(), &Command::SaveView("mine".into()));
    let mut state = app.session();
    state.panes.push(SavedView { pane: "teapots".into(), ..SavedView::default() });
    let (_, mut again) = Bench::new();
    again.restore(&b.world(), state.clone(), None);
    assert_eq!(b.here(&again), "pods 4/ns:shop web-1-0");
    assert_eq!(again.views, state.views);
    assert_eq!(again.table().unwrap().view.sort().map(|s| s.column.id), Some("restarts"));
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<SessionState>(&json).unwrap(), state);
}

#[test]
fn a_theme_comes_back_when_it_was_chosen_and_else_the_configuration_decides() {
    let (_, mut app) = Bench::new();
    assert_eq!(app.session().theme, "");
    app.theme = "light".to_owned();
    assert_eq!(app.session().theme, "light");
}

#[test]
fn scope_limits_every_table_and_zero_lifts_it() {
    let (b, mut app) = Bench::new();
    app.run(&b.world(), &Command::Cluster("b".into()));
    b.press(&mut app, "3");
    assert_eq!(b.here(&app), "pods 2/ web-1-0");
    b.press(&mut app, "0");
    assert_eq!(b.here(&app), "pods 4/ web-1-0");
    app.run(&b.world(), &Command::Cluster("bb".into()));
    assert!(app.notice.as_ref().is_some_and(|n| n.error && n.text.contains('b')), "{:?}", app.notice);
}

#[test]
fn marks_are_copied_together() {
    let (b, mut app) = Bench::new();
    let effects = b.press(&mut app, "3  c");
    assert!(matches!(&effects[..], [Effect::Copy(text)] if text.lines().count() == 2), "{effects:?}");
    let effects = b.press(&mut app, "\\c");
    assert!(matches!(&effects[..], [Effect::Copy(text)] if text.lines().count() == 1), "{effects:?}");
}

mod deed;
mod grouping;
