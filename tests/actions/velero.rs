//! Velero's verbs with the lab's real server: a namespace that was deleted comes back, and what goes wrong is said.

use crate::support::lab::{Lab, until};
use crate::support::runner::{Test, test};
use crate::support::stage::{CONTEXT, Stage, deployment};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    test!(a_namespace_that_was_backed_up_and_deleted_comes_back).velero(),
    test!(what_cannot_be_kept_is_said_before_and_after).velero(),
    test!(a_velero_that_is_killed_is_said_and_takes_up_what_waits_when_it_is_back).velero(),
];

fn map(space: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": space}, "data": {"level": "info"}})
}

/// The fields of what Velero has.
fn velero(lab: &Lab, object: &str) -> Value {
    serde_json::from_str(&lab.kubectl(CONTEXT, &["get", "-n", "velero", object, "-o", "json"])).unwrap()
}

fn phase(lab: &Lab, object: &str) -> String {
    velero(lab, object)["status"]["phase"].as_str().unwrap_or("").to_owned()
}

fn a_namespace_that_was_backed_up_and_deleted_comes_back(lab: &Lab) {
    let _alone = lab.alone_with_definitions();
    const SPACE: &str = "kept";
    let stage = Stage::new(lab, SPACE, &[map(SPACE), deployment(SPACE, "web", 2)]);
    let made = stage.typed(&format!("backup create kept-1 --context {CONTEXT} --include-namespace {SPACE} --wait --yes -o json")).done();
    assert!(made.notes().contains("1 Deployment"), "{}", made.notes());
    assert_eq!(phase(lab, "backup/kept-1"), "Completed");
    let told = made.events.iter().filter(|e| e["event"] == "step").filter_map(|e| e["why"].as_str()).collect::<Vec<_>>().join("\n");
    assert!(told.contains("Completed, ") && told.contains(" items"), "{told}");
    // What is there stays as it is.
    lab.kubectl(CONTEXT, &["patch", "-n", SPACE, "configmap/settings", "--type=merge", "-p", r#"{"data":{"level":"debug"}}"#]);
    let skipped = stage.qd("restore create kept-same --from-backup kept-1").done();
    assert!(skipped.notes().contains("stay as they are, whatever the backup has"), "{}", skipped.notes());
    assert_eq!(stage.get("configmap/settings")["data"]["level"], "debug");
    // The way back is offered before the namespace goes, and known.
    let gone = stage.typed(&format!("delete namespace/{SPACE} --context {CONTEXT} --confirm {CONTEXT} -o json")).done();
    assert!(
        gone.notes().contains("the newest completed backup of it is") && gone.plan()["offers"][0]["verb"] == "backup",
        "{:#}",
        gone.plan()
    );
    assert!(lab.kubectl(CONTEXT, &["get", "namespace", SPACE, "--ignore-not-found"]).is_empty());
    let back = stage.qd("restore create kept-back --from-backup kept-1").done();
    assert!(back.notes().contains(&format!("namespace {SPACE} is made anew")), "{}", back.notes());
    assert_eq!(phase(lab, "restore/kept-back"), "Completed");
    assert_eq!(stage.get("configmap/settings")["data"]["level"], "info", "as it was when it was backed up");
    stage.ready("deployment/web", 2);
    // Under another name, beside it.
    stage.qd("restore create kept-copy --from-backup kept-1 --namespace-mapping kept:kept-copy").done();
    let copy = lab.kubectl(CONTEXT, &["get", "-n", "kept-copy", "configmap/settings", "-o", "jsonpath={.data.level}"]);
    lab.kubectl(CONTEXT, &["delete", "namespace", "kept-copy", "--wait=false"]);
    assert_eq!(copy, "info");
    // Its log comes over a signed address that is nowhere kept.
    let read = stage.typed(&format!("backup logs kept-1 --context {CONTEXT} --yes")).is(0, "Setting up backup temp file");
    let kept = stage.kept();
    assert!(kept.contains("Setting up backup temp file"), "{}", read.stdout);
    for text in [&read.stdout, &read.stderr, &kept] {
        assert!(!text.contains("X-Amz-Signature") && !text.contains("X-Amz-Credential"), "a signed address is told");
    }
    let results = stage.qd("backup logs restore/kept-same --what results").done();
    assert!(results.events.iter().any(|e| e["why"].as_str().is_some_and(|w| w.contains("warning"))), "{:#?}", results.events);
    stage.qd(&format!("backup delete kept-1 --confirm {CONTEXT}")).done();
    let left = lab.kubectl(CONTEXT, &["get", "-n", "velero", "backups.velero.io,restores.velero.io", "-o", "name"]);
    assert!(!left.contains("kept-"), "its restores go with it: {left}");
}

fn what_cannot_be_kept_is_said_before_and_after(lab: &Lab) {
    let _alone = lab.alone_with_definitions();
    const SPACE: &str = "unkept";
    let stage = Stage::new(lab, SPACE, &[map(SPACE)]);
    // A location that never answers.
    let wrong = json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "unkept", "namespace": "velero"},
        "spec": {"provider": "aws", "objectStorage": {"bucket": "none"}, "credential": {"name": "cloud-credentials", "key": "cloud"},
            "config": {"region": "minio", "s3ForcePathStyle": "true", "s3Url": "http://127.0.0.1:9"}}});
    lab.apply(CONTEXT, &wrong);
    until("the location to be found wanting", Duration::from_secs(90), || match phase(lab, "backupstoragelocation/unkept").as_str() {
        "Unavailable" => Ok(()),
        other => Err(other.to_owned()),
    });
    let line = format!("backup create unkept-1 --include-namespace {SPACE} --location unkept");
    let shown = stage.qd(&format!("{line} --dry-run"));
    let verdict = shown.plan()["verdict"].as_str().unwrap_or("").to_owned();
    let tried = stage.qd(&line);
    lab.kubectl(CONTEXT, &["delete", "-n", "velero", "backupstoragelocation/unkept"]);
    assert!(verdict.starts_with("blocks on location unkept: Unavailable"), "{verdict}");
    assert!(tried.code != 0 && tried.outcome() != "done", "{:#?}", tried.events);
    assert_eq!(
        stage.names_in("velero", "backups.velero.io").as_array().unwrap().iter().filter(|n| n.as_str().unwrap().contains("unkept")).count(),
        0
    );
    // One that Velero turns down is not done, and says why.
    let odd = stage
        .qd(&format!("backup create unkept-2 --include-namespace {SPACE} --include-resources configmaps --exclude-resources configmaps"));
    assert!(odd.code != 0 && odd.outcome() == "partial", "{:#?}", odd.events);
    let why = odd.events.iter().filter_map(|e| e["why"].as_str()).collect::<Vec<_>>().join("\n");
    assert!(why.contains("FailedValidation: "), "{why}");
    stage.qd("backup logs unkept-2").is(5, "it was never begun and has no log");
    stage.qd("undo last").done();
}

