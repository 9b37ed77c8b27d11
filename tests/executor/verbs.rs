//! Every verb of the register and every runbook that comes with qd, tried on the demo fleet: what it changes, and what its undo leaves.
//! A verb without a case does not compile.

use super::*;
use quarterdeck::action::runbook::Params;
use quarterdeck::config::runbooks;
use quarterdeck::model::plan::Resource;
use quarterdeck::model::verb::{On, VERBS};
use serde_json::Value;

/// Where a verb's effect is seen.
#[derive(Clone, Copy)]
enum Look {
    /// A field of an object; null where either is not there.
    At(&'static str, &'static str),
    /// The names of a list.
    Names(&'static str),
}

/// What an undo leaves.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    /// What there was before.
    Back,
    /// There is none: it is refused, and nothing changes.
    Refused,
}

/// One try of a verb.
struct Case {
    /// What is done before, so that there is something to do.
    first: Option<(VerbId, &'static str)>,
    on: (&'static str, &'static str, &'static str),
    args: &'static str,
    look: Look,
    way: Way,
}

const CHECKOUT: (&str, &str, &str) = ("Deployment", "pay", "checkout");
const CHECKOUT_AT: &str = "/apis/apps/v1/namespaces/pay/deployments/checkout";
const LEDGER: (&str, &str, &str) = ("Deployment", "pay", "ledger");
const LEDGER_AT: &str = "/apis/apps/v1/namespaces/pay/deployments/ledger";
const HPA: (&str, &str, &str) = ("HorizontalPodAutoscaler", "shop", "web");
const HPA_AT: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web";
const KEDA: (&str, &str, &str) = ("ScaledObject", "data", "stream");
const KEDA_AT: &str = "/apis/keda.sh/v1alpha1/namespaces/data/scaledobjects/stream";
const CRON: (&str, &str, &str) = ("CronJob", "data", "compact");
const CRON_AT: &str = "/apis/batch/v1/namespaces/data/cronjobs/compact";
const NODE: (&str, &str, &str) = ("Node", "", "node-001");
const NODE_AT: &str = "/api/v1/nodes/node-001";
/// Whichever there is.
const KEPT: (&str, &str, &str) = ("Backup", "velero", "");
const SCHEDULE: (&str, &str, &str) = ("Schedule", "velero", "nightly");
const SCHEDULE_AT: &str = "/apis/velero.io/v1/namespaces/velero/schedules/nightly";
const IMAGE: &str = "/spec/template/spec/containers/0/image";

/// Verbs that need an Alertmanager. They are tried at real ones, in `tests/actions/alerts.rs`.
const ELSEWHERE: [VerbId; 3] = [VerbId::Silence, VerbId::SilenceExtend, VerbId::SilenceExpire];

fn case(verb: VerbId) -> Case {
    let case = |on, args, look| Case { first: None, on, args, look, way: Way::Back };
    let after = |first, on, args, look| Case { first: Some(first), ..case(on, args, look) };
    let gone = |on, args, look| Case { way: Way::Refused, ..case(on, args, look) };
    match verb {
        VerbId::Scale => case(CHECKOUT, "+1", Look::At(CHECKOUT_AT, "/spec/replicas")),
        VerbId::HpaSet => case(HPA, "max=33", Look::At(HPA_AT, "/spec/maxReplicas")),
        VerbId::HpaFreeze => case(HPA, "", Look::At(HPA_AT, "/spec")),
        VerbId::HpaThaw => after((VerbId::HpaFreeze, ""), HPA, "", Look::At(HPA_AT, "/spec")),
        VerbId::KedaPause => case(KEDA, "", Look::At(KEDA_AT, "/metadata/annotations")),
        VerbId::KedaResume => after((VerbId::KedaPause, ""), KEDA, "", Look::At(KEDA_AT, "/metadata/annotations")),
        VerbId::Resize => case(CHECKOUT, "cpu=260m", Look::At(CHECKOUT_AT, "/spec/template/spec/containers/0/resources")),
        VerbId::Restart => case(CHECKOUT, "", Look::At(CHECKOUT_AT, "/spec/template/metadata/annotations")),
        VerbId::Rollback => after((VerbId::SetImage, "registry.example.com/pay/ledger:8"), LEDGER, "", Look::At(LEDGER_AT, IMAGE)),
        VerbId::RolloutPause => case(LEDGER, "", Look::At(LEDGER_AT, "/spec/paused")),
        VerbId::RolloutResume => after((VerbId::RolloutPause, ""), LEDGER, "", Look::At(LEDGER_AT, "/spec/paused")),
        VerbId::SetImage => case(CHECKOUT, "checkout=registry.example.com/pay/checkout:9", Look::At(CHECKOUT_AT, IMAGE)),
        VerbId::SetEnv => gone(CHECKOUT, "LEVEL=debug", Look::At(CHECKOUT_AT, "/spec/template/spec/containers/0/env")),
        VerbId::Cordon => case(NODE, "", Look::At(NODE_AT, "/spec/unschedulable")),
        VerbId::Uncordon => after((VerbId::Cordon, ""), NODE, "", Look::At(NODE_AT, "/spec/unschedulable")),
        VerbId::Drain => case(NODE, "delete-emptydir-data", Look::At(NODE_AT, "/spec/unschedulable")),
        VerbId::Evict => gone(("Pod", "pay", "db-0"), "grace-period=1", Look::At("/api/v1/namespaces/pay/pods/db-0", "/metadata/uid")),
        VerbId::Delete => {
            gone(("Deployment", "auth", "session"), "", Look::At("/apis/apps/v1/namespaces/auth/deployments/session", "/metadata/name"))
        }
        VerbId::Taint => case(NODE, "work=yes:NoSchedule", Look::At(NODE_AT, "/spec/taints")),
        VerbId::Label => case(CHECKOUT, "owner=pay", Look::At(CHECKOUT_AT, "/metadata/labels")),
        VerbId::Annotate => case(CHECKOUT, "note=seen", Look::At(CHECKOUT_AT, "/metadata/annotations/note")),
        VerbId::Ignore => case(
            CHECKOUT,
            "rule=pdb-missing until=2099-12-31 because=batch",
            Look::At(CHECKOUT_AT, "/metadata/annotations/quarterdeck.io~1ignore"),
        ),
        VerbId::Trigger => case(CRON, "name=by-hand", Look::At("/apis/batch/v1/namespaces/data/jobs/by-hand", "/metadata/name")),
        VerbId::Suspend => case(CRON, "", Look::At(CRON_AT, "/spec/suspend")),
        VerbId::Unsuspend => after((VerbId::Suspend, ""), CRON, "", Look::At(CRON_AT, "/spec/suspend")),
        // Its Job is made by hand, in the test.
        VerbId::RetryJob => case(("Job", "shop", "once"), "", Look::Names("/apis/batch/v1/namespaces/shop/jobs")),
        VerbId::CreatePdb => case(
            ("Deployment", "shop", "catalog"),
            "",
            Look::At("/apis/policy/v1/namespaces/shop/poddisruptionbudgets/catalog", "/metadata/name"),
        ),
        VerbId::Edit => case(LEDGER, "", Look::At(LEDGER_AT, "/spec/minReadySeconds")),
        VerbId::Silence | VerbId::SilenceExtend | VerbId::SilenceExpire => panic!("{verb} is tried elsewhere"),
        VerbId::Backup => {
            case(("Namespace", "", "pay"), "tried", Look::At("/apis/velero.io/v1/namespaces/velero/backups/tried", "/metadata/name"))
        }
        VerbId::BackupDelete => gone(KEPT, "", Look::Names("/apis/velero.io/v1/namespaces/velero/backups")),
        VerbId::BackupLogs => gone(KEPT, "", Look::Names("/apis/velero.io/v1/namespaces/velero/downloadrequests")),
        VerbId::Restore => gone(KEPT, "tried", Look::Names("/apis/velero.io/v1/namespaces/velero/restores")),
        VerbId::SchedulePause => case(SCHEDULE, "", Look::At(SCHEDULE_AT, "/spec/paused")),
        VerbId::ScheduleResume => after((VerbId::SchedulePause, ""), SCHEDULE, "", Look::At(SCHEDULE_AT, "/spec/paused")),
        VerbId::Apply => case(("", "", ""), "filename=map.yaml", Look::At("/api/v1/namespaces/shop/configmaps/tried", "/data")),
        VerbId::Publish => gone(
            ("", "", ""),
            "filename=report.json",
            Look::At("/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports/quarterdeck", "/results/0/policy"),
        ),
        VerbId::EtcdSnapshot
        | VerbId::EtcdDefrag
        | VerbId::EtcdMoveLeader
        | VerbId::EtcdDisarm
        | VerbId::EtcdCompact
        | VerbId::EtcdMemberAdd
        | VerbId::EtcdPromote
        | VerbId::EtcdMemberRemove => panic!("the simulated fleet has no etcd: `tests/actions/etcd.rs` tries {verb} on a real one"),
    }
}

fn look(sim: &Running, look: Look) -> Value {
    match look {
        Look::At(path, pointer) => sim.fleet.object(CLUSTER, path).and_then(|o| o.pointer(pointer).cloned()).unwrap_or(Value::Null),
        Look::Names(_) => Value::Null,
    }
}

/// The same, of a list through the API.
async fn seen(sim: &Running, fleet: &mut Fleet, at: Look) -> Value {
    let Look::Names(path) = at else { return look(sim, at) };
    let client = fleet.reader(fleet.store.clusters()[0].id).unwrap().client().unwrap();
    let list = fleet.alongside(client.get_json(path)).await.unwrap();
    let mut names: Vec<Value> = list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    names.into()
}

fn target(fleet: &Fleet, (kind, namespace, name): (&str, &str, &str)) -> Target {
    let cluster = fleet.store.clusters()[0].id;
    if kind == "ScaledObject" {
        let text = |t: &str| t.to_owned();
        let (group, version) = (text("keda.sh"), text("v1alpha1"));
        let resource = Resource { group, version, plural: text("scaledobjects"), kind: text(kind), namespaced: true };
        return Target { cluster, resource, namespace: text(namespace), name: text(name), uid: None };
    }
    let kind = Kind::WATCHED.into_iter().find(|k| k.name() == kind).unwrap_or_else(|| panic!("no kind {kind}"));
    let any = || fleet.store.clusters()[0].objects(kind).next().unwrap().meta().name.to_string();
    let name = if name.is_empty() { any() } else { name.to_owned() };
    named(fleet, kind, namespace, &name)
}

/// Whether what comes of it is waited for: Velero deletes no backup that it still makes.
fn waits(verb: VerbId) -> bool {
    matches!(verb, VerbId::Backup | VerbId::BackupDelete)
}

/// The documents that `edit` and `apply` come with.
fn documents(sim: &Running, verb: VerbId) -> Vec<(String, String)> {
    let text = |name: &str, v: &Value| (name.to_owned(), v.to_string());
    match verb {
        VerbId::Edit => {
            let base = sim.fleet.object(CLUSTER, LEDGER_AT).unwrap();
            let mut edited = base.clone();
            edited["spec"]["minReadySeconds"] = 2.into();
            vec![text("ledger.yaml", &edited), text("base", &base)]
        }
        VerbId::Apply => {
            let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tried", "namespace": "shop"},
                "data": {"a": "1"}});
            vec![text("map.yaml", &map)]
        }
        VerbId::Publish => {
            let report = serde_json::json!({"at": "2026-03-01T02:47:30Z", "items": [{"rule": "node-not-ready", "severity": "critical", "cluster": CLUSTER,
                "kind": "Node", "namespace": null, "name": "node-001", "message": "not ready"}],
                "clusters": [{"name": CLUSTER, "score": 88, "evaluated": 1, "not_evaluated": []}]});
            vec![text("report.json", &report)]
        }
        _ => Vec::new(),
    }
}

