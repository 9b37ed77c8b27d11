use super::*;
use crate::model::etcd::tests::member;
use crate::model::{
    Change, ConnectionState, Delta, Generation, Interner, KindState, Service, ServiceState, Str, Usage, UsageList, UsageRow, object,
};
use std::sync::Arc;

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

fn members(objects: Vec<Object>) -> [Delta; 3] {
    let (kind, namespace) = (Kind::EtcdMember, None);
    let changes = objects.into_iter().map(Change::Upsert).collect();
    [Delta::ListBegin { kind, namespace: None }, Delta::Rows { kind, changes }, Delta::ListEnd { kind, namespace }]
}

#[test]
fn a_services_rows_hang_on_the_service_alone() {
    let mut s = store();
    let via: Str = "https://10.0.0.1:2379".into();
    let state = |state| Delta::Service { service: Service::Etcd, state, via: via.clone() };
    assert!(matches!(&s.clusters()[0].service(Service::Etcd).state, ServiceState::Absent { hint } if hint.contains("endpoints")));
    assert!(s.clusters()[0].seen(Kind::EtcdMember) && !s.clusters()[0].seen(Kind::Pod), "what is not configured hides nothing");
    apply(&mut s, 5, rows(vec![pod("p1", "n1", "Running")]));
    apply(&mut s, 0, state(ServiceState::Waiting));
    assert!(!s.clusters()[0].seen(Kind::EtcdMember));
    for delta in members(vec![Object::EtcdMember(Arc::new(member(1, "a", Some(1)))), Object::EtcdMember(Arc::new(member(2, "b", None)))]) {
        apply(&mut s, 0, delta);
    }
    assert_eq!(apply(&mut s, 0, state(ServiceState::Live)).len(), 1);
    assert!(apply(&mut s, 0, state(ServiceState::Live)).is_empty(), "an answer is no change");
    apply(&mut s, 6, Delta::State(ConnectionState::Unreachable { last: None, reason: "dial timeout".into() }));
    let c = &s.clusters()[0];
    assert!(c.current(Kind::EtcdMember) && !c.current(Kind::Pod), "etcd is seen though the API server is gone");
    assert_eq!((c.counts.etcd_members, c.counts.etcd_bad, c.generation, c.service(Service::Etcd).alive), (2, 1, Generation(6), 200));
    apply(&mut s, 0, state(ServiceState::Stale { reason: "timeout".into() }));
    let c = &s.clusters()[0];
    assert_eq!((c.table(Kind::EtcdMember).len(), c.kind_state(Kind::EtcdMember)), (2, &KindState::Failing { reason: "timeout".into() }));
    for delta in members(vec![Object::EtcdMember(Arc::new(member(1, "a", Some(1))))]) {
        apply(&mut s, 0, delta);
    }
    assert_eq!(s.clusters()[0].counts.etcd_members, 1, "a poll is a list");
    let mut heard = member(3, "api-server", None);
    heard.second_hand = Some(Box::default());
    for delta in members(vec![Object::EtcdMember(Arc::new(heard))]) {
        apply(&mut s, 0, delta);
    }
    let counts = &s.clusters()[0].counts;
    assert_eq!((counts.etcd_members, counts.etcd_bad), (0, 0), "what the API server tells is no member");
}

#[test]
fn a_services_answer_proves_nothing_of_the_api_server() {
    let mut s = store();
    for delta in members(vec![Object::EtcdMember(Arc::new(member(1, "a", Some(1))))]) {
        apply(&mut s, 0, delta);
    }
    assert_eq!(s.clusters()[0].alive, 0);
}

#[test]
fn velero_is_as_its_objects_are_watched() {
    let mut s = store();
    apply(&mut s, 1, Delta::KindState(Kind::Backup, KindState::Missing));
    assert!(matches!(s.clusters()[0].service(Service::Velero).state, ServiceState::Absent { .. }));
    assert!(s.clusters()[0].seen(Kind::Backup));
    apply(&mut s, 1, Delta::KindState(Kind::Backup, KindState::Forbidden { missing: "list backups".into() }));
    assert_eq!(s.clusters()[0].service(Service::Velero).state.word(), "forbidden");
    apply(&mut s, 1, Delta::KindState(Kind::Backup, KindState::Live));
    assert_eq!(s.clusters()[0].service(Service::Velero).state, ServiceState::Live);
}

