//! The real-server suite: `qd` against two real control planes, one of them an older Kubernetes.
//!
//! `tests/lab/run` brings them up and runs everything; with a lab of one's own: `QD_LAB=$LAB_HOME cargo test --test lab`. Without `QD_LAB`
//! every test is reported as ignored. Kept apart from libtest because the first of them stop each other's servers: these run one by one, in this order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers beside the test functions too")]

#[path = "lab/alerts.rs"]
mod alerts;
#[path = "lab/asked.rs"]
mod asked;
#[path = "lab/careless.rs"]
mod careless;
#[path = "lab/etcd.rs"]
mod etcd;
#[path = "lab/faults.rs"]
mod faults;
#[path = "lab/inspect.rs"]
mod inspect;
#[path = "lab/metrics.rs"]
mod metrics;
#[path = "lab/network.rs"]
mod network;
#[path = "lab/rotation.rs"]
mod rotation;
#[path = "lab/shown.rs"]
mod shown;
#[path = "lab/signals.rs"]
mod signals;
#[allow(dead_code, reason = "other suites use the rest")]
mod support;

use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::lab::{CONTEXTS, Lab, Room, until};
use support::pty::Term;
use support::runner::{Test, main as run, tests};
use support::{amount, parity};

const TESTS: &[Test] = tests![
    every_field_equals_what_kubectl_gives,
    status_is_the_word_that_kubectl_prints,
    two_versions_side_by_side,
    a_viewer_sees_what_may_be_seen_and_what_is_missing,
    one_forbidden_kind_costs_the_others_nothing,
    a_hostile_exec_plugin_paints_nothing_and_is_ended,
    the_terminal_is_given_back,
    no_secret_is_shown_or_kept,
    an_api_server_dies_and_comes_back,
    an_api_server_that_is_stopped_is_not_live,
    a_process_that_was_suspended_shows_the_truth,
];

fn main() -> ExitCode {
    amount::check();
    let ([answers @ .., stores], [members @ .., slow], [top, metrics @ ..]) = (faults::TESTS, etcd::TESTS, metrics::TESTS) else {
        unreachable!("all have tests")
    };
    // The first ones compare what all share, bring nodes, stop servers that all share, or ask one Prometheus from ten cockpits at once. Of the
    // others the longest first.
    run(
        &[TESTS, shown::TESTS, rotation::TESTS, std::slice::from_ref(top), answers],
        &[
            &[metrics],
            &[members],
            &[asked::TESTS],
            &[std::slice::from_ref(stores)],
            &[inspect::TESTS],
            &[alerts::TESTS],
            &[std::slice::from_ref(slow)],
            &[signals::TESTS],
            &[network::TESTS],
            &[careless::TESTS],
        ],
    )
}

/// A screen that shows every problem of the lab.
const SIZE: (u16, u16) = (170, 60);

fn cockpit(lab: &Lab, room: &Room, args: &[&str]) -> Term {
    Term::open(args, room.env(&lab.kubeconfig()), SIZE.0, SIZE.1)
}

/// The line of a cluster in the cockpit's strip, which stands under its header.
fn strip(lines: &[String], cluster: &str) -> Option<String> {
    let header = lines.iter().position(|l| l.contains("STATE") && l.contains("NODES"))?;
    lines[header + 1..].iter().take(6).find(|l| l.split_whitespace().take(3).any(|w| w == cluster)).cloned()
}

/// Which of these words a cluster's line in the strip has.
fn state(lines: &[String], cluster: &str, words: &[&str]) -> Option<String> {
    let line = strip(lines, cluster)?.to_lowercase();
    words.iter().find(|w| line.contains(**w)).map(|w| (*w).to_owned())
}

/// Waits until a cluster's line in the strip has one of these words.
fn stands(term: &mut Term, cluster: &str, words: &[&str], seconds: u64) -> String {
    term.wait(&format!("{cluster} to be {}", words.join(" or ")), seconds, |lines| state(lines, cluster, words))
}

