//! Runbooks: the ones that come with qd from end to end, over two clusters, stopped, gone on with, taken back.

use crate::support::lab::{CONTEXTS, Lab, until};
use crate::support::pool::Pool;
use crate::support::runner::{Test, tests};
use crate::support::stage::{CONTEXT, Did, Stage, deployment};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] = tests![
    a_node_is_given_away_for_maintenance_and_given_back,
    the_autoscalers_of_two_clusters_are_frozen_and_thawed,
    a_wave_that_fails_ends_it_and_resume_goes_on_there,
    a_check_that_fails_changes_nothing,
    restarts_in_waves_come_to_their_end,
    a_runbook_that_failed_half_way_is_taken_back_or_gone_on_with,
    a_maintenance_that_is_blocked_is_taken_back_or_gone_on_with,
];

/// One whose pod finds no room.
fn nowhere(namespace: &str, app: &str) -> Value {
    let mut made = deployment(namespace, app, 1);
    made["spec"]["template"]["spec"]["nodeSelector"] = json!({"room": "of-nobody"});
    made
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
    let objects = ["a", "b"].map(|app| [deployment("book-hpa", app, 3), hpa(app)]).concat();
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
    let mut stuck = nowhere("book-waves", "b");
    stuck["spec"]["progressDeadlineSeconds"] = json!(5);
    let [a, c] = ["a", "c"].map(|app| deployment("book-waves", app, 1));
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
    assert_eq!((&stage.jobs()[0]["state"], &stage.jobs()[0]["resumable"]), (&json!("partial"), &json!(true)), "{:?}", stage.jobs());
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
    let on =
        stage.typed(&format!("resume {} --config {} --yes -o json", stage.jobs()[0]["job"].as_str().unwrap(), config.display())).done();
    assert!(!ends(&on).is_empty());
    let then = restarted();
    assert_eq!(then[..2], first[..2], "what was done is not done again");
    assert!(then[2].is_string());
    stage.ready("deployment/c", 1);
}

fn a_check_that_fails_changes_nothing(lab: &Lab) {
    let stage = Stage::at(lab, CONTEXT, "book-check", &[deployment("book-check", "web", 1), nowhere("book-check", "waits")]);
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

/// The texts of the events of a state, in order, each once.
fn told<'a>(did: &'a Did, state: &str) -> Vec<&'a str> {
    did.events.iter().filter(|e| e["event"] == "step" && e["state"] == state).map(|e| e["text"].as_str().unwrap()).collect()
}

