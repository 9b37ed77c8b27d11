//! Services that fail in every way that services do: what the cockpit says of each, that nothing else stalls meanwhile, and that nothing that is
//! secret is told. The services are the lab's real ones, each behind a proxy that fails as it is told.

use super::SIZE;
use super::support::alerts::{Alertmanagers, PROGRAMS};
use super::support::fault_proxy::{Authority, Fault, Proxy, Upstream};
use super::support::lab::{CONTEXTS, Lab, Room, until};
use super::support::pty::{Term, framed};
use super::support::runner::{Test, test};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CONTEXT: &str = CONTEXTS[0];

pub const TESTS: &[Test] = &[
    test!(each_fault_of_a_service_is_told_and_costs_the_others_nothing).needs(PROGRAMS),
    test!(a_store_of_backups_that_fails_says_how_and_keeps_its_address).velero(),
];

/// What fails, how, and what its pane says then. Where metrics-server is met the API server is too: only an answer can be wrong there.
const TOLD: &[(Fault, Told)] = &[
    (Fault::Refuse, Told { alerts: "connection refused", signals: "connection refused", uses: "connection closed by the server" }),
    (Fault::Hang, Told { alerts: "no answer for 5 s", signals: "no answer for 10 s", uses: "no answer for 20 s" }),
    (Fault::Status(401), Told { alerts: "credentials refused", signals: "credentials refused", uses: "credentials refused" }),
    (Fault::Status(403), Told { alerts: "forbidden", signals: "forbidden", uses: "forbidden" }),
    (Fault::Status(500), Told { alerts: "HTTP 500", signals: "HTTP 500", uses: "HTTP 500" }),
    (Fault::Status(503), Told { alerts: "HTTP 503", signals: "HTTP 503", uses: "HTTP 503" }),
    (Fault::Slow, Told { alerts: "no answer for 5 s", signals: "no answer for 10 s", uses: "no answer for 20 s" }),
    (Fault::Expired, Told { alerts: "certificate has expired", signals: "certificate has expired", uses: "" }),
    (Fault::WrongName, Told { alerts: "certificate name mismatch", signals: "certificate name mismatch", uses: "" }),
    (
        Fault::Untrusted,
        Told { alerts: "certificate signed by unknown authority", signals: "certificate signed by unknown authority", uses: "" },
    ),
];

/// The words of each pane; empty where it cannot fail so.
struct Told {
    alerts: &'static str,
    signals: &'static str,
    uses: &'static str,
}

/// The same of the store that backups' logs are fetched from.
const STORE: &[(Fault, &str)] = &[
    (Fault::Refuse, "connection refused"),
    (Fault::Hang, "dial timeout"),
    (Fault::Status(401), "unauthorized"),
    (Fault::Status(403), "forbidden"),
    (Fault::Status(500), "HTTP 500"),
    (Fault::Status(503), "HTTP 503"),
    (Fault::Slow, "not all of it came within 60 s"),
    (Fault::Expired, "certificate has expired"),
    (Fault::WrongName, "certificate name mismatch"),
    (Fault::Untrusted, "certificate signed by unknown authority"),
];

const PASSWORD: &str = "canary-of-a-password";
const TOKEN: &str = "canary-of-a-token";

/// Nothing of these is ever told: what services are met with, as it is and as it is sent, and what only certificates' files have.
fn secrets() -> Vec<String> {
    let basic = STANDARD.encode(format!("qd:{PASSWORD}"));
    [PASSWORD, TOKEN, &basic, "admin-token", "X-Amz-Signature", "X-Amz-Credential", "BEGIN CERTIFICATE", "PRIVATE KEY"]
        .map(str::to_owned)
        .into()
}

/// All that a run of `qd` has left in its state directory: log, audit, what it keeps.
fn left(room: &Room) -> String {
    fn read(dir: &Path, into: &mut String) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                read(&path, into);
            } else {
                into.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
            }
        }
    }
    let mut all = String::new();
    read(&room.state(), &mut all);
    all
}