/// The lines of BURNING.
fn burning(lines: &[String]) -> Vec<String> {
    let from = lines.iter().position(|l| l.starts_with("BURNING")).map_or(0, |n| n + 1);
    let to = lines.iter().position(|l| l.contains("STATE") && l.contains("NODES")).unwrap_or(from);
    lines.get(from..to.max(from)).unwrap_or_default().to_vec()
}

fn burns(term: &mut Term, cluster: &str, what: &str) {
    term.wait(&format!("BURNING to say {what} of {cluster}"), 60, |lines| {
        burning(lines).iter().any(|l| l.contains(cluster) && l.contains(what)).then_some(())
    });
}

fn all_live(term: &mut Term) {
    for context in CONTEXTS {
        stands(term, context, &["live"], 60);
    }
}

fn every_field_equals_what_kubectl_gives(lab: &Lab) {
    let room = Room::new();
    let mut wrong = Vec::new();
    for (subject, kinds) in parity::SUBJECTS {
        let report = parity::settle(lab, &room, subject, kinds, Duration::from_secs(120));
        let (filled, empty): (Vec<_>, Vec<_>) = report.fields.iter().partition(|(_, n)| **n > 0);
        let names = |of: &[(&String, &usize)]| of.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
        println!("  {subject}: {} rows, {} fields: {}", report.rows, report.fields.len(), names(&filled));
        if !empty.is_empty() {
            println!("    null in every row: {}", names(&empty));
        }
        if report.rows == 0 {
            wrong.push(format!("{subject}: nothing to compare"));
        }
        if !report.wrong.is_empty() {
            wrong.push(format!("{subject}: {} differ; the first:", report.wrong.len()));
            wrong.extend(report.wrong.into_iter().take(12).map(|w| format!("    {w}")));
        }
    }
    assert!(wrong.is_empty(), "qd and kubectl differ:\n{}", wrong.join("\n"));
}