/// The one that comes with qd asks first that no pod of the cluster waits for room, and in a lab with faults some always do: here is a
/// cluster without.
fn restarts_in_waves_come_to_their_end(lab: &Lab) {
    const SPACE: &str = "book-whole";
    const APPS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let own = lab.own(3, 1);
    let stage = Stage::at(&own, CONTEXT, SPACE, &APPS.map(|app| deployment(SPACE, app, 2)));
    let apps = APPS.map(|app| format!("deployment/{app}"));
    apps.iter().for_each(|app| stage.ready(app, 2));
    let see = || apps.each_ref().map(|app| stage.said(app));
    let uids = || {
        let pods = APPS.map(|app| stage.pods(&format!("app={app}")));
        let alive = pods.into_iter().flatten().filter(|p| p["metadata"]["deletionTimestamp"].is_null());
        alive.map(|p| p["metadata"]["uid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (before, old) = (see(), uids());
    let line = format!("run restart-in-waves --param namespace={SPACE} --param wave=2 --context {CONTEXT} -o json --yes");
    let did = stage.typed(&line).done();
    assert!(told(&did, "done").contains(&"room: check no-pending"), "{:#?}", did.events);
    let (began, ended) = (
        |app: &str| at(&did, "running", &format!("restart deployment {SPACE}/{app}")),
        |app: &str| at(&did, "done", &format!("wait for deployment {SPACE}/{app}")),
    );
    for (wave, next) in [(["a", "b"], ["c", "d"]), (["c", "d"], ["e", "e"])] {
        let last = wave.map(ended).into_iter().max();
        assert!(next.map(began).into_iter().min() > last, "{next:?} begin once all of {wave:?} are complete: {:#?}", did.events);
    }
    let now = see();
    assert!(now.iter().zip(&before).all(|(a, b)| a != b && a["spec"]["replicas"] == b["spec"]["replicas"]));
    let new = uids();
    assert!(new.len() == old.len() && new.iter().all(|u| !old.contains(u)), "every pod is another one: {old:?} {new:?}");
    stage.typed("undo last -o json --yes").done();
    assert_eq!(see(), before);
    apps.iter().for_each(|app| stage.ready(app, 2));
    // Somebody's pod waits for room: nothing is begun, and gone on with once it does not.
    let other = Stage::at(&own, CONTEXT, "book-other", &[nowhere("book-other", "waits")]);
    other.until("deployment/waits", "to wait", |live| live["status"]["unavailableReplicas"] == 1);
    let failed = stage.typed(&line).is(1, "wait for room");
    assert_eq!((failed.outcome(), see()), ("failed", before.clone()));
    own.kubectl(CONTEXT, &["delete", "deployment", "waits", "-n", "book-other"]);
    until("its pod to be gone", Duration::from_secs(30), || {
        if other.pods("app=waits").is_empty() { Ok(()) } else { Err("it is still there".into()) }
    });
    let on = stage.typed(&format!("resume {} -o json --yes", stage.jobs().last().unwrap()["job"].as_str().unwrap())).done();
    assert_eq!(told(&on, "done").iter().filter(|t| t.starts_with("restart ")).count(), APPS.len(), "{:#?}", on.events);
    stage.typed("undo last -o json --yes").done();
    assert_eq!(see(), before);
}

/// Where in the events a step came to that state.
#[track_caller]
fn at(did: &Did, state: &str, text: &str) -> usize {
    let found =
        did.events.iter().position(|e| e["event"] == "step" && e["state"] == state && e["text"].as_str().unwrap().starts_with(text));
    found.unwrap_or_else(|| panic!("{text} is never {state}: {:#?}", did.events))
}

/// Denies every real change of one Deployment, and none that is only tried: as a webhook does that minds dry runs.
struct Policy<'a>(&'a Lab, &'static str);

impl<'a> Policy<'a> {
    fn new(lab: &'a Lab, space: &'static str, app: &str) -> Self {
        let expression = format!("(has(request.dryRun) && request.dryRun) || request.name != '{app}'");
        let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": space}, "spec": {
            "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}}},
            "validations": [{"expression": expression, "message": "nothing changes it today"}]}});
        let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": space},
            "spec": {"policyName": space, "validationActions": ["Deny"]}});
        lab.apply(CONTEXT, &json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}));
        let policy = Self(lab, space);
        until("the policy to deny", Duration::from_secs(60), || {
            let out = lab.try_kubectl(CONTEXT, &["annotate", &format!("deployment/{app}"), "tried-", "-n", space]);
            let more = lab.try_kubectl(CONTEXT, &["annotate", &format!("deployment/{app}"), "tried=now", "-n", space]);
            if out.status.success() && more.status.success() { Err("it lets a change through".into()) } else { Ok(()) }
        });
        policy
    }
    fn lift(self) {
        let (lab, space) = (self.0, self.1);
        drop(self);
        until("the policy to be forgotten", Duration::from_secs(60), || {
            let out = lab.try_kubectl(CONTEXT, &["annotate", "deployment/b", "tried=now", "--overwrite", "-n", space]);
            if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
        });
        lab.kubectl(CONTEXT, &["annotate", "deployment/b", "tried-", "-n", space]);
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            self.0.try_kubectl(CONTEXT, &["delete", kind, self.1, "--ignore-not-found"]);
        }
    }
}