fn keeps_its_secrets(what: &str, text: &str) {
    for secret in secrets() {
        if let Some(at) = text.find(&secret) {
            let from = (0..=at.saturating_sub(120)).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
            panic!("{what} has {secret}: {:?}", &text[from..at + secret.len()]);
        }
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_start_matches("https://").parse().unwrap()
}

/// The lab's services behind proxies of their own, and what meets them there.
struct Behind {
    room: Room,
    proxies: Vec<Proxy>,
}

impl Behind {
    fn new(lab: &Lab, authority: &Arc<Authority>, alertmanagers: &[String], prometheus: &str) -> Self {
        let room = Room::new();
        let plain = |url: &str| Proxy::new(authority, Upstream::Plain(address(url)), "");
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(lab.kubeconfig()).unwrap()).unwrap();
        let cluster = config["clusters"].as_array_mut().unwrap().iter_mut().find(|c| c["name"] == CONTEXT).unwrap();
        let (server, ca) =
            (address(cluster["cluster"]["server"].as_str().unwrap()), std::fs::read_to_string(lab.file(CONTEXT, "ca.crt")).unwrap());
        let mut proxies: Vec<Proxy> = alertmanagers.iter().map(|url| plain(url)).collect();
        proxies.push(plain(prometheus));
        proxies.push(Proxy::new(authority, Upstream::Tls(server, ca), "/apis/metrics.k8s.io/v1beta1/"));
        cluster["cluster"]["server"] = proxies[3].url().into();
        cluster["cluster"]["certificate-authority-data"] = STANDARD.encode(&authority.pem).into();
        let write = |name: &str, text: &str| {
            std::fs::write(room.path(name), text).unwrap();
            room.path(name)
        };
        write("kubeconfig", &config.to_string());
        let (ca, password, token) = (write("ca.crt", &authority.pem), write("password", PASSWORD), write("token", TOKEN));
        let urls = json!([proxies[0].url(), proxies[1].url()]);
        let text = format!(
            "[clusters.{CONTEXT}.alertmanager]\nurls = {urls}\nca = {ca:?}\nusername = \"qd\"\npassword_file = {password:?}\n\
             [clusters.{CONTEXT}.prometheus]\nurl = {:?}\nca = {ca:?}\ntoken_file = {token:?}\n{}",
            proxies[2].url(),
            few_queries()
        );
        write("qd.toml", &text);
        Self { room, proxies }
    }

    fn config(&self) -> String {
        self.room.path("qd.toml").to_str().unwrap().to_owned()
    }

    fn set(&self, fault: Fault) {
        self.proxies.iter().for_each(|p| p.set(fault));
    }
}

/// Ten cockpits ask one Prometheus: of the queries that come with qd, those of the API servers are enough to tell whether it answers.
fn few_queries() -> String {
    let all: toml::Table = include_str!("../../assets/queries.toml").parse().unwrap();
    let names = all["query"].as_array().unwrap().iter().map(|q| q["name"].as_str().unwrap());
    names.filter(|n| !n.starts_with("api-")).map(|n| format!("[[query]]\nname = {n:?}\noff = true\n")).collect()
}

/// Goes to a pane, and waits for a line with these words.
fn says(term: &mut Term, pane: &str, seconds: u64, words: &[&str]) {
    term.keys(&format!(":{pane}\r"));
    term.wait(&format!("{pane} to say {words:?}"), seconds, |lines| {
        let here = lines.iter().take(4).any(|l| l.to_lowercase().starts_with(pane));
        (here && lines.iter().any(|l| words.iter().all(|w| l.contains(w)))).then_some(())
    });
}

