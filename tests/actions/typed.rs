//! Changes as somebody types them: the examples of the command line, what is refused and with which exit code, and what kubectl sees.

use crate::support::lab::{CONTEXTS, Lab, until};
use crate::support::pool::Pool;
use crate::support::pty::Term;
use crate::support::runner::{Test, tests};
use crate::support::stage::{CONTEXT, Did, Stage, deployment, manifests};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] = tests![
    a_scale_is_typed_refused_tried_done_and_taken_back,
    production_wants_the_typed_name_and_a_reason,
    a_drain_is_told_event_by_event_and_its_node_given_back,
    objects_of_two_clusters_are_one_job,
    what_cannot_be_taken_back_wants_the_typed_name,
    what_changed_since_the_preview_is_not_overwritten,
    a_definition_and_its_object_are_applied_together,
    a_namespace_and_what_is_in_it_are_applied_together,
];

fn lines(did: &Did) -> Vec<Value> {
    did.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

fn a_scale_is_typed_refused_tried_done_and_taken_back(lab: &Lab) {
    let stage = Stage::at(lab, CONTEXT, "typed-scale", &[deployment("typed-scale", "app-0001", 3)]);
    stage.ready("deployment/app-0001", 3);
    let replicas = || stage.get("deployment/app-0001")["spec"]["replicas"].clone();
    let scale = "scale deployment/app-0001 --replicas 7 --context lab-1 -n typed-scale";
    // Nothing of this changes anything.
    let both = stage.typed("scale deployment/app-0001 --replicas 7 -n typed-scale --yes").is(4, "lab-1");
    assert!(both.stderr.contains("lab-2"), "which there are: {}", both.stderr);
    stage.typed(scale).is(4, "--yes");
    stage.typed(&format!("{scale} --yes --read-only")).is(4, "read-only");
    stage.typed(&format!("{scale} --dry-run")).is(0, "3 -> 7");
    stage.typed("scale deployment/app-0001 --replicas many --context lab-1 -n typed-scale --yes").is(2, "150%");
    stage.typed("scale deployment/app-001 --replicas 7 --context lab-1 -n typed-scale --yes").is(1, "did you mean app-0001?");
    stage.typed("scale deployment/app-0001 --replicas 7 --context lab-9 -n typed-scale --yes").is(2, "lab-9");
    stage.typed_by(&lab.viewer(), &format!("{scale} --yes")).is(4, "patch deployments/scale in typed-scale");
    let error = stage.typed(&format!("{scale} --yes --read-only -o json")).is(4, "");
    let error: Value = serde_json::from_str(error.stderr.lines().last().unwrap()).unwrap();
    assert!(error["error"]["kind"].is_string() && error["error"]["message"].is_string(), "{error}");
    assert_eq!((replicas(), stage.jobs().len()), (json!(3), 0));
    // The example itself, and the other spelling.
    let told = stage.typed(&format!("{scale} --yes")).is(0, "qd undo");
    assert!(told.stdout.contains("done"), "{}", told.stdout);
    stage.ready("deployment/app-0001", 7);
    stage.typed("undo last --yes").is(0, "done");
    assert_eq!(replicas(), 3);
    let json =
        stage.typed("scale deploy app-0001 --replicas +2 --current-replicas 3 --context lab-1 -n typed-scale --yes -o json").is(0, "");
    let events = lines(&json);
    let names: Vec<&str> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["plan", "preflight"]);
    assert!(names[2..names.len() - 1].iter().all(|n| *n == "step") && names.len() > 3, "{names:?}");
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&json!("outcome"), &json!("done")));
    assert_eq!((replicas(), stage.jobs().last().unwrap()["job"].clone()), (json!(5), last["job"].clone()));
    stage.typed("scale deployment/app-0001 --replicas 9 --current-replicas 3 --context lab-1 -n typed-scale --yes");
    assert_eq!(replicas(), 5, "it has 5, not 3");
    let audit = stage.typed("audit -o json").is(0, "");
    let intents = lines(&audit).iter().filter(|r| r["event"] == "intent").count();
    assert_eq!(intents, stage.jobs().len(), "every job is in the log");
    assert!(lines(&audit).iter().any(|r| r["http"] == 200 && r["audit_id"].is_string()), "{}", audit.stdout);
}