/// A field that is off, one that is empty and one that is not there are the same.
fn same(a: &Value, b: &Value) -> bool {
    let off = |v: &Value| match v {
        Value::Null | Value::Bool(false) => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    a == b || off(a) && off(b)
}

async fn settle(fleet: &mut Fleet) {
    fleet.alongside(tokio::time::sleep(Duration::from_millis(400))).await;
}

/// Does it, and takes it back.
async fn tried(verb: VerbId) -> Result<(), String> {
    let (sim, case) = (sim(), case(verb));
    let (_dir, state) = state();
    if verb == VerbId::RetryJob {
        let template = sim.fleet.object(CLUSTER, "/apis/batch/v1/namespaces/shop/cronjobs/reprice").unwrap();
        let spec = template["spec"]["jobTemplate"]["spec"].clone();
        let job =
            serde_json::json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "shop"}, "spec": spec});
        sim.fleet.by_another(CLUSTER, "POST", "/apis/batch/v1/namespaces/shop/jobs", "application/json", job).unwrap();
    }
    let mut fleet = fleet(&sim, "", false).await;
    if verb == VerbId::RetryJob {
        // Until it has ended: one that runs is not run again.
        let ended = || {
            let job = sim.fleet.object(CLUSTER, "/apis/batch/v1/namespaces/shop/jobs/once");
            job.is_some_and(|j| !j["status"]["completionTime"].is_null())
        };
        for _ in 0..100 {
            if ended() {
                break;
            }
            settle(&mut fleet).await;
        }
        settle(&mut fleet).await;
    }
    let targets = if case.on.0.is_empty() { Vec::new() } else { vec![target(&fleet, case.on)] };
    if let Some((first, args)) = case.first {
        let (outcome, job) = through(&mut fleet, &state, &act(first, targets.clone(), args)).await;
        if outcome != Outcome::Done {
            return Err(format!("{first} before it: {:?}", job.steps));
        }
        settle(&mut fleet).await;
    }
    let before = seen(&sim, &mut fleet, case.look).await;
    let args = Args::parse(verb.info(), case.args).map_err(|e| e.to_string())?;
    let targets = match verb {
        // What is applied says where; the cluster is what it is applied to.
        VerbId::Apply => vec![Target { uid: None, ..target(&fleet, ("Namespace", "", "shop")) }],
        VerbId::Publish => vec![Target::of_cluster(fleet.store.clusters()[0].id, CLUSTER)],
        _ => targets,
    };
    let wanted = Wanted::Act(Request { verb, targets, args, documents: documents(&sim, verb) });
    let preview = acting::prepare(&mut fleet, &wanted, waits(verb)).await.map_err(|e| format!("{e:?}"))?;
    let unchanged = seen(&sim, &mut fleet, case.look).await;
    if unchanged != before {
        return Err(format!("the preview changed {before} to {unchanged}"));
    }
    let (outcome, done) = job(&mut fleet, &state, &preview, None, |_| async {}).await;
    if outcome != Outcome::Done {
        return Err(format!("{outcome:?}: {:?}", done.steps));
    }
    // A pod takes its time to go.
    let mut after = before.clone();
    for _ in 0..20 {
        settle(&mut fleet).await;
        after = seen(&sim, &mut fleet, case.look).await;
        if after != before {
            break;
        }
    }
    if after == before {
        return Err(format!("nothing changed: {before}"));
    }
    match (acting::prepare(&mut fleet, &Wanted::Undo(Box::new(last(&state))), waits(verb)).await, case.way) {
        (Err(Stop::Refuse { kind: "undo", .. }), Way::Refused) => {
            let now = seen(&sim, &mut fleet, case.look).await;
            if verb != VerbId::Evict && now != after { Err(format!("{after} became {now}")) } else { Ok(()) }
        }
        (Ok(preview), Way::Back) => {
            let (outcome, undone) = job(&mut fleet, &state, &preview, None, |_| async {}).await;
            settle(&mut fleet).await;
            let now = seen(&sim, &mut fleet, case.look).await;
            if outcome == Outcome::Done && same(&now, &before) {
                Ok(())
            } else {
                Err(format!("{outcome:?}: {before} became {after} and then {now}: {:?}", undone.steps))
            }
        }
        (Ok(preview), Way::Refused) => Err(format!("an undo that nobody expects: {:?}", preview.plan.title)),
        (Err(e), _) => Err(format!("undo: {e:?}")),
    }
}

