//! The verbs on the command line against a simulated fleet: exit codes, refusals, events, jobs, the audit log, undo, resume, and the
//! question on a terminal.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "the real-server suite uses the rest")]
mod support;

use quarterdeck::client::install_crypto_provider;
use quarterdeck::sim::{Options, Running, Scenario, start};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::lab::{QD, Room, until};
use support::pty::Term;

/// A fleet, a directory of its own, and `qd` in between.
struct Lab {
    running: Running,
    room: Room,
    config: String,
}

/// What came of one run.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn events(&self) -> Vec<Value> {
        self.out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }
    fn last(&self) -> Value {
        self.events().pop().unwrap_or_else(|| panic!("no events; {}", self.err))
    }
    #[track_caller]
    fn is(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.out.contains(text) || self.err.contains(text), "no {text:?} in {}{}", self.out, self.err);
        self
    }
}

const EU: [&str; 2] = ["--context", "prod-eu"];
const CHECKOUT: [&str; 6] = ["scale", "deployment/checkout", "-n", "pay", "--context", "prod-eu"];

impl Lab {
    fn new(clusters: usize, config: &str) -> Self {
        install_crypto_provider();
        let mut scenario = Scenario::load("calm").unwrap();
        scenario.resize(Some(clusters), Some(4), Some(60)).unwrap();
        (scenario.replace_every, scenario.churn) = (0.0, 0.0);
        let running = start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap();
        let lab = Self { running, room: Room::new(), config: "qd.toml".to_owned() };
        std::fs::write(lab.room.path(&lab.config), config).unwrap();
        lab
    }
    fn args<'a>(&self, args: &[&'a str]) -> Vec<std::borrow::Cow<'a, str>> {
        let config = self.room.path(&self.config).display().to_string();
        let mut all: Vec<std::borrow::Cow<str>> = args.iter().map(|a| (*a).into()).collect();
        all.extend(["--config".into(), config.into()]);
        all
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(QD);
        command.env_clear().envs(self.room.env(&self.running.kubeconfig)).stdin(Stdio::null());
        command.args(self.args(args).iter().map(|a| a.as_ref()));
        command
    }
    fn qd(&self, args: &[&str]) -> Ran {
        let out = self.command(args).output().unwrap();
        let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
        Ran { code: out.status.code().unwrap_or(-1), out: text(out.stdout), err: text(out.stderr) }
    }
    fn more(&self, base: &[&str], more: &[&str]) -> Ran {
        self.qd(&[base, more].concat())
    }
    /// A field of the only item that `qd get` prints.
    fn get(&self, kind: &str, name: &str, field: &str) -> Value {
        let out = self.qd(&["get", kind, name, "-o", "json", EU[0], EU[1]]).is(0, "items");
        let value: Value = serde_json::from_str(&out.out).unwrap();
        let items = value["items"].as_array().unwrap();
        let named: Vec<&Value> = items.iter().filter(|i| i["name"] == name).collect();
        assert_eq!(named.len(), 1, "{}", out.out);
        named[0][field].clone()
    }
    fn replicas(&self) -> Value {
        self.get("deployments", "checkout", "desired")
    }
    fn jobs(&self) -> Vec<Value> {
        let out = self.qd(&["jobs", "-o", "json"]).is(0, "items");
        serde_json::from_str::<Value>(&out.out).unwrap()["items"].as_array().unwrap().clone()
    }
    /// The lines of the audit log.
    fn audit(&self, args: &[&str]) -> Vec<Value> {
        self.more(&["audit", "-o", "json"], args).is(0, "").events()
    }
    fn terminal(&self, args: &[&str]) -> Term {
        let args = self.args(args);
        let args: Vec<&str> = args.iter().map(|a| a.as_ref()).collect();
        Term::open(&args, self.room.env(&self.running.kubeconfig), 80, 24)
    }
}

