use std::{collections::HashMap, fs};

use super::*;

struct Files {
    dir: tempfile::TempDir,
    env: HashMap<&'static str, String>,
}

impl Files {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: HashMap::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, options: &LoadOptions) -> Result<Vec<Target>, KubeconfigError> {
        load_from(options, &|name| self.env.get(name).map(OsString::from), &self.path("pod"))
    }

    fn load_file(&self, text: &str) -> Vec<Target> {
        let kubeconfig = Some(self.write("config", text));
        self.load(&LoadOptions { kubeconfig, ..LoadOptions::default() }).unwrap()
    }
}

/// A kubeconfig of (context, server, user's YAML flow map).
fn config(contexts: &[(&str, &str, &str)]) -> String {
    let list = |line: &dyn Fn(&(&str, &str, &str)) -> String| contexts.iter().map(line).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Config\ncontexts:\n{}clusters:\n{}users:\n{}",
        list(&|(name, ..)| format!("- {{name: {name}, context: {{cluster: c-{name}, user: u-{name}}}}}\n")),
        list(&|(name, server, _)| format!("- {{name: c-{name}, cluster: {{server: '{server}'}}}}\n")),
        list(&|(name, _, user)| format!("- {{name: u-{name}, user: {user}}}\n")),
    )
}

fn names(targets: &[Target]) -> Vec<&str> {
    targets.iter().map(|t| t.name.as_str()).collect()
}

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn several_files_merge_the_first_wins_and_a_missing_one_is_ignored() {
    let mut files = Files::new();
    let one = files.write("one/config", &config(&[("a", "https://a:1", "{token: first}")]));
    let two = files.write("two/config", &config(&[("a", "https://other", "{token: x}"), ("b", "https://b:1", "{}")]));
    let list = [one, files.path("missing"), two];
    files.env.insert("KUBECONFIG", std::env::join_paths(list).unwrap().into_string().unwrap());
    files.env.insert("HOME", files.path("home").display().to_string());
    let targets = files.load(&LoadOptions::default()).unwrap();
    assert_eq!(names(&targets), ["a", "b"]);
    assert_eq!(targets[0].server, "https://a:1");
}

#[test]
fn paths_are_relative_to_their_own_file() {
    let mut files = Files::new();
    let (certificate, key) = certificate();
    let mut list = Vec::new();
    for dir in ["one", "two"] {
        let user = "{client-certificate: pki/c.crt, client-key: pki/c.key}";
        list.push(files.write(&format!("{dir}/config"), &config(&[(dir, &format!("https://{dir}"), user)])));
    }
    files.write("one/pki/c.crt", &certificate);
    files.write("one/pki/c.key", &key);
    files.env.insert("KUBECONFIG", std::env::join_paths(list).unwrap().into_string().unwrap());
    let targets = files.load(&LoadOptions::default()).unwrap();
    assert_eq!(targets[0].broken(), None);
    let why = targets[1].broken().unwrap();
    assert!(why.contains("two/pki/c.crt") && why.contains("not found"), "{why}");
}

#[test]
fn home_is_the_fallback_and_then_the_pod() {
    let mut files = Files::new();
    files.env.insert("HOME", files.path("home").display().to_string());
    let error = files.load(&LoadOptions::default()).unwrap_err();
    assert!(error.hint().unwrap().contains("home/.kube/config"), "{error:?}");

    files.env.insert("KUBERNETES_SERVICE_HOST", "fd00::1".into());
    files.env.insert("KUBERNETES_SERVICE_PORT", "443".into());
    files.write("pod/ca.crt", &certificate().0);
    files.write("pod/namespace", "monitoring\n");
    let targets = files.load(&LoadOptions::default()).unwrap();
    assert_eq!(names(&targets), ["in-cluster"]);
    assert_eq!((targets[0].server.as_str(), targets[0].broken()), ("https://[fd00::1]:443", None));
    assert_eq!(targets[0].namespace.as_deref(), Some("monitoring"));

    files.write("home/.kube/config", &config(&[("mine", "https://m", "{}")]));
    assert_eq!(names(&files.load(&LoadOptions::default()).unwrap()), ["mine"]);
}

