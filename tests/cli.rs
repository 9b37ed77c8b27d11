//! The command line without a cluster: exit codes, messages, what needs no server.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "cli/links.rs"]
mod links;
#[path = "cli/manifests.rs"]
mod manifests;
#[path = "cli/shown.rs"]
mod shown;

use quarterdeck::sim::{Options, Running, Scenario, start};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qd"));
    command.args(args).env_clear();
    command.env("HOME", dir).env("XDG_CONFIG_HOME", dir.join("config")).env("QD_STATE_DIR", dir.join("state"));
    command.env("KUBECONFIG", dir.join("kubeconfig"));
    command
}

fn qd(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let out: Output = command(dir, args).output().unwrap();
    (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

fn room() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    // Nothing listens on port 9 of loopback.
    let cluster = "clusters:\n- {name: c, cluster: {server: \"https://127.0.0.1:9\", insecure-skip-tls-verify: true}}\nusers:\n- {name: u, user: {token: canary-token-7f3a}}\n";
    let contexts =
        "contexts:\n- {name: prod-eu, context: {cluster: c, user: u}}\n- {name: prod-us, context: {cluster: c, user: u, namespace: x}}\n";
    std::fs::write(dir.path().join("kubeconfig"), format!("apiVersion: v1\nkind: Config\n{cluster}{contexts}")).unwrap();
    dir
}

#[test]
fn what_needs_no_server_works_without_one() {
    let dir = room();
    for (args, expected) in [
        (&["keys", "vim"][..], "[table]"),
        (&["keys", "-o", "json"], "\"keymap\":\"default\""),
        (&["themes"], "colour-blind"),
        (&["themes", "dark"], "severity.critical"),
        (&["config", "show"], "theme"),
        (&["config", "check"], ""),
        (&["completions", "bash"], "_qd"),
        (&["completions", "fish"], "complete -c qd"),
        // Kinds and screens are offered, and what is not among them is taken: KIND/NAME.
        (&["completions", "bash"], "cockpit clusters nodes pods"),
        (&["completions", "zsh"], "statefulset"),
        (&["completions", "fish"], "-n \"__fish_qd_using_subcommand get\" -f -a \"clusters nodes pods"),
        (&["completions", "fish"], "or begin\n        set -e cmd[-1]\n"),
        (&["rule", "list"], "pdb-blocks-drain"),
        (&["rule", "show", "node-not-ready"], "thresholds.node-not-ready."),
        (&["rule", "show", "pdb-missing", "-o", "json"], "\"tier\": 1"),
        (&["man"], ".TH qd"),
        (&["demo", "--help"], "--scenario"),
        (&["get", "--help"], "--selector"),
        (&["--version"], "qd 0"),
    ] {
        let (code, out, err) = qd(dir.path(), args);
        assert_eq!(code, 0, "{args:?}: {err}");
        assert!(out.contains(expected), "{args:?}: {out}");
    }
}

#[test]
fn mistakes_exit_2_and_name_what_was_meant() {
    let dir = room();
    for (args, expected) in [
        (&["get", "podz"][..], "pods"),
        (&["get", "pods", "--context", "prod-eo"], "prod-eu"),
        (&["get", "pods", "--filter", "statuss=Running"], "status"),
        (&["get", "pods", "-l", "app x"], "label"),
        (&["themes", "darkk"], "dark"),
        (&["keys", "vimm"], "vim"),
        (&["snapshot", "--screen", "podz"], "pods"),
        (&["snapshot", "--cols", "40"], "80x24"),
        (&["get", "pods", "--log-level", "inf"], "info"),
        (&["get", "pods", "--timeout", "soon"], "30s"),
        (&["describe", "pod"], "KIND/NAME"),
        (&[], "terminal"),
        (&["bogus"], "bogus"),
    ] {
        let (code, out, err) = qd(dir.path(), args);
        assert_eq!(code, 2, "{args:?}: {out} {err}");
        assert!(err.contains(expected), "{args:?}: {err}");
    }
    let (_, _, err) = qd(dir.path(), &["get", "podz", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(err.lines().last().unwrap()).unwrap();
    assert_eq!(json["error"]["kind"], "usage");
}

#[test]
fn a_bad_configuration_is_named_by_file_and_line_and_no_script_works_with_half_of_it() {
    let dir = room();
    let config = dir.path().join("qd.toml");
    std::fs::write(&config, "theme = \"drak\"\n[clusters.prod-eu]\ntierr = \"production\"\ntier = \"prod\"\n[columns]\npods = [\"nam\"]\n")
        .unwrap();
    let (code, out, _) = qd(dir.path(), &["config", "check", "--config", config.to_str().unwrap()]);
    assert_eq!(code, 2);
    for expected in ["qd.toml:1", "did you mean `dark`", "qd.toml:3", "tier", "qd.toml:4", "production", "qd.toml:6", "name"] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let (_, out, _) = qd(dir.path(), &["config", "show", "--config", config.to_str().unwrap()]);
    assert!(out.contains("read_only"), "{out}");
    // Reads and writes, wherever the file was found.
    let usual = dir.path().join("config/qd");
    std::fs::create_dir_all(&usual).unwrap();
    std::fs::copy(&config, usual.join("config.toml")).unwrap();
    for given in [&["--config", config.to_str().unwrap()][..], &[]] {
        for command in [&["get", "pods"][..], &["cordon", "node-1", "--context", "prod-eu", "--yes"]] {
            let (code, _, err) = qd(dir.path(), &[command, given].concat());
            assert_eq!(code, 2, "{err}");
            assert!(
                err.contains("toml:3") && err.contains("did you mean `tier`") && err.contains("the configuration has mistakes"),
                "{err}"
            );
        }
    }
}

#[test]
fn an_unreachable_cluster_is_partial_and_no_token_is_told() {
    let dir = room();
    let (code, out, err) = qd(dir.path(), &["get", "pods", "-o", "json", "--timeout", "20s", "--log-level", "trace"]);
    assert_eq!(code, 3, "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["items"], serde_json::json!([]));
    assert_eq!(json["clusters"][0]["state"], "unreachable");
    assert!(json["clusters"][0]["age_s"].is_null(), "never reached is not 0 seconds ago: {json}");
    assert_eq!(json["clusters"].as_array().unwrap().len(), 1, "two contexts, one server, one user: one cluster");
    let log: String = std::fs::read_dir(dir.path().join("state"))
        .unwrap()
        .map(|f| std::fs::read_to_string(f.unwrap().path()).unwrap_or_default())
        .collect();
    assert!(!log.is_empty(), "the log is in the state directory");
    for text in [out, err, log] {
        assert!(!text.contains("canary-token-7f3a"), "{text}");
    }
}

#[test]
fn whoever_stops_reading_is_not_complained_to() {
    let dir = room();
    for args in [&["keys"][..], &["man"], &["completions", "bash"], &["config", "show"]] {
        let mut child = command(dir.path(), args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Nobody reads at all.
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

/// Two simulated clusters, whose kubeconfig is the room's.
fn fleet(dir: &Path) -> Running {
    fleet_of(dir, "calm")
}

fn fleet_of(dir: &Path, scenario: &str) -> Running {
    quarterdeck::client::install_crypto_provider();
    let mut scenario = Scenario::load(scenario).unwrap();
    scenario.resize(Some(2), Some(4), Some(60)).unwrap();
    scenario.replace_every = 0.0;
    start(&Options { scenario, kubeconfig: Some(dir.join("kubeconfig")), viewer: false }).unwrap()
}

#[test]
fn an_inspection_says_what_is_wrong_in_every_form_and_against_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let _fleet = fleet(dir.path());
    let (code, out, err) = qd(dir.path(), &["inspect", "-o", "json", "--fail-on", "info"]);
    assert_eq!(code, 6, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let items = report["items"].as_array().unwrap();
    for field in ["rule", "severity", "cluster", "kind", "namespace", "name", "message", "evidence", "remedy", "first_seen"] {
        assert!(items.iter().all(|i| i.get(field).is_some()), "{field}");
    }
    let rules: BTreeSet<&str> = items.iter().map(|i| i["rule"].as_str().unwrap()).collect();
    assert!(rules.contains("pdb-missing"), "{rules:?}");
    let (found, code, err) = self::items(dir.path(), &["get", "findings"]);
    assert_eq!(code, 0, "{err}");
    assert!(found["items"].as_array().unwrap().iter().any(|f| f["name"] == "pdb-missing"), "the same as rows: {found}");
    let worst: Vec<&str> = items.iter().map(|i| i["severity"].as_str().unwrap()).collect();
    assert!(worst.is_sorted_by_key(|s| ["critical", "warning", "info"].iter().position(|w| w == s)), "the worst first");
    for cluster in report["clusters"].as_array().unwrap() {
        assert!(cluster["score"].is_u64() && cluster["not_evaluated"].is_array(), "{cluster}");
    }
    let before = dir.path().join("before.json");
    std::fs::write(&before, &out).unwrap();
    let before = before.to_str().unwrap();
    for (form, expected) in [
        ("table", "pdb-missing"),
        ("markdown", "# Inspection of "),
        ("html", "<!doctype html>"),
        ("sarif", "\"version\": \"2.1.0\""),
        ("junit", "<testsuites name=\"qd inspect\">"),
        ("csv", "severity,rule,cluster"),
    ] {
        let (code, out, err) = qd(dir.path(), &["inspect", "--since", before, "--area", "availability", "-o", form]);
        assert!(code == 0 && out.contains(expected), "{form}: {code} {err}\n{out}");
    }
    let (code, _, err) = qd(dir.path(), &["inspect", "--rule", "pod-crashlop"]);
    assert!(code == 2 && err.contains("pod-crashloop"), "{code} {err}");
    let (code, _, err) = qd(dir.path(), &["get", "pods", "-o", "sarif"]);
    assert!(code == 2 && err.contains("qd inspect"), "{code} {err}");
    let (code, _, err) = qd(dir.path(), &["inspect", "--since", dir.path().join("kubeconfig").to_str().unwrap()]);
    assert!(code == 2 && err.contains("no report"), "{code} {err}");
}

#[test]
fn kubelets_that_pin_and_tls_that_ends_before_the_controller_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let running = fleet_of(dir.path(), "from-vms");
    let config = dir.path().join("c.toml");
    // One look has no time to wait for what must hold for a while.
    std::fs::write(&config, "[thresholds.cpu-manager-mismatch]\nafter = '0s'\n").unwrap();
    let look = || {
        let rules = ["--rule", "cpu-manager-mismatch", "--rule", "ingress-forwarded-headers"];
        let (_, out, err) = qd(dir.path(), &[&["--config", config.to_str().unwrap(), "inspect", "-o", "json"][..], &rules].concat());
        serde_json::from_str::<Value>(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
    };
    let found = |report: &Value| -> Vec<String> {
        let text = |i: &Value| ["cluster", "name", "severity", "message"].map(|f| i[f].as_str().unwrap().to_owned()).join(" | ");
        report["items"].as_array().unwrap().iter().filter(|i| i["kind"] == "Deployment").map(text).collect()
    };
    let mut all = found(&look());
    all.sort();
    let expected = [
        "prod-eu | checkout | warning | 6 of 6 pods share cores on nodes that pin",
        "prod-us | gateway | critical | TLS ends at the balancer of gateway: 3 hosts are redirected to themselves without end",
    ];
    assert_eq!(all, expected);
    assert!(running.fleet.fault("prod-eu", &quarterdeck::sim::Fault::Denied("get".into(), "nodes/proxy".into())));
    let report = look();
    assert_eq!(found(&report).len(), 1, "what is not heard is not judged");
    let why = report["clusters"][0]["not_evaluated"].to_string();
    assert!(why.contains("no right to get nodes/proxy"), "{why}");
}

const OWN: &str = "[[rule]]\nid = 'few'\nkind = 'deployment'\narea = 'house'\nwhen = 'object.spec.replicas < thresholds.least'\nthresholds.least = 3\nmessage = '{object.spec.replicas} replicas'\n\
    [[rule.case]]\nfires = true\nobject.spec.replicas = 2\n[[rule.case]]\nfires = false\nobject.spec.replicas = 3\n";

/// A directory with a configuration, whose path is given, and a rule beside it.
fn house() -> (tempfile::TempDir, String) {
    let dir = room();
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    std::fs::write(dir.path().join("rules/few.toml"), OWN).unwrap();
    let config = dir.path().join("c.toml");
    std::fs::write(&config, "[thresholds.few]\nleast = 4\n").unwrap();
    let config = config.to_str().unwrap().to_owned();
    (dir, config)
}

#[test]
fn rules_of_ones_own_are_listed_shown_and_tested() {
    let (dir, config) = house();
    let run = |args: &[&str]| qd(dir.path(), &[&["--config", &config][..], args].concat());
    let (code, out, err) = run(&["rule", "list"]);
    assert!(code == 0 && out.contains("few") && out.contains("house"), "{code} {err}");
    let (_, out, _) = run(&["rule", "show", "few"]);
    assert!(out.contains("thresholds.few.least = \"3\"") && out.contains("few.toml:2"), "{out}");
    let (code, out, err) = run(&["rule", "test"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}{err}");
    let file = dir.path().join("rules/few.toml");
    let named = file.to_str().unwrap();
    std::fs::write(&file, OWN.replace("replicas = 3", "replicas = 1")).unwrap();
    let (code, out, _) = run(&["rule", "test", named]);
    assert!(code == 1 && out.contains("few.toml:11): it finds: 1 replicas"), "{code} {out}");
    let (_, out, _) = run(&["rule", "test", named, "-o", "json"]);
    let items: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((items["items"][0]["ok"].as_bool(), items["items"][1]["ok"].as_bool()), (Some(true), Some(false)));
    std::fs::write(&file, OWN.replace("object.spec.replicas <", "object.spec.replica <")).unwrap();
    for args in [&["rule", "test"][..], &["inspect", "--file", "."], &["config", "check"]] {
        let (code, out, err) = run(args);
        let said = format!("{out}{err}");
        assert!(code == 2 && said.contains("few.toml:5:8: `spec.replica` of a Deployment is not kept by qd"), "{args:?} {code} {said}");
        assert!(said.contains("spec.replicas"), "{said}");
    }
    std::fs::write(&file, OWN.replace("fires = true", "fires = false").replace("= 2", "= 5")).unwrap();
    let (code, _, err) = run(&["rule", "test"]);
    assert!(code == 1 && err.contains("no case in which it fires"), "{code} {err}");
}

#[test]
fn manifests_are_judged_without_a_cluster() {
    let (dir, config) = house();
    let web = "# the shop\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers: [{name: app, image: \"reg/web\"}]\n";
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}\n";
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: s}}}}\n- {}",
        budget.trim_end().replace('\n', "\n  ")
    );
    std::fs::create_dir_all(dir.path().join("deploy/.git")).unwrap();
    std::fs::create_dir(dir.path().join("deploy/sub")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join("deploy").join(name), text).unwrap();
    write("web.yaml", &format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\ndata: {{a: Y2FuYXJ5LTkxMWY=}}\n---\n{web}"));
    write(".git/x.yaml", "[");
    write("readme.md", "[");
    let run = |args: &[&str]| {
        let all = [&["--config", &config, "inspect", "--file", "deploy"][..], args].concat();
        let out = command(dir.path(), &all).current_dir(dir.path()).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, out, err) = run(&["-o", "json", "--fail-on", "warning"]);
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("1 object judged; not judged: 1 Secret v1"), "{err}");
    assert!(!format!("{out}{err}").contains("Y2FuYXJ5"));
    let report: Value = serde_json::from_str(&out).unwrap();
    let rules = |report: &Value| {
        report["items"].as_array().unwrap().iter().map(|i| i["rule"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(
        rules(&report),
        ["few", "image-not-pinned", "pdb-missing", "resources-missing", "sa-token-automount", "spread-policy-missing"]
            .map(str::to_owned)
            .into()
    );
    let few = report["items"].as_array().unwrap().iter().find(|i| i["rule"] == "few").unwrap();
    assert_eq!(
        (few["message"].as_str(), few["file"].as_str(), few["line"].as_u64()),
        (Some("2 replicas"), Some("deploy/web.yaml"), Some(7))
    );
    let not: Vec<(&str, &str)> = report["clusters"][0]["not_evaluated"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (n["rule"].as_str().unwrap(), n["why"].as_str().unwrap()))
        .collect();
    assert!(not.contains(&("node-not-ready", "needs a cluster")) && not.iter().all(|(_, why)| *why == "needs a cluster"), "{not:?}");
    // A list brings the budget.
    write("sub/budget.yaml", &list);
    let (code, out, err) = run(&["-o", "json"]);
    assert!(code == 0 && err.contains("2 objects judged; not judged: 1 ConfigMap v1, 1 Secret v1"), "{code} {err}");
    assert!(!rules(&serde_json::from_str(&out).unwrap()).contains("pdb-missing"));
    let (_, out, _) = run(&["-o", "sarif", "--rule", "few"]);
    assert!(out.contains("\"uri\": \"deploy/web.yaml\"") && out.contains("\"startLine\": 7"), "{out}");
    // What cannot be read is told with its line, and the rest is there.
    write("sub/bad.yaml", &format!("{budget}---\nkind: [\n"));
    let (code, out, err) = run(&["--rule", "few"]);
    assert!(code == 3 && out.contains("web.yaml:7") && err.contains("deploy/sub/bad.yaml:"), "{code} {out} {err}");
    let mut child = command(dir.path(), &["inspect", "--file", "-", "--rule", "image-not-pinned"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), web.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && String::from_utf8(out.stdout).unwrap().contains("(standard input:2)"));
}

/// Several pods of one Deployment in every cluster: namespace, Deployment and what is printed of the pods.
fn deployment(dir: &Path) -> (String, String, Vec<Value>) {
    let (code, out, err) = qd(dir, &["get", "deployments", "-o", "json"]);
    assert_eq!(code, 0, "{err}");
    let all: Value = serde_json::from_str(&out).unwrap();
    let items = all["items"].as_array().unwrap();
    let everywhere = |i: &&Value| items.iter().filter(|o| o["name"] == i["name"] && o["namespace"] == i["namespace"]).count() == 2;
    let chosen = items.iter().find(|i| i["ready"].as_i64() > Some(1) && everywhere(i)).unwrap();
    let (namespace, name) = (chosen["namespace"].as_str().unwrap().to_owned(), chosen["name"].as_str().unwrap().to_owned());
    let (_, out, _) = qd(dir, &["get", "pods", "-n", &namespace, "-l", &format!("app={name}"), "-o", "json"]);
    let pods: Value = serde_json::from_str(&out).unwrap();
    (namespace, name, pods["items"].as_array().unwrap().clone())
}

#[test]
fn logs_of_a_pod_a_workload_and_a_selection() {
    let dir = tempfile::tempdir().unwrap();
    let _fleet = fleet(dir.path());
    let (namespace, name, pods) = deployment(dir.path());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (pod, cluster, container) = (text(&pods[0]["name"]), text(&pods[0]["cluster"]), text(&pods[0]["container_names"][0]));
    let (ns, context) = (namespace.as_str(), cluster.as_str());

    let (code, out, err) = qd(dir.path(), &["logs", &pod, "-n", ns, "--context", context, "--tail", "3"]);
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 3, ""));
    assert!(out.lines().all(|l| l.starts_with("time=")), "as it was written: {out}");
    let (_, out, _) = qd(dir.path(), &["logs", "pod", &pod, "-n", ns, "--context", context, "--tail", "2", "--timestamps"]);
    assert!(out.lines().count() == 2 && out.lines().all(|l| l.starts_with("20") && l.contains("Z time=")), "{out}");

    let of = format!("deployment/{name}");
    let (code, out, err) = qd(dir.path(), &["logs", &of, "-n", ns, "--tail", "2"]);
    assert_eq!((code, out.lines().count()), (0, 2 * pods.len()), "{err}");
    let begin = format!("{cluster}/{namespace}/{pod}/{container} time=");
    assert_eq!(out.lines().filter(|l| l.starts_with(&begin)).count(), 2, "every line says whose it is: {out}");
    let (code, out, _) = qd(dir.path(), &["logs", &of, "-n", ns, "--tail", "2", "-o", "json"]);
    let lines: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let clusters: BTreeSet<&str> = lines.iter().map(|l| l["cluster"].as_str().unwrap()).collect();
    assert_eq!((code, lines.len(), clusters.len()), (0, 2 * pods.len(), 2));
    assert!(lines.is_sorted_by_key(|l| l["time"].as_str().unwrap().to_owned()), "by time over all of them");
    let mut fields: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["cluster", "container", "cut", "namespace", "pod", "text", "time"]);

    // Of a selection ten lines each unless more are asked for; of what is younger only that.
    let label = format!("app={name}");
    let (_, out, _) = qd(dir.path(), &["logs", "-l", &label, "-n", ns]);
    assert_eq!(out.lines().count(), 10 * pods.len());
    let (_, out, _) = qd(dir.path(), &["logs", "-l", &label, "-n", ns, "--tail", "-1", "--since", "7s"]);
    assert!((2 * pods.len()..=5 * pods.len()).contains(&out.lines().count()), "a line every two seconds: {out}");
    let (_, out, _) = qd(dir.path(), &["logs", "--filter", &format!("name={pod} cluster:{cluster}"), "-n", ns, "--tail", "1"]);
    assert_eq!(out.lines().count(), 1, "{out}");
}

#[test]
fn the_fleet_is_counted_and_measured_in_one_read() {
    let dir = tempfile::tempdir().unwrap();
    let _fleet = fleet(dir.path());
    // An event may come between the two reads.
    let mut wrong = String::new();
    for _ in 0..5 {
        let (code, out, err) = qd(dir.path(), &["fleet", "-o", "json"]);
        assert_eq!(code, 0, "{err}");
        let all: Value = serde_json::from_str(&out).unwrap();
        let (_, events, _) = qd(dir.path(), &["get", "events", "--filter", "type=Warning", "-o", "json"]);
        let events: Value = serde_json::from_str(&events).unwrap();
        let of = |cluster: &Value| events["items"].as_array().unwrap().iter().filter(|e| e["cluster"] == cluster["name"]).count() as u64;
        let clusters = all["items"].as_array().unwrap();
        assert!(clusters.iter().all(|c| c["latency_ms"].is_u64()), "a round trip is measured once the lists are in: {all}");
        match clusters.iter().find(|c| c["warnings"].as_u64() != Some(of(c))) {
            None => return,
            Some(cluster) => wrong = cluster.to_string(),
        }
    }
    panic!("{wrong}");
}

#[test]
fn logs_that_are_not_there_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let _fleet = fleet(dir.path());
    let (namespace, name, pods) = deployment(dir.path());
    let (of, container) = (format!("deployment/{name}"), pods[0]["container_names"][0].as_str().unwrap());
    let near = format!("deployment/{name}x");
    for (args, code, words) in [
        (&["logs"][..], 2, "-l or --filter"),
        (&["logs", "deploymentt/x"], 2, "deployment"),
        (&["logs", &of, "-o", "yaml"], 2, "-o json"),
        (&["logs", "event/x"], 2, "an event has no logs"),
        (&["logs", &near], 1, &name),
        (&["logs", &of, "-n", &namespace, "-c", "nobody"], 1, container),
        (&["logs", &of, "-n", &namespace, "--previous"], 1, "no container has run before"),
        (&["logs", "-l", "app=nobody"], 1, "no pod matches"),
    ] {
        let (got, out, err) = qd(dir.path(), args);
        assert_eq!((got, out.as_str()), (code, ""), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    }
}

#[test]
fn followed_logs_go_on_and_take_in_pods_that_come_later() {
    let dir = tempfile::tempdir().unwrap();
    let _fleet = fleet(dir.path());
    let (namespace, name, pods) = deployment(dir.path());
    let (of, cluster) = (format!("deployment/{name}"), pods[0]["cluster"].as_str().unwrap());
    let known: BTreeSet<&str> = pods.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let args = ["logs", &of, "-n", &namespace, "-f", "--tail", "0", "-o", "json"];
    let mut child = command(dir.path(), &args).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tx, lines_of) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).all(|l| tx.send(l).is_ok()));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let next = || -> Value {
        let line = lines_of.recv_timeout(end.saturating_duration_since(std::time::Instant::now()));
        serde_json::from_str(&line.unwrap_or_else(|e| panic!("no more lines: {e}"))).unwrap()
    };
    let mut seen = BTreeSet::new();
    while seen.len() < pods.len() {
        seen.insert(next()["pod"].as_str().unwrap().to_owned());
    }
    let more = (pods.iter().filter(|p| p["cluster"] == cluster).count() + 1).to_string();
    let (code, out, err) =
        qd(dir.path(), &["scale", &of, "--replicas", &more, "--context", cluster, "-n", &namespace, "--yes", "--no-wait"]);
    assert_eq!(code, 0, "{out}{err}");
    while known.contains(next()["pod"].as_str().unwrap()) {}
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The items that a command prints as JSON, with its exit code and what it says on standard error.
fn items(dir: &Path, args: &[&str]) -> (Value, i32, String) {
    let (code, out, err) = qd(dir, &[args, &["-o", "json"]].concat());
    let document = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}{err}"));
    (document, code, err)
}

