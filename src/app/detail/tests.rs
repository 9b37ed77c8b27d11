use super::*;
use crate::inspect::{Engine, Thresholds};
use crate::model::{Batch, Change, ClusterId, ConnectionState, Delta, Generation, Interner, Kind, object};
use crate::store::{ClusterInfo, Store};
use serde_json::json;

struct Fleet {
    store: Store,
    engine: Engine,
}

impl Fleet {
    fn new() -> Self {
        let mut fleet = Self {
            store: Store::new(vec![ClusterInfo { name: "prod".into(), ..Default::default() }], 0),
            engine: Engine::new(Thresholds::default()),
        };
        fleet.delta(Delta::State(ConnectionState::Live));
        fleet.put("Running", 5);
        fleet
    }
    fn delta(&mut self, delta: Delta) -> Vec<Touched> {
        let mut touched = Vec::new();
        self.store.apply(Batch { cluster: ClusterId(0), generation: Generation(1), delta }, 1_000, &mut touched);
        self.engine.touched(&self.store, &touched, 1_000);
        touched
    }
    fn put(&mut self, phase: &str, version: u64) -> Vec<Touched> {
        let row = object::decode_json(Kind::Pod, full(phase, version).to_string().as_bytes(), &mut Interner::default()).unwrap();
        self.delta(Delta::Rows { kind: Kind::Pod, changes: vec![Change::Upsert(row)] })
    }
    fn world(&self) -> World<'_> {
        World { store: &self.store, engine: &self.engine, now: 1_000 }
    }
    fn open(&self) -> Detail {
        let reference = self.store.clusters()[0].named(Kind::Pod, "pay", "web").unwrap().reference(ClusterId(0));
        let (detail, effects) = Detail::open(&self.world(), reference.clone(), RequestId(7));
        assert_eq!(effects, [Effect::Fetch(RequestId(7), reference)]);
        detail
    }
}

fn full(phase: &str, version: u64) -> Value {
    json!({"metadata": {"name": "web", "namespace": "pay", "uid": "u1", "resourceVersion": version.to_string(), "managedFields": [{"manager": "kubectl"}]},
        "spec": {"containers": [{"name": "app", "image": "reg/app:1", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]}, "status": {"phase": phase}})
}

fn text(d: &Detail) -> String {
    let doc = d.doc.as_ref().unwrap();
    d.items().iter().filter_map(|i| if let Item::Yaml(n) = i { Some(doc.shown(*n)?.text.clone() + "\n") } else { None }).collect()
}

#[test]
fn the_explanation_is_there_at_once_and_what_was_seen_stays() {
    let mut fleet = Fleet::new();
    let mut d = fleet.open();
    assert!(d.sections.iter().any(|s| s.title == "containers") && d.doc.is_none() && d.fetching());
    assert!(d.fetched(&fleet.world(), RequestId(7), &Err("HTTP 500".into())).is_empty());
    assert_eq!((d.error.as_deref(), d.fetching()), (Some("HTTP 500"), false));
    let touched = fleet.put("Pending", 6);
    let (changed, effects) = d.touched(&fleet.world(), &touched);
    assert!(changed && effects.len() == 1, "the row changed: fetched again");
    d.fetched(&fleet.world(), RequestId(7), &Ok(full("Pending", 6)));
    assert_eq!((d.error.as_deref(), d.fetched), (None, Some((1_000, 6))));
    assert_eq!(d.sections[0].title, "why");
    d.asked = true;
    d.fetched(&fleet.world(), RequestId(7), &Err("dial timeout".into()));
    assert!(d.error.is_some() && text(&d).contains("phase: Pending"), "the old YAML stays");
}

#[test]
fn changes_are_fetched_one_at_a_time() {
    let mut fleet = Fleet::new();
    let mut d = fleet.open();
    let touched = fleet.put("Pending", 6);
    assert!(d.touched(&fleet.world(), &touched).1.is_empty(), "one is under way");
    let again = d.fetched(&fleet.world(), RequestId(7), &Ok(full("Running", 5)));
    assert_eq!(again.len(), 1, "what came is older than the row");
    assert!(d.fetched(&fleet.world(), RequestId(7), &Ok(full("Pending", 6))).is_empty());
    assert!(d.fetched(&fleet.world(), RequestId(6), &Err("late".into())).is_empty() && d.error.is_none());
}

#[test]
fn an_object_that_goes_is_marked_and_stays() {
    let mut fleet = Fleet::new();
    let mut d = fleet.open();
    d.fetched(&fleet.world(), RequestId(7), &Ok(full("Running", 5)));
    let touched = fleet.delta(Delta::Rows { kind: Kind::Pod, changes: vec![Change::Delete(Uid::parse("u1"))] });
    let (changed, effects) = d.touched(&fleet.world(), &touched);
    assert!(changed && effects.is_empty());
    assert_eq!(d.gone, Some(1_000));
    assert!(text(&d).contains("phase: Running") && d.sections.iter().any(|s| s.title == "containers"));
}

#[test]
fn secrets_are_masked_until_asked() {
    let fleet = Fleet::new();
    let mut d = fleet.open();
    d.fetched(&fleet.world(), RequestId(7), &Ok(full("Running", 5)));
    assert!(!text(&d).contains("hunter2") && d.masked == 1);
    d.command(&fleet.world(), &Command::Unmask);
    assert!(text(&d).contains("hunter2"));
    d.command(&fleet.world(), &Command::Unmask);
    assert!(!text(&d).contains("hunter2"));
}

#[test]
fn folding_and_searching_move_the_cursor() {
    let mut fleet = Fleet::new();
    let mut d = fleet.open();
    d.show_yaml();
    d.fetched(&fleet.world(), RequestId(7), &Ok(full("Running", 5)));
    assert_eq!(d.items()[d.cursor], Item::YamlHead, "as soon as it came");
    assert!(!text(&d).contains("manager: kubectl"), "managedFields are folded");
    d.search("manager: kub");
    assert!(text(&d).contains("manager: kubectl"), "a match that is folded is shown");
    assert_eq!(d.matches(), (1, Some(1)));
    d.command(&fleet.world(), &Command::Fold);
    assert!(!text(&d).contains("manager: kubectl"));
    let line = |d: &Detail| match d.items()[d.cursor] {
        Item::Yaml(n) => d.doc.as_ref().unwrap().lines()[n].text.clone(),
        _ => String::new(),
    };
    assert_eq!(line(&d), "  managedFields:");
    d.search("phase");
    assert_eq!(line(&d), "  phase: Running");
    // The sections above change; the cursor stays on its line.
    let touched = fleet.put("Failed", 6);
    d.touched(&fleet.world(), &touched);
    assert_eq!(line(&d), "  phase: Running");
    d.fetched(&fleet.world(), RequestId(7), &Ok(full("Failed", 6)));
    assert_eq!(line(&d), "  phase: Failed");
    d.command(&fleet.world(), &Command::FoldAll);
    assert_eq!(line(&d), "status:");
    d.search("[");
    assert!(d.search.is_some(), "no regular expression: looked for as it is");
}
