//! What is done to etcd, against an etcd of three members with mutual TLS: a snapshot is restored by etcd's own tool and holds the keys, a
//! full one takes writes again, members come and go, and nothing is done that would lose the quorum.

use crate::support::lab::{Lab, Own, Room, until};
use crate::support::runner::{Test, tests};
use quarterdeck::model::VERBS;
use quarterdeck::model::verb::On;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const CONTEXT: &str = "lab-1";
const QUOTA: usize = 48 << 20;

pub const TESTS: &[Test] = tests![etcd_is_saved_emptied_led_and_peopled_without_losing_its_quorum];

/// A lab's etcd and `qd` beside it.
struct Etcd {
    own: Own,
    room: Room,
    config: PathBuf,
    about: Value,
    /// What was typed.
    lines: RefCell<Vec<String>>,
}

impl Etcd {
    fn new(lab: &Lab) -> Self {
        let own = lab.own_with(1, 3, &["--quota", &QUOTA.to_string()]);
        let room = Room::new();
        let about: Value = serde_json::from_str(&std::fs::read_to_string(own.file(CONTEXT, "etcd.json")).unwrap()).unwrap();
        let lines = ["ca", "cert", "key"].map(|name| format!("{name} = {:?}\n", about[name].as_str().unwrap())).concat();
        let (config, kept) = (room.path("qd.toml"), room.path("kept"));
        std::fs::create_dir(&kept).unwrap();
        let text = format!("[clusters.{CONTEXT}.etcd]\nendpoints = {}\nsnapshots = {kept:?}\n{lines}", about["endpoints"]);
        std::fs::write(&config, text).unwrap();
        Self { own, room, config, about, lines: RefCell::default() }
    }