fn production_wants_the_typed_name_and_a_reason(lab: &Lab) {
    let stage = Stage::at(lab, CONTEXT, "typed-prod", &[deployment("typed-prod", "web", 1)]);
    let config = stage.room.path("qd.toml");
    let text = "[clusters.lab-1]\ntier = \"production\"\nname = \"hall one\"\n[tiers.production]\nreason = \"required\"\ndeny = [\"delete deployment/*\"]\n";
    std::fs::write(&config, text).unwrap();
    let line = |more: &str| format!("scale deployment/web --replicas 2 --context lab-1 -n typed-prod --config {} {more}", config.display());
    stage.typed(&line("--yes --reason load")).is(4, "hall one");
    stage.typed(&line("--confirm lab-1 --reason load")).is(4, "hall one");
    let out = stage.room.qd(&lab.kubeconfig(), &[line("--confirm").split(' ').collect::<Vec<_>>(), vec!["hall one"]].concat());
    assert_eq!(out.status.code(), Some(4), "no reason is given: {}", String::from_utf8_lossy(&out.stderr));
    let delete = format!("delete deployment/web --context lab-1 -n typed-prod --config {} --reason x --confirm", config.display());
    let out = stage.room.qd(&lab.kubeconfig(), &[delete.split(' ').collect::<Vec<_>>(), vec!["hall one"]].concat());
    assert_eq!(out.status.code(), Some(4), "a guardrail denies it: {}", String::from_utf8_lossy(&out.stderr));
    assert_eq!((stage.get("deployment/web")["spec"]["replicas"].clone(), stage.jobs().len()), (json!(1), 0));
    let out =
        stage.room.qd(&lab.kubeconfig(), &[line("--reason load --confirm").split(' ').collect::<Vec<_>>(), vec!["hall one"]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(stage.get("deployment/web")["spec"]["replicas"], 2);
    let audit = lines(&stage.typed("audit -o json"));
    assert_eq!((&audit[0]["confirmed"], &audit[0]["reason"]), (&json!("typed"), &json!("load")));
}

fn a_drain_is_told_event_by_event_and_its_node_given_back(lab: &Lab) {
    let pool = Pool::new(lab, CONTEXT, "typed", &[("a", "4"), ("a", "4")]);
    let mut web = pool.deployment("typed-drain", "web", 3, "100m", 0);
    web["spec"]["template"]["spec"]["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
    let stage = Stage::at(lab, CONTEXT, "typed-drain", &[web]);
    stage.ready("deployment/web", 3);
    let here = pool.pods(0, "typed-drain").len();
    assert!(here > 0);
    let drain = format!("drain {} --context lab-1 --timeout 2m --yes -o json", pool.node(0));
    stage.typed(&drain).is(2, "--delete-emptydir-data");
    assert!(!pool.cordoned(0), "refused before anything is cordoned");
    let did = stage.typed(&format!("{drain} --delete-emptydir-data")).is(0, "");
    let events = lines(&did);
    assert_eq!(events[0]["blast"][0]["pods"], here);
    let evicted = events.iter().filter(|e| e["state"] == "done" && e["text"].as_str().unwrap().starts_with("evict pod typed-drain/"));
    assert_eq!(evicted.count(), here, "one line a pod: {}", did.stdout);
    assert_eq!((pool.cordoned(0), pool.pods(0, "typed-drain").len()), (true, 0));
    // The opposite has a verb of its own, which can be taken back too.
    let uncordon = stage.typed(&format!("uncordon {} --context lab-1 --yes -o json", pool.node(0))).done();
    assert_eq!(uncordon.plan()["undo"], "exact");
    assert!(!pool.cordoned(0));
    stage.typed("undo last --yes -o json").done();
    assert!(pool.cordoned(0), "it was cordoned, and is again");
    stage.typed(&format!("uncordon {} --context lab-1 --yes", pool.node(0))).is(0, "done");
    assert!(!pool.cordoned(0));
    stage.typed(&format!("uncordon {} --context lab-1 --yes", pool.node(0))).is(0, "nothing to do");
}

fn objects_of_two_clusters_are_one_job(lab: &Lab) {
    let stages = CONTEXTS.map(|context| Stage::at(lab, context, "typed-both", &[deployment("typed-both", "web", 2)]));
    stages.iter().for_each(|s| s.ready("deployment/web", 2));
    let first = &stages[0];
    let replicas = || stages.each_ref().map(|s| s.get("deployment/web")["spec"]["replicas"].as_i64().unwrap());
    let line = "scale deployment/web --replicas +1 -n typed-both --context lab-1 --context lab-2 -o json";
    let refused = first.typed(line).is(4, "");
    assert_eq!((refused.outcome(), replicas()), ("refused", [2, 2]));
    let did = first.typed(&format!("{line} --yes")).done();
    assert_eq!(did.plan()["clusters"], json!(["lab-1", "lab-2"]));
    assert_eq!((replicas(), first.jobs().len()), ([3, 3], 1));
    first.typed("undo last --yes -o json").done();
    assert_eq!(replicas(), [2, 2]);
}

fn what_cannot_be_taken_back_wants_the_typed_name(lab: &Lab) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "typed-gone"}, "data": {"a": "1"}});
    let stage = Stage::at(lab, CONTEXT, "typed-gone", &[map]);
    let delete = "delete configmap one --context lab-1 -n typed-gone";
    stage.typed(&format!("{delete} --yes")).is(4, "lab-1");
    stage.typed(&format!("{delete} --confirm lab-2")).is(4, "lab-1");
    stage.typed(&format!("{delete} --dry-run")).is(0, "undo: none");
    assert!(stage.exists("configmap/one"));
    stage.typed(&format!("{delete} --confirm lab-1")).is(0, "done");
    assert!(!stage.exists("configmap/one"));
}

