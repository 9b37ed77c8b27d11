//! Drains: what was said before compared with what came, pods that take their time, several nodes at once.

use crate::support::lab::{Lab, until};
use crate::support::pool::Pool;
use crate::support::runner::{Test, tests};
use crate::support::stage::{CONTEXT, Did, Stage};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = tests![
    who_finds_room_and_who_does_not_is_as_it_was_said,
    a_pod_has_its_grace_period_to_end,
    two_nodes_of_a_zone_are_drained_at_the_same_time,
];

/// One that takes all of its grace period to end.
fn slow(pool: &Pool, namespace: &str, app: &str, grace: i64, at: usize) -> Value {
    let mut slow = pool.deployment(namespace, app, 1, "100m", at);
    slow["spec"]["template"]["metadata"]["annotations"] = json!({"lab.internal/end": "late"});
    slow["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(grace);
    slow
}

/// Where in the events a pod of the app came to that state.
#[track_caller]
fn at(did: &Did, pod: &str, state: &str) -> usize {
    let so = |e: &Value| e["event"] == "step" && e["state"] == state && e["text"].as_str().unwrap().contains(pod);
    did.events.iter().position(so).unwrap_or_else(|| panic!("{pod} was never {state}: {:#?}\n{}", did.events, did.stderr))
}

fn who_finds_room_and_who_does_not_is_as_it_was_said(lab: &Lab) {
    const SPACE: &str = "drain-room";
    let pool = Pool::new(lab, CONTEXT, "room", &[("a", "4"), ("a", "2")]);
    let stage = Stage::at(lab, CONTEXT, SPACE, &[pool.deployment(SPACE, "web", 4, "900m", 0)]);
    stage.ready("deployment/web", 4);
    let (here, there) = (pool.pods(0, SPACE).len(), pool.pods(1, SPACE).len());
    assert!(here > 2, "only {here} came to the larger node");
    let tried = stage.qd(&format!("drain {} --dry-run", pool.node(0)));
    let placement = &tried.plan()["blast"][0]["placement"];
    let unplaced: Vec<&str> = placement["unplaced"].as_array().unwrap().iter().map(|u| u[0].as_str().unwrap()).collect();
    // Two of them fill the smaller node.
    assert_eq!((placement["fits"].as_u64(), unplaced.len()), (Some(2 - there as u64), here + there - 2), "{:#?}", tried.plan());
    assert!(unplaced.iter().all(|p| p.contains("web-")), "{unplaced:?}");
    assert!(tried.plan()["verdict"].as_str().unwrap().starts_with("degrades"), "{}", tried.plan()["verdict"]);
    stage.qd(&format!("drain {} --timeout 60s", pool.node(0))).done();
    until("the scheduler to have its say", Duration::from_secs(60), || {
        let pods = stage.pods("app=web");
        let alive: Vec<&Value> = pods.iter().filter(|p| p["metadata"]["deletionTimestamp"].is_null()).collect();
        let unscheduled = |p: &&&Value| {
            p["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "PodScheduled" && c["reason"] == "Unschedulable")
        };
        let on = |node: &str| alive.iter().filter(|p| p["spec"]["nodeName"] == node).count();
        let is = (alive.len(), on(pool.node(0)), on(pool.node(1)), alive.iter().filter(unscheduled).count());
        if is == (4, 0, 2, unplaced.len()) { Ok(()) } else { Err(format!("{is:?}, said {} without room", unplaced.len())) }
    });
    stage.qd("undo last").done();
    assert!(!pool.cordoned(0));
    stage.ready("deployment/web", 4);
}

fn a_pod_has_its_grace_period_to_end(lab: &Lab) {
    const SPACE: &str = "drain-grace";
    let pool = Pool::new(lab, CONTEXT, "grace", &[("a", "4"), ("a", "4"), ("a", "4")]);
    let apps = [("own", 5), ("late", 300), ("cut", 300)];
    let objects: Vec<Value> = apps.iter().enumerate().map(|(n, (app, grace))| slow(&pool, SPACE, app, *grace, n)).collect();
    let stage = Stage::at(lab, CONTEXT, SPACE, &objects);
    for (n, (app, _)) in apps.iter().enumerate() {
        stage.ready(&format!("deployment/{app}"), 1);
        assert!(pool.pods(n, SPACE).iter().all(|p| p.contains(app)) && pool.pods(n, SPACE).len() == 1, "{n}: {:?}", pool.pods(n, SPACE));
    }
    // Whatever is evicted stays away: the next node is to have its own pod only.
    lab.kubectl(CONTEXT, &["taint", "node", pool.node(0), pool.node(1), pool.node(2), "full=now:NoSchedule"]);
    let began = Instant::now();
    stage.qd(&format!("drain {}", pool.node(0))).done();
    assert!(began.elapsed() >= Duration::from_secs(4), "it was not waited for: {:?}", began.elapsed());
    assert!(pool.pods(0, SPACE).is_empty());
    // Its time is longer than the drain's.
    let did = stage.qd(&format!("drain {} --timeout 4s", pool.node(1)));
    assert_eq!((did.code, did.outcome()), (5, "blocked"), "{:#?}\n{}", did.events, did.stderr);
    let end = did.events.iter().rfind(|e| e["text"].as_str().is_some_and(|t| t.contains("/late-"))).unwrap();
    assert!(end["why"].as_str().unwrap().contains("terminating"), "{end}");
    let left = pool.pods(1, SPACE);
    assert_eq!(left.len(), 1);
    let pod = stage.get(&left[0]);
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 300, "its own time");
    assert!(pool.cordoned(1));
    lab.kubectl(CONTEXT, &["delete", &left[0], "-n", SPACE, "--grace-period=0", "--force"]);
    stage.qd(&format!("resume {}", did.events.last().unwrap()["job"].as_str().unwrap())).done();
    // A shorter time, as it is told.
    stage.qd(&format!("drain {} --grace-period 1 --timeout 60s", pool.node(2))).done();
    assert!(pool.pods(2, SPACE).is_empty());
}

fn two_nodes_of_a_zone_are_drained_at_the_same_time(lab: &Lab) {
    const SPACE: &str = "drain-zones";
    let pool = Pool::new(lab, CONTEXT, "zones", &[("a", "4"), ("a", "4"), ("b", "4")]);
    let apps = ["one", "two", "three"];
    let objects: Vec<Value> = apps.iter().enumerate().map(|(n, app)| slow(&pool, SPACE, app, 5, n)).collect();
    let stage = Stage::at(lab, CONTEXT, SPACE, &objects);
    for (n, app) in apps.iter().enumerate() {
        stage.ready(&format!("deployment/{app}"), 1);
        assert!(pool.pods(n, SPACE).iter().all(|p| p.contains(app)), "{:?}", pool.pods(n, SPACE));
    }
    let did = stage.qd(&format!("drain {} {} {} --parallel 2", pool.node(0), pool.node(1), pool.node(2))).done();
    let [one, two, three] = apps.map(|app| {
        let pod = format!("evict pod {SPACE}/{app}-");
        (at(&did, &pod, "running"), at(&did, &pod, "done"))
    });
    assert!(one.0 < two.1 && two.0 < one.1, "at the same time: {one:?} {two:?}");
    assert!(three.0 > one.1.max(two.1), "the next zone after that: {one:?} {two:?} {three:?}");
    assert!((0..3).all(|n| pool.cordoned(n)), "a pod must not go to the next one");
    stage.qd("undo last").done();
    assert!((0..3).all(|n| !pool.cordoned(n)));
    apps.iter().for_each(|app| stage.ready(&format!("deployment/{app}"), 1));
}
