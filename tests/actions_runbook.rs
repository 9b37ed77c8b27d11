//! Runbooks against real control planes: the ones that come with qd from end to end, over two clusters, stopped, gone on with, taken back.
//!
//! With a lab of one's own: `QD_LAB=$LAB_HOME cargo test --test actions_runbook`. Without `QD_LAB` every test is reported as ignored. Each
//! has a namespace of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers beside the test functions too")]

#[allow(dead_code, reason = "other suites use the rest")]
mod support;

use serde_json::{Value, json};
use std::process::ExitCode;
use support::lab::{CONTEXTS, Lab};
use support::pool::Pool;
use support::runner::{Test, main as run};
use support::stage::{CONTEXT, Did, Stage};

const TESTS: &[Test] = &[
    Test { name: "a_node_is_given_away_for_maintenance_and_given_back", run: a_node_is_given_away_for_maintenance_and_given_back },
    Test { name: "the_autoscalers_of_two_clusters_are_frozen_and_thawed", run: the_autoscalers_of_two_clusters_are_frozen_and_thawed },
    Test { name: "a_wave_that_fails_ends_it_and_resume_goes_on_there", run: a_wave_that_fails_ends_it_and_resume_goes_on_there },
    Test { name: "a_check_that_fails_changes_nothing", run: a_check_that_fails_changes_nothing },
];

fn main() -> ExitCode {
    run(TESTS)
}