fn status_is_the_word_that_kubectl_prints(lab: &Lab) {
    let room = Room::new();
    // Where kubectl's table has the name, the status, and READY and RESTARTS if it has them.
    for (kind, (name, status), counts) in [("nodes", (0, 1), None), ("pods", (1, 3), Some((2, 4)))] {
        until(&format!("the same {kind} as kubectl's"), Duration::from_secs(45), || {
            let (printed, ..) = room.json(&lab.kubeconfig(), &["get", kind, "--all", "-o", "json"]);
            for context in CONTEXTS {
                let table = lab.kubectl(context, &["get", kind, "-A", "--no-headers"]);
                for row in table.lines().map(|l| l.split_whitespace().collect::<Vec<_>>()) {
                    let place =
                        |i: &&Value| i["cluster"] == context && i["name"] == row[name] && (kind == "nodes" || i["namespace"] == row[0]);
                    let item = printed["items"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .find(place)
                        .ok_or_else(|| format!("{context} {row:?}: not printed by qd"))?;
                    let mut pairs = vec![(item["status"].as_str().unwrap_or_default().to_owned(), row[status])];
                    if let Some((ready, restarts)) = counts {
                        pairs.push((format!("{}/{}", item["ready"], item["containers"]), row[ready]));
                        pairs.push((item["restarts"].to_string(), row[restarts]));
                    }
                    if let Some((ours, theirs)) = pairs.into_iter().find(|(a, b)| a != b) {
                        return Err(format!("{context} {row:?}: qd has {ours}, kubectl {theirs}"));
                    }
                }
            }
            Ok(())
        });
    }
}

fn two_versions_side_by_side(lab: &Lab) {
    let room = Room::new();
    let versions = CONTEXTS.map(|c| lab.world(c).version);
    assert_ne!(versions[0], versions[1], "the lab was not brought up with --old");
    let mut term = cockpit(lab, &room, &[]);
    all_live(&mut term);
    term.pane("1", "CLUSTERS");
    for (context, version) in CONTEXTS.iter().zip(&versions) {
        term.line(20, &[context, version, "live"]);
    }
    // What only one of them could refuse: every kind is listed by both.
    for key in ["3", "7"] {
        let title = if key == "3" { "PODS" } else { "EVENTS" };
        term.pane(key, title);
        let lines = term.lines();
        assert!(!lines.iter().any(|l| l.contains("this server has no")), "{}", support::pty::framed(&lines));
    }
}

fn a_viewer_sees_what_may_be_seen_and_what_is_missing(lab: &Lab) {
    let room = Room::new();
    let (nodes, code, stderr) = room.json(&lab.viewer(), &["get", "nodes", "--all", "-o", "json"]);
    assert_eq!((code, nodes["items"].as_array().map(Vec::len)), (3, Some(0)), "{stderr}");
    for context in CONTEXTS {
        assert!(stderr.contains(&format!("{context}: nodes: forbidden, needs list nodes")), "{stderr}");
    }
    let (pods, code, stderr) = room.json(&lab.viewer(), &["get", "pods", "--all", "-o", "json"]);
    assert!(pods["items"].as_array().unwrap().len() > 100, "code {code}: {stderr}");
    let (fleet, ..) = room.json(&lab.viewer(), &["fleet", "-o", "json"]);
    for cluster in fleet["items"].as_array().unwrap() {
        assert_eq!(
            (&cluster["state"], &cluster["nodes"], &cluster["cpu_request_percent"]),
            (&json!("live"), &Value::Null, &Value::Null),
            "what is not seen is not zero: {cluster}"
        );
    }
    let mut term = Term::open(&[], room.env(&lab.viewer()), SIZE.0, SIZE.1);
    all_live(&mut term);
    for context in CONTEXTS {
        burns(&mut term, context, "crashloop");
    }
    term.pane("2", "NODES");
    for context in CONTEXTS {
        term.line(20, &[context, "nodes", "forbidden, needs list nodes"]);
    }
    for (key, title, row) in [
        ("3", "PODS", "crashloop-"),
        ("4", "WORKLOADS", "crashloop"),
        ("5", "HPA", "hot"),
        ("6", "PDB", "guarded"),
        ("8", "NAMESPACES", "faults"),
    ] {
        term.pane(key, title);
        for context in CONTEXTS {
            term.line(20, &[context, row]);
        }
        let lines = term.lines();
        assert!(!lines.iter().any(|l| l.contains("forbidden")), "{title} says forbidden:\n{}", support::pty::framed(&lines));
    }
}

fn one_forbidden_kind_costs_the_others_nothing(lab: &Lab) {
    let rule = |group: &str, what: &[&str]| json!({"apiGroups": [group], "resources": what, "verbs": ["get", "list", "watch"]});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "qd-narrow"}, "rules": [
        rule("", &["pods", "nodes", "events", "namespaces"]), rule("apps", &["*"]), rule("batch", &["*"]), rule("autoscaling", &["*"])]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "qd-narrow"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "qd-narrow"}, "subjects": [{"kind": "User", "name": "narrow", "apiGroup": "rbac.authorization.k8s.io"}]});
    lab.apply("lab-1", &json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}));
    let room = Room::new();
    let narrow = |kind: &str| room.json(&lab.kubeconfig(), &["--context", "lab-1", "--as", "narrow", "get", kind, "-o", "json"]);
    until("the role to count", Duration::from_secs(20), || match narrow("pods") {
        (_, 0, _) => Ok(()),
        (_, code, stderr) => Err(format!("code {code}: {stderr}")),
    });
    let (items, code, stderr) = narrow("pdb");
    assert_eq!((code, items["items"].as_array().map(Vec::len)), (3, Some(0)), "{stderr}");
    assert!(stderr.contains("forbidden, needs list poddisruptionbudgets"), "{stderr}");
    let mut term = cockpit(lab, &room, &["--context", "lab-1", "--as", "narrow"]);
    stands(&mut term, "lab-1", &["live"], 60);
    burns(&mut term, "lab-1", "node-notready");
    term.pane("6", "PDB");
    term.line(20, &["lab-1", "forbidden, needs list poddisruptionbudgets"]);
    term.pane("2", "NODES");
    term.line(20, &["lab-1", "node-notready", "NotReady"]);
}

