//! Alerts and silences of a real pair of Alertmanagers.

use super::SIZE;
use super::support::alerts::{Alertmanagers, PROGRAMS};
use super::support::lab::{Lab, Room, until};
use super::support::pty::Term;
use super::support::runner::{Test, test};
use serde_json::{Value, json};
use std::time::Duration;

const CONTEXT: &str = "lab-1";
const ALERT: &str = "QdDiskFull";

pub const TESTS: &[Test] = &[
    test!(an_alert_is_seen_while_it_fires_and_as_silenced).needs(PROGRAMS),
    test!(an_alert_is_muted_from_the_pod_that_it_names_and_heard_again).needs(PROGRAMS),
];

/// From the pod to the form, the preview and the job; Alertmanager's own word is what counts.
fn an_alert_is_muted_from_the_pod_that_it_names_and_heard_again(lab: &Lab) {
    let all = Alertmanagers::new(lab, CONTEXT);
    let room = Room::new();
    let config = room.path("qd.toml");
    std::fs::write(&config, format!("[clusters.{CONTEXT}.alertmanager]\nurls = {}\n", json!(all.urls))).unwrap();
    let pods: Value = serde_json::from_str(&lab.kubectl(CONTEXT, &["get", "pods", "-A", "-o", "json"])).unwrap();
    // One that stays: what tests before this one made is still on its way out.
    let stays = |p: &&Value| p["status"]["phase"] == "Running" && p["metadata"]["deletionTimestamp"].is_null();
    let pod = &pods["items"].as_array().unwrap().iter().find(stays).unwrap()["metadata"];
    let (namespace, name) = (pod["namespace"].as_str().unwrap(), pod["name"].as_str().unwrap());
    let labels = json!({"alertname": "QdPodSlow", "namespace": namespace, "pod": name, "severity": "warning", "cluster": CONTEXT});
    all.tell(&labels, None);
    // What Alertmanager itself says of it, at each replica.
    let stands = |silenced: bool| {
        until(&format!("it to be silenced: {silenced}"), Duration::from_secs(30), || {
            let of = |at: usize| {
                let alerts = all.get(at, "/api/v2/alerts?filter=alertname%3DQdPodSlow");
                alerts[0]["status"]["silencedBy"]
                    .as_array()
                    .map(|by| by.iter().map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>())
            };
            let both = [of(0), of(1)];
            if both.iter().all(|by| by.as_ref().is_some_and(|by| by.is_empty() != silenced)) {
                Ok(both[0].clone())
            } else {
                Err(format!("{both:?}"))
            }
        })
    };
    stands(false);
    let args = ["--screen", "pods", "--context", CONTEXT, "--config", config.to_str().unwrap()];
    let mut term = Term::open(&args, room.env(&lab.kubeconfig()), 80, 24);
    term.wait("the pods", 25, |lines| lines.iter().any(|l| l.starts_with("PODS ") && !l.starts_with("PODS 0")).then_some(()));
    term.keys(&format!("/name:{name}\r"));
    term.wait("one row", 20, |lines| lines.iter().any(|l| l.starts_with("PODS 1─")).then_some(()));
    // Until its alert is known, the form says that it matches nothing.
    term.keys("m");
    term.line(20, &["silences now 1 alert in", CONTEXT]);
    term.line(5, &["QdPodSlow pod", name]);
    term.line(5, &["match", &format!("namespace={namespace} pod={name}")]);
    term.keys("image is pulled\r");
    term.line(20, &["PREVIEW"]);
    term.line(20, &["hides 1 alert in", CONTEXT]);
    term.wait("the question", 20, |lines| lines.iter().any(|l| l.contains("y does it")).then_some(()));
    term.keys("y");
    let id = stands(true).unwrap().remove(0);
    let silence = all.silences().into_iter().find(|s| s["id"] == *id).unwrap();
    assert_eq!(silence["comment"], "image is pulled");
    assert!(silence["createdBy"].as_str().unwrap().contains('@'), "{silence}");
    term.keys(":silences\r");
    term.line(30, &["active", "namespace=", "1h59m"]);
    term.keys(":silence-expire\r");
    term.line(20, &["end silence", &id[..8]]);
    term.wait("the question", 20, |lines| lines.iter().any(|l| l.contains("y does it")).then_some(()));
    term.keys("y");
    stands(false);
    term.line(20, &["done: end"]);
    all.tell(&labels, Some("2020-01-01T00:00:00Z"));
    term.keys("\x03\x03");
    assert_eq!(term.ended(15), Vec::<String>::new());
}

