//! etcd's members seen directly, also when the API server is gone with the quorum.

use super::SIZE;
use super::support::lab::{Lab, Room};
use super::support::pty::Term;
use super::support::runner::{Test, tests};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const CONTEXT: &str = "lab-1";

pub const TESTS: &[Test] = tests![etcd_is_seen_member_by_member_and_without_its_quorum];

/// A configuration that says where the etcd of a lab's cluster is.
fn configured(lab: &Lab, file: &Path) -> Value {
    let etcd: Value = serde_json::from_str(&std::fs::read_to_string(lab.file(CONTEXT, "etcd.json")).unwrap()).unwrap();
    let text = |name: &str| etcd[name].as_str().unwrap().to_owned();
    let lines = ["ca", "cert", "key"].map(|name| format!("{name} = {:?}\n", text(name))).concat();
    std::fs::write(file, format!("[clusters.{CONTEXT}.etcd]\nendpoints = {}\n{lines}", etcd["endpoints"])).unwrap();
    etcd
}

fn etcd_is_seen_member_by_member_and_without_its_quorum(lab: &Lab) {
    let own = lab.own(1, 3);
    let room = Room::new();
    let config = room.path("qd.toml");
    let etcd = configured(&own, &config);
    let config = config.to_str().unwrap();

    let (got, code, said) = room.json(&own.kubeconfig(), &["get", "etcd", "--config", config, "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    let members = got["items"].as_array().unwrap();
    let endpoints: Vec<&str> = etcd["endpoints"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    let text = |name: &str| etcd[name].as_str().unwrap();
    let out = Command::new("etcdctl")
        .args(["--endpoints", &endpoints.join(","), "--cacert", text("ca"), "--cert", text("cert"), "--key", text("key")])
        .args(["endpoint", "status", "-w", "json"])
        .output()
        .unwrap();
    let theirs: Vec<Value> =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    assert_eq!((members.len(), theirs.len()), (3, 3), "{got}");
    for their in &theirs {
        let status = &their["Status"];
        let id = status["header"]["member_id"].as_u64().unwrap();
        let ours = members.iter().find(|m| m["id"] == format!("{id:x}")).unwrap_or_else(|| panic!("no member {id:x}: {got}"));
        let word = if status["leader"].as_u64() == Some(id) { "Leader" } else { "Follower" };
        assert_eq!((&ours["status"], &ours["version"]), (&json!(word), &status["version"]), "{ours}");
        assert_eq!(ours["raft_term"], status["raftTerm"]);
    }

    let mut term = Term::open(&["--screen", "etcd", "--config", config], room.env(&own.kubeconfig()), SIZE.0, SIZE.1);
    let verdict = |term: &mut Term, words: &str, seconds: u64| {
        let seen = |lines: &[String]| lines.iter().any(|l| l.contains(words)).then_some(());
        term.wait(words, seconds, seen);
    };
    verdict(&mut term, "3 of 3 voters answer", 20);
    own.lab(&["kill", CONTEXT, "etcd-0"]);
    verdict(&mut term, "2 of 3 voters answer", 15);
    own.lab(&["pause", CONTEXT, "etcd-1"]);
    verdict(&mut term, "QUORUM LOST", 15);
    assert!(term.lines().iter().any(|l| l.contains("etcd-2")), "members are remembered");
    own.lab(&["resume", CONTEXT, "etcd-1"]);
    own.lab(&["start", CONTEXT, "etcd-0"]);
    verdict(&mut term, "3 of 3 voters answer", 30);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}