fn a_hostile_exec_plugin_paints_nothing_and_is_ended(lab: &Lab) {
    const PAINT: &str = "PAINTED-OVER";
    const SLEEP: &str = "97.531";
    let running = || {
        let command = |e: std::fs::DirEntry| std::fs::read(e.path().join("cmdline")).ok();
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(command)
            .filter(|c| c.split(|b| *b == 0).any(|arg| arg == SLEEP.as_bytes()))
            .count()
    };
    let room = Room::new();
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(lab.kubeconfig()).unwrap()).unwrap();
    let script = format!(
        "printf '\\033[2J\\033[H{PAINT}' >/dev/tty; printf '\\033[2J\\033[H{PAINT}' >&2; printf '{PAINT}'; read -r x </dev/tty; sleep {SLEEP}"
    );
    let exec =
        json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script], "interactiveMode": "IfAvailable"});
    config["users"].as_array_mut().unwrap().push(json!({"name": "hostile", "user": {"exec": exec}}));
    config["contexts"].as_array_mut().unwrap().push(json!({"name": "hostile", "context": {"cluster": "lab-2", "user": "hostile"}}));
    let file = room.path("kubeconfig");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut term = Term::open(&[], room.env(&file), SIZE.0, SIZE.1);
    let began = Instant::now();
    all_live(&mut term);
    assert!(began.elapsed() < Duration::from_secs(25), "the others waited for the plugin: {:?}", began.elapsed());
    until("the plugin to run", Duration::from_secs(10), || if running() > 0 { Ok(()) } else { Err("it was not started".into()) });
    stands(&mut term, "hostile", &["no login", "down"], 60);
    term.pane("1", "CLUSTERS");
    // What it waits for is a person: said with the command that lets one answer.
    term.line(20, &["hostile", ":login hostile"]);
    term.pane("3", "PODS");
    for context in CONTEXTS {
        term.line(20, &[context, "crashloop-"]);
    }
    // Its words may be quoted; its control sequences may not.
    let bytes = term.bytes();
    let painted = format!("\x1b[2J\x1b[H{PAINT}");
    assert!(!bytes.windows(painted.len()).any(|w| w == painted.as_bytes()), "the plugin's output went to the terminal");
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    until(
        "the plugin to be ended",
        Duration::from_secs(10),
        || if running() == 0 { Ok(()) } else { Err(format!("{} still run", running())) },
    );
}

/// What ends `qd`, and how.
type Way = (&'static str, fn(&Term));

fn the_terminal_is_given_back(lab: &Lab) {
    let ways: [Way; 3] = [("quit", |t| t.keys("\x03\x03")), ("SIGTERM", |t| t.signal(Signal::TERM)), ("SIGHUP", |t| t.signal(Signal::HUP))];
    for (way, end) in ways {
        let room = Room::new();
        let mut term = cockpit(lab, &room, &[]);
        all_live(&mut term);
        term.pane("3", "PODS");
        end(&term);
        let wrong = term.ended(10);
        assert!(wrong.is_empty(), "after {way}: {}", wrong.join("; "));
    }
}

fn no_secret_is_shown_or_kept(lab: &Lab) {
    let canary = format!("canary-{}", std::process::id());
    lab.lab(&["secret", "lab-1", &canary]);
    // The token of every kubeconfig here, and what the API has of the canary.
    let base64 = lab.kubectl("lab-1", &["get", "secret", "-n", "kinds", "canary", "-o", "jsonpath={.data.token}"]);
    let secrets = [canary.as_str(), base64.trim(), "admin-token"];
    let room = Room::new();
    let mut said = Vec::new();
    let commands: &[&[&str]] = &[
        &["get", "pods", "--all", "-o", "json"],
        &["get", "events", "--all", "-o", "yaml"],
        &["fleet", "-o", "wide"],
        &["config", "show"],
        &["describe", "pod/db-0", "--context", "lab-1", "-n", "kinds"],
        &["snapshot", "--screen", "cockpit", "--cols", "160", "--rows", "50"],
    ];
    for args in commands {
        let out = room.qd(&lab.kubeconfig(), &[*args, &["--log-level", "trace"]].concat());
        said.push((args.join(" "), [out.stdout, out.stderr].concat()));
    }
    let mut term = cockpit(lab, &room, &["--log-level", "trace"]);
    all_live(&mut term);
    for (key, title) in [("1", "CLUSTERS"), ("2", "NODES"), ("3", "PODS"), ("4", "WORKLOADS"), ("7", "EVENTS"), ("8", "NAMESPACES")] {
        term.pane(key, title);
    }
    term.keys("\r");
    std::thread::sleep(Duration::from_secs(2));
    term.keys("\x03\x03");
    term.ended(10);
    said.push(("the frames".into(), term.bytes()));
    let mut folders = vec![room.state(), room.path("xdg"), room.path("home"), room.path("config")];
    let mut kept = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                kept += 1;
                said.push((entry.path().display().to_string(), std::fs::read(entry.path()).unwrap()));
                let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions()) & 0o777;
                assert_eq!(mode, 0o600, "{}", entry.path().display());
            }
        }
    }
    assert!(kept > 0 && said.iter().any(|(what, _)| what.ends_with(".log")), "no log file was written, so that this shows nothing");
    for (what, bytes) in &said {
        for secret in secrets {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{what} has {secret}");
        }
    }
}