fn deployment(namespace: &str, app: &str, replicas: i64, node: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "namespace": namespace}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": app}}, "template": {"metadata": {"labels": {"app": app}}, "spec": {"terminationGracePeriodSeconds": 1,
            "nodeSelector": node, "containers": [{"name": "app", "image": "registry.internal/app:1", "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}}]}}}})
}

/// What each step came to, by its text.
fn ends(did: &Did) -> Vec<(String, String)> {
    let mut ends: Vec<(String, String)> = Vec::new();
    for event in did.events.iter().filter(|e| e["event"] == "step" && e["state"] != "running") {
        let (text, state) = (event["text"].as_str().unwrap().to_owned(), event["state"].as_str().unwrap().to_owned());
        ends.retain(|(t, _)| *t != text);
        ends.push((text, state));
    }
    ends
}

fn a_node_is_given_away_for_maintenance_and_given_back(lab: &Lab) {
    let pool = Pool::new(lab, CONTEXT, "book", &[("a", "4"), ("a", "4")]);
    let stage = Stage::at(lab, CONTEXT, "book-node", &[pool.deployment("book-node", "web", 4, "100m", 0)]);
    stage.ready("deployment/web", 4);
    let here = pool.pods(0, "book-node").len();
    assert!(here > 0);
    let line = format!("run node-maintenance --param node={} --param pause=2s --context lab-1 -o json", pool.node(0));
    let tried = stage.typed(&format!("{line} --dry-run")).is(0, "");
    let steps: Vec<&str> = tried.plan()["steps"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap()).collect();
    assert_eq!(
        (steps.len(), steps[0], *steps.last().unwrap()),
        (here + 4, &*format!("cordon node {}", pool.node(0)), &*format!("uncordon node {}", pool.node(0)))
    );
    assert!(!pool.cordoned(0), "a dry run cordons nothing");
    let did = stage.typed(&format!("{line} --yes")).done();
    assert!(ends(&did).iter().all(|(_, state)| state == "done"), "{:?}", did.events);
    assert_eq!((pool.cordoned(0), pool.pods(0, "book-node").len()), (false, 0));
    stage.ready("deployment/web", 4);
    // In that order, whatever ran beside it.
    let order: Vec<&str> = did.events.iter().filter(|e| e["state"] == "done").map(|e| e["text"].as_str().unwrap()).collect();
    let at = |word: &str| order.iter().position(|t| t.starts_with(word)).unwrap();
    assert!(
        at("cordon") < at("evict")
            && at("evict") < at("work: wait 2s")
            && at("work: wait 2s") < at("back: ")
            && at("back: ") < at("uncordon"),
        "{order:?}"
    );
    let taken = stage.typed("undo last --yes -o json").done();
    let texts: Vec<String> = ends(&taken).into_iter().map(|(t, _)| t).collect();
    assert_eq!(texts, [format!("cordon node {}", pool.node(0)), format!("uncordon node {}", pool.node(0))]);
    assert!(!pool.cordoned(0), "as it was before");
}

fn the_autoscalers_of_two_clusters_are_frozen_and_thawed(lab: &Lab) {
    let hpa = |app: &str| {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": app, "namespace": "book-hpa"},
            "spec": {"minReplicas": 1, "maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]}})
    };
    let objects = ["a", "b"].map(|app| [deployment("book-hpa", app, 3, json!({})), hpa(app)]).concat();
    let stages = CONTEXTS.map(|context| Stage::at(lab, context, "book-hpa", &objects));
    for stage in &stages {
        ["deployment/a", "deployment/b"].iter().for_each(|d| stage.ready(d, 3));
        ["hpa/a", "hpa/b"].iter().for_each(|h| stage.until(h, "to have counted", |live| live["status"]["currentReplicas"] == 3));
    }
    let bounds = || {
        let of = |s: &Stage, h: &str| [s.get(h)["spec"]["minReplicas"].clone(), s.get(h)["spec"]["maxReplicas"].clone()];
        stages.each_ref().map(|s| ["hpa/a", "hpa/b"].map(|h| of(s, h)))
    };
    let each =
        |min: i64, max: i64| [[[json!(min), json!(max)], [json!(min), json!(max)]], [[json!(min), json!(max)], [json!(min), json!(max)]]];
    let line = "run freeze-hpas --param namespace=book-hpa --context lab-1 --context lab-2 -o json";
    let did = stages[0].typed(&format!("{line} --yes")).done();
    assert_eq!(did.plan()["clusters"], json!(["lab-1", "lab-2"]));
    assert_eq!(bounds(), each(3, 3));
    stages[0].typed("undo last --yes -o json").done();
    assert_eq!(bounds(), each(1, 9));
}

fn a_wave_that_fails_ends_it_and_resume_goes_on_there(lab: &Lab) {
    // Its rollout gets nowhere, and its controller says so soon.
    let mut stuck = deployment("book-waves", "b", 1, json!({"room": "of-nobody"}));
    stuck["spec"]["progressDeadlineSeconds"] = json!(5);
    let [a, c] = ["a", "c"].map(|app| deployment("book-waves", app, 1, json!({})));
    let stage = Stage::at(lab, CONTEXT, "book-waves", &[a, stuck, c]);
    stage.ready("deployment/a", 1);
    stage.ready("deployment/c", 1);
    // The one that comes with qd asks first that no pod of the cluster waits for room; in a lab with faults some do.
    let config = stage.room.path("qd.toml");
    let text = "[[runbook]]\nname = \"waves\"\n[[runbook.step]]\nname = \"restart\"\nrun = \"restart\"\non = [\"deployment/*\"]\nnamespace = \"book-waves\"\nwave = \"1\"\n";
    std::fs::write(&config, text).unwrap();
    let restarted = || {
        ["a", "b", "c"].map(|d| {
            stage.get(&format!("deployment/{d}"))["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]
                .clone()
        })
    };
    let did = stage.typed(&format!("run waves --config {} --context lab-1 -n book-waves -o json --yes", config.display()));
    assert_eq!((did.code, did.outcome()), (3, "partial"), "{:#?}\n{}", did.events, did.stderr);
    let first = restarted();
    assert!(first[0].is_string() && first[1].is_string() && first[2].is_null(), "the third wave was not begun: {first:?}");
    let untried = did.events.iter().filter(|e| e["event"] == "step" && e["why"].as_str().is_some_and(|w| w.starts_with("not tried: ")));
    assert!(untried.count() > 0, "{:#?}", did.events);
    let jobs = || stage.room.json(&lab.kubeconfig(), &["jobs", "-o", "json"]).0["items"].as_array().unwrap().clone();
    assert_eq!((&jobs()[0]["state"], &jobs()[0]["resumable"]), (&json!("partial"), &json!(true)), "{:?}", jobs());
    // Somebody finds it a place.
    lab.kubectl(
        CONTEXT,
        &[
            "patch",
            "deployment",
            "b",
            "-n",
            "book-waves",
            "--type=json",
            "-p",
            r#"[{"op": "remove", "path": "/spec/template/spec/nodeSelector"}]"#,
        ],
    );
    stage.ready("deployment/b", 1);
    let on = stage.typed(&format!("resume {} --config {} --yes -o json", jobs()[0]["job"].as_str().unwrap(), config.display())).done();
    assert!(!ends(&on).is_empty());
    let then = restarted();
    assert_eq!(then[..2], first[..2], "what was done is not done again");
    assert!(then[2].is_string());
    stage.ready("deployment/c", 1);
}

fn a_check_that_fails_changes_nothing(lab: &Lab) {
    let stage = Stage::at(
        lab,
        CONTEXT,
        "book-check",
        &[deployment("book-check", "web", 1, json!({})), deployment("book-check", "waits", 1, json!({"room": "of-nobody"}))],
    );
    stage.ready("deployment/web", 1);
    stage.until("deployment/waits", "to wait", |live| live["status"]["unavailableReplicas"] == 1);
    let before = stage.said("deployment/web");
    let did = stage.typed("run restart-in-waves --param namespace=book-check --context lab-1 -o json --yes");
    assert_eq!((did.code, did.outcome()), (1, "failed"), "{:#?}\n{}", did.events, did.stderr);
    let room = did.events.iter().rfind(|e| e["text"] == "room: check no-pending").unwrap();
    assert!(room["why"].as_str().unwrap().contains("wait for room"), "{room}");
    assert_eq!(stage.said("deployment/web"), before);
    stage.typed("run restart-in-waves --context lab-1 --yes").is(2, "namespace");
    stage.typed("run restart-in-wave --context lab-1 --yes").is(2, "restart-in-waves");
}