fn each_fault_of_a_service_is_told_and_costs_the_others_nothing(lab: &Lab) {
    let all = Alertmanagers::new(lab, CONTEXT);
    let services: Value = serde_json::from_str(&std::fs::read_to_string(lab.file(CONTEXT, "services.json")).unwrap()).unwrap();
    let prometheus = services["prometheus"].as_str().unwrap();
    all.measured(prometheus);
    all.tell(&json!({"alertname": "QdStays", "severity": "warning", "cluster": CONTEXT}), None);
    let authority = Arc::new(Authority::new());
    let failed: Vec<String> = std::thread::scope(|scope| {
        let one = |(fault, told): &'static (Fault, Told)| {
            let (authority, urls) = (&authority, &all.urls);
            scope.spawn(move || fails_so(lab, &Behind::new(lab, authority, urls, prometheus), *fault, told))
        };
        let running: Vec<_> = TOLD.iter().map(|case| (case.0, one(case))).collect();
        running.into_iter().filter_map(|(fault, run)| run.join().is_err().then(|| format!("{fault:?}"))).collect()
    });
    all.tell(&json!({"alertname": "QdStays", "severity": "warning", "cluster": CONTEXT}), Some("2020-01-01T00:00:00Z"));
    lab.try_kubectl(CONTEXT, &["delete", "pods", "-n", "default", "-l", "run", "--wait=false"]);
    lab.try_kubectl(CONTEXTS[1], &["delete", "pods", "-n", "default", "-l", "run", "--wait=false"]);
    assert!(failed.is_empty(), "not as it should be: {failed:?}");
}

fn fails_so(lab: &Lab, behind: &Behind, fault: Fault, told: &Told) {
    let config = behind.config();
    let (kubeconfig, pod) = (behind.room.path("kubeconfig"), format!("seen-{fault:?}").to_lowercase().replace(['(', ')'], ""));
    let mut term = Term::open(&["--screen", "alerts", "--config", &config], behind.room.env(&kubeconfig), SIZE.0, SIZE.1);
    says(&mut term, "alerts", 60, &[CONTEXT, "QdStays"]);
    says(&mut term, "signals", 150, &[CONTEXT, "ok"]);
    behind.set(fault);
    says(&mut term, "alerts", 60, &[CONTEXT, told.alerts]);
    // While it fails, what changes is seen, in this cluster and in the other one.
    for context in CONTEXTS {
        lab.kubectl(context, &["run", &pod, "-n", "default", "--image=registry.internal/app:1"]);
    }
    term.keys(&format!(":pods\r/name:{pod}\r"));
    for context in CONTEXTS {
        term.line(20, &[context, &pod]);
    }
    for context in CONTEXTS {
        lab.kubectl(context, &["delete", "pod", "-n", "default", &pod, "--grace-period=0", "--force", "--wait=false"]);
    }
    term.wait("them to be gone", 20, |lines| (!lines.iter().any(|l| l.contains(&pod) && l.contains("lab-"))).then_some(()));
    says(&mut term, "signals", 240, &[CONTEXT, told.signals]);
    if !told.uses.is_empty() {
        says(&mut term, "nodes", 150, &[CONTEXT, "use of cpu and memory", told.uses]);
    }
    let lines = term.lines();
    assert!(
        !lines.iter().any(|l| l.contains(CONTEXTS[1]) && l.contains("use of cpu")),
        "the other cluster is none of it\n{}",
        framed(&lines)
    );
    let doctor = behind.room.qd(&kubeconfig, &["doctor", "--config", &config, "--timeout", "60s", "-o", "json"]);
    let printed = format!("{}{}", String::from_utf8_lossy(&doctor.stdout), String::from_utf8_lossy(&doctor.stderr));
    let report: Value = serde_json::from_slice(&doctor.stdout).unwrap_or_else(|e| panic!("{e}: {printed}"));
    let checks = |cluster: &str| report["items"].as_array().unwrap().iter().find(|c| c["cluster"] == cluster).unwrap()["checks"].clone();
    let check = |cluster: &str, what: &str| checks(cluster).as_array().unwrap().iter().find(|k| k["what"] == what).unwrap().clone();
    for what in ["alertmanager", "prometheus"] {
        assert_eq!(check(CONTEXT, what)["ok"], false, "{printed}");
    }
    for context in CONTEXTS {
        assert_eq!(check(context, "api")["state"], "live", "{printed}");
    }
    // Once it is well again, it is seen to be.
    behind.set(Fault::Pass);
    term.keys(":alerts\r");
    term.wait("the alerts to be well", 90, |lines| {
        let there = lines.iter().any(|l| l.contains(CONTEXT) && l.contains("QdStays"));
        (there && !lines.iter().any(|l| l.contains(told.alerts))).then_some(())
    });
    term.keys("\x03\x03");
    assert_eq!(term.ended(15), Vec::<String>::new());
    keeps_its_secrets("the terminal", &String::from_utf8_lossy(&term.bytes()));
    keeps_its_secrets("qd doctor", &printed);
    keeps_its_secrets("the state directory", &left(&behind.room));
}

