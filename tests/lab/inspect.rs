//! Scheduled inspection as its manifests have it: with the token of the ServiceAccount that they make, in a real cluster.

use super::support::lab::{Lab, Room, until};
use super::support::pty::Term;
use super::support::runner::{Test, tests};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

pub const TESTS: &[Test] = tests![a_scheduled_inspection_needs_no_more_than_its_service_account];

const CONTEXT: &str = "lab-1";
const SPACE: &str = "scheduled";

/// The configuration of the pod: how the ServiceAccount reaches the cluster, in place of the files that a pod has.
fn in_cluster(lab: &Lab, room: &Room) -> PathBuf {
    let token = lab.kubectl(CONTEXT, &["create", "token", "quarterdeck-inspect", "-n", "quarterdeck"]);
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(lab.kubeconfig()).unwrap()).unwrap();
    config["users"] = json!([{"name": "pod", "user": {"token": token.trim()}}]);
    config["contexts"] = json!([{"name": "in-cluster", "context": {"cluster": CONTEXT, "user": "pod", "namespace": "quarterdeck"}}]);
    config["current-context"] = "in-cluster".into();
    let file = room.path("in-cluster");
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

/// The command of the CronJob.
fn inspect(room: &Room, kubeconfig: &std::path::Path) -> Output {
    let job: Value = serde_saphyr::from_str(&std::fs::read_to_string("assets/inspect/cronjob.yaml").unwrap()).unwrap();
    let container = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    let args = container["args"].as_array().unwrap().iter().map(|a| match a.as_str().unwrap() {
        "--config=/etc/qd/config.toml" => "--config=assets/inspect/config.toml",
        other => other,
    });
    room.qd(kubeconfig, &args.collect::<Vec<_>>())
}

fn words(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Rule and object of the results of a list of reports that found something, and what was not evaluated.
fn results(list: &Value) -> (Vec<(String, String)>, Vec<String>) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let all: Vec<&Value> = list["items"].as_array().unwrap().iter().flat_map(|r| r["results"].as_array().unwrap()).collect();
    let (not, found): (Vec<&Value>, Vec<&Value>) = all.into_iter().partition(|r| r["result"] == "skip");
    let found = found.iter().map(|r| (text(&r["policy"]), text(&r["resources"][0]["name"]))).collect();
    (found, not.iter().map(|r| format!("{}: {}", text(&r["policy"]), text(&r["message"]))).collect())
}

