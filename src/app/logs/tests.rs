use super::*;
use crate::inspect::{Engine, Thresholds};
use crate::model::{Batch, Change, ClusterId, Delta, Generation, Interner, object};
use crate::store::{ClusterInfo, Store};
use serde_json::json;

struct Fleet {
    store: Store,
    engine: Engine,
}

impl Fleet {
    fn new(pods: &[&str]) -> Self {
        let mut fleet = Self {
            store: Store::new(vec![ClusterInfo { name: "prod".into(), ..Default::default() }], 0),
            engine: Engine::new(Thresholds::default()),
        };
        let set = json!({"metadata": {"name": "web", "namespace": "pay", "uid": "web"}, "spec": {"replicas": 2}});
        fleet.put(Kind::ReplicaSet, &set);
        pods.iter().for_each(|p| drop(fleet.pod(p)));
        fleet
    }
    fn put(&mut self, kind: Kind, value: &serde_json::Value) -> Vec<Touched> {
        let row = object::decode_json(kind, value.to_string().as_bytes(), &mut Interner::default()).unwrap();
        let mut touched = Vec::new();
        let delta = Delta::Rows { kind, changes: vec![Change::Upsert(row)] };
        self.store.apply(Batch { cluster: ClusterId(0), generation: Generation(1), delta }, 0, &mut touched);
        touched
    }
    fn pod(&mut self, name: &str) -> Vec<Touched> {
        let pod = json!({"metadata": {"name": name, "namespace": "pay", "uid": name, "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "uid": "web", "controller": true}]},
            "spec": {"initContainers": [{"name": "init"}], "containers": [{"name": "app"}]}});
        self.put(Kind::Pod, &pod)
    }
    fn world(&self) -> World<'_> {
        World { store: &self.store, engine: &self.engine, now: 1_767_614_400 }
    }
    fn open(&self) -> (Logs, Vec<Effect>) {
        let c = &self.store.clusters()[0];
        let pods = c.objects(Kind::Pod).map(|p| p.reference(c.id)).collect();
        Logs::open(&self.world(), c.named(Kind::ReplicaSet, "pay", "web").unwrap().reference(c.id), pods, false, RequestId(3))
    }
}

fn line(pod: &str, second: u32, text: &str) -> LogLine {
    LogLine { time: format!("2026-01-05T12:00:{second:02}.000000000Z"), pod: pod.into(), container: "app".into(), text: text.into() }
}

fn logs() -> Logs {
    Fleet::new(&["a", "b"]).open().0
}

fn texts(logs: &Logs) -> Vec<&str> {
    (0..logs.len()).filter_map(|at| logs.line(at)).map(|l| &*l.text).collect()
}

fn numbered(range: std::ops::Range<u32>) -> Vec<LogLine> {
    range.map(|n| line("a", n % 60, &format!("line {n}"))).map(|l| LogLine { time: String::new(), ..l }).collect()
}

fn drawn(logs: &mut Logs, offset: usize, page: usize, end: bool) {
    logs.drawn(&HitMap { text_offset: offset, text_page: page, text_at_end: end, ..HitMap::default() });
}

