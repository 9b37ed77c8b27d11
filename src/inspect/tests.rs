use super::fixture::{Fleet, NOW, ago, crashing, deployment, node, owned, pod, replicaset, running, uid};
use super::*;
use crate::model::{ConnectionState, Delta};
use serde_json::json;

#[test]
fn the_register_is_whole() {
    let mut ids: Vec<&str> = RULES.iter().map(|r| r.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), RULES.len());
    for rule in RULES {
        for text in [rule.id, rule.area, rule.scope, rule.summary, rule.why] {
            assert!(!text.is_empty() && !text.contains('\n'), "{}", rule.id);
        }
        for t in rule.thresholds {
            assert!(!t.name.is_empty() && !t.doc.is_empty(), "{}", rule.id);
        }
        let mut names: Vec<&str> = rule.thresholds.iter().map(|t| t.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rule.thresholds.len(), "{}", rule.id);
        let links: std::collections::BTreeSet<&str> = rule.links.iter().copied().collect();
        assert!(!links.is_empty() && links.len() == rule.links.len(), "{}", rule.id);
        for link in links {
            let host = link.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or("");
            assert!(host.contains('.') && !link.contains(char::is_whitespace), "{}: {link}", rule.id);
        }
    }
}

/// A Deployment with a ReplicaSet of now and one of before, and its pods.
fn checkout(fleet: &mut Fleet, pods: u32, make: impl Fn(u32) -> serde_json::Value) {
    fleet.put(Kind::Deployment, [deployment("checkout", pods as i32, 0)]);
    fleet.put(
        Kind::ReplicaSet,
        [replicaset("old", "checkout", 1, "reg/app:1.8", 90_000, 0), replicaset("new", "checkout", 2, "reg/app:1.9", 900, pods as i32)],
    );
    fleet.put(Kind::Pod, (0..pods).map(make));
}

fn crashed(n: u32) -> serde_json::Value {
    let mut meta = owned(&format!("p{n}"), Kind::ReplicaSet, "new");
    meta["creationTimestamp"] = json!(ago(900));
    pod(meta, "n1", false, 850, crashing(9, 137, "OOMKilled", 60))
}

#[test]
fn a_workload_is_one_line_with_its_cause_and_goes_when_it_is_repaired() {
    let mut fleet = Fleet::default();
    checkout(&mut fleet, 6, crashed);
    let lines = fleet.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    assert_eq!(
        (line.severity, line.title.as_str(), line.message.as_str()),
        (Severity::Critical, "pay/checkout", "0/6 exit 137 <- image 1.8>1.9 11:45")
    );
    assert_eq!((line.count, line.since, line.subject.as_ref().map(|s| s.kind)), (6, Time::from_secs(NOW - 850), Some(Kind::Deployment)));
    assert!(line.detail.starts_with("checkout: OOMKilled 11:59Z, limit 512Mi, "), "{}", line.detail);
    assert!(line.detail.contains("6 of 6 pods, image 1.8>1.9 rolled out 11:45Z, "), "{}", line.detail);
    assert!(line.findings.iter().all(|id| fleet.engine.finding(*id).is_some()));
    let revision = fleet.engine.revision();
    fleet.put(Kind::Deployment, [deployment("checkout", 6, 6)]);
    fleet.put(Kind::Pod, (0..6).map(|n| pod(owned(&format!("p{n}"), Kind::ReplicaSet, "new"), "n1", true, 10, running())));
    assert_eq!(fleet.lines(), []);
    assert!(fleet.engine.revision() > revision);
}

#[test]
fn an_old_rollout_is_not_blamed() {
    let mut fleet = Fleet::default();
    checkout(&mut fleet, 2, crashed);
    let set = |created| [replicaset("new", "checkout", 2, "reg/app:1.9", created, 2)];
    fleet.put(Kind::ReplicaSet, set(86_401));
    assert_eq!(fleet.lines()[0].message, "0/2 exit 137");
    fleet.put(Kind::ReplicaSet, set(300));
    assert_eq!(fleet.lines()[0].message, "0/2 exit 137", "it burned before the rollout");
}

#[test]
fn thirty_pods_of_a_dead_node_are_one_line() {
    let mut fleet = Fleet::default();
    fleet.put(Kind::Node, [node("n1", "True", 9000), node("n2", "True", 9000), node("n3", "True", 9000)]);
    checkout(&mut fleet, 30, |n| {
        if n == 0 { crashed(0) } else { pod(owned(&format!("p{n}"), Kind::ReplicaSet, "new"), "n1", false, 700, running()) }
    });
    assert_eq!(fleet.lines().iter().map(|l| l.title.as_str()).collect::<Vec<_>>(), ["pay/checkout"]);
    fleet.put(Kind::Node, [node("n1", "Unknown", 700)]);
    let lines = fleet.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(
        (lines[0].title.as_str(), lines[0].message.as_str(), lines[0].count),
        ("n1", "NotReady (kubelet silent): 30 pods, 1 app at 0", 30)
    );
    let revision = fleet.engine.revision();
    fleet.delete(Kind::Pod, "p29");
    assert!(fleet.engine.revision() > revision);
    assert!(fleet.lines()[0].message.contains("29 pods"));
    fleet.put(Kind::Node, [node("n1", "True", 1)]);
    assert_eq!(fleet.lines().iter().map(|l| l.title.as_str()).collect::<Vec<_>>(), ["pay/checkout"]);
}

