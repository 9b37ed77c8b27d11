//! The command line without a cluster: exit codes, messages, what needs no server.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

fn qd(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let out: Output = Command::new(env!("CARGO_BIN_EXE_qd"))
        .args(args)
        .env_clear()
        .env("HOME", dir)
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .env("QD_STATE_DIR", dir.join("state"))
        .env("KUBECONFIG", dir.join("kubeconfig"))
        .output()
        .unwrap();
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
fn a_bad_configuration_is_named_by_file_and_line_and_never_fatal_to_a_read() {
    let dir = room();
    let config = dir.path().join("qd.toml");
    std::fs::write(&config, "theme = \"dark\"\n[clusters.prod-eu]\ntierr = \"production\"\ntier = \"prod\"\n[columns]\npods = [\"nam\"]\n")
        .unwrap();
    let (code, out, _) = qd(dir.path(), &["config", "check", "--config", config.to_str().unwrap()]);
    assert_eq!(code, 2);
    for expected in ["qd.toml:3", "tier", "qd.toml:4", "production", "qd.toml:6", "name"] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let (_, out, _) = qd(dir.path(), &["config", "show", "--config", config.to_str().unwrap()]);
    assert!(out.contains("read_only"), "{out}");
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
