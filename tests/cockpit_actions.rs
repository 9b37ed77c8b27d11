//! The cockpit acts on a simulated fleet, in a pseudo terminal of 80x24: previews, what confirms and what does not, jobs, leaving.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers beside the test functions too")]

#[allow(dead_code, reason = "other suites use the rest")]
mod support;

use quarterdeck::client::install_crypto_provider;
use quarterdeck::sim::{Fault, Options, Running, Scenario, start};
use serde_json::Value;
use support::lab::Room;
use support::pty::Term;

struct Bridge {
    running: Running,
    room: Room,
}

impl Bridge {
    fn new() -> Self {
        Self::of(1)
    }

    fn of(clusters: usize) -> Self {
        install_crypto_provider();
        let mut scenario = Scenario::load("calm").unwrap();
        scenario.resize(Some(clusters), Some(4), Some(60)).unwrap();
        (scenario.replace_every, scenario.churn) = (0.0, 0.0);
        Self { running: start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap(), room: Room::new() }
    }

    /// The cockpit on the workloads, the Deployment `session` highlighted.
    fn open(&self, tier: &str) -> Term {
        self.open_with(tier, "")
    }

    fn open_with(&self, tier: &str, more: &str) -> Term {
        let mut term = self.open_on(&format!("[clusters.prod-eu]\ntier = \"{tier}\"\n{more}"));
        term.line(20, &["session", "3/3"]);
        term.keys("/name:session kind:Deployment\r");
        term.wait("one row", 10, |lines| lines.iter().any(|l| l.starts_with("WORKLOADS 1─")).then_some(()));
        term
    }

    /// The cockpit on the workloads, with this configuration.
    fn open_on(&self, config: &str) -> Term {
        std::fs::write(self.room.path("qd.toml"), config).unwrap();
        let config = self.room.path("qd.toml");
        let args = ["--config", config.to_str().unwrap(), "--screen", "workloads"];
        let mut env = self.room.env(&self.running.kubeconfig);
        env.push(("EDITOR", self.room.path("editor.sh")));
        Term::open(&args, env, 80, 24)
    }

    fn jobs(&self) -> Vec<Value> {
        self.room.json(&self.running.kubeconfig, &["jobs", "-o", "json"]).0["items"].as_array().unwrap().clone()
    }

    fn replicas(&self) -> i64 {
        let args = ["get", "deployments", "session", "-o", "json", "--timeout", "20s"];
        let list = self.room.json(&self.running.kubeconfig, &args).0;
        list["items"][0]["desired"].as_i64().unwrap_or_else(|| panic!("{list}"))
    }
}

/// Opens the preview of a scale to 6.
fn preview(term: &mut Term) {
    term.keys("s");
    term.line(10, &["scale deployment auth/session on prod-eu"]);
    term.keys("\x7f6\r");
    term.line(10, &["scale deployment auth/session 3 -> 6", "PREVIEW"]);
}

