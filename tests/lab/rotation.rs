//! What changes under a cockpit that stays open: certificates and tokens that end and are replaced, and a past that the server has forgotten.

use super::support::lab::{CONTEXTS, Lab, Room, now, until};
use super::support::pty::Term;
use super::support::runner::{Test, tests};
use super::{Back, SIZE, lives, stands, state};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = tests![
    a_client_certificate_that_ends_is_taken_up_anew,
    a_token_that_ends_is_taken_up_anew,
    a_watch_whose_past_is_compacted_begins_anew,
];

/// How long the first credentials last: long enough to open the cockpit.
const LIFE: i64 = 8;

/// The clusters of the lab, as users that are given here.
fn kubeconfig(lab: &Lab, file: &Path, users: [Value; 2]) {
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(lab.kubeconfig()).unwrap()).unwrap();
    let named = |(context, user): (&str, Value)| json!({"name": format!("{context}-admin"), "user": user});
    config["users"] = CONTEXTS.into_iter().zip(users).map(named).collect();
    std::fs::write(file, config.to_string()).unwrap();
}

/// Whether the API server of a context takes this user.
fn taken(lab: &Lab, dir: &Path, context: &str, user: &Value) -> bool {
    let file = dir.join("asked");
    kubeconfig(lab, &file, [user.clone(), user.clone()]);
    let out = Command::new("kubectl").arg("--kubeconfig").arg(&file).args(["--context", context, "get", "nodes", "-o", "name"]).output();
    out.unwrap().status.success()
}

/// Credentials of the kinds that people have: in files that the kubeconfig names in the first cluster, in the kubeconfig itself in the second.
/// Those of the files are replaced before they end, the others only after the server has refused them. `user`: one that lasts so many seconds.
fn renewed(lab: &Lab, put: impl Fn(&Path, &Value) -> Value, user: impl Fn(&str, i64) -> Value) {
    let room = Room::new();
    let dir = room.path("credentials");
    std::fs::create_dir(&dir).unwrap();
    let file = dir.join("config");
    let ended: PathBuf = dir.join("ended");
    std::fs::create_dir(&ended).unwrap();
    let began = Instant::now();
    let first = CONTEXTS.map(|c| user(c, LIFE));
    let named = put(&dir, &first[0]);
    kubeconfig(lab, &file, [named.clone(), first[1].clone()]);
    let mut term = Term::open(&[], room.env(&file), SIZE.0, SIZE.1);
    for context in CONTEXTS {
        stands(&mut term, context, &["live"], 20);
    }
    let live = term.frames();
    assert!(began.elapsed() < Duration::from_secs(LIFE.unsigned_abs()), "too slow to see the first credentials in use");
    put(&dir, &user(CONTEXTS[0], 3600));
    for (context, user) in CONTEXTS.iter().zip(&first) {
        until("the first credential to end", Duration::from_secs(40), || {
            if taken(lab, &ended, context, user) { Err(format!("{context} takes it")) } else { Ok(()) }
        });
    }
    stands(&mut term, CONTEXTS[1], &["no login"], 30);
    // What is shown stays, and says how old it is.
    term.pane("3", "PODS");
    term.line(20, &[CONTEXTS[1], "crashloop-"]);
    term.line(20, &[CONTEXTS[1], "rows", "old"]);
    term.keys("`");
    stands(&mut term, CONTEXTS[0], &["live"], 1);
    kubeconfig(lab, &file, [named, user(CONTEXTS[1], 3600)]);
    let written = Instant::now();
    stands(&mut term, CONTEXTS[1], &["live"], 25);
    println!("  live again {:.1} s after the kubeconfig had it", written.elapsed().as_secs_f32());
    for context in CONTEXTS {
        lives(lab, &mut term, context, "qd-renewed");
    }
    // Who is renewed in time is never refused.
    let states = term.seen(live, |lines| state(lines, CONTEXTS[0], &["live", "stale", "no login", "down"]));
    assert_eq!(states, ["live"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

fn a_client_certificate_that_ends_is_taken_up_anew(lab: &Lab) {
    let made = |context: &str, life: i64| {
        let [certificate, key] = lab.client_certificate(context, "qd-rotated", life).map(|pem| STANDARD.encode(pem));
        json!({"client-certificate-data": certificate, "client-key-data": key})
    };
    let put = |dir: &Path, user: &Value| {
        let mut named = json!({});
        for what in ["client-certificate", "client-key"] {
            let pem = STANDARD.decode(user[format!("{what}-data")].as_str().unwrap()).unwrap();
            std::fs::write(dir.join(what), pem).unwrap();
            named[what] = what.into();
        }
        named
    };
    renewed(lab, put, made);
}

fn a_token_that_ends_is_taken_up_anew(lab: &Lab) {
    const NAME: &str = "qd-token";
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": "default"}});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "default"}]});
    for context in CONTEXTS {
        lab.apply(context, &json!({"apiVersion": "v1", "kind": "List", "items": [account, binding]}));
    }
    // One of a minute at least is all that the server itself would give.
    let made = |context: &str, life: i64| {
        const ISSUER: &str = "https://kubernetes.default.svc";
        const LEEWAY: i64 = 60;
        let uid = lab.kubectl(context, &["get", "serviceaccount", NAME, "-n", "default", "-o", "jsonpath={.metadata.uid}"]);
        let claims = json!({"iss": ISSUER, "aud": [ISSUER], "sub": format!("system:serviceaccount:default:{NAME}"), "iat": now() - 3600,
            "nbf": now() - 3600, "exp": now() + life - LEEWAY,
            "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": NAME, "uid": uid.trim()}}});
        let part = |v: Value| URL_SAFE_NO_PAD.encode(v.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), &signed).unwrap();
        let mut sign = Command::new("openssl");
        let out = sign.args(["dgst", "-sha256", "-sign"]).arg(lab.file(context, "sa.key")).arg(text.path()).output().unwrap();
        assert!(out.status.success(), "openssl: {}", String::from_utf8_lossy(&out.stderr));
        json!({"token": format!("{signed}.{}", URL_SAFE_NO_PAD.encode(out.stdout))})
    };
    let put = |dir: &Path, user: &Value| {
        std::fs::write(dir.join("token"), user["token"].as_str().unwrap()).unwrap();
        json!({"tokenFile": "token"})
    };
    renewed(lab, put, made);
}