fn an_alert_is_seen_while_it_fires_and_as_silenced(lab: &Lab) {
    let all = Alertmanagers::new(lab, CONTEXT);
    let room = Room::new();
    let config = room.path("qd.toml");
    std::fs::write(&config, format!("[clusters.{CONTEXT}.alertmanager]\nurls = {}\n", json!(all.urls))).unwrap();
    let config = config.to_str().unwrap();
    let got = |kind: &str| {
        let (got, code, said) = room.json(&lab.kubeconfig(), &["get", kind, "--context", CONTEXT, "--config", config, "-o", "json"]);
        assert_eq!(code, 0, "{said}");
        got["items"].as_array().unwrap().clone()
    };
    // As `status`, while there is one row of it.
    let stands = |status: Option<&str>| {
        until(&format!("{ALERT} to be {status:?}"), Duration::from_secs(20), || {
            let items: Vec<Value> = got("alerts").into_iter().filter(|i| i["name"] == ALERT).collect();
            let are: Vec<&str> = items.iter().map(|i| i["status"].as_str().unwrap()).collect();
            if are == Vec::from_iter(status) { Ok(items.into_iter().next()) } else { Err(json!(items).to_string()) }
        })
    };
    let mut term =
        Term::open(&["--screen", "alerts", "--context", CONTEXT, "--config", config], room.env(&lab.kubeconfig()), SIZE.0, SIZE.1);
    let labels = json!({"alertname": ALERT, "namespace": "faults", "severity": "critical", "cluster": CONTEXT});
    stands(None);
    all.tell(&labels, None);
    let alert = stands(Some("firing")).unwrap();
    assert_eq!((&alert["cluster"], &alert["namespace"], &alert["labels"]), (&json!(CONTEXT), &json!("faults"), &labels));
    term.line(25, &[CONTEXT, ALERT, "firing"]);

    let id = all.silence("alertname", ALERT);
    let alert = stands(Some("silenced")).unwrap();
    assert_eq!(alert["silenced_by"], json!([id]));
    term.line(25, &[CONTEXT, ALERT, "silenced"]);
    let silence = got("silences").into_iter().find(|s| s["name"] == *id).unwrap();
    assert_eq!(
        (&silence["status"], &silence["hides"], &silence["created_by"], &silence["matchers"]),
        (&json!("active"), &json!(1), &json!("lab"), &json!([format!("alertname=\"{ALERT}\"")]))
    );

    // One of the two does not answer: the other one's word is shown.
    lab.lab(&["pause", CONTEXT, "alertmanager-0"]);
    stands(Some("silenced"));
    term.line(40, &["no answer from", &all.urls[0], "read from", &all.urls[1]]);
    lab.lab(&["resume", CONTEXT, "alertmanager-0"]);
    term.wait("both to answer", 60, |lines| (!lines.iter().any(|l| l.contains("no answer from"))).then_some(()));
    // The other one is dead.
    lab.lab(&["kill", CONTEXT, "alertmanager-1"]);
    stands(Some("silenced"));
    term.line(40, &["no answer from", &all.urls[1], "read from", &all.urls[0]]);
    lab.lab(&["start", CONTEXT, "alertmanager-1"]);
    term.wait("both to answer again", 60, |lines| (!lines.iter().any(|l| l.contains("no answer from"))).then_some(()));
    all.tell(&labels, Some("2020-01-01T00:00:00Z"));
    stands(None);
    term.wait("the alert to be gone", 45, |lines| (!lines.iter().any(|l| l.contains(ALERT))).then_some(()));
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}