#[test]
fn in_staging_y_does_it_and_enter_does_not() {
    let bridge = Bridge::new();
    let mut term = bridge.open("staging");
    preview(&mut term);
    term.line(5, &["y does it"]);
    term.keys("\r");
    term.line(5, &["Enter alone confirms nothing"]);
    assert!(bridge.jobs().is_empty());
    term.keys("y");
    term.line(10, &["session", "6/6"]);
    term.keys("J");
    term.line(10, &["done", "scale deployment auth/session 3 -> 6"]);
    term.keys("U");
    term.line(10, &["undo: scale deployment auth/session", "PREVIEW"]);
    term.line(5, &["y does it"]);
    term.keys("y");
    term.line(10, &["done", "undo: scale"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    let states: Vec<Value> = bridge.jobs().iter().map(|j| j["state"].clone()).collect();
    assert_eq!(states, ["done", "done"]);
    assert_eq!(bridge.replicas(), 3);
}

#[test]
fn what_is_typed_ahead_confirms_nothing() {
    let bridge = Bridge::new();
    let mut term = bridge.open("staging");
    term.keys("s");
    term.line(10, &["scale deployment auth/session on prod-eu"]);
    // In one go with what opens the preview: nobody has seen it.
    term.keys("\x7f6\ryyy");
    term.line(10, &["PREVIEW"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(bridge.jobs().is_empty());
    term.keys("\x1b");
    term.line(5, &["session", "3/3"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

#[test]
fn in_production_the_name_is_typed() {
    let bridge = Bridge::new();
    let mut term = bridge.open("production");
    preview(&mut term);
    term.line(5, &["type prod-eu and Enter to do it"]);
    term.keys("y\r");
    term.line(5, &["is not", "prod-eu"]);
    assert!(bridge.jobs().is_empty());
    term.keys("\x7fprod-eu\r");
    term.line(10, &["session", "6/6"]);
    term.line(10, &["done: scale deployment auth/session"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert_eq!(bridge.jobs().len(), 1);
}

#[test]
fn quitting_asks_and_a_lost_terminal_stops_the_job_safely() {
    let bridge = Bridge::new();
    let mut term = bridge.open("staging");
    preview(&mut term);
    bridge.running.fleet.fault("prod-eu", &Fault::TooMany(2));
    term.keys("y");
    term.line(10, &["job 1"]);
    term.keys("\x03\x03");
    term.line(5, &["Quitting stops them safely"]);
    term.keys("\x1b");
    term.signal(rustix::process::Signal::HUP);
    term.ended(60);
    bridge.running.fleet.fault("prod-eu", &Fault::Heal);
    let job = bridge.jobs()[0].clone();
    assert_eq!((&job["state"], &job["why"]), (&"cancelled".into(), &"the terminal went away".into()), "{job}");
    // The next cockpit can go on with it.
    let mut term = bridge.open_on("[clusters.prod-eu]\ntier = \"staging\"\n");
    term.line(20, &["interrupted: scale deployment auth/session"]);
    term.keys("J");
    term.line(10, &["cancelled", "scale deployment auth/session 3 -> 6"]);
    term.keys("R");
    term.line(10, &["resume: scale deployment auth/session", "PREVIEW"]);
    term.line(5, &["y does it"]);
    term.keys("y");
    term.line(20, &["done", "resume: scale"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

#[test]
fn an_object_is_edited_and_changes_only_after_its_preview() {
    let bridge = Bridge::new();
    // What EDITOR does to the text; its standard output has to be the terminal.
    let script = "#!/bin/sh\ntest -t 1 || exit 3\nsed -i 's/^  replicas: 3/  replicas: 6/' \"$1\"\n";
    let path = bridge.room.path("editor.sh");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut term = bridge.open("staging");
    term.keys("e");
    term.line(10, &["kind: Deployment"]);
    // Keys are text here: nothing is restarted, nothing is deleted.
    term.keys("]r");
    term.line(5, &["]r"]);
    term.keys("\x0f");
    term.line(5, &["no YAML"]);
    term.keys("\x15\x15");
    term.keys("\x07");
    term.line(10, &["EDIT", "changed"]);
    term.keys("\x0f");
    term.line(10, &["edit deployment auth/session", "PREVIEW"]);
    term.line(5, &["spec.replicas: 3 -> 6"]);
    assert!(bridge.jobs().is_empty() && bridge.replicas() == 3, "a preview sends nothing");
    term.keys("\x1b");
    term.line(5, &["EDIT", "changed"]);
    term.keys("\x1b");
    term.line(5, &["throws the changes away"]);
    term.keys("\x0f");
    term.line(10, &["PREVIEW"]);
    term.line(5, &["y does it"]);
    term.keys("y");
    term.line(10, &["session", "6/6"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert_eq!(bridge.replicas(), 6);
}

#[test]
fn the_list_of_acts_says_what_the_tier_denies() {
    let bridge = Bridge::new();
    let mut term = bridge.open_with("staging", "[tiers.staging]\ndeny = [\"delete deployment/*\"]\n");
    term.keys("a");
    term.line(10, &["delete", "no: tier staging denies"]);
    term.line(5, &["scale", "Change a workload's replicas"]);
    term.keys("\x1b");
    term.wait("no list", 5, |lines| lines.iter().all(|l| !l.contains("Acts on")).then_some(()));
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

/// Opens two clusters with these settings, the Deployment `session` of each on the screen.
fn two(bridge: &Bridge, settings: &str) -> Term {
    let mut term = bridge.open_on(settings);
    term.line(20, &["session", "3/3"]);
    term.keys("/name:session kind:Deployment\r");
    term.wait("two rows", 10, |lines| lines.iter().any(|l| l.starts_with("WORKLOADS 2─")).then_some(()));
    term
}

#[test]
fn marks_over_two_clusters_are_one_preview_and_each_outcome_is_told() {
    let bridge = Bridge::of(2);
    let names: Vec<String> = bridge.running.fleet.names().map(str::to_owned).collect();
    let [first, second] = names.as_slice() else { panic!("{names:?}") };
    let mut term = two(&bridge, "[clusters.\"*\"]\ntier = \"production\"\n");
    // A range: from the first row to the last.
    term.keys(" ");
    term.line(20, &["WORKLOADS 2", "1 marked"]);
    term.keys("V");
    term.line(20, &["WORKLOADS 2", "2 marked"]);
    term.keys("r");
    term.line(10, &["restart 2 Deployments", "PREVIEW"]);
    term.line(20, &[&format!("{first} [P]: ")]);
    term.line(20, &[&format!("{second} [P]: ")]);
    let mut sorted = names.clone();
    sorted.sort();
    let ask = term.line(20, &["type ", " 2 and Enter"]);
    let expected = ask.trim().trim_start_matches("type ").split(" and Enter").next().unwrap().to_owned();
    let mut said: Vec<&str> = expected.split_whitespace().collect();
    assert_eq!(said.pop(), Some("2"), "the number of objects: {expected}");
    said.sort_unstable();
    assert_eq!(said, sorted, "and each name");
    term.keys(&format!("{first}\r"));
    term.line(20, &["is not"]);
    assert!(bridge.jobs().is_empty());
    term.keys("\x1b");
    term.wait("no preview", 10, |lines| lines.iter().all(|l| !l.contains("PREVIEW")).then_some(()));
    // One of them can no longer be written to once it is confirmed: the other one is done all the same.
    term.keys("r");
    term.line(10, &["restart 2 Deployments", "PREVIEW"]);
    term.line(20, &["type ", " 2 and Enter"]);
    bridge.running.fleet.fault(second, &Fault::Denied("patch".into(), "deployments".into()));
    term.keys(&format!("{expected}\r"));
    term.line(20, &["partial: restart 2 Deployments"]);
    term.keys("J\r");
    term.line(10, &["failed", second]);
    term.line(10, &["done", first, "restart deployment auth/session"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert_eq!(bridge.jobs()[0]["state"], "partial");
}

/// The names in the rows of a table, from the top, as far as they are on the screen, and whether they are marked.
fn rows(term: &Term, of: &[String]) -> Vec<String> {
    let named = |l: &String| of.iter().find(|n| l.split_whitespace().any(|w| w == n.as_str())).cloned();
    term.lines().iter().skip(2).take(20).filter_map(named).collect()
}

impl Bridge {
    /// Every Deployment of the cluster, as `qd get` has them: name and fields.
    fn deployments(&self) -> Vec<Value> {
        let args = ["get", "deployments", "-o", "json", "--timeout", "20s"];
        self.room.json(&self.running.kubeconfig, &args).0["items"].as_array().unwrap().clone()
    }
}

/// Shows what another filter leaves, which are so many.
fn only(term: &mut Term, filter: &str, n: usize) {
    term.keys("\x1b");
    term.wait("no filter", 10, |lines| lines.iter().all(|l| !l.contains("kind:Deployment")).then_some(()));
    term.keys(&format!("/{filter}\r"));
    term.wait(&format!("{n} rows of {filter}"), 10, |lines| {
        let title = lines.iter().find(|l| l.starts_with("WORKLOADS ") && l.contains(filter))?;
        title.split(' ').nth(1)?.split('─').next().filter(|is| **is == n.to_string()).map(drop)
    });
}

fn names(of: &[Value]) -> Vec<String> {
    of.iter().map(|d| d["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn all_of_a_filter_are_one_preview_and_one_y() {
    let bridge = Bridge::new();
    let all = bridge.deployments();
    let mut term = bridge.open_on("[clusters.prod-eu]\ntier = \"staging\"\n");
    term.line(20, &["session", "3/3"]);
    term.keys("/kind:Deployment\r");
    term.line(10, &[&format!("WORKLOADS {}─", all.len())]);
    term.keys("*");
    term.line(5, &[&format!("WORKLOADS {n} | {n} marked", n = all.len())]);
    term.keys(":label team=ours\r");
    term.line(10, &[&format!("label {} Deployments", all.len()), "PREVIEW"]);
    term.line(5, &["y does it"]);
    term.keys("\r");
    term.line(5, &["Enter alone confirms nothing"]);
    assert!(bridge.jobs().is_empty());
    term.keys("y");
    term.line(20, &[&format!("done: label {} Deployments", all.len())]);
    // All of the filter, and nothing else.
    only(&mut term, "label:team=ours", all.len());
    // What was marked is not any more, and an act is again on the highlighted one alone.
    term.keys("\\:annotate note=one\r");
    term.line(10, &["annotate deployment", "PREVIEW"]);
    term.keys("\x1b");
    term.wait("no preview", 10, |lines| lines.iter().all(|l| !l.contains("PREVIEW")).then_some(()));
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert_eq!(bridge.jobs().len(), 1);
}

#[test]
fn a_range_in_production_wants_the_name_and_the_number() {
    let bridge = Bridge::new();
    let all = bridge.deployments();
    let mut term = bridge.open_on("[clusters.prod-eu]\ntier = \"production\"\n");
    term.line(20, &["session", "3/3"]);
    term.keys("/kind:Deployment\r");
    term.line(10, &[&format!("WORKLOADS {}─", all.len())]);
    let shown = rows(&term, &names(&all));
    assert!(shown.len() > 4, "{shown:?}");
    // From the second row to the fourth; the mark itself goes one row on.
    term.keys("j jV");
    term.line(5, &["3 marked"]);
    term.keys(":label team=range\r");
    term.line(10, &["label 3 Deployments", "PREVIEW"]);
    term.line(5, &["type prod-eu 3 and Enter"]);
    for wrong in ["y", "prod-eu", "prod-eu 2", "3"] {
        term.keys(&format!("{wrong}\r"));
        term.line(5, &[&format!("\"{wrong}\" is not \"prod-eu 3\"")]);
        term.keys(&"\x7f".repeat(wrong.len()));
    }
    assert!(bridge.jobs().is_empty());
    term.keys("prod-eu 3\r");
    term.line(30, &["done: label 3 Deployments"]);
    only(&mut term, "label:team=range", 3);
    let (mut labelled, mut meant) = (rows(&term, &names(&all)), shown[1..4].to_vec());
    labelled.sort();
    meant.sort();
    assert_eq!(labelled, meant, "of {shown:?}");
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert_eq!(bridge.jobs().len(), 1);
}

#[test]
fn without_a_tier_what_can_be_taken_back_wants_y_and_the_rest_the_name() {
    let bridge = Bridge::new();
    let mut term = bridge.open_on("");
    term.line(20, &["session", "3/3"]);
    term.keys("/name:session kind:Deployment\r");
    term.wait("one row", 10, |lines| lines.iter().any(|l| l.starts_with("WORKLOADS 1─")).then_some(()));
    term.keys("\x04");
    term.line(10, &["delete deployment auth/session", "PREVIEW"]);
    term.line(5, &["undo: none"]);
    term.line(5, &["type prod-eu and Enter"]);
    term.keys("y\r");
    term.line(5, &["is not", "prod-eu"]);
    term.keys("\x1b");
    term.wait("no preview", 10, |lines| lines.iter().all(|l| !l.contains("PREVIEW")).then_some(()));
    preview(&mut term);
    term.line(5, &["undo: exact"]);
    term.line(5, &["y does it"]);
    assert!(bridge.jobs().is_empty());
    term.keys("y");
    term.line(10, &["done: scale"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

#[test]
fn a_read_only_cluster_has_no_preview_of_a_write() {
    let bridge = Bridge::new();
    let mut term = bridge.open_on("[clusters.prod-eu]\nread_only = true\n");
    term.line(20, &["session", "3/3"]);
    term.keys("/name:session kind:Deployment\r");
    term.wait("one row", 10, |lines| lines.iter().any(|l| l.starts_with("WORKLOADS 1─")).then_some(()));
    for key in ["s", "r", "e", "\x04"] {
        term.keys(key);
        term.line(5, &["prod-eu is read-only"]);
        assert!(term.lines().iter().all(|l| !l.contains("PREVIEW")), "{key:?}");
        term.keys("j");
        term.wait("the notice gone", 5, |lines| lines.iter().all(|l| !l.contains("is read-only")).then_some(()));
    }
    term.keys("a");
    term.line(5, &["restart", "no: prod-eu is read-only"]);
    term.keys("\x1b");
    term.wait("no list", 5, |lines| lines.iter().all(|l| !l.contains("Acts on")).then_some(()));
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert!(bridge.jobs().is_empty());
}

#[test]
fn a_runbook_is_run_from_the_palette() {
    let bridge = Bridge::new();
    let mut term = bridge.open("staging");
    // Until the lists are there no Deployment is known to be restarted.
    term.line(20, &["1 live"]);
    term.keys(":run\r");
    term.line(5, &["restart-in-waves", "Restart every Deployment"]);
    term.keys("G\r");
    term.line(5, &["runbook restart-in-waves"]);
    // The screen says where and in which namespace.
    term.line(5, &["cluster", "prod-eu"]);
    term.line(5, &["namespace", "auth"]);
    term.keys("\r");
    term.line(15, &["runbook restart-in-waves", "PREVIEW"]);
    term.line(5, &["y does it"]);
    assert!(bridge.jobs().is_empty());
    term.keys("y");
    term.line(60, &["done: runbook restart-in-waves"]);
    term.keys("J\r");
    term.line(5, &["1 room 1/1"]);
    term.line(5, &["2 restart "]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert_eq!(bridge.jobs()[0]["runbook"], "restart-in-waves");
}

#[test]
fn a_namespace_is_backed_up_deleted_and_restored_by_key() {
    let bridge = Bridge::new();
    let mut term = bridge.open_on("[clusters.prod-eu]\ntier = \"staging\"\n");
    term.line(20, &["session", "3/3"]);
    let at_namespace = |term: &mut Term| {
        term.keys(":namespaces\r");
        term.keys("/name:auth\r");
        term.wait("one namespace", 10, |lines| lines.iter().any(|l| l.starts_with("NAMESPACES 1─")).then_some(()));
    };
    at_namespace(&mut term);
    term.keys("b");
    term.line(10, &["back up namespace auth", "PREVIEW"]);
    term.line(5, &["kept for 30d at location default"]);
    term.line(5, &["y does it"]);
    term.keys("y");
    term.line(30, &["done: back up namespace auth"]);
    // What would be lost has its way back beside it.
    term.keys("\x04");
    term.line(10, &["delete namespace auth", "PREVIEW"]);
    term.line(5, &["1 before: back up namespace auth"]);
    term.line(5, &["y does it"]);
    term.keys("y");
    term.line(60, &["done: delete namespace auth"]);
    term.keys(":backups\r");
    term.keys("/auth-\r");
    term.line(10, &["auth-2", "Completed"]);
    term.keys(":restore\r");
    term.line(10, &["restore backup velero/auth-", "PREVIEW"]);
    term.line(5, &["namespace auth is made anew"]);
    term.line(5, &["y does it"]);
    term.keys("y");
    term.line(40, &["done: restore backup velero/auth-"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert_eq!(bridge.replicas(), 3);
}
