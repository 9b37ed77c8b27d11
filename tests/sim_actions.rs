//! Changes against the simulated fleet, as stock kubectl makes them and as its faults answer them.
//!
//! Needs a kubectl of 1.27 or newer on the PATH, which knows server-side apply, `--subresource` and the eviction API of policy/v1; where
//! there is none the tests that use it say that they are skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers beside the test functions too")]

use quarterdeck::client::install_crypto_provider;
use quarterdeck::sim::{Fault, Options, Running, Scenario, Written, start};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CLUSTER: &str = "prod-eu";

/// A calm cluster, and kubectl for it.
struct Lab {
    running: Running,
    home: tempfile::TempDir,
}

impl Lab {
    /// None: there is no kubectl.
    fn new() -> Option<Self> {
        let version = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output();
        let minor = version.ok().filter(|v| v.status.success()).and_then(|v| {
            let version: serde_json::Value = serde_json::from_slice(&v.stdout).ok()?;
            version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse::<u32>().ok()
        });
        match minor {
            Some(minor) if minor >= 27 => {}
            found => {
                eprintln!("SKIPPED: a kubectl of 1.27 or newer is needed, found {found:?}");
                return None;
            }
        }
        install_crypto_provider();
        let mut scenario = Scenario::load("calm").unwrap();
        scenario.resize(Some(1), Some(4), Some(60)).unwrap();
        (scenario.replace_every, scenario.churn) = (0.0, 0.0);
        let running = start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap();
        Some(Self { running, home: tempfile::tempdir().unwrap() })
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What kubectl prints; its complaint where it fails.
    fn try_with(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new("kubectl");
        command.args(args).env("KUBECONFIG", &self.running.kubeconfig).env("HOME", self.home.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        if out.status.success() { Ok(text(&out.stdout) + &text(&out.stderr)) } else { Err(text(&out.stdout) + &text(&out.stderr)) }
    }
    fn try_run(&self, args: &str) -> Result<String, String> {
        self.try_with(&args.split_whitespace().collect::<Vec<_>>(), "")
    }
    fn run(&self, args: &str) -> String {
        self.try_run(args).unwrap_or_else(|e| panic!("kubectl {args}: {e}"))
    }
    fn refused(&self, args: &str) -> String {
        self.try_run(args).expect_err(args)
    }
    fn json(&self, args: &str) -> serde_json::Value {
        serde_json::from_str(&self.run(&format!("{args} -o json --show-managed-fields"))).unwrap()
    }
    /// Asks until it is so.
    fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !so(self) {
            assert!(began.elapsed() < Duration::from_secs(30), "not {what}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    fn fault(&self, fault: Fault) {
        assert!(self.running.fleet.fault(CLUSTER, &fault));
    }
}

#[test]
fn rollouts_go_forward_and_back_with_their_history() {
    let Some(lab) = Lab::new() else { return };
    let image = |what: &str| lab.run(&format!("get {what} -o jsonpath={{.spec.template.spec.containers[0].image}}"));
    for (set, container) in [("deploy/ledger -n pay", "ledger"), ("sts/db -n pay", "db"), ("ds/cni -n kube-system", "cni")] {
        let before = image(set);
        lab.run(&format!("annotate {set} kubernetes.io/change-cause=before"));
        lab.run(&format!("set image {set} {container}=registry.example.com/x:9"));
        lab.run(&format!("rollout status {set} --timeout 60s"));
        let history = lab.run(&format!("rollout history {set}"));
        assert!(history.lines().any(|l| l.starts_with('2')), "{history}");
        assert!(lab.run(&format!("rollout history {set} --revision 2")).contains("registry.example.com/x:9"));
        lab.run(&format!("rollout undo {set}"));
        lab.run(&format!("rollout status {set} --timeout 60s"));
        assert_eq!(image(set), before, "{set}");
        let history = lab.run(&format!("rollout history {set}"));
        let revisions: Vec<&str> =
            history.lines().filter_map(|l| l.split_whitespace().next()).filter(|w| w.parse::<u8>().is_ok()).collect();
        assert_eq!(revisions, ["2", "3"], "the first revision is the newest again: {history}");
        if set.starts_with("deploy") {
            assert!(history.contains("before"), "{history}");
        }
    }
    lab.run("rollout pause deploy/ledger -n pay");
    lab.run("set image deploy/ledger -n pay ledger=registry.example.com/x:10");
    assert!(lab.refused("rollout undo deploy/ledger -n pay").contains("paused"));
    assert_eq!(lab.json("get deploy/ledger -n pay")["status"]["updatedReplicas"], 0, "a paused rollout does not move");
    lab.run("rollout resume deploy/ledger -n pay");
    lab.run("rollout status deploy/ledger -n pay --timeout 60s");
}

#[test]
fn who_applies_owns_and_who_differs_conflicts() {
    let Some(lab) = Lab::new() else { return };
    let config = |replicas: u8| {
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"cart","namespace":"shop"}},"spec":{{"replicas":{replicas}}}}}"#
        )
    };
    lab.run("scale deploy/cart -n shop --replicas 4");
    let file = lab.file("cart.json", &config(5));
    let apply = |more: &str| lab.try_run(&format!("apply --server-side -f {} {more}", file.display()));
    let refused = apply("--field-manager git").unwrap_err();
    assert!(refused.contains("conflict with \"kubectl\" with subresource \"scale\"") && refused.contains(".spec.replicas"), "{refused}");
    assert_eq!(lab.json("get deploy/cart -n shop")["spec"]["replicas"], 4);
    apply("--field-manager git --force-conflicts --dry-run=server").unwrap();
    assert_eq!(lab.json("get deploy/cart -n shop")["spec"]["replicas"], 4, "a dry run stores nothing");
    apply("--field-manager git --force-conflicts").unwrap();
    let cart = lab.json("get deploy/cart -n shop");
    assert_eq!(cart["spec"]["replicas"], 5);
    let owner = cart["metadata"]["managedFields"].as_array().unwrap().iter().find(|m| m["manager"] == "git").unwrap();
    assert_eq!((&owner["operation"], &owner["fieldsV1"]["f:spec"]), (&"Apply".into(), &serde_json::json!({"f:replicas": {}})));
    // Made by an apply, and what is no longer applied goes.
    let map = |data: &str| {
        lab.file("map.yaml", &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m, namespace: shop}}\ndata: {{{data}}}\n"))
    };
    for (data, wanted) in [("a: '1', b: '2'", serde_json::json!({"a": "1", "b": "2"})), ("a: '3'", serde_json::json!({"a": "3"}))] {
        let file = map(data);
        lab.run(&format!("apply --server-side -f {}", file.display()));
        assert_eq!(lab.json("get cm m -n shop")["data"], wanted);
    }
    let wrong = lab.file("wrong.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: wrong, namespace: shop}\ndatum: {a: b}\n");
    let refused = lab.refused(&format!("create -f {}", wrong.display()));
    assert!(refused.contains("strict decoding error: unknown field \"datum\""), "{refused}");
    let warned = lab.run(&format!("create --validate=warn -f {}", wrong.display()));
    assert!(warned.contains("Warning: unknown field \"datum\""), "{warned}");
}

