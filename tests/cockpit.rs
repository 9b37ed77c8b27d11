//! The cockpit in a pseudo terminal on a simulated fleet: what it shows and lends, without changing anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers beside the test functions too")]

#[allow(dead_code, reason = "other suites use the rest")]
mod support;

use quarterdeck::client::install_crypto_provider;
use quarterdeck::sim::{Options, Running, Scenario, start};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use support::lab::Room;
use support::pty::Term;

fn fleet() -> Running {
    install_crypto_provider();
    let mut scenario = Scenario::load("calm").unwrap();
    scenario.resize(Some(1), Some(4), Some(60)).unwrap();
    (scenario.replace_every, scenario.churn) = (0.0, 0.0);
    start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap()
}

/// The kubeconfig of that fleet with a plugin in place of its token: one that asks the person for a code.
fn asking(running: &Running, room: &Room) -> std::path::PathBuf {
    let text = std::fs::read_to_string(&running.kubeconfig).unwrap();
    let line = text.lines().find(|l| l.trim_start().starts_with("token: ")).unwrap();
    let token = line.trim_start().trim_start_matches("token: ");
    let plugin = room.path("plugin");
    let answer = format!(r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{token}"}}}}"#);
    let script = format!(
        "#!/bin/sh\n[ -t 0 ] || {{ echo 'a code is needed: no terminal' >&2; exit 1; }}\nprintf 'One-time code: ' >&2\nread -r code\n[ \"$code\" = 4711 ] && echo '{answer}'\n"
    );
    std::fs::write(&plugin, script).unwrap();
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o700)).unwrap();
    let exec =
        format!("    exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{}', interactiveMode: IfAvailable}}", plugin.display());
    let kubeconfig = room.path("asking");
    std::fs::write(&kubeconfig, text.replace(line, &exec)).unwrap();
    kubeconfig
}

/// ctrl-c at a plugin's question is the plugin's: it ended the whole cockpit once.
#[test]
fn the_demo_writes_the_kubeconfig_that_is_named_and_a_session_set_aside_is_no_mistake_of_the_configuration() {
    let room = Room::new();
    let (file, demo) = (room.path("demo.kubeconfig"), room.state().join("demo"));
    std::fs::create_dir_all(&demo).unwrap();
    std::fs::write(demo.join("session.json"), "{\"version\": 1, \"state\"").unwrap();
    let size = ["--scenario", "calm", "--clusters", "1", "--nodes", "3", "--pods", "12", "--kubeconfig", file.to_str().unwrap()];
    let mut term = Term::open(&[&["demo"], &size[..]].concat(), room.env(Path::new("/nowhere")), 200, 40);
    let said = term.line(30, &["the last session", "is damaged", "session.json.set-aside-1"]);
    assert!(!said.contains("mistake"), "{said}");
    term.line(30, &["1 live"]);
    assert!(!term.lines()[0].contains("mistake"), "{}", term.lines()[0]);
    assert!(std::fs::read_to_string(&file).unwrap().contains("current-context: prod-eu"));
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
    assert!(!file.exists(), "it names servers that are no more");
}

#[test]
fn a_login_asks_in_the_foreground_and_ctrl_c_gives_up_that_login_only() {
    let (running, room) = (fleet(), Room::new());
    let kubeconfig = asking(&running, &room);
    let mut term = Term::open(&["--screen", "clusters"], room.env(&kubeconfig), 100, 24);
    term.line(20, &["NO LOGIN"]);
    term.keys(":login prod-eu\r");
    term.line(10, &["One-time code:"]);
    term.keys("\x03");
    term.line(10, &["the credential plugin of prod-eu failed"]);
    term.keys(":login prod-eu\r");
    term.wait("the question", 10, |lines| lines.iter().any(|l| l.trim_end().ends_with("One-time code:")).then_some(()));
    term.keys("4711\r");
    term.line(20, &["prod-eu", "live"]);
}