fn a_scheduled_inspection_needs_no_more_than_its_service_account(lab: &Lab) {
    let lab = lab.own(2, 1);
    let room = Room::new();
    let list = |kind: &str| serde_json::from_str::<Value>(&lab.kubectl(CONTEXT, &["get", kind, "-A", "-o", "json"])).unwrap();
    lab.kubectl(CONTEXT, &["apply", "-k", "assets/inspect/crds"]);
    for plural in ["policyreports", "clusterpolicyreports"] {
        let crd = format!("crd/{plural}.wgpolicyk8s.io");
        lab.kubectl(CONTEXT, &["wait", "--for=condition=Established", &crd, "--timeout=30s"]);
    }
    lab.kubectl(CONTEXT, &["apply", "-k", "assets/inspect"]);
    // Here it is a process: no pod is to run beside it.
    lab.kubectl(CONTEXT, &["patch", "cronjob", "quarterdeck-inspect", "-n", "quarterdeck", "-p", "{\"spec\":{\"suspend\":true}}"]);
    lab.kubectl(CONTEXT, &["create", "namespace", SPACE]);
    for name in ["one", "two"] {
        lab.kubectl(CONTEXT, &["create", "ingress", name, "-n", SPACE, &format!("--rule=shop.example.com/a*={name}:80")]);
    }
    let kyverno = json!({"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport",
        "metadata": {"name": "cpol-x", "namespace": SPACE, "labels": {"app.kubernetes.io/managed-by": "kyverno"}}, "results": [{"policy": "x"}]});
    lab.apply(CONTEXT, &kyverno);
    let kubeconfig = in_cluster(&lab, &room);
    let published = |what: &str| {
        until(what, Duration::from_secs(60), || {
            let out = inspect(&room, &kubeconfig);
            // The rights are there a moment after they are written.
            if out.status.code() == Some(0) { Ok(words(&out)) } else { Err(format!("{:?}: {}", out.status, words(&out))) }
        })
    };
    let said = published("an inspection with all rights");
    for refused in ["forbidden", "no right", "may not"] {
        assert!(!said.to_lowercase().contains(refused), "{refused}: {said}");
    }
    let reports = list("policyreports");
    let (found, _) = results(&reports);
    assert!(found.contains(&("ingress-duplicate-path".into(), "two".into())), "{found:?}");
    let own = list("clusterpolicyreports");
    let (_, mut not) = results(&own);
    // The one right that is left out: it opens more than a kubelet's configuration.
    not.retain(|n| !n.contains("no right to get nodes/proxy"));
    assert!(
        !not.is_empty() && not.iter().all(|n| !n.contains("no right") && !n.contains("forbidden") && !n.contains("may not")),
        "{not:?}"
    );
    assert_eq!(own["items"][0]["metadata"]["annotations"]["quarterdeck.io/every"], "15m");

    // What is found is what somebody who may do all finds.
    let (report, _, _) = room.json(&lab.kubeconfig(), &["inspect", "--context", CONTEXT, "-o", "json"]);
    let item = |i: &Value| (i["rule"].as_str().unwrap().to_owned(), i["name"].as_str().unwrap().to_owned());
    let mut all: Vec<_> = report["items"].as_array().unwrap().iter().filter(|i| i["kind"] == "Ingress").map(item).collect();
    all.sort();
    let mut same: Vec<_> = found.into_iter().filter(|(_, name)| all.iter().any(|(_, n)| n == name)).collect();
    same.sort();
    assert_eq!(same, all);

    // Who reads the reports shows what they say, as old as they are, and judges nothing.
    lab.kubectl(CONTEXT, &["delete", "ingress", "one", "-n", SPACE]);
    let config = room.path("reports.toml");
    std::fs::write(&config, "[clusters.lab-1]\nfindings = \"reports\"\n").unwrap();
    let config = config.to_str().unwrap();
    let (read, code, said) = room.json(&lab.kubeconfig(), &["inspect", "--context", CONTEXT, "--config", config, "-o", "json"]);
    let items: Vec<_> = read["items"].as_array().unwrap().iter().map(item).collect();
    assert!(items.contains(&("ingress-duplicate-path".into(), "two".into())) && code == 0, "{code} {items:?} {said}");
    assert_eq!(read["clusters"][0]["reported_at"], own["items"][0]["metadata"]["annotations"]["quarterdeck.io/inspected-at"]);
    let mut term = Term::open(&["--screen", "findings", "--context", CONTEXT, "--config", config], room.env(&lab.kubeconfig()), 160, 60);
    let duplicate = |lines: &[String]| lines.iter().any(|l| l.contains("ingress-duplicate-path") && l.contains("two"));
    term.wait("what is reported", 30, |lines| duplicate(lines).then_some(()));
    term.line(10, &[CONTEXT, "findings are from its reports", "old"]);

    // A second run after the fault is healed takes the result away, and leaves others' reports.
    published("an inspection after it was healed");
    term.keys("\x12");
    term.wait("what was healed to go", 30, |lines| (!duplicate(lines)).then_some(()));
    let reports = list("policyreports");
    assert!(!results(&reports).0.iter().any(|(rule, _)| rule == "ingress-duplicate-path"), "{reports}");
    assert!(reports["items"].as_array().unwrap().iter().any(|r| r["metadata"]["name"] == "cpol-x"), "{reports}");

    // Reports that are old, and that are gone.
    let at = "quarterdeck.io/inspected-at=2026-01-01T00:00:00Z";
    lab.kubectl(CONTEXT, &["annotate", "--overwrite", "clusterpolicyreport", "quarterdeck", at]);
    term.keys("\x12");
    term.line(30, &[CONTEXT, "the report is stale", "one is expected every 15m"]);
    let out = room.qd(&lab.kubeconfig(), &["inspect", "--context", CONTEXT, "--config", config]);
    assert!(out.status.code() == Some(3) && words(&out).contains("the report is stale"), "{}", words(&out));
    lab.kubectl(CONTEXT, &["delete", "policyreports,clusterpolicyreports", "-A", "-l", "app.kubernetes.io/managed-by=quarterdeck"]);
    term.keys("\x12");
    term.line(30, &[CONTEXT, "no report of an inspection is there"]);

    // Without a right the rule says so, and so does the exit code's neighbour: the report.
    lab.kubectl(CONTEXT, &["delete", "rolebinding", "quarterdeck-inspect", "-n", "kube-system"]);
    until("the missing right is told", Duration::from_secs(60), || {
        let out = inspect(&room, &kubeconfig);
        let not = results(&list("clusterpolicyreports")).1;
        if not.iter().any(|n| n.contains("no right to list leases")) { Ok(()) } else { Err(format!("{}{not:?}", words(&out))) }
    });
    // Where nobody knows such reports any more.
    lab.kubectl(CONTEXT, &["delete", "-k", "assets/inspect/crds"]);
    until("that they are not defined is told", Duration::from_secs(30), || {
        let out = room.qd(&lab.kubeconfig(), &["inspect", "--context", CONTEXT, "--config", config]);
        let told = out.status.code() == Some(3) && words(&out).contains("no PolicyReports are defined there");
        if told { Ok(()) } else { Err(words(&out)) }
    });
    term.keys("\x12");
    term.line(30, &[CONTEXT, "no PolicyReports are defined there"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}