#[test]
fn most_of_a_zone_is_one_line() {
    let mut fleet = Fleet::default();
    let nodes = |dead: usize| (0..5).map(move |n| node(&format!("n{n}"), if n < dead { "Unknown" } else { "True" }, 400));
    fleet.put(Kind::Node, nodes(2));
    assert_eq!(fleet.lines().len(), 2);
    fleet.put(Kind::Node, nodes(3));
    let lines = fleet.lines();
    assert_eq!((lines.len(), lines[0].title.as_str(), lines[0].message.as_str()), (1, "zone a", "3 nodes NotReady (kubelet silent)"));
}

#[test]
fn a_hold_ends_by_the_clock_alone() {
    let mut fleet = Fleet::default();
    fleet.put(Kind::Node, [node("n1", "Unknown", 50)]);
    assert_eq!((fleet.lines().len(), fleet.engine.next_due()), (0, Some(NOW + 10)));
    let revision = fleet.engine.revision();
    fleet.wait(9);
    assert_eq!(fleet.engine.revision(), revision);
    fleet.wait(1);
    assert_eq!((fleet.lines().len(), fleet.engine.next_due()), (1, Some(NOW + 60)), "what its lease says");
    fleet.delete(Kind::Node, "n1");
    assert_eq!((fleet.lines().len(), fleet.engine.next_due()), (0, Some(NOW + 10 + 3600)), "only that it is forgotten");
}

#[test]
fn an_unreachable_cluster_is_on_top_and_its_other_lines_are_old() {
    let mut fleet = Fleet::default();
    fleet.put(Kind::Node, [node("n1", "Unknown", 700)]);
    assert!(!fleet.lines()[0].stale);
    let revision = fleet.engine.revision();
    fleet.delta(0, Delta::State(ConnectionState::Unreachable { last: Time::from_secs(NOW), reason: "dial timeout".into() }));
    assert!(fleet.engine.revision() > revision && fleet.lines()[0].stale);
    fleet.wait(15);
    let shown: Vec<_> = fleet.lines().into_iter().map(|l| (l.title, l.message, l.stale)).collect();
    assert_eq!(
        shown,
        [
            ("API".to_owned(), "DOWN dial timeout, rows <1m old".to_owned(), false),
            ("n1".to_owned(), "NotReady (kubelet silent)".to_owned(), true)
        ]
    );
    fleet.delta(0, Delta::State(ConnectionState::Live));
    assert_eq!(fleet.lines().into_iter().map(|l| (l.title, l.stale)).collect::<Vec<_>>(), [("n1".to_owned(), false)]);
}

#[test]
fn what_changes_nothing_shown_leaves_the_revision() {
    let mut fleet = Fleet::default();
    checkout(&mut fleet, 2, crashed);
    let revision = fleet.engine.revision();
    fleet.delta(0, Delta::Latency(40));
    fleet.put(Kind::Pod, [pod(json!({"name": "other"}), "n1", true, 10, running())]);
    fleet.put(Kind::Deployment, [deployment("fine", 1, 1)]);
    fleet.wait(1);
    assert_eq!(fleet.engine.revision(), revision);
}