/// What each of these commands prints, once a last run of the first one has the same rows with the same use: the fleet lives.
fn at_rest<const N: usize>(dir: &Path, commands: [&[&str]; N]) -> [Value; N] {
    let read = |args: &[&str]| {
        let (document, code, err) = items(dir, args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        document
    };
    let used = |document: &Value| -> Vec<Value> {
        let of = |row: &Value| ["cluster", "namespace", "name", "cpu_use_m", "memory_use_bytes"].map(|field| row[field].clone());
        document["items"].as_array().unwrap().iter().map(|row| Value::from(of(row).to_vec())).collect()
    };
    for _ in 0..20 {
        let all = commands.map(read);
        if used(&all[0]) == used(&read(commands[0])) {
            return all;
        }
    }
    panic!("{:?} never tells the same twice", commands[0]);
}

fn rows(document: &Value) -> Vec<&Value> {
    document["items"].as_array().unwrap().iter().collect()
}

#[test]
fn top_tells_use_beside_requests_and_who_is_to_be_shrunk_first() {
    let dir = tempfile::tempdir().unwrap();
    let _fleet = fleet(dir.path());
    let dir = dir.path();
    let sum = |rows: &[&Value], field: &str| rows.iter().filter_map(|r| r[field].as_i64()).sum::<i64>();
    for what in ["workloads", "namespaces"] {
        let [pods, other] = at_rest(dir, [&["top", "pods"], &["top", what]]);
        let measured: Vec<&Value> = rows(&pods).into_iter().filter(|p| !p["cpu_use_m"].is_null()).collect();
        assert!(measured.len() > 60, "{}", measured.len());
        let percent = |p: &&&Value| p["memory_use_request_percent"].as_i64();
        assert!(
            measured.iter().any(|p| percent(&p) < Some(50)) && measured.iter().any(|p| percent(&p) > Some(90)),
            "some below, some above"
        );
        for row in &measured {
            let requested = row["cpu_request_m"].as_i64().unwrap_or(0);
            assert_eq!(row["cpu_slack_m"].as_i64().unwrap(), requested - row["cpu_use_m"].as_i64().unwrap());
        }
        // What pods use is what workloads and namespaces do, each pod once.
        for field in ["cpu_use_m", "memory_use_bytes", "cpu_slack_m", "memory_slack_bytes"] {
            assert_eq!(sum(&rows(&other), field), sum(&measured, field), "{what} {field}");
        }
        assert_eq!(sum(&rows(&other), "pods_measured"), i64::try_from(measured.len()).unwrap(), "{what}");
    }
    // Whoever wastes most stands first, weighed against what all waste.
    let [document] = at_rest(dir, [&["top", "workloads"]]);
    let workloads = rows(&document);
    let gain = |field: &str| workloads.iter().filter_map(|w| w[field].as_f64()).filter(|s| *s > 0.0).sum::<f64>();
    let (cpu, memory) = (gain("cpu_slack_m"), gain("memory_slack_bytes"));
    let scores: Vec<f64> =
        workloads.iter().map(|w| w["cpu_slack_m"].as_f64().unwrap() / cpu + w["memory_slack_bytes"].as_f64().unwrap() / memory).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.first() > scores.last(), "{scores:?}");
    let total = &document["total"][0];
    let many = Some(workloads.len() as u64);
    assert_eq!((total["rows"].as_u64(), total["rows_measured"].as_u64()), (many, many));
    assert_eq!(total["cpu_slack_m"], Value::from(sum(&workloads, "pods_cpu_request_m") - total["cpu_use_m"].as_i64().unwrap()));
    assert!(total["cpu_gain_m"].as_i64() >= total["cpu_slack_m"].as_i64(), "who uses more than it requests gives nothing back: {total}");

    std::fs::write(dir.join("qd.toml"), "[clusters.prod-eu]\ngroup = \"room-a\"\n").unwrap();
    let (nodes, ..) = items(dir, &["top", "nodes", "--config", dir.join("qd.toml").to_str().unwrap()]);
    let groups = nodes["groups"].as_array().unwrap();
    assert_eq!(groups.iter().map(|g| &g["group"]).collect::<Vec<_>>(), [&Value::Null, &Value::from("room-a")]);
    for group in groups {
        let own = |n: &&Value| (n["cluster"] == "prod-eu") == (group["group"] == "room-a");
        let own: Vec<&Value> = rows(&nodes).into_iter().filter(own).collect();
        assert_eq!((group["nodes"].as_i64(), group["nodes_measured"].as_i64()), (Some(4), Some(4)), "{group}");
        for field in ["cpu_allocatable_m", "cpu_request_m", "cpu_use_m", "cpu_slack_m", "memory_use_bytes", "memory_slack_bytes"] {
            assert_eq!(group[field].as_i64(), Some(sum(&own, field)), "{field}");
        }
        assert_eq!(group["cpu_use_percent"].as_i64(), Some(sum(&own, "cpu_use_m") * 100 / sum(&own, "cpu_allocatable_m")));
    }
    let all: &Value = &nodes["total"][0];
    for field in ["cpu_allocatable_m", "cpu_request_m", "cpu_use_m", "cpu_slack_m", "memory_use_bytes", "memory_slack_bytes"] {
        assert_eq!(all[field].as_i64(), Some(sum(&rows(&nodes), field)), "{field}");
    }
    let (_, table, _) = qd(dir, &["top", "nodes"]);
    assert!(table.contains("CPU-SLACK") && table.contains("GROUP"), "{table}");
    let (code, _, err) = qd(dir, &["top", "disks"]);
    assert!(code == 2 && err.contains("disks"), "{err}");

    // `get` has the same numbers, and rows may be asked for by them.
    let [pods, got] = at_rest(dir, [&["top", "pods"], &["get", "pods", "--filter", "cpu_use>0"]]);
    let told = |row: &Value| ["cluster", "namespace", "name", "cpu_use_m"].map(|field| row[field].to_string());
    let those = |document: &Value| -> BTreeSet<[String; 4]> {
        rows(document).into_iter().filter(|p| p["cpu_use_m"].as_i64() > Some(0)).map(told).collect()
    };
    assert!(those(&got).len() == rows(&got).len() && those(&got).len() > 60, "{got}");
    assert_eq!(those(&got), those(&pods));
}