/// A namespace that was not there before is seen in the namespaces pane: the watch is alive.
fn lives(lab: &Lab, term: &mut Term, context: &str, name: &str) {
    // The one of the run before may still be on its way out.
    let name = format!("{name}-{}", std::process::id());
    lab.kubectl(context, &["create", "namespace", &name]);
    term.pane("8", "NAMESPACES");
    term.line(30, &[context, &name]);
    lab.kubectl(context, &["delete", "namespace", &name, "--wait=false"]);
    term.keys("`");
    term.wait("the cockpit", 10, |lines| lines.iter().any(|l| l.starts_with("BURNING")).then_some(()));
}

fn an_api_server_dies_and_comes_back(lab: &Lab) {
    let room = Room::new();
    let mut term = cockpit(lab, &room, &[]);
    all_live(&mut term);
    for context in CONTEXTS {
        burns(&mut term, context, "node-notready");
        burns(&mut term, context, "crashloop");
    }
    for (key, title, row) in [("2", "NODES", "node-notready"), ("3", "PODS", "crashloop-"), ("5", "HPA", "hot"), ("6", "PDB", "guarded")] {
        term.pane(key, title);
        for context in CONTEXTS {
            term.line(20, &[context, row]);
        }
    }
    term.keys("`");
    stands(&mut term, "lab-2", &["live"], 20);
    let _back = Back { lab, what: ["start", "lab-2", "kube-apiserver"] };
    let before = term.frames();
    lab.lab(&["kill", "lab-2", "kube-apiserver"]);
    stands(&mut term, "lab-2", &["down"], 90);
    // Every frame since: refused connections make it stale for three seconds only, and nobody may have looked just then.
    let states = term.seen(before, |lines| state(lines, "lab-2", &["live", "stale", "down"]));
    assert_eq!(states.iter().find(|s| *s != "live").map(String::as_str), Some("stale"), "Stale comes before Unreachable: {states:?}");
    stands(&mut term, "lab-1", &["live"], 1);
    burns(&mut term, "lab-2", "DOWN");
    term.pane("3", "PODS");
    term.line(20, &["lab-2", "crashloop-"]);
    term.line(20, &["lab-2", "rows", "old"]);
    lives(lab, &mut term, "lab-1", "qd-alive-1");
    let (nodes, code, stderr) = room.json(&lab.kubeconfig(), &["get", "nodes", "--all", "-o", "json", "--timeout", "20s"]);
    let from: std::collections::BTreeSet<&str> = nodes["items"].as_array().unwrap().iter().filter_map(|i| i["cluster"].as_str()).collect();
    assert_eq!((code, from.into_iter().collect::<Vec<_>>()), (3, vec!["lab-1"]), "{stderr}");
    assert_eq!(nodes["clusters"][1]["state"], "unreachable", "{}", nodes["clusters"]);
    lab.lab(&["start", "lab-2", "kube-apiserver"]);
    stands(&mut term, "lab-2", &["live"], 90);
    lives(lab, &mut term, "lab-2", "qd-alive-2");
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

fn an_api_server_that_is_stopped_is_not_live(lab: &Lab) {
    let room = Room::new();
    let mut term = cockpit(lab, &room, &[]);
    all_live(&mut term);
    let _back = Back { lab, what: ["resume", "lab-2", "kube-apiserver"] };
    lab.lab(&["pause", "lab-2", "kube-apiserver"]);
    let stopped = Instant::now();
    stands(&mut term, "lab-2", &["stale"], 15);
    println!("  stale after {:.1} s", stopped.elapsed().as_secs_f32());
    stands(&mut term, "lab-1", &["live"], 1);
    stands(&mut term, "lab-2", &["down"], 60u64.saturating_sub(stopped.elapsed().as_secs()));
    println!("  unreachable after {:.1} s", stopped.elapsed().as_secs_f32());
    term.pane("3", "PODS");
    term.line(20, &["lab-2", "crashloop-"]);
    lives(lab, &mut term, "lab-1", "qd-alive-3");
    lab.lab(&["resume", "lab-2", "kube-apiserver"]);
    stands(&mut term, "lab-2", &["live"], 90);
    lives(lab, &mut term, "lab-2", "qd-alive-4");
}

/// What a laptop's lid does: nothing of ours runs for a while, and the world goes on. One server is even another process afterwards.
fn a_process_that_was_suspended_shows_the_truth(lab: &Lab) {
    const NAP: Duration = Duration::from_secs(20);
    let name = |what: &str| format!("qd-{what}-{}", std::process::id());
    let (before, after) = (name("before"), name("after"));
    let create = |context: &str, name: &str| {
        lab.kubectl(context, &["create", "pdb", name, "-n", "faults", "--selector=nobody=none", "--min-available=1"]);
    };
    let delete = |context: &str, name: &str| lab.kubectl(context, &["delete", "pdb", name, "-n", "faults"]);
    let room = Room::new();
    let mut term = cockpit(lab, &room, &[]);
    all_live(&mut term);
    term.pane("6", "PDB");
    for context in CONTEXTS {
        create(context, &before);
        term.line(20, &[context, &before]);
    }
    let _back = Back { lab, what: ["start", "lab-2", "kube-apiserver"] };
    term.signal(Signal::STOP);
    let asleep = Instant::now();
    std::thread::sleep(Duration::from_secs(1));
    let written = term.bytes().len();
    for context in CONTEXTS {
        delete(context, &before);
        create(context, &after);
    }
    lab.lab(&["kill", "lab-2", "kube-apiserver"]);
    lab.lab(&["start", "lab-2", "kube-apiserver"]);
    std::thread::sleep(NAP.saturating_sub(asleep.elapsed()));
    assert_eq!(term.bytes().len(), written, "it was to sleep");
    term.signal(Signal::CONT);
    let awake = Instant::now();
    for context in CONTEXTS {
        term.line(30, &[context, &after]);
        term.wait("what is gone to be gone", 30, |lines| (!lines.iter().any(|l| l.contains(context) && l.contains(&before))).then_some(()));
    }
    println!("  right {:.1} s after {:.0} s of sleep", awake.elapsed().as_secs_f32(), asleep.elapsed().as_secs_f32());
    term.keys("`");
    all_live(&mut term);
    for context in CONTEXTS {
        delete(context, &after);
    }
    term.pane("6", "PDB");
    term.wait("the last change", 20, |lines| (!lines.iter().any(|l| l.contains(&after))).then_some(()));
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

/// Brings a server back that a test has stopped and then failed: the next test needs it.
struct Back<'a> {
    lab: &'a Lab,
    what: [&'static str; 3],
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.lab.try_lab(&self.what);
        }
    }
}