#[test]
fn a_change_is_told_event_by_event_then_found_in_jobs_and_audit_and_taken_back() {
    let lab = Lab::new(2, "");
    assert_eq!(lab.replicas(), 6);
    // With two contexts and none named, nothing is guessed.
    lab.qd(&["scale", "deployment/checkout", "-n", "pay", "--replicas", "7", "--yes"]).is(4, "prod-eu, prod-us");
    // A plan alone is no change and no record.
    let dry = lab.more(&CHECKOUT, &["--replicas", "7", "--dry-run"]).is(0, "6 -> 7");
    assert!(dry.out.lines().nth(1).unwrap().starts_with("verdict: fits"), "{}", dry.out);
    // Nobody to ask, and no flag that says yes.
    lab.more(&CHECKOUT, &["--replicas", "7"]).is(4, "--yes");
    assert_eq!((lab.replicas(), lab.jobs().len()), (json!(6), 0));

    let ran = lab.more(&CHECKOUT, &["--replicas", "7", "--yes", "-o", "json", "--reason", "more load"]).is(0, "outcome");
    let events = ran.events();
    let names: Vec<&str> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(&names[..2], ["plan", "preflight"]);
    assert!(names[2..names.len() - 1].iter().all(|n| *n == "step"), "{names:?}");
    let plan = &events[0];
    assert_eq!((&plan["verb"], &plan["verdict"], &plan["undo"]), (&json!("scale"), &json!("fits"), &json!("exact")));
    assert_eq!(plan["steps"][0]["changes"][0], json!({"field": "/spec/replicas", "before": 6, "after": 7}));
    assert_eq!(plan["blast"][0]["workloads"], 1);
    assert_eq!((&events[1]["confirm"], &events[1]["refusals"]), (&json!("yes"), &json!([])));
    assert_eq!(events[1]["checks"][0]["text"], "may patch deployments/scale in pay");
    let states: Vec<&str> = events[2..].iter().filter_map(|e| e["state"].as_str()).collect();
    assert!(states.contains(&"running") && states.iter().filter(|s| **s == "done").count() == 2, "{states:?}");
    let (job, last) = (&events[2]["job"], ran.last());
    assert_eq!((&last["event"], &last["outcome"], &last["job"]), (&json!("outcome"), &json!("done"), job));
    assert_eq!(lab.replicas(), 7);

    let jobs = lab.jobs();
    assert_eq!((&jobs[0]["job"], &jobs[0]["state"], &jobs[0]["undoable"]), (job, &json!("done"), &json!(true)));
    let audit = lab.audit(&[]);
    let kinds: Vec<&str> = audit.iter().map(|r| r["event"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("intent", "outcome"));
    assert_eq!((&audit[0]["reason"], &audit[0]["confirmed"]), (&json!("more load"), &json!("flag")));
    assert!(audit.iter().any(|r| r["http"] == 200 && r["audit_id"].is_string()), "{audit:?}");

    let undone = lab.qd(&["undo", "last", "--yes", "-o", "json"]).is(0, "outcome");
    assert_eq!(undone.last()["outcome"], "done");
    assert_eq!(lab.replicas(), 6);
    // What was taken back is not taken back twice.
    lab.qd(&["undo", job.as_str().unwrap(), "--yes"]).is(1, "was followed by");
}

#[test]
fn what_is_wrong_with_a_command_is_said_before_anything_is_asked() {
    let lab = Lab::new(1, "");
    lab.more(&CHECKOUT, &["--yes"]).is(2, "needs REPLICAS");
    lab.more(&CHECKOUT, &["--replicas", "many", "--yes"]).is(2, "150%");
    lab.qd(&["scale", "deploymnt/checkout", "-n", "pay", "--replicas", "7"]).is(2, "deployment");
    lab.qd(&["scale", "deployment/chekout", "-n", "pay", "--replicas", "7"]).is(1, "did you mean checkout?");
    lab.qd(&["scale", "deployment/checkout", "--replicas", "7"]).is(1, "-n pay");
    lab.qd(&["scale", "node/node-001", "--replicas", "7"]).is(2, "anything with /scale");
    lab.qd(&["cordon"]).is(2, "needs a node");
    lab.qd(&["resume", "20260301-024730-4f2a"]).is(2, "qd jobs");
    let json = lab.qd(&["scale", "deployment/chekout", "-n", "pay", "--replicas", "7", "-o", "json"]).is(1, "error");
    let error: Value = serde_json::from_str(json.err.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["kind"], "not-found");
    // Nothing to do is done.
    lab.more(&CHECKOUT, &["--replicas", "6", "--yes"]).is(0, "nothing to do");
    assert_eq!(lab.jobs().len(), 0);
}

#[test]
fn production_wants_its_name_typed_and_a_reason() {
    let lab = Lab::new(1, "[clusters.prod-eu]\ntier = \"production\"\nname = \"EU one\"\n[tiers.production]\nreason = \"required\"\n");
    lab.more(&CHECKOUT, &["--replicas", "7", "--yes", "--reason", "x"]).is(4, "EU one");
    lab.more(&CHECKOUT, &["--replicas", "7", "--confirm", "prod-eu", "--reason", "x"]).is(4, "EU one");
    lab.more(&CHECKOUT, &["--replicas", "7", "--confirm", "EU one"]).is(4, "reason is required");
    let refused = lab.more(&CHECKOUT, &["--replicas", "7", "--confirm", "EU one", "-o", "json"]).is(4, "refused");
    assert_eq!((&refused.last()["outcome"], &refused.last()["job"]), (&json!("refused"), &json!(null)));
    assert_eq!((lab.replicas(), lab.jobs().len()), (json!(6), 0));
    lab.more(&CHECKOUT, &["--replicas", "7", "--confirm", "EU one", "--reason", "x"]).is(0, "done");
    assert_eq!(lab.replicas(), 7);
    assert_eq!(lab.audit(&[])[0]["confirmed"], "typed");
}

#[test]
fn read_only_deny_and_windows_refuse_whatever_is_said() {
    let lab = Lab::new(1, "");
    lab.more(&CHECKOUT, &["--replicas", "7", "--yes", "--read-only"]).is(4, "read-only");
    for (rule, code, expected) in [
        ("deny = [\"scale deployment/check*\"]", 4, "denies `scale deployment/check*`"),
        // One minute of the week, that is not now.
        ("window = [\"WINDOW\"]", 4, "outside its window"),
        ("deny = [\"scael deployment/*\"]", 4, "did you mean `scale`?"),
        ("confrm = \"none\"", 2, "did you mean `confirm`?"),
    ] {
        let day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let today = usize::try_from(jiff::Timestamp::now().as_second() / 86400 + 3).unwrap() % 7;
        let rule = rule.replace("WINDOW", &format!("{} 00:00-00:01", day[(today + 3) % 7]));
        std::fs::write(lab.room.path("qd.toml"), format!("[clusters.prod-eu]\ntier = \"staging\"\n[tiers.staging]\n{rule}\n")).unwrap();
        lab.more(&CHECKOUT, &["--replicas", "7", "--yes"]).is(code, expected);
        lab.more(&CHECKOUT, &["--replicas", "7", "--dry-run"]).is(code, expected);
    }
    std::fs::write(lab.room.path("qd.toml"), "").unwrap();
    assert_eq!((lab.replicas(), lab.jobs().len()), (json!(6), 0));
}

#[test]
fn a_user_who_may_not_is_told_what_is_missing() {
    install_crypto_provider();
    let mut scenario = Scenario::load("calm").unwrap();
    scenario.resize(Some(1), Some(4), Some(60)).unwrap();
    let running = start(&Options { scenario, kubeconfig: None, viewer: true }).unwrap();
    let lab = Lab { running, room: Room::new(), config: "qd.toml".to_owned() };
    std::fs::write(lab.room.path("qd.toml"), "").unwrap();
    lab.more(&CHECKOUT, &["--replicas", "7", "--yes"]).is(4, "patch deployments/scale in pay");
    assert_eq!(lab.jobs().len(), 0);
}

#[test]
fn a_cluster_that_does_not_answer_is_partial_and_nothing_is_written() {
    let lab = Lab::new(1, "");
    lab.running.fleet.fault("prod-eu", &quarterdeck::sim::Fault::Refuse);
    lab.more(&CHECKOUT, &["--replicas", "7", "--yes", "--timeout", "5s"]).is(3, "prod-eu");
    assert_eq!(lab.jobs().len(), 0);
}

#[test]
fn several_objects_are_one_plan_and_one_job() {
    let lab = Lab::new(2, "");
    let ran = lab
        .qd(&["scale", "deployment", "checkout", "api", "-n", "pay", "--replicas", "+1", "--all", "--yes", "-o", "json", "--no-wait"])
        .is(0, "outcome");
    let events = ran.events();
    assert_eq!(events[0]["steps"].as_array().unwrap().len(), 4, "two of each of two clusters, and no waits: {}", events[0]);
    assert_eq!(events[0]["clusters"], json!(["prod-eu", "prod-us"]));
    assert_eq!((lab.jobs().len(), lab.replicas()), (1, json!(7)));
}

#[test]
fn the_audit_log_is_filtered_and_its_chain_is_checked() {
    let lab = Lab::new(2, "");
    lab.more(&CHECKOUT, &["--replicas", "7", "--yes", "--no-wait"]).is(0, "done");
    lab.qd(&["cordon", "node-001", "--context", "prod-us", "--yes"]).is(0, "done");
    let jobs = lab.jobs();
    let of = |args: &[&str]| {
        let mut jobs: Vec<String> = lab.audit(args).iter().map(|r| r["job"].as_str().unwrap().to_owned()).collect();
        jobs.dedup();
        jobs
    };
    let (scale, cordon) = (jobs[0]["job"].as_str().unwrap().to_owned(), jobs[1]["job"].as_str().unwrap().to_owned());
    assert_eq!(of(&[]), [scale.clone(), cordon.clone()]);
    assert_eq!(of(&["--job", &cordon]), [cordon.as_str()]);
    assert_eq!(of(&["--context", "prod-eu"]), [scale.as_str()]);
    assert_eq!(of(&["--verb", "cordon"]), [cordon.as_str()]);
    assert_eq!(of(&["--since", "1h"]).len(), 2);
    lab.qd(&["audit", "--verb", "cordn"]).is(2, "cordon");
    lab.qd(&["audit"]).is(0, "intent   cordon node node-001 on prod-us by");
    // Somebody makes a line say something else.
    let path = lab.room.state().join("audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"confirmed\":\"flag\"", "\"confirmed\":\"typed\"", 1)).unwrap();
    lab.qd(&["audit"]).is(3, "audit.jsonl:2: the line before it is not the one");
}

