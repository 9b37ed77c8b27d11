use std::{fs, path::PathBuf};

use secrecy::ExposeSecret;

use super::*;

fn sh(script: &str) -> ExecSpec {
    ExecSpec {
        command: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::new(),
        api_version: "client.authentication.k8s.io/v1".into(),
        always_interactive: false,
        cluster: None,
        install_hint: None,
    }
}

/// Prints a token that is the number of the run, counted in `file`.
fn counting(file: &std::path::Path) -> ExecSpec {
    let file = file.display();
    sh(&format!(r#"echo x >>{file}; sleep 0.1; n=$(wc -l <{file}); echo '{{"status":{{"token":"t'$((n))'"}}}}'"#))
}

fn token(credential: &Credential) -> &str {
    credential.token.as_ref().unwrap().expose_secret()
}

fn reason(error: ExecError) -> String {
    match error {
        ExecError::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn alive(pid_file: &PathBuf) -> bool {
    let pid: i32 = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    // A killed process that nobody has waited for yet is not alive.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn dies(pid_file: &PathBuf) -> bool {
    for _ in 0..100 {
        if !alive(pid_file) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn one_that_opens_the_terminal_and_hangs_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let (own, child) = (dir.path().join("own"), dir.path().join("child"));
    let script = format!("echo $$ >{}; sleep 98 & echo $! >{}; echo x >/dev/tty; sleep 99", own.display(), child.display());
    let start = Instant::now();
    let error = ExecPool::with_limit(Duration::from_millis(600)).get(&sh(&script)).await.err().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(error, ExecError::NeedsPrompt { command: "sh".into() });
    assert!(dies(&own).await, "the plugin lives on");
    assert!(dies(&child).await, "its child lives on");
}

#[tokio::test]
async fn one_that_is_given_up_on_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let child = dir.path().join("child");
    let spec = sh(&format!("sleep 98 & echo $! >{}; wait", child.display()));
    let pool = ExecPool::default();
    let run = tokio::spawn(async move { pool.get(&spec).await.is_ok() });
    while fs::read_to_string(&child).map_or(true, |text| text.trim().is_empty()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    run.abort();
    assert!(dies(&child).await);
}

#[tokio::test]
async fn it_has_no_terminal_no_input_and_a_session_of_its_own() {
    let script = r#"read line && exit 1; read -r _ _ _ _ _ session _ </proc/$$/stat; [ "$session" = $$ ] || exit 2
        case $KUBERNETES_EXEC_INFO in *'"interactive":false'*) ;; *) exit 3;; esac
        (: </dev/tty) 2>/dev/null && exit 4
        echo '{"status":{"token":"'$GREETING'"}}'"#;
    let mut spec = sh(script);
    spec.env.insert("GREETING".into(), "hello".into());
    let credential = ExecPool::default().get(&spec).await.unwrap();
    assert_eq!(token(&credential), "hello");
}

#[tokio::test]
async fn the_cluster_is_told_when_asked_for() {
    let mut spec = sh(r#"printf '{"status":{"token":"%s"}}' "$(printf %s "$KUBERNETES_EXEC_INFO" | base64 -w0)""#);
    spec.cluster = Some(serde_json::json!({ "server": "https://a" }));
    let credential = ExecPool::default().get(&spec).await.unwrap();
    let info = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, token(&credential)).unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(
        info,
        serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "spec": { "interactive": false, "cluster": { "server": "https://a" } }
        })
    );
}

#[tokio::test]
async fn identical_ones_run_once_and_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let pool = ExecPool::default();
    let spec = counting(&runs);
    let all = futures::future::join_all((0..20).map(|_| pool.get(&spec))).await;
    assert!(all.iter().all(|c| token(c.as_ref().unwrap()) == "t1"));
    assert_eq!(token(&pool.get(&spec).await.unwrap()), "t1");
    assert_eq!(fs::read_to_string(&runs).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_and_tried_again_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let spec = sh(&format!("echo x >>{}; sleep 0.1; echo 'no session' >&2; exit 7", runs.display()));
    let pool = ExecPool::default();
    let all = futures::future::join_all((0..10).map(|_| pool.get(&spec))).await;
    for outcome in all {
        assert_eq!(reason(outcome.err().unwrap()), "no session (exit status 7)");
    }
    assert_eq!(fs::read_to_string(&runs).unwrap().lines().count(), 1);
    assert!(pool.get(&spec).await.is_err());
    assert_eq!(fs::read_to_string(&runs).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn at_most_four_run_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().display().to_string();
    let specs: Vec<_> = (0..10)
        .map(|n| {
            sh(&format!(
                r#"mkdir {here}/run-{n}; ls -d {here}/run-* | wc -l >{here}/seen-{n}; sleep 0.2; rmdir {here}/run-{n}; echo '{{"status":{{"token":"x"}}}}'"#
            ))
        })
        .collect();
    let pool = ExecPool::default();
    let all = futures::future::join_all(specs.iter().map(|spec| pool.get(spec))).await;
    assert!(all.iter().all(Result::is_ok));
    let seen: Vec<usize> =
        (0..10).map(|n| fs::read_to_string(dir.path().join(format!("seen-{n}"))).unwrap().trim().parse().unwrap()).collect();
    assert_eq!(seen.iter().max(), Some(&4), "{seen:?}");
}

#[tokio::test]
async fn a_refused_credential_is_replaced_once_not_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let spec = counting(&dir.path().join("runs"));
    let pool = ExecPool::default();
    let first = pool.get(&spec).await.unwrap();
    assert_eq!(pool.refused(&spec, first.serial).await, Another::Now);
    let second = pool.get(&spec).await.unwrap();
    assert_eq!(token(&second), "t2");
    assert_eq!(pool.refused(&spec, first.serial).await, Another::Now, "a late refusal of the first: use the second");
    assert_eq!(token(&pool.get(&spec).await.unwrap()), "t2");
    let soon = pool.refused(&spec, second.serial).await;
    assert!(matches!(soon, Another::In(left) if left <= PAUSE), "the second at once: the plugin cannot help: {soon:?}");
}

#[tokio::test]
async fn what_it_prints_is_bounded_and_never_repeated() {
    let pool = ExecPool::with_limit(Duration::from_secs(10));
    let endless = reason(pool.get(&sh("yes s3cret")).await.err().unwrap());
    assert!(endless.starts_with("printed more than 1 MiB"), "{endless}");
    let loud = sh("yes warning >&2 & sleep 0.3; kill $!; wait $!; echo 'token=s3cret is bad' >&2; exit 1");
    assert_eq!(reason(pool.get(&loud).await.err().unwrap()), "token=[hidden] is bad (exit status 1)");
    for (script, words) in [
        ("echo s3cret", "not an ExecCredential"),
        (r#"echo '{"kind":"s3cret"}'"#, "no status"),
        (r#"echo '{"status":{}}'"#, "neither"),
        (r#"echo '{"status":{"token":"s3cret","clientKeyData":"x"}}'"#, "not both"),
        (r#"echo '{"status":{"token":"s3cret","expirationTimestamp":"soon"}}'"#, "not a time"),
    ] {
        let said = reason(pool.get(&sh(script)).await.err().unwrap());
        assert!(said.contains(words) && !said.contains("s3cret"), "{script}: {said}");
    }
}

#[tokio::test]
async fn a_missing_command_is_named_with_its_hint() {
    let spec = ExecSpec { command: "/nowhere/qd-no-such".into(), install_hint: Some("get it".into()), ..sh("") };
    let error = ExecPool::default().get(&spec).await.err().unwrap();
    let wanted = ExecError::Failed { command: "qd-no-such".into(), reason: "command not found".into(), hint: Some("get it".into()) };
    assert_eq!(error, wanted);
}

#[tokio::test]
async fn a_helper_that_stays_does_not_hold_up_the_answer() {
    let start = Instant::now();
    let spec = sh(r#"echo '{"status":{"token":"x"}}'; sleep 3 &"#);
    assert_eq!(token(&ExecPool::default().get(&spec).await.unwrap()), "x");
    assert!(start.elapsed() < Duration::from_millis(2500));
}

#[tokio::test]
async fn certificates_and_yaml_are_understood() {
    let script = "printf 'status:\\n  clientCertificateData: C\\n  clientKeyData: K\\n'";
    let credential = ExecPool::default().get(&sh(script)).await.unwrap();
    let identity = credential.identity.as_ref().unwrap();
    assert_eq!((identity.certificate.as_str(), identity.key.expose_secret()), ("C", "K"));
}

#[test]
fn renewal_is_before_the_end_but_not_at_once() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = at("2030-01-01T00:00:00Z");
    assert_eq!(renew_at(now, at("2030-01-01T01:00:00Z")), at("2030-01-01T00:59:00Z"));
    assert_eq!(renew_at(now, at("2030-01-01T00:01:40Z")), at("2030-01-01T00:01:30Z"));
    assert_eq!(renew_at(now, at("2029-01-01T00:00:00Z")), at("2030-01-01T00:00:10Z"));
}

#[tokio::test]
async fn a_prompt_is_asked_for_in_the_foreground_and_its_answer_taken() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let script = r#"case $KUBERNETES_EXEC_INFO in *'"interactive":true'*) echo '{"status":{"token":"typed"}}';; esac"#;
    let text = format!(
        "contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nclusters: [{{name: a, cluster: {{server: 'https://a'}}}}]\n\
         users:\n- name: a\n  user:\n    exec:\n      interactiveMode: Always\n      command: sh\n      args:\n      - -c\n      - >-\n        {script}\n"
    );
    fs::write(&file, text).unwrap();
    let options = crate::client::LoadOptions { kubeconfig: Some(file), ..Default::default() };
    let targets = crate::client::load(&options).unwrap();
    let target = &targets[0];
    let pool = ExecPool::default();
    let spec = target.exec().unwrap();
    let error = pool.get(spec).await.err().unwrap().of(&target.name);
    assert_eq!(error, ClientError::NeedsPrompt { cluster: "a".into(), command: "sh".into() });
    assert_eq!(error.reason(), ":login a (sh wants a prompt)");
    let output = login_command(target).unwrap().output().unwrap();
    pool.put(target, &output.stdout).await.unwrap();
    assert_eq!(token(&pool.get(spec).await.unwrap()), "typed");
    assert!(pool.put(target, b"").await.is_err());
}