#[test]
fn every_verb_of_the_register_can_be_tried_and_taken_back() {
    let verbs: Vec<VerbId> = VERBS.iter().filter(|v| v.on != On::Etcd && !ELSEWHERE.contains(&v.id)).map(|v| v.id).collect();
    // Two at a time: most of it is waiting.
    let halves = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|n| {
                let mine: Vec<VerbId> = verbs.iter().copied().skip(n).step_by(2).collect();
                scope.spawn(move || mine.into_iter().map(|v| (v, block_on(tried(v)))).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(halves.len(), verbs.len());
    let wrong: Vec<String> = halves.into_iter().filter_map(|(v, r)| r.err().map(|e| format!("{v}: {e}"))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The runbooks that come with qd: what is run, where it shows, whether its undo brings the same back.
#[test]
fn every_runbook_that_comes_with_it_can_be_tried() {
    let shop = HPA_AT;
    type Run = (&'static str, &'static [(&'static str, &'static str)], Look, bool);
    let cases: [Run; 3] = [
        ("freeze-hpas", &[("namespace", "shop")], Look::At(shop, "/spec"), true),
        ("node-maintenance", &[("node", "node-002"), ("pause", "1s"), ("timeout", "60s")], Look::At("", ""), false),
        ("restart-in-waves", &[("namespace", "pay"), ("wave", "2")], Look::At(CHECKOUT_AT, "/spec/template/metadata/annotations"), true),
    ];
    let (books, diags) = runbooks(&Config::parse("", Path::new("test.toml")).config);
    assert!(diags.is_empty(), "{diags:?}");
    for name in ["freeze-hpas", "node-maintenance", "restart-in-waves"] {
        assert!(books.iter().any(|b| b.name == name), "no runbook {name}");
    }
    for (name, values, at, back) in cases {
        let book = books.iter().find(|b| b.name == name).unwrap().clone();
        block_on(async {
            let sim = sim();
            let (_dir, state) = state();
            let mut fleet = fleet(&sim, "", false).await;
            let cluster = fleet.store.clusters()[0].id;
            let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let params = Params { values, clusters: vec![cluster], namespace: None };
            let before = look(&sim, at);
            let on_node = |sim: &Running, fleet: &Fleet| {
                let pods = fleet.store.clusters()[0].objects(Kind::Pod);
                let here = pods.filter(|o| matches!(o, Object::Pod(p) if p.node.as_deref() == Some("node-002")));
                let movable = here.filter(|o| !o.meta().name.starts_with("cni") && !o.meta().namespace.starts_with("kube")).count();
                let node = sim.fleet.object(CLUSTER, "/api/v1/nodes/node-002").unwrap();
                (movable, node["spec"]["unschedulable"].as_bool().unwrap_or(false))
            };
            let (busy, cordoned) = on_node(&sim, &fleet);
            assert!(busy > 0 && !cordoned, "{busy}");
            let writes = changes(&sim, |_, _| {});
            let wanted = Wanted::Run(Box::new((book, params)));
            let preview = acting::prepare(&mut fleet, &wanted, true).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert!(writes.lock().unwrap().is_empty(), "{name}: a preview writes nothing");
            let (outcome, done) = job(&mut fleet, &state, &preview, None, |_| async {}).await;
            assert_eq!(outcome, Outcome::Done, "{name}: {:?}", done.steps);
            settle(&mut fleet).await;
            let sent: Vec<String> = writes.lock().unwrap().iter().map(|w| format!("{} {}", w.method, w.path)).collect();
            if back {
                assert_ne!(look(&sim, at), before, "{name}");
                let (outcome, undone) = through(&mut fleet, &state, &Wanted::Undo(Box::new(last(&state)))).await;
                assert_eq!(outcome, Outcome::Done, "{name}: {:?}", undone.steps);
                assert!(same(&look(&sim, at), &before), "{name}");
            } else {
                // The node is given back, and its pods went elsewhere in between.
                assert!(!on_node(&sim, &fleet).1, "{name}");
                assert!(sent.iter().filter(|s| s.ends_with("/eviction")).count() >= busy, "{busy}: {sent:?}");
                assert_eq!(sent.first().map(String::as_str), Some("PATCH /api/v1/nodes/node-002"));
                assert_eq!(sent.last().map(String::as_str), Some("PATCH /api/v1/nodes/node-002"));
            }
        });
    }
}