#[test]
fn a_drain_that_is_killed_is_interrupted_and_resume_finishes_it() {
    let lab = Lab::new(1, "");
    let drain = ["drain", "node-001", "--delete-emptydir-data", "--force", "--yes", EU[0], EU[1]];
    let mut child = lab.command(&[&drain[..], &["-o", "json"]].concat()).stdout(Stdio::piped()).spawn().unwrap();
    // Killed when the first pod is on its way.
    until("the first eviction", Duration::from_secs(60), || {
        let seen = std::fs::read_to_string(lab.room.state().join("audit.jsonl")).unwrap_or_default();
        if seen.contains("\"text\":\"evict pod") { Ok(()) } else { Err(seen) }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let audit = lab.audit(&[]);
    assert_eq!(audit[0]["event"], "intent");
    assert!(audit.iter().all(|r| r["event"] != "outcome"), "it was killed before its end");
    let jobs = lab.jobs();
    assert_eq!((&jobs[0]["state"], &jobs[0]["resumable"]), (&json!("interrupted"), &json!(true)));
    let id = jobs[0]["job"].as_str().unwrap().to_owned();
    lab.qd(&["jobs"]).is(0, &format!("qd resume {id}"));
    let resumed = lab.qd(&["resume", &id, "--yes", "-o", "json", "--timeout", "60s"]).is(0, "outcome");
    assert_eq!(resumed.last()["outcome"], "done");
    let out = lab.qd(&["get", "pods", "-o", "json", "--filter", "node:node-001"]).is(0, "items");
    let pods: Value = serde_json::from_str(&out.out).unwrap();
    let left: Vec<&str> = pods["items"].as_array().unwrap().iter().filter_map(|p| p["owner"].as_str()).collect();
    assert!(left.iter().all(|o| o.contains("DaemonSet") || o.contains("daemon")), "{left:?}");
    let jobs = lab.jobs();
    assert_eq!(jobs[0]["followed_by"], jobs[1]["job"]);
    lab.qd(&["resume", &id, "--yes"]).is(1, "followed by");
    // Both are one deed: the cordon of the first is taken back with the second.
    assert_eq!(jobs[1]["undoable"], true);
    lab.qd(&["undo", &id, "--yes"]).is(1, &format!("qd undo {}", jobs[1]["job"].as_str().unwrap()));
    lab.qd(&["undo", "last", "--yes"]).is(0, "uncordon node node-001");
    lab.qd(&["cordon", "node-001", EU[0], EU[1], "--dry-run"]).is(0, "cordon node node-001");
}

#[test]
fn a_drain_silences_its_node_until_its_last_pod_is_gone() {
    let lab = Lab::new(1, "");
    let drain = ["drain", "node-001", "--delete-emptydir-data", "--force", "--silence", "--yes", EU[0], EU[1], "-o", "json"];
    let ran = lab.qd(&drain).is(0, "outcome");
    assert_eq!(ran.last()["outcome"], "done", "{}", ran.out);
    let events = ran.events();
    let texts: Vec<&str> = events[0]["steps"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap()).collect();
    let at = |text: &str, state: &str| {
        let steps = audit_steps(&lab);
        steps.iter().position(|(t, s)| t.starts_with(text) && s == state).unwrap_or_else(|| panic!("no {text} {state}: {steps:?}"))
    };
    assert!(
        texts[1].starts_with("silence ") && texts[1].contains("node-001") && texts.last().unwrap().starts_with("end the silence"),
        "{texts:?}"
    );
    assert!(at("silence ", "done") < at("evict pod", "running"), "before the first pod goes");
    assert!(at("evict pod", "done") < at("end the silence", "done"));
    let silences = lab.qd(&["get", "silences", "-o", "json", EU[0], EU[1]]).is(0, "drain of node node-001");
    let silences: Value = serde_json::from_str(&silences.out).unwrap();
    let ours = silences["items"].as_array().unwrap().iter().find(|s| s["comment"] == "drain of node node-001").unwrap();
    assert_eq!(ours["status"], "expired", "{ours}");
    // What the drain has ended itself is not ended again.
    let undone = lab.qd(&["undo", "last", "--yes"]).is(0, "uncordon node node-001");
    assert!(!undone.out.contains("silence"), "{}", undone.out);
    lab.qd(&["drain", "node-001", "--delete-emptydir-data", "--force", "--dry-run", EU[0], EU[1]]).is(0, "cordon node node-001");
}

/// The steps of the audit log as they went: what, and how it stood.
fn audit_steps(lab: &Lab) -> Vec<(String, String)> {
    let steps = lab.audit(&[]).into_iter().filter(|r| r["event"] == "step");
    let word = |state: &Value| state.as_str().or_else(|| state["state"].as_str()).unwrap_or_default().to_owned();
    steps.map(|r| (r["text"].as_str().unwrap_or_default().to_owned(), word(&r["state"]))).collect()
}

#[test]
fn what_was_changed_since_is_left_alone_by_an_undo_and_keeps_nothing_else() {
    let lab = Lab::new(1, "");
    let both = ["scale", "deployment", "checkout", "ledger", "-n", "pay", "--yes", "--no-wait", EU[0], EU[1]];
    lab.more(&both, &["--replicas", "+1"]).is(0, "done");
    let first = lab.jobs()[0]["job"].as_str().unwrap().to_owned();
    lab.qd(&["scale", "deployment/ledger", "-n", "pay", "--replicas", "2", "--yes", "--no-wait", EU[0], EU[1]]).is(0, "done");
    lab.qd(&["undo", &first, "--yes"]).is(0, "left as it is: prod-eu: deployment pay/ledger: spec.replicas is 2");
    assert_eq!(lab.replicas(), json!(6));
    lab.qd(&["undo", &first, "--yes"]).is(1, "followed by");
}

#[test]
fn ctrl_c_stops_a_job_safely_and_says_how_to_go_on() {
    let lab = Lab::new(1, "");
    let drain = ["drain", "node-001", "node-002", "--delete-emptydir-data", "--force", "--yes", "-o", "json", EU[0], EU[1]];
    let child = lab.command(&drain).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the first eviction", Duration::from_secs(60), || {
        let seen = std::fs::read_to_string(lab.room.state().join("audit.jsonl")).unwrap_or_default();
        if seen.contains("\"text\":\"evict pod") { Ok(()) } else { Err(seen) }
    });
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let began = Instant::now();
    let out = child.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(40), "what is in flight is waited for, no more");
    let (text, err) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert_eq!(out.status.code(), Some(5), "{text}{err}");
    assert!(err.contains("stopping"), "{err}");
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["outcome"], &last["why"]), (&json!("cancelled"), &json!("interrupted by ctrl-c")));
    assert_eq!(lab.jobs()[0]["state"], "cancelled");
    assert_eq!(lab.jobs()[0]["resumable"], true);
}