#[test]
fn what_is_not_told_is_null_and_a_prometheus_tells_each_kind_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let running = fleet(dir.path());
    let dir = dir.path();
    let forbid = |what: &str| assert!(running.fleet.fault("prod-eu", &quarterdeck::sim::Fault::Forbidden(what.into())));
    let by = "service monitoring/prometheus-operated:9090";
    let metrics = || {
        let (_, out, _) = qd(dir, &["doctor", "--context", "prod-eu", "-o", "json"]);
        let all: Value = serde_json::from_str(&out).unwrap();
        all["items"][0]["checks"].as_array().unwrap().iter().find(|c| c["what"] == "metrics").unwrap()["via"].as_str().unwrap().to_owned()
    };
    let measured = |what: &str, least: usize| {
        let (told, code, err) = items(dir, &["top", what, "--context", "prod-eu"]);
        assert_eq!(code, 0, "{what}: {err}");
        let used = |r: &&&Value| r["cpu_use_m"].as_i64() > Some(0) && r["memory_use_bytes"].is_i64();
        assert!(rows(&told).iter().filter(used).count() >= least, "{what}: {told}");
        err
    };
    forbid("pods.metrics.k8s.io");
    let config = dir.join("qd.toml");
    std::fs::write(&config, "[[query]]\nname = \"use-of-pods\"\noff = true\n").unwrap();
    let (left, code, err) = items(dir, &["top", "pods", "--context", "prod-eu", "--config", config.to_str().unwrap()]);
    assert_eq!(code, 3, "{err}");
    let gap = "the API server; forbidden, needs list pods.metrics.k8s.io in default";
    assert!(err.contains(&format!("prod-eu: metrics: nothing was measured of its pods: {gap}")), "{err}");
    assert!(!rows(&left).is_empty() && rows(&left).iter().all(|p| p["cpu_use_m"].is_null() && p["memory_slack_bytes"].is_null()));
    // Of nodes it tells itself, of pods Prometheus does, and that is said.
    assert_eq!(measured("nodes", 4), "");
    for (what, least) in [("pods", 60), ("workloads", 20), ("namespaces", 5)] {
        assert!(measured(what, least).contains(&format!("prod-eu: use is from Prometheus, {by}")), "{what}");
    }
    assert_eq!(metrics(), format!("{gap}; pods are from Prometheus, {by}"));
    // Where it tells nothing at all Prometheus tells both; what that measures at objects beside.
    forbid("nodes.metrics.k8s.io");
    for (what, least) in [("nodes", 4), ("pods", 60)] {
        assert!(measured(what, least).contains(&format!("prod-eu: use is from Prometheus, {by}")), "{what}");
    }
    assert_eq!(metrics(), format!("Prometheus, {by}"));
    let (got, code, err) = items(dir, &["get", "nodes", "--context", "prod-eu"]);
    assert_eq!(code, 0, "{err}");
    let whole = |n: &&Value| n["filesystem_use_percent"].is_i64() && n["pleg_relist_ms"].is_i64() && n["cpu_use_m"].is_i64();
    assert!(rows(&got).iter().all(whole), "{got}");
}