#[test]
fn a_malformed_file_is_named_with_its_line_and_without_its_secrets() {
    let files = Files::new();
    for bad in ["users:\n- name: u\n  user: {token: s3cret-token, exec: s3cret}\n", "users:\n- [s3cret: {s3cret\n"] {
        let kubeconfig = Some(files.write("bad", bad));
        let error = files.load(&LoadOptions { kubeconfig, ..LoadOptions::default() }).unwrap_err();
        let KubeconfigError::Malformed { line: Some(line), .. } = &error else { panic!("{error:?}") };
        assert!((2..=4).contains(line), "{line}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("bad:") && !text.contains("s3cret"), "{text}");
    }
}

#[test]
fn a_broken_context_says_why_and_the_others_stay() {
    let files = Files::new();
    let text = config(&[
        ("good", "https://good", "{token: t}"),
        ("url", "ht tp://", "{}"),
        ("scheme", "ftp://x", "{}"),
        ("both", "https://x", "{token: t, username: u, password: p}"),
        ("gcp", "https://x", "{auth-provider: {name: gcp}}"),
        ("half", "https://x", "{client-certificate-data: QUJD}"),
        ("nocmd", "https://x", "{exec: {apiVersion: v1}}"),
    ])
    .replace(
        "clusters:\n",
        "- {name: nowhere, context: {cluster: gone, user: u-good}}\n- {name: nobody, context: {cluster: c-good, user: gone}}\nclusters:\n",
    );
    let targets = files.load_file(&text);
    let broken: HashMap<_, _> = targets.iter().filter_map(|t| Some((t.name.as_str(), t.broken()?))).collect();
    assert_eq!(targets.len(), 9);
    assert!(!broken.contains_key("good"));
    for (name, word) in [
        ("url", "not a URL"),
        ("scheme", "http(s)"),
        ("both", "password"),
        ("gcp", "exec plugin"),
        ("half", "without its key"),
        ("nocmd", "no command"),
        ("nowhere", "no cluster \"gone\""),
        ("nobody", "no user \"gone\""),
    ] {
        assert!(broken[name].contains(word), "{name}: {}", broken[name]);
    }
}

#[test]
fn contexts_of_one_server_and_one_user_are_one_target() {
    let files = Files::new();
    let text = config(&[
        ("a", "https://one:6443", "{token: t}"),
        ("b", "https://two:6443", "{token: t}"),
        ("c", "https://one:6443", "{token: t}"),
        ("d", "https://one:6443", "{token: other}"),
        ("e", "https://one:6443", "{token: t, as: jane}"),
        ("f", "https://one:6443/", "{token: t}"),
        ("g", "https://x", "{exec: {command: aws, args: [one]}}"),
        ("h", "https://x", "{exec: {command: aws, args: [two]}}"),
        ("i", "https://x", "{exec: {command: aws, args: [one]}}"),
    ]);
    let targets = files.load_file(&text);
    let contexts: Vec<_> = targets.iter().map(|t| t.contexts.join("+")).collect();
    assert_eq!(contexts, ["a+c+f", "b", "d", "e", "g+i", "h"]);
}

#[test]
fn the_same_certificate_inline_and_in_a_file_is_the_same_user() {
    use base64::Engine;
    let files = Files::new();
    let (certificate, key) = certificate();
    files.write("c.crt", &certificate);
    files.write("c.key", &key);
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let inline = format!("{{client-certificate-data: {}, client-key-data: {}}}", encode(&certificate), encode(&key));
    let text = config(&[("a", "https://one", "{client-certificate: c.crt, client-key: c.key}"), ("b", "https://one", &inline)]);
    assert_eq!(files.load_file(&text).len(), 1);
}

#[test]
fn contexts_are_chosen_by_name_and_by_glob() {
    let files = Files::new();
    let three = config(&[("prod-eu", "https://1", "{}"), ("prod-us", "https://2", "{}"), ("dev", "https://3", "{}")]);
    let kubeconfig = Some(files.write("config", &three));
    let load = |contexts: &[&str], clusters: Option<&str>| {
        files.load(&LoadOptions {
            kubeconfig: kubeconfig.clone(),
            contexts: contexts.iter().map(|&c| c.to_owned()).collect(),
            clusters: clusters.map(str::to_owned),
            ..LoadOptions::default()
        })
    };
    assert_eq!(names(&load(&["dev", "prod-eu", "dev"], None).unwrap()), ["dev", "prod-eu"]);
    assert_eq!(names(&load(&[], Some("prod-*")).unwrap()), ["prod-eu", "prod-us"]);
    let error = load(&["prod-ue"], None).unwrap_err();
    assert_eq!(error.to_string(), "no context named \"prod-ue\"");
    let hint = error.hint().unwrap();
    assert!(hint.starts_with("did you mean \"prod-eu\"") && hint.contains("dev"), "{hint}");
    assert!(matches!(load(&[], Some("stage-*")), Err(KubeconfigError::NoMatch { .. })));
    assert!(matches!(load(&[], Some("[")), Err(KubeconfigError::BadGlob { .. })));
}

#[test]
fn impersonation_from_the_command_line_replaces_the_user() {
    let files = Files::new();
    let kubeconfig = Some(files.write("config", &config(&[("a", "https://a", "{token: t, as: jane, as-groups: [x]}")])));
    let options = LoadOptions { kubeconfig, as_user: Some("joe".into()), ..LoadOptions::default() };
    let targets = files.load(&options).unwrap();
    let user = &targets[0].reach().unwrap().user;
    assert_eq!(user.impersonate.as_deref(), Some("joe"));
    assert_eq!(user.impersonate_groups.as_deref(), Some(&["x".to_owned()][..]));
    let groups = LoadOptions { as_user: None, as_groups: vec!["g".into()], ..options };
    assert!(matches!(files.load(&groups), Err(KubeconfigError::GroupsWithoutUser)));
}

#[test]
fn proxies_follow_kubectl() {
    let mut files = Files::new();
    files.env.insert("HTTPS_PROXY", "env-proxy:3128".into());
    files.env.insert("NO_PROXY", ".inside.example,10.0.0.0/8".into());
    let text = config(&[
        ("env", "https://a.example", "{}"),
        ("name", "https://a.inside.example", "{}"),
        ("net", "https://10.1.2.3:6443", "{}"),
        ("local", "https://127.0.0.1:6443", "{}"),
        ("own", "https://b.inside.example', proxy-url: 'socks5://me:pw@own:1080", "{}"),
        ("bad", "https://c.example', proxy-url: 'gopher://x", "{}"),
    ]);
    let targets = files.load_file(&text);
    let proxies: Vec<_> =
        targets.iter().map(|t| t.reach().map(|r| r.proxy.as_ref().map(|p| p.uri().to_string())).map_err(|_| ())).collect();
    let some = |text: &str| Ok(Some(text.to_owned()));
    let wanted = [some("http://env-proxy:3128/"), Ok(None), Ok(None), Ok(None), some("socks5://own:1080/"), Err(())];
    assert_eq!(proxies, wanted);
}

#[test]
fn nothing_secret_is_in_debug() {
    let files = Files::new();
    let user = "{exec: {command: aws, args: [s3cret], env: [{name: K, value: s3cret}]}}";
    let text = config(&[("a", "https://a", "{token: s3cret}"), ("b", "https://b", user)]);
    let shown = format!("{:?}", files.load_file(&text));
    assert!(shown.contains("https://a") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn how_one_says_who_one_is_is_told_without_what_is_secret() {
    let users = [
        ("t", "https://a:1", "{token: canary}"),
        ("f", "https://b:1", "{tokenFile: /run/token}"),
        ("e", "https://c:1", "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Never}, as: admin}"),
        ("p", "https://d:1", "{username: ada, password: canary}"),
        ("n", "https://e:1", "{}"),
    ];
    let said: Vec<String> = Files::new().load_file(&config(&users)).iter().map(Target::identity).collect();
    assert_eq!(said, ["token", "token of /run/token", "exec plugin aws, acting as admin", "password of ada", "anonymous"]);
}