#[test]
fn on_a_terminal_it_asks_and_enter_alone_is_no() {
    let lab = Lab::new(1, "");
    let mut term = lab.terminal(&[&CHECKOUT[..], &["--replicas", "7"]].concat());
    // Typed before the question: it does not count.
    term.keys("y\r");
    term.line(30, &["do it? (y)"]);
    term.line(1, &["verdict: fits"]);
    std::thread::sleep(Duration::from_millis(300));
    term.keys("\r");
    assert_eq!(term.ended(20), Vec::<String>::new());
    assert_eq!((lab.replicas(), lab.jobs().len()), (json!(6), 0));
    let mut term = lab.terminal(&[&CHECKOUT[..], &["--replicas", "7"]].concat());
    term.line(30, &["do it? (y)"]);
    std::thread::sleep(Duration::from_millis(300));
    term.keys("y\r");
    term.ended(30);
    assert!(term.lines().iter().any(|l| l.starts_with("job ")), "{:?}", term.lines());
    assert_eq!((lab.replicas(), lab.jobs().len()), (json!(7), 1));
    assert_eq!(lab.audit(&[])[0]["confirmed"], "yes");
}

#[test]
fn in_production_the_terminal_asks_for_the_name() {
    let lab = Lab::new(1, "[clusters.prod-eu]\ntier = \"production\"\n");
    for (typed, code) in [("y\r", 6), ("prod-us\r", 6), ("prod-eu\r", 7)] {
        let mut term = lab.terminal(&[&CHECKOUT[..], &["--replicas", "7"]].concat());
        term.line(30, &["type prod-eu to do it"]);
        std::thread::sleep(Duration::from_millis(300));
        term.keys(typed);
        term.ended(30);
        assert_eq!(lab.replicas(), code, "after {typed:?}");
    }
    assert_eq!(lab.jobs().len(), 1);
}