#[test]
fn every_claim_that_is_measured_says_how_full_it_is() {
    let dir = tempfile::tempdir().unwrap();
    quarterdeck::client::install_crypto_provider();
    let mut scenario = Scenario::load("calm").unwrap();
    scenario.resize(Some(1), Some(6), Some(300)).unwrap();
    let running = start(&Options { scenario, kubeconfig: Some(dir.path().join("kubeconfig")), viewer: false }).unwrap();
    let dir = dir.path();
    let claims = || {
        let (got, code, err) = items(dir, &["get", "pvc"]);
        assert_eq!(code, 0, "{err}");
        got["items"].as_array().unwrap().clone()
    };
    let part = |c: &Value, field: &str, most: i64| c[field].as_i64().is_some_and(|n| n > 0 && n <= most);
    let all = claims();
    let used = |c: &&Value| part(c, "used_percent", 80) && part(c, "inodes_percent", 12);
    let told = all.iter().filter(used).count();
    assert!(told > 10 && told == all.iter().filter(|c| c["status"] == "Bound").count(), "more than the ten fullest: {told} of {all:?}");
    let (_, table, _) = qd(dir, &["get", "pvc"]);
    assert!(table.contains("USED%"), "{table}");
    let (got, ..) = items(dir, &["get", "pvc", "--filter", "used_percent>0"]);
    assert_eq!(got["items"].as_array().unwrap().len(), told);
    // Without Prometheus nothing is known, and nothing is 0.
    assert!(running.fleet.fault("prod-eu", &quarterdeck::sim::Fault::Forbidden("services".into())));
    assert!(claims().iter().all(|c| c["used_percent"].is_null() && c["inodes_percent"].is_null()));
}