/// 410 Gone of a real server: its etcd is compacted and it begins anew while nobody of ours listens.
fn a_watch_whose_past_is_compacted_begins_anew(lab: &Lab) {
    const CONTEXT: &str = CONTEXTS[1];
    const PATH: &str = "/apis/policy/v1/namespaces/faults/poddisruptionbudgets";
    let name = |what: &str| format!("qd-{what}-{}", std::process::id());
    let (before, after) = (name("past"), name("present"));
    let create = |name: &str| lab.kubectl(CONTEXT, &["create", "pdb", name, "-n", "faults", "--selector=nobody=none", "--min-available=1"]);
    let delete = |name: &str| lab.kubectl(CONTEXT, &["delete", "pdb", name, "-n", "faults"]);
    let room = Room::new();
    let mut term = super::cockpit(lab, &room, &["--log-level", "debug"]);
    super::all_live(&mut term);
    term.pane("6", "PDB");
    create(&before);
    term.line(20, &[CONTEXT, &before]);
    let _back = Back { lab, what: ["start", CONTEXT, "kube-apiserver"] };
    term.signal(Signal::STOP);
    let list: Value = serde_json::from_str(&lab.kubectl(CONTEXT, &["get", "--raw", PATH])).unwrap();
    let seen = list["metadata"]["resourceVersion"].as_str().unwrap();
    // Something else goes on, so that what was seen last is past.
    lab.kubectl(CONTEXT, &["annotate", "namespace", "faults", "--overwrite", &format!("qd={after}")]);
    lab.lab(&["kill", CONTEXT, "kube-apiserver"]);
    lab.lab(&["compact", CONTEXT]);
    lab.lab(&["start", CONTEXT, "kube-apiserver"]);
    // Only now: what happened before would lie in the socket of the one that sleeps.
    delete(&before);
    create(&after);
    let watch = format!("{PATH}?watch=true&timeoutSeconds=2&resourceVersion={seen}");
    let mut kubectl = Command::new("kubectl");
    let out = kubectl.arg("--kubeconfig").arg(lab.kubeconfig()).args(["--context", CONTEXT, "get", "--raw", &watch]).output().unwrap();
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(said.contains("too old resource version") || said.contains("410"), "the server remembers: {said}");
    term.signal(Signal::CONT);
    term.line(30, &[CONTEXT, &after]);
    term.wait("what is gone to be gone", 30, |lines| (!lines.iter().any(|l| l.contains(CONTEXT) && l.contains(&before))).then_some(()));
    let log = room.log();
    assert!(
        log.lines().any(|l| l.contains("error=\"gone\"") && l.contains("kind=\"PodDisruptionBudget\"")),
        "no watch was too old:\n{log}"
    );
    delete(&after);
    term.wait("the last change", 20, |lines| (!lines.iter().any(|l| l.contains(&after))).then_some(()));
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}
