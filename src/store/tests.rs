use super::*;
use crate::model::{Change, ConnectionState, Delta, Generation, Interner, KindState, Str, object};

fn store() -> Store {
    Store::new(vec![ClusterInfo { name: "a".into(), ..Default::default() }, ClusterInfo { name: "b".into(), ..Default::default() }], 100)
}

fn pod(name: &str, node: &str, phase: &str) -> Object {
    let json = serde_json::json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "5"},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}}}]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": if phase == "Running" { "True" } else { "False" }}]}});
    object::decode_json(Kind::Pod, json.to_string().as_bytes(), &mut Interner::default()).unwrap()
}

fn apply(store: &mut Store, generation: u32, delta: Delta) -> Vec<Touched> {
    let mut touched = Vec::new();
    store.apply(Batch { cluster: ClusterId(0), generation: Generation(generation), delta }, 200, &mut touched);
    touched
}

fn rows(objects: Vec<Object>) -> Delta {
    Delta::Rows { kind: Kind::Pod, changes: objects.into_iter().map(Change::Upsert).collect() }
}

#[test]
fn sums_follow_rows_and_an_equal_row_touches_nothing() {
    let mut s = store();
    assert_eq!(apply(&mut s, 1, rows(vec![pod("p1", "n1", "Running"), pod("p2", "n1", "Pending")])).len(), 2);
    let counts = &s.clusters()[0].counts;
    assert_eq!((counts.pods, counts.pods_bad, counts.pods_pending, counts.cpu_request_m), (2, 1, 1, 500));
    assert_eq!(counts.by_node["n1"].memory_request, 2 << 30);
    assert!(apply(&mut s, 1, rows(vec![pod("p1", "n1", "Running")])).is_empty());
    apply(&mut s, 1, rows(vec![pod("p2", "n1", "Succeeded")]));
    apply(&mut s, 1, Delta::Rows { kind: Kind::Pod, changes: vec![Change::Delete(Uid::parse("p1"))] });
    let counts = &s.clusters()[0].counts;
    assert_eq!((counts.pods, counts.pods_bad, counts.cpu_request_m, counts.by_node.len()), (1, 0, 0, 0));
}

#[test]
fn a_list_sweeps_only_its_own_scope() {
    let mut s = store();
    apply(&mut s, 1, rows(vec![pod("p1", "n1", "Running"), pod("p2", "n1", "Running")]));
    let scope = |ns: &str| Some(Str::from(ns));
    apply(&mut s, 1, Delta::ListBegin { kind: Kind::Pod, namespace: scope("other") });
    assert!(apply(&mut s, 1, Delta::ListEnd { kind: Kind::Pod, namespace: scope("other") }).is_empty());
    apply(&mut s, 1, Delta::ListBegin { kind: Kind::Pod, namespace: scope("ns") });
    apply(&mut s, 1, rows(vec![pod("p2", "n1", "Running")]));
    let gone = apply(&mut s, 1, Delta::ListEnd { kind: Kind::Pod, namespace: scope("ns") });
    assert!(matches!(&gone[..], [Touched::Gone { before, .. }] if &*before.meta().name == "p1"), "{gone:?}");
}

#[test]
fn a_late_generation_is_dropped_and_failure_deletes_nothing() {
    let mut s = store();
    apply(&mut s, 2, rows(vec![pod("p1", "n1", "Running")]));
    apply(&mut s, 1, Delta::Rows { kind: Kind::Pod, changes: vec![Change::Delete(Uid::parse("p1"))] });
    apply(&mut s, 3, Delta::State(ConnectionState::Unreachable { last: None, reason: "dial timeout".into() }));
    apply(&mut s, 3, Delta::KindState(Kind::Pod, KindState::Failing { reason: "dial timeout".into() }));
    assert_eq!(s.clusters()[0].table(Kind::Pod).len(), 1);
    assert!(!s.clusters()[0].current(Kind::Pod));
}