    /// `qd` on this cluster: exit code, and everything it says.
    fn qd(&self, line: &str) -> (i32, String) {
        self.lines.borrow_mut().push(line.to_owned());
        let config = self.config.to_str().unwrap();
        let args: Vec<&str> = line.split(' ').chain(["--context", CONTEXT, "--config", config, "-o", "json"]).collect();
        let out = self.room.qd(&self.own.kubeconfig(), &args);
        let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.code().unwrap_or(-1), text)
    }
    #[track_caller]
    fn done(&self, line: &str) -> String {
        let (code, text) = self.qd(&format!("{line} --yes"));
        assert_eq!(code, 0, "qd {line}: {text}");
        text
    }
    #[track_caller]
    fn refused(&self, line: &str, why: &str) {
        let (code, text) = self.qd(&format!("{line} --yes --confirm {CONTEXT}"));
        assert!(code == 4 && text.contains(why), "qd {line}: {code}, no {why:?} in {text}");
    }
    fn members(&self) -> Vec<Value> {
        let args = ["etcd", "status", "--context", CONTEXT, "--config", self.config.to_str().unwrap(), "-o", "json"];
        let (got, ..) = self.room.json(&self.own.kubeconfig(), &args);
        got["items"].as_array().unwrap().clone()
    }
    /// The members that are in that state, by name.
    fn who(&self, status: &str) -> Vec<String> {
        let of = |m: &Value| (m["status"] == status).then(|| m["name"].as_str().unwrap().to_owned());
        self.members().iter().filter_map(of).collect()
    }
    #[track_caller]
    fn comes(&self, what: &str, so: impl Fn(&[Value]) -> bool) {
        until(what, Duration::from_secs(60), || {
            let members = self.members();
            if so(&members) { Ok(()) } else { Err(format!("{members:#?}")) }
        });
    }
    fn ctl(&self, args: &[&str]) -> Output {
        let text = |name: &str| self.about[name].as_str().unwrap();
        let endpoints: Vec<&str> = self.about["endpoints"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
        Command::new("etcdctl")
            .args(["--endpoints", &endpoints.join(","), "--cacert", text("ca"), "--cert", text("cert"), "--key", text("key")])
            .args(args)
            .output()
            .unwrap()
    }
    /// Writes one key again and again until there is no space left.
    fn fill(&self) {
        let value = "x".repeat(1 << 20);
        for _ in 0..2 * (QUOTA >> 20) {
            let mut put = Command::new("etcdctl");
            let text = |name: &str| self.about[name].as_str().unwrap();
            put.args(["--endpoints", self.about["endpoints"][0].as_str().unwrap(), "--cacert", text("ca"), "--cert", text("cert")]);
            let mut put = put
                .args(["--key", text("key"), "put", "junk"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut put.stdin.take().unwrap(), value.as_bytes()).unwrap();
            let out = put.wait_with_output().unwrap();
            if String::from_utf8_lossy(&out.stderr).contains("database space exceeded") {
                return;
            }
        }
        panic!("etcd takes more than its quota");
    }
}

/// An etcd of what a snapshot holds.
struct Restored(Child);

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a key has in a snapshot, by etcd's own programs.
fn restored(room: &Room, file: &str, key: &str) -> String {
    let (dir, port) = (room.path("restored"), || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let out = Command::new("etcdutl").args(["snapshot", "restore", file, "--data-dir"]).arg(&dir).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (client, peer) = (format!("http://127.0.0.1:{}", port()), format!("http://127.0.0.1:{}", port()));
    let mut etcd = Command::new("etcd");
    etcd.arg("--data-dir").arg(&dir).args([
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
        "--listen-peer-urls",
        &peer,
    ]);
    let _etcd = Restored(etcd.arg("--unsafe-no-fsync").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the restored etcd to answer", Duration::from_secs(30), || {
        let out = Command::new("etcdctl").args(["--endpoints", &client, "get", key, "--print-value-only"]).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        if out.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    })
}

fn etcd_is_saved_emptied_led_and_peopled_without_losing_its_quorum(lab: &Lab) {
    let etcd = Etcd::new(lab);
    assert!(etcd.ctl(&["put", "canary", "alive"]).status.success());
    saved(&etcd);
    led(&etcd);
    emptied(&etcd);
    peopled(&etcd);
    let lines = etcd.lines.borrow();
    let untried = VERBS.iter().filter(|v| v.on == On::Etcd && !lines.iter().any(|l| l.starts_with(&v.cli.join(" "))));
    assert_eq!(untried.map(|v| v.name).collect::<Vec<_>>(), Vec::<&str>::new(), "verbs that are not tried");
}

/// A snapshot is private, whole, of a follower, and etcd's own tool makes an etcd of it.
fn saved(etcd: &Etcd) {
    let file = etcd.room.path("a.db");
    let file = file.to_str().unwrap();
    let said = etcd.done(&format!("etcd snapshot --out {file}"));
    let plan: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let from = plan["steps"][0]["name"].as_str().unwrap().to_owned();
    assert!(etcd.who("Follower").contains(&from), "{from} is no follower");
    assert!(said.contains("members' data compared"), "{said}");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, said) = etcd.qd(&format!("etcd verify {file}"));
    assert!(code == 0 && said.contains("sha256"), "{said}");
    assert_eq!(restored(&etcd.room, file, "canary"), "alive");
    etcd.refused(&format!("etcd snapshot --out {file}"), "nothing is overwritten");

    let bad = etcd.room.path("bad.db");
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&bad, &bytes).unwrap();
    let (code, said) = etcd.qd(&format!("etcd verify {}", bad.display()));
    assert!(code == 1 && said.contains("it was changed or damaged"), "{code} {said}");

    let kept = || std::fs::read_dir(etcd.room.path("kept")).unwrap().count();
    for _ in 0..2 {
        etcd.done("etcd snapshot --keep 1 --no-hash");
        std::thread::sleep(Duration::from_millis(1_100));
    }
    assert_eq!(kept(), 1, "the newest one stays");
    std::fs::create_dir(etcd.room.path("there")).unwrap();
    etcd.done(&format!("etcd snapshot --move-to {}", etcd.room.path("there").display()));
    assert_eq!((kept(), std::fs::read_dir(etcd.room.path("there")).unwrap().count()), (1, 1));

    assert!(etcd.members().iter().all(|m| m["snapshot_age_s"].as_i64().is_some_and(|s| s < 600)), "its age is in the pane");

    let (code, said) = etcd.qd("etcd hash");
    assert_eq!(code, 0, "{said}");
    let (code, said) = etcd.qd(&format!("etcd restore-plan {file}"));
    assert!(code == 0 && said.matches("etcdutl snapshot restore").count() == 3, "{said}");
}

/// The leadership goes to who is named, and back.
fn led(etcd: &Etcd) {
    let (leader, follower) = (etcd.who("Leader"), etcd.who("Follower")[0].clone());
    etcd.done(&format!("etcd move-leader {follower}"));
    etcd.comes("the follower to lead", |all| all.iter().any(|m| m["name"] == *follower && m["status"] == "Leader"));
    etcd.done("undo last");
    assert_eq!(etcd.who("Leader"), leader);
}