#[test]
fn use_is_replaced_whole_and_the_unknown_is_none() {
    let mut s = store();
    let row =
        |ns: &str, name: &str, cpu_m| UsageRow { namespace: ns.into(), name: name.into(), usage: Usage { cpu_m, memory: None, at: None } };
    let list = |kind, namespace, rows| Delta::Usage(UsageList { kind, namespace, rows });
    let touched = apply(&mut s, 0, list(Kind::Pod, None, vec![row("a", "p", Some(5)), row("b", "p", Some(7))]));
    assert!(matches!(touched[..], [Touched::Usage { kind: Kind::Pod, .. }]));
    let cpu = |s: &Store, ns: &str| s.clusters()[0].usage(Kind::Pod, ns, "p").and_then(|u| u.cpu_m);
    assert_eq!((cpu(&s, "a"), cpu(&s, "b")), (Some(5), Some(7)));
    apply(&mut s, 0, list(Kind::Pod, Some("a".into()), vec![]));
    assert_eq!((cpu(&s, "a"), cpu(&s, "b")), (None, Some(7)), "the list spoke of one namespace");
    apply(&mut s, 0, list(Kind::Node, None, vec![row("", "n1", Some(9))]));
    assert_eq!(s.clusters()[0].usage(Kind::Node, "", "n1").and_then(|u| u.cpu_m), Some(9));
    assert_eq!((cpu(&s, "b"), s.clusters()[0].usage(Kind::Node, "", "n2")), (Some(7), None));
}

#[test]
fn use_that_is_told_in_parts_is_whole_when_the_last_has_come() {
    let mut s = store();
    let namespace = serde_json::json!({"metadata": {"name": "ns", "uid": "of-ns"}});
    let namespace = object::decode_json(Kind::Namespace, namespace.to_string().as_bytes(), &mut Interner::default()).unwrap();
    apply(&mut s, 0, Delta::Rows { kind: Kind::Namespace, changes: vec![Change::Upsert(namespace)] });
    apply(&mut s, 0, rows(["a", "b", "c"].map(|name| pod(name, "n", "Running")).into()));
    let list = |kind, names: &[&str], cpu| {
        let namespace = if kind == Kind::Pod { "ns" } else { "" };
        let usage = Usage { cpu_m: Some(cpu), memory: None, at: None };
        let rows = names.iter().map(|n| UsageRow { namespace: namespace.into(), name: (*n).into(), usage }).collect();
        UsageList { kind, namespace: None, rows }
    };
    let cpu = |s: &Store, name: &str| s.clusters()[0].usage(Kind::Pod, "ns", name).and_then(|u| u.cpu_m);
    let sum = |s: &Store| {
        let (_, namespace) = s.find(ClusterId(0), Kind::Namespace, Uid::parse("of-ns")).unwrap();
        s.clusters()[0].usage_of_pods(namespace).map(|u| (u.pods, u.cpu_m))
    };
    apply(&mut s, 0, Delta::Usage(list(Kind::Pod, &["a", "b", "c"], 1)));
    assert_eq!(sum(&s), Some((3, Some(3))));
    assert_eq!(apply(&mut s, 0, Delta::UsagePart(list(Kind::Pod, &["a"], 10))).len(), 0);
    // Another list, of nodes, comes between its parts.
    apply(&mut s, 0, Delta::Usage(list(Kind::Node, &["n"], 5)));
    assert_eq!((cpu(&s, "a"), cpu(&s, "c"), sum(&s)), (Some(10), Some(1), Some((3, Some(3)))), "sums are of whole lists");
    assert_eq!(apply(&mut s, 0, Delta::Usage(list(Kind::Pod, &["b"], 20))).len(), 1);
    assert_eq!((cpu(&s, "a"), cpu(&s, "b"), cpu(&s, "c")), (Some(10), Some(20), None), "no part named the third");
    assert_eq!(sum(&s), Some((2, Some(30))));
}

#[test]
fn what_waits_stands_beside_what_fires_until_it_fires_itself() {
    use crate::model::alert::tests::alert;
    use crate::model::{Alert, AlertState, Labels};
    let mut s = store();
    let labels = |pairs: &[(&str, &str)]| Labels::from(pairs.iter().map(|(k, v)| (Str::from(*k), Str::from(*v))).collect::<Vec<_>>());
    let waits = |name: &str| {
        let labels = labels(&[("alertname", name), ("pod", "p1")]);
        Arc::new(Alert::waiting("", AlertState::Pending, labels, Labels::default(), None))
    };
    let told = |s: &Store| -> Vec<String> {
        let alerts = s.clusters()[0].objects(Kind::Alert).filter_map(|o| if let Object::Alert(a) = o { Some(a) } else { None });
        let mut all: Vec<String> = alerts.map(|a| format!("{} {}", a.meta.name, a.state.word())).collect();
        all.sort();
        all
    };
    let fires = |names: &[&str]| {
        let kind = Kind::Alert;
        // Its Prometheus says which one it is when it sends it.
        let rows = names.iter().map(|n| alert(&[("alertname", n), ("pod", "p1"), ("prometheus", "k8s")], AlertState::Firing));
        let changes = rows.map(|a| Change::Upsert(Object::Alert(a.into()))).collect();
        [Delta::ListBegin { kind, namespace: None }, Delta::Rows { kind, changes }, Delta::ListEnd { kind, namespace: None }]
    };
    apply(&mut s, 0, Delta::Waiting([waits("Soon"), waits("Later")].into()));
    assert_eq!(told(&s), ["Later pending", "Soon pending"]);
    fires(&["Now", "Soon"]).into_iter().for_each(|d| drop(apply(&mut s, 0, d)));
    assert_eq!(told(&s), ["Later pending", "Now firing", "Soon firing"], "what fires is not shown twice, what waits is not swept");
    assert_eq!(s.clusters()[0].counts.alerts_firing, 2);
    fires(&["Now"]).into_iter().for_each(|d| drop(apply(&mut s, 0, d)));
    assert_eq!(told(&s), ["Later pending", "Now firing", "Soon pending"]);
    let touched = apply(&mut s, 0, Delta::Waiting(Arc::default()));
    assert_eq!((told(&s), touched.len()), (vec!["Now firing".to_owned()], 2));
}