fn a_runbook_that_failed_half_way_is_taken_back_or_gone_on_with(lab: &Lab) {
    const SPACE: &str = "book-half";
    let stage = Stage::at(lab, CONTEXT, SPACE, &["a", "b", "c"].map(|app| deployment(SPACE, app, 2)));
    let apps = ["deployment/a", "deployment/b", "deployment/c"];
    apps.iter().for_each(|app| stage.ready(app, 2));
    let see = || apps.map(|app| stage.said(app));
    let policy = Policy::new(lab, SPACE, "b");
    let before = see();
    let config = stage.room.path("qd.toml");
    let step = |name: &str, run: &str, app: &str, args: &str| {
        format!("[[runbook.step]]\nname = \"{name}\"\nrun = \"{run}\"\non = [\"deployment/{app}\"]\nargs = \"{args}\"\n")
    };
    let steps = [step("grow", "scale", "a", "+1"), step("own", "label", "b", "owner=pay"), step("note", "annotate", "c", "note=done")];
    std::fs::write(&config, format!("[[runbook]]\nname = \"half\"\n{}", steps.concat())).unwrap();
    let qd = |line: &str| stage.typed(&format!("{line} --config {} --context {CONTEXT} -n {SPACE} -o json --yes", config.display()));
    let job = |did: &Did| did.events.last().unwrap()["job"].as_str().unwrap().to_owned();
    let half = || {
        let did = qd("run half");
        assert_eq!((did.code, did.outcome()), (3, "partial"), "{:#?}\n{}", did.events, did.stderr);
        let why = did.events.iter().rfind(|e| e["text"] == format!("label deployment {SPACE}/b")).map(|e| e["why"].to_string());
        assert!(why.as_ref().is_some_and(|w| w.contains("nothing changes it today")), "{why:?} {:#?}", did.events);
        let now = see();
        assert_eq!((&now[0]["spec"]["replicas"], &now[1..]), (&json!(3), &before[1..]), "the third step was not begun");
        did
    };
    // Taken back: what was done, and nothing else.
    let first = job(&half());
    let taken = qd(&format!("undo {first}")).done();
    assert_eq!(ends(&taken).iter().filter(|(t, _)| !t.starts_with("wait")).count(), 1, "{:?}", taken.events);
    assert_eq!(see(), before);
    stage.ready("deployment/a", 2);
    assert_ne!(qd(&format!("resume {first}")).code, 0, "what was taken back is not gone on with");
    // Gone on with, once nothing is in the way.
    let second = job(&half());
    assert_eq!(qd(&format!("resume {second}")).outcome(), "failed", "it is still denied");
    assert_eq!(see()[1..], before[1..]);
    policy.lift();
    let third = stage.jobs().last().unwrap()["job"].as_str().unwrap().to_owned();
    let on = qd(&format!("resume {third}")).done();
    assert!(!told(&on, "done").iter().any(|t| t.starts_with("scale")), "what was done is not done again: {:#?}", on.events);
    let now = see();
    assert_eq!(
        (&now[0]["spec"]["replicas"], &now[1]["labels"]["owner"], &now[2]["annotations"]["note"]),
        (&json!(3), &json!("pay"), &json!("done"))
    );
    assert_ne!(qd(&format!("resume {third}")).code, 0, "once is enough");
}

fn a_maintenance_that_is_blocked_is_taken_back_or_gone_on_with(lab: &Lab) {
    const SPACE: &str = "book-blocked";
    let pool = Pool::new(lab, CONTEXT, "blocked", &[("a", "4"), ("a", "4")]);
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "db", "namespace": SPACE},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "db"}}}});
    let stage =
        Stage::at(lab, CONTEXT, SPACE, &[pool.deployment(SPACE, "web", 3, "100m", 0), pool.deployment(SPACE, "db", 1, "100m", 0), budget]);
    stage.ready("deployment/web", 3);
    stage.ready("deployment/db", 1);
    stage.until("pdb/db", "to have counted", |live| live["status"]["expectedPods"] == 1);
    let node = format!("node/{}", pool.node(0));
    let before = stage.said(&node);
    let line =
        format!("run node-maintenance --param node={} --param pause=1s --param timeout=8s --context {CONTEXT} -o json --yes", pool.node(0));
    let blocked = || {
        let did = stage.typed(&line);
        assert_eq!((did.code, did.outcome()), (5, "blocked"), "{:#?}\n{}", did.events, did.stderr);
        assert_eq!(did.plan()["verdict"], format!("blocks on pdb {SPACE}/db"), "it was said before");
        let left = pool.pods(0, SPACE);
        assert!(left.len() == 1 && left[0].contains("/db-") && pool.cordoned(0), "{left:?}");
        let ends = ends(&did);
        let never = |text: &str| ends.iter().any(|(t, state)| t.starts_with(text) && state != "done");
        assert!(never("work: ") && never("back: ") && never("uncordon "), "nothing after the drain was begun: {ends:?}");
        did.events.last().unwrap()["job"].as_str().unwrap().to_owned()
    };
    stage.typed(&format!("undo {} -o json --yes", blocked())).done();
    assert_eq!(stage.said(&node), before);
    let job = blocked();
    lab.kubectl(CONTEXT, &["delete", "pdb", "db", "-n", SPACE]);
    let on = stage.typed(&format!("resume {job} -o json --yes")).done();
    let order = ["evict pod", "work: wait", "back: wait", "uncordon node"].map(|text| at(&on, "done", text));
    assert!(order.is_sorted(), "{order:?} {:#?}", on.events);
    assert_eq!((stage.said(&node), pool.pods(0, SPACE).len()), (before, 0));
    stage.ready("deployment/db", 1);
}