#[test]
fn what_is_made_by_hand_is_run_and_what_is_only_tried_is_not() {
    let Some(lab) = Lab::new() else { return };
    lab.run("create ns lab");
    lab.run("create deployment web -n lab --image=nginx:1 --replicas=2");
    lab.run("rollout status deploy/web -n lab --timeout 30s");
    lab.run("create pdb web -n lab --selector=app=web --max-unavailable=1");
    lab.until("counted", |l| l.json("get pdb web -n lab")["status"]["disruptionsAllowed"] == 1);
    lab.run("autoscale deploy/web -n lab --min 3 --max 4");
    lab.until("scaled", |l| l.json("get deploy/web -n lab")["spec"]["replicas"] == 3);
    let manager = |l: &Lab| l.json("get deploy/web -n lab")["metadata"]["managedFields"].to_string();
    assert!(manager(&lab).contains("kube-controller-manager"), "{}", manager(&lab));
    lab.run("create job once -n data --from=cronjob/compact");
    lab.run("wait job/once -n data --for=condition=complete --timeout 60s");
    lab.run("label deploy/web -n lab tier=front");
    assert!(lab.refused("label deploy/web -n lab tier=back").contains("already has a value"));
    lab.run("annotate deploy/web -n lab note=x");
    lab.run("delete deploy/web -n lab --dry-run=server");
    assert_eq!(lab.json("get deploy/web -n lab")["metadata"]["annotations"]["note"], "x");
    lab.run("run lone -n lab --image=busybox --restart=Never");
    lab.run("delete ns lab --timeout 60s");
    assert!(lab.refused("get ns lab").contains("NotFound"));
}