#[test]
fn a_doctor_says_what_is_reached_and_what_to_configure() {
    let dir = tempfile::tempdir().unwrap();
    let _fleet = fleet(dir.path());
    let (code, out, err) = qd(dir.path(), &["doctor"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(out.lines().filter(|l| l.ends_with(": reached")).count(), 2, "{out}");
    for expected in
        ["authentication  accepted", "token", "kinds are seen", "velero          live", "the API server", ".etcd] takes endpoints"]
    {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let etcd = |args: &[&str]| -> (i32, Value) {
        let (code, out, _) = qd(dir.path(), &[&["doctor", "-o", "json"][..], args].concat());
        let all: Value = serde_json::from_str(&out).unwrap();
        let checks = all["items"][0]["checks"].as_array().unwrap();
        (code, checks.iter().find(|c| c["what"] == "etcd").unwrap().clone())
    };
    let (code, check) = etcd(&[]);
    assert_eq!((code, &check["state"], &check["expected"], &check["ok"]), (0, &"absent".into(), &false.into(), &false.into()));
    // Nothing listens on port 9 of loopback.
    let config = dir.path().join("qd.toml");
    std::fs::write(&config, "[clusters.\"*\".etcd]\nendpoints = [\"http://127.0.0.1:9\"]\n").unwrap();
    let (code, check) = etcd(&["--config", config.to_str().unwrap()]);
    assert_eq!((code, &check["state"], &check["expected"]), (3, &"failing".into(), &true.into()), "{check}");
    assert_eq!((&check["via"], check["since"].is_string()), (&"http://127.0.0.1:9".into(), true));
    assert!(check["message"].as_str().unwrap().contains("refused"), "{check}");
    assert_eq!(qd(dir.path(), &["doctor", "-o", "csv"]).0, 2);
}

#[test]
fn a_doctor_names_what_may_not_be_seen_and_who_is_not_reached() {
    let dir = tempfile::tempdir().unwrap();
    quarterdeck::client::install_crypto_provider();
    let mut scenario = Scenario::load("calm").unwrap();
    scenario.resize(Some(1), Some(3), Some(12)).unwrap();
    let _fleet = start(&Options { scenario, kubeconfig: Some(dir.path().join("kubeconfig")), viewer: true }).unwrap();
    let (code, out, _) = qd(dir.path(), &["doctor"]);
    assert_eq!(code, 3, "{out}");
    assert!(out.lines().any(|l| l.starts_with("X nodes") && l.contains("forbidden") && l.ends_with("needs list nodes")), "{out}");
    let dir = room();
    let (code, out, err) = qd(dir.path(), &["doctor", "--timeout", "20s"]);
    assert_eq!(code, 3, "{err}");
    assert!(out.contains("X api") && out.contains("unreachable") && out.contains("https://127.0.0.1:9"), "{out}");
    assert!(!out.contains("canary-token-7f3a") && !err.contains("canary-token-7f3a"), "{out}{err}");
}
