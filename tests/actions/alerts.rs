//! Runbooks that wait until an alert is gone, with the lab's real Alertmanagers.

use crate::every::{Scene, definitions};
use crate::support::alerts::{Alertmanagers, PROGRAMS};
use crate::support::lab::Lab;
use crate::support::runner::{Test, test};
use crate::support::stage::{CONTEXT, Stage, deployment};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    test!(an_alert_is_waited_for_until_it_is_resolved).needs(PROGRAMS),
    test!(each_verb_of_silences_is_done_and_taken_back).needs(PROGRAMS),
];

const SPACE: &str = "book-alert";

fn each_verb_of_silences_is_done_and_taken_back(lab: &Lab) {
    let all = Alertmanagers::new(lab, CONTEXT);
    let _alone = lab.alone_with_definitions();
    let _definitions = definitions(lab);
    let scene = Scene::new(lab, "every-mute").with(&all);
    all.tell(&json!({"alertname": "EveryDown", "namespace": "every-mute"}), None);
    assert_eq!(scene.wrong_silences(), Vec::<&str>::new(), "what is wrong with each stands above");
    all.tell(&json!({"alertname": "EveryDown", "namespace": "every-mute"}), Some("2020-01-01T00:00:00Z"));
}

fn an_alert_is_waited_for_until_it_is_resolved(lab: &Lab) {
    let all = Alertmanagers::new(lab, CONTEXT);
    let stage = Stage::at(lab, CONTEXT, SPACE, &[deployment(SPACE, "web", 1)]);
    stage.ready("deployment/web", 1);
    let before = stage.said("deployment/web");
    let alert = json!({"alertname": "PayDown", "instance": "a"});
    all.tell(&alert, None);
    let step = |name: &str, run: &str, args: &str| {
        format!("[[runbook.step]]\nname = \"{name}\"\nrun = \"{run}\"\non = [\"deployment/web\"]\nargs = \"{args}\"\n")
    };
    let config = stage.room.path("qd.toml");
    let urls = json!(all.urls);
    let text = format!(
        "[clusters.{CONTEXT}.alertmanager]\nurls = {urls}\n[[runbook]]\nname = \"calm\"\n{}[[runbook.step]]\nname = \"calm\"\nwait = \"alert-gone PayDown\"\n{}",
        step("mark", "label", "owner=pay"),
        step("note", "annotate", "note=calm")
    );
    std::fs::write(&config, text).unwrap();
    let mut run = stage.begin(&format!("run calm --config {} --context {CONTEXT} -n {SPACE} -o json --yes", config.display()));
    let waits = |word: &'static str| {
        move |e: &Value| {
            e["state"] == "waits" && e["text"] == "calm: wait alert-gone PayDown" && e["why"].as_str().is_some_and(|w| w.contains(word))
        }
    };
    run.until("waiting for the alert", waits("PayDown fires, 1 alert"));
    // Another one of that name is told of, and the first one ends: it still fires. An alert of another name counts for nothing.
    all.tell(&json!({"alertname": "PayDown", "instance": "b"}), None);
    run.until("waiting for both", waits("2 alerts"));
    all.tell(&json!({"alertname": "ShopDown"}), None);
    all.tell(&alert, Some("2020-01-01T00:00:00Z"));
    run.until("waiting for the other one", waits("1 alert"));
    // One of the two does not answer: the other one's word counts.
    lab.lab(&["kill", CONTEXT, "alertmanager-0"]);
    std::thread::sleep(Duration::from_secs(3));
    let now = stage.said("deployment/web");
    assert_eq!((&now["labels"]["owner"], &now["annotations"]), (&json!("pay"), &before["annotations"]), "what comes after waits");
    // None answers: that is not quiet.
    lab.lab(&["pause", CONTEXT, "alertmanager-1"]);
    run.until("waiting for an Alertmanager", waits("Alertmanager: "));
    assert_eq!(stage.said("deployment/web"), now);
    lab.lab(&["resume", CONTEXT, "alertmanager-1"]);
    run.until("waiting for the other one again", waits("1 alert"));
    assert_eq!(stage.said("deployment/web"), now);
    all.tell(&json!({"alertname": "PayDown", "instance": "b"}), Some("2020-01-01T00:00:00Z"));
    let did = run.end();
    assert_eq!((did.code, did.outcome()), (0, "done"), "{:#?}\n{}", did.events, did.stderr);
    assert_eq!(stage.said("deployment/web")["annotations"]["note"], "calm");
    stage.typed(&format!("undo last --config {} -o json --yes", config.display())).done();
    assert_eq!(stage.said("deployment/web"), before);
}