#[test]
fn rollouts_are_told_and_their_revisions_listed() {
    let lab = Lab::new(1, "");
    let checkout = ["deployment/checkout", "-n", "pay", EU[0], EU[1]];
    lab.more(&["rollout", "status"], &checkout).is(0, "rolled out");
    lab.more(&["restart"], &[&checkout[..], &["--yes"]].concat()).is(0, "done");
    let history = lab.more(&["rollout", "history", "-o", "json"], &checkout).is(0, "items");
    let items: Value = serde_json::from_str(&history.out).unwrap();
    let seen: Vec<(i64, bool)> =
        items["items"].as_array().unwrap().iter().map(|r| (r["revision"].as_i64().unwrap(), r["current"].as_bool().unwrap())).collect();
    assert_eq!(seen, [(1, false), (2, true)]);
    lab.more(&["rollout", "history", "--revision", "1"], &checkout).is(0, "restartedAt");
    lab.more(&["rollout", "history", "--revision", "9"], &checkout).is(1, "there are 1, 2");
    lab.qd(&["rollout", "history", "node/node-001"]).is(2, "Deployment, StatefulSet or DaemonSet");
}

#[test]
fn a_runbook_is_one_plan_one_confirmation_and_one_job() {
    let lab = Lab::new(1, "");
    lab.qd(&["run"]).is(0, "node-maintenance: Cordon and drain a node");
    lab.qd(&["run", "node-maintenanc"]).is(2, "did you mean `node-maintenance`?");
    lab.qd(&["run", "node-maintenance", "--yes"]).is(2, "needs node");
    let run = ["run", "node-maintenance", "--param", "node=node-001", "--param", "pause=1s", EU[0], EU[1]];
    let dry = lab.more(&run, &["--dry-run"]).is(0, "uncordon node node-001");
    assert!(dry.out.contains("  work\n    wait 1s\n"), "{}", dry.out);
    assert_eq!(lab.jobs().len(), 0);
    let ran = lab.more(&run, &["--yes", "-o", "json"]).is(0, "outcome");
    assert_eq!((&ran.last()["outcome"], &ran.events()[0]["parts"]), (&json!("done"), &json!(["cordon", "drain", "uncordon"])));
    // In the order of the runbook: what comes after stands on what came before.
    let audit = lab.audit(&["--verb", "drain"]);
    let done: Vec<&str> = audit.iter().filter(|r| r["state"] == "done").filter_map(|r| r["text"].as_str()).collect();
    let at = |text: &str| done.iter().position(|t| *t == text).unwrap_or_else(|| panic!("no {text} in {done:?}"));
    let last_eviction = done.iter().rposition(|t| t.starts_with("evict")).unwrap();
    assert!(at("cordon node node-001") < last_eviction && last_eviction < at("work: wait 1s"), "{done:?}");
    assert!(at("work: wait 1s") < at("uncordon node node-001"), "{done:?}");
    assert_eq!(lab.jobs().len(), 1);
    // Every verb in it is looked at by the guardrails.
    std::fs::write(lab.room.path("qd.toml"), "[clusters.prod-eu]\ntier = \"staging\"\n[tiers.staging]\ndeny = [\"drain *\"]\n").unwrap();
    lab.more(&run, &["--yes"]).is(4, "denies `drain *`");
    assert_eq!(lab.jobs().len(), 1);
}