#[test]
fn nodes_are_tainted_and_drained() {
    let Some(lab) = Lab::new() else { return };
    let on = |l: &Lab, node: &str| {
        let pods = l.json(&format!("get pods -A --field-selector spec.nodeName={node}"));
        let movable = |p: &&serde_json::Value| p["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet";
        pods["items"].as_array().unwrap().iter().filter(movable).count()
    };
    assert!(on(&lab, "node-002") > 0);
    lab.run("taint node node-002 broken=yes:NoExecute");
    lab.until("driven out", |l| on(l, "node-002") == 0);
    lab.run("taint node node-002 broken-");
    assert!(lab.run("drain node-003 --ignore-daemonsets --timeout 60s").contains("drained"));
    assert_eq!(on(&lab, "node-003"), 0);
    lab.run("uncordon node-003");
    // Who asks for a pod that has another uid by now moves nobody.
    let eviction = r#"{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"db-0","namespace":"pay"},"deleteOptions":{"preconditions":{"uid":"0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11"}}}"#;
    let raw = ["create", "--raw", "/api/v1/namespaces/pay/pods/db-0/eviction", "-f", "-"];
    assert!(lab.try_with(&raw, eviction).unwrap_err().contains("Precondition failed: UID in precondition"));
}

#[test]
fn pods_are_resized_in_place() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.json("get pods -n shop -l app=cart")["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let patch = |cpu: &str| format!(r#"{{"spec":{{"containers":[{{"name":"cart","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]}}}}"#);
    let refused = lab.refused(&format!("patch pod {pod} -n shop -p {}", patch("160m")));
    assert!(refused.contains("pod updates may not change fields other than"), "{refused}");
    lab.run(&format!("patch pod {pod} -n shop --subresource resize -p {}", patch("160m")));
    let get = format!("get pod {pod} -n shop");
    lab.until("given", |l| l.json(&get)["status"]["containerStatuses"][0]["resources"]["requests"]["cpu"] == "160m");
    assert!(!lab.json(&get)["status"]["conditions"].to_string().contains("PodResize"));
    lab.run(&format!("patch pod {pod} -n shop --subresource resize -p {}", patch("290m")));
    let other = r#"{"spec":{"containers":[{"name":"cart","resources":{"requests":{"cpu":"300m","memory":"512Mi"},"limits":{"cpu":"300m","memory":"512Mi"}}}]}}"#;
    assert!(lab.refused(&format!("patch pod {pod} -n shop --subresource resize -p {other}")).contains("QOS Class may not change"));
}

#[test]
fn keda_keeps_an_autoscaler_that_goes_while_it_is_paused() {
    let Some(lab) = Lab::new() else { return };
    lab.run("get hpa keda-hpa-stream -n data");
    lab.run("annotate scaledobject stream -n data autoscaling.keda.sh/paused-replicas=5");
    lab.until("paused", |l| l.try_run("get hpa keda-hpa-stream -n data").is_err());
    lab.run("wait scaledobject/stream -n data --for=condition=Paused --timeout 10s");
    assert_eq!(lab.json("get deploy stream -n data")["spec"]["replicas"], 5);
    lab.run("annotate scaledobject stream -n data autoscaling.keda.sh/paused-replicas-");
    lab.until("resumed", |l| l.try_run("get hpa keda-hpa-stream -n data").is_ok());
    // As an API server does it for custom resources.
    let strategic = ["patch", "scaledobject", "stream", "-n", "data", "--type", "strategic", "-p", "{}"];
    assert!(lab.try_with(&strategic, "").is_err());
}

#[test]
fn faults_of_changes_come_as_they_are_ordered() {
    let Some(lab) = Lab::new() else { return };
    let seen: Arc<Mutex<Vec<Written>>> = Arc::default();
    let told = seen.clone();
    assert!(lab.running.fleet.witness(CLUSTER, Some(Arc::new(move |w: &Written| told.lock().unwrap().push(w.clone())))));
    let label = |n: u8| lab.try_run(&format!("label --overwrite deploy/cart -n shop n={n}"));
    let is = || lab.json("get deploy/cart -n shop")["metadata"]["labels"]["n"].as_str().unwrap_or("").to_owned();
    lab.fault(Fault::Flaky(2));
    label(1).unwrap();
    assert!(label(2).unwrap_err().contains("leader changed"));
    assert_eq!(is(), "1");
    lab.fault(Fault::Heal);
    lab.fault(Fault::Cut(1));
    assert!(label(3).is_err());
    assert_eq!(is(), "3", "made, and not answered");
    lab.fault(Fault::Late(1));
    assert!(label(4).is_err());
    assert_eq!(is(), "4");
    lab.fault(Fault::Denied("patch".into(), "deployments".into()));
    assert!(label(5).unwrap_err().contains("cannot patch resource \"deployments\""));
    assert_eq!(lab.try_run("auth can-i patch deployments -n shop").unwrap_err().trim(), "no");
    lab.fault(Fault::Heal);
    lab.fault(Fault::Warns("spec.x: deprecated since \"v1\"".into()));
    assert!(label(6).unwrap().contains("Warning: spec.x: deprecated since \"v1\""));
    lab.fault(Fault::Heal);
    lab.fault(Fault::Expires(1));
    label(7).unwrap();
    assert!(label(8).is_err());
    lab.fault(Fault::Heal);
    assert_eq!(is(), "7");
    let paths: Vec<String> = seen.lock().unwrap().iter().map(|w| format!("{} {} {}", w.method, w.path, w.dry_run)).collect();
    assert_eq!(paths.len(), 6, "who may not has changed nothing: {paths:?}");
    assert!(paths.iter().all(|p| p == "PATCH /apis/apps/v1/namespaces/shop/deployments/cart false"), "{paths:?}");
}

#[test]
fn fields_are_patched_in_each_of_the_three_forms() {
    let Some(lab) = Lab::new() else { return };
    let get = "get deploy/catalog -n shop";
    let containers = |l: &Lab| l.json(get)["spec"]["template"]["spec"]["containers"].as_array().unwrap().clone();
    let before = containers(&lab);
    let patch = |kind: &str, body: &str, more: &[&str]| {
        let args = [&["patch", "deploy/catalog", "-n", "shop", "--type", kind, "-p", body], more].concat();
        lab.try_with(&args, "")
    };
    // By name: the container that is not named stays, and so do the fields that are not.
    let side = r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox:1"}]}}}}"#;
    patch("strategic", side, &[]).unwrap();
    let names: Vec<String> = containers(&lab).iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), before.len() + 1, "{names:?}");
    let other = containers(&lab).into_iter().find(|c| c["name"] == "catalog").unwrap();
    assert_eq!(other["image"], before[0]["image"]);
    let away = r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","$patch":"delete"}]}}}}"#;
    patch("strategic", away, &[]).unwrap();
    assert_eq!(containers(&lab).len(), before.len());
    // A list is replaced whole.
    let whole = r#"{"spec":{"template":{"spec":{"containers":[{"name":"catalog","image":"busybox:2"}]}}}}"#;
    patch("merge", whole, &["--dry-run=server"]).unwrap();
    assert_eq!(containers(&lab)[0]["image"], before[0]["image"], "a dry run stores nothing");
    patch("merge", whole, &[]).unwrap();
    assert_eq!(
        (&containers(&lab)[0]["image"], &containers(&lab)[0]["resources"]["requests"]),
        (&"busybox:2".into(), &serde_json::Value::Null)
    );
    // What it is said to be is looked at first.
    let image = "/spec/template/spec/containers/0/image";
    let json =
        |is: &str| format!(r#"[{{"op":"test","path":"{image}","value":"{is}"}},{{"op":"replace","path":"{image}","value":"busybox:3"}}]"#);
    assert!(patch("json", &json("busybox:1"), &[]).is_err());
    assert_eq!(containers(&lab)[0]["image"], "busybox:2");
    patch("json", &json("busybox:2"), &[]).unwrap();
    assert_eq!(containers(&lab)[0]["image"], "busybox:3");
    assert!(patch("json", r#"[{"op":"remove","path":"/spec/nothing"}]"#, &[]).is_err());
}

#[test]
fn an_editor_changes_what_it_was_given_and_nothing_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(lab) = Lab::new() else { return };
    let edit = |script: &str, what: &str| {
        let editor = lab.file("editor", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o700)).unwrap();
        let out = Command::new("kubectl")
            .args(["edit", what, "-n", "pay"])
            .env("KUBECONFIG", &lab.running.kubeconfig)
            .env("HOME", lab.home.path())
            .env("KUBE_EDITOR", &editor)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
    };
    let before = lab.json("get deploy/fraud -n pay");
    let (fine, said) = edit("sed -i 's/replicas: 3/replicas: 4/' \"$1\"", "deploy/fraud");
    assert!(fine && said.contains("edited"), "{said}");
    let after = lab.json("get deploy/fraud -n pay");
    assert_eq!((&before["spec"]["replicas"], &after["spec"]["replicas"]), (&3.into(), &4.into()));
    assert_eq!(before["spec"]["template"], after["spec"]["template"]);
    let owners = after["metadata"]["managedFields"].to_string();
    assert!(owners.contains("kubectl-edit"), "{owners}");
    let (fine, said) = edit("true", "deploy/fraud");
    assert!(fine && said.contains("no changes made"), "{said}");
    // What the server refuses comes back into the editor with its words, and is not stored.
    let (fine, said) = edit("grep -q 'Invalid value\\|invalid' \"$1\" || sed -i 's/replicas: 4/replicas: -4/' \"$1\"", "deploy/fraud");
    assert!(!fine, "{said}");
    assert_eq!(lab.json("get deploy/fraud -n pay")["spec"]["replicas"], 4);
}

#[test]
fn waits_permissions_and_dry_runs_are_as_anywhere() {
    let Some(lab) = Lab::new() else { return };
    let cart = |l: &Lab| l.json("get deploy/cart -n shop");
    let before = cart(&lab);
    for change in [
        "set image deploy/cart -n shop cart=busybox:9",
        "scale deploy/cart -n shop --replicas 9",
        "label deploy/cart -n shop seen=yes",
        "annotate deploy/cart -n shop seen=yes",
        "set env deploy/cart -n shop LEVEL=debug",
    ] {
        lab.run(&format!("{change} --dry-run=server"));
        assert_eq!(cart(&lab)["spec"], before["spec"], "{change}");
        assert_eq!(cart(&lab)["metadata"]["labels"], before["metadata"]["labels"], "{change}");
    }
    lab.run("taint node node-001 try=it:NoSchedule --dry-run=server");
    lab.run("cordon node-001 --dry-run=server");
    lab.run("drain node-001 --ignore-daemonsets --delete-emptydir-data --dry-run=server");
    let node = lab.json("get node node-001");
    assert!(node["spec"]["taints"].is_null() && node["spec"]["unschedulable"].is_null(), "{}", node["spec"]);
    lab.run("taint node node-001 try=it:NoSchedule");
    assert!(lab.refused("taint node node-001 try=that:NoSchedule").contains("already has"));
    lab.run("taint node node-001 try=that:NoSchedule --overwrite");
    assert_eq!(lab.json("get node node-001")["spec"]["taints"][0]["value"], "that");
    lab.run("taint node node-001 try-");
    // Waits end when it is so, and say when it is not.
    lab.run("wait deploy/cart -n shop --for=condition=Available --timeout 30s");
    lab.run("wait deploy/cart -n shop --for=jsonpath={.spec.replicas}=5 --timeout 10s");
    assert!(lab.refused("wait deploy/cart -n shop --for=jsonpath={.spec.replicas}=6 --timeout 1s").contains("timed out"));
    lab.run("delete pod db-0 -n pay --wait=false --grace-period=1");
    lab.run("wait pod/db-0 -n pay --for=delete --timeout 30s");
    // Who may what.
    for (may, ask) in [("yes", "patch deployments/scale -n shop"), ("yes", "create pods/eviction -n pay"), ("yes", "delete nodes")] {
        let (verb, rest) = ask.split_once(' ').unwrap();
        let (resource, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let (resource, sub) = resource.split_once('/').map_or((resource, String::new()), |(r, s)| (r, format!("--subresource={s}")));
        let said = lab.run(&format!("auth can-i {verb} {resource} {sub} {more}"));
        assert!(said.lines().any(|l| l == may), "{ask}: {said}");
    }
    lab.fault(Fault::Denied("create".into(), "pods/eviction".into()));
    assert_eq!(lab.try_run("auth can-i create pods --subresource=eviction -n pay").unwrap_err().trim(), "no");
    assert!(
        lab.refused("drain node-002 --ignore-daemonsets --delete-emptydir-data --timeout 5s")
            .contains("cannot create resource \"pods/eviction\"")
    );
    lab.fault(Fault::Heal);
}