/// What doctor says of Velero: its state, in words why, and whether it is well.
fn doctor(stage: &Stage) -> (String, String, bool) {
    let told: Value = serde_json::from_str(&stage.typed(&format!("doctor --context {CONTEXT} -o json")).stdout).unwrap();
    let check = told["items"][0]["checks"].as_array().unwrap().iter().find(|c| c["what"] == "velero").unwrap().clone();
    let text = |key: &str| check[key].as_str().unwrap_or("").to_owned();
    (text("state"), text("message"), check["ok"] == true)
}

/// Lets the default location be looked at so often; `null`: as the server is told to.
fn looked_at_every(lab: &Lab, period: &Value) {
    let patch = json!({"spec": {"validationFrequency": period}}).to_string();
    lab.kubectl(CONTEXT, &["patch", "-n", "velero", "backupstoragelocation/default", "--type=merge", "-p", &patch]);
}

fn a_velero_that_is_killed_is_said_and_takes_up_what_waits_when_it_is_back(lab: &Lab) {
    let _alone = lab.alone_with_definitions();
    const SPACE: &str = "stalled";
    let stage = Stage::new(lab, SPACE, &[map(SPACE)]);
    // The server looks every ten seconds whether a location is due.
    looked_at_every(lab, &json!("10s"));
    until("the location to be looked at", Duration::from_secs(90), || match doctor(&stage) {
        (state, _, true) if state == "live" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let before = stage.qd(&format!("backup create stalled-0 --include-namespace {SPACE} --dry-run"));
    lab.lab(&["kill", CONTEXT, "velero"]);
    let said = until("the dead server to be said", Duration::from_secs(90), || match doctor(&stage) {
        (state, said, false) if state == "stalled" => Ok(said),
        other => Err(format!("{other:?}")),
    });
    let unseen = stage.qd(&format!("backup create stalled-1 --include-namespace {SPACE} --no-wait"));
    let waited = stage.qd(&format!("backup create stalled-2 --include-namespace {SPACE} --wait"));
    let found = stage.typed(&format!("inspect --context {CONTEXT} --rule velero-bsl-unavailable -o json"));
    let left = (phase(lab, "backup/stalled-1"), phase(lab, "backup/stalled-2"));
    lab.lab(&["start", CONTEXT, "velero"]);
    assert!(!before.notes().contains("Velero"), "{}", before.notes());
    assert!(said.starts_with("it stands still: nobody has looked at location default for "), "{said}");
    let notes = unseen.done().notes();
    assert!(notes.contains("Velero stands still (nobody has looked at location default for "), "{notes}");
    let why = waited.events.iter().filter_map(|e| e["why"].as_str()).collect::<Vec<_>>().join("\n");
    assert!(waited.code != 0 && why.contains("no Velero server has taken it up"), "{:#?}", waited.events);
    assert!(found.stdout.contains("Velero is gone, or hangs at it"), "{}", found.stdout);
    assert!(["", "New"].contains(&left.0.as_str()) && ["", "New"].contains(&left.1.as_str()), "{left:?}");
    for name in ["backup/stalled-1", "backup/stalled-2"] {
        until("what waited to be taken up", Duration::from_secs(90), || match phase(lab, name).as_str() {
            "Completed" => Ok(()),
            other => Err(other.to_owned()),
        });
    }
    until("it to be well", Duration::from_secs(90), || if doctor(&stage).2 { Ok(()) } else { Err(format!("{:?}", doctor(&stage))) });
    looked_at_every(lab, &Value::Null);
    for name in ["stalled-1", "stalled-2"] {
        stage.qd(&format!("backup delete {name} --confirm {CONTEXT}")).done();
    }
}