/// What a person's own files would be is never read: the room has none.
#[test]
fn nothing_is_kept_outside_the_state_directory() {
    let lab = Lab::new(1, "");
    lab.more(&CHECKOUT, &["--replicas", "7", "--yes", "--no-wait"]).is(0, "done");
    let here: Vec<PathBuf> = ["home", "config", "xdg"].iter().map(|d| lab.room.path(d)).filter(|p| p.exists()).collect();
    assert_eq!(here, Vec::<PathBuf>::new());
    let locks =
        std::fs::read_dir(lab.room.state()).unwrap().filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().starts_with("job-"));
    assert_eq!(locks.count(), 0, "no lock of a job is left");
}

const REPORTS: &str = "/apis/wgpolicyk8s.io/v1alpha2";

/// What the manifests of a scheduled inspection allow: verb, group and resource; the names of services that are proxied to; paths.
fn allowed() -> (BTreeSet<[String; 3]>, BTreeSet<String>, BTreeSet<String>) {
    let (mut rules, mut services, mut paths) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let text = std::fs::read_to_string("assets/inspect/rbac.yaml").unwrap();
    for document in text.split("\n---\n") {
        let role: Value = serde_saphyr::from_str(document).unwrap();
        let words = |v: &Value| v.as_array().into_iter().flatten().map(|w| w.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        for rule in role["rules"].as_array().into_iter().flatten() {
            paths.extend(words(&rule["nonResourceURLs"]));
            services.extend(words(&rule["resourceNames"]));
            for group in words(&rule["apiGroups"]) {
                for resource in words(&rule["resources"]) {
                    rules.extend(words(&rule["verbs"]).into_iter().map(|verb| [verb, group.clone(), resource.clone()]));
                }
            }
        }
    }
    (rules, services, paths)
}

/// What an authorizer is asked of a request: verb, group and resource, and the name; none: it is of no resource.
fn attributes(method: &str, path: &str) -> Option<([String; 3], Option<String>)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let resource = match rest {
        [plural, _, sub, ..] => format!("{plural}/{sub}"),
        [plural, ..] => (*plural).to_owned(),
        [] => return None,
    };
    let name = rest.get(1).map(|n| (*n).to_owned());
    let verb = match (method, &name) {
        ("GET", None) => "list",
        ("GET", _) => "get",
        ("WATCH", _) => "watch",
        ("POST", _) => "create",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        other => panic!("{other:?} {path}"),
    };
    Some(([verb.to_owned(), group.to_owned(), resource], name))
}