fn read(kind: Kind, value: serde_json::Value) -> Delta {
    let object = object::decode_json(kind, value.to_string().as_bytes(), &mut Interner::default()).unwrap();
    Delta::Rows { kind, changes: vec![Change::Upsert(object)] }
}

#[test]
fn a_name_finds_its_object_after_others_came_and_went() {
    let mut s = store();
    let web = |uid: &str, name: &str| read(Kind::Service, serde_json::json!({"metadata": {"name": name, "namespace": "ns", "uid": uid}}));
    let found = |s: &Store, namespace: &str, name: &str| s.clusters()[0].named(Kind::Service, namespace, name).map(|o| o.meta().uid);
    for n in 0..40 {
        apply(&mut s, 1, web(&format!("u{n}"), &format!("s{n}")));
    }
    assert_eq!(found(&s, "ns", "s7"), Some(Uid::parse("u7")));
    assert_eq!((found(&s, "other", "s7"), found(&s, "ns", "s99")), (None, None));
    // Made anew before the old one is said to be gone.
    apply(&mut s, 1, web("again", "s7"));
    apply(&mut s, 1, Delta::Rows { kind: Kind::Service, changes: vec![Change::Delete(Uid::parse("u7"))] });
    assert_eq!(found(&s, "ns", "s7"), Some(Uid::parse("again")));
    apply(&mut s, 1, Delta::Rows { kind: Kind::Service, changes: vec![Change::Delete(Uid::parse("again"))] });
    apply(&mut s, 1, web("other", "s99"));
    assert_eq!((found(&s, "ns", "s7"), found(&s, "ns", "s99")), (None, Some(Uid::parse("other"))), "the slot is used again");
}

#[test]
fn a_slice_changes_its_service_and_the_dead_are_counted() {
    let mut s = store();
    let slice = |ready: bool| {
        let meta = serde_json::json!({"name": "web-x", "namespace": "ns", "uid": "x", "labels": {"kubernetes.io/service-name": "web"}});
        read(
            Kind::EndpointSlice,
            serde_json::json!({"metadata": meta, "addressType": "IPv4", "endpoints": [{"conditions": {"ready": ready}}]}),
        )
    };
    let service = |selector: serde_json::Value| {
        read(
            Kind::Service,
            serde_json::json!({"metadata": {"name": "web", "namespace": "ns", "uid": "web"}, "spec": {"selector": selector}}),
        )
    };
    let dead = |s: &Store| s.clusters()[0].counts.services_dead;
    let kinds = |touched: Vec<Touched>| -> Vec<Kind> {
        let kind = |t: Touched| match t {
            Touched::Row { id, .. } | Touched::Gone { id, .. } => Some(id.kind),
            _ => None,
        };
        let mut all: Vec<Kind> = touched.into_iter().filter_map(kind).collect();
        all.sort_unstable();
        all
    };
    apply(&mut s, 1, service(serde_json::json!({"app": "web"})));
    assert_eq!(dead(&s), 1);
    assert_eq!(kinds(apply(&mut s, 1, slice(true))), [Kind::Service, Kind::EndpointSlice]);
    assert_eq!(dead(&s), 0);
    apply(&mut s, 1, slice(false));
    assert_eq!(dead(&s), 1);
    apply(&mut s, 1, service(serde_json::json!({})));
    assert_eq!(dead(&s), 0, "it selects nothing");
    apply(&mut s, 1, service(serde_json::json!({"app": "web"})));
    assert_eq!(dead(&s), 1);
    let gone = apply(&mut s, 1, Delta::Rows { kind: Kind::EndpointSlice, changes: vec![Change::Delete(Uid::parse("x"))] });
    assert_eq!((kinds(gone), dead(&s)), (vec![Kind::Service, Kind::EndpointSlice], 1));
    apply(&mut s, 1, Delta::Rows { kind: Kind::Service, changes: vec![Change::Delete(Uid::parse("web"))] });
    assert_eq!(dead(&s), 0);
}