#[test]
fn more_than_ten_pending_pods_of_a_workload_are_critical() {
    let pending = |n: u32| {
        json!({"metadata": owned(&format!("p{n}"), Kind::StatefulSet, "db"), "spec": {"containers": [{"name": "c", "image": "i"}]}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient cpu.", "lastTransitionTime": ago(400)}]}})
    };
    for (pods, severity) in [(10, Severity::Warning), (11, Severity::Critical)] {
        let mut fleet = Fleet::default();
        fleet.put(Kind::StatefulSet, [json!({"metadata": {"name": "db"}, "spec": {"replicas": 20}, "status": {"replicas": 20, "availableReplicas": 9, "readyReplicas": 9}})]);
        fleet.put(Kind::Pod, (0..pods).map(pending));
        let lines = fleet.lines();
        assert_eq!((lines.len(), lines[0].severity, lines[0].message.as_str()), (1, severity, "9/20 Pending: Insufficient cpu (3 nodes)"));
    }
}

#[test]
fn worst_first_production_first() {
    let mut fleet = Fleet::default();
    fleet.delta(1, Delta::State(ConnectionState::Unreachable { last: None, reason: "dial timeout".into() }));
    fleet.delta(2, Delta::State(ConnectionState::Unauthorized { last: None, reason: "token expired".into() }));
    checkout(&mut fleet, 2, crashed);
    fleet.put(Kind::Node, [node("n7", "Unknown", 700), node("n8", "Unknown", 100), node("n9", "True", 100)]);
    fleet.wait(15);
    let titles: Vec<_> = fleet.lines().into_iter().map(|l| (l.cluster.0, l.title)).collect();
    assert_eq!(
        titles,
        [(0, "n7".to_owned()), (0, "pay/checkout".to_owned()), (2, "API".to_owned()), (0, "n8".to_owned()), (1, "API".to_owned())]
    );
}

#[test]
fn failed_runs_of_a_cronjob_are_one_line() {
    let mut fleet = Fleet::default();
    let job = |name: &str| json!({"metadata": owned(name, Kind::CronJob, "cron"), "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "lastTransitionTime": ago(60)}]}});
    fleet.put(Kind::Job, [job("a"), job("b")]).put(Kind::CronJob, [json!({"metadata": {"name": "cron"}})]);
    let lines = fleet.lines();
    assert_eq!((lines.len(), lines[0].title.as_str(), lines[0].message.as_str()), (1, "pay/cron", "2 runs failed: DeadlineExceeded"));
}

#[test]
fn a_rollout_that_waits_learns_its_age_from_pods_that_come_later() {
    let mut fleet = Fleet::default();
    fleet.put(Kind::StatefulSet, [json!({"metadata": {"name": "s"}, "spec": {"replicas": 2}, "status": {"replicas": 2, "availableReplicas": 2, "readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"}})]);
    assert_eq!(fleet.lines().len(), 0);
    fleet.put(Kind::Pod, [pod(owned("s-0", Kind::StatefulSet, "s"), "n1", true, 1000, running())]);
    assert_eq!(
        (fleet.lines()[0].message.as_str(), fleet.lines()[0].since),
        ("2/2 rollout stuck, 1/2 updated", Time::from_secs(NOW - 1000))
    );
}

#[test]
fn owners_in_a_ring_end() {
    let mut fleet = Fleet::default();
    let ring = |name: &str, owner: &str| json!({"metadata": owned(name, Kind::ReplicaSet, owner), "spec": {"replicas": 1}});
    fleet.put(Kind::ReplicaSet, [ring("a", "b"), ring("b", "a")]);
    fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "a"), "n1", false, 850, crashing(9, 1, "Error", 60))]);
    assert!(fleet.finding(Kind::Pod, "p", "pod-crashloop").is_some());
    assert_eq!(fleet.lines().len(), 1);
    assert!(fleet.engine.for_object(crate::model::ClusterId(0), uid(Kind::Pod, "other")).is_empty());
}

#[test]
fn the_scheduled_inspection_waits_for_no_measurement() {
    let text = include_str!("../../assets/inspect/config.toml");
    let loaded = crate::config::Config::parse(text, std::path::Path::new("config.toml"));
    assert_eq!(loaded.diags, []);
    let waits = |r: &&&RuleInfo| r.kinds.contains(&Kind::Signal) && r.thresholds.iter().any(|t| t.name == "after");
    let mut measured: Vec<(&str, &str)> = RULES.iter().filter(waits).map(|r| (r.id, "after")).collect();
    measured.extend([("monitoring-blind", "after"), ("webhook-fail-closed", "failing-after")]);
    measured.sort_unstable();
    let set: Vec<(&str, &str)> = loaded.config.thresholds.iter().map(|t| (t.rule.value.as_str(), t.key.value.as_str())).collect();
    assert_eq!(set, measured, "one look has no time to wait: each is \"0s\" there");
    let mut thresholds = Thresholds::default();
    for t in &loaded.config.thresholds {
        let crate::config::ThresholdValue::Duration(zero) = t.value else { panic!("{}", t.rule.value) };
        assert_eq!(zero.as_secs(), 0, "{}", t.rule.value);
        thresholds.set(&t.rule.value, &t.key.value, "0s").unwrap();
    }
    // What is over a limit is found at once, and nothing is waited for.
    let mut fleet = Fleet { engine: Engine::new(thresholds), ..Fleet::default() };
    let query = loaded.config.queries.iter().find(|q| &*q.name == "cpu-throttled").unwrap().clone();
    let labels = crate::model::signal::tests::labels(&[("namespace", "pay"), ("pod", "api-1"), ("container", "app")]);
    let signal = crate::model::Signal::of(&query, labels, 0.9, [0.9].into());
    let uid = signal.meta.uid;
    fixture::told(&mut fleet, crate::model::Service::Prometheus, crate::model::ServiceState::Live, vec![Object::Signal(signal.into())]);
    assert_eq!(fleet.engine.for_object(ClusterId(0), uid).iter().map(|f| f.rule.id).collect::<Vec<_>>(), ["cpu-throttled"]);
    assert!(fleet.engine.waiting(ClusterId(0)).is_empty());
}