#[test]
fn every_container_is_asked_for_and_new_pods_too() {
    let mut fleet = Fleet::new(&["a", "b"]);
    let (mut logs, effects) = fleet.open();
    let [Effect::StartLogs(RequestId(3), of)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(
        of.pods.iter().map(|(p, c)| (&*p.name, c.join(","))).collect::<Vec<_>>(),
        [("a", "init,app".to_owned()), ("b", "init,app".to_owned())]
    );
    assert!(of.follow && !of.previous && of.tail == 500);
    let touched = fleet.pod("c");
    let (_, effects) = logs.touched(&fleet.world(), &touched);
    assert!(matches!(&effects[..], [Effect::StartLogs(RequestId(3), of)] if of.pods.len() == 1 && &*of.pods[0].0.name == "c"));
    let touched = fleet.pod("c");
    assert!(logs.touched(&fleet.world(), &touched).1.is_empty());
    assert_eq!(logs.of.pods.len(), 3);
    assert!(matches!(logs.command(&fleet.world(), &Command::LogPrevious), Own::Restart { previous: true }));
    assert!(
        matches!(&logs.restart(RequestId(4), true)[..], [Effect::StartLogs(RequestId(4), of)] if of.previous && !of.follow && of.pods.len() == 3)
    );
}

#[test]
fn lines_are_merged_by_time_among_the_last() {
    let mut logs = logs();
    logs.lines(vec![line("a", 1, "a1"), line("a", 3, "a3"), line("b", 2, "b2")]);
    logs.lines(vec![line("b", 1, "b1"), line("b", 3, "b3"), line("b", 4, "\u{1b}[31mb4")]);
    assert_eq!(texts(&logs), ["a1", "b1", "b2", "a3", "b3", "b4"]);
}

#[test]
fn memory_is_bounded_and_what_goes_is_counted() {
    let mut logs = logs();
    logs.lines(numbered(0..MAX_LINES as u32 + 25));
    assert_eq!((logs.total(), logs.dropped, texts(&logs)[0]), (MAX_LINES, 25, "line 25"));
    logs.lines(vec![line("a", 1, &"x".repeat(MAX_BYTES / 2)), line("a", 2, &"y".repeat(MAX_BYTES / 2))]);
    assert_eq!(logs.total(), 1, "bytes count too");
    assert_eq!(logs.dropped, MAX_LINES as u64 + 26);
    let Own::Done(effects) = logs.command(&Fleet::new(&[]).world(), &Command::LogSave(None)) else { panic!() };
    assert!(
        matches!(&effects[..], [Effect::SaveFile { path, text }] if path.to_str() == Some("web-20260105T120000Z.log") && text.starts_with("# 20026 older lines"))
    );
}

#[test]
fn one_stays_where_one_is_while_lines_come_and_go() {
    let mut logs = logs();
    logs.lines(numbered(0..100));
    drawn(&mut logs, 90, 10, true);
    logs.scroll(-20);
    assert_eq!((logs.follow, logs.top(), logs.fresh()), (false, Some(70), 0));
    logs.lines(numbered(100..107));
    assert_eq!((logs.top(), logs.fresh()), (Some(70), 7));
    logs.lines(numbered(107..MAX_LINES as u32 + 50));
    assert_eq!(logs.line(logs.top().unwrap()).unwrap().text, "line 70", "50 went, the topmost is the same");
    drawn(&mut logs, 20, 10, false);
    logs.scroll(5);
    assert_eq!(logs.top(), Some(25));
    logs.scroll(isize::MAX / 2);
    assert!(logs.follow && logs.fresh() == 0);
    logs.scroll(isize::MIN / 2);
    assert_eq!(logs.top(), Some(0));
}

#[test]
fn filters_keep_drop_and_choose_a_container() {
    let fleet = Fleet::new(&["a"]);
    let mut logs = fleet.open().0;
    logs.lines(vec![line("a", 1, "ok GET"), line("a", 2, "fail GET"), LogLine { container: "init".into(), ..line("a", 3, "fail init") }]);
    let world = fleet.world();
    logs.command(&world, &Command::LogFilter(Some("^fail".into())));
    assert_eq!(texts(&logs), ["fail GET", "fail init"]);
    logs.command(&world, &Command::LogFilter(Some("!^fail".into())));
    logs.lines(vec![line("a", 4, "fail again"), line("a", 5, "ok again")]);
    assert_eq!(texts(&logs), ["ok GET", "ok again"]);
    assert!(matches!(logs.command(&world, &Command::LogFilter(Some("a(".into()))), Own::Say(n) if n.error));
    logs.command(&world, &Command::LogFilter(Some(String::new())));
    logs.command(&world, &Command::LogContainer(None));
    assert_eq!((logs.container.as_deref(), texts(&logs)), (Some("init"), vec!["fail init"]));
    assert!(matches!(logs.command(&world, &Command::LogContainer(Some("ap".into()))), Own::Say(n) if n.error));
    logs.command(&world, &Command::LogContainer(Some("all".into())));
    assert_eq!(logs.len(), 5);
}

#[test]
fn search_goes_to_matches_round_the_end() {
    let mut logs = logs();
    logs.lines(numbered(0..100));
    drawn(&mut logs, 90, 10, true);
    logs.search("line 5$");
    assert_eq!((logs.at(), logs.follow), (Some(5), false));
    logs.search("line [12]0");
    assert_eq!(logs.at(), Some(10));
    let world = Fleet::new(&[]);
    logs.command(&world.world(), &Command::NextMatch);
    assert_eq!(logs.at(), Some(20));
    logs.command(&world.world(), &Command::NextMatch);
    assert_eq!(logs.at(), Some(10));
    logs.command(&world.world(), &Command::PrevMatch);
    assert_eq!(logs.at(), Some(20));
    assert!(logs.search("zebra").is_none() && logs.at().is_none());
}