/// A location whose addresses of downloads are the proxy's; Velero itself is by it, and has the authority where `place` says.
fn location(lab: &Lab, name: &str, proxy: &Proxy, place: &Value) {
    let s3 = std::fs::read_to_string(lab.file(CONTEXT, "s3.argv")).unwrap();
    let argv: Vec<String> = serde_json::from_str(&s3).unwrap();
    let host = &argv[argv.iter().position(|a| a == "-host").unwrap() + 1];
    let mut store = json!({"bucket": "velero", "prefix": name});
    for (key, value) in place.as_object().unwrap() {
        store[key] = value.clone();
    }
    lab.apply(
        CONTEXT,
        &json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": name, "namespace": "velero"},
            "spec": {"provider": "aws", "objectStorage": store, "credential": {"name": "cloud-credentials", "key": "cloud"},
                "config": {"region": "minio", "s3ForcePathStyle": "true", "s3Url": format!("http://{host}"), "publicUrl": proxy.url()}}}),
    );
    until("the location to be available", Duration::from_secs(90), || {
        let phase = lab.kubectl(CONTEXT, &["get", "-n", "velero", "backupstoragelocation", name, "-o", "jsonpath={.status.phase}"]);
        if phase == "Available" { Ok(()) } else { Err(phase) }
    });
}

fn a_store_of_backups_that_fails_says_how_and_keeps_its_address(lab: &Lab) {
    let argv: Vec<String> = serde_json::from_str(&std::fs::read_to_string(lab.file(CONTEXT, "s3.argv")).unwrap()).unwrap();
    let host = argv[argv.iter().position(|a| a == "-host").unwrap() + 1].clone();
    let authority = Arc::new(Authority::new());
    let proxy = Proxy::new(&authority, Upstream::Plain(address(&host)), "");
    let pem = STANDARD.encode(&authority.pem);
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "qd-store-ca", "namespace": "velero"}, "data": {"ca.crt": pem}});
    lab.apply(CONTEXT, &secret);
    location(lab, "qd-inline", &proxy, &json!({"caCert": pem}));
    location(lab, "qd-secret", &proxy, &json!({"caCertRef": {"name": "qd-store-ca", "key": "ca.crt"}}));
    location(lab, "qd-bare", &proxy, &json!({}));
    let room = Room::new();
    let run = |line: &str| {
        let args: Vec<&str> = line.split(' ').chain(["--context", CONTEXT, "--yes", "-o", "json"]).collect();
        let out = room.qd(&lab.kubeconfig(), &args);
        let printed = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        keeps_its_secrets(line, &printed);
        (out.status.code().unwrap_or(-1), printed)
    };
    for name in ["qd-inline", "qd-secret", "qd-bare"] {
        let (code, said) = run(&format!("backup create {name} --include-namespace kube-node-lease --location {name} --wait"));
        assert_eq!(code, 0, "{said}");
    }
    for name in ["qd-inline", "qd-secret"] {
        let (code, said) = run(&format!("backup logs {name}"));
        assert_eq!(code, 0, "{said}");
        assert!(left(&room).contains("Setting up backup temp file"), "{said}");
    }
    let (code, said) = run("backup logs qd-bare");
    assert!(code != 0 && said.contains("certificate signed by unknown authority"), "{said}");
    for (fault, words) in STORE {
        proxy.set(*fault);
        let (code, said) = run("backup logs qd-secret");
        assert!(code != 0 && said.contains(words), "{fault:?}: code {code}: {said}");
    }
    proxy.set(Fault::Pass);
    let (code, said) = run("backup logs qd-secret");
    assert_eq!(code, 0, "{said}");
    keeps_its_secrets("the state directory", &left(&room));
    for name in ["qd-inline", "qd-secret", "qd-bare"] {
        run(&format!("backup delete {name} --confirm {CONTEXT}"));
        lab.kubectl(CONTEXT, &["delete", "-n", "velero", "backupstoragelocation", name]);
    }
    lab.kubectl(CONTEXT, &["delete", "-n", "velero", "secret", "qd-store-ca"]);
}