#[test]
fn a_scheduled_inspection_asks_what_its_role_allows_and_its_role_allows_nothing_else() {
    let lab = Lab::new(1, "");
    let fleet = &lab.running.fleet;
    let namespace = json!({"metadata": {"name": "empty"}});
    fleet.by_another(EU[1], "POST", "/api/v1/namespaces", "application/json", namespace).unwrap();
    let old =
        json!({"kind": "PolicyReport", "metadata": {"name": "quarterdeck", "labels": {"app.kubernetes.io/managed-by": "quarterdeck"}}});
    let own = format!("{REPORTS}/namespaces/empty/policyreports");
    fleet.by_another(EU[1], "POST", &own, "application/json", old).unwrap();
    let kyverno = json!({"kind": "PolicyReport", "metadata": {"name": "cpol-x", "labels": {"app.kubernetes.io/managed-by": "kyverno"}}});
    fleet.by_another(EU[1], "POST", &own, "application/json", kyverno).unwrap();
    // What the role leaves out, or has for another name, the server says one may not: then it is not asked for.
    for resource in ["nodes/proxy", "configmaps"] {
        assert!(fleet.fault(EU[1], &quarterdeck::sim::Fault::Denied("get".into(), resource.into())));
    }
    fleet.heard(EU[1]);
    let file = lab.room.path("qd.prom");
    let publish = ["inspect", "--publish", "policyreport", "--every", "15m", "--yes", "--metrics-file", file.to_str().unwrap()];
    lab.qd(&publish).is(0, "publish ");
    let heard = fleet.heard(EU[1]);
    let (rules, services, paths) = allowed();
    let mut used = BTreeSet::new();
    for (method, path) in &heard {
        match attributes(method, path) {
            None => assert!(paths.contains(path), "{method} {path} is not allowed"),
            Some((asked, name)) => {
                assert!(rules.contains(&asked), "{asked:?} is not allowed: {method} {path}");
                if asked[2] == "services/proxy" {
                    assert!(services.contains(name.as_ref().unwrap()), "{path}");
                }
                if asked[0] == "patch" {
                    // What is applied and is not there is made.
                    used.insert(["create".to_owned(), asked[1].clone(), asked[2].clone()]);
                }
                used.insert(asked);
            }
        }
    }
    // The deletion of a report is of a namespace's; the cluster's own is always there.
    let twice = |verb: &str| [verb, "wgpolicyk8s.io", "clusterpolicyreports"].map(str::to_owned);
    // Of groups that the simulated fleet has not, the first refusal ends the question.
    const UNSERVED: [&str; 2] = ["admissionregistration.k8s.io", "rbac.authorization.k8s.io"];
    let unserved = |r: &[String; 3]| UNSERVED.contains(&r[1].as_str()) && used.iter().any(|u| u[1] == r[1]);
    // Those of an ingress-nginx of the usual name, which this fleet has not.
    let settings = ["get", "", "configmaps"].map(str::to_owned);
    // Those of nodes that are not ready, of which it has none.
    let leases = ["get", "coordination.k8s.io", "leases"].map(str::to_owned);
    let known = |r: &[String; 3]| [twice("delete"), twice("get"), settings.clone(), leases.clone()].contains(r);
    let spare: Vec<_> = rules.iter().filter(|r| !used.contains(*r) && !unserved(r) && !known(r)).collect();
    assert!(spare.is_empty(), "allowed and not asked for: {spare:?}");
    assert!(heard.iter().any(|(_, p)| p == "/metrics") && heard.iter().any(|(_, p)| p == "/readyz"), "{heard:?}");

    let object = |path: &str| fleet.object(EU[1], &format!("{REPORTS}{path}"));
    assert!(object("/namespaces/empty/policyreports/quarterdeck").is_none(), "nothing is found there");
    assert!(object("/namespaces/empty/policyreports/cpol-x").is_some(), "others' reports are theirs");
    let whole = object("/clusterpolicyreports/quarterdeck").unwrap();
    assert_eq!(whole["metadata"]["annotations"]["quarterdeck.io/every"], "15m");
    assert!(whole["summary"]["pass"].as_u64().unwrap() > 20 && whole["summary"]["skip"].as_u64().unwrap() > 0, "{}", whole["summary"]);

    let inspected: Value = serde_json::from_str(&lab.qd(&["inspect", "-o", "json"]).out).unwrap();
    let of_pay = inspected["items"].as_array().unwrap().iter().filter(|i| i["namespace"] == "pay").count();
    let pay = object("/namespaces/pay/policyreports/quarterdeck").unwrap();
    assert_eq!(pay["results"].as_array().unwrap().len(), of_pay, "{pay}");
    assert!(lab.audit(&[]).iter().any(|l| l.to_string().contains("\"publish\"")), "it is in the audit log");

    let metrics = std::fs::read_to_string(&file).unwrap();
    assert!(metrics.contains("qd_findings{cluster=\"prod-eu\",") && metrics.contains("qd_inspection_timestamp_seconds{"), "{metrics}");

    let again = lab.qd(&publish).is(0, "the same already");
    assert!(!again.out.contains("delete policyreport"), "{}", again.out);
    let later = object("/clusterpolicyreports/quarterdeck").unwrap();
    assert_eq!(later["metadata"]["uid"], whole["metadata"]["uid"]);
}