/// A full etcd takes writes again once it is compacted, defragmented and disarmed, in this order.
fn emptied(etcd: &Etcd) {
    etcd.fill();
    etcd.comes("the alarm", |all| all.iter().any(|m| m["alarms"] == json!(["NOSPACE"])));
    let out = etcd.own.try_kubectl(CONTEXT, &["create", "namespace", "full"]);
    assert!(!out.status.success(), "the API server takes no writes");
    etcd.refused("etcd alarm disarm", "would be raised again");
    etcd.done("etcd compact");
    let size = |all: &[Value]| all.iter().filter_map(|m| m["db_size_bytes"].as_i64()).max().unwrap();
    let before = size(&etcd.members());
    let said = etcd.done("etcd defrag");
    let plan: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let steps: Vec<&str> = plan["steps"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap()).collect();
    assert!(steps.len() == 4 && steps[2].starts_with("move the leadership"), "{steps:?}");
    assert!(etcd.members().iter().all(|m| m["defrag_age_s"].as_i64().is_some_and(|s| s < 600)), "{:?}", etcd.members());
    let after = size(&etcd.members());
    assert!(after * 4 < before, "{before} -> {after}");
    etcd.done("etcd alarm disarm");
    assert!(etcd.members().iter().all(|m| m["alarms"] == json!([])));
    until("the API server to write", Duration::from_secs(30), || {
        let out = etcd.own.try_kubectl(CONTEXT, &["create", "namespace", "empty"]);
        if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    });
}

/// A learner is added, taken away, added again, started, promoted and removed; what would lose the quorum is refused.
fn peopled(etcd: &Etcd) {
    let mut argv: Vec<String> = serde_json::from_str(&std::fs::read_to_string(etcd.own.file(CONTEXT, "etcd-0.argv")).unwrap()).unwrap();
    let at = |argv: &[String], flag: &str| argv.iter().position(|a| a == flag).unwrap() + 1;
    let port = |url: &str| url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let first = port(&argv[at(&argv, "--listen-client-urls")]);
    let (client, peer) = (format!("https://127.0.0.1:{}", first + 6), format!("https://127.0.0.1:{}", first + 7));

    etcd.done(&format!("etcd member add --peer-url {peer}"));
    assert_eq!(etcd.members().len(), 4);
    etcd.refused("etcd member promote", "would count against the quorum");
    etcd.done("undo last");
    assert_eq!(etcd.members().len(), 3, "it is taken away again");

    etcd.done(&format!("etcd member add --peer-url {peer}"));
    for flag in ["--name", "--data-dir", "--initial-cluster"] {
        let at = at(&argv, flag);
        argv[at] = match flag {
            "--name" => "etcd-3".to_owned(),
            "--data-dir" => argv[at].replace("etcd-0", "etcd-3"),
            _ => format!("{},etcd-3={peer}", argv[at]),
        };
    }
    for (flag, url) in [
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", &peer),
        ("--initial-advertise-peer-urls", &peer),
    ] {
        let at = at(&argv, flag);
        argv[at].clone_from(url);
    }
    argv.extend(["--initial-cluster-state".to_owned(), "existing".to_owned()]);
    std::fs::write(etcd.own.file(CONTEXT, "etcd-3.argv"), serde_json::to_string(&argv).unwrap()).unwrap();
    etcd.own.lab(&["start", CONTEXT, "etcd-3"]);
    etcd.comes("the learner", |all| all.iter().any(|m| m["name"] == "etcd-3" && m["status"] == "Learner"));
    etcd.done("etcd member promote etcd-3");
    etcd.comes("its vote", |all| all.iter().any(|m| m["name"] == "etcd-3" && m["status"] == "Follower"));
    let (code, said) = etcd.qd(&format!("etcd member remove etcd-3 --yes --confirm {CONTEXT}"));
    assert_eq!(code, 0, "{said}");
    assert_eq!(etcd.members().len(), 3);
    etcd.own.try_lab(&["kill", CONTEXT, "etcd-3"]);

    let gone = etcd.who("Follower")[0].clone();
    etcd.own.lab(&["kill", CONTEXT, &gone]);
    let here = etcd.who("Follower")[0].clone();
    etcd.refused(&format!("etcd member remove {here}"), "without");
    etcd.refused(&format!("etcd member remove {here}"), "1 of 2 voters answers, 2 are needed (now: 2 of 3 voters answer, 2 are needed)");
    etcd.refused("etcd defrag --even-small", "while one member is away: 1 of 3 voters answers, 2 are needed");
    etcd.done("etcd snapshot");
    etcd.own.lab(&["start", CONTEXT, &gone]);
    etcd.comes("all to answer", |all| all.iter().all(|m| m["status"] != "Down"));
    etcd.done("etcd defrag --even-small");
}