fn what_changed_since_the_preview_is_not_overwritten(lab: &Lab) {
    let stage = Stage::at(lab, CONTEXT, "typed-race", &[deployment("typed-race", "web", 2)]);
    stage.ready("deployment/web", 2);
    let line = "scale deployment/web --replicas 4 --context lab-1 -n typed-race";
    let asked = || {
        let args: Vec<&str> = line.split(' ').collect();
        let mut term = Term::open(&args, stage.room.env(&lab.kubeconfig()), 80, 24);
        term.line(60, &["do it? (y)"]);
        // What is typed with the question does not count.
        std::thread::sleep(Duration::from_millis(300));
        term
    };
    let mut term = asked();
    lab.kubectl(CONTEXT, &["scale", "deployment/web", "--replicas=3", "-n", "typed-race"]);
    term.keys("y\r");
    term.ended(60);
    assert_eq!(stage.get("deployment/web")["spec"]["replicas"], 3, "somebody else's 3 stands");
    let job = stage.jobs()[0].clone();
    assert_eq!(job["state"], "blocked", "{job}");
    assert!(job["why"].as_str().unwrap().contains("spec.replicas is 3, it was 2"), "{job}");
    // Made anew under the same name: another object.
    let mut term = asked();
    lab.kubectl(CONTEXT, &["delete", "deployment", "web", "-n", "typed-race"]);
    lab.apply(CONTEXT, &deployment("typed-race", "web", 3));
    term.keys("y\r");
    term.ended(60);
    assert_eq!(stage.get("deployment/web")["spec"]["replicas"], 3);
    assert_eq!(stage.jobs()[1]["state"], "blocked", "{:?}", stage.jobs());
    // A change elsewhere in the object is no reason.
    let mut term = asked();
    lab.kubectl(CONTEXT, &["annotate", "deployment/web", "note=other", "-n", "typed-race"]);
    term.keys("y\r");
    term.ended(60);
    let live = stage.get("deployment/web");
    assert_eq!((&live["spec"]["replicas"], &live["metadata"]["annotations"]["note"]), (&json!(4), &json!("other")));
}

fn a_definition_and_its_object_are_applied_together(lab: &Lab) {
    let _alone = lab.alone_with_definitions();
    let stage = Stage::at(lab, CONTEXT, "typed-crd", &[]);
    let gone = || {
        lab.kubectl(CONTEXT, &["delete", "crd", "gauges.typed.quarterdeck.io", "--ignore-not-found", "--wait=true", "--timeout=60s"]);
    };
    gone();
    // The object first, as it may well stand in a file.
    let both = manifests(
        "apiVersion: typed.quarterdeck.io/v1\nkind: Gauge\nmetadata: {name: one}\nspec: {size: 3}\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: gauges.typed.quarterdeck.io}\nspec:\n  group: typed.quarterdeck.io\n  scope: Namespaced\n  names: {plural: gauges, singular: gauge, kind: Gauge, listKind: GaugeList}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}\n",
    );
    let line = format!("apply -f {} --context lab-1 -n typed-crd -o json", both.path().display());
    stage.typed(&format!("{line} --dry-run")).is(0, "made first");
    let did = stage.typed(&format!("{line} --yes")).done();
    let texts: Vec<&str> = did.plan()["steps"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap()).collect();
    assert_eq!(
        texts,
        [
            "create customresourcedefinition gauges.typed.quarterdeck.io",
            "wait for gauges.typed.quarterdeck.io to be served",
            "create gauge typed-crd/one"
        ]
    );
    assert_eq!(stage.get("gauges.typed.quarterdeck.io/one")["spec"]["size"], 3);
    assert!(stage.typed(&format!("{line} --yes")).done().plan().is_null(), "it is so already");
    stage.typed("undo last --yes -o json").done();
    until("the definition to be gone", Duration::from_secs(30), || {
        let left = lab.kubectl(CONTEXT, &["get", "crd", "gauges.typed.quarterdeck.io", "--ignore-not-found", "-o", "name"]);
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
    // The same where nobody wants to wait.
    stage.typed(&format!("{line} --yes --no-wait")).done();
    assert_eq!(stage.get("gauges.typed.quarterdeck.io/one")["spec"]["size"], 3);
    gone();
}

fn a_namespace_and_what_is_in_it_are_applied_together(lab: &Lab) {
    let stage = Stage::at(lab, CONTEXT, "typed-apply", &[]);
    let name = format!("typed-new-{}", std::process::id());
    let both = manifests(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one, namespace: {name}}}\ndata: {{a: '1'}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"
    ));
    stage.typed(&format!("apply -f {} --context lab-1 -n typed-apply -o json --yes", both.path().display())).done();
    assert_eq!(lab.kubectl(CONTEXT, &["get", "configmap", "one", "-n", &name, "-o", "jsonpath={.data.a}"]), "1");
    stage.typed("undo last --yes -o json").done();
    let phase = lab.kubectl(CONTEXT, &["get", "namespace", &name, "--ignore-not-found", "-o", "jsonpath={.status.phase}"]);
    assert!(phase.is_empty() || phase == "Terminating", "{phase}");
}