#[test]
fn an_inspection_is_published_as_a_whole_and_where_it_is_meant_to_be() {
    let lab = Lab::new(2, "[clusters.prod-us]\nread_only = true\n");
    let publish = ["inspect", "--publish", "policyreport"];
    lab.more(&publish, &["--yes"]).is(4, "--context NAME");
    lab.more(&publish, &EU).is(4, "--yes");
    lab.more(&publish, &[&EU[..], &["--yes", "-n", "pay"]].concat()).is(2, "-n");
    lab.more(&publish, &[&EU[..], &["--yes", "--rule", "pdb-missing"]].concat()).is(2, "--rule");
    lab.more(&publish, &[&EU[..], &["--yes", "--read-only"]].concat()).is(4, "read-only");
    lab.more(&publish, &["--yes", "--context", "prod-us"]).is(4, "read_only is set");
    lab.more(&publish, &[&EU[..], &["--dry-run"]].concat()).is(0, "publish ");
    let there = |cluster: &str| lab.running.fleet.object(cluster, &format!("{REPORTS}/clusterpolicyreports/quarterdeck")).is_some();
    assert!(!there("prod-eu") && !there("prod-us"), "nothing was written");
    // The report of one run is published by another.
    let report = lab.room.path("report.json");
    std::fs::write(&report, lab.more(&["inspect", "-o", "json"], &EU).out).unwrap();
    let ran = lab.more(&["publish", "-f", report.to_str().unwrap(), "--yes"], &EU).is(0, "publish ");
    assert!(there("prod-eu") && !there("prod-us"));
    // There is no way back, and the log has of each report how much it was and its digest.
    assert!(ran.out.contains("job ") && !ran.out.contains("qd undo"), "{}", ran.out);
    let log = lab.qd(&["audit", "-o", "json"]).is(0, "sha256").out;
    assert!(log.contains("notKept") && !log.contains("\"results\":["), "{log}");
}

#[test]
fn findings_are_read_from_what_was_published_and_nothing_is_judged() {
    let mut lab = Lab::new(2, "");
    lab.more(&["inspect", "--publish", "policyreport", "--every", "15m", "--yes"], &EU).is(0, "publish ");
    let inspect = |lab: &Lab| {
        let ran = lab.more(&["inspect", "-o", "json"], &EU);
        let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}{}", ran.out, ran.err));
        (report, ran.code)
    };
    let found = |report: &Value| -> Vec<Value> {
        let fields = ["rule", "area", "tier", "severity", "cluster", "kind", "namespace", "name", "next_step"];
        let items = report["items"].as_array().unwrap().iter();
        items.map(|i| fields.iter().map(|f| ((*f).to_owned(), i[f].clone())).collect::<serde_json::Map<_, _>>().into()).collect()
    };
    let (computed, _) = inspect(&lab);
    lab.config = "reports.toml".to_owned();
    std::fs::write(lab.room.path(&lab.config), "[clusters.'prod-*']\nfindings = \"reports\"\n").unwrap();
    let fleet = lab.running.fleet.clone();
    fleet.heard(EU[1]);
    let (read, code) = inspect(&lab);
    let heard = fleet.heard(EU[1]);
    assert_eq!((found(&read), code), (found(&computed), 0));
    assert!(!found(&read).is_empty() && read["clusters"][0]["reported_at"].is_string(), "{read}");
    let judged = ["/pods", "/nodes", "/deployments", "/services", "/leases", "/metrics"];
    let asked: Vec<_> = heard.iter().filter(|(_, path)| judged.iter().any(|j| path.ends_with(j))).collect();
    assert!(asked.is_empty() && heard.iter().any(|(_, path)| path.ends_with("/policyreports")), "{heard:?}");
    let rules = lab.more(&["rule", "list"], &EU).is(0, "NOT EVALUATED IN");
    let not = &read["clusters"][0]["not_evaluated"][0];
    let line = rules.out.lines().find(|l| l.starts_with(&format!("{} ", not["rule"].as_str().unwrap()))).unwrap();
    assert!(line.ends_with(&format!("prod-eu: {}", not["why"].as_str().unwrap())), "as the inspection inside it says: {line}");
    // What is read would stand there as found anew.
    lab.more(&["inspect", "--publish", "policyreport", "--yes"], &EU).is(4, "are read from its reports");
    // Where nobody publishes, nobody says that nothing is found.
    let none = lab.qd(&["inspect", "--context", "prod-us"]).is(3, "no report of an inspection is there (docs/scheduled-inspection.md)");
    assert!(!none.err.contains("nothing was found"), "{}", none.err);
    lab.qd(&["get", "findings", "--context", "prod-us"]).is(3, "no report of an inspection is there");
    let check = |lab: &Lab| -> Value {
        let told: Value = serde_json::from_str(&lab.more(&["doctor", "-o", "json"], &EU).out).unwrap();
        told["items"][0]["checks"].as_array().unwrap().iter().find(|c| c["what"] == "reports").unwrap().clone()
    };
    let well = check(&lab);
    assert_eq!((&well["state"], &well["ok"]), (&json!("current"), &json!(true)), "{well}");
    let old = json!({"metadata": {"annotations": {"quarterdeck.io/inspected-at": "2026-01-01T00:00:00Z"}}});
    let own = format!("{REPORTS}/clusterpolicyreports/quarterdeck");
    fleet.by_another(EU[1], "PATCH", &own, "application/merge-patch+json", old).unwrap();
    let stale = lab.more(&["inspect"], &EU).is(3, "the report is stale: ");
    assert!(stale.err.contains("one is expected every 15m"), "{}", stale.err);
    lab.more(&["doctor"], &EU).is(3, "the report is stale");
}

#[test]
fn the_manifests_of_a_scheduled_inspection_give_no_finding_above_info() {
    let lab = Lab::new(1, "");
    lab.qd(&["inspect", "--file", "assets/inspect/cronjob.yaml", "--file", "assets/inspect/rbac.yaml", "--fail-on", "warning"]).is(0, "");
}
